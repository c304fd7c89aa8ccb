//! Certificates: asked for, served, renewed, taken back, and gone with their relation.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;

use charm_tests::authority::{self, Authority, Days, requests};
use charm_tests::juju::{Event, Network, Relation, Secret, State, Status};
use charm_tests::loki::Answer;
use charm_tests::ports::free_port;
use charm_tests::sink::Sink;
use serde_json::{Value, json};

use crate::outputs::wait_for;
use crate::world::{CONTAINER, FALCO, World, falco_relation, loki_relation, published, unread};

const CERTIFICATES: u32 = 3;
const CERTIFICATE: &str = "/etc/falcosidekick/certs/server/server.crt";
const KEY: &str = "/etc/falcosidekick/certs/server/server.key";
const KEY_LABEL: &str = "afd8c2bccf834997afce12c2706d2ede-private-key-0-certificates";
const CERTIFICATE_LABEL: &str = "afd8c2bccf834997afce12c2706d2ede-certificate-0-certificates";
pub const ADDRESS: &str = "10.152.183.10";
const REVOKED: &str = "certificates: ca revoked the certificate; waiting for another one";

/// Far from any renewal.
pub const FRESH: Days = Days(1, 90);

fn certificates() -> Relation {
    Relation::new(CERTIFICATES, "certificates", "ca").remote_unit(0)
}

/// What the controller knows of a leader that is related to everybody.
fn related(world: &World) -> State {
    let state = world.alone().relation(loki_relation(&world.loki.url())).relation(falco_relation());
    state.config("metrics-port", world.metrics_port).relation(certificates())
}

/// The authority answers everything that was asked for.
pub fn sign(state: &State, authority: &Authority, days: Days) -> State {
    let mut state = state.clone();
    authority.sign_all(state.relation_by_id_mut(CERTIFICATES), days);
    state
}

pub fn changed() -> Event {
    Event::relation_changed_by_app(CERTIFICATES)
}

/// A world that serves a certificate of this authority, and what the controller knows then.
pub fn settled(authority: &Authority, days: Days) -> (World, State) {
    let world = World::new();
    let state = world.run(&Event::pebble_ready(CONTAINER), &related(&world)).state;
    let state = world.run_once(&changed(), &sign(&state, authority, days)).state;
    assert_eq!(state.unit_status, Status::active(""));
    (world, state)
}

fn request(state: &State) -> String {
    let requests = requests(&state.relation_by_id(CERTIFICATES).local_unit_data);
    assert_eq!(requests.len(), 1, "{requests:?}");
    requests[0].clone()
}

fn secret(state: &State, label: &str, key: &str) -> Option<String> {
    state.secrets.iter().find(|secret| secret.label == label)?.text(key)
}

fn read(world: &World, path: &str) -> String {
    fs::read_to_string(world.path(path)).unwrap()
}

#[test]
fn without_a_certificate_one_is_asked_for_and_nothing_is_half_configured() {
    let world = World::new();
    let state = world.run(&Event::pebble_ready(CONTAINER), &related(&world)).state;
    assert_eq!(state.unit_status, Status::waiting("certificates: waiting for ca to issue the certificate"));
    assert_eq!((published(&state), state.port_list().len()), (None, 0));
    world.assert_stopped();
    assert!(!world.path("/etc/falcosidekick").exists());
    let key = secret(&state, KEY_LABEL, "private-key").unwrap();
    assert!(key.starts_with("-----BEGIN PRIVATE KEY-----"));
    let names = charm_core::x509::Request::from_pem(&request(&state)).unwrap().names;
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    assert_eq!(
        names,
        [
            "sidekick",
            "sidekick-0.sidekick-endpoints",
            "sidekick-0.sidekick-endpoints.test-model.svc.cluster.local",
            "sidekick.test-model",
            "sidekick.test-model.svc",
            "sidekick.test-model.svc.cluster.local",
            ADDRESS,
        ]
    );
}

