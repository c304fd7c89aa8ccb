//! Several applications, related as Juju would relate them: what operators do, and the hooks that follow.
//!
//! ```no_run
//! use charm_tests::loki::LokiReceiver;
//! use charm_tests::model::{Application, Model};
//!
//! let loki = LokiReceiver::start();
//! let mut model = Model::new();
//! model.deploy(Application::principal("ubuntu"))?;
//! model.deploy(Application::falco("falco")?)?;
//! model.deploy(Application::falcosidekick("falcosidekick-k8s")?.config("allow-plain-http", true))?;
//! model.deploy(Application::loki("loki", &loki.url()))?;
//! model.integrate("falco", "ubuntu")?;
//! model.integrate("falcosidekick-k8s", "loki")?;
//! model.integrate("falco", "falcosidekick-k8s")?;
//! model.settle()?;
//! assert_eq!(model.status("falcosidekick-k8s/0").to_string(), "active: ");
//! # Ok::<(), anyhow::Error>(())
//! ```
//!
//! A command changes what the controller wants, and [`Model::settle`] lets the agents run hooks until nobody has
//! anything left to do. Between the two, as much can be commanded as a scenario likes. One hook runs at a time; which
//! unit comes next is decided by turns, or by the scenario ([`Model::choose_by`]).
//!
//! Applications on machines live in one Juju model and those on Kubernetes in another, and a relation between them
//! crosses models, with all that differs there: ids, the name of the other side, its UUID.
//!
//! Not played: peer relations, secrets between applications, storage, a principal that has a charm, and several units
//! that serve the same port at once, as all share the network of this machine.

pub mod application;
pub mod booted;
mod changes;
mod hooks;
pub mod place;
mod relation;
mod unit;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use uuid::Uuid;

use self::application::matching;
use self::relation::{Key, Published, Relation, Side, juju_model};
use self::unit::{Life, Unit};
use crate::juju::state::Bag;
use crate::juju::{Outcome, State, Status};

pub use self::application::{Application, Systemd};
pub use self::place::Place;

/// More hooks than any sequence of ours needs before everybody is quiet.
const MOST_HOOKS: usize = 200;

/// A hook that has run.
#[derive(Clone, Debug)]
pub struct Record {
    /// The unit.
    pub unit: String,
    /// The name of the hook.
    pub hook: String,
    /// The remote unit or application it is about.
    pub about: Option<String>,
    /// The status of the unit afterwards.
    pub status: Status,
    /// How many hook commands were called.
    pub hook_commands: usize,
    /// How long it took.
    pub wall_time: Duration,
    /// Whether it was a success.
    pub succeeded: bool,
}

/// A unit as `juju status` lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub unit: String,
    /// Whether it leads its application.
    pub leader: bool,
    /// The unit it lives beside.
    pub principal: Option<String>,
    /// Whether it has a charm; else it is only played.
    pub has_charm: bool,
    /// Its status.
    pub status: Status,
    /// The hook that it is running.
    pub executing: Option<String>,
}

/// What an observer is told.
#[derive(Debug)]
pub enum Progress<'a> {
    /// A command was carried out, or a hook begins.
    Changed,
    /// A hook has ended.
    Ended(&'a Record, &'a Outcome),
}

/// Is told of every hook as it happens, with the units as they are then. An error ends the sequence.
type Observer = Box<dyn FnMut(&Progress<'_>, &[Listed]) -> Result<()>>;

/// Of the units that have something to do, the place in the list of the one that does it.
type Chooser = Box<dyn FnMut(&[&str]) -> usize>;

/// A controller with its applications. Dropping it ends every process that belongs to them.
pub struct Model {
    applications: Vec<Application>,
    units: Vec<Unit>,
    relations: BTreeMap<Key, Relation>,
    next_key: Key,
    /// The next id of a relation in the Juju model on machines, and in the one on Kubernetes.
    next_ids: [u32; 2],
    records: Vec<Record>,
    executing: Option<(String, String)>,
    observer: Option<Observer>,
    chooser: Option<Chooser>,
    last: String,
    every_hook_twice: bool,
    failures_allowed: bool,
    most_hooks: usize,
}

impl fmt::Debug for Model {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Model").field("units", &self.list()).finish_non_exhaustive()
    }
}

impl Default for Model {
    fn default() -> Self {
        Self::new()
    }
}

impl Model {
    /// Nothing deployed.
    pub fn new() -> Self {
        Self {
            applications: Vec::new(),
            units: Vec::new(),
            relations: BTreeMap::new(),
            next_key: 0,
            next_ids: [0; 2],
            records: Vec::new(),
            executing: None,
            observer: None,
            chooser: None,
            last: String::new(),
            every_hook_twice: false,
            failures_allowed: false,
            most_hooks: MOST_HOOKS,
        }
    }

