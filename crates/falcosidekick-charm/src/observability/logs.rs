//! Where Pebble sends the log of Falcosidekick, and which alerts Loki raises. Pure.
//!
//! Three habits of Pebble (1.26) shape the log targets: one that was added can only be silenced, never removed; another
//! location under a known name is shown and not used; and to add a layer takes long when a log server hangs. So a target
//! is named after its location, the last one is silenced like the others, and nothing is sent that the plan has.

use std::collections::BTreeMap;

use charm_core::Status;
use charm_core::alert_rules::AlertRules;
use charm_core::digest::Digest;
use charm_core::interfaces::{DatabagError, RelationData, loki_push_api};
use charm_core::names::UnitName;
use charm_core::pebble::Layer;
use charm_core::pebble::layer::LogTarget;
use charm_core::relation::Databag;
use charm_core::topology::Topology;
use serde_json::{Value, json};
use url::Url;

use crate::facts::{Facts, Unusable};
use crate::fields::MODEL_FIELD;
use crate::names::LOGGING;
use crate::observability::LogTakers;
use crate::outputs::Outputs;

const LOG_RULES: &str = include_str!("../../../../charms/falcosidekick-k8s/alert-rules/log.yaml");
const DETECTION_RULES: &str = include_str!("../../../../charms/falcosidekick-k8s/alert-rules/detections.yaml");

/// What the names of our targets begin with.
const PREFIX: &str = "logging-";

/// A target that never gets anything. Its labels note the units whose databags could not be used, so that the next hook
/// looks at them again.
const NOTE: &str = "logging-unusable";

/// The Python charm named a target after the unit of Loki, and silenced it in this way.
const NONE_OF_ALL: &str = "-all";

/// Rules about what Falcosidekick says, for the Loki that its log goes to.
pub fn alert_rules(topology: &Topology) -> Value {
    json!(AlertRules::of_application(LOG_RULES, topology).expect("a test reads them"))
}

/// Rules about what Falco detects, for the Loki that alerts go to: whose they are is told by the field that this
/// Falcosidekick adds.
pub fn detection_rules(topology: &Topology) -> AlertRules {
    // LogQL reads a quoted text as Rust writes one, at least of what can stand in the name of a model.
    let matchers = format!("{MODEL_FIELD}={:?}", topology.model);
    AlertRules::about_others(DETECTION_RULES, &matchers, topology).expect("a test reads them")
}

/// Whether the plan tells all about who takes the log.
pub fn is_known(plan: &Layer) -> bool {
    let notes_nothing = plan.log_targets.get(NOTE).is_none_or(|note| note.labels.is_empty());
    notes_nothing && plan.log_targets.iter().any(|(name, target)| is_ours(name) && is_heard(target))
}

/// What the plan lacks of log targets, and what to tell the operator.
pub fn decide(facts: &Facts) -> (Layer, Option<Status>) {
    let Some(container) = &facts.container else { return (Layer::default(), None) };
    let relations = match &facts.observers.log_takers {
        LogTakers::Nobody => &[][..],
        LogTakers::AsPlanned => return (Layer::default(), None),
        LogTakers::These(relations) => relations,
    };
    let units: Vec<(&UnitName, &Databag)> = relations.iter().flat_map(|relation| &relation.units).collect();
    let mut wanted = BTreeMap::new();
    let mut unusable = Vec::new();
    for (unit, databag) in units {
        match location(databag) {
            Ok(None) => {}
            Ok(Some(url)) => drop(wanted.insert(name(&url), target(&url, &facts.topology))),
            Err(error) => unusable.push(Unusable(unit.clone(), error)),
        }
    }
    let there = &container.plan.log_targets;
    let is_old = |name: &String, target: &LogTarget| {
        is_heard(target) && !wanted.contains_key(name) && (is_ours(name) || is_of_python_charm(target, &facts.topology))
    };
    let old = there.iter().filter(|(name, target)| is_old(name, target));
    let silent = old.map(|(name, target)| (name.clone(), LogTarget { services: Vec::new(), ..target.clone() }));
    let mut lacking: BTreeMap<String, LogTarget> = silent.collect();
    let status = status(&unusable, !relations.is_empty() && wanted.is_empty());
    if !unusable.is_empty() || there.contains_key(NOTE) {
        wanted.insert(NOTE.to_owned(), note(&unusable));
    }
    lacking.extend(wanted.into_iter().filter(|(name, target)| there.get(name) != Some(target)));
    (Layer { log_targets: lacking, ..Layer::default() }, status)
}

