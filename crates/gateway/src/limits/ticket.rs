//! A request of a client on its way under limits.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::Extensions;
use larder_tower::InBackground;

use super::asked::{Asked, ByteClients, stricter};
use super::{Answers, Keys, Note, Over, RouteLimits};
use crate::config::Prices;

/// A request that may be looked up.
#[derive(Debug)]
pub(crate) struct Entered {
    note: Option<Note>,
    /// How long it waits before it is answered.
    pub(crate) delay: Duration,
    bytes: ByteClients,
    held: Option<Over>,
}

impl Entered {
    pub(super) fn of(Asked { note, delay, held, bytes, .. }: Asked) -> Self {
        Self { note, delay, bytes, held }
    }

    /// What is to be known of it until it is answered, and its ticket to the origin where limits are asked on the way there.
    pub(crate) fn begun(self, limits: &Arc<RouteLimits>, keys: Keys) -> (UnderLimits, Option<NewTicket>) {
        let Self { note, bytes, held, .. } = self;
        let spender = limits.spender(&keys).map(Box::from);
        let ticket = limits.guards_origin().then(|| NewTicket { limits: Arc::clone(limits), keys, held });
        (UnderLimits { note, ticket: None, bytes, spender }, ticket)
    }
}

/// A ticket that is made when the origin is asked: most requests need none.
#[derive(Debug)]
pub(crate) struct NewTicket {
    limits: Arc<RouteLimits>,
    keys: Keys,
    held: Option<Over>,
}

/// What limits have said of a request, until its answer goes out.
#[derive(Debug, Default)]
pub(crate) struct UnderLimits {
    note: Option<Note>,
    ticket: Option<MissTicket>,
    pub(crate) bytes: ByteClients,
    /// The client for whom a stored answer of a model saves something, where a limit counts what models say.
    pub(crate) spender: Option<Box<str>>,
}

impl UnderLimits {
    /// Of a request that is refused.
    pub(crate) fn refused(over: &Over) -> Self {
        Self { note: Some(over.note), ..Self::default() }
    }

    /// Makes the ticket, which travels with the request.
    pub(crate) fn extend(&mut self, ticket: Option<NewTicket>, extensions: &mut Extensions) {
        self.take_ticket(ticket);
        self.ticket().and_then(|ticket| extensions.insert(ticket));
    }

    /// Makes the ticket.
    pub(crate) fn take_ticket(&mut self, ticket: Option<NewTicket>) {
        self.ticket = ticket.map(|NewTicket { limits, keys, held }| {
            let state = held.map_or(State::New, State::Held);
            MissTicket(Arc::new(Inner { limits, keys, state: Mutex::new(state) }))
        });
    }

    /// The ticket, for another request in place of the first.
    pub(crate) fn ticket(&self) -> Option<MissTicket> {
        self.ticket.clone()
    }

    /// Whether a limit keeps the request from the origin.
    pub(crate) fn is_held(&self) -> bool {
        self.ticket.as_ref().is_some_and(MissTicket::is_held)
    }

    /// How the client stands, and whether limits on misses were asked.
    pub(crate) fn standing(&self) -> Option<(Note, bool)> {
        let (of_origin, was_asked) = self.ticket.as_ref().map_or((None, false), MissTicket::standing);
        Some((stricter(self.note, of_origin)?, was_asked))
    }
}

/// What a model has counted for one answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tokens<'a> {
    pub(crate) model: Option<&'a str>,
    pub(crate) input: u64,
    pub(crate) output: u64,
}

/// The right of one request to be one miss, however often the origin is asked for it. In the request's extensions.
#[derive(Clone, Debug)]
pub(crate) struct MissTicket(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    limits: Arc<RouteLimits>,
    keys: Keys,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    /// The origin was not asked yet.
    New,
    /// It was.
    Asked(Option<Note>),
    /// It may not be.
    Held(Over),
}

impl MissTicket {
    /// The ticket of a request that a client waits for.
    pub(crate) fn of(extensions: &Extensions) -> Option<&Self> {
        extensions.get::<Self>().filter(|_| extensions.get::<InBackground>().is_none())
    }

    /// Asks whether the origin may be asked, and after which time; `None`, and nothing has happened, where Redis has to be asked for that.
    pub(crate) fn ask_at_once(&self) -> Option<Result<Duration, Over>> {
        let Inner { limits, keys, state } = &*self.0;
        let is_new = matches!(*state.lock().unwrap_or_else(PoisonError::into_inner), State::New);
        (!is_new || limits.is_ready(limits.door(), limits.len(), keys)).then(|| self.decide(&Answers::default()))
    }

    /// As [`Self::ask_at_once`], where that has to wait for Redis.
    pub(crate) async fn ask(&self) -> Result<Duration, Over> {
        match self.ask_at_once() {
            Some(decided) => decided,
            None => {
                let Inner { limits, keys, .. } = &*self.0;
                self.decide(&limits.inquire(limits.door(), limits.len(), keys.clone()).await)
            }
        }
    }

    /// The client that pays for answers of models.
    pub(crate) fn spender(&self) -> Option<&str> {
        self.0.limits.spender(&self.0.keys)
    }

    /// The answer of the origin has had so many tokens, or has not said; its client is charged for them.
    pub(crate) fn charge(&self, prices: &Prices, tokens: Option<Tokens<'_>>) {
        let Inner { limits, keys, .. } = &*self.0;
        for place in limits.door()..limits.len() {
            let limit = limits.at(place);
            if !limit.settings.count.is_of_models() {
                continue;
            }
            let units = tokens.and_then(|Tokens { model, input, output }| limit.settings.units_of_tokens(prices, model, input, output));
            match units {
                Some(units) => limit.charge(&limit.payer(keys.get(place)), units),
                None => limit.count_silent(),
            }
        }
    }

    fn decide(&self, answers: &Answers) -> Result<Duration, Over> {
        let Inner { limits, keys, state } = &*self.0;
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        let asked = match &*state {
            State::Asked(_) => return Ok(Duration::ZERO),
            State::Held(over) => return Err(over.clone()),
            State::New => limits.ask(limits.door(), limits.len(), keys, answers),
        };
        match asked {
            Ok(asked) => {
                *state = State::Asked(asked.note);
                Ok(asked.delay)
            }
            Err(over) => {
                *state = State::Held(over.clone());
                Err(over)
            }
        }
    }

    fn is_held(&self) -> bool {
        matches!(&*self.0.state.lock().unwrap_or_else(PoisonError::into_inner), State::Held(_))
    }

    fn standing(&self) -> (Option<Note>, bool) {
        match &*self.0.state.lock().unwrap_or_else(PoisonError::into_inner) {
            State::New => (None, false),
            State::Asked(note) => (*note, true),
            State::Held(over) => (Some(over.note), true),
        }
    }
}
