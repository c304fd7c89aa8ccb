//! A model in which one application is the peer: what an endpoint needs around it, put together by the row.

use charm_tests::authority::{Authority, Days};
use charm_tests::falco_host::FalcoHost;
use charm_tests::juju::{Metadata, Substrate};
use charm_tests::loki::LokiReceiver;
use charm_tests::model::{Application, Model, Place};
use charm_tests::pod::Pod;
use charm_tests::ports::free_port;
use charm_tests::sink::Sink;
use serde_json::json;

use super::{FALCO, SIDEKICK};
use crate::python::{Ops, PythonCharm};

pub const FALCO_UNIT: &str = "falco/0";
pub const SIDEKICK_UNIT: &str = "falcosidekick-k8s/0";
pub const SIGNER: &str = "self-signed-certificates";

pub struct World {
    // Dropped first, and the services with it.
    pub model: Model,
    pub loki: LokiReceiver,
    /// Takes alerts in clear text.
    pub sink: Sink,
    /// Whom somebody is to believe.
    pub authority: Authority,
    /// Takes alerts of those who believe the authority.
    pub private_sink: Sink,
    /// The programs of other peers than the one of the row.
    programs: Vec<PythonCharm>,
}

impl World {
    pub fn new() -> Self {
        let authority = Authority::new("private");
        Self {
            model: Model::new(),
            loki: LokiReceiver::start(),
            sink: Sink::start(),
            private_sink: Sink::start_tls(authority.identity(&["127.0.0.1"], Days(1, 1))),
            authority,
            programs: Vec::new(),
        }
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

    /// Somebody signs the certificates of Falcosidekick, by the library.
    pub fn with_signer(mut self) -> Self {
        let text = format!(
            "name: {SIGNER}\nassumes: [k8s-api]\nprovides: {{ certificates: {{ interface: tls-certificates }} }}\n"
        );
        let signer = PythonCharm::new(Ops::Three, "tls-certificates.py", Metadata::parse(&text).unwrap());
        self.model.deploy(Application::of_charm(SIGNER, signer.metadata().clone(), signer.dispatch())).unwrap();
        self.model.integrate("falcosidekick-k8s:certificates", SIGNER).unwrap();
        self.programs.push(signer);
        self
    }

    /// Falco sends to somebody whom only those believe who know the authority.
    pub fn with_private_sink(mut self) -> Self {
        let url = json!(self.private_sink.url()).to_string();
        let receiver = Application::played("receiver", Substrate::Kubernetes);
        let receiver = receiver.provides("http-endpoint", "falcosidekick_http_endpoint");
        self.model.deploy(receiver.application_publishes("http-endpoint", "url", &url)).unwrap();
        self.model.integrate("falco:http-endpoint", "receiver").unwrap();
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

    pub fn pod(&self) -> &Pod {
        let Place::Pod(pod) = self.model.place(SIDEKICK_UNIT) else { panic!("Falcosidekick runs in a pod") };
        pod
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
