//! Another Falco on the machine is left alone.

use charm_tests::falco_host::{FalcoHost, UNIT};
use charm_tests::juju::Event;
use charm_tests::machine::Machine;

use crate::world::{run, run_once};

#[test]
fn a_falco_package_blocks_and_is_neither_stopped_nor_changed_nor_removed() {
    for prepare in [Machine::with_falco_package, Machine::with_foreign_unit] {
        let host = FalcoHost::on(prepare(Machine::new().unwrap()).unwrap(), |context| context);
        let (files, actions, process) = (host.files(), host.actions(), host.machine.main_pid(UNIT));
        let state = run(&host, &Event::install(), &host.fresh());
        assert_eq!(state.unit_status.name, "blocked");
        assert!(state.unit_status.message.starts_with("another Falco is installed"), "{}", state.unit_status);
        run_once(&host, &Event::stop(), &state);
        run_once(&host, &Event::remove(), &state);
        assert_eq!(host.files(), files);
        assert_eq!(host.machine.main_pid(UNIT), process);
        // Asking changes nothing, and nothing else was done.
        assert_eq!(host.actions(), actions);
    }
}

#[test]
fn a_second_application_on_the_machine_is_blocked_and_the_first_is_untouched() {
    let host = FalcoHost::new();
    let state = run(&host, &Event::install(), &host.fresh());
    assert_eq!(state.unit_status.name, "active");
    let before = (host.files(), host.actions(), host.machine.main_pid(UNIT));
    let second = host.second_unit("other");
    let blocked = second.run(&Event::install(), &host.fresh()).expect_success().state;
    assert_eq!(blocked.unit_status.name, "blocked");
    assert!(blocked.unit_status.message.contains("run by the unit falco/0"), "{}", blocked.unit_status);
    second.run(&Event::remove(), &blocked).expect_success();
    assert_eq!((host.files(), host.actions(), host.machine.main_pid(UNIT)), before);
}

#[test]
fn a_port_that_another_program_has_blocks_before_falco_is_started() {
    let host = FalcoHost::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let state = run(&host, &Event::install(), &host.fresh().config("metrics-port", port));
    assert!(state.unit_status.message.starts_with("metrics-port: "), "{}", state.unit_status);
    assert!(host.actions().is_empty());
    drop(listener);
    let state = run(&host, &Event::update_status(), &state);
    assert_eq!(state.unit_status.name, "active", "{}", state.unit_status);
}
