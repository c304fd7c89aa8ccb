//! `falco.yaml`. Pure.
//!
//! Falco gets **one** file. It merges included ones by top-level key only, so that a second file with one key of
//! `http_output` would drop all the others; so the operator's overrides are merged here. And every key whose default in
//! the program differs from the one in the file Falco ships stands here explicitly.

use std::collections::BTreeMap;

use charm_core::topology::Topology;
use serde::Serialize;
use serde_yaml::{Mapping, Value};

use super::Inputs;
use crate::config::{Config, Engine, Port, Priority, Selector};
use crate::containers::InitConfig;
use crate::distribution::Distribution;
use crate::generation::Generation;
use crate::k8s_audit::{self, Listener};
use crate::paths::{CONTAINER_PLUGIN, DEFAULT_RULES, JSON_PLUGIN, K8S_AUDIT_PLUGIN};

/// How many alerts may wait for a slow output. Without a bound, a hung receiver fills the memory of the host; what is
/// over it is dropped and counted by Falco. One alert takes one or two kilobytes.
const OUTPUTS_QUEUE: u32 = 10_000;

/// The label with the name of the Kubernetes node.
pub const NODE: &str = "k8s_node_name";

/// The rules files to load, in order: the defaults first, so that the operator's can refer to them.
pub fn rules_files(
    config: &Config,
    distribution: &Distribution,
    audit: Option<&Listener>,
    generation: &Generation,
) -> Vec<String> {
    let defaults = loads_defaults(config, generation).then(|| distribution.path(DEFAULT_RULES));
    let audit = audit.map(|listener| listener.rules.clone());
    defaults.into_iter().chain(audit).chain(generation.rules_paths()).collect()
}

