//! The format, key by key. A key that is not known here is an error: what it says would not be tested.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// One hook of a Python charm.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vector {
    /// Its name, which the file has as well.
    pub vector: String,
    /// What is special about it.
    pub about: String,
    /// The charm's name.
    pub charm: String,
    /// The application.
    pub app: String,
    /// The unit.
    pub unit: String,
    /// The release of Juju.
    pub juju_version: String,
    /// What the words in braces in paths stand for.
    #[serde(default)]
    pub path_names: BTreeMap<String, String>,
    /// Why the charm was started.
    pub event: Event,
    /// What the host said of itself.
    pub host: Host,
    /// Everything before the hook.
    pub input: State,
    /// Everything after it; nothing when the hook failed.
    pub output: Option<State>,
    /// The difference of the two, by place.
    #[serde(default)]
    pub changed: BTreeMap<String, Change>,
    /// The events that the Python charm made of it.
    #[serde(default)]
    pub framework_events: Vec<String>,
    /// How the hook failed.
    pub hook_error: Option<HookError>,
    /// What a hook that failed had done before.
    pub side_effects: Option<SideEffects>,
    /// Why the output is not right.
    pub upstream_bug: Option<String>,
}

/// Why the charm was started.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// The name of the hook.
    pub hook: String,
    /// The relation it is about.
    pub relation_id: Option<u32>,
    /// The endpoint of that relation.
    pub relation: Option<String>,
    /// The remote unit it is about.
    pub remote_unit: Option<String>,
    /// The unit that goes away.
    pub departing_unit: Option<String>,
    /// The container it is about.
    pub workload: Option<String>,
    /// The secret it is about.
    pub secret: Option<EventSecret>,
}

/// The secret that a hook is about.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventSecret {
    /// With `secret:`.
    pub id: String,
    /// The label that the owner has given it.
    pub label: Option<String>,
    /// The revision.
    pub revision: Option<u32>,
}

/// What the host said of itself.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Host {
    /// Its name with its domain.
    pub fqdn: String,
    /// Its name.
    pub hostname: String,
}

/// Everything at one moment.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// Whether the unit leads its application.
    pub leader: bool,
    /// How many units there shall be.
    pub planned_units: u32,
    /// The options.
    pub config: BTreeMap<String, Value>,
    /// The model.
    pub model: Model,
    /// The status of the unit.
    pub unit_status: Status,
    /// The status of the application.
    pub app_status: Status,
    /// What `juju status` shows as version.
    pub workload_version: String,
    /// All relations.
    pub relations: Vec<Relation>,
    /// All containers.
    pub containers: Vec<Container>,
    /// Protocol and number.
    pub opened_ports: Vec<(String, u16)>,
    /// The secrets that the unit owns or may read.
    pub secrets: Vec<Secret>,
    /// What `network-get` answers.
    pub networks: Vec<Network>,
    /// What the Python charm and its libraries keep from one hook to the next.
    pub stored_state: Vec<StoredState>,
    /// The events that the Python charm has put off.
    pub deferred: Vec<Value>,
    /// The files of a machine, by path.
    #[serde(default)]
    pub files: BTreeMap<String, File>,
    /// The commands that were run on a machine.
    #[serde(default)]
    pub subprocess_calls: Vec<Vec<String>>,
}

/// The model.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Its name.
    pub name: String,
    /// Its id.
    pub uuid: String,
    /// What it runs on.
    pub r#type: String,
}

/// A status.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Status {
    /// Its kind.
    pub name: String,
    /// Its words.
    pub message: String,
}

/// What one application or unit has published.
pub type Databag = BTreeMap<String, Published>;

/// The value of a key of a databag.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Published {
    /// As it is.
    pub raw: Option<String>,
    /// As JSON, in which long texts of the Python charm may be left out.
    pub parsed: Option<Value>,
    /// How long it was where it is left out.
    pub raw_chars: Option<usize>,
    /// In which order the keys came where it is left out.
    pub key_order: Option<Vec<String>>,
}

/// A relation.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Relation {
    /// Its number.
    pub id: u32,
    /// Our endpoint.
    pub endpoint: String,
    /// The interface.
    pub interface: String,
    /// `subordinate` for the relation of a subordinate and its principal.
    pub kind: Option<String>,
    /// The other application.
    pub remote_app: String,
    /// What its units have published, by number.
    pub remote_units: BTreeMap<u32, Databag>,
    /// What it has published itself.
    pub remote_app_data: Databag,
    /// What our application has published.
    pub local_app_data: Databag,
    /// What our unit has published.
    pub local_unit_data: Databag,
}

