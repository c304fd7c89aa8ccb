//! The hooks that are measured.

use anyhow::{Result, ensure};
use charm_tests::falco_host::FalcoHost;
use charm_tests::juju::{Event, Outcome, Relation, State};
use charm_tests::machine::Machine;
use charm_tests::pod::{CONTAINER, Pod};
use charm_tests::ports::free_port;
use charm_tests::sink::Sink;
use serde_json::json;

use crate::case::{Calls, Case, Charm};
use crate::launch::Mode;
use crate::launcher::Launcher;

/// Where Falcos are told where to send alerts to.
pub const HTTP_ENDPOINT: &str = "http-endpoint";

/// The model that Falcos are in.
const MACHINES: &str = "9b5d2c1e-7f30-4a6b-8c4d-2e1f0a9b8c7d";

const LOKI: u32 = 2;
const FALCO: u32 = 7;
const COS_AGENT: u32 = 9;

/// The text of 10 000 rules has 800 kB, and is in memory as an option, as a file and as what is on disk.
const MEMORY_FOR_RULES: u64 = 32 << 20;

/// The most memory of a hook is the same each time, but for a page or two.
const RUNS_FOR_MEMORY: usize = 1;

/// Measures the falco charm, related to Falcosidekick.
pub fn falco(runs: usize) -> Result<Charm> {
    let mut cases = [
        Case::new("install"),
        Case::steady("config-changed, nothing to do"),
        Case::steady("update-status, nothing to do"),
        Case::new("config-changed, another priority"),
        Case::new("config-changed, 10 000 rules").with_memory(MEMORY_FOR_RULES),
        Case::steady("update-status, 10 000 rules").with_memory(MEMORY_FOR_RULES),
        Case::steady("update-status, cos-agent as well").with_memory(MEMORY_FOR_RULES),
    ];
    for (mode, runs) in [(Mode::Time, runs), (Mode::Memory, RUNS_FOR_MEMORY)] {
        eprintln!("falco: {mode:?}");
        falco_in(mode, runs, &mut cases)?;
    }
    Ok(Charm { name: "falco", most_hook_commands: 8, cases: cases.into() })
}

fn falco_in(mode: Mode, runs: usize, cases: &mut [Case; 7]) -> Result<()> {
    let [first, config_changed, update_status, change, rules, with_rules, with_agent] = cases;
    let (sink, launcher) = (Sink::start(), Launcher::new(mode)?);
    let fresh = || Ok::<_, anyhow::Error>(FalcoHost::on(Machine::new()?, |context| launcher.prepare(context)));
    let add = |case: &mut Case, outcome: &Outcome| {
        ensure!(outcome.state.unit_status.to_string() == "active: ", "{}: {}", case.name, outcome.report());
        case.add(launcher.cost()?, Calls::of(outcome, 0));
        Ok(())
    };
    for _ in 0..runs {
        let host = fresh()?;
        add(first, &host.run(&Event::install(), &host.related(&sink.url())))?;
    }
    let host = fresh()?;
    let mut state = host.run(&Event::install(), &host.related(&sink.url())).state;
    for (case, event) in [(config_changed, Event::config_changed()), (update_status, Event::update_status())] {
        for _ in 0..runs {
            let (before, outcome) = (host.actions(), host.run(&event, &state));
            ensure!(outcome.state == state && host.actions() == before, "{} did something", case.name);
            add(case, &outcome)?;
        }
    }
    for priority in ["error", "critical"].into_iter().cycle().take(runs) {
        let outcome = host.run(&Event::config_changed(), &state.config("priority", priority));
        add(change, &outcome)?;
        state = outcome.state;
    }
    for word in ["one", "other"].into_iter().cycle().take(runs) {
        let outcome = host.run(&Event::config_changed(), &state.clone().config("rules", many_rules(word)));
        add(rules, &outcome)?;
        state = outcome.state;
    }
    let agent = Relation::new(COS_AGENT, "cos-agent", "grafana-agent").remote_unit(0);
    let observed = host.run(&Event::config_changed(), &state.clone().relation(agent)).state;
    for (case, state) in [(with_rules, &state), (with_agent, &observed)] {
        for _ in 0..runs {
            let (before, outcome) = (host.actions(), host.run(&Event::update_status(), state));
            ensure!(outcome.state == *state && host.actions() == before, "{} did something", case.name);
            add(case, &outcome)?;
        }
    }
    Ok(())
}

