//! Who this unit is and why it runs, read once from the environment.
//!
//! Juju replaces the environment of a hook: there is no `HOME`, no `USER`. Everything the charm may use is a field
//! here.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::names::{RelationId, UnitName};
use crate::pebble;
use crate::secret::Redacted;

/// Names a folder that stands for `/`, so that a test's world is a folder. Juju never sets it.
const ROOT: &str = "CHARM_ROOT";

/// One run of the charm.
#[derive(Clone, Debug)]
pub struct Hook {
    /// This unit.
    pub unit: UnitName,
    /// The model it lives in.
    pub model: Model,
    /// Where Juju unpacked the charm.
    pub charm_dir: PathBuf,
    /// Why the charm runs.
    pub event: Event,
    /// Read everything, show the plan, change nothing.
    pub dry_run: bool,
    /// How programs of this unit reach the world.
    pub proxy: Proxy,
    /// The secret that this event is about.
    pub secret: Option<SecretEvent>,
    /// The API server of the cluster that this unit runs in, if it does.
    pub api_server: Option<ApiServer>,
    /// The relation that this hook tells the end of. Juju may still list it; its data no longer counts.
    pub(crate) broken: Option<RelationId>,
    root: PathBuf,
}

/// Which secret an event is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretEvent {
    /// Its id, as commands take it.
    pub id: String,
    /// Its owner's label if this unit is the owner, or else our own; empty if it has none.
    pub label: String,
    /// The revision that expired, or that nobody reads any more.
    pub revision: Option<u32>,
}

/// Where Kubernetes answers its pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiServer {
    /// An address.
    pub host: String,
    /// Its port.
    pub port: String,
}

/// The model of a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    /// Its name; on Kubernetes also the namespace.
    pub name: String,
    /// Its UUID.
    pub uuid: String,
}

/// The proxies of the model. Juju tells the charm of them by names that no other program knows, so each program that
/// talks to the world has to be told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxy {
    // A proxy's URL may hold a password.
    variables: Vec<(&'static str, Redacted<String>)>,
}

impl Proxy {
    /// The variables that apt, git and curl look for: `http_proxy`, `https_proxy`, `no_proxy`, those that are set.
    pub fn variables(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.variables.iter().map(|(name, value)| (*name, value.expose().as_str()))
    }
}

/// Why the charm runs. An event gets a variant only if it is answered differently, so that an unknown one is harmless.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// An operator runs this action.
    Action(String),
    /// The unit goes away: last call.
    Remove,
    /// Something may have changed. All of these are answered in the same way; the name may save a look at what cannot
    /// be new.
    Reconcile(String),
}

impl Event {
    /// Whether it is the one of this name, `config-changed`.
    pub fn is(&self, name: &str) -> bool {
        matches!(self, Self::Reconcile(own) if own == name)
    }

    /// Whether it is about a relation of this endpoint.
    pub fn is_of_relation(&self, endpoint: &str) -> bool {
        let Self::Reconcile(name) = self else { return false };
        name.strip_prefix(endpoint).is_some_and(|rest| rest.starts_with("-relation-"))
    }

    /// Whether the leader, the charm or the pod may be new, or somebody runs the charm by `juju exec`: whatever an
    /// earlier hook has seen or said may not be so any more.
    pub fn begins_anew(&self) -> bool {
        let Self::Reconcile(name) = self else { return false };
        name.ends_with("-pebble-ready") || ["exec", "leader-elected", "start", "upgrade-charm"].contains(&name.as_str())
    }
}

impl fmt::Display for Event {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Action(name) => write!(out, "action {name}"),
            Self::Remove => out.write_str("remove"),
            Self::Reconcile(name) => out.write_str(name),
        }
    }
}

impl Hook {
    /// The environment of this process. The one reader of it.
    pub fn from_env() -> Result<Self> {
        #[expect(clippy::disallowed_methods, reason = "the one reader of the environment")]
        let variables = std::env::vars_os();
        // A variable that is not UTF-8 is none that Juju sets.
        let text = variables.filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self::from_vars(&text.collect())
    }

