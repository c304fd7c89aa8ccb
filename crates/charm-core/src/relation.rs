//! Remote databags of an endpoint, and writing our own by difference.

use std::collections::BTreeMap;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::hook::Hook;
use crate::juju::{self, RelationGone};
use crate::names::{AppName, RelationId, UnitName};

/// One bag of a relation: text by key. The values are somebody else's, so nothing here is trusted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Databag(BTreeMap<String, String>);

impl Databag {
    /// The value of a key. Juju has no empty values: an empty one is none.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// All keys and values, in the order of the keys.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Whether it has no keys.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Databag {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        Self(entries.into_iter().map(|(key, value)| (key.into(), value.into())).collect())
    }
}

/// Whose bag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// The application's: one for all units, written and read by the leader only.
    App,
    /// This unit's.
    Unit,
}

/// The remote application of a relation and its bag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteApp {
    /// The relation.
    pub id: RelationId,
    /// Who is on the other side.
    pub app: AppName,
    /// What it published.
    pub data: Databag,
}

/// The remote units of a relation and their bags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteUnits {
    /// The relation.
    pub id: RelationId,
    /// What each unit published, in the order of their numbers.
    pub units: BTreeMap<UnitName, Databag>,
}

/// The relations of an endpoint, without the one being broken. One hook command.
pub fn ids(hook: &Hook, endpoint: &str) -> Result<Vec<RelationId>> {
    let mut ids = juju::relation_ids(endpoint)?;
    ids.retain(|id| Some(*id) != hook.broken);
    ids.sort();
    Ok(ids)
}

/// What the remote applications of an endpoint published. One hook command, and two for each relation.
pub fn remote_apps(hook: &Hook, endpoint: &str) -> Result<Vec<RemoteApp>> {
    remote_apps_named(hook, endpoint, |_| None)
}

/// The same, with one hook command less for each relation of which `name` knows who is on the other side: that never
/// changes.
pub fn remote_apps_named(
    hook: &Hook,
    endpoint: &str,
    name: impl Fn(RelationId) -> Option<AppName>,
) -> Result<Vec<RemoteApp>> {
    let read = |id| {
        let app = name(id).map_or_else(|| juju::relation_list_app(id), Ok)?;
        let data = juju::relation_get_app(id, &app)?;
        Ok(RemoteApp { id, app, data })
    };
    ids(hook, endpoint)?.into_iter().filter_map(|id| unless_gone(read(id)).transpose()).collect()
}

/// What the remote units of an endpoint published. One hook command, one for each relation, and one for each unit.
pub fn remote_units(hook: &Hook, endpoint: &str) -> Result<Vec<RemoteUnits>> {
    remote_units_of(&ids(hook, endpoint)?)
}

/// The same of relations that are known. One hook command for each relation, and one for each unit.
pub fn remote_units_of(ids: &[RelationId]) -> Result<Vec<RemoteUnits>> {
    let read = |id| {
        let units = juju::relation_list(id)?;
        let bags = units.into_iter().map(|unit| Ok((unit.clone(), juju::relation_get_unit(id, &unit)?)));
        Ok(RemoteUnits { id, units: bags.collect::<Result<_>>()? })
    };
    ids.iter().filter_map(|id| unless_gone(read(*id)).transpose()).collect()
}

/// One of our own bags as it stands. Of the application's only the leader may ask.
pub fn own(hook: &Hook, id: RelationId, side: Side) -> Result<Option<Databag>> {
    unless_gone(match side {
        Side::App => juju::relation_get_app(id, &hook.unit.app),
        Side::Unit => juju::relation_get_unit(id, &hook.unit),
    })
}

/// What has to be set so that `now` holds everything in `wanted`. A key whose wanted value is empty is removed; keys
/// that are not mentioned — Juju's own addresses, an older charm's — stay.
pub fn difference(now: &Databag, wanted: &Databag) -> Databag {
    wanted.iter().filter(|(key, value)| now.get(key).unwrap_or_default() != *value).collect()
}

/// Writes keys of one of our own bags: one hook command, none when there is nothing to write. `false`: the relation is
/// gone, which is no error, as there is nobody left to read it.
pub fn publish(id: RelationId, side: Side, changes: &Databag) -> Result<bool> {
    if changes.is_empty() {
        return Ok(true);
    }
    Ok(unless_gone(juju::relation_set(id, side, &changes.0))?.is_some())
}

fn unless_gone<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Err(error) if error.downcast_ref::<RelationGone>().is_some() => {
            tracing::debug!("{error:#}");
            Ok(None)
        }
        other => other.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bag(entries: &[(&str, &str)]) -> Databag {
        entries.iter().copied().collect()
    }

    #[test]
    fn only_what_differs_is_written_and_other_keys_stay() {
        let now = bag(&[("url", "old"), ("same", "1"), ("ingress-address", "10.0.0.1"), ("stale", "x")]);
        let wanted = bag(&[("url", "new"), ("same", "1"), ("stale", ""), ("never-there", "")]);
        assert_eq!(difference(&now, &wanted), bag(&[("url", "new"), ("stale", "")]));
    }
}
