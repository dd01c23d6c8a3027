//! curl, openssl, Python, h2load and Chromium.

use larder_testkit::{Answer, Origin, Result};

use super::{Edge, HOST, printed, run};

#[tokio::test]
async fn curl_is_answered_over_both_protocols_and_the_second_time_from_the_cache() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/a", Answer::ok().body("hello"));
    let edge = Edge::start(&origin, "", "[cache]\nttl = \"60s\"").await?;
    let ca = edge.authority.ca_file().display().to_string();
    let port = edge.tls().port();
    let url = format!("https://{HOST}:{port}/a");
    let resolve = format!("{HOST}:{port}:127.0.0.1");
    for (protocol, version, cached) in [("--http1.1", "1.1", "MISS"), ("--http2", "2", "HIT"), ("--http1.1", "1.1", "HIT")] {
        let arguments = ["--silent", "--show-error", "--include", "--cacert", &ca, "--resolve", &resolve, protocol, &url];
        let output = run("curl", &arguments, "").await?;
        let text = printed(&output);
        assert!(output.status.success(), "{text}");
        assert!(text.starts_with(&format!("HTTP/{version} 200")), "{text}");
        assert!(text.to_ascii_lowercase().contains(&format!("x-cache: {}", cached.to_ascii_lowercase())), "{text}");
        assert!(text.ends_with("hello"), "{text}");
    }
    assert_eq!(origin.request_count(), 1);
    Ok(())
}

#[tokio::test]
async fn h2load_gets_every_answer_over_many_streams() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/a", Answer::ok().header("Cache-Control", "max-age=60").body("hello"));
    let edge = Edge::start(&origin, "", "").await?;
    let (url, address) = (format!("https://{HOST}:{}/a", edge.tls().port()), format!("--connect-to={}", edge.tls()));
    for protocol in [["-m", "16"].as_slice(), &["--h1"]] {
        let arguments = [&["-n", "2000", "-c", "8", &address], protocol, &[&url]].concat();
        let text = printed(&run("h2load", &arguments, "").await?);
        assert!(text.contains("2000 succeeded, 0 failed, 0 errored, 0 timeout"), "{text}");
        assert!(text.contains("2000 2xx"), "{text}");
    }
    assert_eq!(origin.request_count(), 1);
    Ok(())
}

#[tokio::test]
async fn chromium_loads_a_page_and_what_it_names_over_http2() -> Result<()> {
    let page = "<p>cached</p><script src=\"/tell.js\"></script>";
    let script = "document.body.append(performance.getEntriesByType('navigation')[0].nextHopProtocol + ' ' + document.cookie)";
    let origin = Origin::start().await?;
    let stored = |body: &str, kind: &str| Answer::ok().header("Cache-Control", "s-maxage=60").header("Content-Type", kind).body(body);
    origin.always("GET", "/page", stored(page, "text/html"));
    origin.always("GET", "/tell.js", stored(script, "text/javascript"));
    let edge = Edge::start(&origin, "", "").await?;
    let profile = tempfile::tempdir()?;
    let (url, profile) = (format!("https://{HOST}:{}/page", edge.tls().port()), format!("--user-data-dir={}", profile.path().display()));
    let rules = format!("--host-resolver-rules=MAP {HOST} 127.0.0.1");
    let usual =
        ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking"];
    for _ in 0..2 {
        let own = ["--ignore-certificate-errors", &rules, &profile, "--dump-dom", &url];
        let output = run("chromium", &[usual.as_slice(), &own].concat(), "").await?;
        let text = printed(&output);
        assert!(text.contains("<p>cached</p>") && text.contains("h2 "), "{text}");
    }
    let asked = origin.count_of("/page") + origin.count_of("/tell.js");
    assert_eq!(asked, 2, "the second visit is answered from the store");
    Ok(())
}

#[tokio::test]
async fn python_verifies_the_certificate_of_each_host() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/a", Answer::ok().body("hello"));
    let edge = Edge::start(&origin, "", "").await?;
    let script = "\
import socket, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[1])
context.set_alpn_protocols(['http/1.1'])
for host in ['a.example', 'b.example', 'x.c.example']:
    with socket.create_connection(('127.0.0.1', int(sys.argv[2]))) as plain:
        with context.wrap_socket(plain, server_hostname=host) as secure:
            secure.sendall(b'GET /a HTTP/1.1\\r\\nHost: ' + host.encode() + b'\\r\\nConnection: close\\r\\n\\r\\n')
            text = b''
            while True:
                # Raises where the end came without close_notify.
                part = secure.recv(4096)
                if not part:
                    break
                text += part
            assert text.startswith(b'HTTP/1.1 200') and text.endswith(b'hello'), text
            print(secure.version(), secure.selected_alpn_protocol())
";
    let ca = edge.authority.ca_file().display().to_string();
    let output = run("python3", &["-c", script, &ca, &edge.tls().port().to_string()], "").await?;
    assert!(output.status.success(), "{}", printed(&output));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "TLSv1.3 http/1.1\n".repeat(3));
    Ok(())
}

