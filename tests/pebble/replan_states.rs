//! What a replan does with a service that is not simply running, and with a replan that is under way.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use charm_core::pebble::layer::{OnEnd, Service, Startup};
use charm_core::pebble::{Current, Error};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::world::{RUN, World, until};

/// What a service does that does not listen to the signal to stop.
const STUBBORN: &str = "trap \"\" TERM; while :; do sleep 0.05; done";

fn disabled(service: Service) -> Service {
    Service { startup: Some(Startup::Disabled), ..service }
}

impl World {
    async fn replanned(service: Service, world: Self) -> Self {
        world.want(service).await;
        world.client.replan().await.unwrap();
        world
    }

    /// Adds a layer as YAML, for what our own type does not write.
    fn want_yaml(&self, yaml: &str) {
        let body = json!({"action": "add", "combine": true, "label": "charm", "format": "yaml", "layer": yaml});
        assert_eq!(self.post("/v1/layers", &body)["result"], true);
    }

    /// Asks for a replan and does not wait for it.
    fn begin_replan(&self) -> String {
        self.post("/v1/services", &json!({"action": "replan"}))["change"].as_str().unwrap().to_owned()
    }

    /// A change once it has ended.
    async fn end_of(&self, id: &str) -> Value {
        let change = || self.pebble.get(&format!("/v1/changes/{id}"));
        until("the end of a change", async || change()["ready"] == true).await;
        change()
    }

    fn kill_service(&self) {
        for process in self.pebble.service_processes() {
            kill(Pid::from_raw(process.cast_signed()), Signal::SIGKILL).unwrap();
        }
    }
}

#[tokio::test]
async fn a_service_that_crashed_and_recovered_is_left_alone() {
    let world = World::new();
    let service = Service { backoff_delay: Some(Duration::from_millis(1)), ..world.service("aaa", RUN) };
    let world = World::replanned(service, world).await;
    world.kill_service();
    until("the restart by Pebble itself", async || world.starts().len() == 2).await;
    until("a running service", async || world.current().await == Some(Current::Active)).await;
    let process = world.pebble.service_processes();
    world.client.replan().await.unwrap();
    assert_eq!(world.pebble.service_processes(), process);
}

#[tokio::test]
async fn a_service_whose_end_is_ignored_is_in_error_and_started_by_the_next_replan() {
    let world = World::new();
    // It fails once, after Pebble takes it for started.
    let script = "test -e again && exec sleep 1000; touch again; sleep 2; exit 3";
    let service = Service {
        on_failure: Some(OnEnd::Ignore),
        working_dir: Some(world.client.path("")),
        ..world.service("aaa", script)
    };
    let world = World::replanned(service, world).await;
    until("the failure", async || world.current().await == Some(Current::Error)).await;
    world.client.replan().await.unwrap();
    assert_eq!(world.current().await, Some(Current::Active));
    assert_eq!(world.starts(), ["aaa", "aaa"]);
}

#[tokio::test]
async fn a_disabled_service_stopped_by_hand_is_started_by_another_digest_and_by_nothing_else() {
    let world = World::new();
    let world = World::replanned(world.service("aaa", RUN), world).await;
    world.client.stop(&["web"]).await.unwrap();
    world.want(disabled(world.service("aaa", RUN))).await;
    // The entry differs from the one that ran, in that it is disabled.
    world.client.replan().await.unwrap();
    assert_eq!(world.current().await, Some(Current::Active));
    world.client.stop(&["web"]).await.unwrap();
    world.client.replan().await.unwrap();
    assert_eq!(world.current().await, Some(Current::Inactive), "the same entry");
    world.want(disabled(world.service("bbb", RUN))).await;
    world.client.replan().await.unwrap();
    assert_eq!(world.current().await, Some(Current::Active), "another digest");
    assert_eq!(world.starts(), ["aaa", "aaa", "bbb"]);
}

#[tokio::test]
async fn a_disabled_service_in_its_pause_after_a_crash_stays_there() {
    let world = World::new();
    let service =
        Service { backoff_delay: Some(Duration::from_secs(1000)), ..disabled(world.service("aaa", "exit 3")) };
    world.want(service).await;
    world.client.start(&["web"]).await.unwrap_err();
    assert_eq!(world.current().await, Some(Current::Backoff));
    world.client.replan().await.unwrap();
    assert_eq!(world.current().await, Some(Current::Backoff));
    assert_eq!(world.starts(), ["aaa"]);
}

#[tokio::test]
async fn another_way_to_say_the_same_restarts_nothing() {
    let world = World::new();
    let command = "/bin/sh -c 'echo $A >> starts; exec sleep 1000'";
    let dir = world.client.path("");
    let yaml = |entry: &str| {
        format!("services: {{web: {{startup: enabled, command: \"{command}\", working-dir: {dir}, {entry}}}}}")
    };
    world.want_yaml(&yaml("override: replace, environment: {A: a, B: b}, backoff-delay: 5s"));
    world.client.replan().await.unwrap();
    for same in [
        "environment: {B: b, A: a}, backoff-delay: 5s, override: replace",
        "override: replace, environment: {A: a, B: b}, backoff-delay: 5000ms",
        "override: replace, environment: {A: a, B: b}, backoff-delay: 5s, after: []",
        "override: merge",
    ] {
        world.want_yaml(&yaml(same));
        world.client.replan().await.unwrap();
        assert_eq!(world.starts(), ["a"], "{same}");
    }
}

