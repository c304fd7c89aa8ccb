//! The falco charm on a host with the real systemd: from before install to after remove.

use charm_tests::falco_host::{HTTP_ENDPOINT, UNIT, eventually, sidekick};
use charm_tests::juju::{Event, Outcome, Relation, State, Status};
use charm_tests::machine::snapshot::Snapshot;
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

    /// One that Juju has brought to the end of its first hooks, related to a Falcosidekick.
    #[track_caller]
    fn settled(sink: &Sink) -> Self {
        let mut unit = Self::new();
        unit.run(&Event::install());
        unit.state = unit.state.clone().relation(sidekick().remote_app("url", format!("\"{}\"", sink.url())));
        unit.run(&Event::relation_changed_by_app(HTTP_ENDPOINT));
        unit.run(&Event::config_changed());
        unit.run(&Event::start());
        assert_eq!(unit.state.unit_status, Status::active(""));
        unit
    }

    #[track_caller]
    fn run(&mut self, event: &Event) -> Outcome {
        let outcome = self.host.context.run(event, &self.state).expect_success();
        self.state = outcome.state.clone();
        outcome
    }

    /// Runs a hook that has nothing to do.
    #[track_caller]
    fn run_in_vain(&mut self, event: &Event) {
        let (process, before, files) = (self.process(), self.state.clone(), self.own_files());
        let outcome = self.run(event);
        assert_eq!(outcome.state, before, "{}", outcome.report());
        assert_eq!(self.process(), process, "{}", outcome.report());
        assert_eq!(self.own_files(), files, "{}", outcome.report());
    }

    fn property(&self, name: &str) -> String {
        let text = self.host.succeed("systemctl", &["show", "--value", "--property", name, UNIT]).unwrap();
        text.trim().to_owned()
    }

    fn process(&self) -> String {
        self.property("MainPID")
    }

    /// What `ls` tells of everything that the charm has written: a file that is replaced by an equal one shows.
    fn own_files(&self) -> String {
        let unit = format!("/etc/systemd/system/{UNIT}");
        let arguments = ["-lRi", "--time-style=full-iso", "/etc/juju-falco", "/opt/juju-falco", &unit];
        self.host.succeed("ls", &arguments).unwrap()
    }

    /// Somebody does what the default rules watch for, until the alert arrives.
    #[track_caller]
    fn assert_alerts_arrive(&self, sink: &Sink) {
        let before = sink.received().len();
        let alert = eventually("the alert", || {
            self.host.succeed("cat", &["/etc/shadow"]).unwrap();
            sink.received().into_iter().nth(before)
        });
        assert_eq!(alert["output_fields"]["juju_unit"], "falco/0");
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot::of(self.host.host()).unwrap()
    }
}

#[test]
#[ignore = "needs root: make test-machine"]
fn the_charm_lives_from_install_to_remove_as_under_the_played_systemctl() {
    let mut unit = Unit::new();
    unit.run(&Event::install());
    unit.run(&Event::config_changed());
    assert_eq!(unit.state.unit_status.name, "active", "{}", unit.state.unit_status);
    assert_eq!(unit.property("UnitFileState"), "enabled");
    let process = unit.process();

    // What it can take in is a reload: the same process goes on.
    let sink = Sink::start();
    unit.state = unit.state.clone().relation(sidekick().remote_app("url", format!("\"{}\"", sink.url())));
    unit.run(&Event::relation_changed_by_app(HTTP_ENDPOINT));
    assert_eq!(unit.state.unit_status, Status::active(""));
    assert_eq!(unit.process(), process);
    unit.assert_alerts_arrive(&sink);

    // Nothing to do is nothing done.
    for event in [Event::update_status(), Event::config_changed(), Event::start(), Event::upgrade_charm()] {
        unit.run_in_vain(&event);
    }
    assert_eq!(unit.property("NRestarts"), "0");

    // One that was killed is back after the next hook, which does not wait for systemd's next try.
    unit.host.succeed("systemctl", &["kill", "--signal=KILL", UNIT]).unwrap();
    eventually("the end of the process", || (unit.process() == "0").then_some(()));
    unit.run(&Event::update_status());
    assert_eq!(unit.state.unit_status, Status::active(""));
    assert_ne!(unit.process(), process);
    unit.assert_alerts_arrive(&sink);

    unit.run(&Event::stop());
    unit.run(&Event::remove());
    assert_eq!(unit.property("LoadState"), "not-found");
    unit.run(&Event::remove());
}

#[test]
#[ignore = "needs root: make test-machine"]
fn a_killed_falco_comes_back_by_itself_and_the_next_hook_has_nothing_to_do() {
    let sink = Sink::start();
    let mut unit = Unit::settled(&sink);
    let process = unit.process();
    unit.host.succeed("kill", &["-KILL", &process]).unwrap();
    eventually("another process", || (!["0", &process].contains(&unit.process().as_str())).then_some(()));
    assert_eq!(unit.property("NRestarts"), "1");
    unit.assert_alerts_arrive(&sink);
    unit.run_in_vain(&Event::update_status());
    assert_eq!(unit.state.unit_status, Status::active(""));
}

