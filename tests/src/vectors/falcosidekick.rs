//! A container as the Python charm has left it, and what our charm makes of it.
//!
//! | Place | Value |
//! |---|---|
//! | `service` | `running` or `stopped` |
//! | `listener` | the port on which alerts are taken, and whether by TLS |
//! | `check` | the URL that Pebble asks |
//! | `loki` | the URL to which alerts are pushed |
//! | `labels` | the fields of an alert that become labels in Loki |
//! | `log targets` | where Pebble sends the log of the container |
//!
//! All but `service` are asked only of a vector in which the service runs: of one that is stopped they say what it was.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;
use url::Url;

use super::adapt::{Adaptation, Ports, Scenario};
use super::format::{Container, File, Layer, State};
use super::places::{self, Seen};
use super::play::Run;
use crate::authority::Authority;
use crate::ingress::{Ingress, Target};
use crate::juju::event::Kind;
use crate::juju::{Context, Event, Outcome};
use crate::pebble::{Pebble, pebble_binary};
use crate::ports::free_port;
use crate::programs;

/// The container, and its service.
const NAME: &str = "falcosidekick";

/// Where a rock has the program.
const PROGRAM: &str = "/usr/bin/falcosidekick";

/// What Falcosidekick reads.
const CONFIG_FILE: &str = "/etc/falcosidekick/falcosidekick.yaml";

/// The pod of one vector.
struct World {
    // Declared first: services end before the folders they work in go.
    pebble: Option<Pebble>,
    context: Context,
    /// The way in from outside, and what stands for it in the vector.
    way_in: Option<(Ingress, Url)>,
    root: TempDir,
}

/// Runs the hook of a vector, and the same hook once more.
pub fn run(mut scenario: Scenario<'_>) -> Result<Run, String> {
    let vector = scenario.vector;
    let world = World::prepare(&mut scenario)?;
    let outcome = world.context.run(&scenario.event, &scenario.state);
    let mut ours = places::of_outcome(&scenario, &world.put_back(outcome.clone()));
    ours.extend(world.workload(&scenario.ports));
    let mut reports = vec![outcome.report()];
    if outcome.is_success() {
        let processes = world.processes();
        // A secret that is due may be gone.
        let is_possible = match &scenario.event.kind {
            Kind::Secret { id, .. } => outcome.state.secrets.iter().any(|secret| secret.id == *id),
            _ => true,
        };
        let event = if is_possible { scenario.event.clone() } else { Event::update_status() };
        let again = world.context.run(&event, &outcome.state);
        let mut done = places::done_again(&scenario, &outcome.state, &again);
        // One that does not stay up is tried again.
        if !scenario.fails() && world.processes() != processes {
            done.push("touches a process".into());
        }
        ours.insert("again".into(), json!(done));
        reports.extend(["once more:".to_owned(), again.report()]);
    }
    let mut says = places::of_vector(vector)?;
    says.extend(vector.output.iter().flat_map(of_state));
    let mut before = places::of_relations(&vector.input)?;
    before.extend(of_state(&vector.input));
    Ok(Run { says, before, ours, adapted: scenario.adapted, state: outcome.state, report: reports.join("\n") })
}

/// What a vector says about Falcosidekick at one moment.
fn of_state(state: &State) -> Seen {
    let mut seen = Seen::new();
    for Container { can_connect, plan, service_statuses, files, .. } in &state.containers {
        if !can_connect {
            continue;
        }
        let runs = service_statuses.get(NAME).is_some_and(|status| status == "active");
        seen.insert("service".into(), json!(if runs { "running" } else { "stopped" }));
        if !runs {
            continue;
        }
        seen.insert("check".into(), check(&plan.checks));
        seen.insert("log targets".into(), targets(&plan.log_targets));
        if let Some(yaml) = files.get(CONFIG_FILE).and_then(|file| file.yaml.as_ref()) {
            seen.extend(configuration(yaml));
        }
    }
    seen
}

/// The URL that Pebble asks. The pod has one network, so both names of loopback are the same.
fn check(checks: &BTreeMap<String, Value>) -> Value {
    let url = |check: &Value| check.pointer("/http/url").and_then(Value::as_str).map(str::to_owned);
    let urls: Vec<String> =
        checks.values().filter_map(url).map(|url| url.replace("//localhost", "//127.0.0.1")).collect();
    json!(urls)
}

/// Where Pebble sends the log of the container. What a target is called is the charm's own business.
fn targets(targets: &BTreeMap<String, Value>) -> Value {
    let silent = [json!(["-all"]), json!([]), json!(null)];
    let used = targets.values().filter(|target| !silent.contains(&target["services"]));
    json!(used.filter_map(|target| target["location"].as_str()).collect::<BTreeSet<_>>())
}

