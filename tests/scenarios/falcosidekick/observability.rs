//! Metrics, the dashboard and the log: who looks at Falcosidekick, and what they get.

use std::thread;
use std::time::{Duration, Instant};

use charm_core::interfaces::RelationData as _;
use charm_core::interfaces::grafana_dashboard;
use charm_tests::authority::{Authority, Days};
use charm_tests::juju::state::Bag;
use charm_tests::juju::{Event, Relation, State, Status};
use charm_tests::loki::LokiReceiver;
use serde_json::{Value, json};

use crate::world::{CONTAINER, LOKI, World, loki_relation, published};

const CERTIFICATES: u32 = 3;
const LOGGING: u32 = 4;
const INGRESS: u32 = 5;
const GRAFANA: u32 = 8;
const PROMETHEUS: u32 = 9;
const PATIENCE: Duration = Duration::from_secs(60);

fn prometheus() -> Relation {
    Relation::new(PROMETHEUS, "metrics-endpoint", "prometheus").remote_unit(0)
}

fn grafana() -> Relation {
    Relation::new(GRAFANA, "grafana-dashboard", "grafana").remote_unit(0)
}

/// The relation to Lokis that take the log, each of which has published its URL.
fn logging(urls: &[&str]) -> Relation {
    let add = |relation: Relation, (number, url): (u32, &&str)| {
        relation.remote_unit_data(number, "endpoint", json!({ "url": url }).to_string())
    };
    (0..).zip(urls).fold(Relation::new(LOGGING, "logging", "loki-logs"), add)
}

/// The same relation with other units on the other side.
fn with_logging(state: &State, urls: &[&str]) -> State {
    let local = state.relation_by_id(LOGGING).local_app_data.clone();
    let relation = Relation { local_app_data: local, ..logging(urls) };
    state.clone().without_relation(LOGGING).relation(relation)
}

fn parsed(bag: &Bag, key: &str) -> Value {
    serde_json::from_str(bag.get(key).unwrap_or_else(|| panic!("no {key} in {bag:?}"))).unwrap()
}

/// The targets of the jobs that Prometheus is told of.
fn targets(state: &State) -> Vec<String> {
    let jobs = parsed(&state.relation_by_id(PROMETHEUS).local_app_data, "scrape_jobs");
    assert_eq!(jobs.as_array().unwrap().len(), 1, "{jobs}");
    serde_json::from_value(jobs[0]["static_configs"][0]["targets"].clone()).unwrap()
}

fn alerts(state: &State, relation: u32) -> Vec<String> {
    let rules = parsed(&state.relation_by_id(relation).local_app_data, "alert_rules");
    let groups = rules["groups"].as_array().unwrap().iter();
    let rules = groups.flat_map(|group| group["rules"].as_array().unwrap());
    rules.map(|rule| rule["alert"].as_str().unwrap().to_owned()).collect()
}

/// The locations that get anything, by Pebble's plan.
fn forwarded(world: &World) -> Vec<String> {
    let plan: String = serde_json::from_value(world.pebble.get("/v1/plan?format=yaml")).unwrap();
    let plan: Value = serde_yaml::from_str(&plan).unwrap();
    let targets = plan["log-targets"].as_object().into_iter().flatten();
    let heard = targets.filter(|(_, target)| !target["services"].as_array().is_none_or(Vec::is_empty));
    heard.map(|(_, target)| target["location"].as_str().unwrap().to_owned()).collect()
}

