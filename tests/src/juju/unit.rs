//! Which unit of which charm is played, under which Juju.

use std::collections::BTreeMap;

use super::metadata::Metadata;
use super::version::JujuVersion;

/// The fixed surroundings of every hook of one unit.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Unit {
    /// The application.
    pub app: String,
    /// The number of the unit.
    pub number: u32,
    /// The release of Juju.
    pub juju: JujuVersion,
    /// What the charm declares.
    pub metadata: Metadata,
    /// The unit a subordinate lives beside.
    pub principal: Option<String>,
    /// The machine; ignored on Kubernetes.
    pub machine: String,
    /// The availability zone; empty if there is none.
    pub availability_zone: String,
    /// The proxies of the model, by `HTTP`, `HTTPS`, `FTP` and `NO`.
    pub proxies: BTreeMap<String, String>,
}

impl Unit {
    /// Unit 0 of an application named like the charm. A subordinate lives beside `ubuntu/0`.
    pub fn of(metadata: Metadata) -> Self {
        Self {
            app: metadata.name.clone(),
            machine: "0".into(),
            principal: metadata.subordinate.then(|| "ubuntu/0".to_owned()),
            metadata,
            ..Self::default()
        }
    }

    /// For example `falco/0`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.app, self.number)
    }

    /// For example `unit-falco-0`.
    pub fn tag(&self) -> String {
        format!("unit-{}-{}", self.app, self.number)
    }

    /// Whether a name is this unit.
    pub fn is(&self, name: &str) -> bool {
        name == self.name()
    }
}