/// 10 000 rules that Falco takes.
fn many_rules(word: &str) -> String {
    let rule = |number| {
        format!("- {{rule: R{number}, desc: {word}, condition: evt.type = open, output: o, priority: INFO}}\n")
    };
    (0..10_000).map(rule).collect()
}

/// Measures the falcosidekick-k8s charm, related to Falco and Loki.
pub fn falcosidekick(runs: usize) -> Result<Charm> {
    let mut cases = [
        Case::new("first pebble-ready"),
        Case::steady("config-changed, nothing to do"),
        Case::steady("update-status, nothing to do"),
        Case::new("relation-changed, another Loki"),
    ];
    for (mode, runs) in [(Mode::Time, runs), (Mode::Memory, RUNS_FOR_MEMORY)] {
        eprintln!("falcosidekick-k8s: {mode:?}");
        falcosidekick_in(mode, runs, &mut cases)?;
    }
    Ok(Charm { name: "falcosidekick-k8s", most_hook_commands: 14, cases: cases.into() })
}

fn falcosidekick_in(mode: Mode, runs: usize, cases: &mut [Case; 4]) -> Result<()> {
    let [first, config_changed, update_status, change] = cases;
    let launcher = Launcher::new(mode)?;
    let fresh = || Pod::new(|context| launcher.prepare(context));
    let run = |case: &mut Case, pod: &Pod, event: &Event, state: &State| {
        let before = pod.pebble.requests().len();
        let outcome = pod.context.run(event, state).expect_success();
        ensure!(outcome.state.unit_status.to_string() == "active: ", "{}: {}", case.name, outcome.report());
        case.add(launcher.cost()?, Calls::of(&outcome, pod.pebble.requests().len() - before));
        Ok(outcome.state)
    };
    let pebble_ready = Event::pebble_ready(CONTAINER);
    for _ in 0..runs {
        let pod = fresh();
        run(first, &pod, &pebble_ready, &related(&pod))?;
    }
    let pod = fresh();
    let mut state = pod.context.run(&pebble_ready, &related(&pod)).success();
    for (case, event) in [(config_changed, Event::config_changed()), (update_status, Event::update_status())] {
        for _ in 0..runs {
            let processes = pod.pebble.service_processes();
            let after = run(case, &pod, &event, &state)?;
            ensure!(after == state && pod.pebble.service_processes() == processes, "{} did something", case.name);
        }
    }
    for name in ["other-loki", "loki"].into_iter().cycle().take(runs) {
        state.relation_by_id_mut(LOKI).remote_units = loki(name).remote_units;
        state = run(change, &pod, &Event::relation_changed(LOKI, "loki/0"), &state)?;
    }
    Ok(())
}

/// What the controller knows of a leader in a laboratory.
pub fn related(pod: &Pod) -> State {
    let state = State::kubernetes().leader(true).config("port", free_port()).config("allow-plain-http", true);
    pod.complete(state).relation(loki("loki")).relation(falco_relation(FALCO))
}

/// A Falco of one unit, in a model of its own.
pub fn falco_relation(id: u32) -> Relation {
    Relation::new(id, HTTP_ENDPOINT, format!("falco{id}")).remote_unit(0).remote_model(MACHINES)
}

/// A Loki of this name, which nobody has to reach for this.
fn loki(host: &str) -> Relation {
    let endpoint = json!({ "url": format!("http://{host}:3100/loki/api/v1/push") });
    Relation::new(LOKI, "send-loki-logs", "loki").remote_unit_data(0, "endpoint", endpoint.to_string())
}
