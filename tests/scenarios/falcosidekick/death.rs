//! The container dies in the middle of a hook, with certificates, an ingress, a load balancer, and authorities related.
//!
//! Either its socket is gone for the rest of the hook, or Pebble is killed, at the moment of a request or of an answer
//! or between two of them, and its services with it. Then another one, which knows of no layer, answers whatever the
//! hook asks next.

use std::fs;

use charm_tests::juju::{Event, State, Status};
use charm_tests::pebble::Cut;
use charm_tests::ports::free_port;

use crate::together::{Around, FRESH, Site, certificate_changed};
use crate::world::{CONTAINER, World, published};

/// Runs the hook with a change to carry out, once for each of its requests, at which the container dies. The hook by
/// which Juju then tells of another Pebble has to carry the change out, and to leave nothing to do.
fn dies_at_any_request(cut: Cut, event: &Event, change: impl Fn(&Around, &mut Site, &mut State)) {
    let mut around = Around::new();
    let (mut site, mut state) = around.settled(&around.signed(FRESH));
    // Where the test looks whether alerts arrive.
    std::mem::swap(&mut site.world.loki, &mut around.loki);
    let url = published(&state).map(str::to_owned);
    for number in 1.. {
        let before = read(&site.world);
        change(&around, &mut site, &mut state);
        let requests = site.world.pebble.requests().len();
        site.world.pebble.cut_at_request(number, cut);
        let outcome = site.world.run_once(event, &state);
        if site.world.pebble.requests().len() - requests < number {
            assert!(number > 8, "a change takes no more than {number} requests");
            assert_eq!(outcome.state.unit_status, Status::active(""));
            return;
        }
        // An operator has nothing to see to. At the last request the change is carried out already.
        let status = outcome.state.unit_status.name.as_str();
        assert!(["active", "waiting"].contains(&status), "at request {number}:\n{}", outcome.report());
        assert_eq!(published(&outcome.state).map(str::to_owned), url);
        match cut {
            Cut::Gone => site.world.pebble.restart(),
            Cut::Replaced => {}
            _ => site.world.assert_stopped(),
        }
        state = site.world.run(&Event::pebble_ready(CONTAINER), &outcome.state).state;
        assert_eq!(state.unit_status, Status::active(""), "after request {number}");
        assert_ne!(read(&site.world), before, "nothing was changed after request {number}");
        assert_eq!(published(&state).map(str::to_owned), url);
        site.world.deliver_through(&around.proxy.url(), &around.edge.root());
    }
}

/// What Falcosidekick reads.
fn read(world: &World) -> [String; 2] {
    ["/etc/falcosidekick/falcosidekick.yaml", "/etc/falcosidekick/certs/server/server.crt"]
        .map(|path| fs::read_to_string(world.path(path)).unwrap())
}

fn another_certificate(around: &Around, _: &mut Site, state: &mut State) {
    around.sign(state, FRESH);
}

fn other_options(_: &Around, site: &mut Site, state: &mut State) {
    site.world.metrics_port = free_port();
    *state = state.clone().config("metrics-port", site.world.metrics_port);
}

#[test]
fn a_container_that_is_gone_from_any_request_on_gets_a_new_certificate_with_the_next_hook() {
    dies_at_any_request(Cut::Gone, &certificate_changed(), another_certificate);
}

#[test]
fn a_pebble_killed_at_any_request_of_a_new_certificate_gets_it_with_the_next_hook() {
    dies_at_any_request(Cut::Killed, &certificate_changed(), another_certificate);
}

#[test]
fn a_pebble_killed_at_any_answer_to_a_new_certificate_gets_it_with_the_next_hook() {
    dies_at_any_request(Cut::KilledUnanswered, &certificate_changed(), another_certificate);
}

#[test]
fn a_pebble_replaced_before_any_request_of_a_new_certificate_gets_it_with_the_next_hook() {
    dies_at_any_request(Cut::Replaced, &certificate_changed(), another_certificate);
}

#[test]
fn a_pebble_killed_at_any_request_of_config_changed_gets_the_options_with_the_next_hook() {
    dies_at_any_request(Cut::Killed, &Event::config_changed(), other_options);
}

#[test]
fn a_pebble_killed_at_any_answer_to_config_changed_gets_the_options_with_the_next_hook() {
    dies_at_any_request(Cut::KilledUnanswered, &Event::config_changed(), other_options);
}

#[test]
fn a_pebble_replaced_before_any_request_of_config_changed_gets_the_options_with_the_next_hook() {
    dies_at_any_request(Cut::Replaced, &Event::config_changed(), other_options);
}
