//! Whole hooks of small charms written in shell, through the real shim and socket.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use charm_tests::juju::state::{OpenedPort, Substrate};
use charm_tests::juju::{
    Answer, Context, Event, Exit, HostCommand, Invocation, JujuVersion, Metadata, Outcome, Relation, State, Status,
    Verdict,
};
use serde_json::json;
use tempfile::TempDir;

const MACHINE_CHARM: &str = "
name: small
subordinate: true
provides: {web: {interface: http}}
requires: {host: {interface: juju-info, scope: container}}
config: {options: {port: {type: int, default: 80}}}
actions: {show: {params: {what: {type: string, default: all}}, additionalProperties: false}}
";

const KUBERNETES_CHARM: &str = "
name: small-k8s
containers: {main: {resource: image}}
resources: {image: {type: oci-image}}
requires: {db: {interface: mysql}}
";

/// A charm of one shell script, in its folder.
struct Charm {
    folder: TempDir,
    metadata: Metadata,
}

impl Charm {
    fn new(metadata: &str, script: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dispatch");
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        Self { folder, metadata: Metadata::parse(metadata).unwrap() }
    }

    fn context(&self) -> Context {
        let dispatch = self.folder.path().join("dispatch");
        Context::with_metadata(self.metadata.clone(), dispatch, env!("CARGO_BIN_EXE_hook-command"))
            .unwrap()
            .system_path()
    }
}

fn machine(script: &str) -> Charm {
    Charm::new(MACHINE_CHARM, script)
}

fn related() -> State {
    State::machine()
        .leader(true)
        .relation(Relation::new(1, "host", "ubuntu").remote_unit(0))
        .relation(Relation::new(2, "web", "proxy").remote_unit(0).remote_app("url", "http://proxy"))
}

#[test]
fn exit_0_commits_what_the_hook_has_buffered() {
    let charm =
        machine("set -e\nrelation-set -r 2 --app answer=42\nopen-port \"$(config-get port)\"\nstatus-set active ready");
    let after = charm.context().run(&Event::config_changed(), &related()).success();
    assert_eq!(after.relation_by_id(2).local_app_data["answer"], "42");
    assert_eq!(after.opened_ports, [OpenedPort::tcp(80)].into());
    assert_eq!(after.unit_status, Status::active("ready"));
}

#[test]
fn a_failed_hook_keeps_only_what_took_effect_at_once() {
    let charm = machine("relation-set -r 2 a=b\nopen-port 80\nstatus-set blocked x\napplication-version-set 7\nexit 3");
    let outcome = charm.context().run(&Event::config_changed(), &related());
    assert_eq!(outcome.exit, Exit::Code(3));
    assert!(outcome.commit.is_none() && !outcome.is_success());
    let expected = State { workload_version: "7".into(), ..related().unit_status(Status::blocked("x")) };
    assert_eq!(outcome.state, expected);
}

#[test]
fn a_refused_commit_fails_the_hook_although_the_charm_ended_well() {
    let charm = machine("relation-set -r 2 a=b");
    let outcome = charm.context().refuse_commit("quota exceeded").run(&Event::config_changed(), &related());
    assert_eq!((outcome.exit, outcome.error.as_deref()), (Exit::Code(0), Some("quota exceeded")));
    assert_eq!(outcome.state, related());
}

#[test]
fn a_pipe_feeds_one_command_from_another() {
    let charm = machine("config-get --format=json | relation-set -r 2 --file -");
    let outcome = charm.context().run(&Event::config_changed(), &related()).expect_success();
    assert_eq!(outcome.state.relation_by_id(2).local_unit_data["port"], "80");
    let lines: BTreeSet<String> = outcome.call_lines().into_iter().collect();
    assert_eq!(lines, ["config-get --format=json", "relation-set -r 2 --file -"].map(str::to_owned).into());
}

