//! Times as Go reads and writes them, as far as secrets need them.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, civil};

/// Makes RFC 3339 in UTC of a time with or without its zone. `None` if it is no time.
pub fn normal_time(text: &str) -> Option<String> {
    let without_zone = || {
        let time: civil::DateTime = text.parse().ok()?;
        TimeZone::UTC.to_timestamp(time).ok().filter(|_| text.contains('T'))
    };
    let time: Option<Timestamp> = text.parse().ok().or_else(without_zone);
    time.map(|time| time.to_string())
}

/// Reads a Go duration such as `1h30m`, in whole seconds.
pub fn seconds(text: &str) -> Option<i64> {
    let (sign, mut rest) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let mut total = 0.0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let end = rest.find(|letter: char| letter.is_ascii_alphabetic())?;
        let amount: f64 = rest[..end].parse().ok()?;
        rest = &rest[end..];
        let end = rest.find(|letter: char| !letter.is_ascii_alphabetic()).unwrap_or(rest.len());
        total += amount
            * match &rest[..end] {
                "h" => 3600.0,
                "m" => 60.0,
                "s" => 1.0,
                "ms" => 0.001,
                _ => return None,
            };
        rest = &rest[end..];
    }
    #[expect(clippy::cast_possible_truncation, reason = "whole seconds are wanted")]
    Some(sign * total as i64)
}

/// The time so many seconds from now, in RFC 3339 and whole seconds.
pub fn from_now(seconds: i64) -> String {
    let time = Timestamp::now().saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX);
    Timestamp::from_second(time.as_second()).unwrap_or(time).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_gets_its_zone() {
        for text in ["2030-01-02T03:04:05Z", "2030-01-02T03:04:05"] {
            assert_eq!(normal_time(text).as_deref(), Some("2030-01-02T03:04:05Z"));
        }
        assert_eq!(normal_time("tomorrow"), None);
    }

    #[test]
    fn durations_are_read_as_in_go() {
        assert_eq!(seconds("1h30m"), Some(5400));
        assert_eq!(seconds("-1h"), Some(-3600));
        assert_eq!(seconds("tomorrow"), None);
    }
}