#[test]
fn a_certificate_is_asked_for_before_the_container_and_loki_are_there() {
    let mut world = World::new();
    world.pebble.stop();
    let state = world.run(&Event::relation_created(CERTIFICATES), &world.alone().relation(certificates())).state;
    assert_eq!(state.unit_status, Status::waiting("falcosidekick: waiting for the container's Pebble to answer"));
    assert!(!request(&state).is_empty());
}

#[test]
fn with_the_certificate_alerts_come_in_over_tls_and_falco_is_told() {
    let authority = Authority::new("test");
    let (world, state) = settled(&authority, FRESH);
    assert_eq!(published(&state), Some(format!("\"https://{ADDRESS}:{}/\"", world.port).as_str()));
    let ca: String = serde_json::from_str(&state.relation_by_id(FALCO).local_app_data["ca"]).unwrap();
    assert!(ca.contains(authority.root().trim()));
    world.deliver_tls(ADDRESS, &ca);
    assert_eq!(state.port_list(), [format!("{}/tcp", world.port)]);
    for path in [CERTIFICATE, KEY] {
        assert_eq!(fs::metadata(world.path(path)).unwrap().permissions().mode() & 0o777, 0o600, "{path}");
    }
    assert_eq!(read(&world, KEY).trim(), secret(&state, KEY_LABEL, "private-key").unwrap().trim());
    assert_eq!(read(&world, CERTIFICATE).matches("BEGIN CERTIFICATE").count(), 2, "the chain up to the root");
    for name in [ADDRESS, "sidekick.test-model.svc.cluster.local", "sidekick"] {
        world.deliver_tls(name, &authority.root());
    }
    let answer = world.ask(world.port, "GET /ping HTTP/1.0\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.0 400"), "alerts in clear text are refused: {answer}");
}

#[test]
fn health_and_metrics_are_where_the_check_and_prometheus_look() {
    let (world, _) = settled(&Authority::new("test"), FRESH);
    for path in ["/healthz", "/metrics"] {
        let answer = world.ask(world.metrics_port, &format!("GET {path} HTTP/1.0\r\n\r\n"));
        assert!(answer.contains(" 200 OK"), "{path}: {answer}");
    }
    let plan: String = serde_json::from_value(world.pebble.get("/v1/plan?format=yaml")).unwrap();
    assert!(plan.contains(&format!("http://127.0.0.1:{}/healthz", world.metrics_port)), "{plan}");
}

#[test]
fn a_hook_that_changes_nothing_is_cheap_also_with_a_certificate() {
    let (world, state) = settled(&Authority::new("test"), FRESH);
    let (process, requests) = (world.process(), world.pebble.requests().len());
    let outcome = world.run(&Event::config_changed(), &state);
    assert_eq!(unread(&outcome.state), unread(&state));
    assert_eq!(world.process(), process);
    let requests = world.pebble.requests().len() - requests;
    println!("steady: {} hook commands, {} requests to Pebble in two hooks", outcome.hook_commands(), requests);
    assert!(requests <= 2 * crate::world::MOST_REQUESTS, "{requests}");
}

#[test]
fn plain_http_goes_on_until_the_certificate_is_there_and_ends_with_one_restart() {
    let (world, state) = World::settled();
    let process = world.process();
    let state = state.relation(certificates()).config("metrics-port", world.metrics_port);
    let state = world.run(&Event::relation_created(CERTIFICATES), &state).state;
    assert_eq!(state.unit_status.name, "waiting");
    assert_eq!(world.process(), process);
    assert!(published(&state).unwrap().starts_with("\"http://"), "the last good URL stays");

    let authority = Authority::new("test");
    let changes = world.pebble.changes().len();
    let state = world.run_once(&changed(), &sign(&state, &authority, FRESH)).state;
    let restarted = world.pebble.changes().split_off(changes);
    assert_eq!(restarted.iter().filter(|change| change.kind != "perform-check").count(), 1, "{restarted:?}");
    assert_eq!(state.unit_status, Status::active(""));
    assert!(published(&state).unwrap().starts_with("\"https://"));
    world.deliver_tls(ADDRESS, &authority.root());
}

