//! A TCP port. Pure.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

/// A TCP port that a process can listen on: 1 to 65535.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Port(u16);

impl Port {
    /// The number.
    pub fn number(self) -> u16 {
        self.0
    }
}

impl Default for Port {
    /// The one that Falco uses when nobody says otherwise.
    fn default() -> Self {
        Self(8765)
    }
}

impl FromStr for Port {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().ok().filter(|port| *port != 0).map(Self).ok_or("is not a port (1-65535)")
    }
}

impl fmt::Display for Port {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}
