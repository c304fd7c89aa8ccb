//! What the options ask for. Pure.

use std::net::SocketAddr;
use std::str::FromStr;

/// What the options ask for, when the listener is on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Where to listen.
    pub address: Address,
    /// The id of the secret with certificate and key.
    pub secret: Option<String>,
}

/// An address of a machine with a port that Falco can listen on: from 1024, as it has no right to lower ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address(pub SocketAddr);

impl Default for Address {
    /// The port that Falco's documentation uses, for an API server on the same machine.
    fn default() -> Self {
        Self(SocketAddr::from(([127, 0, 0, 1], 9765)))
    }
}

impl FromStr for Address {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let address: SocketAddr =
            text.trim().parse().map_err(|_| "is not an IP address and a port, such as 127.0.0.1:9765 or [::1]:9765")?;
        // Go, in which the plugin is written, would read a scope as a part of the URL.
        let is_scoped = matches!(address, SocketAddr::V6(address) if address.scope_id() != 0);
        match address.port() {
            _ if is_scoped => Err("has a scope, which Falco cannot take"),
            0..1024 => Err("has a port below 1024, which Falco has no right to"),
            _ => Ok(Self(address)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_an_ip_and_a_port_that_needs_no_right() {
        for text in ["127.0.0.1:9765", "0.0.0.0:1024", "[::1]:65535", "[::]:9765", " 10.0.0.7:9765\n"] {
            assert!(text.parse::<Address>().is_ok(), "{text}");
        }
        for text in
            ["", "9765", ":9765", "localhost:9765", "127.0.0.1", "127.0.0.1:443", "127.0.0.1:0", "[fe80::1%2]:9765"]
        {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
        assert_eq!("127.0.0.1:9765".parse(), Ok(Address::default()));
    }
}
