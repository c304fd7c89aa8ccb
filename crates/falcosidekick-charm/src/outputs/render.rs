//! What Falcosidekick and the libraries in it read, from the outputs that are wanted. Pure.

use std::collections::{BTreeMap, BTreeSet};

use charm_core::pebble::File;
use charm_core::priority::Priority;
use serde_json::{Value as Json, json};
use url::Url;

use super::block::{Block, Kind, MINIMUM};
use super::check::Value;
use super::{Outputs, address, table};
use crate::names::{AWS_CONFIG_FILE, AWS_CREDENTIALS_FILE, AZURE_CERTIFICATE_FILE};
use crate::render::file;

/// The labels by which Juju's observability charms find things. They are those of the Falco unit, which sends them with
/// each alert.
const TOPOLOGY_LABELS: &str = "juju_unit,juju_charm,juju_model,juju_model_uuid,juju_application";

/// Keys of which Falcosidekick knows nothing, or nothing useful: they become files and variables.
const NOT_WRITTEN: [&str; 2] = ["aws", "azure"];

/// The one key of those that Falcosidekick itself heeds.
const CHECK_IDENTITY: &str = "checkidentity";

/// The separators of the default in Falcosidekick are such that it understands none of it.
const DROP_THRESHOLDS: (&str, &str) =
    ("dropeventthresholds", "10000:critical, 1000:critical, 100:critical, 10:warning, 1:warning");

/// Blocks of the configuration file by name.
pub type Sections = BTreeMap<String, Json>;

impl Outputs {
    /// The blocks of the configuration file. `loki`: the URL of the push API that a relation gave.
    pub fn sections(&self, loki: Option<&Url>) -> Sections {
        let mut sections = Sections::new();
        let is_written = |path: &str| !NOT_WRITTEN.contains(&path);
        for (path, values) in self.blocks.iter().filter(|(path, _)| is_written(path)) {
            let Some(block) = table::block(path) else { continue };
            for (name, value) in values {
                set(&mut sections, &format!("{path}.{name}"), written(block, name, value));
            }
            if block.is_output() {
                self.complete(&mut sections, block);
            }
        }
        if let Some(Value::Switch(checked)) = self.value("aws", CHECK_IDENTITY) {
            set(&mut sections, "aws.checkidentity", json!(checked));
        }
        if let Some(url) = loki {
            // The two are joined as they are, so that scheme, path and query of the URL stay as published.
            set(&mut sections, "loki.hostport", json!(url.as_str()));
            set(&mut sections, "loki.endpoint", json!(""));
        }
        if let Some(block) = table::block(table::LOKI).filter(|_| sections.contains_key(table::LOKI)) {
            self.complete(&mut sections, block);
            self.complete_loki(&mut sections);
        }
        sections
    }

    /// What an operator need not say of each output.
    fn complete(&self, sections: &mut Sections, block: &Block) {
        let is_given = |key: &str| self.value(block.path, key).is_some();
        let minimum = self.minimum.filter(|least| *least > Priority::Debug);
        if let Some(least) = minimum.filter(|_| block.key(MINIMUM).is_some() && !is_given(MINIMUM)) {
            set(sections, &format!("{}.{MINIMUM}", block.path), json!(least.word()));
        }
        let (thresholds, usual) = DROP_THRESHOLDS;
        if block.key(thresholds).is_some() && !is_given(thresholds) {
            set(sections, &format!("{}.{thresholds}", block.path), json!(usual));
        }
    }

    fn complete_loki(&self, sections: &mut Sections) {
        if self.value(table::LOKI, "format").is_none() {
            set(sections, "loki.format", json!("json"));
        }
        let more = self.value(table::LOKI, "extralabels").and_then(Value::text);
        let labels = [TOPOLOGY_LABELS].into_iter().chain(more.filter(|more| !more.is_empty()));
        set(sections, "loki.extralabels", json!(labels.collect::<Vec<_>>().join(",")));
    }

