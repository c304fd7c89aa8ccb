//! Services that cannot start, and requests that make no sense.

use std::time::Duration;

use charm_core::pebble::layer::{Check, Service, Startup, TcpCheck};
use charm_core::pebble::{CheckStatus, Current, Error, Layer};

use crate::world::{RUN, World, layer, until};

fn change(error: Error) -> (String, String, Vec<String>) {
    match error {
        Error::Change { summary, message, log } => (summary, message, log),
        other => panic!("not a failed change: {other:?}"),
    }
}

#[tokio::test]
async fn a_service_that_ends_at_once_is_an_error_with_its_last_words() {
    let world = World::new();
    world.want(world.service("aaa", "echo out; echo err >&2; exit 3")).await;
    let error = world.client.replan().await.unwrap_err();
    let text = error.to_string();
    let (summary, message, log) = change(error);
    assert_eq!(summary, "Replan service \"web\"");
    assert!(message.contains("exited quickly with code 3"), "{message}");
    assert!(log.iter().any(|line| line.contains("out") && line.contains("err")), "{log:?}");
    assert!(text.contains("exited quickly") && text.contains("    err"), "all of it in one text: {text}");
    assert_eq!(world.current().await, Some(Current::Backoff));
}

#[tokio::test]
async fn a_missing_program_is_an_error_at_every_replan_if_the_service_is_enabled() {
    let world = World::new();
    world.want(Service { command: "/no/such/program".to_owned(), ..world.service("aaa", RUN) }).await;
    for _ in 0..2 {
        let (_, message, _) = change(world.client.replan().await.unwrap_err());
        assert!(message.contains("/no/such/program: no such file or directory"), "{message}");
        assert_eq!(world.current().await, Some(Current::Inactive));
    }
}

#[tokio::test]
async fn a_disabled_service_whose_restart_failed_is_down_and_the_next_replan_calls_that_done() {
    let world = World::new();
    let disabled = |service| Service { startup: Some(Startup::Disabled), ..service };
    world.want(disabled(world.service("aaa", RUN))).await;
    world.client.start(&["web"]).await.unwrap();
    world.want(Service { command: "/no/such/program".to_owned(), ..disabled(world.service("bbb", RUN)) }).await;
    change(world.client.replan().await.unwrap_err());
    world.client.replan().await.unwrap();
    assert_eq!(world.current().await, Some(Current::Inactive), "so a charm looks, whatever a change says");
}

#[tokio::test]
async fn an_unknown_service_is_refused_and_nothing_is_done() {
    let world = World::new();
    world.want(world.service("aaa", RUN)).await;
    let error = world.client.start(&["web", "unknown"]).await.unwrap_err();
    assert!(matches!(error, Error::Refused { status: 400, .. }), "{error:?}");
    assert!(error.to_string().contains("service \"unknown\" does not exist"), "{error}");
    assert_eq!(world.pebble.changes(), []);
}

#[tokio::test]
async fn a_replan_without_any_service_is_done() {
    let world = World::new();
    world.client.replan().await.unwrap();
}

#[tokio::test]
async fn a_check_is_up_until_it_failed_as_often_as_its_threshold_says() {
    let world = World::new();
    let check = |port| Check {
        period: Some(Duration::from_millis(50)),
        threshold: Some(2),
        tcp: Some(TcpCheck { port, host: Some("127.0.0.1".to_owned()) }),
        ..Check::default()
    };
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let open = listener.local_addr().unwrap().port();
    let checks = [("good".to_owned(), check(open)), ("bad".to_owned(), check(1))].into();
    world.client.add_layer("charm", &Layer { checks, ..Layer::default() }).await.unwrap();
    let checks = world.client.checks(&[]).await.unwrap();
    assert!(checks.iter().all(|check| check.status == CheckStatus::Up), "at first: {checks:?}");
    until("the failure", async || world.client.checks(&["bad"]).await.unwrap()[0].status == CheckStatus::Down).await;
    let bad = &world.client.checks(&["bad"]).await.unwrap()[0];
    assert!(bad.failures >= bad.threshold && bad.threshold == 2, "{bad:?}");
    assert_eq!(world.client.checks(&["good"]).await.unwrap()[0].status, CheckStatus::Up);
}

#[tokio::test]
async fn the_logs_of_a_service_are_its_last_lines_in_order() {
    let world = World::new();
    let mut both = layer(world.service("aaa", "echo one; echo two >&2; printf \"tail ä\"; exec sleep 1000"));
    both.services.insert("other".to_owned(), world.service("bbb", "echo other; exec sleep 1000"));
    world.client.add_layer("charm", &both).await.unwrap();
    world.client.replan().await.unwrap();
    let messages = async |services: &[&str], count| {
        let lines = world.client.logs(services, count).await.unwrap();
        lines.into_iter().map(|line| line.message).collect::<Vec<_>>()
    };
    assert_eq!(messages(&["web"], 100).await, ["one", "two", "tail ä"]);
    assert_eq!(messages(&["web"], 1).await, ["tail ä"]);
    assert_eq!(messages(&[], 100).await.len(), 4);
    assert_eq!(messages(&["unknown"], 100).await, [""; 0]);
}
