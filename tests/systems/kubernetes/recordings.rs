//! The answers that the double of the API plays are those of the real one. `RECORD=yes` writes them anew.

use std::path::Path;

use charm_tests::juju::Event;
use serde_json::{Value, json};

use super::world::{APP, BUDGETS, NODES, SERVICE, SERVICES, WORKLOADS, World};

const UID: &str = "5f3b0c1e-7d7c-4a52-9f0e-1f2a3b4c5d6e";

/// What differs from one run to the next, and what it is in a recording.
const BY_CHANCE: [(&str, &str); 6] = [
    ("uid", UID),
    ("resourceVersion", "100"),
    ("creationTimestamp", "2026-01-01T00:00:00Z"),
    ("time", "2026-01-01T00:00:00Z"),
    ("lastHeartbeatTime", "2026-01-01T00:00:00Z"),
    ("clusterIP", "10.152.183.50"),
];

/// The usual port, which every test replaces by its own.
const PORT: u16 = 2801;

#[test]
#[ignore = "needs the real Kubernetes API, which takes minutes to build: make test-systems"]
fn the_recordings_are_what_the_real_one_answers() {
    let world = World::with_port(PORT);
    let state = world.related().config("external-access", "load-balancer");
    compare("not-found", 404, world.cluster.ask("GET", SERVICE, &Value::Null));
    compare("forbidden", 403, world.as_unit("GET", &format!("{WORKLOADS}/{APP}"), &Value::Null));
    world.trust();
    // The port may be taken by somebody else; what becomes of Falcosidekick does not matter here.
    let _ = world.pod.context.run(&Event::config_changed(), &state);
    compare("workload", 200, world.cluster.ask("GET", &format!("{WORKLOADS}/{APP}"), &Value::Null));
    compare("budgets", 200, world.cluster.ask("GET", BUDGETS, &Value::Null));
    compare("service-without-address", 200, world.cluster.ask("GET", SERVICE, &Value::Null));
    world.balance(&json!([{ "ip": "203.0.113.7" }]));
    compare("service-with-address", 200, world.cluster.ask("GET", SERVICE, &Value::Null));
    let taken = json!({ "metadata": { "name": "sidekick-lb" }, "spec": { "ports": [{ "port": 80 }] } });
    compare("conflict", 409, world.cluster.ask("POST", SERVICES, &taken));
    let wrong = json!({ "metadata": { "name": "wrong" }, "spec": { "type": "LoadBalancer" } });
    compare("refused", 422, world.cluster.ask("POST", SERVICES, &wrong));
    world.node("node-a", "198.51.100.1", true);
    compare("nodes", 200, world.cluster.ask("GET", NODES, &Value::Null));
    let _ = world.pod.context.run(&Event::config_changed(), &state.config("external-access", "node-port"));
    compare("service-of-nodes", 200, world.cluster.ask("GET", SERVICE, &Value::Null));
    compare("removed", 200, world.cluster.ask("DELETE", SERVICE, &Value::Null));
}

#[track_caller]
fn compare(name: &str, expected: u16, (status, mut answer): (u16, Value)) {
    assert_eq!(status, expected, "{name}: {answer}");
    steady(&mut answer);
    let text = serde_json::to_string_pretty(&answer).unwrap() + "\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("recordings/kubernetes/{name}.json"));
    if std::env::var_os("RECORD").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &text).unwrap();
    }
    let recorded = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(text, recorded, "{name}: the real one answers otherwise");
}

fn steady(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            // Owners are told apart by their UIDs.
            if let Some(key) = fields.keys().find(|key| key.starts_with("k:{\"uid\":")).cloned() {
                let value = fields.remove(&key).unwrap_or_default();
                fields.insert(format!("k:{{\"uid\":\"{UID}\"}}"), value);
            }
            for (name, value) in fields.iter_mut() {
                match BY_CHANCE.iter().find(|(by_chance, _)| by_chance == name) {
                    Some((_, text)) if value.is_string() => *value = json!(text),
                    _ if name == "clusterIPs" => *value = json!(["10.152.183.50"]),
                    _ if name == "nodePort" => *value = json!(30_801),
                    _ => steady(value),
                }
            }
        }
        Value::Array(entries) => entries.iter_mut().for_each(steady),
        _ => {}
    }
}
