//! What a unit has Juju keep for it, so that it need not ask for it in every hook: hook commands are what a hook costs.
//!
//! Two kinds of things are noted. Who is on the other side of a relation, and in which model, never changes. What our own
//! databags hold, which ports are open, and which relations there are of an endpoint at which we only tell something,
//! changes by what this unit does, or is told by an event of that endpoint, which Juju repeats until it succeeds.
//!
//! Juju takes notes together with the databags and ports of the same hook, in one transaction, and only when the hook
//! succeeds: one that fails or is killed has told nothing, and noted nothing. Three rules keep them true:
//!
//! * Nothing of the second kind is believed where [`Event::begins_anew`], in an action, or in a dry run. What somebody
//!   changes by hand is put right then, or as soon as something else is said in its place.
//! * What a hook has not looked up is forgotten. So a unit that does not lead forgets the databags of its application,
//!   which it may not read, and which the one that leads changes; and one that leads again is told so by an event.
//! * Without notes, everything is asked for: they save work, and nothing depends on them.

use std::collections::BTreeMap;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::hook::{Event, Hook};
use crate::juju;
use crate::names::{AppName, RelationId};
use crate::relation::{self, Databag, RemoteApp, Side};

/// The key under which Juju keeps them.
pub const KEY: &str = "notes";

/// Juju takes 64 KiB, which a few thousand relations fill. Beyond, there are no notes.
const LONGEST: usize = 65_536;

/// What one of our own databags holds: its keys, and of each value enough to know it again.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Told(BTreeMap<String, String>);

impl Told {
    /// What this databag holds.
    pub fn of(databag: &Databag) -> Self {
        let mut told = Self::default();
        told.change(databag);
        told
    }

    /// Whether it has no keys.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Its keys.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// What has to be set so that it holds everything in `wanted`. A key whose wanted value is empty is removed; keys that
    /// are not mentioned — Juju's own addresses, an older charm's — stay.
    pub fn lacks(&self, wanted: &Databag) -> Databag {
        wanted.iter().filter(|(key, value)| self.0.get(*key) != known_again(value).as_ref()).collect()
    }

    /// After these keys were set.
    fn change(&mut self, changes: &Databag) {
        for (key, value) in changes.iter() {
            match known_again(value) {
                Some(digest) => drop(self.0.insert(key.to_owned(), digest)),
                None => drop(self.0.remove(key)),
            }
        }
    }
}

/// Nothing for an empty value, which Juju does not keep.
fn known_again(value: &str) -> Option<String> {
    (!value.is_empty()).then(|| Digest::of(value).short().to_owned())
}

/// What is noted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Text", into = "Text")]
struct Noted {
    names: BTreeMap<RelationId, AppName>,
    models: BTreeMap<RelationId, String>,
    endpoints: BTreeMap<String, Vec<RelationId>>,
    told: BTreeMap<(RelationId, Side), Told>,
    databags: BTreeMap<RelationId, Databag>,
    ports: Option<Vec<String>>,
}

/// The same as it is written: what holds for many relations stands there once.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Text {
    names: BTreeMap<RelationId, String>,
    models: BTreeMap<String, Vec<RelationId>>,
    endpoints: BTreeMap<String, Vec<RelationId>>,
    told: Vec<(Side, Told, Vec<RelationId>)>,
    databags: BTreeMap<RelationId, Databag>,
    ports: Option<Vec<String>>,
}

impl From<Noted> for Text {
    fn from(noted: Noted) -> Self {
        let Noted { names, models, endpoints, told, databags, ports } = noted;
        let mut by_model: BTreeMap<String, Vec<RelationId>> = BTreeMap::new();
        for (id, model) in models {
            by_model.entry(model).or_default().push(id);
        }
        let mut by_content: BTreeMap<(Side, Told), Vec<RelationId>> = BTreeMap::new();
        for ((id, side), told) in told {
            by_content.entry((side, told)).or_default().push(id);
        }
        Self {
            names: names.into_iter().map(|(id, name)| (id, name.to_string())).collect(),
            models: by_model,
            endpoints,
            told: by_content.into_iter().map(|((side, told), ids)| (side, told, ids)).collect(),
            databags,
            ports,
        }
    }
}

impl From<Text> for Noted {
    fn from(text: Text) -> Self {
        let Text { names, models, endpoints, told, databags, ports } = text;
        let models = models.iter().flat_map(|(model, ids)| ids.iter().map(|id| (*id, model.clone())));
        let told = told.iter().flat_map(|(side, told, ids)| ids.iter().map(|id| ((*id, *side), told.clone())));
        Self {
            names: names.into_iter().filter_map(|(id, name)| Some((id, name.parse().ok()?))).collect(),
            models: models.collect(),
            endpoints,
            told: told.collect(),
            databags,
            ports,
        }
    }
}

