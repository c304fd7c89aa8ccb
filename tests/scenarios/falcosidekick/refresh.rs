//! `juju refresh` from the Python charm: what it left in Juju and in the container, as recorded, goes on under ours.

use std::fs;

use charm_core::x509::Certificate;
use charm_tests::authority::{self, Authority, Days, requests};
use charm_tests::falco_host::eventually;
use charm_tests::juju::{Event, Network, Owner, Relation, Secret, State, Status};
use serde_json::Value;

use crate::world::{CONTAINER, FALCO, World, falco_relation, loki_relation, published};

const CERTIFICATES: u32 = 3;
const PROGRAM: &str = "/usr/bin/falcosidekick";
const FILE: &str = "/etc/falcosidekick/falcosidekick.yaml";
const CERTIFICATE: &str = "/etc/falcosidekick/certs/server/server.crt";
const KEY: &str = "/etc/falcosidekick/certs/server/server.key";

/// What the Python charm asked for its certificate, and kept, in the hook of this recording.
const RECORDING: &str = include_str!("../../vectors/falcosidekick/certificates_5_pebble_ready_unchanged.json");

/// The addresses that its request is for: those of the pod and of the Service.
const POD: &str = "10.1.2.3";
const SERVICE: &str = "10.152.183.7";

/// A unit of the Python charm that serves a certificate of this authority, and tells Falco so.
struct Python {
    authority: Authority,
    leaf: String,
    key: String,
    state: State,
}

impl Python {
    fn new(world: &World) -> Self {
        let recording: Value = serde_json::from_str(RECORDING).unwrap();
        let input = &recording["input"];
        let recorded = input["relations"].as_array().unwrap().iter().find(|other| other["endpoint"] == "certificates");
        let asked = recorded.unwrap()["local_unit_data"]["certificate_signing_requests"]["raw"].as_str().unwrap();
        let relation = Relation::new(CERTIFICATES, "certificates", "self-signed-certificates").remote_unit(0);
        let mut relation = relation.local_unit("certificate_signing_requests", asked);
        let (authority, request) = (Authority::new("test"), requests(&relation.local_unit_data).remove(0));
        let answer = authority.answer(&request, Days(1, 90));
        authority::publish(&mut relation, std::slice::from_ref(&answer));
        let leaf = answer["certificate"].as_str().unwrap().to_owned();

        let falco = falco_relation().local_app("url", format!("\"https://{SERVICE}:{}/\"", world.port));
        let state = world.alone().relation(loki_relation(&world.loki.url())).relation(falco).relation(relation);
        let state = state.config("metrics-port", world.metrics_port);
        let mut state = state.network("http-endpoint", Network::pod(POD, SERVICE));
        let mut key = String::new();
        for (number, kept) in input["secrets"].as_array().unwrap().iter().enumerate() {
            let text = |key: &str| kept["latest_content"][key].as_str().map(str::to_owned);
            let content = match (text("private-key"), text("csr")) {
                (Some(private), _) => {
                    key.clone_from(&private);
                    vec![("private-key", private)]
                }
                (None, request) => vec![("certificate", leaf.clone()), ("csr", request.unwrap())],
            };
            let secret = Secret::owned(format!("0123456789abcdefghi{number}"), Owner::Unit("sidekick/0".into()));
            state = state.secret(secret.label(kept["label"].as_str().unwrap()).revision(content));
        }
        Self { authority, leaf, key, state }
    }

