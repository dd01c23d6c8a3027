//! `larder check`: every mistake at once, where it is and what to do.

use larder_testkit::Result;
use larder_testkit::larder::check;

const MISTAKES: &str = r#"[server]
lisen = "127.0.0.1:0"

[upstreams.api]
url = "http://127.0.0.1:3000"
connect_timeout = "5 parsecs"

[[routes]]
path = "/a"
upstream = "apo"

[[routes]]
path = "/b/{id}"
upstream = "api"

[[routes]]
path = "/b/{name}"
upstream = "api"
"#;

#[test]
fn every_mistake_is_told_at_once_with_place_and_hint() -> Result<()> {
    let output = check(MISTAKES)?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    let mistakes = [
        ("config.toml:2:", "lisen = \"127.0.0.1:0\"", "listen"),
        ("config.toml:6:", "connect_timeout = \"5 parsecs\"", "5 parsecs"),
        ("config.toml:10:", "upstream = \"apo\"", "api"),
        ("config.toml:17:", "path = \"/b/{name}\"", "/b/{id}"),
    ];
    for (place, line, word) in mistakes {
        for part in [place, line, word] {
            assert!(text.contains(part), "no {part:?} in:\n{text}");
        }
    }
    assert!(text.matches("hint:").count() >= 3, "{text}");
    Ok(())
}

#[test]
fn a_good_file_is_said_to_be_good() -> Result<()> {
    let output = check("[upstreams.api]\nurl = \"http://127.0.0.1:3000\"\n")?;
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

#[test]
fn unsafe_ignore_is_warned_about_and_is_no_error() -> Result<()> {
    let file =
        "[upstreams.api]\nurl = \"http://127.0.0.1:3000\"\n[[routes]]\npath = \"/a\"\nupstream = \"api\"\nunsafe_ignore = [\"private\"]\n";
    let output = check(file)?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("warning") && text.contains("unsafe_ignore") && text.contains("config.toml:6:"), "{text}");
    Ok(())
}

#[test]
fn a_file_that_is_not_there_is_an_error() -> Result<()> {
    let folder = tempfile::TempDir::new()?;
    let output = larder_testkit::larder::command()?.args(["check", "--config", "none.toml"]).current_dir(folder.path()).output()?;
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("none.toml"));
    Ok(())
}

/// The shipped reference is right as it is.
#[test]
fn the_shipped_config_is_right() -> Result<()> {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../config.toml");
    let output = check(&std::fs::read_to_string(file)?)?;
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
