//! A pod with the charm and the container of Falcosidekick, and a receiver of what Falcosidekick pushes.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use charm_tests::juju::event::{Kind, WorkloadEvent};
use charm_tests::juju::{Context, Event, Moment, Outcome, Owner, Relation, State, Verdict};
use charm_tests::kubernetes::double::ApiDouble;
use charm_tests::kubernetes::{mount_credentials, variables};
use charm_tests::loki::{Entry, LokiReceiver};
use charm_tests::pebble::{Pebble, pebble_binary};
use charm_tests::ports::free_port;
use charm_tests::stand_in::tls::{self, Trust};
use charm_tests::{interfaces, programs};
use falcosidekick_charm::log::Log;
use jiff::Timestamp;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use serde_json::{Value, json};
use tempfile::TempDir;

pub const CONTAINER: &str = "falcosidekick";
pub const LOKI: u32 = 2;
pub const FALCO: u32 = 7;
/// The model that Falcos are in.
pub const MACHINES: &str = "9b5d2c1e-7f30-4a6b-8c4d-2e1f0a9b8c7d";

/// No hook that changes nothing needs more hook commands than this, whatever is related, and one for each secret that an
/// option names, nor more requests to Pebble.
pub const MOST_HOOK_COMMANDS: usize = 22;
/// The same of a hook in which the relation, the leader, the charm or the pod may be new, so that nothing that is noted
/// about what we said is believed; with one for each of the two other units.
pub const MOST_WHEN_ALL_MAY_BE_NEW: usize = 44;
/// The same as the first in a laboratory, with Loki and Falco.
pub const MOST_IN_A_LABORATORY: usize = 14;
pub const MOST_REQUESTS: usize = 6;

/// Hook commands that a hook which has nothing to change must not call.
const WRITES: [&str; 5] = ["relation-set", "state-set", "open-port", "close-port", "juju-log"];

/// Longer than anything here takes, even on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct World {
    /// Dropped first, and the services with it.
    pub pebble: Pebble,
    pub loki: LokiReceiver,
    pub port: u16,
    /// Where health and metrics are while alerts come in over TLS.
    pub metrics_port: u16,
    context: Context,
    root: TempDir,
}

impl World {
    /// A pod whose container has the image of the Falcosidekick project.
    pub fn new() -> Self {
        Self::with_image("/app/falcosidekick", &[])
    }

    /// A pod whose container has an image with the program here, and with these layers, as label and YAML.
    pub fn with_image(program: &str, layers: &[(&str, &str)]) -> Self {
        let root = tempfile::Builder::new().prefix("pod-").tempdir().unwrap();
        let pebble = Pebble::start(root.path(), CONTAINER, layers);
        let world = Self {
            pebble,
            loki: LokiReceiver::start(),
            port: free_port(),
            metrics_port: free_port(),
            context: context(root.path()),
            root,
        };
        world.install_program(program);
        world
    }

    /// The same pod for the unit of this number.
    pub fn numbered(mut self, number: u32) -> Self {
        self.context = context(self.root()).unit_number(number);
        self
    }

    /// The same pod beside an API server of Kubernetes, in the model and for the application that all tests have.
    pub fn beside(self, api: &ApiDouble) -> Self {
        mount_credentials(self.root(), "test-model", api.authority(), "a token");
        self.beside_port(api.port())
    }

    /// The same where nothing changes but the port of the API server.
    pub fn beside_port(mut self, port: u16) -> Self {
        let context = context(self.root());
        self.context = variables(port).into_iter().fold(context, |context, (name, value)| context.env(name, value));
        self
    }

    pub fn path(&self, absolute: &str) -> PathBuf {
        self.root.path().join(absolute.trim_start_matches('/'))
    }

    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// Does anybody answer where alerts are to be sent?
    pub fn answers(&self) -> bool {
        TcpStream::connect(("127.0.0.1", self.port)).is_ok()
    }

    /// Puts Falcosidekick there.
    pub fn install_program(&self, path: &str) {
        programs::install_falcosidekick(&self.path(path)).unwrap();
    }

    /// What the controller knows of a leader that is related to nobody.
    pub fn alone(&self) -> State {
        State::kubernetes().leader(true).config("port", self.port)
    }

