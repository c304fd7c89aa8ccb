//! The configuration with types: what the stand-in acts on, and the values that Falco refuses.
//!
//! A value that does not convert becomes the default of the code, which differs from the shipped file.

mod check;
mod lists;

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::configuration::Configuration;
use super::priority::Priority;
use super::schema::as_switch;
use crate::stand_in::yaml::Node;
use lists::{append_output, pairs, plugins, selectors, texts};

/// Where events come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Engine {
    /// `modern_ebpf`, with the CPUs that share a buffer.
    ModernEbpf {
        /// `cpus_for_each_buffer`.
        cpus: usize,
    },
    /// `kmod`.
    Kmod,
    /// `nodriver`.
    NoDriver,
    /// `replay`.
    Replay,
}

/// `http_output`.
#[derive(Clone, Debug, Default)]
pub struct HttpOutput {
    /// `url`.
    pub url: String,
    /// `user_agent`.
    pub user_agent: String,
    /// `ca_cert`, or else `ca_bundle`.
    pub authority: Option<PathBuf>,
    /// `insecure`.
    pub insecure: bool,
    /// `ca_path`: a folder with authorities, under names made of their hashes.
    pub authorities: PathBuf,
    /// `client_cert` and `client_key`, with `mtls`.
    pub client: Option<(PathBuf, PathBuf)>,
    /// `echo`: the answer goes to standard output.
    pub echo: bool,
    /// `compress_uploads`, which asks for a compressed answer.
    pub compress: bool,
}

/// `webserver`.
#[derive(Clone, Debug)]
pub struct Webserver {
    /// `listen_address`.
    pub address: IpAddr,
    /// `listen_port`.
    pub port: u16,
    /// `threadiness`; 0 is the number of cores.
    pub threads: usize,
    /// `k8s_healthz_endpoint`.
    pub health_path: String,
    /// `prometheus_metrics_enabled`.
    pub metrics: bool,
    /// `ssl_certificate`, with `ssl_enabled`.
    pub certificate: Option<PathBuf>,
}

/// `metrics`.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// `interval`, as written.
    pub interval: String,
    /// `output_rule`.
    pub output_rule: bool,
    /// `output_file`.
    pub output_file: Option<PathBuf>,
    /// Groups of metrics that are on: `rules_counters_enabled` and so on, without the ending.
    pub groups: Vec<&'static str>,
}

/// One entry of `plugins`.
#[derive(Clone, Debug)]
pub struct PluginConfig {
    /// `name`.
    pub name: String,
    /// `library_path`, made absolute.
    pub library: PathBuf,
    /// `init_config`, if it is a map.
    pub init: Vec<(String, Node)>,
    /// `open_params`.
    pub open: String,
}

/// One entry of `append_output`.
#[derive(Clone, Debug, Default)]
pub struct AppendOutput {
    /// `match.rule`.
    pub rule: Option<String>,
    /// `match.source`.
    pub source: Option<String>,
    /// `match.tags`: all of them.
    pub tags: Vec<String>,
    /// `extra_output`.
    pub text: Option<String>,
    /// `extra_fields`: name and format.
    pub fields: Vec<(String, String)>,
    /// `suggested_output`.
    pub suggested: bool,
}

/// One entry of `rules`.
#[derive(Clone, Debug)]
pub struct Selector {
    /// `enable`, or else `disable`.
    pub enable: bool,
    /// A rule name with `*`, or else a tag.
    pub by_rule: bool,
    /// The name or tag.
    pub text: String,
}

