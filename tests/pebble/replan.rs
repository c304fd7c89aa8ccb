//! What a replan restarts, and what it leaves alone. Each start is a line in a file that the service itself writes.

use std::time::Duration;

use charm_core::pebble::layer::{Check, LogTarget, Service, Startup, TcpCheck};
use charm_core::pebble::{Current, Error, Layer};
use charm_tests::pebble::Cut;

use crate::world::{RUN, World, layer, until};

impl World {
    /// A world in which `web` runs with digest `aaa`.
    async fn running() -> Self {
        let world = Self::new();
        world.want(world.service("aaa", RUN)).await;
        world.client.replan().await.unwrap();
        assert_eq!(world.starts(), ["aaa"]);
        world
    }
}

#[tokio::test]
async fn a_layer_alone_starts_nothing_and_a_replan_does() {
    let world = World::new();
    world.want(world.service("aaa", RUN)).await;
    assert_eq!(world.current().await, Some(Current::Inactive));
    world.client.replan().await.unwrap();
    assert_eq!(world.current().await, Some(Current::Active));
    assert_eq!(world.starts(), ["aaa"]);
}

#[tokio::test]
async fn the_same_layer_again_restarts_nothing() {
    let world = World::running().await;
    let process = world.pebble.service_processes();
    world.want(world.service("aaa", RUN)).await;
    world.client.replan().await.unwrap();
    world.client.replan().await.unwrap();
    assert_eq!(world.pebble.service_processes(), process);
    assert_eq!(world.starts(), ["aaa"]);
}

#[tokio::test]
async fn another_digest_restarts_once() {
    let world = World::running().await;
    world.want(world.service("bbb", RUN)).await;
    world.client.replan().await.unwrap();
    assert_eq!(world.starts(), ["aaa", "bbb"]);
    assert_eq!(world.pebble.service_processes().len(), 1, "the old process is gone");
}

#[tokio::test]
async fn a_hook_that_changes_nothing_costs_three_requests_and_one_that_does_costs_four() {
    let world = World::running().await;
    for (digest, expected) in [("aaa", 3), ("bbb", 4)] {
        let before = world.pebble.requests().len();
        let wanted = layer(world.service(digest, RUN));
        if !wanted.is_in(&world.client.plan().await.unwrap()) {
            world.client.add_layer("charm", &wanted).await.unwrap();
        }
        world.client.replan().await.unwrap();
        let requests = world.pebble.requests();
        assert_eq!(requests.len() - before, expected, "{requests:?}");
    }
}

#[tokio::test]
async fn checks_log_targets_and_what_a_layer_says_about_itself_restart_nothing() {
    let world = World::running().await;
    let check = Check { tcp: Some(TcpCheck { port: 1, host: None }), ..Check::default() };
    let target = LogTarget {
        r#type: "loki".to_owned(),
        location: "http://127.0.0.1:1".to_owned(),
        services: vec!["all".to_owned()],
        ..LogTarget::default()
    };
    let more = Layer {
        summary: "more".to_owned(),
        description: "much more".to_owned(),
        checks: [("up".to_owned(), check)].into(),
        log_targets: [("loki".to_owned(), target)].into(),
        ..layer(world.service("aaa", RUN))
    };
    world.client.add_layer("charm", &more).await.unwrap();
    world.client.replan().await.unwrap();
    assert_eq!(world.starts(), ["aaa"]);
}

#[tokio::test]
async fn a_default_written_out_would_restart_which_is_why_a_layer_is_compared_by_what_it_means() {
    let world = World::running().await;
    let spelled_out = Service { kill_delay: Some(Duration::from_secs(5)), ..world.service("aaa", RUN) };
    assert!(layer(spelled_out.clone()).is_in(&world.client.plan().await.unwrap()), "so a charm does not send it");
    world.want(spelled_out).await;
    world.client.replan().await.unwrap();
    assert_eq!(world.starts(), ["aaa", "aaa"]);
}

#[tokio::test]
async fn a_start_between_layer_and_replan_keeps_the_old_process_for_good() {
    let world = World::running().await;
    world.want(world.service("bbb", RUN)).await;
    world.client.start(&["web"]).await.unwrap();
    world.client.replan().await.unwrap();
    assert_eq!(world.starts(), ["aaa"], "Pebble believes that the process has the new entry");
    world.client.restart(&["web"]).await.unwrap();
    assert_eq!(world.starts(), ["aaa", "bbb"]);
}

#[tokio::test]
async fn a_service_stopped_by_hand_is_started_if_it_is_enabled() {
    let world = World::running().await;
    world.client.stop(&["web"]).await.unwrap();
    assert_eq!(world.current().await, Some(Current::Inactive));
    world.client.replan().await.unwrap();
    assert_eq!(world.current().await, Some(Current::Active));
}