#[test]
fn a_certificate_near_its_end_is_renewed_with_one_restart_and_serves_until_then() {
    let (authority, world) = (Authority::new("test"), World::new());
    let state = world.run(&Event::pebble_ready(CONTAINER), &related(&world)).state;
    let first = request(&state);
    let mut state = world.run(&changed(), &sign(&state, &authority, Days(94, 6))).state;
    let (second, process) = (request(&state), world.process());
    assert_ne!(first, second);
    assert_eq!(state.unit_status, Status::active(""));
    authority::publish(state.relation_by_id_mut(CERTIFICATES), &[]);
    state = world.run(&changed(), &state).state;
    assert_eq!((world.process(), request(&state)), (process, second.clone()));
    assert_eq!(state.unit_status, Status::active(""));
    world.deliver_tls(ADDRESS, &authority.root());

    state = world.run(&changed(), &sign(&state, &authority, FRESH)).state;
    assert_ne!(world.process(), process);
    assert_eq!(state.unit_status, Status::active(""));
    assert_eq!(request(&state), second);
    world.deliver_tls(ADDRESS, &authority.root());
}

#[test]
fn every_unit_tells_of_its_own_certificate_that_ends_soon_and_was_not_renewed() {
    let (authority, world) = (Authority::new("test"), World::new());
    let state = world.run(&Event::pebble_ready(CONTAINER), &related(&world).leader(false)).state;
    let state = world.run(&changed(), &sign(&state, &authority, Days(96, 4))).state;
    let status = &state.unit_status;
    assert_eq!(status.name, "active");
    assert!(status.message.starts_with("certificates: the certificate ends at "), "{status}");
    assert!(status.message.ends_with(", and ca has not issued another one"), "{status}");
    world.deliver_tls(ADDRESS, &authority.root());
    let state = world.run(&changed(), &sign(&state, &authority, FRESH)).state;
    assert_eq!(state.unit_status, Status::active(""));
}

#[test]
fn a_secret_that_expires_renews_the_certificate_and_stays_until_that_is_there() {
    let authority = Authority::new("test");
    let (world, state) = settled(&authority, FRESH);
    let kept = state.secrets.iter().find(|secret| secret.label == CERTIFICATE_LABEL).unwrap().clone();
    let first = request(&state);
    let state = world.run(&Event::secret_expired(&kept.id, kept.latest()), &state).state;
    assert_ne!(request(&state), first);
    let now = state.secrets.iter().find(|secret| secret.label == CERTIFICATE_LABEL).unwrap();
    assert_eq!(now.revisions, kept.revisions);
    assert!(now.expire > kept.expire, "Juju would tell it again and again: {:?}", now.expire);

    let state = world.run(&changed(), &sign(&state, &authority, FRESH)).state;
    let renewed = state.secrets.iter().find(|secret| secret.label == CERTIFICATE_LABEL).unwrap().clone();
    assert_eq!(renewed.latest(), kept.latest() + 1);
    let state = world.run_once(&Event::secret_remove(&renewed.id, kept.latest()), &state).state;
    let renewed = state.secrets.iter().find(|secret| secret.label == CERTIFICATE_LABEL).unwrap();
    assert_eq!(renewed.revisions.len(), 1, "nobody reads the old revision any more");
    assert_eq!(state.unit_status, Status::active(""));
}

#[test]
fn a_new_pod_serves_the_certificate_that_it_had_until_a_new_one_is_there() {
    let authority = Authority::new("test");
    let (world, state) = settled(&authority, FRESH);
    drop(world);
    let world = World::new();
    let state = state.config("port", world.port).config("metrics-port", world.metrics_port);
    let state = state.without_relation(2).relation(loki_relation(&world.loki.url()));
    let pod = State { networks: [("http-endpoint".into(), Network::pod("10.1.9.9", ADDRESS))].into(), ..state };
    let mut forgotten = pod.clone();
    authority::publish(forgotten.relation_by_id_mut(CERTIFICATES), &[]);
    for state in [pod, forgotten] {
        let asked = request(&state);
        let state = world.run(&Event::pebble_ready(CONTAINER), &state).state;
        assert_eq!(request(&state), asked, "the address of a pod is in no request");
        assert!(state.unit_status != Status::new("blocked", ""), "{}", state.unit_status);
        world.deliver_tls(ADDRESS, &authority.root());
    }
}

