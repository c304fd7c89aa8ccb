//! References that have to meet, and the rules of Juju that charmcraft leaves to Juju.

use std::collections::BTreeMap;

use serde_yaml::Value;

use crate::charm::{Charm, ConfigOption};
use crate::{names, root, text};

/// Whether Juju takes the default for an option of this type.
fn is_default_of_its_type(option: &ConfigOption) -> bool {
    let Some(default) = &option.default else { return true };
    match option.r#type.as_str() {
        "string" => default.is_string(),
        "int" => default.is_i64(),
        "float" => default.is_number(),
        "boolean" => default.is_bool(),
        // A secret has an identifier of its model: there is none that a charm could know.
        _ => false,
    }
}

#[test]
fn options_have_a_type_that_juju_knows_and_a_default_of_it() {
    for charm in Charm::all() {
        for (name, option) in &charm.config.options {
            assert!(
                ["string", "int", "float", "boolean", "secret"].contains(&option.r#type.as_str()),
                "{}: {name}: {}",
                charm.name,
                option.r#type
            );
            assert!(
                is_default_of_its_type(option),
                "{}: {name}: {:?} is not of type {}",
                charm.name,
                option.default,
                option.r#type
            );
        }
    }
}

#[test]
fn a_default_of_another_type_is_found() {
    for (r#type, default, right) in [
        ("int", "2801", true),
        ("int", "'2801'", false),
        ("boolean", "'false'", false),
        ("string", "debug", true),
        ("string", "1", false),
        ("secret", "secret:x", false),
    ] {
        let option = ConfigOption {
            r#type: r#type.into(),
            description: String::new(),
            default: serde_yaml::from_str(default).unwrap(),
        };
        assert_eq!(is_default_of_its_type(&option), right, "{type} {default}");
    }
}

#[test]
fn an_action_takes_no_parameter_that_it_does_not_know() {
    for charm in Charm::all() {
        for (name, action) in &charm.actions {
            assert!(!action.additional_properties, "{}: {name}", charm.name);
            for (key, parameter) in &action.params {
                let (types, place) = (["boolean", "integer", "string"], format!("{}: {name}: {key}", charm.name));
                assert!(types.contains(&parameter.r#type.as_str()), "{place}");
                assert!(parameter.r#enum.is_none() || parameter.r#type == "string", "{place}");
                assert_eq!(
                    parameter.default.is_some(),
                    parameter.r#type == "boolean",
                    "{place}: only a switch has one"
                );
            }
        }
    }
}

#[test]
fn names_are_those_that_juju_takes_without_underscores() {
    let is_name = |name: &str| {
        name.starts_with(|first: char| first.is_ascii_lowercase())
            && name.chars().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || it == '-')
    };
    for charm in Charm::all() {
        let endpoints = charm.endpoints().map(|(_, name, _)| name);
        let all =
            endpoints.chain(charm.config.options.keys()).chain(charm.resources.keys()).chain(charm.containers.keys());
        let all = all.chain(charm.actions.keys());
        for name in all {
            assert!(is_name(name), "{}: {name}", charm.name);
            assert!(
                name != "juju" && !name.starts_with("juju-"),
                "{}: {name} is a name that Juju keeps for itself",
                charm.name
            );
        }
    }
}

#[test]
fn containers_and_resources_refer_to_each_other() {
    for charm in Charm::all() {
        for (name, container) in &charm.containers {
            let resource = charm.resources.get(&container.resource);
            assert_eq!(
                resource.map(|resource| resource.r#type.as_str()),
                Some("oci-image"),
                "{}: container {name}",
                charm.name
            );
        }
        for (name, resource) in &charm.resources {
            let used = charm.containers.values().any(|container| &container.resource == name);
            match resource.r#type.as_str() {
                "oci-image" => assert!(used && resource.upstream_source.is_some(), "{}: resource {name}", charm.name),
                "file" => assert!(!used && resource.filename.is_some(), "{}: resource {name}", charm.name),
                other => panic!("{}: resource {name}: Juju knows no type {other}", charm.name),
            }
        }
    }
}

#[test]
fn a_subordinate_has_what_makes_it_one() {
    for charm in Charm::all() {
        let contained =
            charm.requires.values().filter(|endpoint| endpoint.scope.as_deref() == Some("container")).count();
        assert_eq!(charm.subordinate, contained == 1, "{}", charm.name);
        assert!(
            charm.endpoints().all(|(_, _, endpoint)| matches!(endpoint.scope.as_deref(), None | Some("container"))),
            "{}",
            charm.name
        );
    }
}

#[test]
fn every_endpoint_that_is_not_the_reason_of_a_subordinate_is_optional() {
    // Juju does not look at it, but whoever reads the metadata takes an endpoint without it for one that has to be
    // related.
    for charm in Charm::all() {
        for (role, name, endpoint) in charm.endpoints() {
            // Peers are related by Juju.
            let is_there = endpoint.scope.is_some() || role == "peers";
            assert_eq!(endpoint.optional != Some(true), is_there, "{}: {role}.{name}", charm.name);
        }
    }
}

#[test]
fn assumptions_are_features_that_juju_knows() {
    for charm in Charm::all() {
        assert_eq!(
            charm.assumes.iter().any(|feature| feature == "k8s-api"),
            !charm.containers.is_empty(),
            "{}",
            charm.name
        );
        for feature in &charm.assumes {
            assert!(
                feature == "k8s-api"
                    || feature.strip_prefix("juju >= ").is_some_and(|version| version.starts_with("3.")),
                "{}: {feature}",
                charm.name
            );
        }
    }
}

#[test]
fn the_project_file_is_the_one_of_its_folder() {
    for folder in names("charms").iter().filter(|name| root().join("charms").join(name).is_dir()) {
        let charm = Charm::read(folder);
        assert_eq!((&charm.name, charm.r#type.as_str(), charm.base.as_str()), (folder, "charm", "ubuntu@24.04"));
        assert!(!charm.title.is_empty() && charm.links.values().all(|link| link.starts_with("https://")));
        assert_eq!(charm.platforms.keys().collect::<Vec<_>>(), ["amd64", "arm64"], "{folder}");
        assert!(charm.platforms.values().all(Option::is_none), "{folder}: a platform is built on itself");
    }
}

#[test]
fn dispatch_is_the_program_of_the_crate() {
    for charm in Charm::all() {
        let part = &charm.parts["charm"];
        let crates = part.rust_path.as_deref().unwrap();
        let [path] = crates else { panic!("{}: one crate makes the charm, not {crates:?}", charm.name) };
        // A TOML file whose first table is [package] with a plain name: not worth a parser.
        let manifest = text(&format!("{path}/Cargo.toml"));
        let program = manifest.lines().find_map(|line| line.strip_prefix("name = ")).unwrap().trim_matches('"');

        let organize = BTreeMap::from([(format!("bin/{program}"), "dispatch".to_owned())]);
        assert_eq!(part.organize.as_ref(), Some(&organize), "{}", charm.name);
        assert_eq!(
            (part.plugin.as_str(), part.source.as_str(), part.prime.as_slice()),
            ("rust", ".", &["dispatch".to_owned()][..])
        );
        let environment = part.build_environment.as_deref().unwrap_or_default();
        assert!(
            environment
                .iter()
                .any(|entry| { entry.get("RUSTFLAGS").is_some_and(|flags| flags.contains("--remap-path-prefix=")) })
        );
    }
}

#[test]
fn what_is_packed_is_there_and_expected() {
    for charm in Charm::all() {
        let listing = text(&format!("charms/{}/expected-listing", charm.name));
        let lines: Vec<&str> = listing.lines().collect();
        assert!(lines.contains(&"0755 dispatch"), "{}: Juju starts dispatch as it is", charm.name);
        assert!(lines.is_sorted_by_key(|line| &line[5..]), "{}", charm.name);

        // charmcraft takes them out of charmcraft.yaml.
        for (name, is_written) in
            [("actions.yaml", !charm.actions.is_empty()), ("config.yaml", !charm.config.options.is_empty())]
        {
            assert_eq!(lines.contains(&format!("0644 {name}").as_str()), is_written, "{}: {name}", charm.name);
        }

        for part in charm.parts.values().filter(|part| part.plugin == "dump") {
            // A single file is primed under its own name.
            let folder = if part.source_type.as_deref() == Some("file") { root() } else { root().join(&part.source) };
            for asset in part.prime.iter().filter(|asset| !asset.contains('*')) {
                assert!(folder.join(asset).exists(), "{}: {asset} is primed and not there", charm.name);
                assert!(
                    lines.contains(&format!("0644 {asset}").as_str()),
                    "{}: {asset} is primed and not expected",
                    charm.name
                );
            }
        }
    }
}

#[test]
fn both_charms_say_how_they_are_packed_in_the_same_way() {
    // Except for what has to differ: a part that is copied and then changed in one place is found here.
    let part = |charm: &Charm, name: &str| {
        (
            charm.parts[name].plugin.clone(),
            charm.parts[name].source_type.clone(),
            charm.parts[name].build_environment.clone(),
        )
    };
    let [first, second] = <[Charm; 2]>::try_from(Charm::all()).unwrap();
    assert!(first.parts.keys().eq(second.parts.keys()));
    for name in first.parts.keys() {
        assert_eq!(part(&first, name), part(&second, name), "{name}");
    }
}

#[test]
fn a_key_that_is_not_known_is_an_error() {
    let mut charm: Value = serde_yaml::from_str(&text("charms/falco/charmcraft.yaml")).unwrap();
    charm["config"]["options"]["priority"]["misspelt"] = Value::from("debug");
    assert!(serde_yaml::from_value::<Charm>(charm).is_err());
}
