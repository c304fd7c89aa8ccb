//! From install to remove.

use charm_tests::falco_host::{FalcoHost, UNIT, eventually};
use charm_tests::juju::{Context, Event, Status};
use charm_tests::machine::{Action, Machine};

use crate::world::{run, run_once, settled};

#[test]
fn install_ends_with_a_falco_that_detects_with_the_default_rules() {
    let (host, state) = settled();
    assert_eq!(state.unit_status.name, "active", "{}", state.unit_status);
    assert!(state.unit_status.message.contains("relate http-endpoint"), "{}", state.unit_status);
    assert_eq!(state.workload_version, "0.44.1");
    assert_eq!(host.actions(), [Action::Enable, Action::Start]);
    assert_eq!(host.machine.property(UNIT, "UnitFileState"), "enabled");
}

#[test]
fn every_alert_carries_the_juju_labels() {
    let (host, state) = crate::world::settled_from(FalcoHost::fresh);
    let sink = charm_tests::sink::Sink::start();
    let state = state.relation(charm_tests::falco_host::sidekick().remote_app("url", format!("\"{}\"", sink.url())));
    run(&host, &Event::relation_changed_by_app(charm_tests::falco_host::HTTP_ENDPOINT), &state);
    host.read_sensitive_file();
    let alert = eventually("the alert", || sink.received().into_iter().next());
    assert_eq!(alert["rule"], "Read sensitive file untrusted");
    let fields = &alert["output_fields"];
    assert_eq!(fields["juju_model"], "test-model");
    assert_eq!(fields["juju_model_uuid"], state.model.uuid);
    assert_eq!(fields["juju_application"], "falco");
    assert_eq!(fields["juju_unit"], "falco/0");
    assert_eq!(fields["juju_charm"], "falco");
}

#[test]
fn any_event_does_all_the_work() {
    for event in [Event::start(), Event::update_status(), Event::leader_elected(), Event::upgrade_charm()] {
        let host = FalcoHost::new();
        let state = run(&host, &event, &host.fresh());
        assert_eq!(state.unit_status.name, "active", "{event:?}: {}", state.unit_status);
    }
}

#[test]
fn an_upgrade_goes_on_sending_alerts_and_leaves_no_unit_in_maintenance() {
    let sink = charm_tests::sink::Sink::start();
    let (host, state) = crate::world::settled_from(|host| host.related(&sink.url()));
    let (process, before) = (host.machine.main_pid(UNIT), host.files());
    let upgrade = run_once(&host, &Event::upgrade_charm(), &state);
    assert_eq!(upgrade.state.unit_status, Status::active(""));
    assert_eq!((host.machine.main_pid(UNIT), host.files()), (process, before), "nothing to do is nothing done");
    host.read_sensitive_file();
    eventually("the alert", || sink.received().into_iter().next());
}

#[test]
fn remove_succeeds_where_somebody_has_removed_the_folders_of_falco() {
    let (host, state) = settled();
    for folder in ["/opt/juju-falco", "/etc/juju-falco"] {
        std::fs::remove_dir_all(host.machine.path(folder)).unwrap();
    }
    run_once(&host, &Event::remove(), &state);
    assert!(!host.machine.is_active(UNIT) && !host.machine.path("/etc/systemd/system/falco.service").exists());
}

#[test]
fn remove_leaves_nothing_behind_and_succeeds_when_it_is_gone_already() {
    let host = FalcoHost::new();
    let before = host.files();
    let state = run_once(&host, &Event::install(), &host.fresh()).state;
    assert_ne!(host.files(), before);
    let state = run_once(&host, &Event::stop(), &state).state;
    let state = run_once(&host, &Event::remove(), &state).state;
    assert_eq!(host.files().keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>());
    assert!(!host.machine.is_active(UNIT));
    run_once(&host, &Event::remove(), &state);
}

#[test]
fn remove_before_install_succeeds() {
    let host = FalcoHost::new();
    run_once(&host, &Event::remove(), &host.fresh());
}

#[test]
fn after_a_reboot_falco_runs_without_a_hook_and_the_hook_leaves_it_alone() {
    let (host, state) = settled();
    host.machine.reboot();
    let process = eventually("Falco after the reboot", || host.machine.main_pid(UNIT));
    let state = run(&host, &Event::start(), &state);
    assert_eq!(host.machine.main_pid(UNIT), Some(process));
    assert_eq!(state.unit_status.name, "active");
}

#[test]
fn a_falco_that_somebody_stopped_is_started_again() {
    let (host, state) = settled();
    host.machine.run(&["stop", UNIT]);
    let state = run(&host, &Event::update_status(), &state);
    assert_eq!(state.unit_status.name, "active");
    assert!(host.machine.is_active(UNIT));
}

#[test]
fn an_unknown_action_fails_with_a_text_and_the_unit_is_well() {
    let host = FalcoHost::on(Machine::new().unwrap(), Context::without_consistency_check);
    let state = run(&host, &Event::install(), &host.fresh());
    let outcome = host.run(&Event::action("make-coffee"), &state);
    let action = outcome.action.unwrap();
    assert!(action.failed);
    assert_eq!(action.message, "this charm has no action make-coffee");
    assert_eq!(outcome.state.unit_status, state.unit_status);
}

#[test]
fn a_plan_is_shown_and_nothing_is_done() {
    let host = FalcoHost::on(Machine::new().unwrap(), |context| context);
    let files = host.files();
    let plan = FalcoHost::on(Machine::new().unwrap(), |context| context.arguments(["plan"]));
    let outcome = plan.run(&Event::install(), &plan.related("https://user:hunter2@127.0.0.1:1/"));
    assert!(outcome.stdout.contains("service: start") && !outcome.report().contains("hunter2"), "{}", outcome.report());
    assert_eq!(plan.files().len(), files.len());
    assert!(plan.actions().is_empty() && outcome.log.is_empty());
    assert_eq!(outcome.calls_of("status-set").count(), 0);
}
