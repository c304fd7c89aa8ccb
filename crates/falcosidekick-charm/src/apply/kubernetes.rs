//! The objects of the cluster that are ours.

use anyhow::{Result, anyhow};
use charm_core::config::Problems;
use charm_core::{Hook, juju};

use crate::facts;
use crate::kubernetes::access::Access;
use crate::kubernetes::{Cluster, MARK, Objects, Steps, Trouble, client, decide};

/// Changes what differs, then looks again. `None`: there was nothing to change.
pub async fn apply(hook: &Hook, steps: &Steps, cluster: &Cluster) -> Option<Result<Objects, Trouble>> {
    if steps.service.is_none() && steps.budget.is_none() && steps.spread.is_none() {
        return None;
    }
    Some(match client::carry_out(hook, steps).await {
        Ok(()) => client::look(hook, &cluster.wanted, cluster.leads).await,
        Err(trouble) => Err(trouble),
    })
}

/// Notes down whether there may be objects of ours. Juju keeps it back until the hook succeeds.
pub fn mark(steps: &Steps) -> Result<()> {
    match steps.mark {
        None => Ok(()),
        Some(true) => juju::state_set(MARK, "yes"),
        Some(false) => juju::state_delete(MARK),
    }
}

/// The last hook of a unit. When there is to be no unit any more, our objects go, whoever leads: the last unit may end
/// before it has become the leader. What cannot be done here is done by Kubernetes, when what Juju made goes: a failure
/// must not keep the unit from ending.
pub async fn farewell(hook: &Hook) {
    if let Err(error) = clear_away(hook).await {
        tracing::warn!("left to Kubernetes to remove what this charm made there: {error:#}");
    }
}

async fn clear_away(hook: &Hook) -> Result<()> {
    let wanted = Access::parse(&juju::config_get()?, &mut Problems::default());
    let before = facts::cluster::marks(wanted, true)?;
    if (before.wanted == Access::None && !before.is_marked) || juju::planned_units()? > 0 {
        return Ok(());
    }
    let app = hook.unit.app.as_str();
    let failed = |trouble: Trouble| anyhow!(trouble.status(app).message());
    let objects = client::look(hook, &Access::None, true).await.map_err(failed)?;
    let cluster = Cluster { wanted: Access::None, objects: Some(Ok(objects)), ..before };
    let decision = decide::decide(&cluster, app, &hook.model.name, 0);
    client::carry_out(hook, &decision.steps).await.map_err(failed)?;
    decision.status.map_or(Ok(()), |status| Err(anyhow!(status.message())))
}