#[test]
fn another_address_asks_anew_and_the_last_url_stays_until_the_answer() {
    let authority = Authority::new("test");
    let (world, state) = settled(&authority, FRESH);
    let process = world.process();
    let moved = state.clone().network("http-endpoint", Network::pod("10.1.0.10", "10.152.183.99"));
    let waiting = world.run(&Event::config_changed(), &moved).state;
    assert_eq!(
        waiting.unit_status,
        Status::waiting("certificates: waiting for a certificate that is for 10.152.183.99")
    );
    assert_eq!(published(&waiting), published(&state));
    assert_eq!(world.process(), process);

    let state = world.run(&changed(), &sign(&waiting, &authority, FRESH)).state;
    assert_eq!(state.unit_status, Status::active(""));
    assert_eq!(published(&state), Some(format!("\"https://10.152.183.99:{}/\"", world.port).as_str()));
}

#[test]
fn with_the_relation_everything_of_it_goes_and_without_leave_for_plain_http_the_service_as_well() {
    let authority = Authority::new("test");
    let (world, state) = settled(&authority, FRESH);
    for allowed in [false, true] {
        let mut broken = state.clone().config("allow-plain-http", allowed);
        let relation = broken.relation_by_id(CERTIFICATES).clone();
        *broken.relation_by_id_mut(CERTIFICATES) = relation.broken();
        let after = world.run(&Event::relation_broken(CERTIFICATES), &broken).state;
        assert!(after.secrets.is_empty(), "{:?}", after.secrets);
        assert!(!world.path(CERTIFICATE).exists() && !world.path(KEY).exists());
        if allowed {
            assert_eq!(after.unit_status, Status::active(""));
            assert!(published(&after).unwrap().starts_with("\"http://"));
            assert!(!after.relation_by_id(FALCO).local_app_data.contains_key("ca"));
            world.deliver(world.port);
        } else {
            assert!(after.unit_status.message.starts_with("allow-plain-http: "), "{}", after.unit_status);
            assert_eq!((published(&after), after.port_list().len()), (None, 0));
            world.assert_stopped();
        }
    }
}

/// The same after the authority has revoked the certificate that is served, and what it published about it.
fn revoked(world: &World, state: &State, authority: &Authority) -> (State, Value) {
    let mut answer = authority.answer(&request(state), FRESH);
    answer["certificate"] = json!(read(world, CERTIFICATE));
    answer["revoked"] = json!(true);
    let mut state = state.clone();
    authority::publish(state.relation_by_id_mut(CERTIFICATES), std::slice::from_ref(&answer));
    (state, answer)
}

#[test]
fn a_revoked_certificate_is_served_no_longer_and_another_one_is_asked_for() {
    let authority = Authority::new("test");
    let (world, state) = settled(&authority, FRESH);
    let (told, answer) = revoked(&world, &state, &authority);
    let stopped = world.run(&changed(), &told).state;
    assert_eq!(stopped.unit_status, Status::waiting(REVOKED));
    world.assert_stopped();
    assert!(!world.path(KEY).exists());
    assert_eq!(published(&stopped), published(&state), "it will be back there");
    assert_ne!(request(&stopped), request(&state));

    let mut again = stopped.clone();
    let answers = [answer, authority.answer(&request(&stopped), FRESH)];
    authority::publish(again.relation_by_id_mut(CERTIFICATES), &answers);
    let state = world.run(&changed(), &again).state;
    assert_eq!(state.unit_status, Status::active(""));
    world.deliver_tls(ADDRESS, &authority.root());
}

