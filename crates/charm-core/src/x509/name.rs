//! Under which name a server is reached.

use std::fmt;
use std::net::IpAddr;

use serde::{Serialize, Serializer};
use url::Host;

/// A host name in lower case, or an address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Name {
    /// A host name.
    Dns(String),
    /// An address.
    Ip(IpAddr),
}

impl Name {
    /// What stands for a host, in a URL or beside one: `fd00::1` and `[fd00::1]` alike. `None` if nothing can be
    /// reached under it.
    pub fn of_host(text: &str) -> Option<Self> {
        if let Ok(address) = text.parse() {
            return Some(Self::Ip(address));
        }
        match Host::parse(text).ok()? {
            Host::Domain(name) => Some(Self::Dns(name)).filter(|_| text.is_ascii() && !text.is_empty()),
            Host::Ipv4(address) => Some(Self::Ip(address.into())),
            Host::Ipv6(address) => Some(Self::Ip(address.into())),
        }
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let four = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
        let address = four.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from));
        address.ok().map(Self::Ip)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => out.write_str(name),
            Self::Ip(address) => write!(out, "{address}"),
        }
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