/// What is known of earlier hooks, and what this one knows by now.
#[derive(Clone, Debug, Default)]
pub struct Notes {
    kept: String,
    known: Noted,
    now: Noted,
}

impl Notes {
    /// Those that Juju keeps, of which this hook believes what it may.
    pub fn read(hook: &Hook, kept: Option<&str>) -> Self {
        let kept = kept.unwrap_or_default().to_owned();
        // Whatever cannot be read was written by another charm.
        let mut known: Noted = serde_json::from_str(&kept).unwrap_or_default();
        if hook.dry_run || hook.event.begins_anew() || !matches!(hook.event, Event::Reconcile(_)) {
            known = Noted { names: known.names, models: known.models, ..Noted::default() };
        }
        Self { kept, known, now: Noted::default() }
    }

    /// Has Juju keep what this hook knows, if that is something new: one hook command, or none.
    pub fn keep(&self) -> Result<()> {
        let text = serde_json::to_string(&self.now)?;
        let text = if text.len() > LONGEST { String::new() } else { text };
        if text == self.kept { Ok(()) } else { juju::state_set(KEY, &text) }
    }

    /// The relations of an endpoint at which we only tell something, without the one being broken.
    pub fn ids(&mut self, hook: &Hook, endpoint: &str) -> Result<Vec<RelationId>> {
        let known = self.known.endpoints.get(endpoint).filter(|_| !hook.event.is_of_relation(endpoint));
        let ids = known.map_or_else(|| relation::ids(hook, endpoint), |ids| Ok(ids.clone()))?;
        let models = ids.iter().filter_map(|id| Some((*id, self.known.models.get(id)?.clone())));
        self.now.models.extend(models);
        self.now.endpoints.insert(endpoint.to_owned(), ids.clone());
        Ok(ids)
    }

    /// What the remote applications of an endpoint published, asked for in every hook. Their names are not.
    pub fn remote_apps(&mut self, hook: &Hook, endpoint: &str) -> Result<Vec<RemoteApp>> {
        let apps = relation::remote_apps_named(hook, endpoint, |id| self.known.names.get(&id).cloned())?;
        self.now.names.extend(apps.iter().map(|remote| (remote.id, remote.app.clone())));
        Ok(apps)
    }

    /// The UUID of the model on the other side of a relation that [`Self::ids`] gave, or `None` if this Juju does not
    /// tell.
    pub fn model(&mut self, id: RelationId) -> Result<Option<String>> {
        if let Some(model) = self.now.models.get(&id) {
            return Ok(Some(model.clone()));
        }
        let model = juju::relation_model_get(id)?;
        self.now.models.extend(model.clone().map(|model| (id, model)));
        Ok(model)
    }

    /// What one of our own databags holds; `None` if the relation is gone. Of the application's only the leader may ask.
    pub fn told(&mut self, hook: &Hook, id: RelationId, side: Side) -> Result<Option<Told>> {
        let told = match self.known.told.get(&(id, side)) {
            Some(told) => Some(told.clone()),
            None => relation::own(hook, id, side)?.map(|databag| Told::of(&databag)),
        };
        self.now.told.extend(told.clone().map(|told| ((id, side), told)));
        Ok(told)
    }

    /// The databag of this unit itself, with all its values; `None` if the relation is gone.
    pub fn databag(&mut self, hook: &Hook, id: RelationId) -> Result<Option<Databag>> {
        let databag = match self.known.databags.get(&id) {
            Some(databag) => Some(databag.clone()),
            None => relation::own(hook, id, Side::Unit)?,
        };
        self.now.databags.extend(databag.clone().map(|databag| (id, databag)));
        Ok(databag)
    }

    /// The ports that this unit has opened: `2801/tcp`.
    pub fn opened_ports(&mut self) -> Result<Vec<String>> {
        let ports = self.known.ports.clone().map_or_else(juju::opened_ports, Ok)?;
        self.now.ports = Some(ports.clone());
        Ok(ports)
    }

    /// Writes keys of one of our own databags.
    pub fn publish(&mut self, id: RelationId, side: Side, changes: &Databag) -> Result<()> {
        if relation::publish(id, side, changes)? {
            self.now.published(id, side, changes);
        } else {
            self.now.told.remove(&(id, side));
            self.now.databags.remove(&id);
        }
        Ok(())
    }

    /// Opens a port.
    pub fn open_port(&mut self, port: u16) -> Result<()> {
        juju::open_port(port)?;
        self.now.ports.iter_mut().for_each(|ports| ports.push(format!("{port}/tcp")));
        Ok(())
    }

    /// Closes a port that [`Self::opened_ports`] gave.
    pub fn close_port(&mut self, port: &str) -> Result<()> {
        juju::close_port(port)?;
        self.now.ports.iter_mut().for_each(|ports| ports.retain(|open| open != port));
        Ok(())
    }
}

