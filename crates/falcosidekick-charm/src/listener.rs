//! Where alerts come in. Decided once, and taken by everybody who has to agree on it: the configuration, the check, the
//! question whether it answers, the open port, and the URL that is published. Pure.

use std::net::IpAddr;

use serde::Serialize;
use url::Url;

use crate::config::Port;

/// The one listener of Falcosidekick.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Listener {
    scheme: &'static str,
    /// The TCP port.
    pub port: u16,
}

impl Listener {
    /// In clear text.
    pub fn plain(port: Port) -> Self {
        Self { scheme: "http", port: port.number() }
    }

    /// As seen from the pod itself, whose containers share one network.
    pub fn local_url(&self, path: &str) -> String {
        let Self { scheme, port } = self;
        format!("{scheme}://127.0.0.1:{port}{path}")
    }

    /// As seen from elsewhere, under an address or a host name of this application; `None` when it is neither.
    pub fn url_at(&self, address: &str) -> Option<Url> {
        let Self { scheme, port } = self;
        let host = match address.parse() {
            Ok(IpAddr::V6(address)) => format!("[{address}]"),
            _ => address.to_owned(),
        };
        // An address that carries more than a host would end up in other parts of the URL.
        Url::parse(&format!("{scheme}://{host}:{port}/"))
            .ok()
            .filter(|url| url.path() == "/" && url.username().is_empty() && url.port_or_known_default() == Some(*port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url_at(port: &str, address: &str) -> Option<String> {
        Listener::plain(port.parse().unwrap()).url_at(address).map(String::from)
    }

    #[test]
    fn addresses_of_both_kinds_and_host_names_become_a_url() {
        for (address, url) in [
            ("10.152.183.7", "http://10.152.183.7:2801/"),
            ("fd00::1", "http://[fd00::1]:2801/"),
            ("lb.example.com", "http://lb.example.com:2801/"),
        ] {
            assert_eq!(url_at("2801", address).as_deref(), Some(url));
        }
    }

    #[test]
    fn the_port_that_a_scheme_implies_is_left_out() {
        assert_eq!(url_at("80", "10.1.2.3").as_deref(), Some("http://10.1.2.3/"));
    }

    #[test]
    fn what_is_no_host_gives_no_url() {
        for address in ["", " ", "a b", "h/path", "user@h", "h:80", "h?q", "h#f", "[", "fd00::zz"] {
            assert_eq!(url_at("2801", address), None, "{address}");
        }
    }
}
