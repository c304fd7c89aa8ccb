//! A model in which one application is the peer: what an endpoint needs around it, put together by the row.

use charm_tests::falco_host::FalcoHost;
use charm_tests::loki::LokiReceiver;
use charm_tests::model::{Application, Model, Place};
use charm_tests::ports::free_port;
use charm_tests::sink::Sink;

use super::{FALCO, SIDEKICK};

pub const FALCO_UNIT: &str = "falco/0";
pub const SIDEKICK_UNIT: &str = "falcosidekick-k8s/0";

pub struct World {
    // Dropped first, and the services with it.
    pub model: Model,
    pub loki: LokiReceiver,
    /// Takes alerts in clear text.
    pub sink: Sink,
}

impl World {
    pub fn new() -> Self {
        Self { model: Model::new(), loki: LokiReceiver::start(), sink: Sink::start() }
    }

    /// Falco, related to nobody but its principal.
    pub fn with_falco(mut self) -> Self {
        self.model.deploy(Application::principal("ubuntu")).unwrap();
        self.model.deploy(Application::falco(FALCO).unwrap()).unwrap();
        self.model.integrate(FALCO, "ubuntu").unwrap();
        self
    }

    /// Falcosidekick, which takes alerts in clear text.
    pub fn with_sidekick(self) -> Self {
        self.deployed(|sidekick| sidekick.config("allow-plain-http", true))
    }

    /// Falcosidekick, which takes alerts over TLS or not at all.
    pub fn with_sidekick_over_tls(self) -> Self {
        self.deployed(|sidekick| sidekick.config("metrics-port", free_port()))
    }

    /// Falcosidekick gets the alerts of Falco if there is one.
    fn deployed(mut self, configure: impl FnOnce(Application) -> Application) -> Self {
        self.model.deploy(configure(Application::falcosidekick(SIDEKICK).unwrap())).unwrap();
        if self.model.list().iter().any(|listed| listed.unit == FALCO_UNIT) {
            self.model.integrate("falco:http-endpoint", SIDEKICK).unwrap();
        }
        self
    }

    /// Falcosidekick sends to a Loki.
    pub fn with_loki(mut self) -> Self {
        self.model.deploy(Application::loki("loki", &self.loki.url())).unwrap();
        self.model.integrate("falcosidekick-k8s:send-loki-logs", "loki").unwrap();
        self
    }

    /// Nobody has anything left to do.
    pub fn settled(mut self) -> Self {
        self.model.settle().unwrap();
        self
    }

    pub fn port(&self) -> u64 {
        self.model.state(SIDEKICK_UNIT).config["port"].as_u64().unwrap()
    }

    pub fn host(&self) -> &FalcoHost {
        let Place::Machine(host) = self.model.place(FALCO_UNIT) else { panic!("Falco runs on a machine") };
        host
    }

    pub fn read_sensitive_file(&self) {
        self.host().read_sensitive_file();
    }

    /// The authority of an application that signs, which keeps it in Juju, as PEM.
    pub fn authority_of(&self, app: &str) -> String {
        let secret = self.model.state(&format!("{app}/0")).secret_labelled("authority").expect("an authority");
        secret.text("certificate").unwrap() + "\n"
    }
}
