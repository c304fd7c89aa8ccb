//! What becomes of our objects, and where callers from outside are sent. Pure.

use charm_core::Status;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::access::{Access, EXTERNAL_ACCESS};
use super::objects::{self, is_ending, is_ours, service_name};
use super::{Change, Cluster, Objects, Outside, Steps, Trouble, Workload};

/// What was decided.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// What to do.
    pub steps: Steps,
    /// What to tell the operator.
    pub status: Option<Status>,
}

/// Decides. `port`: where alerts are received.
pub fn decide(cluster: &Cluster, app: &str, model: &str, port: u16) -> Decision {
    let is_wanted = cluster.wanted != Access::None;
    let mut steps = Steps { mark: (is_wanted && !cluster.is_marked).then_some(true), ..Steps::default() };
    let objects = match &cluster.objects {
        None => return Decision { steps, status: None },
        Some(Err(trouble)) => return Decision { steps, status: Some(trouble.status(app)) },
        Some(Ok(objects)) => objects,
    };
    if cluster.leads {
        steps.service = service_change(cluster, objects, app, port);
        steps.budget = budget_change(cluster, objects, app);
        let workload = objects.workload.as_ref().filter(|_| is_wanted);
        let lacks_it = |workload: &&Workload| workload.units > 1 && !workload.is_spread;
        steps.spread = workload.filter(lacks_it).map(|workload| objects::spread(app, workload));
    }
    if !is_wanted {
        let is_clean = objects.service.as_ref().is_none_or(|service| !is_ours(&service.metadata))
            && objects.budgets.as_ref().is_ok_and(|budgets| our_budget(budgets, app).is_none());
        steps.mark = (is_clean && cluster.is_marked).then_some(false);
        let trouble = objects.budgets.as_ref().err();
        return Decision { steps, status: trouble.map(|trouble| trouble.status(app)) };
    }
    let status = service_status(cluster, objects, app, model, port)
        .or_else(|| objects.budgets.as_ref().err().map(|trouble: &Trouble| trouble.status(app)));
    Decision { steps, status }
}

/// Where callers from outside are sent.
pub fn outside(cluster: &Cluster, port: u16) -> Outside {
    if cluster.wanted == Access::None {
        return Outside::NotWanted;
    }
    let port = usable(cluster).and_then(|(service, _)| match cluster.wanted {
        Access::NodePort => objects::node_port(service, port),
        // A Service that another unit has still to correct leads nowhere.
        Access::None | Access::LoadBalancer(_) => has_port(service, port).then_some(port),
    });
    match (hosts(cluster), port) {
        (hosts, Some(port)) if !hosts.is_empty() => Outside::At { hosts, port },
        _ => Outside::Pending,
    }
}

/// The addresses and names by which callers from outside get in, on whichever port.
pub fn hosts(cluster: &Cluster) -> Vec<String> {
    let Some((service, objects)) = usable(cluster) else { return Vec::new() };
    match cluster.wanted {
        Access::None => Vec::new(),
        Access::LoadBalancer(_) => objects::balancer_hosts(service),
        Access::NodePort => objects::node_host(&objects.nodes).map(str::to_owned).into_iter().collect(),
    }
}

fn usable(cluster: &Cluster) -> Option<(&Service, &Objects)> {
    let objects = cluster.objects.as_ref()?.as_ref().ok()?;
    objects.service.as_ref().filter(|service| is_usable(&service.metadata)).map(|service| (service, objects))
}

fn is_usable(metadata: &ObjectMeta) -> bool {
    is_ours(metadata) && !is_ending(metadata)
}

fn has_port(service: &Service, port: u16) -> bool {
    let ports = service.spec.as_ref().and_then(|spec| spec.ports.as_ref());
    ports.into_iter().flatten().any(|found| found.port == i32::from(port))
}

