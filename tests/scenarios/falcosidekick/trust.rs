//! Whom Falcosidekick believes, and who is told whom to believe.

use std::fs;
use std::sync::Arc;

use charm_tests::authority::{Authority, Days};
use charm_tests::falco_host::eventually;
use charm_tests::http_sink::{self, Manner};
use charm_tests::ingress::{Ingress, Target};
use charm_tests::juju::{Event, Relation, State, Status};
use charm_tests::stand_in::tls;
use serde_json::json;

use crate::world::{CONTAINER, FALCO, LOKI, World, loki_relation, published};

const RECEIVE: u32 = 11;
const SEND: u32 = 12;
const FILE: &str = "/etc/falcosidekick/certs/client/ca.crt";

/// Somebody who tells whom to believe.
pub fn tells(id: u32, app: &str, authorities: &[&Authority]) -> Relation {
    let texts: Vec<String> = authorities.iter().map(|authority| authority.root()).collect();
    Relation::new(id, "receive-ca-cert", app).remote_unit(0).remote_app("certificates", json!(texts).to_string())
}

/// A Loki that only those believe who know this authority, and the state related to it.
fn behind_tls(world: &World, authority: &Authority, state: &State) -> (Ingress, State) {
    let url: url::Url = world.loki.url().parse().unwrap();
    let front = Ingress::start(authority, "", Target { port: url.port().unwrap(), tls: None });
    let url = format!("{}{}", front.url(), url.path());
    (front, state.clone().without_relation(LOKI).relation(loki_relation(&url)))
}

#[test]
fn a_loki_that_a_private_authority_vouches_for_gets_its_alerts() {
    let (world, state) = World::settled();
    let authority = Authority::new("private");
    let (_front, state) = behind_tls(&world, &authority, &state);
    let state = state.relation(tells(RECEIVE, "ca", &[&authority]));
    let state = world.run(&Event::relation_changed_by_app(RECEIVE), &state).state;
    assert_eq!(state.unit_status, Status::active(""));
    world.deliver(world.port);
    assert_eq!(state.relation_by_id(RECEIVE).local_app_data["version"], "1");
}

#[test]
fn an_output_that_only_asks_the_store_of_the_system_believes_a_private_authority_too() {
    let (world, state) = World::settled();
    let authority = Authority::new("private");
    let identity = authority.identity(&["127.0.0.1"], Days(1, 1));
    let collector = http_sink::Sink::start(Manner::status(200), Some(Arc::new(tls::server(identity, None).unwrap())));
    let text = format!("otlp: {{logs: {{endpoint: 'https://127.0.0.1:{}/v1/logs'}}}}", collector.port());
    let state = state.config("outputs", text).relation(tells(RECEIVE, "ca", &[&authority]));
    let state = world.run(&Event::relation_changed_by_app(RECEIVE), &state).state;
    assert_eq!(state.unit_status, Status::active(""));
    world.post(world.port);
    let logs = || collector.received().into_iter().find(|received| received.method == "POST");
    let logs = eventually("the log", logs);
    assert_eq!(logs.path, "/v1/logs");
    assert!(logs.body.contains("Sensitive file opened"), "{}", logs.body);
}

#[test]
fn several_authorities_become_one_file_and_another_one_is_one_restart() {
    let (world, state) = World::settled();
    let (one, other) = (Authority::new("one"), Authority::new("other"));
    let state = state.relation(tells(RECEIVE, "ca", &[&one])).relation(tells(13, "more", &[&one, &other]));
    let changes = world.pebble.changes().len();
    let state = world.run_once(&Event::relation_changed_by_app(RECEIVE), &state).state;
    let restarted = world.pebble.changes().split_off(changes);
    assert_eq!(restarted.iter().filter(|change| change.kind != "perform-check").count(), 1, "{restarted:?}");
    let file = fs::read_to_string(world.path(FILE)).unwrap();
    assert_eq!(file.matches("BEGIN CERTIFICATE").count(), 2, "each once");

    let process = world.process();
    let fewer = state.without_relation(13);
    let state = world.run(&Event::update_status(), &fewer).state;
    assert_ne!(world.process(), process);
    assert_eq!(fs::read_to_string(world.path(FILE)).unwrap(), one.root());

    let state = world.run(&Event::update_status(), &state.without_relation(RECEIVE)).state;
    assert_eq!(state.unit_status, Status::active(""));
    assert!(!world.path(FILE).exists());
}

#[test]
fn garbage_of_one_blocks_and_takes_nothing_from_the_others() {
    let (world, state) = World::settled();
    let authority = Authority::new("private");
    let garbage = Relation::new(13, "receive-ca-cert", "more").remote_unit(0).remote_app("certificates", "[\"x\"]");
    let state = state.relation(tells(RECEIVE, "ca", &[&authority])).relation(garbage);
    let state = world.run(&Event::relation_changed_by_app(13), &state).state;
    let text = &state.unit_status.message;
    assert!(text.starts_with("receive-ca-cert: more published certificates \"[\\\"x\\\"]\": "), "{text}");
    assert_eq!(fs::read_to_string(world.path(FILE)).unwrap(), authority.root());
    assert!(published(&state).is_some());
}

#[test]
fn who_asks_whom_to_believe_is_told_and_told_no_more_with_the_end_of_certificates() {
    let (authority, world) = (Authority::new("test"), World::new());
    let ask = Relation::new(SEND, "send-ca-cert", "somebody").remote_unit(0);
    let certificates = Relation::new(3, "certificates", "ca").remote_unit(0);
    let state = world.related().config("metrics-port", world.metrics_port).relation(certificates).relation(ask);
    let mut state = world.run(&Event::pebble_ready(CONTAINER), &state).state;
    assert!(state.relation_by_id(SEND).local_app_data.is_empty());
    authority.sign_all(state.relation_by_id_mut(3), Days(1, 90));
    let mut state = world.run(&Event::relation_changed_by_app(3), &state).state;
    let told: Vec<String> = serde_json::from_str(&state.relation_by_id(SEND).local_app_data["certificates"]).unwrap();
    world.deliver_tls("10.152.183.10", &told.concat());

    let relation = state.relation_by_id(3).clone();
    *state.relation_by_id_mut(3) = relation.broken();
    for allowed in [false, true] {
        let ended = state.clone().config("allow-plain-http", allowed);
        let after = world.run(&Event::relation_broken(3), &ended).state;
        assert!(after.relation_by_id(SEND).local_app_data.is_empty(), "{allowed}");
    }
}

#[test]
fn a_way_in_that_a_private_authority_vouches_for_is_told_with_it() {
    let (authority, world) = (Authority::new("private"), World::new());
    let proxy = Ingress::start(&authority, "/test-model-sidekick", Target { port: world.port, tls: None });
    let ingress = Relation::new(4, "ingress", "traefik").remote_unit(0);
    let ingress = ingress.remote_app("ingress", json!({ "url": proxy.url() }).to_string());
    let state = world.related().relation(ingress).relation(tells(RECEIVE, "ca", &[&authority]));
    let state = world.run(&Event::pebble_ready(CONTAINER), &state).state;
    assert_eq!(state.unit_status, Status::active(""));
    let ca: String = serde_json::from_str(&state.relation_by_id(FALCO).local_app_data["ca"]).unwrap();
    world.deliver_through(&proxy.url(), &ca);
}