    /// The same in a laboratory.
    pub fn bare(&self) -> State {
        self.alone().config("allow-plain-http", true)
    }

    /// The same, related to a Loki that has published and to a Falco.
    pub fn related(&self) -> State {
        self.bare().relation(loki_relation(&self.loki.url())).relation(falco_relation())
    }

    /// A world in which the charm has done its work, and what the controller knows then.
    pub fn settled() -> (Self, State) {
        let world = Self::new();
        let state = world.run(&Event::pebble_ready(CONTAINER), &world.related()).state;
        assert_eq!(state.unit_status.to_string(), "active: ");
        (world, state)
    }

    /// Runs a hook, and then once more: it has to succeed, to write nothing that its interface does not allow, and to
    /// leave nothing to do for the second run, which must not touch a process either.
    #[track_caller]
    pub fn run(&self, event: &Event, state: &State) -> Outcome {
        let outcome = self.run_once(event, state);
        let processes = self.pebble.service_processes();
        let again = self.run_once(event, &outcome.state);
        let writes: Vec<String> =
            again.call_lines().into_iter().filter(|line| WRITES.iter().any(|name| line.starts_with(name))).collect();
        assert!(writes.is_empty(), "the second run still had something to do:\n{}", again.report());
        assert_eq!(unread(&again.state), unread(&outcome.state), "the second run ended elsewhere:\n{}", again.report());
        assert_eq!(self.pebble.service_processes(), processes, "the second run touched a process:\n{}", again.report());
        let of_operators = state.secrets.iter().filter(|secret| secret.owner == Owner::Model).count();
        let most = if is_steady(event, state) { MOST_HOOK_COMMANDS } else { MOST_WHEN_ALL_MAY_BE_NEW } + of_operators;
        assert!(again.hook_commands() <= most, "too many hook commands:\n{}", again.report());
        outcome
    }

    /// Runs a hook, which has to succeed.
    #[track_caller]
    pub fn run_once(&self, event: &Event, state: &State) -> Outcome {
        let outcome = self.context.run(event, state).expect_success();
        for relation in &outcome.state.relations {
            let (interface, side) = match relation.endpoint.as_str() {
                "http-endpoint" => ("falcosidekick_http_endpoint", "provider"),
                "send-loki-logs" | "logging" => ("loki_push_api", "requirer"),
                "certificates" => ("tls-certificates", "requirer"),
                "ingress" => ("ingress", "requirer"),
                "receive-ca-cert" => ("certificate_transfer", "requirer"),
                "send-ca-cert" => ("certificate_transfer", "provider"),
                "grafana-dashboard" => ("grafana_dashboard", "provider"),
                "metrics-endpoint" => ("prometheus_scrape", "provider"),
                _ => continue,
            };
            for (bag, databag) in [("app", &relation.local_app_data), ("unit", &relation.local_unit_data)] {
                interfaces::check(interface, side, bag, databag).unwrap_or_else(|problem| panic!("{problem}"));
            }
        }
        outcome
    }

    /// The same in a model with these proxies.
    #[track_caller]
    pub fn run_behind(&self, proxies: &[(&str, &str)], event: &Event, state: &State) -> Outcome {
        let context = context(self.root.path());
        let context = proxies.iter().fold(context, |context, (kind, value)| context.proxy(*kind, *value));
        context.run(event, state).expect_success()
    }

    /// What a hook would do, printed; and what else it did.
    #[track_caller]
    pub fn plan(&self, event: &Event, state: &State) -> Outcome {
        let as_plan = context(self.root.path()).arguments(["plan"]);
        as_plan.run(event, state).expect_success()
    }

