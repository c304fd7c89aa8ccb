//! Outputs as anybody may see them: where they go without the rest of a URL, and values without those that are secret.
//! Pure.

use charm_core::priority::Priority;
use charm_core::secret::Redacted;
use url::Url;

use super::block::{Block, Kind, MINIMUM};
use super::check::Value;
use super::{OUTPUTS, Outputs, table};
use crate::health::redirects::Target;

/// Stands where a secret was.
pub const HIDDEN: &str = "[redacted]";

/// An output as anybody may see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The servers, without anything of a URL that is not its scheme, host and port.
    pub to: Vec<String>,
    /// Where the values of its secret keys come from: `webhookurl from outputs-secret`.
    pub secrets: Vec<String>,
    /// The least priority that is sent.
    pub minimum: Priority,
}

impl Outputs {
    /// An output as anybody may see it. `loki`: the URL of the push API that a relation gave.
    pub fn shown(&self, block: &Block, loki: Option<&Url>) -> Shown {
        let given = block.all_keys().filter(|key| is_address(key.kind));
        let given = given.filter_map(|key| self.value(block.path, key.name)).flat_map(Value::texts);
        let by_relation = loki.filter(|_| block.path == table::LOKI).map(Url::as_str);
        let hidden = self.secret_texts();
        let to = given.chain(by_relation).map(|text| crate::log::without(&host_of(text), &hidden)).collect();
        let secrets = self.secret_keys.iter().filter(|((path, _), _)| *path == block.path).map(|((_, key), from)| {
            let from: Vec<&str> = from.iter().map(String::as_str).collect();
            if from.is_empty() {
                format!("{key} in plain text in {OUTPUTS}")
            } else {
                format!("{key} from {}", from.join(", "))
            }
        });
        Shown { to, secrets: secrets.collect(), minimum: self.minimum_of(block.path) }
    }

    /// Where alerts go over HTTP, whole. `loki`: the URL of the push API that a relation gave.
    pub fn targets(&self, loki: Option<&Url>) -> Vec<Target> {
        let by_relation = loki.map(|url| Target { path: table::LOKI, url: url.clone(), is_whole: true });
        // What is sent to these stores goes to a host of another name.
        let is_asked = |block: &&Block| !block.path.starts_with("aws.") && !block.path.starts_with("yandex.");
        let given = self.enabled().filter(is_asked).flat_map(|block| block.all_keys().map(move |key| (block, key)));
        let targets = given.flat_map(|(block, key)| {
            let is_whole = key.kind == Kind::Url;
            let is_url = is_whole || matches!(key.kind, Kind::BaseUrl | Kind::BaseUrls);
            let texts = self.value(block.path, key.name).filter(|_| is_url).map(Value::texts).unwrap_or_default();
            let target = move |text: &str| Some(Target { path: block.path, url: text.parse().ok()?, is_whole });
            texts.into_iter().filter_map(target).collect::<Vec<_>>()
        });
        by_relation.into_iter().chain(targets).collect()
    }

    /// The same outputs with something else in the place of every secret.
    #[must_use]
    pub fn without_secrets(&self) -> Self {
        let mut shown = self.clone();
        for (path, name) in self.secret_keys.keys() {
            if let Some(value) = shown.blocks.get_mut(path).and_then(|block| block.get_mut(name)) {
                hide(value);
            }
        }
        shown
    }

    fn minimum_of(&self, path: &str) -> Priority {
        let own = self.value(path, MINIMUM).and_then(Value::text).and_then(|word| word.parse().ok());
        own.or(self.minimum).unwrap_or_default()
    }
}

fn hide(value: &mut Value) {
    let hidden = || Redacted::new(HIDDEN.to_owned());
    match value {
        Value::Text(text) => *text = hidden(),
        Value::List(texts) => texts.iter_mut().for_each(|text| *text = hidden()),
        Value::Map(texts) => texts.values_mut().for_each(|text| *text = hidden()),
        // A number or a switch from a secret: what it is has only few answers, and none is to be told.
        Value::Integer(_) | Value::Switch(_) => *value = Value::Text(hidden()),
    }
}

fn is_address(kind: Kind) -> bool {
    match kind {
        Kind::Url | Kind::BaseUrl | Kind::BaseUrls | Kind::UrlOf(_) | Kind::Host | Kind::HostPort | Kind::HostPorts => {
            true
        }
        Kind::Text
        | Kind::Name
        | Kind::UrlPart
        | Kind::Integer(..)
        | Kind::Switch
        | Kind::Word(_)
        | Kind::Priority
        | Kind::Duration
        | Kind::List
        | Kind::Headers
        | Kind::Labels
        | Kind::Severities
        | Kind::Pairs
        | Kind::Thresholds
        | Kind::Fields
        | Kind::Template
        | Kind::Base64Json
        | Kind::Pem
        | Kind::Refused(_)
        | Kind::Only(..) => false,
    }
}

/// Scheme, host and port of a URL; anything else is a host already.
fn host_of(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}")
}

