//! How units and relations come and go, as the controller sees it.

use anyhow::Result;

use super::Model;
use super::place::Place;
use super::relation::{Index, Key, juju_model};
use super::unit::{Agent, Due, Life, Phase, Unit};
use crate::juju::{State, Status, Substrate};

impl Model {
    /// The next id of a relation in one of the Juju models.
    pub(super) fn next_id(&mut self, substrate: Substrate) -> u32 {
        let id = &mut self.next_ids[usize::from(substrate == Substrate::Kubernetes)];
        *id += 1;
        *id - 1
    }

    pub(super) fn relation_between(&self, one: &str, other: &str) -> Option<Key> {
        let joins = |app: &str, key: &Key| self.relations[key].side_of(app).is_some();
        let alive = self.relations.iter().filter(|(_, relation)| !relation.dying).map(|(key, _)| *key);
        alive.filter(|key| joins(one, key)).find(|key| joins(other, key))
    }

    /// A unit comes. The first one leads.
    pub(super) fn start_unit(&mut self, app: &str, principal: Option<&str>) -> Result<String> {
        let described = self.app_mut(app);
        let number = described.next_unit;
        described.next_unit += 1;
        let name = format!("{app}/{number}");
        described.leader.get_or_insert_with(|| name.clone());
        let described = described.clone();
        let place = Place::new(&described, number, principal, &mut self.hosts)?;
        let mut state = match described.substrate() {
            Substrate::Machine => State::machine(),
            Substrate::Kubernetes => State::kubernetes(),
        };
        state.model = juju_model(described.substrate());
        if let Some(place) = &place {
            state = place.complete(state);
        } else {
            state.unit_status = Status::active("");
        }
        let due = if matches!(place, Some(Place::Pod(_))) { [Due::PebbleReady].into() } else { <_>::default() };
        self.units.push(Unit {
            name: name.clone(),
            app: app.to_owned(),
            number,
            principal: principal.map(str::to_owned),
            place,
            state,
            life: Life::Alive,
            agent: Agent { due, ..Agent::default() },
        });
        self.enter_played_units();
        Ok(name)
    }

    /// Every principal unit gets a unit of each subordinate that is related to its application.
    pub(super) fn add_subordinates(&mut self) -> Result<()> {
        let mut missing = Vec::new();
        for relation in self.relations.values().filter(|relation| relation.container_scoped && !relation.dying) {
            let own = Index::from(!self.app(&relation.sides[0].app).is_subordinate());
            let (subordinate, principal) = (&relation.sides[own].app, &relation.sides[1 - own].app);
            for unit in self.units.iter().filter(|unit| unit.app == *principal && unit.is_alive()) {
                let mut beside = self.units.iter().filter(|other| other.app == *subordinate && other.is_alive());
                if beside.all(|other| other.principal.as_ref() != Some(&unit.name)) {
                    missing.push((subordinate.clone(), unit.name.clone()));
                }
            }
        }
        for (app, principal) in missing {
            self.start_unit(&app, Some(&principal))?;
        }
        Ok(())
    }

    /// Units without an agent are in the scope of every relation of theirs at once.
    pub(super) fn enter_played_units(&mut self) {
        let applications = &self.applications;
        for relation in self.relations.values_mut().filter(|relation| !relation.dying) {
            for side in &mut relation.sides {
                for unit in self.units.iter().filter(|unit| unit.place.is_none() && unit.is_alive()) {
                    if unit.app != side.app || side.units.contains_key(&unit.name) {
                        continue;
                    }
                    let app = applications.iter().find(|app| app.name == unit.app);
                    let data = app.map(|app| app.published(&side.endpoint).1).unwrap_or_default();
                    side.enter(&unit.name, &data);
                }
            }
        }
    }

    /// A relation ends. A subordinate unit without its principal goes with it.
    pub(super) fn end_relation(&mut self, key: Key) {
        let Some(relation) = self.relations.get_mut(&key) else { return };
        relation.dying = true;
        let played = self.units.iter().filter(|unit| unit.place.is_none());
        for unit in played {
            relation.sides.iter_mut().for_each(|side| side.leave(&unit.name));
        }
        let orphans: Vec<String> = if relation.container_scoped {
            let apps = [relation.sides[0].app.clone(), relation.sides[1].app.clone()];
            let units = self.units.iter().filter(|unit| unit.principal.is_some() && apps.contains(&unit.app));
            units.map(|unit| unit.name.clone()).collect()
        } else {
            Vec::new()
        };
        for unit in orphans {
            self.end_unit(&unit);
        }
        self.forget_ended_relations();
    }

    /// A unit is to go. One without an agent, or that has not begun yet, goes at once.
    pub(super) fn end_unit(&mut self, name: &str) {
        let unit = self.unit_mut(name);
        if unit.life == Life::Alive {
            unit.life = Life::Dying;
        }
        if unit.place.is_none() || unit.agent.phase == Phase::New {
            self.unit_gone(name);
        }
    }

    /// A unit has gone: out of all relations, and out of its pod.
    pub(super) fn unit_gone(&mut self, name: &str) {
        for relation in self.relations.values_mut() {
            relation.sides.iter_mut().for_each(|side| side.leave(name));
        }
        let unit = self.unit_mut(name);
        unit.life = Life::Gone;
        if matches!(unit.place, Some(Place::Pod(_))) {
            unit.place = None;
        }
        let app = unit.app.clone();
        if self.app(&app).leader.as_deref() == Some(name) {
            let next = self.units.iter().find(|unit| unit.app == app && unit.is_alive());
            self.app_mut(&app).leader = next.map(|unit| unit.name.clone());
        }
        self.forget_ended_relations();
        let is_over = |app: &str| self.units.iter().all(|unit| unit.app != app || unit.life == Life::Gone);
        let over: Vec<String> = self.applications.iter().filter(|app| app.dying).map(|app| app.name.clone()).collect();
        let over: Vec<String> = over.into_iter().filter(|app| is_over(app)).collect();
        self.applications.retain(|app| !over.contains(&app.name));
    }

    /// A relation that was removed is there until its last unit has left.
    pub(super) fn forget_ended_relations(&mut self) {
        self.relations.retain(|_, relation| !relation.dying || !relation.is_empty());
    }

    pub(super) fn is_leader(&self, unit: &Unit) -> bool {
        let app = self.applications.iter().find(|app| app.name == unit.app);
        app.is_some_and(|app| app.leader.as_ref() == Some(&unit.name))
    }

    /// The statuses of the other units of an application.
    pub(super) fn others<'a>(&'a self, of: &'a Unit) -> impl Iterator<Item = (String, Status)> + 'a {
        let others = self.units.iter().filter(|unit| unit.app == of.app && unit.name != of.name);
        others.filter(|unit| unit.is_alive()).map(|unit| (unit.name.clone(), unit.state.unit_status.clone()))
    }
}
