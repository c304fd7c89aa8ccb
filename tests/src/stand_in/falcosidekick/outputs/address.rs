//! What Go's URL parser refuses, in its words. Falcosidekick drops an output for it at its start.
//!
//! Written after the behaviour of Go 1.26, which Falcosidekick 2.34.1 is built with. It only finds mistakes; whoever
//! wants the parts of an address takes them from elsewhere.

use std::net::IpAddr;

/// The error for an address, if it is refused.
pub fn parse_error(address: &str) -> Option<String> {
    let (url, fragment) = address.split_once('#').unwrap_or((address, ""));
    let failed = |shown: &str, words: String| format!("parse {}: {words}", quoted(shown));
    if let Err(words) = check(url) {
        return Some(failed(url, words));
    }
    check_escapes(fragment, Part::Other).err().map(|words| failed(address, words))
}

type Checked = Result<(), String>;

/// Where an escape stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Only characters beyond ASCII may be escaped.
    Host,
    /// What follows the percent sign in an IPv6 address.
    Zone,
    /// Path, user, password and fragment.
    Other,
}

fn check(url: &str) -> Checked {
    if url.chars().any(|c| c.is_ascii_control()) {
        return Err("net/url: invalid control character in URL".into());
    }
    let (scheme, rest) = split_scheme(url)?;
    let rest = rest.split('?').next().unwrap_or_default();
    if !rest.starts_with('/') {
        if !scheme.is_empty() {
            return Ok(());
        }
        let segment = rest.split('/').next().unwrap_or_default();
        if segment.contains(':') {
            return Err("first path segment in URL cannot contain colon".into());
        }
    }
    let has_authority = rest.starts_with("//") && (!scheme.is_empty() || !rest.starts_with("///"));
    let path = if has_authority {
        let below = &rest[2..];
        let end = below.find('/').unwrap_or(below.len());
        check_authority(&scheme, &below[..end])?;
        &below[end..]
    } else {
        rest
    };
    check_escapes(path, Part::Other)
}

/// The scheme in lower case, or nothing, and what follows it.
fn split_scheme(url: &str) -> Result<(String, &str), String> {
    for (place, character) in url.char_indices() {
        match character {
            'a'..='z' | 'A'..='Z' => {}
            '0'..='9' | '+' | '-' | '.' if place > 0 => {}
            ':' if place == 0 => return Err("missing protocol scheme".into()),
            ':' => return Ok((url[..place].to_lowercase(), &url[place + 1..])),
            _ => break,
        }
    }
    Ok((String::new(), url))
}

fn check_authority(scheme: &str, authority: &str) -> Checked {
    let Some((user, host)) = authority.rsplit_once('@') else { return check_host(scheme, authority) };
    check_host(scheme, host)?;
    let fits = |c: char| c.is_ascii_alphanumeric() || "-._:~!$&'()*+,;=%@".contains(c);
    if !user.chars().all(fits) {
        return Err("net/url: invalid userinfo".into());
    }
    let (name, password) = user.split_once(':').unwrap_or((user, ""));
    check_escapes(name, Part::Other)?;
    check_escapes(password, Part::Other)
}

fn check_host(scheme: &str, host: &str) -> Checked {
    match host.rfind('[') {
        Some(0) => check_literal(host),
        Some(_) => Err("invalid IP-literal".into()),
        None => {
            let web = matches!(scheme, "http" | "https");
            let colon = if web { host.find(':') } else { host.rfind(':') };
            check_port(&host[colon.unwrap_or(host.len())..])?;
            check_escapes(host, Part::Host)
        }
    }
}

/// An address in brackets, and what may follow them.
fn check_literal(host: &str) -> Checked {
    let end = host.rfind(']').ok_or("missing ']' in host")?;
    check_port(&host[end + 1..])?;
    let inside = &host[1..end];
    let zone = inside.find("%25").unwrap_or(inside.len());
    check_escapes(&inside[..zone], Part::Host)?;
    check_escapes(&inside[zone..], Part::Zone)?;
    let has_zone = inside.len() > zone + 3;
    match inside[..zone].parse::<IpAddr>() {
        Ok(IpAddr::V6(_)) if has_zone || zone == inside.len() => Ok(()),
        Ok(IpAddr::V4(_)) if zone == inside.len() => Err("invalid IP-literal".into()),
        _ => Err(format!("invalid host: ParseAddr({}): unable to parse IP", quoted(inside))),
    }
}

fn check_port(port: &str) -> Checked {
    let good = port.is_empty() || port.strip_prefix(':').is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit()));
    if good { Ok(()) } else { Err(format!("invalid port {} after host", quoted(port))) }
}

