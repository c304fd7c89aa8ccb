//! A way in from outside the cluster by Kubernetes' own means: a Service beside the one that Juju keeps, and when there is
//! more than one unit, a `PodDisruptionBudget` and pods on different nodes where that is possible.
//!
//! No other module talks to the API server, and none does while `external-access` is `none` and was never anything
//! else. Two rules hold:
//!
//! * Objects that somebody else made are left alone. Ours are those in which our field manager has a part, and of these
//!   only the fields that we set are ours.
//! * They do not carry Juju's label `app.kubernetes.io/name`: Juju finds the Service of an application by it, and gives
//!   up when there are two.
//!
//! How pods are spread stands in the template of the `StatefulSet`, which Juju keeps: to set it has Kubernetes restart
//! them one after another. So it is set once, and never taken away again. When Juju writes the template anew, it leaves
//! alone what it does not set itself.

pub mod access;
pub mod client;
pub mod decide;
pub mod objects;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use charm_core::Status;
use k8s_openapi::api::core::v1::{Node, Service};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use serde::Serialize;
use serde_json::Value;

use self::access::{Access, EXTERNAL_ACCESS};

/// What the cluster knows of a way in, and what we know of it.
#[derive(Clone, Debug, Default)]
pub struct Cluster {
    /// What the operator wants; nothing while the options cannot be read.
    pub wanted: Access,
    /// Whether this unit may change anything.
    pub leads: bool,
    /// Whether this unit has noted down that there may be objects of ours. See [`MARK`].
    pub is_marked: bool,
    /// What is there; `None` when nobody looked, because nothing is wanted and nothing of ours can be there.
    pub objects: Option<Result<Objects, Trouble>>,
}

/// The key under which each unit that sees a way in wanted has Juju keep that there may be objects of ours. Whichever
/// unit leads when none is wanted any more knows by it that it has to ask Kubernetes, and nobody asks without it.
pub const MARK: &str = "external-access";

/// What is there. Units that do not lead look at the Service and the nodes alone.
#[derive(Clone, Debug)]
pub struct Objects {
    /// The Service.
    pub service: Option<Service>,
    /// What Juju runs.
    pub workload: Option<Workload>,
    /// The `PodDisruptionBudget`s of the model.
    pub budgets: Result<Vec<PodDisruptionBudget>, Trouble>,
    /// Some nodes of the cluster, for `node-port`.
    pub nodes: Vec<Node>,
}

/// What we need to know of the `StatefulSet` that Juju keeps.
#[derive(Clone, Debug, PartialEq)]
pub struct Workload {
    /// Whose end is the end of our objects.
    pub owner: OwnerReference,
    /// How the pods are found.
    pub selector: BTreeMap<String, String>,
    /// What the pods are labelled with.
    pub labels: BTreeMap<String, String>,
    /// How many units there are to be.
    pub units: i32,
    /// Whether it says already how the pods are spread over nodes, whoever wants it so.
    pub is_spread: bool,
}

/// What to do about our objects.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Steps {
    /// Whether to note down, or to forget, that there may be objects of ours.
    pub mark: Option<bool>,
    /// The Service.
    pub service: Option<Change<Service>>,
    /// The `PodDisruptionBudget`.
    pub budget: Option<Change<PodDisruptionBudget>>,
    /// The part of the `StatefulSet` that has its pods spread over nodes.
    pub spread: Option<Value>,
}

/// What to do about one object.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change<T> {
    /// It does not exist, and is to have these fields.
    Create(Box<T>),
    /// It is ours, and is to have these fields and no others of ours.
    Correct(Box<T>),
    /// It is ours, and has to go. Its UID, so that no other one goes in its place.
    Remove(String),
}

/// Where callers from outside reach this application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outside {
    /// By no means of Kubernetes.
    NotWanted,
    /// It is to be, and is not known now.
    Pending,
    /// Here.
    At {
        /// Addresses or names. Callers are sent to the first.
        hosts: Vec<String>,
        /// The port.
        port: u16,
    },
}

/// Why Kubernetes does not do as we say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Nobody answers, or not as an API server would.
    Away(String),
    /// This application is not trusted.
    NotTrusted,
    /// It does not want to; why.
    Refused(String),
    /// Somebody else changes the same at the same time; who.
    Conflict(String),
}

impl Trouble {
    /// What to tell the operator.
    pub fn status(&self, app: &str) -> Status {
        match self {
            Self::Away(words) => {
                Status::Waiting(format!("{EXTERNAL_ACCESS}: waiting for the API server of the cluster: {words}"))
            }
            Self::NotTrusted => Status::Blocked(format!(
                "{EXTERNAL_ACCESS}: this application may not see to its Service; run: juju trust {app} --scope=cluster"
            )),
            Self::Refused(words) => Status::Blocked(format!("{EXTERNAL_ACCESS}: Kubernetes refuses: {words}")),
            Self::Conflict(words) => {
                Status::Waiting(format!("{EXTERNAL_ACCESS}: waiting, as somebody else changes the same: {words}"))
            }
        }
    }
}
