//! What is wrong with an output although each of its values is right: combinations that crash Falcosidekick, that it
//! drops, or that lose every event. Pure.

use std::collections::BTreeMap;

use super::check::Value;
use crate::fields;

/// Looks at an output and tells what is wrong: key, and the words that follow it.
pub type Trap = fn(&Settings<'_>) -> Vec<(&'static str, String)>;

/// With `checkcert: false`, Falcosidekick's OTLP clients do not check less, they do not encrypt.
pub const PLAIN_OTLP: &str = "with false, Falcosidekick sends in clear text also to https";

/// Falcosidekick's reader of YAML turns keys to lower case.
pub const LOWER_CASE_VARIABLES: &str =
    "Falcosidekick turns the names of the variables to lower case, where nobody looks for them";

const MISSING: &str = "is missing";

/// The values of one block.
#[derive(Clone, Copy, Debug)]
pub struct Settings<'a> {
    values: &'a BTreeMap<&'static str, Value>,
    /// Whether the address of Loki comes by relation.
    pub loki_is_related: bool,
}

impl<'a> Settings<'a> {
    pub fn new(values: &'a BTreeMap<&'static str, Value>, loki_is_related: bool) -> Self {
        Self { values, loki_is_related }
    }

    /// The text of a key, unless it is empty.
    pub fn text(&self, key: &str) -> Option<&'a str> {
        self.values.get(key)?.text().filter(|text| !text.is_empty())
    }

    /// The number of a key.
    pub fn integer(&self, key: &str) -> Option<i64> {
        self.values.get(key).and_then(|value| if let Value::Integer(number) = value { Some(*number) } else { None })
    }

    /// Whether a key is `true`.
    pub fn is_on(&self, key: &str) -> bool {
        self.values.get(key) == Some(&Value::Switch(true))
    }

    /// Those of these keys that are missing, because of `why`.
    fn want(&self, keys: &[&'static str], why: &str) -> Vec<(&'static str, String)> {
        let missing = keys.iter().filter(|key| self.text(key).is_none());
        missing.map(|key| (*key, format!("{MISSING}: {why}"))).collect()
    }
}

pub fn loki(of: &Settings<'_>) -> Vec<(&'static str, String)> {
    let mut problems = endpoint(of);
    if of.loki_is_related {
        let given = ["hostport", "endpoint"].into_iter().filter(|key| of.text(key).is_some());
        let text = "is given by the relation send-loki-logs; remove it, or the relation";
        problems.extend(given.map(|key| (key, text.to_owned())));
    }
    problems.extend(both(of, "user", "apikey", "Falcosidekick authenticates with both or not at all"));
    problems
}

/// A path that is put behind a URL.
pub fn endpoint(of: &Settings<'_>) -> Vec<(&'static str, String)> {
    let is_wrong = of
        .text("endpoint")
        .is_some_and(|path| !super::address::is_url(&format!("http://h{path}"), &["http"]) || !path.starts_with('/'));
    if is_wrong { vec![("endpoint", "is not a path that begins with /".into())] } else { Vec::new() }
}

pub fn telegram(of: &Settings<'_>) -> Vec<(&'static str, String)> {
    let is_id = |id: &str| id.starts_with('@') || id.parse::<i64>().is_ok();
    match of.text("chatid") {
        Some(id) if !is_id(id) => {
            vec![("chatid", "is not the number of a chat, nor @ and the name of a channel".into())]
        }
        _ => Vec::new(),
    }
}

pub fn smtp(of: &Settings<'_>) -> Vec<(&'static str, String)> {
    let mut problems = match of.text("authmechanism") {
        None | Some("plain") => {
            of.want(&["user", "password"], "authmechanism is plain; `none` sends without authentication")
        }
        Some("oauthbearer") => of.want(&["user", "token"], "authmechanism is oauthbearer"),
        _ => Vec::new(),
    };
    let is_address = |text: &str| {
        text.split(',').all(|one| {
            one.trim().split_once('@').is_some_and(|(user, host)| !user.is_empty() && super::address::is_host(host))
        })
    };
    for key in ["from", "to"] {
        if of.text(key).is_some_and(|text| !is_address(text)) {
            problems.push((key, "is not a mail address".into()));
        }
    }
    problems
}

