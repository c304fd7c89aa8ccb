//! `falcosidekick_http_endpoint`: where a Falcosidekick takes alerts.

use url::Url;

use super::{DatabagError, RelationData, http_url};
use crate::relation::Databag;
use crate::x509::{self, Certificate};

const URL: &str = "url";
const CA: &str = "ca";

/// A chain and a few roots that follow each other.
const MOST_CERTIFICATES: usize = 50;

/// What the provider, a Falcosidekick, publishes in its application's databag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provider {
    /// Where to POST alerts to.
    pub url: Url,
    /// Whom to believe there, beside those whom everybody believes. A requirer that does not know the key takes no
    /// notice of it.
    pub ca: Vec<Certificate>,
}

impl RelationData for Provider {
    /// The value is JSON: a text with its quotes.
    fn read(databag: &Databag) -> Result<Option<Self>, DatabagError> {
        let Some(value) = databag.get(URL) else {
            return Ok(None);
        };
        let text: String =
            serde_json::from_str(value).map_err(|_| DatabagError::new(URL, value, "it is not a JSON text"))?;
        Ok(Some(Self { url: http_url(URL, &text)?, ca: authorities(databag)? }))
    }

    fn write(&self) -> Databag {
        // A URL holds nothing that JSON would escape differently than Python does.
        let url = serde_json::Value::from(self.url.as_str()).to_string();
        [(URL, url.as_str())].into_iter().chain(whom_to_believe(&self.ca).iter()).collect()
    }
}

/// The part of it that tells whom to believe.
pub fn whom_to_believe(authorities: &[Certificate]) -> Databag {
    let ca = match authorities {
        [] => String::new(),
        all => serde_json::Value::from(x509::bundle(all)).to_string(),
    };
    [(CA, ca)].into_iter().collect()
}

/// What comes out is PEM of certificates and nothing else, whatever the other side wrote.
fn authorities(databag: &Databag) -> Result<Vec<Certificate>, DatabagError> {
    let Some(value) = databag.get(CA) else { return Ok(Vec::new()) };
    let failed = |problem| DatabagError::new(CA, value, problem);
    let text: String = serde_json::from_str(value).map_err(|_| failed("it is not a JSON text"))?;
    match Certificate::all(&text) {
        all if all.is_empty() => Err(failed("it holds no certificate in PEM")),
        all if all.len() > MOST_CERTIFICATES => Err(failed("it holds more certificates than anybody needs")),
        all => Ok(all),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str) -> Result<Option<Provider>, DatabagError> {
        Provider::read(&[(URL, value)].into_iter().collect())
    }

    #[test]
    fn nothing_published_is_not_an_error() {
        assert_eq!(Provider::read(&Databag::default()), Ok(None));
        assert_eq!(read(""), Ok(None));
    }

    #[test]
    fn what_is_not_a_json_text_or_not_an_http_url_is_unusable() {
        for value in [
            "https://bare.example/",
            "7",
            "null",
            "[]",
            "\"\"",
            "\"ftp://h/\"",
            "\"h:80\"",
            "\"https://\"",
            "\"https://h:99999/\"",
        ] {
            assert!(read(value).is_err(), "{value}");
        }
    }

    #[test]
    fn whom_to_believe_is_optional_and_garbage_in_it_is_unusable() {
        let with = |ca: &str| Provider::read(&[(URL, "\"https://h/\""), (CA, ca)].into_iter().collect());
        assert_eq!(with("").unwrap().unwrap().ca, []);
        let forged = "\"-----BEGIN CERTIFICATE-----\\naGVsbG8=\\n-----END CERTIFICATE-----\\n\"";
        for value in ["garbage", "7", "[]", "\"\"", "\"garbage\"", forged] {
            let error = with(value).unwrap_err().to_string();
            assert!(error.starts_with("published ca "), "{error}");
        }
    }

    #[test]
    fn nothing_that_could_break_a_line_or_a_quote_survives() {
        let provider = read(r#""https://h/a b\"c'\nd\u0000?x=%24$y""#).unwrap().unwrap();
        assert_eq!(provider.url.as_str(), "https://h/a%20b%22c'd%00?x=%24$y");
    }

    #[test]
    fn an_unusable_url_is_quoted_without_what_may_be_a_password() {
        let error = read("\"https://a b/:hunter2@h.example/ x\"").unwrap_err().to_string();
        assert!(error.contains("…@h.example/ x") && !error.contains("hunter2"), "{error}");
    }

    #[test]
    fn a_megabyte_is_refused_and_quoted_in_part() {
        let error = read(&format!("\"https://h/{}\"", "x".repeat(1 << 20))).unwrap_err();
        assert!(error.to_string().len() < 300, "{error}");
    }
}
