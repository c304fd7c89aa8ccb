//! The shapes that Falco checks files against, without ever failing because of them: it only logs what does not fit.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

use crate::stand_in::yaml::{Node, Value};

/// What a value has to be.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Switch,
    Whole,
    Number,
    List(&'static Self),
    Object(&'static str),
    /// Anything.
    Any,
}

use Kind::{Any, List, Number, Object, Switch, Text, Whole};

/// Name of the definition and its keys.
type Definition = (&'static str, &'static [(&'static str, Kind)]);

const DEFINITIONS: &[Definition] = &[
    (
        "FalcoConfig",
        &[
            ("append_output", List(&Object("AppendOutput"))),
            ("base_syscalls", Object("BaseSyscalls")),
            ("buffer_format_base64", Switch),
            ("buffered_outputs", Switch),
            ("capture", Object("Capture")),
            ("config_files", List(&Any)),
            ("container_engines", Any),
            ("engine", Object("Engine")),
            ("falco_libs", Object("FalcoLibs")),
            ("file_output", Object("FileOutput")),
            ("http_output", Object("HTTPOutput")),
            ("json_include_message_property", Switch),
            ("json_include_output_fields_property", Switch),
            ("json_include_output_property", Switch),
            ("json_include_tags_property", Switch),
            ("json_output", Switch),
            ("libs_logger", Object("LibsLogger")),
            ("load_plugins", List(&Text)),
            ("log_level", Text),
            ("log_stderr", Switch),
            ("log_syslog", Switch),
            ("metrics", Object("Metrics")),
            ("output_timeout", Whole),
            ("outputs_queue", Object("OutputsQueue")),
            ("plugins", List(&Object("Plugin"))),
            ("plugins_hostinfo", Switch),
            ("priority", Text),
            ("program_output", Object("ProgramOutput")),
            ("rule_files", List(&Text)),
            ("rule_matching", Text),
            ("rules", List(&Object("Rule"))),
            ("rules_files", List(&Text)),
            ("static_fields", Any),
            ("stdout_output", Object("Output")),
            ("syscall_event_drops", Object("SyscallEventDrops")),
            ("syscall_event_timeouts", Object("SyscallEventTimeouts")),
            ("syslog_output", Object("Output")),
            ("time_format_iso_8601", Switch),
            ("watch_config_files", Switch),
            ("webserver", Object("Webserver")),
        ],
    ),
    ("Able", &[("rule", Text), ("tag", Text)]),
    (
        "AppendOutput",
        &[("extra_fields", List(&Any)), ("extra_output", Text), ("match", Any), ("suggested_output", Switch)],
    ),
    ("BaseSyscalls", &[("all", Switch), ("custom_set", List(&Text)), ("repair", Switch)]),
    (
        "Capture",
        &[
            ("default_duration", Whole),
            ("enabled", Switch),
            ("max_file_size_mb", Whole),
            ("mode", Text),
            ("path_prefix", Text),
        ],
    ),
    (
        "Engine",
        &[
            ("kind", Text),
            ("kmod", Object("Kmod")),
            ("modern_ebpf", Object("ModernEbpf")),
            ("replay", Object("Replay")),
        ],
    ),
    (
        "FalcoLibs",
        &[
            ("snaplen", Whole),
            ("thread_table_auto_purging_interval_s", Whole),
            ("thread_table_auto_purging_thread_timeout_s", Whole),
            ("thread_table_size", Whole),
        ],
    ),
    ("FileOutput", &[("enabled", Switch), ("filename", Text), ("keep_alive", Switch)]),
    (
        "HTTPOutput",
        &[
            ("ca_bundle", Text),
            ("ca_cert", Text),
            ("ca_path", Text),
            ("client_cert", Text),
            ("client_key", Text),
            ("compress_uploads", Switch),
            ("echo", Switch),
            ("enabled", Switch),
            ("insecure", Switch),
            ("keep_alive", Switch),
            ("max_consecutive_timeouts", Whole),
            ("mtls", Switch),
            ("url", Text),
            ("user_agent", Text),
        ],
    ),
    ("Kmod", &[("buf_size_preset", Whole), ("drop_failed_exit", Switch)]),
    ("LibsLogger", &[("enabled", Switch), ("severity", Text)]),
    (
        "Metrics",
        &[
            ("convert_memory_to_mb", Switch),
            ("enabled", Switch),
            ("include_empty_values", Switch),
            ("interval", Text),
            ("jemalloc_stats_enabled", Switch),
            ("kernel_event_counters_enabled", Switch),
            ("kernel_event_counters_per_cpu_enabled", Switch),
            ("kernel_iter_event_counters_enabled", Switch),
            ("libbpf_stats_enabled", Switch),
            ("output_file", Text),
            ("output_rule", Switch),
            ("plugins_metrics_enabled", Switch),
            ("resource_utilization_enabled", Switch),
            ("rules_counters_enabled", Switch),
            ("state_counters_enabled", Switch),
        ],
    ),
    (
        "ModernEbpf",
        &[
            ("buf_size_preset", Whole),
            ("cpus_for_each_buffer", Whole),
            ("disable_iterators", Switch),
            ("drop_failed_exit", Switch),
        ],
    ),
    ("Output", &[("enabled", Switch)]),
    ("OutputsQueue", &[("capacity", Whole)]),
    ("Plugin", &[("init_config", Any), ("library_path", Text), ("name", Text), ("open_params", Text)]),
    ("ProgramOutput", &[("enabled", Switch), ("keep_alive", Switch), ("program", Text)]),
    ("Replay", &[("capture_file", Text)]),
    ("Rule", &[("disable", Object("Able")), ("enable", Object("Able"))]),
    (
        "SyscallEventDrops",
        &[
            ("actions", List(&Text)),
            ("max_burst", Whole),
            ("rate", Number),
            ("simulate_drops", Switch),
            ("threshold", Number),
        ],
    ),
    ("SyscallEventTimeouts", &[("max_consecutives", Whole)]),
    (
        "Webserver",
        &[
            ("enabled", Switch),
            ("k8s_healthz_endpoint", Text),
            ("listen_address", Text),
            ("listen_port", Whole),
            ("prometheus_metrics_enabled", Switch),
            ("ssl_certificate", Text),
            ("ssl_enabled", Switch),
            ("threadiness", Whole),
        ],
    ),
];

const RULE_KEYS: &[&str] = &[
    "append",
    "capture",
    "capture_duration",
    "condition",
    "desc",
    "enabled",
    "exceptions",
    "items",
    "list",
    "macro",
    "output",
    "override",
    "priority",
    "required_engine_version",
    "required_plugin_versions",
    "rule",
    "skip-if-unknown-filter",
    "source",
    "tags",
    "warn_evttypes",
];

/// The result of the check of a configuration file, as Falco logs it.
pub fn check_config(root: &Node) -> String {
    match check(root, Object("FalcoConfig"), "<root>").first() {
        None => "ok".to_owned(),
        Some(first) => first.clone(),
    }
}

/// What does not fit in a rules file, innermost first.
pub fn check_rules(root: &Node) -> Vec<String> {
    if !matches!(root.value, Value::Sequence(_)) {
        return vec![wrong_type("<root>")];
    }
    let mut all = Vec::new();
    for (number, item) in root.items().iter().enumerate() {
        let before = all.len();
        let place = format!("<root>[{number}]");
        if let Some(unknown) =
            item.entries().iter().filter_map(|(key, _)| key.text()).find(|key| !RULE_KEYS.contains(key))
        {
            all.push(unknown_key(&place, unknown));
        }
        let bad_priority = item
            .get("priority")
            .and_then(Node::text)
            .is_some_and(|word| super::priority::Priority::parse(word).is_none());
        if bad_priority {
            all.push(format!("failed for {place}[priority]: Failed to match against any enum values."));
            all.push(format!(
                "failed for {place}: Failed to validate against schema associated with property name 'priority'."
            ));
        }
        if all.len() > before {
            all.push(format!("failed for <root>: Failed to validate item #{number} in array."));
        }
    }
    all
}

/// Whether a rules item may have that key.
pub fn is_rules_key(key: &str) -> bool {
    RULE_KEYS.contains(&key)
}

fn check(node: &Node, kind: Kind, place: &str) -> Vec<String> {
    let fits = match (kind, &node.value) {
        (Any, _) | (Text, Value::Scalar { .. }) => true,
        (Switch, Value::Scalar { text, .. }) => as_switch(text).is_some(),
        (Whole, Value::Scalar { text, .. }) => text.parse::<i64>().is_ok(),
        (Number, Value::Scalar { text, .. }) => text.parse::<f64>().is_ok(),
        (List(kind), Value::Sequence(items)) => {
            return items
                .iter()
                .enumerate()
                .flat_map(|(number, item)| check(item, *kind, &format!("{place}[{number}]")))
                .collect();
        }
        (Object(name), Value::Mapping(entries)) => return check_entries(entries, name, place),
        _ => false,
    };
    if fits { Vec::new() } else { vec![wrong_type(place)] }
}

fn check_entries(entries: &[(Node, Node)], name: &str, place: &str) -> Vec<String> {
    let known: BTreeMap<&str, Kind> = keys(name).iter().copied().collect();
    let mut all = Vec::new();
    for (key, value) in entries {
        let key = key.text().unwrap_or_default();
        match known.get(key) {
            Some(kind) => all.extend(check(value, *kind, &format!("{place}[{key}]"))),
            None => all.push(unknown_key(place, key)),
        }
    }
    all
}

fn keys(name: &str) -> &'static [(&'static str, Kind)] {
    DEFINITIONS.iter().find(|(other, _)| *other == name).map_or(&[], |(_, keys)| keys)
}

fn wrong_type(place: &str) -> String {
    format!("failed for {place}: Value type not permitted by 'type' constraint.")
}

fn unknown_key(place: &str, key: &str) -> String {
    format!(
        "failed for {place}: Object contains a property that could not be validated using 'properties' or \
         'additionalProperties' constraints: '{key}'."
    )
}

/// The words that yaml-cpp takes for a switch.
pub fn as_switch(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "y" => Some(true),
        "false" | "no" | "off" | "n" => Some(false),
        _ => None,
    }
}

/// `--config-schema`: the keys and types above as a JSON schema.
pub fn document() -> Json {
    let definitions: Map<String, Json> = DEFINITIONS
        .iter()
        .map(|(name, keys)| {
            let properties: Map<String, Json> =
                keys.iter().map(|(key, kind)| ((*key).to_owned(), describe(*kind))).collect();
            ((*name).to_owned(), json!({"additionalProperties": false, "properties": properties, "type": "object"}))
        })
        .collect();
    json!({
        "$ref": "#/definitions/FalcoConfig",
        "$schema": "http://json-schema.org/draft-06/schema#",
        "definitions": definitions,
    })
}

fn describe(kind: Kind) -> Json {
    match kind {
        Text => json!({"type": "string"}),
        Switch => json!({"type": "boolean"}),
        Whole => json!({"type": "integer"}),
        Number => json!({"type": "number"}),
        List(kind) => json!({"items": describe(*kind), "type": "array"}),
        Object(name) => json!({"$ref": format!("#/definitions/{name}")}),
        Any => json!({}),
    }
}
