//! Carrying out a plan, in one fixed order, and looking again.

use std::time::Duration;

use anyhow::{Context, Result};
use charm_core::files::{self, File};
use charm_core::process::{Command, Error};
use charm_core::{Hook, Status, juju, systemd};

use crate::decide::{self, Candidate, Expected, Plan, Seen, ServiceAction};
use crate::distribution;
use crate::facts;
use crate::paths::{CANDIDATE_FILE, CANDIDATE_FOLDER, CONFIG_FOLDER, DISTRIBUTIONS, PROGRAM, UNIT, UNIT_FILE};
use crate::render::{self, Owner};

/// A dry run takes a tenth of a second with the default rules.
const LONGEST_DRY_RUN: Duration = Duration::from_secs(60);

/// How often Falco is looked at until it serves what it should. Its engine opens in two to four seconds; a busy machine
/// needs more.
const LOOKS: u32 = 150;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(200);

/// Carries out the plan.
pub async fn apply(hook: &Hook, plan: &Plan) -> Result<Seen> {
    // The status is made from the rest of the plan and from what is seen.
    let Plan { distribution, install, check, write, daemon_reload, service, expect, notes: _ } = plan;

    if let Some(tarball) = install {
        juju::status_set(&Status::Maintenance(format!("installing Falco {}", distribution.name)))?;
        distribution::unpack(hook, tarball, distribution)?;
    }
    if let Some(Candidate(file)) = check {
        dry_run(hook, &distribution.path(PROGRAM), file)?;
    }
    for decide::Written(file) in write {
        files::replace(&hook.path(&file.path), &file.content, file.mode)?;
        tracing::info!("wrote {}", file.path);
    }
    if *daemon_reload {
        systemd::daemon_reload()?;
    }
    let seen = match service {
        ServiceAction::Leave => Seen::Serving,
        ServiceAction::Start => {
            tracing::info!("starting {UNIT}");
            systemd::enable_and_start(UNIT)?;
            look(hook, expect).await?
        }
        ServiceAction::Reload => reload(hook, expect).await?,
        ServiceAction::Restart => restart(hook, expect).await?,
    };
    if seen == Seen::Serving {
        distribution::remove_others(hook, distribution)?;
        juju::application_version_set(distribution.version())?;
    }
    Ok(seen)
}

/// Removes everything that this unit put on the host. What is gone already is no error; what belongs to somebody else
/// is left.
pub fn remove(hook: &Hook) -> Result<()> {
    let unit_file = hook.path(UNIT_FILE);
    if let Some(content) = files::read(&unit_file)? {
        if render::owner_of(&content, hook) != Owner::Us {
            tracing::info!("{UNIT_FILE} is not ours: left as it is");
            return Ok(());
        }
        systemd::disable_and_stop(UNIT)?;
        files::remove(&unit_file)?;
    }
    systemd::daemon_reload()?;
    files::remove(&hook.path(CONFIG_FOLDER))?;
    files::remove(&hook.path(DISTRIBUTIONS))?;
    Ok(())
}

/// Has Falco check a configuration that nothing uses yet. What it says becomes the status, and what runs goes on.
fn dry_run(hook: &Hook, program: &str, file: &File) -> Result<()> {
    let candidate = hook.path(CANDIDATE_FILE);
    files::replace(&candidate, &file.content, file.mode)?;
    let arguments = ["-c".as_ref(), candidate.as_os_str(), "--dry-run".as_ref()];
    let checked = Command::new(hook.path(program)).args(arguments).limit(LONGEST_DRY_RUN).run();
    files::remove(&hook.path(CANDIDATE_FOLDER))?;
    match checked {
        Ok(_) => Ok(()),
        Err(Error::Failed(command, output)) => {
            let lines: Vec<String> = output.stderr.lines().map(str::to_owned).collect();
            let status = Status::Blocked(format!("Falco rejects its configuration: {}", decide::last_words(&lines)));
            Err(anyhow::Error::new(Error::Failed(command, output)).context(status))
        }
        Err(error) => {
            let status = Status::Blocked(format!("Falco cannot check its configuration: {error}"));
            Err(anyhow::Error::new(error).context(status))
        }
    }
}

/// A reload, and a restart if Falco does not take it: it ignores the signal in some states, and drops its watch in
/// others.
async fn reload(hook: &Hook, expect: &Expected) -> Result<Seen> {
    tracing::info!("reloading {UNIT}");
    systemd::reload(UNIT)?;
    match look(hook, expect).await? {
        Seen::NotServing(_) => {
            tracing::warn!("{UNIT} did not take in its configuration by a reload");
            restart(hook, expect).await
        }
        seen => Ok(seen),
    }
}

async fn restart(hook: &Hook, expect: &Expected) -> Result<Seen> {
    tracing::info!("restarting {UNIT}");
    systemd::restart(UNIT)?;
    look(hook, expect).await
}

/// Looks until Falco serves what it should, or is down, or has had its time.
async fn look(hook: &Hook, expect: &Expected) -> Result<Seen> {
    let rules = facts::rules_on_disk(hook, &expect.rules).context("failed to read the rules")?;
    for _ in 0..LOOKS {
        // Falco that ends at once was "active" for a moment, so this comes in each round, not once.
        if !systemd::show(UNIT)?.is_running() {
            return Ok(Seen::Down(last_words()));
        }
        let served = facts::served(expect.port, Duration::ZERO).await;
        if served.is_some_and(|served| expect.is_served(&served, &rules)) {
            return Ok(Seen::Serving);
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(Seen::NotServing(last_words()))
}

fn last_words() -> String {
    decide::last_words(&systemd::last_lines(UNIT, 30))
}
