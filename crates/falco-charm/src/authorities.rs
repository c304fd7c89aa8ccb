//! Whom Falco trusts when it sends alerts: one file for Falco alone. What the host trusts stays as it is.
//!
//! The authorities that relations bring come first, and those of the host behind them: Falco reads one file, and a
//! Falcosidekick behind an ingress may well have a certificate that everybody trusts.
//!
//! The name of the file tells its content. So another set of authorities is another falco.yaml, which Falco is made to
//! load like any other, and the last good one still finds its own.

use std::borrow::Borrow;
use std::collections::BTreeMap;

use anyhow::Result;
use charm_core::Hook;
use charm_core::digest::Digest;
use charm_core::files::{self, File};
use charm_core::x509::{self, Certificate};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_yaml::Value;

use crate::paths::AUTHORITIES;

/// The authorities that relations bring, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Authorities {
    // By digest, so that their order does not depend on who brought them.
    certificates: BTreeMap<Digest, CertificateDer<'static>>,
}

impl Authorities {
    /// Takes them from wherever they come.
    pub fn of(certificates: impl IntoIterator<Item: Borrow<Certificate>>) -> Self {
        let keyed = |certificate: &Certificate| {
            (Digest::of(certificate.der()), CertificateDer::from(certificate.der().to_vec()))
        };
        Self { certificates: certificates.into_iter().map(|certificate| keyed(certificate.borrow())).collect() }
    }

    /// Falco's file, or nothing when no relation brings an authority: then Falco looks where the host keeps its own.
    pub fn file(&self, of_host: &[u8]) -> Option<File> {
        if self.certificates.is_empty() {
            return None;
        }
        // Written anew: one piece of garbage in the file, and Falco would reject every server.
        let content: String = self.all(of_host).map(|certificate| x509::pem(&certificate)).collect();
        Some(File { path: path_of(&Digest::of(&content)), mode: 0o644, content: content.into_bytes() })
    }

    /// What a client that trusts the same looks up.
    pub fn trusted(&self, of_host: &[u8]) -> Vec<CertificateDer<'static>> {
        self.all(of_host).collect()
    }

    fn all<'a>(&'a self, of_host: &'a [u8]) -> impl Iterator<Item = CertificateDer<'static>> + 'a {
        let of_host = CertificateDer::pem_slice_iter(of_host).filter_map(Result::ok);
        let others = of_host.filter(|certificate| !self.certificates.contains_key(&Digest::of(certificate)));
        self.certificates.values().cloned().chain(others)
    }
}

/// The file that a falco.yaml on disk names, as a path of this unit.
pub fn path_in(falco_yaml: &[u8], root: &str) -> Option<String> {
    let yaml: Value = serde_yaml::from_slice(falco_yaml).ok()?;
    let path = yaml.get("http_output")?.get("ca_cert")?.as_str()?.replace("$${", "${");
    path.strip_prefix(root).filter(|path| path.starts_with(AUTHORITIES)).map(str::to_owned)
}

/// The files on disk: whether each is what its name says.
pub fn on_disk(hook: &Hook) -> Result<BTreeMap<String, bool>> {
    let mut found = BTreeMap::new();
    for name in files::list(&hook.path(AUTHORITIES))? {
        let path = format!("{AUTHORITIES}/{name}");
        let content = files::read(&hook.path(&path))?;
        let is_whole = content.is_some_and(|content| path_of(&Digest::of(content)) == path);
        found.insert(path, is_whole);
    }
    Ok(found)
}

fn path_of(content: &Digest) -> String {
    format!("{AUTHORITIES}/{}.pem", content.short())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn authority(name: &str) -> Certificate {
        let mut parameters = rcgen::CertificateParams::default();
        parameters.distinguished_name.push(rcgen::DnType::CommonName, name);
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let pem = parameters.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().pem();
        Certificate::from_pem(&pem).unwrap()
    }

    fn count(file: &File) -> usize {
        CertificateDer::pem_slice_iter(&file.content).count()
    }

    #[test]
    fn the_file_does_not_depend_on_order_or_repetition() {
        let (a, b) = (authority("a"), authority("b"));
        let file = Authorities::of([&a, &b]).file(b"").unwrap();
        assert_eq!(count(&file), 2);
        assert_eq!(Authorities::of([&b, &a, &a]).file(b"").unwrap(), file);
        assert_ne!(Authorities::of([&a]).file(b"").unwrap().path, file.path, "another set is another file");
    }

    #[test]
    fn the_authorities_of_the_host_come_behind_and_each_once() {
        let (a, b) = (authority("a"), authority("b"));
        let of_host = format!("garbage\n{}{}", b.pem(), a.pem());
        let file = Authorities::of([&a]).file(of_host.as_bytes()).unwrap();
        assert_eq!(count(&file), 2);
        assert!(file.content.starts_with(&Authorities::of([&a]).file(b"").unwrap().content));
        assert_eq!(Authorities::of([&a]).trusted(of_host.as_bytes()).len(), 2, "the probe trusts the same");
    }

    #[test]
    fn what_cannot_be_read_in_the_file_of_the_host_is_left_out() {
        let a = authority("a");
        let garbage = b"garbage\n-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n";
        assert_eq!(Authorities::of([&a]).file(garbage), Authorities::of([&a]).file(b""));
    }

    #[test]
    fn without_an_authority_of_ours_falco_looks_where_the_host_keeps_its_own() {
        let host = authority("host").pem();
        assert_eq!(Authorities::default().file(host.as_bytes()), None);
        assert_eq!(Authorities::default().trusted(host.as_bytes()).len(), 1);
    }

    #[test]
    fn only_a_file_of_ours_is_read_out_of_a_falco_yaml() {
        let yaml = format!("http_output: {{ca_cert: '/root{AUTHORITIES}/a.pem'}}");
        assert_eq!(path_in(yaml.as_bytes(), "/root").as_deref(), Some(&*format!("{AUTHORITIES}/a.pem")));
        for other in ["http_output: {ca_cert: ''}", "http_output: {ca_cert: /etc/x.pem}", "\t", "{}"] {
            assert_eq!(path_in(other.as_bytes(), ""), None, "{other}");
        }
    }

    #[test]
    fn a_file_that_is_not_what_its_name_says_is_found_out() {
        let world = crate::world::World::new();
        assert!(on_disk(&world.hook).unwrap().is_empty());
        let file = Authorities::of([&authority("a")]).file(b"").unwrap();
        world.write(&file.path, std::str::from_utf8(&file.content).unwrap());
        let damaged = format!("{AUTHORITIES}/0123456789ab.pem");
        world.write(&damaged, "cut");
        assert_eq!(on_disk(&world.hook).unwrap(), [(file.path, true), (damaged, false)].into());
    }
}
