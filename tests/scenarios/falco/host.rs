//! Another Falco on the machine is left alone.

use std::fs;

use charm_tests::falco_host::{FalcoHost, HTTP_ENDPOINT, UNIT, sidekick};
use charm_tests::juju::{Context, Event, State};
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

/// Everything about the first unit that a second one could touch.
fn of_first(host: &FalcoHost) -> impl PartialEq + std::fmt::Debug + use<> {
    let folders = ["/var/lib/juju-falco", "/etc/juju-falco", "/opt/juju-falco"];
    let exists = folders.map(|folder| host.machine.path(folder).exists());
    (host.files(), host.actions(), host.machine.main_pid(UNIT), exists)
}

/// A first unit that runs, and a second one, of another application, that is blocked by it.
fn two() -> (FalcoHost, State, Context, State) {
    let host = FalcoHost::new();
    let first = run(&host, &Event::install(), &host.fresh().config("rules", RULES));
    assert_eq!(first.unit_status.name, "active", "{}", first.unit_status);
    let before = of_first(&host);
    let context = host.second_unit("other");
    let mut second = host.fresh().config("rules", RULES.replace("Mine", "Other"));
    for event in [Event::install(), Event::leader_elected(), Event::config_changed(), Event::start()] {
        second = context.run(&event, &second).expect_success().state;
        assert_eq!(second.unit_status.name, "blocked");
        assert!(second.unit_status.message.contains("run by the unit falco/0"), "{}", second.unit_status);
    }
    assert_eq!(of_first(&host), before);
    (host, first, context, second)
}

const RULES: &str =
    "- rule: Mine\n  desc: d\n  condition: evt.type = open and proc.name = nobody\n  output: o\n  priority: WARNING\n";

#[test]
fn a_second_application_on_the_machine_is_blocked_and_the_first_is_untouched_by_all_that_it_does() {
    let (host, first, context, second) = two();
    let before = of_first(&host);
    let related = second.clone().relation(sidekick().remote_app("url", "\"http://127.0.0.1:9/\""));
    let changed = second.clone().config("custom-config-repository", "git+https://127.0.0.1:9/x");
    for (event, state) in [
        (Event::update_status(), &second),
        (Event::upgrade_charm(), &second),
        (Event::relation_changed_by_app(HTTP_ENDPOINT), &related),
        (Event::config_changed(), &changed),
        (Event::stop(), &second),
    ] {
        context.run(&event, state).expect_success();
        assert_eq!(of_first(&host), before, "{event:?}");
    }
    assert_eq!(run(&host, &Event::update_status(), &first), first);
}

#[test]
fn an_action_of_a_second_application_changes_nothing_of_the_first() {
    let (host, first, context, second) = two();
    // So that there is something to go back to.
    let first = run(&host, &Event::config_changed(), &first.config("rules", RULES.replace("Mine", "Better")));
    let before = of_first(&host);
    for name in ["reload", "rollback-rules", "sync", "validate-rules"] {
        let outcome = context.run(&Event::action(name), &second).expect_success();
        assert!(outcome.action.as_ref().is_some_and(|action| action.failed), "{name}: {}", outcome.report());
        assert_eq!(of_first(&host), before, "{name}");
    }
    assert_eq!(run(&host, &Event::update_status(), &first), first);
}

#[test]
fn removing_the_second_application_leaves_the_first_right() {
    let (host, first, context, second) = two();
    let before = of_first(&host);
    let second = context.run(&Event::stop(), &second).expect_success().state;
    context.run(&Event::remove(), &second).expect_success();
    assert_eq!(of_first(&host), before);
    assert_eq!(run(&host, &Event::update_status(), &first), first);
}

#[test]
fn removing_the_first_application_lets_the_second_take_over_at_its_next_hook() {
    let (host, first, context, second) = two();
    let first = run_once(&host, &Event::stop(), &first).state;
    let first = run_once(&host, &Event::remove(), &first).state;
    assert!(!host.machine.is_active(UNIT));
    let second = context.run(&Event::update_status(), &second).expect_success().state;
    assert_eq!(second.unit_status.name, "active", "{}", second.unit_status);
    assert!(host.machine.is_active(UNIT));
    assert!(host.text("/etc/systemd/system/falco.service").contains("the Juju unit other/0"));
    assert!(host.text("/etc/juju-falco/falco.yaml").contains("juju_unit: other/0"));
    assert!(host.has_loaded("rules.yaml"), "{}", host.metrics());
    let before = of_first(&host);
    assert_eq!(context.run(&Event::update_status(), &second).expect_success().state, second);
    // What is left of the first may be removed once more, and has nothing to say any more.
    run_once(&host, &Event::remove(), &first);
    assert_eq!(of_first(&host), before);
}

#[test]
fn a_unit_file_that_somebody_deleted_is_written_again_and_the_process_goes_on() {
    let (host, first, context, second) = two();
    let process = host.machine.main_pid(UNIT);
    let unit_file = host.machine.path("/etc/systemd/system/falco.service");
    fs::remove_file(&unit_file).unwrap();
    // Without it, it is still the first one's.
    let blocked = context.run(&Event::update_status(), &second).expect_success().state;
    assert_eq!(blocked, second);
    let gone = context.run(&Event::remove(), &blocked).expect_success();
    assert!(host.machine.path("/etc/juju-falco/falco.yaml").exists(), "{}", gone.report());
    let first = run(&host, &Event::update_status(), &first);
    assert_eq!(first.unit_status.name, "active", "{}", first.unit_status);
    assert_eq!((unit_file.exists(), host.machine.main_pid(UNIT)), (true, process));
    // Nor does a Falco outlive its unit because of it.
    fs::remove_file(&unit_file).unwrap();
    run_once(&host, &Event::remove(), &first);
    assert_eq!((host.machine.is_active(UNIT), host.machine.path("/etc/juju-falco").exists()), (false, false));
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
