//! The schemas under `metadata/interfaces`, for checking the databags that a charm has written.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use boon::{Compiler, Draft, SchemaIndex, Schemas};
use serde::Deserialize;
use serde_json::{Value, json};

/// The keys that Juju itself puts into the databag of a unit.
const JUJU_KEYS: [&str; 3] = ["egress-subnets", "ingress-address", "private-address"];

#[derive(Deserialize)]
struct Interface {
    databags: BTreeMap<String, BTreeMap<String, Value>>,
}

/// The schemas of all databags, compiled once.
struct Databags {
    schemas: Schemas,
    by_bag: BTreeMap<(String, String, String), SchemaIndex>,
}

static DATABAGS: LazyLock<Databags> = LazyLock::new(compile);

/// Checks a databag that one side of an interface has written. An interface without a schema is one that no charm of
/// ours speaks yet: only an empty databag is right then.
pub fn check(interface: &str, side: &str, bag: &str, databag: &BTreeMap<String, String>) -> Result<(), String> {
    let written: BTreeMap<_, _> = databag.iter().filter(|(key, _)| !JUJU_KEYS.contains(&key.as_str())).collect();
    match DATABAGS.by_bag.get(&(interface.to_owned(), side.to_owned(), bag.to_owned())) {
        Some(index) => DATABAGS.schemas.validate(&json!(written), *index).map_err(|error| format!("{error:#}")),
        None if written.is_empty() => Ok(()),
        None => Err(format!("metadata/interfaces has no schema for {interface}, and something was written")),
    }
}

fn compile() -> Databags {
    let mut databags = Databags { schemas: Schemas::new(), by_bag: BTreeMap::new() };
    let entries = std::fs::read_dir(folder()).expect("metadata/interfaces is there");
    for path in entries.map(|entry| entry.expect("an entry of metadata/interfaces").path()).filter(|path| path.is_dir())
    {
        let name = path.file_name().expect("a folder has a name").to_string_lossy().into_owned();
        let file = description(&name).expect("a folder is an interface");
        let text = std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let interface: Interface =
            serde_yaml::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        for (side, bags) in interface.databags {
            for (bag, schema) in bags {
                let index = compile_one(&mut databags.schemas, &format!("databag:/{name}/{side}/{bag}.json"), schema);
                databags.by_bag.insert((name.clone(), side.clone(), bag), index);
            }
        }
    }
    databags
}

/// The file that describes an interface, in the version that our charms speak; none of one that nobody has described.
/// Juju knows interfaces by name only, so there can be but one version.
pub fn description(interface: &str) -> Option<PathBuf> {
    let versions = std::fs::read_dir(folder().join(interface)).ok()?;
    let versions = versions.map(|entry| entry.expect("an entry of the folder of an interface").path());
    versions.max().map(|version| version.join("interface.yaml"))
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../metadata/interfaces")
}

fn compile_one(schemas: &mut Schemas, location: &str, schema: Value) -> SchemaIndex {
    let mut compiler = Compiler::new();
    compiler.set_default_draft(Draft::V2020_12);
    compiler.enable_format_assertions();
    // So that the JSON inside a text is looked at as well.
    compiler.enable_content_assertions();
    compiler.add_resource(location, schema).unwrap_or_else(|error| panic!("{location}: {error}"));
    compiler.compile(location, schemas).unwrap_or_else(|error| panic!("{location}: {error:#}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bag(key: &str, value: &str) -> BTreeMap<String, String> {
        [(key.to_owned(), value.to_owned()), ("ingress-address".to_owned(), "192.0.2.1".to_owned())].into()
    }

    #[test]
    fn the_json_inside_a_text_is_looked_at() {
        let check = |value| check("falcosidekick_http_endpoint", "provider", "app", &bag("url", value));
        check("\"https://example.com/\"").unwrap();
        assert!(check("https://example.com/").is_err());
        assert!(check("\"ftp://example.com/\"").is_err());
    }

    #[test]
    fn an_interface_without_a_schema_takes_nothing() {
        check("juju-info", "requirer", "unit", &BTreeMap::new()).unwrap();
        assert!(check("juju-info", "requirer", "unit", &bag("x", "y")).is_err());
    }
}
