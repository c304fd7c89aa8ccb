//! What the controller knows about one unit: the input and the output of a hook.
//!
//! Plain data. A scenario builds it with the methods that are named like the fields; what those do not reach can be set
//! directly.

mod network;
mod relation;
mod secret;

pub use network::{Address, Device, Network};
pub use relation::{Bag, Life, Relation};
pub use secret::{Access, Consumer, Content, Owner, Secret, new_secret_id};

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The model, the unit and what it is related to, at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// The options an operator has set. Defaults come from the charm's metadata.
    pub config: BTreeMap<String, Value>,
    /// All relations, peers included.
    pub relations: Vec<Relation>,
    /// Whether this unit leads its application.
    pub leader: bool,
    /// The model.
    pub model: Model,
    /// The secrets this unit owns, may read or has heard of.
    pub secrets: Vec<Secret>,
    /// The ports this unit has opened.
    pub opened_ports: BTreeSet<OpenedPort>,
    /// The ports of other units on the same machine.
    pub machine_ports: BTreeMap<String, BTreeSet<OpenedPort>>,
    /// Networks that differ from the usual one of the substrate, by endpoint or binding.
    pub networks: BTreeMap<String, Network>,
    /// The files of resources.
    pub resources: BTreeMap<String, PathBuf>,
    /// The status of this unit.
    pub unit_status: Status,
    /// The status of the application.
    pub app_status: Status,
    /// The statuses of the other units of the application.
    pub other_units: BTreeMap<String, Status>,
    /// What `application-version-set` said last.
    pub workload_version: String,
    /// What `state-set` keeps for the unit; `None` while it never did.
    pub charm_state: Option<BTreeMap<String, String>>,
    /// What `leader-set` keeps for the application, up to Juju 3.
    pub leader_settings: BTreeMap<String, String>,
    /// How many units the application shall have; `None` is this one and `other_units`.
    pub planned_units: Option<u32>,
    /// The attached storage.
    pub storages: Vec<Storage>,
    /// Storage that was asked for and is not attached yet.
    pub requested_storage: BTreeMap<String, u64>,
    /// The credential of `credential-get`; `None` without `--trust`.
    pub credential: Option<Credential>,
    /// What `unit-get` answers.
    pub addresses: Addresses,
    /// What `goal-state` answers; `None` is made up from the relations and the other units.
    pub goal: Option<Goal>,
}

/// The addresses of `unit-get`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addresses {
    /// Inside the model.
    pub private: Option<String>,
    /// From outside.
    pub public: Option<String>,
}

impl Default for Addresses {
    fn default() -> Self {
        Self { private: Some(UNIT_ADDRESS.into()), public: Some("198.51.100.10".into()) }
    }
}

/// The address of the unit on its machine, everywhere unless a scenario says otherwise.
pub const UNIT_ADDRESS: &str = "192.0.2.10";

/// What the model is to become: statuses and times by unit, and by endpoint and application or unit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Goal {
    /// The units of the application.
    pub units: BTreeMap<String, GoalEntry>,
    /// The other ends of the relations.
    pub relations: BTreeMap<String, BTreeMap<String, GoalEntry>>,
}

/// One line of `goal-state`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GoalEntry {
    /// The status.
    pub status: String,
    /// Since when.
    pub since: String,
}

/// The model of the unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Model {
    /// Its name; on Kubernetes also the namespace.
    pub name: String,
    /// A version 4 UUID.
    pub uuid: String,
    /// What it runs on.
    #[serde(rename = "type")]
    pub substrate: Substrate,
}

impl Default for Model {
    fn default() -> Self {
        Self {
            name: "test-model".into(),
            uuid: "5f1d8a4e-0c0b-4c5e-9a53-3d8b1a7c2e10".into(),
            substrate: Substrate::Machine,
        }
    }
}

/// What a model runs on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Substrate {
    /// Machines, played as those of LXD.
    #[default]
    #[serde(rename = "lxd")]
    Machine,
    /// Pods.
    #[serde(rename = "kubernetes")]
    Kubernetes,
}

/// A status with its text.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// `active`, `blocked`, `waiting`, `maintenance`, or what Juju itself sets.
    pub name: String,
    /// The text beside it.
    pub message: String,
}

impl Status {
    /// Any status.
    pub fn new(name: impl Into<String>, message: impl Into<String>) -> Self {
        Self { name: name.into(), message: message.into() }
    }

    /// `active`.
    pub fn active(message: impl Into<String>) -> Self {
        Self::new("active", message)
    }

    /// `blocked`.
    pub fn blocked(message: impl Into<String>) -> Self {
        Self::new("blocked", message)
    }

    /// `waiting`.
    pub fn waiting(message: impl Into<String>) -> Self {
        Self::new("waiting", message)
    }

    /// `maintenance`.
    pub fn maintenance(message: impl Into<String>) -> Self {
        Self::new("maintenance", message)
    }
}

impl Default for Status {
    fn default() -> Self {
        Self::new("unknown", "")
    }
}

impl fmt::Display for Status {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.name, self.message)
    }
}

impl fmt::Debug for Status {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}({:?})", self.name, self.message)
    }
}

/// A range of ports, and for which endpoint it is open.
///
/// Ordered as Juju lists them: by protocol, then by number, then by endpoint.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct OpenedPort {
    /// `tcp`, `udp` or `icmp`.
    pub protocol: String,
    /// The first port; -1 for `icmp`.
    pub from: i32,
    /// The last port; -1 for `icmp`.
    pub to: i32,
    /// The endpoint; empty for all.
    pub endpoint: String,
}

