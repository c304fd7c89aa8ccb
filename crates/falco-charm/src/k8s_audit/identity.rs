//! Certificate and private key of the listener, from a secret. Neither the key nor any word of it is ever in a text.

use anyhow::Result;
use charm_core::digest::Digest;
use charm_core::files::File;
use charm_core::secret::{self, Content, SecretError};
use charm_core::x509::{self, Certificate};
use charm_core::{Hook, Status};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::SECRET;
use crate::paths::K8S_AUDIT_FOLDER;

/// The key of the secret with the certificate and those that signed it.
const CERTIFICATE: &str = "certificate";

/// The key of the secret with the private key.
const PRIVATE_KEY: &str = "private-key";

/// How long before the end of a certificate an operator is told, in seconds: 14 days.
const EARLY: i64 = 14 * 24 * 60 * 60;

/// What to do when there is no secret.
pub const NONE: &str = "set it to a secret with the certificate of the listener: run juju add-secret falco-audit \
                        certificate#file=PATH private-key#file=PATH, then grant it to this application";

/// What the listener shows to those who connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Certificate and key.
    pub file: File,
    /// What the operator has to be told though it can be used: that it ends soon, or has ended.
    pub remark: Option<String>,
}

/// Reads the secret. `now` is in seconds since 1970. The inner error is for the operator.
pub fn read(hook: &Hook, id: &str, now: i64) -> Result<Result<Identity, Status>> {
    let app = hook.unit.app.as_str();
    let problem = match secret::content(id)? {
        Ok(content) => match identity(&content, now) {
            Ok(identity) => return Ok(Ok(identity)),
            Err(problem) => problem,
        },
        Err(SecretError::NotGranted) => {
            format!("this application may not read the secret; run: juju grant-secret {id} {app}")
        }
        Err(SecretError::NotFound | SecretError::NoKey) => {
            format!("there is no secret {id}; set the option to what juju add-secret prints, and grant it to {app}")
        }
    };
    Ok(Err(Status::Blocked(format!("{SECRET}: {problem}"))))
}

/// The one file that the plugin takes, named by its content: with another certificate falco.yaml is another, so that
/// Falco loads it.
fn identity(content: &Content, now: i64) -> Result<Identity, String> {
    let text = |key: &str| {
        content
            .get(key)
            .ok_or_else(|| format!("the secret has no key `{key}`; run: juju update-secret with {key}#file=PATH"))
    };
    let (certificate, key) = (text(CERTIFICATE)?.expose().trim(), text(PRIVATE_KEY)?.expose().trim());
    check(certificate.as_bytes(), key.as_bytes())?;
    let content = format!("{certificate}\n{key}\n").into_bytes();
    let path = format!("{K8S_AUDIT_FOLDER}/{}.pem", Digest::of(&content).short());
    Ok(Identity { file: File { path, mode: 0o600, content }, remark: remark(certificate, now) })
}

/// Falco shows an expired certificate as any other, and the API servers turn away without a word in Falco's log.
fn remark(certificate: &str, now: i64) -> Option<String> {
    let end = Certificate::from_pem(certificate).ok()?.not_after;
    let time = x509::time_text(end);
    if end <= now {
        return Some(format!("{SECRET}: the certificate expired at {time}, so that no API server sends; renew it"));
    }
    (end - now < EARLY).then(|| format!("{SECRET}: the certificate expires at {time}; renew it before"))
}

/// Falco would end on what cannot be used, and says so only when it has started.
fn check(certificate: &[u8], key: &[u8]) -> Result<(), String> {
    let chain: Vec<CertificateDer<'static>> =
        CertificateDer::pem_slice_iter(certificate).collect::<Result<_, _>>().unwrap_or_default();
    if chain.is_empty() {
        return Err(format!("`{CERTIFICATE}` has no certificate in it, as PEM text"));
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| {
        format!("`{PRIVATE_KEY}` has no private key in it that can be read, as PEM text without a passphrase")
    })?;
    let provider = rustls::crypto::ring::default_provider();
    let server = ServerConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_no_client_auth();
    server.with_single_cert(chain, key).map(drop).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => {
            format!("`{PRIVATE_KEY}` is not the key of the first certificate in `{CERTIFICATE}`")
        }
        error => format!("certificate and key cannot be used: {error}"),
    })
}

#[cfg(test)]
mod tests {
    use charm_core::secret::Redacted;
    use rcgen::{CertificateParams, CertifiedKey, KeyPair, date_time_ymd, generate_simple_self_signed};

    use super::*;

    const DAY: i64 = 24 * 60 * 60;

    fn pair() -> (String, String) {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["falco".to_owned()]).unwrap();
        (cert.pem(), signing_key.serialize_pem())
    }

    fn content(pairs: &[(&str, &str)]) -> Content {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), Redacted::new((*value).to_owned()))).collect()
    }

    #[test]
    fn certificate_and_key_become_one_file_named_by_what_is_in_it() {
        let (certificate, key) = pair();
        let file = identity(&content(&[(CERTIFICATE, &certificate), (PRIVATE_KEY, &key)]), 0).unwrap().file;
        let text = String::from_utf8(file.content.clone()).unwrap();
        assert!(text.starts_with("-----BEGIN CERTIFICATE") && text.ends_with("PRIVATE KEY-----\n"));
        assert_eq!(file.mode, 0o600);
        let (certificate, key) = pair();
        let other = identity(&content(&[(CERTIFICATE, &certificate), (PRIVATE_KEY, &key)]), 0).unwrap().file;
        assert_ne!(file.path, other.path);
    }

    #[test]
    fn what_falco_would_end_on_is_refused_and_never_quoted() {
        let ((certificate, key), (_, other_key)) = (pair(), pair());
        for (pairs, named) in [
            (&[(CERTIFICATE, certificate.as_str())][..], PRIVATE_KEY),
            (&[(PRIVATE_KEY, key.as_str())], CERTIFICATE),
            (&[(CERTIFICATE, "hunter2"), (PRIVATE_KEY, key.as_str())], "no certificate"),
            (&[(CERTIFICATE, certificate.as_str()), (PRIVATE_KEY, "hunter2")], "no private key"),
            (&[(CERTIFICATE, certificate.as_str()), (PRIVATE_KEY, certificate.as_str())], "no private key"),
            (&[(CERTIFICATE, certificate.as_str()), (PRIVATE_KEY, other_key.as_str())], "is not the key"),
        ] {
            let problem = identity(&content(pairs), 0).unwrap_err();
            assert!(problem.contains(named) && !problem.contains("hunter2"), "{problem}");
        }
    }

    #[test]
    fn a_certificate_that_ends_within_14_days_or_has_ended_is_told_with_its_time() {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(["falco".to_owned()]).unwrap();
        params.not_after = date_time_ymd(2030, 6, 15);
        let (end, certificate) = (params.not_after.unix_timestamp(), params.self_signed(&key).unwrap().pem());
        let pairs = content(&[(CERTIFICATE, &certificate), (PRIVATE_KEY, &key.serialize_pem())]);
        let told = |now: i64| identity(&pairs, now).unwrap().remark.unwrap_or_default();
        assert_eq!(told(end - 14 * DAY), "");
        for (now, part) in [(end - 14 * DAY + 1, "expires at"), (end - 1, "expires at"), (end, "expired at")] {
            assert!(told(now).contains(&format!("{part} 2030-06-15T00:00:00Z")), "{}", told(now));
        }
    }
}