    /// Tells somebody of every change.
    #[must_use]
    pub fn observed_by(mut self, observer: impl FnMut(&Progress<'_>, &[Listed]) -> Result<()> + 'static) -> Self {
        self.observer = Some(Box::new(observer));
        self
    }

    /// Has somebody decide whose hook is next, as in Juju nobody can know.
    #[must_use]
    pub fn choose_by(mut self, chooser: impl FnMut(&[&str]) -> usize + 'static) -> Self {
        self.chooser = Some(Box::new(chooser));
        self
    }

    /// Runs every hook a second time, which must have nothing left to do.
    #[must_use]
    pub fn every_hook_twice(mut self) -> Self {
        self.every_hook_twice = true;
        self
    }

    /// Lets hooks fail: the unit then stops, as Juju's does, until [`Self::retry`].
    #[must_use]
    pub fn failures_allowed(mut self) -> Self {
        self.failures_allowed = true;
        self
    }

    /// How many hooks may run before everybody is quiet.
    #[must_use]
    pub fn most_hooks(mut self, number: usize) -> Self {
        self.most_hooks = number;
        self
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
            remote_uuid: crosses.then(|| juju_model(substrates[1 - index]).uuid),
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
                Some(Place::Pod(_)) => unit.agent.pod_ends = true,
                _ => unit.agent.upgrade_due = true,
            }
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
            unit.agent.update_status_due = true;
        }
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
        self.unit_mut(unit).agent.pebble_ready_due = false;
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
        self.unit_mut(unit).agent.pebble_ready_due = true;
        self.changed()
    }

    /// `juju resolved`: the failed hook of a unit is run again.
    pub fn retry(&mut self, unit: &str) -> Result<()> {
        self.unit_mut(unit).agent.failed = false;
        self.changed()
    }

    /// The status of a unit.
    #[track_caller]
    pub fn status(&self, unit: &str) -> &Status {
        &self.unit(unit).state.unit_status
    }

    /// What the last hook of a unit has left behind: ports, version, and its relations as it saw them.
    #[track_caller]
    pub fn state(&self, unit: &str) -> &State {
        &self.unit(unit).state
    }

    /// Where a unit runs. A machine stays after its unit has gone; a pod does not.
    #[track_caller]
    pub fn place(&self, unit: &str) -> &Place {
        self.unit(unit).place.as_ref().unwrap_or_else(|| panic!("{unit} runs nowhere"))
    }

    /// What an application has published for another one.
    pub fn app_data(&self, app: &str, other: &str) -> Option<&Bag> {
        let relation = &self.relations[&self.relation_between(app, other)?];
        Some(&relation.sides[relation.side_of(app)?].app_data.bag)
    }

    /// Every hook that has run.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// The units that there are, as `juju status` lists them: subordinates behind their principals.
    pub fn list(&self) -> Vec<Listed> {
        let there = || self.units.iter().filter(|unit| unit.life != Life::Gone);
        let principals = there().filter(|unit| unit.principal.is_none());
        let beside = |principal: &'_ Unit| {
            let name = principal.name.clone();
            there().filter(move |unit| unit.principal.as_ref() == Some(&name))
        };
        principals.flat_map(|unit| std::iter::once(unit).chain(beside(unit))).map(|unit| self.listed(unit)).collect()
    }

    fn listed(&self, unit: &Unit) -> Listed {
        let executing = self.executing.as_ref().filter(|(name, _)| *name == unit.name);
        Listed {
            unit: unit.name.clone(),
            leader: self.is_leader(unit),
            principal: unit.principal.clone(),
            has_charm: unit.place.is_some(),
            status: unit.state.unit_status.clone(),
            executing: executing.map(|(_, hook)| hook.clone()),
        }
    }

    #[track_caller]
    fn app(&self, name: &str) -> &Application {
        let found = self.applications.iter().find(|app| app.name == name);
        found.unwrap_or_else(|| panic!("there is no application {name}"))
    }

    #[track_caller]
    fn app_mut(&mut self, name: &str) -> &mut Application {
        let found = self.applications.iter_mut().find(|app| app.name == name);
        found.unwrap_or_else(|| panic!("there is no application {name}"))
    }

    #[track_caller]
    fn unit(&self, name: &str) -> &Unit {
        let found = self.units.iter().find(|unit| unit.name == name);
        found.unwrap_or_else(|| panic!("there is no unit {name}"))
    }

    #[track_caller]
    fn unit_mut(&mut self, name: &str) -> &mut Unit {
        let found = self.units.iter_mut().find(|unit| unit.name == name);
        found.unwrap_or_else(|| panic!("there is no unit {name}"))
    }
}
