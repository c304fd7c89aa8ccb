//! What operators command, and what the world does to units. Hooks follow with [`Model::settle`].

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use uuid::Uuid;

use super::Model;
use super::application::{Application, matching};
use super::booted::BootedHost;
use super::place::Place;
use super::relation::{Published, Relation, Side, juju_model};
use super::unit::Due;
use crate::juju::state::Bag;

impl Model {
    /// `juju add-machine`: a host with the real systemd, for the next unit on a machine. Others get a played one.
    pub fn add_machine(&mut self, host: BootedHost) {
        self.hosts.push(host);
    }

    /// `juju deploy`: one unit; a subordinate gets its units by relations.
    pub fn deploy(&mut self, app: Application) -> Result<()> {
        ensure!(self.applications.iter().all(|other| other.name != app.name), "{} is deployed already", app.name);
        ensure!(self.units.iter().all(|unit| unit.app != app.name), "{} was deployed: take another name", app.name);
        let (name, subordinate) = (app.name.clone(), app.is_subordinate());
        self.applications.push(app);
        if subordinate { self.changed() } else { self.add_unit(&name).map(drop) }
    }

    /// `juju add-unit`. Returns its name.
    pub fn add_unit(&mut self, app: &str) -> Result<String> {
        ensure!(!self.app(app).is_subordinate(), "{app} is a subordinate, which gets its units by relations");
        let unit = self.start_unit(app, None)?;
        self.add_subordinates()?;
        self.changed()?;
        Ok(unit)
    }

    /// `juju integrate`, with endpoints where they have to be said: `app` or `app:endpoint`. Across models, the second
    /// is the one that was offered.
    pub fn integrate(&mut self, one: &str, other: &str) -> Result<()> {
        let split = |text: &str| match text.split_once(':') {
            Some((app, endpoint)) => (app.to_owned(), Some(endpoint.to_owned())),
            None => (text.to_owned(), None),
        };
        let (one, other) = (split(one), split(other));
        let (one_app, other_app) = (self.app(&one.0), self.app(&other.0));
        let found = matching((one_app, one.1.as_deref()), (other_app, other.1.as_deref()))?;
        let names = [one.0, other.0];
        let substrates = [one_app.substrate(), other_app.substrate()];
        let crosses = substrates[0] != substrates[1];
        ensure!(!(crosses && found.container_scoped), "a subordinate and its principal live in one model");
        // The consumer is known by a token on the side of the offer.
        let token = format!("remote-{}", Uuid::new_v4().simple());
        let shared_id = if crosses { None } else { Some(self.next_id(substrates[0])) };
        let mut side = |index: usize| Side {
            app: names[index].clone(),
            endpoint: found.endpoints[index].clone(),
            id: shared_id.unwrap_or_else(|| self.next_id(substrates[index])),
            alias: if crosses && index == 0 { token.clone() } else { names[index].clone() },
            model_uuid: crosses.then(|| juju_model(substrates[index]).uuid),
            app_data: Published::default(),
            units: BTreeMap::new(),
        };
        let sides = [side(0), side(1)];
        let container_scoped = found.container_scoped;
        let mut relation = Relation { interface: found.interface, container_scoped, dying: false, sides };
        for side in &mut relation.sides {
            side.app_data.replace(&self.app(&side.app).published(&side.endpoint).0);
        }
        self.relations.insert(self.next_key, relation);
        self.next_key += 1;
        self.add_subordinates()?;
        self.enter_played_units();
        self.changed()
    }

    /// `juju config`.
    pub fn config(&mut self, app: &str, option: &str, value: impl Into<Value>) -> Result<()> {
        let app = self.app_mut(app);
        app.config.insert(option.to_owned(), value.into());
        app.config_version += 1;
        self.changed()
    }

    /// `juju refresh`: machines get `upgrade-charm`, pods are replaced one after the other.
    pub fn refresh(&mut self, app: &str) -> Result<()> {
        for unit in self.units.iter_mut().filter(|unit| unit.app == app && unit.is_alive()) {
            match unit.place {
                Some(Place::Pod(_)) => unit.agent.due.insert(Due::PodEnds),
                _ => unit.agent.due.insert(Due::Upgrade),
            };
        }
        self.changed()
    }