pub fn influxdb(of: &Settings<'_>) -> Vec<(&'static str, String)> {
    both(of, "user", "password", "Falcosidekick authenticates with both or not at all")
}

pub fn wavefront(of: &Settings<'_>) -> Vec<(&'static str, String)> {
    let Some(host) = of.text("endpointhost") else { return Vec::new() };
    let wrong = |words: &str| vec![("endpointhost", format!("would crash Falcosidekick: {words}"))];
    match of.text("endpointtype") {
        Some("direct") if !super::address::is_host(host) => wrong("for endpointtype direct it has to be a host name"),
        Some("direct") => of.want(&["endpointtoken"], "endpointtype is direct"),
        Some("proxy") if !super::address::is_base_url(host) => {
            wrong("for endpointtype proxy it has to be a URL that begins with http://")
        }
        _ => Vec::new(),
    }
}

pub fn timescaledb(of: &Settings<'_>) -> Vec<(&'static str, String)> {
    both(of, "user", "password", "the other half would be the default")
}

pub fn kafka(of: &Settings<'_>) -> Vec<(&'static str, String)> {
    if of.text("sasl").is_some() { of.want(&["username", "password"], "sasl is set") } else { Vec::new() }
}

pub fn policyreport(of: &Settings<'_>) -> Vec<(&'static str, String)> {
    if of.is_on("enabled") { Vec::new() } else { vec![("enabled", "is not true; leave the output out instead".into())] }
}

pub fn otlp(of: &Settings<'_>) -> Vec<(&'static str, String)> {
    let is_grpc = of.text("protocol") == Some("grpc");
    let path = |url: &str| url.splitn(4, '/').nth(3).unwrap_or_default().to_owned();
    match of.text("endpoint") {
        Some(url) if !is_grpc && path(url).is_empty() => {
            vec![("endpoint", "lacks its path, such as /v1/logs, which is not added".into())]
        }
        _ => Vec::new(),
    }
}

pub fn prometheus(of: &Settings<'_>) -> Vec<(&'static str, String)> {
    let names = of.text("extralabels").map(fields::list).unwrap_or_default();
    let labels: Vec<String> = names.iter().map(|name| fields::label(name)).collect();
    // Brackets stay in these labels, and such a label makes Falcosidekick panic at each event.
    let bad = names.iter().zip(&labels).enumerate().find(|(place, (name, label))| {
        name.contains(['[', ']']) || fields::is_built_in(label) || labels[..*place].contains(label)
    });
    bad.map(|(_, (name, _))| ("extralabels", format!("{name:?} would crash Falcosidekick: no label of its own")))
        .into_iter()
        .collect()
}

pub fn aws(of: &Settings<'_>) -> Vec<(&'static str, String)> {
    let mut problems = both(of, "accesskeyid", "secretaccesskey", "one is of no use without the other");
    if of.text("rolearn").is_some() {
        problems.extend(of.want(&["accesskeyid"], "rolearn is assumed with the key"));
    } else if of.text("externalid").is_some() {
        problems.extend(of.want(&["rolearn"], "externalid is for rolearn"));
    }
    // They go into files of Amazon's, where other characters would mean something else.
    for key in ["accesskeyid", "secretaccesskey", "rolearn", "externalid"] {
        let is_good = |c: char| c.is_ascii_alphanumeric() || "/+=,.@:_-".contains(c);
        if of.text(key).is_some_and(|text| !text.chars().all(is_good)) {
            problems.push((key, "has a character that Amazon does not use".into()));
        }
    }
    problems
}

pub fn azure(of: &Settings<'_>) -> Vec<(&'static str, String)> {
    const ALL: [&str; 3] = ["tenantid", "clientid", "clientcertificate"];
    if ALL.iter().any(|key| of.text(key).is_some()) { of.want(&ALL, "all three belong together") } else { Vec::new() }
}

/// One of the two is there, and the other is missing.
fn both(of: &Settings<'_>, one: &'static str, other: &'static str, why: &str) -> Vec<(&'static str, String)> {
    match (of.text(one), of.text(other)) {
        (Some(_), None) => of.want(&[other], why),
        (None, Some(_)) => of.want(&[one], why),
        _ => Vec::new(),
    }
}
