//! What has to hold after every hook.
//!
//! Falco may be started when it does not run. It may be restarted when it does not run either, when it was started with
//! another unit file than the one that is there now (another program, other bounds), when it did not take in what it
//! was told to reload in the same hook, and to go back from a configuration with which it did not stay up. It may be
//! told to reload when its configuration file was not what it is now, when what it has loaded afterwards is something
//! else than before, when it could not say what that was or somebody was at its files, or when an operator asks for it.
//! For nothing else is it touched, and nobody but a removal stops it.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use charm_tests::falco_host::{FalcoHost, UNIT, eventually};
use charm_tests::juju::{Event, Outcome};
use charm_tests::machine::Action;
use falco_charm::render::unit::{DIGEST_VARIABLE, digest_in};
use nix::unistd::Pid;

use super::Life;
use super::fault::Fault;
use crate::world::{MOST_HOOK_COMMANDS, WRITES, check_databags};

/// Programs are larger. They are as they came, and nobody has written anything into them.
const LARGEST_TEXT: u64 = 4 * 1024 * 1024;

/// Hook commands that tell something, and ask nothing.
const TELLING: [&str; 4] = ["application-version-set", "juju-log", "relation-set", "status-set"];

/// What there was before a hook.
pub struct Before {
    actions: usize,
    process: Option<Pid>,
    /// What the process was started with.
    digest: Option<String>,
    /// What one would be started with.
    would_be: Option<String>,
    /// What it has loaded; empty if it does not say.
    loaded: Vec<String>,
    configuration: Option<Vec<u8>>,
    files: Vec<(PathBuf, String)>,
}

impl Before {
    pub fn of(life: &Life) -> Self {
        let process = life.host.machine.main_pid(UNIT);
        Self {
            actions: life.host.actions().len(),
            process,
            digest: process.and_then(started_with),
            would_be: in_unit_file(&life.host),
            loaded: loaded(life),
            configuration: configuration(&life.host),
            files: files(&life.host),
        }
    }
}

fn in_unit_file(host: &FalcoHost) -> Option<String> {
    let text = fs::read(host.machine.path("/etc/systemd/system/falco.service")).ok()?;
    digest_in(&text).map(|digest| digest.to_string())
}

fn configuration(host: &FalcoHost) -> Option<Vec<u8>> {
    fs::read(host.machine.path("/etc/juju-falco/falco.yaml")).ok()
}

/// The digest in the environment of a process.
fn started_with(process: Pid) -> Option<String> {
    let environment = fs::read(format!("/proc/{process}/environ")).ok()?;
    let text = String::from_utf8_lossy(&environment).into_owned();
    let value = text.split('\0').find_map(|entry| entry.strip_prefix(DIGEST_VARIABLE)?.strip_prefix('='));
    value.map(str::to_owned)
}

/// The digests of what Falco has loaded.
pub fn loaded(life: &Life) -> Vec<String> {
    let answers = life.ports.map(FalcoHost::metrics_at);
    let lines = answers.iter().flat_map(|answer| answer.lines()).filter(|line| line.contains("sha256_"));
    let mut lines: Vec<String> = lines.map(str::to_owned).collect();
    lines.sort();
    lines
}

/// What the charm may have written, but for what is forgotten at a boot.
fn files(host: &FalcoHost) -> Vec<(PathBuf, String)> {
    let run = host.machine.path("/run");
    host.files().into_iter().filter(|(path, _)| !path.starts_with(&run)).collect()
}

/// A hook that something was wrong with.
pub fn of_fault(life: &Life, before: &Before, event: &Event, fault: Fault, outcome: &Outcome) {
    let said = outcome.report();
    assert!(outcome.is_success() || fault.may_fail(outcome.exit), "{fault:?} is no reason for this:\n{said}");
    of_all(life, before, event, outcome);
    // What the tracer saw has the command lines of all processes, those of the charm's own children among them.
    let seen = fs::read_to_string(life.folder.path().join("effects")).unwrap_or_default();
    assert_eq!(life.secrets.in_text(&seen), None, "a secret in what the charm did:\n{seen}");
}

