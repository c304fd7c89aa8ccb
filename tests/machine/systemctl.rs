//! `systemctl` with a memory, as a charm uses it. What it imitates is compared with the real one in `differential`.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use charm_tests::juju::command::{HostCommand as _, Invocation};
use charm_tests::machine::{Action, Machine, processes};
use nix::sys::signal::Signal;
use nix::unistd::Pid;

const UNIT: &str = "falco.service";
const FILE: &str = "/etc/systemd/system/falco.service";

fn machine(service: &str) -> Machine {
    let machine = Machine::new().unwrap();
    put(&machine, service);
    machine
}

fn put(machine: &Machine, service: &str) {
    let text = format!("[Service]\n{service}\n[Install]\nWantedBy=multi-user.target\n");
    machine.write(FILE, text, 0o644).unwrap();
}

fn run(machine: &Machine, line: &str) -> (i32, String, String) {
    let args: Vec<&str> = line.split_whitespace().collect();
    let answer = machine.run(&args);
    (answer.code, String::from_utf8(answer.stdout).unwrap(), String::from_utf8(answer.stderr).unwrap())
}

fn environment(machine: &Machine) -> Vec<String> {
    let pid = machine.main_pid(UNIT).unwrap();
    let bytes = fs::read(machine.path(&format!("/proc/{pid}/environ"))).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let mut variables: Vec<String> = text.split_terminator('\0').map(str::to_owned).collect();
    variables.sort();
    variables
}

fn journal(machine: &Machine) -> Vec<String> {
    machine.journal(UNIT).into_iter().map(|entry| entry.message).collect()
}

fn wait_for(machine: &Machine, line: &str) {
    while !journal(machine).iter().any(|known| known == line) {
        thread::sleep(Duration::from_millis(5));
    }
}

fn exists(pid: i32) -> bool {
    !processes::has_ended(Pid::from_raw(pid))
}

#[test]
fn a_started_service_has_the_environment_of_its_unit_file() {
    let machine =
        machine("ExecStart=/bin/sleep 1000\nEnvironment=CHARM_CONFIG_DIGEST=one").with_environment("WATCH", "yes");
    assert_eq!(run(&machine, "start falco").0, 0);
    let seen = environment(&machine);
    assert!(seen.contains(&"CHARM_CONFIG_DIGEST=one".to_owned()), "{seen:?}");
    assert!(seen.contains(&"WATCH=yes".to_owned()), "{seen:?}");
    let names: Vec<&str> = seen.iter().filter_map(|variable| variable.split('=').next()).collect();
    assert_eq!(
        names,
        ["CHARM_CONFIG_DIGEST", "INVOCATION_ID", "LANG", "PATH", "WATCH"],
        "nothing of the harness gets through"
    );
}

#[test]
fn a_mask_and_a_folder_reach_the_process_without_traces_of_a_shell() {
    let machine = machine("Type=exec\nExecStart=/bin/sleep 1000\nUMask=0077\nWorkingDirectory=/usr");
    assert_eq!(run(&machine, "start falco"), (0, String::new(), String::new()));
    let pid = machine.main_pid(UNIT).unwrap();
    let names: Vec<String> =
        environment(&machine).iter().filter_map(|v| v.split('=').next().map(str::to_owned)).collect();
    assert_eq!(names, ["INVOCATION_ID", "LANG", "PATH"]);
    assert!(fs::read_to_string(format!("/proc/{pid}/status")).unwrap().contains("Umask:\t0077"));
    assert_eq!(fs::read_link(format!("/proc/{pid}/cwd")).unwrap(), Path::new("/usr"));
    assert_eq!(fs::read(format!("/proc/{pid}/cmdline")).unwrap(), b"/bin/sleep\x001000\0");
}

