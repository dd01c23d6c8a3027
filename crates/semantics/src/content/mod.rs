//! The content of a request as a part of its key (RFC 10008 §2.7, for QUERY; by configuration for POST): a hash of its canonical form.
//!
//! ```text
//! fields, bytes ──ContentRules::key──> media type ──> canonical form ──> BLAKE3-256 ──> " #body=json:8f14e45f…"
//!                                        │               │
//!                                        `- not the kind `- broken, too deep, ambiguous: no key, so the request passes by the cache
//! ```
//!
//! A content with a content coding has the key of what was coded (RFC 10008 §2.7 permits that); the origin gets it as it came. An origin that does not
//! know the coding answers with an error, which is therefore not stored (`storing::unkeyed`).
//!
//! Of a protocol's request ([`model`], [`graphql`], [`rpc`]) it is read besides what it asks for: some may not be answered from the store, and their answers
//! say themselves whether they may be given again ([`ContentRules::judge`]).
//!
//! Two contents share a key only if every origin takes them for the same. Where a format leaves open what a content means (a repeated member
//! of JSON, an escape that is none), there is no key. Nothing of the content itself stands in the key.

mod form;
pub mod graphql;
mod in_query;
pub(crate) mod json;
mod keying;
mod media_type;
pub mod model;
mod pointer;
pub mod rpc;
pub mod several;
mod unkeyed;
mod value;
mod variables;

use std::sync::Arc;

use http::{HeaderMap, HeaderValue};

use graphql::{CacheHint, DocumentReader};
use model::{AnswerForm, Judged, ModelRequest, When};
pub use pointer::{BadPointer, Pointer};
use rpc::{RpcRequest, RpcRules};
pub use unkeyed::{Operation, Unkeyed};
pub use variables::Variables;

/// What kind of content is part of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ContentKind {
    /// Any, byte for byte.
    Bytes,
    /// JSON (RFC 8259): members in any order, white space and escapes as they like; numbers as they are written.
    Json,
    /// `application/x-www-form-urlencoded`: names in any order, values of one name in theirs.
    Form,
    /// A request for a text of a language model, of one of the APIs in [`model`].
    Chat,
    /// A request for embeddings, of one of these APIs.
    Embeddings,
    /// A query of GraphQL, in JSON.
    GraphQl,
    /// A call of JSON-RPC 2.0, or a batch of them.
    JsonRpc,
}

impl ContentKind {
    /// Its name in configurations and keys.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::Json => "json",
            Self::Form => "form",
            Self::Chat => "chat",
            Self::Embeddings => "embeddings",
            Self::GraphQl => "graphql",
            Self::JsonRpc => "json-rpc",
        }
    }

    /// Whether it is a request to a model.
    pub fn is_model(self) -> bool {
        matches!(self, Self::Chat | Self::Embeddings)
    }

    /// Whether it is a request of a protocol, so that what it asks for has to be known before it may be answered.
    fn is_protocol(self) -> bool {
        self.is_model() || matches!(self, Self::GraphQl | Self::JsonRpc)
    }
}

/// How the content of a request enters its key.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ContentRules {
    /// The kind; content of another kind has no key.
    pub kind: ContentKind,
    /// The longest content that has a key, in bytes.
    pub max_length: usize,
    /// Parts left out of the key. The origin gets them, so its answer must not depend on them.
    pub drop: Vec<Pointer>,
    /// The only parts of it that the key has; empty for all.
    pub only: Vec<Pointer>,
    /// Whether POST is a read: safe, so that it invalidates nothing, and may be answered from the store. QUERY always is (RFC 10008).
    pub post: bool,
    /// Which requests to models are answered from the store.
    pub when: When,
    /// The ends that an answer of a model may have to be stored, as [`model::finish_word`] has them.
    pub finish: Vec<String>,
    /// How many answers of a model are kept for one request, and given in turn; one at least.
    pub answers: u8,
    /// Whether an answer of a model in one form (whole, as a stream) answers requests for the others, where that is exact ([`model::convert`]).
    pub converts: bool,
    /// Whether white space at the end of the last message to a model is left out of the key.
    pub trims: bool,
    /// Which methods of JSON-RPC are answered from the store.
    pub rpc: RpcRules,
    /// What reads the documents of GraphQL; `None`: queries have no key.
    pub documents: Option<Arc<dyn DocumentReader>>,
    /// Whether answers of GraphQL with errors beside their data are stored.
    pub keeps_errors: bool,
    /// Whether answers of GraphQL get the names of their types and objects as tags ([`graphql::types`]).
    pub tags_types: bool,
}

/// A request as far as its key is made of it.
#[derive(Clone, Copy, Debug)]
pub struct ContentRequest<'a> {
    /// The path, as it was sent.
    pub path: &'a str,
    /// The fields.
    pub fields: &'a HeaderMap,
    /// The content, without its content coding where [`ContentRules::wants_decoding`] says so.
    pub content: &'a [u8],
}

