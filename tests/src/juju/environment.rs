//! The environment of one hook: these variables and no others.

use std::collections::BTreeMap;
use std::path::Path;

use super::event::{Event, Kind, RelationStep, SecretEvent, WorkloadEvent};
use super::state::{State, Substrate};
use super::unit::Unit;
use super::version::JujuVersion;

/// The places of one hook.
#[derive(Clone, Copy, Debug)]
pub struct Places<'a> {
    /// The charm folder.
    pub charm_dir: &'a Path,
    /// The socket of the hook commands.
    pub socket: &'a Path,
    /// The value of `PATH`.
    pub path: &'a str,
    /// The context id of this run.
    pub context_id: &'a str,
    /// The id of the action, if it is one.
    pub action_id: &'a str,
}

/// Every variable of a hook or action.
pub fn variables(unit: &Unit, state: &State, event: &Event, places: &Places<'_>) -> BTreeMap<String, String> {
    let mut vars = Variables::default();
    common(&mut vars, unit, state, places);
    by_substrate(&mut vars, unit, state);
    by_version(&mut vars, unit.juju);
    let name = event.name(|id| state.find_relation(id).map(|r| r.endpoint.clone()).unwrap_or_default());
    if event.action_name().is_some() {
        vars.set("JUJU_DISPATCH_PATH", format!("actions/{name}"));
        vars.set("JUJU_HOOK_NAME", "");
    } else {
        vars.set("JUJU_DISPATCH_PATH", format!("hooks/{name}"));
        vars.set("JUJU_HOOK_NAME", name.as_str());
    }
    by_event(&mut vars, unit, state, event, places);
    vars.0
}

#[derive(Default)]
struct Variables(BTreeMap<String, String>);

impl Variables {
    fn set(&mut self, name: &str, value: impl Into<String>) {
        self.0.insert(name.to_owned(), value.into());
    }
}

fn common(vars: &mut Variables, unit: &Unit, state: &State, places: &Places<'_>) {
    let charm_dir = places.charm_dir.to_string_lossy();
    vars.set("JUJU_CHARM_DIR", charm_dir.as_ref());
    vars.set("CHARM_DIR", charm_dir.as_ref());
    vars.set("JUJU_CONTEXT_ID", places.context_id);
    vars.set("JUJU_AGENT_SOCKET_ADDRESS", places.socket.to_string_lossy());
    vars.set("JUJU_AGENT_SOCKET_NETWORK", "unix");
    vars.set("JUJU_UNIT_NAME", unit.name());
    vars.set("JUJU_MODEL_NAME", state.model.name.as_str());
    vars.set("JUJU_MODEL_UUID", state.model.uuid.as_str());
    vars.set("JUJU_API_ADDRESSES", "192.0.2.1:17070 192.0.2.2:17070");
    vars.set("JUJU_VERSION", unit.juju.agent_version());
    vars.set("JUJU_PRINCIPAL_UNIT", unit.principal.clone().unwrap_or_default());
    for kind in ["HTTP", "HTTPS", "FTP", "NO"] {
        let proxy = unit.proxies.get(kind).cloned().unwrap_or_default();
        vars.set(&format!("JUJU_CHARM_{kind}_PROXY"), proxy);
    }
    vars.set("PATH", places.path);
    vars.set("LANG", "C.UTF-8");
    vars.set("TERM", "tmux-256color");
    vars.set("DEBIAN_FRONTEND", "noninteractive");
    vars.set("APT_LISTCHANGES_FRONTEND", "none");
}

