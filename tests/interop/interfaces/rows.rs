//! The endpoints of ours, each with its peer.

use charm_tests::falco_host::eventually;
use charm_tests::juju::Substrate;
use charm_tests::loki::Entry;
use serde_json::{Value, json};

use super::world::{SIDEKICK_UNIT, World};
use super::{FALCO, Row, SIDEKICK};

pub const ROWS: &[Row] = &[
    Row {
        charm: FALCO,
        endpoint: "http-endpoint",
        peer_on: Substrate::Kubernetes,
        around: || World::new().with_falco(),
        given: |world| json!({"url": world.sink.url()}),
        understood: |_| json!({"app": {}}),
        ours: |world| {
            world.read_sensitive_file();
            let alert = eventually("the alert", || world.sink.received().into_iter().next());
            assert_eq!(alert["rule"], "Read sensitive file untrusted", "{alert:#}");
        },
    },
    Row {
        charm: SIDEKICK,
        endpoint: "http-endpoint",
        peer_on: Substrate::Machine,
        around: || World::new().with_sidekick().with_loki(),
        given: |world| json!({"url": format!("http://127.0.0.1:{}/", world.port())}),
        understood: |world| json!({"url": format!("http://127.0.0.1:{}/", world.port())}),
        ours: |_| {},
    },
    Row {
        charm: SIDEKICK,
        endpoint: "send-loki-logs",
        peer_on: Substrate::Kubernetes,
        around: || World::new().with_falco().with_sidekick(),
        given: |world| json!({"url": world.loki.url()}),
        understood: |world| understood_by_loki(world, 2),
        ours: assert_alert_in_loki,
    },
    Row {
        charm: SIDEKICK,
        endpoint: "logging",
        peer_on: Substrate::Kubernetes,
        around: || World::new().with_falco().with_sidekick().with_loki(),
        given: |world| json!({"url": world.loki.url()}),
        understood: |world| understood_by_loki(world, 3),
        ours: |world| {
            world.read_sensitive_file();
            let is_log = |entry: &Entry| entry.labels.get("pebble_service").is_some_and(|name| name == "falcosidekick");
            eventually("the log", || world.loki.entries().into_iter().find(is_log));
        },
    },
    Row {
        charm: SIDEKICK,
        endpoint: "metrics-endpoint",
        peer_on: Substrate::Kubernetes,
        around: || World::new().with_sidekick().with_loki(),
        given: |_| json!({}),
        understood: |world| {
            let address = world.model.state(SIDEKICK_UNIT).relation_of("metrics-endpoint").local_unit_data
                ["prometheus_scrape_unit_address"]
                .clone();
            json!({
                "identifier": identifier(world, SIDEKICK),
                "targets": {SIDEKICK_UNIT: [format!("{address}:{}", world.port())]},
                "alerts": 7,
                "error": null,
            })
        },
        ours: |_| {},
    },
    Row {
        charm: SIDEKICK,
        endpoint: "grafana-dashboard",
        peer_on: Substrate::Kubernetes,
        around: || World::new().with_sidekick().with_loki(),
        given: |_| json!({}),
        understood: |_| {
            json!({"file:falcosidekick": {
                "charm": SIDEKICK, "inject_dropdowns": false, "title": "Falco alerts", "has a uid for all": true,
                "version": 1,
            }})
        },
        ours: |_| {},
    },
];

fn identifier(world: &World, charm: &str) -> String {
    let model = &world.model.state(&format!("{charm}/0")).model;
    format!("{}_{}_{charm}", model.name, &model.uuid[..8])
}

/// What a Loki knows of Falcosidekick, with this many alert rules.
fn understood_by_loki(world: &World, alerts: usize) -> Value {
    json!({
        "identifier": identifier(world, SIDEKICK),
        "labels": {
            "juju_model": "pods", "juju_model_uuid": world.model.state(SIDEKICK_UNIT).model.uuid,
            "juju_application": SIDEKICK, "juju_charm": SIDEKICK,
        },
        "unit": SIDEKICK_UNIT,
        "alerts": alerts,
        "error": null,
    })
}

fn assert_alert_in_loki(world: &World) {
    world.read_sensitive_file();
    let entry = eventually("the alert", || world.loki.entries().into_iter().next());
    assert!(entry.line.contains("Read sensitive file untrusted"), "{}", entry.line);
}
