//! The log of the Falco stand-in: to standard error and to syslog, as its configuration says.

use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;

use jiff::Timestamp;

use super::priority::Priority;
use crate::stand_in::{FALCO_PREFIX, log_lines};

/// Where log lines go.
#[derive(Clone, Debug)]
pub struct Log {
    /// `log_stderr`.
    pub stderr: bool,
    /// `log_syslog`.
    pub syslog: bool,
    /// `log_level`: what is less severe is not logged.
    pub level: Priority,
    /// `time_format_iso_8601`.
    pub iso_8601: bool,
}

impl Log {
    /// An informational line.
    pub fn info(&self, text: &str) {
        self.write(Priority::Informational, text);
    }

    /// A line of some priority.
    pub fn write(&self, priority: Priority, text: &str) {
        if priority > self.level {
            return;
        }
        if self.syslog {
            for line in text.split('\n') {
                to_syslog(priority, &format!("{FALCO_PREFIX}{line}"));
            }
        }
        if self.stderr {
            let format = if self.iso_8601 { "%Y-%m-%dT%H:%M:%S+0000" } else { "%a %b %e %H:%M:%S %Y" };
            log_lines(FALCO_PREFIX, &format!("{}: {text}", Timestamp::now().strftime(format)));
        }
    }
}

/// What only the stand-in has to say.
pub fn stand_in(text: &str) {
    log_lines(FALCO_PREFIX, &format!("(stand-in) {text}"));
}

/// A line on standard error that Falco prints without a time and whatever its log settings are.
pub fn bare(text: &str) {
    log_lines(FALCO_PREFIX, text);
}

/// Sends a message to the local syslog daemon, if there is one.
pub fn to_syslog(priority: Priority, message: &str) {
    // User-level facility.
    let value = 8 + priority.syslog();
    let time = Timestamp::now();
    let datagram = format!("<{value}>{} falco: {message}", time.strftime("%b %e %H:%M:%S"));
    let socket = std::env::var_os("FALCO_STAND_IN_SYSLOG").map_or_else(|| PathBuf::from("/dev/log"), PathBuf::from);
    // Nobody listening is the same to Falco as to the stand-in: syslog(3) cannot fail.
    if let Ok(sender) = UnixDatagram::unbound() {
        let _ = sender.send_to(datagram.as_bytes(), socket);
    }
}
