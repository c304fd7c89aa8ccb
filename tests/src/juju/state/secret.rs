//! One secret with its revisions, grants and readers.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// The keys and values of one revision.
pub type Content = BTreeMap<String, Vec<u8>>;

/// A secret of the model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Secret {
    /// Twenty characters of `0-9a-v`, without `secret:`.
    pub id: String,
    /// Who may change it.
    pub owner: Owner,
    /// The owner's label; empty for none.
    pub label: String,
    /// The description.
    pub description: String,
    /// The rotation policy; empty for none.
    pub rotate: String,
    /// The time it expires, as given.
    pub expire: Option<String>,
    /// The content of each revision that is still there.
    pub revisions: BTreeMap<u32, Content>,
    /// Who may read it beside its owner.
    pub access: BTreeSet<Access>,
    /// What each reader tracks, by unit name.
    pub consumers: BTreeMap<String, Consumer>,
}

/// Who owns a secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Owner {
    /// An application; its leader acts for it.
    Application(String),
    /// One unit.
    Unit(String),
    /// A user of the model (`juju add-secret`).
    #[default]
    Model,
}

/// One grant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Access {
    /// The application, or one of its units, that may read.
    pub target: String,
    /// The relation it lasts with; `None` for user secrets.
    pub relation: Option<u32>,
}

/// What one reader has agreed with the controller.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consumer {
    /// The revision it reads until it asks for a refresh.
    pub revision: u32,
    /// The name it has given the secret.
    pub label: String,
}

impl Secret {
    /// A secret that a user has made with `juju add-secret` and granted to an application.
    pub fn user(id: impl Into<String>, granted_to: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            owner: Owner::Model,
            access: [Access { target: granted_to.into(), relation: None }].into(),
            ..Self::default()
        }
    }

    /// A secret of this kind of owner, without content.
    pub fn owned(id: impl Into<String>, owner: Owner) -> Self {
        Self { id: id.into(), owner, ..Self::default() }
    }

    /// Sets the owner's label.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Adds a revision.
    #[must_use]
    pub fn revision<K: Into<String>, V: Into<Vec<u8>>>(mut self, content: impl IntoIterator<Item = (K, V)>) -> Self {
        let content = content.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
        self.revisions.insert(self.latest() + 1, content);
        self
    }

    /// Lets a unit track a revision.
    #[must_use]
    pub fn tracked(mut self, unit: impl Into<String>, revision: u32, label: impl Into<String>) -> Self {
        self.consumers.insert(unit.into(), Consumer { revision, label: label.into() });
        self
    }

    /// Grants it over a relation.
    #[must_use]
    pub fn granted(mut self, target: impl Into<String>, relation: u32) -> Self {
        self.access.insert(Access { target: target.into(), relation: Some(relation) });
        self
    }

    /// Takes every grant away, as `juju revoke-secret` does.
    #[must_use]
    pub fn revoked(mut self) -> Self {
        self.access.clear();
        self
    }

    /// The newest revision; 0 without content.
    pub fn latest(&self) -> u32 {
        self.revisions.keys().next_back().copied().unwrap_or(0)
    }

    /// The newest content.
    pub fn latest_content(&self) -> Option<&Content> {
        self.revisions.values().next_back()
    }

    /// The value of a key of the newest content, as text.
    pub fn text(&self, key: &str) -> Option<String> {
        self.latest_content()?.get(key).map(|value| String::from_utf8_lossy(value).into_owned())
    }

    /// `secret:<id>`, the form commands print and take.
    pub fn uri(&self) -> String {
        format!("secret:{}", self.id)
    }

    /// Whether a unit may read it.
    pub fn readable_by(&self, unit: &str) -> bool {
        let app = app_of(unit);
        let owns = match &self.owner {
            Owner::Application(owner) => owner == app,
            Owner::Unit(owner) => owner == unit,
            Owner::Model => false,
        };
        owns || self.access.iter().any(|access| access.target == unit || access.target == app)
    }

    /// Whether a unit may change it.
    pub fn managed_by(&self, unit: &str, leader: bool) -> bool {
        match &self.owner {
            Owner::Application(owner) => owner == app_of(unit) && leader,
            Owner::Unit(owner) => owner == unit,
            Owner::Model => false,
        }
    }
}

/// The application of a unit name.
fn app_of(unit: &str) -> &str {
    unit.split_once('/').map_or(unit, |(app, _)| app)
}

/// A secret id that follows from its place in a sequence: the same hook on the same state makes the same ids.
pub fn new_secret_id(seed: &str, number: usize) -> String {
    const ALPHABET: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";
    Sha256::digest(format!("{seed} {number}").as_bytes())
        .iter()
        .take(20)
        .map(|byte| char::from(ALPHABET[usize::from(byte % 32)]))
        .collect()
}