    /// The same from given variables. Pure.
    pub fn from_vars(variables: &BTreeMap<String, String>) -> Result<Self> {
        let get = |name: &str| variables.get(name).map(String::as_str).filter(|value| !value.is_empty());
        let want =
            |name: &'static str| get(name).with_context(|| format!("{name} is not set: this program is run by Juju"));
        // The only variable that tells hooks and actions apart. `juju exec` sets none.
        let path = get("JUJU_DISPATCH_PATH").unwrap_or("hooks/exec");
        let event = match path.split_once('/') {
            Some(("actions", name)) => Event::Action(name.to_owned()),
            Some(("hooks", "remove")) => Event::Remove,
            Some((_, name)) => Event::Reconcile(name.to_owned()),
            None => Event::Reconcile(path.to_owned()),
        };
        let broken = match get("JUJU_RELATION_ID") {
            Some(id) if path.ends_with("-relation-broken") => {
                Some(id.parse().context("failed to read JUJU_RELATION_ID")?)
            }
            _ => None,
        };
        let secret = get("JUJU_SECRET_ID").map(|id| SecretEvent {
            id: id.to_owned(),
            label: get("JUJU_SECRET_LABEL").unwrap_or_default().to_owned(),
            revision: get("JUJU_SECRET_REVISION").and_then(|revision| revision.parse().ok()),
        });
        let api_server = get("KUBERNETES_SERVICE_HOST")
            .zip(get("KUBERNETES_SERVICE_PORT_HTTPS").or_else(|| get("KUBERNETES_SERVICE_PORT")))
            .map(|(host, port)| ApiServer { host: host.to_owned(), port: port.to_owned() });
        Ok(Self {
            unit: want("JUJU_UNIT_NAME")?.parse().context("failed to read JUJU_UNIT_NAME")?,
            model: Model { name: want("JUJU_MODEL_NAME")?.to_owned(), uuid: want("JUJU_MODEL_UUID")?.to_owned() },
            charm_dir: PathBuf::from(want("JUJU_CHARM_DIR")?),
            event,
            dry_run: false,
            proxy: Proxy {
                variables: [
                    ("http_proxy", "JUJU_CHARM_HTTP_PROXY"),
                    ("https_proxy", "JUJU_CHARM_HTTPS_PROXY"),
                    ("no_proxy", "JUJU_CHARM_NO_PROXY"),
                ]
                .into_iter()
                .filter_map(|(name, juju)| Some((name, Redacted::new(get(juju)?.to_owned()))))
                .collect(),
            },
            secret,
            api_server,
            broken,
            root: PathBuf::from(get(ROOT).unwrap_or("/")),
        })
    }

    /// An absolute path of this unit: `/etc/x` on a unit, the same below a folder under test. The only way to one.
    pub fn path(&self, absolute: &str) -> PathBuf {
        self.root.join(absolute.trim_start_matches('/'))
    }

    /// The same as text, for files that name other files.
    pub fn path_text(&self, absolute: &str) -> String {
        self.path(absolute).to_string_lossy().into_owned()
    }

    /// The Pebble of one of this unit's containers. No request is made yet.
    pub fn container(&self, name: &str) -> Result<pebble::Client> {
        let socket = self.path(&format!("/charm/containers/{name}/pebble.socket"));
        Ok(pebble::Client::new(name, &socket, &self.root)?)
    }

    /// The relation whose end this hook tells. Its data counts for nothing any more, but for what has to be undone.
    pub fn broken(&self) -> Option<RelationId> {
        self.broken
    }

