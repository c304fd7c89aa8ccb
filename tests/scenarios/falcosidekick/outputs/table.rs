//! Each output of the table, started by itself with its minimal configuration as the charm writes it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::thread;

use charm_core::config::{Problems, RawConfig};
use charm_core::topology::Topology;
use charm_tests::ports::free_port;
use charm_tests::programs;
use falcosidekick_charm::listener::Listener;
use falcosidekick_charm::outputs::document::minimal;
use falcosidekick_charm::outputs::secrets::Secrets;
use falcosidekick_charm::outputs::table::{self, Block};
use falcosidekick_charm::outputs::{OUTPUTS, Outputs, Surroundings};
use falcosidekick_charm::render;
use falcosidekick_charm::sinks::Sinks;

/// Outputs that the stand-in does not have. The list has to be exact: one that it learns is taken off here.
const NOT_PLAYED: &[&str] = &[
    "aws.cloudwatchlogs",
    "aws.kinesis",
    "aws.lambda",
    "aws.s3",
    "aws.securitylake",
    "aws.sns",
    "aws.sqs",
    "azure.eventhub",
    "cliq",
    "datadog",
    "datadoglogs",
    "dogstatsd",
    "dynatrace",
    "fission",
    "gcp.chronicle",
    "gcp.cloudfunctions",
    "gcp.cloudrun",
    "gcp.pubsub",
    "gcp.storage",
    "googlechat",
    "gotify",
    "grafanaoncall",
    "kafka",
    "kafkarest",
    "kubeless",
    "mattermost",
    "mqtt",
    "n8n",
    "nats",
    "nodered",
    "openfaas",
    "opsgenie",
    "otlp.metrics",
    "otlp.traces",
    "pagerduty",
    "quickwit",
    "redis",
    "rocketchat",
    "spyderbat",
    "stan",
    "statsd",
    "sumologic",
    "telegram",
    "timescaledb",
    "webex",
    "webui",
    "yandex.datastreams",
    "yandex.s3",
    "zincsearch",
];

/// Outputs that Falcosidekick drops here, because what they connect to while it starts is not on this machine: no broker
/// that speaks AMQP, and no cluster.
const WITHOUT_SERVER: [(&str, &str); 2] = [
    ("rabbitmq", "Rabbitmq - Error while connecting rabbitmq"),
    ("policyreport", "PolicyReport - Unable to load kube config file"),
];

/// Falcosidekick. It ends with this.
struct Running {
    child: Child,
    log: BufReader<ChildStderr>,
    _folder: tempfile::TempDir,
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Running {
    /// Starts it with these outputs, in the environment that the charm makes.
    fn start(text: &str) -> Self {
        let raw: RawConfig = [(OUTPUTS, text)].into_iter().collect();
        let secrets = Secrets::new();
        let around = Surroundings { app: "sidekick", loki_is_related: false, secrets: &secrets };
        let mut problems = Problems::default();
        let outputs = Outputs::parse(&raw, &around, &mut problems);
        assert!(problems.is_empty(), "{problems:?}\n{text}");
        let sinks = Sinks { outputs, ..Sinks::default() };
        let sections = sinks.outputs.sections(None);
        let listener = Listener::plain(free_port().to_string().parse().unwrap());
        let configuration = render::configuration(listener, &Topology::default(), &sinks.fields, &sections, "", false);
        let folder = tempfile::Builder::new().prefix("output-").tempdir().unwrap();
        let path = folder.path().join("falcosidekick.yaml");
        fs::write(&path, configuration).unwrap();
        let mut child = Command::new(programs::falcosidekick())
            .arg("-c")
            .arg(&path)
            .env_clear()
            .envs(sinks.environment("", &sections))
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        Self { child, log, _folder: folder }
    }

    /// What it says until it listens, or ends.
    fn words(&mut self) -> String {
        let mut words = String::new();
        while self.log.read_line(&mut words).unwrap() > 0 {
            if words.lines().last().is_some_and(|line| line.contains("is up and listening")) {
                break;
            }
        }
        words
    }
}

/// What its minimal configuration needs besides, so that Falcosidekick finds what it asks for while it starts.
fn complete(block: &Block, port: u16) -> String {
    let text = minimal(block);
    let credentials = table::block("gcp").unwrap().key("credentials").unwrap().sample;
    match block.path {
        path if path.starts_with("aws.") => {
            text.replacen("aws:\n", "aws:\n  checkidentity: false\n  region: eu-central-1\n", 1)
        }
        "gcp.pubsub" | "gcp.cloudfunctions" | "gcp.chronicle" => {
            text.replacen("gcp:\n", &format!("gcp:\n  credentials: {credentials}\n"), 1)
        }
        "logstash" => format!("logstash: {{address: 127.0.0.1, port: {port}}}\n"),
        "rabbitmq" => format!("rabbitmq: {{url: 'amqp://127.0.0.1:{}/', queue: q}}\n", free_port()),
        "redis" => format!("redis: {{address: '127.0.0.1:{port}'}}\n"),
        // The name is resolved while Falcosidekick starts.
        "statsd" | "dogstatsd" => format!("{}: {{forwarder: '127.0.0.1:{port}'}}\n", block.path),
        "spyderbat" => format!("{text}  apiurl: http://127.0.0.1:{port}\n"),
        _ => text,
    }
}

/// Answers every request with an empty list.
pub fn server() -> u16 {
    serve(TcpListener::bind("127.0.0.1:0").unwrap())
}

/// The same at a place that was chosen before.
pub fn serve(listener: TcpListener) -> u16 {
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n[]");
            });
        }
    });
    port
}

#[test]
fn falcosidekick_enables_each_output_of_the_table() {
    let is_real = programs::given("FALCOSIDEKICK").is_some();
    let port = server();
    let mut wrong = BTreeMap::new();
    for block in table::outputs() {
        let words = Running::start(&complete(block, port)).words();
        let enabled = words.lines().find_map(|line| line.split_once("Enabled Outputs: [")?.1.strip_suffix(']'));
        let is_enabled = enabled.is_some_and(|list| list.split(' ').any(|name| name == block.name));
        let told = WITHOUT_SERVER.iter().find(|(path, _)| *path == block.path);
        let is_right = match told {
            Some((path, reason)) if is_real || *path == "rabbitmq" => !is_enabled && words.contains(reason),
            Some(_) => !is_enabled,
            None => is_enabled == (is_real || !NOT_PLAYED.contains(&block.path)),
        };
        let is_clean = !words.contains("Error unmarshalling") && !words.contains("panic");
        if !(is_right && is_clean) {
            wrong.insert(block.path, words);
        }
    }
    let all: Vec<String> = wrong.iter().map(|(path, words)| format!("{path}:\n{words}")).collect();
    assert!(
        all.is_empty(),
        "{} of {} outputs are not as the table says:\n{}",
        all.len(),
        table::outputs().count(),
        all.join("\n")
    );
    if !is_real {
        println!("NOT played, as the stand-in does not have them: {}", NOT_PLAYED.join(", "));
    }
}
