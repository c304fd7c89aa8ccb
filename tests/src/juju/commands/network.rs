//! `network-get`.

use super::{Failure, Outcome, Output, refused, usage, words};
use crate::juju::command::Invocation;
use crate::juju::encode::Value;
use crate::juju::flags::{Flag, Line, quote};
use crate::juju::hook::Hook;
use crate::juju::state::{Address, Device, Network};
use crate::juju::version::JujuVersion;

pub const FLAGS: &[Flag] = &[
    super::RELATION,
    Flag::switch(&["bind-address"]),
    Flag::switch(&["ingress-address"]),
    Flag::switch(&["egress-subnets"]),
    Flag::switch(&["primary-address"]),
];

/// The addresses behind a binding, or those asked for.
pub fn get(hook: &mut Hook, line: &Line, _: &Invocation) -> Outcome {
    let binding = match line.word(0) {
        None => return usage("no arguments specified"),
        Some("") => return usage("no binding name specified"),
        Some(binding) => binding,
    };
    line.at_most(1).map_err(Failure::from)?;
    of_forgotten_relation(hook, line)?;
    let network = network(hook, binding)?;
    let only = |name: &str| line.is_on(name);
    if only("primary-address") {
        if only("bind-address") || only("ingress-address") || only("egress-subnets") {
            return refused("--primary-address must be the only flag specified");
        }
        return match first_address(&network) {
            Some(address) => Ok(Output::Value(Value::text(address))),
            None => no_address(hook, "primary", binding),
        };
    }
    let mut asked: Vec<(String, Value)> = Vec::new();
    if only("bind-address") {
        match first_address(&network) {
            Some(address) => asked.push(("bind-address".into(), Value::text(address))),
            // Juju 3.6 panics here, and its agent with it. No charm shall get that far unnoticed.
            None if hook.unit.juju == JujuVersion::V3_6 => {
                return refused("panic: runtime error: index out of range [0] with length 0 (this ends the agent)");
            }
            None => return no_address(hook, "bind", binding),
        }
    }
    if only("egress-subnets") {
        let egress = &network.egress;
        asked.push(("egress-subnets".into(), if egress.is_empty() { Value::Null } else { Value::texts(egress) }));
    }
    if only("ingress-address") {
        match network.ingress.first().map(String::as_str).or_else(|| first_address(&network)) {
            Some(address) => asked.push(("ingress-address".into(), Value::text(address))),
            None => return no_address(hook, "ingress", binding),
        }
    }
    Ok(match asked.len() {
        0 => Output::Both { json: all(&network, false), yaml: all(&network, true) },
        1 => Output::Value(asked.remove(0).1),
        _ => Output::Value(Value::Map(asked)),
    })
}

/// What the controller says to `-r` with a relation that it has forgotten.
fn of_forgotten_relation(hook: &Hook, line: &Line) -> Result<(), Failure> {
    let Some(relation) = line.get("r").and_then(|text| words::relation_id(hook, text).ok()) else { return Ok(()) };
    let forgotten = hook.state.find_relation(relation).is_some_and(|relation| relation.forgotten);
    match (forgotten, hook.unit.juju) {
        (false, _) => Ok(()),
        (true, JujuVersion::V3_6) => refused(format!("relation {relation} not found")),
        (true, _) => refused("permission denied"),
    }
}

fn no_address(hook: &Hook, kind: &str, binding: &str) -> Outcome {
    let what = if hook.unit.juju == JujuVersion::V3_6 { "addresses".into() } else { format!("{kind} address") };
    refused(format!("no {what} attached to space for binding {}", quote(binding)))
}

fn first_address(network: &Network) -> Option<&str> {
    network.devices.first()?.addresses.first().map(|address| address.value.as_str())
}

/// What the scenario says about a binding, or the usual network of a declared one.
fn network(hook: &Hook, binding: &str) -> Result<Network, Failure> {
    let metadata = &hook.unit.metadata;
    let declared = metadata.endpoints.contains_key(binding)
        || metadata.extra_bindings.iter().any(|name| name == binding)
        || binding == "juju-info";
    match hook.state.networks.get(binding) {
        Some(network) if network.devices.is_empty() && network.ingress.is_empty() => {
            refused(format!("no network config found for binding {}", quote(binding)))
        }
        Some(network) => Ok(network.clone()),
        None if !declared && hook.unit.juju == JujuVersion::V3_6 => {
            refused(format!("no network config found for binding {}", quote(binding)))
        }
        // The words of Juju 4 come from its controller and were not observed.
        None if !declared => refused(format!("endpoint {} not found", quote(binding))),
        None if !hook.on_kubernetes() => Ok(Network::usual_machine()),
        None if hook.unit.juju == JujuVersion::V4_1 => {
            let (app, number, model) = (&hook.unit.app, hook.unit.number, &hook.state.model.name);
            let name = format!("{app}-{number}.{app}-endpoints.{model}.svc.cluster.local");
            Ok(Network::usual_pod().with_pod_name(&name))
        }
        None => Ok(Network::usual_pod()),
    }
}

/// Empty lists are left out. YAML has the old names of some fields beside the new ones.
fn all(network: &Network, yaml: bool) -> Value {
    let devices = network.devices.iter().map(|each| device(each, yaml)).collect();
    let mut fields = vec![("bind-addresses", Value::List(devices))];
    if !network.egress.is_empty() {
        fields.push(("egress-subnets", Value::texts(&network.egress)));
    }
    if !network.ingress.is_empty() {
        fields.push(("ingress-addresses", Value::texts(&network.ingress)));
    }
    Value::Fields(fields)
}

fn device(device: &Device, yaml: bool) -> Value {
    let mut fields = vec![
        ("mac-address", Value::text(&device.mac)),
        ("interface-name", Value::text(&device.name)),
        ("addresses", Value::List(device.addresses.iter().map(|each| address(each, yaml)).collect())),
    ];
    if yaml {
        fields.push(("macaddress", Value::text(&device.mac)));
        fields.push(("interfacename", Value::text(&device.name)));
    }
    Value::Fields(fields)
}

fn address(address: &Address, yaml: bool) -> Value {
    let mut fields = vec![
        ("hostname", Value::text(&address.hostname)),
        ("value", Value::text(&address.value)),
        ("cidr", Value::text(&address.cidr)),
    ];
    if yaml {
        fields.push(("address", Value::text(&address.value)));
    }
    Value::Fields(fields)
}
