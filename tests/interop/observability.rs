//! What our charms hand to observers, as cosl understands it: groups, labels and expressions of alert rules, and
//! dashboards.

use std::io::Write as _;
use std::process::{Command, Stdio};

use charm_core::interfaces::RelationData as _;
use charm_core::interfaces::cos_agent::Provider;
use charm_core::topology::Topology;
use serde_json::{Value, json};

use crate::compare::assert_same;
use crate::python::{Ops, source};

fn topology() -> Topology {
    Topology {
        model: "test-model".into(),
        model_uuid: "12345678-1234-4234-8234-123456789abc".into(),
        application: "falco-edge".into(),
        unit: "falco-edge/3".into(),
        charm_name: "falco".into(),
    }
}

fn cosl(given: &Value) -> Value {
    let mut child = Command::new(Ops::Three.python())
        .args(["-B", "-s"])
        .arg(source("observability.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(given.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", output.status);
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A list by the names of what is in it, so that a difference names its place.
fn by_name(list: &Value, key: &str) -> Value {
    let named = list.as_array().unwrap().iter().map(|item| (item[key].as_str().unwrap().to_owned(), item.clone()));
    named.collect::<serde_json::Map<_, _>>().into()
}

fn groups(list: &Value) -> Value {
    let groups = by_name(list, "name");
    let rules =
        groups.as_object().unwrap().iter().map(|(name, group)| (name.clone(), by_name(&group["rules"], "alert")));
    rules.collect::<serde_json::Map<_, _>>().into()
}

/// The groups that cosl has made.
fn theirs(answer: &Value) -> Value {
    let theirs = groups(&answer["groups"]);
    // Its newer releases give groups another ending than those of the readers that are deployed.
    let theirs =
        theirs.as_object().unwrap().iter().map(|(name, group)| (name.replace("_rules", "_alerts"), group.clone()));
    theirs.collect::<serde_json::Map<_, _>>().into()
}

#[test]
#[ignore = "needs the Python libraries: make interop"]
fn alert_rules_of_falcosidekick_are_what_cosl_would_write_and_can_read() {
    let metrics = json!(falcosidekick_charm::observability::metrics::alert_rules(&topology(), None));
    let log = falcosidekick_charm::observability::logs::alert_rules(&topology());
    for (language, rules, written) in [
        ("promql", include_str!("../../charms/falcosidekick-k8s/alert-rules/metrics.yaml"), metrics),
        ("logql", include_str!("../../charms/falcosidekick-k8s/alert-rules/log.yaml"), log),
    ] {
        let given = json!({
            "topology": topology(), "language": language, "rules": rules, "written": written, "dashboards": [],
        });
        let answer = cosl(&given);
        assert_eq!(answer["error"].as_str().unwrap_or_default(), "", "cosl takes the rules");
        assert_same(&groups(&written["groups"]), &theirs(&answer));
    }
}

#[test]
#[ignore = "needs the Python libraries: make interop"]
fn alert_rules_and_dashboards_of_falco_are_what_cosl_would_write_and_can_read() {
    let provider = Provider::read(&falco_charm::cos_agent::databag(&topology(), 8765)).unwrap().unwrap();
    let answer = cosl(&json!({
        "topology": topology(),
        "language": "promql",
        "rules": include_str!("../../charms/falco/alert-rules/falco.yaml"),
        "written": provider.metrics_alert_rules,
        "dashboards": provider.dashboards,
    }));
    assert_eq!(answer["error"].as_str().unwrap_or_default(), "", "cosl takes the rules");
    assert_same(&groups(&provider.metrics_alert_rules["groups"]), &theirs(&answer));
    let dashboard: Value = serde_json::from_str(falco_charm::cos_agent::DASHBOARD).unwrap();
    assert_same(&answer["dashboards"][0], &dashboard);
}
