//! Playing the recordings of Falco: commands that end by themselves here, what runs until it is stopped in `session`.

mod session;
mod steps;
mod syslog;
mod world;

use std::path::{Path, PathBuf};
use std::process::Command;

use charm_tests::falco_distribution::{Options, real_tarball, tarball};
use serde_json::Value;
use tempfile::TempDir;

use crate::check::Findings;
use crate::mask;
use crate::program::{Program, Stream};
use crate::recording::{Places, Recording, texts};
use crate::suite::Played;
use world::World;

/// The program under test, unpacked from its tarball.
#[derive(Debug)]
pub struct Subject {
    install: PathBuf,
    is_real: bool,
    _folder: TempDir,
}

impl Subject {
    /// The official program if `FALCO_TARBALL` names a tarball, otherwise the stand-in.
    pub fn find() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let options = Options { plugins: vec!["json", "k8saudit"], ..Options::default() };
        let tarball = real_tarball().unwrap_or_else(|| tarball(folder.path(), &options));
        let unpacked = folder.path().join("unpacked");
        let file = std::fs::File::open(&tarball).unwrap_or_else(|error| panic!("{}: {error}", tarball.display()));
        tar::Archive::new(flate2::read::GzDecoder::new(file)).unpack(&unpacked).expect("a good tarball");
        let entry = std::fs::read_dir(&unpacked).expect("an unpacked tarball").next();
        let install = entry.expect("a top folder").expect("a top folder").path();
        Self { install, is_real: real_tarball().is_some(), _folder: folder }
    }

    /// Whether it is the official program.
    pub fn is_real(&self) -> bool {
        self.is_real
    }

    /// Where it lies.
    pub fn program(&self) -> PathBuf {
        self.install.join("usr/bin/falco")
    }

    fn plugins(&self) -> PathBuf {
        self.install.join("usr/share/falco/plugins")
    }
}

/// Plays a case.
pub fn play(subject: &Subject, case: &Recording) -> Played {
    let runs = !case.items("signals_or_steps").is_empty();
    let wants_kernel =
        case.map("files").values().any(|text| text.contains("kind: modern_ebpf") || text.contains("kind: kmod"));
    if subject.is_real && runs && wants_kernel && !nix::unistd::geteuid().is_root() {
        return Played::Impossible("Falco's kernel probe needs root".into());
    }
    if case.name.starts_with("k8saudit_") && !subject.plugins().join("libk8saudit.so").is_file() {
        return Played::Impossible("the distribution comes without the k8saudit plugin".into());
    }
    let world = World::build(subject, case);
    let mut findings = Findings::default();
    match case.name.as_str() {
        "config_schema" => compare_schema(&world, case, &mut findings),
        "support_merge" | "support_merge_strategies" => compare_support(&world, case, &mut findings),
        _ if runs => session::play(&world, case, &mut findings),
        _ => {
            compare_command(&world, &case.value, &mut findings);
            let json = &case.value["with_json_output"];
            if json.is_object() {
                let mut json = json.clone();
                if json["stderr"] == "the same" {
                    json["stderr"] = case.value["stderr"].clone();
                }
                compare_command(&world, &json, &mut findings);
            }
        }
    }
    findings.verdict()
}

impl World {
    /// A command line of the program.
    fn command(&self, arguments: &[String]) -> Command {
        let mut command = if self.is_real && self.without_probe {
            let mut command = Command::new("setpriv");
            command.arg("--bounding-set=-all").arg("--inh-caps=-all").arg(&self.program);
            command
        } else {
            Command::new(&self.program)
        };
        command.args(arguments.iter().map(|argument| self.places.fill(argument)));
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("FALCO_STAND_IN_WATCH", self.places.get("<dir>"));
        command.env("FALCO_STAND_IN_SYSLOG", self.syslog_path());
        command.env("FALCO_STAND_IN_BTF", self.types_path());
        command.envs(&self.environment);
        command
    }

    /// What was seen, as it would have been recorded.
    fn masked(&self, line: &str) -> String {
        mask::falco_common(&mask::falco(&self.places.take_out(line)))
    }

    /// Lines of a stream, as they would have been recorded.
    fn masked_stream(&self, program: &Program, stream: Stream) -> Vec<String> {
        comparable(&program.stream(stream)).into_iter().map(|line| self.masked(&line)).collect()
    }
}

/// Without what the stand-in says about itself and what depends on the kernel.
fn comparable(lines: &[String]) -> Vec<String> {
    lines
        .iter()
        .filter_map(|line| mask::without_stand_in(line))
        .filter(|line| !mask::is_about_the_kernel(line))
        .collect()
}

/// The lines of a recorded text.
fn recorded_lines(text: &str) -> Vec<String> {
    let lines: Vec<String> = text.split_terminator('\n').map(str::to_owned).collect();
    comparable(&lines).iter().map(|line| mask::falco_common(line)).collect()
}

