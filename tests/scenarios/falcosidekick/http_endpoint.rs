//! What Falcos are told.

use charm_tests::juju::{Event, Network, Relation, State, Status};

use crate::world::{CONTAINER, FALCO, MACHINES, World, falco_relation, published};

fn pod_at(address: &str) -> Network {
    Network { ingress: vec![address.into()], ..Network::usual_pod() }
}

#[test]
fn addresses_of_both_kinds_and_host_names_are_published() {
    let (world, mut state) = World::settled();
    for (address, host) in
        [("fd00::7", "[fd00::7]"), ("lb.example.com", "lb.example.com"), ("203.0.113.7", "203.0.113.7")]
    {
        state = world.run(&Event::config_changed(), &state.network("http-endpoint", pod_at(address))).state;
        assert_eq!(state.unit_status, Status::active(""));
        assert_eq!(published(&state), Some(format!("\"http://{host}:{}/\"", world.port).as_str()));
    }
}

#[test]
fn without_an_address_the_last_url_stays() {
    let (world, state) = World::settled();
    let pending = state.clone().network("http-endpoint", Network::usual_pod().pending());
    let waiting = world.run(&Event::config_changed(), &pending).state;
    assert_eq!(waiting.unit_status, Status::waiting("http-endpoint: waiting for an address of this application"));
    assert_eq!(published(&waiting), published(&state));
}

#[test]
fn every_falco_is_told_and_one_that_leaves_changes_nothing_for_the_others() {
    let (world, state) = World::settled();
    let second = Relation::new(9, "http-endpoint", "other-falco").remote_unit(0).remote_model(MACHINES);
    let state = world.run(&Event::relation_created(9), &state.relation(second)).state;
    assert_eq!(state.relation_by_id(9).local_app_data["url"], published(&state).unwrap());

    let process = world.process();
    let mut broken = state.clone();
    *broken.relation_by_id_mut(9) = state.relation_by_id(9).clone().broken();
    let after = world.run(&Event::relation_broken(9), &broken).state;
    assert_eq!(published(&after), published(&state));
    assert_eq!(after.unit_status, Status::active(""));
    assert_eq!(world.process(), process);
}

#[test]
fn a_url_of_an_older_charm_is_replaced() {
    let world = World::new();
    let falco = falco_relation().local_app("url", "\"http://10.152.183.10/\"");
    let state = world.related().without_relation(FALCO).relation(falco);
    let state = world.run(&Event::pebble_ready(CONTAINER), &state).state;
    assert_eq!(published(&state), Some(format!("\"http://10.152.183.10:{}/\"", world.port).as_str()));
}

#[test]
fn a_caller_in_the_same_model_is_told_the_name_of_the_service_and_the_others_its_address() {
    let (world, state) = World::settled();
    let near = Relation::new(9, "http-endpoint", "near-falco").remote_unit(0);
    let state = world.run(&Event::relation_created(9), &state.relation(near)).state;
    let url = format!("\"http://sidekick.test-model.svc.cluster.local:{}/\"", world.port);
    assert_eq!(state.relation_by_id(9).local_app_data["url"], url);
    assert_eq!(published(&state), Some(format!("\"http://10.152.183.10:{}/\"", world.port).as_str()));
}

#[test]
fn the_url_is_the_same_whoever_leads_and_however_many_units_there_are() {
    let (world, state) = World::settled();
    let url = published(&state).unwrap().to_owned();
    let others = State { planned_units: Some(3), ..state };
    let follower = world.run(&Event::config_changed(), &others.leader(false)).state;
    assert_eq!(published(&follower), Some(url.as_str()));
    let leader = world.run(&Event::leader_elected(), &follower.leader(true)).state;
    assert_eq!(published(&leader), Some(url.as_str()));
}