    /// Runs a hook that is killed before its hook command of this number, counted from 0. If it has fewer, it runs to
    /// its end.
    pub fn run_killed(&self, number: usize, event: &Event, state: &State) -> Outcome {
        let kill = move |moment: &Moment<'_>| {
            if moment.index == number { Verdict::Kill } else { Verdict::Go }
        };
        context(self.root.path()).gate(kill).run(event, state)
    }

    /// Runs an action, which the charm need not have.
    pub fn action(&self, name: &str, state: &State) -> Outcome {
        self.action_with(&Event::action(name), state)
    }

    /// Runs an action with parameters.
    pub fn action_with(&self, action: &Event, state: &State) -> Outcome {
        context(self.root.path()).without_consistency_check().run(action, state)
    }

    /// Does to Pebble what an operator does in the container.
    #[track_caller]
    pub fn pebble_command(&self, arguments: &[&str]) {
        let folder = self.path("/var/lib/pebble").join(CONTAINER);
        let status = Command::new(pebble_binary()).args(arguments).env("PEBBLE", folder).status().unwrap();
        assert!(status.success(), "{}", self.pebble.log());
    }

    /// Has Pebble run the check now, this many times.
    pub fn check(&self, times: usize) {
        for _ in 0..times {
            // It fails with the check.
            drop(self.pebble_client(&["check", "health", "--refresh"]));
        }
    }

    /// Would Kubernetes send anybody to this pod? It asks what this command asks.
    pub fn is_ready(&self) -> bool {
        self.pebble_client(&["health", "--level", "ready"]).status.success()
    }

    fn pebble_client(&self, arguments: &[&str]) -> Output {
        let folder = self.path("/var/lib/pebble").join(CONTAINER);
        Command::new(pebble_binary()).args(arguments).env("PEBBLE", folder).output().unwrap()
    }

    /// Waits until Falcosidekick has counted this: a line of its metrics, up to the blank, and the number.
    #[track_caller]
    pub fn counted(&self, port: u16, series: &str, number: u64) {
        let line = format!("{series} {number}");
        let begin = Instant::now();
        loop {
            let metrics = self.ask(port, "GET /metrics HTTP/1.0\r\n\r\n");
            if metrics.lines().any(|other| other == line) {
                return;
            }
            assert!(begin.elapsed() < PATIENCE, "{line} is not in\n{metrics}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Sends a signal to Falcosidekick.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.process().cast_signed()), signal).unwrap();
    }

    /// The number of Falcosidekick's process.
    #[track_caller]
    pub fn process(&self) -> u32 {
        let processes = self.pebble.service_processes();
        assert_eq!(processes.len(), 1, "not one process but {processes:?}:\n{}", self.pebble.log());
        processes[0]
    }

    /// How often Falcosidekick was started, by its own words. They are read where Pebble prints all that a service says:
    /// of what it hands out when asked, the oldest lines are gone after some thousand alerts.
    pub fn starts(&self) -> usize {
        let lines: Vec<String> = self.pebble.log().lines().map(str::to_owned).collect();
        Log::starts(&lines).len()
    }

    #[track_caller]
    pub fn assert_stopped(&self) {
        assert_eq!(self.pebble.service_processes(), Vec::<u32>::new(), "{}", self.pebble.log());
    }

    /// Sends an alert as Falco does, and returns it as Loki received it.
    #[track_caller]
    pub fn deliver(&self, port: u16) -> Entry {
        self.arrives(|request| self.ask(port, request))
    }

    /// The same over TLS, by somebody who believes this authority and nobody else, and calls the unit by this name.
    #[track_caller]
    pub fn deliver_tls(&self, name: &str, authority: &str) -> Entry {
        self.arrives(|request| {
            let trust = Trust::Only(tls::certificates(authority.as_bytes()));
            let config = Arc::new(tls::client(trust, None).unwrap());
            let name = ServerName::try_from(name.to_owned()).unwrap();
            let connection = ClientConnection::new(config, name).unwrap();
            self.exchange(StreamOwned::new(connection, self.connect(self.port)), request)
        })
    }

    /// The same through a proxy at this URL.
    #[track_caller]
    pub fn deliver_through(&self, url: &str, authority: &str) -> Entry {
        let url: url::Url = url.parse().unwrap();
        let (host, port) = (url.host_str().unwrap().to_owned(), url.port_or_known_default().unwrap());
        self.arrives(|request| {
            let trust = Trust::Only(tls::certificates(authority.as_bytes()));
            let name = ServerName::try_from(host.clone()).unwrap();
            let connection = ClientConnection::new(Arc::new(tls::client(trust, None).unwrap()), name).unwrap();
            let request = request.replacen("POST /", &format!("POST {}", url.path()), 1);
            self.exchange(StreamOwned::new(connection, self.connect(port)), &request)
        })
    }

    #[track_caller]
    fn arrives(&self, ask: impl FnOnce(&str) -> String) -> Entry {
        let known = self.loki.entries().len();
        let answer = ask(&post());
        assert!(answer.starts_with("HTTP/1.0 200") || answer.starts_with("HTTP/1.1 200"), "{answer}");
        let begin = Instant::now();
        loop {
            if let Some(entry) = self.loki.entries().into_iter().nth(known) {
                return entry;
            }
            assert!(begin.elapsed() < PATIENCE, "the alert did not arrive:\n{}", self.pebble.log());
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Sends an alert as Falco does.
    #[track_caller]
    pub fn post(&self, port: u16) {
        let answer = self.ask(port, &post());
        assert!(answer.starts_with("HTTP/1.0 200") || answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    #[track_caller]
    pub fn ask(&self, port: u16, request: &str) -> String {
        self.exchange(self.connect(port), request)
    }

    #[track_caller]
    fn connect(&self, port: u16) -> TcpStream {
        TcpStream::connect(("127.0.0.1", port))
            .unwrap_or_else(|error| panic!("nobody listens on {port}: {error}\n{}", self.pebble.log()))
    }

    #[track_caller]
    fn exchange(&self, mut stream: impl Read + Write, request: &str) -> String {
        stream.write_all(request.as_bytes()).unwrap_or_else(|error| panic!("{error}\n{}", self.pebble.log()));
        let mut answer = Vec::new();
        // A server that closes without a word of TLS has said everything all the same.
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8(answer).unwrap()
    }
}

/// The request with which Falco sends an alert.
fn post() -> String {
    let body = alert().to_string();
    let length = body.len();
    format!("POST / HTTP/1.0\r\nContent-Length: {length}\r\n\r\n{body}")
}

/// Whether this is a hook in which nothing may be new that is said of the charm, its leader, its pod and relations to
/// those who look at it.
fn is_steady(event: &Event, state: &State) -> bool {
    match &event.kind {
        Kind::Plain(name) => !["leader-elected", "start", "upgrade-charm"].contains(name),
        Kind::Workload { what, .. } => *what != WorkloadEvent::Ready,
        Kind::Relation(event) => {
            let endpoint = state.find_relation(event.id).map(|relation| relation.endpoint.as_str());
            !["grafana-dashboard", "logging", "metrics-endpoint"].map(Some).contains(&endpoint)
        }
        _ => true,
    }
}

/// A state without what Juju notes down about who has read which revision of a secret.
pub fn unread(state: &State) -> State {
    let mut state = state.clone();
    state.secrets.iter_mut().for_each(|secret| secret.consumers.clear());
    state
}

pub fn context(root: &Path) -> Context {
    let charmcraft = programs::charmcraft("falcosidekick-k8s");
    let context = Context::new(charmcraft, programs::falcosidekick_charm(), programs::hook_command()).unwrap();
    context.app("sidekick").at_root(root)
}

/// The URL that Falco reads, if there is one.
pub fn published(state: &State) -> Option<&str> {
    state.relation_by_id(FALCO).local_app_data.get("url").map(String::as_str)
}

/// The relation to a Loki of one unit that has published this URL.
pub fn loki_relation(url: &str) -> Relation {
    let endpoint = json!({ "url": url }).to_string();
    Relation::new(LOKI, "send-loki-logs", "loki").remote_unit_data(0, "endpoint", endpoint)
}

/// The relation to a Falco of one unit, which is on a machine and so in another model.
pub fn falco_relation() -> Relation {
    Relation::new(FALCO, "http-endpoint", "falco").remote_unit(0).remote_model(MACHINES)
}

fn alert() -> Value {
    json!({
        "output": "Sensitive file opened",
        "priority": "Warning",
        "rule": "Read sensitive file untrusted",
        "time": Timestamp::now().to_string(),
        "source": "syscall",
        "output_fields": {
            "juju_unit": "falco/0", "juju_application": "falco", "juju_charm": "falco", "juju_model": "machines",
        },
    })
}
