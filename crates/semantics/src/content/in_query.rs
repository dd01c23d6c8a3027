//! What a GET asks for in its query, as a POST does in its content (GraphQL over HTTP §5.3).

use super::form::Fields;
use super::json::Value;
use super::{Asked, ContentKey, ContentKind, ContentRules, Keyed, Unkeyed, graphql, media_type, put};
use crate::reason::Reason;

impl ContentRules {
    /// Whether a GET with this query asks for what a POST might ask for in its content.
    pub fn is_in_query(&self, query: Option<&str>) -> bool {
        let names = || query.into_iter().flat_map(|query| query.split('&')).filter_map(|pair| pair.split_once('='));
        self.kind == ContentKind::GraphQl && names().any(|(name, _)| matches!(name, "query" | "extensions"))
    }

    /// A query without what stands for a content there; `None` where nothing else is in it.
    pub fn rest_of_query(query: &str) -> Option<String> {
        let is_own = |pair: &&str| !graphql::PARAMETERS.contains(&pair.split('=').next().unwrap_or_default());
        let rest: Vec<&str> = query.split('&').filter(is_own).collect();
        (!rest.is_empty()).then(|| rest.join("&"))
    }

    /// The key of a GET that asks in its query: that of a POST with the same in its content.
    ///
    /// # Errors
    /// As [`Self::key`].
    pub fn key_of_query(&self, query: &str) -> Result<Keyed, Unkeyed> {
        let fields = Fields::parse(query.as_bytes()).filter(|_| query.len() <= self.max_length).ok_or(Reason::BodyNotKeyed)?;
        let mut request = Value::Object(Vec::new());
        for name in graphql::PARAMETERS {
            let mut values = fields.iter().filter(|(own, _)| *own == name.as_bytes()).map(|(_, value)| value);
            let (value, more) = (values.next().filter(|value| !value.is_empty()), values.next());
            let Some(value) = value.filter(|_| more.is_none()) else {
                more.map_or(Ok(()), |_| Err(Reason::BodyNotKeyed))?;
                continue;
            };
            let is_text = matches!(name, "query" | "operationName");
            let text = || std::str::from_utf8(value).ok().map(|text| Value::String(text.into()));
            let value = if is_text { text() } else { Value::parse(value) };
            request.set(name, value.ok_or(Reason::BodyNotKeyed)?);
        }
        let mut hash = blake3::Hasher::new();
        put(&mut hash, media_type::JSON.as_bytes());
        hash.update(&[0]);
        let reader = self.documents.as_deref().ok_or(Reason::BodyNotKeyed)?;
        let by_hash = graphql::read(reader, &mut request, true)?;
        request.select(&self.drop, &self.only).ok_or(Reason::BodyNotKeyed)?.hash(&mut hash);
        let key = ContentKey { kind: self.kind, digest: hash.finalize().into(), turn: 0 };
        Ok(Keyed { key, asked: Asked::GraphQl { by_hash }, other_forms: Vec::new() })
    }
}