/// The key of a content, and what it means for the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Keyed {
    /// The key.
    pub key: ContentKey,
    /// What is asked for.
    pub asked: Asked,
    /// The keys of requests for the same in another form, whose answers can be given in this one ([`ContentRules::converted`]).
    pub other_forms: Vec<ContentKey>,
}

/// What a request asks for, as far as its answer is judged by that.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Asked {
    /// Nothing that this cache knows of.
    #[default]
    Other,
    /// An answer of a model.
    Model(ModelRequest),
    /// The answer to a query of GraphQL.
    GraphQl {
        /// Its document is known here by a hash, which is all that the origin gets.
        by_hash: bool,
    },
    /// The answer to a call of JSON-RPC.
    Rpc(RpcRequest),
    /// Several answers, each of which is stored by itself ([`several`]).
    Several,
}

/// What a whole answer comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fitness {
    /// It says that it failed, was refused or cut: it is not stored.
    Unfit,
    /// It may be stored.
    Fit(Option<Judged>),
    /// It may be stored, as it says itself.
    Hinted(CacheHint),
}

impl ContentRules {
    /// The longest content that has a key unless set otherwise, in bytes.
    pub const MAX_LENGTH: usize = 256 << 10;

    /// Rules for a kind, which keep all of it in the key.
    pub fn new(kind: ContentKind) -> Self {
        let without_effect = || model::WITHOUT_EFFECT.iter().map(|name| Pointer::member(name)).collect();
        let drop = if kind.is_model() { without_effect() } else { Vec::new() };
        Self {
            kind,
            max_length: Self::MAX_LENGTH,
            drop,
            only: Vec::new(),
            post: false,
            when: When::default(),
            finish: vec!["stop".to_owned()],
            answers: 1,
            converts: false,
            trims: false,
            rpc: RpcRules::default(),
            documents: None,
            keeps_errors: false,
            tags_types: false,
        }
    }

    /// A stored answer to a request for another form as this one asks for it; `None` where that would not be exact.
    pub fn converted(&self, asked: &Asked, content_type: Option<&HeaderValue>, answer: &[u8]) -> Option<Vec<u8>> {
        let (Asked::Model(request), Some(essence)) = (asked, content_type.and_then(|value| media_type::essence(value.as_bytes()))) else {
            return None;
        };
        model::convert(*request, AnswerForm::of_type(&essence)?, answer)
    }

    /// Judges a whole answer with status 200 and without a content coding to a request that asked for this.
    pub fn judge(&self, asked: &Asked, content_type: Option<&HeaderValue>, answer: &[u8]) -> Fitness {
        let media_type = content_type.and_then(|value| media_type::essence(value.as_bytes()));
        let is_json = || media_type.as_deref().is_some_and(|essence| essence == "application/json" || essence.ends_with("+json"));
        let is_fit = match asked {
            Asked::Other => true,
            Asked::Model(request) => {
                let form = media_type.as_deref().and_then(AnswerForm::of_type);
                let judged = form.map(|form| model::judge(*request, form, &self.finish, answer));
                return judged.filter(|judged| judged.is_fit).map_or(Fitness::Unfit, |judged| Fitness::Fit(Some(judged)));
            }
            Asked::GraphQl { .. } => {
                let hint = if is_json() { graphql::judge(self.keeps_errors, answer) } else { None };
                return match hint {
                    None => Fitness::Unfit,
                    Some(hint) if hint == CacheHint::default() => Fitness::Fit(None),
                    Some(hint) => Fitness::Hinted(hint),
                };
            }
            Asked::Rpc(request) => is_json() && rpc::is_fit(request, answer),
            Asked::Several => false,
        };
        if is_fit { Fitness::Fit(None) } else { Fitness::Unfit }
    }
}

/// The content's part of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentKey {
    kind: ContentKind,
    digest: [u8; 32],
    /// Which of several answers it is that is asked for.
    turn: u8,
}

impl ContentKey {
    /// Its kind.
    pub fn kind(&self) -> ContentKind {
        self.kind
    }

    /// The same content, of whose answers this one is asked for. The first is 0.
    #[must_use]
    pub fn in_turn(self, turn: u8) -> Self {
        Self { turn, ..self }
    }

    /// Which of several answers it is that is asked for.
    pub fn turn(&self) -> u8 {
        self.turn
    }

    /// The hash of the content.
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// Appends it as it stands in keys: the kind, a colon and the hash in hexadecimal digits; of several answers behind the first also which it is.
    pub(crate) fn write(&self, text: &mut String) {
        text.push_str(self.kind.as_str());
        text.push(':');
        text.push_str(&blake3::Hash::from_bytes(self.digest).to_hex());
        if self.turn > 0 {
            text.push(':');
            crate::digits::push_number(text, self.turn.into());
        }
    }
}

/// A piece of text, with its length in front, so that pieces cannot pass for each other.
fn put(hash: &mut blake3::Hasher, text: &[u8]) {
    hash.update(&[1]);
    hash.update(&(text.len() as u64).to_le_bytes());
    hash.update(text);
}

#[cfg(test)]
mod tests;
