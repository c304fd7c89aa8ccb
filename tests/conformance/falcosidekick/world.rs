//! What surrounds a case: its files, ports, certificates and the sink for its deliveries.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use charm_tests::certificates::Authority;
use charm_tests::http_sink::{Manner, Sink};
use charm_tests::ports::free_port;
use regex::Regex;
use tempfile::TempDir;

use super::raw::RawSink;
use crate::client::{Answer, Question, ask};
use crate::recording::{Places, Recording};

/// What surrounds a case.
#[derive(Debug)]
pub struct World {
    /// Values of placeholders.
    pub places: Places,
    /// Certificates.
    pub authority: Authority,
    /// The sink, if the case has one.
    pub sink: Option<Sink>,
    /// The sink, if it speaks something else than HTTP.
    pub raw: Option<RawSink>,
    /// The present, wherever a request names it.
    pub now: jiff::Timestamp,
    /// A file that the program may not read.
    pub unreadable: Option<PathBuf>,
    folder: TempDir,
    _busy: Vec<TcpListener>,
}

/// The event that the recorder sent, but for the name of the rule.
const SAMPLE: &str = r#"{"output": "03:04:05.000000006: Warning Shell spawned in a container (user=root)", "priority": "Warning", "rule": "<rule>", "time": "2026-01-02T03:04:05.000000006Z", "output_fields": <fields>, "source": "syscall", "tags": ["shell", "container"], "hostname": "node-1"}"#;
const SAMPLE_FIELDS: &str = r#"{"user.name": "root", "proc.name": "bash", "k8s.ns.name": "default", "k8s.pod.name": "web-0", "evt.count": 3, "proc.args[0]": "-i"}"#;

impl World {
    /// The same program under another name, in a folder of its own: what lies beside the configuration is read, too.
    pub fn named(&self, name: &str, program: &Path) -> PathBuf {
        let folder = self.folder.path().join("bin");
        let link = folder.join(name);
        std::fs::create_dir_all(&folder).expect("a folder in the test's own folder");
        // Only the first of several starts finds no link.
        let _ = std::os::unix::fs::symlink(program, &link);
        link
    }

    /// Builds everything and writes the files of the case.
    pub fn build(case: &Recording) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        // One case runs as another user.
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(folder.path(), mode).expect("our own folder");
        let authority = Authority::create();
        let mut places = Places::default();
        places.set("<certs>", authority.folder().display().to_string());
        places.set("<dir>", folder.path().display().to_string());
        for placeholder in ["<port>", "<notlsport>", "<closed>", "<late>", "<u>"] {
            places.set(placeholder, free_port().to_string());
        }
        let busy = TcpListener::bind("127.0.0.1:0").expect("a free port");
        places.set("<busy>", busy.local_addr().expect("an address").port().to_string());
        let mut listeners = vec![busy];
        if case.name == "start_port_in_use" {
            listeners.push(TcpListener::bind(("127.0.0.1", places.port("<port>"))).expect("a free port"));
        }
        let has = |placeholder: &str| {
            case.text("config_yaml").contains(placeholder)
                || case.map("env").values().any(|value| value.contains(placeholder))
        };
        let raw = RawSink::of(&case.name);
        if let Some(raw) = &raw {
            places.set("<s>", raw.port().to_string());
        }
        let sink = (raw.is_none() && (has("<s>") || has("<loki>"))).then(|| sink(case, &authority));
        if let Some(sink) = &sink {
            // What Loki answered was recorded; what it made of it is not compared.
            places.set(if has("<loki>") { "<loki>" } else { "<s>" }, sink.port().to_string());
        }
        let now = jiff::Timestamp::now();
        let mut world = Self { places, authority, sink, raw, now, unreadable: None, folder, _busy: listeners };
        world.write_files(case);
        world
    }

    /// A body, with its placeholders.
    pub fn body(&self, body: &str) -> String {
        if body.starts_with("<the sample event with output_fields {\"a\": 5 MiB of x}>") {
            let fields = format!("{{\"a\": \"{}\"}}", "x".repeat(5 << 20));
            return SAMPLE.replace("<rule>", "Terminal shell in container").replace("<fields>", &fields);
        }
        let soon = self.now + jiff::SignedDuration::from_hours(1);
        let body = self.places.fill(body).replace("<now>", &self.now.to_string());
        // The recorder replaced times that were not the present; any time near enough will do.
        let body = body.replace("<recording time>", &soon.to_string());
        repeated(&body)
    }

    /// The page with the counters, from the listener that has it.
    pub fn metrics(&self, case: &Recording) -> Result<Answer, String> {
        let config = case.text("config_yaml");
        let tls = config.contains("deploy: true");
        let moved = tls && config.lines().any(|line| line.contains("notlspaths") && line.contains("/metrics"));
        let port = self.places.port(if moved { "<notlsport>" } else { "<port>" });
        let client = (tls && !moved).then(|| self.authority.client(Some("client"), true));
        ask(&Question::get(port, "/metrics"), client.as_ref())
    }

    /// Puts the certificate of another authority in the place of the one in use.
    pub fn replace_certificate(&self) {
        for ending in ["crt", "key"] {
            self.write(&format!("server.{ending}"), &self.authority.read(&format!("foreign.{ending}")));
        }
    }

    /// Puts another authority in the place of the one that sinks are checked with.
    pub fn replace_authority(&self, name: &str) {
        self.write("out.crt", &self.authority.read(name));
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).unwrap_or_else(|error| panic!("{name}: {error}"));
    }

    fn write_files(&mut self, case: &Recording) {
        let config = case.texts("args").get(1).map(|path| self.places.fill(path));
        if let (Some(path), true) = (&config, case.value["config_yaml"].is_string()) {
            let text = self.places.fill(case.text("config_yaml"));
            std::fs::write(path, text).unwrap_or_else(|error| panic!("{path}: {error}"));
        }
        for (path, text) in case.map("files") {
            let name = path.trim_start_matches("<dir>/").to_owned();
            let text = if text == "<pem>" { self.pem(case, &name) } else { self.places.fill(&text) };
            self.write(&name, &text);
        }
        let closed = match case.name.as_str() {
            "start_config_unreadable" => "falcosidekick.yaml",
            "tls_key_unreadable" => {
                self.write("server.crt", &self.authority.read("server.crt"));
                self.write("server.key", &self.authority.read("server.key"));
                "server.key"
            }
            _ => return,
        };
        let path = self.folder.path().join(closed);
        let mode = std::fs::Permissions::from_mode(0o000);
        std::fs::set_permissions(&path, mode).expect("our own file");
        self.unreadable = Some(path);
    }

    fn pem(&self, case: &Recording, name: &str) -> String {
        let ending = name.rsplit('.').next().unwrap_or_default();
        let from = match (case.name.as_str(), name) {
            (_, "ca.crt") | ("webhook_ca_replaced_good", "out.crt") => "ca",
            ("webhook_ca_replaced_bad", "out.crt") => "otherca",
            ("tls_chain", _) => "chain",
            ("tls_leaf_only", _) => "leaf",
            ("tls_mismatch", "server.key") | (_, "client.crt" | "client.key") => "client",
            _ => "server",
        };
        self.authority.read(&format!("{from}.{ending}"))
    }
}