/// A hook that nothing was wrong with.
pub fn of_hook(life: &mut Life, before: &Before, event: &Event, outcome: &Outcome) {
    life.hooks += 1;
    let said = outcome.report();
    assert!(outcome.is_success(), "the hook failed:\n{said}");
    let status = &outcome.state.unit_status;
    // The last word of a stop is Juju's, and an action says nothing of the unit.
    let is_said = *event != Event::stop() && event.action_name().is_none();
    assert!(!is_said || ["active", "blocked", "waiting"].contains(&status.name.as_str()), "the status is {status}");
    of_all(life, before, event, outcome);
}

fn of_all(life: &Life, before: &Before, event: &Event, outcome: &Outcome) {
    let said = outcome.report();
    assert!(!outcome.timed_out && !outcome.stderr.contains("panicked"), "{said}");
    check_databags(&life.host, &outcome.state);
    let is_action = event.action_name().is_some();
    let asked = outcome.calls.iter().filter(|call| call.is_hook_command);
    let asked = asked.map(|call| call.invocation.name.as_str()).filter(|name| !TELLING.contains(name));
    let asked = asked.filter(|name| !["secret-get", "resource-get"].contains(name)).count();
    assert!(asked <= MOST_HOOK_COMMANDS || is_action, "{asked} hook commands are too many:\n{said}");
    of_service(life, before, event, outcome);
    of_secrets(life, outcome);
}

/// Nothing was done to Falco without a reason.
fn of_service(life: &Life, before: &Before, event: &Event, outcome: &Outcome) {
    let host = &life.host;
    let status = outcome.state.unit_status.message.as_str();
    let actions = host.actions();
    let actions = &actions[before.actions..];
    let told = || format!("{}: {actions:?} without a reason:\n{}", life.name(event), outcome.report());
    let went_back = status.contains("does not stay up") || status.contains("does not load it");
    let wanted = in_unit_file(host);
    let mut runs = before.process.is_some();
    let mut started_with = before.digest.clone();
    let mut is_same = true;
    for (index, action) in actions.iter().enumerate() {
        match action {
            Action::Start => assert!(!runs, "{}", told()),
            Action::Restart => {
                let was_reloaded = index > 0 && actions[index - 1] == Action::Reload;
                assert!(!runs || started_with != wanted || was_reloaded || went_back, "{}", told());
            }
            Action::Reload => {
                let was_rewritten = before.configuration != configuration(host);
                // Falco may notice only later what was done to its files.
                let is_known =
                    is_same && !life.was_disturbed && !before.loaded.is_empty() && !actions.contains(&Action::Restart);
                let has_reason = event.action_name() == Some("reload")
                    || was_rewritten
                    || !is_known
                    || went_back
                    || serving(life) != before.loaded;
                assert!(has_reason, "{}", told());
            }
            // By itself: it was killed, went round in crashes already, or does not live with what it was told.
            Action::End => assert!(life.was_disturbed || went_back || before.process.is_none(), "{}", told()),
            Action::Stop | Action::Disable => panic!("{}", told()),
            Action::DaemonReload | Action::Enable | Action::AutoRestart => {}
        }
        match action {
            Action::Start | Action::Restart => {
                (runs, is_same) = (true, false);
                started_with.clone_from(&wanted);
            }
            // By systemd, which may have done it before the charm wrote anything.
            Action::AutoRestart => {
                (runs, is_same) = (true, false);
                started_with.clone_from(&before.would_be);
            }
            Action::End | Action::Stop => (runs, is_same) = (false, false),
            Action::Reload | Action::DaemonReload | Action::Enable | Action::Disable => {}
        }
    }
    if is_same {
        assert_eq!(host.machine.main_pid(UNIT), before.process, "{}: another process", life.name(event));
    }
}

