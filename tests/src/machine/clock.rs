//! The time of one host, which a test can push forward instead of waiting.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Real time plus what was skipped.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    skipped: Duration,
}

impl Clock {
    /// A moment to compare with others of this clock.
    pub fn now(&self) -> Instant {
        Instant::now() + self.skipped
    }

    /// Microseconds since 1970, as the journal counts.
    pub fn microseconds(&self) -> u128 {
        (SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() + self.skipped).as_micros()
    }

    /// Lets time pass at once.
    pub fn skip(&mut self, time: Duration) {
        self.skipped += time;
    }

    /// Lets time pass until this moment, if it lies ahead.
    pub fn skip_to(&mut self, moment: Instant) {
        self.skip(moment.saturating_duration_since(self.now()));
    }
}
