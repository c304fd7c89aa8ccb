//! Options, good and bad.

use std::net::TcpListener;

use charm_tests::juju::{Event, Status};
use charm_tests::ports::free_port;

use crate::world::{World, published};

#[test]
fn a_new_port_restarts_once_and_is_published_and_opened_in_place_of_the_old_one() {
    let (world, state) = World::settled();
    let (process, changes) = (world.process(), world.pebble.changes().len());
    let port = free_port();
    let state = world.run_once(&Event::config_changed(), &state.config("port", port)).state;
    let restarted = world.pebble.changes().split_off(changes);
    assert_eq!(restarted.iter().filter(|change| change.kind != "perform-check").count(), 1, "{restarted:?}");
    assert_ne!(world.process(), process);
    let state = world.run(&Event::config_changed(), &state).state;
    assert_eq!(state.unit_status, Status::active(""));
    assert_eq!(published(&state), Some(format!("\"http://10.152.183.10:{port}/\"").as_str()));
    assert_eq!(state.port_list(), [format!("{port}/tcp")]);
    world.deliver(port);
}

#[test]
fn a_bad_option_blocks_and_falcosidekick_goes_on() {
    let (world, state) = World::settled();
    let process = world.process();
    let blocked = world.run(&Event::config_changed(), &state.clone().config("port", 0)).state;
    assert_eq!(blocked.unit_status, Status::blocked("port: \"0\" is not a port (1-65535)"));
    assert_eq!((published(&blocked), blocked.port_list()), (published(&state), state.port_list()));
    assert_eq!(world.process(), process);
    world.deliver(world.port);
}

#[test]
fn plain_http_that_is_no_longer_allowed_ends_and_that_is_allowed_again_begins() {
    let (world, state) = World::settled();
    let state = world.run(&Event::config_changed(), &state.config("allow-plain-http", false)).state;
    assert_eq!(state.unit_status.name, "blocked");
    assert!(state.unit_status.message.starts_with("allow-plain-http: "), "{}", state.unit_status);
    assert_eq!((published(&state), state.port_list().len()), (None, 0));
    world.assert_stopped();

    let state = world.run(&Event::config_changed(), &state.config("allow-plain-http", true)).state;
    assert_eq!(state.unit_status, Status::active(""));
    assert!(published(&state).is_some());
    world.deliver(world.port);
}

#[test]
fn a_port_that_is_taken_blocks_in_the_words_of_falcosidekick_until_it_is_free() {
    let (world, state) = World::settled();
    let port = free_port();
    let other = TcpListener::bind(("0.0.0.0", port)).unwrap();
    let blocked = world.run_once(&Event::config_changed(), &state.clone().config("port", port)).state;
    assert_eq!(blocked.unit_status.name, "blocked");
    let text = &blocked.unit_status.message;
    assert!(
        text.starts_with("falcosidekick does not stay up: ") && text.ends_with("bind: address already in use"),
        "{text}"
    );
    assert_eq!((published(&blocked), blocked.port_list()), (published(&state), state.port_list()));
    let again = world.run_once(&Event::update_status(), &blocked);
    assert_eq!(again.state, blocked, "{}", again.report());

    drop(other);
    let state = world.run(&Event::update_status(), &blocked).state;
    assert_eq!(state.unit_status, Status::active(""));
    assert_eq!(published(&state), Some(format!("\"http://10.152.183.10:{port}/\"").as_str()));
    world.deliver(port);
}
