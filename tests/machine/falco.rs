//! The falco charm on a host with the real systemd.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use charm_tests::falco_host::{HTTP_ENDPOINT, UNIT, eventually, sidekick};
use charm_tests::juju::{Event, Relation, State, Status};
use charm_tests::model::booted::BootedHost;
use charm_tests::ports::free_port;
use charm_tests::sink::Sink;

struct Unit {
    host: BootedHost,
    state: State,
}

impl Unit {
    fn new() -> Self {
        let host = BootedHost::new().unwrap();
        let state = State::machine()
            .leader(true)
            .config("metrics-port", free_port())
            .resource("falco", &host.tarball)
            .relation(Relation::new(1, "general-info", "ubuntu").remote_unit(0));
        Self { host, state }
    }

    #[track_caller]
    fn run(&mut self, event: &Event) {
        self.state = self.host.context.run(event, &self.state).success();
    }

    fn property(&self, name: &str) -> String {
        let text = self.host.succeed("systemctl", &["show", "--value", "--property", name, UNIT]).unwrap();
        text.trim().to_owned()
    }

    fn files(&self) -> BTreeSet<String> {
        let mut files = BTreeSet::new();
        for folder in ["etc", "opt", "usr/local", "var/lib", "root"] {
            collect(&self.host.root().join(folder), &mut files);
        }
        // Juju's own.
        files.retain(|file| !file.contains("/var/lib/juju"));
        files
    }
}

fn collect(path: &Path, files: &mut BTreeSet<String>) {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    for entry in entries {
        files.insert(entry.path().to_string_lossy().into_owned());
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            collect(&entry.path(), files);
        }
    }
}

#[test]
#[ignore = "needs root: make test-machine"]
fn the_charm_lives_from_install_to_remove_as_under_the_played_systemctl() {
    let mut unit = Unit::new();
    let before = unit.files();
    unit.run(&Event::install());
    unit.run(&Event::config_changed());
    assert_eq!(unit.state.unit_status.name, "active", "{}", unit.state.unit_status);
    assert_eq!(unit.property("UnitFileState"), "enabled");
    let process = unit.property("MainPID");

    // What it can take in is a reload: the same process goes on.
    let sink = Sink::start();
    unit.state = unit.state.clone().relation(sidekick().remote_app("url", format!("\"{}\"", sink.url())));
    unit.run(&Event::relation_changed_by_app(HTTP_ENDPOINT));
    assert_eq!(unit.state.unit_status, Status::active(""));
    assert_eq!(unit.property("MainPID"), process);
    unit.host.succeed("cat", &["/etc/shadow"]).unwrap();
    let alert = eventually("the alert", || sink.received().into_iter().next());
    assert_eq!(alert["output_fields"]["juju_unit"], "falco/0");

    // Nothing to do is nothing done.
    for _ in 0..3 {
        unit.run(&Event::update_status());
    }
    assert_eq!(unit.property("MainPID"), process);
    assert_eq!(unit.property("NRestarts"), "0");

    // One that was killed is back after the next hook, which does not wait for systemd's next try.
    unit.host.succeed("systemctl", &["kill", "--signal=KILL", UNIT]).unwrap();
    eventually("the end of the process", || (unit.property("MainPID") == "0").then_some(()));
    unit.run(&Event::update_status());
    assert_eq!(unit.state.unit_status, Status::active(""));
    assert_ne!(unit.property("MainPID"), process);

    unit.run(&Event::stop());
    unit.run(&Event::remove());
    assert_eq!(unit.property("LoadState"), "not-found");
    let after = unit.files();
    let left: Vec<_> = after.symmetric_difference(&before).collect();
    assert!(left.is_empty(), "{left:?}");
    unit.run(&Event::remove());
}

#[test]
#[ignore = "needs root: make test-machine"]
fn systemd_takes_every_setting_of_the_unit() {
    let mut unit = Unit::new();
    unit.run(&Event::install());
    let said = unit.host.command("systemd-analyze").args(["verify", UNIT]).output().unwrap();
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    let about_us: Vec<&str> = said.lines().filter(|line| line.contains(UNIT)).collect();
    assert!(about_us.is_empty(), "{about_us:#?}");
    assert_eq!(unit.property("NoNewPrivileges"), "yes");
    assert_eq!(unit.property("LimitMEMLOCK"), "infinity");
}
