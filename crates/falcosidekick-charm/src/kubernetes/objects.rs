//! Our two objects as they are to be, and what of them differs in what there is. Pure.
//!
//! An object is compared by what we set alone: whatever else it holds is the affair of others, such as a controller that
//! keeps notes in annotations of its own.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{Node, Service, ServicePort, ServiceSpec};
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta, OwnerReference};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::{Value, json};

use super::Workload;
use super::access::Access;
use crate::names::CHARM;

/// Under this name Kubernetes notes down which fields of an object are ours.
pub const MANAGER: &str = CHARM;

/// Shows people who made an object.
const LABEL: &str = "app.kubernetes.io/managed-by";

/// The name of our one port.
const PORT: &str = "alerts";

/// How many units may be away at a time when nodes are emptied.
const MOST_AWAY: i32 = 1;

/// The name of our Service. The one without the ending is Juju's.
pub fn service_name(app: &str) -> String {
    format!("{app}-lb")
}

/// The Service, or `None` when none is wanted.
pub fn service(app: &str, access: &Access, port: u16, workload: &Workload) -> Option<Service> {
    let (kind, annotations) = match access {
        Access::None => return None,
        Access::NodePort => ("NodePort", BTreeMap::new()),
        Access::LoadBalancer(annotations) => ("LoadBalancer", annotations.clone()),
    };
    let port = i32::from(port);
    Some(Service {
        metadata: ObjectMeta {
            annotations: Some(annotations).filter(|annotations| !annotations.is_empty()),
            ..metadata(service_name(app), workload)
        },
        spec: Some(ServiceSpec {
            type_: Some(kind.to_owned()),
            selector: Some(workload.selector.clone()),
            ports: Some(vec![ServicePort {
                name: Some(PORT.to_owned()),
                port,
                protocol: Some("TCP".to_owned()),
                target_port: Some(IntOrString::Int(port)),
                ..ServicePort::default()
            }]),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    })
}

/// The `PodDisruptionBudget`, under the name of the application.
pub fn budget(app: &str, workload: &Workload) -> PodDisruptionBudget {
    PodDisruptionBudget {
        metadata: metadata(app.to_owned(), workload),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(MOST_AWAY)),
            selector: Some(LabelSelector { match_labels: Some(workload.selector.clone()), ..LabelSelector::default() }),
            ..PodDisruptionBudgetSpec::default()
        }),
        ..PodDisruptionBudget::default()
    }
}

/// The part of Juju's `StatefulSet` that has its pods on different nodes. Where there are too few nodes, they share one:
/// that is better than no pod.
pub fn spread(app: &str, workload: &Workload) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": { "name": app },
        "spec": { "template": { "spec": { "topologySpreadConstraints": [{
            "maxSkew": 1,
            "topologyKey": "kubernetes.io/hostname",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": { "matchLabels": workload.selector },
        }] } } },
    })
}

fn metadata(name: String, workload: &Workload) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        labels: Some([(LABEL.to_owned(), CHARM.to_owned())].into()),
        // With what Juju made, Kubernetes removes what we made, whether a hook can do so or not.
        owner_references: Some(vec![workload.owner.clone()]),
        ..ObjectMeta::default()
    }
}

/// Whether we have a part in an object.
pub fn is_ours(metadata: &ObjectMeta) -> bool {
    our_fields(metadata).is_some()
}

/// Whether an object is on its way out. Nothing can be changed about that.
pub fn is_ending(metadata: &ObjectMeta) -> bool {
    metadata.deletion_timestamp.is_some()
}

/// Whether a Service of ours is as it is to be.
pub fn is_service(wanted: &Service, there: &Service) -> bool {
    let nothing = ServiceSpec::default();
    let (wanted_spec, spec) = (wanted.spec.as_ref().unwrap_or(&nothing), there.spec.as_ref().unwrap_or(&nothing));
    let is_port = |wanted: &ServicePort| {
        spec.ports.iter().flatten().any(|port| {
            (&port.name, port.port, &port.protocol, &port.target_port)
                == (&wanted.name, wanted.port, &wanted.protocol, &wanted.target_port)
        })
    };
    is_metadata(&wanted.metadata, &there.metadata)
        && spec.type_ == wanted_spec.type_
        && spec.selector == wanted_spec.selector
        && wanted_spec.ports.iter().flatten().all(is_port)
        && our_ports(&there.metadata) == wanted_spec.ports.iter().flatten().map(|port| port.port).collect()
}

/// Whether a `PodDisruptionBudget` of ours is as it is to be.
pub fn is_budget(wanted: &PodDisruptionBudget, there: &PodDisruptionBudget) -> bool {
    let fields = |spec: &PodDisruptionBudgetSpec| (spec.max_unavailable.clone(), spec.selector.clone());
    is_metadata(&wanted.metadata, &there.metadata)
        && wanted.spec.as_ref().map(fields) == there.spec.as_ref().map(fields)
}