/// What Falco has loaded, once it says so: two reloads one after the other leave it silent for a moment.
pub fn serving(life: &Life) -> Vec<String> {
    eventually("an answer of Falco", || Some(loaded(life)).filter(|loaded| !loaded.is_empty()))
}

/// No secret stands where somebody sees it.
fn of_secrets(life: &Life, outcome: &Outcome) {
    let secrets = &life.secrets;
    let said = outcome.report();
    assert_eq!(secrets.in_text(&said), None, "a secret in what the charm said:\n{said}");
    for change in &outcome.statuses {
        assert_eq!(secrets.in_text(&change.status.message), None, "a secret in a status: {}", change.status);
    }
    for relation in &outcome.state.relations {
        let databags = [&relation.local_app_data, &relation.local_unit_data];
        for value in databags.into_iter().flat_map(|databag| databag.values()) {
            assert_eq!(secrets.in_text(value), None, "a secret in a databag of {}: {value}", relation.full_id());
        }
    }
    for entry in life.host.machine.journal(UNIT) {
        assert_eq!(secrets.in_text(&entry.message), None, "a secret in the journal: {}", entry.message);
    }
    let root = life.host.machine.root();
    for folder in ["etc", "opt", "root", "run", "tmp", "usr", "var"] {
        of_readable_files(life, &root.join(folder));
    }
}

/// Whatever any user of the machine can read.
fn of_readable_files(life: &Life, path: &Path) {
    // What goes away meanwhile is nothing that the charm left.
    let Ok(metadata) = fs::symlink_metadata(path) else { return };
    let mode = metadata.mode();
    if metadata.is_dir() && mode & 0o001 != 0 {
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            of_readable_files(life, &entry.path());
        }
    } else if metadata.is_file() && mode & 0o004 != 0 && metadata.len() < LARGEST_TEXT {
        let content = fs::read(path).unwrap_or_default();
        let found = life.secrets.in_text(&String::from_utf8_lossy(&content)).map(str::to_owned);
        assert_eq!(found, None, "a secret that everybody can read in {}", path.display());
    }
}

/// A hook that ran before has nothing left to do.
pub fn of_steady(life: &Life, before: &Before, event: &Event, first: &Outcome, again: &Outcome) {
    let said = || format!("{} once more:\n{}\nfirst:\n{}", life.name(event), again.report(), first.report());
    let status = &first.state.unit_status.message;
    if status.contains("does not stay up") || status.contains("does not say") {
        return; // It is tried again.
    }
    let writes = again.call_lines();
    // A repository that cannot be had is asked for again, and the answer logged again.
    let is_told_again = |line: &str| line.starts_with("juju-log") && line.contains("the repository stays as it is");
    let is_write = |line: &str| WRITES.iter().any(|name| line.starts_with(name)) && !is_told_again(line);
    let writes: Vec<&String> = writes.iter().filter(|line| is_write(line)).collect();
    // Alerts get lost while hooks run, or get through again.
    if ![first, again].iter().any(|outcome| outcome.state.unit_status.message.contains("alerts do not arrive")) {
        assert!(writes.is_empty(), "{}", said());
        assert_eq!(again.state, first.state, "{}", said());
    }
    let by_itself = |action: &&Action| matches!(action, Action::End | Action::AutoRestart);
    let actions = life.host.actions();
    assert!(actions[before.actions..].iter().all(|action| by_itself(&action)), "{}", said());
    assert_eq!(files(&life.host), before.files, "{}", said());
    // One for each secret, and one in the hook that tells of new resources.
    let allowed = MOST_HOOK_COMMANDS + again.calls_of("secret-get").count() + again.calls_of("resource-get").count();
    assert!(again.hook_commands() - again.calls_of("juju-log").count() <= allowed, "{}", said());
}
