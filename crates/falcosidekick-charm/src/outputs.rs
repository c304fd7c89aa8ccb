//! Where alerts go besides Loki: the option `outputs`, whose keys are those of Falcosidekick's own configuration, with
//! values from secrets of Juju where it names them.
//!
//! Everything that Falcosidekick can take is in one [`table`]. What Falcosidekick would take and then crash on, drop
//! without a word or never deliver is refused here, with every other problem of the same option. Pure: secrets are read
//! elsewhere and come in as facts.

mod address;
mod check;
mod collect;
mod late;
mod show;
mod traps;

pub mod block;
pub mod document;
pub mod render;
pub mod secrets;
pub mod table;
pub mod template;
pub mod yaml;

use std::collections::{BTreeMap, BTreeSet};

use charm_core::config::{Problem, Problems, RawConfig};
use charm_core::priority::Priority;
use charm_core::secret::Redacted;

use self::block::{Block, Key, Kind};
use self::check::Value;
use self::collect::{Collected, Given};
pub use self::late::{Server, note};
use self::secrets::Secrets;
pub use self::show::{HIDDEN, Shown, hosts_only};
use self::traps::Settings;

/// The option with the outputs.
pub const OUTPUTS: &str = "outputs";
/// The option with the one secret whose keys are keys of outputs.
pub const OUTPUTS_SECRET: &str = "outputs-secret";
/// The option with the least priority of outputs that have none of their own.
pub const MINIMUM_PRIORITY: &str = "minimum-priority";

/// A shorter secret would be found in words that have nothing to do with it.
const SHORTEST_HIDDEN: usize = 6;

/// What the outputs have to know of what is around them.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings<'a> {
    /// The application, for the commands that a message tells.
    pub app: &'a str,
    /// Whether the address of Loki comes by relation.
    pub loki_is_related: bool,
    /// What was read of the secrets that [`secrets::wanted`] named.
    pub secrets: &'a Secrets,
}

/// The path of a block and the name of a key in it.
type Place = (&'static str, &'static str);

/// The outputs that are wanted, checked. Their texts do not print themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outputs {
    blocks: BTreeMap<&'static str, BTreeMap<&'static str, Value>>,
    minimum: Option<Priority>,
    plain_secrets: Vec<String>,
    /// Keys that nobody else should see, and the secrets that each of them comes from.
    secret_keys: BTreeMap<Place, BTreeSet<String>>,
    hidden: Vec<Redacted<String>>,
}

impl Outputs {
    /// Reads the options. What is wrong goes to `problems`, and what was read is then of no use.
    pub fn parse(raw: &RawConfig, around: &Surroundings<'_>, problems: &mut Problems) -> Self {
        let minimum = problems.catch(raw.get(MINIMUM_PRIORITY)).flatten();
        let collected = Collected::of(raw, around, problems);
        let mut outputs = Self { minimum, ..Self::default() };
        let mut complain = |path: &str, key: &str, text: &str| {
            problems.push(Problem::new(OUTPUTS, format!("{path}.{key}: {text}")));
        };
        for ((path, name), given) in &collected.given {
            let Some((block, key)) = table::block(path).and_then(|block| Some((block, block.key(name)?))) else {
                continue;
            };
            match check::value(key, given.raw.clone()) {
                Ok(value) => outputs.insert(block, key, value, given),
                Err(text) => {
                    // It is there, and not missing as well.
                    outputs.blocks.entry(block.path).or_default();
                    complain(path, name, &text);
                }
            }
        }
        let is_known = |path: &str, name: &str| collected.is_given(path, name) || collected.is_pending(path, name);
        for block in table::blocks().filter(|block| collected.names(block.path)) {
            let missing = |key: &&Key| key.needed && !is_known(block.path, key.name);
            let by_relation = |key: &Key| block.path == table::LOKI && around.loki_is_related && key.name == "hostport";
            for key in block.all_keys().filter(missing).filter(|key| !by_relation(key)) {
                complain(block.path, key.name, "is missing");
            }
            for (shared, name) in block.needs.iter().filter(|(shared, name)| !is_known(shared, name)) {
                complain(shared, name, &format!("is missing, and {} needs it", block.path));
            }
            if !collected.has_pending(block.path) {
                let traps = block.trap.map(|trap| trap(&outputs.settings(block.path, around.loki_is_related)));
                traps.into_iter().flatten().for_each(|(key, text)| complain(block.path, key, &text));
            }
            let is_idle = table::has_blocks_below(block.path) && !collected.names_below(block.path);
            if is_idle && !collected.has_pending(block.path) {
                complain(block.path, "*", "no output below it is set");
            }
        }
        outputs
    }

