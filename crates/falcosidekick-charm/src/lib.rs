//! The falcosidekick-k8s charm: runs Falcosidekick in a container beside it, by Pebble.
//!
//! One hook is one pass of data through three functions, [`facts::gather`], [`decide::decide`] and [`apply::apply`].
//! Each may do what its module says, and nothing else.

pub mod actions;
pub mod address;
pub mod apply;
pub mod config;
pub mod decide;
pub mod facts;
pub mod fields;
pub mod health;
pub mod kubernetes;
pub mod listener;
pub mod log;
pub mod names;
pub mod observability;
pub mod outputs;
pub mod plan;
pub mod proxy;
pub mod render;
pub mod sinks;
pub mod tls;
pub mod trust;
pub mod turns;

use std::process::ExitCode;

use anyhow::Result;
use charm_core::{Event, Hook, Status};

/// Runs one hook or action, and exits as Juju expects it.
pub fn main() -> ExitCode {
    charm_core::run(dispatch)
}

async fn dispatch(hook: Hook) -> Result<Option<Status>> {
    match &hook.event {
        Event::Reconcile(_) => reconcile(&hook).await,
        // Everything else goes away with the pod.
        Event::Remove => {
            apply::kubernetes::farewell(&hook).await;
            Ok(None)
        }
        Event::Action(name) => actions::run(&hook, name).await.map(|()| None),
    }
}

async fn reconcile(hook: &Hook) -> Result<Option<Status>> {
    let mut facts = facts::gather(hook).await?; // reads everything, changes nothing
    let mut plan = decide::decide(&facts); // pure
    // What the other units say matters to whoever has to restart, and to nobody else.
    if plan.look_at_peers {
        facts::turns::look(hook, &mut facts).await?;
        plan = decide::decide(&facts);
    }
    if hook.dry_run {
        return charm_core::run::print_plan(&plan).map(|()| None);
    }
    // What the cluster makes of it may change where callers are sent, so that everything is decided once more.
    if let Some(objects) = apply::kubernetes::apply(hook, &plan.kubernetes, &facts.cluster).await {
        facts.cluster.objects = Some(objects);
        plan = decide::decide(&facts);
    }
    let seen = apply::apply(hook, &plan, &mut facts.notes).await; // changes what differs, then looks again
    facts.notes.keep()?; // whatever became of it: Juju takes what was told and the note of it together
    let seen = seen?;
    let health = health::look(hook, &plan, &seen).await?; // what has become of alerts since the last hook
    Ok(Some(health.status(plan.status(&seen))))
}
