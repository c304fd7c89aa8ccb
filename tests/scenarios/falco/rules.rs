//! The operator's own rules and overrides: checked by Falco, put to use in one step, and taken back in one step.

use std::fs;
use std::path::Path;

use charm_tests::falco_host::{FalcoHost, UNIT};
use charm_tests::juju::{Event, State};
use charm_tests::machine::Action;

use crate::world::{run, run_once, settled};

const CONFIG: &str = "/etc/juju-falco/falco.yaml";
const GENERATIONS: &str = "/etc/juju-falco/generations";

/// A rule that Falco takes, and that never matches.
fn rule(name: &str) -> String {
    format!(
        "- rule: {name}\n  desc: for a test\n  condition: evt.type = open and proc.name = {}\n  output: seen\n  priority: WARNING\n  tags: [mine]\n",
        name.to_lowercase().replace(' ', "-")
    )
}

/// A rule whose condition names a field that does not exist, on line 3 of its file.
fn bad_rule() -> String {
    "- rule: Broken\n  desc: for a test\n  condition: no.such_field = 1\n  output: seen\n  priority: WARNING\n"
        .to_owned()
}

/// The target of one of the two links.
fn link(host: &FalcoHost, name: &str) -> Option<String> {
    let target = fs::read_link(host.machine.path(GENERATIONS).join(name)).ok()?;
    target.to_str().map(str::to_owned)
}

fn generations(host: &FalcoHost) -> usize {
    let names = fs::read_dir(host.machine.path(GENERATIONS)).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter(|name| name.to_str().is_some_and(|name| name.len() == 12)).count()
}

#[track_caller]
fn message_of(state: &State, status: &str) -> String {
    assert_eq!(state.unit_status.name, status, "{}", state.unit_status);
    state.unit_status.message.clone()
}

#[test]
fn inline_rules_are_loaded_behind_the_default_ones_by_one_reload() {
    let (host, state) = settled();
    let (process, before) = (host.machine.main_pid(UNIT), host.actions().len());
    let state = run(&host, &Event::config_changed(), &state.config("rules", rule("Mine")));
    message_of(&state, "active");
    assert_eq!((&host.actions()[before..], host.machine.main_pid(UNIT)), (&[Action::Reload][..], process));
    assert!(host.has_loaded("rules.yaml") && host.has_loaded("falco_rules.yaml"), "{}", host.metrics());
    let state = run(&host, &Event::config_changed(), &state.config("rules", ""));
    message_of(&state, "active");
    assert!(!host.has_loaded("rules.yaml"), "{}", host.metrics());
}

#[test]
fn bad_rules_are_named_by_line_and_rule_and_what_runs_goes_on_untouched() {
    let (host, state) = settled();
    let state = run(&host, &Event::config_changed(), &state.config("rules", rule("Mine")));
    let (process, before, config) = (host.machine.main_pid(UNIT), host.actions().len(), host.text(CONFIG));
    let state = run(&host, &Event::config_changed(), &state.config("rules", bad_rule()));
    let message = message_of(&state, "blocked");
    assert!(message.starts_with("rules"), "{message}");
    for part in ["Broken", "no.such_field", "line 3"] {
        assert!(message.contains(part), "{part}: {message}");
    }
    assert!(!message.contains(GENERATIONS) && !message.contains("candidate"), "{message}");
    assert_eq!((host.actions().len(), host.machine.main_pid(UNIT), host.text(CONFIG)), (before, process, config));
    let state = run(&host, &Event::config_changed(), &state.config("rules", rule("Better")));
    message_of(&state, "active");
}

#[test]
fn what_falco_rejected_once_is_not_tried_again_in_every_hook() {
    let (host, state) = settled();
    let state = run(&host, &Event::config_changed(), &state.config("rules", bad_rule()));
    let program = falco(&host);
    let beside = program.with_extension("beside");
    fs::rename(&program, &beside).unwrap();
    // The running process needs its file no more; whoever starts it is noticed.
    host.machine.write(below(&host, &program), "#!/bin/sh\ntouch \"$0.was-started\"\nexit 1\n", 0o755).unwrap();
    let again = run_once(&host, &Event::update_status(), &state).state;
    assert_eq!(again.unit_status, state.unit_status);
    assert!(!Path::new(&format!("{}.was-started", program.display())).exists());
    fs::rename(&beside, &program).unwrap();
}

#[test]
fn bad_rules_on_a_fresh_unit_leave_it_the_default_rules() {
    let host = FalcoHost::new();
    let state = run(&host, &Event::install(), &host.fresh().config("rules", bad_rule()));
    assert!(message_of(&state, "blocked").contains("Broken"));
    assert!(host.machine.is_active(UNIT) && host.has_loaded("falco_rules.yaml"), "{}", host.metrics());
}