/// What to tell the operator while the log goes anywhere.
pub fn remark(facts: &Facts, outputs: &Outputs) -> Option<String> {
    let printing = outputs.that_print_secrets();
    (is_sent(facts) && !printing.is_empty()).then(|| {
        format!(
            "{LOGGING}: Falcosidekick prints the URLs of outputs that it cannot reach, with the secrets in them, and its \
             log goes to Loki: {}",
            printing.join(", ")
        )
    })
}

fn is_sent(facts: &Facts) -> bool {
    match &facts.observers.log_takers {
        LogTakers::Nobody => false,
        LogTakers::AsPlanned => true,
        LogTakers::These(relations) => {
            let mut databags = relations.iter().flat_map(|relation| relation.units.values());
            databags.any(|databag| matches!(location(databag), Ok(Some(_))))
        }
    }
}

fn location(databag: &Databag) -> Result<Option<Url>, DatabagError> {
    let Some(loki_push_api::Provider { url }) = loki_push_api::Provider::read(databag)? else { return Ok(None) };
    if url.password().is_some() {
        let problem = "it has a password in it, which everybody in the container could read";
        return Err(DatabagError::new("endpoint", url.as_str(), problem));
    }
    Ok(Some(url))
}

fn name(url: &Url) -> String {
    format!("{PREFIX}{}", Digest::of(url.as_str()).short())
}

/// With the labels that other charms give to their logs, and so did the Python charm.
fn target(url: &Url, topology: &Topology) -> LogTarget {
    let juju = topology.labels().map(|(name, value)| (name, value.to_owned()));
    let others = [
        ("product", "Juju".to_owned()),
        ("charm", topology.charm_name.clone()),
        ("job", format!("juju_{}", topology.identifier())),
    ];
    LogTarget {
        r#type: "loki".to_owned(),
        location: url.to_string(),
        // By name, Pebble would refuse it while the plan lacks the service.
        services: vec!["all".to_owned()],
        labels: juju.into_iter().chain(others).map(|(name, value)| (name.to_owned(), value)).collect(),
        ..LogTarget::default()
    }
}

fn note(unusable: &[Unusable]) -> LogTarget {
    LogTarget {
        r#type: "loki".to_owned(),
        location: "http://127.0.0.1/".to_owned(), // there has to be one
        labels: unusable.iter().map(|Unusable(unit, _)| (unit.to_string(), "unusable".to_owned())).collect(),
        ..LogTarget::default()
    }
}

fn status(unusable: &[Unusable], is_awaited: bool) -> Option<Status> {
    if !unusable.is_empty() {
        let texts: Vec<String> = unusable.iter().map(|Unusable(unit, error)| format!("{unit} {error}")).collect();
        return Some(Status::Waiting(format!("{LOGGING}: some of the log goes nowhere: {}", texts.join("; "))));
    }
    is_awaited.then(|| Status::Waiting(format!("{LOGGING}: waiting for Loki to publish its address")))
}

fn is_ours(name: &str) -> bool {
    name.starts_with(PREFIX)
}

fn is_heard(target: &LogTarget) -> bool {
    target.services.iter().any(|service| service != NONE_OF_ALL)
}

/// A container that outlives the refresh has the targets of the Python charm.
fn is_of_python_charm(target: &LogTarget, topology: &Topology) -> bool {
    let is = |label: &str, value: &str| target.labels.get(label).is_some_and(|label| label == value);
    is("juju_unit", &topology.unit) && is("juju_model_uuid", &topology.model_uuid)
}

#[cfg(test)]
mod tests {
    use charm_core::relation::RemoteUnits;

    use super::*;
    use crate::facts::Container;

    const URL: &str = "http://loki-0:3100/loki/api/v1/push";