/// A container with its Pebble.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Container {
    /// Its name.
    pub name: String,
    /// Whether Pebble answers.
    pub can_connect: bool,
    /// The layers, by label.
    pub layers: BTreeMap<String, Layer>,
    /// All layers combined.
    pub plan: Layer,
    /// What Pebble says of each service.
    pub service_statuses: BTreeMap<String, String>,
    /// What Pebble says of each check.
    pub checks: BTreeMap<String, Check>,
    /// The files that were looked at, by path.
    pub files: BTreeMap<String, File>,
}

/// What Pebble says of a check.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// `up`, `down` or `inactive`.
    pub status: String,
    /// After how many failures it is down.
    pub threshold: u32,
}

/// A layer, or all of them combined. What stands below is Pebble's format.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Layer {
    /// Services by name.
    #[serde(default)]
    pub services: BTreeMap<String, Value>,
    /// Checks by name.
    #[serde(default)]
    pub checks: BTreeMap<String, Value>,
    /// Log targets by name.
    #[serde(default)]
    pub log_targets: BTreeMap<String, Value>,
}

/// A file or a folder. Of most files not the text is there but what it says.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Octal, as `0o644`.
    pub mode: Option<String>,
    /// True for a folder.
    #[serde(default)]
    pub dir: bool,
    /// True for the folder of a git repository.
    #[serde(default)]
    pub clone: bool,
    /// Its length.
    pub bytes: Option<u64>,
    /// Its digest.
    pub sha256: Option<String>,
    /// Its text.
    pub text: Option<String>,
    /// What it says as YAML.
    pub yaml: Option<Value>,
    /// What it says as a unit of systemd: settings by section, in order; a value is a text or a list of words.
    pub unit: Option<BTreeMap<String, Vec<(String, Value)>>>,
}

/// A secret.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Secret {
    /// With `secret:`.
    pub id: String,
    /// The owner's label.
    pub label: Option<String>,
    /// `unit` or `app`; nothing when a user owns it.
    pub owner: Option<String>,
    /// The newest content.
    pub latest_content: BTreeMap<String, String>,
    /// The content that the unit gets without asking for news.
    pub tracked_content: BTreeMap<String, String>,
    /// Whether it expires.
    pub expire_set: bool,
    /// How often a new revision is asked for.
    pub rotate: Option<String>,
}

/// The addresses of a binding.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// The endpoint.
    pub binding: String,
    /// Addresses of the unit.
    pub bind: Vec<String>,
    /// Addresses for others.
    pub ingress: Vec<String>,
}

/// What the Python charm or one of its libraries keeps.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredState {
    /// Whose it is.
    pub owner: Option<String>,
    /// Its name.
    pub name: String,
    /// What is kept.
    pub content: Value,
}

/// One difference of output and input.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// What was there.
    pub before: Option<Value>,
    /// What is there.
    pub after: Option<Value>,
    /// Whether it is gone.
    pub removed: Option<bool>,
}

/// How a hook failed.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HookError {
    /// The class of the exception.
    pub r#type: String,
    /// Its words.
    pub message: String,
    /// The file that raised it.
    pub raised_in: String,
}

/// What a hook that failed had done before.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SideEffects {
    /// Files it had written.
    pub files: BTreeMap<String, File>,
    /// Commands it had run.
    pub subprocess_calls: Vec<Vec<String>>,
}

impl Vector {
    /// The name in the list of differences: the charm without what it runs on, and the vector.
    pub fn name(&self) -> String {
        format!("{}/{}", self.charm.trim_end_matches("-k8s"), self.vector)
    }

    /// Whether the input has a relation of that endpoint.
    pub fn relates(&self, endpoint: &str) -> bool {
        self.input.relations.iter().any(|relation| relation.endpoint == endpoint)
    }
}

impl Published {
    /// The text. Where it was left out, another one that says the same.
    pub fn text(&self) -> Result<String, String> {
        match (&self.raw, &self.parsed) {
            (Some(raw), _) => Ok(raw.clone()),
            (None, Some(parsed)) => Ok(parsed.to_string()),
            (None, None) => Err("a key of a databag has neither raw nor parsed".into()),
        }
    }

    /// What a reader makes of it: the JSON in it, or else the text.
    pub fn understood(&self) -> Result<Value, String> {
        match &self.parsed {
            Some(parsed) => Ok(parsed.clone()),
            None => Ok(understood(&self.text()?)),
        }
    }
}

/// What a reader makes of a value of a databag: the JSON in it, or else the text.
pub fn understood(value: &str) -> Value {
    serde_json::from_str(value).unwrap_or_else(|_| Value::from(value))
}
