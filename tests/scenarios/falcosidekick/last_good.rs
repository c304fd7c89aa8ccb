//! While an option cannot be used, those are in force that Falcosidekick served with last: for a new pod, a new
//! certificate, and everybody who is related meanwhile.

use std::fs;
use std::net::TcpListener;

use charm_tests::authority::{Authority, Days};
use charm_tests::juju::{Event, Relation, Secret, State, Status};
use charm_tests::ports::free_port;

use crate::tls::{ADDRESS, FRESH, changed, settled, sign};
use crate::world::{CONTAINER, World, published};

/// An operator has mistyped something.
fn mistyped(state: &State) -> State {
    state.clone().config("minimum-priority", "loud")
}

#[track_caller]
fn assert_tells(state: &State) {
    let status = &state.unit_status;
    assert!(status.name == "blocked" && status.message.starts_with("minimum-priority: \"loud\""), "{status}");
}

#[test]
fn a_bad_option_restarts_nothing_and_is_told() {
    let (world, state) = World::settled();
    let process = world.process();
    let blocked = world.run(&Event::config_changed(), &mistyped(&state)).state;
    assert_tells(&blocked);
    assert_eq!((world.process(), published(&blocked)), (process, published(&state)));
    let again = world.run(&Event::config_changed(), &blocked.config("minimum-priority", "debug")).state;
    assert_eq!((again.unit_status, world.process()), (Status::active(""), process));
}

#[test]
fn a_pod_that_is_new_while_an_option_is_bad_serves_as_the_last_one_did() {
    let (old, state) = World::settled();
    let state = old.run(&Event::config_changed(), &state.config("custom-tags", "berlin")).state;
    let read = |world: &World| fs::read_to_string(world.path("/etc/falcosidekick/falcosidekick.yaml")).unwrap();
    let before = read(&old).replace(old.root().to_str().unwrap(), "");
    let url = published(&state).map(str::to_owned);
    let port = old.port;
    drop(old.pebble);
    let mut new = World::new();
    new.port = port;
    let state = new.run(&Event::pebble_ready(CONTAINER), &mistyped(&state)).state;
    assert_tells(&state);
    assert_eq!(read(&new).replace(new.root().to_str().unwrap(), ""), before);
    assert!(before.contains("berlin"));
    assert_eq!(published(&state).map(str::to_owned), url);
    assert!(new.answers());
}

#[test]
fn a_certificate_is_renewed_while_an_option_is_bad() {
    let authority = Authority::new("test");
    let (world, state) = settled(&authority, Days(94, 6));
    let served = |world: &World| fs::read(world.path("/etc/falcosidekick/certs/server/server.crt")).unwrap();
    let before = served(&world);
    let state = world.run(&Event::update_status(), &mistyped(&state)).state;
    assert_tells(&state);
    let state = world.run(&changed(), &sign(&state, &authority, FRESH)).state;
    assert_tells(&state);
    assert_ne!(served(&world), before);
    world.deliver_tls(ADDRESS, &authority.root());
    assert_eq!(world.starts(), 2, "{}", world.pebble.log());
}

#[test]
fn a_falco_that_comes_while_an_option_is_bad_is_told_where_to_send_alerts() {
    let (world, state) = World::settled();
    let late = Relation::new(99, "http-endpoint", "late").remote_unit(0);
    let state = world.run(&Event::relation_created(99), &mistyped(&state).relation(late)).state;
    assert_tells(&state);
    assert!(state.relation_by_id(99).local_app_data.contains_key("url"));
}

#[test]
fn options_with_which_nothing_served_are_not_those_to_go_back_to() {
    let (world, state) = World::settled();
    let process = world.process();
    let kept = |state: &State| state.charm_state.as_ref().unwrap()["options"].clone();
    let port = free_port();
    let _taken = TcpListener::bind(("0.0.0.0", port)).unwrap();
    let down = world.run_once(&Event::config_changed(), &state.clone().config("port", port)).state;
    assert!(down.unit_status.message.starts_with("falcosidekick does not stay up"), "{}", down.unit_status);
    assert_eq!(kept(&down), kept(&state));
    let state = world.run(&Event::config_changed(), &mistyped(&down)).state;
    assert_tells(&state);
    world.deliver(world.port);
    assert_ne!(world.process(), process);
}

#[test]
fn a_secret_that_was_taken_back_leaves_nothing_to_go_back_to() {
    let (world, state) = World::settled();
    let secret =
        Secret::user("0123456789abcdefghij", "sidekick").revision([("webhook-address", "http://127.0.0.1:9/")]);
    let state = state.secret(secret).config("outputs-secret", "secret:0123456789abcdefghij");
    let state = world.run(&Event::config_changed(), &state).state;
    assert_eq!(state.unit_status, Status::active(""));
    let process = world.process();
    let mut taken = state.clone();
    taken.secrets = taken.secrets.into_iter().map(Secret::revoked).collect();
    let blocked = world.run(&Event::config_changed(), &taken).state;
    assert!(blocked.unit_status.message.contains("juju grant-secret"), "{}", blocked.unit_status);
    assert_eq!((world.process(), published(&blocked)), (process, published(&state)));
}

/// What an operator has put into an option in plain text is kept where the option itself is, and nowhere else.
#[test]
fn what_is_kept_of_options_is_in_no_list_of_processes_log_or_status() {
    let world = World::new();
    let state = world.related().config("outputs", "slack: {webhookurl: 'http://127.0.0.1:9/hunter2'}");
    let outcome = world.run(&Event::pebble_ready(CONTAINER), &state);
    assert!(outcome.state.charm_state.as_ref().unwrap()["options"].contains("hunter2"));
    assert!(!outcome.call_lines().concat().contains("hunter2"), "{}", outcome.report());
    assert!(!outcome.report().contains("hunter2"), "{}", outcome.report());
}
