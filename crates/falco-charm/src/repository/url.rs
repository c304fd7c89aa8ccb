//! Where the repository is, and which state of it is wanted: `git+ssh://user@host[:port]/path[@ref]`, or
//! `git+https://…`. Pure.
//!
//! What is taken is narrow, because it becomes arguments of git and ssh: a host is letters, digits, `.`, `-` and `_`, or
//! an IPv6 address in brackets; a ref is what git itself would take for one.

use std::fmt;
use std::str::FromStr;

use percent_encoding::percent_decode_str;
use url::Url;

/// Both forms, for texts that say what would be right.
const FORMS: &str =
    "git+ssh://user@host/path or git+https://host/path, with @branch, @tag or @commit behind it if need be";

/// About a login in the address.
const CREDENTIALS: &str = "has a user or a password in it; a token goes into a secret, see custom-config-repo-token";

/// How a commit is named: in hexadecimal digits, 40 of them, or 64 in a repository with SHA-256.
const COMMIT_LENGTHS: [usize; 2] = [40, 64];

/// The option, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepositoryUrl {
    /// How to talk to the host.
    pub transport: Transport,
    /// Who to be there: for SSH always, for HTTPS never.
    pub user: Option<String>,
    /// A name, an IPv4 address, or an IPv6 address without its brackets.
    pub host: String,
    /// The port, when it is not the usual one.
    pub port: Option<u16>,
    /// From its first slash, percent-encoded as in the option.
    path: String,
    /// Which state is wanted.
    pub reference: Reference,
}

/// How to talk to the host. Both prove who the host is; what does not is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// With a key, against known host keys.
    Ssh,
    /// With a token, or without; against the certificates that the machine trusts.
    Https,
}

/// Which state of the repository is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// The branch that the server holds for the main one.
    Default,
    /// A branch or a tag.
    Named(String),
    /// A commit, in lower-case hexadecimal digits.
    Commit(String),
}

impl RepositoryUrl {
    /// The address as git takes it: without the ref.
    pub fn address(&self) -> String {
        let scheme = match self.transport {
            Transport::Ssh => "ssh",
            Transport::Https => "https",
        };
        let user = self.user.as_ref().map(|user| format!("{user}@")).unwrap_or_default();
        format!("{scheme}://{user}{}{}", self.authority(), self.path)
    }

    /// Host and port as in a URL.
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        match self.port {
            Some(port) => format!("{host}:{port}"),
            None => host,
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Default => "HEAD",
            Self::Named(name) | Self::Commit(name) => name,
        })
    }
}

impl FromStr for RepositoryUrl {
    type Err = String;

    /// The error follows the quoted text.
    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        // The parser below would drop some of these silently.
        if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err("has a blank or a control character in it".into());
        }
        let url = Url::parse(text).map_err(|error| match error {
            url::ParseError::InvalidPort => {
                "has something behind the `:` after its host that is no port; a path begins with /".to_owned()
            }
            _ => format!("is not {FORMS}"),
        })?;
        let transport = match url.scheme() {
            "git+ssh" => Transport::Ssh,
            "git+https" => Transport::Https,
            _ => return Err(format!("is not {FORMS}")),
        };
        if !url.has_authority() {
            return Err(format!("is not {FORMS}"));
        }
        if url.password().is_some() {
            return Err(CREDENTIALS.into());
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err("has a ? or # in it; in a path or a ref these are written %3F and %23".into());
        }
        let (path, reference) = split(url.path());
        let reference = reference.map_or(Ok(Reference::Default), parse_reference)?;
        Ok(Self {
            transport,
            user: parse_user(transport, url.username())?,
            host: parse_host(url.host_str().unwrap_or_default())?,
            port: parse_port(url.port())?,
            path: parse_path(path)?,
            reference,
        })
    }
}

/// Parts a path from a ref behind it. Paths and names of branches may both have an `@`; written `%40` it is never taken
/// for the one between them.
fn split(whole: &str) -> (&str, Option<&str>) {
    let at = whole.rfind(".git@").map(|end| end + ".git".len()).or_else(|| whole.rfind('@'));
    match at.map(|at| (&whole[..at], &whole[at + 1..])) {
        // The `@` of a folder, as in /@group/rules.git.
        Some((_, reference)) if ends_with(reference, ".git") => (whole, None),
        Some((path, reference)) => (path, Some(reference)),
        None => (whole, None),
    }
}

/// To git, these ends are what they are in lower case only.
fn ends_with(text: &str, end: &str) -> bool {
    text.as_bytes().ends_with(end.as_bytes())
}

/// SSH has to know who to be. Over HTTPS a user is refused: some hosts take a token there, and options are no secrets.
fn parse_user(transport: Transport, user: &str) -> Result<Option<String>, String> {
    match transport {
        Transport::Https if user.is_empty() => Ok(None),
        Transport::Https => Err(CREDENTIALS.into()),
        Transport::Ssh if user.is_empty() => {
            Err("does not say which user to be; most hosts want git+ssh://git@host/path".into())
        }
        Transport::Ssh => {
            let user = decoded(user).ok_or("has a user that is no text")?;
            let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-+".contains(c);
            if user.starts_with('-') || !user.chars().all(is_plain) {
                return Err("has a user with characters that no user name has".into());
            }
            Ok(Some(user))
        }
    }
}

fn parse_host(host: &str) -> Result<String, String> {
    if let Some(address) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return Ok(address.to_owned());
    }
    let is_plain = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
    if host.is_empty() || host.starts_with('-') || !host.chars().all(is_plain) {
        return Err("has no host, or one with characters that no host name has".into());
    }
    Ok(host.to_ascii_lowercase())
}

fn parse_port(port: Option<u16>) -> Result<Option<u16>, String> {
    if port == Some(0) { Err("has the port 0".into()) } else { Ok(port) }
}

fn parse_path(path: &str) -> Result<String, String> {
    let text = decoded(path).ok_or("has a path that is no text")?;
    if text.trim_matches('/').is_empty() {
        return Err("has no path; an @ that belongs to the path is written %40".into());
    }
    Ok(path.to_owned())
}

/// The rules of `git check-ref-format`, and no `-` in front, which git would take for an option.
fn parse_reference(text: &str) -> Result<Reference, String> {
    let name = decoded(text).ok_or("has a ref that is no text")?;
    let bad_part = |part: &str| part.is_empty() || part.starts_with('.') || ends_with(part, ".lock");
    let bad = name == "@"
        || name.starts_with('-')
        || name.ends_with('.')
        || name.contains("..")
        || name.contains("@{")
        || name.contains(|c: char| c.is_whitespace() || "~^:?*[\\".contains(c))
        || name.split('/').any(bad_part);
    if bad {
        return Err(format!("has behind its last @ a name that git would not take for a branch or tag: {name:?}"));
    }
    if COMMIT_LENGTHS.contains(&name.len()) && name.chars().all(|c| c.is_ascii_hexdigit()) {
        return Ok(Reference::Commit(name.to_ascii_lowercase()));
    }
    Ok(if name == "HEAD" { Reference::Default } else { Reference::Named(name) })
}

/// Without percent-encoding, as git and the server will see it; `None` when that is no text.
fn decoded(text: &str) -> Option<String> {
    let text = percent_decode_str(text).decode_utf8().ok()?.into_owned();
    (!text.contains(char::is_control)).then_some(text)
}

#[cfg(test)]
mod tests;
