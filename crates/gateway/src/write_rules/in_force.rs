//! The rules for writes that are in force: a write may be under way for longer than those that it began with.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::Writes;

/// Shared by the rules of all configurations of a process. It keeps none of them.
#[derive(Clone, Debug, Default)]
pub(super) struct InForce(Arc<Mutex<Weak<Writes>>>);

impl InForce {
    pub(super) fn take_place(&self, rules: &Arc<Writes>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(rules);
    }

    pub(super) fn get(&self) -> Option<Arc<Writes>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).upgrade()
    }
}

#[cfg(test)]
mod tests {
    use http::Request;
    use http::request::Parts;
    use larder_semantics::Target;
    use larder_store::InvalidationTarget;
    use larder_tower::clock::Clock;
    use larder_tower::{Cache, Invalidates, JsonFields, RouteRules};

    use super::*;
    use crate::active::{ActiveConfig, Process};
    use crate::config;

    /// Configurations of one process; `reads` are the settings of the route that GETs take.
    fn reloaded(cache: &Arc<Cache>, reads: &str, before: Option<&ActiveConfig>) -> ActiveConfig {
        let text = format!(
            "[upstreams.api]\nurl = \"http://127.0.0.1:3000\"\n[[routes]]\nmethods = [\"GET\", \"HEAD\"]\npath = \"/{{*rest}}\"\n{reads}\n\
             [[on_write]]\npath = \"/a\"\npurge = [\"url:/list\", \"url:/of/{{response.id}}\"]\nrefresh = true"
        );
        let read = config::parse("test.toml", text.as_bytes(), &Default::default());
        let (config, _) = read.unwrap_or_else(|report| panic!("{}", report.render(false)));
        let (clock, access_logs, exporters) = (Clock::system(), Default::default(), Default::default());
        let process = Process { cache, clock: &clock, redis: None, access_logs: &access_logs, exporters: &exporters, stand_in: None };
        ActiveConfig::new(config, &process, before).expect("it can serve")
    }

    fn cache() -> Arc<Cache> {
        Cache::builder(1 << 20).max_object(1 << 16).build()
    }

    const TARGET: Target<'_> = Target { scheme: "http", authority: "h", path: "/a", query: None };

    fn begun(active: &ActiveConfig) -> (Arc<RouteRules>, Parts, Invalidates) {
        let request = Request::put("http://h/a").body(()).expect("a request");
        let rules = Arc::clone(active.route(&request, "h").expect("the fallback").route());
        let (parts, ()) = request.into_parts();
        let made = rules.writes().invalidates(&parts, TARGET);
        (rules, parts, made)
    }

    fn urls(rules: &RouteRules) -> Vec<String> {
        rules.writes().readings(TARGET).iter().map(|reading| reading.key().url_of(TARGET)).collect()
    }

    fn texts(targets: &[InvalidationTarget]) -> Vec<&str> {
        fn url(target: &InvalidationTarget) -> &str {
            match target {
                InvalidationTarget::Url(url) => url.as_str(),
                _ => "",
            }
        }
        targets.iter().map(url).collect()
    }

    /// Its client may have left, so that nothing else holds the configuration that it began with.
    #[tokio::test]
    async fn a_write_knows_the_routes_of_reads_although_a_reload_has_replaced_its_own() {
        let cache = cache();
        let before = reloaded(&cache, "key = { host = false }", None);
        let (rules, _, made) = begun(&before);
        let after = reloaded(&cache, "key = { host = false }", Some(&before));
        drop(before);
        assert_eq!(urls(&rules), ["http://*/a", "http://*/a"], "what the write keeps is both");
        drop(made);
        assert_eq!(urls(&rules), ["http://*/a"]);
        drop(after);
        assert!(urls(&rules).is_empty(), "no rules keep a configuration");
    }

    #[tokio::test]
    async fn a_write_names_its_urls_as_the_keys_of_before_and_after_a_reload_have_them() {
        let cache = cache();
        let before = reloaded(&cache, "", None);
        let (rules, parts, made) = begun(&before);
        assert!(rules.writes().invalidates_since(&parts, TARGET).is_empty());
        let _after = reloaded(&cache, "key = { host = false }", Some(&before));
        assert_eq!(urls(&rules), ["http://h/a", "http://*/a"]);
        assert_eq!(texts(&made.known), ["http://h/list"]);
        assert_eq!(texts(&rules.writes().invalidates_since(&parts, TARGET)), ["http://*/list"]);
        let answer: JsonFields = [("id".to_owned(), "7".to_owned())].into_iter().collect();
        let by_bodies = made.by_bodies.expect("targets in bodies").targets(&JsonFields::default(), &answer);
        assert_eq!(texts(&by_bodies), ["http://h/of/7", "http://*/of/7"]);
    }
}
