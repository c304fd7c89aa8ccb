//! `PROMETHEUS=real`: Prometheus scrapes what both charms ask for.

use std::fmt::Write as _;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::interrupt::Interrupt;
use super::{FALCO, FALCOSIDEKICK};
use crate::juju::Substrate;
use crate::model::{Application, Model};
use crate::prometheus::{Prometheus, Target, jobs_by_cos_agent, jobs_by_metrics_endpoint};

/// Longer than some scrapes take, even on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(60);

/// Relates both charms to those who hand their jobs on.
pub fn relate(model: &mut Model, say: &impl Fn(&str)) -> Result<()> {
    say("juju deploy grafana-agent; juju integrate falco grafana-agent");
    model.deploy(Application::played("grafana-agent", Substrate::Machine).requires("cos-agent", "cos_agent"))?;
    model.integrate("falco:cos-agent", "grafana-agent")?;
    say("juju deploy prometheus-k8s; juju integrate falcosidekick-k8s:metrics-endpoint prometheus-k8s");
    let prometheus = Application::played("prometheus-k8s", Substrate::Kubernetes);
    model.deploy(prometheus.requires("metrics-endpoint", "prometheus_scrape"))?;
    model.integrate("falcosidekick-k8s:metrics-endpoint", "prometheus-k8s")
}

/// Starts Prometheus with the jobs of both, and waits until it has them all.
pub fn start(model: &Model, folder: &Path, interrupt: &Interrupt, say: &impl Fn(&str)) -> Result<Prometheus> {
    let falco = jobs_by_cos_agent(model.state(FALCO), FALCO);
    let falcosidekick = jobs_by_metrics_endpoint(model.state(FALCOSIDEKICK), FALCOSIDEKICK);
    ensure!(!falco.is_empty(), "falco has published no job on cos-agent");
    ensure!(!falcosidekick.is_empty(), "falcosidekick-k8s has published no job on metrics-endpoint");
    say("Starting Prometheus with what the charms have published ...");
    let jobs = [falco, falcosidekick].concat();
    let program = Prometheus::program().map_err(anyhow::Error::msg)?;
    let prometheus = Prometheus::start(&program, &folder.join("prometheus"), &jobs).map_err(anyhow::Error::msg)?;
    let begin = Instant::now();
    loop {
        let targets = prometheus.targets().map_err(anyhow::Error::msg)?;
        if targets.len() == jobs.len() && targets.iter().all(|target| target.health == "up") {
            say(&text(&targets));
            return Ok(prometheus);
        }
        interrupt.check()?;
        ensure!(begin.elapsed() < PATIENCE, "Prometheus does not have all its targets:\n{}", text(&targets));
        thread::sleep(Duration::from_millis(50));
    }
}

fn text(targets: &[Target]) -> String {
    let mut text = "What Prometheus says of its targets:\n".to_owned();
    for Target { health, error, labels } in targets {
        // Writing to a text cannot fail.
        let _ = writeln!(text, "\n  {health} {error}");
        for (name, value) in labels {
            let _ = writeln!(text, "    {name:<20} {value}");
        }
    }
    text
}
