//! The files that Falco and systemd read, as text from typed data. Pure.
//!
//! Falco gets **one** file. It merges included ones by top-level key only, so that a second file with one key of
//! `http_output` would drop all the others. And every key whose default in the program differs from the one in the file
//! Falco ships stands here explicitly.

use charm_core::Hook;
use charm_core::digest::Digest;
use charm_core::names::UnitName;
use charm_core::topology::Topology;
use serde::Serialize;
use serde_yaml::Value;

use crate::config::{Config, Port, Priority};
use crate::distribution::Distribution;
use crate::paths::{CONFIG_FILE, CONTAINER_PLUGIN, DEFAULT_RULES, PROGRAM};

/// The variable in the environment of Falco that tells what the process was started with.
pub const DIGEST_VARIABLE: &str = "CHARM_CONFIG_DIGEST";

/// Marks the unit file as ours; the name of the unit follows.
const OWNER_LINE: &str = "# Written for the Juju unit ";

/// How many alerts may wait for a slow output. Without a bound, a hung receiver fills the memory of the host; what is
/// over it is dropped and counted by Falco. One alert takes one or two kilobytes.
const OUTPUTS_QUEUE: u32 = 10_000;

/// Whose a unit file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// This unit's, also one that the Python charm wrote for it.
    Us,
    /// Another unit's of this charm.
    Unit(UnitName),
    /// Not a charm's.
    Foreign,
}

/// Whose the unit file is.
pub fn owner_of(unit_file: &[u8], hook: &Hook) -> Owner {
    let text = String::from_utf8_lossy(unit_file);
    let named = text.lines().find_map(|line| line.strip_prefix(OWNER_LINE)?.split_whitespace().next()?.parse().ok());
    // The Python charm ran Falco out of its own folder, whose name tells the unit.
    let out_of_charm = format!("ExecStart={}/falco/", hook.charm_dir.display());
    match named {
        Some(unit) if unit == hook.unit => Owner::Us,
        Some(unit) => Owner::Unit(unit),
        None if text.lines().any(|line| line.starts_with(&out_of_charm)) => Owner::Us,
        None => Owner::Foreign,
    }
}

/// The rules files to load, in order.
pub fn rules_files(distribution: &Distribution) -> Vec<String> {
    vec![distribution.path(DEFAULT_RULES)]
}

/// The port in a falco.yaml on disk, which is the one a running Falco was last told.
pub fn port_of(falco_yaml: &[u8]) -> Option<u16> {
    let yaml: Value = serde_yaml::from_slice(falco_yaml).ok()?;
    u16::try_from(yaml.get("webserver")?.get("listen_port")?.as_u64()?).ok()
}

/// The URL in a falco.yaml on disk, if it sends alerts anywhere: the last good one.
pub fn url_of(falco_yaml: &[u8]) -> Option<String> {
    let yaml: Value = serde_yaml::from_slice(falco_yaml).ok()?;
    let output = yaml.get("http_output")?;
    if output.get("enabled")?.as_bool()? { Some(output.get("url")?.as_str()?.replace("$${", "${")) } else { None }
}

/// The systemd unit and the digest in it, which covers what a running Falco cannot take in by a reload: all of the
/// unit.
pub fn unit_file(topology: &Topology, root: &str, distribution: &Distribution) -> (String, Digest) {
    let program = systemd_word(&format!("{root}{}", distribution.path(PROGRAM)));
    let config = systemd_word(&format!("{root}{CONFIG_FILE}"));
    let unit = &topology.unit;
    let with_digest = |digest: &str| {
        format!(
            "{OWNER_LINE}{unit} and replaced by its hooks: changes are lost.
[Unit]
Description=Falco, run by the Juju unit {unit}
Documentation=https://falco.org/docs/
StartLimitIntervalSec=0

[Service]
Type=simple
ExecStart={program} -c {config}
ExecReload=/bin/kill -HUP $MAINPID
Environment={DIGEST_VARIABLE}={digest}
Restart=on-failure
RestartSec=15
TimeoutStopSec=30
UMask=0077
# Falco tells why it does not start on its standard error only. Alerts go to the system log and over HTTP.
StandardOutput=null
StandardError=journal
SyslogIdentifier=falco
# What the probe needs, and what Falco needs to read of other processes. It raises its limit of locked memory by
# itself, unless there is none.
CapabilityBoundingSet=CAP_BPF CAP_PERFMON CAP_SYS_RESOURCE CAP_SYS_PTRACE CAP_DAC_READ_SEARCH
LimitMEMLOCK=infinity
NoNewPrivileges=yes
PrivateTmp=yes
ProtectSystem=full
ProtectHome=read-only
ProtectKernelTunables=yes
ProtectControlGroups=yes
ProtectHostname=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictAddressFamilies=~AF_PACKET
SystemCallArchitectures=native

[Install]
WantedBy=multi-user.target
"
        )
    };
    let digest = Digest::of(with_digest(""));
    (with_digest(digest.as_str()), digest)
}