    /// The controller makes another unit the leader.
    pub fn lead(&mut self, unit: &str) -> Result<()> {
        let app = self.unit(unit).app.clone();
        let previous = self.app_mut(&app).leader.replace(unit.to_owned());
        if let Some(previous) = previous.filter(|previous| previous != unit) {
            self.unit_mut(&previous).agent.leads = false;
        }
        self.changed()
    }

    /// `juju remove-relation`.
    pub fn remove_relation(&mut self, one: &str, other: &str) -> Result<()> {
        let key = self.relation_between(one, other).with_context(|| format!("{one} and {other} are not related"))?;
        self.end_relation(key);
        self.changed()
    }

    /// `juju remove-unit`, with the subordinates that live beside it.
    pub fn remove_unit(&mut self, unit: &str) -> Result<()> {
        let all = self.units.iter().filter(|other| other.name == unit || other.principal.as_deref() == Some(unit));
        for name in all.map(|unit| unit.name.clone()).collect::<Vec<_>>() {
            self.end_unit(&name);
        }
        self.changed()
    }

    /// `juju remove-application`: its units and relations go.
    pub fn remove_application(&mut self, app: &str) -> Result<()> {
        self.app_mut(app).dying = true;
        let relations = self.relations.iter().filter(|(_, relation)| relation.side_of(app).is_some());
        for key in relations.map(|(key, _)| *key).collect::<Vec<_>>() {
            self.end_relation(key);
        }
        let units: Vec<String> =
            self.units.iter().filter(|unit| unit.app == app).map(|unit| unit.name.clone()).collect();
        for unit in units {
            self.end_unit(&unit);
        }
        self.changed()
    }

    /// Some minutes pass: every unit gets `update-status`.
    pub fn update_status(&mut self) -> Result<()> {
        for unit in self.units.iter_mut().filter(|unit| unit.is_alive()) {
            unit.agent.due.insert(Due::UpdateStatus);
        }
        self.changed()
    }

    /// A played application itself publishes something else.
    pub fn publish_as_application(&mut self, app: &str, endpoint: &str, key: &str, value: &str) -> Result<()> {
        let changed = self.app(app).clone().application_publishes(endpoint, key, value);
        let data = changed.published(endpoint).0;
        *self.app_mut(app) = changed;
        let sides = self.relations.values_mut().flat_map(|relation| &mut relation.sides);
        sides.filter(|side| side.app == app && side.endpoint == endpoint).for_each(|side| side.app_data.replace(&data));
        self.changed()
    }

    /// A played application publishes something else for each of its units.
    pub fn publish(&mut self, app: &str, endpoint: &str, key: &str, value: &str) -> Result<()> {
        let changed = self.app(app).clone().unit_publishes(endpoint, key, value);
        let data = changed.published(endpoint).1;
        *self.app_mut(app) = changed;
        let sides = self.relations.values_mut().flat_map(|relation| &mut relation.sides);
        for side in sides.filter(|side| side.app == app && side.endpoint == endpoint) {
            for member in side.units.values_mut() {
                let mut bag: Bag = member.data.bag.clone();
                bag.extend(data.clone());
                member.data.replace(&bag);
            }
        }
        self.changed()
    }

    /// The container of a pod ends, and does not come back by itself.
    pub fn stop_container(&mut self, unit: &str) -> Result<()> {
        self.unit_mut(unit).agent.due.remove(&Due::PebbleReady);
        match &mut self.unit_mut(unit).place {
            Some(Place::Pod(pod)) => pod.pebble.stop(),
            other => bail!("{unit} has no container but {other:?}"),
        }
        self.changed()
    }

    /// The container of a pod comes up again.
    pub fn start_container(&mut self, unit: &str) -> Result<()> {
        match &mut self.unit_mut(unit).place {
            Some(Place::Pod(pod)) => pod.pebble.start_again(),
            other => bail!("{unit} has no container but {other:?}"),
        }
        self.unit_mut(unit).agent.due.insert(Due::PebbleReady);
        self.changed()
    }

    /// `juju resolved`: the failed hook of a unit is run again.
    pub fn retry(&mut self, unit: &str) -> Result<()> {
        self.unit_mut(unit).agent.failed = false;
        self.changed()
    }
}
