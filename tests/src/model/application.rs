//! What can be deployed: our charms, charms of others, and applications that are only played.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::juju::metadata::{Endpoint, Role};
use crate::juju::state::Bag;
use crate::juju::{Metadata, Status, Substrate};
use crate::ports::free_port;
use crate::programs;

/// The endpoint that every application has, and its interface.
const JUJU_INFO: &str = "juju-info";

/// An application, as it is deployed and configured.
#[derive(Clone, Debug)]
pub struct Application {
    pub(super) name: String,
    pub(super) charm: Charm,
    pub(super) endpoints: BTreeMap<String, Endpoint>,
    pub(super) config: BTreeMap<String, Value>,
    pub(super) config_version: u64,
    pub(super) early_pebble_ready: bool,
    pub(super) dying: bool,
    pub(super) next_unit: u32,
    pub(super) leader: Option<String>,
    pub(super) app_status: Status,
}

/// What the units of an application run.
#[derive(Clone, Debug)]
pub enum Charm {
    /// The falco charm.
    Falco,
    /// The falcosidekick-k8s charm.
    Falcosidekick,
    /// A charm of somebody else.
    Other(Box<Other>),
    /// Nothing: its databags are given, and its units never run a hook.
    Played(Played),
}

/// A charm of somebody else, with nothing around it but Juju: no container, and no program of the host.
#[derive(Clone, Debug)]
pub struct Other {
    pub(super) metadata: Metadata,
    pub(super) dispatch: PathBuf,
}

/// An application without a charm.
#[derive(Clone, Debug)]
pub struct Played {
    pub(super) substrate: Substrate,
    /// What its application and each of its units publish, by endpoint.
    pub(super) app_data: BTreeMap<String, Bag>,
    pub(super) unit_data: BTreeMap<String, Bag>,
}

impl Application {
    /// The falco charm, with a free port for Falco's metrics, as machines of this model share the network.
    pub fn falco(name: &str) -> Result<Self> {
        let metadata = Metadata::read(programs::charmcraft("falco"))?;
        Ok(Self::new(name, Charm::Falco, metadata.endpoints).config("metrics-port", free_port()))
    }

    /// The falcosidekick-k8s charm, with a free port to take alerts on.
    pub fn falcosidekick(name: &str) -> Result<Self> {
        let metadata = Metadata::read(programs::charmcraft("falcosidekick-k8s"))?;
        Ok(Self::new(name, Charm::Falcosidekick, metadata.endpoints).config("port", free_port()))
    }

    /// A charm of somebody else: what it declares, and the program that is its `dispatch`.
    pub fn of_charm(name: &str, metadata: Metadata, dispatch: impl Into<PathBuf>) -> Self {
        let endpoints = metadata.endpoints.clone();
        Self::new(name, Charm::Other(Box::new(Other { metadata, dispatch: dispatch.into() })), endpoints)
    }

    /// An application that is only played.
    pub fn played(name: &str, substrate: Substrate) -> Self {
        let played = Played { substrate, app_data: BTreeMap::new(), unit_data: BTreeMap::new() };
        Self::new(name, Charm::Played(played), BTreeMap::new())
    }

    /// A principal on machines: nothing but a place for subordinates.
    pub fn principal(name: &str) -> Self {
        Self::played(name, Substrate::Machine)
    }

    /// A Loki on Kubernetes that publishes where to push to.
    pub fn loki(name: &str, url: &str) -> Self {
        Self::played(name, Substrate::Kubernetes).provides("logging", "loki_push_api").unit_publishes(
            "logging",
            "endpoint",
            &serde_json::json!({ "url": url }).to_string(),
        )
    }

    fn new(name: &str, charm: Charm, endpoints: BTreeMap<String, Endpoint>) -> Self {
        Self {
            name: name.to_owned(),
            charm,
            endpoints,
            config: BTreeMap::new(),
            config_version: 1,
            early_pebble_ready: false,
            dying: false,
            next_unit: 0,
            leader: None,
            app_status: Status::default(),
        }
    }

    /// Sets an option.
    #[must_use]
    pub fn config(mut self, option: &str, value: impl Into<Value>) -> Self {
        self.config.insert(option.to_owned(), value.into());
        self
    }

    /// `pebble-ready` comes as soon as Juju allows, before `config-changed` and `start`, and not after them.
    #[must_use]
    pub fn early_pebble_ready(mut self) -> Self {
        self.early_pebble_ready = true;
        self
    }

