//! What operators ask a unit for: where alerts go, with what configuration, and whether one arrives.

use std::collections::BTreeMap;

use charm_tests::juju::{Event, Secret, State};
use charm_tests::loki::Answer;
use charm_tests::ports::free_port;
use charm_tests::sink::Sink;
use serde_json::Value;

use crate::outputs::wait_for;
use crate::world::{CONTAINER, World};

const SECRET: &str = "9m4e2mr0ui3e8a215n4g";
const MARK: &str = "hunter2hunter2";

/// The results of an action, which must not hold the secret; and the text with which it failed.
#[track_caller]
fn run(world: &World, action: &Event, state: &State) -> (BTreeMap<String, Value>, String) {
    let outcome = world.action_with(action, state).expect_success();
    assert!(!outcome.report().contains(MARK), "{}", outcome.report());
    let action = outcome.action.clone().unwrap();
    assert!(!format!("{action:?}").contains(MARK), "{action:?}");
    assert_eq!(outcome.state.unit_status, state.unit_status, "an action is no hook");
    (action.results, action.message)
}

/// Text at a place of the results.
fn text<'a>(results: &'a BTreeMap<String, Value>, path: &[&str]) -> &'a str {
    let mut value = &results[path[0]];
    for part in &path[1..] {
        value = &value[*part];
    }
    value.as_str().unwrap_or_else(|| panic!("{path:?} is not in {results:?}"))
}

#[test]
fn a_test_alert_arrives_at_every_output_and_is_known_as_one() {
    let (world, state) = World::settled();
    let sink = Sink::start();
    let state = state.config("outputs", format!("webhook: {{address: '{}'}}", sink.url()));
    let state = world.run(&Event::config_changed(), &state.config("minimum-priority", "error")).state;
    let process = world.process();
    let (results, failure) = run(&world, &Event::action("test-alert"), &state);
    assert_eq!(failure, "");
    assert_eq!((text(&results, &["loki"]), text(&results, &["webhook"])), ("delivered", "delivered"));
    assert_eq!((text(&results, &["rule"]), text(&results, &["priority"])), ("Juju test alert", "critical"));
    wait_for(&sink, 1, &world);
    let alert = &sink.received()[0];
    assert_eq!((alert["rule"].as_str(), alert["priority"].as_str()), (Some("Juju test alert"), Some("Critical")));
    assert!(alert["output"].as_str().unwrap().contains("sent from sidekick/0 by the action test-alert"), "{alert}");
    assert_eq!(world.loki.entries()[0].labels["juju_unit"], "sidekick/0");
    assert_eq!(world.process(), process);
}

#[test]
fn a_test_alert_that_does_not_arrive_fails_with_the_reason_and_without_secrets() {
    let (world, state) = World::settled();
    let closed = free_port();
    let content = Secret::user(SECRET, "sidekick")
        .revision([("webhook-address", format!("http://127.0.0.1:{closed}/{MARK}?token={MARK}").as_str())]);
    let state = state.config("outputs-secret", format!("secret:{SECRET}")).secret(content);
    let state = world.run(&Event::config_changed(), &state).state;
    let (results, failure) = run(&world, &Event::action("test-alert"), &state);
    assert_eq!(failure, "the alert is not known to have arrived: webhook");
    assert_eq!(text(&results, &["loki"]), "delivered");
    let webhook = text(&results, &["webhook"]);
    assert!(webhook.starts_with("failed: ") && webhook.contains("refused"), "{webhook}");
}

#[test]
fn a_test_alert_below_the_least_priority_is_told_not_to_have_been_sent() {
    let (world, state) = World::settled();
    let sink = Sink::start();
    let text_of = format!("webhook: {{address: '{}', minimumpriority: alert}}", sink.url());
    let state = world.run(&Event::config_changed(), &state.config("outputs", text_of)).state;
    let (results, failure) = run(&world, &Event::action("test-alert").param("priority", "notice"), &state);
    assert_eq!(failure, "");
    assert_eq!(text(&results, &["webhook"]), "not sent: it has a least priority of alert");
    assert_eq!(text(&results, &["loki"]), "delivered");
    let (_, failure) = run(&world, &Event::action("test-alert").param("priority", "loud"), &state);
    assert!(failure.starts_with("priority: \"loud\" is not one of emergency"), "{failure}");
}

