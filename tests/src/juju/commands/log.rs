//! `juju-log`.

use super::{Outcome, Output, usage};
use crate::juju::command::Invocation;
use crate::juju::flags::{Flag, Line, quote};
use crate::juju::hook::{Hook, LogRecord};

pub const FLAGS: &[Flag] = &[Flag::switch(&["debug"]), Flag::text(&["l", "log-level"])];

/// Writes one record at once.
pub fn juju_log(hook: &mut Hook, line: &Line, _: &Invocation) -> Outcome {
    if line.words.is_empty() {
        return usage("no message specified");
    }
    let mut message = line.words.join(" ");
    if let Some(relation) = hook.own_relation() {
        message = format!("{}: {message}", relation.full_id());
    }
    let wanted = if line.is_on("debug") { "DEBUG" } else { line.text("l") };
    let named = wanted.to_uppercase();
    if let Some((_, level)) = LEVELS.iter().find(|(name, _)| *name == named) {
        record(hook, level, message);
    } else if named != "UNSPECIFIED" {
        if !named.is_empty() {
            let complaint = format!("Specified log level of {} is not valid", quote(wanted));
            record(hook, "WARNING", complaint);
        }
        record(hook, "INFO", message);
    }
    Ok(Output::None)
}

const LEVELS: [(&str, &str); 7] = [
    ("TRACE", "TRACE"),
    ("DEBUG", "DEBUG"),
    ("INFO", "INFO"),
    ("WARN", "WARNING"),
    ("WARNING", "WARNING"),
    ("ERROR", "ERROR"),
    ("CRITICAL", "CRITICAL"),
];

fn record(hook: &mut Hook, level: &str, message: String) {
    let module = format!("unit.{}.juju-log", hook.unit.name());
    hook.log.push(LogRecord { level: level.into(), module, message });
}
