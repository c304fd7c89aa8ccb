//! The two files that Falco is run with, and those of them that it proved to serve: what is written down of it, and what
//! can be gone back to. Pure.

use charm_core::digest::Digest;
use charm_core::files::File;

use super::sources::Chosen;
use super::{Candidate, Expected, Keep, Written};
use crate::distribution::Distribution;
use crate::facts::{Facts, Machine};
use crate::generation::store::Links;
use crate::k8s_audit::{self, Listener};
use crate::paths::{CONFIG_FILE, GOOD_CONFIG_FILE, GOOD_UNIT_FILE, PROGRAM, UNIT_FILE};
use crate::render::{falco_yaml, unit};

/// The two files that Falco is run with, and what it says when it serves them.
pub struct Pair {
    /// `falco.yaml`.
    pub config: File,
    /// The unit file.
    pub unit: File,
    /// The digest in it.
    pub unit_digest: Digest,
    /// What Falco says when it serves it.
    pub expect: Expected,
    /// The listener that it was made with, if it was made now.
    pub audit: Option<Listener>,
}

impl Pair {
    /// Those of a candidate. `default_rules` is the digest of those of its distribution, once it is unpacked.
    pub fn of(candidate: &Candidate, default_rules: Option<&Digest>) -> Self {
        Self {
            config: candidate.config.clone(),
            unit: candidate.unit.clone(),
            unit_digest: candidate.unit_digest.clone(),
            expect: candidate.expect(default_rules),
            audit: candidate.audit.clone(),
        }
    }

    /// The last pair that Falco proved to serve, if it is whole.
    pub fn good(machine: &Machine, root: &str) -> Option<Self> {
        let (config, unit_file) = (machine.files.get(GOOD_CONFIG_FILE)?, machine.files.get(GOOD_UNIT_FILE)?);
        let expect = Expected {
            port: falco_yaml::port_of(&config.content)?,
            config: Digest::of(&config.content),
            rules: machine.good_rules.clone(),
        };
        // With a file of it gone it could not be served again.
        let certificate = k8s_audit::listener_in(&config.content).map(|(_, path)| path.unwrap_or_default());
        if certificate.is_some_and(|path| !machine.audit.stored.contains_key(path.strip_prefix(root).unwrap_or(&path)))
        {
            return None;
        }
        if expect.rules.len() != falco_yaml::rules_files_of(&config.content, root).len() {
            return None;
        }
        Some(Self {
            config: File { path: CONFIG_FILE.to_owned(), ..config.clone() },
            unit: File { path: UNIT_FILE.to_owned(), mode: 0o644, ..unit_file.clone() },
            unit_digest: unit::digest_in(&unit_file.content)?,
            expect,
            audit: None,
        })
    }

    /// Does it run the program of this distribution?
    pub fn is_of(&self, distribution: &Distribution) -> bool {
        String::from_utf8_lossy(&self.unit.content).contains(&distribution.path(PROGRAM))
    }

    /// Is it what the candidate would be?
    pub fn is(&self, candidate: &Candidate) -> bool {
        self.config == candidate.config && self.unit == candidate.unit
    }
}

/// What is written down once the candidate serves.
pub fn keep(facts: &Facts, candidate: &Candidate, asked: &[Candidate], chosen: &Chosen) -> Keep {
    let machine = &facts.machine;
    let good = [(&candidate.config, GOOD_CONFIG_FILE), (&candidate.unit, GOOD_UNIT_FILE)];
    let good = good.map(|(file, path)| File { path: path.to_owned(), mode: 0o600, content: file.content.clone() });
    let id = candidate.generation.id();
    let links = match &machine.links {
        links if links.current.as_ref() == Some(id) => links.clone(),
        links => Links { previous: links.current.clone(), current: Some(id.clone()) },
    };
    Keep {
        good: good
            .into_iter()
            .filter(|file| machine.files.get(file.path.as_str()) != Some(file))
            .map(Written)
            .collect(),
        links,
        // The next hook asks about the same ones.
        verdicts: asked.iter().map(|candidate| candidate.digest.clone()).collect(),
        forget_refused: machine.refused.is_some() && chosen.refusal_is_over,
    }
}
