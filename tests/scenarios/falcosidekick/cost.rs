//! What hooks cost, in hook commands and requests to Pebble, and what becomes of what they save themselves to ask.

use std::fs;

use charm_tests::authority::{Authority, Days};
use charm_tests::ingress::{Ingress, Target};
use charm_tests::juju::{Event, Network, Outcome, Relation, State, Status};
use charm_tests::loki::LokiReceiver;
use serde_json::json;

use crate::world::{
    CONTAINER, FALCO, LOKI, MACHINES, MOST_HOOK_COMMANDS, MOST_REQUESTS, MOST_WHEN_ALL_MAY_BE_NEW, World,
    falco_relation, loki_relation, published,
};

const PEERS: u32 = 1;
const CERTIFICATES: u32 = 3;
const LOGGING: u32 = 4;
const INGRESS: u32 = 5;
const RECEIVE: u32 = 11;
const SEND: u32 = 12;
const SERVICE: &str = "sidekick.test-model.svc.cluster.local";

/// A pod that is related to everybody, each of whom has published.
struct Everything {
    world: World,
    state: State,
    _others: (Ingress, LokiReceiver),
}

fn everything(leader: bool) -> Everything {
    let (world, authority, takes) = (World::new(), Authority::new("test"), LokiReceiver::start());
    let folder = world.path("/etc/ssl/certs");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("ca-certificates.crt"), authority.root()).unwrap();
    let target = Target { port: world.port, tls: Some((authority.root(), SERVICE.to_owned())) };
    let proxy = Ingress::start(&authority, "/test-model-sidekick", target);
    let log = json!({ "url": takes.url() }).to_string();
    let state = [
        loki_relation(&world.loki.url()),
        falco_relation(),
        Relation::new(CERTIFICATES, "certificates", "ca").remote_unit(0),
        Relation::new(INGRESS, "ingress", "traefik")
            .remote_unit(0)
            .remote_app("ingress", json!({ "url": proxy.url() }).to_string()),
        Relation::new(RECEIVE, "receive-ca-cert", "site")
            .remote_unit(0)
            .remote_app("certificates", json!([Authority::new("site").root()]).to_string()),
        Relation::new(SEND, "send-ca-cert", "somebody").remote_unit(0),
        Relation::new(LOGGING, "logging", "loki-logs").remote_unit_data(0, "endpoint", log),
        Relation::new(8, "grafana-dashboard", "grafana").remote_unit(0),
        Relation::new(9, "metrics-endpoint", "prometheus").remote_unit(0),
        Relation::peer(PEERS, "restart-turns", "sidekick").remote_unit(1).remote_unit(2),
    ]
    .into_iter()
    .fold(world.alone().leader(leader), State::relation);
    let state = state.config("metrics-port", world.metrics_port);
    let mut state = world.run_once(&Event::pebble_ready(CONTAINER), &state).state;
    authority.sign_all(state.relation_by_id_mut(CERTIFICATES), Days(1, 90));
    let state = world.run(&Event::relation_changed_by_app(CERTIFICATES), &state).state;
    assert_eq!(state.unit_status, Status::active(""));
    if leader {
        assert_eq!(published(&state), Some(json!(proxy.url()).to_string().as_str()));
        for relation in &state.relations {
            let is_told = !relation.local_app_data.is_empty() || [CERTIFICATES, PEERS].contains(&relation.id);
            assert!(is_told, "{} was told nothing", relation.endpoint);
        }
    }
    Everything { world, state, _others: (proxy, takes) }
}

/// Every endpoint of the charm has somebody there; one that is added has to be added here.
#[test]
fn everything_is_related_when_everything_is_related() {
    let charmcraft = fs::read_to_string(charm_tests::programs::charmcraft("falcosidekick-k8s")).unwrap();
    let charmcraft: serde_json::Value = serde_yaml::from_str(&charmcraft).unwrap();
    let names = |section: &str| charmcraft[section].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let state = everything(true).state;
    for name in [names("requires"), names("provides"), names("peers")].concat() {
        assert!(state.relations.iter().any(|relation| relation.endpoint == name), "nobody at {name}");
    }
}

#[test]
fn a_hook_that_changes_nothing_is_cheap_with_everything_related() {
    for leader in [true, false] {
        let Everything { world, state, _others } = everything(leader);
        let begin = Event::pebble_ready(CONTAINER);
        let state = world.run(&begin, &state).state;
        let events = [
            (begin, MOST_WHEN_ALL_MAY_BE_NEW),
            (Event::upgrade_charm(), MOST_WHEN_ALL_MAY_BE_NEW),
            (Event::update_status(), MOST_HOOK_COMMANDS),
            (Event::config_changed(), MOST_HOOK_COMMANDS),
            (Event::relation_changed_by_app(INGRESS), MOST_HOOK_COMMANDS),
            (Event::relation_changed(FALCO, "falco/0"), MOST_HOOK_COMMANDS),
        ];
        for (event, most) in events {
            let requests = world.pebble.requests().len();
            let outcome = world.run_once(&event, &state);
            let requests = world.pebble.requests().split_off(requests);
            println!(
                "leader: {leader}, {:?}: {} hook commands, {} requests to Pebble",
                event.kind,
                outcome.hook_commands(),
                requests.len()
            );
            assert_eq!(outcome.state, state, "{}", outcome.report());
            assert!(outcome.hook_commands() <= most, "{}", outcome.report());
            assert!(requests.len() <= MOST_REQUESTS, "{requests:#?}");
        }
    }
}

