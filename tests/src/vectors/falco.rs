//! A machine as the Python charm has left it, and what our charm makes of it.
//!
//! | Place | Value |
//! |---|---|
//! | `service` | `running` or `stopped` |
//! | `boot` | `enabled` or `disabled` |
//! | `unit file` | `present` or `absent` |
//! | `systemd` | what it says of the unit: `loaded` or `not-found`; no vector says anything about it |
//! | `alerts/http` | the URL to which alerts go, or nothing |
//! | `alerts/syslog` | whether they go to the system log |
//! | `alerts/labels` | the fields that every alert carries |
//! | `alerts/format` | which parts an alert has |
//! | `metrics` | the address at which Falco serves its metrics |

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpStream;
use std::path::Path;

use serde_json::{Value, json};

use super::adapt::{Adaptation, METRICS_PORT, Scenario};
use super::format::{Event, File, Vector};
use super::places::{self, Seen};
use super::play::Run;
use crate::falco_host::{FalcoHost, UNIT, eventually};
use crate::juju::{Invocation, Metadata, Moment, State, Verdict};
use crate::machine::Machine;
use crate::programs;

/// The unit file as vectors call it, and as everybody else does.
const UNIT_FILE: (&str, &str) = ("{SYSTEMD}/falco.service", "/etc/systemd/system/falco.service");

/// The program that the Python charm runs, in the charm folder.
const PROGRAM: &str = "falco/usr/bin/falco";

/// What our charm writes.
const CONFIG_FILE: &str = "/etc/juju-falco/falco.yaml";

/// Which parts an alert has.
const FORMAT: [&str; 5] = [
    "json_output",
    "json_include_output_property",
    "json_include_output_fields_property",
    "json_include_message_property",
    "json_include_tags_property",
];

/// Runs the hook of a vector, and the same hook once more.
pub fn run(mut scenario: Scenario<'_>) -> Result<Run, String> {
    let vector = scenario.vector;
    let host = prepare(&mut scenario)?;
    let outcome = host.context.run(&scenario.event, &scenario.state);
    let mut ours = places::of_outcome(&scenario, &outcome);
    ours.extend(workload(&host, &scenario));
    let mut reports = vec![outcome.report()];
    if outcome.is_success() {
        let before = (host.files(), host.actions(), host.machine.main_pid(UNIT));
        let again = host.context.run(&scenario.event, &outcome.state);
        let mut done = places::done_again(&scenario, &outcome.state, &again);
        // One that does not stay up is tried again.
        if !scenario.fails() && (host.files(), host.actions(), host.machine.main_pid(UNIT)) != before {
            done.push("touches a file or a process".into());
        }
        ours.insert("again".into(), json!(done));
        reports.extend(["once more:".to_owned(), again.report()]);
    }
    let mut says = places::of_vector(vector)?;
    says.extend(of_vector(vector));
    let before = places::of_relations(&vector.input)?;
    Ok(Run { says, before, ours, adapted: scenario.adapted, state: outcome.state, report: reports.join("\n") })
}

/// What the vector says about Falco.
fn of_vector(vector: &Vector) -> Seen {
    let mut seen = Seen::new();
    let Some(output) = &vector.output else { return seen };
    for call in &output.subprocess_calls {
        let words: Vec<&str> = call.iter().map(String::as_str).collect();
        let (place, value) = match words[..] {
            ["systemctl", "start" | "restart", "falco"] => ("service", "running"),
            ["systemctl", "stop", "falco"] => ("service", "stopped"),
            ["systemctl", "enable", "falco"] => ("boot", "enabled"),
            ["systemctl", "disable", "falco"] => ("boot", "disabled"),
            _ => continue,
        };
        seen.insert(place.into(), json!(value));
    }
    let file = output.files.get(UNIT_FILE.0);
    if file.is_some() || vector.input.files.contains_key(UNIT_FILE.0) {
        seen.insert("unit file".into(), json!(if file.is_some() { "present" } else { "absent" }));
    }
    if let Some(options) = file.and_then(options) {
        seen.extend(alerts(&options));
    }
    seen
}

/// The options that the Python charm gives Falco in its command line.
fn options(unit_file: &File) -> Option<BTreeMap<String, Value>> {
    let service = unit_file.unit.as_ref()?.get("Service")?;
    let command = service.iter().find(|(key, _)| key == "ExecStart")?.1.as_array()?;
    let words: Vec<&str> = command.iter().filter_map(Value::as_str).collect();
    let pairs = words.windows(2).filter(|pair| pair[0] == "-o").filter_map(|pair| pair[1].split_once('='));
    let typed = |value: &str| value.parse().map_or_else(|_| json!(value), |switch: bool| json!(switch));
    Some(pairs.map(|(name, value)| (name.to_owned(), typed(value))).collect())
}

