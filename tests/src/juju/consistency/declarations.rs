//! What the state holds must be declared by the charm, and fit the model.

use super::Problems;
use crate::juju::metadata::{Metadata, ResourceType};
use crate::juju::state::{State, Substrate};
use crate::juju::unit::Unit;
use crate::juju::version::JujuVersion;

pub fn check(problems: &mut Problems, unit: &Unit, state: &State) {
    model(problems, unit, state);
    config(problems, &unit.metadata, state);
    named_things(problems, &unit.metadata, state);
    ports(problems, state);
    for text in &unit.metadata.assumes {
        problems.require(is_met(text, unit, state), || {
            format!("the charm assumes {text}, which Juju {} in this model does not meet: choose another Context::juju or model", unit.juju)
        });
    }
    for name in state.other_units.keys() {
        let of_app = name.strip_prefix(&unit.app).is_some_and(|rest| rest.starts_with('/'));
        problems.require(of_app && !unit.is(name), || {
            format!("{name} is no other unit of {}: State::other_units lists those of the own application", unit.app)
        });
    }
}

fn model(problems: &mut Problems, unit: &Unit, state: &State) {
    let kubernetes = state.model.substrate == Substrate::Kubernetes;
    let metadata = &unit.metadata;
    problems.require(kubernetes || metadata.containers.is_empty(), || {
        format!("{} has containers and cannot be deployed on machines: start from State::kubernetes()", metadata.name)
    });
    problems.require(!(kubernetes && metadata.subordinate), || {
        format!("{} is a subordinate, which Kubernetes does not have: start from State::machine()", metadata.name)
    });
    problems.require(metadata.subordinate == unit.principal.is_some(), || {
        "a unit has a principal if its charm is a subordinate, and only then: see Context::principal".into()
    });
    for uuid in
        std::iter::once(&state.model.uuid).chain(state.relations.iter().filter_map(|r| r.remote_model_uuid.as_ref()))
    {
        problems.require(is_uuid_4(uuid), || format!("{uuid:?} is not a version 4 UUID, which the id of a model is"));
    }
}

fn is_uuid_4(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let hex = |part: &&str| part.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    parts.iter().map(|part| part.len()).eq([8, 4, 4, 4, 12])
        && parts.iter().all(hex)
        && parts[2].starts_with('4')
        && parts[3].starts_with(['8', '9', 'a', 'b'])
}

fn config(problems: &mut Problems, metadata: &Metadata, state: &State) {
    for (name, value) in &state.config {
        match metadata.options.get(name) {
            None => {
                problems.0.push(format!("there is no option {name}: declare it in charmcraft.yaml, or leave it out"));
            }
            Some(option) => problems.require(option.kind.takes(value), || {
                format!(
                    "option {name} cannot be {value}: its type is {:?}; an option that is not set is left out",
                    option.kind
                )
            }),
        }
    }
}

fn named_things(problems: &mut Problems, metadata: &Metadata, state: &State) {
    for name in state.resources.keys() {
        problems.require(matches!(metadata.resources.get(name), Some(ResourceType::File(_))), || {
            format!("{name} is not declared as a resource of type file, and no other can be attached as one")
        });
    }
    for name in state.networks.keys() {
        let known =
            metadata.endpoints.contains_key(name) || metadata.extra_bindings.contains(name) || name == "juju-info";
        problems.require(known, || format!("no endpoint or extra binding is called {name}, so it has no network"));
    }
    let mut ids = std::collections::BTreeSet::new();
    for storage in &state.storages {
        let name = storage.id.split('/').next().unwrap_or_default();
        let declared = metadata.storages.get(name);
        problems.require(declared == Some(&storage.kind), || {
            format!("storage {} of kind {} does not fit its declaration: {declared:?}", storage.id, storage.kind)
        });
        problems.require(ids.insert(&storage.id), || format!("storage {} is there twice", storage.id));
    }
}

fn ports(problems: &mut Problems, state: &State) {
    let kubernetes = state.model.substrate == Substrate::Kubernetes;
    for port in &state.opened_ports {
        problems.require(!kubernetes || (port.from == port.to && port.protocol != "icmp"), || {
            format!("{} cannot be open on Kubernetes, which takes single TCP and UDP ports only", port.range())
        });
        let conflict = state.opened_ports.iter().find(|other| !other.same_range(port) && other.overlaps(port));
        problems.require(conflict.is_none(), || format!("{} and another range overlap", port.range()));
    }
}

/// Whether `juju >= 3.6`, `juju < 5` or `k8s-api` holds. What is not understood holds.
fn is_met(text: &str, unit: &Unit, state: &State) -> bool {
    let words: Vec<&str> = text.split_whitespace().collect();
    let number = |text: &str| {
        let mut parts = text.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
        (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
    };
    let version: fn(JujuVersion) -> (u32, u32) = JujuVersion::numbers;
    match words.as_slice() {
        ["k8s-api"] => state.model.substrate == Substrate::Kubernetes,
        ["juju", ">=", wanted] => version(unit.juju) >= number(wanted),
        ["juju", "<", wanted] => version(unit.juju) < number(wanted),
        _ => true,
    }
}
