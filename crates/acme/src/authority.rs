//! The authority: the account there, and one order.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use instant_acme::{
    Account, AccountCredentials, AuthorizationHandle, AuthorizationStatus, ChallengeType, Identifier, NewAccount, NewOrder, Order,
    OrderStatus, RetryPolicy,
};
use larder_config::{Acme, AcmeChallenge};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use tokio::sync::Mutex;

use crate::bundle::Bundle;
use crate::challenges::{Challenges, Shown};
use crate::failure::Failure;
use crate::http_client::AuthorityClient;
use crate::lock::Lock;
use crate::store::AcmeStore;

/// How long the authority may take to look for a proof, and again for the certificate.
const PATIENCE: RetryPolicy = RetryPolicy::new().timeout(Duration::from_secs(90));
/// How long the account's key is kept in a shared store from when it was made: a new account costs nothing but the orders that are under way.
const KEPT: Duration = Duration::from_secs(3650 * 86_400);
/// How long another process may take to make the account.
const ACCOUNT_TERM: Duration = Duration::from_secs(60);

/// How often more what ends for want of a good nonce is done: instant-acme takes three, which an authority with several servers, or under load, may all
/// have forgotten.
const MORE_NONCES: usize = 5;

/// Whoever issues certificates.
pub(crate) trait Authority: Send + Sync {
    /// A certificate for this domain, proven in this way.
    fn issue<'a>(&'a self, domain: &'a str, challenge: AcmeChallenge, challenges: &'a Challenges) -> Issuing<'a>;
}

pub(crate) type Issuing<'a> = Pin<Box<dyn Future<Output = Result<Bundle, Failure>> + Send + 'a>>;

/// One that speaks ACME.
pub(crate) struct AcmeAuthority {
    config: Arc<Acme>,
    store: Arc<dyn AcmeStore>,
    account: Mutex<Option<Account>>,
}

impl Authority for AcmeAuthority {
    fn issue<'a>(&'a self, domain: &'a str, challenge: AcmeChallenge, challenges: &'a Challenges) -> Issuing<'a> {
        Box::pin(async move {
            let account = self.account().await?;
            let mut outcome = issue(&account, domain, challenge, challenges).await;
            for _ in 0..MORE_NONCES {
                if !outcome.as_ref().is_err_and(Failure::is_bad_nonce) {
                    break;
                }
                outcome = issue(&account, domain, challenge, challenges).await;
            }
            if outcome.as_ref().is_err_and(Failure::is_unknown_account) {
                // The next attempt makes another.
                *self.account.lock().await = None;
                self.store.save(&self.account_name(), b"", Duration::from_secs(1)).await?;
            }
            outcome
        })
    }
}

impl AcmeAuthority {
    pub(crate) fn new(config: Arc<Acme>, store: Arc<dyn AcmeStore>) -> Self {
        Self { config, store, account: Mutex::new(None) }
    }

    fn account_name(&self) -> String {
        format!("{}/account.json", self.config.folder())
    }

    async fn account(&self) -> Result<Account, Failure> {
        let mut known = self.account.lock().await;
        if let Some(account) = &*known {
            return Ok(account.clone());
        }
        let account = match self.stored_account().await? {
            Some(account) => account,
            None => self.new_account().await?,
        };
        Ok(known.insert(account).clone())
    }

    async fn stored_account(&self) -> Result<Option<Account>, Failure> {
        let Some(stored) = self.store.load(&self.account_name()).await? else { return Ok(None) };
        // One that cannot be read, or was given up, is replaced.
        let Ok(credentials) = serde_json::from_slice::<AccountCredentials>(&stored) else { return Ok(None) };
        let builder = Account::builder_with_http(Box::new(AuthorityClient::new(self.config.roots.as_ref())?));
        Ok(Some(builder.from_credentials(credentials).await?))
    }

    /// Processes that share a store share the account.
    async fn new_account(&self) -> Result<Account, Failure> {
        let Some(lock) = Lock::take(&self.store, self.account_name(), ACCOUNT_TERM).await? else { return Err(Failure::AccountBusy) };
        let made = match self.stored_account().await {
            Ok(None) => self.create_account().await,
            Ok(Some(account)) => Ok(account),
            Err(failure) => Err(failure),
        };
        lock.give_back(Duration::ZERO).await?;
        made
    }

