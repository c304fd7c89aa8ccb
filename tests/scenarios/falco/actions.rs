//! Actions of the falco charm.

use charm_tests::falco_host::{FalcoHost, HTTP_ENDPOINT, UNIT, sidekick};
use charm_tests::juju::{Event, Outcome, State};
use charm_tests::machine::Action;

use crate::world::{run, settled};

const CONFIG: &str = "/etc/juju-falco/falco.yaml";

fn rules(word: &str) -> String {
    format!("- macro: {word}\n  condition: proc.name = {word}\n")
}

/// Runs an action that has to succeed.
#[track_caller]
fn act(host: &FalcoHost, action: &Event, state: &State) -> Outcome {
    let outcome = host.run(action, state);
    let action = outcome.action.as_ref().expect("it was an action");
    assert_eq!(action.status(), "completed", "{}", outcome.report());
    outcome
}

/// Runs an action that has to fail, and says what it says.
#[track_caller]
fn fails(host: &FalcoHost, action: &Event, state: &State) -> String {
    let outcome = host.run(action, state);
    let action = outcome.action.as_ref().expect("it was an action");
    assert_eq!(action.status(), "failed", "{}", outcome.report());
    action.message.clone()
}

fn result(outcome: &Outcome, key: &str) -> String {
    let action = outcome.action.as_ref().expect("it was an action");
    action.results.get(key).and_then(|value| value.as_str()).unwrap_or_default().to_owned()
}

/// After a Falcosidekick came that has published this URL.
#[track_caller]
fn related(host: &FalcoHost, state: State, url: &str) -> State {
    let relation = sidekick().remote_app("url", format!("\"{url}\""));
    run(host, &Event::relation_changed_by_app(HTTP_ENDPOINT), &state.relation(relation))
}

#[test]
fn validate_rules_judges_what_is_given_and_applies_nothing() {
    let (host, state) = settled();
    let before = (host.files(), host.actions());
    let good = act(&host, &Event::action("validate-rules").param("rules", rules("mine")), &state);
    assert_eq!(result(&good, "valid"), "true");
    let bad = "- rule: Broken\n  desc: x\n  condition: no.such_field = 1\n  output: x\n  priority: INFO\n";
    let message = fails(&host, &Event::action("validate-rules").param("rules", bad), &state);
    assert!(message.contains("Broken") && message.contains("no.such_field"), "{message}");
    let good = act(&host, &Event::action("validate-rules"), &state.clone().config("rules", rules("mine")));
    assert_eq!(result(&good, "valid"), "true");
    assert_eq!((host.files(), host.actions()), before);
}

#[test]
fn list_rules_tells_what_is_loaded_by_tag_and_priority() {
    let (host, state) = settled();
    let all: usize = result(&act(&host, &Event::action("list-rules"), &state), "count").parse().unwrap();
    assert!(all > 0);
    let none = act(&host, &Event::action("list-rules").param("tag", "no-such-tag"), &state);
    assert_eq!(result(&none, "count"), "0");
    let by_priority = act(&host, &Event::action("list-rules").param("priority", "warning"), &state);
    let count: usize = result(&by_priority, "count").parse().unwrap();
    assert!(count <= all);
}

#[test]
fn show_config_prints_the_configuration_without_passwords() {
    let (host, state) = settled();
    let state = related(&host, state, "http://user:hunter2@127.0.0.1:9/");
    assert!(host.text(CONFIG).contains("hunter2"));
    let shown = result(&act(&host, &Event::action("show-config"), &state), "falco-yaml");
    assert!(shown.contains("http://127.0.0.1:9/") && !shown.contains("hunter2"), "{shown}");
}

#[test]
fn reload_makes_falco_read_its_files_once_and_sets_the_status() {
    let (host, state) = settled();
    let before = host.actions().len();
    let outcome = act(&host, &Event::action("reload"), &state);
    assert_eq!(host.actions()[before..], [Action::Reload]);
    assert!(result(&outcome, "status").starts_with("active"), "{}", outcome.report());
    assert!(host.machine.is_active(UNIT));
}