    /// The folder that stands for `/`.
    pub fn root(&self) -> &Path {
        &self.root
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hook(more: &[(&str, &str)]) -> Result<Hook> {
        let juju = [
            ("JUJU_UNIT_NAME", "falco/3"),
            ("JUJU_MODEL_NAME", "prod"),
            ("JUJU_MODEL_UUID", "12345678-1234-4234-8234-123456789abc"),
            ("JUJU_CHARM_DIR", "/var/lib/juju/agents/unit-falco-3/charm"),
        ];
        let variables = juju.iter().chain(more).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Hook::from_vars(&variables.collect())
    }

    #[test]
    fn only_actions_and_remove_are_told_apart_and_unknown_events_are_harmless() {
        for (path, event) in [
            ("actions/test-alert", Event::Action("test-alert".into())),
            ("hooks/remove", Event::Remove),
            ("hooks/config-changed", Event::Reconcile("config-changed".into())),
            ("hooks/event-of-a-later-juju", Event::Reconcile("event-of-a-later-juju".into())),
            ("", Event::Reconcile("exec".into())),
        ] {
            assert_eq!(hook(&[("JUJU_DISPATCH_PATH", path)]).unwrap().event, event);
        }
    }

    #[test]
    fn events_of_an_endpoint_and_new_beginnings_are_told_apart() {
        let event = |name: &str| Event::Reconcile(name.to_owned());
        assert!(event("metrics-endpoint-relation-created").is_of_relation("metrics-endpoint"));
        assert!(!event("metrics-endpoint-relation-created").is_of_relation("metrics"));
        assert!(!Event::Action("logging-relation-x".into()).is_of_relation("logging"));
        for name in ["exec", "leader-elected", "start", "upgrade-charm", "falcosidekick-pebble-ready"] {
            assert!(event(name).begins_anew(), "{name}");
        }
        for name in ["update-status", "config-changed", "logging-relation-changed", "stop"] {
            assert!(!event(name).begins_anew(), "{name}");
        }
    }

    #[test]
    fn the_relation_counts_as_broken_in_its_broken_hook_only() {
        let relation = ("JUJU_RELATION_ID", "http-endpoint:7");
        let broken = hook(&[("JUJU_DISPATCH_PATH", "hooks/http-endpoint-relation-broken"), relation]).unwrap();
        let changed = hook(&[("JUJU_DISPATCH_PATH", "hooks/http-endpoint-relation-changed"), relation]).unwrap();
        assert_eq!(broken.broken, Some("7".parse().unwrap()));
        assert_eq!(changed.broken, None);
    }

    #[test]
    fn proxies_are_handed_on_by_the_names_that_programs_know() {
        let set = hook(&[("JUJU_CHARM_HTTPS_PROXY", "http://u:hunter2@proxy:3128"), ("JUJU_CHARM_HTTP_PROXY", "")]);
        let set = set.unwrap();
        let variables: Vec<_> = set.proxy.variables().collect();
        assert_eq!(variables, [("https_proxy", "http://u:hunter2@proxy:3128")]);
        assert!(!format!("{set:?}").contains("hunter2"));
    }

    #[test]
    fn a_secret_event_tells_which_secret_and_which_revision() {
        let expired = [("JUJU_SECRET_ID", "secret:x"), ("JUJU_SECRET_LABEL", "l"), ("JUJU_SECRET_REVISION", "3")];
        let secret = hook(&expired).unwrap().secret.unwrap();
        assert_eq!(secret, SecretEvent { id: "secret:x".into(), label: "l".into(), revision: Some(3) });
        let changed = hook(&[("JUJU_SECRET_ID", "secret:x")]).unwrap().secret.unwrap();
        assert_eq!((changed.label.as_str(), changed.revision), ("", None));
        assert_eq!(hook(&[]).unwrap().secret, None);
    }

    #[test]
    fn the_api_server_is_known_inside_a_cluster_only() {
        let known = hook(&[("KUBERNETES_SERVICE_HOST", "fd00::1"), ("KUBERNETES_SERVICE_PORT_HTTPS", "6443")]);
        let server = ApiServer { host: "fd00::1".into(), port: "6443".into() };
        assert_eq!(known.unwrap().api_server, Some(server));
        assert_eq!(hook(&[("KUBERNETES_SERVICE_HOST", "10.0.0.1")]).unwrap().api_server, None);
        assert_eq!(hook(&[]).unwrap().api_server, None);
    }

    #[test]
    fn a_missing_variable_is_named() {
        let error = Hook::from_vars(&BTreeMap::new()).unwrap_err();
        assert!(error.to_string().contains("JUJU_UNIT_NAME is not set"), "{error}");
    }

    #[test]
    fn under_test_every_path_lies_below_the_root() {
        assert_eq!(hook(&[]).unwrap().path("/etc/x"), Path::new("/etc/x"));
        assert_eq!(hook(&[(ROOT, "/tmp/world")]).unwrap().path("/etc/x"), Path::new("/tmp/world/etc/x"));
    }
}
