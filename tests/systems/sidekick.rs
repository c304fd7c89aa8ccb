//! Falcosidekick in a pod, as the charm has configured it, and what it says about its deliveries.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use charm_tests::certificates::Authority;
use charm_tests::juju::{Event, Relation, Secret, State, Status};
use charm_tests::pod::{CONTAINER, Pod};
use charm_tests::ports::free_port;
use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;

/// The secret that texts of the option `outputs` refer to.
pub const SECRET: &str = "9m4e2mr0ui3e8a215n4g";
const PASSWORD: &str = "hunter2hunter2";

/// Longer than a delivery takes, even on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(60);

/// A unit that is active.
pub struct Sidekick {
    pod: Pod,
    port: u16,
}

impl Sidekick {
    /// Deploys it with these outputs. Its image trusts nobody but the system's authorities.
    pub fn with_outputs(outputs: &str) -> Self {
        Self::deploy(outputs, None, &[])
    }

    /// The same with an image whose store of authorities is this one.
    pub fn trusting(authority: &Authority, outputs: &str) -> Self {
        Self::deploy(outputs, None, &[store(authority)])
    }

    /// The same with a URL in the secret.
    pub fn with_secret_url(authority: &Authority, outputs: &str, url: &str) -> Self {
        Self::deploy(outputs, Some(url), &[store(authority)])
    }

    fn deploy(outputs: &str, url: Option<&str>, environment: &[(String, String)]) -> Self {
        let pod = Pod::with_environment(|context| context.app("sidekick"), environment);
        let port = free_port();
        let content = [("password", PASSWORD), ("wrong", "guess")].into_iter().chain(url.map(|url| ("url", url)));
        let state = State::kubernetes()
            .leader(true)
            .config("port", port)
            .config("allow-plain-http", true)
            .config("outputs", outputs)
            .secret(Secret::user(SECRET, "sidekick").revision(content))
            .relation(Relation::new(7, "http-endpoint", "falco").remote_unit(0));
        let outcome = pod.context.run(&Event::pebble_ready(CONTAINER), &pod.complete(state)).expect_success();
        assert_eq!(outcome.state.unit_status, Status::active(""), "{}", pod.pebble.log());
        Self { pod, port }
    }

    /// Sends an alert as Falco does. It is marked: the text that is returned is in no other.
    pub fn alert(&self) -> String {
        let mark = Uuid::new_v4().simple().to_string();
        let alert = json!({
            "output": format!("Sensitive file opened ({mark})"),
            "priority": "Warning",
            "rule": "Read sensitive file untrusted",
            "time": Timestamp::now().to_string(),
            "source": "syscall",
            "tags": ["filesystem"],
            "hostname": "node-1",
            "output_fields": { "juju_unit": "falco/0", "mark": mark },
        });
        let body = alert.to_string();
        let answer = self.ask(&format!("POST / HTTP/1.0\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
        assert!(answer.split(' ').nth(1) == Some("200"), "{answer}");
        mark
    }

    /// What it says about an output: how many events it has delivered, and how many it could not.
    pub fn counters(&self, output: &str) -> (u64, u64) {
        let page = self.ask("GET /metrics HTTP/1.0\r\n\r\n");
        let counters: BTreeMap<&str, u64> = page
            .lines()
            .filter_map(|line| line.rsplit_once(' '))
            .filter_map(|(name, value)| Some((name, value.parse().ok()?)))
            .collect();
        let of = |status: &str| {
            let name =
                format!("falcosecurity_falcosidekick_outputs_total{{destination=\"{output}\",status=\"{status}\"}}");
            counters.get(name.as_str()).copied().unwrap_or_default()
        };
        (of("ok"), of("error"))
    }

    /// Waits until it has counted this many deliveries, and failures.
    #[track_caller]
    pub fn assert_counters(&self, output: &str, expected: (u64, u64)) {
        let begin = Instant::now();
        while self.counters(output) != expected {
            let now = self.counters(output);
            let log = self.log();
            assert!(begin.elapsed() < PATIENCE, "{output} is at {now:?} and not at {expected:?}:\n{log}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// What Falcosidekick has said.
    pub fn log(&self) -> String {
        self.pod.pebble.log()
    }

    fn ask(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("Falcosidekick listens");
        stream.write_all(request.as_bytes()).expect("a request can be sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    }
}

/// Both Go and the stand-in look for the store of the system there.
fn store(authority: &Authority) -> (String, String) {
    ("SSL_CERT_FILE".to_owned(), authority.path("ca.crt").display().to_string())
}
