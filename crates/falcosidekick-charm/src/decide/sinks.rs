//! What to decide about outputs: which ones have to be enabled, which are left out for now, and when Falcosidekick is
//! started once more for one of them. Pure.

use std::collections::BTreeMap;

use charm_core::Status;
use charm_core::pebble::Layer;

use crate::facts::{Container, Facts};
use crate::names::SERVICE;
use crate::outputs::{self, OUTPUTS, Server, table};
use crate::plan::{Expected, LOKI_BY_RELATION};
use crate::render;
use crate::sinks::Sinks;

/// Notes the process that lacked an output whose server answered later, so that it is started anew for that only once.
pub const LATE_VARIABLE: &str = "CHARM_STARTED_FOR_LATE_OUTPUT";

/// What cannot be used for now: what Falcosidekick would crash on, and take all other outputs with it, and what the options
/// say about a related Loki that has no address yet. The reasons are those of the first; that of Loki is a remark.
pub fn leave_out(sinks: &mut Sinks, facts: &Facts, container: &Container) -> Vec<Status> {
    if matches!(facts.loki, Some(Ok(None))) {
        sinks.outputs.leave_out(table::LOKI);
    }
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
pub fn remarks(sinks: &Sinks, has_loki: bool, others: impl Iterator<Item = String>) -> Option<Status> {
    let has_loki = has_loki || sinks.outputs.enabled().any(|block| block.path == table::LOKI);
    let all: Vec<String> = others.chain(sinks.remarks(has_loki)).collect();
    (!all.is_empty()).then(|| Status::Active(all.join("; ")))
}
