//! A way in by Kubernetes' own means, beside a double of its API that plays recorded answers. The suite `systems` has the
//! same on the real one.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

use charm_tests::authority::{Authority, Days, requests};
use charm_tests::juju::{Event, Relation, State, Status};
use charm_tests::kubernetes::double::{Answer, ApiDouble};
use serde_json::Value;

use crate::world::{CONTAINER, World, published};

const SERVICE: &str = "/api/v1/namespaces/test-model/services/sidekick-lb";
const WORKLOAD: &str = "/apis/apps/v1/namespaces/test-model/statefulsets/sidekick";
const BUDGETS: &str = "/apis/policy/v1/namespaces/test-model/poddisruptionbudgets";
const NODES: &str = "/api/v1/nodes";
const CERTIFICATES: u32 = 3;

/// A recorded answer, for the port of this test.
fn recording(name: &str, world: &World) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("recordings/kubernetes/{name}.json"));
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.replace("2801", &world.port.to_string())
}

fn fine(text: impl Into<String>) -> [Answer; 1] {
    [Answer::Says(200, text.into())]
}

/// A pod of a trusted application, with a cluster in which nothing of ours is yet, and what the controller knows.
fn world() -> (World, ApiDouble, State) {
    let api = ApiDouble::start();
    let world = World::new().beside(&api);
    api.answer("GET", WORKLOAD, fine(recording("workload", &world)));
    api.answer("GET", BUDGETS, fine(recording("budgets", &world)));
    let state = world.related().config("external-access", "load-balancer");
    (world, api, state)
}

/// The same after the cluster gave an address.
fn settled() -> (World, ApiDouble, State) {
    let (world, api, state) = world();
    api.answer("GET", SERVICE, fine(recording("service-with-address", &world)));
    let state = world.run(&Event::pebble_ready(CONTAINER), &state).state;
    assert_eq!(state.unit_status, Status::active(""));
    assert_eq!(published(&state), Some(format!("\"http://203.0.113.7:{}/\"", world.port).as_str()));
    api.requests();
    (world, api, state)
}

fn lines(requests: &[(String, String, Value)]) -> Vec<String> {
    requests.iter().map(|(method, target, _)| format!("{method} {target}")).collect()
}

#[test]
fn a_service_is_made_once_and_its_address_is_published_when_it_has_one() {
    let (world, api, state) = world();
    let without = recording("service-without-address", &world);
    let missing = Answer::Says(404, recording("not-found", &world));
    api.answer("GET", SERVICE, [missing, Answer::Says(200, without.clone())]);
    api.answer("PATCH", SERVICE, [Answer::Says(201, without)]);
    let state = world.run(&Event::pebble_ready(CONTAINER), &state).state;
    let waiting = "external-access: waiting for the cluster to give the Service sidekick-lb an address";
    assert_eq!(state.unit_status, Status::waiting(waiting));
    assert_eq!(published(&state), None);
    let requests = api.requests();
    let writes: Vec<_> = requests.iter().filter(|(method, ..)| method != "GET").collect();
    let [(method, target, body)] = writes.as_slice() else { panic!("{:?}", lines(&requests)) };
    assert_eq!(format!("{method} {target}"), format!("PATCH {SERVICE}?&fieldManager=falcosidekick-k8s"));
    assert_eq!((&body["kind"], &body["spec"]["type"]), (&"Service".into(), &"LoadBalancer".into()));

    api.answer("GET", SERVICE, fine(recording("service-with-address", &world)));
    let state = world.run(&Event::update_status(), &state).state;
    assert_eq!(state.unit_status, Status::active(""));
    assert_eq!(published(&state), Some(format!("\"http://203.0.113.7:{}/\"", world.port).as_str()));
}

#[test]
fn a_hook_that_changes_nothing_asks_three_times_and_writes_nothing() {
    let (world, api, state) = settled();
    let outcome = world.run_once(&Event::update_status(), &state);
    assert_eq!(outcome.state, state);
    let expected = [format!("GET {SERVICE}"), format!("GET {WORKLOAD}"), format!("GET {BUDGETS}?")];
    assert_eq!(lines(&api.requests()), expected);
}

