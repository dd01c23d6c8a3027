//! Requests to language models: `share`, `when`, `answers`, `trim`, `finish`, `convert`; streams: `record`, `replay`; and `client_controls`.

use std::ops::Range;
use std::time::Duration;

use http::HeaderName;
use larder_semantics::content::ContentRules;
use larder_semantics::content::model::{CREDENTIAL_PARAMETER, CREDENTIALS, UNSTORED_FIELDS, When, finish_word};
use larder_semantics::{CookiePolicy, IdentityPart, Replay, Scope, TtlMode};
use toml::Spanned;

use super::{Layer, identity_part, items};
use crate::model::{ClientControls, RouteSettings};
use crate::parse::mistake::{Mistake, Mistakes};
use crate::parse::reader::Table;

/// How long a request waits for another's answer, unless set otherwise: models take their time, and a second answer costs as much as the first.
const COLLAPSE_WAIT: Duration = Duration::from_secs(120);

/// How the pace of a stream is written.
const REPLAY: &str = "\"fast\", \"real\", or how many times faster, like \"x8\"";

/// More answers than these to one request are hardly ever given.
const MAX_ANSWERS: u64 = 16;

/// What one table says; `None` is "not here".
#[derive(Clone, Debug, Default)]
pub(super) struct ModelLayer {
    share: Option<Spanned<Share>>,
    when: Option<Spanned<When>>,
    finish: Option<Spanned<Vec<Spanned<String>>>>,
    record: Option<Spanned<bool>>,
    replay: Option<Spanned<Replay>>,
    answers: Option<Spanned<u8>>,
    trim: Option<Spanned<bool>>,
    convert: Option<Spanned<bool>>,
    client_controls: Option<bool>,
}

/// Whom an answer is for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Share {
    /// For all who show the same credentials.
    Identity,
    /// For all.
    Everyone,
    /// For all who show the same of these.
    By(Vec<IdentityPart>),
}

impl ModelLayer {
    pub(super) fn read(table: &mut Table<'_>) -> Self {
        Self {
            share: share(table),
            when: table.one_of("when", &[("deterministic", When::Deterministic), ("always", When::Always)]),
            finish: table.list("finish", "words in quotes, like \"stop\" or \"tool_calls\"", finish),
            record: table.boolean_at("record"),
            replay: table.parse("replay", REPLAY, replay),
            answers: answers(table),
            trim: table.boolean_at("trim"),
            convert: table.boolean_at("convert"),
            client_controls: table.boolean("client_controls"),
        }
    }
}

/// How fast streams are given again.
fn replay(text: &str) -> Result<Replay, Mistake> {
    Replay::of_word(text).ok_or_else(|| Mistake::new(format!("`{text}` is no pace")).hint(REPLAY))
}

/// How many answers to one request are kept.
fn answers(table: &mut Table<'_>) -> Option<Spanned<u8>> {
    let span = table.get("answers")?.span();
    let answers = table.integer("answers", 1..=MAX_ANSWERS)?;
    u8::try_from(answers).ok().map(|answers| Spanned::new(span, answers))
}

impl ModelLayer {
    /// The parts of an identity in `share`, each with its place.
    pub(super) fn shared_by(&self) -> impl Iterator<Item = (Range<usize>, &IdentityPart)> {
        self.share.iter().flat_map(|share| match share.get_ref() {
            Share::By(parts) => parts.iter().map(|part| (share.span(), part)).collect(),
            Share::Identity | Share::Everyone => Vec::new(),
        })
    }
}

/// A word, or a list of parts of an identity.
fn share(table: &mut Table<'_>) -> Option<Spanned<Share>> {
    let value = table.get("share")?;
    let span = value.span();
    if value.get_ref().as_str().is_some() {
        return table
            .one_of("share", &[("identity", true), ("everyone", false)])
            .map(|share| Spanned::new(span, if share.into_inner() { Share::Identity } else { Share::Everyone }));
    }
    let list = table.list("share", "\"identity\", \"everyone\", or a list like [\"header:x-team\"]", identity_part)?;
    if list.get_ref().is_empty() {
        let mistake = Mistake::new("an empty `share` would share everything");
        table.mistakes().error(span.clone(), mistake.hint("name what a group of clients has in common, or write share = \"everyone\""));
        return None;
    }
    Some(Spanned::new(span, Share::By(items(list))))
}

fn finish(text: &str) -> Result<String, Mistake> {
    let is_word = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if is_word {
        return Ok(finish_word(text));
    }
    Err(Mistake::new(format!("`{text}` is no end of an answer")).hint("as the API names it: \"stop\", \"length\", \"tool_calls\""))
}

