//! The options `external-access` and `load-balancer-annotations`. Pure.

use std::collections::BTreeMap;
use std::str::FromStr;

use charm_core::config::{Problem, Problems, RawConfig};

use crate::outputs::yaml::{self, Node, Tree};

/// The option that says by which means.
pub const EXTERNAL_ACCESS: &str = "external-access";
/// The option that says what the provider of load balancers has to know.
pub const LOAD_BALANCER_ANNOTATIONS: &str = "load-balancer-annotations";

/// What Kubernetes takes at most as a name and as the prefix before it.
const LONGEST_NAME: usize = 63;
const LONGEST_PREFIX: usize = 253;

/// More than anybody writes by hand; Kubernetes takes four times as much.
const LONGEST: usize = 64 * 1024;

/// By which means of Kubernetes callers from outside the cluster get in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// By none.
    #[default]
    None,
    /// By a port of every node.
    NodePort,
    /// By a load balancer with these annotations.
    LoadBalancer(BTreeMap<String, String>),
}

impl Access {
    /// Reads both options. What cannot be read is none, and a problem.
    pub fn parse(raw: &RawConfig, problems: &mut Problems) -> Self {
        let means = problems.catch(raw.get(EXTERNAL_ACCESS)).flatten().unwrap_or(Means::None);
        let text: String = problems.catch(raw.get(LOAD_BALANCER_ANNOTATIONS)).flatten().unwrap_or_default();
        let annotations = annotations(&text).unwrap_or_else(|texts| {
            for text in texts {
                problems.push(Problem::new(LOAD_BALANCER_ANNOTATIONS, text));
            }
            BTreeMap::new()
        });
        match means {
            Means::None => Self::None,
            Means::NodePort => Self::NodePort,
            Means::LoadBalancer => Self::LoadBalancer(annotations),
        }
    }
}

#[derive(Clone, Copy)]
enum Means {
    None,
    NodePort,
    LoadBalancer,
}

impl FromStr for Means {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "none" => Ok(Self::None),
            "node-port" => Ok(Self::NodePort),
            "load-balancer" => Ok(Self::LoadBalancer),
            _ => Err("is not one of none, load-balancer and node-port"),
        }
    }
}

/// The annotations in a text, or all that is wrong with it.
fn annotations(text: &str) -> Result<BTreeMap<String, String>, Vec<String>> {
    let entries = entries(text).map_err(|problem| vec![problem])?;
    let (mut annotations, mut problems) = (BTreeMap::new(), Vec::new());
    for (key, value) in entries {
        match (key_problem(&key), value) {
            (Some(problem), _) => problems.push(format!("{key:?} {problem}")),
            (None, None) => problems.push(format!("{key:?} has no text; an empty one is written as ''")),
            (None, Some(value)) if !annotations.contains_key(&key) => drop(annotations.insert(key, value)),
            (None, Some(_)) => problems.push(format!("{key:?} stands there twice")),
        }
    }
    if problems.is_empty() { Ok(annotations) } else { Err(problems) }
}

/// Keys and values as they were written, from lines `key=value` or a YAML map.
fn entries(text: &str) -> Result<Vec<(String, Option<String>)>, String> {
    if text.len() > LONGEST {
        return Err(format!("is longer than {LONGEST} bytes"));
    }
    let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let of_line = |line: &str| {
        let (key, value) = line.split_once('=')?;
        let is_key = !key.contains(|c: char| c.is_whitespace() || ":{'\"".contains(c));
        is_key.then(|| (key.to_owned(), Some(value.to_owned())))
    };
    if let Some(entries) = lines().map(of_line).collect() {
        return Ok(entries);
    }
    match yaml::parse(text)? {
        None => Ok(Vec::new()),
        Some(Node { value: Tree::Map(entries), line: _ }) => Ok(entries
            .into_iter()
            .map(|(key, node)| match node.value {
                Tree::Scalar(value) => (key, Some(value)),
                Tree::Null | Tree::List(_) | Tree::Map(_) => (key, None),
            })
            .collect()),
        Some(_) => Err("is neither a YAML map of names and texts nor lines of the form key=value".to_owned()),
    }
}