/// Where alerts go and how they look, from options by their full names.
fn alerts(options: &BTreeMap<String, Value>) -> Seen {
    let is_on = |name: &str| options.get(name) == Some(&json!(true));
    let text = |name: &str| options.get(name).map(|value| value.as_str().map_or_else(|| value.to_string(), Into::into));
    let labels: BTreeMap<_, _> = options
        .iter()
        .filter_map(|(name, value)| Some((name.split_once(".extra_fields[")?.1.split_once("].")?.1, value)))
        .collect();
    let format: BTreeMap<_, _> = FORMAT.iter().map(|name| (name, is_on(name))).collect();
    let metrics = (is_on("webserver.enabled") && is_on("webserver.prometheus_metrics_enabled")).then(|| {
        let part = |name| text(name).unwrap_or_default();
        format!("{}:{}", part("webserver.listen_address"), part("webserver.listen_port"))
    });
    Seen::from([
        ("alerts/http".to_owned(), json!(text("http_output.url").filter(|_| is_on("http_output.enabled")))),
        ("alerts/syslog".to_owned(), json!(is_on("syslog_output.enabled"))),
        ("alerts/labels".to_owned(), json!(labels)),
        ("alerts/format".to_owned(), json!(format)),
        ("metrics".to_owned(), json!(metrics)),
    ])
}

/// What our charm has made of Falco.
fn workload(host: &FalcoHost, scenario: &Scenario<'_>) -> Seen {
    let boot = if host.machine.property(UNIT, "UnitFileState") == "enabled" { "enabled" } else { "disabled" };
    let mut seen = Seen::from([
        ("service".to_owned(), json!(if host.machine.is_active(UNIT) { "running" } else { "stopped" })),
        ("boot".to_owned(), json!(boot)),
        ("systemd".to_owned(), json!(host.machine.property(UNIT, "LoadState"))),
        ("unit file".to_owned(), json!(if host.machine.path(UNIT_FILE.1).exists() { "present" } else { "absent" })),
    ]);
    if host.machine.path(CONFIG_FILE).exists() {
        let text = scenario.ports.text_in_vector(&host.text(CONFIG_FILE));
        let yaml: Value = serde_yaml::from_str(&text).expect("what our charm writes is YAML");
        let mut options = BTreeMap::new();
        flatten("", &yaml, &mut options);
        let port = options.get("webserver.listen_port").and_then(Value::as_u64).and_then(|port| port.try_into().ok());
        if let Some(port) = port {
            options.insert("webserver.listen_port".into(), json!(scenario.ports.in_vector(port)));
        }
        seen.extend(alerts(&options));
    }
    seen
}

/// The values of a file by the names that Falco's `-o` has for them.
fn flatten(name: &str, value: &Value, options: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                flatten(&if name.is_empty() { key.clone() } else { format!("{name}.{key}") }, value, options);
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                flatten(&format!("{name}[{index}]"), value, options);
            }
        }
        scalar => {
            options.insert(name.to_owned(), scalar.clone());
        }
    }
}

/// A machine as the Python charm has left it behind after the hook of a vector, with its Falco running, and what Juju
/// knows then; or why there is no such machine.
pub fn left_behind(vector: &Vector) -> Result<(FalcoHost, State), String> {
    let after = vector.output.clone().ok_or("the hook has failed")?;
    let event = Event { hook: "upgrade-charm".to_owned(), ..Event::default() };
    let vector = Vector { input: after, event, output: None, ..vector.clone() };
    let metadata = Metadata::read(programs::charmcraft("falco")).expect("charmcraft.yaml can be read");
    let mut scenario = Scenario::of(&vector, &metadata)?;
    let host = prepare(&mut scenario)?;
    Ok((host, scenario.state))
}

/// The machine before the hook.
fn prepare(scenario: &mut Scenario<'_>) -> Result<FalcoHost, String> {
    let vector = scenario.vector;
    let machine = Machine::new().map_err(|error| error.to_string())?;
    let root = machine.root().to_owned();
    let fails = scenario.fails();
    let host = FalcoHost::on(machine, |context| {
        let context = context.app(&vector.app).unit_number(scenario.number).juju(scenario.juju);
        let context = context.principal(principal(vector));
        if fails { context.gate(move |moment| spoil(&root, moment)) } else { context }
    });
    if fails {
        scenario.adapted.insert(Adaptation::Failing);
    }
    scenario.state.config.insert("metrics-port".into(), scenario.ports.here(METRICS_PORT).into());
    scenario.state.resources.insert("falco".into(), host.tarball.clone());
    scenario.adapted.insert(Adaptation::Resource);
    for (path, file) in &vector.input.files {
        leave(&host, path, file, scenario)?;
    }
    if vector.input.files.contains_key(UNIT_FILE.0) {
        start(&host, scenario)?;
    }
    host.machine.forget();
    Ok(host)
}

/// Makes the program one that ends at once, after it has checked its configuration and before it is started.
fn spoil(root: &Path, moment: &Moment<'_>) -> Verdict {
    let Invocation { name, args, .. } = moment.invocation;
    if name == "systemctl" && args.first().is_some_and(|verb| verb == "daemon-reload") {
        let distributions = fs::read_dir(root.join("opt/juju-falco")).into_iter().flatten().flatten();
        for program in distributions.map(|entry| entry.path().join("usr/bin/falco")).filter(|path| path.is_file()) {
            fs::write(program, "#!/bin/sh\nexit 1\n").expect("the program is the machine's own");
        }
    }
    Verdict::Go
}

