//! Where alerts go.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use charm_tests::falco_host::eventually;
use charm_tests::juju::state::Life;
use charm_tests::juju::{Event, Relation, Secret, State, Status};
use charm_tests::loki::LokiReceiver;
use charm_tests::ports::free_port;
use charm_tests::sink::Sink;
use serde_json::json;

use crate::world::{CONTAINER, LOKI, World, falco_relation, loki_relation, published};

/// The state with another relation to Loki.
fn with_loki(state: &State, relation: Relation) -> State {
    let local = state.relation_by_id(LOKI).local_app_data.clone();
    let relation = Relation { local_app_data: local, ..relation };
    state.clone().without_relation(LOKI).relation(relation)
}

#[test]
fn without_loki_nothing_is_taken_any_more_and_with_it_again_everything_is_back() {
    let (world, mut state) = World::settled();
    let relation = state.relation_by_id(LOKI).clone();
    *state.relation_by_id_mut(LOKI) = relation.clone().broken();
    let state = world.run(&Event::relation_broken(LOKI), &state).state;
    assert!(state.unit_status.message.starts_with("send-loki-logs: add a relation"), "{}", state.unit_status);
    assert_eq!((published(&state), state.port_list().len()), (None, 0));
    world.assert_stopped();

    let state = state.without_relation(LOKI);
    let state = world.run(&Event::relation_changed(LOKI, "loki/0"), &state.relation(relation)).state;
    assert_eq!(state.unit_status, Status::active(""));
    assert!(published(&state).is_some());
    world.deliver(world.port);
}

#[test]
fn a_loki_that_has_nothing_published_any_more_is_waited_for_while_alerts_go_on() {
    let (world, state) = World::settled();
    let process = world.process();
    let empty = with_loki(&state, Relation::new(LOKI, "send-loki-logs", "loki").remote_unit(0));
    let waiting = world.run(&Event::relation_changed(LOKI, "loki/0"), &empty).state;
    assert_eq!(waiting.unit_status, Status::waiting("send-loki-logs: waiting for Loki to publish its address"));
    assert_eq!(published(&waiting), published(&state));
    assert_eq!(world.process(), process);
    world.deliver(world.port);
}

#[test]
fn garbage_blocks_naming_the_unit_and_nothing_is_touched() {
    let (world, state) = World::settled();
    let process = world.process();
    let megabyte = "x".repeat(1 << 20);
    for value in [
        "not json",
        "7",
        "[]",
        r#"{"url": 7}"#,
        r#"{"url": "loki:3100"}"#,
        r#"{"url": "file:///etc/passwd"}"#,
        "\u{1}\u{7f}",
        &megabyte,
    ] {
        let relation = Relation::new(LOKI, "send-loki-logs", "loki").remote_unit_data(0, "endpoint", value);
        let blocked = world.run(&Event::relation_changed(LOKI, "loki/0"), &with_loki(&state, relation)).state;
        assert_eq!(blocked.unit_status.name, "blocked");
        let text = &blocked.unit_status.message;
        assert!(text.starts_with("send-loki-logs: loki/0 published endpoint "), "{text}");
        assert_eq!(published(&blocked), published(&state));
    }
    assert_eq!(world.process(), process);
}

#[test]
fn a_hostile_url_stays_inside_its_text() {
    let (world, state) = World::settled();
    let url = format!("{}?a=\"'}}\n  slack: {{webhookurl: http://x}}$HOME %25 #", world.loki.url());
    let state = with_loki(&state, loki_relation(&url));
    let state = world.run(&Event::relation_changed(LOKI, "loki/0"), &state).state;
    assert_eq!(state.unit_status, Status::active(""));
    world.deliver(world.port);
    let file = world.path("/etc/falcosidekick/falcosidekick.yaml");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let written: serde_yaml::Mapping = serde_yaml::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(written.len(), 5, "{written:?}");
}

#[test]
fn an_output_that_falcosidekick_drops_blocks_with_its_error() {
    let world = World::new();
    let state = world.related();
    // A URL by the rules of browsers, and none to Go.
    let relation = loki_relation("http://lo{ki/loki/api/v1/push");
    let state = world.run(&Event::pebble_ready(CONTAINER), &with_loki(&state, relation)).state;
    assert_eq!(state.unit_status.name, "blocked");
    let text = &state.unit_status.message;
    assert!(text.starts_with("send-loki-logs: Falcosidekick dropped the Loki output: Loki - "), "{text}");
    assert_eq!(published(&state), None, "alerts would be taken and lost");
}

#[test]
fn of_several_units_the_lowest_number_that_published_is_taken_every_time() {
    let (world, state) = World::settled();
    let process = world.process();
    let relation = loki_relation(&world.loki.url()).remote_unit_data(
        10,
        "endpoint",
        json!({ "url": "http://192.0.2.1:1/" }).to_string(),
    );
    let state = world.run(&Event::relation_changed(LOKI, "loki/10"), &with_loki(&state, relation)).state;
    assert_eq!(world.process(), process);

    let other = LokiReceiver::start();
    let relation = Relation::new(LOKI, "send-loki-logs", "loki").remote_unit(1).remote_unit_data(
        2,
        "endpoint",
        json!({ "url": other.url() }).to_string(),
    );
    let state = world.run(&Event::relation_departed(LOKI, "loki/0"), &with_loki(&state, relation)).state;
    assert_eq!(state.unit_status, Status::active(""));
    assert_ne!(world.process(), process);
}

