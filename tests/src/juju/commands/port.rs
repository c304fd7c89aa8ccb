//! `open-port`, `close-port`, `opened-ports`.

use super::{Failure, Outcome, Output, refused, usage};
use crate::juju::command::Invocation;
use crate::juju::encode::Value;
use crate::juju::flags::{Flag, Line, quote};
use crate::juju::hook::Hook;
use crate::juju::state::OpenedPort;

pub const FLAGS: &[Flag] = &[Flag::text(&["endpoints"])];
pub const LIST_FLAGS: &[Flag] = &[Flag::switch(&["endpoints"])];

/// Reads the range of the command line, once for each endpoint.
fn ranges(hook: &Hook, line: &Line) -> Result<Vec<OpenedPort>, Failure> {
    let Some(word) = line.word(0) else {
        return usage("no port or range specified");
    };
    let range = range(word).map_err(Failure::Usage)?;
    line.at_most(1).map_err(Failure::from)?;
    if hook.on_kubernetes() && range.from != range.to {
        return refused("port ranges are not supported for k8s applications, please specify a single port");
    }
    let endpoints = line.text("endpoints").split(',').map(str::trim);
    Ok(endpoints.map(|endpoint| OpenedPort { endpoint: endpoint.into(), ..range.clone() }).collect())
}

fn range(word: &str) -> Result<OpenedPort, String> {
    if word.eq_ignore_ascii_case("icmp") {
        return Ok(OpenedPort { protocol: "icmp".into(), from: -1, to: -1, endpoint: String::new() });
    }
    let (ports, protocol) = word.split_once('/').unwrap_or((word, "tcp"));
    let protocol = protocol.to_lowercase();
    let (from, to) = ports.split_once('-').unwrap_or((ports, ports));
    let (from, to) = (number(from)?, number(to)?);
    match protocol.as_str() {
        "tcp" | "udp" => {}
        "icmp" => {
            return Err(format!("protocol \"icmp\" doesn't support any ports; got {}", quote(ports)));
        }
        other => {
            return Err(format!("invalid protocol {}, expected \"tcp\", \"udp\", or \"icmp\"", quote(other)));
        }
    }
    if from > to {
        return Err(format!("invalid port range {from}-{to}/{protocol}"));
    }
    let limits = 0..=65_535;
    match (i32::try_from(from), i32::try_from(to)) {
        (Ok(from), Ok(to)) if limits.contains(&from) && limits.contains(&to) => {
            Ok(OpenedPort { protocol, from, to, endpoint: String::new() })
        }
        _ => Err(format!("port range bounds must be between 0 and 65535, got {from}-{to}")),
    }
}

fn number(text: &str) -> Result<i64, String> {
    text.parse().map_err(|_| format!("invalid port {0}: strconv.Atoi: parsing {0}: invalid syntax", quote(text)))
}

/// A range of another unit, or another range of this one, that has a port in common.
fn conflict(hook: &Hook, port: &OpenedPort) -> Option<String> {
    let own = hook.state.opened_ports.iter().filter(|open| !open.same_range(port)).map(|open| (hook.unit.name(), open));
    let others =
        hook.state.machine_ports.iter().flat_map(|(unit, ports)| ports.iter().map(|open| (unit.clone(), open)));
    others
        .chain(own)
        .find(|(_, open)| open.overlaps(port))
        .map(|(unit, open)| format!("port range conflicts with {} (unit \"{unit}\")", open.range()))
}

/// Opens a range when the hook ends well.
pub fn open(hook: &mut Hook, line: &Line, _: &Invocation) -> Outcome {
    for port in ranges(hook, line)? {
        let cannot = |why: String| format!("cannot open {} (unit \"{}\"): {why}", port.range(), hook.unit.name());
        if let Some(index) = hook.buffer.close_ports.iter().position(|closing| *closing == port) {
            hook.buffer.close_ports.remove(index);
        }
        if hook.state.opened_ports.contains(&port) || hook.buffer.open_ports.contains(&port) {
            continue;
        }
        if let Some(why) = conflict(hook, &port) {
            return refused(cannot(why));
        }
        let pending =
            hook.buffer.open_ports.iter().find(|pending| pending.overlaps(&port) && !pending.same_range(&port));
        if let Some(pending) = pending {
            let why = format!(
                "port range conflicts with {} (unit \"{}\") requested earlier",
                pending.range(),
                hook.unit.name()
            );
            return refused(cannot(why));
        }
        hook.buffer.open_ports.push(port);
    }
    Ok(Output::None)
}

/// Closes a range when the hook ends well.
pub fn close(hook: &mut Hook, line: &Line, _: &Invocation) -> Outcome {
    for port in ranges(hook, line)? {
        if let Some(index) = hook.buffer.open_ports.iter().position(|opening| *opening == port) {
            hook.buffer.open_ports.remove(index);
        }
        if let Some(why) = conflict(hook, &port) {
            return refused(format!("cannot close {} (unit \"{}\"): {why}", port.range(), hook.unit.name()));
        }
        // With nothing open on the whole machine there is nothing to compare with, and nothing is sent.
        let known = !hook.state.opened_ports.is_empty() || !hook.state.machine_ports.is_empty();
        if known && !hook.buffer.close_ports.contains(&port) {
            hook.buffer.close_ports.push(port);
        }
    }
    Ok(Output::None)
}

/// Lists what will be open after the hook.
pub fn opened(hook: &mut Hook, line: &Line, _: &Invocation) -> Outcome {
    line.at_most(0).map_err(Failure::from)?;
    let mut open = hook.state.opened_ports.clone();
    for port in &hook.buffer.close_ports {
        open.remove(port);
    }
    open.extend(hook.buffer.open_ports.iter().cloned());
    let mut list: Vec<(String, Vec<String>)> = Vec::new();
    for port in open {
        let endpoint = if port.endpoint.is_empty() { "*".to_owned() } else { port.endpoint.clone() };
        match list.last_mut().filter(|(range, _)| *range == port.range()) {
            Some((_, endpoints)) => endpoints.push(endpoint),
            None => list.push((port.range(), vec![endpoint])),
        }
    }
    let with_endpoints = line.is_on("endpoints");
    Ok(Output::Value(Value::texts(
        list.into_iter().map(
            |(range, endpoints)| {
                if with_endpoints { format!("{range} ({})", endpoints.join(", ")) } else { range }
            },
        ),
    )))
}