#[test]
fn bad_rules_do_not_keep_alerts_from_a_new_address() {
    let (host, state) = settled();
    let state = run(&host, &Event::config_changed(), &state.config("rules", bad_rule()));
    let relation = charm_tests::falco_host::sidekick().remote_app("url", "\"http://127.0.0.1:9/\"");
    let event = Event::relation_changed_by_app(charm_tests::falco_host::HTTP_ENDPOINT);
    let state = run(&host, &event, &state.relation(relation));
    assert!(message_of(&state, "blocked").contains("Broken"));
    assert!(host.text(CONFIG).contains("url: http://127.0.0.1:9/"));
}

#[test]
fn the_last_two_generations_are_kept() {
    let (host, mut state) = settled();
    let mut ids = Vec::new();
    for name in ["One", "Two", "Three"] {
        state = run(&host, &Event::config_changed(), &state.config("rules", rule(name)));
        message_of(&state, "active");
        ids.extend(link(&host, "current"));
    }
    assert_eq!(ids.len(), 3);
    assert_eq!((link(&host, "current"), link(&host, "previous")), (ids.pop(), ids.pop()));
    assert_eq!(generations(&host), 2);
}

#[test]
fn rules_are_disabled_and_enabled_by_options_and_a_name_that_matches_nothing_is_remarked() {
    let (host, state) = settled();
    let state = state.config("rules", rule("Mine")).config("disabled-rules", "tag:mine, No Such*");
    let state = run(&host, &Event::config_changed(), &state);
    let message = message_of(&state, "active");
    assert!(message.contains("disabled-rules") && message.contains("No Such*"), "{message}");
    let outcome = host.run(&Event::action("list-rules").param("tag", "mine"), &state);
    let action = outcome.action.expect("it was an action");
    assert_eq!(action.results["count"], "1", "{action:?}");
    assert!(action.results["rules"].as_str().unwrap().contains("enabled: false"), "{action:?}");
}

#[test]
fn overrides_change_their_keys_and_owned_ones_are_refused_by_name() {
    let (host, state) = settled();
    let good = state.clone().config("falco-config", "metrics: {interval: 5m}");
    let state = run(&host, &Event::config_changed(), &good);
    message_of(&state, "active");
    assert!(host.text(CONFIG).contains("interval: 5m"));
    for (text, named) in [
        ("http_output: {insecure: true}", "http_output"),
        ("program_output: {enabled: true, program: x}", "program_output"),
        ("load_plugins: [json]", "load_plugins"),
        ("webserver: {listen_address: 0.0.0.0}", "webserver"),
        ("rules_files: []", "rules_files"),
        ("priority: error", "priority"),
        ("{", "falco-config"),
        ("[]", "falco-config"),
    ] {
        let state = run(&host, &Event::config_changed(), &state.clone().config("falco-config", text));
        let message = message_of(&state, "blocked");
        assert!(message.contains("falco-config") && message.contains(named), "{text}: {message}");
        assert!(host.text(CONFIG).contains("interval: 5m"), "the last good ones stay");
    }
}

#[test]
fn a_memory_limit_and_another_engine_are_restarts_and_the_rest_are_reloads() {
    let (host, mut state) = settled();
    for (option, value, action) in [
        ("memory-limit", "512M", Action::Restart),
        ("engine", "nodriver", Action::Reload),
        ("engine", "modern_ebpf", Action::Reload),
        ("buffer-size-preset", "6", Action::Reload),
        ("drop-failed-exit", "true", Action::Reload),
        ("extra-labels", "team=blue", Action::Reload),
    ] {
        let before = host.actions().len();
        state = match value.parse::<i64>() {
            Ok(number) => state.config(option, number),
            Err(_) => match value.parse::<bool>() {
                Ok(switch) => state.config(option, switch),
                Err(_) => state.config(option, value),
            },
        };
        state = run(&host, &Event::config_changed(), &state);
        message_of(&state, "active");
        assert_eq!(host.actions()[before..], [action], "{option}");
    }
    assert!(host.text("/etc/systemd/system/falco.service").contains("\nMemoryMax=512M\n"));
}

#[test]
fn ten_thousand_rules_are_applied_in_one_hook() {
    let (host, state) = settled();
    let rule =
        |number| format!("- {{rule: R{number}, desc: d, condition: evt.type = open, output: o, priority: INFO}}\n");
    let rules: String = (0..10_000).map(rule).collect();
    let before = host.actions().len();
    let state = run(&host, &Event::config_changed(), &state.config("rules", rules));
    message_of(&state, "active");
    assert_eq!(host.actions()[before..], [Action::Reload]);
}

/// The path of something on the machine, as the machine knows it.
fn below<'a>(host: &FalcoHost, path: &'a Path) -> &'a str {
    let root = host.machine.root().to_str().unwrap();
    path.to_str().unwrap().strip_prefix(root).unwrap()
}

/// The program of the installed distribution.
fn falco(host: &FalcoHost) -> std::path::PathBuf {
    let folder = host.machine.path("/opt/juju-falco");
    let folders = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    folders.filter(|path| path.is_dir()).last().expect("a distribution is installed").join("usr/bin/falco")
}
