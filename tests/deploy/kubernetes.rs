//! The files in `deploy/kubernetes`. Debian has no program that renders kustomizations as they are written today, so nothing here is merged: the
//! kustomizations patch nothing, and what they bring together is checked file by file.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use larder_testkit::larder::{command, config};
use larder_testkit::wait::eventually;
use larder_testkit::{Answer, Error, Larder, Origin, Result};
use serde_json::Value;
use tempfile::TempDir;

use super::{assert_understood, read, root};

const FOLDER: &str = "deploy/kubernetes";

/// Where the pods find their tokens.
const TOKENS: &str = "/run/secrets/larder";

/// Every file below this folder of the repository, by its path from the root.
pub(crate) fn files(folder: &str) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root().join(folder)).map_err(|error| Error::from(error).while_doing(format!("reading {folder}")))? {
        let entry = entry?;
        let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() { found.extend(files(&path)?) } else { found.push(path) }
    }
    found.sort();
    Ok(found)
}

fn named(name: &str) -> Result<Vec<String>> {
    Ok(files(FOLDER)?.into_iter().filter(|path| path.ends_with(&format!("/{name}"))).collect())
}

/// Files with objects of Kubernetes, and not of kustomize.
fn manifests() -> Result<Vec<String>> {
    Ok(files(FOLDER)?.into_iter().filter(|path| path.ends_with(".yaml") && !path.ends_with("/kustomization.yaml")).collect())
}

fn documents(path: &str) -> Result<Vec<Value>> {
    serde_saphyr::from_multiple(&read(path)?).map_err(|error| Error::new(format!("{path}: {error}")))
}

/// Kinds that a cluster has only once somebody has installed them; their schemas are not among the API's own.
fn is_custom(document: &Value) -> bool {
    document["apiVersion"].as_str().is_some_and(|version| version.starts_with("monitoring.coreos.com/"))
}

fn strings(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

#[test]
fn the_manifests_are_as_the_schemas_of_kubernetes_want_them() -> Result<()> {
    let (mut plain, mut expected) = (Vec::new(), 0);
    for path in manifests()? {
        let documents = documents(&path)?;
        match documents.iter().filter(|document| is_custom(document)).count() {
            0 => {
                expected += documents.len();
                plain.push(path);
            }
            custom => assert_eq!(custom, documents.len(), "{path}: the rest of the file would go unchecked"),
        }
    }
    let packages = larder_tests::backends("python/kubernetes_validate/__init__.py")?.join("python");
    let mut validate = Command::new("python3");
    validate.args(["-m", "kubernetes_validate", "--strict"]).args(&plain).env("PYTHONPATH", packages).current_dir(root());
    let output = validate.output().map_err(|error| Error::from(error).while_doing("running python3"))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !said.contains("WARN"), "{said}");
    assert_eq!(said.matches(" passed for resource ").count(), expected, "{said}");
    Ok(())
}

/// `folder` of a kustomization and a path in it, as a path from the root of the repository.
fn joined(folder: &str, path: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').collect();
    for part in path.split('/') {
        if part == ".." {
            parts.pop();
        } else {
            parts.push(part);
        }
    }
    parts.join("/")
}

#[test]
fn kustomizations_bring_together_every_file_and_patch_nothing() -> Result<()> {
    let mut reached = BTreeSet::new();
    for path in named("kustomization.yaml")? {
        let kustomization = documents(&path)?.remove(0);
        let folder = path.trim_end_matches("/kustomization.yaml");
        let known = ["apiVersion", "kind", "resources", "components", "labels", "configMapGenerator", "generatorOptions", "replicas"];
        let members = kustomization.as_object().ok_or_else(|| Error::new(format!("{path} is no object")))?;
        members.keys().for_each(|key| assert!(known.contains(&key.as_str()), "{path}: `{key}` is checked by nothing here"));
        let generators = kustomization["configMapGenerator"].as_array().into_iter().flatten();
        let generated: Vec<&str> = generators.flat_map(|generator| strings(&generator["files"])).collect();
        for name in strings(&kustomization["resources"]).into_iter().chain(strings(&kustomization["components"])).chain(generated) {
            let target = joined(folder, name);
            let kind = if name.contains("components/") { "Component" } else { "Kustomization" };
            if root().join(&target).is_dir() {
                assert_eq!(documents(&format!("{target}/kustomization.yaml"))?[0]["kind"], kind, "{path}: {name}");
                reached.insert(format!("{target}/kustomization.yaml"));
            } else {
                assert!(root().join(&target).is_file(), "{path} names {name}, which is not there");
                reached.insert(target);
            }
        }
        if members.contains_key("configMapGenerator") {
            assert_eq!(kustomization["generatorOptions"]["disableNameSuffixHash"], true, "{path}: a change would be a rollout");
        }
        for replicas in kustomization["replicas"].as_array().into_iter().flatten() {
            assert_eq!(replicas["name"], deployment()?["metadata"]["name"]);
        }
    }
    let forgotten: Vec<String> = files(FOLDER)?
        .into_iter()
        .filter(|path| !path.contains("/overlays/") && !path.ends_with(".md") && !reached.contains(path))
        .collect();
    assert_eq!(forgotten, [""; 0], "no overlay has them");
    Ok(())
}

