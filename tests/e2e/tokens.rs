//! `[auth.jwt]`: claims of verified tokens tell clients apart, and no other token tells anything.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use larder_testkit::tokens::{FAR, TokenKey, claims, encoded, key_set, sign_with_secret};
use larder_testkit::{Answer, Larder, Origin, Response, Result, larder};
use serde_json::{Value, json};

const ISSUER: &str = "https://id.example";

/// Tells each client its own token, as something that one client alone should get.
async fn personal(cache_control: &'static str) -> Result<Origin> {
    let origin = Origin::start().await?;
    origin.respond_with("GET", "/me", move |request| {
        Answer::ok().header("Cache-Control", cache_control).body(request.header("authorization").unwrap_or("nobody"))
    });
    Ok(origin)
}

/// An issuer that hands out its keys.
async fn issuer(keys: &[&TokenKey]) -> Result<Origin> {
    let issuer = Origin::start().await?;
    issuer.always("GET", "/jwks", Answer::ok().body(key_set(keys)));
    Ok(issuer)
}

fn at(url: &str, more: &str) -> String {
    let section = format!("[auth.jwt]\nissuer = \"{ISSUER}\"\njwks_url = \"{url}/jwks\"\nalgorithms = [\"ES256\", \"RS256\"]\n{more}");
    format!("{section}\n[cache]\nscope = \"identity\"\nidentity = [\"jwt:sub\"]\n")
}

async fn ask(larder: &Larder, token: &str) -> Result<Response> {
    larder.request("GET", "/me", &[("Authorization", &format!("Bearer {token}"))], "").await
}

async fn has_keys(larder: &Larder, fetches: f64) -> Result<()> {
    larder.metric_reaches("larder_token_key_fetches_total", &["outcome=\"ok\""], fetches).await
}

#[tokio::test]
async fn clients_with_the_same_subject_share_whatever_else_their_tokens_say() -> Result<()> {
    let key = TokenKey::p256("a")?;
    let (origin, issuer) = (personal("private, max-age=60").await?, issuer(&[&key]).await?);
    let larder = Larder::before(&origin, &at(&issuer.url(), "")).await?;
    has_keys(&larder, 1.0).await?;
    let (first, second) = (claims(ISSUER, "ann"), format!("{{\"iss\":\"{ISSUER}\",\"sub\":\"ann\",\"exp\":{FAR},\"jti\":\"2\"}}"));
    let (first, second, bob) = (key.sign(&first)?, key.sign(&second)?, key.sign(&claims(ISSUER, "bob"))?);
    assert_eq!(ask(&larder, &first).await?.x_cache(), "MISS");
    let shared = ask(&larder, &second).await?;
    assert_eq!((shared.x_cache(), shared.text()), ("HIT", format!("Bearer {first}")), "a renewed token costs no fetch");
    let bobs = ask(&larder, &bob).await?;
    assert_eq!((bobs.x_cache(), bobs.text()), ("MISS", format!("Bearer {bob}")));
    for _ in 0..3 {
        assert_eq!((ask(&larder, &first).await?.x_cache(), ask(&larder, &bob).await?.x_cache()), ("HIT", "HIT"));
    }
    assert_eq!(larder.metric("larder_token_checks_total", &["outcome=\"verified\""]).await?, 3.0, "each token is checked once");
    assert_eq!((larder.metric("larder_tokens_remembered", &[]).await?, larder.metric("larder_token_keys", &[]).await?), (3.0, 1.0));
    assert_eq!(larder.get("/me").await?.text(), "nobody");
    Ok(())
}

/// Everything that a client can send in place of a token of somebody whose answer is stored.
fn forgeries(own: &TokenKey, rsa: &TokenKey) -> Result<Vec<(&'static str, String)>> {
    let ann = claims(ISSUER, "ann");
    let good = own.sign(&ann)?;
    let parts: Vec<&str> = good.split('.').collect();
    let bobs = own.sign(&claims(ISSUER, "bob"))?;
    let swapped = format!("{}.{}.{}", parts[0], parts[1], bobs.rsplit('.').next().unwrap_or_default());
    let none = encoded(b"{\"alg\":\"none\",\"kid\":\"a\"}");
    let ended = format!("{{\"iss\":\"{ISSUER}\",\"sub\":\"ann\",\"exp\":1}}");
    let endless = format!("{{\"iss\":\"{ISSUER}\",\"sub\":\"ann\"}}");
    Ok(vec![
        ("signature", swapped),
        ("signature", TokenKey::p256("a")?.sign(&ann)?),
        ("algorithm", format!("{none}.{}.", parts[1])),
        ("algorithm", sign_with_secret("{\"alg\":\"HS256\",\"kid\":\"r\"}", &ann, rsa.jwk().as_bytes())),
        ("unknown-key", own.sign_with("{\"alg\":\"ES256\",\"kid\":\"r\"}", &ann)?),
        ("issuer", own.sign(&claims("https://other.example", "ann"))?),
        ("expired", own.sign(&ended)?),
        ("expired", own.sign(&endless)?),
        ("malformed", format!("{}.{}", parts[0], parts[1])),
        ("malformed", own.sign(&ann.replace("\"sub\"", "\"sub\":\"bob\",\"sub\""))?),
    ])
}

