//! Both charms, a principal, and a receiver of what Falcosidekick pushes.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use charm_tests::falco_host::{FalcoHost, eventually};
use charm_tests::loki::{Entry, LokiReceiver};
use charm_tests::model::{Application, Model, Place, Progress};
use charm_tests::pod::Pod;

pub const FALCO: &str = "falco/0";
pub const SIDEKICK: &str = "falcosidekick-k8s/0";

/// The URL in each hook of Falco that had the relation.
pub type Urls = Rc<RefCell<Vec<Option<String>>>>;

pub struct World {
    // Dropped first, and the services with it.
    pub model: Model,
    pub loki: LokiReceiver,
    /// What each hook of Falco was shown as the URL.
    pub urls: Urls,
}

impl World {
    /// Nothing deployed; every hook is run twice.
    pub fn new() -> Self {
        Self::with(Model::new().every_hook_twice())
    }

    pub fn with(model: Model) -> Self {
        let urls = Urls::default();
        let shown = Rc::clone(&urls);
        let model = model.observed_by(move |progress, _| {
            if let Progress::Ended(record, outcome) = progress
                && record.unit == FALCO
                && let Some(relation) = outcome.state.relations.iter().find(|other| other.endpoint == "http-endpoint")
            {
                shown.borrow_mut().push(relation.remote_app_data.get("url").cloned());
            }
            Ok(())
        });
        Self { model, loki: LokiReceiver::start(), urls }
    }

    /// All is deployed and related, and nobody has anything left to do.
    pub fn settled() -> Self {
        let mut world = Self::new();
        world.deploy();
        world.relate();
        world.model.settle().unwrap();
        world.assert_active();
        world
    }

    pub fn deploy(&mut self) {
        self.model.deploy(Application::principal("ubuntu")).unwrap();
        self.model.deploy(Application::falco("falco").unwrap()).unwrap();
        self.model.deploy(sidekick()).unwrap();
        self.model.deploy(Application::loki("loki", &self.loki.url())).unwrap();
    }

    pub fn relate(&mut self) {
        self.model.integrate("falco", "ubuntu").unwrap();
        self.model.integrate("falcosidekick-k8s:send-loki-logs", "loki").unwrap();
        self.model.integrate("falco:http-endpoint", "falcosidekick-k8s").unwrap();
    }

    #[track_caller]
    pub fn assert_active(&self) {
        for unit in self.model.list() {
            assert_eq!(unit.status.to_string(), "active: ", "{}\n{:#?}", unit.unit, self.model.records());
        }
    }

    /// The URL as Falco has to read it.
    pub fn url(&self) -> Option<String> {
        self.model.app_data("falcosidekick-k8s", "falco")?.get("url").cloned()
    }

    #[track_caller]
    pub fn host(&self) -> &FalcoHost {
        let Place::Machine(host) = self.model.place(FALCO) else { panic!("Falco runs on a machine") };
        host
    }

    #[track_caller]
    pub fn pod(&self, unit: &str) -> &Pod {
        let Place::Pod(pod) = self.model.place(unit) else { panic!("{unit} runs in a pod") };
        pod
    }

    /// Reads a file that Falco watches, and returns the alert as it was received.
    #[track_caller]
    pub fn alert(&self) -> Entry {
        let known = self.loki.entries().len();
        self.host().read_sensitive_file();
        eventually("the alert", || self.loki.entries().into_iter().nth(known))
    }

    /// The hooks that a unit has run after this number of records.
    pub fn hooks_of(&self, unit: &str, since: usize) -> Vec<String> {
        let records = self.model.records()[since..].iter().filter(|record| record.unit == unit);
        records.map(|record| record.hook.clone()).collect()
    }
}

pub fn sidekick() -> Application {
    Application::falcosidekick("falcosidekick-k8s").unwrap().config("allow-plain-http", true)
}

/// Decides by a simple generator of numbers, so that a seed stands for one order.
pub fn by_seed(mut seed: u64) -> impl FnMut(&[&str]) -> usize {
    move |units| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).expect("31 bits") % units.len()
    }
}

/// The Juju labels among those of an alert.
pub fn juju_labels(entry: &Entry) -> BTreeMap<&str, &str> {
    let labels = entry.labels.iter().filter(|(name, _)| name.starts_with("juju_"));
    labels.map(|(name, value)| (name.as_str(), value.as_str())).collect()
}
