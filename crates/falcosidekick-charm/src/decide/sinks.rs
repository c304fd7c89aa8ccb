//! What to decide about outputs: which ones have to be enabled, which are left out for now, and when Falcosidekick is
//! started once more for one of them. Pure.

use std::collections::BTreeMap;

use charm_core::Status;
use charm_core::pebble::Layer;
use serde::Serialize;

use crate::facts::Container;
use crate::names::{SEND_LOKI_LOGS, SERVICE};
use crate::outputs::{self, OUTPUTS, Server, table};
use crate::render;
use crate::sinks::Sinks;

/// Notes the process that lacked an output whose server answered later, so that it is started anew for that only once.
pub const LATE_VARIABLE: &str = "CHARM_STARTED_FOR_LATE_OUTPUT";

/// An output that Falcosidekick has to have enabled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Expected {
    /// Its place in the configuration.
    pub path: &'static str,
    /// What Falcosidekick calls it.
    pub name: &'static str,
    /// What stands in front of its errors.
    pub says: &'static str,
    /// The server that may have been down when Falcosidekick started, as `host:port`.
    pub server: Option<String>,
}

/// An output that Falcosidekick has not enabled, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// What was expected.
    pub output: Expected,
    /// What Falcosidekick says about it.
    pub words: String,
}

impl Dropped {
    /// What to tell the operator about it.
    pub fn status(&self) -> Status {
        let Self { output: Expected { path, server, .. }, words } = self;
        match server {
            None if *path == LOKI_BY_RELATION => {
                Status::Blocked(format!("{SEND_LOKI_LOGS}: Falcosidekick dropped the Loki output: {words}"))
            }
            None => Status::Blocked(format!("{OUTPUTS}: {path}: Falcosidekick dropped it: {words}")),
            Some(server) => Status::Waiting(format!(
                "{OUTPUTS}: {path}: {server} was not there when Falcosidekick started, which is started once more when it \
                 answers: {words}"
            )),
        }
    }
}

/// The place of the one output that an operator does not write.
const LOKI_BY_RELATION: &str = SEND_LOKI_LOGS;

/// Falcosidekick would crash on these, and take all other outputs with it.
pub fn leave_out(sinks: &mut Sinks, container: &Container) -> Vec<Status> {
    let late = sinks.outputs.late();
    let absent = late.iter().filter(|(path, _)| container.absent.contains(*path));
    absent
        .map(|(path, Server { host, port, .. })| {
            sinks.outputs.leave_out(path);
            let text = format!(
                "{OUTPUTS}: {path}: left out until {host}:{port} answers, as Falcosidekick would crash without it"
            );
            Status::Waiting(text)
        })
        .collect()
}

/// Has Falcosidekick start once more when a server answers without which it dropped an output, by a variable of the
/// service: Pebble restarts a service whose entry in the plan is another one.
pub fn note_late_outputs(layer: &mut Layer, container: &Container) {
    let Some(service) = layer.services.get_mut(SERVICE) else { return };
    let before = container.plan.services.get(SERVICE).map(|service| &service.environment);
    let digest = |environment: &BTreeMap<String, String>| environment.get(render::DIGEST_VARIABLE).cloned();
    // Another configuration is a start anyway.
    let same = before.filter(|before| digest(before) == digest(&service.environment));
    let noted = same.and_then(|before| before.get(LATE_VARIABLE)).map(String::as_str);
    let is_worth_it = same.is_some() && !container.answering.is_empty();
    if let Some(note) = outputs::note(&container.log, is_worth_it, noted) {
        service.environment.insert(LATE_VARIABLE.to_owned(), note);
    }
}

/// The outputs that have to be enabled. The server of one that is dropped although it answers is not to blame.
pub fn expected(container: &Container, sinks: &Sinks, loki_is_related: bool) -> Vec<Expected> {
    let servers = sinks.outputs.late();
    let expect = |block: &'static table::Block| Expected {
        path: block.path,
        name: block.name,
        says: block.says,
        server: servers
            .get(block.path)
            .filter(|_| !block.crashes && !container.answering.contains(block.path))
            .map(|server| format!("{}:{}", server.host, server.port)),
    };
    let loki = table::block(table::LOKI).filter(|_| loki_is_related);
    let by_relation = loki.map(|block| Expected { path: LOKI_BY_RELATION, ..expect(block) });
    let is_other = |block: &&table::Block| !(loki_is_related && block.path == table::LOKI);
    by_relation.into_iter().chain(sinks.outputs.enabled().filter(is_other).map(expect)).collect()
}

/// What does not keep Falcosidekick from working.
pub fn remarks(sinks: &Sinks, has_loki: bool, proxy: Option<String>) -> Option<Status> {
    let has_loki = has_loki || sinks.outputs.enabled().any(|block| block.path == table::LOKI);
    let all: Vec<String> = sinks.remarks(has_loki).into_iter().chain(proxy).collect();
    (!all.is_empty()).then(|| Status::Active(all.join("; ")))
}
