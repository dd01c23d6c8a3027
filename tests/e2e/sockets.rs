//! Sockets that are no addresses: Unix sockets, and those of systemd.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::process::Command;

use larder_testkit::larder::{binary, check, command, config};
use larder_testkit::process::Process;
use larder_testkit::{Answer, Client, Error, Larder, Origin, Result, wait};
use rustix::process::Signal;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

async fn ask(path: &std::path::Path) -> Result<String> {
    let mut stream = UnixStream::connect(path).await?;
    stream.write_all(b"GET /a HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n").await?;
    let mut text = String::new();
    wait::within("an answer over the socket", stream.read_to_string(&mut text)).await??;
    Ok(text)
}

#[tokio::test]
async fn a_unix_socket_is_listened_on_with_its_permissions() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/a", Answer::ok().body("hello"));
    let folder = TempDir::new()?;
    let path = folder.path().join("larder.sock");
    // Left behind by a process that was killed.
    drop(std::os::unix::net::UnixListener::bind(&path)?);
    let group = rustix::process::getgid().as_raw();
    let listener = format!("[[listeners]]\naddress = \"unix:{}\"\nmode = \"0640\"\ngroup = \"{group}\"\n", path.display());
    let text = format!("{listener}[[listeners]]\naddress = \"127.0.0.1:0\"\n[cache]\nttl = \"60s\"");
    let larder = Larder::before(&origin, &text).await?;
    assert_eq!(std::fs::metadata(&path)?.permissions().mode() & 0o777, 0o640);
    for cached in ["MISS", "HIT"] {
        let text = ask(&path).await?;
        assert!(text.starts_with("HTTP/1.1 200") && text.contains(&format!("x-cache: {cached}")) && text.ends_with("hello"), "{text}");
    }
    assert_eq!(origin.received()[0].header("x-forwarded-for"), Some("127.0.0.1"), "its clients are on this machine");
    // A second process finds it in use.
    let second = config(&origin.url(), &listener);
    let other = TempDir::new()?;
    std::fs::write(other.path().join("config.toml"), second)?;
    let output = command()?.args(["serve"]).current_dir(other.path()).output()?;
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && told.contains("another process listens there") && told.contains("config.toml:"), "{told}");
    larder.terminate()?;
    assert_eq!(larder.exited().await?.code(), Some(0));
    Ok(())
}

#[test]
fn what_cannot_be_of_a_socket_is_told() -> Result<()> {
    for (listener, told) in [
        ("address = \"unix:larder.sock\"", "write the whole path"),
        ("address = \"127.0.0.1:0\"\nmode = \"0660\"", "only a Unix socket has permissions"),
        ("address = \"unix:/tmp/a.sock\"\nmode = \"rw\"", "`rw` is no permission of a file"),
        ("address = \"unix:/tmp/a.sock\"\ngroup = \"no such group\"", "there is no group `no such group`"),
        ("address = \"unix:/tmp/a.sock\"\nproxy_protocol = { from = [\"::1\"] }", "a Unix socket has no peers with addresses"),
    ] {
        let output = check(&config("http://127.0.0.1:3000", &format!("[[listeners]]\n{listener}")))?;
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(1) && text.contains(told) && text.contains("config.toml:"), "{listener}: {text}");
    }
    Ok(())
}

#[tokio::test]
async fn systemd_may_listen_and_start_the_process_with_the_first_connection() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/a", Answer::ok().body("hello"));
    let folder = TempDir::new()?;
    let file = folder.path().join("config.toml");
    std::fs::write(&file, config(&origin.url(), "[[listeners]]\naddress = \"systemd:web\""))?;
    let address = larder_tests::free_address()?;
    let mut activate = Command::new("systemd-socket-activate");
    activate.args(["--listen", &address.to_string(), "--fdname=web"]).arg(binary()?).args(["serve", "--config"]).arg(&file);
    let process = Process::start("systemd-socket-activate", &mut activate)?;
    process.line("`Listening on`", |line| line.contains("Listening on").then_some(())).await?;
    let response = Client::connect(address).await?.exchange("GET", "/a", &[], "").await.map_err(|error| process.explain(error))?;
    assert_eq!(response.text(), "hello");
    process.signal(Signal::TERM)?;
    assert_eq!(process.exited().await?.code(), Some(0));
    // By itself it has no such socket.
    let output = command()?.args(["serve", "--config"]).arg(&file).output()?;
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && told.contains("systemd has passed no socket of that name"), "{told}");
    Ok(())
}

#[tokio::test]
async fn the_service_manager_is_told_when_the_process_serves_and_when_it_stops() -> Result<()> {
    let origin = Origin::start().await?;
    let folder = TempDir::new()?;
    let (file, manager) = (folder.path().join("config.toml"), folder.path().join("notify"));
    std::fs::write(&file, config(&origin.url(), ""))?;
    let socket = UnixDatagram::bind(&manager)?;
    socket.set_nonblocking(true)?;
    let socket = tokio::net::UnixDatagram::from_std(socket)?;
    let process = Process::start("larder", command()?.args(["serve", "--config"]).arg(&file).env("NOTIFY_SOCKET", &manager))?;
    let hear = async || {
        let mut message = [0; 64];
        let length = wait::within("a word to the service manager", socket.recv(&mut message)).await??;
        Ok::<_, Error>(String::from_utf8_lossy(&message[..length]).into_owned())
    };
    assert_eq!(hear().await.map_err(|error| process.explain(error))?, "READY=1");
    process.signal(Signal::TERM)?;
    assert_eq!(hear().await?, "STOPPING=1");
    assert_eq!(process.exited().await?.code(), Some(0));
    Ok(())
}
