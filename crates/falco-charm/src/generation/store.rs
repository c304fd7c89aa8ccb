//! Generations on disk: writing one whole, reading it back, and the two links that say which one Falco proved to serve
//! and which one it served before that.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use charm_core::Hook;
use charm_core::files;
use serde::Serialize;

use super::{Generation, Id, RulesFile, rules_folder};
use crate::overrides::Overrides;
use crate::paths::GENERATIONS;

/// Where a generation is assembled before it gets its name.
const ASSEMBLING: &str = ".assembling";

const CURRENT: &str = "current";
const PREVIOUS: &str = "previous";

/// The configuration overrides of a generation, below its folder.
const OVERRIDES: &str = "overrides.yaml";

/// Which generations Falco proved to serve.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Links {
    /// The last one.
    pub current: Option<Id>,
    /// The one before.
    pub previous: Option<Id>,
}

/// Reads one. One that is not there, or is no longer what its name says, is `None`: it can only be made anew.
pub fn read(hook: &Hook, id: &Id) -> Result<Option<Generation>> {
    let folder = hook.path(&rules_folder(id));
    let overrides = files::read(&folder.with_file_name(OVERRIDES))?;
    let Some(overrides) = overrides.and_then(|text| Overrides::from_yaml(&text).ok()) else {
        return Ok(None);
    };
    let mut rules = Vec::new();
    for name in files::list(&folder)? {
        let Some(content) = files::read(&folder.join(&name))? else { return Ok(None) };
        rules.push(RulesFile { name, content });
    }
    let generation = Generation::of(rules, overrides);
    Ok((generation.id == *id).then_some(generation))
}

/// Writes one, unless it is there as it should be. Nobody ever sees half of it.
pub fn write(hook: &Hook, generation: &Generation) -> Result<()> {
    if read(hook, &generation.id)?.is_some() {
        return Ok(());
    }
    let beside = hook.path(&format!("{GENERATIONS}/{ASSEMBLING}"));
    files::remove(&beside)?;
    files::private_folder(&beside)?;
    files::private_folder(&beside.join("rules.d"))?;
    for RulesFile { name, content } in &generation.rules {
        files::replace(&beside.join("rules.d").join(name), content, 0o600)?;
    }
    files::replace(&beside.join(OVERRIDES), generation.overrides.to_yaml().as_bytes(), 0o600)?;
    let place = folder(hook, &generation.id);
    files::remove(&place)?;
    std::fs::rename(&beside, &place).with_context(|| format!("failed to name {}", place.display()))
}

/// Removes one.
pub fn remove(hook: &Hook, id: &Id) -> Result<()> {
    files::remove(&folder(hook, id))?;
    Ok(())
}

/// What the links say.
pub fn links(hook: &Hook) -> Result<Links> {
    let target = |name: &str| -> Result<Option<Id>> {
        let target = files::link_target(&hook.path(&format!("{GENERATIONS}/{name}")))?;
        Ok(target.and_then(|target| target.to_str()?.parse().ok()))
    };
    Ok(Links { current: target(CURRENT)?, previous: target(PREVIOUS)? })
}

/// Sets the links, the one to the previous generation first: a hook that is killed between the two still finds both
/// ends.
pub fn set_links(hook: &Hook, links: &Links) -> Result<()> {
    let there = self::links(hook)?;
    let links = [(PREVIOUS, &links.previous, there.previous), (CURRENT, &links.current, there.current)];
    for (name, id, there) in links {
        if let Some(id) = id
            && there.as_ref() != Some(id)
        {
            files::replace_link(&hook.path(&format!("{GENERATIONS}/{name}")), Path::new(id.as_str()))?;
        }
    }
    Ok(())
}

/// Removes every generation but those that the links name, and what a killed hook left of one.
pub fn remove_others(hook: &Hook, keep: &Links) -> Result<()> {
    let folder = hook.path(GENERATIONS);
    let kept = [&keep.current, &keep.previous].map(|id| id.as_ref().map(Id::as_str));
    for name in files::list(&folder)? {
        if ![CURRENT, PREVIOUS].contains(&name.as_str()) && !kept.contains(&Some(name.as_str())) {
            files::remove(&folder.join(&name))?;
            tracing::debug!("removed the generation {name}");
        }
    }
    Ok(())
}

fn folder(hook: &Hook, id: &Id) -> PathBuf {
    hook.path(&format!("{GENERATIONS}/{id}"))
}