fn deployment() -> Result<Value> {
    Ok(documents("deploy/kubernetes/base/deployment.yaml")?.remove(0))
}

fn listed<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().map_or(&[], Vec::as_slice)
}

fn by_name<'a>(values: &'a [Value], name: &str) -> Result<&'a Value> {
    values.iter().find(|value| value["name"] == name).ok_or_else(|| Error::new(format!("there is no {name}")))
}

#[test]
fn the_pods_start_larder_with_flags_it_has_and_ask_for_what_it_answers() -> Result<()> {
    let deployment = deployment()?;
    let pod = &deployment["spec"]["template"]["spec"];
    let container = by_name(listed(pod, "containers"), "larder")?;
    assert_understood(&strings(&container["args"]))?;
    assert_eq!(strings(&container["args"]).last(), Some(&super::CONFIG));
    let ports = listed(container, "ports");
    for (port, section) in [("http", "[server]"), ("admin", "[admin]")] {
        let number = by_name(ports, port)?["containerPort"].as_u64().ok_or_else(|| Error::new("no number"))?;
        for path in named("config.toml")? {
            let text = read(&path)?;
            let listens = text.split_once(&format!("{section}\nlisten = \"")).and_then(|(_, rest)| rest.split_once('"'));
            assert_eq!(listens.map(|(address, _)| address.to_owned()), Some(format!("0.0.0.0:{number}")), "{path}");
        }
    }
    for (probe, path) in [("startupProbe", "/healthz"), ("readinessProbe", "/readyz"), ("livenessProbe", "/healthz")] {
        let asks = &container[probe]["httpGet"];
        assert_eq!((asks["path"].as_str(), asks["port"].as_str()), (Some(path), Some("admin")), "{probe}");
    }
    for mount in listed(container, "volumeMounts") {
        assert!(mount.get("subPath").is_none(), "what is mounted by subPath is never updated");
        by_name(listed(pod, "volumes"), mount["name"].as_str().unwrap_or_default())?;
    }
    let services: Vec<Value> = documents("deploy/kubernetes/base/service.yaml")?;
    for service in &services {
        assert_eq!(service["spec"]["selector"], deployment["spec"]["selector"]["matchLabels"]);
        for port in listed(&service["spec"], "ports") {
            by_name(ports, port["targetPort"].as_str().unwrap_or_default())?;
        }
    }
    let image = container["image"].as_str().unwrap_or_default();
    assert!(image.ends_with(&format!(":{}", env!("CARGO_PKG_VERSION"))), "{image} is another version");
    Ok(())
}

#[test]
fn no_pod_may_do_more_than_it_must() -> Result<()> {
    for path in manifests()? {
        for document in documents(&path)?.iter().filter(|document| document["kind"] == "Deployment") {
            let pod = &document["spec"]["template"]["spec"];
            assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{path}");
            assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault", "{path}");
            assert_eq!(pod["automountServiceAccountToken"], false, "{path}");
            for container in listed(pod, "containers") {
                let context = &container["securityContext"];
                assert_eq!(context["readOnlyRootFilesystem"], true, "{path}");
                assert_eq!(context["allowPrivilegeEscalation"], false, "{path}");
                assert_eq!(strings(&context["capabilities"]["drop"]), ["ALL"], "{path}");
                assert!(container["resources"]["limits"]["memory"].is_string(), "{path}: one pod could take the node's memory");
            }
        }
    }
    Ok(())
}

/// In mebibytes, from `512Mi` and from `256MiB`.
fn mebibytes(text: &str) -> Result<u64> {
    let number = text.strip_suffix("iB").or(text.strip_suffix('i')).and_then(|text| text.strip_suffix('M'));
    number.and_then(|number| number.parse().ok()).ok_or_else(|| Error::new(format!("{text} is not in mebibytes")))
}

#[test]
fn the_memory_limit_is_twice_the_capacity_and_a_pod_has_time_to_end() -> Result<()> {
    let deployment = deployment()?;
    let pod = &deployment["spec"]["template"]["spec"];
    let limit = by_name(listed(pod, "containers"), "larder")?["resources"]["limits"]["memory"].as_str().unwrap_or_default().to_owned();
    for path in named("config.toml")? {
        let text = read(&path)?;
        let capacity = text.split_once("capacity = \"").and_then(|(_, rest)| rest.split_once('"')).map(|(capacity, _)| capacity);
        assert!(mebibytes(&limit)? >= 2 * mebibytes(capacity.unwrap_or_default())?, "{path}: {capacity:?} of {limit}");
        // The defaults: drain_delay is 5 s under Kubernetes, drain_timeout 30 s.
        assert!(!text.contains("drain_") && pod["terminationGracePeriodSeconds"].as_u64() > Some(5 + 30), "{path}");
    }
    Ok(())
}

