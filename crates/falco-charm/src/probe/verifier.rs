//! Which certificates of a server count, as they do for Falco's client: those of an authority that is trusted, and those
//! that are trusted themselves.
//!
//! rustls alone asks for an authority always. A certificate that signed itself is one that libcurl takes, and a site
//! without an authority brings nothing else.

use std::sync::Arc;

use charm_core::x509::Certificate;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

/// Checks what a server shows.
#[derive(Debug)]
pub struct Verifier {
    trusted: Vec<CertificateDer<'static>>,
    roots: RootCertStore,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Verifier {
    /// Trusts these, whether they are authorities or not.
    pub fn new(trusted: Vec<CertificateDer<'static>>, provider: &Arc<CryptoProvider>) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(trusted.iter().cloned());
        Self { trusted, roots, algorithms: provider.signature_verification_algorithms }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let parsed = ParsedCertificate::try_from(shown)?;
        if self.trusted.contains(shown) {
            check_time(shown, now)?;
        } else {
            let algorithms = self.algorithms.all;
            verify_server_cert_signed_by_trust_anchor(&parsed, &self.roots, intermediates, now, algorithms)?;
        }
        verify_server_name(&parsed, name).map_err(|error| in_plain_words(error, shown))?;
        Ok(ServerCertVerified::assertion())
    }

    // Whoever shows a certificate has to prove that its key is theirs, whatever makes it count.
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, shown, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, shown, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// What an authority would otherwise be asked about along with the rest.
fn check_time(shown: &CertificateDer<'_>, now: UnixTime) -> Result<(), Error> {
    let read = Certificate::from_der(shown.to_vec()).ok_or(CertificateError::BadEncoding)?;
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    if now < read.not_before {
        return Err(CertificateError::NotValidYet.into());
    }
    if now > read.not_after {
        return Err(CertificateError::Expired.into());
    }
    Ok(())
}

/// rustls tells the names of a certificate as a program writes them.
fn in_plain_words(error: Error, shown: &CertificateDer<'_>) -> Error {
    match error {
        Error::InvalidCertificate(CertificateError::NotValidForNameContext { expected, .. }) => {
            let names = Certificate::from_der(shown.to_vec()).map(|read| read.names).unwrap_or_default();
            let presented = names.iter().map(ToString::to_string).collect();
            CertificateError::NotValidForNameContext { expected, presented }.into()
        }
        other => other,
    }
}
