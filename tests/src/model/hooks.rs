//! Running hooks until everybody is quiet: what a unit is shown before a hook, and what becomes of what it leaves
//! behind.

use anyhow::{Result, bail, ensure};

use super::application::Application;
use super::place::Place;
use super::unit::{Due, Life, Phase, RelationHook, Step, Unit, Wanted};
use super::{Model, Progress, Record};
use crate::interfaces;
use crate::juju::event::RelationStep;
use crate::juju::metadata::Role;
use crate::juju::{Event, Outcome, State};
use crate::pod::Pod;

/// Hook commands that a hook which has nothing to change must not call. The version may be told again.
const WRITES: [&str; 4] = ["relation-set", "open-port", "close-port", "juju-log"];

impl Model {
    /// Runs hooks until nobody has anything left to do.
    pub fn settle(&mut self) -> Result<()> {
        let begin = self.records.len();
        while let Some((index, step)) = self.choose() {
            if self.records.len() - begin == self.most_hooks {
                let hooks: Vec<String> = self.records[begin..].iter().map(ToString::to_string).collect();
                bail!("still not quiet after {} hooks:\n{}", hooks.len(), hooks.join("\n"));
            }
            self.run(index, &step)?;
        }
        Ok(())
    }

    /// Whose hook is next: by turns, unless somebody else decides.
    fn choose(&mut self) -> Option<(usize, Step)> {
        let units = self.units.iter().enumerate();
        let mut ready: Vec<(usize, Step)> =
            units.filter_map(|(index, unit)| Some((index, unit.next(self.wanted(unit)?)?))).collect();
        if ready.is_empty() {
            return None;
        }
        let chosen = if let Some(chooser) = &mut self.chooser {
            let names: Vec<&str> = ready.iter().map(|(index, _)| self.units[*index].name.as_str()).collect();
            chooser(&names)
        } else {
            let last = self.units.iter().position(|unit| unit.name == self.last);
            ready.iter().position(|(index, _)| Some(*index) > last).unwrap_or(0)
        };
        Some(ready.remove(chosen))
    }