/// Puts long texts in the place of their descriptions, such as `<600 x A>`.
fn repeated(text: &str) -> String {
    let pattern = Regex::new(r"<(\d+) x (.)>").expect("a good pattern");
    let long = |found: &regex::Captures<'_>| found[2].repeat(found[1].parse().expect("a small number"));
    pattern.replace_all(text, long).into_owned()
}

/// The event that the recorder sent, with a rule.
pub fn sample_event(rule: &str) -> String {
    SAMPLE.replace("<rule>", rule).replace("<fields>", SAMPLE_FIELDS)
}

/// Recordings tell how their sinks answered by what Falcosidekick logged.
fn sink(case: &Recording, authority: &Authority) -> Sink {
    let config = case.text("config_yaml");
    let https = config.contains("https://127.0.0.1:<s>") && case.name != "webhook_https_to_http";
    let mutual = config.contains("mutualtls: true") || case.name == "webhook_mtls_off";
    let tls = https.then(|| authority.server(mutual));
    let manner = match case.name.as_str() {
        "webhook_https_to_http" => Manner::Plain,
        "webhook_hung" | "signal_term_in_flight" | "signal_int_in_flight" => Manner::Hang,
        name => match name.strip_prefix("webhook_redirect_").and_then(|status| status.parse().ok()) {
            Some(status) => {
                let mut paths = case.items("sink_requests").iter().filter_map(|request| request["path"].as_str());
                let to = paths.next_back().unwrap_or_default().to_owned();
                let rest = answers(case).last().map_or(200, |(status, _)| *status);
                Manner::Redirect { status, from: Some("/hook".into()), to, rest }
            }
            None => Manner::Answer(answers(case)),
        },
    };
    Sink::start(manner, tls)
}

/// Statuses stand in the log, and bodies behind them or, for some statuses, on standard output.
fn answers(case: &Recording) -> Vec<(u16, String)> {
    let log = case.texts("log_lines").join("\n");
    let pattern = Regex::new(r"(?m) - [^\n(]* \((\d{3})\)(?:: ((?s:.*?)))?(?:\n<time>|\z)").expect("a good pattern");
    let printed = case.texts("stdout_lines").join("\n");
    let answer = |found: regex::Captures<'_>| {
        let status = found[1].parse().expect("three digits");
        (status, found.get(2).map_or_else(|| printed.clone(), |body| body.as_str().to_owned()))
    };
    let mut answers = Vec::new();
    let mut rest = log.as_str();
    // The line that ends one answer can be the beginning of the next.
    while let Some(found) = pattern.captures(rest) {
        rest = &rest[found.get(1).map_or(rest.len(), |status| status.end())..];
        answers.push(answer(found));
    }
    // The exporters of OpenTelemetry say it in another way.
    let exporter = Regex::new(r": (\d{3}) [A-Z][^(\n]* \(body: (.*)\)").expect("a good pattern");
    answers
        .extend(exporter.captures_iter(&log).map(|found| (found[1].parse().expect("three digits"), found[2].into())));
    if answers.is_empty() {
        answers.push((200, String::new()));
    }
    answers
}
