//! Pebble that is not there, or goes while it is being asked: always "not ready", never anything worse.

use std::fs;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::thread;
use std::time::Duration;

use charm_core::pebble::{Client, Current, Error};
use charm_tests::pebble::Cut;

use crate::canned::{Canned, Reply};
use crate::world::{RUN, World, client, layer, until};

fn assert_unreachable<T>(result: Result<T, Error>) {
    match result {
        Ok(_) => panic!("somebody answered"),
        Err(error) => assert!(error.is_unreachable(), "{error:?}"),
    }
}

#[tokio::test]
async fn a_socket_that_cannot_be_used_means_not_ready() {
    let root = tempfile::tempdir().unwrap();
    let client = client(root.path());
    assert_unreachable(client.system_info().await);

    let folder = root.path().join("charm/containers/workload");
    fs::create_dir_all(&folder).unwrap();
    assert_unreachable(client.system_info().await);

    let socket = folder.join("pebble.socket");
    drop(UnixListener::bind(&socket).unwrap());
    assert!(socket.exists(), "a dropped listener leaves its file, as a killed Pebble does");
    assert_unreachable(client.system_info().await);

    fs::remove_file(&socket).unwrap();
    fs::write(&socket, "a file").unwrap();
    assert_unreachable(client.system_info().await);
}

#[tokio::test]
async fn the_error_names_the_container_and_the_cause() {
    let client = Client::new("falcosidekick", Path::new("/nonexistent/pebble.socket"), Path::new("/")).unwrap();
    let error = client.plan().await.unwrap_err().to_string();
    assert_eq!(error, "pebble of container falcosidekick does not answer: No such file or directory (os error 2)");
}

#[tokio::test]
async fn an_answer_that_never_begins_means_not_ready() {
    let server = Canned::new(vec![Reply::Close]);
    assert_unreachable(server.client.services(&[]).await);
    assert_eq!(server.requests(), ["GET /v1/services HTTP/1.1"], "no second try behind the caller's back");
}

#[tokio::test]
async fn a_stopped_and_a_killed_pebble_are_not_ready_and_the_same_client_finds_the_next_one() {
    let mut world = World::new();
    world.client.system_info().await.unwrap();
    world.pebble.stop();
    assert_unreachable(world.client.system_info().await);
    world.pebble.start_again();
    world.client.system_info().await.unwrap();
    world.pebble.kill();
    assert_unreachable(world.client.system_info().await);
    world.pebble.start_again();
    world.client.system_info().await.unwrap();
}

#[tokio::test]
async fn a_restart_between_two_requests_is_not_noticed() {
    let mut world = World::new();
    for _ in 0..5 {
        world.client.system_info().await.unwrap();
        world.pebble.restart();
        world.client.plan().await.unwrap();
        world.pebble.restart();
        // A request that must not be made twice has to find the new Pebble at its first try as well.
        world.want(world.service("aaa", RUN)).await;
    }
}

#[tokio::test]
async fn a_restart_takes_layers_with_it_that_the_image_does_not_have() {
    let image = "services: {base: {override: replace, command: sleep 1000, startup: enabled}}";
    let mut world = World::with_layers(&[("image", image)]);
    world.want(world.service("aaa", RUN)).await;
    world.client.replan().await.unwrap();
    world.pebble.restart();
    let plan = world.client.plan().await.unwrap();
    assert_eq!(plan.services.keys().collect::<Vec<_>>(), ["base"]);
    let services = world.client.services(&[]).await.unwrap();
    assert_eq!(services[0].current, Current::Inactive, "held until the charm replans, as Juju starts it");

    world.want(world.service("aaa", RUN)).await;
    world.client.replan().await.unwrap();
    assert_eq!(world.starts(), ["aaa", "aaa"]);
}

#[tokio::test]
async fn pebble_that_ends_while_a_change_is_awaited_is_not_ready() {
    for kill in [true, false] {
        let mut world = World::new();
        // Holds the change up: it ignores the signal to stop.
        world.want(world.service("aaa", "trap \"\" TERM; while :; do sleep 0.05; done")).await;
        world.client.replan().await.unwrap();
        let mut next = world.service("bbb", RUN);
        next.kill_delay = Some(Duration::from_secs(1));
        world.want(next).await;

        let client = world.client.clone();
        let waiting = tokio::spawn(async move { client.replan().await });
        until("the wait", async || world.pebble.requests().last().is_some_and(|request| request.contains("/wait")))
            .await;
        let ending = thread::spawn(move || {
            if kill {
                world.pebble.kill();
            } else {
                world.pebble.stop();
            }
            world
        });
        assert_unreachable(waiting.await.unwrap());
        drop(ending.join().unwrap());
    }
}

#[tokio::test]
async fn a_connection_cut_before_the_request_leaves_pebble_as_it_was() {
    let world = World::new();
    let wanted = layer(world.service("aaa", RUN));
    world.pebble.cut_at_request(2, Cut::Unsent);
    world.client.plan().await.unwrap();
    assert_unreachable(world.client.add_layer("charm", &wanted).await);
    assert!(!wanted.is_in(&world.client.plan().await.unwrap()));
    world.client.add_layer("charm", &wanted).await.unwrap();
}

#[tokio::test]
async fn a_connection_cut_before_the_answer_does_not_undo_what_was_done() {
    let world = World::new();
    let wanted = layer(world.service("aaa", RUN));
    world.pebble.cut_at_request(1, Cut::Unanswered);
    assert_unreachable(world.client.add_layer("charm", &wanted).await);
    assert!(wanted.is_in(&world.client.plan().await.unwrap()));
}

#[tokio::test]
async fn a_pebble_that_goes_at_a_request_stays_gone() {
    let mut world = World::new();
    world.pebble.cut_at_request(2, Cut::Gone);
    world.client.plan().await.unwrap();
    assert_unreachable(world.client.plan().await);
    assert_unreachable(world.client.plan().await);
    assert_eq!(world.pebble.requests(), ["GET /v1/plan?format=yaml"; 2]);
    world.pebble.restart();
    world.client.plan().await.unwrap();
}

#[tokio::test]
async fn a_pebble_that_is_killed_at_a_request_is_another_one_for_the_next() {
    for (cut, is_removed) in [(Cut::Killed, false), (Cut::KilledUnanswered, true)] {
        let world = World::new();
        let wanted = layer(world.service("aaa", RUN));
        world.client.add_layer("charm", &wanted).await.unwrap();
        world.client.replan().await.unwrap();
        let file = world.root.path().join("file");
        fs::write(&file, "").unwrap();
        world.pebble.cut_at_request(1, cut);
        assert_unreachable(world.client.remove("/file", false).await);
        assert_eq!(file.exists(), !is_removed, "{cut:?}");
        assert_eq!(world.pebble.service_processes(), Vec::<u32>::new(), "its services went with it");
        assert!(!wanted.is_in(&world.client.plan().await.unwrap()), "another one knows of no layer");
    }
}

#[tokio::test]
async fn a_pebble_that_is_replaced_before_a_request_is_not_noticed_by_it() {
    let world = World::new();
    let wanted = layer(world.service("aaa", RUN));
    world.client.add_layer("charm", &wanted).await.unwrap();
    world.client.replan().await.unwrap();
    world.pebble.cut_at_request(1, Cut::Replaced);
    assert_eq!(world.client.services(&[]).await.unwrap(), []);
    assert_eq!(world.pebble.service_processes(), Vec::<u32>::new(), "its services went with it");
    world.client.add_layer("charm", &wanted).await.unwrap();
}