/// Waits until the log of Falcosidekick has something of this alert, or whatever it says, at this Loki.
#[track_caller]
fn says_something_new(world: &World, takes: &LokiReceiver) {
    let known = takes.entries().len();
    world.deliver(world.port);
    let begin = Instant::now();
    while takes.entries().len() == known {
        assert!(begin.elapsed() < PATIENCE, "the log does not arrive:\n{}", world.pebble.log());
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn prometheus_is_told_the_port_that_answers_whenever_it_is_related() {
    let (world, state) = World::settled();
    let state = world.run(&Event::relation_created(PROMETHEUS), &state.relation(prometheus())).state;
    let target = format!("*:{}", world.port);
    assert_eq!(targets(&state), [target.as_str()]);
    let answer = world.ask(world.port, "GET /metrics HTTP/1.0\r\n\r\n");
    assert!(answer.contains(" 200 "), "{answer}");

    let first = World::new();
    let related = first.related().relation(prometheus());
    let state = first.run(&Event::pebble_ready(CONTAINER), &related).state;
    assert_eq!(targets(&state), [format!("*:{}", first.port)], "also when Prometheus was there first");
}

#[test]
fn with_tls_metrics_are_scraped_on_their_own_port_and_the_certificate_is_watched() {
    let (world, authority) = (World::new(), Authority::new("test"));
    let certificates = Relation::new(CERTIFICATES, "certificates", "ca").remote_unit(0);
    let related = world.alone().relation(loki_relation(&world.loki.url())).relation(prometheus());
    let related = related.config("metrics-port", world.metrics_port).relation(certificates);
    let mut state = world.run(&Event::pebble_ready(CONTAINER), &related).state;
    assert_eq!(state.relation_by_id(PROMETHEUS).local_app_data.get("scrape_jobs"), None, "nothing answers yet");

    authority.sign_all(state.relation_by_id_mut(CERTIFICATES), Days(1, 90));
    let state = world.run(&Event::relation_changed_by_app(CERTIFICATES), &state).state;
    assert_eq!(state.unit_status, Status::active(""));
    assert_eq!(targets(&state), [format!("*:{}", world.metrics_port)]);
    assert!(world.ask(world.metrics_port, "GET /metrics HTTP/1.0\r\n\r\n").contains(" 200 "));
    assert!(alerts(&state, PROMETHEUS).contains(&"FalcosidekickCertificateNearEnd".to_owned()));
}

#[test]
fn an_ingress_does_not_move_the_port_of_metrics() {
    let world = World::new();
    let ingress = Relation::new(INGRESS, "ingress", "traefik").remote_unit(0);
    let state = world.run(&Event::pebble_ready(CONTAINER), &world.related().relation(ingress).relation(prometheus()));
    assert_eq!(targets(&state.state), [format!("*:{}", world.port)]);
}

#[test]
fn another_port_is_told_to_prometheus() {
    let (world, state) = World::settled();
    let state = world.run(&Event::relation_created(PROMETHEUS), &state.relation(prometheus())).state;
    let port = charm_tests::ports::free_port();
    let state = world.run(&Event::config_changed(), &state.config("port", port)).state;
    assert_eq!(targets(&state), [format!("*:{port}")]);
}

#[test]
fn a_stopped_falcosidekick_is_still_scraped_so_that_somebody_sees_it() {
    let (world, state) = World::settled();
    let state = world.run(&Event::relation_created(PROMETHEUS), &state.relation(prometheus())).state;
    let state = world.run(&Event::update_status(), &state.without_relation(LOKI)).state;
    world.assert_stopped();
    assert_eq!(targets(&state), [format!("*:{}", world.port)]);
    assert!(alerts(&state, PROMETHEUS).contains(&"FalcosidekickDown".to_owned()));
}

#[test]
fn every_unit_says_where_it_is_and_only_the_leader_says_what_to_scrape() {
    let world = World::new();
    let state = world.related().leader(false).relation(prometheus());
    let state = world.run(&Event::pebble_ready(CONTAINER), &state).state;
    let relation = state.relation_by_id(PROMETHEUS);
    assert_eq!(relation.local_unit_data["prometheus_scrape_unit_address"], "10.1.0.10", "the pod, not the Service");
    assert_eq!(relation.local_unit_data["prometheus_scrape_unit_name"], "sidekick/0");
    assert!(relation.local_app_data.is_empty());
    let state = world.run(&Event::leader_elected(), &state.leader(true)).state;
    assert_eq!(targets(&state), [format!("*:{}", world.port)]);
}

#[test]
fn a_new_pod_says_where_it_is_now() {
    let (world, state) = World::settled();
    let state = world.run(&Event::relation_created(PROMETHEUS), &state.relation(prometheus())).state;
    let network = charm_tests::juju::Network::pod("10.1.0.99", "10.152.183.10");
    let state = world.run(&Event::start(), &state.network("metrics-endpoint", network)).state;
    let relation = state.relation_by_id(PROMETHEUS);
    assert_eq!(relation.local_unit_data["prometheus_scrape_unit_address"], "10.1.0.99");
}

#[test]
fn names_of_hosts_and_pods_do_not_reach_prometheus() {
    let (world, state) = World::settled();
    let state = world.run(&Event::relation_created(PROMETHEUS), &state.relation(prometheus())).state;
    let jobs = parsed(&state.relation_by_id(PROMETHEUS).local_app_data, "scrape_jobs");
    let drop = &jobs[0]["metric_relabel_configs"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(drop["action"], "labeldrop");
    world.deliver(world.port);
    let metrics = world.ask(world.port, "GET /metrics HTTP/1.0\r\n\r\n");
    for label in ["hostname", "k8s_pod_name"] {
        assert!(drop["regex"].as_str().unwrap().split('|').any(|name| name == label), "{drop}");
        assert!(metrics.contains(&format!("{label}=\"")), "Falcosidekick has it no more: {metrics}");
    }
}

#[test]
fn grafana_gets_one_dashboard_whatever_the_state_of_the_service() {
    let world = World::new();
    let state = world.run(&Event::relation_created(GRAFANA), &world.alone().relation(grafana())).state;
    assert_eq!(state.unit_status.name, "blocked");
    let bag = state.relation_by_id(GRAFANA).local_app_data.clone();
    let provider = grafana_dashboard::Provider::read(&bag.iter().collect()).unwrap().unwrap();
    assert_eq!(provider.templates.len(), 1);
    let size: usize = bag.iter().map(|(key, value)| key.len() + value.len()).sum();
    assert!(size < 32 * 1024, "{size} bytes");
}

#[test]
fn grafana_gets_the_dashboard_although_an_option_is_wrong() {
    let (world, state) = World::settled();
    let process = world.process();
    let state = state.config("port", 0).relation(grafana());
    let state = world.run(&Event::relation_created(GRAFANA), &state).state;
    assert_eq!(state.unit_status, Status::blocked("port: \"0\" is not a port (1-65535)"));
    assert!(state.relation_by_id(GRAFANA).local_app_data.contains_key("dashboards"));
    assert_eq!(world.process(), process);
}

#[test]
fn a_new_leader_hands_the_dashboard_over_and_others_do_not() {
    let (world, state) = World::settled();
    let state = world.run(&Event::relation_created(GRAFANA), &state.leader(false).relation(grafana())).state;
    assert!(state.relation_by_id(GRAFANA).local_app_data.is_empty());
    let state = world.run(&Event::leader_elected(), &state.leader(true)).state;
    assert!(state.relation_by_id(GRAFANA).local_app_data.contains_key("dashboards"));
}

#[test]
fn the_log_goes_to_every_loki_with_the_labels_of_this_unit() {
    let (world, state) = World::settled();
    let process = world.process();
    let (one, other) = (LokiReceiver::start(), LokiReceiver::start());
    let state = state.relation(logging(&[&one.url(), &other.url()]));
    let state = world.run(&Event::relation_changed(LOGGING, "loki-logs/0"), &state).state;
    assert_eq!(state.unit_status, Status::active(""));
    assert_eq!(world.process(), process, "nothing is restarted for it");
    for takes in [&one, &other] {
        says_something_new(&world, takes);
        let labels = &takes.entries()[0].labels;
        assert_eq!(labels["juju_unit"], "sidekick/0");
        assert_eq!(
            (labels["juju_charm"].as_str(), labels["pebble_service"].as_str()),
            ("falcosidekick-k8s", "falcosidekick")
        );
        assert!(labels["job"].starts_with("juju_test-model_"), "{labels:?}");
    }
    let relation = state.relation_by_id(LOGGING);
    assert!(relation.local_app_data["metadata"].contains("\"sidekick/0\""));
    assert!(alerts(&state, LOGGING).contains(&"FalcosidekickCrashes".to_owned()));
}

#[test]
fn a_loki_that_moves_is_followed_and_one_that_goes_gets_no_more() {
    let (world, state) = World::settled();
    let (one, other) = (LokiReceiver::start(), LokiReceiver::start());
    let state = state.relation(logging(&[&one.url()]));
    let state = world.run(&Event::relation_changed(LOGGING, "loki-logs/0"), &state).state;
    says_something_new(&world, &one);
    let state =
        world.run(&Event::relation_changed(LOGGING, "loki-logs/0"), &with_logging(&state, &[&other.url()])).state;
    says_something_new(&world, &other);
    assert_eq!(forwarded(&world), [other.url()]);

    let mut last = state.clone();
    *last.relation_by_id_mut(LOGGING) = state.relation_by_id(LOGGING).clone().broken();
    let state = world.run(&Event::relation_broken(LOGGING), &last).state;
    assert_eq!(forwarded(&world), [""; 0], "the last one too");
    let state = world.run(&Event::config_changed(), &state.without_relation(LOGGING)).state;
    let state = state.relation(logging(&[&one.url()]));
    world.run(&Event::relation_changed(LOGGING, "loki-logs/0"), &state);
    says_something_new(&world, &one);
    assert_eq!(forwarded(&world), [one.url()], "and it is back");
}

#[test]
fn a_new_container_sends_its_log_as_the_old_one_did() {
    let (world, state) = World::settled();
    let takes = LokiReceiver::start();
    let state = state.relation(logging(&[&takes.url()]));
    let state = world.run(&Event::relation_changed(LOGGING, "loki-logs/0"), &state).state;
    drop(world);
    let mut world = World::new();
    world.port = u16::try_from(state.config["port"].as_u64().unwrap()).unwrap();
    world.run(&Event::pebble_ready(CONTAINER), &state);
    assert_eq!(forwarded(&world), [takes.url()]);
}

#[test]
fn the_log_goes_on_although_an_option_is_wrong_and_stops_when_the_relation_does() {
    let (world, state) = World::settled();
    let takes = LokiReceiver::start();
    let state = state.config("port", 0).relation(logging(&[&takes.url()]));
    let mut state = world.run(&Event::relation_changed(LOGGING, "loki-logs/0"), &state).state;
    assert_eq!(state.unit_status.name, "blocked");
    assert_eq!(forwarded(&world), [takes.url()]);
    *state.relation_by_id_mut(LOGGING) = state.relation_by_id(LOGGING).clone().broken();
    world.run(&Event::relation_broken(LOGGING), &state);
    assert_eq!(forwarded(&world), [""; 0]);
}

#[test]
fn a_loki_for_the_log_that_publishes_garbage_is_told_and_alerts_go_on() {
    let (world, state) = World::settled();
    let relation = Relation::new(LOGGING, "logging", "loki-logs").remote_unit_data(0, "endpoint", "garbage");
    let state = world.run(&Event::relation_changed(LOGGING, "loki-logs/0"), &state.relation(relation)).state;
    for event in [Event::update_status(), Event::config_changed()] {
        let state = world.run(&event, &state).state;
        let text = state.unit_status.to_string();
        assert!(text.starts_with("waiting: logging: some of the log goes nowhere: loki-logs/0 published"), "{text}");
        assert!(published(&state).is_some());
    }
    world.deliver(world.port);
    let nothing = Relation::new(LOGGING, "logging", "loki-logs").remote_unit(0);
    let state = state.without_relation(LOGGING).relation(nothing);
    let state = world.run(&Event::relation_changed(LOGGING, "loki-logs/0"), &state).state;
    assert_eq!(state.unit_status, Status::waiting("logging: waiting for Loki to publish its address"));
}

#[test]
fn the_status_warns_while_secrets_that_falcosidekick_prints_go_to_loki() {
    let (world, state) = World::settled();
    let takes = LokiReceiver::start();
    let state = state.config("outputs", "slack: {webhookurl: 'http://127.0.0.1:9/secret-path'}");
    let without = world.run(&Event::config_changed(), &state).state;
    assert!(!without.unit_status.message.contains("logging"), "{}", without.unit_status);
    let state = without.relation(logging(&[&takes.url()]));
    let state = world.run(&Event::relation_changed(LOGGING, "loki-logs/0"), &state).state;
    for event in [Event::update_status(), Event::config_changed()] {
        let text = world.run(&event, &state).state.unit_status.message;
        assert!(text.contains("logging: Falcosidekick prints the URLs of outputs"), "{text}");
        assert!(text.contains("its log goes to Loki: slack; ") && !text.contains("secret-path"), "{text}");
    }
}

#[test]
fn loki_gets_alert_rules_about_what_falco_detects() {
    let (_world, state) = World::settled();
    assert!(alerts(&state, LOKI).contains(&"FalcoCriticalDetection".to_owned()));
    let rules = &state.relation_by_id(LOKI).local_app_data["alert_rules"];
    assert!(rules.contains("sidekick_model=\\\"test-model\\\""), "{rules}");
    assert!(!rules.contains("\"juju_application\":"), "alerts keep the labels of the Falco that raised them: {rules}");
}
