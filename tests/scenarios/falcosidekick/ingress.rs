//! A way in from outside.

use std::fs;

use charm_tests::authority::{Authority, Days};
use charm_tests::ingress::{Ingress, Target};
use charm_tests::juju::{Event, Network, Relation, State, Status};
use charm_tests::ports::free_port;
use serde_json::json;

use crate::world::{CONTAINER, FALCO, World, falco_relation, loki_relation, published};

const INGRESS: u32 = 4;
const CERTIFICATES: u32 = 3;
const PATH: &str = "/test-model-sidekick";
const SERVICE: &str = "sidekick.test-model.svc.cluster.local";

fn ingress() -> Relation {
    Relation::new(INGRESS, "ingress", "traefik").remote_unit(0)
}

/// What the controller knows of a leader that is related to everybody but who signs.
fn related(world: &World) -> State {
    let state = world.alone().relation(loki_relation(&world.loki.url())).relation(falco_relation());
    state.relation(ingress())
}

fn publishes(state: &State, url: &str) -> State {
    let mut state = state.clone();
    let text = json!({ "url": url }).to_string();
    state.relation_by_id_mut(INGRESS).remote_app_data.insert("ingress".into(), text);
    state
}

fn changed() -> Event {
    Event::relation_changed_by_app(INGRESS)
}

/// Everybody in this pod believes the authority, as if it were one of those that everybody knows.
fn is_known(world: &World, authority: &Authority) {
    let folder = world.path("/etc/ssl/certs");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("ca-certificates.crt"), authority.root()).unwrap();
}

fn plain(world: &World) -> Target {
    Target { port: world.port, tls: None }
}

fn settled(authority: &Authority) -> (World, State, Ingress) {
    let world = World::new();
    is_known(&world, authority);
    let proxy = Ingress::start(authority, PATH, plain(&world));
    let state = world.run(&Event::pebble_ready(CONTAINER), &publishes(&related(&world), &proxy.url())).state;
    assert_eq!(state.unit_status, Status::active(""));
    (world, state, proxy)
}

#[test]
fn until_the_url_is_there_the_service_runs_and_says_what_it_serves_and_nobody_is_told() {
    let world = World::new();
    let state = world.run(&Event::pebble_ready(CONTAINER), &related(&world)).state;
    assert_eq!(state.unit_status, Status::waiting("ingress: waiting for traefik to publish the URL of its way in"));
    assert_eq!(published(&state), None);
    let relation = state.relation_by_id(INGRESS);
    assert_eq!(relation.local_app_data["scheme"], "\"http\"");
    assert_eq!(relation.local_app_data["port"], world.port.to_string());
    assert_eq!(relation.local_unit_data["host"], format!("\"{SERVICE}\""));
    assert_eq!(relation.local_unit_data["ip"], "\"10.1.0.10\"");
    assert!(relation.local_unit_data.contains_key("ingress-address"), "Juju's own keys stay");
    assert_eq!(state.port_list().len(), 1, "the proxy comes in through the Service");
    world.deliver(world.port);
}

#[test]
fn alerts_come_in_through_the_proxy_and_falco_is_sent_there() {
    let authority = Authority::new("edge");
    let (world, state, proxy) = settled(&authority);
    assert_eq!(published(&state), Some(json!(proxy.url()).to_string().as_str()));
    world.deliver_through(&proxy.url(), &authority.root());
}

#[test]
fn until_the_proxy_answers_the_last_url_stays() {
    let authority = Authority::new("edge");
    let (world, state, proxy) = settled(&authority);
    let nowhere = format!("https://127.0.0.1:{}/x", free_port());
    let waiting = world.run(&changed(), &publishes(&state, &nowhere)).state;
    let text = &waiting.unit_status.message;
    assert!(text.starts_with("ingress: waiting until Falcosidekick answers through it: https://127.0.0.1:"), "{text}");
    assert_eq!((waiting.unit_status.name.as_str(), published(&waiting)), ("waiting", published(&state)));

    let other = Ingress::start(&authority, "/other", plain(&world));
    let moved = world.run(&changed(), &publishes(&waiting, &other.url())).state;
    assert_eq!(moved.unit_status, Status::active(""));
    assert_eq!(published(&moved), Some(json!(other.url()).to_string().as_str()));
    drop(proxy);
}