    /// The outputs that Falcosidekick has to list as enabled. Not the Loki of a relation, which has its own status.
    pub fn enabled(&self) -> impl Iterator<Item = &'static Block> {
        self.blocks.keys().filter_map(|path| table::block(path)).filter(|block| block.is_output())
    }

    /// Whether alerts go anywhere without a relation to Loki.
    pub fn is_empty(&self) -> bool {
        self.enabled().next().is_none()
    }

    /// Outputs that are dropped for good while their server is down, with the server.
    pub fn late(&self) -> BTreeMap<&'static str, Server> {
        let server = |block: &'static Block| {
            let shared = block.path.split_once('.').map_or("", |(shared, _)| shared);
            let server = block.server?(&self.settings(block.path, false), &self.settings(shared, false))?;
            let is_checked = shared != "aws" || self.value("aws", "checkidentity") != Some(&Value::Switch(false));
            is_checked.then_some((block.path, server))
        };
        self.enabled().filter_map(server).collect()
    }

    /// The same without an output.
    pub fn leave_out(&mut self, path: &str) {
        self.blocks.remove(path);
    }

    /// What to tell the operator although everything works.
    pub fn remarks(&self) -> Vec<String> {
        if self.plain_secrets.is_empty() {
            return Vec::new();
        }
        let keys = self.plain_secrets.join(", ");
        vec![format!(
            "{OUTPUTS}: secrets in plain text, which whoever may read the model sees: {keys}; put them into {OUTPUTS_SECRET}"
        )]
    }

    /// Outputs with a secret that Falcosidekick prints into its log when it cannot reach them.
    pub fn that_print_secrets(&self) -> Vec<&'static str> {
        let prints = |block: &&'static Block| {
            block.all_keys().any(|key| key.is_printed() && self.value(block.path, key.name).is_some())
        };
        self.enabled().filter(prints).map(|block| block.path).collect()
    }

    /// The output fields that become labels of Falcosidekick's own metrics.
    pub fn extra_labels(&self) -> Vec<&str> {
        let text = self.value("prometheus", "extralabels").and_then(Value::text);
        text.map(crate::fields::list).unwrap_or_default()
    }

    /// All texts that nobody else should see, so that they can be cut out of what Falcosidekick says.
    pub fn secret_texts(&self) -> Vec<String> {
        self.hidden.iter().map(|text| text.expose().clone()).collect()
    }

    fn insert(&mut self, block: &'static Block, key: &'static Key, value: Value, given: &Given) {
        let Given { raw: _, is_secret, from } = given;
        let is_url = matches!(key.kind, Kind::Url | Kind::BaseUrl | Kind::BaseUrls | Kind::UrlOf(_));
        let has_password = is_url && value.texts().into_iter().any(address::has_password);
        if !*is_secret && (key.secret || has_password) {
            self.plain_secrets.push(format!("{}.{}", block.path, key.name));
        }
        if !from.is_empty() || key.secret || has_password {
            self.secret_keys.insert((block.path, key.name), from.clone());
            let long = value.texts().into_iter().filter(|text| text.len() >= SHORTEST_HIDDEN);
            let forms = long.flat_map(|text| [text.to_owned(), address::percent_encoded(text)]);
            self.hidden.extend(forms.map(Redacted::new));
        }
        self.blocks.entry(block.path).or_default().insert(key.name, value);
    }

    fn value(&self, path: &str, key: &str) -> Option<&Value> {
        self.blocks.get(path)?.get(key)
    }

    fn settings(&self, path: &str, loki_is_related: bool) -> Settings<'_> {
        static NOTHING: BTreeMap<&str, Value> = BTreeMap::new();
        Settings::new(self.blocks.get(path).unwrap_or(&NOTHING), loki_is_related)
    }
}

#[cfg(test)]
mod tests;
