//! What reads the GraphQL documents of each route.

use std::collections::HashMap;
use std::sync::Arc;

use larder_graphql::Documents;
use larder_semantics::content::{ContentKind, ContentRules};

use crate::config::Route;

/// The readers, by the names of their routes. What they remember goes on over a reload: once an origin knows the hash of a document, clients do not send the
/// document again.
#[derive(Debug, Default)]
pub(crate) struct RouteDocuments(HashMap<Arc<str>, Arc<Documents>>);

impl RouteDocuments {
    /// Those of all routes that read documents, each with what `before` remembers under its name.
    pub(crate) fn of<'r>(routes: impl Iterator<Item = &'r Route>, before: Option<&Self>) -> Self {
        let known = |name: &str| before.and_then(|before| before.0.get(name)).cloned();
        let reader = |route: &Route| (Arc::clone(&route.name), known(&route.name).unwrap_or_default());
        Self(routes.filter(|route| reads(route)).map(reader).collect())
    }

    /// How the content of a route's requests enters their keys.
    pub(crate) fn rules(&self, route: &Route) -> Option<ContentRules> {
        let mut rules = route.settings.content.clone()?;
        rules.documents = self.0.get(&route.name).filter(|_| reads(route)).map(|documents| Arc::clone(documents) as _);
        Some(rules)
    }
}

fn reads(route: &Route) -> bool {
    route.settings.content.as_ref().is_some_and(|content| content.kind == ContentKind::GraphQl)
}

#[cfg(test)]
mod tests {
    use larder_semantics::content::graphql::DocumentReader;

    use super::*;
    use crate::config;

    const DOCUMENT: &str = "{ a }";

    /// SHA-256 of [`DOCUMENT`].
    const HASH: &str = "1c7e1e347f726166b5b1c55afd61f278cc9b45e00c108ec33d540a566379811b";

    fn routes(more: &str) -> Vec<Route> {
        let graphql = "class = \"graphql\"\nmethods = [\"GET\", \"POST\"]";
        let text = format!(
            "[upstreams.api]\nurl = \"http://127.0.0.1:3000\"\n[classes.graphql]\nread = true\nttl = \"1m\"\nkey = {{ body = \"graphql\" }}\n\
             [[routes]]\nname = \"one\"\npath = \"/one\"\n{graphql}\n[[routes]]\nname = \"other\"\npath = \"/other\"\n{graphql}\n{more}"
        );
        let parsed = config::parse("test.toml", text.as_bytes(), &Default::default());
        parsed.unwrap_or_else(|report| panic!("{}", report.render(false))).0.routes
    }

    fn reader(documents: &RouteDocuments, route: &Route) -> Arc<dyn DocumentReader> {
        documents.rules(route).and_then(|rules| rules.documents).expect("it reads documents")
    }

    #[test]
    fn a_reload_keeps_the_documents_that_a_route_has_seen() {
        let before = routes("");
        let known = RouteDocuments::of(before.iter(), None);
        reader(&known, &before[0]).remember(HASH, DOCUMENT);
        let after = routes("[[routes]]\nname = \"page\"\npath = \"/page\"\nttl = \"1m\"");
        let reloaded = RouteDocuments::of(after.iter(), Some(&known));
        assert_eq!(reader(&reloaded, &after[0]).persisted(HASH).as_deref(), Some(DOCUMENT));
        assert_eq!(reader(&reloaded, &after[1]).persisted(HASH), None, "an origin that was never sent it may not know it");
        assert!(reloaded.rules(&after[2]).is_none());
    }
}
