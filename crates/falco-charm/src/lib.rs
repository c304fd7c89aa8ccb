//! The falco charm: installs and runs Falco on the principal's host.
//!
//! One hook is one pass of data through three functions, [`facts::gather`], [`decide::decide`] and [`apply::apply`].
//! Each may do what its module says, and nothing else.

pub mod actions;
pub mod apply;
pub mod authorities;
pub mod check;
pub mod checked;
pub mod config;
pub mod containers;
pub mod cos_agent;
pub mod decide;
pub mod delivery;
pub mod distribution;
pub mod facts;
pub mod generation;
pub mod host;
pub mod k8s_audit;
pub mod leftovers;
pub mod metrics;
pub mod overrides;
pub mod paths;
pub mod probe;
pub mod remotes;
pub mod render;
pub mod repository;
pub mod support_bundle;
pub mod test_alert;
pub mod trust;
#[cfg(test)]
mod world;

use std::process::ExitCode;

use anyhow::Result;
use charm_core::{Event, Hook, Status};

use self::apply::Outcome;
use self::facts::Facts;
use self::repository::Look;

/// Runs one hook or action, and exits as Juju expects it.
pub fn main() -> ExitCode {
    charm_core::run(dispatch)
}

async fn dispatch(hook: Hook) -> Result<Option<Status>> {
    match &hook.event {
        Event::Reconcile(name) => reconcile(&hook, look_of(name)).await,
        Event::Remove => apply::remove(&hook).map(|()| None),
        Event::Action(name) => actions::run(&hook, name).await.map(|()| None),
    }
}

async fn reconcile(hook: &Hook, look: Look) -> Result<Option<Status>> {
    let facts = facts::gather(hook, look).await?; // reads everything, changes nothing
    if hook.dry_run {
        return charm_core::run::print_plan(&decide::decide(&facts)?).map(|()| None);
    }
    trust::ask(hook, &facts.trust)?;
    carry_out(hook, facts).await.map(Some)
}

/// Decides and applies until Falco has nothing more to say that changes what is to be done. Each time it says something
/// new about one of at most four candidates, so this ends.
async fn carry_out(hook: &Hook, mut facts: Facts) -> Result<Status> {
    loop {
        let plan = decide::decide(&facts)?; // pure
        match apply::apply(hook, &plan).await? {
            Outcome::Done(seen) => return Ok(plan.status(&seen)), // from what is really there
            Outcome::Learned => facts::look_again(hook, &mut facts).await?,
        }
    }
}

/// When the operator's repository is looked at: when an option or a secret may have changed, and from time to time.
/// Relations change too often for it.
fn look_of(event: &str) -> Look {
    match event {
        "install" | "upgrade-charm" | "start" | "config-changed" | "secret-changed" | "update-status" => Look::Remote,
        _ => Look::Stored,
    }
}
