//! Ends of relations, units and applications.

use charm_tests::falco_host::{FalcoHost, UNIT, eventually};
use charm_tests::model::Application;

use crate::world::{FALCO, SIDEKICK, World};

#[test]
fn without_falcosidekick_falco_goes_on_with_the_system_log_alone() {
    let mut world = World::settled();
    let process = world.host().machine.main_pid(UNIT);
    let hooks = world.model.records().len();
    world.model.remove_application("falcosidekick-k8s").unwrap();
    world.model.settle().unwrap();
    assert_eq!(
        world.hooks_of(SIDEKICK, hooks),
        [
            "send-loki-logs-relation-departed",
            "send-loki-logs-relation-broken",
            "http-endpoint-relation-departed",
            "http-endpoint-relation-broken",
            "stop",
            "remove"
        ]
    );
    assert_eq!(world.hooks_of(FALCO, hooks), ["http-endpoint-relation-departed", "http-endpoint-relation-broken"]);
    let yaml = world.host().text("/etc/juju-falco/falco.yaml");
    assert!(
        yaml.contains("http_output:\n  enabled: false\n") && yaml.contains("syslog_output:\n  enabled: true\n"),
        "{yaml}"
    );
    let status = world.model.status(FALCO);
    assert!(status.name == "active" && status.message.contains("relate http-endpoint"), "{status}");
    assert_eq!(world.host().machine.main_pid(UNIT), process);

    world.model.deploy(Application::falcosidekick("other").unwrap().config("allow-plain-http", true)).unwrap();
    world.model.integrate("other:send-loki-logs", "loki").unwrap();
    world.model.integrate("falco:http-endpoint", "other").unwrap();
    world.model.settle().unwrap();
    world.assert_active();
    world.alert();
}

#[test]
fn falco_without_its_principal_is_removed_with_all_its_relations() {
    let mut world = World::settled();
    let hooks = world.model.records().len();
    world.model.remove_relation("falco", "ubuntu").unwrap();
    world.model.settle().unwrap();
    let falco = world.hooks_of(FALCO, hooks);
    assert_eq!(falco[falco.len() - 2..], ["stop", "remove"]);
    assert!(falco.contains(&"http-endpoint-relation-broken".to_owned()), "{falco:?}");
    assert_eq!(world.hooks_of(SIDEKICK, hooks), ["http-endpoint-relation-departed"], "the relation itself stays");
    assert!(!world.host().machine.is_active(UNIT));
}

#[test]
fn the_removal_of_everything_leaves_the_machine_as_it_was() {
    let fresh: Vec<_> = {
        let host = FalcoHost::new();
        let root = host.machine.root().to_owned();
        host.files().into_keys().map(|path| path.strip_prefix(&root).unwrap().to_owned()).collect()
    };
    let mut world = World::settled();
    world.alert();
    let pod = world.pod(SIDEKICK).root().to_owned();
    let processes = world.pod(SIDEKICK).pebble.service_processes();
    for app in ["falco", "falcosidekick-k8s", "loki", "ubuntu"] {
        world.model.remove_application(app).unwrap();
    }
    world.model.settle().unwrap();
    assert_eq!(world.model.list(), []);

    let host = world.host();
    let root = host.machine.root().to_owned();
    let left: Vec<_> = host.files().into_keys().map(|path| path.strip_prefix(&root).unwrap().to_owned()).collect();
    assert_eq!(left, fresh);
    assert_eq!(host.machine.main_pid(UNIT), None);
    assert!(!pod.exists());
    for process in processes {
        eventually("the end of Falcosidekick", || {
            (!std::path::Path::new(&format!("/proc/{process}")).exists()).then_some(())
        });
    }
}
