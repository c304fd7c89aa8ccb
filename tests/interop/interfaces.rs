//! Our charms beside charms that speak the same interfaces by the libraries of their makers.
//!
//! An interface is one row of [`ROWS`] and one program that is named after it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use charm_tests::falco_host::eventually;
use charm_tests::juju::metadata::Role;
use charm_tests::juju::state::Bag;
use charm_tests::juju::{Context, Event, Metadata, Substrate};
use charm_tests::loki::{Entry, LokiReceiver};
use charm_tests::model::{Application, Model, Place};
use charm_tests::programs::charmcraft;
use charm_tests::sink::Sink;
use serde_json::{Value, json};

use crate::compare::assert_same;
use crate::python::{Ops, PythonCharm};

const FALCO: &str = "falco";
const SIDEKICK: &str = "falcosidekick-k8s";
const PEER: &str = "peer";
/// The one endpoint of the peer.
const FAR_END: &str = "far-end";

/// One endpoint of ours, and who is on its other end.
struct Row {
    /// Our charm, with an application of the same name.
    charm: &'static str,
    endpoint: &'static str,
    /// Where the peer runs.
    peer_on: Substrate,
    /// Where the peer is to send alerts, if it is a provider.
    url: fn(&World) -> String,
    /// What the peer has to have understood of us.
    understood: fn(&World) -> Value,
    /// Fails unless we have understood the peer.
    ours: fn(&World),
}

