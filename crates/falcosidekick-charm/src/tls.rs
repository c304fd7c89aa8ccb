//! Which certificate is served, which one is asked for, and what becomes of the secrets that hold them. Pure.
//!
//! The answer to the request that we publish is served. Until there is one, the certificate that was served last goes
//! on, from a secret: a new pod has nothing else, and a provider may forget what it signed. A request stays as long as
//! its key is ours and it has the hosts of our URLs, so that neither a new pod nor a refresh asks for anything.

use std::collections::{BTreeMap, BTreeSet};

use charm_core::Status;
use charm_core::digest::Digest;
use charm_core::hook::SecretEvent;
use charm_core::interfaces::tls_certificates::{Answer, Provider, Requirer};
use charm_core::interfaces::{DatabagError, RelationData};
use charm_core::names::{AppName, RelationId};
use charm_core::relation::Databag;
use charm_core::secret::Redacted;
use charm_core::x509::{self, Certificate, Key, Name, Request};
use serde::Serialize;

use crate::names::{CERTIFICATES, SECRETS};

/// The one key of the secret with the private key.
pub const PRIVATE_KEY: &str = "private-key";

/// The keys of the secret with the certificate that is served. The Python charm had the first two.
const CERTIFICATE: &str = "certificate";
const REQUEST: &str = "csr";
const CHAIN: &str = "chain";
const AUTHORITIES: &str = "authorities";

/// Longer chains than this do not exist, but a peer may write anything.
const LONGEST_CHAIN: usize = 10;

/// The relation to the one who signs.
#[derive(Clone, Debug)]
pub struct Authority {
    /// The relation.
    pub relation: RelationId,
    /// Who it is.
    pub app: AppName,
    /// What it published.
    pub published: Result<Option<Provider>, DatabagError>,
    /// What this unit asked for.
    pub asked: Databag,
    /// This unit's private key.
    pub key: Option<Redacted<String>>,
    /// What was served last.
    pub stored: Option<BTreeMap<String, Redacted<String>>>,
}

/// Whom a certificate shall be for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// For people.
    pub common: String,
    /// All names that a caller may use.
    pub all: BTreeSet<Name>,
    /// Those that callers are told, without which a certificate is of no use.
    pub told: BTreeSet<Name>,
}

/// What Falcosidekick shows itself with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The certificate, and those up to the one who signed it.
    pub chain: Vec<Certificate>,
    /// The private key, as PEM.
    pub key: Redacted<String>,
    /// Whom others have to trust to believe it.
    pub authorities: Vec<Certificate>,
}

impl Identity {
    /// The certificate itself.
    pub fn leaf(&self) -> &Certificate {
        &self.chain[0]
    }
}

/// What to do about a request and secrets. None of it touches what runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Steps {
    /// Ask for a certificate in place of whatever was asked before.
    pub ask: Option<Ask>,
    /// Keep the certificate that is served.
    pub store: Option<Store>,
    /// Have Juju tell again later that this secret is due.
    pub postpone: Option<Postpone>,
    /// Secrets to remove, by their labels.
    pub forget: Vec<String>,
    /// Secrets, or revisions of them, to remove by their ids.
    pub remove: Vec<Remove>,
}

/// A request to make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ask {
    /// In this relation.
    pub relation: RelationId,
    /// For people.
    pub common_name: String,
    /// Whom the certificate shall be for.
    pub names: BTreeSet<Name>,
    /// With this key; with a new one if there is none.
    #[serde(skip)]
    pub key: Option<Redacted<String>>,
}

/// A certificate to keep.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Store {
    /// When Juju shall tell that it is due.
    pub expire: String,
    /// What the secret holds.
    #[serde(skip)]
    pub content: BTreeMap<String, Redacted<String>>,
}

/// A secret that is due, and not to be removed yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Postpone {
    /// Its id.
    pub id: String,
    /// When Juju shall tell so again.
    pub expire: String,
}

/// A secret or a revision of one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Remove {
    /// Its id.
    pub id: String,
    /// One revision, or all of it.
    pub revision: Option<u32>,
}

/// What was decided.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// What Falcosidekick shows itself with; `None` while there is nothing of use.
    pub identity: Option<Identity>,
    /// Whether what it may still show itself with was taken back.
    pub is_revoked: bool,
    /// Whether another certificate is on its way.
    pub is_awaited: bool,
    /// What to do.
    pub steps: Steps,
    /// What to tell the operator.
    pub status: Option<Status>,
    /// What to tell the operator although everything works.
    pub remark: Option<String>,
}

impl Tls {
    /// Whom others have to trust to believe what is served.
    pub fn authorities(&self) -> &[Certificate] {
        self.identity.as_ref().map(|identity| identity.authorities.as_slice()).unwrap_or_default()
    }
}

/// The label of the secret with this unit's private key, which the Python charm's has as well.
pub fn key_label(unit: u32) -> String {
    format!("{SECRETS}-private-key-{unit}-{CERTIFICATES}")
}

/// The label of the secret with the certificate that this unit serves.
pub fn certificate_label(unit: u32) -> String {
    format!("{SECRETS}-certificate-{unit}-{CERTIFICATES}")
}

