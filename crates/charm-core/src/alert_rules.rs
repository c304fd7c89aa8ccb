//! Alert rules of a charm in the form in which databags carry them to Prometheus and Loki. Pure.
//!
//! The charm keeps them as a YAML file in Prometheus' own form, which is Loki's as well. Every selector of an expression there holds the
//! placeholder [`PLACEHOLDER`], so that the rule of one application can never fire for another. Readers add the same
//! matchers, from the labels of a rule; to have them twice changes nothing, and not every reader adds them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::topology::Topology;

/// Stands in the selectors of an expression for the matchers of the topology.
pub const PLACEHOLDER: &str = "%%juju_topology%%";

/// Groups of rules.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlertRules {
    groups: Vec<Group>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    name: String,
    rules: Vec<Rule>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    alert: String,
    expr: String,
    #[serde(rename = "for")]
    pending: String,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

impl AlertRules {
    /// Reads the file of the charm, and makes its rules those of one application.
    pub fn of_application(yaml: &str, topology: &Topology) -> Result<Self, serde_yaml::Error> {
        // A rule holds for all units of an application, so that each of them writes the same ones.
        let labels = topology.labels().into_iter().filter(|(name, _)| *name != "juju_unit");
        let labels: Vec<(&str, &str)> = labels.collect();
        // Prometheus reads a quoted text as Rust writes one, at least of what can stand in a name of Juju.
        let matchers = labels.iter().filter(|(name, _)| *name != "juju_charm");
        let matchers: Vec<String> = matchers.map(|(name, value)| format!("{name}={value:?}")).collect();
        let mut rules = Self::selecting(yaml, &matchers.join(","), topology)?;
        for rule in rules.groups.iter_mut().flat_map(|group| &mut group.rules) {
            for (name, value) in &labels {
                rule.labels.entry((*name).to_owned()).or_insert_with(|| (*value).to_owned());
            }
        }
        Ok(rules)
    }

    /// Reads rules about what others have sent through this application: their alerts keep the labels that the others
    /// gave, as no label says whose rules they are, and readers add no matchers. `matchers` takes the place of the
    /// placeholder.
    pub fn about_others(yaml: &str, matchers: &str, topology: &Topology) -> Result<Self, serde_yaml::Error> {
        Self::selecting(yaml, matchers, topology)
    }

    fn selecting(yaml: &str, matchers: &str, topology: &Topology) -> Result<Self, serde_yaml::Error> {
        let mut rules: Self = serde_yaml::from_str(yaml)?;
        for group in &mut rules.groups {
            group.name = sanitized(&format!("{}_{}_alerts", topology.identifier(), group.name));
            for rule in &mut group.rules {
                rule.expr = rule.expr.replace(PLACEHOLDER, matchers);
            }
        }
        Ok(rules)
    }

    /// These and others.
    #[must_use]
    pub fn and(mut self, others: Self) -> Self {
        self.groups.extend(others.groups);
        self
    }

    /// The name and expression of every rule.
    pub fn expressions(&self) -> impl Iterator<Item = (&str, &str)> {
        self.groups.iter().flat_map(|group| &group.rules).map(|rule| (rule.alert.as_str(), rule.expr.as_str()))
    }
}

/// The characters that readers allow in the name of a group.
fn sanitized(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || "_:".contains(c) { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const YAML: &str = r"
groups:
- name: falco
  rules:
  - alert: Down
    expr: up{%%juju_topology%%} == 0 unless on (juju_unit) x{a='b', %%juju_topology%%}
    for: 5m
    labels: {severity: critical, juju_charm: other}
    annotations: {summary: 'down: {{ $labels.juju_unit }}'}
";

    fn topology() -> Topology {
        Topology {
            model: "test-model".into(),
            model_uuid: "12345678-1234-4234-8234-123456789abc".into(),
            application: "falco".into(),
            unit: "falco/0".into(),
            charm_name: "falco".into(),
        }
    }

    #[test]
    fn a_rule_names_its_application_in_labels_and_in_every_selector_and_never_a_unit() {
        let rules = AlertRules::of_application(YAML, &topology()).unwrap();
        let rule = &rules.groups[0].rules[0];
        let matchers = r#"juju_model="test-model",juju_model_uuid="12345678-1234-4234-8234-123456789abc",juju_application="falco""#;
        assert_eq!(rule.expr, format!("up{{{matchers}}} == 0 unless on (juju_unit) x{{a='b', {matchers}}}"));
        let names: Vec<&str> = rule.labels.keys().map(String::as_str).collect();
        assert_eq!(names, ["juju_application", "juju_charm", "juju_model", "juju_model_uuid", "severity"]);
        assert_eq!(rule.labels["juju_charm"], "other", "what the file says stays");
        assert_eq!(rule.annotations["summary"], "down: {{ $labels.juju_unit }}");
    }

    #[test]
    fn the_name_of_a_group_is_the_one_that_other_charms_would_give_it() {
        let rules = AlertRules::of_application(YAML, &topology()).unwrap();
        assert_eq!(rules.groups[0].name, "test_model_12345678_falco_falco_alerts");
        let odd = Topology { model: "müll/x".into(), ..topology() };
        assert_eq!(
            AlertRules::of_application(YAML, &odd).unwrap().groups[0].name,
            "m_ll_x_12345678_falco_falco_alerts"
        );
    }

    #[test]
    fn rules_about_others_say_nothing_of_this_application_but_in_the_name_of_their_group() {
        let rules = AlertRules::about_others(YAML, r#"sidekick_model="x""#, &topology()).unwrap();
        assert_eq!(rules.groups[0].name, "test_model_12345678_falco_falco_alerts");
        let rule = &rules.groups[0].rules[0];
        assert_eq!(rule.expr, r#"up{sidekick_model="x"} == 0 unless on (juju_unit) x{a='b', sidekick_model="x"}"#);
        let names: Vec<&str> = rule.labels.keys().map(String::as_str).collect();
        assert_eq!(names, ["juju_charm", "severity"], "what the file says and nothing else");
        assert_eq!(rules.clone().and(rules).expressions().count(), 2);
    }

    #[test]
    fn a_key_that_prometheus_does_not_know_is_an_error() {
        assert!(AlertRules::of_application(&YAML.replace("for:", "form:"), &topology()).is_err());
    }
}