#[test]
#[ignore = "needs root: make test-machine"]
fn after_a_reboot_falco_is_up_before_any_hook_and_the_hooks_have_nothing_to_do() {
    let sink = Sink::start();
    let mut unit = Unit::settled(&sink);
    unit.host.reboot().unwrap();
    eventually("a running Falco", || (unit.property("ActiveState") == "active").then_some(()));
    unit.assert_alerts_arrive(&sink);
    // What Juju's agent does after a reboot, and then as ever.
    for event in [Event::start(), Event::config_changed(), Event::update_status()] {
        unit.run_in_vain(&event);
    }
    assert_eq!(unit.state.unit_status, Status::active(""));
    assert_eq!(unit.property("NRestarts"), "0");
}

#[test]
#[ignore = "needs root: make test-machine"]
fn after_remove_the_host_is_as_it_was_before_install() {
    let sink = Sink::start();
    let mut unit = Unit::new();
    let before = unit.snapshot();
    unit.run(&Event::install());
    unit.state = unit.state.clone().relation(sidekick().remote_app("url", format!("\"{}\"", sink.url())));
    unit.run(&Event::relation_changed_by_app(HTTP_ENDPOINT));
    unit.assert_alerts_arrive(&sink);
    let installed = unit.snapshot();
    for kind in ["file /etc/juju-falco", "unit falco.service", "unit file falco.service", "listener tcp"] {
        assert!(!installed.about(kind).is_empty(), "{kind} is not in what was seen of the installed charm");
    }
    unit.state = unit.state.clone().without_relation(HTTP_ENDPOINT);
    unit.run(&Event::stop());
    unit.run(&Event::remove());
    assert_eq!(before.differences(&unit.snapshot()), [""; 0]);
}

#[test]
#[ignore = "needs root: make test-machine"]
fn after_remove_on_a_host_that_was_rebooted_nothing_is_left_either() {
    let mut unit = Unit::new();
    let before = unit.snapshot();
    unit.run(&Event::install());
    unit.host.reboot().unwrap();
    unit.run(&Event::stop());
    unit.run(&Event::remove());
    assert_eq!(before.differences(&unit.snapshot()), [""; 0]);
}

#[test]
#[ignore = "needs root: make test-machine"]
fn the_alert_of_test_alert_is_in_the_journal_of_the_unit_and_at_the_receiver() {
    const RULE: &str = "Read sensitive file untrusted";
    let sink = Sink::start();
    let mut unit = Unit::settled(&sink);
    let outcome = unit.run(&Event::action("test-alert"));
    let action = outcome.action.as_ref().expect("it was an action");
    assert_eq!(action.status(), "completed", "{}", outcome.report());
    assert_eq!(action.results.get("delivery").and_then(|value| value.as_str()), Some("sent"), "{}", outcome.report());
    eventually("the alert", || sink.received().into_iter().find(|alert| alert["rule"] == RULE));
    let alert = action.results.get("alert").and_then(|value| value.as_str()).unwrap_or_default();
    assert!(alert.contains(RULE), "{}", outcome.report());
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

#[test]
#[ignore = "needs root: make test-machine"]
fn of_two_applications_the_second_waits_and_takes_over_when_the_first_is_removed() {
    let sink = Sink::start();
    let mut first = Unit::settled(&sink);
    let (process, files) = (first.process(), first.own_files());
    let context = first.host.second_unit("other").unwrap();
    let mut second = State { config: first.state.config.clone(), ..State::machine() }
        .resource("falco", &first.host.tarball)
        .relation(Relation::new(1, "general-info", "ubuntu").remote_unit(0))
        .relation(sidekick().remote_app("url", format!("\"{}\"", sink.url())));
    for event in [Event::install(), Event::config_changed(), Event::start(), Event::update_status()] {
        second = context.run(&event, &second).expect_success().state;
        assert!(second.unit_status.message.contains("run by the unit falco/0"), "{}", second.unit_status);
    }
    assert_eq!((first.process(), first.own_files()), (process.clone(), files.clone()));
    // One that goes again leaves no trace, and takes nothing along.
    let gone = context.run(&Event::stop(), &second).expect_success().state;
    context.run(&Event::remove(), &gone).expect_success();
    assert_eq!((first.process(), first.own_files()), (process, files));
    first.run_in_vain(&Event::update_status());

    first.run(&Event::stop());
    first.run(&Event::remove());
    assert_eq!(first.property("LoadState"), "not-found");
    second = context.run(&Event::update_status(), &second).expect_success().state;
    assert_eq!(second.unit_status, Status::active(""));
    assert_eq!((first.property("ActiveState"), first.property("UnitFileState")), ("active".into(), "enabled".into()));
    let process = first.process();
    first.run(&Event::remove());
    context.run(&Event::update_status(), &second).expect_success();
    assert_eq!(first.process(), process, "what is left of the first has nothing to say any more");
}