#[test]
fn kubernetes_is_not_asked_when_no_way_in_is_wanted_whatever_happens() {
    let (world, api, state) = world();
    let state = state.config("external-access", "none");
    for leader in [true, false] {
        for event in [
            Event::install(),
            Event::config_changed(),
            Event::pebble_ready(CONTAINER),
            Event::update_status(),
            Event::upgrade_charm(),
            Event::stop(),
            Event::remove(),
        ] {
            world.run_once(&event, &State { leader, ..state.clone() });
        }
    }
    assert_eq!(lines(&api.requests()), Vec::<String>::new());
}

#[test]
fn a_service_made_earlier_goes_with_the_option_whoever_leads_then() {
    let (world, api, state) = settled();
    let unset = state.config("external-access", "none");
    world.run(&Event::config_changed(), &State { leader: false, ..unset.clone() });
    assert_eq!(lines(&api.requests()), Vec::<String>::new(), "only the leader writes");

    let missing = Answer::Says(404, recording("not-found", &world));
    api.answer("GET", SERVICE, [fine(recording("service-with-address", &world))[0].clone(), missing]);
    api.answer("DELETE", SERVICE, fine(recording("removed", &world)));
    let state = world.run(&Event::leader_elected(), &unset).state;
    let requests = api.requests();
    let removed = requests.iter().find(|(method, ..)| method == "DELETE").unwrap();
    assert_eq!(removed.2["preconditions"]["uid"], "5f3b0c1e-7d7c-4a52-9f0e-1f2a3b4c5d6e");
    assert_eq!(state.unit_status, Status::active(""));
    assert_eq!(published(&state), Some(format!("\"http://10.152.183.10:{}/\"", world.port).as_str()));
    world.run_once(&Event::update_status(), &state);
    assert_eq!(lines(&api.requests()), Vec::<String>::new(), "it is known to be gone");
}

#[test]
fn without_trust_blocked_with_the_command_that_gives_it() {
    let (world, api, state) = world();
    api.answer("GET", WORKLOAD, [Answer::Says(403, recording("forbidden", &world))]);
    let state = world.run(&Event::pebble_ready(CONTAINER), &state).state;
    let text = "external-access: this application may not see to its Service; run: juju trust sidekick --scope=cluster";
    assert_eq!(state.unit_status, Status::blocked(text));
    assert_eq!(published(&state), None);
    assert!(world.answers(), "callers inside the cluster are served all the same");
}

#[test]
fn whatever_the_api_server_says_the_last_url_stays() {
    let (world, api, state) = settled();
    let process = world.process();
    let cut = recording("service-with-address", &world)[..300].to_owned();
    let garbage = || [(200, cut.clone()), (200, "<html>".into()), (200, "null".into()), (200, "{\"kind\": 7}".into())];
    let errors = [(500, "x".to_owned()), (503, String::new()), (404, "<html>".into()), (301, String::new())];
    for (status, body) in garbage().into_iter().chain(errors) {
        api.answer("GET", SERVICE, [Answer::Says(status, body.clone())]);
        let outcome = world.run(&Event::update_status(), &state);
        let said = outcome.state.unit_status.to_string();
        let words = "waiting: external-access: waiting for the API server of the cluster: ";
        assert!(said.starts_with(words), "{status} {body}: {said}");
        assert_eq!(published(&outcome.state), published(&state));
    }
    api.answer("GET", SERVICE, fine(recording("service-with-address", &world)));
    let state = world.run(&Event::update_status(), &state).state;
    assert_eq!(state.unit_status, Status::active(""));
    assert_eq!(world.process(), process);
}

#[test]
fn an_api_server_that_is_slow_or_away_costs_a_hook_some_seconds_at_most() {
    let (world, api, state) = settled();
    api.answer("GET", SERVICE, [Answer::Nothing]);
    let begin = Instant::now();
    let slow = world.run_once(&Event::update_status(), &state).state;
    assert!(begin.elapsed() < Duration::from_secs(60), "{:?}", begin.elapsed());
    assert_eq!(slow.unit_status.name, "waiting");
    assert_eq!(published(&slow), published(&state));

    // A port on which nobody answers the connection.
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = nobody.local_addr().unwrap().port();
    drop(nobody);
    let world = world.beside_port(port);
    let away = world.run(&Event::update_status(), &state).state;
    assert_eq!(away.unit_status.name, "waiting");
    assert!(away.unit_status.message.contains("refused"), "{}", away.unit_status);
    assert_eq!(published(&away), published(&state));
}

