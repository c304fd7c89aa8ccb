//! The event must be one that Juju would send in this state.

use serde_json::Value;

use super::Problems;
use crate::juju::event::{Event, Kind, RelationEvent, RelationStep, SecretEvent};
use crate::juju::metadata::{ActionSpec, Role};
use crate::juju::state::{Relation, State, Substrate};
use crate::juju::unit::Unit;
use crate::juju::version::JujuVersion;

pub fn check(problems: &mut Problems, unit: &Unit, event: &Event, state: &State) {
    match &event.kind {
        Kind::Plain(name) => plain(problems, unit, name, state),
        Kind::Relation(event) => relation(problems, unit, event, state),
        Kind::Workload { container, .. } => {
            problems.require(state.model.substrate == Substrate::Kubernetes, || {
                format!("there is no container {container} on a machine: start from State::kubernetes()")
            });
            problems.require(unit.metadata.containers.contains(container), || {
                format!("the charm declares no container {container}")
            });
        }
        Kind::Secret { id, what } => secret(problems, unit, id, *what, state),
        Kind::Storage { id, .. } => {
            let there = state.storages.iter().any(|storage| storage.id == *id);
            problems.require(there, || format!("the state has no storage {id}: add it with State::storage"));
        }
        Kind::Action { name, params } => match unit.metadata.actions.get(name) {
            None => problems.0.push(format!("the charm declares no action {name}")),
            Some(spec) => action(problems, name, spec, params),
        },
    }
}

fn plain(problems: &mut Problems, unit: &Unit, name: &str, state: &State) {
    problems.require(name != "leader-elected" || state.leader, || {
        "leader-elected comes to the leader only: State::leader(true)".into()
    });
    problems.require(name != "leader-settings-changed" || unit.juju == JujuVersion::V3_6, || {
        "leader-settings-changed is not sent from Juju 4 on".into()
    });
    // Its principal's relation is why a subordinate exists; only its last two hooks come after the end of that
    // relation.
    let there = state.relations.iter().any(|relation| is_to_principal(unit, relation));
    problems.require(unit.principal.is_none() || there || matches!(name, "stop" | "remove"), || {
        "a subordinate lives by a container-scoped relation to its principal, and the state has none".into()
    });
}

fn is_to_principal(unit: &Unit, relation: &Relation) -> bool {
    let scoped = unit.metadata.endpoints.get(&relation.endpoint).is_some_and(|endpoint| endpoint.container_scoped);
    let app = unit.principal.as_deref().and_then(|name| name.split('/').next());
    scoped && app == Some(relation.remote_app.as_str())
}

fn relation(problems: &mut Problems, unit: &Unit, event: &RelationEvent, state: &State) {
    let Some(relation) = state.find_relation(event.id) else {
        return problems.0.push(format!("the state has no relation {}: add it with State::relation", event.id));
    };
    let name = format!("{}-relation-{}", relation.full_id(), event.what.name());
    let peer = unit.metadata.endpoints.get(&relation.endpoint).is_some_and(|endpoint| endpoint.role == Role::Peer);
    if let Some(other) = &event.unit {
        let of_app = other.strip_prefix(&relation.remote_app).is_some_and(|rest| rest.starts_with('/'));
        problems.require(of_app && !unit.is(other), || {
            format!("{name}: {other} is no remote unit of {}", relation.remote_app)
        });
    }
    match event.what {
        RelationStep::Created => {}
        RelationStep::Joined | RelationStep::Changed => {
            let there = event.unit.as_ref().is_none_or(|other| relation.remote_units.contains_key(other));
            problems.require(there, || {
                format!("{name}: the unit is not in the relation: add it with Relation::remote_unit")
            });
        }
        RelationStep::Departed => problems.require(event.unit.is_some(), || format!("{name}: a unit must go")),
        RelationStep::Broken => {
            problems.require(!peer, || format!("{name}: a peer relation has no such hook"));
            problems.require(relation.remote_units.is_empty(), || {
                format!(
                    "{name}: every unit has departed before, but there are {:?}: use Relation::broken",
                    relation.remote_units.keys()
                )
            });
        }
    }
}

fn secret(problems: &mut Problems, unit: &Unit, id: &str, what: SecretEvent, state: &State) {
    let Some(secret) = state.secrets.iter().find(|secret| secret.id == id) else {
        return problems.0.push(format!("the state has no secret {id}: add it with State::secret"));
    };
    let name = format!("secret-{} of {id}", what.name());
    if what == SecretEvent::Changed {
        problems.require(secret.consumers.contains_key(&unit.name()), || {
            format!("{name}: only a unit that has read the secret hears of changes: add it with Secret::tracked")
        });
    } else {
        problems.require(secret.managed_by(&unit.name(), state.leader), || {
            format!("{name}: goes to the owner, for an application to its leader, and this unit is not that")
        });
    }
    if let SecretEvent::Remove(revision) | SecretEvent::Expired(revision) = what {
        problems
            .require(secret.revisions.contains_key(&revision), || format!("{name}: there is no revision {revision}"));
    }
}

fn action(problems: &mut Problems, name: &str, spec: &ActionSpec, params: &std::collections::BTreeMap<String, Value>) {
    for (key, value) in params {
        match spec.params.get(key) {
            Some(param) => problems.require(param.kind.as_deref().is_none_or(|kind| has_type(kind, value)), || {
                format!("action {name}: {key} cannot be {value}; Juju refuses it before the charm sees it")
            }),
            None => problems
                .require(spec.additional, || format!("action {name} has no parameter {key}, and takes no others")),
        }
    }
    for key in &spec.required {
        problems.require(params.contains_key(key), || format!("action {name}: parameter {key} is required"));
    }
}

fn has_type(kind: &str, value: &Value) -> bool {
    match kind {
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => true,
    }
}
