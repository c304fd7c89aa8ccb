//! All that is asked of Falcosidekick beyond receiving alerts: what it adds to them, and where it sends them. Pure.

use std::collections::BTreeMap;

use charm_core::Status;
use charm_core::config::{Problem, Problems, RawConfig};

use crate::fields::{self, Fields};
use crate::outputs::render::{Sections, hidden_variables};
use crate::outputs::{OUTPUTS, Outputs, Surroundings};

/// What Loki takes at most, unless it is told otherwise.
const LABELS_IN_LOKI: usize = 15;

/// Keys of the configuration that Falcosidekick would let a variable overrule, and that are not in a section. An empty
/// variable is none to it. `CUSTOMTAGS` is not among them: an empty one makes a tag without a name. Nor is
/// `TLSSERVER_NOTLSPATHS`, which the layer sets when it matters.
const TOP: [&str; 15] = [
    "BRACKETREPLACER",
    "CUSTOMFIELDS",
    "DEBUG",
    "LISTENADDRESS",
    "LISTENPORT",
    "OUTPUTFIELDFORMAT",
    "PROMETHEUS_EXTRALABELS",
    "TEMPLATEDFIELDS",
    "TLSSERVER",
    "TLSSERVER_CACERTFILE",
    "TLSSERVER_CERTFILE",
    "TLSSERVER_DEPLOY",
    "TLSSERVER_KEYFILE",
    "TLSSERVER_MUTUALTLS",
    "TLSSERVER_NOTLSPORT",
];

/// What is added, and where it goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sinks {
    /// What is added to every event.
    pub fields: Fields,
    /// Where events go.
    pub outputs: Outputs,
}

impl Sinks {
    /// Checks all options about them. Every problem is told at once.
    pub fn parse(raw: &RawConfig, around: &Surroundings<'_>) -> Result<Self, Status> {
        let mut problems = Problems::default();
        let fields = Fields::parse(raw, &mut problems);
        let outputs = Outputs::parse(raw, around, &mut problems);
        for name in outputs.extra_labels() {
            if fields.names().any(|field| field == fields::label(name)) {
                let text = format!("prometheus.extralabels: {name:?} is a custom field, and would crash Falcosidekick");
                problems.push(Problem::new(OUTPUTS, text));
            }
        }
        if problems.is_empty() { Ok(Self { fields, outputs }) } else { Err(problems.into()) }
    }

    /// The variables of the service. `root` stands in front of paths; it is empty on a unit.
    pub fn environment(&self, root: &str, sections: &Sections) -> BTreeMap<String, String> {
        let mut variables = hidden_variables(sections);
        variables.extend(TOP.map(|name| (name.to_owned(), String::new())));
        // The libraries come last, because some of their variables have the names of keys.
        variables.extend(self.outputs.environment(root));
        variables
    }

    /// What to tell the operator although everything works.
    pub fn remarks(&self, has_loki: bool) -> Vec<String> {
        let mut remarks = self.outputs.remarks();
        let labels = self.outputs.labels_in_loki(self.fields.names());
        if has_loki && labels > LABELS_IN_LOKI {
            remarks.push(format!(
                "{}: an event can have {labels} labels in Loki, which refuses more than {LABELS_IN_LOKI} unless it is told otherwise",
                fields::CUSTOM_FIELDS
            ));
        }
        remarks
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outputs::secrets::Secrets;

    fn parse(options: &[(&str, &str)]) -> Result<Sinks, Status> {
        let secrets = Secrets::new();
        let around = Surroundings { app: "sidekick", loki_is_related: true, secrets: &secrets };
        Sinks::parse(&options.iter().copied().collect(), &around)
    }

    #[test]
    fn problems_of_all_options_are_told_at_once() {
        let Err(Status::Blocked(text)) = parse(&[
            ("custom-tags", "a b"),
            ("custom-fields", "rule: x"),
            ("outputs", "slak: {}"),
            ("minimum-priority", "loud"),
        ]) else {
            panic!()
        };
        for option in ["custom-tags: ", "custom-fields: ", "outputs: ", "minimum-priority: \"loud\" is not one of "] {
            assert!(text.contains(option), "{text}");
        }
    }

    #[test]
    fn a_custom_field_that_is_an_extra_label_too_would_crash_falcosidekick() {
        let options = [("custom-fields", "proc_name: x"), ("outputs", "prometheus: {extralabels: proc.name}")];
        let Err(Status::Blocked(text)) = parse(&options) else { panic!() };
        assert_eq!(
            text,
            "outputs: prometheus.extralabels: \"proc.name\" is a custom field, and would crash Falcosidekick"
        );
    }

    #[test]
    fn more_labels_than_loki_takes_are_remarked() {
        let sinks = parse(&[("custom-fields", "a: x\nb: x\n")]).unwrap();
        assert_eq!(sinks.remarks(true), Vec::<String>::new());
        let sinks = parse(&[("custom-fields", "a: x\nb: x\nc: x")]).unwrap();
        assert!(
            sinks.remarks(true)[0].starts_with("custom-fields: an event can have 16 labels"),
            "{:?}",
            sinks.remarks(true)
        );
        assert_eq!(sinks.remarks(false), Vec::<String>::new());
    }

    #[test]
    fn no_variable_of_the_image_or_the_cluster_takes_the_place_of_the_file() {
        let sinks =
            parse(&[("outputs", "webhook: {address: 'http://h/', customheaders: {a: b}}"), ("custom-tags", "a,b")])
                .unwrap();
        let loki = "http://loki/".parse().unwrap();
        let sections = sinks.outputs.sections(Some(&loki));
        let variables = sinks.environment("", &sections);
        for name in [
            "LOKI",
            "LOKI_HOSTPORT",
            "WEBHOOK",
            "WEBHOOK_ADDRESS",
            "WEBHOOK_CUSTOMHEADERS",
            "LOGSTASH_PORT",
            "DEBUG",
            "TLSSERVER",
            "TLSSERVER_DEPLOY",
        ] {
            assert_eq!(variables[name], "", "{name}");
        }
        assert!(!variables.contains_key("CUSTOMTAGS"), "an empty one would make a tag");
        assert!(!variables.contains_key("TLSSERVER_NOTLSPATHS"), "an empty one would make a path without a name");
        assert!(!variables.contains_key("WEBHOOK_CUSTOMHEADERS_A"));
    }
}