/// The names and values that a charm finds in its environment.
fn environment(context: &Context, event: &Event, state: &State) -> Vec<(String, String)> {
    let outcome = context.run(event, state).expect_success();
    outcome.stdout.lines().filter_map(|line| line.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
}

/// A charm that is the program `env` itself: no shell stands between.
fn env_charm(metadata: &str) -> Context {
    let metadata = Metadata::parse(metadata).unwrap();
    Context::with_metadata(metadata, "/usr/bin/env", env!("CARGO_BIN_EXE_hook-command")).unwrap()
}

fn names(environment: &[(String, String)]) -> BTreeSet<&str> {
    environment.iter().map(|(name, _)| name.as_str()).collect()
}

const EVERYWHERE: [&str; 27] = [
    "APT_LISTCHANGES_FRONTEND",
    "CHARM_DIR",
    "CHARM_ROOT",
    "CLOUD_API_VERSION",
    "DEBIAN_FRONTEND",
    "JUJU_AGENT_SOCKET_ADDRESS",
    "JUJU_AGENT_SOCKET_NETWORK",
    "JUJU_API_ADDRESSES",
    "JUJU_AVAILABILITY_ZONE",
    "JUJU_CHARM_DIR",
    "JUJU_CHARM_FTP_PROXY",
    "JUJU_CHARM_HTTPS_PROXY",
    "JUJU_CHARM_HTTP_PROXY",
    "JUJU_CHARM_NO_PROXY",
    "JUJU_CONTEXT_ID",
    "JUJU_DISPATCH_PATH",
    "JUJU_HOOK_NAME",
    "JUJU_MACHINE_ID",
    "JUJU_MODEL_NAME",
    "JUJU_MODEL_UUID",
    "JUJU_PRINCIPAL_UNIT",
    "JUJU_UNIT_NAME",
    "JUJU_VERSION",
    "LANG",
    "PATH",
    "TERM",
    "JUJU_SLA",
];

#[test]
fn a_hook_on_a_machine_has_these_variables_and_no_others() {
    let found = environment(&env_charm(MACHINE_CHARM), &Event::install(), &related());
    assert_eq!(names(&found), EVERYWHERE.into());
    let value = |name: &str| found.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str());
    assert_eq!(value("JUJU_DISPATCH_PATH"), "hooks/install");
    assert_eq!(value("JUJU_HOOK_NAME"), "install");
    assert_eq!(value("JUJU_PRINCIPAL_UNIT"), "ubuntu/0");
    assert!(
        value("JUJU_CHARM_DIR").ends_with("/var/lib/juju/agents/unit-small-0/charm"),
        "{}",
        value("JUJU_CHARM_DIR")
    );
    assert!(value("JUJU_AGENT_SOCKET_ADDRESS").len() < 108);
}

#[test]
fn a_hook_of_a_relation_in_juju_4_names_it() {
    let found = environment(
        &env_charm(MACHINE_CHARM).juju(JujuVersion::V4_1),
        &Event::relation_departed(2, "proxy/0"),
        &related(),
    );
    let mut expected: BTreeSet<&str> = EVERYWHERE.into();
    expected.remove("JUJU_SLA");
    expected.extend([
        "JUJU_RELATION",
        "JUJU_RELATION_ID",
        "JUJU_REMOTE_APP",
        "JUJU_REMOTE_UNIT",
        "JUJU_DEPARTING_UNIT",
    ]);
    expected.extend([
        "JUJU_CHARM_TRACE_CONFIG_HTTP",
        "JUJU_CHARM_TRACE_CONFIG_GRPC",
        "JUJU_CHARM_TRACE_CONFIG_CA_CERT",
    ]);
    assert_eq!(names(&found), expected);
    for (name, value) in
        [("JUJU_RELATION_ID", "web:2"), ("JUJU_DEPARTING_UNIT", "proxy/0"), ("JUJU_VERSION", "4.1-beta2.1")]
    {
        assert!(found.contains(&(name.to_owned(), value.to_owned())), "{name} in {found:?}");
    }
}

#[test]
fn a_pod_sees_the_addresses_of_kubernetes() {
    let state = State::kubernetes();
    assert_eq!(state.model.substrate, Substrate::Kubernetes);
    let found = environment(&env_charm(KUBERNETES_CHARM), &Event::pebble_ready("main"), &state);
    for name in ["KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT_HTTPS", "JUJU_WORKLOAD_NAME"] {
        assert!(names(&found).contains(name), "{name} in {found:?}");
    }
    assert!(found.contains(&("JUJU_MACHINE_ID".into(), String::new())));
}

#[test]
fn the_charm_runs_in_its_folder_without_input() {
    let charm = machine("pwd\ncat\nls");
    let context = charm.context();
    let outcome = context.run(&Event::start(), &related()).expect_success();
    let folder = context.charm_dir();
    let lines: Vec<PathBuf> = outcome.stdout.lines().map(PathBuf::from).collect();
    assert_eq!(fs::canonicalize(&lines[0]).unwrap(), fs::canonicalize(folder).unwrap());
    assert_eq!(lines[1..], ["actions.yaml", "config.yaml", "dispatch", "metadata.yaml"].map(PathBuf::from));
}

#[test]
fn a_charm_that_hangs_is_killed_with_its_children() {
    let charm = machine("sleep 600 &\necho $!\nsleep 600");
    let outcome = charm.context().limit(Duration::from_millis(300)).run(&Event::start(), &related());
    assert!(outcome.timed_out && outcome.exit == Exit::Signal(9), "{}", outcome.report());
    assert_gone(&outcome);
}

/// The process whose id the charm has printed is no more, or a zombie that waits for its parent.
fn assert_gone(outcome: &Outcome) {
    let pid = outcome.stdout.trim();
    let state = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let alive =
        state.lines().any(|line| line.starts_with("State:") && !line.contains("zombie") && !line.contains("dead"));
    assert!(!alive, "{state}");
}

