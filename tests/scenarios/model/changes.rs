//! What operators and clusters do to a deployment that works.

use charm_tests::falco_host::UNIT;
use charm_tests::juju::Status;
use charm_tests::machine::Action;
use charm_tests::ports::free_port;

use crate::world::{FALCO, SIDEKICK, World};

const SECOND: &str = "falcosidekick-k8s/1";

#[test]
fn minutes_pass_and_nothing_happens() {
    let mut world = World::settled();
    let (url, actions, processes) =
        (world.url(), world.host().actions(), world.pod(SIDEKICK).pebble.service_processes());
    let hooks = world.model.records().len();
    for _ in 0..3 {
        world.model.update_status().unwrap();
        world.model.settle().unwrap();
    }
    assert_eq!(world.model.records().len() - hooks, 6, "no hook but those of the clock");
    assert_eq!((world.url(), world.host().actions()), (url, actions));
    assert_eq!(world.pod(SIDEKICK).pebble.service_processes(), processes);
}

#[test]
fn loki_may_go_and_come_back() {
    let mut world = World::settled();
    world.model.remove_relation("falcosidekick-k8s", "loki").unwrap();
    world.model.settle().unwrap();
    assert_eq!(world.model.status(SIDEKICK).name, "blocked");
    assert_eq!(world.url(), None, "nobody would take an alert");
    assert_eq!(world.model.status(FALCO).name, "waiting");

    world.model.integrate("falcosidekick-k8s:send-loki-logs", "loki").unwrap();
    world.model.settle().unwrap();
    world.assert_active();
    world.alert();
}

#[test]
fn loki_may_move() {
    let mut world = World::settled();
    let other = charm_tests::loki::LokiReceiver::start();
    let endpoint = serde_json::json!({"url": other.url()}).to_string();
    world.model.publish("loki", "logging", "endpoint", &endpoint).unwrap();
    world.model.settle().unwrap();
    world.assert_active();
    world.host().read_sensitive_file();
    charm_tests::falco_host::eventually("the alert at the other Loki", || other.entries().into_iter().next());
    assert!(world.loki.entries().is_empty());
}

#[test]
fn another_port_reaches_falco_by_a_reload() {
    let mut world = World::settled();
    let process = world.host().machine.main_pid(UNIT);
    let port = free_port();
    world.model.config("falcosidekick-k8s", "port", port).unwrap();
    world.model.settle().unwrap();
    world.assert_active();
    assert_eq!(world.url(), Some(format!("\"http://127.0.0.1:{port}/\"")));
    assert_eq!(world.host().machine.main_pid(UNIT), process);
    world.alert();
}

#[test]
fn a_refresh_of_both_loses_no_url_and_restarts_no_falco() {
    let mut world = World::settled();
    let (url, process, actions) = (world.url(), world.host().machine.main_pid(UNIT), world.host().actions());
    world.urls.borrow_mut().clear();
    let hooks = world.model.records().len();
    world.model.refresh("falco").unwrap();
    world.model.refresh("falcosidekick-k8s").unwrap();
    world.model.settle().unwrap();
    world.assert_active();

    assert_eq!(world.hooks_of(FALCO, hooks), ["upgrade-charm", "config-changed"]);
    assert_eq!(
        world.hooks_of(SIDEKICK, hooks),
        ["stop", "upgrade-charm", "config-changed", "start", "falcosidekick-pebble-ready"]
    );
    assert!(world.urls.borrow().iter().all(|shown| *shown == url), "{:?}", world.urls);
    assert_eq!(world.url(), url);
    assert_eq!((world.host().machine.main_pid(UNIT), world.host().actions()), (process, actions));
    world.alert();
}

/// Both pods would listen on the same port of this machine, so the container of one is up at a time: first that of the
/// second unit is still to come, then that of the first is lost.
#[test]
fn a_leader_in_another_pod_keeps_the_url_and_takes_over_the_alerts() {
    let mut world = World::settled();
    let url = world.url();
    world.urls.borrow_mut().clear();
    assert_eq!(world.model.add_unit("falcosidekick-k8s").unwrap(), SECOND);
    world.model.stop_container(SECOND).unwrap();
    world.model.settle().unwrap();
    assert_eq!(world.model.status(SECOND).name, "waiting");
    assert!(!world.hooks_of(SECOND, 0).contains(&"leader-elected".to_owned()));

    world.model.lead(SECOND).unwrap();
    world.model.settle().unwrap();
    assert_eq!(world.url(), url, "a leader that cannot know better leaves what is there");

    world.model.stop_container(SIDEKICK).unwrap();
    world.model.start_container(SECOND).unwrap();
    world.model.update_status().unwrap();
    world.model.settle().unwrap();
    assert_eq!(*world.model.status(SECOND), Status::active(""));
    assert_eq!(world.model.status(SIDEKICK).name, "waiting");
    assert!(world.urls.borrow().iter().all(|shown| *shown == url), "{:?}", world.urls);
    world.alert();

    let process = world.host().machine.main_pid(UNIT);
    world.model.remove_unit(SIDEKICK).unwrap();
    world.model.settle().unwrap();
    world.assert_active();
    assert_eq!(world.url(), url);
    assert_eq!(world.host().machine.main_pid(UNIT), process);
    assert_eq!(world.host().count(Action::Restart), 0);
    world.alert();
}

#[test]
fn the_leader_goes_and_the_other_unit_is_elected() {
    let mut world = World::settled();
    world.model.add_unit("falcosidekick-k8s").unwrap();
    world.model.stop_container(SECOND).unwrap();
    world.model.settle().unwrap();
    world.model.remove_unit(SIDEKICK).unwrap();
    world.model.settle().unwrap();
    world.model.start_container(SECOND).unwrap();
    world.model.settle().unwrap();
    world.assert_active();
    let hooks = world.hooks_of(SECOND, 0);
    assert!(hooks.contains(&"leader-elected".to_owned()), "{hooks:?}");
    world.alert();
}
