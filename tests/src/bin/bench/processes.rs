//! What any process costs on this machine, and any hook command of the harness.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};
use charm_tests::falco_host::GENERAL_INFO;
use charm_tests::juju::{Context, Event, Relation, State};
use charm_tests::programs;

use crate::case::{Calls, Case, quantile};
use crate::launch::{self, Mode};
use crate::launcher::Launcher;

/// An empty process takes so little that more of them are run.
const RUNS_OF_EMPTY: usize = 5;

/// Of how many hook commands the cost of one is taken.
const COMMANDS: u8 = 20;

/// Things to compare a hook with.
#[derive(Debug)]
pub struct Processes {
    /// `/bin/true`.
    pub system: Case,
    /// A program in Rust that does nothing.
    pub rust: Case,
    /// How long one hook command takes: its process, the way to the harness and back, and the harness's answer.
    pub hook_command: Duration,
}

/// Measures all of them.
pub fn measure(runs: usize) -> Result<Processes> {
    Ok(Processes {
        system: empty("an empty process, /bin/true", "/bin/true".into(), runs)?,
        rust: empty("an empty process in Rust", programs::built("nothing"), runs)?,
        hook_command: hook_command(runs)?,
    })
}

fn empty(name: &'static str, program: PathBuf, runs: usize) -> Result<Case> {
    eprintln!("{name}");
    let (line, mut case) = ([program.into()], Case::new(name));
    for _ in 0..runs * RUNS_OF_EMPTY {
        let (code, cost) = launch::measure(&line, &BTreeMap::new(), Mode::Time)?;
        ensure!(code == 0, "{name} failed");
        case.add(cost, Calls::default());
    }
    let (_, cost) = launch::measure(&line, &BTreeMap::new(), Mode::Memory)?;
    case.add(cost, Calls::default());
    Ok(case)
}

/// From the difference between a script that calls some and one that calls none.
fn hook_command(runs: usize) -> Result<Duration> {
    eprintln!("one hook command");
    let [without, with] = [0, COMMANDS].map(|commands| script(commands, runs));
    Ok(with?.saturating_sub(without?) / u32::from(COMMANDS))
}

fn script(commands: u8, runs: usize) -> Result<Duration> {
    let launcher = Launcher::new(Mode::Time)?;
    let charm = launcher.folder().join("script");
    fs::write(&charm, format!("#!/bin/sh\n{}exit 0\n", "is-leader\n".repeat(commands.into())))?;
    fs::set_permissions(&charm, fs::Permissions::from_mode(0o755))?;
    let context = Context::new(programs::charmcraft("falco"), charm, programs::hook_command())?;
    let context = launcher.prepare(context);
    let state = State::default().relation(Relation::new(GENERAL_INFO, "general-info", "ubuntu").remote_unit(0));
    let mut case = Case::new("a script");
    for _ in 0..runs {
        let outcome = context.run(&Event::update_status(), &state).expect_success();
        ensure!(outcome.hook_commands() == usize::from(commands), "the script was not run:\n{}", outcome.report());
        case.add(launcher.cost()?, Calls::of(&outcome, 0));
    }
    Ok(quantile(&case.wall, 0.5))
}