/// What the stand-in acts on.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of falco.yaml")]
pub struct Settings {
    /// `engine`.
    pub engine: Engine,
    /// `buf_size_preset` of the engine.
    pub buffer_preset: i64,
    /// `priority`.
    pub priority: Priority,
    /// `rules_files`.
    pub rules_files: Vec<String>,
    /// `rules`.
    pub selectors: Vec<Selector>,
    /// Plugins to load, in order.
    pub plugins: Vec<PluginConfig>,
    /// `watch_config_files`.
    pub watch: bool,
    /// `json_output`.
    pub json: bool,
    /// `json_include_output_property`.
    pub json_output: bool,
    /// `json_include_message_property`.
    pub json_message: bool,
    /// `json_include_output_fields_property`.
    pub json_fields: bool,
    /// `json_include_tags_property`.
    pub json_tags: bool,
    /// `rule_matching: all`.
    pub match_all: bool,
    /// `append_output`.
    pub append: Vec<AppendOutput>,
    /// `static_fields`.
    pub static_fields: Vec<(String, String)>,
    /// `stdout_output`.
    pub stdout: bool,
    /// `syslog_output`.
    pub syslog: bool,
    /// `file_output`: the file, and whether it is kept open.
    pub file: Option<(PathBuf, bool)>,
    /// `program_output`: the command line. The stand-in does not run it.
    pub program: Option<String>,
    /// `http_output`.
    pub http: Option<HttpOutput>,
    /// `webserver`.
    pub webserver: Option<Webserver>,
    /// `metrics`.
    pub metrics: Option<Metrics>,
    /// `outputs_queue.capacity`; 0 means without bound.
    pub queue: usize,
    /// `output_timeout`.
    pub output_timeout: Duration,
    /// `log_stderr`.
    pub log_stderr: bool,
    /// `log_syslog`.
    pub log_syslog: bool,
    /// `log_level`.
    pub log_level: Priority,
    /// `time_format_iso_8601`.
    pub iso_8601: bool,
}

const METRIC_GROUPS: &[&str] = &[
    "rules_counters",
    "resource_utilization",
    "state_counters",
    "kernel_event_counters",
    "kernel_event_counters_per_cpu",
    "kernel_iter_event_counters",
    "plugins_metrics",
];

impl Settings {
    /// Reads the tree. The error is what Falco prints after `Error: `.
    pub fn read(configuration: &Configuration, plugin_folder: &std::path::Path) -> Result<Self, String> {
        let root = &configuration.root;
        let read = Reader { root };
        let in_file = |words: &str| format!("Error reading config file ({}): {words}", configuration.main.display());
        let engine = engine(&read).map_err(|words| in_file(&words))?;
        check::rules_files(root).map_err(|words| in_file(&words))?;
        check::outputs(&read).map_err(|words| in_file(&words))?;
        let http = http(&read).map_err(|words| in_file(&words))?;
        let webserver = webserver(&read).map_err(|words| in_file(&words))?;
        check::drops(&read).map_err(|words| in_file(&words))?;
        check::rule_matching(&read)?;
        let word = read.text(&["priority"], "debug");
        let priority = Priority::parse(&word).ok_or_else(|| {
            format!(
                "Unknown priority \"{word}\"--must be one of emergency, alert, critical, error, warning, notice, \
                 informational, debug"
            )
        })?;
        Ok(Self {
            buffer_preset: buffer_preset(&read, &engine),
            engine,
            priority,
            rules_files: texts(root.get("rules_files").or_else(|| root.get("rules_file"))),
            selectors: selectors(root)?,
            plugins: plugins(root, plugin_folder)?,
            watch: read.switch(&["watch_config_files"], true),
            json: read.switch(&["json_output"], false),
            json_output: read.switch(&["json_include_output_property"], true),
            json_message: read.switch(&["json_include_message_property"], false),
            json_fields: read.switch(&["json_include_output_fields_property"], true),
            json_tags: read.switch(&["json_include_tags_property"], true),
            match_all: read.text(&["rule_matching"], "first") == "all",
            append: append_output(root)?,
            static_fields: pairs(root.get("static_fields")),
            stdout: read.switch(&["stdout_output", "enabled"], false),
            syslog: read.switch(&["syslog_output", "enabled"], false),
            file: read.switch(&["file_output", "enabled"], false).then(|| {
                (read.text(&["file_output", "filename"], "").into(), read.switch(&["file_output", "keep_alive"], false))
            }),
            program: read
                .switch(&["program_output", "enabled"], false)
                .then(|| read.text(&["program_output", "program"], "")),
            http,
            webserver,
            metrics: metrics(&read),
            queue: read.whole(&["outputs_queue", "capacity"], 0),
            output_timeout: Duration::from_millis(read.whole(&["output_timeout"], 2000)),
            log_stderr: read.switch(&["log_stderr"], false),
            log_syslog: read.switch(&["log_syslog"], true),
            log_level: Priority::parse(&read.text(&["log_level"], "info")).unwrap_or(Priority::Informational),
            iso_8601: read.switch(&["time_format_iso_8601"], false),
        })
    }

    /// Whether any output is on.
    pub fn has_output(&self) -> bool {
        self.stdout || self.syslog || self.file.is_some() || self.program.is_some() || self.http.is_some()
    }
}

struct Reader<'a> {
    root: &'a Node,
}

