//! Carrying out a plan, in one fixed order, and looking again.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use charm_core::files;
use charm_core::relation::{self, Side};
use charm_core::{Hook, Status, juju, systemd};

use crate::check::{self, Verdict};
use crate::checked::Checked;
use crate::decide::{Candidate, Expected, Keep, Plan, Seen, ServiceAction, Written};
use crate::distribution;
use crate::facts;
use crate::generation::{self, store};
use crate::k8s_audit;
use crate::leftovers;
use crate::paths::{
    CANDIDATE_FILE, CANDIDATE_FOLDER, CONFIG_FOLDER, DISTRIBUTIONS, GOOD_UNIT_FILE, K8S_AUDIT_FOLDER, OPENED_PORT,
    REFUSED_FILE, RUN_FOLDER, STATE_FOLDER, SUPPORT_BUNDLE, UNIT, UNIT_FILE,
};
use crate::render::unit::{self, Owner};
use crate::repository;

/// How often Falco is looked at until it serves what it should. Its engine opens in two to four seconds; a busy machine
/// needs more.
const LOOKS: u32 = 150;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(200);

/// What came of a plan.
#[derive(Debug)]
pub enum Outcome {
    /// It is carried out.
    Done(Seen),
    /// Falco said something about a candidate that changes what is to be done.
    Learned,
}

/// Carries out the plan.
pub async fn apply(hook: &Hook, plan: &Plan) -> Result<Outcome> {
    if let (Some(tarball), Some(distribution)) = (&plan.install, &plan.distribution)
        && !distribution::is_unpacked(hook, distribution)?
    {
        juju::status_set(&Status::Maintenance(format!("installing Falco {}", distribution.name)))?;
        distribution::unpack(hook, tarball, distribution)?;
    }
    if let Some(generation) = plan.generation.as_ref().filter(|_| !plan.is_stored) {
        store::write(hook, generation)?;
    }
    for file in &plan.audit.write {
        files::private_folder(&hook.path(K8S_AUDIT_FOLDER))?;
        files::replace(&hook.path(&file.path), &file.content, file.mode)?;
        tracing::info!("wrote {}", file.path);
    }
    if let Some(candidate) = &plan.check {
        let verdict = judge(hook, candidate)?;
        Checked::learn(hook, &candidate.digest, verdict)?;
        return Ok(Outcome::Learned);
    }
    for Written(file) in &plan.write {
        files::replace(&hook.path(&file.path), &file.content, file.mode)?;
        tracing::info!("wrote {}", file.path);
    }
    if plan.daemon_reload {
        systemd::daemon_reload()?;
    }
    if plan.enable {
        systemd::enable(UNIT)?;
    }
    let seen = act(plan.service, &plan.expect).await?;
    if seen == Seen::Serving {
        // The version is part of what is kept, so a hook that ends before that is made good by the next one.
        if let (Some(distribution), Some(Keep { good, .. })) = (&plan.distribution, &plan.keep)
            && !good.is_empty()
        {
            juju::application_version_set(distribution.version())?;
        }
        if let Some(keep) = &plan.keep {
            self::keep(hook, keep)?;
        }
        if let Some(distribution) = &plan.distribution {
            distribution::remove_others(hook, distribution)?;
        }
        for path in &plan.remove {
            files::remove(&hook.path(path))?;
        }
        if let Some(known) = &plan.delivery {
            known.write(hook)?;
        }
        k8s_audit::tidy(hook, &plan.audit.remove)?;
        plan.ports.carry_out(hook)?;
        leftovers::remove(hook, &plan.leftovers)?;
        for (id, databag) in &plan.publish {
            relation::publish(*id, Side::Unit, databag)?;
        }
    } else if let (Some(candidate), Some(reproach)) = (&plan.or_reject, Plan::reproach(&seen)) {
        tracing::warn!("{reproach}");
        Checked::learn(hook, candidate, Verdict { rejected: Some(reproach), remarks: Vec::new() })?;
        return Ok(Outcome::Learned);
    } else {
        // With nothing does Falco serve: what else it was run with is not to blame.
        Checked::forget_rejected(hook)?;
    }
    Ok(Outcome::Done(seen))
}

