//! `juju refresh` from the Python charm of the same name: from what it has left after each of its recorded hooks, and one
//! leftover after the other.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Mutex;

use charm_tests::falco_host::{FalcoHost, UNIT};
use charm_tests::juju::{Event, Outcome, Secret, State};
use charm_tests::machine::Action;
use charm_tests::vectors::{Vector, falco, folder};

use crate::world::{run, run_once};

/// How many machines there are at once; each of them waits for Falco most of the time.
const AT_ONCE: usize = 4;

const UNIT_FILE: &str = "/etc/systemd/system/falco.service";
const CLONE: &str = "/root/custom-falco-config-repository";
const KEY_FILE: &str = "/root/.ssh/id_rsa";
const KNOWN_HOSTS: &str = "/root/.ssh/known_hosts";

/// The recorded hooks after which a Falco of the Python charm runs.
fn recorded() -> Vec<Vector> {
    let all = folder::read(&folder::own()).unwrap_or_else(|problems| panic!("{problems}"));
    let runs = |vector: &Vector| {
        let files = vector.output.as_ref().map(|output| &output.files);
        vector.charm == "falco" && files.is_some_and(|files| files.contains_key("{SYSTEMD}/falco.service"))
    };
    // In the last hook of a relation it is still there for Juju, and afterwards it is not.
    all.into_iter().filter(|vector| runs(vector) && !vector.event.hook.ends_with("-broken")).collect()
}

/// The clone that the Python charm makes for the option, which leaves out port and ref.
fn clone(host: &FalcoHost, option: &str) {
    let (address, _) = option.rsplit_once('@').filter(|(before, _)| before.contains('@')).unwrap_or((option, ""));
    let text = format!("[remote \"origin\"]\n\turl = {}\n", address.replace(":2222", ""));
    host.machine.write(&format!("{CLONE}/.git/config"), text, 0o644).unwrap();
}

/// What another application sees of this one.
fn published(state: &State) -> Vec<(String, Vec<String>, String)> {
    let of_relation = |relation: &charm_tests::juju::Relation| {
        let is_ours = relation.endpoint == "cos-agent";
        let keys = relation.local_unit_data.keys().cloned().collect();
        // Alert rules and dashboards are ours, and under the same keys.
        let data = if is_ours {
            String::new()
        } else {
            format!("{:?} {:?}", relation.local_app_data, relation.local_unit_data)
        };
        (relation.full_id(), keys, data)
    };
    state.relations.iter().map(of_relation).collect()
}

#[test]
fn after_each_recorded_hook_of_the_python_charm_its_unit_is_taken_over_in_one_hook_by_one_restart() {
    let vectors = recorded();
    assert!(vectors.len() >= 15, "only {} of the recordings leave a Falco behind", vectors.len());
    let queue = Mutex::new(vectors.iter());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let Some(vector) = queue.lock().unwrap().next() else { return };
                    take_over(vector);
                }
            });
        }
    });
}

fn take_over(vector: &Vector) {
    let name = &vector.vector;
    let (host, state) = falco::left_behind(vector).unwrap_or_else(|problem| panic!("{name}: {problem}"));
    let option = state.config.get("custom-config-repository").and_then(|option| option.as_str()).map(str::to_owned);
    if host.machine.path(CLONE).exists() {
        clone(&host, option.as_deref().unwrap_or("git+ssh://git@git.example.com/org/settings.git"));
    }
    let text = |path: &str| fs::read_to_string(host.machine.path(path)).ok();
    let key = text(KEY_FILE);
    let known_hosts = text(KNOWN_HOSTS);
    let is_configured = state.config.contains_key("custom-config-repo-ssh-key");
    let had_clone = host.machine.path(CLONE).exists();

    let outcome = run_once(&host, &Event::upgrade_charm(), &state);
    let said = || format!("{name}:\n{}", outcome.report());
    // Without a gap longer than one restart, and by a unit file of ours.
    let actions: Vec<Action> = host.actions().into_iter().filter(|action| *action != Action::Enable).collect();
    assert_eq!(actions, [Action::Restart], "{}", said());
    assert!(host.machine.is_active(UNIT), "{}", said());
    assert!(host.text(UNIT_FILE).starts_with("# Written for the Juju unit falco/0"), "{}", said());
    // What is its own is gone, and what need not be is there.
    assert!(!host.context.charm_dir().join("falco").exists(), "{}", said());
    assert_eq!(text(KEY_FILE), key.filter(|_| !is_configured), "{}", said());
    assert_eq!(text(KNOWN_HOSTS), known_hosts, "{}", said());
    let is_left = had_clone && option.as_deref().is_none_or(str::is_empty);
    assert_eq!(host.machine.path(CLONE).exists(), is_left, "{}", said());
    for (path, is_there) in
        [(KNOWN_HOSTS, text(KNOWN_HOSTS).is_some()), (KEY_FILE, text(KEY_FILE).is_some()), (CLONE, is_left)]
    {
        assert_eq!(is_logged(&outcome, path), is_there, "{path}: {}", said());
    }
    // Whoever is related sees what it saw.
    assert_eq!(published(&outcome.state), published(&state), "{}", said());
    // The next hook has nothing left to do.
    let before = (host.files(), host.actions(), host.machine.main_pid(UNIT));
    run(&host, &Event::config_changed(), &outcome.state);
    assert_eq!((host.files(), host.actions(), host.machine.main_pid(UNIT)), before, "{}", said());
}

/// Is it logged that something was left where it is?
fn is_logged(outcome: &Outcome, path: &str) -> bool {
    let says = |text: &str| text.starts_with(&format!("{path} ")) && text.contains("left as it is");
    outcome.log.iter().any(|record| record.level == "WARNING" && says(&record.message))
}