/// Escapes first, then characters that cannot stand in a host.
fn check_escapes(text: &str, part: Part) -> Checked {
    let mut rest = text;
    let mut foreign = None;
    while let Some(character) = rest.chars().next() {
        if character == '%' {
            check_escape(rest, part)?;
            rest = &rest[3..];
            continue;
        }
        if part != Part::Other && character.is_ascii() && !may_stand_in_host(character) {
            foreign = foreign.or(Some(character));
            break;
        }
        rest = &rest[character.len_utf8()..];
    }
    match foreign {
        None => Ok(()),
        Some(character) => Err(format!("invalid character {} in host name", quoted(&character.to_string()))),
    }
}

fn check_escape(text: &str, part: Part) -> Checked {
    let bytes = text.as_bytes();
    let is_hex = bytes.len() > 2 && bytes[1..3].iter().all(u8::is_ascii_hexdigit);
    let value = || u8::from_str_radix(&text[1..3], 16).unwrap_or_default();
    let allowed = is_hex
        && match part {
            Part::Other => true,
            Part::Host => value() >= 0x80 || &text[..3] == "%25",
            Part::Zone => &text[..3] == "%25" || value() == b' ' || may_stand_in_host(char::from(value())),
        };
    if allowed { Ok(()) } else { Err(format!("invalid URL escape {}", quoted_bytes(&bytes[..bytes.len().min(3)]))) }
}

fn may_stand_in_host(character: char) -> bool {
    !character.is_ascii() || character.is_ascii_alphanumeric() || "-_.~!$&'()*+,;=:[]<>\"".contains(character)
}

/// A text as Go quotes it.
fn quoted(text: &str) -> String {
    quoted_bytes(text.as_bytes())
}

/// The same for what may end in the middle of a character.
fn quoted_bytes(bytes: &[u8]) -> String {
    let mut quoted = String::from('"');
    for chunk in bytes.utf8_chunks() {
        chunk.valid().chars().for_each(|character| quote(character, &mut quoted));
        chunk.invalid().iter().for_each(|byte| quoted.extend(["\\x".to_owned(), format!("{byte:02x}")]));
    }
    quoted.push('"');
    quoted
}

fn quote(character: char, quoted: &mut String) {
    match character {
        '"' => quoted.push_str("\\\""),
        '\\' => quoted.push_str("\\\\"),
        '\n' => quoted.push_str("\\n"),
        '\t' => quoted.push_str("\\t"),
        '\r' => quoted.push_str("\\r"),
        c if c.is_ascii_control() => quoted.extend(["\\x".to_owned(), format!("{:02x}", u32::from(c))]),
        c => quoted.push(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Printed by Go 1.26.8.
    const REFUSED: &[(&str, &str)] = &[
        ("http://h/%zz", r#"invalid URL escape "%zz""#),
        ("http://h/%", r#"invalid URL escape "%""#),
        ("http://h/a%2", r#"invalid URL escape "%2""#),
        ("http://h:x/", r#"invalid port ":x" after host"#),
        ("http://127.0.0.1:%zz", r#"invalid port ":%zz" after host"#),
        ("http://h:80:80/", r#"invalid port ":80:80" after host"#),
        ("http://::1/", r#"invalid port "::1" after host"#),
        ("http://[::1", "missing ']' in host"),
        ("http://[::1]x/", r#"invalid port "x" after host"#),
        ("http://[abc]/", r#"invalid host: ParseAddr("abc"): unable to parse IP"#),
        ("http://[1.2.3.4]/", "invalid IP-literal"),
        ("http://us er@h/", "net/url: invalid userinfo"),
        ("http://u:%zz@h/", r#"invalid URL escape "%zz""#),
        ("http://h%41/", r#"invalid URL escape "%41""#),
        ("http://{}/", r#"invalid character "{" in host name"#),
        ("http://a b/", r#"invalid character " " in host name"#),
        ("http://h/\u{7f}", "net/url: invalid control character in URL"),
        (":http://", "missing protocol scheme"),
        ("1http://a", "first path segment in URL cannot contain colon"),
        ("http://h/#%zz", r#"invalid URL escape "%zz""#),
    ];

    #[test]
    fn what_go_refuses_is_refused_in_its_words() {
        for (address, words) in REFUSED {
            assert_eq!(parse_error(address), Some(format!("parse {}: {words}", quoted(address))));
        }
    }

    #[test]
    fn what_go_takes_is_taken() {
        let taken = [
            "http://h/a%20b?q=%zz",
            "http://h<>\"/",
            "http://[fe80::1%25eth0]:80/",
            "http://%80/",
            "xxhttp://a",
            "http://",
            "http:a b%zz",
            "https://user:pass%20word@h:/",
        ];
        for address in taken {
            assert_eq!(parse_error(address), None, "{address}");
        }
    }
}