/// The state of a laboratory with this many Falcos.
fn with_falcos(world: &World, number: u32) -> State {
    let falco = |number| Relation::new(FALCO + number, "http-endpoint", format!("falco{number}")).remote_unit(0);
    let state = world.bare().relation(loki_relation(&world.loki.url()));
    (0..number).map(|number| falco(number).remote_model(MACHINES)).fold(state, State::relation)
}

#[test]
fn each_falco_costs_three_hook_commands_once_and_then_none() {
    let [few, many] = [3, 30].map(|number| {
        let world = World::new();
        let first = world.run_once(&Event::pebble_ready(CONTAINER), &with_falcos(&world, number));
        assert_eq!(world.run_once(&Event::pebble_ready(CONTAINER), &first.state).state, first.state);
        let told = first.state.relations.iter().filter(|relation| relation.local_app_data.contains_key("url"));
        assert_eq!(told.count(), number as usize);
        let count = |event: &Event| world.run_once(event, &first.state).hook_commands();
        [first.hook_commands(), count(&Event::leader_elected()), count(&Event::update_status())]
    });
    println!("with 3 Falcos: {few:?}, with 30: {many:?} (first, leader-elected, update-status)");
    assert!(many[0] - few[0] <= 27 * 3, "first: {few:?}, {many:?}");
    assert!(many[1] - few[1] <= 27, "a new leader: {few:?}, {many:?}");
    assert_eq!(many[2], few[2], "nothing to do");
}

/// Hook commands that ask Juju for one of our own databags, or for the ports.
fn looks(outcome: &Outcome) -> Vec<String> {
    let is_look = |line: &String| {
        line.starts_with("relation-get") && line.contains("sidekick") || line.starts_with("opened-ports")
    };
    outcome.call_lines().into_iter().filter(is_look).collect()
}

#[test]
fn what_somebody_changes_by_hand_is_put_right_by_the_next_beginning_or_when_something_else_is_said() {
    let (world, settled) = World::settled();
    let mut state = settled.clone();
    state.relation_by_id_mut(FALCO).local_app_data.insert("url".into(), "\"http://by-hand/\"".into());
    let unseen = world.run_once(&Event::update_status(), &state);
    assert_eq!((looks(&unseen), &unseen.state), (vec![], &state), "nobody has to ask in every hook");
    for event in [Event::leader_elected(), Event::upgrade_charm(), Event::pebble_ready(CONTAINER)] {
        let seen = world.run(&event, &state);
        assert_eq!(published(&seen.state), published(&settled));
        assert!(looks(&seen).len() >= 3, "{}", seen.report());
    }
    let mut moved = state.clone();
    moved.networks.insert("http-endpoint".into(), Network::pod("10.1.0.10", "10.152.183.99"));
    let moved = world.run(&Event::config_changed(), &moved).state;
    assert_eq!(published(&moved), Some(format!("\"http://10.152.183.99:{}/\"", world.port).as_str()));
}

#[test]
fn a_unit_that_led_before_believes_nothing_that_it_knew_of_the_databags() {
    let (world, state) = World::settled();
    let follower = world.run(&Event::update_status(), &state.leader(false)).state;
    let mut again = follower.leader(true);
    again.relation_by_id_mut(FALCO).local_app_data.insert("url".into(), "\"http://of-the-other-leader/\"".into());
    again.relation_by_id_mut(LOKI).local_app_data.clear();
    let led = world.run(&Event::config_changed(), &again).state;
    assert_eq!(published(&led), Some(format!("\"http://10.152.183.10:{}/\"", world.port).as_str()));
    assert!(led.relation_by_id(LOKI).local_app_data.contains_key("alert_rules"));
}

#[test]
fn a_hook_that_fails_has_noted_nothing_that_it_said_in_vain() {
    let world = World::new();
    let refused = crate::world::context(world.root()).refuse_commit("cannot apply changes");
    let outcome = refused.run(&Event::pebble_ready(CONTAINER), &world.related());
    assert!(!outcome.is_success());
    let state = world.run(&Event::update_status(), &outcome.state).state;
    assert!(published(&state).is_some());
    assert_eq!(state.port_list().len(), 1);
    let steady = world.run_once(&Event::update_status(), &state);
    assert_eq!((looks(&steady), &steady.state), (vec![], &state));
}

#[test]
fn a_falco_that_comes_or_goes_costs_the_others_nothing() {
    let world = World::new();
    let state = world.run_once(&Event::pebble_ready(CONTAINER), &with_falcos(&world, 10)).state;
    let new = Relation::new(99, "http-endpoint", "late").remote_unit(0).remote_model(MACHINES);
    let came = world.run(&Event::relation_created(99), &state.clone().relation(new));
    assert_eq!(looks(&came).len(), 1, "{}", came.report());
    assert!(came.state.relation_by_id(99).local_app_data.contains_key("url"));
    let mut state = came.state;
    *state.relation_by_id_mut(99) = state.relation_by_id(99).clone().broken();
    let gone = world.run(&Event::relation_broken(99), &state);
    assert_eq!(looks(&gone), [""; 0], "{}", gone.report());
    let state = gone.state.without_relation(99);
    assert_eq!(world.run(&Event::update_status(), &state).state.unit_status, Status::active(""));
}
