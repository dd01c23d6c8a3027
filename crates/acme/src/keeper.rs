//! Keeps a certificate for each domain.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use larder_config::Acme;
use larder_tls::{Pair, Urgency, days_left};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tracing::{error, info, warn};

use crate::authority::{AcmeAuthority, Authority};
use crate::bundle::{Bundle, pair};
use crate::challenges::Challenges;
use crate::failure::Failure;
use crate::lock::Lock;
use crate::state::{AcmeCounts, DomainReport, DomainState};
use crate::store::{AcmeStore, StoreError};

/// How long an order may take.
const ORDER: Duration = Duration::from_secs(240);
/// How long other processes leave an order to the one that has begun it.
const TERM: Duration = Duration::from_secs(300);
/// How often it is looked whether another process has a certificate, and whether a store that was away is back.
const OTHERS: Duration = Duration::from_secs(15);
/// Orders at a time.
const ORDERS: usize = 4;
/// The longest sleep: a machine that was asleep, or whose clock was set, is not late for long.
const MAX_SLEEP: Duration = Duration::from_secs(3600);
/// What is kept in a shared store outlives its certificate, so that no clock matters.
const KEPT: Duration = Duration::from_secs(400 * 86_400);

/// Keeps a certificate for each domain of the configuration.
pub struct Keeper {
    config: Arc<Acme>,
    store: Arc<dyn AcmeStore>,
    authority: Box<dyn Authority>,
    challenges: Challenges,
    domains: Mutex<BTreeMap<String, DomainState>>,
    pairs: watch::Sender<Vec<Pair>>,
    orders: Semaphore,
    issued: AtomicU64,
    failed: AtomicU64,
    /// Seconds since 1970.
    now: fn() -> u64,
}

impl Keeper {
    /// Nothing is done yet.
    pub fn new(config: Acme, store: Arc<dyn AcmeStore>, now: fn() -> u64) -> Arc<Self> {
        let config = Arc::new(config);
        let authority = Box::new(AcmeAuthority::new(Arc::clone(&config), Arc::clone(&store)));
        Self::with(config, store, authority, now)
    }

    pub(crate) fn with(config: Arc<Acme>, store: Arc<dyn AcmeStore>, authority: Box<dyn Authority>, now: fn() -> u64) -> Arc<Self> {
        Arc::new(Self {
            challenges: Challenges::new(Arc::clone(&store), config.domains.clone()),
            domains: Mutex::new(config.domains.iter().map(|domain| (domain.clone(), DomainState::default())).collect()),
            pairs: watch::Sender::default(),
            orders: Semaphore::new(ORDERS),
            issued: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            config,
            store,
            authority,
            now,
        })
    }

    /// What it was made of.
    pub fn config(&self) -> &Acme {
        &self.config
    }

    /// The challenges that are answered now.
    pub fn challenges(&self) -> &Challenges {
        &self.challenges
    }

    /// The certificates, whenever there is another one.
    pub fn pairs(&self) -> watch::Receiver<Vec<Pair>> {
        self.pairs.subscribe()
    }

    /// Every domain, as it stands now.
    pub fn report(&self) -> Vec<DomainReport> {
        self.states().iter().map(|(domain, state)| DomainReport::of(domain, state)).collect()
    }

    /// Orders since the start.
    pub fn counts(&self) -> AcmeCounts {
        AcmeCounts { issued: self.issued.load(Ordering::Relaxed), failed: self.failed.load(Ordering::Relaxed) }
    }

    /// Takes what the store has.
    pub async fn load(&self) {
        for domain in &self.config.domains {
            self.adopt(domain).await;
        }
    }

    /// Orders what is missing and renews what is due, for as long as it is polled.
    pub async fn keep(self: Arc<Self>) {
        let mut domains = JoinSet::new();
        for domain in self.config.domains.clone() {
            let keeper = Arc::clone(&self);
            domains.spawn(async move {
                loop {
                    let rest = keeper.attend(&domain).await;
                    // Without a certificate handshakes fail: the store may have one long before the next attempt.
                    tokio::time::sleep(rest.min(if keeper.has_certificate(&domain) { MAX_SLEEP } else { OTHERS })).await;
                }
            });
        }
        while domains.join_next().await.is_some() {}
    }

    /// Orders a certificate for a domain where that is due. Returns when to look again.
    pub(crate) async fn attend(&self, domain: &str) -> Duration {
        if let Some(rest) = self.rest(domain)
            && self.has_certificate(domain)
        {
            return rest;
        }
        // Another process may have ordered or renewed it meanwhile.
        self.adopt(domain).await;
        if let Some(rest) = self.rest(domain) {
            return rest;
        }
        let Ok(_permit) = self.orders.acquire().await else { return MAX_SLEEP };
        let lock = match Lock::take(&self.store, self.name_of(domain), TERM).await {
            Ok(Some(lock)) => lock,
            Ok(None) => return OTHERS,
            Err(error) => return self.wait_for_store(domain, error),
        };
        self.adopt(domain).await;
        let (rest, pause) = match self.rest(domain) {
            Some(rest) => (rest, Duration::ZERO),
            None => self.order(domain).await,
        };
        if let Err(error) = lock.give_back(pause).await {
            warn!(domain, %error, "other processes are kept from ordering a certificate for a while");
        }
        rest
    }