#[tokio::test]
async fn no_forged_token_gets_anothers_answer() -> Result<()> {
    let (own, rsa) = (TokenKey::p256("a")?, TokenKey::rsa("r")?);
    for cache_control in ["private, max-age=60", "public, max-age=60"] {
        let (origin, issuer) = (personal(cache_control).await?, issuer(&[&own, &rsa]).await?);
        let larder = Larder::before(&origin, &at(&issuer.url(), "")).await?;
        has_keys(&larder, 1.0).await?;
        let ann = own.sign(&claims(ISSUER, "ann"))?;
        assert_eq!((ask(&larder, &ann).await?.x_cache(), ask(&larder, &ann).await?.x_cache()), ("MISS", "HIT"));
        for (outcome, forged) in forgeries(&own, &rsa)? {
            let before = larder.metric("larder_token_checks_total", &[&format!("outcome=\"{outcome}\"")]).await?;
            for _ in 0..2 {
                let answer = ask(&larder, &forged).await?;
                assert_eq!((answer.status, answer.text()), (200, format!("Bearer {forged}")), "the backend judges it: {forged}");
                assert_eq!(answer.x_cache(), "BYPASS");
                assert!(answer.cache_status().contains("detail=unverified-token"), "{answer:?}");
            }
            assert!(
                larder.metric("larder_token_checks_total", &[&format!("outcome=\"{outcome}\"")]).await? > before,
                "{outcome}: {forged}"
            );
        }
        let both = [("Authorization", &*format!("Bearer {ann}")), ("Authorization", "Bearer x")];
        assert_eq!(larder.request("GET", "/me", &both, "").await?.x_cache(), "BYPASS");
        let anns = ask(&larder, &ann).await?;
        assert_eq!((anns.x_cache(), anns.text()), ("HIT", format!("Bearer {ann}")), "and none of them has left anything");
        let requests = larder.metric("larder_requests_total", &["reason=\"unverified-token\""]).await?;
        assert_eq!(requests, 21.0);
    }
    Ok(())
}

#[tokio::test]
async fn a_new_key_is_fetched_when_a_token_names_it_and_the_old_ones_hold_while_the_issuer_is_away() -> Result<()> {
    let (first, second, third) = (TokenKey::p256("a")?, TokenKey::p256("b")?, TokenKey::p256("c")?);
    let (origin, issuer) = (personal("max-age=60").await?, Origin::start().await?);
    issuer.once("GET", "/jwks", Answer::ok().body(key_set(&[&first])));
    issuer.once("GET", "/jwks", Answer::new(503));
    issuer.once("GET", "/jwks", Answer::ok().body(key_set(&[&first, &second])));
    issuer.always("GET", "/jwks", Answer::ok().body(key_set(&[&second])));
    let larder = Larder::before(&origin, &at(&issuer.url(), "min_refresh = \"0s\"")).await?;
    has_keys(&larder, 1.0).await?;
    let (old, new) = (first.sign(&claims(ISSUER, "ann"))?, second.sign(&claims(ISSUER, "ann"))?);
    assert_eq!(ask(&larder, &old).await?.x_cache(), "MISS");
    assert_eq!(ask(&larder, &new).await?.x_cache(), "BYPASS");
    larder.metric_reaches("larder_token_key_fetches_total", &["outcome=\"failed\""], 1.0).await?;
    larder.process().line("why", |line| line.contains("could not be fetched").then_some(())).await?;
    assert_eq!(ask(&larder, &old).await?.x_cache(), "HIT", "what was known still holds");
    ask(&larder, &new).await?;
    has_keys(&larder, 2.0).await?;
    assert_eq!(ask(&larder, &new).await?.x_cache(), "HIT", "one subject, whatever key signs for it");
    ask(&larder, &third.sign(&claims(ISSUER, "ann"))?).await?;
    has_keys(&larder, 3.0).await?;
    let withdrawn = ask(&larder, &old).await?;
    assert!(withdrawn.cache_status().contains("detail=unverified-token"), "its key was withdrawn: {withdrawn:?}");
    Ok(())
}

