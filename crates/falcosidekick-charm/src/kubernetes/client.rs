//! Asks the API server, and has it change our objects. Bounded: a hook waits a few seconds for it at most.
//!
//! The server, its certificate and our token are those of the pod, as Kubernetes puts them there; no file of a person
//! and no proxy is looked at. They are read anew each time, because Kubernetes changes the token every hour.

use std::future::Future;
use std::time::Duration;

use charm_core::hook::ApiServer;
use charm_core::status::one_line;
use charm_core::x509::Certificate;
use charm_core::{Hook, files};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Node, Service};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, Preconditions};
use kube::{Client, Config, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::access::Access;
use super::objects::{MANAGER, service_name};
use super::{Change, Objects, Steps, Trouble, Workload};

/// Where Kubernetes puts what a pod needs to talk to it.
const CREDENTIALS: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// It stands in the same cluster and answers in milliseconds.
const TO_CONNECT: Duration = Duration::from_secs(2);

/// For everything that is asked at a time.
const PATIENCE: Duration = Duration::from_secs(5);

/// Any node leads to our units, and a cluster of thousands is not read for one of them.
const ENOUGH_NODES: u32 = 50;

/// How much of the words of others is shown, in characters.
const LONGEST_WORDS: usize = 200;

/// Looks. A unit that does not lead has nothing to compare.
pub async fn look(hook: &Hook, wanted: &Access, leads: bool) -> Result<Objects, Trouble> {
    in_time(async {
        let cluster = Connection::new(hook)?;
        let (is_wanted, app) = (*wanted != Access::None, hook.unit.app.as_str());
        let service = cluster.services.get_opt(&service_name(app)).await?;
        let workload = if is_wanted && leads { cluster.workloads.get_opt(app).await?.and_then(workload) } else { None };
        let budgets = if leads {
            cluster.budgets.list(&ListParams::default()).await.map(|list| list.items).map_err(Trouble::from)
        } else {
            Ok(Vec::new())
        };
        let nodes = match wanted {
            Access::NodePort => cluster.nodes.list(&ListParams::default().limit(ENOUGH_NODES)).await?.items,
            Access::None | Access::LoadBalancer(_) => Vec::new(),
        };
        Ok(Objects { service, workload, budgets, nodes })
    })
    .await
}

/// Does what was decided about objects. The Service comes first, and does not wait for the other.
pub async fn carry_out(hook: &Hook, steps: &Steps) -> Result<(), Trouble> {
    in_time(async {
        let Steps { mark: _, service, budget, spread } = steps;
        let cluster = Connection::new(hook)?;
        let app = hook.unit.app.as_str();
        if let Some(change) = service {
            make(&cluster.services, &service_name(app), change).await?;
        }
        if let Some(change) = budget {
            make(&cluster.budgets, app, change).await?;
        }
        // Last, as this pod may be among the first that go for it.
        if let Some(pods) = spread {
            cluster.workloads.patch(app, &PatchParams::apply(MANAGER), &Patch::Apply(pods)).await?;
            tracing::info!("had the pods spread over nodes, for which Kubernetes restarts them one after another");
        }
        Ok(())
    })
    .await
}

async fn make<T>(api: &Api<T>, name: &str, change: &Change<T>) -> Result<(), Trouble>
where
    T: Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned + Serialize,
{
    let kind = T::kind(&());
    match change {
        Change::Create(object) => {
            api.patch(name, &PatchParams::apply(MANAGER), &Patch::Apply(object)).await?;
            tracing::info!("made the {kind} {name}");
        }
        // What is set by the operator's options wins over who else set it; all other fields stay as they are.
        Change::Correct(object) => {
            api.patch(name, &PatchParams::apply(MANAGER).force(), &Patch::Apply(object)).await?;
            tracing::info!("corrected the {kind} {name}");
        }
        Change::Remove(uid) => {
            let only = Preconditions { uid: Some(uid.clone()), resource_version: None };
            match api.delete(name, &DeleteParams { preconditions: Some(only), ..DeleteParams::default() }).await {
                Err(kube::Error::Api(status)) if status.is_not_found() => {}
                other => drop(other?),
            }
            tracing::info!("removed the {kind} {name}");
        }
    }
    Ok(())
}

/// What we need to know of a `StatefulSet`, if it is whole.
pub fn workload(set: StatefulSet) -> Option<Workload> {
    let owner = OwnerReference {
        api_version: StatefulSet::api_version(&()).into_owned(),
        kind: StatefulSet::kind(&()).into_owned(),
        name: set.metadata.name?,
        uid: set.metadata.uid?,
        ..OwnerReference::default()
    };
    let spec = set.spec?;
    let pod = spec.template.spec.unwrap_or_default();
    let is_spread = pod.topology_spread_constraints.is_some_and(|all| !all.is_empty())
        || pod.affinity.is_some_and(|affinity| affinity.pod_anti_affinity.is_some());
    Some(Workload {
        is_spread,
        owner,
        selector: spec.selector.match_labels?,
        labels: spec.template.metadata.and_then(|metadata| metadata.labels).unwrap_or_default(),
        units: spec.replicas.unwrap_or(1),
    })
}

struct Connection {
    services: Api<Service>,
    workloads: Api<StatefulSet>,
    budgets: Api<PodDisruptionBudget>,
    nodes: Api<Node>,
}

impl Connection {
    fn new(hook: &Hook) -> Result<Self, Trouble> {
        let ApiServer { host, port } =
            hook.api_server.as_ref().ok_or_else(|| Trouble::Away("this pod does not know it".to_owned()))?;
        let text = |name: &str| {
            let path = hook.path(&format!("{CREDENTIALS}/{name}"));
            match files::read(&path) {
                Ok(Some(text)) => Ok(String::from_utf8_lossy(&text).into_owned()),
                Ok(None) => Err(Trouble::Away(format!("this pod has no {CREDENTIALS}/{name}"))),
                Err(error) => Err(Trouble::Away(format!("{error:#}"))),
            }
        };
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        let url = format!("https://{host}:{port}").parse();
        let mut config = Config::new(url.map_err(|_| Trouble::Away(format!("{host}:{port} is no address")))?);
        config.default_namespace.clone_from(&hook.model.name);
        config.root_cert = Some(Certificate::all(&text("ca.crt")?).iter().map(|it| it.der().to_vec()).collect());
        config.auth_info.token = Some(text("token")?.trim().to_owned().into());
        config.connect_timeout = Some(TO_CONNECT);
        config.read_timeout = Some(PATIENCE);
        config.default_retry = false;
        let client = Client::try_from(config)?;
        Ok(Self {
            services: Api::default_namespaced(client.clone()),
            workloads: Api::default_namespaced(client.clone()),
            budgets: Api::default_namespaced(client.clone()),
            nodes: Api::all(client),
        })
    }
}

async fn in_time<T>(work: impl Future<Output = Result<T, Trouble>>) -> Result<T, Trouble> {
    let too_late = |_| Trouble::Away(format!("no answer within {} s", PATIENCE.as_secs()));
    tokio::time::timeout(PATIENCE, work).await.map_err(too_late)?
}

impl From<kube::Error> for Trouble {
    fn from(error: kube::Error) -> Self {
        let status = match error {
            kube::Error::Api(status) => status,
            other => {
                let mut cause: &dyn std::error::Error = &other;
                while let Some(next) = cause.source() {
                    cause = next;
                }
                return Self::Away(one_line(&cause.to_string(), LONGEST_WORDS));
            }
        };
        let words = one_line(&status.message, LONGEST_WORDS);
        match status.code {
            // Quotas and admission refuse by the same number, and in other words.
            403 if words.contains(" cannot ") => Self::NotTrusted,
            409 => Self::Conflict(words),
            400 | 403 | 405 | 413 | 415 | 422 => Self::Refused(words),
            code => Self::Away(format!("it answers {code}: {words}")),
        }
    }
}