/// `falco.yaml`.
pub fn falco_yaml(
    config: &Config,
    topology: &Topology,
    root: &str,
    distribution: &Distribution,
    url: Option<&str>,
) -> String {
    let plugins = if distribution.container_plugin {
        vec![Plugin {
            name: "container",
            library_path: text(&format!("{root}{}", distribution.path(CONTAINER_PLUGIN))),
        }]
    } else {
        Vec::new()
    };
    let file = FalcoYaml {
        rules_files: rules_files(distribution).iter().map(|path| text(&format!("{root}{path}"))).collect(),
        config_files: [],
        // Without it Falco 0.44 ignores the signal to reload.
        watch_config_files: true,
        engine: Engine { kind: "modern_ebpf" },
        load_plugins: plugins.iter().map(|plugin| plugin.name).collect(),
        plugins,
        priority: config.priority,
        json_output: true,
        json_include_output_property: true,
        json_include_message_property: false,
        json_include_output_fields_property: true,
        json_include_tags_property: true,
        buffered_outputs: false,
        rule_matching: "first",
        outputs_queue: OutputsQueue { capacity: OUTPUTS_QUEUE },
        append_output: [
            AppendOutput { suggested_output: Some(true), extra_fields: Vec::new() },
            AppendOutput { suggested_output: None, extra_fields: topology.labels().map(Label::from).into() },
        ],
        stdout_output: Switch { enabled: false },
        syslog_output: Switch { enabled: true },
        http_output: HttpOutput {
            enabled: url.is_some(),
            url: text(url.unwrap_or_default()),
            insecure: false,
            ca_cert: "",
            ca_bundle: "",
            ca_path: "/etc/ssl/certs",
            mtls: false,
            echo: false,
            compress_uploads: false,
            keep_alive: true,
            max_consecutive_timeouts: 5,
        },
        webserver: Webserver {
            enabled: true,
            listen_address: "127.0.0.1",
            listen_port: config.metrics_port,
            threadiness: 1,
            prometheus_metrics_enabled: true,
            ssl_enabled: false,
        },
        metrics: Metrics {
            enabled: true,
            interval: "1h",
            output_rule: false,
            rules_counters_enabled: true,
            resource_utilization_enabled: true,
            state_counters_enabled: true,
            kernel_event_counters_enabled: true,
            kernel_event_counters_per_cpu_enabled: false,
            libbpf_stats_enabled: false,
            jemalloc_stats_enabled: false,
            plugins_metrics_enabled: true,
            convert_memory_to_mb: false,
            include_empty_values: false,
        },
        log_stderr: true,
        log_syslog: false,
        log_level: "info",
        output_timeout: 2_000,
        syscall_event_drops: SyscallEventDrops { actions: ["log", "alert"] },
    };
    serde_yaml::to_string(&file).expect("a struct of texts, numbers and lists is YAML")
}

/// A text in falco.yaml: Falco replaces `${NAME}` by a variable of its environment, unless the dollar is doubled.
fn text(text: &str) -> String {
    text.replace("${", "$${")
}

/// A word in a command line of a unit file.
fn systemd_word(word: &str) -> String {
    let escaped = word.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%").replace('$', "$$");
    format!("\"{escaped}\"")
}

