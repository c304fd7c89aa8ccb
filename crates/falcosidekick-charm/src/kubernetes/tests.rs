//! What becomes of our objects. Those that are there are recordings of kube-apiserver 1.36.3.

use charm_core::Status;
use k8s_openapi::api::core::v1::Node;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::decide::{Decision, decide, hosts, outside};
use super::*;

const PORT: u16 = 2801;
const UID: &str = "5f3b0c1e-7d7c-4a52-9f0e-1f2a3b4c5d6e";

fn read<T: DeserializeOwned>(text: &str, change: impl FnOnce(&mut Value)) -> T {
    let mut value = serde_json::from_str(text).unwrap();
    change(&mut value);
    serde_json::from_value(value).unwrap()
}

fn service(change: impl FnOnce(&mut Value)) -> Service {
    read(include_str!("../../../../tests/recordings/kubernetes/service-with-address.json"), change)
}

fn workload(units: i32) -> Workload {
    let text = include_str!("../../../../tests/recordings/kubernetes/workload.json");
    let workload = client::workload(read(text, |_| {})).unwrap();
    assert_eq!((workload.units, workload.owner.uid.as_str()), (1, UID));
    Workload { units, ..workload }
}

fn budget(change: impl FnOnce(&mut Value)) -> PodDisruptionBudget {
    let fields = json!({ "f:spec": {} });
    let mut value = serde_json::to_value(objects::budget("sidekick", &workload(2))).unwrap();
    value["metadata"]["uid"] = json!(UID);
    value["metadata"]["managedFields"] =
        json!([{ "manager": objects::MANAGER, "operation": "Apply", "fieldsV1": fields }]);
    change(&mut value);
    serde_json::from_value(value).unwrap()
}

fn balanced() -> Access {
    Access::LoadBalancer(BTreeMap::new())
}

/// A leader that wants a load balancer, and has one.
fn settled() -> (Cluster, Objects) {
    let objects = Objects {
        service: Some(service(|_| {})),
        workload: Some(workload(1)),
        budgets: Ok(Vec::new()),
        nodes: Vec::new(),
    };
    (Cluster { wanted: balanced(), leads: true, is_marked: true, objects: None }, objects)
}

fn decided(cluster: &Cluster, objects: Objects) -> Decision {
    decide(&Cluster { objects: Some(Ok(objects)), ..cluster.clone() }, "sidekick", "prod", PORT)
}

#[test]
fn what_is_as_it_should_be_is_left_alone_and_callers_are_sent_to_its_address() {
    let (cluster, objects) = settled();
    assert_eq!(decided(&cluster, objects.clone()), Decision { steps: Steps::default(), status: None });
    let cluster = Cluster { objects: Some(Ok(objects)), ..cluster };
    assert_eq!(outside(&cluster, PORT), Outside::At { hosts: vec!["203.0.113.7".into()], port: PORT });
}

#[test]
fn nothing_wanted_and_nothing_made_is_nothing_to_do() {
    let cluster = Cluster { leads: true, ..Cluster::default() };
    let nothing = Decision { steps: Steps::default(), status: None };
    assert_eq!(decide(&cluster, "sidekick", "prod", PORT), nothing);
    assert_eq!(outside(&cluster, PORT), Outside::NotWanted);
}

#[test]
fn a_service_that_is_not_there_is_made_by_the_leader_and_awaited_by_others() {
    let (cluster, objects) = settled();
    let cluster = Cluster { is_marked: false, ..cluster };
    let none = Objects { service: None, ..objects };
    let decision = decided(&cluster, none.clone());
    assert!(matches!(decision.steps.service, Some(Change::Create(_))));
    assert_eq!(decision.steps.mark, Some(true));

    let follower = Cluster { leads: false, ..cluster };
    let decision = decided(&follower, Objects { workload: None, ..none });
    assert_eq!(decision.steps, Steps { mark: Some(true), ..Steps::default() }, "it may lead when the option is unset");
    let text = "external-access: waiting for the leader to make the Service sidekick-lb";
    assert_eq!(decision.status, Some(Status::Waiting(text.into())));
}

