//! The interfaces under metadata/interfaces: well formed, met by their own vectors, and neither more nor fewer than our
//! code speaks.

use std::collections::{BTreeMap, BTreeSet};

use charm_tests::interfaces::check;
use serde::Deserialize;
use serde_json::Value;

use crate::charm::Charm;
use crate::{names, text};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Interface {
    name: String,
    version: u32,
    status: String,
    summary: String,
    description: String,
    databags: BTreeMap<String, BTreeMap<String, Value>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    about: String,
    side: String,
    bag: String,
    databag: BTreeMap<String, String>,
}

/// Every interface with its folder.
fn interfaces() -> Vec<(String, Interface)> {
    let mut interfaces = Vec::new();
    for name in names("metadata/interfaces").into_iter().filter(|name| name != "README.md") {
        for version in names(&format!("metadata/interfaces/{name}")) {
            let folder = format!("metadata/interfaces/{name}/{version}");
            let interface: Interface = serde_yaml::from_str(&text(&format!("{folder}/interface.yaml")))
                .unwrap_or_else(|error| panic!("{folder}: {error}"));
            assert_eq!((&interface.name, format!("v{}", interface.version)), (&name, version), "{folder}");
            interfaces.push((folder, interface));
        }
    }
    interfaces
}

#[test]
fn an_interface_describes_the_four_databags_as_objects_of_texts() {
    for (folder, interface) in interfaces() {
        assert!(["draft", "published"].contains(&interface.status.as_str()), "{folder}");
        assert!(interface.summary.ends_with('.') && interface.description.trim_end().ends_with('.'), "{folder}");
        assert_eq!(interface.databags.keys().collect::<Vec<_>>(), ["provider", "requirer"], "{folder}");
        for (side, bags) in &interface.databags {
            assert_eq!(bags.keys().collect::<Vec<_>>(), ["app", "unit"], "{folder}: {side}");
            for (bag, schema) in bags {
                assert_eq!(schema["type"], "object", "{folder}: {side} {bag}");
                // A databag may be empty and may hold keys of others.
                assert!(
                    schema.get("required").is_none() && schema.get("additionalProperties").is_none(),
                    "{folder}: {side} {bag}"
                );
                for (key, value) in schema["properties"].as_object().into_iter().flatten() {
                    assert_eq!(value["type"], "string", "{folder}: {side} {bag} {key}");
                    assert!(
                        value["description"].as_str().is_some_and(|text| text.ends_with('.')),
                        "{folder}: {side} {bag} {key}"
                    );
                    assert_eq!(
                        value.get("contentSchema").is_some(),
                        value["contentMediaType"] == "application/json",
                        "{folder}: {side} {bag} {key}"
                    );
                }
            }
        }
    }
}

#[test]
fn every_vector_is_valid_and_every_databag_that_is_used_has_one() {
    for (folder, interface) in interfaces() {
        let mut seen = BTreeSet::new();
        for name in names(&format!("{folder}/vectors")) {
            let path = format!("{folder}/vectors/{name}");
            let vector: Vector = serde_json::from_str(&text(&path)).unwrap_or_else(|error| panic!("{path}: {error}"));
            assert!(!vector.about.is_empty(), "{path}");
            check(&interface.name, &vector.side, &vector.bag, &vector.databag)
                .unwrap_or_else(|error| panic!("{path}: {error}"));
            if !vector.databag.is_empty() {
                seen.insert((vector.side, vector.bag));
            }
        }
        // The provider's application databag of loki_push_api is read by nobody here, so nothing has to be known of it
        // but its shape.
        let unread = BTreeSet::from([("loki_push_api", "provider", "app")]);
        for (side, bags) in &interface.databags {
            for (bag, schema) in bags {
                let used = schema.get("properties").is_some()
                    && !unread.contains(&(interface.name.as_str(), side.as_str(), bag.as_str()));
                assert_eq!(used, seen.contains(&(side.clone(), bag.clone())), "{folder}: {side} {bag}");
            }
        }
    }
}

#[test]
fn a_schema_looks_into_the_json_of_a_text() {
    let check = |url: &str| {
        let databag = [("url".to_owned(), url.to_owned())].into();
        check("falcosidekick_http_endpoint", "provider", "app", &databag)
    };
    check(r#""https://falcosidekick.example.com/a/path""#).unwrap();
    for wrong in [
        "https://falcosidekick.example.com/",
        r#""falcosidekick:2801""#,
        r#""ftp://x/""#,
        r#""https://a host/""#,
        r#""""#,
        "7",
    ] {
        check(wrong).expect_err(wrong);
    }
}

#[test]
fn what_our_code_speaks_has_its_folder_and_the_other_way_round() {
    let modules: BTreeSet<String> = names("crates/charm-core/src/interfaces")
        .iter()
        .filter_map(|name| name.strip_suffix(".rs"))
        .map(str::to_owned)
        .collect();
    // A module is named like its interface, and a Rust name has no hyphens.
    let folders: BTreeSet<String> =
        interfaces().into_iter().map(|(_, interface)| interface.name.replace('-', "_")).collect();
    assert_eq!(modules, folders, "left: modules of charm-core, right: folders of metadata/interfaces");

    let charms = Charm::all();
    let endpoints: BTreeSet<String> =
        charms.iter().flat_map(Charm::endpoints).map(|(_, _, endpoint)| endpoint.interface.replace('-', "_")).collect();
    assert!(folders.is_subset(&endpoints), "an interface that no endpoint has: {:?}", folders.difference(&endpoints));
}
