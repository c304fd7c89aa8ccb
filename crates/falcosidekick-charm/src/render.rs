//! What Falcosidekick and Pebble read, from types. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use charm_core::digest::Digest;
use charm_core::pebble::layer::{Check, HttpCheck, Level, OnEnd, Service, Startup};
use charm_core::pebble::{File, Layer};
use charm_core::topology::Topology;
use charm_core::yaml;
use serde::Serialize;

use crate::fields::{Fields, MODEL_FIELD};
use crate::listener::{HEALTH, Listener, METRICS};
use crate::names::{AUTHORITIES_FILE, CERTIFICATE_FILE, CHECK, KEY_FILE, SERVICE};
use crate::outputs::render::Sections;

/// Tells which configuration the process runs with. Falcosidekick reads its configuration once.
pub const DIGEST_VARIABLE: &str = "CHARM_CONFIG_DIGEST";

/// A path that is named here is on the other port while there is TLS, and nowhere else. The question whether
/// Falcosidekick is there stays where alerts go, so that the answer to it proves that they get there.
const BESIDE_TLS: [&str; 2] = [HEALTH, METRICS];

/// Takes the place of the same list in the file even when it is empty, so it says the same.
const PATHS_VARIABLE: &str = "TLSSERVER_NOTLSPATHS";

#[derive(Serialize)]
struct Configuration<'a> {
    listenaddress: &'a str,
    listenport: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    tlsserver: Option<TlsServer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tlsclient: Option<TlsClient>,
    customfields: BTreeMap<&'a str, &'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    templatedfields: &'a BTreeMap<String, String>,
    customtags: String,
    #[serde(flatten)]
    sections: &'a Sections,
}

#[derive(Serialize)]
struct TlsClient {
    cacertfile: String,
}