#[test]
fn a_revoked_certificate_is_served_no_longer_also_while_an_option_is_bad() {
    let authority = Authority::new("test");
    let (world, state) = settled(&authority, FRESH);
    let bad = state.clone().config("outputs", "slak: {}");
    let (told, answer) = revoked(&world, &bad, &authority);
    let stopped = world.run(&changed(), &told).state;
    let status = &stopped.unit_status;
    assert!(status.name == "blocked" && status.message.starts_with("outputs: "), "{status}");
    assert!(status.message.ends_with(&format!("; {REVOKED}")), "{status}");
    world.assert_stopped();
    assert!(!world.answers());
    assert!(!world.path(KEY).exists());
    assert_eq!(published(&stopped), published(&state), "it will be back there");

    let mut again = stopped.clone();
    let answers = [answer, authority.answer(&request(&stopped), FRESH)];
    authority::publish(again.relation_by_id_mut(CERTIFICATES), &answers);
    let back = world.run(&changed(), &again).state;
    assert!(back.unit_status.message.starts_with("outputs: "), "{}", back.unit_status);
    assert_eq!(published(&back), published(&state));
    world.deliver_tls(ADDRESS, &authority.root());
    let good = world.run(&Event::config_changed(), &back.config("outputs", "")).state;
    assert_eq!(good.unit_status, Status::active(""));
    assert_eq!(world.starts(), 2, "once for each certificate");
}

#[test]
fn a_refused_request_blocks_in_the_words_of_the_authority() {
    let world = World::new();
    let mut state = world.run(&Event::pebble_ready(CONTAINER), &related(&world)).state;
    let error = json!({"code": 101, "name": "IP_NOT_ALLOWED", "message": "no\naddresses"});
    let refusals = json!([{"csr": request(&state), "error": error}]).to_string();
    state.relation_by_id_mut(CERTIFICATES).remote_app_data.insert("request_errors".into(), refusals);
    let state = world.run(&changed(), &state).state;
    assert_eq!(
        state.unit_status,
        Status::blocked("certificates: ca refused the request: IP_NOT_ALLOWED: no addresses")
    );
}

#[test]
fn a_certificate_that_nobody_would_believe_blocks_and_is_told_to_nobody() {
    let (authority, other) = (Authority::new("test"), Authority::new("another"));
    let world = World::new();
    let mut state = world.run(&Event::pebble_ready(CONTAINER), &related(&world)).state;
    let mut answer = authority.answer(&request(&state), FRESH);
    (answer["ca"], answer["chain"]) = (json!(other.root()), json!([]));
    authority::publish(state.relation_by_id_mut(CERTIFICATES), &[answer]);
    let state = world.run(&changed(), &state).state;
    let text = &state.unit_status.message;
    assert!(text.starts_with("certificates: falcosidekick answers, but would not be believed: https://"), "{text}");
    assert_eq!((published(&state), state.port_list().len()), (None, 0));
}

#[test]
fn a_key_of_a_python_charm_goes_on() {
    let vector = include_str!("../../vectors/falcosidekick/certificates_4_issued_again.json");
    let vector: Value = serde_json::from_str(vector).unwrap();
    let secrets = vector["input"]["secrets"].as_array().unwrap();
    let key = secrets.iter().find_map(|secret| secret["latest_content"]["private-key"].as_str()).unwrap();
    let owner = charm_tests::juju::Owner::Unit("sidekick/0".into());
    let secret = Secret::owned("0123456789abcdefghij", owner).label(KEY_LABEL);
    let world = World::new();
    let state = related(&world).secret(secret.revision([("private-key", key)]));
    let state = world.run(&Event::upgrade_charm(), &state).state;
    let authority = Authority::new("test");
    let state = world.run(&changed(), &sign(&state, &authority, FRESH)).state;
    assert_eq!(state.unit_status, Status::active(""));
    assert_eq!(read(&world, KEY).trim(), key.trim());
    world.deliver_tls(ADDRESS, &authority.root());
}

