//! `tls-certificates`, version 1, one certificate for each unit: who signs, and what is asked to be signed.
//!
//! Requests are told apart by what they hold, not by their text, which each side writes in its own way.

use serde::{Deserialize, Serialize};

use super::{DatabagError, RelationData};
use crate::relation::Databag;
use crate::x509::{Certificate, Request};

const REQUESTS: &str = "certificate_signing_requests";
const CERTIFICATES: &str = "certificates";
const ERRORS: &str = "request_errors";

/// What the requirer publishes in the databag of each of its units.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requirer {
    /// The requests, as PEM.
    pub requests: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct AskedFor {
    certificate_signing_request: String,
    /// Without it a provider takes no notice of the request.
    #[serde(default)]
    ca: Option<bool>,
}

impl Requirer {
    /// The requests that can be read.
    pub fn readable(&self) -> Vec<Request> {
        self.requests.iter().filter_map(|text| Request::from_pem(text).ok()).collect()
    }
}

impl RelationData for Requirer {
    fn read(databag: &Databag) -> Result<Option<Self>, DatabagError> {
        let asked_for: Option<Vec<AskedFor>> = list(databag, REQUESTS)?;
        let text = |asked: AskedFor| asked.certificate_signing_request;
        Ok(asked_for.map(|all| Self { requests: all.into_iter().map(text).collect() }))
    }

    fn write(&self) -> Databag {
        let ask = |pem: &String| AskedFor { certificate_signing_request: pem.trim().to_owned(), ca: Some(false) };
        let all: Vec<AskedFor> = self.requests.iter().map(ask).collect();
        let text = if all.is_empty() { String::new() } else { serde_json::to_string(&all).expect("texts are JSON") };
        [(REQUESTS, text)].into_iter().collect()
    }
}

/// What the provider publishes in its application's databag: all answers to all units of all its requirers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Provider {
    /// What was signed.
    pub answers: Vec<Answer>,
    /// What was not.
    pub refusals: Vec<Refusal>,
}

/// A certificate for a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Who signed it, as PEM.
    pub ca: String,
    /// The request, as PEM.
    pub certificate_signing_request: String,
    /// The certificate, as PEM.
    pub certificate: String,
    /// The certificate and those between it and the one who signed, as PEM; meant to be in this order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain: Option<Vec<String>>,
    /// Whether it counts no longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<bool>,
}

/// Why there is no certificate for a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The request, as PEM.
    pub csr: String,
    /// Why.
    pub error: RefusalError,
}

/// The reason, in the provider's words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusalError {
    /// One of a few numbers.
    pub code: i64,
    /// The name of that number.
    pub name: String,
    /// A sentence.
    pub message: String,
    /// More about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Who says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Where it was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
}

impl Answer {
    /// Whether it is about this request.
    pub fn is_to(&self, request: &Request) -> bool {
        Request::from_pem(&self.certificate_signing_request).as_ref() == Ok(request)
    }

    /// Whether it counts no longer.
    pub fn is_revoked(&self) -> bool {
        self.revoked == Some(true)
    }

    /// All certificates beside the one that was asked for: who signed it, and those in between, in no certain order.
    pub fn authorities(&self) -> Vec<Certificate> {
        let texts = std::iter::once(&self.ca).chain(self.chain.iter().flatten());
        texts.flat_map(|text| Certificate::all(text)).filter(|certificate| certificate.is_authority).collect()
    }
}

impl Refusal {
    /// Whether it is about this request.
    pub fn is_of(&self, request: &Request) -> bool {
        Request::from_pem(&self.csr).as_ref() == Ok(request)
    }
}

impl RelationData for Provider {
    fn read(databag: &Databag) -> Result<Option<Self>, DatabagError> {
        let (answers, refusals) = (list(databag, CERTIFICATES)?, list(databag, ERRORS)?);
        if answers.is_none() && refusals.is_none() {
            return Ok(None);
        }
        Ok(Some(Self { answers: answers.unwrap_or_default(), refusals: refusals.unwrap_or_default() }))
    }

    fn write(&self) -> Databag {
        let text = |empty, json: serde_json::Result<String>| if empty { String::new() } else { json.expect("texts") };
        [
            (CERTIFICATES, text(self.answers.is_empty(), serde_json::to_string(&self.answers))),
            (ERRORS, text(self.refusals.is_empty(), serde_json::to_string(&self.refusals))),
        ]
        .into_iter()
        .collect()
    }
}

fn list<T: for<'de> Deserialize<'de>>(databag: &Databag, key: &'static str) -> Result<Option<Vec<T>>, DatabagError> {
    let Some(value) = databag.get(key) else { return Ok(None) };
    serde_json::from_str(value)
        .map(Some)
        .map_err(|_| DatabagError::new(key, value, "it is not a JSON list of objects with the keys of this interface"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::x509::Key;

    #[test]
    fn nothing_published_is_not_an_error_and_garbage_is() {
        assert_eq!(Provider::read(&Databag::default()), Ok(None));
        assert_eq!(Requirer::read(&Databag::default()), Ok(None));
        for value in ["garbage", "7", "{}", "null", "[7]", "[{}]", "[{\"csr\": 7}]", "[[]]", "\"x\""] {
            for key in [CERTIFICATES, ERRORS] {
                assert!(Provider::read(&[(key, value)].into_iter().collect()).is_err(), "{key} {value}");
            }
            assert!(Requirer::read(&[(REQUESTS, value)].into_iter().collect()).is_err(), "{value}");
        }
    }

    #[test]
    fn an_answer_is_found_by_its_request_however_that_is_written() {
        let key = Key::generate().unwrap();
        let (ours, other) = (key.request("a", &[].into()).unwrap(), key.request("a", &[].into()).unwrap());
        let answer = |text: String| Answer {
            ca: String::new(),
            certificate_signing_request: text,
            certificate: String::new(),
            chain: None,
            revoked: None,
        };
        assert!(answer(ours.pem()).is_to(&ours));
        assert!(answer(ours.pem().trim().replace('\n', "\r\n")).is_to(&ours));
        assert!(!answer(other.pem()).is_to(&ours) && !answer("garbage".into()).is_to(&ours));
    }

    #[test]
    fn without_requests_the_key_is_removed() {
        assert_eq!(Requirer::default().write(), [(REQUESTS, "")].into_iter().collect());
    }
}
