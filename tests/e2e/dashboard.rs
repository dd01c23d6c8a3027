//! The dashboard in a real browser, a headless Chromium that `tests/browser/dashboard.js` drives; and what no browser would send.

use std::path::PathBuf;
use std::process::Command;

use larder_testkit::client::H2Client;
use larder_testkit::{Answer, Client, Error, Larder, Origin, Response, Result};

const TOKEN: &str = "a-token-for-tests-0123456789";

const ROUTES: &str = "[[routes]]\nname = \"all\"\npath = \"/{*rest}\"\nttl = \"60s\"\n";

/// A gateway with something to show.
async fn running(rest: &str) -> Result<(Origin, Larder)> {
    let origin = Origin::start().await?;
    origin.always("GET", "/a", Answer::ok().body("0123456789"));
    let larder = Larder::before(&origin, &format!("{rest}\n{ROUTES}")).await?;
    Ok((origin, larder))
}

/// Runs one story of `dashboard.js`.
async fn story(name: &'static str, larder: &Larder) -> Result<()> {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("browser/dashboard.js");
    let admin = format!("http://127.0.0.1:{}", larder.admin_address().port());
    let gateway = format!("http://{}", larder.address());
    let mut command = Command::new("node");
    command.arg(script).arg(name).arg(admin).arg(gateway).env("LARDER_TEST_TOKEN", TOKEN);
    let output = tokio::task::spawn_blocking(move || command.output()).await??;
    if output.status.success() {
        return Ok(());
    }
    Err(Error::new(format!("{name}: {}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))))
}

#[tokio::test]
async fn every_view_loads_without_an_error_in_dark_and_light_and_on_a_phone() -> Result<()> {
    let (_origin, larder) = running("").await?;
    story("loads", &larder).await
}

#[tokio::test]
async fn charts_move_under_traffic() -> Result<()> {
    let (_origin, larder) = running("").await?;
    story("moves", &larder).await
}

#[tokio::test]
async fn keys_go_to_views() -> Result<()> {
    let (_origin, larder) = running("").await?;
    story("keys", &larder).await
}

#[tokio::test]
async fn what_was_spent_and_saved_is_shown() -> Result<()> {
    let origin = crate::spending::origin().await?;
    let larder = Larder::before(&origin, &crate::spending::config("")).await?;
    story("spends", &larder).await
}

#[tokio::test]
async fn explain_and_purge_work() -> Result<()> {
    let (_origin, larder) = running("").await?;
    story("purges", &larder).await
}

#[tokio::test]
async fn a_script_in_a_url_or_a_field_is_shown_as_text() -> Result<()> {
    let (_origin, larder) = running("").await?;
    story("escapes", &larder).await
}

#[tokio::test]
async fn the_agreement_of_routes_that_are_verified_is_shown_and_leaks_stand_out() -> Result<()> {
    let origin = Origin::start().await?;
    let count = std::sync::atomic::AtomicUsize::new(0);
    let fresh = |body: String| Answer::ok().header("Cache-Control", "public, max-age=60").body(body);
    origin.always("GET", "/a", fresh("the same".to_owned()));
    // The first answer is another than all later ones.
    origin.respond_with("GET", "/changing", move |_| fresh((count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) > 0).to_string()));
    origin.respond_with("GET", "/me", move |request| fresh(request.header("authorization").unwrap_or("nobody").to_owned()));
    let route = "[[routes]]\nname = \"pages\"\npath = \"/{*rest}\"\nverify = { mode = \"shadow\" }\n";
    let larder = Larder::before(&origin, route).await?;
    story("verifies", &larder).await
}

/// A gateway whose admin listener others can reach.
async fn with_tokens() -> Result<(Origin, Larder, tempfile::TempDir)> {
    let folder = tempfile::TempDir::new()?;
    let file = folder.path().join("token");
    std::fs::write(&file, TOKEN)?;
    let reader = folder.path().join("reader");
    std::fs::write(&reader, format!("{TOKEN}-reader"))?;
    let admin = format!(
        "[admin]\nlisten = \"0.0.0.0:0\"\n[[admin.tokens]]\nfile = {file:?}\nscopes = [\"admin\"]\n[[admin.tokens]]\nfile = {reader:?}\nscopes = [\"read\"]"
    );
    let (origin, larder) = running(&admin).await?;
    Ok((origin, larder, folder))
}

#[tokio::test]
async fn a_token_signs_in() -> Result<()> {
    let (_origin, larder, _folder) = with_tokens().await?;
    story("signs_in", &larder).await
}

const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");

async fn ask(larder: &Larder, method: &str, target: &str, fields: &[(&str, &str)], body: &str) -> Result<Response> {
    Client::connect(larder.admin_address()).await?.exchange(method, target, fields, body).await
}

/// Signs in, and returns the cookie, and the token of forms on its pages.
async fn session(larder: &Larder, token: &str) -> Result<(String, String)> {
    let answer = ask(larder, "POST", "/ui/sign-in", &[FORM], &format!("token={token}")).await?;
    let cookie = answer.header("set-cookie").unwrap_or_default().to_owned();
    assert!(answer.status == 303 && cookie.contains("; HttpOnly; SameSite=Strict") && !cookie.contains(token), "{answer:?}");
    let cookie = cookie.split(';').next().unwrap_or_default().to_owned();
    let page = ask(larder, "GET", "/?view=purge", &[("Cookie", &cookie)], "").await?.text();
    let form_token = page.split("name=\"form_token\" value=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default();
    assert_eq!(form_token.len(), 64, "{page}");
    Ok((cookie, form_token.to_owned()))
}

#[tokio::test]
async fn a_cookie_sees_and_changes_nothing_without_the_token_of_a_form() -> Result<()> {
    let (_origin, larder, _folder) = with_tokens().await?;
    let (cookie, form_token) = session(&larder, TOKEN).await?;
    let with_cookie = ("Cookie", cookie.as_str());
    for target in ["/stats", "/config", "/metrics", "/?view=routes"] {
        assert_eq!(ask(&larder, "GET", target, &[with_cookie], "").await?.status, 200, "{target}");
        assert_eq!(ask(&larder, "GET", target, &[("Cookie", "larder_session=x")], "").await?.status, 401, "{target}");
    }
    let json = ("Content-Type", "application/json");
    assert_eq!(
        ask(&larder, "POST", "/purge", &[with_cookie, json], r#"{"all":true}"#).await?.status,
        401,
        "a write needs more than a cookie"
    );
    let form = |token: &str| format!("form_token={token}&kind=all&action=purge");
    for (fields, token, status) in [
        (&[with_cookie, FORM][..], form_token.as_str(), 200),
        (&[with_cookie, FORM], "", 403),
        (&[with_cookie, FORM], "0000", 403),
        (&[FORM], form_token.as_str(), 401),
        (&[with_cookie, FORM, ("Origin", "http://evil.example")], form_token.as_str(), 403),
        (&[with_cookie, ("Content-Type", "text/plain")], form_token.as_str(), 415),
    ] {
        assert_eq!(ask(&larder, "POST", "/ui/purge", fields, &form(token)).await?.status, status, "{fields:?} {token}");
    }
    let out = ask(&larder, "POST", "/ui/sign-out", &[with_cookie, FORM], &format!("form_token={form_token}")).await?;
    assert_eq!((out.status, ask(&larder, "GET", "/stats", &[with_cookie], "").await?.status), (303, 401));
    Ok(())
}

#[tokio::test]
async fn a_reader_learns_no_token_from_keys_and_who_may_purge_sees_them_whole() -> Result<()> {
    let (origin, larder, _folder) = with_tokens().await?;
    origin.always("GET", "/a?access_token=hush", Answer::ok().body("a"));
    larder.get("/a?access_token=hush").await?;
    for (token, is_whole) in [(format!("{TOKEN}-reader"), false), (TOKEN.to_owned(), true)] {
        let bearer = format!("Bearer {token}");
        let keys = ask(&larder, "GET", "/keys", &[("Authorization", &bearer)], "").await?.text();
        assert!(keys.contains("access_token=") && keys.contains("hush") == is_whole, "{keys}");
        let (cookie, form_token) = session(&larder, &token).await?;
        let form = format!("form_token={form_token}&kind=all&action=preview");
        let page = ask(&larder, "POST", "/ui/purge", &[("Cookie", &cookie), FORM], &form).await?.text();
        assert!(page.contains("access_token") && page.contains("hush") == is_whole, "{page}");
    }
    Ok(())
}

/// Cookies are not kept apart by port: the browser sends the session's to the public listener of the same host.
#[tokio::test]
async fn rfc6265_8_5_no_origin_sees_the_cookie_of_a_session() -> Result<()> {
    let (origin, larder, _folder) = with_tokens().await?;
    let (cookie, _) = session(&larder, TOKEN).await?;
    for (method, cookies) in [("GET", format!("{cookie}; a=b")), ("GET", cookie.clone()), ("POST", cookie.clone())] {
        larder.request(method, "/a", &[("Cookie", &cookies)], "").await?;
    }
    H2Client::connect(larder.address()).await?.exchange("GET", "/h2", &[("cookie", &cookie)], "").await?;
    let seen: Vec<_> = origin.received().iter().map(|request| request.header("cookie").map(str::to_owned)).collect();
    assert_eq!(seen, [Some("a=b".to_owned()), None, None, None]);
    Ok(())
}

/// Requests as they happen end in the same way, within fifteen seconds.
#[tokio::test]
async fn a_page_whose_viewer_has_signed_out_is_told_nothing_more() -> Result<()> {
    let (_origin, larder, _folder) = with_tokens().await?;
    let (cookie, form_token) = session(&larder, TOKEN).await?;
    let with_cookie = ("Cookie", cookie.as_str());
    let mut page = Client::connect(larder.admin_address()).await?;
    page.send("GET", "/ui/live", &[with_cookie], "").await?;
    assert_eq!(page.head().await?.status()?, 200);
    ask(&larder, "POST", "/ui/sign-out", &[with_cookie, FORM], &format!("form_token={form_token}")).await?;
    assert!(page.finish().await?.complete);
    Ok(())
}

#[tokio::test]
async fn a_reader_sees_and_may_not_purge_nor_ask_the_origin() -> Result<()> {
    let (origin, larder, _folder) = with_tokens().await?;
    let (cookie, form_token) = session(&larder, &format!("{TOKEN}-reader")).await?;
    let fields = [("Cookie", cookie.as_str()), FORM];
    let purge = ask(&larder, "POST", "/ui/purge", &fields, &format!("form_token={form_token}&kind=all&action=purge")).await?;
    assert!(purge.status == 403 && purge.text().contains("scopes include"), "{}", purge.text());
    let preview = ask(&larder, "POST", "/ui/purge", &fields, &format!("form_token={form_token}&kind=all&action=preview")).await?;
    assert!(preview.status == 200 && preview.text().contains("would be purged"), "{}", preview.text());
    let url = "http%3A%2F%2Fa.example%2Fa";
    let fetch = ask(&larder, "POST", "/ui/explain", &fields, &format!("form_token={form_token}&url={url}&fetch=yes")).await?;
    assert_eq!((fetch.status, origin.received().len()), (403, 0));
    let dry = ask(&larder, "POST", "/ui/explain", &fields, &format!("form_token={form_token}&url={url}")).await?;
    assert!(dry.status == 200 && dry.text().contains("decision"), "{}", dry.text());
    assert_eq!(ask(&larder, "GET", "/entries/http://a.example/a?body", &[fields[0]], "").await?.status, 401, "bodies are for `admin`");
    Ok(())
}

#[tokio::test]
async fn every_page_and_file_says_what_it_may_load() -> Result<()> {
    let (_origin, larder) = running("").await?;
    for target in ["/", "/?view=config", "/ui/larder.js", "/ui/larder.css", "/ui/none", "/?view=none"] {
        let answer = ask(&larder, "GET", target, &[], "").await?;
        let policy = answer.header("content-security-policy").unwrap_or_default().to_owned();
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; ") && !policy.contains("unsafe"), "{target}: {policy}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{target}");
        assert_eq!(answer.status, if target.contains("none") { 404 } else { 200 }, "{target}");
    }
    let script = ask(&larder, "GET", "/ui/larder.js", &[], "").await?;
    let etag = script.header("etag").unwrap_or_default().to_owned();
    assert_eq!(ask(&larder, "GET", "/ui/larder.js", &[("If-None-Match", &etag)], "").await?.status, 304);
    Ok(())
}

#[tokio::test]
async fn without_a_token_in_the_configuration_the_page_says_so() -> Result<()> {
    let (_origin, larder) = running("[admin]\nlisten = \"0.0.0.0:0\"").await?;
    let page = ask(&larder, "GET", "/", &[], "").await?;
    assert!(page.status == 403 && page.text().contains("[[admin.tokens]]"), "{}", page.text());
    Ok(())
}

/// Behind a proxy that speaks TLS, the cookie is never to go in clear text; who says so has to be a trusted proxy.
#[tokio::test]
async fn the_cookie_of_a_browser_over_tls_is_secure() -> Result<()> {
    for (trusted, field, secure) in [
        ("[\"127.0.0.1/32\"]", ("X-Forwarded-Proto", "https"), true),
        ("[\"127.0.0.1/32\"]", ("X-Forwarded-Proto", "http"), false),
        ("[]", ("X-Forwarded-Proto", "https"), false),
    ] {
        let folder = tempfile::TempDir::new()?;
        let file = folder.path().join("token");
        std::fs::write(&file, TOKEN)?;
        let server = format!("[server]\nlisten = \"127.0.0.1:0\"\ntrusted_proxies = {trusted}\n");
        let admin = format!("[admin]\nlisten = \"0.0.0.0:0\"\n[[admin.tokens]]\nfile = {file:?}\nscopes = [\"admin\"]\n");
        let (_origin, larder) = running(&format!("{server}{admin}")).await?;
        let signed_in = ask(&larder, "POST", "/ui/sign-in", &[FORM, field], &format!("token={TOKEN}")).await?;
        let cookie = signed_in.header("set-cookie").unwrap_or_default();
        assert!(signed_in.status == 303 && cookie.contains("; Secure") == secure, "{trusted} {field:?}: {cookie}");
    }
    Ok(())
}