#[test]
fn every_endpoint_and_option_of_the_python_charm_is_there_under_its_name() {
    let ours = charm_tests::juju::Metadata::read(charm_tests::programs::charmcraft("falco")).unwrap();
    let mut endpoints = BTreeSet::new();
    for vector in folder::read(&folder::own()).unwrap().iter().filter(|vector| vector.charm == "falco") {
        for relation in &vector.input.relations {
            endpoints.insert(relation.endpoint.clone());
            assert_eq!(ours.endpoints[&relation.endpoint].interface, relation.interface, "{}", vector.vector);
        }
        for option in vector.input.config.keys() {
            assert!(ours.options.contains_key(option), "{}: {option}", vector.vector);
        }
    }
    assert_eq!(endpoints, ["cos-agent", "general-info", "http-endpoint"].map(str::to_owned).into());
}

const SECRET: &str = "9m4e2mr0ui3e8a215n4g";
const OPTION: &str = "git+ssh://git@git.example.com/org/rules.git";

/// A unit of the Python charm that has had a repository, and all that this leaves behind.
fn with_repository() -> (FalcoHost, State) {
    let vector = recorded().into_iter().find(|vector| vector.vector == "upgrade_charm").expect("it was recorded");
    let (host, state) = falco::left_behind(&vector).unwrap();
    clone(&host, OPTION);
    host.machine.write(KEY_FILE, "the key\n", 0o600).unwrap();
    host.machine.write(KNOWN_HOSTS, "git.example.com ssh-rsa AAAA\n", 0o600).unwrap();
    let state = state
        .config("custom-config-repository", OPTION)
        .config("custom-config-repo-ssh-key", format!("secret:{SECRET}"))
        .secret(Secret::user(SECRET, "falco").revision([("value", "the key")]));
    (host, state)
}

/// Takes the unit over, and tells what is left of this.
fn left_of(path: &str, host: &FalcoHost, state: &State) -> bool {
    let outcome = run_once(host, &Event::upgrade_charm(), state);
    assert!(host.machine.is_active(UNIT), "{}", outcome.report());
    let is_left = host.machine.path(path).exists();
    assert_eq!(is_logged(&outcome, path), is_left, "{path}: {}", outcome.report());
    is_left
}

#[test]
fn the_key_goes_when_it_is_that_of_the_secret_and_only_then() {
    let (host, state) = with_repository();
    assert!(!left_of(KEY_FILE, &host, &state));
    let (host, state) = with_repository();
    host.machine.write(KEY_FILE, "a key of root\n", 0o600).unwrap();
    assert!(left_of(KEY_FILE, &host, &state));
    assert_eq!(host.text(KEY_FILE), "a key of root\n");
    let (host, mut state) = with_repository();
    state.secrets[0] = state.secrets[0].clone().revoked();
    assert!(left_of(KEY_FILE, &host, &state), "a secret that cannot be read proves nothing");
}

#[test]
fn the_clone_goes_when_it_is_of_the_repository_in_the_option_and_only_then() {
    let (host, state) = with_repository();
    assert!(!left_of(CLONE, &host, &state));
    let (host, state) = with_repository();
    assert!(left_of(
        CLONE,
        &host,
        &state.config("custom-config-repository", "git+ssh://git@git.example.com/org/other.git")
    ));
    let (host, mut state) = with_repository();
    state.config.remove("custom-config-repository");
    assert!(left_of(CLONE, &host, &state), "without the option nothing says whose it is");
}

#[test]
fn keys_of_hosts_and_whatever_else_root_has_stay() {
    let (host, state) = with_repository();
    for (path, text) in [("/root/.ssh/authorized_keys", "of somebody else\n"), ("/root/.ssh/config", "Host *\n")] {
        host.machine.write(path, text, 0o600).unwrap();
    }
    assert!(left_of(KNOWN_HOSTS, &host, &state));
    assert_eq!(host.text(KNOWN_HOSTS), "git.example.com ssh-rsa AAAA\n");
    assert_eq!(host.text("/root/.ssh/authorized_keys"), "of somebody else\n");
    assert_eq!(host.text("/root/.ssh/config"), "Host *\n");
}

#[test]
fn the_folder_in_the_charm_goes_last_and_only_when_our_falco_serves() {
    let (host, state) = with_repository();
    let folder = host.context.charm_dir().join("falco");
    // Ours cannot be installed: that of the Python charm goes on, and so does all that belongs to it.
    let process = host.machine.main_pid(UNIT);
    let none = State { resources: std::collections::BTreeMap::new(), ..state.clone() };
    let blocked = run(&host, &Event::upgrade_charm(), &none);
    assert_eq!(blocked.unit_status.name, "blocked", "{}", blocked.unit_status);
    assert_eq!(host.machine.main_pid(UNIT), process);
    for path in [KEY_FILE, CLONE, KNOWN_HOSTS] {
        assert!(host.machine.path(path).exists(), "{path}");
    }
    assert!(folder.join("usr/bin/falco").exists());
    run_once(&host, &Event::upgrade_charm(), &state);
    assert!(!folder.exists());
    assert_ne!(host.machine.main_pid(UNIT), process);
}

#[test]
fn a_unit_that_is_removed_before_it_was_taken_over_leaves_no_falco_behind() {
    let (host, state) = with_repository();
    let state = run_once(&host, &Event::remove(), &state).state;
    assert!(!host.machine.is_active(UNIT));
    assert!(!host.machine.path(UNIT_FILE).exists());
    run_once(&host, &Event::remove(), &state);
}