impl OpenedPort {
    /// One TCP port, for all endpoints.
    pub fn tcp(port: u16) -> Self {
        Self { protocol: "tcp".into(), from: port.into(), to: port.into(), endpoint: String::new() }
    }

    /// The range as Juju writes it, without the endpoint.
    pub fn range(&self) -> String {
        match (self.protocol.as_str(), self.from == self.to) {
            ("icmp", _) => "icmp".into(),
            (protocol, true) => format!("{}/{protocol}", self.from),
            (protocol, false) => format!("{}-{}/{protocol}", self.from, self.to),
        }
    }

    /// Whether both are one range, whatever the endpoint.
    pub fn same_range(&self, other: &Self) -> bool {
        (&self.protocol, self.from, self.to) == (&other.protocol, other.from, other.to)
    }

    /// Whether the ranges have a port in common.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.protocol == other.protocol && self.from <= other.to && other.from <= self.to
    }
}

/// A storage instance attached to the unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Storage {
    /// For example `data/0`.
    pub id: String,
    /// `filesystem` or `block`.
    pub kind: String,
    /// The folder or device.
    pub location: String,
}

/// What `credential-get` shows about the cloud.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credential {
    /// The cloud's type, name, region and endpoint.
    pub cloud: [String; 4],
    /// The kind of authentication.
    pub auth_type: String,
    /// Its values.
    pub attributes: BTreeMap<String, String>,
    /// The certificates of the endpoint.
    pub ca_certificates: Vec<String>,
}

impl State {
    /// A unit on a machine, without anything set.
    pub fn machine() -> Self {
        Self::default()
    }

    /// A unit in a pod, without anything set.
    pub fn kubernetes() -> Self {
        Self {
            model: Model { substrate: Substrate::Kubernetes, ..Model::default() },
            addresses: Addresses { private: None, public: None },
            ..Self::default()
        }
    }

    /// Sets an option as an operator would.
    #[must_use]
    pub fn config(mut self, option: impl Into<String>, value: impl Into<Value>) -> Self {
        self.config.insert(option.into(), value.into());
        self
    }

    /// Makes this unit the leader, or not.
    #[must_use]
    pub fn leader(mut self, leader: bool) -> Self {
        self.leader = leader;
        self
    }

    /// Adds a relation.
    #[must_use]
    pub fn relation(mut self, relation: Relation) -> Self {
        self.relations.push(relation);
        self
    }

    /// Adds a secret.
    #[must_use]
    pub fn secret(mut self, secret: Secret) -> Self {
        self.secrets.push(secret);
        self
    }

    /// Gives a binding a network of its own.
    #[must_use]
    pub fn network(mut self, binding: impl Into<String>, network: Network) -> Self {
        self.networks.insert(binding.into(), network);
        self
    }

    /// Attaches a file to a resource.
    #[must_use]
    pub fn resource(mut self, name: impl Into<String>, path: impl Into<PathBuf>) -> Self {
        self.resources.insert(name.into(), path.into());
        self
    }

    /// Attaches storage.
    #[must_use]
    pub fn storage(mut self, storage: Storage) -> Self {
        self.storages.push(storage);
        self
    }

    /// Sets the status of the unit.
    #[must_use]
    pub fn unit_status(mut self, status: Status) -> Self {
        self.unit_status = status;
        self
    }

    /// Names the model.
    #[must_use]
    pub fn model_name(mut self, name: impl Into<String>) -> Self {
        self.model.name = name.into();
        self
    }

    /// The relation of that id. Fails loudly: a scenario that asks for it has put it there.
    #[track_caller]
    pub fn relation_by_id(&self, id: u32) -> &Relation {
        self.find_relation(id).unwrap_or_else(|| panic!("the state has no relation {id}"))
    }

    /// The relation of that id, to change it.
    #[track_caller]
    pub fn relation_by_id_mut(&mut self, id: u32) -> &mut Relation {
        self.relations
            .iter_mut()
            .find(|relation| relation.id == id)
            .unwrap_or_else(|| panic!("the state has no relation {id}"))
    }

    /// The first relation of an endpoint.
    #[track_caller]
    pub fn relation_of(&self, endpoint: &str) -> &Relation {
        self.relations
            .iter()
            .find(|relation| relation.endpoint == endpoint)
            .unwrap_or_else(|| panic!("the state has no relation of {endpoint}"))
    }

    /// The relation of that id, if there is one.
    pub fn find_relation(&self, id: u32) -> Option<&Relation> {
        self.relations.iter().find(|relation| relation.id == id)
    }

    /// Takes a relation away, as after `relation-broken`.
    #[must_use]
    pub fn without_relation(mut self, id: u32) -> Self {
        self.relations.retain(|relation| relation.id != id);
        self
    }

    /// The secret with that label of its owner.
    pub fn secret_labelled(&self, label: &str) -> Option<&Secret> {
        self.secrets.iter().find(|secret| secret.label == label)
    }

    /// How many units the application shall have.
    pub fn planned_units(&self) -> u32 {
        self.planned_units.unwrap_or_else(|| u32::try_from(self.other_units.len()).unwrap_or(0) + 1)
    }

    /// The opened ports as `open-port` takes them.
    pub fn port_list(&self) -> Vec<String> {
        let mut list: Vec<String> = self.opened_ports.iter().map(OpenedPort::range).collect();
        list.dedup();
        list
    }
}
