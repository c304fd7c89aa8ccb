//! What is and what should be.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

/// Names what differs, as two long values side by side show nobody anything.
#[track_caller]
pub fn assert_same(found: &Value, expected: &Value) {
    let mut differing = Vec::new();
    compare("", found, expected, &mut differing);
    assert!(differing.is_empty(), "\n{}", differing.join("\n"));
}

fn compare(place: &str, found: &Value, expected: &Value, differing: &mut Vec<String>) {
    if let (Value::Object(found), Value::Object(expected)) = (found, expected) {
        let keys: BTreeSet<&String> = found.keys().chain(expected.keys()).collect();
        for key in keys {
            let of = |object: &Map<String, Value>| object.get(key).cloned().unwrap_or_else(|| json!("(nothing)"));
            compare(&format!("{place}/{key}"), &of(found), &of(expected), differing);
        }
    } else if found != expected {
        differing.push(format!("{place}: {found} and not {expected}"));
    }
}