#[test]
fn the_configurations_are_right_in_a_pod() -> Result<()> {
    let secrets = TempDir::new()?;
    for name in ["read", "admin"] {
        fs::write(secrets.path().join(name), "0123456789abcdef0123456789abcdef")?;
    }
    for path in named("config.toml")? {
        let text = read(&path)?.replace(TOKENS, &secrets.path().to_string_lossy());
        assert!(!text.contains("127.0.0.1") && !text.contains("localhost"), "{path}: in a pod loopback is the pod");
        let file = secrets.path().join("config.toml");
        fs::write(&file, text)?;
        let mut check = command()?;
        check.env("KUBERNETES_SERVICE_HOST", "10.0.0.1").env("REDIS_URL", valkey_url()?);
        let output = check.args(["check", "--config"]).arg(&file).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{path}: {said}");
        let warnings: Vec<&str> =
            said.lines().filter(|line| line.starts_with("warning") && !line.contains("does not resolve here")).collect();
        assert_eq!(warnings, [""; 0], "{path}");
    }
    Ok(())
}

/// What the pods get as REDIS_URL, which names a service that is there.
fn valkey_url() -> Result<String> {
    let documents = documents("deploy/kubernetes/components/valkey/valkey.yaml")?;
    let of = |kind: &str| {
        let found = documents.iter().find(|document| document["kind"] == kind);
        found.ok_or_else(|| Error::new(format!("valkey.yaml has no {kind}")))
    };
    let (secret, service) = (of("Secret")?, of("Service")?);
    let url = secret["stringData"]["REDIS_URL"].as_str().unwrap_or_default();
    let port = listed(&service["spec"], "ports")[0]["port"].as_u64().unwrap_or_default();
    assert_eq!(url, format!("redis://{}:{port}", service["metadata"]["name"].as_str().unwrap_or_default()));
    let environment = deployment()?["spec"]["template"]["spec"]["containers"][0]["envFrom"][0]["secretRef"].clone();
    assert_eq!((&environment["name"], &environment["optional"]), (&secret["metadata"]["name"], &Value::Bool(true)));
    Ok(url.to_owned())
}

/// There is no schema for it here, as it is no kind of Kubernetes' own: what it names has to be there.
#[test]
fn the_service_monitor_finds_the_admin_service_and_a_token_that_may_read() -> Result<()> {
    let monitor = documents("deploy/kubernetes/components/monitoring/service-monitor.yaml")?.remove(0);
    assert!(is_custom(&monitor));
    let endpoint = &monitor["spec"]["endpoints"][0];
    let services = documents("deploy/kubernetes/base/service.yaml")?;
    let wanted = &monitor["spec"]["selector"]["matchLabels"];
    let chosen: Vec<&Value> = services.iter().filter(|service| service["metadata"]["labels"] == *wanted).collect();
    assert_eq!(chosen.len(), 1, "{wanted}");
    by_name(listed(&chosen[0]["spec"], "ports"), endpoint["port"].as_str().unwrap_or_default())?;
    let deployment = deployment()?;
    let tokens = by_name(listed(&deployment["spec"]["template"]["spec"], "volumes"), "tokens")?;
    let credentials = &endpoint["authorization"]["credentials"];
    assert_eq!(credentials["name"], tokens["secret"]["secretName"]);
    let token = format!("file = \"{TOKENS}/{}\"\nscopes = [\"read\"]", credentials["key"].as_str().unwrap_or_default());
    for path in named("config.toml")? {
        assert!(read(&path)?.contains(&token), "{path}");
    }
    Ok(())
}

/// Points `name` in the folder at `target` in one step, as the kubelet does it.
fn swap(folder: &Path, target: &str, name: &str) -> Result<()> {
    std::os::unix::fs::symlink(target, folder.join("..data_tmp"))?;
    Ok(fs::rename(folder.join("..data_tmp"), folder.join(name))?)
}

/// A mounted ConfigMap: the file is a link through the link `..data`, which alone changes.
#[tokio::test]
async fn a_config_map_that_changes_is_reloaded() -> Result<()> {
    let (old, new) = (Origin::start().await?, Origin::start().await?);
    let folder = TempDir::new()?;
    for (origin, version) in [(&old, "..old"), (&new, "..new")] {
        origin.always("GET", "/", Answer::ok().header("Cache-Control", "no-store").body(version));
        fs::create_dir(folder.path().join(version))?;
        fs::write(folder.path().join(version).join("config.toml"), config(&origin.url(), ""))?;
    }
    swap(folder.path(), "..old", "..data")?;
    swap(folder.path(), "..data/config.toml", "config.toml")?;
    let larder = Larder::start_with(&["serve", "--config", &folder.path().join("config.toml").to_string_lossy()]).await?;
    assert_eq!(larder.get("/").await?.text(), "..old");
    swap(folder.path(), "..new", "..data")?;
    let applied = || async { Ok(Some(larder.get("/").await?.text()).filter(|body| body == "..new")) };
    eventually("waiting for the new ConfigMap", applied).await.map(drop)
}
