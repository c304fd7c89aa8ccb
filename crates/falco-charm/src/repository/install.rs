//! Git and ssh on a machine that has none: they are packages of the system, so they are left there when the charm goes,
//! as somebody else may have come to use them.

use std::io::ErrorKind;
use std::time::Duration;

use anyhow::{Error, Result};
use charm_core::process::{self, Command};
use charm_core::{Hook, Status};

use super::REPOSITORY;
use super::url::Transport;

/// What is installed. Git alone would do neither SSH nor, on a bare machine, HTTPS.
const PACKAGES: [&str; 3] = ["git", "openssh-client", "ca-certificates"];

/// How apt-get is told to ask nothing, to wait for another one that is at work, and to bear with the network.
const OPTIONS: [&str; 4] = ["--quiet", "--yes", "--option=DPkg::Lock::Timeout=60", "--option=Acquire::Retries=3"];

/// The longest that one apt-get takes. Far more than it needs: ending one that unpacks leaves work for the operator.
const LONGEST: Duration = Duration::from_secs(600);

/// Installs what the transport needs, if it is not there.
pub fn ensure(hook: &Hook, transport: Transport) -> Result<()> {
    if is_complete(transport)? {
        return Ok(());
    }
    tracing::info!("installing {}", PACKAGES.join(", "));
    // The lists of packages are renewed only when those of the machine will not do: it takes its time.
    let install = || apt(hook).arg("install").args(OPTIONS).arg("--no-install-recommends").args(PACKAGES).run();
    let installed = install().or_else(|_| {
        apt(hook).arg("update").args(OPTIONS).run()?;
        install()
    });
    match installed {
        Ok(_) if is_complete(transport)? => Ok(()),
        Ok(_) => Err(Status::Blocked(format!(
            "{REPOSITORY}: git needs git and ssh, which apt-get has not brought; install them"
        ))
        .into()),
        Err(error) => {
            let status = status(&error);
            Err(Error::new(error).context(status))
        }
    }
}

fn status(error: &process::Error) -> Status {
    match error {
        process::Error::Failed(_, output) => {
            // The first error is the cause, and what follows comes from it.
            let line = output.stderr.lines().find_map(|line| line.strip_prefix("E: "));
            Status::Waiting(format!("{REPOSITORY}: cannot install git ({})", line.unwrap_or("apt-get failed")))
        }
        process::Error::TimedOut(..) => Status::Waiting(format!("{REPOSITORY}: cannot install git (apt-get hangs)")),
        process::Error::Start(..) => Status::Blocked(format!("{REPOSITORY}: this machine has no git; install it")),
    }
}

/// Is every program there that the transport needs?
fn is_complete(transport: Transport) -> Result<bool> {
    let programs: &[(&str, &str)] = match transport {
        Transport::Ssh => &[("git", "--version"), ("ssh", "-V")],
        Transport::Https => &[("git", "--version")],
    };
    for (program, argument) in programs {
        match Command::new(program).arg(argument).output() {
            Err(process::Error::Start(_, error)) if error.kind() == ErrorKind::NotFound => return Ok(false),
            other => drop(other?),
        }
    }
    Ok(true)
}

fn apt(hook: &Hook) -> Command {
    let mut command = Command::new("apt-get")
        .env("LC_ALL", "C")
        .env("DEBIAN_FRONTEND", "noninteractive")
        // Ubuntu restarts services after an installation, which is not for us to decide.
        .env("NEEDRESTART_SUSPEND", "1")
        .limit(LONGEST);
    for (name, value) in hook.proxy.variables() {
        command = command.env(name, value);
    }
    command
}
