//! Nothing is restarted without a reason that lies in the running process.

use std::fs;

use charm_tests::falco_host::{UNIT, eventually};
use charm_tests::juju::{Event, Status};
use charm_tests::machine::Action;
use charm_tests::sink::Sink;
use nix::sys::signal::Signal;

use crate::world::{run, settled, settled_from};

#[test]
fn a_hundred_hooks_without_a_change_touch_neither_file_nor_process() {
    let sink = Sink::start();
    let (host, state) = settled_from(|host| host.related(&sink.url()));
    let before = (host.files(), host.actions(), host.machine.main_pid(UNIT));
    for number in 0..100 {
        let event = if number % 2 == 0 { Event::config_changed() } else { Event::update_status() };
        let outcome = host.run(&event, &state);
        assert_eq!(outcome.state, state, "{}", outcome.report());
        assert!(outcome.hook_commands() <= 8, "{}", outcome.report());
    }
    assert_eq!((host.files(), host.actions(), host.machine.main_pid(UNIT)), before);
}

#[test]
fn a_process_that_was_started_with_something_else_is_restarted_although_the_files_are_right() {
    let (host, state) = settled();
    let unit = host.text("/etc/systemd/system/falco.service");
    let other = unit.replace("CHARM_CONFIG_DIGEST=", "CHARM_CONFIG_DIGEST=0");
    host.machine.write("/etc/systemd/system/falco.service", other, 0o644).unwrap();
    host.machine.run(&["daemon-reload"]);
    host.machine.run(&["restart", UNIT]);
    host.machine.write("/etc/systemd/system/falco.service", unit, 0o644).unwrap();
    let before = host.actions().len();
    run(&host, &Event::update_status(), &state);
    assert_eq!(host.actions()[before..], [Action::Restart], "the files were right already, the process was not");
}

#[test]
fn a_configuration_that_somebody_changed_by_hand_is_put_right_by_a_reload() {
    let (host, state) = settled();
    let path = host.machine.path("/etc/juju-falco/falco.yaml");
    let text = fs::read_to_string(&path).unwrap();
    let served = host.metrics();
    assert!(served.contains("sha256_config"), "{served}");
    fs::write(&path, text.replace("priority: debug", "priority: error")).unwrap();
    let digest =
        |metrics: &str| metrics.lines().find(|line| line.contains("sha256_config_files_info{")).map(str::to_owned);
    eventually("the reload by Falco itself", || {
        let now = digest(&host.metrics())?;
        (Some(now) != digest(&served)).then_some(())
    });
    let before = host.actions().len();
    let state = run(&host, &Event::update_status(), &state);
    assert_eq!(host.actions()[before..], [Action::Reload]);
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
    assert_eq!(state.unit_status.name, "active");
}

#[test]
fn a_falco_that_dies_at_once_is_told_in_its_own_words() {
    let (host, state) = settled();
    host.machine.run(&["stop", UNIT]);
    // A folder that is not there any more is nothing that a dry run of an unchanged configuration would find.
    let rules = host.machine.path("/opt/juju-falco");
    let folder = fs::read_dir(&rules).unwrap().map(|entry| entry.unwrap().path()).find(|path| path.is_dir()).unwrap();
    let program = folder.join("usr/bin/falco");
    let good = fs::read(&program).unwrap();
    fs::write(&program, "#!/bin/sh\necho 'Error: cannot open the engine' >&2\nexit 1\n").unwrap();
    let blocked = host.run(&Event::update_status(), &state).state;
    assert_eq!(blocked.unit_status, Status::blocked("falco.service does not stay up: cannot open the engine"));
    fs::write(&program, good).unwrap();
    let state = run(&host, &Event::update_status(), &blocked);
    assert_eq!(state.unit_status.name, "active", "{}", state.unit_status);
}

#[test]
fn a_falco_killed_by_the_kernel_is_up_again_after_the_next_hook() {
    let (host, state) = settled();
    host.machine.kill(UNIT, Signal::SIGKILL);
    let state = run(&host, &Event::update_status(), &state);
    assert_eq!(state.unit_status.name, "active", "{}", state.unit_status);
    assert!(host.machine.is_active(UNIT));
}

#[test]
fn a_falco_that_somebody_disabled_is_enabled_and_nothing_else_is_done_to_it() {
    let (host, state) = settled();
    host.machine.run(&["disable", UNIT]);
    let before = host.actions().len();
    let state = run(&host, &Event::update_status(), &state);
    assert_eq!(host.actions()[before..], [Action::Enable]);
    // What else is to be done is done in the same hook.
    host.machine.run(&["disable", UNIT]);
    let before = host.actions().len();
    run(&host, &Event::config_changed(), &state.config("memory-limit", "1G"));
    assert_eq!(host.actions()[before..], [Action::Enable, Action::Restart]);
}
