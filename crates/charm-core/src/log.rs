//! `tracing` events to the log of Juju.
//!
//! DEBUG goes to standard output, which Juju logs at DEBUG for free; INFO and above go through `juju-log`, one process
//! each, so a hook that changes nothing should have nothing to say at INFO. In an action standard output is part of the
//! result: no DEBUG there.

use std::fmt::{self, Write as _};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use crate::juju;
use crate::status::{one_line, without_credentials};

/// How much of one record is kept, in characters. It becomes an argument, and those have a limit.
const LONGEST_RECORD: usize = 8_000;

/// Sends all events of this process to Juju from now on.
pub(crate) fn start(in_action: bool) {
    let subscriber = tracing_subscriber::registry().with(ToJuju { in_action });
    // A second call, as in a test, changes nothing.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

struct ToJuju {
    in_action: bool,
}

impl<S: Subscriber> Layer<S> for ToJuju {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        // Libraries below us speak of every byte at DEBUG; only ours is wanted.
        if !event.metadata().target().contains("charm") {
            return;
        }
        let mut text = Text(String::new());
        event.record(&mut text);
        let text = one_line(&without_credentials(&text.0), LONGEST_RECORD);
        let level = match *event.metadata().level() {
            Level::ERROR => "ERROR",
            Level::WARN => "WARNING",
            Level::INFO => "INFO",
            Level::DEBUG if !self.in_action => return print(&text),
            _ => return,
        };
        if let Err(error) = juju::juju_log(level, &text) {
            print(&format!("{level}: {text} ({error:#})"));
        }
    }
}

#[expect(clippy::print_stdout, reason = "Juju logs standard output at DEBUG")]
fn print(text: &str) {
    println!("{text}");
}

/// Collects the message and the fields of an event.
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a String cannot fail.
        let _ = match field.name() {
            "message" => write!(self.0, "{value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
    }
}
