//! The host with the real systemd does what the machine layer relies on, and leaves nothing behind.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use charm_tests::juju::command::{HostCommand as _, Invocation};
use charm_tests::machine::host::{Host, Network};

const UNIT: &str = "[Unit]\nDescription=Sleeper\n\n[Service]\nExecStart=/bin/sh -c 'echo $WORD; exec sleep 1000'\n\
    Environment=WORD=one\nExecReload=/bin/kill -HUP $MAINPID\nRestart=on-failure\nRestartSec=100ms\n\n[Install]\nWantedBy=multi-user.target\n";

const FILE: &str = "/etc/systemd/system/sleeper.service";

fn property(host: &Host, name: &str) -> String {
    host.succeed("systemctl", &["show", "--value", "-p", name, "sleeper"]).unwrap().trim().to_owned()
}

/// Where [`the_harness_that_is_killed`] writes down what it has booted.
const NOTE: &str = "NOTE";

/// The processes that live in a control group or below.
fn processes(group: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![group.to_owned()];
    while let Some(folder) = folders.pop() {
        found.extend(fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default().lines().map(str::to_owned));
        let inner = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok).map(|entry| entry.path());
        folders.extend(inner.filter(|path| path.is_dir()));
    }
    found
}

#[test]
#[ignore = "needs root: make test-machine"]
fn a_service_lives_through_its_whole_life() {
    let host = Host::boot().unwrap();
    fs::write(host.path(FILE), UNIT).unwrap();
    host.succeed("systemctl", &["daemon-reload"]).unwrap();
    host.succeed("systemctl", &["enable", "--now", "sleeper"]).unwrap();
    let first = property(&host, "MainPID");

    fs::write(host.path(FILE), UNIT.replace("WORD=one", "WORD=two")).unwrap();
    assert_eq!(property(&host, "NeedDaemonReload"), "yes");
    host.succeed("systemctl", &["daemon-reload"]).unwrap();
    host.succeed("systemctl", &["restart", "sleeper"]).unwrap();
    let second = property(&host, "MainPID");
    assert_ne!(first, second);

    host.succeed("kill", &["-KILL", &second]).unwrap();
    while property(&host, "NRestarts") != "1" || property(&host, "ActiveState") != "active" {
        thread::sleep(Duration::from_millis(50));
    }
    // The program writes its word before it sleeps, and the journal takes it in after that.
    let lines = loop {
        host.succeed("journalctl", &["--sync"]).unwrap();
        let text = host.succeed("journalctl", &["-u", "sleeper", "--no-pager", "-o", "cat"]).unwrap();
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        if lines.iter().filter(|line| *line == "two").count() == 2 {
            break lines;
        }
        thread::sleep(Duration::from_millis(50));
    };
    for expected in ["one", "sleeper.service: Failed with result 'signal'.", "Started sleeper.service - Sleeper."] {
        assert!(lines.iter().any(|line| line == expected), "{expected:?} is not in {lines:#?}");
    }
}

#[test]
#[ignore = "needs root: make test-machine"]
fn a_reboot_keeps_the_disk_and_starts_what_is_enabled() {
    let mut host = Host::boot().unwrap();
    fs::write(host.path(FILE), UNIT).unwrap();
    fs::write(host.path("/run/gone"), "").unwrap();
    host.succeed("systemctl", &["enable", "--now", "sleeper"]).unwrap();
    for boot in 1..=2 {
        let (leader, machine) = (host.leader(), host.succeed("cat", &["/etc/machine-id"]).unwrap());
        let mut command = host.host_command();
        host.reboot().unwrap();
        assert_ne!(host.leader(), leader);
        assert_eq!(host.succeed("cat", &["/etc/machine-id"]).unwrap(), machine, "reboot {boot}");
        assert_eq!(property(&host, "ActiveState"), "active");
        assert!(!host.path("/run/gone").exists());
        let answer = command.run(&Invocation::new("systemctl", ["is-active", "sleeper"]));
        assert_eq!(answer.stdout, b"active\n", "a command that was made before the reboot");
    }
    assert!(host.changes().join("etc/systemd/system/sleeper.service").is_file());
    assert!(!host.changes().join("usr/bin/systemctl").exists(), "that is of the machine below");
}

#[test]
#[ignore = "needs root: make test-machine"]
fn a_host_leaves_no_mount_no_control_group_and_no_process_behind() {
    let mounts = || fs::read_to_string("/proc/self/mounts").unwrap();
    let host = Host::boot().unwrap();
    let group: PathBuf = host.control_group().to_owned();
    let name = group.file_name().unwrap().to_str().unwrap().to_owned();
    fs::write(host.path(FILE), UNIT).unwrap();
    host.succeed("systemctl", &["start", "sleeper"]).unwrap();
    let inhabitants = processes(&group);
    assert!(inhabitants.len() > 2, "{inhabitants:?}");
    drop(host);
    assert!(!group.exists());
    assert!(!mounts().contains(&name));
    assert!(!std::env::temp_dir().join(&name).exists());
    let left: Vec<&String> = inhabitants.iter().filter(|pid| Path::new("/proc").join(pid).exists()).collect();
    assert!(left.is_empty(), "{left:?}");
    assert!(!Path::new(FILE).exists(), "the machine below is untouched");
}

#[test]
#[ignore = "needs root: make test-machine"]
fn hosts_are_strangers_to_each_other() {
    let (one, other) = (Host::boot_with(Network::Own).unwrap(), Host::boot_with(Network::Own).unwrap());
    fs::write(one.path("/etc/only-here"), "").unwrap();
    assert!(one.path("/etc/only-here").exists());
    assert!(!other.path("/etc/only-here").exists());
    let names = [&one, &other].map(|host| host.succeed("hostname", &[]).unwrap());
    assert_ne!(names[0], names[1]);
    for host in [&one, &other] {
        let links = host.succeed("ip", &["-brief", "link"]).unwrap();
        assert_eq!(links.lines().count(), 1, "{links}");
        assert!(links.starts_with("lo") && links.contains("UP"), "{links}");
    }
}

#[test]
#[ignore = "needs root: make test-machine"]
fn a_host_that_is_killed_does_not_outlive_its_test() {
    let host = Host::boot().unwrap();
    nix::sys::signal::kill(host.leader(), nix::sys::signal::Signal::SIGKILL).unwrap();
    let group = host.control_group().to_owned();
    drop(host);
    assert!(!group.exists());
}

#[test]
#[ignore = "needs root: make test-machine"]
fn a_host_goes_down_with_the_process_that_wanted_it() {
    let folder = tempfile::TempDir::new().unwrap();
    let note = folder.path().join("note");
    let mut harness = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "host::the_harness_that_is_killed"])
        .env(NOTE, &note)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let group = loop {
        assert_eq!(harness.try_wait().unwrap(), None, "the other test failed");
        match fs::read_to_string(&note) {
            Ok(group) if group.ends_with('\n') => break PathBuf::from(group.trim_end()),
            _ => thread::sleep(Duration::from_millis(20)),
        }
    };
    assert!(!processes(&group).is_empty());
    harness.kill().unwrap();
    harness.wait().unwrap();
    while group.exists() {
        thread::sleep(Duration::from_millis(20));
    }
}

/// Boots a host and, if it was started by the test above, tells where it is and waits to be killed.
#[test]
#[ignore = "needs root: make test-machine"]
fn the_harness_that_is_killed() {
    let host = Host::boot().unwrap();
    assert!(host.control_group().exists());
    if let Ok(note) = std::env::var(NOTE) {
        fs::write(note, format!("{}\n", host.control_group().display())).unwrap();
        loop {
            thread::park();
        }
    }
}