#[test]
fn rollback_goes_back_one_generation_until_the_sources_change() {
    let (host, state) = settled();
    let message = fails(&host, &Event::action("rollback-rules"), &state);
    assert!(message.contains("no generation"), "{message}");
    let state = run(&host, &Event::config_changed(), &state.config("rules", rules("one")));
    let one = host.text(CONFIG);
    let state = run(&host, &Event::config_changed(), &state.config("rules", rules("two")));
    let two = host.text(CONFIG);

    let state = act(&host, &Event::action("rollback-rules"), &state).state;
    assert_eq!(host.text(CONFIG), one);
    assert!(state.unit_status.message.contains("rollback-rules"), "{}", state.unit_status);
    let state = run(&host, &Event::update_status(), &state);
    assert_eq!(host.text(CONFIG), one, "it holds");

    let state = act(&host, &Event::action("rollback-rules").param("undo", true), &state).state;
    assert_eq!(host.text(CONFIG), two);
    assert!(fails(&host, &Event::action("rollback-rules").param("undo", true), &state).contains("nothing"));

    let state = act(&host, &Event::action("rollback-rules"), &state).state;
    let state = run(&host, &Event::config_changed(), &state.config("rules", rules("three")));
    assert!(!state.unit_status.message.contains("rollback-rules"), "{}", state.unit_status);
    let state = run(&host, &Event::config_changed(), &state.config("rules", rules("two")));
    assert_eq!(host.text(CONFIG), two, "the decision was about a change that is over");
    drop(state);
}

#[test]
fn sync_without_a_repository_says_which_option_is_missing() {
    let (host, state) = settled();
    assert!(fails(&host, &Event::action("sync"), &state).contains("custom-config-repository"));
}

#[test]
fn actions_on_a_unit_without_falco_say_so() {
    let host = FalcoHost::new();
    for name in ["list-rules", "show-config"] {
        let message = fails(&host, &Event::action(name), &host.fresh());
        assert!(message.contains("not installed"), "{name}: {message}");
    }
}

#[test]
fn test_alert_is_noticed_and_says_whether_it_was_sent() {
    let (host, state) = settled();
    let outcome = act(&host, &Event::action("test-alert"), &state);
    assert!(result(&outcome, "delivery").starts_with("not sent"), "{}", outcome.report());
    let alert = result(&outcome, "alert");
    for part in ["Read sensitive file untrusted", "/etc/shadow", "\"juju_unit\":\"falco/0\""] {
        assert!(alert.contains(part), "{part}: {alert}");
    }
    let sink = charm_tests::sink::Sink::start();
    let state = related(&host, state, &sink.url());
    let outcome = act(&host, &Event::action("test-alert"), &state);
    assert_eq!(result(&outcome, "delivery"), "sent", "{}", outcome.report());
    assert!(result(&outcome, "alert").contains("Read sensitive file untrusted"), "{}", outcome.report());
    let received = charm_tests::falco_host::eventually("the alert", || sink.received().into_iter().next());
    assert_eq!(received["rule"], "Read sensitive file untrusted");
}

#[test]
fn test_alert_says_why_it_was_not_delivered_and_shows_the_alert_all_the_same() {
    let (host, state) = settled();
    let state = related(&host, state, "http://127.0.0.1:9/");
    let outcome = host.run(&Event::action("test-alert"), &state);
    let action = outcome.action.as_ref().expect("it was an action");
    assert!(action.status() == "failed" && action.message.contains("was not delivered"), "{}", outcome.report());
    assert!(result(&outcome, "delivery").starts_with("failed: "), "{}", outcome.report());
    assert!(result(&outcome, "alert").contains("Read sensitive file untrusted"), "{}", outcome.report());
}

#[test]
fn a_support_bundle_has_no_secret_in_it_and_no_one_else_can_read_it() {
    use std::os::unix::fs::PermissionsExt as _;
    let (host, state) = settled();
    let state = related(&host, state, "http://user:hunter2@127.0.0.1:9/");
    let outcome = act(&host, &Event::action("support-bundle"), &state);
    let file = host.machine.path(&result(&outcome, "file"));
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let unpacked = std::process::Command::new("tar").arg("-xzOf").arg(&file).output().unwrap();
    let text = String::from_utf8_lossy(&unpacked.stdout).into_owned();
    assert!(unpacked.status.success() && text.contains("listen_port") && !text.contains("hunter2"), "{text}");
    host.run(&Event::remove(), &outcome.state);
    assert!(!file.exists());
}