#[test]
fn every_field_of_ours_is_set_right() {
    type Edit = fn(&mut Value);
    let (cluster, objects) = settled();
    let changes: [(&str, Edit); 9] = [
        ("type", |it| it["spec"]["type"] = json!("ClusterIP")),
        ("port", |it| it["spec"]["ports"][0]["port"] = json!(1)),
        ("target", |it| it["spec"]["ports"][0]["targetPort"] = json!("http")),
        ("name", |it| it["spec"]["ports"][0]["name"] = json!("http")),
        ("selector", |it| it["spec"]["selector"] = json!({ "app": "other" })),
        ("label", |it| it["metadata"]["labels"] = json!({})),
        ("owner", |it| it["metadata"]["ownerReferences"] = json!([])),
        ("another owner", |it| it["metadata"]["ownerReferences"][0]["uid"] = json!("other")),
        ("an annotation of before", |it| {
            it["metadata"]["managedFields"][0]["fieldsV1"]["f:metadata"]["f:annotations"] = json!({ "f:a": {} });
        }),
    ];
    for (what, change) in changes {
        let objects = Objects { service: Some(service(change)), ..objects.clone() };
        assert!(matches!(decided(&cluster, objects).steps.service, Some(Change::Correct(_))), "{what}");
    }
    let annotated = Access::LoadBalancer([("a".to_owned(), "b".to_owned())].into());
    let decision = decided(&Cluster { wanted: annotated, ..cluster.clone() }, objects.clone());
    let Some(Change::Correct(wanted)) = decision.steps.service else { panic!("an annotation that is wanted") };
    assert_eq!(wanted.metadata.annotations.unwrap()["a"], "b");
    let follower = Cluster { leads: false, ..cluster };
    let wrong = Objects { service: Some(service(|it| it["spec"]["type"] = json!("ClusterIP"))), ..objects };
    assert_eq!(decided(&follower, wrong).steps, Steps::default(), "the leader alone writes");
}

#[test]
fn pods_are_spread_once_there_is_more_than_one_unless_somebody_has_seen_to_it() {
    let (cluster, objects) = settled();
    let spread = |units, change: fn(&mut Value)| {
        let set = read(include_str!("../../../../tests/recordings/kubernetes/workload.json"), change);
        let workload = Workload { units, ..client::workload(set).unwrap() };
        decided(&cluster, Objects { workload: Some(workload), ..objects.clone() }).steps.spread.is_some()
    };
    assert_eq!((spread(1, |_| {}), spread(2, |_| {})), (false, true));
    assert!(!spread(2, |set| {
        let ours = objects::spread("sidekick", &workload(2));
        set["spec"]["template"]["spec"]["topologySpreadConstraints"] =
            ours["spec"]["template"]["spec"]["topologySpreadConstraints"].clone();
    }));
    // What Juju makes of the constraint `tags=anti-pod.…`.
    assert!(!spread(2, |set| {
        set["spec"]["template"]["spec"]["affinity"] = json!({ "podAntiAffinity": {} });
    }));
    let unset = Cluster { wanted: Access::None, ..cluster };
    let objects = Objects { workload: None, ..objects };
    assert!(
        decided(&unset, objects).steps.spread.is_none(),
        "to take it away again would restart all units for nothing"
    );
}

#[test]
fn what_others_set_is_theirs() {
    let (cluster, objects) = settled();
    let service = service(|it| {
        it["metadata"]["annotations"]["cloud.example.com/id"] = json!("lb-1");
        it["metadata"]["labels"]["theirs"] = json!("yes");
        it["metadata"]["finalizers"] = json!(["service.kubernetes.io/load-balancer-cleanup"]);
        it["spec"]["externalTrafficPolicy"] = json!("Local");
        it["spec"]["ports"][0]["appProtocol"] = json!("http");
    });
    assert_eq!(decided(&cluster, Objects { service: Some(service), ..objects }).steps, Steps::default());
}