#[tokio::test]
async fn whatever_else_an_entry_says_restarts_the_service() {
    let world = World::new();
    let world = World::replanned(world.service("aaa", RUN), world).await;
    let service = || world.service("aaa", RUN);
    let changed = [
        Service { summary: "the web".into(), ..service() },
        Service { description: "the web".into(), ..service() },
        Service { on_check_failure: [("up".into(), OnEnd::Restart)].into(), ..service() },
        Service { backoff_delay: Some(Duration::from_secs(1)), ..service() },
        Service { backoff_limit: Some(Duration::from_secs(10)), ..service() },
    ];
    for (number, changed) in changed.into_iter().enumerate() {
        world.want(changed.clone()).await;
        world.client.replan().await.unwrap();
        assert_eq!(world.starts().len(), number + 2, "{changed:?}");
    }
}

#[tokio::test]
async fn a_replan_while_another_one_stops_the_process_fails_and_the_first_goes_on() {
    let world = World::new();
    let world = World::replanned(world.service("aaa", STUBBORN), world).await;
    world.want(Service { kill_delay: Some(Duration::from_secs(3)), ..world.service("bbb", RUN) }).await;
    let first = world.begin_replan();
    let error = world.client.replan().await.unwrap_err();
    let Error::Change { message, .. } = &error else { panic!("{error:?}") };
    assert!(message.contains("cannot start service while terminating"), "{message}");
    assert_eq!(world.end_of(&first).await["status"], "Done");
    assert_eq!(world.starts(), ["aaa", "bbb"]);
    world.client.replan().await.unwrap();
    assert_eq!(world.starts(), ["aaa", "bbb"], "the hook that follows has nothing to do");
}

#[tokio::test]
async fn a_replan_with_a_newer_digest_overtakes_one_that_is_starting() {
    let world = World::new();
    let world = World::replanned(world.service("aaa", RUN), world).await;
    // There is one second to do it in. A machine that is busy with other things may need more than one try.
    for number in 1..=20 {
        world.want(world.service(&format!("slow-{number}"), RUN)).await;
        let first = world.begin_replan();
        until("the start", async || world.starts().len() == 2 * number).await;
        world.want(world.service(&format!("fast-{number}"), RUN)).await;
        world.client.replan().await.unwrap();
        assert_eq!(world.starts().len(), 2 * number + 1);
        assert_eq!(world.current().await, Some(Current::Active));
        let overtaken = world.end_of(&first).await;
        if overtaken["status"] == "Error" {
            assert!(overtaken["err"].as_str().unwrap().contains("stopped before the 1s okay delay"), "{overtaken}");
            return;
        }
        assert_eq!(overtaken["status"], "Done", "{overtaken}");
    }
    panic!("none of the replans was overtaken");
}

#[tokio::test]
async fn an_aborted_replan_is_done_with_the_service_down_and_the_next_one_starts_it() {
    let world = World::new();
    let world = World::replanned(world.service("aaa", STUBBORN), world).await;
    world.want(Service { kill_delay: Some(Duration::from_secs(1)), ..world.service("bbb", RUN) }).await;
    let waiting = tokio::spawn({
        let client = world.client.clone();
        async move { client.replan().await }
    });
    until("the wait", async || world.pebble.requests().last().is_some_and(|request| request.contains("/wait"))).await;
    let change = world.pebble.get("/v1/changes?select=in-progress")[0]["id"].as_str().unwrap().to_owned();
    world.post(&format!("/v1/changes/{change}"), &json!({"action": "abort"}));
    waiting.await.unwrap().expect("what Pebble calls done is done to the client");
    assert_eq!(world.current().await, Some(Current::Inactive), "so a charm looks, whatever a change says");
    world.client.replan().await.unwrap();
    assert_eq!(world.current().await, Some(Current::Active));
    assert_eq!(world.starts(), ["aaa", "bbb"]);
}

#[tokio::test]
async fn whatever_keeps_a_service_from_starting_is_told_and_tried_again() {
    let world = World::new();
    let path = |name: &str| world.root.path().join(name);
    std::fs::write(path("plain"), "").unwrap();
    std::fs::write(path("script"), "#!/no/such/interpreter\n").unwrap();
    std::fs::set_permissions(path("script"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let cases = [
        (Service { command: path("plain").display().to_string(), ..world.service("aaa", RUN) }, "permission denied"),
        (Service { command: path("script").display().to_string(), ..world.service("aaa", RUN) }, "no such file"),
        (Service { command: "no-such-program".into(), ..world.service("aaa", RUN) }, "not found in $PATH"),
        (Service { working_dir: Some("/no/such/folder".into()), ..world.service("aaa", RUN) }, "no such file"),
        (Service { user: Some("no-such-user".into()), ..world.service("aaa", RUN) }, "unknown user no-such-user"),
    ];
    for (service, words) in cases {
        world.want(service.clone()).await;
        for _ in 0..2 {
            let error = world.client.replan().await.unwrap_err();
            let Error::Change { message, .. } = &error else { panic!("{error:?}") };
            assert!(message.contains(words), "{service:?}: {message}");
            assert_eq!(world.current().await, Some(Current::Inactive), "{service:?}");
        }
    }
    world.want(world.service("aaa", RUN)).await;
    world.client.replan().await.unwrap();
    assert_eq!(world.current().await, Some(Current::Active));
}

#[tokio::test]
async fn a_crash_loop_is_seen_as_running_by_turns() {
    let world = World::new();
    let quick = Service {
        backoff_delay: Some(Duration::from_millis(20)),
        backoff_factor: Some(1.0),
        ..world.service("aaa", "sleep 0.1; exit 3")
    };
    world.want(quick).await;
    world.client.replan().await.unwrap_err();
    until("a running service", async || world.current().await == Some(Current::Active)).await;
    until("a service in its pause", async || world.current().await == Some(Current::Backoff)).await;
    until("a running service again", async || world.current().await == Some(Current::Active)).await;
}
