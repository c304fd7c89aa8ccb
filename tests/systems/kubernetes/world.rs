//! A pod beside the real API of Kubernetes, in a model as Juju makes it there.

use charm_tests::juju::{Event, Outcome, Relation, State, Status};
use charm_tests::kubernetes::real::Cluster;
use charm_tests::kubernetes::{mount_credentials, variables};
use charm_tests::loki::LokiReceiver;
use charm_tests::pod::Pod;
use charm_tests::ports::free_port;
use serde_json::{Value, json};

pub const NAMESPACE: &str = "test-model";
pub const APP: &str = "sidekick";
pub const SERVICES: &str = "/api/v1/namespaces/test-model/services";
pub const SERVICE: &str = "/api/v1/namespaces/test-model/services/sidekick-lb";
pub const BUDGETS: &str = "/apis/policy/v1/namespaces/test-model/poddisruptionbudgets";
pub const WORKLOADS: &str = "/apis/apps/v1/namespaces/test-model/statefulsets";
pub const NODES: &str = "/api/v1/nodes";
const ROLES: &str = "/apis/rbac.authorization.k8s.io/v1";
const FALCO: u32 = 7;

pub struct World {
    pub pod: Pod,
    pub cluster: Cluster,
    /// The `StatefulSet` that Juju keeps.
    pub workload: Value,
    pub port: u16,
    pub other_port: u16,
    loki: LokiReceiver,
}

impl World {
    /// An application that is not trusted.
    pub fn new() -> Self {
        Self::with_port(free_port())
    }

    pub fn with_port(port: u16) -> Self {
        let cluster = Cluster::start(&[(NAMESPACE, APP)]).unwrap_or_else(|error| panic!("{error}"));
        cluster.create("/api/v1/namespaces", &json!({ "metadata": { "name": NAMESPACE } }));
        let labels = json!({ "app.kubernetes.io/name": APP });
        let workload = cluster.create(
            WORKLOADS,
            &json!({
                "metadata": { "name": APP, "labels": { "app.kubernetes.io/managed-by": "juju" } },
                "spec": {
                    "replicas": 1,
                    "serviceName": "sidekick-endpoints",
                    "selector": { "matchLabels": labels },
                    "template": {
                        "metadata": { "labels": labels },
                        "spec": { "containers": [{ "name": "charm", "image": "charm" }] },
                    },
                },
            }),
        );
        let role = json!({
            "metadata": { "name": APP },
            "rules": [
                { "apiGroups": [""], "resources": ["pods", "services"], "verbs": ["get", "list", "patch"] },
                { "apiGroups": [""], "resources": ["pods/exec"], "verbs": ["create"] },
            ],
        });
        cluster.create(&format!("{ROLES}/namespaces/{NAMESPACE}/roles"), &role);
        cluster.create(&format!("{ROLES}/namespaces/{NAMESPACE}/rolebindings"), &binding("Role", APP));
        let pod = Pod::new(|context| {
            variables(cluster.port())
                .into_iter()
                .fold(context.app(APP), |context, (name, value)| context.env(name, value))
        });
        mount_credentials(pod.root(), NAMESPACE, cluster.authority(), &Cluster::token(NAMESPACE, APP));
        Self { pod, cluster, workload, port, other_port: free_port(), loki: LokiReceiver::start() }
    }

    /// One that is.
    pub fn trusted() -> Self {
        let world = Self::new();
        world.trust();
        world
    }

    /// What `juju trust` does.
    pub fn trust(&self) {
        let role = json!({
            "metadata": { "name": "test-model-sidekick" },
            "rules": [{ "apiGroups": ["*"], "resources": ["*"], "verbs": ["*"] }],
        });
        self.cluster.create(&format!("{ROLES}/clusterroles"), &role);
        self.cluster.create(&format!("{ROLES}/clusterrolebindings"), &binding("ClusterRole", "test-model-sidekick"));
    }

    /// What the controller knows of a leader in a laboratory, with Loki and Falco.
    pub fn related(&self) -> State {
        let endpoint = json!({ "url": self.loki.url() }).to_string();
        let state = State::kubernetes()
            .leader(true)
            .config("port", self.port)
            .config("allow-plain-http", true)
            .relation(Relation::new(2, "send-loki-logs", "loki").remote_unit_data(0, "endpoint", endpoint))
            .relation(Relation::new(FALCO, "http-endpoint", "falco").remote_unit(0));
        self.pod.complete(state)
    }

    /// Runs a hook, and once more, which may change nothing.
    #[track_caller]
    pub fn run(&self, event: &Event, state: &State) -> Outcome {
        let outcome = self.pod.context.run(event, state).expect_success();
        let again = self.pod.context.run(event, &outcome.state).expect_success();
        assert_eq!(again.state, outcome.state, "the second run ended elsewhere:\n{}", again.report());
        outcome
    }

    /// What the API says to the charm.
    pub fn as_unit(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        self.cluster.ask_as(&Cluster::token(NAMESPACE, APP), method, path, body)
    }

    /// What the provider of load balancers does.
    pub fn balance(&self, ingress: &Value) {
        let status = json!({ "status": { "loadBalancer": { "ingress": ingress } } });
        self.cluster.merge(&format!("{SERVICE}/status"), "cloud-controller", &status);
    }

    /// What `juju scale-application` does.
    pub fn scale(&self, units: i32) {
        self.cluster.merge(&format!("{WORKLOADS}/{APP}"), "juju", &json!({ "spec": { "replicas": units } }));
    }

    /// What Juju does when its controller starts, or an image changes: it writes the whole template anew, as a strategic
    /// merge.
    pub fn write_workload(&self, image: &str) {
        let template = json!({
            "metadata": { "labels": { "app.kubernetes.io/name": APP } },
            "spec": { "containers": [{ "name": "charm", "image": image }] },
        });
        let fields = json!({ "spec": { "template": template } });
        self.cluster.strategic_merge(&format!("{WORKLOADS}/{APP}"), "juju", &fields);
    }

    /// A node of the cluster.
    pub fn node(&self, name: &str, address: &str, is_ready: bool) {
        self.cluster.create(NODES, &json!({ "metadata": { "name": name } }));
        let ready = if is_ready { "True" } else { "False" };
        let status = json!({ "status": {
            "addresses": [{ "type": "Hostname", "address": name }, { "type": "InternalIP", "address": address }],
            "conditions": [{ "type": "Ready", "status": ready }],
        } });
        self.cluster.merge(&format!("{NODES}/{name}/status"), "kubelet", &status);
    }
}

fn binding(kind: &str, role: &str) -> Value {
    json!({
        "metadata": { "name": role },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role },
        "subjects": [{ "kind": "ServiceAccount", "name": APP, "namespace": NAMESPACE }],
    })
}

/// The URL that Falco reads, if there is one.
pub fn published(state: &State) -> Option<String> {
    state.relation_by_id(FALCO).local_app_data.get("url").cloned()
}

/// What a unit says that may not do what it has to.
pub fn trust_first() -> Status {
    Status::blocked(
        "external-access: this application may not see to its Service; run: juju trust sidekick --scope=cluster",
    )
}
