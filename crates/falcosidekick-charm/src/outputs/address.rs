//! Hosts and URLs as Go understands them, which is stricter than browsers are. Pure.

use std::fmt::Write as _;

use url::Url;

/// The characters that may stand in a URL beside letters and digits.
const IN_URLS: &str = "-._~:/?#[]@!$&'()*+,;=%";

/// Whether Falcosidekick and Go's HTTP client can use it: one of these schemes, a host, and nothing that one of the two
/// parsers would read otherwise than the other.
pub fn is_url(text: &str, schemes: &[&str]) -> bool {
    let Some(rest) = text.split_once("://").and_then(|(scheme, rest)| schemes.contains(&scheme).then_some(rest)) else {
        return false;
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host_and_port = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    text.chars().all(|c| c.is_ascii_alphanumeric() || IN_URLS.contains(c))
        && escapes_are_whole(text)
        && authority.matches('@').count() < 2
        && is_host_and_maybe_port(host_and_port)
        && Url::parse(text).is_ok()
}

/// The same with nothing behind its path, as something is going to be put there.
pub fn is_base_url(text: &str) -> bool {
    is_url(text, &["http", "https"]) && !text.contains(['?', '#'])
}

/// Whether it holds a password.
pub fn has_password(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| url.password().is_some())
}

/// Whether it is a host name or an address, without a port.
pub fn is_host(text: &str) -> bool {
    let labels = |text: &str| {
        let label =
            |label: &str| !label.is_empty() && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
        text.strip_suffix('.').unwrap_or(text).split('.').all(label)
    };
    text.len() < 254 && (labels(text) || text.parse::<std::net::Ipv6Addr>().is_ok())
}

/// Splits `host:port`; an IPv6 address stands in brackets.
pub fn host_port(text: &str) -> Option<(&str, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let good = match inner {
        Some(inner) => inner.parse::<std::net::Ipv6Addr>().is_ok(),
        None => is_host(host) && !host.contains(':'),
    };
    let port = port.parse().ok().filter(|number: &u16| *number != 0 && port.chars().all(|c| c.is_ascii_digit()))?;
    good.then_some((inner.unwrap_or(host), port))
}

/// Any text as one part of a URL.
pub fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'-' | b'.' | b'_' | b'~' => encoded.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => encoded.push(char::from(byte)),
            // Writing to a text cannot fail.
            _ => drop(write!(encoded, "%{byte:02X}")),
        }
    }
    encoded
}

fn is_host_and_maybe_port(text: &str) -> bool {
    host_port(text).is_some()
        || is_host(text) && !text.contains(':')
        || text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).is_some_and(is_host)
}

fn escapes_are_whole(text: &str) -> bool {
    text.split('%').skip(1).all(|rest| rest.len() >= 2 && rest.bytes().take(2).all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HTTP: [&str; 2] = ["http", "https"];

    #[test]
    fn urls_that_both_parsers_read_alike_are_taken() {
        for text in [
            "http://h",
            "https://user:p%40ss@h.example:8443/a/b?c=d&e#f",
            "http://[fd00::1]:80/",
            "http://10.1.2.3/",
            "http://a_b/",
        ] {
            assert!(is_url(text, &HTTP), "{text}");
        }
        assert!(is_url("nats://h:4222", &["nats"]));
    }

    #[test]
    fn what_falcosidekick_would_take_and_never_reach_is_refused() {
        for text in [
            "",
            "h",
            "http://",
            "xxhttp://a",
            "HTTP://h",
            "ftp://h/",
            "http:///p",
            "http://lo{ki/",
            "http://h/%zz",
            "http://h:0/",
            "http://h:70000/",
            "http://h:/",
            "http://a b/",
            "http://h/\n",
            "http://h/ü",
            "http://[::1",
            "http://u@v@h/",
            "http://fd00::1/",
        ] {
            assert!(!is_url(text, &HTTP), "{text}");
        }
        assert!(!is_base_url("http://h/?a=b") && !is_base_url("http://h/#a") && is_base_url("http://h/a"));
    }

    #[test]
    fn hosts_and_ports_are_told_apart() {
        assert_eq!(host_port("h.example:25"), Some(("h.example", 25)));
        assert_eq!(host_port("[fd00::1]:25"), Some(("fd00::1", 25)));
        for text in ["h", "h:", "h:0", "h:+5", "h:x", ":25", "a b:25", "fd00::1:25", "h:65536"] {
            assert_eq!(host_port(text), None, "{text}");
        }
        assert!(is_host("h-1.example.") && is_host("fd00::1") && !is_host("h/") && !is_host("") && !is_host("h:1"));
    }

    #[test]
    fn every_text_can_be_part_of_a_url() {
        assert_eq!(percent_encoded("p@ss/%ü"), "p%40ss%2F%25%C3%BC");
    }
}
