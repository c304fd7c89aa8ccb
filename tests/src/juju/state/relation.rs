//! One relation with all its databags.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::UNIT_ADDRESS;

/// What one application or unit has published in one relation.
pub type Bag = BTreeMap<String, String>;

/// A relation as one unit sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relation {
    /// The number, unique in the model.
    pub id: u32,
    /// The endpoint on this side.
    pub endpoint: String,
    /// The endpoint on the other side.
    pub remote_endpoint: String,
    /// The interface; empty is that of the endpoint's declaration.
    pub interface: String,
    /// The other application; in a peer relation the own one.
    pub remote_app: String,
    /// The model of the other application; `None` is the own one.
    pub remote_model_uuid: Option<String>,
    /// What the other application has published.
    pub remote_app_data: Bag,
    /// What each of the other units has published; in a peer relation the other units of the own application.
    pub remote_units: BTreeMap<String, Bag>,
    /// What the own application has published.
    pub local_app_data: Bag,
    /// What this unit has published.
    pub local_unit_data: Bag,
    /// Whether and how it is going away.
    pub life: Life,
    /// The controller has forgotten it (`remove-saas`, `--force`) and the agent has not heard of that yet.
    pub forgotten: bool,
}

/// The life of a relation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Life {
    /// In use.
    #[default]
    Alive,
    /// Being removed.
    Dying,
    /// Suspended by the offering side.
    Suspended,
}

impl Relation {
    /// A relation to another application of the model, with the addresses Juju itself publishes for this unit.
    pub fn new(id: u32, endpoint: impl Into<String>, remote_app: impl Into<String>) -> Self {
        let endpoint = endpoint.into();
        let remote_app = remote_app.into();
        Self {
            id,
            remote_endpoint: endpoint.clone(),
            endpoint,
            remote_app,
            local_unit_data: addresses(UNIT_ADDRESS),
            ..Self::default()
        }
    }

    /// A peer relation of the application.
    pub fn peer(id: u32, endpoint: impl Into<String>, app: impl Into<String>) -> Self {
        Self::new(id, endpoint, app)
    }

    /// Publishes a key of the other application.
    #[must_use]
    pub fn remote_app(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.remote_app_data.insert(key.into(), value.into());
        self
    }

    /// Adds a unit of the other application by number, with the addresses Juju itself publishes for it.
    #[must_use]
    pub fn remote_unit(mut self, number: u32) -> Self {
        let name = format!("{}/{number}", self.remote_app);
        self.remote_units.entry(name).or_insert_with(|| addresses(&format!("192.0.2.{}", 100 + number % 100)));
        self
    }

    /// Publishes a key of one unit of the other application, and adds the unit if it is new.
    #[must_use]
    pub fn remote_unit_data(mut self, number: u32, key: impl Into<String>, value: impl Into<String>) -> Self {
        self = self.remote_unit(number);
        let name = format!("{}/{number}", self.remote_app);
        self.remote_units.entry(name).or_default().insert(key.into(), value.into());
        self
    }

    /// Publishes a key of the own application.
    #[must_use]
    pub fn local_app(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.local_app_data.insert(key.into(), value.into());
        self
    }

    /// Publishes a key of this unit.
    #[must_use]
    pub fn local_unit(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.local_unit_data.insert(key.into(), value.into());
        self
    }

    /// Puts the other application into another model.
    #[must_use]
    pub fn remote_model(mut self, uuid: impl Into<String>) -> Self {
        self.remote_model_uuid = Some(uuid.into());
        self
    }

    /// Starts its end: `-departed` and `-broken` follow.
    #[must_use]
    pub fn dying(mut self) -> Self {
        self.life = Life::Dying;
        self
    }

    /// Its last moment, the state of `-broken`: dying, and no unit left on the other side.
    #[must_use]
    pub fn broken(mut self) -> Self {
        self.life = Life::Dying;
        self.remote_units.clear();
        self
    }

    /// `endpoint:id`, the form of `relation-ids`.
    pub fn full_id(&self) -> String {
        format!("{}:{}", self.endpoint, self.id)
    }
}

/// The three keys that Juju writes into every unit bag.
fn addresses(address: &str) -> Bag {
    [
        ("egress-subnets", format!("{address}/32")),
        ("ingress-address", address.to_owned()),
        ("private-address", address.to_owned()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}
