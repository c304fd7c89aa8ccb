//! What a charm declares about itself, read from its `charmcraft.yaml`.
//!
//! Only what Juju acts on is kept; the rest of the file belongs to the packing tool.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use serde_json::Value;

/// The declarations of one charm.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metadata {
    /// The charm's name; an application is called so unless told otherwise.
    pub name: String,
    /// Whether a unit lives beside the unit of another application.
    pub subordinate: bool,
    /// Every endpoint, peers included.
    pub endpoints: BTreeMap<String, Endpoint>,
    /// The network names beside the endpoints.
    pub extra_bindings: Vec<String>,
    /// The workload containers; a charm with any is a Kubernetes charm.
    pub containers: Vec<String>,
    /// The resources and their types.
    pub resources: BTreeMap<String, ResourceType>,
    /// The storages and their kinds.
    pub storages: BTreeMap<String, String>,
    /// The configuration options.
    pub options: BTreeMap<String, ConfigOption>,
    /// The actions.
    pub actions: BTreeMap<String, ActionSpec>,
    /// What the charm assumes of Juju, as written, for example `juju >= 3.6`.
    pub assumes: Vec<String>,
    source: Source,
}

/// The parts of the file as they go into the charm folder.
#[derive(Clone, Debug, Default, PartialEq)]
struct Source {
    metadata: serde_yaml::Mapping,
    config: Option<serde_yaml::Value>,
    actions: Option<serde_yaml::Value>,
}

/// One end of possible relations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The side the charm takes.
    pub role: Role,
    /// The interface.
    pub interface: String,
    /// Whether it spans only the units on one machine.
    pub container_scoped: bool,
    /// The most relations allowed.
    pub limit: Option<u32>,
    /// Whether the charm works without it.
    pub optional: bool,
}

/// The side of a relation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Listed under `provides`.
    Provider,
    /// Listed under `requires`.
    Requirer,
    /// Listed under `peers`.
    Peer,
}

/// What `juju attach-resource` takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResourceType {
    /// A file with the name it gets on the unit.
    File(String),
    /// An image; never fetched by the charm itself.
    OciImage,
}

/// One configuration option.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfigOption {
    /// The type of its values.
    pub kind: OptionKind,
    /// The value while an operator has set none.
    pub default: Option<Value>,
}

/// The types of configuration options.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OptionKind {
    /// Any text.
    String,
    /// A whole number.
    Int,
    /// Any number.
    Float,
    /// True or false.
    Boolean,
    /// The id of a user's secret.
    Secret,
}

impl OptionKind {
    /// Whether a value has this type.
    pub fn takes(self, value: &Value) -> bool {
        match self {
            Self::String => value.is_string(),
            Self::Int => value.is_i64() || value.is_u64(),
            Self::Float => value.is_number(),
            Self::Boolean => value.is_boolean(),
            Self::Secret => value.as_str().is_some_and(|text| text.starts_with("secret:")),
        }
    }
}

/// The parameters of one action.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ActionSpec {
    /// The type and default of each parameter.
    pub params: BTreeMap<String, ParamSpec>,
    /// The parameters that must be given.
    pub required: Vec<String>,
    /// Whether other parameters are let through.
    pub additional: bool,
}

/// One parameter of an action.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct ParamSpec {
    /// The JSON schema type; `None` takes anything.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// The value while none is given.
    pub default: Option<Value>,
}

