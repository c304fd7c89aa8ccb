//! What is real in a run of the demo, and what is not.

use std::fmt::Write as _;

use crate::falco_distribution;
use crate::pebble::tools;
use crate::programs;

/// The version of a tool that the tests build: it stands in the name of its folder.
fn version(tool: &str) -> String {
    let program = tools::program(tool).unwrap_or_default();
    let folder = program.parent().and_then(|folder| folder.file_name()).unwrap_or_default().to_string_lossy();
    folder.trim_start_matches(tool).trim_start_matches('-').to_owned()
}

/// The parts of this run.
#[derive(Debug)]
pub struct Parts(Vec<(&'static str, String)>);

impl Parts {
    /// `no_systemd` is the reason why there is no real one.
    pub fn new(no_systemd: Option<&str>, real_loki: bool, real_prometheus: bool) -> Self {
        let systemd = match no_systemd {
            None => "real: the first process of a host in namespaces".to_owned(),
            Some(reason) => {
                format!("a stand-in: a `systemctl` with memory that starts real processes (the real one: {reason})")
            }
        };
        let falco = match falco_distribution::real_tarball() {
            Some(path) => format!("real: {}", path.display()),
            None => "a stand-in, as FALCO_TARBALL does not name the official tarball".to_owned(),
        };
        let falcosidekick = match programs::given("FALCOSIDEKICK") {
            Some(path) => format!("real: {}", path.display()),
            None => "a stand-in, as FALCOSIDEKICK does not name the program".to_owned(),
        };
        let loki = if real_loki {
            format!("real: {}", version("loki"))
        } else {
            "a small receiver of its push API (the real one: make demo LOKI=real)".to_owned()
        };
        let prometheus = if real_prometheus {
            "real: the package of the distribution; the charms that hand jobs on to it are played"
        } else {
            "none (the real one: make demo PROMETHEUS=real)"
        };
        let charm = |variable: &str| match programs::given(variable) {
            Some(path) => format!("real: {}", path.display()),
            None => "real: compiled from this tree, started as Juju starts it".to_owned(),
        };
        Self(vec![
            ("falco charm", charm("FALCO_DISPATCH")),
            ("falcosidekick charm", charm("FALCOSIDEKICK_DISPATCH")),
            ("Pebble", format!("real: {}, the version that Juju embeds", version("pebble"))),
            ("systemd", systemd),
            ("Falco", falco),
            ("Falcosidekick", falcosidekick),
            ("Loki", loki),
            ("Prometheus", prometheus.to_owned()),
            ("Juju", "played: order of hooks, their environment, hook commands, databags".to_owned()),
            ("principal", "played: it has no charm".to_owned()),
        ])
    }

    /// The parts as a list.
    pub fn text(&self) -> String {
        let mut text = "What is real here, and what is not:\n".to_owned();
        for (part, what) in &self.0 {
            let _ = write!(text, "\n  {part:<20} {what}");
        }
        text + "\n"
    }
}