#[tokio::test]
async fn openssl_finds_the_versions_that_are_allowed_and_no_other() -> Result<()> {
    let origin = Origin::start().await?;
    for (tls, spoken) in [("", ["-tls1_2", "-tls1_3"].as_slice()), (", min_version = \"1.3\"", &["-tls1_3"])] {
        let edge = Edge::start(&origin, tls, "").await?;
        let (address, ca) = (edge.tls().to_string(), edge.authority.ca_file().display().to_string());
        for version in ["-tls1", "-tls1_1", "-tls1_2", "-tls1_3"] {
            // The lowest level of security, or openssl itself refuses the old versions.
            let ciphers = ["-cipher", "ALL:@SECLEVEL=0"];
            let arguments = ["s_client", "-connect", &address, "-servername", HOST, "-CAfile", &ca, "-verify_return_error", version];
            let output = run("openssl", &[&arguments[..], &ciphers].concat(), "").await?;
            assert_eq!(output.status.success(), spoken.contains(&version), "{version}: {}", printed(&output));
        }
    }
    Ok(())
}

#[tokio::test]
async fn openssl_finds_ciphers_with_forward_secrecy_and_authentication_only() -> Result<()> {
    let origin = Origin::start().await?;
    let edge = Edge::start(&origin, "", "").await?;
    let (address, ca) = (edge.tls().to_string(), edge.authority.ca_file().display().to_string());
    let suites = run("openssl", &["ciphers", "-s", "-tls1_2", "ALL:COMPLEMENTOFALL:@SECLEVEL=0"], "").await?;
    let suites = String::from_utf8_lossy(&suites.stdout).trim().to_owned();
    let (mut accepted, mut tried) = (Vec::new(), 0);
    for suite in suites.split(':') {
        let cipher = format!("{suite}:@SECLEVEL=0");
        let arguments = ["s_client", "-connect", &address, "-servername", HOST, "-CAfile", &ca, "-tls1_2", "-cipher", &cipher];
        tried += 1;
        if run("openssl", &arguments, "").await?.status.success() {
            accepted.push(suite.to_owned());
        }
    }
    assert!(tried > 20 && !accepted.is_empty(), "{tried} tried, {accepted:?} accepted");
    let is_good = |suite: &String| suite.starts_with("ECDHE-") && (suite.contains("-GCM-") || suite.contains("CHACHA20"));
    assert!(accepted.iter().all(is_good), "{accepted:?}");
    Ok(())
}

#[tokio::test]
async fn replicas_with_the_same_ticket_keys_resume_each_others_sessions() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/a", Answer::ok().body("hello"));
    let keys = tempfile::NamedTempFile::new()?;
    std::fs::write(keys.path(), "07".repeat(32))?;
    let tls = format!(", ticket_keys = {:?}", keys.path());
    let (one, two) = (Edge::start(&origin, &tls, "").await?, Edge::start(&origin, &tls, "").await?);
    let stranger = Edge::start(&origin, "", "").await?;
    let request = format!("GET /a HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n");
    for version in ["-tls1_2", "-tls1_3"] {
        let session = one.authority.folder().join(format!("session{version}")).display().to_string();
        let ask = async |edge: &Edge, session: [&str; 2]| {
            let address = edge.tls().to_string();
            let common = ["s_client", "-connect", &address, "-servername", HOST, "-ign_eof", version];
            run("openssl", &[&common[..], &session].concat(), &request).await.map(|output| printed(&output))
        };
        ask(&one, ["-sess_out", &session]).await?;
        let resumed = ask(&two, ["-sess_in", &session]).await?;
        assert!(resumed.contains("\nReused, TLSv") && resumed.contains("hello"), "{version}: {resumed}");
        let new = ask(&stranger, ["-sess_in", &session]).await?;
        assert!(new.contains("\nNew, TLSv") && new.contains("hello"), "{version}: {new}");
    }
    Ok(())
}

#[tokio::test]
async fn rfc5077_a_session_is_resumed_by_its_ticket_and_renegotiation_is_not_offered() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/a", Answer::ok().body("hello"));
    let edge = Edge::start(&origin, "", "").await?;
    let (address, ca) = (edge.tls().to_string(), edge.authority.ca_file().display().to_string());
    let request = format!("GET /a HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n");
    for version in ["-tls1_2", "-tls1_3"] {
        let session = edge.authority.folder().join(format!("session{version}")).display().to_string();
        let common = ["s_client", "-connect", &address, "-servername", HOST, "-CAfile", &ca, "-ign_eof", version];
        let first = run("openssl", &[&common[..], &["-sess_out", &session]].concat(), &request).await?;
        assert!(printed(&first).contains("\nNew, TLSv"), "{}", printed(&first));
        let second = run("openssl", &[&common[..], &["-sess_in", &session]].concat(), &request).await?;
        assert!(printed(&second).contains("\nReused, TLSv") && printed(&second).contains("hello"), "{version}: {}", printed(&second));
    }
    edge.larder.metric_reaches("larder_tls_handshakes_total", &["outcome=\"resumed\""], 2.0).await?;
    assert_eq!(edge.larder.metric("larder_tls_handshakes_total", &["outcome=\"full\""]).await?, 2.0);
    Ok(())
}
