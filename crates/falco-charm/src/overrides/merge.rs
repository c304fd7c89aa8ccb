//! How two mappings become one. Pure.

use std::mem;

use serde_yaml::{Mapping, Value};

use super::lists;

/// What a `null` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Null {
    /// It stays, for what the whole is put over later.
    Stays,
    /// It takes away what is there.
    Removes,
}

/// Puts a later document over earlier ones.
pub fn compose(earlier: &mut Mapping, later: Mapping) {
    put_all(earlier, later, Null::Stays);
}

/// Puts overrides over a configuration.
pub fn apply(base: &mut Mapping, overrides: &Mapping) {
    put_all(base, overrides.clone(), Null::Removes);
}

/// The same with all keys in order, so that what says the same is written the same.
pub fn sorted(mapping: Mapping) -> Mapping {
    let mut entries: Vec<(Value, Value)> = mapping.into_iter().map(|(key, value)| (key, sorted_value(value))).collect();
    entries.sort_by(|(one, _), (other, _)| one.as_str().cmp(&other.as_str()));
    entries.into_iter().collect()
}

fn sorted_value(value: Value) -> Value {
    match value {
        Value::Mapping(mapping) => sorted(mapping).into(),
        Value::Sequence(list) => list.into_iter().map(sorted_value).collect::<Vec<_>>().into(),
        other => other,
    }
}

fn put_all(base: &mut Mapping, over: Mapping, null: Null) {
    for (key, value) in over {
        let list = key.as_str().filter(|key| lists::is_added_to(key)).map(str::to_owned);
        match (list, value) {
            (Some(list), Value::Sequence(entries)) => {
                let there = base.entry(key).or_insert(Value::Null);
                let mut all = there.as_sequence_mut().map(mem::take).unwrap_or_default();
                for entry in entries {
                    lists::add(&list, &mut all, entry, |one, other| put_over(one, other, null));
                }
                *there = all.into();
            }
            (_, value) => put(base, key, value, null),
        }
    }
}

fn put(base: &mut Mapping, key: Value, value: Value, null: Null) {
    if value.is_null() && null == Null::Removes {
        base.shift_remove(&key);
        return;
    }
    put_over(base.entry(key).or_insert(Value::Null), value, null);
}

fn put_over(there: &mut Value, value: Value, null: Null) {
    match value {
        Value::Mapping(over) => {
            let mut all = there.as_mapping_mut().map(mem::take).unwrap_or_default();
            for (key, value) in over {
                put(&mut all, key, value, null);
            }
            *there = all.into();
        }
        value => *there = value,
    }
}