    async fn create_account(&self) -> Result<Account, Failure> {
        let contact: Vec<&str> = self.config.contact.iter().map(String::as_str).collect();
        let account = NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
        let builder = Account::builder_with_http(Box::new(AuthorityClient::new(self.config.roots.as_ref())?));
        let (account, credentials) = builder.create(&account, self.config.directory.clone(), None).await?;
        let text = serde_json::to_vec(&credentials).map_err(instant_acme::Error::from)?;
        self.store.save(&self.account_name(), &text, KEPT).await?;
        tracing::info!(directory = self.config.directory, account = account.id(), "an ACME account was made");
        Ok(account)
    }
}

/// One order (RFC 8555 §7.1): the proofs that are still due, then the certificate.
async fn issue(account: &Account, domain: &str, challenge: AcmeChallenge, challenges: &Challenges) -> Result<Bundle, Failure> {
    let identifiers = [Identifier::Dns(domain.to_owned())];
    let mut order = account.new_order(&NewOrder::new(&identifiers)).await?;
    let shown = prove(&mut order, domain, challenge, challenges).await?;
    let status = order.poll_ready(&PATIENCE).await;
    drop(shown);
    match status.map_err(Failure::from) {
        Ok(OrderStatus::Ready | OrderStatus::Valid) => {}
        Ok(_) => return Err(refusal(&mut order, challenge).await?),
        // The authority's own words about the proof say more than those about the order.
        Err(failure @ Failure::Authority(instant_acme::Error::Api(_))) if !failure.is_bad_nonce() => {
            return Err(refusal(&mut order, challenge).await.unwrap_or(failure));
        }
        Err(failure) => return Err(failure),
    }
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(vec![domain.to_owned()])?;
    params.distinguished_name = DistinguishedName::new();
    order.finalize_csr(params.serialize_request(&key)?.der()).await?;
    let chain = order.poll_certificate(&PATIENCE).await?;
    let bundle = Bundle::new(&key.serialize_pem(), &chain);
    bundle.pair(domain)?;
    Ok(bundle)
}

/// Shows what proves the domain, and tells the authority to look. It is shown for as long as what is returned is kept.
async fn prove(order: &mut Order, domain: &str, challenge: AcmeChallenge, challenges: &Challenges) -> Result<Vec<Shown>, Failure> {
    let mut shown = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(next) = authorizations.next().await {
        let mut authorization: AuthorizationHandle<'_> = next?;
        // It may remember an earlier proof.
        if authorization.status == AuthorizationStatus::Valid {
            continue;
        }
        let mut asked = authorization.challenge(kind(challenge)).ok_or(Failure::NotOffered(challenge.name()))?;
        let key_authorization = asked.key_authorization();
        shown.push(challenges.show(challenge, domain, &asked.token, key_authorization.as_str()).await?);
        asked.set_ready().await?;
    }
    Ok(shown)
}

/// Why the proof was refused, in the authority's words.
async fn refusal(order: &mut Order, challenge: AcmeChallenge) -> Result<Failure, Failure> {
    let mut told = words(order, challenge).await;
    for _ in 0..MORE_NONCES {
        if !told.as_ref().is_err_and(Failure::is_bad_nonce) {
            break;
        }
        told = words(order, challenge).await;
    }
    told
}

async fn words(order: &mut Order, challenge: AcmeChallenge) -> Result<Failure, Failure> {
    let mut reason = "it does not say why".to_owned();
    let mut authorizations = order.authorizations();
    while let Some(next) = authorizations.next().await {
        let mut authorization = next?;
        let state = authorization.refresh().await?;
        let problems = state.challenges.iter().filter_map(|challenge| challenge.error.as_ref());
        if let Some(detail) = problems.filter_map(|problem| problem.detail.clone()).next() {
            reason = detail;
        }
    }
    Ok(Failure::Refused { challenge: challenge.name(), reason })
}

fn kind(challenge: AcmeChallenge) -> ChallengeType {
    match challenge {
        AcmeChallenge::Http01 => ChallengeType::Http01,
        AcmeChallenge::TlsAlpn01 => ChallengeType::TlsAlpn01,
    }
}