#[test]
fn every_unit_has_a_certificate_of_its_own_and_the_leader_alone_publishes() {
    let authority = Authority::new("test");
    let world = World::new();
    let state = world.run(&Event::pebble_ready(CONTAINER), &related(&world).leader(false)).state;
    let state = world.run(&changed(), &sign(&state, &authority, FRESH)).state;
    assert_eq!(state.unit_status, Status::active(""));
    assert!(state.relation_by_id(FALCO).local_app_data.is_empty());
    world.deliver_tls(ADDRESS, &authority.root());
    let state = world.run(&Event::leader_elected(), &state.leader(true)).state;
    assert_eq!(published(&state), Some(format!("\"https://{ADDRESS}:{}/\"", world.port).as_str()));
}

fn results(world: &World, action: &str, state: &State) -> std::collections::BTreeMap<String, String> {
    let outcome = world.action(action, state).expect_success();
    let action = outcome.action.unwrap();
    assert!(!action.failed, "{action:?}");
    action.results.iter().map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned())).collect()
}

#[test]
fn an_action_shows_the_certificate_and_whether_it_is_served() {
    let authority = Authority::new("test");
    let (world, state) = settled(&authority, FRESH);
    let shown = results(&world, "check-tls", &state);
    assert!(shown["subject"].contains("sidekick-0") && shown["issuer"].contains("test"), "{shown:?}");
    assert!(shown["names"].contains(ADDRESS) && shown["names"].contains("sidekick.test-model.svc"), "{shown:?}");
    assert_eq!((shown["answers"].as_str(), shown["days-left"].as_str()), ("yes", "89"), "{shown:?}");
    let known = results(&world, "get-ca", &state);
    assert!(known["ca"].contains(authority.root().trim()), "{known:?}");
    world.deliver_tls(ADDRESS, &known["ca"]);

    world.pebble_command(&["stop", "falcosidekick"]);
    assert!(results(&world, "check-tls", &state)["answers"].starts_with("no: "));
}

#[test]
fn an_action_about_tls_fails_with_the_reason_when_there_is_none() {
    let (world, state) = World::settled();
    for action in ["check-tls", "get-ca"] {
        let outcome = world.action(action, &state).expect_success().action.unwrap();
        assert!(outcome.failed);
        assert_eq!(outcome.message, "certificates is not related: nothing is served over TLS");
    }
    let waiting = state.relation(certificates());
    let outcome = world.action("get-ca", &waiting).expect_success().action.unwrap();
    assert!(outcome.failed);
    assert_eq!(outcome.message, "certificates: waiting for ca to issue the certificate");
}

#[test]
fn an_action_restarts_falcosidekick_and_fails_where_it_is_not_to_run() {
    let authority = Authority::new("test");
    let (world, state) = settled(&authority, FRESH);
    let process = world.process();
    results(&world, "restart", &state);
    assert_ne!(world.process(), process);
    world.deliver_tls(ADDRESS, &authority.root());

    let outcome = world.action("restart", &state.without_relation(2)).expect_success().action.unwrap();
    assert!(outcome.failed && outcome.message.contains("is not to be started now: send-loki-logs: "), "{outcome:?}");
}

#[test]
fn an_action_shows_who_was_told_to_trust_the_authority() {
    let authority = Authority::new("test");
    let (world, state) = settled(&authority, FRESH);
    assert_eq!(results(&world, "check-tls", &state)["told-to-trust"], "falco (http-endpoint)");
    let asking = state.relation(Relation::new(12, "send-ca-cert", "somebody").remote_unit(0));
    assert_eq!(results(&world, "check-tls", &asking)["told-to-trust"], "falco (http-endpoint)", "not told yet");
    let state = world.run(&Event::relation_created(12), &asking).state;
    assert_eq!(results(&world, "check-tls", &state)["told-to-trust"], "falco (http-endpoint), somebody (send-ca-cert)");
    let other = results(&world, "check-tls", &state.leader(false));
    assert_eq!(other["told-to-trust"], "only the leader can tell");
}

