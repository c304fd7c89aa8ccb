//! What stands around the two files of Falco: the host, the distribution, who receives alerts and who watches. Pure.

use charm_core::Status;
use charm_core::names::RelationId;
use charm_core::relation::{self, Databag};

use super::{Candidate, Receiver, ServiceAction};
use crate::config::{Config, Engine};
use crate::distribution::{Available, Distribution, Tarball};
use crate::facts::{Facts, Sidekick};
use crate::paths::UNIT;
use crate::probe::Failure;
use crate::render::falco_yaml;
use crate::trust::Bringer;
use crate::{cos_agent, delivery, host};

/// Nobody else runs Falco here.
pub fn check_host(facts: &Facts) -> Result<(), Status> {
    let host = &facts.machine.host;
    if let Some(unit) = &host.other_unit {
        let text = format!("{UNIT} of this machine is run by the unit {unit}; one Falco watches all of the machine");
        return Err(Status::Blocked(text));
    }
    if let Some(path) = &host.foreign {
        let text = format!("another Falco is installed on this machine ({path}); remove it, or remove this unit");
        return Err(Status::Blocked(text));
    }
    Ok(())
}

/// Whether Falco can watch this host is asked before anything is done for it. Where it runs, it can.
pub fn check_abilities(facts: &Facts, config: &Config, installs: bool) -> Result<(), Status> {
    let engine = if facts.machine.service.is_running() { Engine::Nodriver } else { config.engine };
    let problems = host::problems(&facts.machine.abilities, engine, installs);
    if problems.is_empty() { Ok(()) } else { Err(Status::Blocked(problems.join("; "))) }
}

/// What the observability agent does not know yet.
pub fn publish(facts: &Facts, port: u16) -> Vec<(RelationId, Databag)> {
    if facts.cos_agent.is_empty() {
        return Vec::new();
    }
    let wanted = cos_agent::databag(&facts.topology, port);
    let differences = facts.cos_agent.iter().map(|(id, own)| (*id, relation::difference(own, &wanted)));
    differences.filter(|(_, difference)| !difference.is_empty()).collect()
}

/// What is known of the delivery of alerts by now. A Falco that is made to load something else begins anew.
pub fn delivery(facts: &Facts, service: ServiceAction, notes: &mut Vec<Status>) -> Option<delivery::Known> {
    let machine = &facts.machine;
    let served = machine.served.as_ref().filter(|_| service == ServiceAction::Leave)?;
    machine.receiver(&facts.root)?;
    let known = machine.delivery.after(&served.counters, &machine.printed);
    notes.extend(known.remark().map(Status::Active));
    // As long as all is well, nothing has to be remembered.
    let is_trouble = known.remark().or_else(|| machine.delivery.remark()).is_some();
    (is_trouble && known != machine.delivery).then_some(known)
}

/// Which Falco to run, and from what to install it.
pub fn choose_distribution(facts: &Facts, notes: &mut Vec<Status>) -> Result<(Distribution, Option<Tarball>), Status> {
    let application = &facts.topology.application;
    match &facts.available {
        Available::Installed(distribution) => Ok((distribution.clone(), None)),
        Available::New(tarball, distribution) => Ok((distribution.clone(), Some(tarball.clone()))),
        Available::Unusable { tarball, problem, installed } => {
            let what = if tarball.attached { "resource falco" } else { "the Falco packed with the charm" };
            let text =
                format!("{what}: {problem}; attach a good one: juju attach-resource {application} falco=FILE.tar.gz");
            match installed {
                Some(distribution) => {
                    notes.push(Status::Blocked(text));
                    Ok((distribution.clone(), None))
                }
                None => Err(Status::Blocked(text)),
            }
        }
        Available::Nothing => Err(Status::Blocked(format!(
            "no Falco to install: this charm was packed without one; juju attach-resource {application} falco=FILE.tar.gz"
        ))),
    }
}

/// Where alerts go beside the system log.
pub fn choose_receiver(facts: &Facts, notes: &mut Vec<Status>) -> Option<Receiver> {
    notes.extend(facts.trust.bringers.iter().filter_map(Bringer::problem));
    let Some(Sidekick { app, data }) = &facts.sidekick else {
        let text = "alerts go to the system log only; relate http-endpoint to Falcosidekick to send them on";
        notes.push(Status::Active(text.to_owned()));
        return None;
    };
    match data {
        Ok(Some(provider)) => {
            notes.extend(facts.trust.failure.as_ref().map(Failure::status));
            let authorities = facts.trust.file.as_ref().map(|file| file.path.clone());
            Some(Receiver { url: provider.url.to_string(), authorities })
        }
        Ok(None) => {
            notes.push(Status::Waiting(format!("http-endpoint: waiting for {app} to publish its URL")));
            None
        }
        Err(error) => {
            notes.push(Status::Blocked(format!("http-endpoint: {app} {error}; the last good URL stays in use")));
            facts.machine.receiver(&facts.root)
        }
    }
}

/// Where the charm does not do what an option says, or what it says is seldom meant.
pub fn remark(config: &Config, candidate: &Candidate, notes: &mut Vec<Status>) {
    if !config.default_rules && falco_yaml::loads_defaults(config, &candidate.generation) {
        let text = "default-rules: without Falco's own rules there is no rule at all; they stay in use until rules or \
                    custom-config-repository gives others";
        notes.push(Status::Blocked(text.to_owned()));
    }
    if !config.syslog_output && !candidate.sends_alerts {
        let text = "syslog-output: alerts go to the system log until there is another place for them";
        notes.push(Status::Active(text.to_owned()));
    }
    if config.engine == Engine::Nodriver {
        let text = "engine: nodriver sees no system call, so that only rules of plugins raise alerts";
        notes.push(Status::Active(text.to_owned()));
    }
}