/// The unit that Falco lives beside.
fn principal(vector: &Vector) -> String {
    let mut relations = vector.input.relations.iter().filter(|relation| relation.kind.is_some());
    let unit = relations
        .find_map(|relation| Some(format!("{}/{}", relation.remote_app, relation.remote_units.keys().next()?)));
    unit.unwrap_or_else(|| "ubuntu/0".to_owned())
}

/// Puts a file or a folder there.
fn leave(host: &FalcoHost, path: &str, file: &File, scenario: &mut Scenario<'_>) -> Result<(), String> {
    let charm_dir = host.context.charm_dir().display().to_string();
    let root = host.machine.root().display().to_string();
    let real = |text: &str| {
        let text = text.replace("{CHARM_DIR}", &charm_dir).replace("{SYSTEMD}", &format!("{root}/etc/systemd/system"));
        scenario.ports.text_here(&text.replace("{HOME}", &format!("{root}/root")))
    };
    let path = real(path);
    let path = path.strip_prefix(&root).ok_or_else(|| format!("{path} is not on the machine"))?;
    let mode = file.mode.as_deref().and_then(|mode| u32::from_str_radix(mode.trim_start_matches("0o"), 8).ok());
    scenario.adapted.insert(Adaptation::Paths);
    if file.dir || file.clone {
        return fs::create_dir_all(host.machine.path(path)).map_err(|error| format!("{path}: {error}"));
    }
    let text = match (&file.text, &file.yaml, &file.unit) {
        (Some(text), ..) => text.clone(),
        (_, Some(yaml), _) => real(&yaml.to_string()),
        (_, _, Some(unit)) => real(&unit_text(unit))
            .replace(&format!("_port={METRICS_PORT}"), &format!("_port={}", scenario.ports.here(METRICS_PORT))),
        _ => String::new(),
    };
    if file.text.is_none() {
        scenario.adapted.insert(Adaptation::Texts);
    }
    host.machine.write(path, text, mode.unwrap_or(0o644)).map_err(|error| format!("{path}: {error}"))
}

fn unit_text(sections: &BTreeMap<String, Vec<(String, Value)>>) -> String {
    let word = |value: &Value| match value {
        Value::Array(words) => words.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "),
        other => other.as_str().unwrap_or_default().to_owned(),
    };
    let section = |(name, settings): (&String, &Vec<(String, Value)>)| {
        let lines = settings.iter().map(|(key, value)| format!("{key}={}\n", word(value)));
        format!("[{name}]\n{}\n", lines.collect::<String>())
    };
    sections.iter().map(section).collect()
}

/// Starts the Falco of the Python charm, which listens where it did.
fn start(host: &FalcoHost, scenario: &mut Scenario<'_>) -> Result<(), String> {
    let charm_dir = host.context.charm_dir();
    let config = charm_dir.join("falco/played.yaml");
    let rules = charm_dir.join("falco/played_rules.yaml");
    let program =
        format!("#!/bin/sh\nexec '{}' -c '{}'\n", programs::built("falco-stand-in").display(), config.display());
    let listener = json!({
        "rules_files": [rules],
        "engine": { "kind": "modern_ebpf" },
        "stdout_output": { "enabled": true },
        "webserver": {
            "enabled": true,
            "prometheus_metrics_enabled": true,
            "listen_address": "127.0.0.1",
            "listen_port": scenario.ports.here(METRICS_PORT),
        },
    });
    let below = |path: &Path| {
        let path = path.strip_prefix(host.machine.root()).map_err(|error| error.to_string())?;
        Ok::<_, String>(format!("/{}", path.display()))
    };
    let write = |path: &Path, text: String, mode| {
        host.machine.write(&below(path)?, text, mode).map_err(|error| error.to_string())
    };
    write(&config, listener.to_string(), 0o644)?;
    // Falco does not start without a file of rules, and this one is none of the Python charm's.
    write(&rules, "- list: nothing\n  items: []\n".to_owned(), 0o644)?;
    write(&charm_dir.join(PROGRAM), program, 0o755)?;
    for arguments in [vec!["daemon-reload"], vec!["enable", "--now", UNIT]] {
        let answer = host.machine.run(&arguments);
        if answer.code != 0 {
            return Err(format!("systemctl {arguments:?}: {}", String::from_utf8_lossy(&answer.stderr)));
        }
    }
    let port = scenario.ports.here(METRICS_PORT);
    eventually("the Falco of the Python charm", || {
        assert!(host.machine.is_active(UNIT), "it does not stay up: {:#?}", host.machine.journal(UNIT));
        TcpStream::connect(("127.0.0.1", port)).ok()
    });
    scenario.adapted.insert(Adaptation::Workload);
    Ok(())
}