    fn wanted<'a>(&'a self, unit: &Unit) -> Option<Wanted<'a>> {
        let app = self.applications.iter().find(|app| app.name == unit.app)?;
        Some(Wanted { app, leader: self.is_leader(unit), relations: &self.relations })
    }

    fn run(&mut self, index: usize, step: &Step) -> Result<()> {
        self.before(index, step);
        let (event, state) = self.shown(index, step);
        let unit = &self.units[index];
        let name = unit.name.clone();
        let hook =
            event.name(|id| state.find_relation(id).map(|relation| relation.endpoint.clone()).unwrap_or_default());
        self.last.clone_from(&name);
        self.executing = Some((name.clone(), hook.clone()));
        self.changed()?;
        let context = self.place(&name).context();
        let outcome = context.run(&event, &state);
        if self.every_hook_twice && outcome.is_success() {
            check_again(&outcome, &context.run(&event, &outcome.state))?;
        }
        self.executing = None;
        let about = match step {
            Step::Relation(hook) => hook.about.clone().or_else(|| self.other_app(hook)),
            _ => None,
        };
        let record = Record {
            unit: name.clone(),
            hook,
            about,
            status: outcome.state.unit_status.clone(),
            hook_commands: outcome.hook_commands(),
            wall_time: outcome.wall_time,
            succeeded: outcome.is_success(),
        };
        self.records.push(record.clone());
        if outcome.is_success() {
            self.commit(index, &outcome.state)?;
            self.after(index, step);
        } else {
            ensure!(self.failures_allowed, "{record} failed:\n{}", outcome.report());
            self.units[index].state.unit_status = outcome.state.unit_status.clone();
            self.units[index].agent.failed = true;
        }
        self.tell(&Progress::Ended(&record, &outcome))
    }

    fn other_app(&self, hook: &RelationHook) -> Option<String> {
        self.relations.get(&hook.key).map(|relation| relation.sides[1 - hook.own].app.clone())
    }

    /// A unit enters the scope of a relation right before it hears of it.
    fn before(&mut self, index: usize, step: &Step) {
        if let Step::Relation(RelationHook { key, own, what: RelationStep::Created, about: _ }) = step {
            let name = &self.units[index].name;
            if let Some(relation) = self.relations.get_mut(key) {
                relation.sides[*own].enter(name, &<_>::default());
            }
        }
    }

    /// The hook, and what the unit is shown during it.
    fn shown(&self, index: usize, step: &Step) -> (Event, State) {
        let unit = &self.units[index];
        let app = self.app(&unit.app);
        let mut state = unit.state.clone();
        state.config.clone_from(&app.config);
        state.leader = self.is_leader(unit);
        state.app_status.clone_from(&app.app_status);
        state.other_units = self.others(unit).collect();
        state.relations = self.relations_of(unit, app, step);
        (unit.event(step, &self.relations, app.dying), state)
    }

    fn relations_of(&self, unit: &Unit, app: &Application, step: &Step) -> Vec<crate::juju::Relation> {
        let hook = match step {
            Step::Relation(hook) => Some(hook),
            _ => None,
        };
        let entered = self.relations.iter().filter_map(|(key, relation)| {
            let this = hook.filter(|hook| hook.key == *key);
            let scope = unit.agent.relations.get(key);
            let created = this.is_some_and(|hook| hook.what == RelationStep::Created);
            // A subordinate is there because of the relation to its principal, so it is shown that one from the first
            // hook on.
            let reason_to_be = relation.container_scoped && unit.principal.is_some() && unit.is_alive();
            if scope.is_none() && !created && !reason_to_be {
                return None;
            }
            let about = this.and_then(|hook| hook.about.as_ref());
            let departs = this.is_some_and(|hook| hook.what == RelationStep::Departed);
            // Who departs is no member any more, and who joins is one already.
            let known = scope.into_iter().flat_map(|scope| scope.members.keys());
            let mut members: Vec<&String> = known.filter(|name| !(departs && about == Some(*name))).collect();
            members
                .extend(about.filter(|name| !departs && scope.is_none_or(|scope| !scope.members.contains_key(*name))));
            let own = relation.side_of(&unit.app)?;
            Some(relation.view(own, &unit.name, app.dying || !unit.is_alive(), &members))
        });
        entered.collect()
    }

    /// What a hook has written reaches the controller, and with it the other sides.
    fn commit(&mut self, index: usize, after: &State) -> Result<()> {
        let unit = &self.units[index];
        let (name, app, leader) = (unit.name.clone(), unit.app.clone(), self.is_leader(unit));
        let endpoints = self.app(&app).endpoints.clone();
        for relation in self.relations.values_mut() {
            let Some(own) = relation.side_of(&app) else { continue };
            let side = &mut relation.sides[own];
            let Some(view) = after.relations.iter().find(|view| view.id == side.id) else { continue };
            let role = if endpoints[&side.endpoint].role == Role::Provider { "provider" } else { "requirer" };
            for (bag, databag) in [("app", &view.local_app_data), ("unit", &view.local_unit_data)] {
                if let Err(problem) = interfaces::check(&relation.interface, role, bag, databag) {
                    bail!("{name} has written what {} does not allow: {problem}", relation.interface);
                }
            }
            if leader {
                side.app_data.replace(&view.local_app_data);
            }
            if let Some(member) = side.units.get_mut(&name) {
                member.data.replace(&view.local_unit_data);
            }
        }
        if leader {
            self.app_mut(&app).app_status.clone_from(&after.app_status);
        }
        self.units[index].state = after.clone();
        Ok(())
    }

    /// What a hook brings about by having been a success.
    fn after(&mut self, index: usize, step: &Step) {
        let unit = &mut self.units[index];
        let app = self.applications.iter().find(|app| app.name == unit.app);
        unit.agent.done(step, app.map_or(0, |app| app.config_version), &self.relations);
        match step {
            Step::Relation(hook) if hook.what == RelationStep::Broken => {
                let name = unit.name.clone();
                if let Some(relation) = self.relations.get_mut(&hook.key) {
                    relation.sides[hook.own].leave(&name);
                }
                self.forget_ended_relations();
            }
            Step::Stop if unit.life == Life::Alive => unit.move_to_new_pod(),
            Step::Remove => {
                let name = unit.name.clone();
                self.unit_gone(&name);
            }
            _ => {}
        }
    }

    pub(super) fn changed(&mut self) -> Result<()> {
        self.tell(&Progress::Changed)
    }

    fn tell(&mut self, progress: &Progress<'_>) -> Result<()> {
        let list = self.list();
        self.observer.as_mut().map_or(Ok(()), |observer| observer(progress, &list))
    }
}

impl Unit {
    /// The pod goes with everything in it, and another one comes.
    fn move_to_new_pod(&mut self) {
        // The old one first: both use the same port.
        self.place = None;
        let (app, number) = (self.app.clone(), self.number);
        let pod = Pod::new(|context| context.app(app).unit_number(number));
        self.place = Some(Place::Pod(Box::new(pod)));
        self.agent.phase = Phase::Installed;
        self.agent.due.extend([Due::Upgrade, Due::PebbleReady]);
    }
}

/// A second run of the same hook must find everything done.
fn check_again(first: &Outcome, again: &Outcome) -> Result<()> {
    let writes: Vec<String> =
        again.call_lines().into_iter().filter(|line| WRITES.iter().any(|name| line.starts_with(name))).collect();
    ensure!(again.is_success(), "the second run failed:\n{}", again.report());
    ensure!(writes.is_empty(), "the second run still had something to do:\n{}", again.report());
    ensure!(again.state == first.state, "the second run ended elsewhere:\n{}", again.report());
    Ok(())
}

impl std::fmt::Display for Record {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { unit, hook, about, status, hook_commands, wall_time, succeeded } = self;
        let about = about.as_ref().map(|about| format!(" of {about}")).unwrap_or_default();
        let failed = if *succeeded { "" } else { " (failed)" };
        write!(formatter, "{unit} {hook}{about}{failed}: {hook_commands} hook commands, {wall_time:.1?}; {status}")
    }
}
