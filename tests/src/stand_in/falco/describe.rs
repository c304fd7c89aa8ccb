//! `-L`, `-l`, `--list-plugins` and `--support`.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};

use super::command_line::CommandLine;
use super::plugins::Plugin;
use super::prepare::Prepared;
use super::rules::{Compiled, List, Macro, Rule, Rules};
use super::{VERSION, version_json};
use crate::stand_in::yaml::{Node, Value};

/// `-L` and `-l` as text.
pub fn rules_text(rules: &Rules, only: Option<&str>) -> String {
    let mut text = format!("{:<50} {}\n{:<50} {}\n", "Rule", "Description", "----", "-----------");
    let chosen = rules.rules.iter().filter(|rule| only.is_none_or(|name| name == rule.name));
    for rule in chosen {
        text.extend([format!("{:<50} {} \n\n", rule.name, rule.description)]);
    }
    text
}

/// `-L` as JSON.
pub fn rules_json(rules: &Rules) -> Json {
    let plugins: Vec<Json> = rules
        .required_plugins
        .iter()
        .filter_map(|alternatives| alternatives.split_first())
        .map(|((name, version), others)| {
            let others: Vec<Json> =
                others.iter().map(|(name, version)| json!({"name": name, "version": version})).collect();
            json!({"alternatives": others, "name": name, "version": version})
        })
        .collect();
    json!({
        "lists": rules.lists.iter().map(list_json).collect::<Vec<_>>(),
        "macros": rules.macros.iter().map(macro_json).collect::<Vec<_>>(),
        "required_engine_version": rules.required_engine.as_deref().unwrap_or("0.0.0"),
        "required_plugin_versions": plugins,
        "rules": rules.rules.iter().map(rule_json).collect::<Vec<_>>(),
    })
}

fn list_json(list: &List) -> Json {
    json!({
        "details": {"items_compiled": list.compiled, "lists": list.lists, "plugins": [], "used": list.used},
        "info": {"items": list.items, "name": list.name},
    })
}

fn macro_json(found: &Macro) -> Json {
    let mut details = details(found.compiled.as_ref());
    details["used"] = found.used.into();
    json!({"details": details, "info": {"condition": found.condition.text, "name": found.name}})
}

fn rule_json(rule: &Rule) -> Json {
    let mut details = details(rule.compiled.as_ref());
    let fields: BTreeSet<&str> = rule.format.fields().collect();
    details["output_compiled"] = rule.format_text.clone().into();
    details["output_fields"] = json!(fields);
    for key in ["exception_fields", "exception_names", "exception_operators"] {
        details[key] = json!([]);
    }
    json!({
        "details": details,
        "info": {
            "capture": false,
            "capture_duration": 0,
            "condition": rule.condition.text,
            "description": rule.description,
            "enabled": rule.enabled,
            "name": rule.name,
            "output": rule.output.text,
            "priority": rule.priority.name(),
            "source": rule.source,
            "tags": rule.tags,
        },
    })
}

fn details(compiled: Option<&Compiled>) -> Json {
    let Some(compiled) = compiled else { return json!({}) };
    let mut events = compiled.expression.event_types().unwrap_or_default();
    events.insert("asyncevent".into());
    json!({
        "condition_compiled": compiled.expression.write(),
        "condition_fields": compiled.field_names(),
        "condition_operators": compiled.operators(),
        "events": events,
        "lists": compiled.lists,
        "macros": compiled.macros,
        "plugins": [],
    })
}

/// `--list-plugins`.
pub fn plugins_text(plugins: &[Plugin]) -> String {
    let mut text = format!("{} Plugins Loaded:\n\n", plugins.len());
    for Plugin { name, version, .. } in plugins {
        let (description, abilities): (_, &[&str]) = match name.as_str() {
            "container" => {
                ("Falco container metadata enrichment Plugin", &["Field Extraction", "Event Parsing", "Async Events"])
            }
            _ => ("(unknown to the stand-in)", &[]),
        };
        text.extend([format!(
            "Name: {name}\nDescription: {description}\nContact: github.com/falcosecurity/plugins\nVersion: {version}\n\
             Capabilities: \n"
        )]);
        text.extend(abilities.iter().map(|ability| format!("  - {ability}\n")));
        text.push('\n');
    }
    text.push('\n');
    text
}

/// `--support`.
pub fn support_json(prepared: &Prepared, line: &CommandLine) -> Json {
    let name = nix::sys::utsname::uname().ok();
    let part = |get: fn(&nix::sys::utsname::UtsName) -> &std::ffi::OsStr| {
        name.as_ref().map(|name| get(name).to_string_lossy().into_owned()).unwrap_or_default()
    };
    let files: Vec<Json> = prepared
        .files
        .iter()
        .map(|(path, text)| {
            let variant = json!({"content": text, "required_engine_version": null});
            json!({"name": path.display().to_string(), "variants": [variant]})
        })
        .collect();
    json!({
        "cmdline": line.text,
        "config": flow(&prepared.base.configuration.root),
        "engine_info": version_json(),
        "rules_files": files,
        "system_info": {
            "machine": part(|name| name.machine()),
            "nodename": part(|name| name.nodename()),
            "release": part(|name| name.release()),
            "sysname": part(|name| name.sysname()),
            "version": part(|name| name.version()),
        },
        "version": VERSION,
    })
}

/// The tree on one line, every scalar in quotes, the way yaml-cpp writes JSON-like YAML.
fn flow(node: &Node) -> String {
    match &node.value {
        Value::Scalar { text, .. } => Json::from(text.clone()).to_string(),
        Value::Sequence(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::Mapping(entries) => {
            let entries = entries.iter().map(|(key, value)| format!("{}: {}", flow(key), flow(value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
    }
}