/// What Kubernetes would say about the key of an annotation.
fn key_problem(key: &str) -> Option<&'static str> {
    let (prefix, name) = key.rsplit_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    let is_end = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let is_word = |word: &str, more: &str| {
        is_end(word.chars().next())
            && is_end(word.chars().next_back())
            && word.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
    };
    if !is_word(name, "-_.") || name.len() > LONGEST_NAME {
        return Some(
            "is not the key of an annotation: a name has at most 63 letters, digits and `-_.`, and begins and ends with a \
             letter or digit",
        );
    }
    let is_domain = |prefix: &str| {
        prefix.len() <= LONGEST_PREFIX
            && prefix.split('.').all(|label| is_word(label, "-") && !label.contains(|c: char| c.is_ascii_uppercase()))
    };
    prefix
        .is_some_and(|prefix| !is_domain(prefix))
        .then_some("is not the key of an annotation: before the slash stands the name of a domain, in small letters")
}

#[cfg(test)]
mod tests {
    use charm_core::Status;

    use super::*;

    fn parse(options: &[(&str, &str)]) -> Result<Access, String> {
        let mut problems = Problems::default();
        let access = Access::parse(&options.iter().copied().collect(), &mut problems);
        if problems.is_empty() { Ok(access) } else { Err(Status::from(problems).message()) }
    }

    fn annotated(text: &str) -> Result<Vec<(String, String)>, String> {
        match parse(&[(EXTERNAL_ACCESS, "load-balancer"), (LOAD_BALANCER_ANNOTATIONS, text)])? {
            Access::LoadBalancer(annotations) => Ok(annotations.into_iter().collect()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_three_means_are_known_and_none_is_the_default() {
        assert_eq!(parse(&[]), Ok(Access::None));
        assert_eq!(parse(&[(EXTERNAL_ACCESS, "none")]), Ok(Access::None));
        assert_eq!(parse(&[(EXTERNAL_ACCESS, "node-port")]), Ok(Access::NodePort));
        assert_eq!(parse(&[(EXTERNAL_ACCESS, "load-balancer")]), Ok(Access::LoadBalancer(BTreeMap::new())));
        for value in ["", "None", "loadbalancer", "ingress"] {
            let message = parse(&[(EXTERNAL_ACCESS, value)]).unwrap_err();
            assert_eq!(message, format!("external-access: {value:?} is not one of none, load-balancer and node-port"));
        }
    }

    #[test]
    fn annotations_are_a_map_or_lines_and_keep_their_text() {
        let pairs = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        for (text, expected) in [
            ("", vec![]),
            ("# nothing\n", vec![]),
            ("example.com/internal: true\nname: 'a: b'", vec![("example.com/internal", "true"), ("name", "a: b")]),
            ("{\"example.com/pool\": \"007\"}", vec![("example.com/pool", "007")]),
            ("example.com/id: 007\nempty: ''", vec![("empty", ""), ("example.com/id", "007")]),
            (" a.b/c=d\n\n# e\nf=g=h: i\nj=", vec![("a.b/c", "d"), ("f", "g=h: i"), ("j", "")]),
            ("url: http://x/?a=b", vec![("url", "http://x/?a=b")]),
        ] {
            assert_eq!(annotated(text), Ok(pairs(&expected)), "{text}");
        }
    }

    #[test]
    fn bad_annotations_are_told_with_the_name_of_the_option_and_all_at_once() {
        for text in [
            "a",
            "a b",
            "- a",
            "a: [b]",
            "a:",
            "a: {b: c}",
            "a/b/c: d",
            "-a: b",
            "A.B/c: d",
            "/a: b",
            "a/: b",
            "=b",
            "a=b\na=c",
        ] {
            let message = annotated(text).unwrap_err();
            assert!(message.starts_with("load-balancer-annotations: "), "{text}: {message}");
        }
        let long = format!("{}: b", "a".repeat(64));
        let message = annotated(&format!("{long}\n-a: b")).unwrap_err();
        assert_eq!(message.matches("load-balancer-annotations: ").count(), 2, "{message}");
        assert!(annotated(&format!("{}=b", "a".repeat(63))).is_ok());
        assert!(annotated(&format!("a={}", "b".repeat(LONGEST))).is_err());
    }
}
