//! Relations as the controller keeps them: two sides, and what was published on each.

use std::collections::BTreeMap;

use crate::juju::state::{Bag, Life, UNIT_ADDRESS};
use crate::juju::{Relation as View, Substrate};

/// A number that no two relations of a [`Model`](super::Model) share. What Juju calls the id differs between models.
pub type Key = u32;

/// Which side of a relation.
pub type Index = usize;

/// Two applications, related.
#[derive(Clone, Debug)]
pub struct Relation {
    pub interface: String,
    /// Each unit sees only the one it lives beside.
    pub container_scoped: bool,
    pub dying: bool,
    pub sides: [Side; 2],
}

/// One application in a relation.
#[derive(Clone, Debug)]
pub struct Side {
    pub app: String,
    pub endpoint: String,
    /// The id in the model of this application.
    pub id: u32,
    /// What this application is called on the other side.
    pub alias: String,
    /// The UUID of its model, where the other side is in another one.
    pub model_uuid: Option<String>,
    pub app_data: Published,
    pub units: BTreeMap<String, Member>,
}

/// A databag that knows how often it was changed.
#[derive(Clone, Debug, Default)]
pub struct Published {
    pub bag: Bag,
    pub version: u64,
}

/// A unit that is, or was, in the scope of a relation. What it has published can be read until the relation ends.
#[derive(Clone, Debug)]
pub struct Member {
    pub data: Published,
    pub in_scope: bool,
}

impl Published {
    /// Takes over what a hook has left behind.
    pub fn replace(&mut self, bag: &Bag) {
        if self.bag != *bag {
            self.bag.clone_from(bag);
            self.version += 1;
        }
    }
}

impl Relation {
    /// The side that an application has. Relations of an application with itself are not played.
    pub fn side_of(&self, app: &str) -> Option<Index> {
        self.sides.iter().position(|side| side.app == app)
    }

    pub fn is_empty(&self) -> bool {
        self.sides.iter().all(|side| side.units.values().all(|member| !member.in_scope))
    }

    /// The relation as a unit is shown it: with the units it has heard of, under the names that they have there.
    pub fn view(&self, own: Index, unit: &str, dying: bool, members: &[&String]) -> View {
        let (here, there) = (&self.sides[own], &self.sides[1 - own]);
        let mut view = View::new(here.id, &here.endpoint, &there.alias);
        view.remote_endpoint.clone_from(&there.endpoint);
        view.remote_model_uuid.clone_from(&there.model_uuid);
        view.remote_app_data.clone_from(&there.app_data.bag);
        for name in members {
            let bag = there.units.get(*name).map(|member| member.data.bag.clone()).unwrap_or_default();
            view.remote_units.insert(there.seen_as(name), bag);
        }
        view.local_app_data.clone_from(&here.app_data.bag);
        if let Some(member) = here.units.get(unit) {
            view.local_unit_data.clone_from(&member.data.bag);
        }
        if self.dying || dying {
            view.life = Life::Dying;
        }
        view
    }
}

impl Side {
    /// The name under which the other side knows a unit.
    pub fn seen_as(&self, unit: &str) -> String {
        unit.replacen(&self.app, &self.alias, 1)
    }

    /// A unit enters the scope; Juju publishes its addresses.
    pub fn enter(&mut self, unit: &str, data: &Bag) {
        let mut bag = data.clone();
        for (key, value) in [
            ("egress-subnets", format!("{UNIT_ADDRESS}/32")),
            ("ingress-address", UNIT_ADDRESS.to_owned()),
            ("private-address", UNIT_ADDRESS.to_owned()),
        ] {
            bag.entry(key.to_owned()).or_insert(value);
        }
        self.units.insert(unit.to_owned(), Member { data: Published { bag, version: 1 }, in_scope: true });
    }

    pub fn leave(&mut self, unit: &str) {
        if let Some(member) = self.units.get_mut(unit) {
            member.in_scope = false;
        }
    }
}

/// The two Juju models of a controller: one on machines, one on Kubernetes.
pub fn juju_model(substrate: Substrate) -> crate::juju::Model {
    let (name, uuid) = match substrate {
        Substrate::Machine => ("machines", "0c7ab1f6-9a52-4c3e-8a51-6a2f6f1d7b01"),
        Substrate::Kubernetes => ("pods", "d3b6e8c2-57f4-4e0b-9c6d-1f0e9a4b2c02"),
    };
    crate::juju::Model { name: name.into(), uuid: uuid.into(), substrate }
}
