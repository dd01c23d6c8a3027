//! `larder top` in a terminal, which `script` makes one of.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use larder_testkit::wait::eventually;
use larder_testkit::{Answer, Larder, Origin, Result, larder};
use serde_json::Value;

/// The program in a terminal, and all that it has written there. It is killed when dropped.
struct Screen {
    child: Child,
    written: Arc<Mutex<String>>,
}

impl Screen {
    fn open(admin: &str) -> Result<Self> {
        let mut command = Command::new("script");
        let top = format!("stty rows 40 cols 160; exec {} top --admin {admin}", larder::binary()?.display());
        command.args(["--quiet", "--return", "--flush", "--command", &top, "/dev/null"]).env("TERM", "xterm");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let (written, mut output) = (Arc::<Mutex<String>>::default(), child.stdout.take().expect("it is piped"));
        let kept = Arc::clone(&written);
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut bytes) {
                kept.lock().expect("a lock").push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
        });
        Ok(Self { child, written })
    }

    async fn shows(&self, text: &str) -> Result<()> {
        let shown = || async { Ok(self.written.lock().expect("a lock").contains(text).then_some(())) };
        eventually(format!("waiting for `{text}` on the screen"), shown)
            .await
            .map_err(|error| larder_testkit::Error::new(format!("{error}; it has {:?}", self.written.lock().expect("a lock"))))
    }

    fn press(&mut self, keys: &str) -> Result<()> {
        let input = self.child.stdin.as_mut().expect("it is piped");
        input.write_all(keys.as_bytes())?;
        Ok(input.flush()?)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn running() -> Result<(Origin, Larder)> {
    let origin = Origin::start().await?;
    origin.always("GET", "/a", Answer::ok().header("Cache-Control", "max-age=60").body("0123456789"));
    let larder = Larder::before(&origin, "[[routes]]\nname = \"all\"\npath = \"/{*rest}\"\n").await?;
    Ok((origin, larder))
}

#[tokio::test]
async fn it_follows_what_happens_until_it_is_told_to_end() -> Result<()> {
    let (_origin, larder) = running().await?;
    let mut screen = Screen::open(&larder.admin_address().to_string())?;
    screen.shows("[1 routes]").await?;
    larder.get("/a").await?;
    larder.get("/a").await?;
    screen.shows("hits 50.0 %").await?;
    screen.press("3")?;
    screen.shows("/a").await?;
    screen.press("?")?;
    screen.shows("another order of the routes").await?;
    screen.press("p")?;
    screen.shows("paused").await?;
    screen.press("q")?;
    // The usual screen is back, and its cursor.
    screen.shows("\u{1b}[?1049l").await?;
    let status = tokio::task::spawn_blocking(move || screen.child.wait()).await??;
    assert!(status.success(), "{status}");
    Ok(())
}

#[tokio::test]
async fn without_a_terminal_it_says_so_or_prints_json_once() -> Result<()> {
    let (_origin, larder) = running().await?;
    let admin = larder.admin_address().to_string();
    let refused = larder::command()?.args(["top", "--admin", &admin]).output()?;
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("needs a terminal"), "{refused:?}");
    let printed = larder::command()?.args(["top", "--json", "--admin", &admin]).output()?;
    let json: Value = serde_json::from_slice(&printed.stdout)?;
    assert!(json["stats"]["windows"].is_array() && json["replicas"]["replicas"][0]["own"] == true, "{json:#}");
    Ok(())
}
