//! The options that add something to every event: `custom-fields`, `templated-fields` and `custom-tags`.
//!
//! Each field becomes a label in Falcosidekick's metrics and in Loki, and the wrong name there ends Falcosidekick, makes
//! Loki refuse every event, or vanishes. So a name is taken only if all of them take it as it is. Pure.

use std::collections::BTreeMap;

use charm_core::config::{Problem, Problems, RawConfig};

use crate::outputs::template;
use crate::outputs::yaml::{self, Node, Tree};

/// The option with texts.
pub const CUSTOM_FIELDS: &str = "custom-fields";
/// The option with Go templates.
pub const TEMPLATED_FIELDS: &str = "templated-fields";
/// The option with tags.
pub const CUSTOM_TAGS: &str = "custom-tags";

/// An alert without a field is refused, and Falco's alarm about its own rules has none. So there is always this one, by
/// a name that no alert has, because a field from here takes the place of the alert's.
pub const MODEL_FIELD: &str = "sidekick_model";

/// The labels that Falcosidekick itself gives. A second one of the same name ends it.
const BUILT_IN: [&str; 7] = ["hostname", "k8s_ns_name", "k8s_pod_name", "priority", "priority_raw", "rule", "source"];

/// What Loki takes at most as the value of a label, in bytes.
const LONGEST_VALUE: usize = 2048;

/// All tags of an event make one label. The event brings some of its own.
const LONGEST_TAGS: usize = 1024;

/// What is added to every event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields {
    /// Texts.
    pub custom: BTreeMap<String, String>,
    /// Go templates.
    pub templated: BTreeMap<String, String>,
    /// Tags.
    pub tags: Vec<String>,
}

impl Fields {
    /// Reads the three options.
    pub fn parse(raw: &RawConfig, problems: &mut Problems) -> Self {
        let mut read = |option| match fields(raw, option) {
            Ok((fields, complaints)) => {
                for problem in complaints {
                    problems.push(problem);
                }
                fields
            }
            Err(problem) => {
                problems.push(problem);
                BTreeMap::new()
            }
        };
        let custom = read(CUSTOM_FIELDS);
        let templated = read(TEMPLATED_FIELDS);
        for name in templated.keys().filter(|name| custom.contains_key(*name)) {
            let text = format!("{name:?} stands in {CUSTOM_FIELDS} as well, which would crash Falcosidekick");
            problems.push(Problem::new(TEMPLATED_FIELDS, text));
        }
        Self { custom, templated, tags: problems.catch(tags(raw)).unwrap_or_default() }
    }

    /// The names of all fields that become labels.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let own = [MODEL_FIELD].into_iter();
        own.chain(self.custom.keys().chain(self.templated.keys()).map(String::as_str))
    }
}

/// Names of output fields with commas between them. Falcosidekick ignores blanks there.
pub fn list(text: &str) -> Vec<&str> {
    if text.trim().is_empty() { Vec::new() } else { text.split(',').map(str::trim).collect() }
}

/// The label that Falcosidekick makes of the name of an output field.
pub fn label(name: &str) -> String {
    name.replace('.', "_").replace(['[', ']'], "")
}

/// Whether an output field makes a label that everybody takes.
pub fn is_field(name: &str) -> bool {
    let label = label(name);
    label.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && !label.starts_with("__")
        && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Whether Falcosidekick gives a label of this name itself.
pub fn is_built_in(label: &str) -> bool {
    BUILT_IN.contains(&label)
}

/// The fields of an option that can be used, and what is wrong with the others.
fn fields(raw: &RawConfig, option: &'static str) -> Result<(BTreeMap<String, String>, Vec<Problem>), Problem> {
    let text: String = raw.get(option)?.unwrap_or_default();
    let root = yaml::parse(&text).map_err(|problem| Problem::new(option, problem))?;
    let entries = match root {
        None => Vec::new(),
        Some(Node { value: Tree::Map(entries), .. }) => entries,
        Some(_) => return Err(Problem::new(option, "is not a YAML map of names and texts")),
    };
    let (mut fields, mut problems) = (BTreeMap::new(), Vec::new());
    for (name, node) in entries {
        let value = match node.value {
            Tree::Scalar(value) => value,
            _ => String::new(),
        };
        match name_problem(&name).or_else(|| value_problem(option, &value)) {
            Some(problem) => problems.push(Problem::new(option, format!("{name:?} {problem}"))),
            None => drop(fields.insert(name, value)),
        }
    }
    Ok((fields, problems))
}

fn name_problem(name: &str) -> Option<&'static str> {
    let is_legal = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if !is_legal {
        // A dot makes it vanish, a capital becomes small, and Loki refuses every event with any other.
        return Some("may only have small letters, digits and `_`, and begins with a letter");
    }
    match name {
        MODEL_FIELD => Some("is set by the charm"),
        "tags" => Some("would lose to the tags of the event; use custom-tags"),
        _ if is_built_in(name) => Some("is a label of Falcosidekick's own, and would crash it"),
        _ if name.starts_with("juju_") => Some("would take the place of what the Falco unit says about itself"),
        _ => None,
    }
}