/// Has Falco judge a configuration that nothing uses yet, while what runs goes on.
pub fn judge(hook: &Hook, candidate: &Candidate) -> Result<Verdict> {
    let place = hook.path(CANDIDATE_FILE);
    files::replace(&place, &candidate.config.content, candidate.config.mode)?;
    let rules: Vec<check::RulesFile> = candidate
        .rules
        .iter()
        .map(|path| check::RulesFile { path: PathBuf::from(hook.path_text(path)), shown: generation::shown(path) })
        .collect();
    let asked = check::Candidate {
        program: &hook.path(&candidate.program),
        config: &place,
        rules: &rules,
        selectors: &candidate.selectors,
    };
    let verdict = check::check(&asked);
    files::remove(&hook.path(CANDIDATE_FOLDER))?;
    verdict
}

/// What Falco serves is what it goes back to from now on.
fn keep(hook: &Hook, keep: &Keep) -> Result<()> {
    let Keep { good, links, verdicts, forget_refused } = keep;
    for Written(file) in good {
        files::replace(&hook.path(&file.path), &file.content, file.mode)?;
    }
    store::set_links(hook, links)?;
    if *forget_refused {
        files::remove(&hook.path(REFUSED_FILE))?;
    }
    Checked::keep(hook, verdicts)?;
    store::remove_others(hook, links)
}

async fn act(service: ServiceAction, expect: &Expected) -> Result<Seen> {
    match service {
        ServiceAction::Leave => Ok(Seen::Serving),
        ServiceAction::Start => {
            tracing::info!("starting {UNIT}");
            systemd::start(UNIT)?;
            look(expect).await
        }
        ServiceAction::Reload => reload(expect).await,
        ServiceAction::Restart => restart(expect).await,
    }
}

/// A reload, and a restart if Falco does not take it: it ignores the signal in some states, and drops its watch in
/// others.
async fn reload(expect: &Expected) -> Result<Seen> {
    tracing::info!("reloading {UNIT}");
    systemd::reload(UNIT)?;
    match look(expect).await? {
        Seen::NotServing(_) => {
            tracing::warn!("{UNIT} did not take in its configuration by a reload");
            restart(expect).await
        }
        seen => Ok(seen),
    }
}

async fn restart(expect: &Expected) -> Result<Seen> {
    tracing::info!("restarting {UNIT}");
    systemd::restart(UNIT)?;
    look(expect).await
}

/// Looks until Falco serves what it should, or is down, or has had its time.
async fn look(expect: &Expected) -> Result<Seen> {
    for _ in 0..LOOKS {
        // Falco that ends at once was "active" for a moment, so this comes in each round, not once.
        if !systemd::show(UNIT)?.is_running() {
            return Ok(Seen::Down(last_words()));
        }
        let served = facts::served(expect.port, Duration::ZERO).await;
        if served.is_some_and(|served| expect.is_served(&served)) {
            return Ok(Seen::Serving);
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(Seen::NotServing(last_words()))
}

/// The last words of Falco that explain why it is down.
fn last_words() -> String {
    check::words::last_words(&systemd::last_lines(UNIT, 30))
        .unwrap_or_else(|| format!("no reason in the journal; see: systemctl status {UNIT}"))
}

/// Removes everything that this unit put on the host. What is gone already is no error; what belongs to somebody else
/// is left.
pub fn remove(hook: &Hook) -> Result<()> {
    let unit_file = hook.path(UNIT_FILE);
    let good = || files::read(&hook.path(GOOD_UNIT_FILE));
    if let Some(content) = files::read(&unit_file)?.map_or_else(good, |content| Ok(Some(content)))? {
        if unit::owner_of(&content, hook) != Owner::Us {
            tracing::info!("{UNIT_FILE} is not ours: left as it is");
            return Ok(());
        }
        systemd::disable_and_stop(UNIT)?;
        files::remove(&unit_file)?;
    }
    systemd::daemon_reload()?;
    files::remove(&hook.path(CONFIG_FOLDER))?;
    files::remove(&hook.path(DISTRIBUTIONS))?;
    files::remove(&hook.path(RUN_FOLDER))?;
    files::remove(&hook.path(SUPPORT_BUNDLE))?;
    files::remove(&hook.path(OPENED_PORT))?;
    repository::forget(hook)?;
    // Nobody else knows this folder, but whoever has put something there keeps it: the system call sees to that.
    let _ = std::fs::remove_dir(hook.path(STATE_FOLDER));
    Ok(())
}
