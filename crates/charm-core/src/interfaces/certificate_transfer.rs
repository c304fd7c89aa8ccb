//! `certificate_transfer`, version 1: whom to believe, handed on.

use super::{DatabagError, RelationData};
use crate::relation::Databag;
use crate::x509::Certificate;

const CERTIFICATES: &str = "certificates";
const VERSION: &str = "version";

/// The version that is spoken here. Providers that know several look at what the requirer says.
const THIS_VERSION: &str = "1";

/// More than any site has; but a peer may write anything.
const MOST_CERTIFICATES: usize = 500;

/// What the provider publishes in its application's databag.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Provider {
    /// Whom to believe.
    pub certificates: Vec<Certificate>,
    /// How many texts beside those hold none.
    pub unusable: usize,
}

impl Provider {
    /// What of it cannot be used, in words that follow the name of who published it.
    pub fn problem(&self) -> Option<String> {
        let Self { unusable, .. } = self;
        (*unusable > 0)
            .then(|| format!("published certificates of which {unusable} cannot be read; the others are used"))
    }
}

impl RelationData for Provider {
    /// What comes out is certificates and nothing else, whatever the other side wrote.
    fn read(databag: &Databag) -> Result<Option<Self>, DatabagError> {
        let Some(value) = databag.get(CERTIFICATES) else { return Ok(None) };
        let failed = |problem| DatabagError::new(CERTIFICATES, value, problem);
        let texts: Vec<String> = serde_json::from_str(value).map_err(|_| failed("it is not a JSON list of texts"))?;
        let (mut certificates, mut unusable) = (Vec::new(), 0);
        for text in &texts {
            let found = Certificate::all(text);
            unusable += usize::from(found.is_empty());
            for certificate in found {
                if !certificates.contains(&certificate) {
                    certificates.push(certificate);
                }
            }
            if certificates.len() > MOST_CERTIFICATES {
                return Err(failed("it holds more certificates than anybody needs"));
            }
        }
        if certificates.is_empty() && unusable > 0 {
            return Err(failed("it holds no certificate in PEM"));
        }
        Ok(Some(Self { certificates, unusable }))
    }

    fn write(&self) -> Databag {
        let texts: Vec<String> = self.certificates.iter().map(Certificate::pem).collect();
        let (certificates, version) = match &texts[..] {
            [] => (String::new(), String::new()),
            texts => (serde_json::to_string(texts).expect("texts are JSON"), THIS_VERSION.to_owned()),
        };
        [(CERTIFICATES, certificates), (VERSION, version)].into_iter().collect()
    }
}

/// What the requirer publishes in its application's databag.
pub fn requirer() -> Databag {
    [(VERSION, THIS_VERSION)].into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str) -> Result<Option<Provider>, DatabagError> {
        Provider::read(&[(CERTIFICATES, value)].into_iter().collect())
    }

    #[test]
    fn nothing_published_is_not_an_error_and_garbage_is() {
        assert_eq!(read(""), Ok(None));
        assert_eq!(read("[]").unwrap().unwrap().certificates, []);
        for value in ["garbage", "7", "{}", "\"x\"", "[7]", "[\"\"]", "[\"garbage\"]", "[[]]", "null"] {
            assert!(read(value).is_err(), "{value}");
        }
    }

    #[test]
    fn one_unusable_certificate_does_not_take_the_others_along() {
        let mut parameters = rcgen::CertificateParams::default();
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let pem = parameters.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().pem();
        let texts = [pem.as_str(), "garbage", ""];
        let provider = read(&serde_json::to_string(&texts).unwrap()).unwrap().unwrap();
        assert_eq!(provider.certificates, Certificate::all(&pem));
        assert_eq!((provider.certificates.len(), provider.unusable), (1, 2));
    }

    #[test]
    fn with_nobody_to_believe_the_keys_are_removed() {
        assert_eq!(Provider::default().write(), [(CERTIFICATES, ""), (VERSION, "")].into_iter().collect());
    }
}
