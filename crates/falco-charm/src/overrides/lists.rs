//! The three lists of falco.yaml that are added to: what they are made of, and how two become one. Pure.
//!
//! A mistake in one of them ends Falco with no more than `bad conversion` and a line of a file that the operator never
//! wrote, so that it is told here.

use std::collections::BTreeSet;

use serde_yaml::{Mapping, Value};

/// Additions to alerts. They are independent of each other.
pub const APPEND_OUTPUT: &str = "append_output";

/// Plugins, each with a name of its own.
pub const PLUGINS: &str = "plugins";

/// What turns rules on and off, one after the other, so that the last one counts.
pub const RULES: &str = "rules";

/// All that is wrong with the lists in a document, each with its place.
pub fn check(document: &Mapping) -> Vec<String> {
    let mut problems = Vec::new();
    if let Some(value) = document.get(APPEND_OUTPUT) {
        each(APPEND_OUTPUT, value, append_output, &mut problems);
    }
    if let Some(value) = document.get(PLUGINS) {
        each(PLUGINS, value, plugin, &mut problems);
        let mut names = BTreeSet::new();
        for name in value.as_sequence().into_iter().flatten().filter_map(name_of) {
            if !names.insert(name) {
                problems.push(format!("{PLUGINS}: {name} is there twice"));
            }
        }
    }
    // What earlier documents say can be taken away here, as nothing of the charm is in it.
    if let Some(value) = document.get(RULES).filter(|value| !value.is_null()) {
        each(RULES, value, selector, &mut problems);
    }
    problems
}

/// Adds to a list what is not there yet; in the list of selectors a repeated one moves to the end, where it counts.
/// `same` puts one plugin over the other of its name.
pub fn add(list: &str, there: &mut Vec<Value>, entry: Value, same: impl FnOnce(&mut Value, Value)) {
    match list {
        PLUGINS => {
            let name = name_of(&entry).map(str::to_owned);
            let namesake = there.iter_mut().find(|other| name.is_some() && name_of(other) == name.as_deref());
            if let Some(other) = namesake {
                same(other, entry);
            } else {
                let mut new = Value::Null;
                same(&mut new, entry);
                there.push(new);
            }
        }
        RULES => {
            there.retain(|other| *other != entry);
            there.push(entry);
        }
        _ if there.contains(&entry) => {}
        _ => there.push(entry),
    }
}

/// Is it one of the three?
pub fn is_added_to(key: &str) -> bool {
    [APPEND_OUTPUT, PLUGINS, RULES].contains(&key)
}

/// The name of a plugin.
pub fn name_of(plugin: &Value) -> Option<&str> {
    plugin.get("name")?.as_str().filter(|name| !name.is_empty())
}

fn each(list: &str, value: &Value, check: impl Fn(&Mapping) -> Option<String>, problems: &mut Vec<String>) {
    let Some(entries) = value.as_sequence() else {
        problems.push(format!("{list}: is not a list, which it has to be; what it has from the charm stays in it"));
        return;
    };
    for (number, entry) in entries.iter().enumerate() {
        let wrong = match entry.as_mapping() {
            Some(entry) => check(entry),
            None => Some("is not a mapping".to_owned()),
        };
        problems.extend(wrong.map(|wrong| format!("{list}[{number}]: {wrong}")));
    }
}

fn plugin(entry: &Mapping) -> Option<String> {
    let name = entry.get("name").and_then(Value::as_str).filter(|name| !name.is_empty());
    // Falco would replace it by a variable, and so make it another name than the one that was checked.
    let is_wrong = name.is_none_or(|name| name.contains("${"));
    is_wrong.then(|| "needs a name, which is a plain text".to_owned())
}