    /// Does in the container what the Python charm did there: its files are for everybody to read, and its layer of
    /// checks is above that of the rock.
    fn set_up(&self, world: &World) {
        let path = |path: &str| world.path(path).to_str().unwrap().to_owned();
        let configuration = format!(
            "listenport: {}\ntlsserver: {{deploy: true, certfile: {}, keyfile: {}, notlsport: {}, notlspaths: [/healthz, \
             /metrics]}}\nloki: {{hostport: {:?}, format: json}}\n",
            world.port,
            path(CERTIFICATE),
            path(KEY),
            world.metrics_port,
            world.loki.url().trim_end_matches("/loki/api/v1/push"),
        );
        for (file, content) in [(FILE, &configuration), (CERTIFICATE, &self.leaf), (KEY, &self.key)] {
            fs::create_dir_all(world.path(file).parent().unwrap()).unwrap();
            fs::write(world.path(file), content).unwrap();
        }
        let service = format!(
            "services: {{falcosidekick: {{override: replace, startup: enabled, command: {:?}, on-check-failure: {{health: \
             restart}}}}}}\n",
            format!("{} -c {}", path(PROGRAM), path(FILE)),
        );
        let check = format!(
            "checks: {{health: {{override: replace, http: {{url: \"http://localhost:{}/healthz\"}}}}}}\n",
            world.metrics_port
        );
        for (label, layer) in [("001-rock", format!("{service}{check}")), ("checks", check)] {
            fs::write(world.path("/layer.yaml"), layer).unwrap();
            world.pebble_command(&["add", "--combine", label, &path("/layer.yaml")]);
        }
        world.pebble_command(&["replan"]);
    }

    /// The same certificate is served under the same key, nothing new was asked for, and Falco is where it was.
    #[track_caller]
    fn goes_on(&self, world: &World, state: &State) {
        assert_eq!(state.unit_status, Status::active(""));
        assert_eq!(published(state), published(&self.state));
        let asked = |state: &State| requests(&state.relation_by_id(CERTIFICATES).local_unit_data);
        assert_eq!(asked(state), asked(&self.state));
        let read = |path: &str| fs::read_to_string(world.path(path)).unwrap();
        assert_eq!(Certificate::from_pem(&read(CERTIFICATE)), Certificate::from_pem(&self.leaf));
        assert_eq!(read(KEY).trim(), self.key.trim());
        let ca: String = serde_json::from_str(&state.relation_by_id(FALCO).local_app_data["ca"]).unwrap();
        assert!(ca.contains(self.authority.root().trim()), "{ca}");
        world.deliver_tls(SERVICE, &ca);
    }
}

/// The hooks of a refresh, each of which leaves the URL alone.
fn refresh(world: &World, state: &State) -> State {
    let url = published(state).map(str::to_owned);
    let events = [
        Event::upgrade_charm(),
        Event::config_changed(),
        Event::pebble_ready(CONTAINER),
        Event::relation_changed_by_app(CERTIFICATES),
        Event::update_status(),
    ];
    events.iter().fold(state.clone(), |state, event| {
        let state = world.run(event, &state).state;
        assert_eq!(published(&state).map(str::to_owned), url);
        state
    })
}

#[test]
fn a_certificate_of_the_python_charm_goes_on_in_its_container_after_one_restart() {
    let world = World::with_image(PROGRAM, &[]);
    let python = Python::new(&world);
    python.set_up(&world);
    eventually("the process of the Python charm", || world.answers().then_some(()));
    assert_eq!(world.starts(), 1);
    let state = refresh(&world, &python.state);
    python.goes_on(&world, &state);
    assert_eq!(world.starts(), 2, "{}", world.pebble.log());

    let plan: String = serde_json::from_value(world.pebble.get("/v1/plan?format=yaml")).unwrap();
    assert!(plan.contains("level: ready") && !plan.contains("localhost"), "the check of ours, in:\n{plan}");
    let labels: Vec<&str> = state.secrets.iter().map(|secret| secret.label.as_str()).collect();
    assert_eq!(labels.len(), 2, "the key, and the certificate under the label that does not change: {labels:?}");
    assert!(labels.iter().all(|label| label.ends_with("-0-certificates")), "{labels:?}");
}

#[test]
fn a_certificate_of_the_python_charm_goes_on_in_a_new_pod() {
    let world = World::with_image(PROGRAM, &[]);
    let python = Python::new(&world);
    let state = refresh(&world, &python.state);
    python.goes_on(&world, &state);
    assert_eq!(world.starts(), 1, "{}", world.pebble.log());
}
