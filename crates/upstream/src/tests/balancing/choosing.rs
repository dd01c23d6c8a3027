//! Which server has the next request.

use std::time::Duration;

use larder_config::{Balance, HashKey, HashPart, UpstreamServer};
use larder_tower::clock::monotonic;

use super::{addressed, answers, asked, dead, named, over, server, service};

#[tokio::test]
async fn one_after_the_other_in_the_order_of_the_file() {
    let service = service(addressed([named("a").await, named("b").await, named("c").await]));
    assert_eq!(answers(&service, 6).await, ["a", "b", "c", "a", "b", "c"]);
}

#[tokio::test]
async fn a_server_of_twice_the_weight_gets_twice_as_many_not_all_at_once() {
    let heavy = UpstreamServer { weight: 2, ..server(named("b").await) };
    let service = service(over(vec![server(named("a").await), heavy]));
    assert_eq!(answers(&service, 6).await, ["b", "a", "b", "b", "a", "b"]);
}

#[tokio::test]
async fn a_backup_is_asked_while_no_other_can_be() {
    let ((address, _bound), spare) = (dead(), named("spare").await);
    let backup = UpstreamServer { backup: true, ..server(spare) };
    let mut options = over(vec![server(named("a").await), backup.clone()]);
    assert_eq!(answers(&service(options.clone()), 3).await, ["a", "a", "a"]);
    options.config.servers = vec![server(address), backup];
    let service = service(options);
    assert_eq!(answers(&service, 7).await, ["spare"; 7]);
    assert_eq!(super::state(&service, address).ejections, 1);
    assert_eq!(super::state(&service, address).failures, 5, "while it is left out it is not asked");
}

#[tokio::test]
async fn the_same_path_goes_to_the_same_server_and_paths_are_spread() {
    let mut options = addressed([named("a").await, named("b").await, named("c").await]);
    options.config.balance = Balance::Hash(HashKey { parts: vec![HashPart::Path] });
    let service = service(options);
    let mut seen = std::collections::BTreeSet::new();
    for number in 0..30 {
        let path = format!("/{number}");
        let first = asked(&service, &path).await;
        assert_eq!(asked(&service, &format!("{path}?x")).await, first);
        seen.insert(first);
    }
    assert_eq!(seen.len(), 3);
}

#[tokio::test]
async fn a_request_without_a_key_goes_anywhere() {
    let mut options = addressed([named("a").await, named("b").await]);
    options.config.balance = Balance::Hash(HashKey { parts: vec![HashPart::Cookie("sid".into())] });
    let service = service(options);
    assert!(["a", "b"].contains(&asked(&service, "/").await.as_str()));
}

#[tokio::test]
async fn least_time_leaves_the_slow_server_alone() {
    let mut options = addressed([named("fast").await, named("slow").await]);
    options.config.balance = Balance::LeastTime;
    let service = service(options);
    let servers = service.upstream().servers.load_full();
    servers.all()[1].standing.latency.measured(Duration::from_secs(60), monotonic());
    assert_eq!(answers(&service, 20).await, ["fast"; 20]);
}

#[tokio::test]
async fn least_time_shares_out_by_weight_among_servers_of_the_same_speed() {
    let (light, heavy) = (named("light").await, named("heavy").await);
    let mut options = over(vec![server(light), UpstreamServer { weight: 3, ..server(heavy) }]);
    options.config.balance = Balance::LeastTime;
    let service = service(options);
    let upstream = service.upstream();
    let (parts, ()) = http::Request::new(()).into_parts();
    let picked = (0..4000).filter(|_| upstream.pick(&parts, None, &[]).weight == 3).count();
    // Ten standard deviations around three thousand.
    assert!((2_725..3_275).contains(&picked), "{picked}");
}

#[tokio::test]
async fn least_requests_prefers_the_server_with_fewer_under_way() {
    let mut options = addressed([named("a").await, named("b").await]);
    options.config.balance = Balance::LeastRequests;
    let service = service(options);
    let servers = service.upstream().servers.load_full();
    let under_way: Vec<_> = (0..3).map(|_| servers.all()[0].standing.stats.begin_request()).collect();
    assert_eq!(answers(&service, 5).await, ["b"; 5]);
    drop(under_way);
    assert_eq!(service.stats().requests_in_flight(), 0);
}

#[tokio::test]
async fn with_a_key_a_server_that_has_far_more_than_its_share_is_passed_over() {
    let mut options = addressed([named("a").await, named("b").await]);
    options.config.balance = Balance::Hash(HashKey { parts: vec![HashPart::Path] });
    let service = service(options);
    let usual = asked(&service, "/").await;
    let servers = service.upstream().servers.load_full();
    let place = usize::from(usual == "b");
    let _under_way: Vec<_> = (0..10).map(|_| servers.all()[place].standing.stats.begin_request()).collect();
    assert_ne!(asked(&service, "/").await, usual);
}