impl Metadata {
    /// Reads `charmcraft.yaml`.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("cannot use {}", path.display()))
    }

    /// Takes the text of a `charmcraft.yaml`.
    pub fn parse(text: &str) -> Result<Self> {
        let raw: RawMetadata = serde_yaml::from_str(text)?;
        let all: serde_yaml::Mapping = serde_yaml::from_str(text)?;
        let mut endpoints = BTreeMap::new();
        for (role, group) in
            [(Role::Provider, &raw.provides), (Role::Requirer, &raw.requires), (Role::Peer, &raw.peers)]
        {
            for (name, raw) in group {
                if endpoints.insert(name.clone(), raw.endpoint(role)?).is_some() {
                    bail!("endpoint {name} is declared twice");
                }
            }
        }
        let resources = raw
            .resources
            .into_iter()
            .map(|(name, raw)| match raw.kind.as_str() {
                "oci-image" => Ok((name, ResourceType::OciImage)),
                "file" => Ok((name, ResourceType::File(raw.filename.unwrap_or_default()))),
                other => bail!("resource {name} has the unknown type {other}"),
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            name: raw.name,
            subordinate: raw.subordinate,
            endpoints,
            extra_bindings: raw.extra_bindings.into_keys().collect(),
            containers: raw.containers.into_keys().collect(),
            resources,
            storages: raw.storage.into_iter().map(|(name, raw)| (name, raw.kind)).collect(),
            options: raw
                .config
                .options
                .into_iter()
                .map(|(name, raw)| {
                    (name, ConfigOption { kind: raw.kind, default: raw.default.filter(|v| !v.is_null()) })
                })
                .collect(),
            actions: raw.actions.into_iter().map(|(name, raw)| (name, raw.spec())).collect(),
            assumes: raw.assumes.iter().filter_map(assumption).collect(),
            source: Source::cut(all),
        })
    }

    /// Whether the charm runs beside workload containers.
    pub fn is_kubernetes(&self) -> bool {
        !self.containers.is_empty() || self.assumes.iter().any(|text| text == "k8s-api")
    }

    /// The files that packing makes of `charmcraft.yaml`, by name.
    pub fn charm_files(&self) -> Result<BTreeMap<&'static str, String>> {
        let mut files = BTreeMap::new();
        files.insert("metadata.yaml", serde_yaml::to_string(&self.source.metadata)?);
        if let Some(config) = &self.source.config {
            files.insert("config.yaml", serde_yaml::to_string(config)?);
        }
        if let Some(actions) = &self.source.actions {
            files.insert("actions.yaml", serde_yaml::to_string(actions)?);
        }
        Ok(files)
    }
}

impl Source {
    /// Parts the whole file into the three files of a packed charm.
    fn cut(mut all: serde_yaml::Mapping) -> Self {
        let config = all.remove("config");
        let actions = all.remove("actions");
        for key in
            ["type", "parts", "platforms", "bases", "base", "build-base", "charm-libs", "links", "charmhub", "analysis"]
        {
            all.remove(key);
        }
        Self { metadata: all, config, actions }
    }
}

/// `juju >= 3.6` and `k8s-api` are plain; `any-of` and `all-of` are not needed by our charms and skipped.
fn assumption(raw: &serde_yaml::Value) -> Option<String> {
    raw.as_str().map(str::to_owned)
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct RawMetadata {
    name: String,
    #[serde(default)]
    subordinate: bool,
    #[serde(default)]
    provides: BTreeMap<String, RawEndpoint>,
    #[serde(default)]
    requires: BTreeMap<String, RawEndpoint>,
    #[serde(default)]
    peers: BTreeMap<String, RawEndpoint>,
    #[serde(default)]
    extra_bindings: BTreeMap<String, serde_yaml::Value>,
    #[serde(default)]
    containers: BTreeMap<String, serde_yaml::Value>,
    #[serde(default)]
    resources: BTreeMap<String, RawResource>,
    #[serde(default)]
    storage: BTreeMap<String, RawStorage>,
    #[serde(default)]
    config: RawConfig,
    #[serde(default)]
    actions: BTreeMap<String, RawAction>,
    #[serde(default)]
    assumes: Vec<serde_yaml::Value>,
}

#[derive(Deserialize)]
struct RawEndpoint {
    interface: String,
    #[serde(default)]
    scope: Option<String>,
    #[serde(default)]
    limit: Option<u32>,
    #[serde(default)]
    optional: bool,
}

impl RawEndpoint {
    fn endpoint(&self, role: Role) -> Result<Endpoint> {
        let container_scoped = match self.scope.as_deref() {
            None | Some("global") => false,
            Some("container") => true,
            Some(other) => bail!("{other} is not a scope of relations"),
        };
        Ok(Endpoint {
            role,
            interface: self.interface.clone(),
            container_scoped,
            limit: self.limit,
            optional: self.optional,
        })
    }
}

#[derive(Deserialize)]
struct RawResource {
    #[serde(rename = "type")]
    kind: String,
    filename: Option<String>,
}

#[derive(Deserialize)]
struct RawStorage {
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Default, Deserialize)]
struct RawConfig {
    #[serde(default)]
    options: BTreeMap<String, RawOption>,
}

#[derive(Deserialize)]
struct RawOption {
    #[serde(rename = "type")]
    kind: OptionKind,
    #[serde(default)]
    default: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawAction {
    #[serde(default)]
    params: BTreeMap<String, ParamSpec>,
    #[serde(default)]
    required: Vec<String>,
    #[serde(default = "yes")]
    additional_properties: bool,
}

fn yes() -> bool {
    true
}

impl RawAction {
    fn spec(self) -> ActionSpec {
        ActionSpec { params: self.params, required: self.required, additional: self.additional_properties }
    }
}