#[test]
fn outputs_are_listed_with_hosts_and_without_secrets() {
    let (world, state) = World::settled();
    let (sink, closed) = (Sink::start(), free_port());
    let content = Secret::user(SECRET, "sidekick")
        .revision([("slack-webhookurl", format!("http://127.0.0.1:{closed}/{MARK}").as_str()), ("token", MARK)]);
    let outputs = format!(
        "slack: {{webhookurl: 'secret:{SECRET}/slack-webhookurl'}}\n\
         webhook: {{address: '{}', minimumpriority: error, customheaders: {{X-Token: 'secret:{SECRET}/token'}}}}\n\
         logstash: {{address: 127.0.0.1, port: {closed}}}",
        sink.url()
    );
    let state = world.run(&Event::config_changed(), &state.config("outputs", outputs).secret(content)).state;
    world.deliver(world.port);
    let slack = "falcosecurity_falcosidekick_outputs_total{destination=\"slack\",status=\"error\"}";
    world.counted(world.port, slack, 1);
    let state = world.run(&Event::update_status(), &state).state;

    let (results, failure) = run(&world, &Event::action("list-outputs"), &state);
    assert_eq!(failure, "");
    let shown = |output: &str, name: &str| text(&results, &[output, name]).to_owned();
    assert_eq!(shown("slack", "to"), format!("http://127.0.0.1:{closed}"));
    assert_eq!(shown("slack", "secrets"), format!("webhookurl from secret:{SECRET}/slack-webhookurl"));
    assert_eq!(shown("slack", "seen"), "0 ok, 1 errors; the last ones failed");
    assert_eq!((shown("slack", "enabled"), shown("slack", "minimum-priority")), ("yes".into(), "debug".into()));
    assert_eq!(shown("webhook", "minimum-priority"), "error");
    assert_eq!(shown("webhook", "secrets"), format!("customheaders from secret:{SECRET}/token"));
    assert!(shown("logstash", "enabled").starts_with("no: "), "{results:?}");
    assert_eq!((shown("loki", "seen").as_str(), shown("loki", "secrets").as_str()), ("1 ok, 0 errors", "none"));
}

#[test]
fn the_configuration_is_shown_as_it_is_written_but_for_its_secrets() {
    let (world, state) = World::settled();
    let sink = Sink::start();
    let content = Secret::user(SECRET, "sidekick").revision([("token", MARK)]);
    let outputs = format!(
        "webhook: {{address: '{}', customheaders: {{X-Token: 'secret:{SECRET}/token'}}}}\n\
         alertmanager: {{hostport: ['http://127.0.0.1:1'], extralabels: {{a: 'secret:{SECRET}/token', b: c}}}}",
        sink.url()
    );
    let state = state.config("outputs", outputs).config("custom-fields", "site: berlin").secret(content);
    let state = world.run(&Event::config_changed(), &state).state;
    let (results, failure) = run(&world, &Event::action("show-config"), &state);
    assert_eq!((failure.as_str(), text(&results, &["in-place"])), ("", "yes"));
    let shown = text(&results, &["falcosidekick-yaml"]).to_owned();
    for part in ["[redacted]", "berlin", sink.url().as_str(), world.loki.url().as_str()] {
        assert!(shown.contains(part), "{part} is not in\n{shown}");
    }
    let written = std::fs::read_to_string(world.path("/etc/falcosidekick/falcosidekick.yaml")).unwrap();
    assert_eq!(shown.lines().count(), written.lines().count(), "nothing is left out:\n{shown}\n{written}");

    let (results, _) = run(&world, &Event::action("show-config"), &state.config("custom-tags", "new"));
    assert_eq!(text(&results, &["in-place"]), "no, the next hook writes it");
}

#[test]
fn actions_about_outputs_fail_with_the_reason_while_falcosidekick_is_not_to_run() {
    let world = World::new();
    let state = world.run(&Event::pebble_ready(CONTAINER), &world.bare()).state;
    for name in ["list-outputs", "show-config", "test-alert"] {
        let (results, failure) = run(&world, &Event::action(name), &state);
        assert!(failure.contains("send-loki-logs: add a relation to Loki"), "{name}: {failure}");
        assert!(results.keys().all(|key| key == "return-code"), "{results:?}");
    }
    let (_, failure) = run(&world, &Event::action("list-outputs"), &state.config("outputs", "slak: {}"));
    assert!(failure.contains("is not to run: outputs: slak: "), "{failure}");
}

#[test]
fn a_test_alert_is_not_waited_for_longer_than_it_may_be() {
    let (world, state) = World::settled();
    world.loki.answer(Answer::Hang);
    let (results, failure) = run(&world, &Event::action("test-alert"), &state);
    world.loki.answer(Answer::Take);
    assert_eq!(text(&results, &["loki"]), "not known: nothing came back within 10 s");
    assert_eq!(failure, "the alert is not known to have arrived: loki");
}

#[test]
fn a_test_alert_fails_when_nobody_takes_it() {
    let (world, state) = World::settled();
    world.pebble_command(&["stop", "falcosidekick"]);
    let (_, failure) = run(&world, &Event::action("test-alert"), &state);
    assert!(failure.starts_with("falcosidekick does not answer: "), "{failure}");
    world.assert_stopped();
}