#[tokio::test]
async fn an_issuer_that_fails_again_and_again_is_told_and_so_is_its_end() -> Result<()> {
    let key = TokenKey::p256("a")?;
    let (origin, issuer, is_away) = (personal("max-age=60").await?, Origin::start().await?, Arc::new(AtomicBool::new(true)));
    let (away, keys) = (Arc::clone(&is_away), key_set(&[&key]));
    issuer.respond_with("GET", "/jwks", move |_| match away.load(Ordering::SeqCst) {
        true => Answer::new(503),
        false => Answer::ok().body(keys.as_str()),
    });
    let larder = Larder::before(&origin, &at(&issuer.url(), "refresh = \"1s\"\nmin_refresh = \"0s\"")).await?;
    larder.metric_reaches("larder_token_keys_failing", &[], 3.0).await?;
    larder.metric_reaches("larder_alerts_total", &["kind=\"keys\""], 1.0).await?;
    larder.process().line("the alarm", |line| (line.contains("times in a row") && line.contains("jwks_url")).then_some(())).await?;
    let ready: Value = serde_json::from_slice(&larder.admin("/readyz").await?.body)?;
    assert!(ready["ready"] == json!(true) && ready["token_keys"]["failed_in_a_row"].as_u64() >= Some(3), "{ready:#}");
    let alerts: Value = serde_json::from_slice(&larder.admin("/alerts").await?.body)?;
    assert!(alerts["firing"][0]["kind"] == json!("keys"), "{alerts:#}");
    is_away.store(false, Ordering::SeqCst);
    larder.metric_reaches("larder_alerts_total", &["kind=\"keys\""], 2.0).await?;
    let ready: Value = serde_json::from_slice(&larder.admin("/readyz").await?.body)?;
    assert!(ready["token_keys"].is_null(), "{ready:#}");
    assert_eq!(larder.metric("larder_token_keys_failing", &[]).await?, 0.0);
    Ok(())
}

#[tokio::test]
async fn before_keys_are_there_requests_with_tokens_pass_and_others_are_cached() -> Result<()> {
    let key = TokenKey::p256("a")?;
    let (origin, issuer) = (personal("max-age=60").await?, Origin::start().await?);
    issuer.always("GET", "/jwks", Answer::new(500));
    let larder = Larder::before(&origin, &at(&issuer.url(), "")).await?;
    let ann = key.sign(&claims(ISSUER, "ann"))?;
    for _ in 0..2 {
        assert_eq!(ask(&larder, &ann).await?.x_cache(), "BYPASS");
    }
    assert_eq!((larder.get("/me").await?.x_cache(), larder.get("/me").await?.x_cache()), ("MISS", "HIT"));
    Ok(())
}

#[tokio::test]
async fn a_reload_changes_keys_and_one_of_other_sections_keeps_them() -> Result<()> {
    let (first, second) = (TokenKey::p256("a")?, TokenKey::p256("b")?);
    let origin = personal("max-age=60").await?;
    let folder = tempfile::TempDir::new()?;
    let path = folder.path().join("jwks.json");
    std::fs::write(&path, key_set(&[&first]))?;
    let section = format!("[auth.jwt]\nissuer = \"{ISSUER}\"\njwks_file = {path:?}\nalgorithms = [\"ES256\"]\n");
    let cache = "[cache]\nscope = \"identity\"\nidentity = [\"jwt:sub\"]\n";
    let larder = Larder::before(&origin, &format!("{section}{cache}")).await?;
    let (old, new) = (first.sign(&claims(ISSUER, "ann"))?, second.sign(&claims(ISSUER, "ann"))?);
    assert_eq!((ask(&larder, &old).await?.x_cache(), ask(&larder, &new).await?.x_cache()), ("MISS", "BYPASS"));
    // Changed in the same place: it is watched, as the file of a certificate is.
    std::fs::write(&path, key_set(&[&second]))?;
    larder.hang_up()?;
    larder.metric_reaches("larder_config_reloads_total", &["result=\"applied\""], 1.0).await?;
    assert_eq!((ask(&larder, &new).await?.x_cache(), ask(&larder, &old).await?.x_cache()), ("HIT", "BYPASS"));
    let checked = larder.metric("larder_token_checks_total", &["outcome=\"verified\""]).await?;
    larder.write_config(&larder::config(&origin.url(), &format!("{section}{cache}ttl = \"10s\"")))?;
    larder.hang_up()?;
    larder.metric_reaches("larder_config_reloads_total", &["result=\"applied\""], 2.0).await?;
    assert_eq!(ask(&larder, &new).await?.x_cache(), "HIT");
    assert_eq!(larder.metric("larder_token_checks_total", &["outcome=\"verified\""]).await?, checked, "it is remembered");
    // Another issuer's subjects are others, although they have the same names.
    larder.write_config(&larder::config(&origin.url(), &format!("{}{cache}", section.replace("id.example", "other.example"))))?;
    larder.hang_up()?;
    larder.metric_reaches("larder_config_reloads_total", &["result=\"applied\""], 3.0).await?;
    assert_eq!(ask(&larder, &second.sign(&claims("https://other.example", "ann"))?).await?.x_cache(), "MISS");
    Ok(())
}

