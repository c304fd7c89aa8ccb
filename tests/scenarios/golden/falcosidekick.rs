//! What the falcosidekick-k8s charm writes.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;

use charm_core::topology::Topology;
use charm_tests::authority::{Authority, Days, requests};
use charm_tests::golden::assert_golden;
use charm_tests::juju::{Event, Network, Relation, State};
use charm_tests::pod::{CONTAINER, PROGRAM, Pod};
use charm_tests::ports::free_port;
use falcosidekick_charm::listener::Listener;
use falcosidekick_charm::names::{CONFIG_FILE, SERVICE};
use falcosidekick_charm::render;
use falcosidekick_charm::sinks::Sinks;
use serde_json::{Value, json};

use crate::situations::{Situations, replace_program};

const LOKI: u32 = 2;
const FALCO: u32 = 7;
const MACHINES: &str = "9b5d2c1e-7f30-4a6b-8c4d-2e1f0a9b8c7d";
const LOKI_URL: &str = "https://loki.example/model-loki-0/loki/api/v1/push";
const DIGEST: &str = "CHARM_CONFIG_DIGEST";

fn pod() -> Pod {
    Pod::new(|context| context.app("sidekick"))
}

/// A leader to whom nothing was said, on a port that is free here.
fn fresh() -> State {
    State::kubernetes().leader(true).config("port", free_port()).network("http-endpoint", address())
}

fn address() -> Network {
    Network::pod("10.1.2.3", "10.152.183.10")
}

fn lab(state: &State) -> State {
    state.clone().config("allow-plain-http", true)
}

fn loki() -> Relation {
    Relation::new(LOKI, "send-loki-logs", "loki").remote_unit(0)
}

fn published(url: &str) -> Relation {
    loki().remote_unit_data(0, "endpoint", json!({ "url": url }).to_string())
}

fn falco() -> Relation {
    Relation::new(FALCO, "http-endpoint", "falco").remote_unit(0).remote_model(MACHINES)
}

fn certificates() -> Relation {
    Relation::new(9, "certificates", "ca").remote_unit(0)
}

fn related(state: &State) -> State {
    lab(state).relation(published(LOKI_URL)).relation(falco())
}

/// A pod in which the charm has done its work.
fn settled() -> (Pod, State) {
    let pod = pod();
    let state = pod.context.run(&Event::pebble_ready(CONTAINER), &related(&fresh())).success();
    assert_eq!(state.unit_status.to_string(), "active: ");
    (pod, state)
}

/// A text with the port of a unit in production.
fn with_usual_port(text: &str, state: &State) -> String {
    text.replace(&port(state).to_string(), "2801")
}

fn port(state: &State) -> u16 {
    state.config["port"].as_u64().unwrap().try_into().unwrap()
}

#[test]
fn falcosidekick_yaml() {
    let (pod, state) = settled();
    let text = fs::read_to_string(pod.path(CONFIG_FILE)).unwrap();
    assert_golden("falcosidekick/falcosidekick.yaml", &with_usual_port(&text, &state));
}

#[test]
fn the_layer() {
    let (pod, state) = settled();
    let plan: String = serde_json::from_value(pod.pebble.get("/v1/plan?format=yaml")).unwrap();
    let plan = with_usual_port(&plan.replace(pod.root().to_str().unwrap(), ""), &state);
    // The digest in the pod covers the port, and the folder that stands for the root.
    let lines = plan.lines().map(|line| match line.split_once(&format!("{DIGEST}: ")) {
        Some((before, _)) => format!("{before}{DIGEST}: {}\n", digest(&state)),
        None => format!("{line}\n"),
    });
    assert_golden("falcosidekick/plan.yaml", &lines.collect::<String>());
}

/// The digest in the layer of a unit in production.
fn digest(state: &State) -> String {
    let listener = Listener::plain("2801".parse().unwrap());
    let topology = Topology { model: state.model.name.clone(), ..Topology::default() };
    let Sinks { fields, outputs } = Sinks::default();
    let sections = outputs.sections(Some(&LOKI_URL.parse().unwrap()));
    let configuration = render::configuration(listener, &topology, &fields, &sections, "", false);
    let files = [render::file(CONFIG_FILE, configuration)];
    let layer = render::layer(listener, render::command(PROGRAM, CONFIG_FILE), &files, BTreeMap::new());
    layer.services[SERVICE].environment[DIGEST].clone()
}

#[test]
fn statuses() {
    let mut list = Situations::default();
    let mut pod = pod();
    let state = fresh();
    before_anything_runs(&mut list, &mut pod, &state);
    related_to_loki(&mut list, &pod, &state);
    in_trouble(&mut list, &mut pod, &related(&state));
    assert_golden("falcosidekick/statuses.txt", list.text());
}

fn add(list: &mut Situations, situation: &str, pod: &Pod, state: &State) {
    let status = pod.context.run(&Event::config_changed(), state).success().unit_status;
    list.add(situation, with_usual_port(&status.to_string(), state));
}