#[test]
fn a_service_of_somebody_else_or_on_its_way_out_is_not_touched() {
    let (cluster, objects) = settled();
    let theirs = Objects {
        service: Some(service(|it| it["metadata"]["managedFields"] = json!([{ "manager": "kubectl" }]))),
        ..objects.clone()
    };
    let decision = decided(&cluster, theirs.clone());
    assert_eq!(decision.steps, Steps::default());
    assert!(matches!(decision.status, Some(Status::Blocked(text)) if text.contains("has not made")));
    assert_eq!(hosts(&Cluster { objects: Some(Ok(theirs.clone())), ..cluster.clone() }), Vec::<String>::new());

    let ending = service(|it| it["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z"));
    let ending = Objects { service: Some(ending), ..objects };
    let decision = decided(&cluster, ending.clone());
    assert_eq!(decision.steps, Steps::default());
    assert!(matches!(decision.status, Some(Status::Waiting(text)) if text.contains("go away")));

    let unwanted = Cluster { wanted: Access::None, ..cluster };
    assert_eq!(decided(&unwanted, theirs).steps, Steps { mark: Some(false), ..Steps::default() });
    assert_eq!(decided(&unwanted, ending).steps, Steps::default(), "the mark stays until it is gone");
}

#[test]
fn what_is_not_wanted_any_more_goes_and_then_the_mark() {
    let (cluster, objects) = settled();
    let unwanted = Cluster { wanted: Access::None, ..cluster };
    let both = Objects { workload: None, budgets: Ok(vec![budget(|_| {})]), ..objects };
    let steps = decided(&unwanted, both.clone()).steps;
    let (service, budget) = (Some(Change::Remove(UID.into())), Some(Change::Remove(UID.into())));
    assert_eq!(steps, Steps { mark: None, service, budget, spread: None });

    let gone = Objects { service: None, budgets: Ok(Vec::new()), ..both.clone() };
    assert_eq!(decided(&unwanted, gone).steps, Steps { mark: Some(false), ..Steps::default() });
    let unseen = Objects { service: None, budgets: Err(Trouble::NotTrusted), ..both };
    let decision = decided(&unwanted, unseen);
    assert_eq!(decision.steps, Steps::default());
    assert!(
        matches!(decision.status, Some(Status::Blocked(text)) if text.ends_with("run: juju trust sidekick --scope=cluster"))
    );
}

#[test]
fn there_is_a_disruption_budget_for_more_than_one_unit_unless_somebody_has_seen_to_it() {
    let (cluster, objects) = settled();
    let decided = |units, budgets: Vec<PodDisruptionBudget>| {
        decided(&cluster, Objects { workload: Some(workload(units)), budgets: Ok(budgets), ..objects.clone() })
            .steps
            .budget
    };
    let theirs = |selector: Value| {
        budget(|it| {
            it["metadata"] = json!({ "name": "theirs" });
            it["spec"]["selector"] = selector;
        })
    };
    let ours = || budget(|_| {});
    let removal = Some(Change::Remove(UID.into()));
    let same = json!({ "matchLabels": { "app.kubernetes.io/name": "sidekick" } });
    let other = json!({ "matchLabels": { "app.kubernetes.io/name": "loki" } });
    assert_eq!(decided(1, vec![]), None);
    assert!(matches!(decided(2, vec![]), Some(Change::Create(_))));
    assert!(matches!(decided(2, vec![theirs(other)]), Some(Change::Create(_))));
    assert_eq!(decided(2, vec![theirs(same.clone())]), None);
    assert_eq!(decided(2, vec![theirs(json!({}))]), None, "an empty selector takes all pods");
    assert_eq!(decided(2, vec![budget(|it| it["metadata"]["managedFields"] = json!([]))]), None, "our name is taken");
    assert_eq!(decided(2, vec![ours()]), None);
    assert_eq!(decided(1, vec![ours()]), removal);
    assert_eq!(decided(2, vec![ours(), theirs(same)]), removal);
    let wrong = budget(|it| it["spec"]["maxUnavailable"] = json!(0));
    assert!(matches!(decided(2, vec![wrong]), Some(Change::Correct(_))));
}

