//! What is compared: what another application or an operator relies on, by place.
//!
//! | Place | Value |
//! |---|---|
//! | `hook` | `succeeds` or `fails` |
//! | `status` | the kind, `error` when the hook failed; the words are each charm's own |
//! | `ports` | the opened ones, as `tcp/2801` |
//! | `ENDPOINT:ID/app`, `ENDPOINT:ID/unit` | what we have published there, as a reader understands it; of alert rules and dashboards only whose they are |
//! | `again` | what the same hook does when it runs once more; no vector says anything about it |
//!
//! The places of the workload are each charm's own: [`falco`](super::falco), [`falcosidekick`](super::falcosidekick).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::adapt::Scenario;
use super::format::{self, Vector};
use crate::juju::{Outcome, State};

/// What is there, by place. A place that is not in it is one about which nothing is said.
pub type Seen = BTreeMap<String, Value>;

/// The keys that Juju itself writes into the databag of a unit. Two of the Python libraries delete them.
const JUJU_KEYS: [&str; 3] = ["egress-subnets", "ingress-address", "private-address"];

/// Hook commands by which something becomes different. A status that is set again does not.
const WRITES: [&str; 3] = ["relation-set", "open-port", "close-port"];

/// A place at which a vector and our charm differ.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// The place.
    pub place: String,
    /// What the vector says.
    pub vector: Value,
    /// What our charm has brought about.
    pub ours: Value,
}

/// The place without the number of the relation, as a list names it.
pub fn general(place: &str) -> String {
    match (place.split_once(':'), place.split_once('/')) {
        (Some((endpoint, _)), Some((_, bag))) => format!("{endpoint}/{bag}"),
        _ => place.to_owned(),
    }
}

/// Where both differ. What only our charm says is no difference.
pub fn differences(vector: &Seen, ours: &Seen) -> Vec<Difference> {
    let different = |(place, value): (&String, &Value)| {
        let found = ours.get(place).unwrap_or(&Value::Null);
        (!is_same(value, found)).then(|| Difference {
            place: place.clone(),
            vector: value.clone(),
            ours: found.clone(),
        })
    };
    vector.iter().filter_map(different).collect()
}

/// Long texts of the Python charm are left out of vectors. Any other text that is not empty stands for one.
fn is_same(vector: &Value, ours: &Value) -> bool {
    match (vector, ours) {
        (Value::Object(vector), _) if vector.contains_key("left_out") => {
            !matches!(ours, Value::Null) && ours.as_str() != Some("")
        }
        (Value::Object(vector), Value::Object(ours)) => {
            vector.len() == ours.len()
                && vector.iter().all(|(key, value)| ours.get(key).is_some_and(|other| is_same(value, other)))
        }
        (Value::Array(vector), Value::Array(ours)) => {
            vector.len() == ours.len() && vector.iter().zip(ours).all(|(value, other)| is_same(value, other))
        }
        _ => vector == ours,
    }
}

/// What the vector says about everything that is no workload.
pub fn of_vector(vector: &Vector) -> Result<Seen, String> {
    let Some(output) = &vector.output else {
        return Ok([("hook".to_owned(), json!("fails")), ("status".to_owned(), json!("error"))].into());
    };
    let mut seen = Seen::from([("hook".to_owned(), json!("succeeds"))]);
    // Juju itself sets the last status of a unit. One that is unknown was set by nobody.
    if vector.event.hook != "remove" && output.unit_status.name != "unknown" {
        seen.insert("status".into(), json!(output.unit_status.name));
    }
    let ports = output.opened_ports.iter().map(|(protocol, number)| format!("{protocol}/{number}"));
    seen.insert("ports".into(), json!(ports.collect::<Vec<_>>()));
    let broken = vector.event.relation_id.filter(|_| vector.event.hook.ends_with("-relation-broken"));
    let databags = of_relations(output)?;
    // In its last hook a relation has nobody left who could read.
    seen.extend(databags.into_iter().filter(|(place, _)| broken.is_none_or(|id| !place.contains(&format!(":{id}/")))));
    Ok(without_requests(seen, vector))
}

/// What our side has published at one moment of a vector.
pub fn of_relations(state: &format::State) -> Result<Seen, String> {
    let mut seen = Seen::new();
    for relation in &state.relations {
        for (bag, databag) in [("app", &relation.local_app_data), ("unit", &relation.local_unit_data)] {
            let published = databag.iter().filter(|(key, _)| !JUJU_KEYS.contains(&key.as_str()));
            let understood: BTreeMap<_, _> =
                published.map(|(key, value)| Ok((key, value.understood()?))).collect::<Result<_, String>>()?;
            seen.insert(place(&relation.endpoint, relation.id, bag), without_content(json!(understood)));
        }
    }
    Ok(seen)
}

/// Rules and dashboards are each charm's own. What is the same of them is that there are rules, all of them about this
/// application, and whose charm's dashboards there are; of the name of a job what stands before its digest; and of a
/// job where it asks.
fn without_content(mut databag: Value) -> Value {
    let Some(keys) = databag.as_object_mut() else { return databag };
    if let Some(rules) = keys.get_mut("alert_rules") {
        *rules = whose(rules).unwrap_or_else(|| rules.clone());
    }
    if let Some(templates) = keys.get_mut("dashboards").and_then(|dashboards| dashboards["templates"].as_object_mut()) {
        let charms: BTreeSet<String> = templates.values().map(|template| template["charm"].to_string()).collect();
        keys.insert("dashboards".to_owned(), json!(charms));
    }
    for job in keys.get_mut("scrape_jobs").and_then(Value::as_array_mut).into_iter().flatten() {
        job.as_object_mut().map(|job| job.remove("metric_relabel_configs"));
    }
    let Some(config) = keys.get_mut("config").and_then(Value::as_object_mut) else {
        return databag;
    };
    if let Some(applications) = config.get("metrics_alert_rules").and_then(whose) {
        config.insert("metrics_alert_rules".to_owned(), applications);
        config.remove("dashboards");
    }
    for job in config.get_mut("metrics_scrape_jobs").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some((name, _)) = job["job_name"].as_str().and_then(|name| name.rsplit_once('_')) {
            job["job_name"] = json!(name);
        }
    }
    databag
}