/// A command that ends by itself: the same output in the same order, the same code.
fn compare_command(world: &World, recorded: &Value, findings: &mut Findings) {
    let mut program = Program::start(&mut world.command(&texts(&recorded["args"])));
    let Some(status) = program.wait() else {
        findings.add("it did not end");
        return;
    };
    let text = |key: &str| recorded_lines(recorded[key].as_str().unwrap_or_default());
    let (wanted, seen) = (text("stdout"), world.masked_stream(&program, Stream::Out));
    match (sorted_json(&wanted), sorted_json(&seen)) {
        (Some(wanted), Some(seen)) => findings.same("standard output", &wanted.to_string(), &seen.to_string()),
        _ => findings.same_lines("standard output", &wanted, &seen),
    }
    findings.same_lines("standard error", &text("stderr"), &world.masked_stream(&program, Stream::Err));
    findings.same("exit code", &recorded["exit_code"].to_string(), &code(status));
}

/// The description of rules, with the lists sorted that Falco writes in the order of a hash table.
fn sorted_json(lines: &[String]) -> Option<Value> {
    let [line] = lines else { return None };
    let mut value: Value = serde_json::from_str(line).ok()?;
    for group in ["rules", "macros"] {
        for item in value[group].as_array_mut()? {
            for key in ["condition_fields", "condition_operators", "events", "output_fields"] {
                if let Some(list) = item["details"][key].as_array_mut() {
                    list.sort_by_key(Value::to_string);
                }
            }
        }
    }
    Some(value)
}

/// The exit code, or minus the signal.
fn code(status: std::process::ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    status.code().or_else(|| status.signal().map(|signal| -signal)).map_or_else(String::new, |code| code.to_string())
}

fn output_json(world: &World, case: &Recording, findings: &mut Findings) -> Value {
    let mut program = Program::start(&mut world.command(&case.texts("args")));
    let Some(status) = program.wait() else {
        findings.add("it did not end");
        return Value::Null;
    };
    findings.same("exit code", &case.value["exit_code"].to_string(), &code(status));
    let stderr = recorded_lines(case.text("stderr"));
    findings.same_lines("standard error", &stderr, &world.masked_stream(&program, Stream::Err));
    let text = program.stream(Stream::Out).join("\n");
    serde_json::from_str(&text).unwrap_or_else(|error| {
        findings.add(format!("standard output is no JSON: {error}: {text}"));
        Value::Null
    })
}

/// Only the names of the keys were recorded.
fn compare_schema(world: &World, case: &Recording, findings: &mut Findings) {
    let schema = output_json(world, case, findings);
    findings.same("$ref", case.text("schema_ref"), schema["$ref"].as_str().unwrap_or_default());
    let recorded = case.value["schema_definitions_keys"].as_object().cloned().unwrap_or_default();
    for (name, keys) in recorded {
        let properties = schema["definitions"][&name]["properties"].as_object().cloned().unwrap_or_default();
        let mut seen: Vec<String> = properties.keys().cloned().collect();
        seen.sort();
        findings.same_lines(&format!("keys of {name}"), &texts(&keys), &seen);
    }
}

/// The shape, and the effective configuration.
fn compare_support(world: &World, case: &Recording, findings: &mut Findings) {
    let support = output_json(world, case, findings);
    let shape = shape(&support);
    findings.same("shape", &case.value["support_shape"].to_string(), &shape.to_string());
    let config = support["config"].as_str().unwrap_or_default();
    findings.same("effective configuration", case.text("support_config"), &world.places.take_out(config));
    let line = world.places.take_out(support["cmdline"].as_str().unwrap_or_default());
    findings.same("command line", case.text("support_cmdline"), &line);
}

/// Types in the place of values.
fn shape(value: &Value) -> Value {
    match value {
        Value::Object(entries) => entries.iter().map(|(key, value)| (key.clone(), shape(value))).collect(),
        Value::Array(items) if items.iter().any(|item| item["variants"].is_array()) => {
            let first = items.first().and_then(Value::as_object).cloned().unwrap_or_default();
            let entry = first
                .iter()
                .map(|(key, value)| (key.clone(), if value.is_array() { "list".into() } else { shape(value) }));
            Value::Array(vec![entry.collect()])
        }
        Value::Array(_) => "list".into(),
        Value::String(_) => "str".into(),
        other => other.clone(),
    }
}

/// Placeholders that every case can use.
fn places(subject: &Subject, folder: &Path) -> Places {
    let mut places = Places::default();
    places.set("<falco>", subject.program().display().to_string());
    places.set("<plugins>", subject.plugins().display().to_string());
    places.set("<install>", subject.install.display().to_string());
    places.set("<dir>", folder.display().to_string());
    places
}
