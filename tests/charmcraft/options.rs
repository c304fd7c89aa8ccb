//! What charmcraft.yaml declares and what the charms read are the same options.

use std::collections::BTreeMap;

use charm_core::config::{Kind, RawConfig};

use crate::charm::Charm;

/// Holds the declared options of a charm to those that its code asks for, and the declared defaults to what the code
/// makes of options that are not set.
#[track_caller]
fn assert_declared<T: PartialEq + std::fmt::Debug>(
    name: &str,
    asked: &[(&str, Kind)],
    parse: impl Fn(&RawConfig) -> T,
) {
    let declared = Charm::read(name).config.options;
    let kinds: BTreeMap<&str, &str> =
        declared.iter().map(|(name, option)| (name.as_str(), option.r#type.as_str())).collect();
    let asked = asked.iter().map(|(name, kind)| match kind {
        Kind::Text => (*name, "string"),
        Kind::Integer => (*name, "int"),
        Kind::Switch => (*name, "boolean"),
        Kind::Secret => (*name, "secret"),
    });
    assert_eq!(kinds, asked.collect());
    let defaults = declared.into_iter().filter_map(|(name, option)| {
        let default = serde_json::to_value(option.default?).expect("a default is a text, a number or a switch");
        Some((name, default))
    });
    assert_eq!(parse(&defaults.collect()), parse(&RawConfig::default()));
}

#[test]
fn charmcraft_yaml_of_falco_declares_exactly_these_options_with_these_types_and_defaults() {
    use falco_charm::config::{Config, OPTIONS};
    assert_declared("falco", &OPTIONS, Config::parse);
}

#[test]
fn charmcraft_yaml_of_falcosidekick_declares_exactly_these_options_with_these_types_and_defaults() {
    use falcosidekick_charm::config::{Config, OPTIONS};
    assert_declared("falcosidekick-k8s", &OPTIONS, Config::parse);
}