    fn facts(units: &[(&str, &str)], plan: &Layer) -> Facts {
        let bag = |url: &str| [("endpoint", json!({ "url": url }).to_string())].into_iter().collect();
        let units = units.iter().map(|(unit, url)| (unit.parse().unwrap(), bag(url))).collect();
        let relation = RemoteUnits { id: "4".parse().unwrap(), units };
        let mut facts = Facts::default();
        facts.topology.unit = "sidekick/0".into();
        facts.topology.model_uuid = "12345678-1234-4234-8234-123456789abc".into();
        facts.container = Some(Container { plan: plan.clone(), ..Container::default() });
        facts.observers.log_takers = LogTakers::These(vec![relation]);
        facts
    }

    /// The plan after what it lacks was added.
    fn after(mut plan: Layer, facts: &Facts) -> Layer {
        plan.log_targets.extend(decide(facts).0.log_targets);
        plan
    }

    fn heard(plan: &Layer) -> Vec<&str> {
        plan.log_targets.values().filter(|target| is_heard(target)).map(|target| target.location.as_str()).collect()
    }

    #[test]
    fn every_location_has_a_target_once_and_what_is_there_is_not_sent_again() {
        let units = [("loki/0", URL), ("loki/1", "http://loki-1/"), ("loki/2", URL)];
        let plan = after(Layer::default(), &facts(&units, &Layer::default()));
        assert_eq!(heard(&plan).len(), 2, "{plan:?}");
        assert!(is_known(&plan));
        assert_eq!(decide(&facts(&units, &plan)), (Layer::default(), None));
    }

    #[test]
    fn a_location_that_is_gone_is_silenced_and_the_last_one_too() {
        let plan = after(Layer::default(), &facts(&[("loki/0", URL)], &Layer::default()));
        let moved = after(plan.clone(), &facts(&[("loki/0", "http://new/")], &plan));
        assert_eq!(heard(&moved), ["http://new/"]);
        let mut nobody = facts(&[], &moved);
        nobody.observers.log_takers = LogTakers::Nobody;
        let silent = after(moved, &nobody);
        assert_eq!((heard(&silent), silent.log_targets.len()), (vec![], 2), "Pebble forgets no target");
        assert!(!is_known(&silent));
        let back = after(silent.clone(), &facts(&[("loki/0", URL)], &silent));
        assert_eq!(heard(&back), [URL]);
    }

    #[test]
    fn targets_of_the_python_charm_are_taken_over_and_those_of_others_left_alone() {
        let target = |url: &str| target(&url.parse().unwrap(), &facts(&[], &Layer::default()).topology);
        let other = LogTarget { labels: BTreeMap::new(), ..target("http://image/") };
        let log_targets = [("loki/0".to_owned(), target(URL)), ("image".to_owned(), other)].into();
        let plan = Layer { log_targets, ..Layer::default() };
        assert!(!is_known(&plan));
        let plan = after(plan.clone(), &facts(&[("loki/0", URL)], &plan));
        assert_eq!(plan.log_targets["loki/0"].services, [""; 0]);
        assert_eq!(heard(&plan), ["http://image/", URL]);
    }

    #[test]
    fn a_unit_that_cannot_be_used_is_told_in_every_hook_and_the_others_get_the_log() {
        let units = [("loki/0", URL), ("loki/1", "http://user:hunter2@loki/")];
        let wanted = facts(&units, &Layer::default());
        let plan = after(Layer::default(), &wanted);
        let (_, status) = decide(&facts(&units, &plan));
        let status = status.unwrap().to_string();
        assert!(
            status.starts_with("waiting: logging: some of the log goes nowhere: loki/1 published endpoint"),
            "{status}"
        );
        assert!(!status.contains("hunter2") && !json!(plan).to_string().contains("hunter2"));
        assert!(!is_known(&plan), "the next hook looks again");
        assert_eq!(heard(&plan), [URL]);
        let mended = after(plan.clone(), &facts(&[("loki/0", URL)], &plan));
        assert!(is_known(&mended));
    }

    #[test]
    fn the_rules_are_read_and_those_about_falco_are_not_bound_to_this_application() {
        let topology = Topology { model: "prod".into(), application: "sidekick".into(), ..Topology::default() };
        assert!(alert_rules(&topology).to_string().contains("juju_application"));
        for (name, expression) in detection_rules(&topology).expressions() {
            assert!(expression.contains(r#"sidekick_model="prod""#), "{name}: {expression}");
            assert!(!expression.contains("juju_application="), "{name}: {expression}");
        }
    }
}