/// The applications that alert rules are about; `null` stands for others than the one that wrote them.
fn whose(rules: &Value) -> Option<Value> {
    let groups = rules.get("groups").and_then(Value::as_array)?;
    let rules = groups.iter().filter_map(|group| group.get("rules")?.as_array()).flatten();
    let applications: BTreeSet<String> = rules.map(|rule| rule["labels"]["juju_application"].to_string()).collect();
    Some(json!(applications))
}

fn place(endpoint: &str, relation: u32, bag: &str) -> String {
    format!("{endpoint}:{relation}/{bag}")
}

/// What our charm has brought about, apart from the workload.
pub fn of_outcome(scenario: &Scenario<'_>, outcome: &Outcome) -> Seen {
    let hook = if outcome.is_success() { "succeeds" } else { "fails" };
    let ports = outcome.state.opened_ports.iter().map(|port| {
        let number = u16::try_from(port.from).map_or(0, |number| scenario.ports.in_vector(number));
        format!("{}/{number}", port.protocol)
    });
    let mut seen = Seen::from([
        ("hook".to_owned(), json!(hook)),
        ("status".to_owned(), json!(outcome.state.unit_status.name)),
        ("ports".to_owned(), json!(ports.collect::<Vec<_>>())),
    ]);
    for relation in &outcome.state.relations {
        for (bag, databag) in [("app", &relation.local_app_data), ("unit", &relation.local_unit_data)] {
            let published = databag.iter().filter(|(key, _)| !JUJU_KEYS.contains(&key.as_str()));
            let understood: BTreeMap<_, _> = published
                .map(|(key, value)| {
                    // The port of the Service, which alone stands without a colon.
                    let port = value.parse().ok().filter(|_| key == "port");
                    let port = port.map(|port| scenario.ports.in_vector(port).to_string());
                    let text = port.unwrap_or_else(|| scenario.ports.text_in_vector(value));
                    // Whom to believe is told by nobody but us.
                    (key, if key == "ca" { json!("certificates") } else { format::understood(&text) })
                })
                .collect();
            seen.insert(place(&relation.endpoint, relation.id, bag), without_content(json!(understood)));
        }
    }
    without_requests(seen, scenario.vector)
}

/// What a second run of the same hook did that a hook with nothing to do would not have done.
pub fn done_again(scenario: &Scenario<'_>, before: &State, again: &Outcome) -> Vec<String> {
    let is_write = |line: &String| {
        // A workload that does not stay up is tried again, and the log says so.
        WRITES.iter().any(|name| line.starts_with(name)) || (line.starts_with("juju-log") && !scenario.fails())
    };
    let mut done: Vec<String> = again.call_lines().into_iter().filter(is_write).collect();
    if !again.is_success() {
        done.push("fails".into());
    }
    if unread(&again.state) != unread(before) {
        done.push("ends with another state".into());
    }
    done
}

/// A state without what Juju notes down about who has read which revision of a secret.
fn unread(state: &State) -> State {
    let mut state = state.clone();
    state.secrets.iter_mut().for_each(|secret| secret.consumers.clear());
    state
}

/// A request for a certificate is another one each time it is made, so only whether it is the one of before counts.
fn without_requests(mut seen: Seen, vector: &Vector) -> Seen {
    let old: Vec<&str> = vector
        .input
        .relations
        .iter()
        .flat_map(|relation| &relation.local_unit_data)
        .filter_map(|(_, value)| value.raw.as_deref())
        .collect();
    for (_, value) in
        seen.iter_mut().filter(|(place, _)| place.starts_with("certificates:") && place.ends_with("/unit"))
    {
        let requests = value.pointer_mut("/certificate_signing_requests").and_then(Value::as_array_mut);
        for request in requests.into_iter().flatten() {
            let pem = request["certificate_signing_request"].as_str().unwrap_or_default();
            let escaped = pem.trim().replace('\n', "\\n");
            let is_old = old.iter().any(|databag| databag.contains(&escaped));
            request["certificate_signing_request"] = json!(if is_old { "the one of before" } else { "another one" });
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_listed_without_the_number_of_its_relation() {
        assert_eq!(general("http-endpoint:5/app"), "http-endpoint/app");
        assert_eq!(general("status"), "status");
        assert_eq!(general("alerts/http"), "alerts/http");
    }

    #[test]
    fn what_the_vector_says_is_compared_and_what_it_leaves_out_only_has_to_be_there() {
        let seen = |value: Value| Seen::from([("x".to_owned(), value)]);
        let left_out = seen(json!({"rules": [{"text": {"left_out": "a text", "bytes": 7}}]}));
        assert_eq!(differences(&left_out, &seen(json!({"rules": [{"text": "ours"}]}))), []);
        assert_eq!(differences(&left_out, &seen(json!({"rules": [{"text": ""}]}))).len(), 1);
        assert_eq!(differences(&left_out, &seen(json!({"rules": []}))).len(), 1);
        assert_eq!(differences(&seen(json!({"a": 1})), &seen(json!({"a": 1, "b": 2}))).len(), 1);
        assert_eq!(differences(&Seen::new(), &seen(json!(1))), []);
        assert_eq!(differences(&seen(json!(1)), &Seen::new())[0].ours, Value::Null);
    }
}
