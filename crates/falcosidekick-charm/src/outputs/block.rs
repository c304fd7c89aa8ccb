//! The words in which the table of outputs is written: blocks of Falcosidekick's configuration, their keys, and what a
//! key takes. Pure data.

use super::late::ServerOf;
use super::traps::Trap;

/// A block of the configuration: an output, or settings that several outputs share.
#[must_use]
#[derive(Clone, Copy, Debug)]
pub struct Block {
    /// Its place: `slack`, `aws.lambda`.
    pub path: &'static str,
    /// What Falcosidekick calls it in its list of enabled outputs; empty for shared settings.
    pub name: &'static str,
    /// What stands in front of its errors in the log.
    pub says: &'static str,
    /// Its own keys.
    pub keys: &'static [Key],
    /// Keys that it shares with many others.
    pub common: &'static [Key],
    /// Keys of shared settings without which it does not work: block and key.
    pub needs: &'static [(&'static str, &'static str)],
    /// What else can be wrong with it.
    pub trap: Option<Trap>,
    /// The server without which it is dropped for good while Falcosidekick starts.
    pub server: Option<ServerOf>,
    /// Whether Falcosidekick rather crashes without that server than drops the output.
    pub crashes: bool,
    /// What an operator should know, for the reference.
    pub about: &'static [&'static str],
}

/// A key of a block.
#[must_use]
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its name, in lower case. May have a dot, as it may be one step further down.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// Whether the output does not work without it.
    pub needed: bool,
    /// Whether nobody else should see the value.
    pub secret: bool,
    /// The value when none is given.
    pub default: &'static str,
    /// A value of a minimal configuration, for keys that are needed there.
    pub sample: &'static str,
    /// What an operator should know, for the reference.
    pub about: &'static str,
}