#[derive(Serialize)]
struct TlsServer {
    deploy: bool,
    certfile: String,
    keyfile: String,
    notlsport: u16,
    notlspaths: [&'static str; 2],
}

/// The configuration file. `root` stands before the paths of other files: nothing on a unit. `has_authorities`: whether
/// there is a file of those whom only we believe.
pub fn configuration(
    listener: Listener,
    topology: &Topology,
    fields: &Fields,
    sections: &Sections,
    root: &str,
    has_authorities: bool,
) -> String {
    let tlsserver = listener.beside_tls.map(|notlsport| TlsServer {
        deploy: true,
        certfile: format!("{root}{CERTIFICATE_FILE}"),
        keyfile: format!("{root}{KEY_FILE}"),
        notlsport,
        notlspaths: BESIDE_TLS,
    });
    let own = fields.custom.iter().map(|(name, text)| (name.as_str(), text.as_str()));
    let configuration = Configuration {
        listenaddress: "", // all addresses, of both kinds
        listenport: listener.port,
        tlsserver,
        tlsclient: has_authorities.then(|| TlsClient { cacertfile: format!("{root}{AUTHORITIES_FILE}") }),
        customfields: own.chain([(MODEL_FIELD, topology.model.as_str())]).collect(),
        templatedfields: &fields.templated,
        customtags: fields.tags.join(","), // it takes a text with commas for a list, and an empty one for none
        sections,
    };
    yaml::quoted(&configuration).expect("texts and numbers are JSON")
}

/// The variable by which everything in Falcosidekick believes our authorities beside those of its image: outputs that take
/// no `tlsclient`, such as OTLP and Kafka, ask the store of the system. It names folders, of which each file is read; those
/// before ours are the ones that are read without it.
pub fn folders_of_authorities(root: &str) -> (String, String) {
    let own = AUTHORITIES_FILE.rsplit_once('/').map_or("/", |(folder, _)| folder);
    ("SSL_CERT_DIR".to_owned(), format!("/etc/ssl/certs:/etc/pki/tls/certs:{root}{own}"))
}

/// The command of the service.
pub fn command(program: &str, config_path: &str) -> String {
    format!("{} -c {}", shell_word(program), shell_word(config_path))
}

/// A file of ours, which is nobody's business.
pub fn file(path: &str, content: String) -> File {
    File { path: path.to_owned(), content: content.into_bytes(), mode: 0o600, user: None, group: None, make_dirs: true }
}

/// The layer. `files`: everything that the process reads once, at its start.
pub fn layer(listener: Listener, command: String, files: &[File], mut environment: BTreeMap<String, String>) -> Layer {
    let contents = files.iter().map(|file| file.content.as_slice());
    let digest = Digest::of_all([command.as_bytes()].into_iter().chain(contents));
    if listener.beside_tls.is_some() {
        environment.insert(PATHS_VARIABLE.to_owned(), BESIDE_TLS.join(","));
    }
    environment.insert(DIGEST_VARIABLE.to_owned(), digest.to_string());
    let service = Service {
        summary: "Falcosidekick".to_owned(),
        startup: Some(Startup::Enabled),
        command,
        environment,
        on_check_failure: BTreeMap::from([(CHECK.to_owned(), OnEnd::Restart)]),
        ..Service::default()
    };
    let check = Check {
        level: Some(Level::Ready),
        // A restart that is asked for in the first second of a process is lost, so the threshold has to be reached much
        // later.
        period: Some(Duration::from_secs(10)),
        threshold: Some(3),
        http: Some(HttpCheck { url: listener.health_url(), ..HttpCheck::default() }),
        ..Check::default()
    };
    Layer {
        services: BTreeMap::from([(SERVICE.to_owned(), service)]),
        checks: BTreeMap::from([(CHECK.to_owned(), check)]),
        ..Layer::default()
    }
}

/// Whether the service of a plan is the one of our layer, and not one that an image came with.
pub fn is_ours(plan: &Layer) -> bool {
    plan.services.get(SERVICE).is_some_and(|service| service.environment.contains_key(DIGEST_VARIABLE))
}

/// Whether Pebble would start the process of its plan anew for this layer, which speaks what that one speaks.
pub fn restarts(layer: &Layer, plan: &Layer) -> bool {
    let services = Layer { services: layer.services.clone(), ..Layer::default() };
    let speaks_tls =
        |layer: &Layer| layer.services.get(SERVICE).map(|service| service.environment.contains_key(PATHS_VARIABLE));
    is_ours(plan) && !services.is_in(plan) && speaks_tls(layer) == speaks_tls(plan)
}

/// A word for Pebble, which reads commands as a shell does, without variables and patterns.
fn shell_word(text: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+,:@%=".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use charm_core::interfaces::{RelationData, loki_push_api};
    use url::Url;

    use super::*;
    use crate::names::CONFIG_FILE;
    use crate::outputs::Outputs;

    fn listener() -> Listener {
        Listener::plain("2801".parse().unwrap())
    }

    fn loki(url: &str) -> Url {
        url.parse().unwrap()
    }

    fn topology() -> Topology {
        Topology { model: "010".to_owned(), ..Topology::default() }
    }

    fn configuration(loki: &Url) -> String {
        configuration_with(listener(), loki, "", false)
    }

    fn configuration_with(listener: Listener, loki: &Url, root: &str, has_authorities: bool) -> String {
        let sections = Outputs::default().sections(Some(loki));
        super::configuration(listener, &topology(), &Fields::default(), &sections, root, has_authorities)
    }

    fn layer(command: &str, configuration: &str) -> Layer {
        let files = [file(CONFIG_FILE, configuration.to_owned())];
        super::layer(listener(), command.to_owned(), &files, BTreeMap::new())
    }

    fn text_of(configuration: &serde_yaml::Value, path: [&str; 2]) -> String {
        let value = &configuration[path[0]][path[1]];
        value.as_str().unwrap_or_else(|| panic!("{path:?} is no text: {value:?}")).to_owned()
    }

    #[test]
    fn texts_that_look_like_something_else_stay_texts() {
        let written = configuration(&loki("https://h/"));
        let read: serde_yaml::Value = serde_yaml::from_str(&written).unwrap();
        assert_eq!(text_of(&read, ["customfields", "sidekick_model"]), "010");
        assert_eq!(read["listenaddress"].as_str(), Some(""));
        assert_eq!(read["listenport"].as_u64(), Some(2801));
    }

    #[test]
    fn a_push_url_keeps_its_scheme_path_and_query() {
        let url = "https://loki.example.com/model-loki-0/loki/api/v1/push?tenant=a&b=%24";
        let read: serde_yaml::Value = serde_yaml::from_str(&configuration(&loki(url))).unwrap();
        assert_eq!(text_of(&read, ["loki", "hostport"]), url);
        assert_eq!(text_of(&read, ["loki", "endpoint"]), "", "the default would be appended");
    }

    #[test]
    fn a_hostile_url_stays_inside_its_text() {
        let hostile = "http://h/\"'}\n{{ $x }}%zz#: {a: b}\u{85}\u{7f}";
        let databag = [("endpoint", serde_json::json!({ "url": hostile }).to_string())].into_iter().collect();
        let provider = loki_push_api::Provider::read(&databag).unwrap().unwrap();
        let written = configuration(&provider.url);
        let read: serde_yaml::Value = serde_yaml::from_str(&written).unwrap();
        assert_eq!(text_of(&read, ["loki", "hostport"]), provider.url.as_str());
        assert_eq!(read.as_mapping().unwrap().len(), 5, "{written}");
        assert_eq!(read["loki"].as_mapping().unwrap().len(), 4, "{written}");
    }

    #[test]
    fn no_secret_of_the_url_stands_in_the_layer() {
        let written = configuration(&loki("http://user:hunter2@h/"));
        let layer = layer(&command("/app/falcosidekick", "/c.yaml"), &written);
        assert!(written.contains("hunter2"));
        assert!(!serde_json::to_string(&layer).unwrap().contains("hunter2"));
    }

    #[test]
    fn every_difference_in_command_or_files_is_a_difference_of_the_service() {
        let service = |command: &str, configuration: &str| layer(command, configuration).services[SERVICE].clone();
        assert_eq!(service("a", "b"), service("a", "b"));
        assert_ne!(service("a", "b"), service("a", "c"));
        assert_ne!(service("a", "b"), service("c", "b"));
        let files = [file(CONFIG_FILE, "b".to_owned()), file("/f", "x".to_owned())];
        let with_file = super::layer(listener(), "a".into(), &files, BTreeMap::new());
        assert_ne!(service("a", "b"), with_file.services[SERVICE]);
    }

    #[test]
    fn with_tls_the_check_asks_where_health_is_and_the_ping_stays_where_alerts_go() {
        let tls = Listener::tls("2801".parse().unwrap(), "2810".parse().unwrap());
        let written = configuration_with(tls, &loki("https://h/"), "/root", true);
        let read: serde_yaml::Value = serde_yaml::from_str(&written).unwrap();
        let tlsserver = &read["tlsserver"];
        assert_eq!((tlsserver["deploy"].as_bool(), tlsserver["notlsport"].as_u64()), (Some(true), Some(2810)));
        assert_eq!(tlsserver["notlspaths"], serde_yaml::from_str::<serde_yaml::Value>("[/healthz, /metrics]").unwrap());
        assert_eq!(text_of(&read, ["tlsserver", "keyfile"]), "/root/etc/falcosidekick/certs/server/server.key");
        assert_eq!(text_of(&read, ["tlsclient", "cacertfile"]), "/root/etc/falcosidekick/certs/client/ca.crt");
        let layer = super::layer(tls, command("/f", "/c"), &[], BTreeMap::new());
        assert_eq!(layer.checks[CHECK].http.as_ref().unwrap().url, "http://127.0.0.1:2810/healthz");
        assert_eq!(layer.services[SERVICE].environment[PATHS_VARIABLE], "/healthz,/metrics", "not those of the image");
        assert!(!configuration(&loki("https://h/")).contains("tls"));
    }

    #[test]
    fn words_of_a_command_hold_together() {
        assert_eq!(command("/app/falcosidekick", "/etc/f.yaml"), "/app/falcosidekick -c /etc/f.yaml");
        assert_eq!(command("/my app/f", "/it's #1"), r"'/my app/f' -c '/it'\''s #1'");
    }
}
