//! A container may be absent, die at any moment, or hold another image than expected.

use std::fs;

use charm_tests::juju::{Event, Relation, Status};
use charm_tests::pebble::{Cut, Pebble};
use charm_tests::ports::free_port;
use nix::sys::signal::Signal;

use crate::world::{CONTAINER, World, published};

/// The layer of a rock, as Falcosidekick's Python charm expects it.
const ROCK: &str = "
services:
  falcosidekick:
    override: replace
    startup: enabled
    command: /usr/bin/falcosidekick -c /etc/falcosidekick/falcosidekick.yaml
    on-check-failure: {health: restart}
checks:
  health:
    override: replace
    http: {url: http://localhost:2801/healthz}
";

fn waiting() -> Status {
    Status::waiting("falcosidekick: waiting for the container's Pebble to answer")
}

#[test]
fn a_container_that_is_not_there_is_waited_for_and_the_url_stays() {
    let (mut world, state) = World::settled();
    for dies in [Pebble::stop, Pebble::kill] {
        dies(&mut world.pebble);
        let absent = world.run(&Event::config_changed(), &state).state;
        assert_eq!(absent.unit_status, waiting());
        assert_eq!((published(&absent), absent.port_list()), (published(&state), state.port_list()));
        world.pebble.start_again();
        let back = world.run(&Event::pebble_ready(CONTAINER), &absent).state;
        assert_eq!(back, state, "a container that comes back has neither layer nor process");
        world.deliver(world.port);
    }
}

#[test]
fn a_container_that_dies_before_any_request_is_waited_for_and_the_next_hook_makes_it_good() {
    dies_at_any_request(Cut::Unsent);
}

#[test]
fn a_container_that_dies_before_any_answer_is_waited_for_and_the_next_hook_makes_it_good() {
    dies_at_any_request(Cut::Unanswered);
}

#[test]
fn a_container_that_is_gone_from_any_request_on_is_waited_for_and_the_next_one_is_set_up() {
    dies_at_any_request(Cut::Gone);
}

/// Breaks off at each request in turn, while there is everything to change.
fn dies_at_any_request(cut: Cut) {
    let (mut world, mut state) = World::settled();
    for number in 1.. {
        let port = free_port();
        let requests = world.pebble.requests().len();
        world.pebble.cut_at_request(number, cut);
        let outcome = world.run_once(&Event::config_changed(), &state.clone().config("port", port));
        if world.pebble.requests().len() - requests < number {
            assert!(number > 8, "a changed port takes no more than {number} requests");
            assert_eq!(outcome.state.unit_status, Status::active(""));
            return;
        }
        assert_eq!(outcome.state.unit_status, waiting(), "at request {number}:\n{}", outcome.report());
        assert_eq!(published(&outcome.state), published(&state));
        if cut == Cut::Gone {
            world.pebble.restart();
        }
        state = world.run(&Event::pebble_ready(CONTAINER), &outcome.state).state;
        assert_eq!(state.unit_status, Status::active(""), "after request {number}");
        assert_eq!(published(&state), Some(format!("\"http://10.152.183.10:{port}/\"").as_str()));
        world.deliver(port);
    }
}

#[test]
fn a_process_that_was_killed_or_stopped_by_hand_is_back_after_the_next_hook() {
    let (world, state) = World::settled();
    let process = world.process();
    world.signal(Signal::SIGKILL);
    assert_eq!(world.run(&Event::update_status(), &state).state, state);
    assert_ne!(world.process(), process);
    world.pebble_command(&["stop", "falcosidekick"]);
    assert_eq!(world.run(&Event::update_status(), &state).state, state);
    world.deliver(world.port);
}

#[test]
fn a_process_that_hangs_blocks_and_the_url_stays() {
    let (world, state) = World::settled();
    world.signal(Signal::SIGSTOP);
    let blocked = world.run(&Event::update_status(), &state).state;
    world.signal(Signal::SIGCONT);
    let text = &blocked.unit_status.message;
    assert!(text.starts_with("falcosidekick runs, but does not answer: http://127.0.0.1:"), "{text}");
    assert_eq!(published(&blocked), published(&state));
    assert_eq!(world.run(&Event::update_status(), &blocked).state, state);
}

#[test]
fn a_container_that_is_replaced_while_a_process_hangs_is_waited_for() {
    let (world, mut state) = World::settled();
    // What is asked when there was no answer.
    for (number, request) in [(6, "GET /v1/logs"), (7, "GET /v1/services")] {
        world.signal(Signal::SIGSTOP);
        let requests = world.pebble.requests().len();
        world.pebble.cut_at_request(number, Cut::Replaced);
        let replaced = world.run_once(&Event::update_status(), &state).state;
        assert!(world.pebble.requests()[requests + number - 1].starts_with(request), "{:?}", world.pebble.requests());
        assert_eq!(replaced.unit_status, waiting(), "at request {number}");
        assert_eq!(published(&replaced), published(&state));
        state = world.run(&Event::pebble_ready(CONTAINER), &replaced).state;
        assert_eq!(state.unit_status, Status::active(""));
    }
}

#[test]
fn an_image_without_falcosidekick_blocks_until_there_is_one() {
    let world = World::new();
    fs::remove_file(world.path("/app/falcosidekick")).unwrap();
    let state = world.run(&Event::pebble_ready(CONTAINER), &world.related()).state;
    assert_eq!(state.unit_status.name, "blocked");
    let text = &state.unit_status.message;
    assert!(
        text.starts_with("falcosidekick-image: no Falcosidekick found in the image (looked at /app/falcosidekick, "),
        "{text}"
    );
    assert_eq!((published(&state), state.port_list().len()), (None, 0));

    world.install_program("/usr/local/bin/falcosidekick");
    let state = world.run(&Event::update_status(), &state).state;
    assert_eq!(state.unit_status, Status::active(""));
}

#[test]
fn the_service_and_the_check_of_a_rock_become_ours() {
    let world = World::with_image("/usr/bin/falcosidekick", &[("rock", ROCK)]);
    let state = world.run(&Event::pebble_ready(CONTAINER), &world.related()).state;
    assert_eq!(state.unit_status, Status::active(""));
    world.process();
    world.deliver(world.port);
    let plan: String = serde_json::from_value(world.pebble.get("/v1/plan?format=yaml")).unwrap();
    assert!(plan.contains(&format!("http://127.0.0.1:{}/healthz", world.port)) && !plan.contains("2801"), "{plan}");
}

#[test]
fn a_service_of_the_image_that_runs_before_it_may_is_stopped() {
    let rock = ROCK.replace("/usr/bin/falcosidekick -c /etc/falcosidekick/falcosidekick.yaml", "sleep 1000");
    let world = World::with_image("/usr/bin/falcosidekick", &[("rock", &rock)]);
    world.pebble_command(&["autostart"]);
    world.process();
    let state = world.run(&Event::pebble_ready(CONTAINER), &world.bare()).state;
    assert_eq!(state.unit_status.name, "blocked");
    world.assert_stopped();

    world.pebble_command(&["start", "falcosidekick"]);
    let certificates = Relation::new(3, "certificates", "ca").remote_unit(0);
    let state = world.run(&Event::pebble_ready(CONTAINER), &world.related().relation(certificates)).state;
    assert_eq!(state.unit_status, Status::waiting("certificates: waiting for ca to issue the certificate"));
    world.assert_stopped();
}

#[test]
fn a_file_that_falcosidekick_would_read_in_the_place_of_its_configuration_blocks() {
    let (world, state) = World::settled();
    let process = world.process();
    let shadow = world.path("/etc/falcosidekick/falcosidekick.json");
    fs::write(&shadow, "{}").unwrap();
    let blocked = world.run(&Event::config_changed(), &state).state;
    assert_eq!(blocked.unit_status.name, "blocked");
    let text = &blocked.unit_status.message;
    assert!(text.starts_with("falcosidekick-image: /etc/falcosidekick/falcosidekick.json is in the image"), "{text}");
    assert_eq!((world.process(), published(&blocked)), (process, published(&state)));
    world.deliver(world.port);
    fs::remove_file(&shadow).unwrap();
    assert_eq!(world.run(&Event::update_status(), &blocked).state, state);
}
