//! Relations must fit their endpoints, and their databags must be such as Juju keeps.

use std::collections::{BTreeMap, BTreeSet};

use super::Problems;
use crate::juju::metadata::{Endpoint, Role};
use crate::juju::state::{Bag, Life, Relation, State};
use crate::juju::unit::Unit;

pub fn check(problems: &mut Problems, unit: &Unit, state: &State) {
    let mut ids = BTreeSet::new();
    let mut alive: BTreeMap<&str, u32> = BTreeMap::new();
    for relation in &state.relations {
        let name = relation.full_id();
        problems.require(ids.insert(relation.id), || format!("{name}: another relation has the same id"));
        if relation.life == Life::Alive {
            *alive.entry(&relation.endpoint).or_default() += 1;
        }
        match unit.metadata.endpoints.get(&relation.endpoint) {
            None => problems.0.push(format!("{name}: the charm declares no endpoint of that name")),
            Some(endpoint) => one(problems, unit, relation, endpoint),
        }
        bags(problems, relation);
    }
    for (endpoint, count) in alive {
        let limit = unit.metadata.endpoints.get(endpoint).and_then(|endpoint| endpoint.limit);
        problems.require(limit.is_none_or(|limit| count <= limit), || {
            format!("{endpoint}: {count} relations are more than its limit; make the others dying, or leave them out")
        });
    }
}

fn one(problems: &mut Problems, unit: &Unit, relation: &Relation, endpoint: &Endpoint) {
    let name = relation.full_id();
    problems.require(relation.interface.is_empty() || relation.interface == endpoint.interface, || {
        format!("{name}: the interface is {}, not {}", endpoint.interface, relation.interface)
    });
    let peer = endpoint.role == Role::Peer;
    problems.require(!peer || relation.remote_app == unit.app, || {
        format!("{name}: the other application of a peer relation is the own one, {}", unit.app)
    });
    problems.require(!peer || relation.life == Life::Alive, || {
        format!("{name}: a peer relation ends only with its application")
    });
    problems.require(!relation.remote_units.contains_key(&unit.name()), || {
        format!("{name}: {} is the unit under test and no remote unit; its bag is local_unit_data", unit.name())
    });
    for other in relation.remote_units.keys() {
        let of_app = other.strip_prefix(&relation.remote_app).is_some_and(|rest| rest.starts_with('/'));
        problems.require(of_app, || format!("{name}: {other} is no unit of {}", relation.remote_app));
        let seen = !endpoint.container_scoped || unit.principal.as_ref().is_none_or(|principal| principal == other);
        problems.require(seen, || {
            format!("{name}: within a container only the principal is seen, not {other}; see Context::principal")
        });
    }
}

fn bags(problems: &mut Problems, relation: &Relation) {
    let own: [(&str, &Bag); 3] = [
        ("remote_app_data", &relation.remote_app_data),
        ("local_app_data", &relation.local_app_data),
        ("local_unit_data", &relation.local_unit_data),
    ];
    let remote = relation.remote_units.iter().map(|(unit, bag)| (unit.as_str(), bag));
    for (owner, bag) in own.into_iter().chain(remote) {
        for (key, value) in bag {
            problems.require(!key.is_empty() && !value.is_empty(), || {
                format!(
                    "{}: {owner} has {key:?} = {value:?}; Juju deletes a key that is set to nothing",
                    relation.full_id()
                )
            });
        }
    }
}
