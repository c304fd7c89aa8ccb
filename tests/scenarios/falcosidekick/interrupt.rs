//! A hook that is killed at any point is made good by the next one.

use charm_tests::authority::{Authority, Days};
use charm_tests::crash::{self, interrupt_everywhere};
use charm_tests::ingress::{Ingress, Target};
use charm_tests::juju::{Context, Event, Relation, State};
use charm_tests::loki::LokiReceiver;
use charm_tests::ports::free_port;
use serde_json::Value;

use crate::world::{CONTAINER, LOKI, World, context, falco_relation, loki_relation, unread};

/// Where this unit asks for a certificate.
const REQUESTS: &str = "certificate_signing_requests";

const CERTIFICATES: u32 = 3;
const INGRESS: u32 = 4;

impl crash::World for World {
    fn context(&self) -> Context {
        context(self.root())
    }

    /// What Falcosidekick reads, what Pebble's plan says without the digest, which covers the folder under test, and
    /// whether it runs and answers.
    fn end(&self) -> String {
        let root = self.root().to_string_lossy().into_owned();
        let file = std::fs::read_to_string(self.path("/etc/falcosidekick/falcosidekick.yaml")).unwrap_or_default();
        let plan = self.pebble.get("/v1/plan?format=yaml").to_string().replace(&root, "");
        let plan: Vec<&str> = plan.split("\\n").filter(|line| !line.contains("CHARM_CONFIG_DIGEST")).collect();
        let processes = self.pebble.service_processes().len();
        let file = file.replace(&root, "");
        let read = |name: &str| std::fs::read_to_string(self.path("/etc/falcosidekick/certs/server").join(name)).ok();
        let tls = [read("server.crt"), read("server.key")];
        format!("{file}\n{tls:?}\n{}\nprocesses: {processes}, answers: {}", plan.join("\n"), self.answers())
    }

    /// Without keys, requests and the times of turns, that there are some is enough, and without what Juju notes down about
    /// readers.
    fn without_chance(&self, state: &State) -> State {
        let mut state = unread(state);
        for (label, value) in state.secrets.iter_mut().flat_map(|secret| {
            let label = secret.label.clone();
            secret.revisions.values_mut().flat_map(|content| content.values_mut()).map(move |it| (label.clone(), it))
        }) {
            if label.contains("private-key") {
                *value = b"a key".to_vec();
            }
        }
        for request in state.relations.iter_mut().filter_map(|relation| relation.local_unit_data.get_mut(REQUESTS)) {
            *request = "a request".into();
        }
        for relation in &mut state.relations {
            for databag in [&mut relation.local_app_data, &mut relation.remote_app_data] {
                databag.get_mut("turn").into_iter().for_each(|turn| *turn = "a turn".into());
            }
        }
        if let Some(notes) = state.charm_state.as_mut().and_then(|state| state.get_mut("notes")) {
            let mut parsed: Value = serde_json::from_str(notes).unwrap();
            let databags = parsed["databags"].as_object_mut().unwrap().values_mut();
            databags.filter_map(|databag| databag.get_mut(REQUESTS)).for_each(|request| *request = "a request".into());
            *notes = parsed.to_string();
        }
        state
    }
}

/// A pod related to this Loki, always on the same port, so that ends can be compared.
fn fresh(port: u16, loki: &LokiReceiver) -> (World, State) {
    let mut world = World::new();
    world.port = port;
    let state = world.bare().relation(loki_relation(&loki.url())).relation(falco_relation());
    (world, state)
}

fn settled(port: u16, loki: &LokiReceiver) -> (World, State) {
    let (world, state) = fresh(port, loki);
    let state = world.run_once(&Event::pebble_ready(CONTAINER), &state).state;
    assert_eq!(state.unit_status.to_string(), "active: ");
    (world, state)
}

#[test]
fn a_killed_first_start_is_made_good() {
    let (port, loki) = (free_port(), LokiReceiver::start());
    let points = interrupt_everywhere(&Event::pebble_ready(CONTAINER), || fresh(port, &loki));
    assert!(points >= 20, "only {points} points were tried");
}

#[test]
fn a_killed_config_changed_is_made_good() {
    let (port, other, loki) = (free_port(), free_port(), LokiReceiver::start());
    let points = interrupt_everywhere(&Event::config_changed(), || {
        let (mut world, state) = settled(port, &loki);
        world.port = other;
        (world, state.config("port", other))
    });
    assert!(points >= 20, "only {points} points were tried");
}

#[test]
fn a_killed_relation_changed_is_made_good() {
    let (port, loki, other) = (free_port(), LokiReceiver::start(), LokiReceiver::start());
    let points = interrupt_everywhere(&Event::relation_changed(LOKI, "loki/0"), || {
        let (world, mut state) = settled(port, &loki);
        let endpoint = serde_json::json!({ "url": other.url() }).to_string();
        let units = &mut state.relation_by_id_mut(LOKI).remote_units;
        units.get_mut("loki/0").unwrap().insert("endpoint".into(), endpoint);
        (world, state)
    });
    assert!(points >= 20, "only {points} points were tried");
}

#[test]
fn a_killed_upgrade_into_a_new_pod_is_made_good() {
    let (port, loki) = (free_port(), LokiReceiver::start());
    let points = interrupt_everywhere(&Event::upgrade_charm(), || {
        let (world, state) = settled(port, &loki);
        drop(world);
        (fresh(port, &loki).0, state)
    });
    assert!(points >= 20, "only {points} points were tried");
}

