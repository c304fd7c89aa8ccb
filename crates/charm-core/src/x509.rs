//! Certificates, requests for them, and the keys they belong to, as plain data.
//!
//! What is read is somebody else's, so nothing here fails on it, and what comes out is written anew: a text beside a
//! certificate never gets into a file. Whether a certificate is trusted is decided by whoever connects
//! ([`crate::https`]), not here. Pure, but for the randomness of keys and signatures.

mod key;
mod name;

use std::collections::BTreeSet;
use std::fmt;

use ::pem::{EncodeConfig, LineEnding, Pem};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer as _, X509Certificate};

pub use self::key::Key;
pub use self::name::Name;

const CERTIFICATE: &str = "CERTIFICATE";
/// Old programs write the second.
const REQUEST: [&str; 2] = ["CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"];

/// Why a text cannot be used, in words that follow it: `it is not …`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct X509Error(String);

impl fmt::Display for X509Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for X509Error {}

/// A certificate.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Whom it is for, as clients compare it. The common name is of no account.
    pub names: BTreeSet<Name>,
    /// From when on it counts, in seconds since 1970.
    pub not_before: i64,
    /// Until when.
    pub not_after: i64,
    /// Whether it may sign others.
    pub is_authority: bool,
    /// Whom it is about, for people.
    pub subject: String,
    /// Who signed it, for people.
    pub issuer: String,
    public_key: Vec<u8>,
    raw_subject: Vec<u8>,
    raw_issuer: Vec<u8>,
    der: Vec<u8>,
}

impl Certificate {
    /// The first certificate of a PEM text.
    pub fn from_pem(text: &str) -> Result<Self, X509Error> {
        let der = first(text, &[CERTIFICATE])?;
        Self::from_der(der).ok_or_else(|| X509Error("it is not a certificate".to_owned()))
    }

    /// All certificates of a PEM text. What is none is left out.
    pub fn all(text: &str) -> Vec<Self> {
        let blocks = ::pem::parse_many(text).unwrap_or_default();
        blocks
            .into_iter()
            .filter(|pem| pem.tag() == CERTIFICATE)
            .filter_map(|pem| Self::from_der(pem.into_contents()))
            .collect()
    }

    /// The certificate that the bytes are.
    pub fn from_der(der: Vec<u8>) -> Option<Self> {
        let (rest, read) = X509Certificate::from_der(&der).ok()?;
        let names = read.subject_alternative_name().ok()?.map(|extension| names(&extension.value.general_names));
        let certificate = Self {
            names: names.unwrap_or_default(),
            not_before: read.validity().not_before.timestamp(),
            not_after: read.validity().not_after.timestamp(),
            is_authority: read.is_ca(),
            subject: read.subject().to_string(),
            issuer: read.issuer().to_string(),
            public_key: read.public_key().raw.to_vec(),
            raw_subject: read.subject().as_raw().to_vec(),
            raw_issuer: read.issuer().as_raw().to_vec(),
            der: Vec::new(),
        };
        rest.is_empty().then_some(())?;
        Some(Self { der, ..certificate })
    }

    /// The PEM text, which ends in a line feed.
    pub fn pem(&self) -> String {
        pem(&self.der)
    }

    /// Whether it is about this key.
    pub fn is_of(&self, key: &Key) -> bool {
        self.public_key == key.public_key()
    }

    /// Whether it says that the other signed it. A claim, which only who connects checks.
    pub fn is_issued_by(&self, other: &Self) -> bool {
        self.raw_issuer == other.raw_subject
    }

    /// Whether it says that it signed itself, as roots do.
    pub fn is_self_issued(&self) -> bool {
        self.is_issued_by(self)
    }

    /// The bytes, for who checks it.
    pub fn der(&self) -> &[u8] {
        &self.der
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { names, not_before, not_after, subject, issuer, .. } = self;
        out.debug_struct("Certificate")
            .field("subject", subject)
            .field("issuer", issuer)
            .field("names", names)
            .field("not_before", not_before)
            .field("not_after", not_after)
            .finish_non_exhaustive()
    }
}

/// A request for a certificate.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    /// Whom the certificate shall be for.
    pub names: BTreeSet<Name>,
    public_key: Vec<u8>,
    der: Vec<u8>,
}

impl Request {
    /// The first request of a PEM text.
    pub fn from_pem(text: &str) -> Result<Self, X509Error> {
        let der = first(text, &REQUEST)?;
        Self::from_der(der).ok_or_else(|| X509Error("it is not a request for a certificate".to_owned()))
    }

    fn from_der(der: Vec<u8>) -> Option<Self> {
        let (rest, read) = X509CertificationRequest::from_der(&der).ok()?;
        rest.is_empty().then_some(())?;
        let mut wanted = BTreeSet::new();
        for extension in read.requested_extensions().into_iter().flatten() {
            if let ParsedExtension::SubjectAlternativeName(extension) = extension {
                wanted.extend(names(&extension.general_names));
            }
        }
        let public_key = read.certification_request_info.subject_pki.raw.to_vec();
        Some(Self { names: wanted, public_key, der })
    }

    /// The PEM text, which ends in a line feed.
    pub fn pem(&self) -> String {
        to_pem(REQUEST[0], &self.der)
    }

    /// Whether it was made with this key.
    pub fn is_of(&self, key: &Key) -> bool {
        self.public_key == key.public_key()
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Request").field("names", &self.names).finish_non_exhaustive()
    }
}

/// The PEM text of a certificate whose bytes these are, which ends in a line feed. It need not be one that can be read
/// here.
pub fn pem(der: &[u8]) -> String {
    to_pem(CERTIFICATE, der)
}

/// Several certificates in one text, as programs read them.
pub fn bundle(certificates: &[Certificate]) -> String {
    certificates.iter().map(Certificate::pem).collect()
}

/// A time in seconds since 1970 as everybody writes it: `2026-01-02T03:04:05Z`.
pub fn time_text(seconds: i64) -> String {
    let time = OffsetDateTime::from_unix_timestamp(seconds).ok().and_then(|time| time.format(&Rfc3339).ok());
    time.unwrap_or_else(|| format!("{seconds} s after 1970"))
}

fn names(all: &[GeneralName<'_>]) -> BTreeSet<Name> {
    let read = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some(Name::Dns(name.to_ascii_lowercase())),
        GeneralName::IPAddress(bytes) => Name::from_bytes(bytes),
        _ => None,
    };
    all.iter().filter_map(read).collect()
}

fn first(text: &str, tags: &[&str]) -> Result<Vec<u8>, X509Error> {
    let blocks = ::pem::parse_many(text).map_err(|_| X509Error("it is not PEM".to_owned()))?;
    let block = blocks.into_iter().find(|pem| tags.contains(&pem.tag()));
    block.map(Pem::into_contents).ok_or_else(|| X509Error(format!("it has no {}", tags[0])))
}

fn to_pem(tag: &str, der: &[u8]) -> String {
    ::pem::encode_config(&Pem::new(tag, der), EncodeConfig::new().set_line_ending(LineEnding::LF))
}

#[cfg(test)]
mod tests;