fn service_change(cluster: &Cluster, objects: &Objects, app: &str, port: u16) -> Option<Change<Service>> {
    let workload = objects.workload.as_ref();
    let wanted = workload.and_then(|workload| objects::service(app, &cluster.wanted, port, workload));
    match (wanted, &objects.service) {
        (Some(wanted), None) => Some(Change::Create(Box::new(wanted))),
        (Some(wanted), Some(there)) => {
            let is_wrong = is_usable(&there.metadata) && !objects::is_service(&wanted, there);
            is_wrong.then(|| Change::Correct(Box::new(wanted)))
        }
        (None, Some(there)) if cluster.wanted == Access::None => removal(&there.metadata),
        (None, _) => None,
    }
}

fn budget_change(cluster: &Cluster, objects: &Objects, app: &str) -> Option<Change<PodDisruptionBudget>> {
    let budgets = objects.budgets.as_ref().ok()?;
    let ours = our_budget(budgets, app);
    let workload = match (&cluster.wanted, &objects.workload) {
        (Access::None, _) => return ours.and_then(|ours| removal(&ours.metadata)),
        (_, workload) => workload.as_ref()?,
    };
    let others = budgets.iter().filter(|budget| !is_ours(&budget.metadata));
    let is_needed = workload.units > 1 && !others.into_iter().any(|budget| is_in_the_way(budget, app, workload));
    match ours {
        None if is_needed => Some(Change::Create(Box::new(objects::budget(app, workload)))),
        None => None,
        Some(ours) if !is_needed => removal(&ours.metadata),
        Some(ours) => {
            let wanted = objects::budget(app, workload);
            let is_wrong = !is_ending(&ours.metadata) && !objects::is_budget(&wanted, ours);
            is_wrong.then(|| Change::Correct(Box::new(wanted)))
        }
    }
}

/// Whether somebody else has seen to our pods, or taken our name.
fn is_in_the_way(budget: &PodDisruptionBudget, app: &str, workload: &Workload) -> bool {
    budget.metadata.name.as_deref() == Some(app) || objects::covers(budget, &workload.labels)
}

fn our_budget<'a>(budgets: &'a [PodDisruptionBudget], app: &str) -> Option<&'a PodDisruptionBudget> {
    budgets.iter().find(|budget| budget.metadata.name.as_deref() == Some(app) && is_ours(&budget.metadata))
}

fn removal<T>(metadata: &ObjectMeta) -> Option<Change<T>> {
    let is_there = is_ours(metadata) && !is_ending(metadata);
    metadata.uid.clone().filter(|_| is_there).map(Change::Remove)
}

fn service_status(cluster: &Cluster, objects: &Objects, app: &str, model: &str, port: u16) -> Option<Status> {
    let name = service_name(app);
    let waiting = |text: String| Some(Status::Waiting(format!("{EXTERNAL_ACCESS}: waiting for {text}")));
    match &objects.service {
        None if cluster.leads && objects.workload.is_none() => waiting(format!("the StatefulSet {app}")),
        None if cluster.leads => waiting(format!("the Service {name}")),
        None => waiting(format!("the leader to make the Service {name}")),
        Some(service) if !is_ours(&service.metadata) => Some(Status::Blocked(format!(
            "{EXTERNAL_ACCESS}: there is a Service {name} that this charm has not made; remove it, and this charm makes \
             one, for example: kubectl --namespace {model} delete service {name}"
        ))),
        Some(service) if is_ending(&service.metadata) => waiting(format!("the Service {name} of before to go away")),
        Some(service) => match (outside(cluster, port), &cluster.wanted) {
            (Outside::Pending, Access::NodePort) if objects::node_port(service, port).is_some() => {
                waiting("a node of the cluster to be ready".to_owned())
            }
            (Outside::Pending, Access::LoadBalancer(_)) if has_port(service, port) => {
                waiting(format!("the cluster to give the Service {name} an address"))
            }
            (Outside::Pending, _) => waiting(format!("the Service {name}")),
            (Outside::NotWanted | Outside::At { .. }, _) => None,
        },
    }
}
