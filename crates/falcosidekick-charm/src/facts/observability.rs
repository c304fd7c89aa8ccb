//! The relations to those who observe: who scrapes, who shows the dashboard, who takes the log.
//!
//! Most of what these are told depends on nothing but the charm, its leader and the pod. So it is looked at only in hooks
//! in which one of these may be new, or which are about the relation itself, and not even noted; what is said there is
//! said whatever becomes of the service, and Juju runs a hook again that did not come to its end.

use std::collections::BTreeMap;

use anyhow::Result;
use charm_core::names::RelationId;
use charm_core::notes::{Notes, Told};
use charm_core::relation::{self, Side};
use charm_core::{Hook, juju};

use super::{Container, told};
use crate::names::{GRAFANA_DASHBOARD, LOGGING, METRICS_ENDPOINT};
use crate::observability::logs;
use crate::observability::{LogTakers, Observers, Place};

/// Reads it: one hook command if nothing may be new.
pub fn gather(hook: &Hook, leader: bool, container: Option<&Container>, notes: &mut Notes) -> Result<Observers> {
    let scrapers = notes.ids(hook, METRICS_ENDPOINT)?;
    let place = if scrapers.is_empty() || !may_be_new(hook, METRICS_ENDPOINT) {
        None
    } else {
        let address = juju::network_get(METRICS_ENDPOINT)?.own_address();
        Some(Place { address, told: read(hook, &scrapers, Side::Unit)? })
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
        told_scrapers: told(hook, leader, scrapers.iter().copied(), notes)?,
        place,
        told_viewers: read(hook, &viewers, Side::App)?,
        told_log_takers: if leader && may_be_new(hook, LOGGING) {
            read(hook, &logging, Side::App)?
        } else {
            BTreeMap::new()
        },
        log_takers: match logging[..] {
            [] => LogTakers::Nobody,
            _ if is_known => LogTakers::AsPlanned,
            _ => LogTakers::These(relation::remote_units_of(&logging)?),
        },
    })
}

/// Whether what this endpoint is told may be new: the relation, the leader, the charm, or the pod.
fn may_be_new(hook: &Hook, endpoint: &str) -> bool {
    hook.event.begins_anew() || hook.event.is_of_relation(endpoint)
}

/// Our own databags in these relations.
fn read(hook: &Hook, relations: &[RelationId], side: Side) -> Result<BTreeMap<RelationId, Told>> {
    let own = |id: &RelationId| Ok(relation::own(hook, *id, side)?.map(|databag| (*id, Told::of(&databag))));
    relations.iter().filter_map(|id| own(id).transpose()).collect()
}