/// What a configuration makes of Falcosidekick.
fn configuration(yaml: &Value) -> Seen {
    let tls = yaml.pointer("/tlsserver/deploy") == Some(&json!(true));
    let text = |pointer: &str| yaml.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let labels: BTreeSet<&str> = text("/loki/extralabels").split(',').filter(|label| !label.is_empty()).collect();
    // Falcosidekick joins the two as they are. The parser leaves out a port that the scheme implies.
    let loki = Url::parse(&[text("/loki/hostport"), text("/loki/endpoint")].concat());
    Seen::from([
        ("listener".to_owned(), json!(format!("{}:{}", if tls { "https" } else { "http" }, yaml["listenport"]))),
        ("loki".to_owned(), json!(loki.ok().map(String::from))),
        ("labels".to_owned(), json!(labels)),
    ])
}

impl World {
    /// The pod before the hook.
    fn prepare(scenario: &mut Scenario<'_>) -> Result<Self, String> {
        let vector = scenario.vector;
        let root = tempfile::Builder::new().prefix("pod-").tempdir().map_err(|error| error.to_string())?;
        let context = Context::new(
            programs::charmcraft("falcosidekick-k8s"),
            programs::falcosidekick_charm(),
            programs::hook_command(),
        );
        let context = context.map_err(|error| format!("{error:#}"))?.at_root(root.path()).app(&vector.app);
        let context = context.unit_number(scenario.number).juju(scenario.juju);
        let mut world = Self { pebble: None, context, way_in: None, root };
        world.open_way_in(scenario)?;
        match &vector.input.containers[..] {
            [container] if container.name == NAME => world.fill(container, scenario)?,
            others => {
                return Err(format!("this revision has one container, {NAME}, and the vector has {}", others.len()));
            }
        }
        Ok(world)
    }

    /// A proxy in the place of the one of the vector, which everybody in this pod believes.
    fn open_way_in(&mut self, scenario: &mut Scenario<'_>) -> Result<(), String> {
        let port = scenario.state.config.get("port").and_then(Value::as_u64).and_then(|port| u16::try_from(port).ok());
        let related = scenario.state.relations.iter_mut().filter(|relation| relation.endpoint == "ingress");
        for published in related.filter_map(|relation| relation.remote_app_data.get_mut("ingress")) {
            let parsed: Value = serde_json::from_str(published).unwrap_or_default();
            let Some(theirs) = parsed["url"].as_str().and_then(|url| Url::parse(url).ok()) else { continue };
            let authority = Authority::new("edge");
            let target = Target { port: port.unwrap_or_default(), tls: None };
            let ingress = Ingress::start(&authority, theirs.path(), target);
            *published = json!({ "url": ingress.url() }).to_string();
            write(&self.path("/etc/ssl/certs/ca-certificates.crt"), &authority.root(), 0o644)?;
            self.way_in = Some((ingress, theirs));
            scenario.adapted.insert(Adaptation::WayIn);
        }
        Ok(())
    }

    /// A state with the way in of the vector in the place of ours.
    fn put_back(&self, mut outcome: Outcome) -> Outcome {
        if let Some((ingress, theirs)) = &self.way_in {
            for relation in &mut outcome.state.relations {
                for value in relation.local_app_data.values_mut() {
                    *value = value.replace(&ingress.url(), theirs.as_str());
                }
            }
        }
        outcome
    }

