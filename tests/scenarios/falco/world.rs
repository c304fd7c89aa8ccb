//! Hooks with the checks that every scenario gets for free.

use charm_tests::falco_host::FalcoHost;
use charm_tests::interfaces;
use charm_tests::juju::{Event, Outcome, State};

/// No hook that changes nothing needs more hook commands than this.
pub const MOST_HOOK_COMMANDS: usize = 8;

/// Hook commands that a hook which has nothing to change must not call.
pub const WRITES: [&str; 4] = ["relation-set", "open-port", "close-port", "juju-log"];

/// Runs a hook, and then once more: it has to succeed, to write nothing that its interface does not allow, and to leave
/// nothing to do for the second run, which must touch neither a file nor a process.
#[track_caller]
pub fn run(host: &FalcoHost, event: &Event, state: &State) -> State {
    let outcome = run_once(host, event, state);
    let before = (host.files(), host.actions(), host.machine.main_pid(charm_tests::falco_host::UNIT));
    let again = run_once(host, event, &outcome.state);
    let after = (host.files(), host.actions(), host.machine.main_pid(charm_tests::falco_host::UNIT));
    let writes: Vec<String> =
        again.call_lines().into_iter().filter(|line| WRITES.iter().any(|name| line.starts_with(name))).collect();
    assert!(writes.is_empty(), "the second run still had something to do:\n{}", again.report());
    assert_eq!(again.state, outcome.state, "the second run ended elsewhere:\n{}", again.report());
    assert_eq!(after, before, "the second run touched a file or a process:\n{}", again.report());
    assert!(again.hook_commands() <= MOST_HOOK_COMMANDS, "too many hook commands:\n{}", again.report());
    outcome.state
}

/// Runs a hook, which has to succeed.
#[track_caller]
pub fn run_once(host: &FalcoHost, event: &Event, state: &State) -> Outcome {
    let outcome = host.run(event, state);
    check_databags(host, &outcome.state);
    outcome
}

/// What the charm has written is what its interfaces allow.
#[track_caller]
pub fn check_databags(host: &FalcoHost, state: &State) {
    for relation in &state.relations {
        let endpoint = &host.context.unit().metadata.endpoints[&relation.endpoint];
        let side = if relation.endpoint == "cos-agent" { "provider" } else { "requirer" };
        for (bag, databag) in [("app", &relation.local_app_data), ("unit", &relation.local_unit_data)] {
            interfaces::check(&endpoint.interface, side, bag, databag).unwrap_or_else(|problem| panic!("{problem}"));
        }
    }
}

/// A host on which the charm is installed and configured, without Falcosidekick.
pub fn settled() -> (FalcoHost, State) {
    settled_from(FalcoHost::fresh)
}

/// A host on which the charm is installed and configured, from this state.
pub fn settled_from(state: impl FnOnce(&FalcoHost) -> State) -> (FalcoHost, State) {
    let host = FalcoHost::new();
    let state = run(&host, &Event::install(), &state(&host));
    let state = run(&host, &Event::config_changed(), &state);
    let state = run(&host, &Event::start(), &state);
    (host, state)
}
