//! The key of a request's content: which form of it counts, and the hash of that.

use http::HeaderMap;
use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_TYPE};

use super::media_type::MediaType;
use super::model::{self, Api, Wanted};
use super::{Asked, ContentKey, ContentKind, ContentRequest, ContentRules, Keyed, Unkeyed, form, graphql, json, put, rpc};
use crate::reason::Reason;

impl ContentRules {
    /// Whether a content with these fields has its key only once its content coding is undone.
    pub fn wants_decoding(&self, fields: &HeaderMap) -> bool {
        self.kind_for(fields) != ContentKind::Bytes && is_coded(fields)
    }

    /// The kind that counts for a request with these fields: "A cache MAY normalize [...] unless the request includes the no-transform cache
    /// directive" (after RFC 10008 §2.7). Of a request of a protocol it has to be read whether it may be answered.
    fn kind_for(&self, fields: &HeaderMap) -> ContentKind {
        if forbids_transformation(fields) && !self.kind.is_protocol() { ContentKind::Bytes } else { self.kind }
    }

    /// The key of a request's content.
    ///
    /// # Errors
    /// [`Reason::BodyNotKeyed`] where it has none: it is of another kind, longer than permitted, broken or ambiguous. [`Reason::NotDeterministic`] and
    /// [`Reason::Stateful`] where it is a request to a model, and [`Reason::Operation`] where it is one of a protocol, that is not to be answered from the
    /// store.
    pub fn key(&self, request: &ContentRequest<'_>) -> Result<Keyed, Unkeyed> {
        let ContentRequest { fields, content, .. } = *request;
        if content.len() > self.max_length {
            return Err(self.unread());
        }
        let mut hash = blake3::Hasher::new();
        let kind = self.kind_for(fields);
        let key_of = |hash: &blake3::Hasher| ContentKey { kind, digest: hash.finalize().into(), turn: 0 };
        if !kind.is_protocol() {
            self.hash_content(kind, fields, content, &mut hash).ok_or(Reason::BodyNotKeyed)?;
            return Ok(Keyed { key: key_of(&hash), asked: Asked::Other, other_forms: Vec::new() });
        }
        let (asked, mut value) = self.read_protocol(request, &mut hash)?;
        let hashed = |value: json::Value<'_>| {
            let mut hash = hash.clone();
            value.select(&self.drop, &self.only)?.hash(&mut hash);
            Some(key_of(&hash))
        };
        let mut other_forms = Vec::new();
        if let (true, Asked::Model(asked)) = (self.converts && !forbids_transformation(fields), &asked) {
            let own = Wanted::of(*asked);
            for form in Wanted::of_api(asked.api).iter().filter(|form| **form != own) {
                let mut other = value.copy();
                model::set_form(&mut other, *form);
                other_forms.extend(hashed(other));
            }
            model::set_form(&mut value, own);
        }
        let key = hashed(value).ok_or(Reason::BodyNotKeyed)?;
        // Where the form is no part of the key, the answer that is found may have any.
        other_forms.retain(|other| *other != key);
        Ok(Keyed { key, asked, other_forms })
    }

    fn hash_content(&self, kind: ContentKind, fields: &HeaderMap, content: &[u8], hash: &mut blake3::Hasher) -> Option<()> {
        if kind == ContentKind::Bytes {
            for name in [CONTENT_TYPE, CONTENT_ENCODING, CONTENT_LANGUAGE] {
                fields.get_all(&name).iter().for_each(|value| put(hash, value.as_bytes()));
                hash.update(&[0]);
            }
            put(hash, content);
            return Some(());
        }
        let media_type = self.media_type(fields, hash)?;
        if kind == ContentKind::Form {
            media_type.is_form().then_some(())?;
            form::Fields::parse(content)?.select(&self.drop, &self.only)?.hash(hash);
        } else {
            media_type.is_json().then_some(())?;
            json::Value::parse(content)?.select(&self.drop, &self.only)?.hash(hash);
        }
        Some(())
    }

    /// Reads a request of a protocol, and takes out of it what the key does not have.
    fn read_protocol<'a>(&self, request: &ContentRequest<'a>, hash: &mut blake3::Hasher) -> Result<(Asked, json::Value<'a>), Unkeyed> {
        self.media_type(request.fields, hash).filter(MediaType::is_json).ok_or_else(|| self.unread())?;
        let mut value = json::Value::parse(request.content).ok_or_else(|| self.unread())?;
        let asked = match self.kind {
            ContentKind::GraphQl => {
                let reader = self.documents.as_deref().ok_or_else(|| self.unread())?;
                Asked::GraphQl { by_hash: graphql::read(reader, &mut value, false)? }
            }
            ContentKind::JsonRpc => Asked::Rpc(rpc::read(&self.rpc, &mut value)?),
            _ => {
                let api = Api::of_path(request.path).filter(|api| (self.kind == ContentKind::Embeddings) == (*api == Api::Embeddings));
                let asked = model::read(api.ok_or(Reason::BodyNotKeyed)?, request.path, self.when, &mut value)?;
                if self.trims {
                    model::trim(&mut value);
                }
                for name in model::FIELDS {
                    request.fields.get_all(name).iter().for_each(|value| put(hash, value.as_bytes()));
                    hash.update(&[0]);
                }
                Asked::Model(asked)
            }
        };
        Ok((asked, value))
    }

    /// The media type of a text in UTF-8, once it is part of the hash with the language.
    fn media_type(&self, fields: &HeaderMap, hash: &mut blake3::Hasher) -> Option<MediaType> {
        let media_type = MediaType::of(fields).filter(MediaType::is_utf8)?;
        put(hash, media_type.essence().as_bytes());
        fields.get_all(CONTENT_LANGUAGE).iter().for_each(|value| put(hash, value.as_bytes()));
        hash.update(&[0]);
        Some(media_type)
    }
}

fn is_coded(fields: &HeaderMap) -> bool {
    fields.get_all(CONTENT_ENCODING).iter().any(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity"))
}

pub(super) fn forbids_transformation(fields: &HeaderMap) -> bool {
    let is_named = |value: &[u8]| value.split(|byte| *byte == b',').any(|member| member.trim_ascii().eq_ignore_ascii_case(b"no-transform"));
    fields.get_all(CACHE_CONTROL).iter().any(|value| is_named(value.as_bytes()))
}