    /// The number of labels that a stream in Loki can have, if these fields are added to every event.
    pub fn labels_in_loki<'a>(&'a self, fields: impl Iterator<Item = &'a str>) -> usize {
        const OF_EVENTS: [&str; 7] = ["rule", "source", "priority", "k8s_ns_name", "k8s_pod_name", "hostname", "tags"];
        let more = self.value(table::LOKI, "extralabels").and_then(Value::text).unwrap_or_default();
        let names = OF_EVENTS.into_iter().chain(fields).chain(TOPOLOGY_LABELS.split(','));
        let names = names.chain(crate::fields::list(more)).map(crate::fields::label);
        names.collect::<BTreeSet<_>>().len()
    }

    /// Files for the libraries in Falcosidekick, which it lets find their credentials by themselves.
    pub fn files(&self) -> Vec<File> {
        let text = |path: &str, key: &str| self.value(path, key).and_then(Value::text).filter(|text| !text.is_empty());
        let mut files = Vec::new();
        if let (Some(id), Some(secret)) = (text("aws", "accesskeyid"), text("aws", "secretaccesskey")) {
            let role = text("aws", "rolearn");
            // A role is assumed by the default profile with the key of another one.
            let profile = if role.is_some() { "key" } else { "default" };
            let content = format!("[{profile}]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n");
            files.push(file(AWS_CREDENTIALS_FILE, content));
            if let Some(role) = role {
                let external = text("aws", "externalid").map(|id| format!("external_id = {id}\n")).unwrap_or_default();
                files.push(file(
                    AWS_CONFIG_FILE,
                    format!("[default]\nrole_arn = {role}\nsource_profile = key\n{external}"),
                ));
            }
        }
        if let Some(pem) = text("azure", "clientcertificate") {
            files.push(file(AZURE_CERTIFICATE_FILE, pem.to_owned()));
        }
        files
    }

    /// Variables for those libraries. None of them is secret. An empty one hides what the image or the cluster set.
    /// `root` stands in front of paths; it is empty on a unit.
    pub fn environment(&self, root: &str) -> BTreeMap<String, String> {
        let mut variables = BTreeMap::new();
        let mut set = |name: &str, value: &str| drop(variables.insert(name.to_owned(), value.to_owned()));
        for File { path, .. } in self.files() {
            match path.as_str() {
                AWS_CREDENTIALS_FILE => {
                    set("AWS_SHARED_CREDENTIALS_FILE", &format!("{root}{path}"));
                    // Each of these would be asked before the file.
                    for other in [
                        "AWS_ACCESS_KEY_ID",
                        "AWS_SECRET_ACCESS_KEY",
                        "AWS_SESSION_TOKEN",
                        "AWS_WEB_IDENTITY_TOKEN_FILE",
                        "AWS_PROFILE",
                    ] {
                        set(other, "");
                    }
                }
                AWS_CONFIG_FILE => set("AWS_CONFIG_FILE", &format!("{root}{path}")),
                _ => set("AZURE_CLIENT_CERTIFICATE_PATH", &format!("{root}{path}")),
            }
        }
        let texts = [
            ("aws", "region", "AWS_REGION"),
            ("azure", "tenantid", "AZURE_TENANT_ID"),
            ("azure", "clientid", "AZURE_CLIENT_ID"),
        ];
        for (path, key, variable) in texts {
            if let Some(text) = self.value(path, key).and_then(Value::text) {
                set(variable, text);
            }
        }
        if self.value("azure", "clientcertificate").is_some() {
            set("AZURE_CLIENT_SECRET", "");
        }
        if self.blocks.keys().any(|path| path.starts_with("otlp.")) {
            // The OpenTelemetry SDK heeds these before what Falcosidekick tells it.
            for signal in ["", "METRICS_", "LOGS_", "TRACES_"] {
                for setting in ["ENDPOINT", "HEADERS", "PROTOCOL", "TIMEOUT", "INSECURE"] {
                    set(&format!("OTEL_EXPORTER_OTLP_{signal}{setting}"), "");
                }
            }
        }
        variables
    }
}

/// Variables that would take the place of what the file says, each empty, which Falcosidekick takes for not there.
///
/// It looks up each key, and each block: one called `LOKI` hides all that the file says of Loki. Kubernetes makes some of
/// them by itself, for applications that are called like an output.
pub fn hidden_variables(sections: &Sections) -> BTreeMap<String, String> {
    // It splits an empty text into one empty name here, and says that it is none.
    const COMPLAINS: [&str; 3] =
        ["ALERTMANAGER_EXTRALABELS", "ALERTMANAGER_EXTRAANNOTATIONS", "ALERTMANAGER_CUSTOMSEVERITYMAP"];
    // An empty one would take the place of what the file says, so these say the same.
    const REPLACES: &str = "ALERTMANAGER_DROPEVENTTHRESHOLDS";
    let mut paths = Vec::new();
    for (name, value) in sections {
        collect_paths(name, value, &mut paths);
    }
    let ports =
        table::blocks().filter(|block| block.key("port").is_some()).map(|block| (format!("{}.port", block.path), None));
    let names = paths.into_iter().map(|(path, value)| (path, Some(value))).chain(ports);
    names
        .map(|(path, value)| (path.to_uppercase().replace('.', "_"), value))
        .filter(|(name, _)| !COMPLAINS.contains(&name.as_str()))
        .map(|(name, value)| match value {
            Some(Json::String(text)) if name == REPLACES => (name, text.clone()),
            _ => (name, String::new()),
        })
        .collect()
}

/// All places in a block. What is in the maps of an operator has no variable of its own.
fn collect_paths<'a>(path: &str, value: &'a Json, paths: &mut Vec<(String, &'a Json)>) {
    paths.push((path.to_owned(), value));
    let is_value = table::key(path).is_some();
    if let (Json::Object(entries), false) = (value, is_value) {
        for (name, value) in entries {
            collect_paths(&format!("{path}.{name}"), value, paths);
        }
    }
}

/// A value as the file has it.
fn written(block: &Block, name: &str, value: &Value) -> Json {
    let is_part = block.key(name).is_some_and(|key| key.kind == Kind::UrlPart);
    match value {
        Value::Text(text) if is_part => json!(address::percent_encoded(text.expose())),
        Value::Text(text) => json!(text.expose()),
        Value::Integer(number) => json!(number),
        Value::Switch(on) => json!(on),
        Value::List(items) => items.iter().map(|item| item.expose().as_str()).collect(),
        Value::Map(entries) => entries.iter().map(|(name, text)| (name.clone(), json!(text.expose()))).collect(),
    }
}

fn set(sections: &mut Sections, path: &str, value: Json) {
    let mut parts = path.split('.');
    let first = parts.next().unwrap_or_default();
    let mut place = sections.entry(first.to_owned()).or_insert_with(|| json!({}));
    for part in parts {
        place = &mut place[part];
    }
    *place = value;
}