    /// What the container has in it, and what runs.
    fn fill(&mut self, container: &Container, scenario: &mut Scenario<'_>) -> Result<(), String> {
        if !container.can_connect {
            return Ok(());
        }
        let program = self.path(PROGRAM);
        programs::install_falcosidekick(&program).map_err(|error| format!("{}: {error}", program.display()))?;
        for (path, file) in &container.files {
            self.leave(path, file, &container.files, scenario)?;
        }
        let layers: Vec<(String, String)> =
            container.layers.iter().map(|(label, layer)| self.layer(label, layer, &scenario.ports)).collect();
        let layers: Vec<(&str, &str)> = layers.iter().map(|(label, text)| (label.as_str(), text.as_str())).collect();
        let pebble = Pebble::start(self.root.path(), NAME, &layers);
        self.pebble = Some(pebble);
        if container.service_statuses.get(NAME).is_some_and(|status| status == "active") {
            self.start()?;
        }
        scenario.adapted.extend([Adaptation::Paths, Adaptation::Workload]);
        if scenario.fails() {
            scenario.adapted.insert(Adaptation::Failing);
            // The process goes on with the program that it was started from.
            let folder = program.parent().expect("a program is in a folder");
            let failing = folder.join("failing");
            write(&failing, "#!/bin/sh\nexit 1\n", 0o755)?;
            fs::rename(failing, program).map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    fn path(&self, absolute: &str) -> PathBuf {
        self.root.path().join(absolute.trim_start_matches('/'))
    }

    /// Puts a file there.
    fn leave(
        &self,
        path: &str,
        file: &File,
        files: &BTreeMap<String, File>,
        scenario: &mut Scenario<'_>,
    ) -> Result<(), String> {
        let text = match (&file.text, &file.yaml) {
            (Some(text), _) => text.clone(),
            (None, Some(yaml)) => {
                scenario.adapted.insert(Adaptation::Texts);
                self.configuration(yaml, files, &scenario.ports)
            }
            (None, None) => return Err(format!("{path} has neither a text nor what it says")),
        };
        let mode = file.mode.as_deref().and_then(|mode| u32::from_str_radix(mode.trim_start_matches("0o"), 8).ok());
        write(&self.path(path), &text, mode.unwrap_or(0o644))
    }

    fn configuration(&self, yaml: &Value, files: &BTreeMap<String, File>, ports: &Ports) -> String {
        let mut yaml = yaml.clone();
        if let Some(port) = yaml.get("listenport").and_then(Value::as_u64).and_then(|port| u16::try_from(port).ok()) {
            yaml["listenport"] = json!(ports.here(port));
        }
        let (mut there, mut tls) = (true, yaml["tlsserver"].take());
        for key in ["keyfile", "certfile"] {
            let path = tls[key].as_str().unwrap_or_default().to_owned();
            there &= files.contains_key(&path);
            tls[key] = json!(self.path(&path));
        }
        tls["notlsport"] = json!(free_port());
        // Without its certificate it would end at once, and the vector has it running.
        yaml["tlsserver"] = if there { tls } else { json!({}) };
        yaml.to_string()
    }

    /// A layer as Pebble has it in a file. It wants a label without the number in front.
    fn layer(&self, label: &str, layer: &Layer, ports: &Ports) -> (String, String) {
        let mut services = layer.services.clone();
        for service in services.values_mut() {
            let command = service["command"].as_str().unwrap_or_default();
            let word = |word: &str| match word {
                "falcosidekick" => self.path(PROGRAM).display().to_string(),
                path if path.starts_with('/') => self.path(path).display().to_string(),
                other => other.to_owned(),
            };
            service["command"] = json!(command.split(' ').map(word).collect::<Vec<_>>().join(" "));
        }
        let text = json!({ "services": services, "checks": layer.checks, "log-targets": layer.log_targets });
        let label = label.trim_start_matches(|letter: char| letter.is_ascii_digit() || letter == '-');
        (label.to_owned(), ports.text_here(&text.to_string()))
    }

    /// Does what Pebble did when the container came up.
    fn start(&self) -> Result<(), String> {
        let folder = self.path("/var/lib/pebble").join(NAME);
        let output = Command::new(pebble_binary()).args(["start", NAME]).env("PEBBLE", folder).output();
        let output = output.map_err(|error| error.to_string())?;
        if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
    }

    fn processes(&self) -> Vec<u32> {
        self.pebble.as_ref().map(Pebble::service_processes).unwrap_or_default()
    }

    /// What our charm has made of Falcosidekick.
    fn workload(&self, ports: &Ports) -> Seen {
        let Some(pebble) = &self.pebble else { return Seen::new() };
        let services = pebble.get(&format!("/v1/services?names={NAME}"));
        let runs = services[0]["current"] == "active";
        let mut seen = Seen::from([("service".to_owned(), json!(if runs { "running" } else { "stopped" }))]);
        let plan: String = serde_json::from_value(pebble.get("/v1/plan?format=yaml")).expect("a plan is a text");
        let plan: Layer = serde_yaml::from_str(&ports.text_in_vector(&plan)).expect("a plan is a layer");
        seen.insert("check".into(), check(&plan.checks));
        seen.insert("log targets".into(), targets(&plan.log_targets));
        if let Ok(text) = fs::read_to_string(self.path(CONFIG_FILE)) {
            let mut yaml: Value = serde_yaml::from_str(&text).expect("a configuration is YAML");
            if let Some(port) = yaml["listenport"].as_u64().and_then(|port| u16::try_from(port).ok()) {
                yaml["listenport"] = json!(ports.in_vector(port));
            }
            seen.extend(configuration(&yaml));
        }
        seen
    }
}

fn write(path: &Path, text: &str, mode: u32) -> Result<(), String> {
    let written = fs::create_dir_all(path.parent().expect("a file is in a folder"))
        .and_then(|()| fs::write(path, text))
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(mode)));
    written.map_err(|error| format!("{}: {error}", path.display()))
}
