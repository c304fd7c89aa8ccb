//! A double of a charm that signs certificates, such as self-signed-certificates: it answers the requests in a databag
//! with certificates of an authority of its own. Only what it writes is played, not how it comes to its decisions.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, CertifiedIssuer, DnType, IsCa, KeyPair,
    KeyUsagePurpose,
};
use rustls::pki_types::PrivateKeyDer;
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::juju::Relation;
use crate::juju::state::Bag;
use crate::stand_in::tls::Identity;

/// Where the unit asks.
const REQUESTS: &str = "certificate_signing_requests";

/// An authority that signs by a certificate between its root and the one that is asked for.
#[derive(Debug)]
pub struct Authority {
    root: CertifiedIssuer<'static, KeyPair>,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// From how many days ago until in how many days a certificate counts.
#[derive(Clone, Copy, Debug)]
pub struct Days(pub i64, pub i64);

impl Authority {
    /// A new one.
    pub fn new(name: &str) -> Self {
        let params = |name: &str| {
            let mut params = CertificateParams::default();
            params.distinguished_name.push(DnType::CommonName, name);
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
            params
        };
        let key = || KeyPair::generate().expect("a new key");
        let root = CertifiedIssuer::self_signed(params(&format!("{name} root")), key()).expect("a root");
        let issuer = CertifiedIssuer::signed_by(params(name), key(), &root).expect("a certificate between");
        Self { root, issuer }
    }

    /// The certificate that vouches for all others.
    pub fn root(&self) -> String {
        self.root.pem()
    }

    /// A certificate for a request, with the names it asks for.
    pub fn sign(&self, request: &str, Days(since, until): Days) -> String {
        let mut request = CertificateSigningRequestParams::from_pem(request).expect("a request for a certificate");
        (request.params.not_before, request.params.not_after) = (at(-since), at(until));
        request.signed_by(&self.issuer).expect("a certificate").pem()
    }

    /// What a server of these names, which may be addresses, shows and holds, as in [`Authority::sign`].
    pub fn identity(&self, names: &[&str], Days(since, until): Days) -> Identity {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).expect("names");
        (params.not_before, params.not_after) = (at(-since), at(until));
        let key = KeyPair::generate().expect("a new key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let chain = vec![certificate.der().clone(), self.issuer.der().clone()];
        Identity { chain, key: PrivateKeyDer::try_from(key.serialize_der()).expect("a key") }
    }

    /// The entry that answers a request, with the chain in the usual order.
    pub fn answer(&self, request: &str, days: Days) -> Value {
        let certificate = self.sign(request, days);
        json!({
            "ca": self.root.pem().trim(),
            "certificate_signing_request": request,
            "certificate": certificate.trim(),
            "chain": [certificate.trim(), self.issuer.pem().trim(), self.root.pem().trim()],
        })
    }

    /// Answers everything that the unit asks for in this relation, and drops what it asked for before.
    pub fn sign_all(&self, relation: &mut Relation, days: Days) {
        let answers: Vec<Value> = requests(&relation.local_unit_data).iter().map(|it| self.answer(it, days)).collect();
        publish(relation, &answers);
    }
}

fn at(days: i64) -> OffsetDateTime {
    let time = Timestamp::now() + SignedDuration::from_hours(24 * days);
    OffsetDateTime::from_unix_timestamp(time.as_second()).expect("a time")
}

/// Puts these answers into the databag, in place of those that are there.
pub fn publish(relation: &mut Relation, answers: &[Value]) {
    relation.remote_app_data = if answers.is_empty() {
        BTreeMap::new()
    } else {
        [("certificates".to_owned(), json!(answers).to_string())].into()
    };
}

/// What a unit asks for, as PEM.
pub fn requests(databag: &Bag) -> Vec<String> {
    let Some(text) = databag.get(REQUESTS) else { return Vec::new() };
    let all: Vec<Value> = serde_json::from_str(text).expect("a JSON list");
    all.iter().map(|entry| entry["certificate_signing_request"].as_str().expect("a text").to_owned()).collect()
}
