use proptest::prelude::*;
use proptest::test_runner::{TestCaseResult, TestRunner};
use serde_yaml::Value;

use super::refusals::{REFUSALS, Refusal};
use super::*;

/// What the charm writes, as far as it is needed here.
const BASE: &str = "
append_output: [{suggested_output: true}, {extra_fields: [{juju_unit: falco/0}]}]
config_files: []
engine: {kind: modern_ebpf, modern_ebpf: {buf_size_preset: 4, drop_failed_exit: false}}
http_output: {enabled: true, url: https://h/}
json_include_output_fields_property: true
json_output: true
load_plugins: [container]
log_level: info
metrics: {enabled: true, interval: 1h}
plugins: [{name: container, library_path: /c.so}]
priority: debug
rules_files: [/r.yaml]
syslog_output: {enabled: true}
watch_config_files: true
webserver: {enabled: true, listen_port: 8765}
";

fn base() -> Mapping {
    serde_yaml::from_str(BASE).unwrap()
}

fn document(value: &Value) -> Document {
    Document { name: "d".into(), text: serde_yaml::to_string(value).unwrap().into_bytes() }
}

fn merge_all(values: &[&Value]) -> Result<Overrides, Vec<String>> {
    merge(&values.iter().map(|value| document(value)).collect::<Vec<_>>(), false)
}

fn written(overrides: &Overrides) -> Value {
    serde_yaml::from_str(&overrides.to_yaml()).unwrap()
}

/// All that there is at the path of a row.
fn at<'a>(value: &'a Value, path: &str) -> Vec<&'a Value> {
    let path = path.replace("[]", ".[]");
    path.split('.').fold(vec![value], |values, key| {
        let inner = values.into_iter().flat_map(|value| match (key, value) {
            ("[]", Value::Sequence(entries)) => entries.iter().collect::<Vec<_>>(),
            ("*", Value::Mapping(mapping)) => mapping.values().collect(),
            _ => value.get(key).into_iter().collect(),
        });
        inner.collect()
    })
}

fn mapping(entries: Vec<(String, Value)>) -> Value {
    Value::Mapping(entries.into_iter().map(|(key, value)| (key.into(), value)).collect())
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-1e300..1e300).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[ -~]{0,12}".prop_map(Value::from),
        "/var/log/[a-z.$/{}]{0,9}".prop_map(Value::from),
    ]
}

/// Keys that mean something to Falco, so that what is to be refused comes up often, and others.
fn key() -> impl Strategy<Value = String> {
    let known: Vec<String> = REFUSALS
        .iter()
        .flat_map(|(row, _)| row.split(['.', '[', ']']))
        .chain([
            "append_output",
            "rules",
            "name",
            "modern_ebpf",
            "extra_fields",
            "juju_unit",
            "log_level",
            "enable",
            "rule",
        ])
        .filter(|key| !key.is_empty() && *key != "*")
        .map(str::to_owned)
        .collect();
    prop_oneof![4 => proptest::sample::select(known), 1 => "[a-zA-Z_-]{1,6}", 1 => "[ -~]{1,6}"]
}

/// Any document at all.
fn anything() -> impl Strategy<Value = Value> {
    let value = scalar().prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((key(), inner), 0..4).prop_map(mapping),
        ]
    });
    proptest::collection::vec((key(), value), 0..4).prop_map(mapping)
}

/// Documents of the kind that operators write: nothing is refused, and a key always holds the same kind of thing.
fn usual() -> impl Strategy<Value = Value> {
    let text = || "[a-c]{1,2}".prop_map(Value::from);
    let one = |key: &'static str, value: BoxedStrategy<Value>| {
        proptest::option::of(value).prop_map(move |value| value.map(|value| (key.to_owned(), value)))
    };
    let selector = (any::<bool>(), any::<bool>(), text()).prop_map(|(enable, by_tag, name)| {
        let what = mapping(vec![(if by_tag { "tag" } else { "rule" }.to_owned(), name)]);
        mapping(vec![(if enable { "enable" } else { "disable" }.to_owned(), what)])
    });
    let addition = text().prop_map(|text| mapping(vec![("extra_output".to_owned(), text)]));
    let settings = proptest::collection::btree_map("[a-c]", text(), 0..3);
    let settings = || settings.clone().prop_map(|entries| mapping(entries.into_iter().collect()));
    let plugins = proptest::collection::btree_map("[a-b]|container", settings(), 0..3).prop_map(|plugins| {
        let plugin = |(name, settings)| {
            mapping(vec![("name".to_owned(), Value::from(name)), ("init_config".to_owned(), settings)])
        };
        Value::Sequence(plugins.into_iter().map(plugin).collect())
    });
    let list = |entry: BoxedStrategy<Value>| proptest::collection::vec(entry, 0..4).prop_map(Value::from).boxed();
    let parts = (
        one("log_level", text().boxed()),
        one("metrics", settings().boxed()),
        one("static_fields", settings().boxed()),
        one("base_syscalls", list(text().boxed())),
        one("rules", list(selector.boxed())),
        one("append_output", list(addition.boxed())),
        one("plugins", plugins.boxed()),
    );
    parts.prop_map(|(a, b, c, d, e, f, g)| mapping([a, b, c, d, e, f, g].into_iter().flatten().collect()))
}

