//! By which rules Kubernetes audit events are judged: those of the charm, of the distribution, and of the operator.

use charm_tests::falco_distribution::{Options, tarball};
use charm_tests::falco_host::eventually;
use charm_tests::juju::Event;
use charm_tests::ports::free_port;
use serde_json::{Value, json};

use super::{CONFIG, event, matches, on, pair, post, ready, secret, watches};
use crate::world::{run, settled_from};

fn pod(spec: &Value) -> Value {
    event("create", "pods", &json!({"requestObject": {"spec": spec}, "responseStatus": {"code": 201}}))
}

#[test]
fn each_rule_of_the_charm_matches_what_it_is_about_and_nothing_that_is_usual() {
    let (host, state) = ready();
    let (port, pair) = (free_port(), pair());
    let state = run(&host, &Event::config_changed(), &on(state.secret(secret(&pair)), &format!("127.0.0.1:{port}")));
    assert!(
        !state.unit_status.message.contains("LOAD_"),
        "no rule gives Falco a reason to warn: {}",
        state.unit_status
    );
    let spec = |key: &str, value: Value| pod(&json!({"containers": [{"image": "i"}], key: value}));
    let privileged = json!([{"image": "i"}, {"image": "j", "securityContext": {"privileged": true}}]);
    let exec = json!({"stage": "ResponseStarted", "objectRef": {"resource": "pods", "subresource": "exec", "namespace": "shop"}});
    let debug = json!({"objectRef": {"resource": "pods", "subresource": "ephemeralcontainers", "namespace": "shop"}});
    let admin = json!({"requestObject": {"roleRef": {"name": "cluster-admin"}, "subjects": [{"name": "mallory"}]}});
    let anonymous = json!({
        "user": {"username": "system:anonymous"}, "annotations": {"authorization.k8s.io/decision": "allow"},
    });
    let rules = [
        ("Kubernetes shell in a pod", event("get", "pods", &exec)),
        ("Kubernetes debug container added", event("patch", "pods", &debug)),
        ("Kubernetes privileged pod created", pod(&json!({"containers": privileged.clone()}))),
        ("Kubernetes pod in the namespaces of the host created", spec("hostPID", true.into())),
        ("Kubernetes pod with files of the host created", spec("volumes", json!([{"hostPath": {"path": "/etc"}}]))),
        ("Kubernetes cluster-admin granted", event("create", "clusterrolebindings", &admin)),
        ("Kubernetes secret read", event("get", "secrets", &json!({}))),
        ("Kubernetes anonymous request allowed", event("get", "configmaps", &anonymous)),
    ];
    for (rule, event) in &rules {
        assert_eq!(matches(&host, rule), 0, "{rule}");
        assert_eq!(post(port, &pair.0, std::slice::from_ref(event)), Ok(200));
        eventually(rule, || (matches(&host, rule) == 1).then_some(()));
    }
    let system = |name: &str| json!({"user": {"username": name}});
    let mut kube_system = pod(&json!({"containers": privileged}));
    kube_system["objectRef"]["namespace"] = "kube-system".into();
    let mut health = event("get", "", &anonymous);
    health["requestURI"] = "/readyz?verbose".into();
    let mut refused = event("get", "secrets", &json!({}));
    refused["responseStatus"]["code"] = 403.into();
    let quiet = [
        spec("hostPID", false.into()),
        spec("volumes", json!([{"hostPath": {"path": "/srv/data"}}, {"emptyDir": {}}])),
        kube_system,
        health,
        refused,
        event("get", "secrets", &system("system:node:worker-1")),
        event("get", "secrets", &system("system:serviceaccount:kube-system:generic-garbage-collector")),
        event("list", "configmaps", &json!({})),
        event("create", "rolebindings", &json!({"requestObject": {"roleRef": {"name": "view"}}})),
    ];
    assert_eq!(post(port, &pair.0, &quiet), Ok(200));
    // What comes last shows that all before it was looked at.
    assert_eq!(post(port, &pair.0, std::slice::from_ref(&rules[6].1)), Ok(200));
    eventually("the last alert", || (matches(&host, rules[6].0) == 2).then_some(()));
    for (rule, _) in &rules {
        assert_eq!(matches(&host, rule), if *rule == rules[6].0 { 2 } else { 1 }, "{rule}");
    }
    let declared = include_str!("../../../../charms/falco/k8s-audit-rules.yaml");
    assert_eq!(declared.lines().filter(|line| line.starts_with("- rule: ")).count(), rules.len(), "one is not tried");
}

#[test]
fn rules_of_the_distribution_are_used_where_it_has_some_and_those_of_the_operator_come_behind() {
    const RULES: &str = "- required_plugin_versions:\n    - {name: k8saudit, version: 0.7.0}\n- macro: of_upstream\n  \
        condition: (ka.verb=delete)\n- rule: Of the distribution\n  desc: d\n  condition: of_upstream\n  output: o\n  \
        priority: NOTICE\n  source: k8s_audit\n";
    let (host, state) = settled_from(|host| {
        let options = Options { plugins: vec!["json", "k8saudit"], audit_rules: Some(RULES), ..Options::default() };
        host.fresh().resource("falco", tarball(host.folder(), &options))
    });
    let (port, pair) = (free_port(), pair());
    let mine = "- rule: Mine\n  desc: d\n  condition: of_upstream and ka.target.resource=pods\n  output: o\n  \
        priority: NOTICE\n  source: k8s_audit\n";
    let state = on(state.secret(secret(&pair)), &format!("127.0.0.1:{port}")).config("rules", mine);
    let state = run(&host, &Event::config_changed(), &state);
    assert_eq!(state.unit_status.name, "active", "{}", state.unit_status);
    assert!(host.has_loaded("k8s_audit_rules.yaml") && host.has_loaded("rules.yaml"));
    assert_eq!(post(port, &pair.0, &[event("delete", "pods", &json!({}))]), Ok(200));
    eventually("the alert", || (matches(&host, "Of the distribution") == 1).then_some(()));
    assert_eq!(matches(&host, "Kubernetes secret read"), 0);
}

#[test]
fn a_plugin_that_falco_does_not_take_takes_away_no_system_call() {
    let (host, state) = settled_from(|host| {
        let rules = "- required_plugin_versions:\n    - {name: k8saudit, version: 99.0.0}\n";
        let options = Options { plugins: vec!["json", "k8saudit"], audit_rules: Some(rules), ..Options::default() };
        host.fresh().resource("falco", tarball(host.folder(), &options))
    });
    let address = format!("127.0.0.1:{}", free_port());
    let state = on(state.secret(secret(&pair())), &address).config("priority", "warning");
    let state = run(&host, &Event::config_changed(), &state);
    assert_eq!(state.unit_status.name, "blocked", "{}", state.unit_status);
    assert!(state.unit_status.message.contains("k8saudit (>= 99.0.0)"), "{}", state.unit_status);
    assert!(host.text(CONFIG).contains("priority: warning"), "what else the operator wants is done");
    watches(&host);
}
