//! Our charms beside charms that speak the same interfaces by the libraries of their makers.
//!
//! An interface is one row of [`ROWS`] and one program that is named after it.

mod rows;
mod world;

use std::collections::BTreeSet;
use std::path::Path;

use charm_core::x509::Request;
use charm_tests::juju::metadata::Role;
use charm_tests::juju::state::Bag;
use charm_tests::juju::{Context, Event, Metadata, Substrate};
use charm_tests::model::Application;
use charm_tests::programs::charmcraft;
use serde_json::{Value, json};

use self::rows::ROWS;
use self::world::World;
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
    /// What our endpoint needs around it, and nothing on its other end.
    around: fn() -> World,
    /// What a program is told that is to write: where alerts are to be sent, whom to believe, what to ask for.
    given: fn(&World) -> Value,
    /// What the peer has to have understood of us.
    understood: fn(&World) -> Value,
    /// Fails unless we have understood the peer.
    ours: fn(&World),
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

#[test]
#[ignore = "needs the Python libraries: make interop"]
fn each_side_understands_what_the_other_one_writes() {
    for row in ROWS {
        println!("{} of {}", row.endpoint, row.charm);
        let mut world = (row.around)().settled();
        let peer = row.peer().given(&(row.given)(&world));
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
    let twin = PythonCharm::new(Ops::Three, &row.program(), row.metadata()).given(&(row.given)(world));
    let principal = |context: Context| if row.charm == FALCO { context.principal("ubuntu/0") } else { context };
    // The one hook in which every library writes what it has to say.
    let outcome = principal(twin.context().app(row.charm)).run(&Event::relation_created(id), &state).expect_success();
    let of_twin = outcome.state.relation_by_id(id);
    for (ours, theirs) in
        [(&of_ours.local_app_data, &of_twin.local_app_data), (&of_ours.local_unit_data, &of_twin.local_unit_data)]
    {
        assert_same(&said(ours), &said(theirs));
    }
}

/// The keys that Juju itself writes, and some libraries take away.
const JUJU_KEYS: [&str; 3] = ["egress-subnets", "ingress-address", "private-address"];

/// What a charm brings along of its own, which no library knows: rules, dashboards, and what to scrape.
const OWN_KEYS: [&str; 5] = ["alert_rules", "dashboards", "metrics_alert_rules", "metrics_scrape_jobs", "scrape_jobs"];

/// What a databag says beside that.
fn said(bag: &Bag) -> Value {
    let written = bag.iter().filter(|(key, _)| !JUJU_KEYS.contains(&key.as_str()));
    let value = |text: &String| serde_json::from_str(text).unwrap_or_else(|_| json!(text));
    meaning(written.map(|(key, text)| (key.clone(), value(text))).collect())
}

/// JSON may be spaced in many ways, and no two requests for certificates are the same but for whom they are.
fn meaning(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let common = fields.into_iter().filter(|(key, _)| !OWN_KEYS.contains(&key.as_str()));
            common.map(|(key, value)| (key, meaning(value))).collect()
        }
        Value::Array(items) => items.into_iter().map(meaning).collect(),
        Value::String(text) => match Request::from_pem(&text) {
            Ok(request) => request.names.iter().map(ToString::to_string).collect(),
            Err(_) => text.into(),
        },
        other => other,
    }
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
    // No package has a library of `ingress`: the vectors of metadata/interfaces alone try what its databags hold.
    assert!(wanted.remove(&(SIDEKICK, "ingress".to_owned())), "ingress is gone");
    let rows: BTreeSet<_> = ROWS.iter().map(|row| (row.charm, row.endpoint.to_owned())).collect();
    assert_eq!(rows, wanted);
}
