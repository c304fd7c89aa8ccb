//! Where Falco comes from: the charm itself, or a resource that anybody who may attach one could have made.

use std::collections::BTreeMap;
use std::fs;

use charm_tests::crash::World as _;
use charm_tests::falco_distribution::{Flaw, Options, real_tarball, tarball};
use charm_tests::falco_host::{FalcoHost, UNIT};
use charm_tests::juju::{Event, State, Verdict};
use charm_tests::machine::Action;

use crate::world::{run, run_once, settled, settled_from};

/// A tarball of its own folder, so that two of one name do not replace each other.
fn made(host: &FalcoHost, name: &str, options: &Options) -> std::path::PathBuf {
    let folder = host.folder().join(name);
    fs::create_dir(&folder).unwrap();
    tarball(&folder, options)
}

fn distributions(host: &FalcoHost) -> Vec<String> {
    let entries = fs::read_dir(host.machine.path("/opt/juju-falco")).unwrap();
    let folders = entries.map(|entry| entry.unwrap()).filter(|entry| entry.file_type().unwrap().is_dir());
    folders.map(|entry| entry.file_name().into_string().unwrap()).collect()
}

#[test]
fn without_a_distribution_the_unit_is_blocked_with_the_command_that_attaches_one() {
    let host = FalcoHost::new();
    let fresh = host.fresh();
    let none = State { resources: BTreeMap::new(), ..fresh.clone() };
    let state = run(&host, &Event::install(), &none);
    assert_eq!(state.unit_status.name, "blocked");
    assert!(state.unit_status.message.contains("juju attach-resource falco falco="), "{}", state.unit_status);
    assert!(host.actions().is_empty());

    let empty = host.folder().join("empty.tar.gz");
    fs::write(&empty, "").unwrap();
    let state = run(&host, &Event::upgrade_charm(), &state.resource("falco", &empty));
    assert_eq!(state.unit_status.name, "blocked", "an empty resource stands for none");

    let state = run(&host, &Event::upgrade_charm(), &state.resource("falco", &host.tarball));
    assert_eq!(state.unit_status.name, "active", "{}", state.unit_status);
}

#[test]
fn a_flawed_tarball_is_refused_whole_and_nothing_is_written_anywhere() {
    for flaw in Flaw::ALL {
        let host = FalcoHost::new();
        let before = host.files();
        let flawed = made(&host, "flawed", &Options { flaw: Some(flaw), ..Options::default() });
        let state = run(&host, &Event::install(), &host.fresh().resource("falco", flawed));
        assert_eq!(state.unit_status.name, "blocked", "{flaw:?}: {}", state.unit_status);
        assert!(state.unit_status.message.starts_with("resource falco: "), "{flaw:?}: {}", state.unit_status);
        assert_eq!(host.files(), before, "{flaw:?}");
    }
}

#[test]
fn a_distribution_for_another_architecture_is_refused_by_name_on_both_that_the_charm_is_for() {
    let here = std::env::consts::ARCH;
    for architecture in ["x86_64", "aarch64"] {
        let host = FalcoHost::new();
        let made = made(&host, "made", &Options { architecture: architecture.into(), ..Options::default() });
        let state = run(&host, &Event::install(), &host.fresh().resource("falco", made));
        if architecture == here {
            assert_eq!(state.unit_status.name, "active", "{}", state.unit_status);
            continue;
        }
        let text = format!("resource falco: built for {architecture}, this machine is {here}; attach a good one");
        assert!(state.unit_status.name == "blocked", "{}", state.unit_status);
        assert!(state.unit_status.message.starts_with(&text), "{}", state.unit_status);
        assert!(host.actions().is_empty() && !host.machine.path("/opt/juju-falco").exists());
    }
}

#[test]
fn a_flawed_tarball_blocks_in_every_hook_and_falco_goes_on() {
    let attached = tempfile::NamedTempFile::new().unwrap().into_temp_path();
    let (host, state) = settled_from(|host| {
        fs::copy(&host.tarball, &attached).unwrap();
        host.fresh().resource("falco", &attached)
    });
    let process = host.machine.main_pid(UNIT);
    let flawed = made(&host, "flawed", &Options { flaw: Some(Flaw::SymbolicLinkOut), ..Options::default() });
    // Juju puts a new file of a resource where the old one was.
    fs::copy(flawed, &attached).unwrap();
    for event in [Event::upgrade_charm(), Event::update_status()] {
        let state = run(&host, &event, &state);
        assert_eq!(state.unit_status.name, "blocked");
        assert!(state.unit_status.message.contains("out of the archive's folder"), "{}", state.unit_status);
    }
    assert_eq!(host.machine.main_pid(UNIT), process);
}

#[test]
fn another_version_is_restarted_into_once_and_the_old_one_goes_when_the_new_one_runs() {
    let (host, state) = settled();
    let old = distributions(&host);
    let before = host.actions().len();
    let newer = made(&host, "newer", &Options { version: "0.45.0".into(), ..Options::default() });
    let state = run(&host, &Event::upgrade_charm(), &state.resource("falco", newer));
    assert_eq!(state.unit_status.name, "active", "{}", state.unit_status);
    assert_eq!(host.actions()[before..], [Action::Restart]);
    assert_eq!(state.workload_version, "0.45.0");
    let new = distributions(&host);
    assert_eq!((old.len(), new.len()), (1, 1));
    assert_ne!(old, new);
}