impl Noted {
    /// Of a databag that this hook has not looked up nothing is known but what was set, which is not enough to note.
    fn published(&mut self, id: RelationId, side: Side, changes: &Databag) {
        if let Some(told) = self.told.get_mut(&(id, side)) {
            told.change(changes);
        }
        if let Some(databag) = self.databags.get_mut(&id).filter(|_| side == Side::Unit) {
            let unchanged = databag.iter().filter(|(key, _)| changes.iter().all(|(changed, _)| changed != *key));
            *databag = unchanged.chain(changes.iter().filter(|(_, value)| !value.is_empty())).collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hook(path: &str) -> Hook {
        let variables = [
            ("JUJU_UNIT_NAME", "a/0"),
            ("JUJU_MODEL_NAME", "m"),
            ("JUJU_MODEL_UUID", "u"),
            ("JUJU_CHARM_DIR", "/charm"),
            ("JUJU_DISPATCH_PATH", path),
        ];
        Hook::from_vars(&variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into()).unwrap()
    }

    fn bag(entries: &[(&str, &str)]) -> Databag {
        entries.iter().copied().collect()
    }

    fn id(number: u32) -> RelationId {
        number.to_string().parse().unwrap()
    }

    fn noted(relations: u32) -> Noted {
        let all = || (1..=relations).map(id);
        let told = Told::of(&bag(&[("url", "\"https://sidekick/\""), ("ca", "x")]));
        Noted {
            names: [(id(1), "ca".parse().unwrap())].into(),
            models: all().map(|id| (id, "a model".to_owned())).collect(),
            endpoints: [("http-endpoint".to_owned(), all().collect())].into(),
            told: all().map(|id| ((id, Side::App), told.clone())).collect(),
            databags: [(id(1), bag(&[("key", "value")]))].into(),
            ports: Some(vec!["2801/tcp".to_owned()]),
        }
    }

    #[test]
    fn only_what_differs_is_set_and_other_keys_stay() {
        let now = Told::of(&bag(&[("url", "old"), ("same", "1"), ("ingress-address", "10.0.0.1"), ("stale", "x")]));
        let wanted = bag(&[("url", "new"), ("same", "1"), ("stale", ""), ("never-there", "")]);
        assert_eq!(now.lacks(&wanted), bag(&[("url", "new"), ("stale", "")]));
    }

    #[test]
    fn what_was_set_is_known_again_and_what_was_removed_is_gone() {
        let mut now = noted(2);
        now.published(id(2), Side::App, &bag(&[("url", "new"), ("ca", "")]));
        now.published(id(1), Side::Unit, &bag(&[("key", ""), ("other", "value")]));
        now.published(id(3), Side::App, &bag(&[("url", "new")]));
        assert_eq!(now.told[&(id(2), Side::App)], Told::of(&bag(&[("url", "new")])));
        assert_eq!(now.told[&(id(1), Side::App)], noted(1).told[&(id(1), Side::App)]);
        assert_eq!(now.databags[&id(1)], bag(&[("other", "value")]));
        assert_eq!(now.told.len(), 2, "of a databag that nobody looked up too little is known");
    }

    #[test]
    fn notes_read_back_as_they_were_written_and_are_short_for_many_relations() {
        let text = serde_json::to_string(&noted(1_000)).unwrap();
        assert_eq!(serde_json::from_str::<Noted>(&text).unwrap(), noted(1_000));
        assert!(text.len() < LONGEST / 4, "{} bytes", text.len());
    }

    #[test]
    fn only_what_never_changes_is_believed_where_something_may_be_new() {
        let text = serde_json::to_string(&noted(3)).unwrap();
        let never_changes = Noted { names: noted(3).names, models: noted(3).models, ..Noted::default() };
        for path in ["hooks/update-status", "hooks/config-changed", "hooks/http-endpoint-relation-joined"] {
            assert_eq!(Notes::read(&hook(path), Some(&text)).known, noted(3), "{path}");
        }
        for path in ["hooks/leader-elected", "hooks/upgrade-charm", "hooks/c-pebble-ready", "", "actions/check-tls"] {
            assert_eq!(Notes::read(&hook(path), Some(&text)).known, never_changes, "{path}");
        }
        let mut dry = hook("hooks/update-status");
        dry.dry_run = true;
        assert_eq!(Notes::read(&dry, Some(&text)).known, never_changes);
    }

    #[test]
    fn notes_of_somebody_else_and_none_are_no_notes() {
        for text in [None, Some(""), Some("[]"), Some("{\"told\": 7}"), Some("garbage")] {
            assert_eq!(Notes::read(&hook("hooks/update-status"), text).known, Noted::default(), "{text:?}");
        }
    }
}
