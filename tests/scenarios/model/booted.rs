//! The same on a machine with the real systemd.

use charm_tests::falco_host::{SENSITIVE, eventually};
use charm_tests::model::{BootedHost, Model, Place};

use crate::world::{FALCO, World, juju_labels};

fn host(world: &World) -> &BootedHost {
    let Place::Booted(host) = world.model.place(FALCO) else { panic!("Falco runs on a booted host") };
    host
}

/// The number of Falco's process, as its machine counts.
fn process(world: &World) -> String {
    host(world).succeed("systemctl", &["show", "--value", "-p", "MainPID", "falco"]).unwrap()
}

/// Whatever of the charm can be on the machine. `/run` has the charm's own folder and the link that leads the charm to
/// the host.
fn traces(host: &BootedHost) -> String {
    let arguments =
        ["-c", "ls -A /etc/systemd/system /etc/juju-falco /opt /var/lib/falco /root; systemctl is-active falco; true"];
    host.succeed("sh", &arguments).unwrap()
}

#[test]
#[ignore = "needs root: make test-machine"]
fn a_machine_with_the_real_systemd_sends_alerts_and_is_left_as_it_was() {
    let booted = BootedHost::new().unwrap();
    let fresh = traces(&booted);
    let mut world = World::with(Model::new().every_hook_twice());
    world.model.add_machine(booted);
    world.deploy();
    world.relate();
    world.model.settle().unwrap();
    world.assert_active();

    host(&world).succeed("cat", &[SENSITIVE]).unwrap();
    let entry = eventually("the alert", || world.loki.entries().into_iter().next());
    assert_eq!(juju_labels(&entry)["juju_unit"], FALCO);

    let before = process(&world);
    assert_ne!(before.trim(), "0");
    world.model.refresh("falco").unwrap();
    world.model.refresh("falcosidekick-k8s").unwrap();
    world.model.settle().unwrap();
    world.assert_active();
    assert_eq!(process(&world), before);

    for app in ["falco", "falcosidekick-k8s", "loki", "ubuntu"] {
        world.model.remove_application(app).unwrap();
    }
    world.model.settle().unwrap();
    assert_eq!(traces(host(&world)), fresh);
}
