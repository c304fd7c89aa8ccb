//! From the first hook to the last.

use charm_tests::juju::{Event, Relation, State, Status};

use crate::world::{
    CONTAINER, FALCO, LOKI, MOST_IN_A_LABORATORY, MOST_REQUESTS, World, falco_relation, loki_relation, published,
};

const NO_LOKI: &str = "send-loki-logs: add a relation to Loki, for example: juju integrate sidekick:send-loki-logs loki; \
                       or set outputs";

fn waiting_for_pebble() -> Status {
    Status::waiting("falcosidekick: waiting for the container's Pebble to answer")
}

#[test]
fn a_deployment_ends_with_an_alert_in_loki() {
    let mut world = World::new();
    world.pebble.stop();
    let mut state = State { leader: false, ..world.bare() };
    for event in [Event::install(), Event::config_changed(), Event::start()] {
        state = world.run(&event, &state).state;
        assert_ne!(state.unit_status.name, "active");
    }
    state = world.run(&Event::leader_elected(), &state.leader(true)).state;
    assert_eq!(state.unit_status, waiting_for_pebble());

    world.pebble.start_again();
    state = world.run(&Event::pebble_ready(CONTAINER), &state).state;
    assert_eq!(state.unit_status, Status::blocked(NO_LOKI));
    world.assert_stopped();

    state = world.run(&Event::relation_created(FALCO), &state.relation(falco_relation())).state;
    assert_eq!(published(&state), None, "nobody would take an alert yet");

    let loki = Relation::new(LOKI, "send-loki-logs", "loki").remote_unit(0);
    state = world.run(&Event::relation_joined(LOKI, "loki/0"), &state.relation(loki)).state;
    assert_eq!(state.unit_status, Status::waiting("send-loki-logs: waiting for Loki to publish its address"));

    state = state.without_relation(LOKI).relation(loki_relation(&world.loki.url()));
    state = world.run(&Event::relation_changed(LOKI, "loki/0"), &state).state;
    assert_eq!(state.unit_status, Status::active(""));
    assert_eq!(published(&state), Some(format!("\"http://10.152.183.10:{}/\"", world.port).as_str()));
    assert_eq!(state.port_list(), [format!("{}/tcp", world.port)]);
    assert!(!state.workload_version.is_empty());

    let entry = world.deliver(world.port);
    assert_eq!(entry.labels["juju_unit"], "falco/0", "the labels are those of the Falco that raised it");
    assert_eq!(entry.labels["sidekick_model"], "test-model");
    assert!(entry.line.contains("\"rule\":\"Read sensitive file untrusted\""), "{}", entry.line);
}

#[test]
fn a_hook_that_changes_nothing_is_cheap() {
    let (world, state) = World::settled();
    let process = world.process();
    let requests = world.pebble.requests().len();
    let outcome = world.run_once(&Event::config_changed(), &state);
    assert_eq!(outcome.state, state);
    assert_eq!(world.process(), process);
    let requests = world.pebble.requests().split_off(requests);
    println!(
        "steady config-changed: {} hook commands, {} requests to Pebble, {:?}, {} KiB",
        outcome.hook_commands(),
        requests.len(),
        outcome.wall_time,
        outcome.peak_memory / 1024,
    );
    assert!(outcome.hook_commands() <= MOST_IN_A_LABORATORY, "{}", outcome.report());
    assert!(requests.len() <= MOST_REQUESTS, "{requests:#?}");
    assert!(!requests.iter().any(|request| request.contains("/v1/layers")), "{requests:#?}");
}

#[test]
fn a_new_leader_publishes_at_once_and_others_write_nothing() {
    let world = World::new();
    let state = world.run(&Event::pebble_ready(CONTAINER), &world.related().leader(false)).state;
    assert_eq!(state.unit_status, Status::active(""));
    assert_eq!(state.port_list().len(), 1, "every unit takes alerts");
    assert!(state.relations.iter().all(|relation| relation.local_app_data.is_empty()));

    let process = world.process();
    let state = world.run(&Event::leader_elected(), &state.leader(true)).state;
    assert!(published(&state).is_some());
    assert!(state.relation_by_id(LOKI).local_app_data["metadata"].contains("\"sidekick/0\""));
    assert_eq!(world.process(), process);
}

#[test]
fn the_last_hook_succeeds_also_without_a_container() {
    let (mut world, state) = World::settled();
    world.run_once(&Event::stop(), &state);
    world.pebble.stop();
    world.run_once(&Event::remove(), &state);
}

#[test]
fn a_plan_is_printed_without_secrets_and_nothing_is_changed() {
    let world = World::new();
    let state = world.related().without_relation(LOKI).relation(loki_relation("http://user:hunter2@loki/"));
    let outcome = world.plan(&Event::pebble_ready(CONTAINER), &state);
    assert_eq!(outcome.state, state);
    assert!(outcome.stdout.contains("path: /etc/falcosidekick/falcosidekick.yaml"), "{}", outcome.report());
    assert!(!outcome.stdout.contains("hunter2"), "{}", outcome.report());
    assert!(!world.path("/etc/falcosidekick").exists());
    world.assert_stopped();
}

#[test]
fn an_action_that_the_charm_does_not_have_fails_with_a_text() {
    let world = World::new();
    let action = world.action("no-such-action", &world.bare()).expect_success().action.unwrap();
    assert!(format!("{action:?}").contains("this charm has no action no-such-action"), "{action:?}");
}
