//! Outputs that Falcosidekick drops for good when their server is down while it starts. When the server answers later,
//! Falcosidekick is started once more.
//!
//! Which process was found without its output is noted in the environment of the service, as the time at which that
//! process began. If the one process that came after it lacks the output too, although the server answered, then it was
//! not the server, and nothing is tried again. Pure.

use super::address::host_port;
use super::traps::Settings;
use crate::log::Log;

/// Finds the server of an output, from its settings and from the settings that it shares with others.
pub type ServerOf = fn(&Settings<'_>, &Settings<'_>) -> Option<Server>;

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Server {
    /// Name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Whether it is there as soon as its name can be resolved, as nobody answers over UDP.
    pub is_udp: bool,
}

impl Server {
    fn new(host: &str, port: u16) -> Self {
        Self { host: host.to_owned(), port, is_udp: false }
    }

    /// The server of a URL.
    fn of_url(url: &str, default_port: u16) -> Option<Self> {
        let (_, rest) = url.split_once("://")?;
        let authority = rest.split(['/', '?', '#']).next()?;
        let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        Some(match host_port(authority) {
            Some((host, port)) => Self::new(host, port),
            None => Self::new(authority.trim_matches(['[', ']']), default_port),
        })
    }
}

pub fn rabbitmq(of: &Settings<'_>, _: &Settings<'_>) -> Option<Server> {
    let url = of.text("url")?;
    Server::of_url(url, if url.starts_with("amqps:") { 5671 } else { 5672 })
}

pub fn logstash(of: &Settings<'_>, _: &Settings<'_>) -> Option<Server> {
    let port = of.integer("port").and_then(|port| port.try_into().ok()).unwrap_or(5044);
    Some(Server::new(of.text("address")?, port))
}

pub fn elasticsearch(of: &Settings<'_>, _: &Settings<'_>) -> Option<Server> {
    http(of).filter(|_| of.is_on("createindextemplate"))
}

pub fn quickwit(of: &Settings<'_>, _: &Settings<'_>) -> Option<Server> {
    http(of).filter(|_| of.is_on("autocreateindex"))
}

pub fn statsd(of: &Settings<'_>, _: &Settings<'_>) -> Option<Server> {
    let (host, port) = host_port(of.text("forwarder")?)?;
    Some(Server { is_udp: true, ..Server::new(host, port) })
}

pub fn spyderbat(of: &Settings<'_>, _: &Settings<'_>) -> Option<Server> {
    let url = of.text("apiurl").unwrap_or("https://api.spyderbat.com");
    Server::of_url(url, if url.starts_with("https:") { 443 } else { 80 })
}

/// Where the identity is checked. Without a region it cannot be known.
pub fn aws(_: &Settings<'_>, shared: &Settings<'_>) -> Option<Server> {
    let domain = |region: &str| if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    let region = shared.text("region")?;
    Some(Server::new(&format!("sts.{region}.{}", domain(region)), 443))
}

fn http(of: &Settings<'_>) -> Option<Server> {
    let url = of.text("hostport")?;
    Server::of_url(url, if url.starts_with("https:") { 443 } else { 80 })
}

/// What to note about a process that lacks an output whose server answers: the time at which it began, or the older
/// note when it has been tried already. `None`: there is nothing to note, and nothing was noted.
pub fn note(log: &[String], is_worth_it: bool, noted: Option<&str>) -> Option<String> {
    let starts = Log::starts(log);
    let Some(now) = starts.last().filter(|_| is_worth_it) else { return noted.map(str::to_owned) };
    match noted {
        // The process that a restart brought is the next one after the one that was noted.
        Some(noted) if starts.iter().filter(|start| **start > noted).count() < 2 => Some(noted.to_owned()),
        _ => Some((*now).to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(starts: &[&str]) -> Vec<String> {
        let lines = |time: &&str| {
            [format!("{time} [INFO]  : Falcosidekick version: 2.34.1"), format!("{time} [INFO]  : Enabled Outputs: []")]
        };
        starts.iter().flat_map(lines).collect()
    }

    const FIRST: &str = "2026/08/17 09:00:00";
    const SECOND: &str = "2026/08/17 09:05:00";
    const THIRD: &str = "2026/08/17 10:00:00";

    #[test]
    fn a_server_that_answers_is_worth_one_restart() {
        let noted = note(&log(&[FIRST]), true, None);
        assert_eq!(noted.as_deref(), Some(FIRST));
        let after = log(&[FIRST, SECOND]);
        assert_eq!(note(&after, true, Some(FIRST)).as_deref(), Some(FIRST), "it was tried, and it was not the server");
        assert_eq!(note(&after, false, Some(FIRST)).as_deref(), Some(FIRST), "a note that goes would be a restart");
    }

    #[test]
    fn a_process_that_began_later_by_itself_is_worth_another_restart() {
        assert_eq!(note(&log(&[FIRST, SECOND, THIRD]), true, Some(FIRST)).as_deref(), Some(THIRD));
        assert_eq!(
            note(&log(&[THIRD]), true, Some(FIRST)).as_deref(),
            Some(FIRST),
            "what was between them is not known"
        );
    }

    #[test]
    fn without_a_reason_nothing_is_noted() {
        assert_eq!(note(&log(&[FIRST]), false, None), None);
        assert_eq!(note(&[], true, None), None);
    }

    #[test]
    fn the_server_is_read_from_a_url() {
        let of = |url| Server::of_url(url, 5672);
        assert_eq!(of("amqp://u:p@h/"), Some(Server::new("h", 5672)));
        assert_eq!(of("amqp://h:1/v"), Some(Server::new("h", 1)));
        assert_eq!(of("amqp://[fd00::1]:1/v"), Some(Server::new("fd00::1", 1)));
        assert_eq!(of("amqp://[fd00::1]"), Some(Server::new("fd00::1", 5672)));
    }
}
