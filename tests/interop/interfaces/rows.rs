//! The endpoints of ours, each with its peer.

use charm_core::x509::Certificate;
use charm_tests::falco_host::eventually;
use charm_tests::juju::Substrate;
use charm_tests::loki::Entry;
use serde_json::{Value, json};

use super::world::{FALCO_UNIT, SIDEKICK_UNIT, SIGNER, World};
use super::{FALCO, PEER, Row, SIDEKICK};

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
    Row {
        // Encryption by an authority in the model. The peer signs by the public library that self-signed-certificates
        // signs with, and alerts of Falco get through over TLS without another step.
        charm: SIDEKICK,
        endpoint: "certificates",
        peer_on: Substrate::Kubernetes,
        around: || World::new().with_falco().with_sidekick_over_tls().with_loki(),
        given: |_| requested_names(),
        understood: |_| {
            let mut request = requested_names();
            for (key, value) in [
                ("OID", json!([])),
                ("for an authority", json!(false)),
                ("told from others", json!(true)),
                ("valid", json!(true)),
                ("signed with its key", json!(true)),
            ] {
                request[key] = value;
            }
            json!({"requests": [request], "signed": 1})
        },
        ours: |world| {
            assert_key_stays_secret(world);
            // Falco believes the authority of the peer and nobody else.
            assert_eq!(believed_by_falco(world), Certificate::all(&world.authority_of(PEER)));
            assert_alert_in_loki(world);
        },
    },
    Row {
        charm: SIDEKICK,
        endpoint: "send-ca-cert",
        peer_on: Substrate::Kubernetes,
        around: || World::new().with_sidekick_over_tls().with_loki().with_signer(),
        given: |world| json!({"certificates": [world.authority_of(SIGNER)]}),
        understood: |world| json!({"ready": true, "certificates": [world.authority_of(SIGNER)]}),
        ours: |_| {},
    },
    Row {
        charm: SIDEKICK,
        endpoint: "receive-ca-cert",
        peer_on: Substrate::Kubernetes,
        around: || World::new().with_sidekick().with_loki(),
        given: |world| json!({"certificates": [world.authority.root()]}),
        understood: |_| json!({"version": "1"}),
        ours: |world| {
            let file = world.pod().path("/etc/falcosidekick/certs/client/ca.crt");
            assert_eq!(std::fs::read_to_string(file).unwrap(), world.authority.root());
        },
    },
    Row {
        charm: FALCO,
        endpoint: "receive-ca-cert",
        peer_on: Substrate::Machine,
        around: || World::new().with_falco().with_private_sink(),
        given: |world| json!({"certificates": [world.authority.root()]}),
        understood: |_| json!({"version": "1"}),
        ours: |world| {
            assert_eq!(believed_by_falco(world), Certificate::all(&world.authority.root()));
            world.read_sensitive_file();
            eventually("the alert", || world.private_sink.received().into_iter().next());
        },
    },
    Row {
        // The collector has a machine of its own here. A real one is a subordinate on that of Falco.
        charm: FALCO,
        endpoint: "cos-agent",
        peer_on: Substrate::Machine,
        around: || World::new().with_falco().with_sidekick().with_loki(),
        given: |_| json!({}),
        understood: |world| {
            json!({FALCO_UNIT: {
                "targets": [format!("localhost:{}/metrics", world.host().port)],
                "alerts": 10,
                "identifiers": [identifier(world, FALCO)],
                "error": null,
                "alerts about logs": {},
                "slots of logs": [],
                "dashboards": {"Falco": {"has a uid for all": true}},
            }})
        },
        ours: |world| {
            let answers = || world.host().metrics().contains("falcosecurity_").then_some(());
            eventually("the metrics that are to be scraped", answers);
        },
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

/// Whom the certificate of Falcosidekick is to be for.
fn requested_names() -> Value {
    json!({
        "common name": "falcosidekick-k8s-0",
        "DNS": [
            "falcosidekick-k8s",
            "falcosidekick-k8s-0.falcosidekick-k8s-endpoints",
            "falcosidekick-k8s-0.falcosidekick-k8s-endpoints.pods.svc.cluster.local",
            "falcosidekick-k8s.pods",
            "falcosidekick-k8s.pods.svc",
            "falcosidekick-k8s.pods.svc.cluster.local",
        ],
        "IP": ["127.0.0.1"],
    })
}

/// Nothing of the private key has got into a relation.
fn assert_key_stays_secret(world: &World) {
    let state = world.model.state(SIDEKICK_UNIT);
    let key = state.secrets.iter().find_map(|secret| secret.text("private-key")).expect("the key of the unit");
    let published = state.relations.iter().flat_map(|relation| [&relation.local_app_data, &relation.local_unit_data]);
    for (name, value) in published.flatten() {
        let leaks = value.contains("PRIVATE KEY") || key.lines().any(|line| value.contains(line));
        assert!(!leaks, "{name} holds a part of the private key");
    }
}

/// Whom Falco believes when it sends alerts.
fn believed_by_falco(world: &World) -> Vec<Certificate> {
    let yaml: serde_yaml::Value = serde_yaml::from_str(&world.host().text("/etc/juju-falco/falco.yaml")).unwrap();
    let file = yaml["http_output"]["ca_cert"].as_str().expect("a file of authorities");
    Certificate::all(&std::fs::read_to_string(file).unwrap())
}