/// What a key takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text on one line.
    Text,
    /// Text that becomes part of a path: letters, digits, `.`, `_`, `-`.
    Name,
    /// Any text on one line. It becomes part of a URL, so it is written percent-encoded.
    UrlPart,
    /// A whole HTTP URL.
    Url,
    /// An HTTP URL to which Falcosidekick adds a path of its own.
    BaseUrl,
    /// A list of those.
    BaseUrls,
    /// A URL of one of these schemes.
    UrlOf(&'static [&'static str]),
    /// A host name or address.
    Host,
    /// `host:port`
    HostPort,
    /// `host:port,host:port`
    HostPorts,
    /// A whole number from the first to the second.
    Integer(i64, i64),
    /// `true` or `false`
    Switch,
    /// One of these words, in any case.
    Word(&'static [&'static str]),
    /// A priority of Falco.
    Priority,
    /// A span of time as Go writes it: `1m30s`.
    Duration,
    /// A list of texts.
    List,
    /// HTTP headers.
    Headers,
    /// Names and texts.
    Labels,
    /// Priorities of Falco and texts.
    Severities,
    /// `name=value,name=value`
    Pairs,
    /// `number:priority, number:priority`
    Thresholds,
    /// Names of output fields with commas between them.
    Fields,
    /// A Go template.
    Template,
    /// A JSON object in base64.
    Base64Json,
    /// Text on several lines that begins like PEM.
    Pem,
    /// Falcosidekick knows it, and it is of no use here: why.
    Refused(&'static str),
    /// The one value that is taken, and why there is no other.
    Only(bool, &'static str),
}

impl Key {
    const fn new(name: &'static str, kind: Kind) -> Self {
        Self { name, kind, needed: false, secret: false, default: "", sample: "", about: "" }
    }

    /// It is needed; a minimal configuration has this value.
    pub const fn needed(self, sample: &'static str) -> Self {
        Self { needed: true, sample, ..self }
    }

    /// A minimal configuration has this value, although it is not always needed.
    pub const fn sample(self, sample: &'static str) -> Self {
        Self { sample, ..self }
    }

    /// Its value is a secret.
    pub const fn secret(self) -> Self {
        Self { secret: true, ..self }
    }

    /// Its value when none is given.
    pub const fn default(self, default: &'static str) -> Self {
        Self { default, ..self }
    }

    /// What an operator should know.
    pub const fn about(self, about: &'static str) -> Self {
        Self { about, ..self }
    }

    /// Whether Falcosidekick prints the value into its log when the server cannot be reached.
    pub fn is_printed(&self) -> bool {
        self.secret && matches!(self.kind, Kind::Url | Kind::UrlPart)
    }
}

/// A key of this kind.
pub const fn key(name: &'static str, kind: Kind) -> Key {
    Key::new(name, kind)
}

/// A key that takes text.
pub const fn text(name: &'static str) -> Key {
    Key::new(name, Kind::Text)
}

/// A key that takes a secret text.
pub const fn secret(name: &'static str) -> Key {
    Key::new(name, Kind::Text).secret()
}

/// A key that takes `true` or `false`.
pub const fn switch(name: &'static str) -> Key {
    Key::new(name, Kind::Switch)
}

/// A key that is refused, and why.
pub const fn refused(name: &'static str, why: &'static str) -> Key {
    Key::new(name, Kind::Refused(why))
}

/// A key that takes `true` or `false`, but only one of them, and why.
pub const fn only(name: &'static str, value: bool, why: &'static str) -> Key {
    Key::new(name, Kind::Only(value, why))
}

/// Every output but a few can be told from which priority on it gets events.
const MINIMUM_PRIORITY: Key =
    key(MINIMUM, Kind::Priority).default("`minimum-priority`").about("events below it are not sent");

/// The name of the key for the least priority.
pub const MINIMUM: &str = "minimumpriority";

const CHECK_CERT: Key = switch("checkcert").default("true").about("`false` takes any certificate, and no other CA");

const NO_CLIENT_CERTIFICATE: &str = "there is no client certificate in the container";

const MUTUAL_TLS: Key = only("mutualtls", false, NO_CLIENT_CERTIFICATE);

const CONCURRENCY: Key =
    key("maxconcurrentrequests", Kind::Integer(0, 65535)).default("1").about("0 stands for no limit");

const HTTP: [Key; 4] = [MINIMUM_PRIORITY, CHECK_CERT, MUTUAL_TLS, CONCURRENCY];

/// The files that a certificate could be in are not in the container.
pub const NO_FILE: &str = "there is no such file in the container";

impl Block {
    const fn new(path: &'static str, name: &'static str, keys: &'static [Key], common: &'static [Key]) -> Self {
        Self { path, name, says: name, keys, common, needs: &[], trap: None, server: None, crashes: false, about: &[] }
    }

    /// An output over HTTP, with all that Falcosidekick's own client can do.
    pub const fn http(path: &'static str, name: &'static str, keys: &'static [Key]) -> Self {
        Self::new(path, name, keys, &HTTP)
    }

    /// An output over HTTP that only heeds `checkcert` of what is common.
    pub const fn checked(path: &'static str, name: &'static str, keys: &'static [Key]) -> Self {
        Self::new(path, name, keys, &[MINIMUM_PRIORITY, CHECK_CERT])
    }

    /// An output with a client of its own.
    pub const fn own(path: &'static str, name: &'static str, keys: &'static [Key]) -> Self {
        Self::new(path, name, keys, &[MINIMUM_PRIORITY])
    }

    /// An output without a least priority.
    pub const fn unfiltered(path: &'static str, name: &'static str, keys: &'static [Key]) -> Self {
        Self::new(path, name, keys, &[])
    }

    /// Settings that several outputs share.
    pub const fn settings(path: &'static str, keys: &'static [Key]) -> Self {
        Self::new(path, "", keys, &[])
    }

    /// An output over HTTP without a least priority.
    pub const fn unfiltered_http(path: &'static str, name: &'static str, keys: &'static [Key]) -> Self {
        Self::new(path, name, keys, &[CHECK_CERT, MUTUAL_TLS, CONCURRENCY])
    }

    /// Another name stands in front of its errors.
    pub const fn says(self, says: &'static str) -> Self {
        Self { says, ..self }
    }

    /// Keys of shared settings without which it does not work.
    pub const fn needs(self, needs: &'static [(&'static str, &'static str)]) -> Self {
        Self { needs, ..self }
    }

    /// What else can be wrong with it.
    pub const fn trap(self, trap: Trap) -> Self {
        Self { trap: Some(trap), ..self }
    }

    /// It is dropped for good when this server is down while Falcosidekick starts.
    pub const fn only_at_start(self, server: ServerOf) -> Self {
        Self { server: Some(server), ..self }
    }

    /// Falcosidekick crashes when this server is down while it starts.
    pub const fn crashes_without(self, server: ServerOf) -> Self {
        Self { server: Some(server), crashes: true, ..self }
    }

    /// What an operator should know.
    pub const fn about(self, about: &'static [&'static str]) -> Self {
        Self { about, ..self }
    }

    /// Whether it is an output, and not settings of others.
    pub fn is_output(&self) -> bool {
        !self.name.is_empty()
    }

    /// All its keys.
    pub fn all_keys(&self) -> impl Iterator<Item = &'static Key> + use<> {
        self.keys.iter().chain(self.common)
    }

    /// The key of this name.
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.all_keys().find(|key| key.name == name)
    }
}