    /// Declares an endpoint of a played application.
    #[must_use]
    pub fn provides(mut self, endpoint: &str, interface: &str) -> Self {
        self.endpoints.insert(endpoint.to_owned(), provider(interface));
        self
    }

    /// Another endpoint that requires an interface.
    #[must_use]
    pub fn requires(mut self, endpoint: &str, interface: &str) -> Self {
        self.endpoints.insert(endpoint.to_owned(), Endpoint { role: Role::Requirer, ..provider(interface) });
        self
    }

    /// What each unit of a played application publishes on an endpoint.
    #[must_use]
    pub fn unit_publishes(mut self, endpoint: &str, key: &str, value: &str) -> Self {
        if let Charm::Played(played) = &mut self.charm {
            played.unit_data.entry(endpoint.to_owned()).or_default().insert(key.to_owned(), value.to_owned());
        }
        self
    }

    /// What a played application itself publishes on an endpoint.
    #[must_use]
    pub fn application_publishes(mut self, endpoint: &str, key: &str, value: &str) -> Self {
        if let Charm::Played(played) = &mut self.charm {
            played.app_data.entry(endpoint.to_owned()).or_default().insert(key.to_owned(), value.to_owned());
        }
        self
    }

    pub(super) fn substrate(&self) -> Substrate {
        match &self.charm {
            Charm::Falcosidekick => Substrate::Kubernetes,
            Charm::Other(other) if other.metadata.is_kubernetes() => Substrate::Kubernetes,
            Charm::Falco | Charm::Other(_) => Substrate::Machine,
            Charm::Played(played) => played.substrate,
        }
    }

    /// A subordinate has no unit before it is related to a principal.
    pub(super) fn is_subordinate(&self) -> bool {
        match &self.charm {
            Charm::Falco => true,
            Charm::Other(other) => other.metadata.subordinate,
            Charm::Falcosidekick | Charm::Played(_) => false,
        }
    }

    /// What a played application publishes.
    pub(super) fn published(&self, endpoint: &str) -> (Bag, Bag) {
        let Charm::Played(played) = &self.charm else { return <_>::default() };
        let of = |bags: &BTreeMap<String, Bag>| bags.get(endpoint).cloned().unwrap_or_default();
        (of(&played.app_data), of(&played.unit_data))
    }

    /// Every endpoint, with the one that each application has without a word.
    fn all_endpoints(&self) -> BTreeMap<String, Endpoint> {
        let mut all = self.endpoints.clone();
        all.entry(JUJU_INFO.to_owned()).or_insert_with(|| provider(JUJU_INFO));
        all
    }
}

fn provider(interface: &str) -> Endpoint {
    let interface = interface.to_owned();
    Endpoint { role: Role::Provider, interface, container_scoped: false, limit: None, optional: true }
}

/// What `juju integrate` makes of two names.
#[derive(Debug)]
pub struct Match {
    /// The two endpoints.
    pub endpoints: [String; 2],
    /// Their interface.
    pub interface: String,
    /// Whether each unit sees only the one it lives beside.
    pub container_scoped: bool,
}

/// Finds the one pair of endpoints that fits, as `juju integrate` does.
pub fn matching(one: (&Application, Option<&str>), other: (&Application, Option<&str>)) -> Result<Match> {
    let candidates = |(app, endpoint): (&Application, Option<&str>)| {
        let all = app.all_endpoints();
        if let Some(name) = endpoint {
            let declared = all.get(name).with_context(|| format!("{} has no endpoint {name}", app.name))?;
            return Ok::<_, anyhow::Error>(BTreeMap::from([(name.to_owned(), declared.clone())]));
        }
        Ok(all)
    };
    let (ones, others) = (candidates(one)?, candidates(other)?);
    let pairs = ones.iter().flat_map(|one| others.iter().map(move |other| (one, other)));
    let mut found: Vec<_> = pairs
        .filter(|((_, one), (_, other))| one.interface == other.interface && one.role != other.role)
        .map(|((name, one), (other_name, other))| Match {
            endpoints: [name.clone(), other_name.clone()],
            interface: one.interface.clone(),
            container_scoped: one.container_scoped || other.container_scoped,
        })
        .collect();
    if found.len() > 1 {
        // What every application has is meant only if nothing else fits.
        found.retain(|found| found.interface != JUJU_INFO);
    }
    match found.len() {
        1 => Ok(found.remove(0)),
        0 => bail!("{} and {} have no endpoints that fit", one.0.name, other.0.name),
        _ => bail!("{} and {} fit in several ways, so say which: {found:?}", one.0.name, other.0.name),
    }
}
