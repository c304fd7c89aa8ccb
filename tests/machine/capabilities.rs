//! Falco has exactly the capabilities that its unit names, and they are enough for it.
//!
//! What the real program needs only the real program shows: with `FALCO_TARBALL` it is started with them, and has to load
//! its probe and to see an event. The stand-in needs none, so that with it only the way to them is tried.

use charm_tests::falco_distribution::real_tarball;
use charm_tests::falco_host::{UNIT, eventually};
use charm_tests::juju::{Event, Relation, State};
use charm_tests::model::booted::BootedHost;
use charm_tests::ports::free_port;

/// The numbers of capabilities, as Linux has them.
const NUMBERS: [(&str, u32); 6] = [
    ("CAP_DAC_READ_SEARCH", 2),
    ("CAP_SYS_PTRACE", 19),
    ("CAP_SYS_ADMIN", 21),
    ("CAP_SYS_RESOURCE", 24),
    ("CAP_PERFMON", 38),
    ("CAP_BPF", 39),
];

struct Unit {
    host: BootedHost,
    port: u16,
    state: State,
}

impl Unit {
    fn installed() -> Self {
        let (host, port) = (BootedHost::new().unwrap(), free_port());
        let state = State::machine()
            .leader(true)
            .config("metrics-port", port)
            .resource("falco", &host.tarball)
            .relation(Relation::new(1, "general-info", "ubuntu").remote_unit(0));
        let state = host.context.run(&Event::install(), &state).expect_success().state;
        Self { host, port, state }
    }

    /// What a command of the host prints, or nothing if it fails.
    fn said(&self, program: &str, arguments: &[&str]) -> String {
        self.host.succeed(program, arguments).unwrap_or_default()
    }

    fn main_pid(&self) -> String {
        self.said("systemctl", &["show", "--value", "--property", "MainPID", UNIT]).trim().to_owned()
    }

    /// A line of what the kernel tells of a process.
    fn told(&self, process: &str, key: &str) -> String {
        let status = self.said("cat", &[&format!("/proc/{process}/status")]);
        let line = status.lines().find_map(|line| line.strip_prefix(key));
        line.unwrap_or_else(|| panic!("no {key} in {status:?}")).trim().to_owned()
    }
}

/// The set in a unit file.
fn named(unit_file: &str) -> Vec<&str> {
    let line = unit_file.lines().find_map(|line| line.strip_prefix("CapabilityBoundingSet="));
    line.expect("the unit bounds capabilities").split_whitespace().collect()
}

fn mask(names: &[&str]) -> u64 {
    let number = |name: &str| NUMBERS.iter().find(|(other, _)| *other == name).map(|(_, number)| *number);
    names.iter().map(|name| 1 << number(name).unwrap_or_else(|| panic!("{name} is not in the list"))).sum()
}

#[test]
#[ignore = "needs root: make test-machine"]
fn the_process_has_the_capabilities_of_the_unit_and_can_get_no_others() {
    let unit = Unit::installed();
    let unit_file = unit.said("cat", &[&format!("/etc/systemd/system/{UNIT}")]);
    let (process, set) = (unit.main_pid(), |text: &str| u64::from_str_radix(text, 16).unwrap());
    // Nobody has more than the first process, and that of a host in namespaces may have less than all.
    let possible = set(&unit.told("1", "CapBnd:"));
    let wanted = mask(&named(&unit_file)) & possible;
    assert_ne!(wanted, possible, "the unit takes something away");
    for key in ["CapBnd:", "CapPrm:", "CapEff:"] {
        assert_eq!(set(&unit.told(&process, key)), wanted, "{key}");
    }
    assert_eq!(unit.told(&process, "NoNewPrivs:"), "1");
    assert_eq!(set(&unit.told(&process, "CapAmb:")), 0);
    assert_eq!(wanted & mask(&["CAP_SYS_ADMIN"]), 0, "it is all that there is, in one");
}

#[test]
#[ignore = "needs root and the official Falco: make test-machine FALCO_TARBALL=PATH"]
fn the_official_falco_loads_its_probe_and_sees_events_with_the_capabilities_of_the_unit() {
    assert!(real_tarball().is_some(), "FALCO_TARBALL names no official Falco, and the stand-in needs no capability");
    let unit = Unit::installed();
    assert_eq!(unit.state.unit_status.name, "active", "{}", unit.state.unit_status);
    let url = format!("http://127.0.0.1:{}/metrics", unit.port);
    let metrics = || unit.said("curl", &["--silent", &url]);
    assert!(metrics().contains("engine_name=\"modern_bpf\""), "{}", metrics());
    eventually("the alert", || {
        unit.said("cat", &["/etc/shadow"]);
        metrics().contains("rule_name=\"Read sensitive file untrusted\"").then_some(())
    });
    // The other way round: without one of those that the probe is loaded with, it is not.
    for missing in ["CAP_BPF", "CAP_PERFMON", "CAP_SYS_RESOURCE"] {
        let drop_in = format!("/run/systemd/system/{UNIT}.d");
        let script = format!(
            "mkdir -p {drop_in} && printf '[Service]\\nCapabilityBoundingSet=~{missing}\\nLimitMEMLOCK=64K\\nRestart=no\\n' \
             >{drop_in}/less.conf && systemctl daemon-reload && systemctl restart {UNIT}"
        );
        unit.host.succeed("sh", &["-c", &script]).unwrap();
        eventually(&format!("the end of Falco without {missing}"), || (unit.main_pid() == "0").then_some(()));
    }
}