/// The labels that two generations of the Python library gave the secret with the certificate for a request.
fn python_labels(unit: u32, request: &str) -> [String; 2] {
    let digest = Digest::of(request.trim());
    [format!("{SECRETS}-certificate-{unit}-{digest}"), format!("{SECRETS}-certificate-{unit}-{CERTIFICATES}-{digest}")]
}

/// What to do about the secrets of a relation that ended.
pub fn forget_all(unit: u32, asked: &Databag) -> Steps {
    let python = requests_of(asked).into_iter().flat_map(|request| python_labels(unit, &request));
    Steps { forget: [certificate_label(unit), key_label(unit)].into_iter().chain(python).collect(), ..Steps::default() }
}

/// What to do about a revision of a secret of ours that nobody reads any more.
pub fn forget_revision(event: &SecretEvent) -> Option<Remove> {
    let is_ours = event.label.starts_with(SECRETS);
    is_ours.then(|| Remove { id: event.id.clone(), revision: event.revision })
}

/// Whether this is the secret with a certificate, ours or the Python charm's.
fn is_of_certificate(event: &SecretEvent, unit: u32) -> bool {
    event.label.starts_with(&format!("{SECRETS}-certificate-{unit}-"))
}

/// Decides. `due`: the secret that Juju tells to have expired, if this is such an event.
pub fn decide(authority: &Authority, names: &Names, unit: u32, due: Option<&SecretEvent>, now: i64) -> Tls {
    let due = due.filter(|event| is_of_certificate(event, unit));
    let key = authority.key.as_ref().and_then(|pem| Key::from_pem(pem.expose()).ok());
    let Some(key) = key else {
        // Without the key, whatever was asked and signed is of no use.
        return Tls {
            steps: Steps { ask: Some(ask(authority, names, None)), ..Steps::default() },
            is_awaited: true,
            status: Some(problem(authority, None).unwrap_or_else(|| waiting(authority, None))),
            ..Tls::default()
        };
    };
    let nothing = Provider::default();
    let provider = authority.published.as_ref().ok().and_then(Option::as_ref).unwrap_or(&nothing);
    let current = requests_of(&authority.asked).into_iter().find_map(|text| {
        let request = Request::from_pem(&text).ok()?;
        (request.is_of(&key) && names.told.is_subset(&request.names)).then_some((text, request))
    });
    let answer = current.as_ref().and_then(|(_, request)| provider.answers.iter().find(|answer| answer.is_to(request)));
    let issued = answer.filter(|answer| !answer.is_revoked()).and_then(|answer| signed(answer, &key));
    let stored = authority.stored.as_ref().and_then(|content| from_secret(content, &key));
    let last = issued.as_ref().or(stored.as_ref());
    let taken_back = |identity: &&Identity| {
        let mut revoked = provider.answers.iter().filter(|answer| answer.is_revoked());
        revoked.any(|answer| Certificate::from_pem(&answer.certificate).as_ref() == Ok(identity.leaf()))
    };
    let is_revoked = last.is_some_and(|identity| taken_back(&identity));
    let expired = last.filter(|identity| identity.leaf().not_after <= now).map(|identity| identity.leaf().not_after);
    let is_due = |identity: &Identity| now >= due_time(identity.leaf()) || due.is_some();
    let is_to_be_replaced = answer.is_some_and(Answer::is_revoked) || issued.as_ref().is_some_and(is_due);
    let ask = (current.is_none() || is_to_be_replaced).then(|| ask(authority, names, authority.key.clone()));
    let is_awaited = ask.is_some() || issued.is_none();
    let request = current.as_ref().filter(|_| ask.is_none());
    let identity = last.filter(|_| !is_revoked && expired.is_none()).cloned();
    let status = problem(authority, request.map(|(_, request)| request))
        .or_else(|| identity.is_none().then(|| waiting(authority, Some((is_revoked, expired)))));
    let steps = Steps {
        store: issued.as_ref().zip(current.as_ref()).and_then(|(identity, (text, _))| store(authority, identity, text)),
        ask,
        ..Steps::default()
    };
    let steps = secrets(steps, authority, unit, current.as_ref().map(|(text, _)| text.as_str()), due, last, now);
    let remark = identity.as_ref().and_then(|identity| near_end(identity.leaf(), &authority.app, now));
    Tls { identity, is_revoked, is_awaited, steps, status, remark }
}

/// What becomes of secrets beside the one that is stored anew.
fn secrets(
    mut steps: Steps,
    authority: &Authority,
    unit: u32,
    request: Option<&str>,
    due: Option<&SecretEvent>,
    last: Option<&Identity>,
    now: i64,
) -> Steps {
    if steps.store.is_some() && authority.stored.is_none() {
        steps.forget.extend(request.into_iter().flat_map(|request| python_labels(unit, request)));
    }
    if let Some(event) = due {
        if event.label != certificate_label(unit) {
            steps.remove.push(Remove { id: event.id.clone(), revision: None });
        } else if steps.store.is_none() {
            // It is still needed, until the new certificate takes its place.
            let end = last.map_or(now, |identity| identity.leaf().not_after).max(now + 24 * 60 * 60);
            steps.postpone = Some(Postpone { id: event.id.clone(), expire: x509::time_text(end) });
        }
    }
    steps
}

