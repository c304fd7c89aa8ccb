//! Private keys, and the requests that are made with them.

use std::collections::BTreeSet;
use std::fmt;

use rcgen::string::Ia5String;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, SanType};
use uuid::Uuid;
use yasna::models::ObjectIdentifier;

use super::{Name, Request, X509Error};
use crate::secret::Redacted;

/// What a common name may be at most, in characters.
const LONGEST_COMMON_NAME: usize = 64;

/// Makes each request another one, also with the same key and names: a provider tells requests apart by their bytes.
const UNIQUE_IDENTIFIER: [u64; 4] = [2, 5, 4, 45];

/// The algorithm of the keys that Python charms made.
const RSA_ENCRYPTION: [u64; 7] = [1, 2, 840, 113_549, 1, 1, 1];

/// A private key. Never prints itself.
pub struct Key {
    pair: KeyPair,
    pem: Redacted<String>,
    public: Vec<u8>,
}

impl Key {
    /// A new ECDSA key on P-256, which every TLS client knows and which takes no time to make.
    pub fn generate() -> Result<Self, X509Error> {
        let pair = KeyPair::generate().map_err(|error| X509Error(format!("a new key cannot be made: {error}")))?;
        let pem = pair.serialize_pem().replace("\r\n", "\n");
        Ok(Self::new(pair, pem))
    }

    /// Reads a key: PKCS#8, of ECDSA or RSA, or the older form of RSA alone.
    pub fn from_pem(text: &str) -> Result<Self, X509Error> {
        // None of the errors may say what it failed to read.
        let failed = |problem: &str| X509Error(format!("it is not a private key ({problem})"));
        let pem = ::pem::parse(text).map_err(|_| failed("not PEM"))?;
        let pkcs8 = match pem.tag() {
            "PRIVATE KEY" => pem.contents().to_vec(),
            "RSA PRIVATE KEY" => rsa_as_pkcs8(pem.contents()),
            _ => return Err(failed("neither PRIVATE KEY nor RSA PRIVATE KEY")),
        };
        let pair = KeyPair::try_from(pkcs8).map_err(|_| failed("of a kind that is not known"))?;
        let text = text.trim().to_owned() + "\n";
        Ok(Self::new(pair, text))
    }

    fn new(pair: KeyPair, pem: String) -> Self {
        let public = rcgen::PublicKeyData::subject_public_key_info(&pair);
        Self { pair, pem: Redacted::new(pem), public }
    }

    /// The PEM text as it was read, or PKCS#8 of a new one.
    pub fn pem(&self) -> &Redacted<String> {
        &self.pem
    }

    pub(super) fn public_key(&self) -> &[u8] {
        &self.public
    }

    /// A new request for a certificate with these names. The common name is for people only, and is cut.
    pub fn request(&self, common_name: &str, names: &BTreeSet<Name>) -> Result<Request, X509Error> {
        let failed = |error: rcgen::Error| X509Error(format!("a request cannot be made: {error}"));
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        let common_name: String = common_name.chars().take(LONGEST_COMMON_NAME).collect();
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.distinguished_name.push(DnType::CustomDnType(UNIQUE_IDENTIFIER.to_vec()), Uuid::new_v4().to_string());
        for name in names {
            params.subject_alt_names.push(match name {
                Name::Dns(name) => SanType::DnsName(Ia5String::try_from(name.as_str()).map_err(failed)?),
                Name::Ip(address) => SanType::IpAddress(*address),
            });
        }
        let request = params.serialize_request(&self.pair).map_err(failed)?;
        Request::from_der(request.der().to_vec())
            .ok_or_else(|| X509Error("a request was made that cannot be read".to_owned()))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Key([redacted])")
    }
}

/// The key with its algorithm in front, which is what PKCS#8 adds.
fn rsa_as_pkcs8(pkcs1: &[u8]) -> Vec<u8> {
    yasna::construct_der(|writer| {
        writer.write_sequence(|writer| {
            writer.next().write_u8(0);
            writer.next().write_sequence(|writer| {
                writer.next().write_oid(&ObjectIdentifier::from_slice(&RSA_ENCRYPTION));
                writer.next().write_null();
            });
            writer.next().write_bytes(pkcs1);
        });
    })
}