#[tokio::test]
async fn disabling_a_running_service_restarts_it_so_it_takes_a_stop_to_turn_it_off() {
    let world = World::running().await;
    let disabled = Service { startup: Some(Startup::Disabled), ..world.service("aaa", RUN) };
    world.want(disabled.clone()).await;
    world.client.replan().await.unwrap();
    assert_eq!(world.current().await, Some(Current::Active));
    assert_eq!(world.starts(), ["aaa", "aaa"]);
    world.client.stop(&["web"]).await.unwrap();
    world.want(disabled).await;
    world.client.replan().await.unwrap();
    assert_eq!(world.current().await, Some(Current::Inactive));
}

#[tokio::test]
async fn a_service_that_keeps_crashing_gets_its_new_entry_at_once() {
    let world = World::new();
    let crashing = Service { backoff_delay: Some(Duration::from_secs(1000)), ..world.service("aaa", "exit 3") };
    world.want(crashing).await;
    world.client.replan().await.unwrap_err();
    assert_eq!(world.current().await, Some(Current::Backoff));
    world.want(world.service("bbb", RUN)).await;
    world.client.replan().await.unwrap();
    assert_eq!(world.current().await, Some(Current::Active));
    assert_eq!(world.starts(), ["aaa", "bbb"]);
}

#[tokio::test]
async fn a_service_in_its_pause_after_a_crash_is_started_at_once_if_it_is_enabled() {
    let world = World::new();
    // The first start fails, the second does not.
    let script = "test -e again || { touch again; exit 3; }; exec sleep 1000";
    let service = Service {
        backoff_delay: Some(Duration::from_secs(1000)),
        working_dir: Some(world.client.path("")),
        ..world.service("aaa", script)
    };
    world.want(service).await;
    world.client.replan().await.unwrap_err();
    world.client.replan().await.unwrap();
    assert_eq!(world.current().await, Some(Current::Active));
}

#[tokio::test]
async fn a_service_that_crashed_before_the_replan_still_gets_its_new_entry() {
    let world = World::new();
    let service = |digest| Service { backoff_delay: Some(Duration::from_millis(1)), ..world.service(digest, RUN) };
    world.want(service("aaa")).await;
    world.client.replan().await.unwrap();
    world.want(service("bbb")).await;
    for process in world.pebble.service_processes() {
        let process = nix::unistd::Pid::from_raw(process.cast_signed());
        nix::sys::signal::kill(process, nix::sys::signal::Signal::SIGKILL).unwrap();
    }
    until("the restart by Pebble itself", async || world.starts().len() == 2).await;
    world.client.replan().await.unwrap();
    assert_eq!(world.starts(), ["aaa", "aaa", "bbb"]);
}

#[tokio::test]
async fn a_service_that_will_not_stop_is_killed_after_the_delay_of_its_new_entry() {
    let world = World::new();
    world.want(world.service("aaa", "trap \"\" TERM; while :; do sleep 0.05; done")).await;
    world.client.replan().await.unwrap();
    world.want(Service { kill_delay: Some(Duration::from_millis(50)), ..world.service("bbb", RUN) }).await;
    world.client.replan().await.unwrap();
    assert_eq!(world.starts(), ["aaa", "bbb"]);
}

#[tokio::test]
async fn a_hook_that_dies_while_it_waits_stops_nothing() {
    let world = World::running().await;
    world.want(world.service("bbb", RUN)).await;
    world.pebble.cut_at_request(2, Cut::Unsent);
    assert!(world.client.replan().await.unwrap_err().is_unreachable());
    // The next hook replans while the first replan still waits whether the service stays up: done at once, which proves
    // nothing yet.
    until("the start", async || world.starts() == ["aaa", "bbb"]).await;
    world.client.replan().await.unwrap();
    until("the end of both", async || world.pebble.changes().iter().all(|change| change.status == "Done")).await;
    assert_eq!(world.current().await, Some(Current::Active));
    assert_eq!(world.starts(), ["aaa", "bbb"]);
}

#[tokio::test]
async fn of_two_services_one_may_fail_and_the_other_is_restarted_all_the_same() {
    let world = World::running().await;
    let broken =
        Service { startup: Some(Startup::Enabled), command: "/no/such/program".to_owned(), ..Service::default() };
    let mut both = layer(world.service("bbb", RUN));
    both.services.insert("broken".to_owned(), broken);
    world.client.add_layer("charm", &both).await.unwrap();
    let error = world.client.replan().await.unwrap_err();
    assert!(matches!(error, Error::Change { .. }), "{error:?}");
    assert_eq!(world.starts(), ["aaa", "bbb"]);
}