fn selector(entry: &Mapping) -> Option<String> {
    let is_name = |key: &Value, value: &Value| {
        matches!(key.as_str(), Some("rule" | "tag")) && value.as_str().is_some_and(|name| !name.is_empty())
    };
    let mut verbs = entry.iter();
    let is_right = match (verbs.next(), verbs.next()) {
        (Some((verb, Value::Mapping(what))), None) => {
            matches!(verb.as_str(), Some("enable" | "disable"))
                && !what.is_empty()
                && what.iter().all(|(key, value)| is_name(key, value))
        }
        _ => false,
    };
    (!is_right).then(|| "is not like `disable: {rule: NAME}` or `enable: {tag: NAME}`".to_owned())
}

fn append_output(entry: &Mapping) -> Option<String> {
    let fields = entry.get("extra_fields")?;
    let Some(fields) = fields.as_sequence() else { return Some("extra_fields is not a list".to_owned()) };
    let mut names = BTreeSet::new();
    for field in fields {
        let Some(name) = field_name(field) else {
            return Some(
                "extra_fields has an entry that is neither the name of a field nor one `name: format`".to_owned(),
            );
        };
        if !names.insert(name) {
            return Some(format!("extra_fields has {name} twice"));
        }
    }
    None
}

/// The name under which an entry of `extra_fields` adds something.
pub fn field_name(field: &Value) -> Option<&str> {
    match field {
        Value::String(name) => Some(name),
        Value::Mapping(pair) if pair.len() == 1 => {
            let (name, format) = pair.iter().next()?;
            let is_scalar = format.is_string() || format.is_number() || format.is_bool();
            name.as_str().filter(|_| is_scalar)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_lists_are_taken() {
        for text in [
            "rules: [{disable: {rule: '*'}}, {enable: {tag: x}}, {enable: {rule: A, tag: x}}]",
            "rules:",
            "append_output: [{extra_output: '%proc.name', match: {source: syscall}}, {suggested_output: true}]",
            "append_output: [{extra_fields: [proc.name, {a: '%fd.name'}, {b: 1}, {c: true}]}]",
            "plugins: [{name: container, init_config: {with_size: true}}]",
            "plugins: []",
        ] {
            assert_eq!(check(&serde_yaml::from_str(text).unwrap()), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn what_falco_would_end_at_is_told_with_its_place() {
        for (text, place, words) in [
            ("rules: {disable: {rule: A}}", "rules:", "not a list"),
            ("rules: [A]", "rules[0]:", "not a mapping"),
            ("rules: [{disable: {tag: x}}, {disable: A}]", "rules[1]:", "is not like"),
            ("rules: [{disable: {}}]", "rules[0]:", "is not like"),
            ("rules: [{disable: {rule: ''}}]", "rules[0]:", "is not like"),
            ("rules: [{disable: {name: A}}]", "rules[0]:", "is not like"),
            ("rules: [{disable: {rule: A}, enable: {rule: B}}]", "rules[0]:", "is not like"),
            ("rules: [{}]", "rules[0]:", "is not like"),
            ("append_output:", "append_output:", "not a list"),
            ("append_output: [{extra_fields: a}]", "append_output[0]:", "not a list"),
            ("append_output: [{extra_fields: [{a: b, c: d}]}]", "append_output[0]:", "neither"),
            ("append_output: [{extra_fields: [{a: [b]}]}]", "append_output[0]:", "neither"),
            ("append_output: [{extra_fields: [a, {a: b}]}]", "append_output[0]:", "a twice"),
            ("plugins:", "plugins:", "not a list"),
            ("plugins: {name: json}", "plugins:", "not a list"),
            ("plugins: [{init_config: x}]", "plugins[0]:", "needs a name"),
            ("plugins: [{name: 1}]", "plugins[0]:", "needs a name"),
            ("plugins: [{name: 'contai${X}ner'}]", "plugins[0]:", "needs a name"),
            ("plugins: [{name: a}, {name: a}]", "plugins:", "a is there twice"),
        ] {
            let problems = check(&serde_yaml::from_str(text).unwrap());
            let [problem] = &problems[..] else { panic!("{text}: {problems:?}") };
            assert!(problem.starts_with(place) && problem.contains(words), "{text}: {problem}");
        }
    }
}
