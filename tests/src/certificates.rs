//! A test authority with everything that the recordings name, written to a folder.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::stand_in::tls::{self, Identity, Trust};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use rustls::{ClientConfig, ServerConfig};
use tempfile::TempDir;

/// The folder, and what is in it.
#[derive(Debug)]
pub struct Authority {
    folder: TempDir,
}

type Issuer = CertifiedIssuer<'static, KeyPair>;

impl Authority {
    /// Makes all certificates.
    pub fn create() -> Self {
        let authority = Self { folder: tempfile::tempdir().expect("a temporary folder") };
        let root = root_of("test root");
        let other = root_of("another root");
        let intermediate = intermediate(&root);
        authority.write("ca.pem", &root.pem());
        authority.write("ca.crt", &root.pem());
        authority.write("otherca.pem", &other.pem());
        authority.write("otherca.crt", &other.pem());
        authority.write("garbage.pem", "no certificate\n");
        authority.write("bundle.pem", &format!("{}{}", other.pem(), root.pem()));
        let server = [ExtendedKeyUsagePurpose::ServerAuth];
        let client = [ExtendedKeyUsagePurpose::ClientAuth];
        authority.issue("server", &root, &server, None);
        authority.issue_for(&["elsewhere.example"], "elsewhere", &root, &server, None);
        authority.issue("client", &root, &client, None);
        authority.issue("foreign", &other, &client, None);
        authority.issue("serveronly", &root, &server, None);
        authority.issue("chain", &intermediate, &server, Some(&intermediate.pem()));
        authority.issue("leaf", &intermediate, &server, None);
        let both = format!("{}{}", authority.read("server.crt"), authority.read("server.key"));
        authority.write("webserver.pem", &both);
        authority
    }

    /// Where a file is.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The content of a file.
    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// How a server shows itself. `mutual`: it wants a certificate of ours.
    pub fn server(&self, mutual: bool) -> Arc<ServerConfig> {
        self.server_as("server", mutual)
    }

    /// How a server shows itself with one of our certificates.
    pub fn server_as(&self, identity: &str, mutual: bool) -> Arc<ServerConfig> {
        let authorities = mutual.then(|| tls::certificates(self.read("ca.crt").as_bytes()));
        Arc::new(tls::server(self.identity(identity), authorities).expect("our own certificate"))
    }

    /// How a client shows itself: as nobody, or with one of our certificates.
    pub fn client(&self, identity: Option<&str>, knows_us: bool) -> Arc<ClientConfig> {
        let known = if knows_us { tls::certificates(self.read("ca.crt").as_bytes()) } else { Vec::new() };
        let identity = identity.map(|name| self.identity(name));
        Arc::new(tls::client(Trust::Only(known), identity).expect("our own certificate"))
    }

    /// A client that speaks nothing newer than TLS 1.2.
    pub fn old_client(&self, identity: Option<&str>) -> Arc<ClientConfig> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add_parsable_certificates(tls::certificates(self.read("ca.crt").as_bytes()));
        let builder = ClientConfig::builder_with_provider(tls::provider())
            .with_protocol_versions(&[&rustls::version::TLS12])
            .expect("a version that rustls knows")
            .with_root_certificates(roots);
        Arc::new(match identity {
            None => builder.with_no_client_auth(),
            Some(name) => {
                let Identity { chain, key } = self.identity(name);
                builder.with_client_auth_cert(chain, key).expect("our own certificate")
            }
        })
    }

    fn identity(&self, name: &str) -> Identity {
        let chain = tls::certificates(self.read(&format!("{name}.crt")).as_bytes());
        let key = tls::key(self.read(&format!("{name}.key")).as_bytes()).expect("our own key");
        Identity { chain, key }
    }

    fn issue(&self, name: &str, issuer: &Issuer, purposes: &[ExtendedKeyUsagePurpose], more: Option<&str>) {
        self.issue_for(&["127.0.0.1", "::1", "localhost"], name, issuer, purposes, more);
    }

    fn issue_for(
        &self,
        hosts: &[&str],
        name: &str,
        issuer: &Issuer,
        purposes: &[ExtendedKeyUsagePurpose],
        more: Option<&str>,
    ) {
        let key = KeyPair::generate().expect("a new key");
        let hosts: Vec<String> = hosts.iter().map(|&host| host.to_owned()).collect();
        let mut params = CertificateParams::new(hosts).expect("good names");
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = purposes.to_vec();
        let certificate = params.signed_by(&key, issuer).expect("a certificate");
        let chain = format!("{}{}", certificate.pem(), more.unwrap_or_default());
        self.write(&format!("{name}.crt"), &chain);
        self.write(&format!("{name}.pem"), &chain);
        self.write(&format!("{name}.key"), &key.serialize_pem());
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

fn root_of(name: &str) -> Issuer {
    CertifiedIssuer::self_signed(authority_params(name), KeyPair::generate().expect("a new key"))
        .expect("a certificate")
}

fn intermediate(root: &Issuer) -> Issuer {
    let key = KeyPair::generate().expect("a new key");
    CertifiedIssuer::signed_by(authority_params("conformance intermediate"), key, root).expect("a certificate")
}

fn authority_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}
