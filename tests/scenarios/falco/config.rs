//! Options, good and bad.

use std::fs;

use charm_tests::falco_host::UNIT;
use charm_tests::juju::{Event, Status};
use charm_tests::machine::Action;

use crate::world::{run, settled};

#[test]
fn a_changed_priority_is_taken_in_by_one_reload() {
    let (host, state) = settled();
    let (process, before) = (host.machine.main_pid(UNIT), host.actions().len());
    let state = run(&host, &Event::config_changed(), &state.config("priority", "critical"));
    assert_eq!(host.actions()[before..], [Action::Reload]);
    assert_eq!(host.machine.main_pid(UNIT), process);
    assert_eq!(state.unit_status.name, "active");
    assert!(host.text("/etc/juju-falco/falco.yaml").contains("\npriority: critical\n"));
}

#[test]
fn a_bad_option_blocks_and_falco_goes_on() {
    let (host, state) = settled();
    let before = (host.files(), host.machine.main_pid(UNIT));
    let blocked = run(&host, &Event::config_changed(), &state.clone().config("priority", "loud"));
    assert_eq!(blocked.unit_status.name, "blocked");
    assert!(blocked.unit_status.message.starts_with("priority: \"loud\" is not one of"), "{}", blocked.unit_status);
    assert_eq!((host.files(), host.machine.main_pid(UNIT)), before);
    let back = run(&host, &Event::config_changed(), &state);
    assert_eq!(back.unit_status.name, "active");
    assert_eq!((host.files(), host.machine.main_pid(UNIT)), before);
}

#[test]
fn while_an_option_is_bad_a_falco_that_is_down_or_damaged_comes_back_with_the_last_good_configuration() {
    let (host, state) = settled();
    let good = host.text("/etc/juju-falco/falco.yaml");
    let blocked = run(&host, &Event::config_changed(), &state.config("priority", "loud"));
    let program = fs::read_dir(host.machine.path("/opt/juju-falco")).unwrap().map(|entry| entry.unwrap().path());
    let program = program.map(|folder| folder.join("usr/bin/falco")).find(|program| program.is_file()).unwrap();
    let files = ["/etc/juju-falco/falco.yaml", "/etc/systemd/system/falco.service"].map(|path| host.machine.path(path));
    for gone in [None, Some(&program), Some(&files[0]), Some(&files[1])] {
        host.machine.run(&["stop", UNIT]);
        if let Some(gone) = gone {
            fs::remove_file(gone).unwrap();
        }
        // The second of these has nothing left to do.
        let state = run(&host, &Event::update_status(), &blocked);
        assert_eq!(state.unit_status, blocked.unit_status, "{gone:?}");
        assert!(host.machine.is_active(UNIT) && host.has_loaded("falco_rules.yaml"), "{gone:?}");
        assert_eq!(host.text("/etc/juju-falco/falco.yaml"), good, "{gone:?}");
    }
}

#[test]
fn another_metrics_port_is_taken_in_and_one_that_is_taken_blocks_first() {
    let (host, state) = settled();
    let (free, taken) = (charm_tests::ports::free_port(), std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    let taken = taken.local_addr().map(|address| (address.port(), taken)).unwrap();
    let before = host.actions().len();
    let blocked = run(&host, &Event::config_changed(), &state.clone().config("metrics-port", taken.0));
    assert_eq!(
        blocked.unit_status,
        Status::blocked(format!(
            "metrics-port: port {} of this machine is taken by another program; stop that program or choose another port",
            taken.0
        ))
    );
    assert_eq!(host.actions().len(), before);
    let state = run(&host, &Event::config_changed(), &state.config("metrics-port", free));
    assert_eq!(state.unit_status.name, "active", "{}", state.unit_status);
}