#[derive(Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "these are the keys that Falco has")]
struct FalcoYaml {
    rules_files: Vec<String>,
    config_files: [String; 0],
    watch_config_files: bool,
    engine: Engine,
    load_plugins: Vec<&'static str>,
    plugins: Vec<Plugin>,
    priority: Priority,
    json_output: bool,
    json_include_output_property: bool,
    json_include_message_property: bool,
    json_include_output_fields_property: bool,
    json_include_tags_property: bool,
    buffered_outputs: bool,
    rule_matching: &'static str,
    outputs_queue: OutputsQueue,
    append_output: [AppendOutput; 2],
    stdout_output: Switch,
    syslog_output: Switch,
    http_output: HttpOutput,
    webserver: Webserver,
    metrics: Metrics,
    log_stderr: bool,
    log_syslog: bool,
    log_level: &'static str,
    output_timeout: u32,
    syscall_event_drops: SyscallEventDrops,
}

#[derive(Serialize)]
struct Engine {
    kind: &'static str,
}

#[derive(Serialize)]
struct Plugin {
    name: &'static str,
    library_path: String,
}

#[derive(Serialize)]
struct OutputsQueue {
    capacity: u32,
}

#[derive(Serialize)]
struct AppendOutput {
    #[serde(skip_serializing_if = "Option::is_none")]
    suggested_output: Option<bool>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    extra_fields: Vec<Label>,
}