/// Runs a property and shows the smallest case that it does not hold for.
fn holds<S: Strategy>(cases: u32, strategy: S, property: impl Fn(S::Value) -> TestCaseResult) {
    // Without a file of seeds in the source tree: a case that fails becomes a test with a name.
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    TestRunner::new(config).run(&strategy, property).unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn nothing_that_is_owned_or_unsafe_survives() {
    let accepted = std::cell::Cell::new(0);
    holds(1_000, (anything(), anything()), |(one, other)| {
        let Ok(overrides) = merge_all(&[&one, &other]) else { return Ok(()) };
        accepted.set(accepted.get() + u32::from(!overrides.is_empty()));
        let before = Value::from(base());
        let after = Value::from(overrides.apply_to(base()));
        for (row, refusal) in REFUSALS {
            if refusal != Refusal::OutsideOfLogs {
                prop_assert_eq!(at(&after, row), at(&before, row), "{}", row);
            }
            for path in at(&after, row).into_iter().filter(|_| refusal == Refusal::OutsideOfLogs) {
                prop_assert!(path.as_str().is_some_and(|path| path.starts_with("/var/log/")), "{row}: {path:?}");
            }
        }
        let juju = after["append_output"][1]["extra_fields"][0]["juju_unit"].as_str();
        prop_assert_eq!(juju, Some("falco/0"));
        Ok(())
    });
    assert!(accepted.get() > 50, "only {} documents were taken", accepted.get());
}

#[test]
fn merging_twice_is_merging_once() {
    holds(100, (usual(), usual()), |(one, other)| {
        let once = merge_all(&[&one, &other]).unwrap();
        prop_assert_eq!(&merge_all(&[&one, &other, &other]).unwrap(), &once);
        prop_assert_eq!(&merge_all(&[&written(&once), &written(&once)]).unwrap(), &once);
        let applied = once.apply_to(base());
        prop_assert_eq!(once.apply_to(applied.clone()), applied);
        Ok(())
    });
}

#[test]
fn merging_in_any_groups_gives_the_same() {
    holds(100, (usual(), usual(), usual()), |(a, b, c)| {
        let all = merge_all(&[&a, &b, &c]).unwrap();
        let left = merge_all(&[&written(&merge_all(&[&a, &b]).unwrap()), &c]).unwrap();
        let right = merge_all(&[&a, &written(&merge_all(&[&b, &c]).unwrap())]).unwrap();
        prop_assert_eq!(&left, &all);
        prop_assert_eq!(&right, &all);
        let in_turn = [&a, &b, &c].iter().fold(base(), |base, one| merge_all(&[one]).unwrap().apply_to(base));
        prop_assert_eq!(all.apply_to(base()), in_turn);
        Ok(())
    });
}

#[test]
fn the_later_document_wins() {
    fn wins(later: &Value, result: &Value) -> bool {
        match later {
            Value::Mapping(later) => later.iter().all(|(key, value)| {
                let is_added_to = key.as_str().is_some_and(lists::is_added_to);
                is_added_to || result.get(key).is_some_and(|result| wins(value, result))
            }),
            other => other == result,
        }
    }
    holds(100, (usual(), usual()), |(one, other)| {
        let result = merge_all(&[&one, &other]).unwrap().apply_to(base());
        prop_assert!(wins(&other, &result.into()));
        Ok(())
    });
}

#[test]
fn what_is_written_is_read_again() {
    holds(300, anything(), |one| {
        let Ok(overrides) = merge_all(&[&one]) else { return Ok(()) };
        let again = Overrides::from_yaml(overrides.to_yaml().as_bytes()).unwrap();
        prop_assert_eq!(again.to_yaml(), overrides.to_yaml());
        prop_assert_eq!(again, overrides);
        Ok(())
    });
}

#[test]
fn no_text_panics() {
    let merge_text = |text: Vec<u8>| {
        let _ = merge(&[Document { name: "d".into(), text }], false);
        Ok(())
    };
    holds(500, proptest::collection::vec(any::<u8>(), 0..60), merge_text);
    // What a parser of YAML is likely to stumble over.
    let pieces = [
        "- ", "? ", ": ", ", ", "[", "]", "{", "}", "&a ", "*a", "!x ", "!!str ", "<<", "'", "\"", "#", "|", ">", "%",
        "@", "`", "~", "---", "...", "\n", "\n  ", " ", "\t", "a", "b", "1", "-1", "1e3", "\\", "\r", "\u{feff}", "é",
    ];
    let piece = proptest::sample::select(pieces.to_vec());
    let texts = proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat().into_bytes());
    holds(3_000, texts, merge_text);
}

#[test]
fn what_comes_out_is_bounded_whatever_aliases_and_depth_go_in() {
    fn size(value: &Value) -> usize {
        match value {
            Value::Mapping(mapping) => 1 + mapping.iter().map(|(_, value)| 1 + size(value)).sum::<usize>(),
            Value::Sequence(list) => 1 + list.iter().map(size).sum::<usize>(),
            _ => 1,
        }
    }
    holds(100, (1_usize..40, 1_usize..40, 1_usize..40), |(levels, width, depth)| {
        let bomb = (0..levels).map(|level| {
            let inner = if level == 0 { "x".to_owned() } else { format!("*a{}", level - 1) };
            let nested = "[".repeat(depth) + &vec![inner; width].join(", ") + &"]".repeat(depth);
            format!("k{level}: &a{level} {nested}\n")
        });
        let text = bomb.collect::<String>().into_bytes();
        if let Ok(overrides) = merge(&[Document { name: "d".into(), text }], false) {
            prop_assert!(size(&written(&overrides)) <= 5_000);
            prop_assert!(levels * depth <= 32 + levels, "{levels} levels of {depth}");
        }
        Ok(())
    });
}