/// Completes the rules for a content of a model, and the settings for its answers, where the layers say nothing else.
pub(super) fn resolve(layers: &[&Layer], rules: &mut ContentRules, settings: &mut RouteSettings) {
    let said = |pick: fn(&Layer) -> bool| layers.iter().any(|layer| pick(layer));
    if let Some(when) = layers.iter().rev().find_map(|layer| layer.models.when.as_ref()) {
        rules.when = *when.get_ref();
    }
    if let Some(finish) = layers.iter().rev().find_map(|layer| layer.models.finish.clone()) {
        rules.finish = items(finish);
    }
    let pick = |layer: &Layer| layer.models.answers.as_ref().map(|answers| *answers.get_ref());
    rules.answers = layers.iter().rev().find_map(|layer| pick(layer)).unwrap_or(1);
    rules.trims = layers.iter().rev().find_map(|layer| layer.models.trim.as_ref()).is_some_and(|trim| *trim.get_ref());
    rules.converts = layers.iter().rev().find_map(|layer| layer.models.convert.as_ref()).is_some_and(|convert| *convert.get_ref());
    settings.client_controls = settings.client_controls.max(ClientControls::OfProxies);
    let policy = &mut settings.policy;
    if !said(|layer| layer.lifetimes.ttl_mode.is_some()) {
        policy.ttl_mode = TtlMode::Override;
    }
    if !said(|layer| layer.collapse_wait.is_some()) {
        settings.collapse_wait = COLLAPSE_WAIT;
    }
    policy.record_streams = true;
    // Providers set one with every answer; it is never stored itself.
    policy.unsafe_ignore.set_cookie = true;
    policy.unstored_fields = UNSTORED_FIELDS.map(str::to_owned).into();
    let named = layers.iter().rev().find_map(|layer| layer.models.share.as_ref()).map_or(Share::Identity, |share| share.get_ref().clone());
    match named {
        Share::Identity => {
            let credentials = CREDENTIALS.map(|name| IdentityPart::Header(HeaderName::from_static(name)));
            let parameter = IdentityPart::Query(CREDENTIAL_PARAMETER.to_owned());
            // What the route names besides stays.
            let named = layers.iter().rev().find_map(|layer| layer.identity.clone());
            let more = named.map_or_else(|| std::mem::take(&mut settings.key.identity), items);
            settings.key.identity.clear();
            for part in credentials.into_iter().chain([parameter]).chain(more) {
                if !settings.key.identity.contains(&part) {
                    settings.key.identity.push(part);
                }
            }
            policy.scope = Scope::Identity;
        }
        Share::Everyone => {
            settings.key.identity = Vec::new();
            policy.scope = Scope::Public;
            (policy.unsafe_ignore.authorization, policy.unsafe_ignore.private) = (true, true);
            policy.cookies = CookiePolicy::Ignore;
            settings.key.query.secret = vec![CREDENTIAL_PARAMETER.to_owned()];
        }
        Share::By(parts) => {
            settings.key.identity = parts;
            settings.key.needs_identity = true;
            policy.scope = Scope::Identity;
            settings.key.query.secret = vec![CREDENTIAL_PARAMETER.to_owned()];
        }
    }
}

/// Looks at a layer that some of the chains have: what none of them has a use for was meant otherwise.
pub(super) fn look_at_layer(layer: &Layer, is_without_models: bool, mistakes: &Mistakes) {
    if let Some(share) = layer.models.share.as_ref().filter(|share| *share.get_ref() == Share::Everyone && !is_without_models) {
        let mistake = Mistake::new(
            "`share = \"everyone\"` gives the answer that one client's key has paid for to clients with any other key, or none",
        );
        mistakes.warning(share.span(), mistake.hint("let something before Larder check who asks, or write share = [\"header:x-team\"]"));
    }
    if !is_without_models {
        return;
    }
    let ModelLayer { share, when, finish, answers, trim, convert, .. } = &layer.models;
    let is_default = |finish: &&Spanned<Vec<Spanned<String>>>| items((*finish).clone()) == ["stop"];
    let unused = [
        share.as_ref().filter(|share| *share.get_ref() != Share::Identity).map(Spanned::span),
        when.as_ref().filter(|when| *when.get_ref() != When::Deterministic).map(Spanned::span),
        finish.as_ref().filter(|finish| !is_default(finish)).map(Spanned::span),
        answers.as_ref().filter(|answers| *answers.get_ref() > 1).map(Spanned::span),
        trim.as_ref().filter(|trim| *trim.get_ref()).map(Spanned::span),
        convert.as_ref().filter(|convert| *convert.get_ref()).map(Spanned::span),
    ];
    for span in unused.into_iter().flatten() {
        let mistake = Mistake::new("this counts for requests to models only");
        mistakes.warning(span, mistake.hint("add key = { body = \"chat\" } or \"embeddings\", or leave it out"));
    }
}

/// Whose word about lifetimes and namespaces counts, where it is no request to a model.
pub(super) fn client_controls(layers: &[&Layer]) -> ClientControls {
    let said = layers.iter().rev().find_map(|layer| layer.models.client_controls);
    if said == Some(true) { ClientControls::OfAll } else { ClientControls::Nobodys }
}

/// The pace at which stored streams are given again.
pub(super) fn pace(layers: &[&Layer]) -> Replay {
    layers.iter().rev().find_map(|layer| layer.models.replay.as_ref()).map(|replay| *replay.get_ref()).unwrap_or_default()
}

/// Looks at a layer none of whose chains stores streams.
pub(super) fn look_at_layer_without_streams(layer: &Layer, mistakes: &Mistakes) {
    if let Some(replay) = layer.models.replay.as_ref().filter(|replay| *replay.get_ref() != Replay::Fast) {
        let mistake = Mistake::new("`replay` is about stored streams, and nothing here stores any");
        mistakes.warning(replay.span(), mistake.hint("add record = true, or key = { body = \"chat\" }; or leave it out"));
    }
}

/// Whether streams of events are stored.
pub(super) fn records(layers: &[&Layer]) -> bool {
    layers.iter().rev().find_map(|layer| layer.models.record.as_ref()).is_some_and(|record| *record.get_ref())
}