#[test]
fn a_resource_that_cannot_be_delivered_again_is_no_reason_to_replace_what_came_from_it() {
    let (host, state) = settled();
    fs::copy(&host.tarball, host.context.charm_dir().join("falco.tar.gz")).unwrap();
    let before = (host.actions(), distributions(&host));
    let undelivered = State { resources: BTreeMap::new(), ..state };
    let state = run(&host, &Event::upgrade_charm(), &undelivered);
    assert_eq!(state.unit_status.name, "active", "{}", state.unit_status);
    assert_eq!((host.actions(), distributions(&host)), before);
}

#[test]
fn a_distribution_without_the_container_plugin_is_blocked_in_falcos_own_words() {
    if real_tarball().is_some() {
        return; // The official tarball always has it, and this tarball is around the stand-in.
    }
    let host = FalcoHost::new();
    let bare = made(&host, "bare", &Options { container_plugin: false, ..Options::default() });
    let state = run(&host, &Event::install(), &host.fresh().resource("falco", bare));
    assert_eq!(state.unit_status.name, "blocked");
    let text = &state.unit_status.message;
    assert!(text.contains("a plugin that Falco does not load: container"), "{text}");
    assert!(!host.machine.path("/etc/systemd/system/falco.service").exists());
}

#[test]
fn the_distribution_packed_with_the_charm_has_to_be_the_pinned_one() {
    let host = FalcoHost::on(charm_tests::machine::Machine::new().unwrap(), |context| context);
    let state = State { resources: BTreeMap::new(), ..host.fresh() };
    // The first hook unpacks the charm.
    run_once(&host, &Event::install(), &state);
    fs::copy(&host.tarball, host.context.charm_dir().join("falco.tar.gz")).unwrap();
    let state = run(&host, &Event::install(), &state);
    if real_tarball().is_some() {
        assert_eq!(state.unit_status.name, "active", "{}", state.unit_status);
    } else {
        assert!(state.unit_status.message.contains("is not the pinned one"), "{}", state.unit_status);
    }
}

#[test]
fn a_distribution_of_which_something_is_gone_is_unpacked_again_and_the_process_goes_on() {
    for gone in ["usr/bin/falco", "etc/falco/falco_rules.yaml", "usr/share/falco/plugins/libcontainer.so"] {
        let (host, state) = settled();
        let process = host.machine.main_pid(UNIT);
        let place = host.machine.path("/opt/juju-falco").join(&distributions(&host)[0]).join(gone);
        fs::remove_file(&place).unwrap();
        let state = run_once(&host, &Event::update_status(), &state).state;
        assert_eq!(state.unit_status.name, "active", "{gone}: {}", state.unit_status);
        assert!(place.exists(), "{gone}");
        run(&host, &Event::update_status(), &state);
        assert_eq!(host.machine.main_pid(UNIT), process, "{gone}");
    }
}

#[test]
fn a_new_version_that_does_not_stay_up_gives_way_to_the_old_one_which_is_kept_until_the_new_one_runs() {
    if real_tarball().is_some() {
        return; // There is one official tarball at hand, and it would be the one before and after.
    }
    let (host, state) = settled();
    let old = distributions(&host);
    let newer = made(&host, "newer", &Options { version: "0.45.0".into(), ..Options::default() });
    let state = state.resource("falco", newer);
    let folder = host.machine.path("/opt/juju-falco");
    let was_there = host.machine.path(&format!("/opt/juju-falco/{}/usr/bin/falco", old[0]));
    // It takes its configuration, and then does not live with it: as with a probe that this kernel does not load.
    let context = host.context().gate(move |moment| {
        let words = moment.invocation.words();
        if words.first() == Some(&"daemon-reload") && !moment.done {
            assert!(was_there.exists(), "the old one is needed until the new one runs");
            for entry in fs::read_dir(&folder).unwrap().map(Result::unwrap) {
                if entry.file_name().to_string_lossy().starts_with("0.45.0-") {
                    fs::write(entry.path().join("usr/bin/falco"), "#!/bin/sh\necho 'Error: no probe' >&2\nexit 1\n")
                        .unwrap();
                }
            }
        }
        Verdict::Go
    });
    let before = host.actions().len();
    let outcome = context.run(&Event::upgrade_charm(), &state).expect_success();
    let state = outcome.state.clone();
    assert_eq!(state.unit_status.name, "blocked", "{}", outcome.report());
    assert!(state.unit_status.message.contains("no probe"), "{}", state.unit_status);
    assert!(host.machine.is_active(UNIT) && host.has_loaded("falco_rules.yaml"), "{}", outcome.report());
    let restarts = host.actions()[before..].iter().filter(|action| **action == Action::Restart).count();
    assert_eq!(restarts, 2, "there and back: {}", outcome.report());
    assert!(distributions(&host).contains(&old[0]));
    assert!(host.text("/etc/systemd/system/falco.service").contains(&old[0]));
    assert_eq!(state.workload_version, "0.44.1");
    let state = run(&host, &Event::update_status(), &state);
    assert_eq!(state.unit_status.name, "blocked", "{}", state.unit_status);
    assert!(distributions(&host).contains(&old[0]));
}
