//! From the environment to an exit code, setting one status on the way.
//!
//! A [`Status`] anywhere in the chain of an error means "this was expected: set it, exit 0". An error without one means
//! a bug or a broken machine: it is logged whole, the exit code is 1, and Juju rolls back and tries again. That puts
//! the unit into error and stops all its further hooks, so it is kept for what a charm cannot understand.

use std::process::ExitCode;

use anyhow::{Context, Error, Result};
use clap::{Parser, Subcommand};
use serde::Serialize;

use crate::hook::{Event, Hook};
use crate::status::{Status, one_line};
use crate::{juju, log};

/// How much of an action's failure is shown, in characters.
const LONGEST_FAILURE: usize = 2_000;

/// A Juju charm. Juju runs it without arguments, in the environment of a hook or an action.
#[derive(Debug, Parser)]
#[command(name = "dispatch")]
struct Arguments {
    #[command(subcommand)]
    command: Option<Mode>,
}

#[derive(Debug, Subcommand)]
enum Mode {
    /// Read everything, print what a hook would do as YAML, and change nothing. For `juju exec`.
    Plan,
}

/// Runs the charm once: `handle` gets the hook and returns the status to set, or `None` to leave it as it is.
pub fn run<F: Future<Output = Result<Option<Status>>>>(handle: impl FnOnce(Hook) -> F) -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // For a request of help this is no error; clap knows which stream it belongs to.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let mut hook = match Hook::from_env() {
        Ok(hook) => hook,
        Err(error) => {
            log::start(false);
            tracing::error!("{error:#}");
            return ExitCode::FAILURE;
        }
    };
    hook.dry_run = matches!(arguments.command, Some(Mode::Plan));
    let in_action = matches!(hook.event, Event::Action(_));
    log::start(in_action || hook.dry_run);
    let dry_run = hook.dry_run;
    let result = block_on(handle(hook));
    let finished = match result {
        Ok(None) => Ok(()),
        Ok(Some(status)) => settle(&status, in_action, dry_run),
        Err(error) => fail(error, in_action, dry_run),
    };
    match finished {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Prints a plan as YAML, for `dispatch plan`.
#[expect(clippy::print_stdout, reason = "the output of `dispatch plan`")]
pub fn print_plan(plan: &impl Serialize) -> Result<()> {
    print!("{}", serde_yaml::to_string(plan).context("failed to write the plan as YAML")?);
    Ok(())
}

/// One thread: hook commands come one after the other anyway, and blocking in it is fine, because nothing else runs.
fn block_on<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("failed to start the runtime")?;
    let result = runtime.block_on(future);
    // A name server that nobody waits for any more would otherwise be waited for here.
    runtime.shutdown_background();
    result
}

fn settle(status: &Status, in_action: bool, dry_run: bool) -> Result<()> {
    if in_action {
        return juju::action_fail(&status.message());
    }
    if dry_run {
        return print_plan(&status.to_string());
    }
    juju::status_set(status)
}

fn fail(error: Error, in_action: bool, dry_run: bool) -> Result<()> {
    match error.downcast_ref::<Status>() {
        Some(status) => {
            // The operator reads the status; whoever looks for the reason reads the chain below it.
            tracing::debug!("{error:#}");
            settle(status, in_action, dry_run)
        }
        // An exit code other than 0 would replace the text.
        None if in_action => juju::action_fail(&one_line(&format!("{error:#}"), LONGEST_FAILURE)),
        None => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_nobody_waits_for_any_more_does_not_hold_the_hook() {
        let (release, held) = mpsc::channel::<()>();
        // As the lookup of a name is done: it cannot be stopped, only left alone.
        let hook = async {
            let lookup = tokio::task::spawn_blocking(move || held.recv());
            assert!(tokio::time::timeout(Duration::from_millis(10), lookup).await.is_err());
            Ok(())
        };
        block_on(hook).unwrap();
        // Only now may it end: had it been waited for, nobody would ever come here.
        drop(release);
    }
}