    /// One order. Returns when to look again, and how long other processes need not try.
    async fn order(&self, domain: &str) -> (Duration, Duration) {
        let failures = self.states().get(domain).map_or(0, |state| state.failures);
        // Where one proof cannot be had, another may be.
        let challenges = &self.config.challenges;
        let challenge = challenges[failures as usize % challenges.len()];
        let issuing = tokio::time::timeout(ORDER, self.authority.issue(domain, challenge, &self.challenges));
        let outcome = match issuing.await.unwrap_or(Err(Failure::Late)) {
            Ok(bundle) => self.issued(domain, &bundle).await,
            Err(failure) => Err(failure),
        };
        match outcome {
            Ok(()) => (self.rest(domain).unwrap_or(OTHERS), Duration::ZERO),
            Err(failure) => {
                let pause = self.note_failure(domain, &failure);
                (pause, pause)
            }
        }
    }

    /// Takes what was issued into use. An error where the next order would follow at once.
    async fn issued(&self, domain: &str, bundle: &Bundle) -> Result<(), Failure> {
        let pair = bundle.pair(domain)?;
        if !pair.facts().names.cover(domain) {
            return Err(Failure::OtherName);
        }
        self.issued.fetch_add(1, Ordering::Relaxed);
        let days = days_left(pair.facts().not_after, (self.now)());
        info!(domain, days, "a certificate for {domain} was issued");
        if let Err(error) = self.store.save(&self.name_of(domain), bundle.text().as_bytes(), KEPT).await {
            error!(domain, %error, "the certificate for {domain} cannot be stored; it is used, and lost with this process");
        }
        let failures = self.states().get(domain).map_or(0, |state| state.failures);
        self.take(domain, pair);
        if self.rest(domain).is_none() {
            // Each attempt brings a certificate, so the pauses would not grow.
            self.states().entry(domain.to_owned()).or_default().failures = failures;
            return Err(Failure::DueAtOnce);
        }
        Ok(())
    }

    /// The store is away. Nothing was asked of the authority, so no pause is due to it. Returns when to look again.
    fn wait_for_store(&self, domain: &str, error: StoreError) -> Duration {
        let problem = Failure::from(error).to_string();
        let mut states = self.states();
        let state = states.entry(domain.to_owned()).or_default();
        let is_told = state.problem.as_ref() == Some(&problem);
        let has_none = state.pair.is_none();
        state.problem = Some(problem.clone());
        drop(states);
        let seconds = OTHERS.as_secs();
        match has_none {
            _ if is_told => {}
            true => error!(domain, "there is no certificate for {domain}: {problem}; the store is asked again every {seconds} seconds"),
            false => {
                warn!(domain, "the certificate for {domain} cannot be renewed: {problem}; the store is asked again every {seconds} seconds")
            }
        }
        OTHERS
    }

    /// Notes a failure and tells it with the end of the certificate in use. Returns the pause until the next attempt.
    fn note_failure(&self, domain: &str, failure: &Failure) -> Duration {
        self.failed.fetch_add(1, Ordering::Relaxed);
        let now = (self.now)();
        let mut states = self.states();
        let state = states.entry(domain.to_owned()).or_default();
        let pause = state.failed(now, failure.to_string(), failure.is_rate_limit());
        let not_after = state.pair.as_ref().map(|pair| pair.facts().not_after);
        drop(states);
        let minutes = pause.as_secs() / 60;
        let next = format!("the next attempt is in {minutes} minutes");
        match not_after {
            None => error!(domain, "there is no certificate for {domain}: {failure}; {next}"),
            Some(end) if Urgency::of(end, now) >= Urgency::Week => {
                let days = days_left(end, now);
                error!(domain, "the certificate for {domain}, which ends in {days} days, cannot be renewed: {failure}; {next}");
            }
            Some(end) => {
                let days = days_left(end, now);
                warn!(domain, "the certificate for {domain}, which ends in {days} days, cannot be renewed: {failure}; {next}");
            }
        }
        pause
    }

    /// Takes the store's certificate where it is another than the one in use, and ends later.
    async fn adopt(&self, domain: &str) {
        let loaded = self.store.load(&self.name_of(domain)).await;
        let was_away = std::mem::replace(&mut self.states().entry(domain.to_owned()).or_default().is_store_away, loaded.is_err());
        let stored = match loaded {
            Ok(Some(stored)) => stored,
            Ok(None) => return,
            Err(_) if was_away => return,
            Err(error) => return warn!(domain, %error, "it is not known whether there is a certificate for {domain}"),
        };
        match pair(&stored, domain) {
            Ok(pair) if !pair.facts().names.cover(domain) => warn!(domain, "the stored certificate for {domain} is for another name"),
            Ok(pair) => {
                let end = |pair: &Pair| pair.facts().not_after;
                let known = self.states().get(domain).and_then(|state| state.pair.as_ref().map(end));
                if known.is_none_or(|known| end(&pair) > known) {
                    self.take(domain, pair);
                }
            }
            Err(error) => warn!(domain, %error, "the stored certificate for {domain} cannot be used"),
        }
    }

    fn take(&self, domain: &str, pair: Pair) {
        let mut states = self.states();
        states.entry(domain.to_owned()).or_default().take(pair);
        // In the order of the configuration: clients that name no host get the first.
        let all = self.config.domains.iter().filter_map(|domain| states.get(domain)?.pair.clone()).collect();
        self.pairs.send_replace(all);
    }

    fn has_certificate(&self, domain: &str) -> bool {
        self.states().get(domain).is_some_and(|state| state.pair.is_some())
    }

    fn rest(&self, domain: &str) -> Option<Duration> {
        self.states().get(domain).and_then(|state| state.rest((self.now)()))
    }

    fn name_of(&self, domain: &str) -> String {
        format!("{}/{domain}.pem", self.config.folder())
    }

    fn states(&self) -> MutexGuard<'_, BTreeMap<String, DomainState>> {
        self.domains.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper").field("config", &self.config).finish_non_exhaustive()
    }
}
