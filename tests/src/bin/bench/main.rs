//! What one dispatch of each charm costs, beside what any process costs on the same machine: `make bench`.
//!
//! `bench [RUNS]` prints the table, below it what many related Falcos cost ([`scale`]), and what the unit of Falco leaves
//! open ([`exposure`]). The charms are those that `FALCO_DISPATCH` and `FALCOSIDEKICK_DISPATCH` name, and have to be built
//! for release, as those that are packed.
//! Nothing is asserted about time, which is the machine's; hook commands and memory are the charm's alone, and have
//! budgets.
//!
//! `bench launch REPORT MODE PROGRAM…` is how the harness starts a charm that is measured: see [`launch`].

mod case;
mod charms;
mod exposure;
mod launch;
mod launcher;
mod processes;
mod scale;
mod table;

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail, ensure};

/// How often each case is run when nobody says otherwise.
const RUNS: usize = 20;

fn main() -> ExitCode {
    match run(&std::env::args_os().skip(1).collect::<Vec<_>>()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[OsString]) -> Result<ExitCode> {
    let runs = match arguments {
        [command, report, mode, line @ ..] if command == "launch" => return launch::main(report, mode, line),
        [] => RUNS,
        [runs] => runs.to_str().and_then(|runs| runs.parse().ok()).context("the number of runs is no number")?,
        _ => bail!("usage: bench [RUNS]"),
    };
    ensure!(runs > 0, "no run is no measurement");
    for variable in ["FALCO_DISPATCH", "FALCOSIDEKICK_DISPATCH"] {
        let named = std::env::var_os(variable).is_some_and(|value| !value.is_empty());
        ensure!(named, "{variable} has to name a charm built for release; make bench sees to that");
    }

    let processes = processes::measure(runs)?;
    let charms = [charms::falco(runs)?, charms::falcosidekick(runs)?];
    let scale = scale::measure()?;
    print!("{}{}{}", table::text(&processes, &charms, runs), scale::text(&scale), exposure::text()?);
    let mut problems: Vec<String> = charms.iter().flat_map(case::Charm::over_budget).collect();
    problems.extend(scale::over_budget(&scale));
    for problem in &problems {
        eprintln!("bench: over budget: {problem}");
    }
    Ok(if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
