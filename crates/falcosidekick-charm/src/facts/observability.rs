//! The relations to those who observe: who scrapes, who shows the dashboard, who takes the log.
//!
//! A hook command is what a hook costs, and most of what these are told depends on nothing but the charm, its leader and
//! the pod. So it is looked at only in hooks in which one of these may be new, or which are about the relation itself;
//! what is said there is said whatever becomes of the service, and Juju runs a hook again that did not come to its end.

use anyhow::Result;
use charm_core::names::RelationId;
use charm_core::relation::{self, Databag, Side};
use charm_core::{Event, Hook, juju};

use super::{Container, told};
use crate::names::{CONTAINER, GRAFANA_DASHBOARD, LOGGING, METRICS_ENDPOINT};
use crate::observability::logs;
use crate::observability::{LogTakers, Observers, Place};

/// Reads it: two hook commands if all is related and nothing may be new, three for a leader.
pub fn gather(hook: &Hook, leader: bool, container: Option<&Container>) -> Result<Observers> {
    let scrapers = relation::ids(hook, METRICS_ENDPOINT)?;
    let place = if scrapers.is_empty() || !may_be_new(hook, METRICS_ENDPOINT) {
        None
    } else {
        let address = juju::network_get(METRICS_ENDPOINT)?.own_address();
        Some(Place { address, told: told_by_unit(hook, &scrapers)? })
    };
    let viewers = if leader && may_be_new(hook, GRAFANA_DASHBOARD) {
        relation::ids(hook, GRAFANA_DASHBOARD)?
    } else {
        Vec::new()
    };
    let logging = relation::ids(hook, LOGGING)?;
    let is_known = container.is_none_or(|container| logs::is_known(&container.plan)) && !may_be_new(hook, LOGGING);
    Ok(Observers {
        name: Some(hook.unit.clone()),
        told_scrapers: told(hook, leader, scrapers.iter().copied())?,
        place,
        told_viewers: told(hook, leader, viewers.into_iter())?,
        told_log_takers: told(hook, leader && may_be_new(hook, LOGGING), logging.iter().copied())?,
        log_takers: match logging[..] {
            [] => LogTakers::Nobody,
            _ if is_known => LogTakers::AsPlanned,
            _ => LogTakers::These(relation::remote_units_of(&logging)?),
        },
    })
}

/// Whether what this endpoint is told may be new: the relation, the leader, the charm, or the pod.
fn may_be_new(hook: &Hook, endpoint: &str) -> bool {
    let Event::Reconcile(name) = &hook.event else { return false };
    let is_own = name.strip_prefix(endpoint).is_some_and(|rest| rest.starts_with("-relation-"));
    let is_of_pod = name.strip_prefix(CONTAINER).is_some_and(|rest| rest == "-pebble-ready");
    is_own || is_of_pod || ["leader-elected", "start", "upgrade-charm"].contains(&name.as_str())
}

fn told_by_unit(hook: &Hook, relations: &[RelationId]) -> Result<Vec<(RelationId, Databag)>> {
    let read = |id: &RelationId| Some(relation::own(hook, *id, Side::Unit).transpose()?.map(|databag| (*id, databag)));
    relations.iter().filter_map(read).collect()
}
