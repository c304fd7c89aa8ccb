//! What actions print: bounded, and without secrets. Pure.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use charm_core::config::RawConfig;
use charm_core::status::without_credentials;
use serde::Serialize;
use serde_yaml::{Mapping, Value};

use crate::check::Rule;
use crate::config::OPTIONS;

/// The longest text of one result, in bytes. Juju stores results for good, and a hook command cannot take an argument
/// of more than 128 KiB.
const LONGEST: usize = 64 * 1024;

/// What stands in the place of a secret.
const HIDDEN: &str = "(hidden)";

/// Parts of names of keys that hold secrets.
const SECRET: [&str; 10] =
    ["apikey", "api_key", "auth", "credential", "open_params", "passphrase", "passw", "private_key", "secret", "token"];

#[derive(Serialize)]
struct Shown<'a> {
    rule: &'a str,
    priority: &'a str,
    source: &'a str,
    tags: &'a [String],
    enabled: bool,
}

/// Rules as results: how many there are, and as many of them as fit, as YAML.
pub fn rules(rules: &[&Rule]) -> Result<BTreeMap<String, String>> {
    let mut text = String::new();
    let mut shown = 0;
    for Rule { name, priority, source, tags, enabled, .. } in rules {
        let entry = [Shown { rule: name, priority, source, tags, enabled: *enabled }];
        let entry = serde_yaml::to_string(&entry).context("failed to write a rule as YAML")?;
        if text.len() + entry.len() > LONGEST {
            break;
        }
        text.push_str(&entry);
        shown += 1;
    }
    let mut results = BTreeMap::from([("count".to_owned(), rules.len().to_string())]);
    if shown > 0 {
        results.insert("rules".to_owned(), text);
    }
    if shown < rules.len() {
        let text = format!("{} more; narrow it down by tag or priority", rules.len() - shown);
        results.insert("left-out".to_owned(), text);
    }
    Ok(results)
}

/// A falco.yaml without secrets.
pub fn falco_yaml(yaml: &[u8]) -> Result<String> {
    let value: Value = serde_yaml::from_slice(yaml).context("falco.yaml is no YAML")?;
    let mut text = serde_yaml::to_string(&hide(value)).context("failed to write falco.yaml")?;
    if text.len() > LONGEST {
        let end = text.char_indices().map(|(start, _)| start).take_while(|start| *start <= LONGEST).last();
        text.truncate(end.unwrap_or_default());
        text.push_str("\n# and more\n");
    }
    Ok(text)
}

/// The options without secrets. Texts of any length, such as rules, are only counted.
pub fn options(raw: &RawConfig) -> BTreeMap<String, String> {
    let shown = OPTIONS.into_iter().filter_map(|(option, _)| {
        let text = raw.get::<String>(option).ok()??;
        let text = match option {
            "rules" | "falco-config" | "custom-config-repo-known-hosts" => format!("{} bytes", text.len()),
            _ => without_credentials(&text),
        };
        Some((option.to_owned(), text))
    });
    shown.collect()
}

fn hide(value: Value) -> Value {
    match value {
        Value::String(text) => {
            let text = without_credentials(&text);
            // What follows the question mark of a URL is as often as not a token.
            match (text.contains("://"), text.split_once('?')) {
                (true, Some((url, _))) => format!("{url}?{HIDDEN}").into(),
                _ => text.into(),
            }
        }
        Value::Sequence(values) => values.into_iter().map(hide).collect(),
        Value::Mapping(mapping) => Value::Mapping(mapping.into_iter().map(hide_entry).collect::<Mapping>()),
        Value::Tagged(mut tagged) => {
            tagged.value = hide(tagged.value);
            Value::Tagged(tagged)
        }
        other => other,
    }
}

fn hide_entry((key, value): (Value, Value)) -> (Value, Value) {
    let name = key.as_str().unwrap_or_default().to_lowercase();
    let is_secret = SECRET.iter().any(|part| name.contains(part))
        // A plugin takes its configuration as a mapping, or as a text that only it can read.
        || (name == "init_config" && value.is_string());
    let is_told = matches!(&value, Value::Null | Value::Bool(_)) || value.as_str() == Some("");
    let value = if is_secret && !is_told { HIDDEN.into() } else { hide(value) };
    (key, value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_of_a_configuration_are_cut_out_and_the_rest_stays() {
        let yaml = r#"
http_output: {enabled: true, url: 'https://user:hunter2@sidekick.example/a?token=hunter2', insecure: false}
plugins:
- {name: k8smeta, init_config: {collectorToken: hunter2, port: 45000, ca: /etc/x}, open_params: 'hunter2'}
- {name: other, init_config: '{"x": "hunter2"}'}
grpc: {private_key: hunter2}
"#;
        let shown = falco_yaml(yaml.as_bytes()).unwrap();
        assert!(!shown.contains("hunter2"), "{shown}");
        for kept in ["https://sidekick.example/a?(hidden)", "port: 45000", "insecure: false", "ca: /etc/x"] {
            assert!(shown.contains(kept), "{kept}: {shown}");
        }
    }

    #[test]
    fn a_long_list_is_cut_between_two_rules_and_says_so() {
        let rule = |number: usize| Rule {
            name: format!("rule {number}"),
            priority: "Warning".into(),
            source: "syscall".into(),
            tags: vec!["x".into()],
            enabled: true,
            description: String::new(),
            severe_enough: true,
        };
        let all: Vec<Rule> = (0..10_000).map(rule).collect();
        let results = rules(&all.iter().collect::<Vec<_>>()).unwrap();
        assert_eq!(results["count"], "10000");
        let shown: Vec<Value> = serde_yaml::from_str(&results["rules"]).unwrap();
        assert!(results["rules"].len() <= LONGEST && shown.len() > 100);
        assert!(results["left-out"].starts_with(&(10_000 - shown.len()).to_string()));
        assert_eq!(rules(&[]).unwrap(), BTreeMap::from([("count".to_owned(), "0".to_owned())]));
    }
}
