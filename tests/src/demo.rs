//! `make demo`: plays a deployment, reads a sensitive file, and shows the alert as Loki received it.
//!
//! `LOKI=real` starts the real Loki, `PROMETHEUS=real` the real Prometheus, which scrapes what both charms ask for,
//! `KEEP=1` leaves everything running until Enter or Ctrl-C. The exit code is 0 if
//! the alert arrived, 130 if somebody interrupted, 1 otherwise. Whatever way it ends, nothing of it is left: processes
//! and folders belong to values that are dropped.

mod alert;
mod interrupt;
mod parts;
mod scrape;
mod screen;

use std::cell::RefCell;
use std::fmt::Write as _;
use std::io::{self, BufRead as _};
use std::path::Path;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use self::alert::{Destination, Received};
use self::interrupt::Interrupt;
use self::parts::Parts;
use self::screen::Screen;
use crate::falco_host::SENSITIVE;
use crate::model::{Application, BootedHost, Model, Place, Progress};
use crate::pebble::pebble_binary;
use crate::pebble::tools;
use crate::pod::{ADDRESS, CONTAINER};
use crate::prometheus::Prometheus;

const FALCO: &str = "falco/0";
const FALCOSIDEKICK: &str = "falcosidekick-k8s/0";

/// How often something that is waited for is looked at.
const STEP: Duration = Duration::from_millis(2);