fn before_anything_runs(list: &mut Situations, pod: &mut Pod, state: &State) {
    pod.pebble.stop();
    add(list, "the container is not up yet", pod, state);
    pod.pebble.start_again();
    add(list, "related to nobody, and plain HTTP is not allowed", pod, state);
    add(list, "plain HTTP is not allowed", pod, &state.clone().relation(published(LOKI_URL)));
    let certified = state.clone().relation(published(LOKI_URL)).relation(certificates());
    add(list, "plain HTTP is not allowed, and certificates is related", pod, &certified);
    with_certificates(list, pod, &certified.relation(falco()));
    with_an_ingress(list, pod, &state.clone().relation(published(LOKI_URL)).relation(falco()));
    add(list, "plain HTTP is allowed, Loki is missing", pod, &lab(state));
    add(list, "Loki has not published yet", pod, &lab(state).relation(loki()));
    let garbage = loki().remote_unit_data(0, "endpoint", "http://loki:3100/");
    add(list, "Loki has published what is not JSON", pod, &lab(state).relation(garbage));
    let status = pod.context.run(&Event::config_changed(), &related(state).config("port", 0)).success().unit_status;
    list.add("an option is wrong", status);
}

fn with_certificates(list: &mut Situations, pod: &Pod, state: &State) {
    let authority = Authority::new("test");
    let asked = pod.context.run(&Event::config_changed(), &state.clone().config("metrics-port", free_port())).success();
    let request = requests(&asked.relation_by_id(9).local_unit_data).remove(0);
    let published = |entries: [(&str, Value); 1]| {
        let mut state = asked.clone();
        let entries = entries.map(|(key, value)| (key.to_owned(), json!([value]).to_string()));
        state.relation_by_id_mut(9).remote_app_data = entries.into();
        state
    };
    let refused =
        json!({"csr": request, "error": {"code": 201, "name": "SERVER_NOT_AVAILABLE", "message": "try later"}});
    add(list, "the authority refused the request", pod, &published([("request_errors", refused)]));
    add(list, "the authority has published what is no certificate", pod, &published([("certificates", json!("x"))]));
    let signed = published([("certificates", authority.answer(&request, Days(1, 90)))]);
    let state = pod.context.run(&Event::config_changed(), &signed).success();
    list.add("the certificate is there", with_usual_port(&state.unit_status.to_string(), &state));
    let text = fs::read_to_string(pod.path(CONFIG_FILE)).unwrap().replace(pod.root().to_str().unwrap(), "");
    let text = text.replace(&state.config["metrics-port"].to_string(), "2810");
    assert_golden("falcosidekick/falcosidekick-tls.yaml", &with_usual_port(&text, &state));
    let moved = state.clone().network("http-endpoint", Network::pod("10.1.2.3", "10.152.183.99"));
    add(list, "the Service has another address than the certificate", pod, &moved);
    let mut revoked = state.clone();
    let answers = revoked.relation_by_id_mut(9).remote_app_data.get_mut("certificates").unwrap();
    *answers = answers.replacen('{', "{\"revoked\":true,", 1);
    add(list, "the certificate was revoked", pod, &revoked);
}

fn with_an_ingress(list: &mut Situations, pod: &Pod, state: &State) {
    let ingress = |published: &str| {
        let relation = Relation::new(4, "ingress", "traefik").remote_unit(0).remote_app("ingress", published);
        state.clone().relation(relation)
    };
    add(list, "an ingress is related, and has no way in yet", pod, &ingress("{}"));
    add(list, "the way in is not encrypted", pod, &ingress(r#"{"url": "http://falco.example/prod-sidekick"}"#));
    let port = free_port();
    let url = json!({ "url": format!("https://127.0.0.1:{port}/prod-sidekick") }).to_string();
    let status = pod.context.run(&Event::config_changed(), &ingress(&url)).success().unit_status;
    list.add("nobody answers at the way in", status.to_string().replace(&format!(":{port}"), ""));
    add(list, "the ingress has published what is not JSON", pod, &ingress("https://falco.example"));
    list.add("the port is one that no ingress takes", {
        let state = ingress("{}").config("port", 65535);
        pod.context.run(&Event::config_changed(), &state).success().unit_status
    });
}

fn related_to_loki(list: &mut Situations, pod: &Pod, state: &State) {
    add(list, "related to Loki and Falco", pod, &related(state));
    add(list, "related to a certificate authority as well", pod, &related(state).relation(certificates()));
    let pending = related(state).network("http-endpoint", address().pending());
    add(list, "Kubernetes has given no address yet", pod, &pending);
}

fn in_trouble(list: &mut Situations, pod: &mut Pod, state: &State) {
    // A URL by the rules of browsers, and none to Go.
    let odd = state.clone().without_relation(LOKI).relation(published("http://lo{ki/loki/api/v1/push"));
    add(list, "Falcosidekick drops the output to Loki", pod, &odd);

    let other_port = state.clone().config("port", free_port());
    let other_program = TcpListener::bind(("0.0.0.0", port(&other_port))).unwrap();
    add(list, "another program of the pod has the port", pod, &other_port);
    drop(other_program);

    // With words that are not Falcosidekick's own, so that they are the same with the real one.
    for (situation, script) in [
        ("Falcosidekick ends at once", "#!/bin/sh\necho 'words of Falcosidekick' >&2\nexit 1\n"),
        ("Falcosidekick runs and does not answer", "#!/bin/sh\necho 'words of Falcosidekick' >&2\nexec sleep 1000\n"),
    ] {
        replace_program(&pod.path(PROGRAM), script);
        // Another port is another process, which is the program that is there now.
        add(list, situation, pod, &state.clone().config("port", free_port()));
    }
    fs::remove_file(pod.path(PROGRAM)).unwrap();
    // As with another image, there is a new container.
    pod.pebble.restart();
    add(list, "there is no Falcosidekick in the image", pod, state);
}