/// The hook in which everything begins: file, layer, start, databags, port, version.
#[test]
fn a_hook_that_is_killed_before_any_hook_command_is_made_good_by_the_next() {
    let (world, mut state) = World::settled();
    let relation = state.relation_by_id(LOKI).clone();
    for number in 0.. {
        *state.relation_by_id_mut(LOKI) = relation.clone().broken();
        state = world.run_once(&Event::relation_broken(LOKI), &state).state;
        world.assert_stopped();

        let port = free_port();
        state = state.without_relation(LOKI).relation(relation.clone()).config("port", port);
        state.workload_version.clear();
        let killed = world.run_killed(number, &Event::relation_changed(LOKI, "loki/0"), &state);
        state = world.run(&Event::relation_changed(LOKI, "loki/0"), &killed.state).state;
        assert_eq!(state.unit_status, Status::active(""), "killed before hook command {number}");
        assert_eq!(published(&state), Some(format!("\"http://10.152.183.10:{port}/\"").as_str()));
        assert_eq!(state.port_list(), [format!("{port}/tcp")]);
        assert!(!state.workload_version.is_empty(), "killed before hook command {number}");
        if !killed.interrupted {
            assert!(number > 14, "no more than {number} hook commands to begin");
            return;
        }
    }
}

#[test]
fn a_loki_that_has_not_published_yet_keeps_no_other_output_waiting() {
    let (world, sink) = (World::new(), Sink::start());
    let outputs = format!("webhook: {{address: '{}'}}\nloki: {{tenant: staff}}", sink.url());
    let silent = Relation::new(LOKI, "send-loki-logs", "loki").remote_unit(0);
    let state = world.bare().relation(silent).relation(falco_relation()).config("outputs", outputs);
    let state = world.run(&Event::pebble_ready(CONTAINER), &state).state;
    assert_eq!(state.unit_status, Status::active("send-loki-logs: waiting for Loki to publish its address"));
    assert!(published(&state).is_some());
    world.post(world.port);
    eventually("the alert", || (sink.received().len() == 1).then_some(()));
    let shown = world.action_with(&Event::action("show-config"), &state).expect_success().action.unwrap().results;
    assert_eq!(shown["in-place"], "yes", "what is shown is what was written");

    let state = with_loki(&state, loki_relation(&world.loki.url()));
    let state = world.run(&Event::relation_changed(LOKI, "loki/0"), &state).state;
    assert_eq!(state.unit_status, Status::active(""));
    world.deliver(world.port);
    eventually("the alert", || (sink.received().len() == 2).then_some(()));
    // Whether it redirects was asked before.
    assert_eq!(world.loki.pushes().last().unwrap().headers["x-scope-orgid"], "staff");
}

/// Juju lets only one be added, and it may be added while another one still ends.
#[test]
fn of_two_relations_the_older_is_taken_in_every_hook_until_it_has_ended() {
    let (world, mut state) = World::settled();
    let process = world.process();
    let other = LokiReceiver::start();
    let endpoint = json!({ "url": other.url() }).to_string();
    let newer = Relation::new(11, "send-loki-logs", "loki-two").remote_unit_data(0, "endpoint", endpoint);
    state.relation_by_id_mut(LOKI).life = Life::Dying;
    // Not held to the number of hook commands: each relation is read by some of its own.
    let mut state = world.run_once(&Event::relation_changed(11, "loki-two/0"), &state.relation(newer)).state;
    assert_eq!((state.unit_status.clone(), world.process()), (Status::active(""), process));
    world.deliver(world.port);
    assert_eq!(other.entries().len(), 0);

    *state.relation_by_id_mut(LOKI) = state.relation_by_id(LOKI).clone().broken();
    let state = world.run_once(&Event::relation_broken(LOKI), &state).state;
    assert_eq!(state.unit_status, Status::active(""));
    assert_ne!(world.process(), process);
    world.post(world.port);
    eventually("the alert at the other Loki", || (other.entries().len() == 1).then_some(()));
}

#[test]
fn tenant_and_password_of_a_related_loki_come_from_options_and_a_secret() {
    let (world, state) = World::settled();
    let id = "9m4e2mr0ui3e8a215n4g";
    let text = format!("loki: {{tenant: '007', user: falco, apikey: 'secret:{id}/password'}}");
    let secret = Secret::user(id, "sidekick").revision([("password", "hunter2hunter2")]);
    let state = world.run(&Event::config_changed(), &state.config("outputs", text).secret(secret)).state;
    assert_eq!(state.unit_status, Status::active(""));
    world.deliver(world.port);
    let pushes = world.loki.pushes();
    let push = pushes.last().unwrap(); // Whether it redirects was asked before.
    assert_eq!(push.headers["x-scope-orgid"], "007");
    assert_eq!(push.headers["authorization"], "Basic ZmFsY286aHVudGVyMmh1bnRlcjI=");
}
