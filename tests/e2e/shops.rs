//! In front of a shop that somebody wrote without a thought of caches: an operator's lifetime, sessions in a cookie, and attackers.

use larder_testkit::larder::config;
use larder_testkit::{Larder, Result};
use larder_tests::Shop;

/// A lifetime for everything, and one route for what is somebody's.
const ROUTES: &str = "[cache]\nttl = \"60s\"\n[[routes]]\npath = \"/api/me\"\nscope = \"identity\"\nidentity = [\"cookie:session\"]\n";

const ANNA: &[(&str, &str)] = &[("Cookie", "session=anna")];
const BERT: &[(&str, &str)] = &[("Cookie", "session=bert")];

async fn one_session_never_sees_another(shop: &Shop) -> Result<()> {
    let larder = Larder::start(&config(&shop.url(), ROUTES)).await?;
    for _ in 0..2 {
        for (session, name) in [(ANNA, "anna"), (BERT, "bert"), (&[][..], "nobody")] {
            assert_eq!(larder.request("GET", "/home", session, "").await?.text(), format!("welcome, {name}"));
            assert_eq!(larder.request("GET", "/api/me", session, "").await?.text(), format!("account of {name}"));
        }
    }
    let own = larder.request("GET", "/api/me", ANNA, "").await?;
    assert_eq!((own.x_cache(), own.text().as_str()), ("HIT", "account of anna"), "under her own key");
    assert_eq!(larder.get("/home").await?.x_cache(), "HIT");
    Ok(())
}

async fn a_dropped_parameter_is_in_nobodys_page(shop: &Shop) -> Result<()> {
    let larder = Larder::start(&config(&shop.url(), ROUTES)).await?;
    let attackers = larder.get("/page?utm_source=evil").await?;
    assert_eq!((attackers.x_cache(), attackers.text().as_str()), ("MISS", "page for everyone"));
    let victims = larder.get("/page").await?;
    assert_eq!((victims.x_cache(), victims.text().as_str()), ("HIT", "page for everyone"));
    Ok(())
}

/// Web cache deception: the victim follows a link that the shop answers with her account, and the attacker asks for the same. Her cookie is no
/// protection where the operator says that cookies mean nothing.
async fn no_path_near_to_an_account_is_stored_for_others(shop: &Shop, near: &[&str]) -> Result<()> {
    let larder = Larder::start(&config(&shop.url(), &ROUTES.replacen("ttl =", "cookies = \"ignore\"\nttl =", 1))).await?;
    for path in near {
        assert_eq!(larder.request("GET", path, ANNA, "").await?.text(), "account of anna", "{path}");
        assert_eq!(larder.get(path).await?.text(), "account of nobody", "{path}");
    }
    // Where nothing private is near, the store is made use of.
    for expected in ["MISS", "HIT"] {
        assert_eq!(larder.get("/page").await?.x_cache(), expected);
    }
    Ok(())
}

#[tokio::test]
async fn express_is_attacked_in_vain() -> Result<()> {
    let shop = Shop::express().await?;
    one_session_never_sees_another(&shop).await?;
    a_dropped_parameter_is_in_nobodys_page(&shop).await?;
    let near = ["/api/me/", "/API/me", "/Api/Me/", "/api/me/x.css", "/API/ME/x.css", "/api/me/a/b.js", "/api/me//x.css"];
    no_path_near_to_an_account_is_stored_for_others(&shop, &near).await
}

#[tokio::test]
async fn fastapi_is_attacked_in_vain() -> Result<()> {
    let shop = Shop::fastapi().await?;
    one_session_never_sees_another(&shop).await?;
    a_dropped_parameter_is_in_nobodys_page(&shop).await?;
    let near = ["/api/me/", "/api%2fme", "/api%2Fme/x.css", "/api/me/x.css", "/api/me/a/b.js", "/api/me%2fx.css", "/api/me%2f..%2fx.css"];
    no_path_near_to_an_account_is_stored_for_others(&shop, &near).await
}
