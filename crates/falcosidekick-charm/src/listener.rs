//! Where alerts come in. Decided once, and taken by everybody who has to agree on it: the configuration, the check, the
//! question whether it answers, the open port, and the URL that is published. Pure.

use std::net::IpAddr;

use serde::Serialize;
use url::Url;

use crate::config::Port;

/// Falcosidekick answers `pong` here, on the port on which alerts come in, whichever way that is.
pub const PING: &str = "/ping";

/// Here it answers that it runs. With TLS on the other port, as [`METRICS`].
pub const HEALTH: &str = "/healthz";

/// Here it counts.
pub const METRICS: &str = "/metrics";

/// Where Falcosidekick listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Listener {
    /// The TCP port on which alerts come in.
    pub port: u16,
    /// The TCP port on which health and metrics stay in clear text while alerts come in over TLS; `None` without TLS.
    pub beside_tls: Option<u16>,
}

impl Listener {
    /// In clear text.
    pub fn plain(port: Port) -> Self {
        Self { port: port.number(), beside_tls: None }
    }

    /// Over TLS, with the other port for health and metrics.
    pub fn tls(port: Port, metrics: Port) -> Self {
        Self { port: port.number(), beside_tls: Some(metrics.number()) }
    }

    /// The scheme of alerts.
    pub fn scheme(&self) -> &'static str {
        if self.beside_tls.is_some() { "https" } else { "http" }
    }

    /// The port on which health and metrics are, always in clear text.
    pub fn metrics_port(&self) -> u16 {
        self.beside_tls.unwrap_or(self.port)
    }

    /// Where the pod itself, whose containers share one network, asks for health.
    pub fn health_url(&self) -> String {
        format!("http://127.0.0.1:{}{HEALTH}", self.metrics_port())
    }

    /// Where it asks for what Falcosidekick counts.
    pub fn metrics_url(&self) -> String {
        format!("http://127.0.0.1:{}{METRICS}", self.metrics_port())
    }

    /// Where the pod itself asks, in clear text, whether Falcosidekick is there.
    pub fn ping_url(&self) -> Url {
        let url = format!("http://127.0.0.1:{}{PING}", self.port);
        url.parse().expect("an address, a port and a path make a URL")
    }

    /// As seen from elsewhere, under an address or a host name of this application; `None` when it is neither.
    pub fn url_at(&self, address: &str) -> Option<Url> {
        self.url_on(address, self.port)
    }

    /// The same on another port that leads here.
    pub fn url_on(&self, address: &str, port: u16) -> Option<Url> {
        let scheme = self.scheme();
        let host = match address.parse() {
            Ok(IpAddr::V6(address)) => format!("[{address}]"),
            _ => address.to_owned(),
        };
        // An address that carries more than a host would end up in other parts of the URL.
        Url::parse(&format!("{scheme}://{host}:{port}/"))
            .ok()
            .filter(|url| url.path() == "/" && url.username().is_empty() && url.port_or_known_default() == Some(port))
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
    fn with_tls_alerts_and_health_have_a_port_each_and_without_they_share_one() {
        let (port, metrics) = ("3000".parse().unwrap(), "2810".parse().unwrap());
        let listener = Listener::tls(port, metrics);
        assert_eq!(listener.health_url(), "http://127.0.0.1:2810/healthz");
        assert_eq!(listener.metrics_url(), "http://127.0.0.1:2810/metrics");
        assert_eq!(listener.url_at("10.1.2.3").unwrap().as_str(), "https://10.1.2.3:3000/");
        assert_eq!(Listener::plain(port).health_url(), "http://127.0.0.1:3000/healthz");
        assert_eq!(Listener::plain(port).metrics_port(), 3000);
    }

    #[test]
    fn what_is_no_host_gives_no_url() {
        for address in ["", " ", "a b", "h/path", "user@h", "h:80", "h?q", "h#f", "[", "fd00::zz"] {
            assert_eq!(url_at("2801", address), None, "{address}");
        }
    }
}
