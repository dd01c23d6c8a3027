//! A new configuration keeps what is known of servers that stay.

use std::time::Duration;

use super::{addressed, answers, dead, named, reloaded, server, service, state};

#[tokio::test]
async fn servers_that_stay_keep_connections_figures_and_that_they_are_left_out() {
    let ((refusing, _bound), works) = (dead(), named("b").await);
    let mut options = addressed([refusing, works]);
    let before = service(options.clone());
    answers(&before, 12).await;
    let (out, well) = (state(&before, refusing), state(&before, works));
    assert!(out.ejected && well.answers == 12);
    options.config.servers.push(server(named("c").await));
    options.config.first_byte_timeout = Duration::from_secs(7);
    let after = reloaded(&before, options);
    assert_eq!((state(&after, refusing), state(&after, works)), (out, well));
    let connections = after.stats().connections_total();
    answers(&after, 4).await;
    assert_eq!(after.stats().connections_total(), connections + 1, "one to the new server alone");
}

#[tokio::test]
async fn connections_that_other_settings_ask_for_are_made_anew_and_figures_stay() {
    let works = named("b").await;
    let mut options = addressed([works, named("c").await]);
    let before = service(options.clone());
    answers(&before, 4).await;
    options.config.connect_timeout = Duration::from_secs(7);
    let after = reloaded(&before, options);
    assert_eq!(state(&after, works).answers, 2);
    answers(&after, 2).await;
    assert_eq!(after.stats().connections_total(), 4);
}

#[tokio::test]
async fn a_server_that_is_added_gets_its_share_slowly() {
    let mut options = addressed([named("a").await]);
    options.config.warm_up = Duration::from_secs(3600);
    let before = service(options.clone());
    options.config.servers.push(server(named("b").await));
    let after = reloaded(&before, options);
    let answered = answers(&after, 22).await;
    assert_eq!(answered.iter().filter(|name| *name == "b").count(), 2, "a tenth at first: {answered:?}");
}
