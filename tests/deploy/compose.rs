//! `deploy/compose.yaml`, without a container engine: what is started has its flags, what is mounted is there, and what is named is started.

use std::collections::{BTreeMap, BTreeSet};

use larder_testkit::larder::command;
use larder_testkit::{Error, Result};
use serde::Deserialize;
use serde_json::Value;

use super::{CONFIG, assert_health_check, assert_understood, read, root};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Compose {
    services: BTreeMap<String, Service>,
    secrets: BTreeMap<String, Secret>,
    #[serde(rename = "x-larder")]
    _larder: Value,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Secret {
    environment: String,
}

/// The part of the Compose specification that our file uses; a misspelt key is an error.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Service {
    build: Option<Build>,
    image: Option<String>,
    #[serde(default)]
    command: Vec<String>,
    #[serde(default)]
    environment: BTreeMap<String, String>,
    #[serde(default)]
    ports: Vec<String>,
    #[serde(default)]
    volumes: Vec<String>,
    #[serde(default)]
    secrets: Vec<String>,
    #[serde(default)]
    depends_on: Vec<String>,
    healthcheck: Option<HealthCheck>,
    cap_drop: Vec<String>,
    #[serde(default)]
    read_only: bool,
    security_opt: Vec<String>,
    #[serde(rename = "cap_add")]
    _cap_add: Option<Vec<String>>,
    #[serde(rename = "expose")]
    _expose: Option<Vec<String>>,
    #[serde(rename = "restart")]
    _restart: Option<String>,
    #[serde(rename = "stop_grace_period")]
    _stop_grace_period: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct HealthCheck {
    #[serde(default)]
    test: Vec<String>,
    #[serde(default)]
    disable: bool,
    #[serde(rename = "interval")]
    _interval: Option<String>,
    #[serde(rename = "timeout")]
    _timeout: Option<String>,
    #[serde(rename = "start_period")]
    _start_period: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Build {
    context: String,
    dockerfile: String,
}

fn compose() -> Result<Compose> {
    Ok(serde_saphyr::from_str(&read("deploy/compose.yaml")?)?)
}

impl Compose {
    /// Those that run `larder serve`.
    fn replicas(&self) -> Vec<(&str, &Service)> {
        let serves = |service: &Service| service.build.is_some() && service.command.first().is_some_and(|word| word == "serve");
        self.services.iter().filter(|(_, service)| serves(service)).map(|(name, service)| (name.as_str(), service)).collect()
    }

    /// Asserts that an address such as `valkey:6379` or `http://backend:3000` is that of a service.
    fn assert_named(&self, address: &str) {
        let host = address.split_once("://").map_or(address, |(_, rest)| rest).split(':').next();
        assert!(host.is_some_and(|host| self.services.contains_key(host)), "{address} is nobody's");
    }
}

impl Service {
    /// The path in the repository that the container sees at this one.
    fn mounted(&self, inside: &str) -> Option<String> {
        self.volumes.iter().find_map(|volume| {
            let (outside, target) = volume.strip_suffix(":ro")?.split_once(':')?;
            Some(format!("deploy/{}{}", outside.trim_start_matches("./"), inside.strip_prefix(target)?))
        })
    }
}

#[test]
fn the_services_start_what_is_there_and_may_do_no_more_than_they_must() -> Result<()> {
    let compose = compose()?;
    for (name, service) in &compose.services {
        service.depends_on.iter().for_each(|needed| compose.assert_named(needed));
        service.secrets.iter().for_each(|secret| assert!(compose.secrets.contains_key(secret), "{name}: no secret {secret}"));
        match (&service.build, &service.image) {
            (Some(build), None) => {
                assert!(root().join("deploy").join(&build.context).join(&build.dockerfile).exists(), "{name}: {build:?}");
                assert_understood(&service.command.iter().map(String::as_str).collect::<Vec<_>>())?;
                let check =
                    service.healthcheck.as_ref().ok_or_else(|| Error::new(format!("{name} says nothing of the image's health check")))?;
                match service.command.first().map(String::as_str) {
                    Some("serve") => assert_health_check(&check.test[1..])?,
                    _ => assert!(check.disable, "{name}: the image's health check asks for what does not run there"),
                }
                assert!(service.read_only, "{name} may write");
            }
            (None, Some(image)) => assert!(image.contains(':'), "{image} names no version"),
            other => return Err(Error::new(format!("{name} is built or pulled, not {other:?}"))),
        }
        assert!(service.cap_drop == ["ALL"] && service.security_opt == ["no-new-privileges:true"], "{name} may do more than it must");
        for volume in &service.volumes {
            let outside = volume.strip_suffix(":ro").and_then(|volume| volume.split_once(':')).map(|(outside, _)| outside);
            assert!(outside.is_some_and(|path| root().join("deploy").join(path).exists()), "{name}: {volume} is not there, or for writing");
        }
    }
    Ok(())
}

#[test]
fn ports_are_published_on_loopback_and_once() -> Result<()> {
    let compose = compose()?;
    let mut published = BTreeSet::new();
    for port in compose.services.values().flat_map(|service| &service.ports) {
        let (outside, _) = port.rsplit_once(':').ok_or_else(|| Error::new(format!("{port} is one port")))?;
        assert!(outside.starts_with("127.0.0.1:"), "{port} is published to the network");
        assert!(published.insert(outside), "{port} is taken");
    }
    Ok(())
}

#[test]
fn two_replicas_share_a_valkey_and_a_configuration_that_is_right() -> Result<()> {
    let compose = compose()?;
    let replicas = compose.replicas();
    assert_eq!(replicas.len(), 2, "{replicas:?}");
    for (name, replica) in replicas {
        compose.assert_named(&replica.environment["REDIS_URL"]);
        assert!(replica.environment.contains_key("LARDER_TOKEN"), "{name}");
        let config = replica.mounted(CONFIG).ok_or_else(|| Error::new(format!("{name} has no {CONFIG}")))?;
        let text = read(&config)?;
        assert!(!text.contains("127.0.0.1") && !text.contains("localhost"), "{config}: in a container loopback is the container");
        let upstream = text.split_once("\nurl = \"").and_then(|(_, rest)| rest.split('"').next());
        compose.assert_named(upstream.unwrap_or_default());
        let mut check = command()?;
        check.env("LARDER_TOKEN", "0123456789abcdef0123456789abcdef").env("REDIS_URL", &replica.environment["REDIS_URL"]);
        let output = check.args(["check", "--config"]).arg(root().join(config)).output()?;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

#[test]
fn prometheus_asks_both_replicas_with_the_token_that_they_know() -> Result<()> {
    let compose = compose()?;
    let prometheus = &compose.services["prometheus"];
    let file = prometheus.command.iter().find_map(|argument| argument.strip_prefix("--config.file="));
    let file = file.and_then(|inside| prometheus.mounted(inside)).ok_or_else(|| Error::new("no configuration is mounted"))?;
    let config: Value = serde_saphyr::from_str(&read(&file)?)?;
    let job = &config["scrape_configs"][0];
    let targets: Vec<&str> = job["static_configs"][0]["targets"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let expected: Vec<String> = compose.replicas().iter().map(|(name, _)| format!("{name}:8090")).collect();
    assert_eq!(targets, expected);
    assert_eq!(job["job_name"], "larder", "the rules and the dashboard know it by that");
    let credentials = job["authorization"]["credentials_file"].as_str().and_then(|path| path.strip_prefix("/run/secrets/"));
    let secret = credentials.filter(|name| prometheus.secrets.iter().any(|secret| secret == name)).unwrap_or_default();
    assert_eq!(compose.secrets[secret].environment, "LARDER_TOKEN");
    // Its rules stand beside it, and promtool reads them all; the secret is there only in the container.
    let rules: Vec<&str> = config["rule_files"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    rules.iter().for_each(|rules| assert!(root().join("deploy/prometheus").join(rules).is_file(), "{rules}"));
    super::monitoring::promtool(&["check", "config", "--syntax-only", "compose.yml"], &[])
}

#[test]
fn grafana_begins_with_the_dashboard_and_its_data() -> Result<()> {
    let compose = compose()?;
    let grafana = &compose.services["grafana"];
    let provisioned = |kind: &str| -> Result<Value> {
        let folder = grafana.mounted(&format!("/etc/grafana/provisioning/{kind}")).ok_or_else(|| Error::new(format!("no {kind}")))?;
        let files = super::kubernetes::files(&folder)?;
        assert_eq!(files.len(), 1, "{files:?}");
        Ok(serde_saphyr::from_str(&read(&files[0])?)?)
    };
    let source = &provisioned("datasources")?["datasources"][0];
    compose.assert_named(source["url"].as_str().unwrap_or_default());
    let home = grafana.environment["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"].as_str();
    let dashboard: Value = serde_json::from_str(&read(&grafana.mounted(home).unwrap_or_default())?)?;
    let variables = dashboard["templating"]["list"].as_array().into_iter().flatten();
    let kinds: Vec<&Value> = variables.filter(|variable| variable["type"] == "datasource").map(|variable| &variable["query"]).collect();
    assert_eq!(kinds, [&source["type"]], "the dashboard takes the one source of its kind");
    let folder = provisioned("dashboards")?["providers"][0]["options"]["path"].clone();
    assert!(folder.as_str().is_some_and(|folder| home.starts_with(&format!("{folder}/"))), "{home} is not in {folder}");
    Ok(())
}