#[test]
fn a_proxy_that_nobody_knows_is_told_to_nobody() {
    let world = World::new();
    let proxy = Ingress::start(&Authority::new("stranger"), PATH, plain(&world));
    let state = world.run(&Event::pebble_ready(CONTAINER), &publishes(&related(&world), &proxy.url())).state;
    let text = &state.unit_status.message;
    assert!(text.starts_with("ingress: waiting until") && text.contains("certificate"), "{text}");
    assert_eq!(published(&state), None);
}

#[test]
fn a_way_in_that_leads_to_somebody_else_is_told_to_nobody() {
    let (authority, world) = (Authority::new("edge"), World::new());
    is_known(&world, &authority);
    let proxy = Ingress::start(&authority, PATH, Target { port: free_port(), tls: None });
    let state = world.run(&Event::pebble_ready(CONTAINER), &publishes(&related(&world), &proxy.url())).state;
    assert!(state.unit_status.message.contains("answers 502"), "{}", state.unit_status);
    assert_eq!(published(&state), None);
}

#[test]
fn with_a_certificate_the_proxy_speaks_tls_to_the_pod() {
    let (authority, world) = (Authority::new("test"), World::new());
    is_known(&world, &authority);
    let target = Target { port: world.port, tls: Some((authority.root(), SERVICE.to_owned())) };
    let proxy = Ingress::start(&authority, PATH, target);
    let certificates = Relation::new(CERTIFICATES, "certificates", "ca").remote_unit(0);
    let state = publishes(&related(&world), &proxy.url()).relation(certificates);
    let state = state.config("metrics-port", world.metrics_port);
    let mut state = world.run(&Event::pebble_ready(CONTAINER), &state).state;
    authority.sign_all(state.relation_by_id_mut(CERTIFICATES), Days(1, 90));
    let state = world.run(&Event::relation_changed_by_app(CERTIFICATES), &state).state;
    assert_eq!(state.unit_status, Status::active(""));
    assert_eq!(state.relation_by_id(INGRESS).local_app_data["scheme"], "\"https\"");
    assert_eq!(published(&state), Some(json!(proxy.url()).to_string().as_str()));
    world.deliver_through(&proxy.url(), &authority.root());
}

#[test]
fn without_the_ingress_the_service_is_told_again_or_stops() {
    let (world, state, _proxy) = settled(&Authority::new("edge"));
    for (allowed, url) in [(true, Some(format!("\"http://10.152.183.10:{}/\"", world.port))), (false, None)] {
        let mut broken = state.clone().config("allow-plain-http", allowed);
        let relation = broken.relation_by_id(INGRESS).clone();
        *broken.relation_by_id_mut(INGRESS) = relation.broken();
        let after = world.run(&Event::relation_broken(INGRESS), &broken).state;
        assert_eq!(published(&after), url.as_deref());
        assert_eq!(after.unit_status.name, if allowed { "active" } else { "blocked" });
    }
    world.assert_stopped();
}

#[test]
fn a_port_that_the_ingress_would_fail_on_blocks_and_nothing_changes() {
    let (world, state, proxy) = settled(&Authority::new("edge"));
    let blocked = world.run(&Event::config_changed(), &state.clone().config("port", 65535)).state;
    assert_eq!(blocked.unit_status, Status::blocked("port: 65535 is none that ingress can lead to (1-65534)"));
    assert_eq!(published(&blocked), published(&state));
    drop(proxy);
}

#[test]
fn a_unit_that_does_not_lead_publishes_its_host_alone() {
    let (authority, world) = (Authority::new("edge"), World::new());
    is_known(&world, &authority);
    let proxy = Ingress::start(&authority, PATH, plain(&world));
    let state = publishes(&related(&world), &proxy.url()).leader(false);
    let state = world.run(&Event::pebble_ready(CONTAINER), &state).state;
    assert_eq!(state.unit_status, Status::active(""));
    let relation = state.relation_by_id(INGRESS);
    assert!(relation.local_app_data.is_empty() && relation.local_unit_data.contains_key("host"));
    assert!(state.relation_by_id(FALCO).local_app_data.is_empty());

    let state = world.run(&Event::leader_elected(), &state.leader(true)).state;
    assert_eq!(published(&state), Some(json!(proxy.url()).to_string().as_str()));
}

#[test]
fn a_host_name_in_front_of_the_address_of_the_pod_does_no_harm() {
    let world = World::new();
    let network = Network::usual_pod().with_pod_name("sidekick-0.sidekick-endpoints");
    let state = related(&world).network("http-endpoint", network);
    let state = world.run(&Event::pebble_ready(CONTAINER), &state).state;
    assert_eq!(state.relation_by_id(INGRESS).local_unit_data["ip"], "\"10.1.0.10\"");
}
