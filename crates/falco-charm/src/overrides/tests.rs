use serde_yaml::Value;

use super::*;

fn document(name: &str, text: &str) -> Document {
    Document { name: name.into(), text: text.into() }
}

fn merged(texts: &[&str]) -> Overrides {
    let documents: Vec<Document> = texts.iter().map(|text| document("d", text)).collect();
    merge(&documents, false).unwrap()
}

fn yaml(text: &str) -> Value {
    serde_yaml::from_str(text).unwrap()
}

/// What a base becomes.
fn applied(texts: &[&str], base: &str) -> Value {
    merged(texts).apply_to(yaml(base).as_mapping().unwrap().clone()).into()
}

#[test]
fn one_key_leaves_its_neighbours() {
    let base = "metrics: {enabled: true, interval: 1h}\nlog_level: info";
    assert_eq!(
        applied(&["metrics: {interval: 5m, new: {a: 1}}"], base),
        yaml("metrics: {enabled: true, interval: 5m, new: {a: 1}}\nlog_level: info")
    );
}

#[test]
fn lists_replace_lists_and_null_takes_away() {
    let base = "syscall_event_drops: {actions: [log, alert], rate: 1}\nlog_level: info";
    let overrides =
        ["syscall_event_drops: {actions: [exit], rate: null, absent: null}\nlog_level:\nnew: {a: {b: null}}"];
    assert_eq!(applied(&overrides, base), yaml("syscall_event_drops: {actions: [exit]}\nnew: {a: {}}"));
}

#[test]
fn later_documents_win() {
    assert_eq!(applied(&["a: {x: 1, y: 1}", "a: {x: 2}\nb: 1", "b:"], "b: 0"), yaml("a: {x: 2, y: 1}"));
    assert_eq!(applied(&["a:", "a: 1"], "a: 0"), yaml("a: 1"));
}

#[test]
fn plugins_are_merged_by_name() {
    let base = "plugins: [{name: container, library_path: /x.so}]";
    let overrides = [
        "plugins: [{name: container, init_config: {with_size: true, hooks: null}}]",
        "plugins: [{name: json, init_config: a}, {name: container, init_config: {label_max_len: 9}}]",
    ];
    let wanted = "plugins: [{name: container, library_path: /x.so, init_config: {with_size: true, label_max_len: 9}}, \
                  {name: json, init_config: a}]";
    assert_eq!(applied(&overrides, base), yaml(wanted));
}

#[test]
fn additions_to_alerts_are_added_once() {
    let base = "append_output: [{suggested_output: true}]";
    let add = "append_output: [{extra_output: x}, {suggested_output: true}]";
    assert_eq!(applied(&[add, add], base), yaml("append_output: [{suggested_output: true}, {extra_output: x}]"));
    assert_eq!(applied(&[add], "{}"), yaml(add));
}

#[test]
fn selectors_are_appended_and_a_repeated_one_counts_where_it_is_last() {
    let texts = ["rules: [{disable: {tag: a}}, {enable: {tag: b}}]", "rules: [{disable: {tag: a}}]"];
    let wanted = "rules: [{enable: {tag: b}}, {disable: {tag: a}}]";
    assert_eq!(applied(&texts, "{}"), yaml(wanted));
    assert_eq!(applied(&texts, "rules: [{disable: {tag: a}}]"), yaml(wanted));
    assert_eq!(applied(&[texts[0], "rules:", texts[1]], "{}"), yaml(texts[1]), "null takes earlier ones away");
}

#[test]
fn every_problem_of_every_document_is_told() {
    let documents = [
        document("custom-config-repository: config.override.d/a.yaml", "a: [\n"),
        document("custom-config-repository: config.override.d/b.yaml", "webserver: {}\nrules: x\npriority: debug"),
        document("falco-config", "program_output: {}"),
    ];
    let problems = merge(&documents, false).unwrap_err();
    let begin = |problem: &str| problem.splitn(4, ": ").take(3).collect::<Vec<_>>().join(": ");
    let begins: Vec<String> = problems.iter().map(|problem| begin(problem)).collect();
    assert!(begins[0].starts_with("custom-config-repository: config.override.d/a.yaml: is not usable"), "{problems:?}");
    let in_b = |key: &str| format!("custom-config-repository: config.override.d/b.yaml: {key}");
    assert_eq!(begins[1..4], [in_b("rules"), in_b("webserver"), in_b("priority")]);
    assert!(begins[4].starts_with("falco-config: program_output: "), "{problems:?}");
    assert_eq!(merge(&documents[2..], true).map(|overrides| overrides.is_empty()), Ok(false));
}

#[test]
fn all_documents_together_are_bounded() {
    let items = vec!["x"; 1_000].join(", ");
    let documents: Vec<Document> =
        (0..10).map(|number| document(&number.to_string(), &format!("k{number}: [{items}]"))).collect();
    assert!(merge(&documents[..4], false).is_ok());
    let problems = merge(&documents, false).unwrap_err();
    assert!(problems[0].contains("all overrides together"), "{problems:?}");
}

#[test]
fn what_says_the_same_is_written_the_same() {
    let one = merged(&["b: {y: 1, x: [{q: 1, p: 2}]}\na: 1"]);
    let other = merged(&["a: 1", "b: {x: [{p: 2, q: 1}]}", "b: {y: 1}"]);
    assert_eq!(one, other);
    assert_eq!(one.to_yaml(), other.to_yaml());
    assert!(merged(&["# nothing", ""]).is_empty());
    assert_eq!(merged(&[]).to_yaml(), Overrides::default().to_yaml());
}

#[test]
fn what_is_written_is_read_again_whatever_it_is() {
    let text = "a: ['', ' ', \"\\u0085\\u2028\\x07\\uFEFF\", yes, '1', '~', 1e300, -0.0, 5, '%x', '- a', \"x\\n\\n \"]\n'%k': {}\n'- k': []\n";
    let overrides = merged(&[text]);
    assert_eq!(Overrides::from_yaml(overrides.to_yaml().as_bytes()).unwrap(), overrides);
    let lines = "\\n".repeat(130_000);
    let deep = "{a: ".repeat(31);
    let overrides = merged(&[&format!("{deep}\"x{lines}x\"{}", "}".repeat(31))]);
    assert_eq!(Overrides::from_yaml(overrides.to_yaml().as_bytes()).unwrap(), overrides);
    assert!(Overrides::from_yaml(b"- a").is_err());
}

#[test]
fn debug_shows_no_content() {
    let text = "a: hunter2";
    assert!(!format!("{:?} {:?}", document("d", text), merged(&[text])).contains("hunter2"));
}