/// The default rules are loaded when the operator wants them, and also when there would be no rule at all without them:
/// Falco would watch, and see nothing.
pub fn loads_defaults(config: &Config, generation: &Generation) -> bool {
    config.default_rules || generation.has_no_rules()
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

/// Whether alerts go to the system log, as a falco.yaml on disk has it.
pub fn is_logged(falco_yaml: &[u8]) -> bool {
    let yaml: Value = serde_yaml::from_slice(falco_yaml).unwrap_or_default();
    yaml.get("syslog_output").and_then(|output| output.get("enabled")).and_then(Value::as_bool).unwrap_or(false)
}

/// The rules files that a falco.yaml on disk names, as paths of this unit.
pub fn rules_files_of(falco_yaml: &[u8], root: &str) -> Vec<String> {
    let yaml: Value = serde_yaml::from_slice(falco_yaml).unwrap_or_default();
    let paths = yaml.get("rules_files").and_then(Value::as_sequence).into_iter().flatten();
    let paths = paths.filter_map(|path| Some(path.as_str()?.replace("$${", "${")));
    paths.map(|path| path.strip_prefix(root).map(str::to_owned).unwrap_or(path)).collect()
}

/// The whole file: what the charm wants, what the operator overrides, and what no override may take away.
pub fn falco_yaml(inputs: &Inputs<'_>) -> String {
    let base = serde_yaml::to_value(base(inputs)).expect("a struct of texts, numbers and lists is YAML");
    let Value::Mapping(base) = base else { unreachable!("a struct is a mapping") };
    let mut file = inputs.generation.overrides().apply_to(base);
    select_rules(&mut file, inputs.config);
    serde_yaml::to_string(&file).expect("what came from YAML is YAML")
}

/// The selectors of the options come behind those of the overrides, and what enables behind what disables: in Falco the
/// last one that fits a rule wins.
fn select_rules(file: &mut Mapping, config: &Config) {
    let select = |verb: &str, selector: &Selector| {
        let (kind, name) = match selector {
            Selector::Name(name) => ("rule", name),
            Selector::Tag(name) => ("tag", name),
        };
        let what: Mapping = [(kind.into(), text(name).into())].into_iter().collect();
        Value::Mapping([(verb.into(), what.into())].into_iter().collect())
    };
    let disabled = config.disabled_rules.iter().map(|selector| select("disable", selector));
    let mut selectors: Vec<Value> = disabled.collect();
    selectors.extend(config.enabled_rules.iter().map(|selector| select("enable", selector)));
    if selectors.is_empty() {
        return;
    }
    match file.get_mut("rules").and_then(Value::as_sequence_mut) {
        Some(rules) => rules.extend(selectors),
        None => drop(file.insert("rules".into(), selectors.into())),
    }
}

fn base(inputs: &Inputs<'_>) -> FalcoYaml {
    let Inputs { config, topology, root, distribution, containers, generation, audit, url, authorities } = *inputs;
    let library = |path: &str| text(&format!("{root}{}", distribution.path(path)));
    let mut plugins = Vec::new();
    if distribution.container_plugin {
        let init_config = containers.init_config(root).map(PluginConfig::Container);
        let library_path = library(CONTAINER_PLUGIN);
        plugins.push(Plugin { name: "container", library_path, init_config, open_params: None });
    }
    if let Some(listener) = audit {
        // Its fields come first: the rules of the other are read with them.
        let library_path = library(JSON_PLUGIN);
        plugins.push(Plugin { name: k8s_audit::JSON, library_path, init_config: None, open_params: None });
        let certificate = text(&format!("{root}{}", listener.certificate));
        plugins.push(Plugin {
            name: k8s_audit::PLUGIN,
            library_path: library(K8S_AUDIT_PLUGIN),
            init_config: Some(PluginConfig::K8sAudit { certificate }),
            open_params: Some(listener.url()),
        });
    }
    let rules_files = rules_files(config, distribution, audit, generation);
    FalcoYaml {
        rules_files: rules_files.iter().map(|path| text(&format!("{root}{path}"))).collect(),
        config_files: [],
        // Without it Falco 0.44 ignores the signal to reload.
        watch_config_files: true,
        engine: engine(config),
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
            AppendOutput { suggested_output: None, extra_fields: labels(topology, containers.node.as_deref(), config) },
        ],
        stdout_output: Switch { enabled: false },
        // Falco ends at once when it has no output at all, and a host without detection is worse than a full log.
        syslog_output: Switch { enabled: config.syslog_output || url.is_none() },
        http_output: HttpOutput {
            enabled: url.is_some(),
            url: text(url.unwrap_or_default()),
            insecure: false,
            ca_cert: authorities.map(|path| text(&format!("{root}{path}"))).unwrap_or_default(),
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
        // Alerts of their own, that no rule makes and no priority holds back. Snapshots of the metrics would be others;
        // without a label they would tell nobody of which unit they are.
        syscall_event_drops: SyscallEventDrops { actions: ["log", "alert"] },
    }
}

fn engine(config: &Config) -> EngineBlock {
    let buffers = Buffers { buf_size_preset: config.buffer_size_preset, drop_failed_exit: config.drop_failed_exit };
    let block = EngineBlock { kind: config.engine, modern_ebpf: None, kmod: None };
    match config.engine {
        Engine::ModernEbpf => EngineBlock { modern_ebpf: Some(buffers), ..block },
        Engine::Kmod => EngineBlock { kmod: Some(buffers), ..block },
        Engine::Nodriver => block,
    }
}

fn labels(topology: &Topology, node: Option<&str>, config: &Config) -> Vec<Label> {
    let juju = topology.labels().map(|(name, value)| Label::new(name, value));
    let node = node.map(|node| Label::new(NODE, node));
    let extra = config.extra_labels.iter().map(|(name, value)| Label::new(name, value));
    juju.into_iter().chain(node).chain(extra).collect()
}

/// A text in falco.yaml: Falco replaces `${NAME}` by a variable of its environment, unless the dollar is doubled.
fn text(text: &str) -> String {
    text.replace("${", "$${")
}

#[derive(Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "these are the keys that Falco has")]
struct FalcoYaml {
    rules_files: Vec<String>,
    config_files: [String; 0],
    watch_config_files: bool,
    engine: EngineBlock,
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

/// Falco reads the block that has the name of its kind; `nodriver` has none.
#[derive(Serialize)]
struct EngineBlock {
    kind: Engine,
    #[serde(skip_serializing_if = "Option::is_none")]
    modern_ebpf: Option<Buffers>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kmod: Option<Buffers>,
}

#[derive(Serialize)]
struct Buffers {
    buf_size_preset: u8,
    drop_failed_exit: bool,
}

#[derive(Serialize)]
struct Plugin {
    name: &'static str,
    library_path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    init_config: Option<PluginConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    open_params: Option<String>,
}

/// What a plugin is told when it is loaded.
#[derive(Serialize)]
#[serde(untagged)]
enum PluginConfig {
    Container(InitConfig),
    K8sAudit {
        #[serde(rename = "sslCertificate")]
        certificate: String,
    },
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
/// leading `*` mean something; Juju allows neither in a name, and [`Config`] in no label.
#[derive(Serialize)]
#[serde(transparent)]
struct Label(BTreeMap<String, String>);

impl Label {
    fn new(name: &str, value: &str) -> Self {
        Self([(name.to_owned(), text(value))].into())
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
    ca_cert: String,
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
    use super::*;
    use crate::containers::Containers;
    use crate::generation::Generation;
    use crate::overrides::{self, Document};
    use crate::render::unit::tests::with;
    use crate::repository::{Content, File};

    fn yaml(options: &[(&str, &str)], url: Option<&str>) -> (String, Value) {
        let text = with(options, |inputs| falco_yaml(&Inputs { url, ..inputs }));
        let value = serde_yaml::from_str(&text).unwrap();
        (text, value)
    }

    fn overridden(options: &[(&str, &str)], overrides: &str) -> Value {
        let document = Document { name: "falco-config".into(), text: overrides.into() };
        let generation = Generation::new(None, None, overrides::merge(&[document], false).unwrap());
        let text = with(options, |inputs| falco_yaml(&Inputs { generation: &generation, ..inputs }));
        serde_yaml::from_str(&text).unwrap()
    }

    fn listener() -> Listener {
        Listener {
            address: "[::1]:9765".parse().unwrap(),
            certificate: "/etc/juju-falco/k8s-audit/x.pem".into(),
            rules: "/etc/juju-falco/k8s-audit/rules.yaml".into(),
            rules_digest: None,
            files: Vec::new(),
        }
    }

    #[test]
    fn the_listener_is_read_back_as_it_was_written_and_its_rules_come_behind_falcos_own() {
        let listener = listener();
        let text = with(&[], |inputs| falco_yaml(&Inputs { audit: Some(&listener), root: "/root $x", ..inputs }));
        let (address, certificate) = k8s_audit::listener_in(text.as_bytes()).unwrap();
        assert_eq!(address, listener.address);
        assert_eq!(certificate.unwrap(), format!("/root $x{}", listener.certificate));
        let rules = rules_files_of(text.as_bytes(), "/root $x");
        assert_eq!(rules[1..], [listener.rules]);
        let yaml: Value = serde_yaml::from_str(&text).unwrap();
        let loaded: Vec<&str> = yaml["load_plugins"].as_sequence().unwrap().iter().filter_map(Value::as_str).collect();
        assert_eq!(loaded, ["container", "json", "k8saudit"]);
    }

    fn rules(name: &str) -> Generation {
        let file = File { name: name.into(), content: b"[]".to_vec() };
        let content = Content { commit: String::new(), rules: vec![file], overrides: Vec::new() };
        Generation::new(Some(&content), None, overrides::Overrides::default())
    }

    #[test]
    fn every_alert_carries_the_juju_labels_and_those_of_the_operator() {
        let (_, yaml) = yaml(&[("extra-labels", "team=blue")], None);
        let fields = yaml["append_output"][1]["extra_fields"].as_sequence().unwrap();
        let names: Vec<&str> =
            fields.iter().flat_map(|field| field.as_mapping().unwrap().keys().filter_map(Value::as_str)).collect();
        assert_eq!(names, ["juju_model", "juju_model_uuid", "juju_application", "juju_unit", "juju_charm", "team"]);
        assert_eq!(fields[5]["team"], "blue");
    }

    #[test]
    fn lost_system_calls_are_logged_and_sent_whatever_the_priority() {
        for priority in ["debug", "emergency"] {
            let (_, yaml) = yaml(&[("priority", priority)], Some("http://h/"));
            let actions = serde_yaml::to_string(&yaml["syscall_event_drops"]["actions"]).unwrap();
            assert_eq!(actions, "- log\n- alert\n");
            assert_eq!(yaml["metrics"]["output_rule"], false);
        }
    }

    #[test]
    fn a_node_is_named_and_its_runtime_is_told_to_the_plugin() {
        let mut containers = Containers::default();
        containers.node = Some("node-7".into());
        let text = with(&[], |inputs| falco_yaml(&Inputs { containers: &containers, ..inputs }));
        let yaml: Value = serde_yaml::from_str(&text).unwrap();
        let fields = yaml["append_output"][1]["extra_fields"].as_sequence().unwrap();
        assert_eq!(fields.last().unwrap()[NODE], "node-7");
        assert!(yaml["plugins"][0].get("init_config").is_none(), "nothing was found that it would have to be told");
    }

    #[test]
    fn the_webserver_listens_on_loopback_only_and_no_plugin_listens_at_all() {
        let (_, yaml) = yaml(&[], None);
        assert_eq!(yaml["webserver"]["listen_address"], "127.0.0.1");
        assert_eq!(yaml["load_plugins"].as_sequence().unwrap().len(), 1);
        assert_eq!(yaml["load_plugins"][0], "container");
    }

    #[test]
    fn a_distribution_without_the_container_plugin_loads_none() {
        let bare = Distribution { name: "0.44.1-0123456789ab".into(), ..Distribution::default() };
        let text = with(&[], |inputs| falco_yaml(&Inputs { distribution: &bare, ..inputs }));
        let yaml: Value = serde_yaml::from_str(&text).unwrap();
        // Absent would mean: load all.
        assert_eq!(yaml["load_plugins"], Value::Sequence(Vec::new()));
    }

    #[test]
    fn a_url_stays_inside_its_text_and_reads_back_as_it_was() {
        let hostile = "https://h/a%20b%22c'd?x=${HOME}&y=$z: #{\"}";
        let (text, yaml) = yaml(&[], Some(hostile));
        assert_eq!(yaml["http_output"]["url"], hostile.replace("${", "$${").as_str());
        assert_eq!(url_of(text.as_bytes()).as_deref(), Some(hostile));
        assert_eq!(port_of(text.as_bytes()), Some(8765));
    }

    #[test]
    fn the_file_of_authorities_is_named_and_reads_back() {
        let path = format!("{}/0123456789ab.pem", crate::paths::AUTHORITIES);
        let text = with(&[], |inputs| {
            falco_yaml(&Inputs { url: Some("https://h/"), authorities: Some(&path), root: "/root $x", ..inputs })
        });
        assert_eq!(crate::authorities::path_in(text.as_bytes(), "/root $x"), Some(path));
        let (text, yaml) = yaml(&[], Some("https://h/"));
        assert_eq!(
            (&yaml["http_output"]["ca_cert"], crate::authorities::path_in(text.as_bytes(), "")),
            (&"".into(), None)
        );
    }

    #[test]
    fn no_snapshot_of_metrics_goes_among_the_alerts_where_it_would_be_without_labels() {
        let (_, yaml) = yaml(&[], Some("http://h/"));
        assert_eq!((&yaml["metrics"]["enabled"], &yaml["metrics"]["output_rule"]), (&true.into(), &false.into()));
    }

    #[test]
    fn without_a_url_there_is_no_http_output() {
        let (text, yaml) = yaml(&[], None);
        assert_eq!(yaml["http_output"]["enabled"], false);
        assert_eq!(url_of(text.as_bytes()), None);
        assert_eq!((url_of(b"\t"), port_of(b"[]")), (None, None));
    }

    #[test]
    fn the_system_log_is_left_out_only_when_alerts_go_somewhere_else() {
        assert_eq!(yaml(&[("syslog-output", "false")], None).1["syslog_output"]["enabled"], true);
        assert_eq!(yaml(&[("syslog-output", "false")], Some("http://h/")).1["syslog_output"]["enabled"], false);
        assert_eq!(yaml(&[], Some("http://h/")).1["syslog_output"]["enabled"], true);
    }

    #[test]
    fn default_rules_come_first_and_are_left_out_only_when_there_are_others() {
        let files = |options: &[(&str, &str)], generation: &Generation| {
            with(options, |inputs| rules_files(inputs.config, inputs.distribution, None, generation))
        };
        let (mine, none) = (rules("a.yaml"), Generation::default());
        assert_eq!(files(&[], &none).len(), 1);
        assert!(files(&[], &mine)[0].ends_with("/falco_rules.yaml") && files(&[], &mine).len() == 2);
        assert_eq!(files(&[("default-rules", "false")], &mine), mine.rules_paths());
        assert_eq!(files(&[("default-rules", "false")], &none).len(), 1, "no rule at all would be blindness");
    }

    #[test]
    fn rules_files_are_read_back_from_a_falco_yaml() {
        let mine = rules("${HOME} a.yaml");
        let text = with(&[], |inputs| falco_yaml(&Inputs { generation: &mine, root: "/root $x", ..inputs }));
        let wanted = with(&[], |inputs| rules_files(inputs.config, inputs.distribution, None, &mine));
        assert_eq!(rules_files_of(text.as_bytes(), "/root $x"), wanted);
        assert!(rules_files_of(b"\t", "").is_empty());
    }

    #[test]
    fn the_engine_has_the_block_of_its_kind_with_the_options_in_it() {
        let (_, ebpf) = yaml(&[("buffer-size-preset", "7"), ("drop-failed-exit", "true")], None);
        let block: Value = serde_yaml::from_str("{buf_size_preset: 7, drop_failed_exit: true}").unwrap();
        assert_eq!((&ebpf["engine"]["kind"], &ebpf["engine"]["modern_ebpf"]), (&"modern_ebpf".into(), &block));
        assert!(yaml(&[("engine", "kmod")], None).1["engine"]["kmod"]["buf_size_preset"] == 4);
        assert_eq!(yaml(&[("engine", "nodriver")], None).1["engine"].as_mapping().unwrap().len(), 1);
    }

    #[test]
    fn selectors_of_the_options_come_last_and_what_enables_wins() {
        let options = [("enabled-rules", "tag:host"), ("disabled-rules", "Read *, tag:network")];
        let yaml = overridden(&options, "rules: [{enable: {rule: X}}]");
        let wanted =
            "[{enable: {rule: X}}, {disable: {rule: Read *}}, {disable: {tag: network}}, {enable: {tag: host}}]";
        assert_eq!(yaml["rules"], serde_yaml::from_str::<Value>(wanted).unwrap());
        assert!(self::yaml(&[], None).1.get("rules").is_none(), "no selector, no key");
    }

    #[test]
    fn an_override_changes_its_key_and_leaves_its_neighbours() {
        let yaml = overridden(&[], "metrics: {interval: 5m}\nsyscall_event_drops: {actions: [exit]}\n");
        assert_eq!((&yaml["metrics"]["interval"], &yaml["metrics"]["enabled"]), (&"5m".into(), &true.into()));
        assert_eq!(yaml["syscall_event_drops"]["actions"], serde_yaml::from_str::<Value>("[exit]").unwrap());
        assert_eq!(yaml["webserver"]["listen_address"], "127.0.0.1");
    }
}
