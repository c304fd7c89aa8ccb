//! From nothing to an alert in Loki.

use charm_tests::juju::Status;
use charm_tests::model::{Application, Model};

use crate::world::{FALCO, SIDEKICK, World, by_seed, juju_labels};

#[test]
fn an_alert_travels_from_a_machine_through_both_charms_to_loki() {
    let world = World::settled();
    let entry = world.alert();
    let labels = juju_labels(&entry);
    assert_eq!(labels["juju_unit"], "falco/0");
    assert_eq!(labels["juju_application"], "falco");
    assert_eq!(labels["juju_model"], "machines");
    assert!(entry.line.contains("Read sensitive file untrusted"), "{}", entry.line);
}

#[test]
fn first_hooks_come_in_the_order_of_juju() {
    let world = World::settled();
    let falco = world.hooks_of(FALCO, 0);
    let first = [
        "install",
        "general-info-relation-created",
        "http-endpoint-relation-created",
        "leader-elected",
        "config-changed",
        "start",
    ];
    assert_eq!(falco[..first.len()], first);
    let sidekick = world.hooks_of(SIDEKICK, 0);
    let first = [
        "install",
        "send-loki-logs-relation-created",
        "http-endpoint-relation-created",
        "leader-elected",
        "config-changed",
        "start",
        "falcosidekick-pebble-ready",
    ];
    assert_eq!(sidekick[..first.len()], first);
    let joined = falco.iter().position(|hook| hook == "http-endpoint-relation-joined").unwrap();
    assert_eq!(falco[joined + 1], "http-endpoint-relation-changed");
}

#[test]
fn each_side_knows_the_other_model() {
    let world = World::settled();
    let (falco, sidekick) = (world.model.state(FALCO), world.model.state(SIDEKICK));
    let (here, there) = (falco.relation_of("http-endpoint"), sidekick.relation_of("http-endpoint"));
    assert_eq!(here.remote_model_uuid.as_ref(), Some(&sidekick.model.uuid));
    assert_eq!(there.remote_model_uuid.as_ref(), Some(&falco.model.uuid));
    assert_eq!(here.remote_app, "falcosidekick-k8s");
    assert!(there.remote_app.starts_with("remote-"), "{}", there.remote_app);
    assert_eq!(here.remote_app_data, there.local_app_data);
}

/// Whoever comes first, and whatever is related when: the end is the same.
#[test]
fn the_order_of_hooks_does_not_matter() {
    for seed in 0..4 {
        let mut world = World::with(Model::new().choose_by(by_seed(seed)));
        world.deploy();
        if seed % 2 == 0 {
            world.model.settle().unwrap();
        }
        world.relate();
        world.model.settle().unwrap();
        world.assert_active();
        assert_eq!(juju_labels(&world.alert())["juju_unit"], "falco/0", "seed {seed}");
    }
}

#[test]
fn pebble_may_be_ready_before_the_first_config_changed() {
    let mut world = World::new();
    world.model.deploy(Application::principal("ubuntu")).unwrap();
    world.model.deploy(Application::falco("falco").unwrap()).unwrap();
    world.model.deploy(crate::world::sidekick().early_pebble_ready()).unwrap();
    world.model.deploy(Application::loki("loki", &world.loki.url())).unwrap();
    world.relate();
    world.model.settle().unwrap();
    world.assert_active();
    let hooks = world.hooks_of(SIDEKICK, 0);
    let position = |name: &str| hooks.iter().position(|hook| hook == name);
    assert!(position("falcosidekick-pebble-ready") < position("config-changed"), "{hooks:?}");
    world.alert();
}

#[test]
fn each_step_of_a_slow_operator_is_told_in_the_status() {
    let mut world = World::new();
    world.deploy();
    world.model.settle().unwrap();
    assert_eq!(world.model.list().len(), 3, "a subordinate has no unit yet");
    let status = world.model.status(SIDEKICK);
    assert!(status.name == "blocked" && status.message.contains("send-loki-logs: add a relation"), "{status}");

    world.model.integrate("falco", "ubuntu").unwrap();
    world.model.integrate("falco:http-endpoint", "falcosidekick-k8s").unwrap();
    world.model.settle().unwrap();
    let status = world.model.status(FALCO);
    assert!(status.name == "waiting" && status.message.contains("http-endpoint"), "{status}");
    assert_eq!(world.url(), None);

    world.model.integrate("falcosidekick-k8s:send-loki-logs", "loki").unwrap();
    world.model.settle().unwrap();
    world.assert_active();
    world.alert();
}

#[test]
fn a_model_that_does_not_become_quiet_fails_with_its_hooks() {
    let mut world = World::with(Model::new().most_hooks(3));
    world.deploy();
    let error = world.model.settle().unwrap_err().to_string();
    assert!(error.starts_with("still not quiet after 3 hooks:\nfalcosidekick-k8s/0 install: "), "{error}");
}

#[test]
fn a_unit_whose_hook_failed_stops_alone_until_it_is_told_to_go_on() {
    let mut world = World::with(Model::new().failures_allowed());
    world.deploy();
    world.relate();
    // A disk on which nothing can be put where it belongs: nothing that a charm could tell apart from a bug.
    let place = world.host().machine.path("/etc/juju-falco");
    std::fs::write(&place, "in the way").unwrap();
    world.model.settle().unwrap();
    assert_eq!(world.hooks_of(FALCO, 0), ["install"]);
    assert_eq!(*world.model.status(SIDEKICK), Status::active(""));

    std::fs::remove_file(place).unwrap();
    world.model.retry(FALCO).unwrap();
    world.model.settle().unwrap();
    world.assert_active();
    world.alert();
}