#[test]
fn a_child_that_outlives_its_hook_is_ended() {
    let charm = machine("sleep 600 >/dev/null 2>&1 &\necho $!");
    let outcome = charm.context().run(&Event::start(), &related()).expect_success();
    assert_gone(&outcome);
}

#[test]
fn a_gate_kills_the_charm_at_a_call() {
    let charm = machine("open-port 80\nstatus-set active done\necho never");
    let context = charm.context().gate(|moment| {
        let here = moment.invocation.name == "status-set" && !moment.done;
        if here { Verdict::Kill } else { Verdict::Go }
    });
    let outcome = context.run(&Event::start(), &related());
    assert!(outcome.interrupted && outcome.exit == Exit::Signal(9), "{}", outcome.report());
    assert_eq!(outcome.state, related(), "the call was not carried out, the buffer not sent");
    assert_eq!(outcome.stdout, "");
}

#[test]
fn a_call_can_be_carried_out_and_its_answer_lost() {
    let charm = machine("status-set active done\necho never");
    let context = charm.context().gate(|moment| if moment.done { Verdict::Kill } else { Verdict::Go });
    let outcome = context.run(&Event::start(), &related());
    assert!(outcome.interrupted && outcome.stdout.is_empty());
    assert_eq!(outcome.state.unit_status, Status::active("done"));
}

/// A host with one service, which remembers what was asked.
#[derive(Default)]
struct Systemctl {
    asked: Vec<Vec<String>>,
    running: bool,
}

impl HostCommand for Systemctl {
    fn run(&mut self, invocation: &Invocation) -> Answer {
        self.asked.push(invocation.args.clone());
        match invocation.words().as_slice() {
            ["start", "x.service"] => {
                self.running = true;
                Answer::success()
            }
            ["is-active", "x.service"] if self.running => Answer::text("active\n"),
            ["is-active", "x.service"] => Answer { stdout: b"inactive\n".to_vec(), code: 3, ..Answer::default() },
            _ => Answer::failure(1, "unit not found\n"),
        }
    }
}

#[test]
fn a_host_command_keeps_its_memory_over_hooks() {
    let systemctl = Arc::new(Mutex::new(Systemctl::default()));
    let charm = machine("systemctl is-active x.service || systemctl start x.service");
    let context = charm.context().host_command("systemctl", systemctl.clone());
    let first = context.run(&Event::start(), &related()).expect_success();
    let second = context.run(&Event::update_status(), &related()).expect_success();
    assert_eq!((first.calls.len(), second.calls.len()), (2, 1));
    assert_eq!(second.stdout, "active\n");
    assert_eq!(systemctl.lock().unwrap().asked.len(), 3);
    assert_eq!(first.hook_commands(), 0);
}

#[test]
fn an_action_reports_results_output_and_failure() {
    let charm = machine(
        "set -e\naction-set seen.what=\"$(action-get what)\"\naction-log working\necho out\naction-fail broken",
    );
    let outcome = charm.context().run(&Event::action("show").param("what", "one"), &related());
    let action = outcome.action.unwrap();
    assert_eq!((action.status(), action.message.as_str()), ("failed", "broken"));
    assert_eq!(action.results["seen"], json!({"what": "one"}));
    assert_eq!(action.results["stdout"], json!("out\n"));
    assert_eq!(action.results["return-code"], json!(0));
    assert_eq!(action.log, ["working"]);
}

#[test]
fn juju_speaks_for_the_unit_around_install_and_remove() {
    let charm = machine("status-set active mine");
    let context = charm.context();
    let installed = context.run(&Event::install(), &related()).expect_success();
    let statuses: Vec<String> = installed.statuses.iter().map(|change| change.status.to_string()).collect();
    assert_eq!(statuses, ["maintenance: installing charm software", "active: mine"]);
    let alone = installed.state.clone().without_relation(1).without_relation(2);
    let removed = context.run(&Event::remove(), &alone).expect_success();
    assert_eq!(removed.state.unit_status, Status::new("terminated", ""));
}

#[test]
fn memory_and_time_of_the_charm_are_measured() {
    // Long enough to be looked at while it runs, also on a machine that is busy with other things.
    let charm = machine("sleep 1");
    let outcome = charm.context().run(&Event::start(), &related()).expect_success();
    assert!(outcome.wall_time >= Duration::from_secs(1), "{:?}", outcome.wall_time);
    assert!((100_000..100_000_000).contains(&outcome.peak_memory), "{}", outcome.peak_memory);
}

#[test]
fn a_reboot_at_once_kills_the_hook_and_drops_its_buffer() {
    let charm = machine("open-port 80\njuju-reboot --now\nsleep 600");
    let outcome = charm.context().run(&Event::start(), &related());
    assert_eq!((outcome.exit, outcome.error.as_deref()), (Exit::Signal(9), Some("reboot now")));
    assert_eq!(outcome.state, related());
}
