//! Who is on the other side of which relation, kept on disk: it never changes, and asking Juju for it is one hook command
//! for each relation in every hook.
//!
//! It only saves work. Without the file, Juju is asked once more.

use std::cell::RefCell;
use std::collections::BTreeMap;

use anyhow::Result;
use charm_core::names::{AppName, RelationId};
use charm_core::relation::{self, RemoteApp};
use charm_core::{Hook, files};
use serde::{Deserialize, Serialize};

use crate::paths::REMOTES_FILE;

/// The applications by the number of the relation, for one unit of one model: numbers count within a model, and another
/// unit on the same machine may have left the file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    model: String,
    unit: String,
    applications: BTreeMap<String, String>,
}

/// What is known, and what this hook has seen.
#[derive(Debug)]
pub struct Remotes {
    known: Known,
    seen: RefCell<BTreeMap<String, String>>,
}

impl Remotes {
    /// Reads what is known.
    pub fn read(hook: &Hook) -> Result<Self> {
        let fresh =
            Known { model: hook.model.uuid.clone(), unit: hook.unit.to_string(), applications: BTreeMap::new() };
        let known: Option<Known> = files::noted(&hook.path(REMOTES_FILE))?;
        let known = known.filter(|known| (&known.model, &known.unit) == (&fresh.model, &fresh.unit)).unwrap_or(fresh);
        Ok(Self { known, seen: RefCell::default() })
    }

    /// What the remote applications of an endpoint published.
    pub fn apps(&self, hook: &Hook, endpoint: &str) -> Result<Vec<RemoteApp>> {
        let apps = relation::remote_apps_named(hook, endpoint, |id| self.name(id))?;
        let seen = apps.iter().map(|remote| (remote.id.to_string(), remote.app.to_string()));
        self.seen.borrow_mut().extend(seen);
        Ok(apps)
    }

    /// Writes down what this hook has seen, if that is not what was known.
    pub fn keep(self, hook: &Hook) -> Result<()> {
        let Self { known, seen } = self;
        let seen = Known { applications: seen.into_inner(), ..known.clone() };
        if seen == known { Ok(()) } else { files::note(&hook.path(REMOTES_FILE), &seen) }
    }

    fn name(&self, id: RelationId) -> Option<AppName> {
        self.known.applications.get(&id.to_string())?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::World;

    fn learn(world: &World, id: &str, app: &str) {
        let remotes = Remotes::read(&world.hook).unwrap();
        remotes.seen.borrow_mut().insert(id.into(), app.into());
        remotes.keep(&world.hook).unwrap();
    }

    fn name(world: &World) -> Option<String> {
        Some(Remotes::read(&world.hook).unwrap().name("7".parse().unwrap())?.to_string())
    }

    #[test]
    fn a_name_is_known_until_its_relation_is_seen_no_more() {
        let world = World::new();
        assert_eq!(name(&world), None);
        learn(&world, "7", "sidekick");
        assert_eq!(name(&world).as_deref(), Some("sidekick"));
        learn(&world, "8", "other");
        assert_eq!(name(&world), None);
    }

    #[test]
    fn what_another_unit_or_nobody_wrote_is_not_believed() {
        let world = World::new();
        for text in ["", "[]", r#"{"model": "m", "unit": "falco/0", "applications": {"7": "sidekick"}}"#] {
            world.write(REMOTES_FILE, text);
            assert_eq!(name(&world), None, "{text}");
        }
    }
}
