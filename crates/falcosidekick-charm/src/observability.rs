//! What those who look at Falcosidekick get: metrics with alert rules, a dashboard, and its log. Pure.

pub mod dashboard;
pub mod logs;
pub mod metrics;

use std::collections::BTreeMap;
use std::net::IpAddr;

use charm_core::Status;
use charm_core::interfaces::{RelationData, loki_push_api, prometheus_scrape};
use charm_core::names::{RelationId, UnitName};
use charm_core::notes::Told;
use charm_core::pebble::Layer;
use charm_core::relation::{RemoteUnits, Side};

use crate::decide;
use crate::facts::Facts;
use crate::names::{GRAFANA_DASHBOARD, LOGGING, METRICS_ENDPOINT};
use crate::plan::{Plan, Publish};

/// What there is of relations to those who look.
#[derive(Clone, Debug, Default)]
pub struct Observers {
    /// The name of this unit.
    pub name: Option<UnitName>,
    /// What our application published on `metrics-endpoint`; empty unless this is the leader.
    pub told_scrapers: BTreeMap<RelationId, Told>,
    /// Where this unit is scraped; `None` while that cannot be new.
    pub place: Option<Place>,
    /// What our application published on `grafana-dashboard`; empty unless this is the leader, and that may be new.
    pub told_viewers: BTreeMap<RelationId, Told>,
    /// The same on `logging`.
    pub told_log_takers: BTreeMap<RelationId, Told>,
    /// Who takes the log.
    pub log_takers: LogTakers,
}

/// Who takes the log of Falcosidekick.
#[derive(Clone, Debug, Default)]
pub enum LogTakers {
    /// Nobody is related.
    #[default]
    Nobody,
    /// Those of whom the plan of the container tells already.
    AsPlanned,
    /// The units of these relations.
    These(Vec<RemoteUnits>),
}

/// Where this unit is scraped.
#[derive(Clone, Debug, Default)]
pub struct Place {
    /// The address of its pod.
    pub address: Option<IpAddr>,
    /// What it published of itself on `metrics-endpoint`.
    pub told: BTreeMap<RelationId, Told>,
}

/// What has to be done about them, whatever becomes of the service.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Around {
    introduce: Vec<Publish>,
    log_targets: Layer,
    status: Option<Status>,
}

/// Decides it.
pub fn decide(facts: &Facts) -> Around {
    let Observers { name, told_scrapers: _, place, told_viewers, told_log_takers, log_takers: _ } = &facts.observers;
    let topology = &facts.topology;
    let requirer = || loki_push_api::Requirer { topology: topology.clone(), alert_rules: logs::alert_rules(topology) };
    let mut introduce = decide::publish(GRAFANA_DASHBOARD, told_viewers, |_, _| dashboard::provider().write());
    introduce.extend(decide::publish(LOGGING, told_log_takers, |_, _| requirer().write()));
    if let Some(Place { address: Some(address), told }) = place
        && let Some(name) = name
    {
        let wanted = prometheus_scrape::ProviderUnit { address: *address, name: name.clone() }.write();
        let of = |(relation, told): (&RelationId, &Told)| {
            Publish::of(METRICS_ENDPOINT, *relation, Side::Unit, told, &wanted)
        };
        introduce.extend(told.iter().filter_map(of));
    }
    let (log_targets, status) = logs::decide(facts);
    Around { introduce, log_targets, status }
}

impl Around {
    /// Puts it into the plan. One request takes all of the layer.
    pub fn put_into(self, plan: &mut Plan) {
        let Self { introduce, log_targets, status } = self;
        plan.introduce.extend(introduce);
        if log_targets != Layer::default() {
            plan.layer.get_or_insert_default().log_targets.extend(log_targets.log_targets);
        }
        plan.notes.extend(status);
    }
}
