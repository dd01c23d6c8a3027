//! What the configuration may say, and what is wrong with it.

use larder_testkit::larder::{check, command, config};
use larder_testkit::{Answer, Authority, Client, Larder, Origin, Result};

use super::{HOST, listeners, printed};

#[tokio::test]
async fn listen_and_listeners_stand_beside_each_other() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/a", Answer::ok().body("a"));
    let authority = Authority::new()?;
    let text = listeners(&authority, "", "[server]\nlisten = \"127.0.0.1:0\"")?;
    let larder = Larder::before(&origin, &text).await?;
    let addresses = larder.addresses(3).await?;
    assert_eq!(Client::connect(addresses[0]).await?.exchange("GET", "/a", &[], "").await?.status, 200, "`listen` comes first");
    let mut secure = Client::connect_tls(addresses[1], HOST, &authority.client(&[], None)?).await?;
    assert_eq!(secure.exchange("GET", "/a", &[], "").await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn a_listener_may_have_limits_of_its_own() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/a", Answer::ok().body("a"));
    let text = "[server]\nlisten = \"127.0.0.1:0\"\nmax_connections = 1\n[[listeners]]\naddress = \"127.0.0.1:0\"\nmax_connections = 2\n\
                [[listeners]]\naddress = \"127.0.0.1:0\"";
    let larder = Larder::before(&origin, text).await?;
    let addresses = larder.addresses(3).await?;
    let (shared, own, other) = (addresses[0], addresses[1], addresses[2]);
    let mut kept = Vec::new();
    for (address, status) in [(shared, 200), (other, 503), (own, 200), (own, 200), (own, 503)] {
        let mut client = Client::connect(address).await?;
        assert_eq!(client.exchange("GET", "/a", &[], "").await?.status, status, "{address} of {addresses:?}");
        kept.push(client);
    }
    Ok(())
}

#[test]
fn addresses_from_outside_replace_no_listener() -> Result<()> {
    let folder = tempfile::TempDir::new()?;
    let text = config("http://127.0.0.1:3000", "[[listeners]]\naddress = \"127.0.0.1:0\"");
    std::fs::write(folder.path().join("config.toml"), text)?;
    let output = command()?.arg("check").current_dir(folder.path()).env("LARDER_LISTEN", "0.0.0.0:8080").output()?;
    assert!(output.status.success() && printed(&output).contains("warning: LARDER_LISTEN: it is not used"), "{}", printed(&output));
    let output = command()?.args(["serve", "--listen", "127.0.0.1:0"]).current_dir(folder.path()).output()?;
    assert_eq!(output.status.code(), Some(1));
    assert!(
        printed(&output).contains("error: --listen: it is not used, for [[listeners]] say where clients connect"),
        "{}",
        printed(&output)
    );
    Ok(())
}

#[test]
fn mistakes_in_certificates_are_reported_with_line_and_hint() -> Result<()> {
    let authority = Authority::new()?;
    let (one, two) = (authority.issue("one", &[HOST])?, authority.issue("two", &[HOST])?);
    let listener = |chain: &std::path::Path, key: &std::path::Path| {
        let text = format!("[[listeners]]\naddress = \"127.0.0.1:0\"\n[[listeners.tls.certificates]]\nchain = {chain:?}\nkey = {key:?}\n");
        check(&config("http://127.0.0.1:3000", &text))
    };
    let missing = authority.folder().join("missing");
    let place = |output: &std::process::Output, line: &str| {
        let text = printed(output);
        text.lines().any(|shown| shown.contains("config.toml:") && shown.contains(line)) || text.contains(line)
    };
    for (chain, key, expected) in [
        (&one.chain, &two.key, "does not belong to the first certificate"),
        (&one.chain, &missing, "cannot read"),
        (&missing, &one.key, "cannot read"),
        (&one.key, &one.key, "there is no certificate in"),
        (&one.chain, &one.chain, "there is no private key in"),
    ] {
        let output = listener(chain, key)?;
        assert_eq!(output.status.code(), Some(1), "{}", printed(&output));
        assert!(place(&output, expected) && printed(&output).contains("hint: "), "{}", printed(&output));
    }
    assert_eq!(listener(&one.chain, &one.key)?.status.code(), Some(0));
    let old = authority.issue_with("old", &[HOST], |params| params.not_after = larder_testkit::certificates::date(2020, 1, 1))?;
    let output = listener(&old.chain, &old.key)?;
    assert_eq!(output.status.code(), Some(0), "it can be served all the same: {}", printed(&output));
    assert!(printed(&output).contains("has expired"), "{}", printed(&output));
    Ok(())
}
