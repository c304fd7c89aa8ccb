//! What a hook has asked for and the agent has not sent yet.

use std::collections::{BTreeMap, BTreeSet};

use super::state::{Bag, OpenedPort, Owner};

/// The buffered changes of one hook.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Buffer {
    /// The own unit bags that were read or written, by relation. Deleted keys are empty.
    pub unit_bags: BTreeMap<u32, Bag>,
    /// The own application bags that were read or written.
    pub app_bags: BTreeMap<u32, AppBag>,
    /// Ports to open.
    pub open_ports: Vec<OpenedPort>,
    /// Ports to close.
    pub close_ports: Vec<OpenedPort>,
    /// The charm state, once it differs.
    pub charm_state: Option<BTreeMap<String, String>>,
    /// Storage to add.
    pub storage: Vec<(String, u64)>,
    /// What happens to secrets.
    pub secrets: SecretChanges,
}

/// The own application bag of one relation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AppBag {
    /// The keys; deleted ones are empty.
    pub bag: Bag,
    /// Only a written bag is sent.
    pub written: bool,
}

/// The buffered changes of secrets, by id.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SecretChanges {
    /// New secrets.
    pub creates: BTreeMap<String, SecretCreate>,
    /// Changed ones.
    pub updates: BTreeMap<String, SecretFields>,
    /// Removed ones, with the revisions if not all.
    pub deletes: BTreeMap<String, Option<BTreeSet<u32>>>,
    /// The last grant of each secret and relation.
    pub grants: BTreeMap<(String, u32), Grant>,
    /// Revocations, in order.
    pub revokes: Vec<Revoke>,
    /// Own secrets whose newest revision is to be tracked.
    pub track_latest: BTreeSet<String>,
}

/// A secret to be made.
#[derive(Clone, Debug, PartialEq)]
pub struct SecretCreate {
    /// Its owner.
    pub owner: Owner,
    /// Everything else.
    pub fields: SecretFields,
}

/// What can be said about a secret. `None` is not said.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SecretFields {
    /// The content, in base64.
    pub content: Option<BTreeMap<String, String>>,
    /// The label.
    pub label: Option<String>,
    /// The description.
    pub description: Option<String>,
    /// The rotation policy.
    pub rotate: Option<String>,
    /// The time it expires.
    pub expire: Option<String>,
}

impl SecretFields {
    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Adds what the other says.
    pub fn merge(&mut self, other: Self) {
        let Self { content, label, description, rotate, expire } = other;
        self.content = content.or_else(|| self.content.take());
        self.label = label.or_else(|| self.label.take());
        self.description = description.or_else(|| self.description.take());
        self.rotate = rotate.or_else(|| self.rotate.take());
        self.expire = expire.or_else(|| self.expire.take());
    }
}

/// A grant of one secret over one relation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The application or unit.
    pub target: String,
}

/// One revocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revoke {
    /// The secret.
    pub id: String,
    /// The application or unit.
    pub target: String,
}
