//! The time, which is a fact like any other: whoever gathers facts asks once, and what is decided is told.

use std::time::SystemTime;

/// The time, in seconds since 1970.
pub fn now() -> i64 {
    #[expect(clippy::disallowed_methods, reason = "the one place where the time becomes a fact")]
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
}