/// When somebody should know that nobody has renewed it: another one is asked for when nine tenths of its time are over,
/// and half of the rest is a lot of patience.
pub fn overdue_time(certificate: &Certificate) -> i64 {
    let Certificate { not_before, not_after, .. } = certificate;
    not_after - not_after.saturating_sub(*not_before) / 20
}

/// The alert about it is of the leader's certificate, as only a leader hands rules on. So each unit tells of its own.
fn near_end(certificate: &Certificate, app: &AppName, now: i64) -> Option<String> {
    let end = x509::time_text(certificate.not_after);
    let text = format!("{CERTIFICATES}: the certificate ends at {end}, and {app} has not issued another one");
    (now >= overdue_time(certificate)).then_some(text)
}

/// When nine tenths of the lifetime are over.
fn due_time(certificate: &Certificate) -> i64 {
    let Certificate { not_before, not_after, .. } = certificate;
    not_before + not_after.saturating_sub(*not_before) / 10 * 9
}

fn requests_of(asked: &Databag) -> Vec<String> {
    Requirer::read(asked).ok().flatten().unwrap_or_default().requests
}

fn ask(authority: &Authority, names: &Names, key: Option<Redacted<String>>) -> Ask {
    Ask { relation: authority.relation, common_name: names.common.clone(), names: names.all.clone(), key }
}

/// An answer, if it is about our key and not about an authority.
fn signed(answer: &Answer, key: &Key) -> Option<Identity> {
    let leaf = Certificate::from_pem(&answer.certificate).ok()?;
    let authorities = answer.authorities();
    identity(leaf, &authorities, key)
}

fn identity(leaf: Certificate, all: &[Certificate], key: &Key) -> Option<Identity> {
    if !leaf.is_of(key) || leaf.is_authority {
        return None;
    }
    let mut authorities: Vec<Certificate> = Vec::new();
    for authority in all {
        if !authorities.contains(authority) && authorities.len() < LONGEST_CHAIN {
            authorities.push(authority.clone());
        }
    }
    let mut chain = vec![leaf];
    // Roots are left out: who does not have them already will not believe them.
    while let Some(next) = authorities.iter().find(|next| {
        !next.is_self_issued() && !chain.contains(next) && chain.last().is_some_and(|last| last.is_issued_by(next))
    }) {
        chain.push(next.clone());
    }
    Some(Identity { chain, key: key.pem().clone(), authorities })
}

fn from_secret(content: &BTreeMap<String, Redacted<String>>, key: &Key) -> Option<Identity> {
    let text = |name: &str| content.get(name).map(|value| value.expose().as_str()).unwrap_or_default();
    let leaf = Certificate::from_pem(text(CERTIFICATE)).ok()?;
    identity(leaf, &Certificate::all(text(AUTHORITIES)), key)
}

/// What to keep, unless it is kept already.
fn store(authority: &Authority, identity: &Identity, request: &str) -> Option<Store> {
    let content: BTreeMap<String, Redacted<String>> = [
        (CERTIFICATE, identity.leaf().pem()),
        (REQUEST, request.trim().to_owned()),
        (CHAIN, x509::bundle(&identity.chain)),
        (AUTHORITIES, x509::bundle(&identity.authorities)),
    ]
    .into_iter()
    .filter(|(_, value)| !value.is_empty()) // Juju keeps no empty values
    .map(|(name, value)| (name.to_owned(), Redacted::new(value)))
    .collect();
    let is_kept = authority.stored.as_ref() == Some(&content);
    (!is_kept).then(|| Store { expire: x509::time_text(due_time(identity.leaf())), content })
}

/// What the operator has to see to, if it is in what the authority published.
fn problem(authority: &Authority, request: Option<&Request>) -> Option<Status> {
    let app = &authority.app;
    let provider = match &authority.published {
        Ok(provider) => provider.as_ref()?,
        Err(error) => return Some(Status::Blocked(format!("{CERTIFICATES}: {app} {error}"))),
    };
    let refusal = provider.refusals.iter().find(|refusal| request.is_some_and(|request| refusal.is_of(request)))?;
    let error = &refusal.error;
    Some(Status::Blocked(format!("{CERTIFICATES}: {app} refused the request: {}: {}", error.name, error.message)))
}

fn waiting(authority: &Authority, gone: Option<(bool, Option<i64>)>) -> Status {
    let app = &authority.app;
    Status::Waiting(match gone {
        Some((true, _)) => format!("{CERTIFICATES}: {app} revoked the certificate; waiting for another one"),
        Some((_, Some(time))) => {
            format!(
                "{CERTIFICATES}: the certificate expired at {}; waiting for {app} to issue another one",
                x509::time_text(time)
            )
        }
        _ => format!("{CERTIFICATES}: waiting for {app} to issue the certificate"),
    })
}

#[cfg(test)]
pub(crate) mod tests;