#[test]
fn a_killed_end_of_the_relation_to_loki_is_made_good() {
    let (port, loki) = (free_port(), LokiReceiver::start());
    let points = interrupt_everywhere(&Event::update_status(), || {
        let (world, state) = settled(port, &loki);
        (world, state.without_relation(LOKI))
    });
    assert!(points >= 15, "only {points} points were tried");
}

/// A pod that has asked for a certificate, and what the controller knows when it has been signed.
fn signed(ports: [u16; 2], loki: &LokiReceiver, authority: &Authority) -> State {
    let (world, state) = fresh(ports[0], loki);
    let state = state.config("metrics-port", ports[1]).relation(certificates());
    let mut state = world.run_once(&Event::pebble_ready(CONTAINER), &state).state;
    authority.sign_all(state.relation_by_id_mut(CERTIFICATES), Days(1, 90));
    state
}

fn certificates() -> Relation {
    Relation::new(CERTIFICATES, "certificates", "ca").remote_unit(0)
}

#[test]
fn a_killed_request_for_a_certificate_is_made_good() {
    let (port, loki) = (free_port(), LokiReceiver::start());
    let points = interrupt_everywhere(&Event::relation_created(CERTIFICATES), || {
        let (world, state) = fresh(port, &loki);
        (world, state.relation(certificates()))
    });
    assert!(points >= 20, "only {points} points were tried");
}

#[test]
fn a_killed_arrival_of_a_certificate_is_made_good() {
    let (ports, loki, authority) = ([free_port(), free_port()], LokiReceiver::start(), Authority::new("test"));
    let state = signed(ports, &loki, &authority);
    let points = interrupt_everywhere(&Event::relation_changed_by_app(CERTIFICATES), || {
        (fresh(ports[0], &loki).0, state.clone())
    });
    assert!(points >= 30, "only {points} points were tried");
}

#[test]
fn a_killed_arrival_of_a_way_in_is_made_good() {
    let (port, loki, authority) = (free_port(), LokiReceiver::start(), Authority::new("edge"));
    let proxy = Ingress::start(&authority, "/test-model-sidekick", Target { port, tls: None });
    let published = serde_json::json!({ "url": proxy.url() }).to_string();
    let points = interrupt_everywhere(&Event::relation_changed_by_app(INGRESS), || {
        let (world, state) = fresh(port, &loki);
        let folder = world.path("/etc/ssl/certs");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("ca-certificates.crt"), authority.root()).unwrap();
        let ingress = Relation::new(INGRESS, "ingress", "traefik").remote_unit(0);
        (world, state.relation(ingress.remote_app("ingress", published.clone())))
    });
    assert!(points >= 30, "only {points} points were tried");
}

#[test]
fn a_killed_end_of_certificates_is_made_good() {
    let (ports, loki, authority) = ([free_port(), free_port()], LokiReceiver::start(), Authority::new("test"));
    let signed = signed(ports, &loki, &authority);
    let points = interrupt_everywhere(&Event::relation_broken(CERTIFICATES), || {
        let (world, _) = fresh(ports[0], &loki);
        let mut state = world.run_once(&Event::relation_changed_by_app(CERTIFICATES), &signed).state;
        assert_eq!(state.unit_status.to_string(), "active: ");
        let relation = state.relation_by_id(CERTIFICATES).clone();
        *state.relation_by_id_mut(CERTIFICATES) = relation.broken();
        (world, state)
    });
    assert!(points >= 30, "only {points} points were tried");
}

const LOGGING: u32 = 4;

/// The relation to a Loki that takes the log.
fn logging(loki: &LokiReceiver) -> Relation {
    let endpoint = serde_json::json!({ "url": loki.url() }).to_string();
    Relation::new(LOGGING, "logging", "loki-logs").remote_unit_data(0, "endpoint", endpoint)
}

#[test]
fn a_killed_beginning_of_logging_is_made_good() {
    let (port, loki) = (free_port(), LokiReceiver::start());
    let points = interrupt_everywhere(&Event::relation_changed(LOGGING, "loki-logs/0"), || {
        let (world, state) = settled(port, &loki);
        (world, state.relation(logging(&loki)))
    });
    assert!(points >= 15, "only {points} points were tried");
}

#[test]
fn a_killed_end_of_logging_is_made_good() {
    let (port, loki) = (free_port(), LokiReceiver::start());
    let points = interrupt_everywhere(&Event::relation_broken(LOGGING), || {
        let (world, state) = settled(port, &loki);
        let state = state.relation(logging(&loki));
        let mut state = world.run_once(&Event::relation_changed(LOGGING, "loki-logs/0"), &state).state;
        let relation = state.relation_by_id(LOGGING).clone();
        *state.relation_by_id_mut(LOGGING) = relation.broken();
        (world, state)
    });
    assert!(points >= 15, "only {points} points were tried");
}

#[test]
fn a_killed_new_leader_with_those_who_look_is_made_good() {
    let (port, loki) = (free_port(), LokiReceiver::start());
    let points = interrupt_everywhere(&Event::leader_elected(), || {
        let (world, state) = settled(port, &loki);
        let prometheus = Relation::new(9, "metrics-endpoint", "prometheus").remote_unit(0);
        let grafana = Relation::new(8, "grafana-dashboard", "grafana").remote_unit(0);
        (world, state.relation(prometheus).relation(grafana))
    });
    assert!(points >= 20, "only {points} points were tried");
}

#[test]
fn a_killed_remove_is_made_good() {
    let (port, loki) = (free_port(), LokiReceiver::start());
    // The charm has nothing to do: everything goes away with the pod.
    interrupt_everywhere(&Event::remove(), || settled(port, &loki));
}