#[test]
fn a_bad_option_keeps_nothing_of_a_relation_that_ends() {
    let authority = Authority::new("test");
    let (world, state) = settled(&authority, FRESH);
    for bad in [state.clone().config("outputs", "slak: {}"), state.clone().config("outputs-secret", "secret:gone")] {
        let mut broken = bad;
        let relation = broken.relation_by_id(CERTIFICATES).clone();
        *broken.relation_by_id_mut(CERTIFICATES) = relation.broken();
        let after = world.run(&Event::relation_broken(CERTIFICATES), &broken).state;
        let text = &after.unit_status.message;
        assert!(text.starts_with("outputs") && text.contains("; allow-plain-http: it is false"), "{text}");
        assert!(after.secrets.is_empty(), "{:?}", after.secrets);
        assert_eq!(published(&after), None);
        world.assert_stopped();
    }
}

#[test]
fn alerts_over_tls_reach_other_outputs_too_and_these_stay_when_the_certificate_is_renewed() {
    let authority = Authority::new("test");
    let (world, state) = settled(&authority, FRESH);
    let (sink, id) = (Sink::start(), "9m4e2mr0ui3e8a215n4g");
    let content = Secret::user(id, "sidekick").revision([("webhook-address", sink.url().as_str())]);
    let state = state.config("outputs-secret", format!("secret:{id}")).secret(content);
    let state = world.run(&Event::config_changed(), &state).state;
    assert_eq!(state.unit_status, Status::active(""));
    world.deliver_tls(ADDRESS, &authority.root());
    wait_for(&sink, 1, &world);

    let before = read(&world, CERTIFICATE);
    let state = world.run(&changed(), &sign(&state, &authority, Days(0, 91))).state;
    assert_eq!(state.unit_status, Status::active(""));
    assert_ne!(read(&world, CERTIFICATE), before);
    world.deliver_tls(ADDRESS, &authority.root());
    wait_for(&sink, 2, &world);
}

#[test]
fn the_check_and_the_counters_are_on_the_port_beside_tls_and_a_dead_unit_gets_no_alerts() {
    let authority = Authority::new("test");
    let (world, state) = settled(&authority, FRESH);
    world.check(3);
    assert!(world.is_ready(), "{}", world.pebble.log());
    world.loki.answer(Answer::Refuse(500));
    let (results, failure) = test_alert(&world, &state);
    assert!(results["loki"].starts_with("failed: "), "{results:?}");
    assert_eq!(failure, "the alert is not known to have arrived: loki");
    let failing = world.run(&Event::update_status(), &state).state;
    assert_eq!(failing.unit_status, Status::active("loki: 1 error, 0 ok"));

    world.loki.answer(Answer::Take);
    let (results, failure) = test_alert(&world, &failing);
    assert_eq!((results["loki"].as_str(), failure.as_str()), ("delivered", ""));
    assert_eq!(world.run(&Event::update_status(), &failing).state.unit_status, Status::active(""));

    world.pebble_command(&["stop", "falcosidekick"]);
    world.check(3);
    assert!(!world.is_ready());
}

#[test]
fn a_metrics_port_that_is_taken_blocks_in_the_words_of_falcosidekick_until_it_is_free() {
    let authority = Authority::new("test");
    let (world, state) = settled(&authority, FRESH);
    let port = free_port();
    let other = TcpListener::bind(("0.0.0.0", port)).unwrap();
    let blocked = world.run_once(&Event::config_changed(), &state.clone().config("metrics-port", port)).state;
    let text = &blocked.unit_status.message;
    assert!(
        text.starts_with("falcosidekick does not stay up: ") && text.ends_with("bind: address already in use"),
        "{text}"
    );
    drop(other);
    let state = world.run(&Event::update_status(), &blocked).state;
    assert_eq!(state.unit_status, Status::active(""));
    world.deliver_tls(ADDRESS, &authority.root());
}

fn test_alert(world: &World, state: &State) -> (std::collections::BTreeMap<String, String>, String) {
    let action = world.action("test-alert", state).expect_success().action.unwrap();
    let text = |(name, value): (&String, &Value)| (name.clone(), value.as_str().unwrap_or_default().to_owned());
    (action.results.iter().map(text).collect(), action.message)
}
