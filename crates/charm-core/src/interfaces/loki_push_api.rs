//! `loki_push_api`: where a Loki, or something that speaks like one, takes log lines.

use serde::Deserialize;
use url::Url;

use super::{DatabagError, RelationData, http_url};
use crate::relation::Databag;
use crate::topology::Topology;

const ENDPOINT: &str = "endpoint";

/// What the provider, a Loki, publishes in the databag of each of its units.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provider {
    /// The whole URL of the push API, path included.
    pub url: Url,
}

#[derive(Deserialize)]
struct Endpoint {
    url: String,
}

impl RelationData for Provider {
    fn read(databag: &Databag) -> Result<Option<Self>, DatabagError> {
        let Some(value) = databag.get(ENDPOINT) else {
            return Ok(None);
        };
        let endpoint: Endpoint = serde_json::from_str(value)
            .map_err(|_| DatabagError::new(ENDPOINT, value, "it is not a JSON object with a url"))?;
        Ok(Some(Self { url: http_url(ENDPOINT, &endpoint.url)? }))
    }

    fn write(&self) -> Databag {
        [(ENDPOINT, serde_json::json!({ "url": self.url.as_str() }).to_string())].into_iter().collect()
    }
}

/// What the requirer, the one who sends lines, publishes in its application's databag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirer {
    /// Who sends.
    pub topology: Topology,
    /// Rules for Loki's ruler, `{}` for none. A Loki that finds something else than JSON here fails.
    pub alert_rules: serde_json::Value,
}

impl Requirer {
    /// What to set. Nobody of ours reads it back, so this is no [`RelationData`].
    pub fn write(&self) -> Databag {
        let metadata = serde_json::to_string(&self.topology).expect("a struct of texts is JSON");
        [("metadata", metadata), ("alert_rules", self.alert_rules.to_string())].into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str) -> Result<Option<Provider>, DatabagError> {
        Provider::read(&[(ENDPOINT, value)].into_iter().collect())
    }

    #[test]
    fn the_whole_push_url_is_kept() {
        let provider = read(r#"{"url": "https://h/model-loki-0/loki/api/v1/push?a=b", "later": 1}"#).unwrap().unwrap();
        assert_eq!(provider.url.as_str(), "https://h/model-loki-0/loki/api/v1/push?a=b");
    }

    #[test]
    fn nothing_published_is_not_an_error_and_garbage_is() {
        assert_eq!(read(""), Ok(None));
        for value in
            ["{}", "[]", "null", "\"http://h/\"", "{\"url\": 7}", "{\"url\": \"\"}", "{\"url\": \"loki\"}", "\u{1}"]
        {
            assert!(read(value).is_err(), "{value}");
        }
    }
}
