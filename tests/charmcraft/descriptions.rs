//! The texts that operators read: there, whole sentences, and an option says what its default is.

use crate::charm::Charm;

/// Every text of a charm, with the place where it stands.
fn texts(charm: &Charm) -> Vec<(String, &str)> {
    let mut texts =
        vec![("summary".to_owned(), charm.summary.as_str()), ("description".to_owned(), charm.description.as_str())];
    texts.extend(
        charm.resources.iter().map(|(name, resource)| (format!("resources.{name}"), resource.description.as_str())),
    );
    texts.extend(
        charm.endpoints().map(|(role, name, endpoint)| (format!("{role}.{name}"), endpoint.description.as_str())),
    );
    texts.extend(
        charm.config.options.iter().map(|(name, option)| (format!("options.{name}"), option.description.as_str())),
    );
    for (name, action) in &charm.actions {
        texts.push((format!("actions.{name}"), action.description.as_str()));
        let parameters = action.params.iter();
        texts.extend(
            parameters.map(|(key, param)| (format!("actions.{name}.params.{key}"), param.description.as_str())),
        );
    }
    texts
}

#[test]
fn every_text_is_there_and_ends_with_a_full_stop() {
    for charm in Charm::all() {
        for (place, text) in texts(&charm) {
            assert!(text.trim_end().ends_with('.'), "{}: {place}: {text:?}", charm.name);
            assert!(
                text.starts_with(|first: char| first.is_uppercase() || first == '*'),
                "{}: {place}: {text:?}",
                charm.name
            );
        }
    }
}

#[test]
fn an_option_says_what_its_default_is() {
    for charm in Charm::all() {
        for (name, option) in &charm.config.options {
            let text = &option.description;
            match &option.default {
                Some(default) => {
                    let default = serde_yaml::to_string(default).unwrap();
                    assert!(
                        text.contains("default") && text.contains(default.trim()),
                        "{}: {name} does not name its default {default}",
                        charm.name
                    );
                }
                None => assert!(
                    text.contains("not set"),
                    "{}: {name} does not say what it means when it is not set",
                    charm.name
                ),
            }
        }
    }
}

#[test]
fn an_option_that_takes_some_values_only_says_what_the_others_do() {
    for charm in Charm::all() {
        for (name, option) in charm.config.options.iter().filter(|(_, option)| option.r#type != "boolean") {
            assert!(option.description.contains("blocks the unit"), "{}: {name}", charm.name);
        }
    }
}

#[test]
fn every_charm_has_a_changelog_for_operators() {
    for charm in Charm::all() {
        let changelog = crate::text(&format!("charms/{}/CHANGELOG.md", charm.name));
        assert!(changelog.starts_with(&format!("# What a refresh of {} changes\n", charm.name)));
    }
}