impl Reader<'_> {
    fn text(&self, path: &[&str], default: &str) -> String {
        self.root.path(path).and_then(Node::text).unwrap_or(default).to_owned()
    }

    fn switch(&self, path: &[&str], default: bool) -> bool {
        self.root.path(path).and_then(Node::text).and_then(as_switch).unwrap_or(default)
    }

    fn whole<T: std::str::FromStr>(&self, path: &[&str], default: T) -> T {
        self.root.path(path).and_then(Node::text).and_then(|text| text.parse().ok()).unwrap_or(default)
    }
}

fn engine(read: &Reader<'_>) -> Result<Engine, String> {
    match read.text(&["engine", "kind"], "kmod").as_str() {
        "modern_ebpf" => {
            Ok(Engine::ModernEbpf { cpus: read.whole(&["engine", "modern_ebpf", "cpus_for_each_buffer"], 2) })
        }
        "kmod" => Ok(Engine::Kmod),
        "nodriver" => Ok(Engine::NoDriver),
        "replay" if read.text(&["engine", "replay", "capture_file"], "").is_empty() => {
            Err("engine.kind is 'replay' but no engine.replay.capture_file specified.".into())
        }
        "replay" => Ok(Engine::Replay),
        other => Err(format!("engine.kind '{other}' is not a valid kind.")),
    }
}

fn buffer_preset(read: &Reader<'_>, engine: &Engine) -> i64 {
    let block = if *engine == Engine::Kmod { "kmod" } else { "modern_ebpf" };
    read.whole(&["engine", block, "buf_size_preset"], 4)
}

fn http(read: &Reader<'_>) -> Result<Option<HttpOutput>, String> {
    if !read.switch(&["http_output", "enabled"], false) {
        return Ok(None);
    }
    let path = |key: &str| {
        let text = read.text(&["http_output", key], "");
        Some(PathBuf::from(text)).filter(|path| !path.as_os_str().is_empty())
    };
    let url = read.text(&["http_output", "url"], "").trim_matches(|c| c == '"' || c == '\'').to_owned();
    if url.is_empty() {
        return Err("http output enabled but no url in configuration block".into());
    }
    let client = read.switch(&["http_output", "mtls"], false).then(|| {
        let file = |key: &str, name: &str| path(key).unwrap_or_else(|| format!("/etc/ssl/certs/{name}").into());
        (file("client_cert", "client.crt"), file("client_key", "client.key"))
    });
    Ok(Some(HttpOutput {
        url,
        user_agent: read.text(&["http_output", "user_agent"], "falcosecurity/falco"),
        authority: path("ca_cert").or_else(|| path("ca_bundle")),
        insecure: read.switch(&["http_output", "insecure"], false),
        authorities: read.text(&["http_output", "ca_path"], "/etc/ssl/certs").into(),
        client,
        echo: read.switch(&["http_output", "echo"], false),
        compress: read.switch(&["http_output", "compress_uploads"], false),
    }))
}

fn webserver(read: &Reader<'_>) -> Result<Option<Webserver>, String> {
    if !read.switch(&["webserver", "enabled"], false) {
        return Ok(None);
    }
    let address = read.text(&["webserver", "listen_address"], "0.0.0.0");
    let address =
        address.parse().map_err(|_| format!("webserver listen address \"{address}\" is not a valid IP address"))?;
    let certificate = read
        .switch(&["webserver", "ssl_enabled"], false)
        .then(|| read.text(&["webserver", "ssl_certificate"], "/etc/falco/falco.pem").into());
    Ok(Some(Webserver {
        address,
        port: read.whole(&["webserver", "listen_port"], 8765),
        threads: read.whole(&["webserver", "threadiness"], 0),
        health_path: read.text(&["webserver", "k8s_healthz_endpoint"], "/healthz"),
        metrics: read.switch(&["webserver", "prometheus_metrics_enabled"], false),
        certificate,
    }))
}

fn metrics(read: &Reader<'_>) -> Option<Metrics> {
    let file = read.text(&["metrics", "output_file"], "");
    read.switch(&["metrics", "enabled"], false).then(|| Metrics {
        interval: read.text(&["metrics", "interval"], "5000"),
        output_rule: read.switch(&["metrics", "output_rule"], false),
        output_file: Some(PathBuf::from(file)).filter(|path| !path.as_os_str().is_empty()),
        groups: METRIC_GROUPS
            .iter()
            .copied()
            .filter(|group| read.switch(&["metrics", &format!("{group}_enabled")], true))
            .collect(),
    })
}
