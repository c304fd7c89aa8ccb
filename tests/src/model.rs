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
mod commands;
mod hooks;
pub mod place;
mod relation;
mod unit;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use anyhow::Result;

use self::relation::{Key, Relation};
use self::unit::{Life, Phase, Unit};
use crate::juju::state::Bag;
use crate::juju::{Outcome, State, Status};

pub use self::application::Application;
pub use self::booted::BootedHost;
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
    /// Machines that wait for a unit.
    hosts: Vec<BootedHost>,
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
            hosts: Vec::new(),
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
        let executing = executing.map(|(_, hook)| hook.clone());
        // What Juju itself says before the charm has had a chance to.
        let status = match (&unit.place, executing.as_deref()) {
            (Some(_), Some("install")) => Status::maintenance("installing charm software"),
            (Some(_), _) if unit.agent.phase == Phase::New && !unit.agent.failed => {
                Status::waiting("agent initialising")
            }
            _ => unit.state.unit_status.clone(),
        };
        Listed {
            unit: unit.name.clone(),
            leader: self.is_leader(unit),
            principal: unit.principal.clone(),
            has_charm: unit.place.is_some(),
            status,
            executing,
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
