//! What a running Falco says about itself on `/metrics`: the only proof of what it has loaded. Pure.
//!
//! `/metrics` answers 404 until the engine is open, so an answer also proves that Falco detects; `/healthz` is good
//! about two seconds before that.

use std::collections::BTreeMap;

use charm_core::digest::Digest;

use crate::delivery::Counters;

/// The digests that Falco took of the files it loaded, by file name without folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Served {
    /// Its main configuration file, under its name.
    pub config: BTreeMap<String, Digest>,
    /// Its rules files.
    pub rules: BTreeMap<String, Digest>,
    /// Its version.
    pub version: Option<String>,
    /// What it has counted.
    pub counters: Counters,
}

impl Served {
    /// Reads the metrics that matter here. Lines that are not understood are somebody else's.
    pub fn parse(text: &str) -> Self {
        let mut served = Self { counters: Counters::parse(text), ..Self::default() };
        for line in text.lines() {
            let Some((name, labels)) = line.split_once('{') else {
                continue;
            };
            let get = |label: &str| label_value(labels, label);
            let file = || Some((get("file_name")?, Digest::from(get("sha256")?)));
            match name {
                "falcosecurity_falco_sha256_config_files_info" => served.config.extend(file()),
                "falcosecurity_falco_sha256_rules_files_info" => served.rules.extend(file()),
                "falcosecurity_falco_version_info" => served.version = get("version"),
                _ => {}
            }
        }
        served
    }
}

/// The value of one label in `a="b",c="d"} 1`. Falco puts only digests, versions and file names there, none with a
/// quote.
fn label_value(labels: &str, label: &str) -> Option<String> {
    let (_, rest) = labels.split_once(&format!("{label}=\""))?;
    let (value, _) = rest.split_once('"')?;
    Some(value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_read_by_the_name_of_their_file() {
        let served = Served::parse(
            "# TYPE falcosecurity_falco_version_info gauge\n\
             falcosecurity_falco_version_info{version=\"0.44.1\"} 1\n\
             falcosecurity_falco_sha256_rules_files_info{file_name=\"falco_rules.yaml\",sha256=\"aa\"} 1\n\
             falcosecurity_falco_sha256_config_files_info{file_name=\"falco.yaml\",sha256=\"bb\"} 1\n\
             falcosecurity_scap_n_evts_total 140\n",
        );
        assert_eq!(served.version.as_deref(), Some("0.44.1"));
        assert_eq!(served.rules, BTreeMap::from([("falco_rules.yaml".to_owned(), Digest::from("aa".to_owned()))]));
        assert_eq!(served.config, BTreeMap::from([("falco.yaml".to_owned(), Digest::from("bb".to_owned()))]));
    }

    #[test]
    fn garbage_is_no_metric() {
        assert_eq!(Served::parse("{\n}\nfalcosecurity_falco_version_info{version=\n\u{0}"), Served::default());
    }
}