#[test]
fn trouble_with_the_budget_does_not_keep_callers_from_their_address() {
    let (cluster, objects) = settled();
    let objects = Objects { budgets: Err(Trouble::Away("gone".into())), ..objects };
    assert!(matches!(decided(&cluster, objects.clone()).status, Some(Status::Waiting(_))));
    assert!(matches!(outside(&Cluster { objects: Some(Ok(objects)), ..cluster }, PORT), Outside::At { .. }));
}

#[test]
fn a_balancer_is_called_by_its_name_and_without_an_address_nobody_is_sent_there() {
    let (cluster, objects) = settled();
    let outside = |ingress: Value, port| {
        let service = service(|it| it["status"]["loadBalancer"] = json!({ "ingress": ingress }));
        let objects = Objects { service: Some(service), ..objects.clone() };
        outside(&Cluster { objects: Some(Ok(objects)), ..cluster.clone() }, port)
    };
    let both = json!([{ "hostname": "lb.example.com", "ip": "203.0.113.7" }, { "ip": "2001:db8::7" }]);
    let hosts = vec!["lb.example.com".into(), "2001:db8::7".into()];
    assert_eq!(outside(both.clone(), PORT), Outside::At { hosts, port: PORT });
    assert_eq!(outside(json!([]), PORT), Outside::Pending);
    assert_eq!(outside(json!([{ "hostname": "", "ip": "" }]), PORT), Outside::Pending);
    assert_eq!(outside(both, 3000), Outside::Pending, "another unit has still to set the port right");
}

#[test]
fn of_the_nodes_the_oldest_that_is_ready_is_called_by_its_external_address() {
    let node = |name: &str, made: &str, ready: &str, addresses: Value| -> Node {
        let node = json!({
            "metadata": { "name": name, "creationTimestamp": made },
            "status": { "addresses": addresses, "conditions": [{ "type": "Ready", "status": ready }] },
        });
        serde_json::from_value(node).unwrap()
    };
    let inside = json!([{ "type": "Hostname", "address": "a" }, { "type": "InternalIP", "address": "10.0.0.1" }]);
    let both =
        json!([{ "type": "InternalIP", "address": "10.0.0.2" }, { "type": "ExternalIP", "address": "198.51.100.2" }]);
    let (young, old) = ("2026-02-01T00:00:00Z", "2026-01-01T00:00:00Z");
    for (nodes, host) in [
        (vec![], None),
        (vec![node("a", old, "False", inside.clone())], None),
        (vec![node("a", old, "True", json!([]))], None),
        (vec![node("a", young, "True", inside.clone()), node("b", old, "True", both.clone())], Some("198.51.100.2")),
        (vec![node("a", young, "True", inside.clone()), node("b", old, "Unknown", both)], Some("10.0.0.1")),
    ] {
        assert_eq!(objects::node_host(&nodes), host, "{nodes:?}");
    }
}

#[test]
fn what_the_api_says_becomes_what_an_operator_can_do_about_it() {
    let recorded = |text: &str| -> Trouble {
        let status: kube::core::Status = serde_json::from_str(text).unwrap();
        kube::Error::Api(Box::new(status)).into()
    };
    let said = |code: u16, message: &str| recorded(&json!({ "code": code, "message": message }).to_string());
    assert_eq!(recorded(include_str!("../../../../tests/recordings/kubernetes/forbidden.json")), Trouble::NotTrusted);
    let conflict = recorded(include_str!("../../../../tests/recordings/kubernetes/conflict.json"));
    assert!(matches!(conflict, Trouble::Conflict(words) if words.contains("already exists")));
    let refused = recorded(include_str!("../../../../tests/recordings/kubernetes/refused.json"));
    assert!(matches!(refused, Trouble::Refused(words) if words.contains("spec.ports")));
    let quota =
        said(403, "services \"sidekick-lb\" is forbidden: exceeded quota: q, requested: services.loadbalancers=1");
    assert!(matches!(quota, Trouble::Refused(words) if words.contains("exceeded quota")));
    for code in [401, 404, 429, 500, 503] {
        assert!(matches!(said(code, "x"), Trouble::Away(words) if words == format!("it answers {code}: x")));
    }
}
