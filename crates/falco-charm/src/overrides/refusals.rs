//! What overrides may not say, and why. Pure.
//!
//! Falco compares keys as they are and looks them up from the outside in, so that only the very path of a row has an
//! effect. A path that differs from it in case or hyphens alone is refused as well: whoever wrote it meant it.

use serde_yaml::{Mapping, Value};

use super::lists::{self, APPEND_OUTPUT};
use crate::config::ALLOW_UNSAFE_OVERRIDES;

/// Where Falco may write files.
const LOGS: &str = "/var/log/";

/// The beginning of the labels that the charm puts on alerts.
const OUR_LABELS: &str = "juju_";

/// Why a key is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The charm needs its own value, for this reason.
    Charm(&'static str),
    /// It has this option of its own, so that the charm knows the value.
    Option(&'static str),
    /// It makes whoever writes it root on every machine, in this way.
    Unsafe(&'static str),
    /// So does this, unless it is a path below [`LOGS`].
    OutsideOfLogs,
}

/// Each key with all that is in it. `*` stands for any key, `[]` for the entries of a list.
pub const REFUSALS: [(&str, Refusal); 22] = [
    ("capture.path_prefix", Refusal::OutsideOfLogs),
    ("config_files", Refusal::Charm("Falco reads one file; overrides go into config.override.d or falco-config")),
    ("engine.*.buf_size_preset", Refusal::Option("buffer-size-preset")),
    ("engine.*.drop_failed_exit", Refusal::Option("drop-failed-exit")),
    ("engine.kind", Refusal::Option("engine")),
    ("file_output.filename", Refusal::OutsideOfLogs),
    ("http_output", Refusal::Charm("where alerts are sent comes from the relation http-endpoint")),
    ("json_include_output_fields_property", Refusal::Charm("the Juju labels of alerts are among these fields")),
    ("json_output", Refusal::Charm("Falcosidekick takes nothing but JSON")),
    ("load_plugins", Refusal::Unsafe("loads code into Falco, which runs as root")),
    ("metrics.enabled", Refusal::Charm("it reads from them what Falco has loaded")),
    ("metrics.output_file", Refusal::OutsideOfLogs),
    ("plugins[].library_path", Refusal::Unsafe("loads code into Falco, which runs as root")),
    ("plugins[].open_params", Refusal::Unsafe("opens a file, a port or a connection as root")),
    ("priority", Refusal::Option("priority")),
    ("program_output", Refusal::Unsafe("runs a program as root")),
    // Falco's schema has this name, its code has not. It would not do what it says.
    ("rule_files", Refusal::Charm("rules go into rules.d or the option rules")),
    // The old name. Both together end Falco.
    ("rules_file", Refusal::Charm("rules go into rules.d or the option rules")),
    ("rules_files", Refusal::Charm("rules go into rules.d or the option rules")),
    ("syslog_output", Refusal::Option("syslog-output")),
    ("watch_config_files", Refusal::Charm("without it Falco ignores the signal to reload")),
    ("webserver", Refusal::Charm("it reads there what Falco has loaded")),
];

/// All that a document may not say, each with its key and what to do.
pub fn check(document: &Mapping, allow_unsafe: bool) -> Vec<String> {
    let mut walk = Walk { allow_unsafe, problems: Vec::new() };
    for key in keys(document).filter(|key| key.contains(['.', '['])) {
        // That is how a command line of Falco nests keys. In a file it is a key that nothing looks at.
        walk.problems.push(format!("{key}: keys are nested by blanks here, not by dots or brackets"));
    }
    walk.mapping(&[], "", document);
    walk.labels(document);
    walk.problems
}

struct Walk {
    allow_unsafe: bool,
    problems: Vec<String>,
}

impl Walk {
    /// `path` is what rows are compared with, `shown` is what the operator wrote.
    fn mapping(&mut self, path: &[String], shown: &str, mapping: &Mapping) {
        for (key, value) in mapping {
            let Some(key) = key.as_str() else { continue };
            let shown = if shown.is_empty() { key.to_owned() } else { format!("{shown}.{key}") };
            self.value(&[path, &[as_in_falco(key)]].concat(), &shown, value);
        }
    }

    fn value(&mut self, path: &[String], shown: &str, value: &Value) {
        if let Some((_, refusal)) = REFUSALS.iter().find(|(row, _)| reach(row, path) == Reach::Same) {
            if let Some(reason) = refusal.problem(value, self.allow_unsafe) {
                self.problems.push(format!("{shown}: {reason}"));
            }
            return;
        }
        let inside: Vec<_> = REFUSALS.iter().filter(|(row, _)| reach(row, path) == Reach::Inside).collect();
        if inside.is_empty() {
            return;
        }
        match value {
            Value::Mapping(mapping) => self.mapping(path, shown, mapping),
            Value::Sequence(entries) if inside.iter().all(|(row, _)| row.contains("[]")) => {
                self.entries(path, shown, entries);
            }
            _ => {
                // Something else in this place takes away all that was in it.
                let never =
                    inside.iter().find(|(_, refusal)| matches!(refusal, Refusal::Charm(_) | Refusal::Option(_)));
                if let Some((row, _)) = never {
                    self.problems.push(format!("{shown}: has to stay a mapping, since the charm sets {row} in it"));
                }
            }
        }
    }

    fn entries(&mut self, path: &[String], shown: &str, entries: &[Value]) {
        for (number, entry) in entries.iter().enumerate() {
            let shown = match lists::name_of(entry) {
                Some(name) => format!("{shown}[{name}]"),
                None => format!("{shown}[{number}]"),
            };
            self.value(&[path, &["[]".to_owned()]].concat(), &shown, entry);
        }
    }

    /// The labels of the charm stand in a list of their own, and a later one of the same name would hide them.
    fn labels(&mut self, document: &Mapping) {
        let entries = document.get(APPEND_OUTPUT).and_then(Value::as_sequence).into_iter().flatten();
        let fields = entries.filter_map(|entry| entry.get("extra_fields")?.as_sequence()).flatten();
        for name in fields.filter_map(lists::field_name).filter(|name| as_in_falco(name).starts_with(OUR_LABELS)) {
            self.problems.push(format!("{APPEND_OUTPUT}: {name} belongs to the charm, which labels alerts with it"));
        }
    }
}

impl Refusal {
    fn problem(self, value: &Value, allow_unsafe: bool) -> Option<String> {
        match self {
            Self::Charm(reason) => Some(format!("belongs to the charm: {reason}")),
            Self::Option(option) => Some(format!("has an option of its own, {option}; set that instead")),
            Self::Unsafe(_) | Self::OutsideOfLogs if allow_unsafe => None,
            Self::Unsafe(what) => Some(format!("{what}; leave it out, or set {ALLOW_UNSAFE_OVERRIDES}")),
            Self::OutsideOfLogs => (!is_below_logs(value)).then(|| {
                format!("makes root write outside of {LOGS}; choose a path there, or set {ALLOW_UNSAFE_OVERRIDES}")
            }),
        }
    }
}

/// Falco replaces `${NAME}` by a variable, or by nothing, so that two dots may be the outcome where none are before.
fn is_below_logs(value: &Value) -> bool {
    let is_below = |path: &str| {
        let rest = path.strip_prefix(LOGS).unwrap_or_default();
        !rest.is_empty() && !rest.contains('$') && rest.split('/').all(|part| part != "..")
    };
    value.is_null() || value.as_str().is_some_and(is_below)
}

/// How a path lies to the path of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    Same,
    /// What the row means is somewhere inside.
    Inside,
    Elsewhere,
}

fn reach(row: &str, path: &[String]) -> Reach {
    let row = row.replace("[]", ".[]");
    let mut parts = row.split('.');
    for key in path {
        match parts.next() {
            Some(part) if part == key || part == "*" && key != "[]" => {}
            _ => return Reach::Elsewhere,
        }
    }
    if parts.next().is_none() { Reach::Same } else { Reach::Inside }
}

/// The key as Falco would write it.
fn as_in_falco(key: &str) -> String {
    key.trim().to_ascii_lowercase().replace(['-', ' '], "_")
}

fn keys(mapping: &Mapping) -> impl Iterator<Item = &str> {
    mapping.keys().filter_map(Value::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str, allow_unsafe: bool) -> Vec<String> {
        check(&serde_yaml::from_str(text).unwrap(), allow_unsafe)
    }

    fn one(text: &str) -> String {
        let problems = problems(text, false);
        let [problem] = &problems[..] else { panic!("{text}: {problems:?}") };
        problem.clone()
    }

    /// The smallest document that sets the key of a row.
    fn document(row: &str) -> Value {
        row.replace('*', "kmod").rsplit('.').fold(Value::from("/etc/x"), |inner, key| {
            let (key, inner) = match key.strip_suffix("[]") {
                Some(key) => (key, Value::Sequence(vec![inner])),
                None => (key, inner),
            };
            Value::Mapping([(key.into(), inner)].into_iter().collect())
        })
    }

    #[test]
    fn every_row_refuses_its_key_and_what_is_unsafe_can_be_allowed() {
        for (row, refusal) in REFUSALS {
            let document = document(row).as_mapping().unwrap().clone();
            let refused = check(&document, false);
            assert_eq!(refused.len(), 1, "{row}: {refused:?}");
            let is_never = matches!(refusal, Refusal::Charm(_) | Refusal::Option(_));
            assert_eq!(check(&document, true).len(), usize::from(is_never), "{row}");
        }
    }

    #[test]
    fn what_would_blind_the_charm_or_hand_over_the_machine_is_refused() {
        // A row that is taken out of the table is taken out of the test above, too.
        for text in [
            "http_output: {url: https://h/}",
            "webserver: {listen_address: 0.0.0.0}",
            "rules_files: []",
            "rules_file: x",
            "config_files: [x]",
            "watch_config_files: false",
            "json_output: false",
            "json_include_output_fields_property: false",
            "metrics: {enabled: false}",
            "priority: critical",
            "syslog_output: {enabled: false}",
            "engine: {kind: kmod}",
            "engine: {kmod: {drop_failed_exit: true}}",
            "engine: {modern_ebpf: {buf_size_preset: 1}}",
            "program_output: {enabled: true, program: x}",
            "load_plugins: []",
            "plugins: [{name: container, library_path: /x}]",
            "plugins: [{name: container, open_params: x}]",
        ] {
            one(text);
        }
    }

    #[test]
    fn every_option_that_is_named_is_one() {
        for (row, refusal) in REFUSALS {
            if let Refusal::Option(option) = refusal {
                assert!(crate::config::OPTIONS.iter().any(|(name, _)| *name == option), "{row}");
            }
        }
    }

    #[test]
    fn a_problem_names_the_key_as_it_is_written_and_says_what_to_do() {
        for (text, wanted) in [
            ("webserver: {enabled: false}", "webserver: belongs to the charm: it reads there what Falco has loaded"),
            ("priority: debug", "priority: has an option of its own, priority; set that instead"),
            (
                "engine: {modern_ebpf: {buf_size_preset: 4}}",
                "engine.modern_ebpf.buf_size_preset: has an option of its own, buffer-size-preset; set that instead",
            ),
            (
                "program_output: {enabled: true}",
                "program_output: runs a program as root; leave it out, or set allow-unsafe-overrides",
            ),
            (
                "plugins: [{name: json, library_path: /x.so}]",
                "plugins[json].library_path: loads code into Falco, which runs as root; leave it out, or set \
                 allow-unsafe-overrides",
            ),
        ] {
            assert_eq!(one(text), wanted);
        }
    }

    #[test]
    fn spellings_that_falco_would_ignore_do_not_slip_through() {
        for text in [
            "Webserver: {enabled: false}",
            "http-output: {}",
            "JSON_OUTPUT: false",
            "engine: {Kind: kmod}",
            "Metrics: {ENABLED: false}",
            "plugins: [{name: x, Library-Path: /x}]",
            "\" priority \": x",
        ] {
            one(text);
        }
        for text in ["http_output.url: x", "log_level.: x", "plugins[0]: x"] {
            assert!(one(text).contains("not by dots"), "{text}");
        }
    }

    #[test]
    fn what_holds_something_of_the_charm_stays_a_mapping() {
        for text in ["engine:", "engine: kmod", "metrics: []", "metrics: false"] {
            let problem = one(text);
            assert!(problem.contains("stay a mapping, since the charm sets"), "{problem}");
        }
        for text in ["engine: {kmod: null}", "engine: {modern_ebpf: x}"] {
            assert!(one(text).contains("drop_failed_exit") || one(text).contains("buf_size_preset"));
        }
        assert_eq!(problems("file_output:\ncapture:\n", false), Vec::<String>::new());
    }

    #[test]
    fn files_are_written_below_var_log_only() {
        for good in ["/var/log/falco.json", "/var/log/falco/a..b", "", "~"] {
            let text = format!("file_output: {{filename: {}}}", if good.is_empty() { "null" } else { good });
            assert_eq!(problems(&text, false), Vec::<String>::new(), "{good}");
        }
        for bad in [
            "/etc/cron.d/x",
            "/var/log",
            "/var/log/",
            "/var/logs/x",
            "/var/log/../../etc/cron.d/x",
            "/var/log/..",
            "/var/log/.${NOPE}./x",
            "relative",
            "5",
            "true",
        ] {
            let text = format!("file_output: {{filename: \"{bad}\"}}");
            assert!(one(&text).contains("outside of /var/log/"), "{bad}");
        }
        one("file_output: {filename: 5}");
        one("capture: {path_prefix: /tmp/x}");
        one("metrics: {output_file: /tmp/x}");
    }

    #[test]
    fn labels_of_the_charm_are_not_set_by_overrides() {
        for field in ["{juju_unit: x}", "juju_unit", "{Juju-Model: x}"] {
            let problem = one(&format!("append_output: [{{extra_fields: [a, {field}]}}]"));
            assert!(problem.starts_with("append_output: ") && problem.contains("belongs to the charm"), "{problem}");
        }
    }

    #[test]
    fn tuning_is_left_to_the_operator() {
        let text = "
            base_syscalls: {repair: true}
            engine: {modern_ebpf: {cpus_for_each_buffer: 4}}
            falco_libs: {thread_table_size: 1000}
            metrics: {interval: 5m, output_rule: true}
            plugins: [{name: container, init_config: {engines: {docker: {enabled: false}}}}]
            rule_matching: all
            static_fields: {fd.x: y}
            syscall_event_drops: {actions: [exit]}
            unknown: {webserver: x}
        ";
        assert_eq!(problems(text, false), Vec::<String>::new());
    }
}
