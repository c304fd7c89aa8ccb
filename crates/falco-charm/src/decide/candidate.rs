//! A pair of files that Falco could run with: asked about as one, run as one, and gone back to as one. Pure.

use std::collections::BTreeMap;

use charm_core::digest::Digest;
use charm_core::files::File;
use serde::{Serialize, Serializer};

use super::Expected;
use crate::config::{Config, Selector};
use crate::distribution::Distribution;
use crate::facts::Facts;
use crate::generation::Generation;
use crate::k8s_audit::Listener;
use crate::paths::{CONFIG_FILE, DEFAULT_RULES, PROGRAM, UNIT_FILE, file_name};
use crate::render::{Inputs, falco_yaml, unit};

/// Where alerts are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receiver {
    /// The URL.
    pub url: String,
    /// The file of those who vouch for it, as a path of this unit.
    pub authorities: Option<String>,
}

/// See the module.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// What Falco is asked about: both files, and with them all that they name.
    pub digest: Digest,
    /// `falco.yaml`.
    pub config: File,
    /// The unit file.
    pub unit: File,
    /// The digest in it.
    pub unit_digest: Digest,
    /// The operator's part of it.
    pub generation: Generation,
    /// The Falco to ask, as a path of this unit.
    pub program: String,
    /// All that it loads, in order, as paths of this unit.
    pub rules: Vec<String>,
    /// What the options disable and enable, by the option.
    pub selectors: Vec<(&'static str, Selector)>,
    /// Its listener for Kubernetes audit events.
    pub audit: Option<Listener>,
    /// Alerts go somewhere else than to the system log.
    pub sends_alerts: bool,
    port: u16,
    loads_defaults: bool,
}

impl Serialize for Candidate {
    /// Without the content, which may hold passwords.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format!("{:?} with the generation {}", self.config, self.generation.id()))
    }
}

impl Candidate {
    /// The pair for a generation, with everything else as the facts have it.
    pub fn new(
        facts: &Facts,
        config: &Config,
        distribution: &Distribution,
        generation: Generation,
        audit: Option<&Listener>,
        receiver: Option<&Receiver>,
    ) -> Self {
        let inputs = Inputs {
            config,
            topology: &facts.topology,
            root: &facts.root,
            distribution,
            containers: &facts.machine.containers,
            generation: &generation,
            audit,
            url: receiver.map(|receiver| receiver.url.as_str()),
            authorities: receiver.and_then(|receiver| receiver.authorities.as_deref()),
        };
        let yaml = falco_yaml::falco_yaml(&inputs);
        let (unit, unit_digest) = unit::unit_file(&inputs);
        let disabled = config.disabled_rules.iter().map(|selector| (crate::config::DISABLED_RULES, selector.clone()));
        let enabled = config.enabled_rules.iter().map(|selector| (crate::config::ENABLED_RULES, selector.clone()));
        Self {
            digest: Digest::of_all([&yaml, &unit]),
            config: File { path: CONFIG_FILE.to_owned(), mode: 0o600, content: yaml.into_bytes() },
            unit: File { path: UNIT_FILE.to_owned(), mode: 0o644, content: unit.into_bytes() },
            unit_digest,
            program: distribution.path(PROGRAM),
            rules: falco_yaml::rules_files(config, distribution, audit, &generation),
            selectors: disabled.chain(enabled).collect(),
            audit: audit.cloned(),
            sends_alerts: receiver.is_some(),
            port: config.metrics_port.number(),
            loads_defaults: falco_yaml::loads_defaults(config, &generation),
            generation,
        }
    }

    /// What Falco says about itself when it serves this; `default_rules` is the digest of those of the distribution,
    /// once it is unpacked.
    pub fn expect(&self, default_rules: Option<&Digest>) -> Expected {
        let defaults = default_rules
            .filter(|_| self.loads_defaults)
            .map(|digest| (file_name(DEFAULT_RULES).to_owned(), digest.clone()));
        let audit = self
            .audit
            .as_ref()
            .and_then(|listener| Some((file_name(&listener.rules).to_owned(), listener.rules_digest.clone()?)));
        let rules: BTreeMap<String, Digest> =
            defaults.into_iter().chain(audit).chain(self.generation.rules_digests()).collect();
        Expected { port: self.port, config: Digest::of(&self.config.content), rules }
    }
}
