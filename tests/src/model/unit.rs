//! One unit, what its agent has done so far, and what it does next.
//!
//! Juju's agent keeps no queue of hooks: it compares what it has done with what the controller wants, and picks one
//! hook, by a fixed priority. This is the same comparison, with the priorities of Juju 3.6 and 4.x.

use std::collections::{BTreeMap, BTreeSet};

use super::application::Application;
use super::place::Place;
use super::relation::{Index, Key, Relation};
use crate::juju::event::RelationStep;
use crate::juju::{Event, State};

/// A unit. One that is played has no place to run at, and no hooks.
#[derive(Debug)]
pub struct Unit {
    pub name: String,
    pub app: String,
    pub number: u32,
    /// The unit that a subordinate lives beside.
    pub principal: Option<String>,
    pub place: Option<Place>,
    /// What its hooks have left behind: ports, status, secrets. The rest is filled in before each hook.
    pub state: State,
    pub life: Life,
    pub agent: Agent,
}

/// The life of a unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Life {
    #[default]
    Alive,
    Dying,
    Gone,
}

/// How far the agent has come with a unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    #[default]
    New,
    Installed,
    Started,
    Stopped,
}

/// A hook that is to come for a reason of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Due {
    /// The pod is being replaced; the old one gets its last hook.
    PodEnds,
    PebbleReady,
    /// Comes right behind the first `config-changed`.
    Start,
    Upgrade,
    UpdateStatus,
}

/// What the agent of a unit remembers.
#[derive(Clone, Debug, Default)]
pub struct Agent {
    pub phase: Phase,
    pub due: BTreeSet<Due>,
    pub leads: bool,
    /// The version of the configuration that it has told the charm of.
    pub config: u64,
    /// The relations that it has entered.
    pub relations: BTreeMap<Key, Scope>,
    /// A hook has failed, and nobody has told the agent to go on.
    pub failed: bool,
}

/// What the agent has told the charm of one relation.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// The version of each remote unit's databag.
    pub members: BTreeMap<String, u64>,
    /// The version of the remote application's databag.
    pub app: u64,
    /// After joined(u), the next hook of the relation is changed(u).
    pub changed_due: Option<String>,
}

/// One hook to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Install,
    LeaderElected,
    ConfigChanged,
    Start,
    UpgradeCharm,
    UpdateStatus,
    Stop,
    Remove,
    PebbleReady(String),
    Relation(RelationHook),
}

/// A hook of a relation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelationHook {
    pub key: Key,
    /// The side of the unit that runs it.
    pub own: Index,
    pub what: RelationStep,
    /// The remote unit it is about.
    pub about: Option<String>,
}

/// What the controller wants of a unit.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    pub app: &'a Application,
    pub leader: bool,
    pub relations: &'a BTreeMap<Key, Relation>,
}

impl Unit {
    pub fn is_alive(&self) -> bool {
        self.life == Life::Alive
    }

    /// The next hook, or nothing.
    pub fn next(&self, wanted: Wanted<'_>) -> Option<Step> {
        let agent = &self.agent;
        if self.place.is_none() || self.life == Life::Gone || agent.failed {
            return None;
        }
        let due = |due| agent.due.contains(&due);
        if due(Due::PodEnds) {
            return Some(Step::Stop);
        }
        if agent.phase == Phase::New {
            return Some(Step::Install);
        }
        if self.is_alive()
            && let Some(step) = self.created(wanted.relations)
        {
            return Some(step);
        }
        if wanted.leader && !agent.leads {
            return Some(Step::LeaderElected);
        }
        if due(Due::PebbleReady) && (agent.phase >= Phase::Started || wanted.app.early_pebble_ready) {
            return self.place.as_ref().and_then(Place::container).map(|name| Step::PebbleReady(name.to_owned()));
        }
        if due(Due::Start) {
            return Some(Step::Start);
        }
        if self.life == Life::Dying {
            let last = if agent.phase == Phase::Stopped { Step::Remove } else { Step::Stop };
            return agent.relations.keys().find_map(|key| self.end_of(*key, wanted.relations)).or(Some(last));
        }
        if due(Due::Upgrade) {
            return Some(Step::UpgradeCharm);
        }
        if agent.config != wanted.app.config_version {
            return Some(Step::ConfigChanged);
        }
        let step = agent.relations.keys().find_map(|key| self.in_relation(*key, wanted.relations));
        step.or_else(|| due(Due::UpdateStatus).then_some(Step::UpdateStatus))
    }

    fn created(&self, relations: &BTreeMap<Key, Relation>) -> Option<Step> {
        let new = relations.iter().filter(|(key, relation)| !relation.dying && !self.agent.relations.contains_key(key));
        new.filter_map(|(key, relation)| Some((*key, relation.side_of(&self.app)?)))
            .map(|(key, own)| Step::Relation(RelationHook { key, own, what: RelationStep::Created, about: None }))
            .next()
    }