fn by_substrate(vars: &mut Variables, unit: &Unit, state: &State) {
    match state.model.substrate {
        Substrate::Machine => {
            vars.set("JUJU_MACHINE_ID", unit.machine.as_str());
            vars.set("JUJU_AVAILABILITY_ZONE", unit.availability_zone.as_str());
            vars.set("CLOUD_API_VERSION", "");
        }
        Substrate::Kubernetes => {
            vars.set("JUJU_MACHINE_ID", "");
            vars.set("JUJU_AVAILABILITY_ZONE", "");
            vars.set("CLOUD_API_VERSION", "1.32.0");
            for (name, value) in [
                ("KUBERNETES_SERVICE_HOST", "10.152.183.1"),
                ("KUBERNETES_SERVICE_PORT", "443"),
                ("KUBERNETES_SERVICE_PORT_HTTPS", "443"),
                ("KUBERNETES_PORT", "tcp://10.152.183.1:443"),
                ("KUBERNETES_PORT_443_TCP", "tcp://10.152.183.1:443"),
                ("KUBERNETES_PORT_443_TCP_PROTO", "tcp"),
                ("KUBERNETES_PORT_443_TCP_PORT", "443"),
                ("KUBERNETES_PORT_443_TCP_ADDR", "10.152.183.1"),
            ] {
                vars.set(name, value);
            }
        }
    }
}

fn by_version(vars: &mut Variables, juju: JujuVersion) {
    if juju == JujuVersion::V3_6 {
        vars.set("JUJU_SLA", "unsupported");
    } else {
        for kind in ["HTTP", "GRPC", "CA_CERT"] {
            vars.set(&format!("JUJU_CHARM_TRACE_CONFIG_{kind}"), "");
        }
    }
}

fn by_event(vars: &mut Variables, unit: &Unit, state: &State, event: &Event, places: &Places<'_>) {
    match &event.kind {
        Kind::Plain(_) => {}
        Kind::Relation(event) => {
            if let Some(relation) = state.find_relation(event.id) {
                vars.set("JUJU_RELATION", relation.endpoint.as_str());
                vars.set("JUJU_RELATION_ID", relation.full_id());
                vars.set("JUJU_REMOTE_APP", relation.remote_app.as_str());
            }
            vars.set("JUJU_REMOTE_UNIT", event.unit.clone().unwrap_or_default());
            if event.what == RelationStep::Departed {
                let departing = event.departing.clone().or_else(|| event.unit.clone());
                vars.set("JUJU_DEPARTING_UNIT", departing.unwrap_or_default());
            }
        }
        Kind::Workload { container, what } => {
            vars.set("JUJU_WORKLOAD_NAME", container.as_str());
            match what {
                WorkloadEvent::Ready => {}
                WorkloadEvent::CustomNotice { id, key } => {
                    vars.set("JUJU_NOTICE_ID", id.as_str());
                    vars.set("JUJU_NOTICE_TYPE", "custom");
                    vars.set("JUJU_NOTICE_KEY", key.as_str());
                }
                WorkloadEvent::CheckFailed(check) | WorkloadEvent::CheckRecovered(check) => {
                    vars.set("JUJU_PEBBLE_CHECK_NAME", check.as_str());
                }
            }
        }
        Kind::Secret { id, what } => {
            vars.set("JUJU_SECRET_ID", format!("secret:{id}"));
            vars.set("JUJU_SECRET_LABEL", secret_label(unit, state, id, *what));
            if let SecretEvent::Remove(revision) | SecretEvent::Expired(revision) = what {
                vars.set("JUJU_SECRET_REVISION", revision.to_string());
            }
        }
        Kind::Storage { id, .. } => {
            vars.set("JUJU_STORAGE_ID", id.as_str());
            if let Some(storage) = state.storages.iter().find(|storage| storage.id == *id) {
                vars.set("JUJU_STORAGE_LOCATION", storage.location.as_str());
                vars.set("JUJU_STORAGE_KIND", storage.kind.as_str());
            }
        }
        Kind::Action { name, .. } => {
            vars.set("JUJU_ACTION_NAME", name.as_str());
            vars.set("JUJU_ACTION_UUID", places.action_id);
            vars.set("JUJU_ACTION_TAG", format!("action-{}", places.action_id));
        }
    }
}

/// The reader's label in `secret-changed`, the owner's in the others.
fn secret_label(unit: &Unit, state: &State, id: &str, what: SecretEvent) -> String {
    let Some(secret) = state.secrets.iter().find(|secret| secret.id == id) else {
        return String::new();
    };
    match what {
        SecretEvent::Changed => {
            secret.consumers.get(&unit.name()).map(|consumer| consumer.label.clone()).unwrap_or_default()
        }
        _ => secret.label.clone(),
    }
}
