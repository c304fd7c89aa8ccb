//! Log targets: what Pebble sends, and what a slow or failing log server does to a charm.

use std::time::Duration;

use charm_core::pebble::Layer;
use charm_core::pebble::layer::{LogTarget, Service};
use charm_tests::loki::{Answer, Loki, LokiReceiver};

use crate::world::{World, layer, until};

fn target(url: &str) -> LogTarget {
    LogTarget {
        r#type: "loki".to_owned(),
        location: url.to_owned(),
        services: vec!["all".to_owned()],
        labels: [
            ("juju_unit".to_owned(), "workload/0".to_owned()),
            ("digest".to_owned(), "$CHARM_CONFIG_DIGEST".to_owned()),
        ]
        .into(),
        ..LogTarget::default()
    }
}

fn targets(targets: &[(&str, LogTarget)]) -> Layer {
    let log_targets = targets.iter().map(|(name, target)| ((*name).to_owned(), target.clone())).collect();
    Layer { log_targets, ..Layer::default() }
}

impl World {
    /// A world with a service that prints a line whenever somebody writes one into a pipe.
    async fn printing(url: &str) -> Self {
        let world = Self::new();
        nix::unistd::mkfifo(&world.root.path().join("lines"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let script = "while :; do cat lines; done";
        let service = Service { working_dir: Some(world.client.path("")), ..world.service("aaa", script) };
        let wanted = Layer { log_targets: targets(&[("loki", target(url))]).log_targets, ..layer(service) };
        world.client.add_layer("charm", &wanted).await.unwrap();
        world.client.replan().await.unwrap();
        world
    }

    fn print(&self, line: &str) {
        std::fs::write(self.root.path().join("lines"), format!("{line}\n")).unwrap();
    }
}

async fn arrived(receiver: &LokiReceiver, line: &str) {
    until(line, async || receiver.entries().iter().any(|entry| entry.line == line)).await;
}

#[tokio::test]
async fn what_a_service_prints_arrives_with_its_labels() {
    let receiver = LokiReceiver::start();
    let world = World::printing(&receiver.url()).await;
    world.print("hello");
    arrived(&receiver, "hello").await;
    let entry = receiver.entries().into_iter().find(|entry| entry.line == "hello").unwrap();
    let labels: Vec<_> = entry.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(labels, [("digest", "aaa"), ("juju_unit", "workload/0"), ("pebble_service", "web")]);
}

#[tokio::test]
async fn a_layer_waits_for_a_log_server_that_does_not_answer_and_other_requests_do_not() {
    let receiver = LokiReceiver::start();
    let world = World::printing(&receiver.url()).await;
    let wanted = layer(world.pebble_service().await);
    receiver.answer(Answer::Hang);
    world.print("held up");
    until("the push", async || receiver.pushes().iter().any(|push| push.status.is_none())).await;

    assert!(
        wanted.is_in(&world.client.plan().await.unwrap()),
        "a charm that sends nothing needlessly waits for nothing"
    );
    world.client.replan().await.unwrap();
    let more = targets(&[("other", target(&receiver.url()))]);
    let mut adding = std::pin::pin!(world.client.add_layer("charm", &more));
    let early = tokio::time::timeout(Duration::from_millis(500), &mut adding).await;
    assert!(early.is_err(), "it did not wait: {early:?}");
    receiver.answer(Answer::Take);
    adding.await.unwrap();
}

impl World {
    async fn pebble_service(&self) -> Service {
        self.client.plan().await.unwrap().services["web"].clone()
    }
}

#[tokio::test]
async fn lines_that_a_log_server_refused_go_with_the_next_line() {
    let receiver = LokiReceiver::start();
    let world = World::printing(&receiver.url()).await;
    receiver.answer(Answer::Refuse(500));
    world.print("kept");
    until("the refusal", async || receiver.pushes().iter().any(|push| push.status == Some(500))).await;
    receiver.answer(Answer::Take);
    // Pebble does not try again by itself: the kept lines go with the next one.
    world.print("next");
    arrived(&receiver, "next").await;
    arrived(&receiver, "kept").await;
}

#[tokio::test]
async fn a_new_location_needs_a_new_name_and_the_old_one_is_silenced() {
    let (old, new) = (LokiReceiver::start(), LokiReceiver::start());
    let world = World::printing(&old.url()).await;
    world.print("to the old one");
    arrived(&old, "to the old one").await;

    // The same name: Pebble shows the new location, and goes on sending to the old one.
    let moved = targets(&[("loki", target(&new.url()))]);
    world.client.add_layer("charm", &moved).await.unwrap();
    assert!(moved.is_in(&world.client.plan().await.unwrap()));
    world.print("still to the old one");
    arrived(&old, "still to the old one").await;
    assert_eq!(new.pushes(), []);

    let silent = LogTarget { services: Vec::new(), ..target(&old.url()) };
    let renamed = targets(&[("loki", silent), ("loki-2", target(&new.url()))]);
    world.client.add_layer("charm", &renamed).await.unwrap();
    assert!(renamed.is_in(&world.client.plan().await.unwrap()));
    world.print("to the new one");
    arrived(&new, "to the new one").await;
    assert!(old.entries().iter().all(|entry| entry.line != "to the new one"));
}

#[tokio::test]
#[ignore = "needs the real Loki, which takes minutes to build: tests/tools/build loki"]
async fn the_real_loki_takes_what_pebble_sends() {
    let folder = tempfile::tempdir().unwrap();
    let loki = Loki::start(folder.path()).unwrap_or_else(|problem| panic!("{problem}"));
    let world = World::printing(&loki.url()).await;
    world.print("hello");
    let query = "{juju_unit=\"workload/0\", pebble_service=\"web\", digest=\"aaa\"} |= `hello`";
    until("the line", async || !loki.query(query).unwrap().as_array().unwrap().is_empty()).await;
    let streams = loki.query(query).unwrap();
    assert_eq!(streams[0]["values"][0][1], "hello", "{streams}");
    assert_eq!(streams[0]["stream"]["digest"], "aaa", "{streams}");
    loki.query("{no closing brace").expect_err("a query that makes no sense is an error");
}