/// Plays everything, from the first word to the exit code.
pub fn main() -> ExitCode {
    let interrupt = match Interrupt::watch() {
        Ok(interrupt) => interrupt,
        Err(error) => {
            eprintln!("demo: {error:#}");
            return ExitCode::FAILURE;
        }
    };
    match play(&interrupt) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) if interrupt.came() => {
            eprintln!("\ndemo: interrupted; everything is stopped and removed");
            ExitCode::from(130)
        }
        Err(error) => {
            eprintln!("\ndemo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn play(interrupt: &Interrupt) -> Result<()> {
    let (real_loki, real_prometheus) = (wants_real("LOKI")?, wants_real("PROMETHEUS")?);
    if real_prometheus {
        Prometheus::program().map_err(anyhow::Error::msg)?;
    }
    for tool in ["pebble"].into_iter().chain(real_loki.then_some("loki")) {
        tools::program(tool).map_err(anyhow::Error::msg)?;
    }
    let begin = Instant::now();
    // One folder for whatever anybody puts into a temporary one, also what would outlive its owner.
    let folder = tempfile::Builder::new().prefix("charm-demo-").tempdir()?;
    if tempfile::env::override_temp_dir(folder.path()).is_err() {
        bail!("the folder for temporary files was chosen already");
    }
    let screen = Rc::new(RefCell::new(Screen::new(begin)));
    let say = |text: &str| screen.borrow_mut().say(text);

    say("An alert on its way: from a machine with Falco, through both charms, to Loki.\n");
    let host = boot(&say);
    let parts = Parts::new(host.as_ref().err().map(String::as_str), real_loki, real_prometheus);
    say(&parts.text());
    if real_loki {
        say("Starting Loki, which takes some seconds ...");
    }
    let loki = Destination::start(real_loki, folder.path())?;

    let mut model = observed(&screen, interrupt);
    if let Ok(host) = host {
        model.add_machine(host);
    }
    deploy(&mut model, &loki, &say)?;
    if real_prometheus {
        scrape::relate(&mut model, &say)?;
    }
    model.settle()?;
    screen.borrow_mut().keep_table();
    for unit in model.list() {
        ensure!(unit.status.name == "active", "{}\n{} is {}", last_words(&model), unit.unit, unit.status);
    }

    let received = provoke(&model, &loki, interrupt, &say)?;
    say(&received.text());
    let prometheus = real_prometheus.then(|| scrape::start(&model, folder.path(), interrupt, &say)).transpose()?;
    say(&summary(&model, &received, begin));
    say(&parts.text());
    if is_set("KEEP") {
        say(&hints(&model, &loki, prometheus.as_ref(), folder.path())?);
        keep(&loki, interrupt, &say);
        say("Stopping everything ...");
    }
    Ok(())
}

fn wants_real(variable: &str) -> Result<bool> {
    match std::env::var(variable).unwrap_or_default().as_str() {
        "" => Ok(false),
        "real" => Ok(true),
        other => bail!("{variable}={other}: it can be `real`, or left out"),
    }
}

fn is_set(variable: &str) -> bool {
    std::env::var(variable).is_ok_and(|value| !value.is_empty() && value != "0")
}

/// A host with the real systemd, or why there is none.
fn boot(say: &impl Fn(&str)) -> Result<BootedHost, String> {
    if !nix::unistd::geteuid().is_root() {
        return Err("it needs root".to_owned());
    }
    say("Booting a machine with systemd, in namespaces of this one ...");
    BootedHost::new().map_err(|error| format!("{error:#}"))
}

fn observed(screen: &Rc<RefCell<Screen>>, interrupt: &Interrupt) -> Model {
    let (screen, interrupt) = (Rc::clone(screen), interrupt.clone());
    Model::new().observed_by(move |progress, units| {
        let mut screen = screen.borrow_mut();
        if let Progress::Ended(..) = progress {
            screen.count_hook();
        }
        screen.show(units);
        interrupt.check()
    })
}

fn deploy(model: &mut Model, loki: &Destination, say: &impl Fn(&str)) -> Result<()> {
    say("juju deploy ubuntu                    # a principal: a machine with an application on it");
    model.deploy(Application::principal("ubuntu"))?;
    say("juju deploy falco");
    model.deploy(Application::falco("falco")?)?;
    say("juju deploy falcosidekick-k8s --config allow-plain-http=true");
    say(
        "  # Plain HTTP, as there is no certificate authority here: alerts travel in clear text. For laboratories only.",
    );
    model.deploy(Application::falcosidekick("falcosidekick-k8s")?.config("allow-plain-http", true))?;
    say("juju deploy loki");
    model.deploy(Application::loki("loki", &loki.url()))?;
    model.settle()?;
    say("juju integrate falco ubuntu");
    model.integrate("falco", "ubuntu")?;
    model.settle()?;
    say("juju integrate falcosidekick-k8s:send-loki-logs loki");
    model.integrate("falcosidekick-k8s:send-loki-logs", "loki")?;
    say("juju integrate falco:http-endpoint falcosidekick-k8s     # from a machine model into a Kubernetes model");
    model.integrate("falco:http-endpoint", "falcosidekick-k8s")
}

/// Reads a file that nobody should read, as anybody on the machine could, and waits for the alert.
fn provoke(model: &Model, loki: &Destination, interrupt: &Interrupt, say: &impl Fn(&str)) -> Result<Received> {
    let (mut command, shown) = alert::reading(model.place(FALCO));
    say(&format!("On ubuntu/0, somebody reads a sensitive file:\n\n    $ {shown}\n"));
    let begin = Instant::now();
    let status = command.status().with_context(|| format!("failed to run {shown}"))?;
    ensure!(status.success(), "{shown} failed: {status}");
    loop {
        if let Some(received) = loki.first(begin)? {
            return Ok(received);
        }
        interrupt.check()?;
        ensure!(
            begin.elapsed() < alert::PATIENCE,
            "{}\nthe alert did not arrive within {} s",
            last_words(model),
            alert::PATIENCE.as_secs()
        );
        thread::sleep(STEP);
    }
}

/// What the workloads have said, for whoever has to find out why nothing arrived.
fn last_words(model: &Model) -> String {
    let falco = match model.place(FALCO) {
        Place::Machine(host) => format!("{:#?}", host.machine.journal(crate::falco_host::UNIT)),
        Place::Booted(host) => host.succeed("journalctl", &["-u", "falco.service", "--no-pager"]).unwrap_or_default(),
        Place::Pod(_) | Place::Bare(_) => String::new(),
    };
    let falcosidekick = match model.place(FALCOSIDEKICK) {
        Place::Pod(pod) => pod.pebble.log(),
        Place::Machine(_) | Place::Booted(_) | Place::Bare(_) => String::new(),
    };
    format!("Falco:\n{falco}\nFalcosidekick:\n{falcosidekick}")
}

fn summary(model: &Model, received: &Received, begin: Instant) -> String {
    let hooks = model.records();
    let commands: usize = hooks.iter().map(|hook| hook.hook_commands).sum();
    let inside: Duration = hooks.iter().map(|hook| hook.wall_time).sum();
    format!(
        "From the read to {}: {:.0?}.\n\
         Before that, {} hooks ran in {:.1?}, with {commands} hook commands. The whole demo took {:.1?}.\n",
        received.end,
        received.took,
        hooks.len(),
        inside,
        begin.elapsed(),
    )
}

/// How to look around while everything runs.
fn hints(model: &Model, loki: &Destination, prometheus: Option<&Prometheus>, folder: &Path) -> Result<String> {
    let mut text = format!("Everything is running, below {}. To look around:\n\n", folder.display());
    let mut hint = |what: &str, command: &str| writeln!(text, "  # {what}\n  {command}");
    let port = |unit: &str, option: &str| model.state(unit).config.get(option).cloned().unwrap_or_default();
    let metrics = port(FALCO, "metrics-port");
    hint("another alert", &alert::reading(model.place(FALCO)).1)?;
    hint("Falco's metrics", &format!("curl http://127.0.0.1:{metrics}/metrics"))?;
    match model.place(FALCO) {
        Place::Booted(host) => {
            let leader = host.host().leader();
            let enter = format!("nsenter --target {leader} --all --wdns=/");
            hint("Falco's service, on its machine", &format!("{enter} systemctl status falco"))?;
            hint("a shell on the machine", &enter)?;
            hint("Falco's configuration", &format!("cat {}/etc/juju-falco/falco.yaml", host.root().display()))?;
        }
        Place::Machine(host) => {
            let show = |path: &str| format!("cat {}", host.machine.path(path).display());
            hint("Falco's configuration", &show("/etc/juju-falco/falco.yaml"))?;
            hint("Falco's unit file", &show("/etc/systemd/system/falco.service"))?;
        }
        Place::Pod(_) | Place::Bare(_) => {}
    }
    if let Place::Pod(pod) = model.place(FALCOSIDEKICK) {
        let url = format!("http://{ADDRESS}:{}", port(FALCOSIDEKICK, "port"));
        hint("Falcosidekick's metrics", &format!("curl {url}/metrics"))?;
        let pebble = pebble_binary();
        let pebble = pebble.display();
        hint(
            "Pebble of its container",
            &format!("export PEBBLE={}/{CONTAINER}", pod.path("/var/lib/pebble").display()),
        )?;
        hint(
            "Falcosidekick's service, its log, and the plan of the charm",
            &format!("{pebble} services; {pebble} logs; {pebble} plan"),
        )?;
    }
    if let Some(query) = loki.query_hint() {
        hint("all alerts of the machine, asked of Loki", &query)?;
    }
    if let Some(prometheus) = prometheus {
        hint("what Prometheus scrapes", &format!("curl http://{}/api/v1/targets", prometheus.address()))?;
    }
    text += "\nFurther alerts are shown here. Enter or Ctrl-C ends it all.";
    Ok(text)
}

/// Shows further alerts until somebody has seen enough.
fn keep(loki: &Destination, interrupt: &Interrupt, say: &impl Fn(&str)) {
    let enough = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&enough);
    // It ends with the program: nobody can make it stop reading.
    thread::spawn(move || {
        // The end of the input is no wish: without a terminal there is nobody who could press a key.
        if io::stdin().lock().read_line(&mut String::new()).is_ok_and(|length| length > 0) {
            told.store(true, Ordering::Relaxed);
        }
    });
    let mut known = 1;
    while !enough.load(Ordering::Relaxed) && !interrupt.came() {
        for received in loki.after(known) {
            known += 1;
            say(&received.text());
        }
        thread::sleep(Duration::from_millis(100));
    }
}