#[tokio::test]
async fn keys_over_https_come_from_whom_the_authority_vouches_for() -> Result<()> {
    let key = TokenKey::p256("a")?;
    let (origin, issuer) = (personal("max-age=60").await?, issuer(&[&key]).await?);
    let edge = super::tls::Edge::start(&issuer, "", "").await?;
    let url = format!("https://127.0.0.1:{}", edge.tls().port());
    let larder = Larder::before(&origin, &at(&url, &format!("ca_file = {:?}", edge.authority.ca_file()))).await?;
    has_keys(&larder, 1.0).await?;
    let ann = key.sign(&claims(ISSUER, "ann"))?;
    assert_eq!((ask(&larder, &ann).await?.x_cache(), ask(&larder, &ann).await?.x_cache()), ("MISS", "HIT"));
    let other = Larder::before(&origin, &at(&url, "")).await?;
    other.metric_reaches("larder_token_key_fetches_total", &["outcome=\"failed\""], 1.0).await?;
    assert_eq!(ask(&other, &ann).await?.x_cache(), "BYPASS");
    Ok(())
}

#[tokio::test]
async fn a_limit_counts_subjects_and_a_forged_token_for_its_address() -> Result<()> {
    let key = TokenKey::p256("a")?;
    let (origin, issuer) = (personal("no-store").await?, issuer(&[&key]).await?);
    let limit = "[[limits]]\nname = \"each\"\nmax = 2\nper = \"1h\"\nkey = [\"jwt:sub\"]\n";
    let larder = Larder::before(&origin, &format!("{}{limit}", at(&issuer.url(), ""))).await?;
    has_keys(&larder, 1.0).await?;
    let (ann, bob) = (key.sign(&claims(ISSUER, "ann"))?, key.sign(&claims(ISSUER, "bob"))?);
    for expected in [200, 200, 429] {
        assert_eq!((ask(&larder, &ann).await?.status, ask(&larder, &bob).await?.status), (expected, expected));
    }
    let forger = TokenKey::p256("a")?;
    for (number, expected) in [200, 200, 429, 429].into_iter().enumerate() {
        let forged = forger.sign(&claims(ISSUER, &format!("new-{number}")))?;
        assert_eq!(ask(&larder, &forged).await?.status, expected, "no forged subject has a limit of its own");
    }
    Ok(())
}

#[tokio::test]
async fn a_write_purges_what_is_stored_for_its_subject() -> Result<()> {
    let key = TokenKey::p256("a")?;
    let (origin, issuer) = (personal("private, max-age=60").await?, issuer(&[&key]).await?);
    origin.always("POST", "/settings", Answer::new(204));
    let write = "[[on_write]]\npath = \"/settings\"\npurge = [\"identity\"]\n";
    let larder = Larder::before(&origin, &format!("{}{write}", at(&issuer.url(), ""))).await?;
    has_keys(&larder, 1.0).await?;
    let (ann, bob) = (key.sign(&claims(ISSUER, "ann"))?, key.sign(&claims(ISSUER, "bob"))?);
    for token in [&ann, &bob] {
        assert_eq!((ask(&larder, token).await?.x_cache(), ask(&larder, token).await?.x_cache()), ("MISS", "HIT"));
    }
    let forged = TokenKey::p256("a")?.sign(&claims(ISSUER, "bob"))?;
    for token in [&ann, &forged] {
        let field = format!("Bearer {token}");
        assert_eq!(larder.request("POST", "/settings", &[("Authorization", &field)], "").await?.status, 204);
    }
    assert_eq!((ask(&larder, &ann).await?.x_cache(), ask(&larder, &bob).await?.x_cache()), ("MISS", "HIT"));
    Ok(())
}