fn value_problem(option: &str, value: &str) -> Option<&'static str> {
    if value.is_empty() {
        return Some("has no text, and would vanish");
    }
    if option == TEMPLATED_FIELDS {
        return template::problem(value);
    }
    if value.contains(char::is_control) {
        return Some("has a line feed or another control character in it");
    }
    (value.len() > LONGEST_VALUE).then_some("is longer than the 2048 bytes that Loki takes")
}

fn tags(raw: &RawConfig) -> Result<Vec<String>, Problem> {
    let text: String = raw.get(CUSTOM_TAGS)?.unwrap_or_default();
    let mut tags: Vec<String> = list(&text).into_iter().map(str::to_owned).collect();
    let is_word =
        |tag: &String| !tag.is_empty() && tag.chars().all(|c| c.is_ascii_alphanumeric() || "_.:/-".contains(c));
    if !tags.iter().all(is_word) {
        let text = "is not a list of words with commas between them; a word has letters, digits and `_.:/-`";
        return Err(Problem::new(CUSTOM_TAGS, text));
    }
    if text.len() > LONGEST_TAGS {
        return Err(Problem::new(CUSTOM_TAGS, format!("is longer than {LONGEST_TAGS} bytes")));
    }
    tags.sort();
    tags.dedup();
    Ok(tags)
}

#[cfg(test)]
mod tests {
    use charm_core::Status;

    use super::*;

    fn parse(options: &[(&str, &str)]) -> Result<Fields, String> {
        let mut problems = Problems::default();
        let fields = Fields::parse(&options.iter().copied().collect(), &mut problems);
        if problems.is_empty() { Ok(fields) } else { Err(Status::from(problems).message()) }
    }

    #[test]
    fn texts_stay_as_they_were_written() {
        let fields = parse(&[
            (CUSTOM_FIELDS, "site: 007\nteam: 'a: b'\n"),
            (TEMPLATED_FIELDS, "who: '{{ index . \"user.name\" }}'"),
            (CUSTOM_TAGS, "one, two,one"),
        ]);
        let fields = fields.unwrap();
        assert_eq!(fields.custom["site"], "007");
        assert_eq!(fields.custom["team"], "a: b");
        assert_eq!(fields.tags, ["one", "two"]);
        assert_eq!(fields.names().collect::<Vec<_>>(), ["sidekick_model", "site", "team", "who"]);
        assert_eq!(parse(&[(CUSTOM_FIELDS, ""), (CUSTOM_TAGS, " ")]), Ok(Fields::default()));
    }

    #[test]
    fn names_that_crash_falcosidekick_or_vanish_are_told_with_the_reason() {
        for (name, text) in [
            ("rule", "crash"),
            ("k8s_ns_name", "crash"),
            ("priority_raw", "crash"),
            ("tags", "lose to the tags"),
            ("sidekick_model", "set by the charm"),
            ("juju_model", "take the place"),
            ("my-field", "small letters"),
            ("my.field", "small letters"),
            ("Team", "small letters"),
            ("9a", "small letters"),
            ("_a", "small letters"),
            ("a:b", "small letters"),
        ] {
            let value = serde_json::json!({ name: "x" }).to_string();
            for option in [CUSTOM_FIELDS, TEMPLATED_FIELDS] {
                let message = parse(&[(option, &value)]).unwrap_err();
                assert!(message.starts_with(&format!("{option}: {name:?} ")) && message.contains(text), "{message}");
            }
        }
    }

    #[test]
    fn values_that_would_vanish_or_be_refused_are_told() {
        let long = format!("a: {}", "x".repeat(2049));
        for (option, value) in [
            (CUSTOM_FIELDS, "a: ''"),
            (CUSTOM_FIELDS, "a:"),
            (CUSTOM_FIELDS, "a: [b]"),
            (CUSTOM_FIELDS, "a: \"b\\nc\""),
            (CUSTOM_FIELDS, &long),
            (CUSTOM_FIELDS, "[a]"),
            (CUSTOM_FIELDS, "a: &x b"),
            (TEMPLATED_FIELDS, "a: '{{ .b'"),
            (CUSTOM_TAGS, "a,,b"),
            (CUSTOM_TAGS, "a b"),
            (CUSTOM_TAGS, "[::1]"),
        ] {
            let message = parse(&[(option, value)]).unwrap_err();
            assert!(message.starts_with(&format!("{option}: ")), "{message}");
        }
    }

    #[test]
    fn a_name_in_both_options_would_crash_falcosidekick() {
        let message = parse(&[(CUSTOM_FIELDS, "a: b"), (TEMPLATED_FIELDS, "a: b")]).unwrap_err();
        assert!(message.starts_with("templated-fields: \"a\" stands in custom-fields as well"), "{message}");
    }

    #[test]
    fn output_fields_are_judged_by_the_label_they_make() {
        assert!(is_field("proc.name") && is_field("proc.args[0]") && is_field("fd_1"));
        assert!(!is_field("") && !is_field("a-b") && !is_field("9a") && !is_field("__a") && !is_field("a b"));
        assert_eq!(label("proc.args[0]"), "proc_args0");
    }
}
