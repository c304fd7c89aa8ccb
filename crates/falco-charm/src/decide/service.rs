//! What to do with the service: from what the running process was started with and what it says it has loaded, never
//! from what was just written. Pure.

use std::collections::BTreeMap;

use charm_core::Status;
use charm_core::digest::Digest;
use serde::Serialize;

use crate::config::{self, Config};
use crate::facts::Facts;
use crate::metrics::Served;
use crate::paths::CONFIG_FILE;
use crate::render::falco_yaml;

/// What Falco says on `/metrics` when it runs what it should.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Expected {
    /// Where to ask, on loopback.
    pub port: u16,
    /// The digest of its configuration file.
    pub config: Digest,
    /// The digests of all rules files, by name without folder.
    pub rules: BTreeMap<String, Digest>,
}

impl Expected {
    /// Has Falco loaded this configuration, and exactly these rules?
    pub fn is_served(&self, served: &Served) -> bool {
        served.config.get("falco.yaml") == Some(&self.config) && served.rules == self.rules
    }
}

/// What to do with the service: one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServiceAction {
    /// It runs what it should.
    Leave,
    /// It does not run.
    Start,
    /// It runs, and can take in what differs.
    Reload,
    /// It runs, and was started with something else.
    Restart,
}

/// Chooses.
pub fn choose(facts: &Facts, unit_digest: &Digest, expect: &Expected) -> ServiceAction {
    let machine = &facts.machine;
    if machine.service.sub_state == "auto-restart" {
        // A start would wait, with the hook, for the time between two tries of systemd.
        ServiceAction::Restart
    } else if !machine.service.is_running() {
        ServiceAction::Start
    } else if machine.running.as_ref() != Some(unit_digest) {
        ServiceAction::Restart
    } else if !facts.asked_to_reload && machine.served.as_ref().is_some_and(|served| expect.is_served(served)) {
        ServiceAction::Leave
    } else {
        ServiceAction::Reload
    }
}

/// Falco would take a port that another Falco has without an error, and would end on one that another program has.
pub fn check_port(facts: &Facts, config: &Config, service: ServiceAction) -> Result<(), Status> {
    let machine = &facts.machine;
    let port = config.metrics_port;
    let on_disk = machine.files.get(CONFIG_FILE).and_then(|file| falco_yaml::port_of(&file.content));
    let moves_there = match service {
        ServiceAction::Leave => false,
        ServiceAction::Start => true,
        ServiceAction::Restart if !machine.service.is_running() => true,
        // Without a file of ours, what runs is the Python charm's Falco, and the port in use may well be its own.
        ServiceAction::Reload | ServiceAction::Restart => on_disk.is_some_and(|on_disk| on_disk != port.number()),
    };
    if moves_there && machine.host.listening.contains(&port.number()) {
        return Err(config::port_taken(port));
    }
    Ok(())
}