/// A text with nothing but the hosts of the URLs in it. Tokens can stand in any other part of a URL.
pub fn hosts_only(text: &str) -> String {
    let mut parts = text.split("://");
    let mut shown = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| c.is_whitespace() || "\"'<>`".contains(c)).unwrap_or(part.len());
        let (url, rest) = part.split_at(end);
        let host_end = url.find(['/', '?', '#']).unwrap_or(url.len());
        let host = url[..host_end].rsplit_once('@').map_or(&url[..host_end], |(_, host)| host);
        // What follows a URL without quotes is not part of it: `http://h/: refused`.
        let tail = if url.ends_with([':', ',', ';', ')']) && host_end < url.len() { &url[url.len() - 1..] } else { "" };
        let cut = if host_end < url.trim_end_matches('/').len() { "/…" } else { "" };
        shown.extend(["://", host, cut, tail, rest]);
    }
    shown
}

#[cfg(test)]
mod tests {
    use charm_core::config::{Problems, RawConfig};
    use charm_core::secret::Content;

    use super::*;
    use crate::outputs::secrets::Secrets;
    use crate::outputs::{OUTPUTS_SECRET, Surroundings};

    fn outputs(text: &str) -> Outputs {
        let content: Content = [("slack-webhookurl", "https://hooks.example/T0/hunter2"), ("token", "hunter2hunter2")]
            .map(|(key, value)| (key.to_owned(), Redacted::new(value.to_owned())))
            .into();
        let all: Content =
            content.iter().filter(|(key, _)| *key != "token").map(|(k, v)| (k.clone(), v.clone())).collect();
        let secrets = Secrets::from([("secret:one".to_owned(), Ok(all)), ("secret:two".to_owned(), Ok(content))]);
        let around = Surroundings { app: "sidekick", loki_is_related: true, secrets: &secrets };
        let raw: RawConfig =
            [(OUTPUTS, text), (OUTPUTS_SECRET, "secret:one"), ("minimum-priority", "notice")].into_iter().collect();
        let mut problems = Problems::default();
        let outputs = Outputs::parse(&raw, &around, &mut problems);
        assert!(problems.is_empty(), "{problems:?}");
        outputs
    }

    const TEXT: &str = "webhook: {address: 'https://u:hunter2@h.example:8443/x?token=hunter2', minimumpriority: error, \
                        customheaders: {A: 'secret:two/token', B: hunter2}}\n\
                        alertmanager: {hostport: ['http://a', 'http://b:9093'], extralabels: {x: 'secret:two/token', y: plain}}\n\
                        syslog: {host: h.example, port: 514, protocol: tcp}\n";

    #[test]
    fn an_output_is_shown_by_its_host_and_where_its_secrets_come_from() {
        let outputs = outputs(TEXT);
        let shown = |path: &str, loki: Option<&Url>| outputs.shown(table::block(path).unwrap(), loki);
        let slack = shown("slack", None);
        assert_eq!(
            (slack.to, slack.secrets),
            (vec!["https://hooks.example".to_owned()], vec!["webhookurl from outputs-secret".to_owned()])
        );
        assert_eq!(slack.minimum, Priority::Notice);
        let webhook = shown("webhook", None);
        assert_eq!(webhook.to, ["https://h.example:8443"]);
        assert_eq!(webhook.secrets, ["address in plain text in outputs", "customheaders from secret:two/token"]);
        assert_eq!(webhook.minimum, Priority::Error);
        assert_eq!(shown("alertmanager", None).to, ["http://a", "http://b:9093"]);
        assert_eq!(shown("syslog", None).to, ["h.example"]);
        let url = "http://u:p@loki:3100/loki/api/v1/push".parse().unwrap();
        assert_eq!(shown("loki", Some(&url)).to, ["http://loki:3100"]);
    }

    #[test]
    fn every_secret_gives_way_and_everything_else_stays() {
        let outputs = outputs(TEXT);
        let written = serde_json::to_string(&outputs.without_secrets().sections(None)).unwrap();
        assert!(!written.contains("hunter2"), "{written}");
        for part in ["\"port\":514", "http://b:9093", "\"minimumpriority\":\"error\"", HIDDEN] {
            assert!(written.contains(part), "{part}: {written}");
        }
        assert!(serde_json::to_string(&outputs.sections(None)).unwrap().contains("hunter2hunter2"));
    }

    #[test]
    fn words_keep_the_hosts_of_their_urls_and_nothing_else_of_them() {
        for (words, shown) in [
            (
                "Post \"https://h.example/T0/x?y=z\": dial tcp 10.0.0.1:443: refused",
                "Post \"https://h.example/…\": dial tcp 10.0.0.1:443: refused",
            ),
            ("http://u:p@h/: refused", "http://h/…: refused"),
            ("http://h", "http://h"),
            ("http://h?token=x", "http://h/…"),
            ("a://b://c/d e", "a://b://c/… e"),
            ("nothing", "nothing"),
        ] {
            assert_eq!(hosts_only(words), shown);
        }
    }
}