#[test]
fn a_changed_unit_file_counts_only_after_a_reload() {
    let machine = machine("ExecStart=/bin/sleep 1000\nEnvironment=D=one");
    run(&machine, "start falco");
    put(&machine, "ExecStart=/bin/sleep 1000\nEnvironment=D=two");
    assert_eq!(machine.property(UNIT, "NeedDaemonReload"), "yes");
    let (code, _, err) = run(&machine, "restart falco");
    assert_eq!(code, 0);
    assert!(
        err.starts_with(
            "Warning: The unit file, source configuration file or drop-ins of falco.service changed on disk."
        ),
        "{err}"
    );
    assert!(environment(&machine).contains(&"D=one".to_owned()));
    run(&machine, "daemon-reload");
    assert_eq!(machine.property(UNIT, "NeedDaemonReload"), "no");
    assert_eq!(run(&machine, "restart falco"), (0, String::new(), String::new()));
    assert!(environment(&machine).contains(&"D=two".to_owned()));
    assert_eq!(machine.actions(UNIT), [Action::Start, Action::Restart, Action::Restart]);
    assert_eq!(machine.actions(""), [Action::DaemonReload]);
}

#[test]
fn a_reload_sends_what_the_unit_says_to_the_main_process() {
    let script = "trap 'echo reloaded' HUP; echo ready; while :; do sleep 0.01; done";
    let machine = machine(&format!("ExecStart=/bin/sh -c \"{script}\"\nExecReload=/bin/kill -HUP $MAINPID"));
    run(&machine, "start falco");
    let pid = machine.main_pid(UNIT).unwrap();
    // The trap has to be in place before the signal comes.
    wait_for(&machine, "ready");
    assert_eq!(run(&machine, "reload falco"), (0, String::new(), String::new()));
    wait_for(&machine, "reloaded");
    assert_eq!(machine.main_pid(UNIT), Some(pid));
    assert_eq!(machine.actions(UNIT), [Action::Start, Action::Reload]);
}

#[test]
fn a_killed_service_waits_for_its_restart_and_comes_back() {
    let machine = machine("ExecStart=/bin/sleep 1000\nRestart=on-failure\nRestartSec=15");
    run(&machine, "start falco");
    let first = machine.main_pid(UNIT).unwrap();
    machine.kill(UNIT, Signal::SIGKILL);
    assert_eq!(run(&machine, "is-active falco"), (3, "activating\n".into(), String::new()));
    assert_eq!(machine.property(UNIT, "SubState"), "auto-restart");
    machine.pass_time(Duration::from_secs(15));
    assert!(machine.is_active(UNIT));
    assert_eq!(machine.property(UNIT, "NRestarts"), "1");
    assert_ne!(machine.main_pid(UNIT), Some(first));
    assert_eq!(machine.actions(UNIT), [Action::Start, Action::End, Action::AutoRestart]);
}

#[test]
fn a_service_that_cannot_stay_up_is_given_up_after_five_starts() {
    let machine = machine("ExecStart=/bin/sh -c \"echo no such rule; exit 1\"\nRestart=on-failure\nRestartSec=1ms");
    assert_eq!(run(&machine, "start falco").0, 0, "a simple service counts as started before it can fail");
    while machine.property(UNIT, "ActiveState") != "failed" {
        machine.pass_time(Duration::from_millis(1));
    }
    assert_eq!(machine.property(UNIT, "NRestarts"), "5");
    assert_eq!(machine.property(UNIT, "Result"), "exit-code");
    assert_eq!(journal(&machine).iter().filter(|line| *line == "no such rule").count(), 5);
    assert_eq!(run(&machine, "start falco").0, 1, "the start limit holds for people too");
    assert_eq!(run(&machine, "reset-failed falco").0, 0);
    assert_eq!(run(&machine, "start falco").0, 0);
}

#[test]
fn stopping_takes_grandchildren_along_and_kills_what_does_not_listen() {
    let machine = machine(
        "ExecStart=/bin/sh -c \"setsid sleep 4321 & trap : TERM; while :; do sleep 0.1; done\"\nTimeoutStopSec=300ms",
    );
    run(&machine, "start falco");
    let main = machine.main_pid(UNIT).unwrap();
    let grandchild = loop {
        let children = fs::read_to_string(format!("/proc/{main}/task/{main}/children")).unwrap();
        let found = children
            .split_whitespace()
            .find(|pid| fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line == b"sleep\x004321\0"));
        if let Some(pid) = found {
            break pid.to_owned();
        }
        thread::sleep(Duration::from_millis(5));
    };
    assert_eq!(run(&machine, "stop falco").0, 0);
    assert!(!exists(main.as_raw()) && !exists(grandchild.parse().unwrap()));
    assert_eq!(machine.property(UNIT, "Result"), "timeout");
}

