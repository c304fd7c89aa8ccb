//! A hook that is killed at any point is made good by the next one.

use charm_tests::crash::{self, interrupt_everywhere};
use charm_tests::juju::{Context, Event, State};
use charm_tests::loki::LokiReceiver;
use charm_tests::ports::free_port;

use crate::world::{CONTAINER, LOKI, World, context, falco_relation, loki_relation};

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
        format!("{file}\n{}\nprocesses: {processes}, answers: {}", plan.join("\n"), self.answers())
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

#[test]
fn a_killed_remove_is_made_good() {
    let (port, loki) = (free_port(), LokiReceiver::start());
    // The charm has nothing to do: everything goes away with the pod.
    interrupt_everywhere(&Event::remove(), || settled(port, &loki));
}