#[test]
fn a_change_that_is_refused_or_made_by_somebody_else_is_told_and_tried_again() {
    for (name, code, status) in [("conflict", 409, "waiting"), ("refused", 422, "blocked")] {
        let (world, api, state) = world();
        api.answer("PATCH", SERVICE, [Answer::Says(code, recording(name, &world))]);
        let state = world.run(&Event::pebble_ready(CONTAINER), &state).state;
        assert_eq!(state.unit_status.name, status, "{}", state.unit_status);
        assert!(state.unit_status.message.starts_with("external-access: "), "{}", state.unit_status);
        api.answer("GET", SERVICE, fine(recording("service-with-address", &world)));
        let state = world.run(&Event::update_status(), &state).state;
        assert_eq!(state.unit_status, Status::active(""));
    }
}

#[test]
fn bad_options_block_by_their_names_and_change_nothing_in_the_cluster() {
    let bad = [("external-access", "yes"), ("load-balancer-annotations", "a: [b]")];
    let blocks = |world: &World, state: &State, (option, value): (&str, &str)| {
        let bad = world.run(&Event::config_changed(), &state.clone().config(option, value)).state;
        assert!(bad.unit_status.to_string().starts_with(&format!("blocked: {option}: ")), "{}", bad.unit_status);
        assert_eq!(published(&bad), published(state));
    };
    let (fresh, api, state) = world();
    for option in bad {
        blocks(&fresh, &state, option);
    }
    assert_eq!(lines(&api.requests()), Vec::<String>::new(), "nothing is known that should be there");

    let (world, api, state) = settled();
    for option in bad {
        blocks(&world, &state, option);
    }
    let requests = lines(&api.requests());
    assert!(!requests.is_empty() && requests.iter().all(|line| line.starts_with("GET ")), "{requests:?}");
}

#[test]
fn a_node_port_is_published_with_the_address_of_a_node() {
    let (world, api, state) = world();
    api.answer("GET", SERVICE, fine(recording("service-of-nodes", &world)));
    api.answer("GET", NODES, fine(recording("nodes", &world)));
    let state = world.run(&Event::pebble_ready(CONTAINER), &state.config("external-access", "node-port")).state;
    assert_eq!(state.unit_status, Status::active(""));
    assert_eq!(published(&state), Some("\"http://198.51.100.1:30801/\""));
}

#[test]
fn the_certificate_is_for_the_load_balancer_and_served_under_its_address() {
    let (world, api, state) = world();
    api.answer("GET", SERVICE, fine(recording("service-with-address", &world)));
    let certificates = Relation::new(CERTIFICATES, "certificates", "ca").remote_unit(0);
    let state = state.config("allow-plain-http", false).config("metrics-port", world.metrics_port);
    let mut state = world.run(&Event::pebble_ready(CONTAINER), &state.relation(certificates)).state;
    let request = requests(&state.relation_by_id(CERTIFICATES).local_unit_data).remove(0);
    let names = charm_core::x509::Request::from_pem(&request).unwrap().names;
    assert!(names.iter().any(|name| name.to_string() == "203.0.113.7"), "{names:?}");

    let authority = Authority::new("test");
    authority.sign_all(state.relation_by_id_mut(CERTIFICATES), Days(1, 90));
    let state = world.run_once(&Event::relation_changed_by_app(CERTIFICATES), &state).state;
    assert_eq!(state.unit_status, Status::active(""));
    assert_eq!(published(&state), Some(format!("\"https://203.0.113.7:{}/\"", world.port).as_str()));
    world.deliver_tls("203.0.113.7", &authority.root());
}

#[test]
fn a_unit_that_does_not_lead_only_reads() {
    let (world, api, state) = world();
    let state = world.run(&Event::pebble_ready(CONTAINER), &State { leader: false, ..state }).state;
    let text = "external-access: waiting for the leader to make the Service sidekick-lb";
    assert_eq!(state.unit_status, Status::waiting(text));
    api.answer("GET", SERVICE, fine(recording("service-with-address", &world)));
    api.requests();
    let state = world.run_once(&Event::update_status(), &state).state;
    assert_eq!(state.unit_status, Status::active(""));
    assert_eq!(lines(&api.requests()), [format!("GET {SERVICE}")]);
}