#[test]
fn dropping_a_machine_leaves_no_process_behind() {
    let machine = machine("ExecStart=/bin/sh -c \"setsid sleep 5432 & exec sleep 5432\"");
    run(&machine, "start falco");
    let main = machine.main_pid(UNIT).unwrap();
    drop(machine);
    assert!(!exists(main.as_raw()));
    let left = fs::read_dir("/proc")
        .unwrap()
        .filter_map(Result::ok)
        .any(|entry| fs::read(entry.path().join("cmdline")).is_ok_and(|line| line == b"sleep\x005432\0"));
    assert!(!left);
}

#[test]
fn a_reboot_starts_what_is_enabled() {
    let machine = machine("ExecStart=/bin/sleep 1000");
    run(&machine, "start falco");
    machine.reboot();
    assert!(!machine.is_active(UNIT));
    run(&machine, "enable falco");
    machine.reboot();
    assert!(machine.is_active(UNIT));
}

#[test]
fn the_package_of_falco_owns_the_name_of_the_unit() {
    let machine = Machine::new().unwrap().with_falco_package().unwrap();
    assert_eq!(machine.property(UNIT, "Id"), "falco-modern-bpf.service");
    assert_eq!(machine.property(UNIT, "FragmentPath"), "/usr/lib/systemd/system/falco-modern-bpf.service");
    assert!(machine.is_active(UNIT));
    assert_eq!(run(&machine, "is-enabled falco").1, "alias\n");
}

#[test]
fn the_journal_answers_the_questions_of_a_charm() {
    let machine = machine("Type=oneshot\nExecStart=/bin/sh -c \"echo first; echo second >&2; exit 3\"");
    assert_eq!(run(&machine, "start falco").0, 1);
    let mut journalctl = machine.journalctl();
    let ask = |args: &[&str]| Invocation::new("journalctl", args.iter().copied());
    let answer = journalctl.run(&ask(&["-u", "falco", "-n", "4", "--no-pager", "-o", "cat"]));
    let expected = "second\nfalco.service: Main process exited, code=exited, status=3/NOTIMPLEMENTED\n\
        falco.service: Failed with result 'exit-code'.\nFailed to start falco.service.\n";
    assert_eq!(String::from_utf8(answer.stdout).unwrap(), expected);
    let answer = journalctl.run(&ask(&["-u", "falco.service", "-n1", "--no-pager", "-o", "json"]));
    let entry: serde_json::Value = serde_json::from_slice(&answer.stdout).unwrap();
    assert_eq!(entry["MESSAGE"], "Failed to start falco.service.");
    assert_eq!(entry["UNIT"], UNIT);
    let answer = journalctl.run(&ask(&["-u", "falco", "--follow"]));
    assert_eq!(answer.code, 1, "what is not modelled is refused");
}

#[test]
fn what_is_not_modelled_is_refused_or_named() {
    let machine = machine("ExecStart=/bin/sleep 1000\nProtectSystem=full\nNoNewPrivileges=yes");
    assert_eq!(machine.ignored_settings(UNIT), ["NoNewPrivileges=", "ProtectSystem="]);
    put(&machine, "Type=notify\nExecStart=/bin/sleep 1000");
    let (code, _, err) = run(&machine, "start falco");
    assert_eq!(code, 1);
    assert!(err.contains("stand-in") && err.contains("Type=notify"), "{err}");
    let (code, _, err) = run(&machine, "show -p MemoryCurrent falco");
    assert_eq!(code, 1);
    assert!(err.contains("stand-in") && err.contains("MemoryCurrent"), "{err}");
}

#[test]
fn a_failing_program_is_reported_as_systemd_reports_it() {
    let machine = machine("ExecStart=/nosuch/falco");
    assert_eq!(run(&machine, "start falco").0, 0);
    assert_eq!(machine.property(UNIT, "ExecMainStatus"), "203");
    assert_eq!(run(&machine, "is-active falco"), (3, "failed\n".into(), String::new()));
}
