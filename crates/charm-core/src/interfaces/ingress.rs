//! `ingress`, version 2, one way in for all units of an application.

use std::net::IpAddr;

use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use super::{DatabagError, RelationData, http_url};
use crate::relation::Databag;

const INGRESS: &str = "ingress";

/// What the provider publishes in its application's databag once there is a way in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provider {
    /// Where the application is reached, with a path that has to stay.
    pub url: Url,
}

#[derive(Deserialize)]
struct Published {
    url: String,
}

impl RelationData for Provider {
    fn read(databag: &Databag) -> Result<Option<Self>, DatabagError> {
        let Some(value) = databag.get(INGRESS) else { return Ok(None) };
        // One that takes its URL back may leave an empty object.
        if serde_json::from_str(value).ok() == Some(json!({})) {
            return Ok(None);
        }
        let published: Published = serde_json::from_str(value)
            .map_err(|_| DatabagError::new(INGRESS, value, "it is not a JSON object with a url"))?;
        Ok(Some(Self { url: http_url(INGRESS, &published.url)? }))
    }

    fn write(&self) -> Databag {
        [(INGRESS, json!({ "url": self.url.as_str() }).to_string())].into_iter().collect()
    }
}

/// What the requirer publishes in its application's databag: where the way in shall lead to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirer {
    /// The model.
    pub model: String,
    /// The application.
    pub name: String,
    /// The port of its Service. Readers take 1 to 65534.
    pub port: u16,
    /// What is spoken there: `http` or `https`.
    pub scheme: &'static str,
    /// Where it answers a GET with 200.
    pub health_path: &'static str,
}

impl Requirer {
    /// What to set. Nobody of ours reads it back, so this is no [`RelationData`]. Names with underscores would be ignored.
    pub fn write(&self) -> Databag {
        let Self { model, name, port, scheme, health_path } = self;
        [
            ("model", json!(model)),
            ("name", json!(name)),
            ("port", json!(port)),
            ("scheme", json!(scheme)),
            // The path in front is the ingress's own, and nobody behind it knows of it.
            ("strip-prefix", json!(true)),
            ("redirect-https", json!(true)),
            ("healthcheck_params", json!({ "path": health_path })),
        ]
        .map(|(key, value): (&str, Value)| (key, value.to_string()))
        .into_iter()
        .collect()
    }
}

/// What each unit of the requirer publishes. As long as one has not, there is no way in for any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequirerUnit {
    /// The host name under which it is reached from anywhere in the cluster.
    pub host: String,
    /// The address of the unit.
    pub ip: Option<IpAddr>,
}

impl RequirerUnit {
    /// What to set.
    pub fn write(&self) -> Databag {
        let ip = self.ip.map(|ip| json!(ip.to_string()).to_string()).unwrap_or_default();
        [("host", json!(self.host).to_string()), ("ip", ip)].into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str) -> Result<Option<Provider>, DatabagError> {
        Provider::read(&[(INGRESS, value)].into_iter().collect())
    }

    #[test]
    fn the_path_is_kept() {
        let provider = read(r#"{"url": "https://h.example/model-app", "later": 1}"#).unwrap().unwrap();
        assert_eq!(provider.url.as_str(), "https://h.example/model-app");
    }

    #[test]
    fn nothing_published_is_not_an_error_and_garbage_is() {
        assert_eq!((read(""), read("{}")), (Ok(None), Ok(None)));
        for value in
            ["null", "7", "[]", "\"https://h/\"", "{\"url\": null}", "{\"url\": \"\"}", "{\"url\": \"h:80\"}", "x"]
        {
            assert!(read(value).is_err(), "{value}");
        }
    }
}
