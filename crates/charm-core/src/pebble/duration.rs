//! Durations as Pebble writes them, which is as Go does: `500ms`, `1m30s`, `2h0m0.5s`.
//!
//! For `#[serde(with = "duration")]` on `Option<Duration>` fields of a layer.

use std::time::Duration;

use serde::{Deserialize as _, Deserializer, Serializer, de};

#[expect(clippy::ref_option, reason = "the signature that serde's `with` calls")]
pub fn serialize<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    match duration {
        Some(duration) => serializer.serialize_str(&to_text(*duration)),
        None => serializer.serialize_none(),
    }
}

pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else {
        return Ok(None);
    };
    from_text(&text).map(Some).ok_or_else(|| de::Error::custom(format!("{text:?} is not a duration such as 10s")))
}

/// The shortest text that says it in one unit, for instance `10s` or `1500ms`.
pub fn to_text(duration: Duration) -> String {
    let nanoseconds = duration.as_nanos();
    if nanoseconds.is_multiple_of(1_000_000_000) {
        format!("{}s", duration.as_secs())
    } else if nanoseconds.is_multiple_of(1_000_000) {
        format!("{}ms", duration.as_millis())
    } else {
        format!("{nanoseconds}ns")
    }
}

fn from_text(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO); // the only number that Go takes without a unit
    }
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let number_length = rest.find(|character: char| !character.is_ascii_digit() && character != '.')?;
        let (number, tail) = rest.split_at(number_length);
        let unit_length =
            tail.find(|character: char| character.is_ascii_digit() || character == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_length);
        total = total.checked_add(one_part(number, unit)?)?;
        rest = tail;
    }
    (!text.is_empty()).then_some(total)
}

fn one_part(number: &str, unit: &str) -> Option<Duration> {
    let nanoseconds_per_unit: u64 = match unit {
        "h" => 3_600_000_000_000,
        "m" => 60_000_000_000,
        "s" => 1_000_000_000,
        "ms" => 1_000_000,
        "us" | "µs" | "μs" => 1_000,
        "ns" => 1,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut nanoseconds =
        if whole.is_empty() { 0 } else { whole.parse::<u64>().ok()?.checked_mul(nanoseconds_per_unit)? };
    // Digit by digit, because a floating point number would make 1.1s differ from 1100ms.
    let mut digit_value = nanoseconds_per_unit;
    for digit in fraction.chars() {
        digit_value /= 10;
        nanoseconds = nanoseconds.checked_add(u64::from(digit.to_digit(10)?) * digit_value)?;
    }
    Some(Duration::from_nanos(nanoseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_in_which_go_writes_a_duration_is_understood() {
        for (text, milliseconds) in [
            ("0", 0),
            ("0s", 0),
            ("500ms", 500),
            ("5s", 5_000),
            ("5000ms", 5_000),
            ("1.1s", 1_100),
            (".5s", 500),
            ("5.s", 5_000),
            ("1m30s", 90_000),
            ("2h0m0.5s", 7_200_500),
            ("1500000µs", 1_500),
            ("2000000ns", 2),
        ] {
            assert_eq!(from_text(text), Some(Duration::from_millis(milliseconds)), "{text}");
        }
    }

    #[test]
    fn what_go_refuses_is_refused() {
        for text in ["", "5", "s", ".s", "5 s", "-5s", "5d", "1.2.3s", "five", "99999999999999999999s", "9999999h"] {
            assert_eq!(from_text(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_duration_written_is_the_duration_read() {
        for nanoseconds in [0, 1, 999, 1_000_000, 500_000_000, 1_500_000_000, 30_000_000_000, 3_600_000_000_000] {
            let duration = Duration::from_nanos(nanoseconds);
            assert_eq!(from_text(&to_text(duration)), Some(duration));
        }
    }
}