    fn in_relation(&self, key: Key, relations: &BTreeMap<Key, Relation>) -> Option<Step> {
        let (relation, scope) = (relations.get(&key)?, self.agent.relations.get(&key)?);
        if relation.dying {
            return self.end_of(key, relations);
        }
        let own = relation.side_of(&self.app)?;
        let hook = |what, about: Option<&String>| Some(RelationHook { key, own, what, about: about.cloned() });
        let there = &relation.sides[1 - own];
        let present = || {
            let here = there.units.iter().filter(|(_, member)| member.in_scope);
            here.filter(|(name, _)| !relation.container_scoped || self.lives_beside(name))
        };
        let hook = if let Some(unit) = &scope.changed_due {
            hook(RelationStep::Changed, Some(unit))
        } else if scope.app != there.app_data.version {
            hook(RelationStep::Changed, None)
        } else if let Some(gone) = scope.members.keys().find(|name| present().all(|(other, _)| other != *name)) {
            hook(RelationStep::Departed, Some(gone))
        } else if let Some((name, _)) = present().find(|(name, _)| !scope.members.contains_key(*name)) {
            hook(RelationStep::Joined, Some(name))
        } else {
            let changed = present().find(|(name, member)| scope.members.get(*name) != Some(&member.data.version));
            changed.and_then(|(name, _)| hook(RelationStep::Changed, Some(name)))
        };
        hook.map(Step::Relation)
    }

    /// The way out of a relation: every unit departs, then the relation is broken.
    fn end_of(&self, key: Key, relations: &BTreeMap<Key, Relation>) -> Option<Step> {
        let (own, scope) = (relations.get(&key)?.side_of(&self.app)?, self.agent.relations.get(&key)?);
        let (what, about) = match scope.members.keys().next() {
            Some(unit) => (RelationStep::Departed, Some(unit.clone())),
            None => (RelationStep::Broken, None),
        };
        Some(Step::Relation(RelationHook { key, own, what, about }))
    }

    fn lives_beside(&self, other: &str) -> bool {
        self.principal.as_deref() == Some(other)
    }

    /// The hook as an event, under the names that this unit knows.
    pub fn event(&self, step: &Step, relations: &BTreeMap<Key, Relation>, app_dies: bool) -> Event {
        let hook = match step {
            Step::Install => return Event::install(),
            Step::LeaderElected => return Event::leader_elected(),
            Step::ConfigChanged => return Event::config_changed(),
            Step::Start => return Event::start(),
            Step::UpgradeCharm => return Event::upgrade_charm(),
            Step::UpdateStatus => return Event::update_status(),
            Step::Stop => return Event::stop(),
            Step::Remove => return Event::remove(),
            Step::PebbleReady(container) => return Event::pebble_ready(container),
            Step::Relation(hook) => hook,
        };
        let relation = &relations[&hook.key];
        let id = relation.sides[hook.own].id;
        let about = hook.about.as_ref().map(|unit| relation.sides[1 - hook.own].seen_as(unit));
        match (hook.what, about) {
            (RelationStep::Created, _) => Event::relation_created(id),
            (RelationStep::Broken, _) => Event::relation_broken(id),
            (RelationStep::Joined, Some(unit)) => Event::relation_joined(id, unit),
            (RelationStep::Departed, Some(unit)) if app_dies || !self.is_alive() => {
                Event::relation_departed_self(id, unit, self.name.clone())
            }
            (RelationStep::Departed, Some(unit)) => Event::relation_departed(id, unit),
            (RelationStep::Changed, Some(unit)) => Event::relation_changed(id, unit),
            (_, None) => Event::relation_changed_by_app(id),
        }
    }
}

impl Agent {
    /// Remembers that a hook was a success. What else a hook brings about is the model's.
    pub fn done(&mut self, step: &Step, config: u64, relations: &BTreeMap<Key, Relation>) {
        match step {
            Step::Install => self.phase = Phase::Installed,
            Step::LeaderElected => self.leads = true,
            Step::Start => {
                self.phase = Phase::Started;
                self.due.remove(&Due::Start);
            }
            Step::UpdateStatus => {
                self.due.remove(&Due::UpdateStatus);
            }
            Step::PebbleReady(_) => {
                self.due.remove(&Due::PebbleReady);
            }
            Step::Stop => {
                self.phase = Phase::Stopped;
                self.due.remove(&Due::PodEnds);
            }
            Step::Remove => {}
            Step::UpgradeCharm => {
                self.due.remove(&Due::Upgrade);
                // A refresh tells of the configuration in any case.
                self.config = 0;
            }
            Step::ConfigChanged => {
                self.config = config;
                if self.phase < Phase::Started {
                    self.due.insert(Due::Start);
                }
            }
            Step::Relation(hook) => self.done_in_relation(hook, &relations[&hook.key]),
        }
    }

    fn done_in_relation(&mut self, hook: &RelationHook, relation: &Relation) {
        let there = &relation.sides[1 - hook.own];
        let scope = self.relations.entry(hook.key).or_default();
        let version = |unit: &String| there.units.get(unit).map_or(0, |member| member.data.version);
        match (hook.what, &hook.about) {
            (RelationStep::Joined, Some(unit)) => {
                scope.members.insert(unit.clone(), version(unit));
                scope.changed_due = Some(unit.clone());
            }
            (RelationStep::Changed, Some(unit)) => {
                scope.members.insert(unit.clone(), version(unit));
                scope.changed_due = None;
            }
            (RelationStep::Changed, None) => scope.app = there.app_data.version,
            (RelationStep::Departed, Some(unit)) => {
                scope.members.remove(unit);
                scope.changed_due = scope.changed_due.take().filter(|due| due != unit);
            }
            (RelationStep::Broken, _) => drop(self.relations.remove(&hook.key)),
            (RelationStep::Created | RelationStep::Joined | RelationStep::Departed, _) => {}
        }
    }
}