fn is_metadata(wanted: &ObjectMeta, there: &ObjectMeta) -> bool {
    let owners: &[OwnerReference] = there.owner_references.as_deref().unwrap_or_default();
    let annotations: BTreeSet<&str> = wanted.annotations.iter().flatten().map(|(key, _)| key.as_str()).collect();
    wanted.owner_references.iter().flatten().all(|owner| owners.iter().any(|there| there.uid == owner.uid))
        && is_in(wanted.labels.as_ref(), there.labels.as_ref())
        && is_in(wanted.annotations.as_ref(), there.annotations.as_ref())
        && our_annotations(there) == annotations
}

fn is_in(wanted: Option<&BTreeMap<String, String>>, there: Option<&BTreeMap<String, String>>) -> bool {
    let has = |(key, value): (&String, &String)| there.and_then(|there| there.get(key)) == Some(value);
    wanted.into_iter().flatten().all(has)
}

/// The fields that Kubernetes takes for ours.
fn our_fields(metadata: &ObjectMeta) -> Option<&Value> {
    let entry = metadata.managed_fields.iter().flatten().find(|entry| {
        entry.manager.as_deref() == Some(MANAGER)
            && entry.operation.as_deref() == Some("Apply")
            && entry.subresource.as_deref().unwrap_or_default().is_empty()
    })?;
    entry.fields_v1.as_ref().map(|fields| &fields.0)
}

/// The annotations that are ours, wanted or not.
fn our_annotations(metadata: &ObjectMeta) -> BTreeSet<&str> {
    let fields = our_fields(metadata).and_then(|fields| fields["f:metadata"]["f:annotations"].as_object());
    fields.into_iter().flat_map(|fields| fields.keys()).filter_map(|key| key.strip_prefix("f:")).collect()
}

/// The ports of a Service that are ours, wanted or not.
fn our_ports(metadata: &ObjectMeta) -> BTreeSet<i32> {
    let fields = our_fields(metadata).and_then(|fields| fields["f:spec"]["f:ports"].as_object());
    // A key is `k:` and, as JSON, what tells one port from another.
    let port =
        |key: &String| serde_json::from_str::<Value>(key.strip_prefix("k:")?).ok()?["port"].as_i64()?.try_into().ok();
    fields.into_iter().flat_map(|fields| fields.keys()).filter_map(port).collect()
}

/// Whether a `PodDisruptionBudget` that somebody else made is about our pods. A second one for the same pods would keep
/// Kubernetes from moving them at all.
pub fn covers(budget: &PodDisruptionBudget, labels: &BTreeMap<String, String>) -> bool {
    let selector = budget.spec.as_ref().and_then(|spec| spec.selector.as_ref());
    // Expressions that we do not look into may leave our pods out; then there is no budget of ours, which does no harm.
    selector.is_some_and(|selector| is_in(selector.match_labels.as_ref(), Some(labels)))
}

/// Where the load balancer of a Service is.
pub fn balancer_hosts(service: &Service) -> Vec<String> {
    let balancer = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    let all = balancer.and_then(|balancer| balancer.ingress.as_ref()).into_iter().flatten();
    // Where there is a name as well, the provider wants to be called by it.
    all.filter_map(|ingress| [&ingress.hostname, &ingress.ip].into_iter().flatten().find(|host| !host.is_empty()))
        .cloned()
        .collect()
}

/// The port on every node that leads to this port of a Service.
pub fn node_port(service: &Service, port: u16) -> Option<u16> {
    let ports = service.spec.as_ref()?.ports.as_ref()?;
    let found = ports.iter().find(|found| found.port == i32::from(port))?;
    found.node_port?.try_into().ok().filter(|port| *port != 0)
}

/// The address of the node that callers are sent to: the oldest one that is ready, so that the choice outlives nodes that
/// come and go. Each node leads to all units.
pub fn node_host(nodes: &[Node]) -> Option<&str> {
    let is_ready = |node: &&Node| {
        let conditions = node.status.iter().filter_map(|status| status.conditions.as_ref()).flatten();
        !is_ending(&node.metadata)
            && conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
    };
    let age = |node: &&Node| (node.metadata.creation_timestamp.clone(), node.metadata.name.clone());
    let mut ready: Vec<&Node> = nodes.iter().filter(is_ready).collect();
    ready.sort_by_key(age);
    ready.into_iter().find_map(address_of)
}

fn address_of(node: &Node) -> Option<&str> {
    let addresses = node.status.as_ref()?.addresses.as_ref()?;
    let of_kind = |kind| addresses.iter().find(|address| address.type_ == kind && !address.address.is_empty());
    ["ExternalIP", "InternalIP"].into_iter().find_map(of_kind).map(|address| address.address.as_str())
}
