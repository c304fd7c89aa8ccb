//! The options: those that are set, or while these cannot be used those that Falcosidekick served with last.

use std::collections::btree_map::Entry;

use anyhow::Result;
use charm_core::config::RawConfig;
use charm_core::{Status, juju, secret};

use crate::decide;
use crate::outputs::Surroundings;
use crate::outputs::secrets::{self, Secrets};

/// The key under which Juju keeps those that Falcosidekick served with last. A container keeps nothing when its pod goes,
/// and a certificate has to be renewed whatever an operator has mistyped.
pub const KEY: &str = "options";

/// What is in force.
#[derive(Debug)]
pub struct Options {
    /// The options.
    pub config: RawConfig,
    /// The secrets that they name.
    pub secrets: Secrets,
    /// What is wrong with those that are set instead, if they are not in force.
    pub refused: Option<Status>,
}

/// Decides which options are in force: one hook command for each secret that they name. With none that can be used, those
/// that are set are taken, so that whoever parses them finds what is wrong.
pub fn in_force(app: &str, loki_is_related: bool, set: RawConfig, kept: Option<&str>) -> Result<Options> {
    let mut secrets = Secrets::new();
    read_secrets(&set, &mut secrets)?;
    let parse = |config: &RawConfig, secrets: &Secrets| {
        decide::parse(config, &Surroundings { app, loki_is_related, secrets }).map(drop)
    };
    let Err(refused) = parse(&set, &secrets) else { return Ok(Options { config: set, secrets, refused: None }) };
    // Whatever cannot be read was written by another charm.
    if let Some(last) = kept.and_then(|text| serde_json::from_str::<RawConfig>(text).ok()) {
        read_secrets(&last, &mut secrets)?;
        if parse(&last, &secrets).is_ok() {
            return Ok(Options { config: last, secrets, refused: Some(refused) });
        }
    }
    Ok(Options { config: set, secrets, refused: None })
}

fn read_secrets(config: &RawConfig, secrets: &mut Secrets) -> Result<()> {
    for id in secrets::wanted(config) {
        if let Entry::Vacant(new) = secrets.entry(id) {
            let content = secret::content(new.key())?;
            new.insert(content);
        }
    }
    Ok(())
}

/// Has Juju keep them.
pub fn keep(options: &str) -> Result<()> {
    juju::state_set(KEY, options)
}