/// One field that every alert gets: a map of one entry. Falco reads the value as a format, in which only `%` and a
/// leading `*` mean something; Juju allows neither in a name.
#[derive(Serialize)]
#[serde(transparent)]
struct Label(std::collections::BTreeMap<&'static str, String>);

impl From<(&'static str, &str)> for Label {
    fn from((name, value): (&'static str, &str)) -> Self {
        Self([(name, text(value))].into())
    }
}

#[derive(Serialize)]
struct Switch {
    enabled: bool,
}

#[derive(Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "these are the keys that Falco has")]
struct HttpOutput {
    enabled: bool,
    url: String,
    insecure: bool,
    ca_cert: &'static str,
    ca_bundle: &'static str,
    ca_path: &'static str,
    mtls: bool,
    echo: bool,
    compress_uploads: bool,
    keep_alive: bool,
    max_consecutive_timeouts: u8,
}

#[derive(Serialize)]
struct Webserver {
    enabled: bool,
    listen_address: &'static str,
    listen_port: Port,
    threadiness: u8,
    prometheus_metrics_enabled: bool,
    ssl_enabled: bool,
}

#[derive(Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "these are the keys that Falco has")]
struct Metrics {
    enabled: bool,
    interval: &'static str,
    output_rule: bool,
    rules_counters_enabled: bool,
    resource_utilization_enabled: bool,
    state_counters_enabled: bool,
    kernel_event_counters_enabled: bool,
    kernel_event_counters_per_cpu_enabled: bool,
    libbpf_stats_enabled: bool,
    jemalloc_stats_enabled: bool,
    plugins_metrics_enabled: bool,
    convert_memory_to_mb: bool,
    include_empty_values: bool,
}

#[derive(Serialize)]
struct SyscallEventDrops {
    actions: [&'static str; 2],
}

#[cfg(test)]
mod tests {
    use charm_core::config::RawConfig;

    use super::*;

    fn topology() -> Topology {
        Topology {
            model: "prod".into(),
            model_uuid: "12345678-1234-4234-8234-123456789abc".into(),
            application: "falco".into(),
            unit: "falco/0".into(),
            charm_name: "falco".into(),
        }
    }

    fn distribution() -> Distribution {
        Distribution { name: "0.44.1-0123456789ab".into(), container_plugin: true }
    }

    fn yaml(url: Option<&str>) -> (String, Value) {
        let config = Config::parse(&RawConfig::default()).unwrap();
        let text = falco_yaml(&config, &topology(), "", &distribution(), url);
        let value = serde_yaml::from_str(&text).unwrap();
        (text, value)
    }

    #[test]
    fn every_alert_carries_the_juju_labels() {
        let (_, yaml) = yaml(None);
        let fields = yaml["append_output"][1]["extra_fields"].as_sequence().unwrap();
        let names: Vec<&str> =
            fields.iter().flat_map(|field| field.as_mapping().unwrap().keys().filter_map(Value::as_str)).collect();
        assert_eq!(names, ["juju_model", "juju_model_uuid", "juju_application", "juju_unit", "juju_charm"]);
    }

    #[test]
    fn the_webserver_listens_on_loopback_only_and_no_plugin_listens_at_all() {
        let (_, yaml) = yaml(None);
        assert_eq!(yaml["webserver"]["listen_address"], "127.0.0.1");
        assert_eq!(yaml["load_plugins"].as_sequence().unwrap().len(), 1);
        assert_eq!(yaml["load_plugins"][0], "container");
    }

    #[test]
    fn a_distribution_without_the_container_plugin_loads_none() {
        let config = Config::parse(&RawConfig::default()).unwrap();
        let bare = Distribution { container_plugin: false, ..distribution() };
        let yaml: Value = serde_yaml::from_str(&falco_yaml(&config, &topology(), "", &bare, None)).unwrap();
        // Absent would mean: load all.
        assert_eq!(yaml["load_plugins"], Value::Sequence(Vec::new()));
    }

    #[test]
    fn a_url_stays_inside_its_text_and_reads_back_as_it_was() {
        let hostile = "https://h/a%20b%22c'd?x=${HOME}&y=$z: #{\"}";
        let (text, yaml) = yaml(Some(hostile));
        assert_eq!(yaml["http_output"]["url"], hostile.replace("${", "$${").as_str());
        assert_eq!(url_of(text.as_bytes()).as_deref(), Some(hostile));
        assert_eq!(port_of(text.as_bytes()), Some(8765));
    }

    #[test]
    fn without_a_url_there_is_no_http_output() {
        let (text, yaml) = yaml(None);
        assert_eq!(yaml["http_output"]["enabled"], false);
        assert_eq!(url_of(text.as_bytes()), None);
        assert_eq!((url_of(b"\t"), port_of(b"[]")), (None, None));
    }

    #[test]
    fn the_digest_follows_the_distribution() {
        let (text, digest) = unit_file(&topology(), "", &distribution());
        let (_, other) =
            unit_file(&topology(), "", &Distribution { name: "0.45.0-0123456789ab".into(), ..distribution() });
        assert!(text.contains(&format!("Environment={DIGEST_VARIABLE}={digest}\n")));
        assert_ne!(digest, other);
    }

    #[test]
    fn a_path_with_special_characters_stays_one_word_of_the_command() {
        assert_eq!(systemd_word(r#"/a b/100%/$x/"q"\"#), r#""/a b/100%%/$$x/\"q\"\\""#);
    }

    #[test]
    fn the_owner_of_a_unit_file_is_known() {
        let variables = [
            ("JUJU_UNIT_NAME", "falco/0"),
            ("JUJU_MODEL_NAME", "m"),
            ("JUJU_MODEL_UUID", "u"),
            ("JUJU_CHARM_DIR", "/var/lib/juju/agents/unit-falco-0/charm"),
        ];
        let hook = Hook::from_vars(&variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into()).unwrap();
        let (ours, _) = unit_file(&topology(), "", &distribution());
        assert_eq!(owner_of(ours.as_bytes(), &hook), Owner::Us);
        let other = unit_file(&Topology { unit: "falco/1".into(), ..topology() }, "", &distribution()).0;
        assert_eq!(owner_of(other.as_bytes(), &hook), Owner::Unit("falco/1".parse().unwrap()));
        let python = b"[Service]\nExecStart=/var/lib/juju/agents/unit-falco-0/charm/falco/usr/bin/falco -c x\n";
        assert_eq!(owner_of(python, &hook), Owner::Us);
        assert_eq!(owner_of(b"[Service]\nExecStart=/usr/bin/falco\n", &hook), Owner::Foreign);
    }
}
