//! The parts of charmcraft.yaml that are checked. A key that is not known here is an error, so that nothing comes in
//! unchecked.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_yaml::Value;

use crate::{names, text};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Charm {
    pub name: String,
    pub r#type: String,
    pub title: String,
    pub summary: String,
    pub description: String,
    #[serde(default)]
    pub subordinate: bool,
    pub assumes: Vec<String>,
    pub links: BTreeMap<String, String>,
    #[serde(default)]
    pub containers: BTreeMap<String, Container>,
    #[serde(default)]
    pub resources: BTreeMap<String, Resource>,
    #[serde(default)]
    pub requires: BTreeMap<String, Endpoint>,
    #[serde(default)]
    pub provides: BTreeMap<String, Endpoint>,
    #[serde(default)]
    pub peers: BTreeMap<String, Endpoint>,
    pub config: Config,
    #[serde(default)]
    pub actions: BTreeMap<String, Action>,
    pub base: String,
    pub platforms: BTreeMap<String, Option<Value>>,
    pub parts: BTreeMap<String, Part>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Container {
    pub resource: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Resource {
    pub r#type: String,
    pub description: String,
    pub filename: Option<String>,
    pub upstream_source: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Action {
    pub description: String,
    #[serde(default)]
    pub params: BTreeMap<String, Parameter>,
    pub additional_properties: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    pub r#type: String,
    pub description: String,
    pub default: Option<Value>,
    pub r#enum: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    pub interface: String,
    pub description: String,
    pub limit: Option<u32>,
    pub scope: Option<String>,
    pub optional: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub options: BTreeMap<String, ConfigOption>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigOption {
    pub r#type: String,
    pub description: String,
    pub default: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Part {
    pub plugin: String,
    pub source: String,
    pub source_type: Option<String>,
    pub rust_path: Option<Vec<String>>,
    pub build_environment: Option<Vec<BTreeMap<String, String>>>,
    pub organize: Option<BTreeMap<String, String>>,
    pub prime: Vec<String>,
}

impl Charm {
    pub fn read(name: &str) -> Self {
        let path = format!("charms/{name}/charmcraft.yaml");
        // By way of a value, which takes no key twice: a map takes the last one and says nothing.
        let value: Value = serde_yaml::from_str(&text(&path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        serde_yaml::from_value(value).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// Every charm that has a folder.
    pub fn all() -> Vec<Self> {
        let charms: Vec<Self> = names("charms")
            .iter()
            .filter(|name| crate::root().join("charms").join(name).is_dir())
            .map(|name| Self::read(name))
            .collect();
        assert_eq!(charms.len(), 2, "the charms of this repository");
        charms
    }

    /// Every endpoint with its role, as Juju calls it.
    pub fn endpoints(&self) -> impl Iterator<Item = (&'static str, &String, &Endpoint)> {
        let requires = self.requires.iter().map(|(name, endpoint)| ("requires", name, endpoint));
        let provides = self.provides.iter().map(|(name, endpoint)| ("provides", name, endpoint));
        let peers = self.peers.iter().map(|(name, endpoint)| ("peers", name, endpoint));
        requires.chain(provides).chain(peers)
    }
}