const ROWS: &[Row] = &[
    Row {
        charm: FALCO,
        endpoint: "http-endpoint",
        peer_on: Substrate::Kubernetes,
        url: |world| world.sink.url(),
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
        url: |world| format!("http://127.0.0.1:{}/", world.port()),
        understood: |world| json!({"url": format!("http://127.0.0.1:{}/", world.port())}),
        ours: |_| {},
    },
    Row {
        charm: SIDEKICK,
        endpoint: "send-loki-logs",
        peer_on: Substrate::Kubernetes,
        url: |world| world.loki.url(),
        understood: |world| understood_by_loki(world, 2),
        ours: |world| {
            world.read_sensitive_file();
            let entry = eventually("the alert", || world.loki.entries().into_iter().next());
            assert!(entry.line.contains("Read sensitive file untrusted"), "{}", entry.line);
        },
    },
    Row {
        charm: SIDEKICK,
        endpoint: "logging",
        peer_on: Substrate::Kubernetes,
        url: |world| world.loki.url(),
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
        url: |_| String::new(),
        understood: |world| {
            let address = world.model.state("falcosidekick-k8s/0").relation_of("metrics-endpoint").local_unit_data
                ["prometheus_scrape_unit_address"]
                .clone();
            json!({
                "identifier": identifier(world),
                "targets": {"falcosidekick-k8s/0": [format!("{address}:{}", world.port())]},
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
        url: |_| String::new(),
        understood: |_| {
            json!({"file:falcosidekick": {
                "charm": SIDEKICK, "inject_dropdowns": false, "title": "Falco alerts", "has a uid for all": true,
                "version": 1,
            }})
        },
        ours: |_| {},
    },
];

fn identifier(world: &World) -> String {
    format!("pods_{}_falcosidekick-k8s", &world.model.state("falcosidekick-k8s/0").model.uuid[..8])
}

/// What a Loki knows of Falcosidekick, with this many alert rules.
fn understood_by_loki(world: &World, alerts: usize) -> Value {
    json!({
        "identifier": identifier(world),
        "labels": {
            "juju_model": "pods", "juju_model_uuid": world.model.state("falcosidekick-k8s/0").model.uuid,
            "juju_application": SIDEKICK, "juju_charm": SIDEKICK,
        },
        "unit": "falcosidekick-k8s/0",
        "alerts": alerts,
        "error": null,
    })
}

impl Row {
    fn metadata(&self) -> Metadata {
        Metadata::read(charmcraft(self.charm)).unwrap()
    }

    fn interface(&self) -> String {
        self.metadata().endpoints[self.endpoint].interface.clone()
    }

    fn program(&self) -> String {
        format!("{}.py", self.interface())
    }

    /// A charm with nothing but the other end.
    fn peer(&self) -> PythonCharm {
        let side =
            if self.metadata().endpoints[self.endpoint].role == Role::Provider { "requires" } else { "provides" };
        let assumes = if self.peer_on == Substrate::Kubernetes { "[k8s-api]" } else { "[]" };
        let (interface, program) = (self.interface(), self.program());
        let text = format!("name: {PEER}\nassumes: {assumes}\n{side}: {{ {FAR_END}: {{ interface: {interface} }} }}\n");
        PythonCharm::new(Ops::Three, &program, Metadata::parse(&text).unwrap())
    }
}

/// A model in which one application is the peer.
struct World {
    // Dropped first, and the services with it.
    model: Model,
    loki: LokiReceiver,
    sink: Sink,
}

impl World {
    /// Everything that the endpoint of a row needs around it, and nothing on its other end.
    fn without_peer(row: &Row) -> Self {
        let mut world = Self { model: Model::new(), loki: LokiReceiver::start(), sink: Sink::start() };
        let model = &mut world.model;
        let (with_falco, with_loki) =
            (row.endpoint != "http-endpoint" || row.charm == FALCO, row.endpoint != "send-loki-logs");
        if with_falco {
            model.deploy(Application::principal("ubuntu")).unwrap();
            model.deploy(Application::falco(FALCO).unwrap()).unwrap();
            model.integrate(FALCO, "ubuntu").unwrap();
        }
        if row.charm == SIDEKICK {
            model.deploy(Application::falcosidekick(SIDEKICK).unwrap().config("allow-plain-http", true)).unwrap();
            if with_falco {
                model.integrate("falco:http-endpoint", SIDEKICK).unwrap();
            }
            if with_loki {
                model.deploy(Application::loki("loki", &world.loki.url())).unwrap();
                model.integrate("falcosidekick-k8s:send-loki-logs", "loki").unwrap();
            }
        }
        model.settle().unwrap();
        world
    }

    fn port(&self) -> u64 {
        self.model.state("falcosidekick-k8s/0").config["port"].as_u64().unwrap()
    }

    fn read_sensitive_file(&self) {
        let Place::Machine(host) = self.model.place("falco/0") else { panic!("Falco runs on a machine") };
        host.read_sensitive_file();
    }
}

#[test]
#[ignore = "needs the Python libraries: make interop"]
fn each_side_understands_what_the_other_one_writes() {
    for row in ROWS {
        println!("{} of {}", row.endpoint, row.charm);
        let mut world = World::without_peer(row);
        let peer = row.peer().given(&json!({"url": (row.url)(&world)}));
        world.model.deploy(Application::of_charm(PEER, peer.metadata().clone(), peer.dispatch())).unwrap();
        world.model.integrate(&format!("{}:{}", row.charm, row.endpoint), PEER).unwrap();
        world.model.settle().unwrap();
        assert_same(&peer.report()[FAR_END], &(row.understood)(&world));
        let status = world.model.status(&format!("{}/0", row.charm));
        assert_eq!(status.to_string(), "active: ", "{:#?}", world.model.records());
        (row.ours)(&world);
        assert_same_as_twin(row, &world);
    }
}

/// A charm that is called and related as ours, and that speaks by the library, writes the same.
fn assert_same_as_twin(row: &Row, world: &World) {
    let unit = format!("{}/0", row.charm);
    let mut state = world.model.state(&unit).clone();
    let of_ours = state.relation_of(row.endpoint).clone();
    let id = of_ours.id;
    let relation = state.relation_by_id_mut(id);
    relation.local_app_data.clear();
    relation.local_unit_data.retain(|key, _| JUJU_KEYS.contains(&key.as_str()));
    let twin = PythonCharm::new(Ops::Three, &row.program(), row.metadata()).given(&json!({"url": (row.url)(world)}));
    let principal = |context: Context| if row.charm == FALCO { context.principal("ubuntu/0") } else { context };
    let outcome = principal(twin.context().app(row.charm)).run(&Event::config_changed(), &state).expect_success();
    let of_twin = outcome.state.relation_by_id(id);
    for (ours, theirs) in
        [(&of_ours.local_app_data, &of_twin.local_app_data), (&of_ours.local_unit_data, &of_twin.local_unit_data)]
    {
        assert_same(&meaning(ours), &meaning(theirs));
    }
}

/// The keys that Juju itself writes.
const JUJU_KEYS: [&str; 3] = ["egress-subnets", "ingress-address", "private-address"];

/// What a charm brings along of its own, which no library knows: rules, dashboards, and what to scrape.
const OWN_KEYS: [&str; 3] = ["alert_rules", "dashboards", "scrape_jobs"];

/// What a databag says beside that: JSON may be spaced in many ways.
fn meaning(bag: &Bag) -> Value {
    let value = |text: &String| serde_json::from_str(text).unwrap_or_else(|_| json!(text));
    let common = bag.iter().filter(|(key, _)| !OWN_KEYS.contains(&key.as_str()));
    common.map(|(key, text)| (key.clone(), value(text))).collect::<BTreeMap<_, Value>>().into_iter().collect()
}

#[test]
fn every_endpoint_with_a_described_interface_has_a_row() {
    let described = Path::new(env!("CARGO_MANIFEST_DIR")).join("../metadata/interfaces");
    let mut wanted = BTreeSet::new();
    for charm in [FALCO, SIDEKICK] {
        let metadata = Metadata::read(charmcraft(charm)).unwrap();
        let endpoints = metadata.endpoints.iter().filter(|(_, endpoint)| described.join(&endpoint.interface).is_dir());
        wanted.extend(endpoints.map(|(name, _)| (charm, name.clone())));
    }
    // Without a row yet. What their databags hold is tried by the vectors of metadata/interfaces alone.
    for (charm, endpoint) in [
        (FALCO, "cos-agent"),
        (FALCO, "receive-ca-cert"),
        (SIDEKICK, "certificates"),
        (SIDEKICK, "ingress"),
        (SIDEKICK, "receive-ca-cert"),
        (SIDEKICK, "send-ca-cert"),
    ] {
        assert!(wanted.remove(&(charm, endpoint.to_owned())), "{charm}: {endpoint} is gone");
    }
    let rows: BTreeSet<_> = ROWS.iter().map(|row| (row.charm, row.endpoint.to_owned())).collect();
    assert_eq!(rows, wanted);
}
