//! How much memory Falco may take. Pure.

use std::fmt;
use std::str::FromStr;

use super::engine::{BufferSizePreset, Engine};

/// What Falco takes without its buffers: 62 MiB were measured with the default rules, and a few containers, custom
/// rules and waiting alerts need room as well. With less it would be killed again and again, before it saw anything.
const LEAST: u64 = 120 * MIB;

const MIB: u64 = 1 << 20;

/// How much memory Falco may take, as systemd writes it: a number of bytes, or of KiB, MiB, GiB, TiB.
///
/// Not a share of what the machine has: a subordinate runs on machines of all sizes, and what leaves enough on one of
/// them kills Falco on the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryLimit {
    number: u64,
    unit: Unit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Bytes,
    Kibi,
    Mebi,
    Gibi,
    Tebi,
}

impl MemoryLimit {
    /// Why Falco could not run within it, if so.
    pub fn too_small_for(&self, engine: Engine, preset: BufferSizePreset) -> Option<String> {
        // The kernel counts the buffers of the probe, of which there is at least one, as memory of Falco; those of the
        // module it does not.
        let buffer = if engine == Engine::ModernEbpf { preset.mebibytes() * MIB } else { 0 };
        let least = LEAST + buffer;
        (self.bytes() < least).then(|| {
            format!(
                "{self} is less than Falco takes with {engine} and buffer-size-preset {}, so that it would be killed at \
                 once; set {}M or more",
                preset.0,
                least / MIB
            )
        })
    }

    fn bytes(&self) -> u64 {
        self.number.saturating_mul(self.unit.bytes())
    }
}

impl Unit {
    fn bytes(self) -> u64 {
        match self {
            Self::Bytes => 1,
            Self::Kibi => 1 << 10,
            Self::Mebi => MIB,
            Self::Gibi => 1 << 30,
            Self::Tebi => 1 << 40,
        }
    }
}

impl fmt::Display for MemoryLimit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.unit {
            Unit::Bytes => "",
            Unit::Kibi => "K",
            Unit::Mebi => "M",
            Unit::Gibi => "G",
            Unit::Tebi => "T",
        };
        write!(out, "{}{unit}", self.number)
    }
}

/// The option: a limit, or none, which is an empty text or `infinity`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limit(pub Option<MemoryLimit>);

impl FromStr for Limit {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if text.is_empty() || text == "infinity" {
            return Ok(Self(None));
        }
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit = match &text[digits.len()..] {
            "" => Some(Unit::Bytes),
            "K" | "k" => Some(Unit::Kibi),
            "M" | "m" => Some(Unit::Mebi),
            "G" | "g" => Some(Unit::Gibi),
            "T" | "t" => Some(Unit::Tebi),
            _ => None,
        };
        // The standard library would take a sign.
        let number = if digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse().ok() } else { None };
        let limit = number.zip(unit).map(|(number, unit)| MemoryLimit { number, unit });
        // systemd refuses what is more than its 64 bits can count.
        let limit = limit.filter(|limit| limit.number.checked_mul(limit.unit.bytes()).is_some());
        limit.map(|limit| Self(Some(limit))).ok_or("is not a size such as 512M or 1G")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<MemoryLimit> {
        text.parse::<Limit>().unwrap().0
    }

    #[test]
    fn a_limit_is_written_as_systemd_reads_it() {
        for (text, written) in [
            ("512M", "512M"),
            (" 1g ", "1G"),
            ("1073741824", "1073741824"),
            ("524288K", "524288K"),
            ("1t", "1T"),
            ("0512M", "512M"),
        ] {
            assert_eq!(parse(text).unwrap().to_string(), written);
        }
    }

    #[test]
    fn an_empty_text_and_infinity_are_no_limit() {
        for text in ["", "  ", "infinity"] {
            assert_eq!(parse(text), None);
        }
    }

    #[test]
    fn what_systemd_would_not_take_or_read_otherwise_is_refused() {
        for text in
            ["512 M", "512MB", "1.5G", "50%", "-1", "+1G", "M", "lots", "99999999999999999999", "16777216T", "1G\n2G"]
        {
            assert!(text.parse::<Limit>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_limit_below_what_falco_takes_is_told_with_the_least_that_would_do() {
        let too_small =
            |text: &str, engine, preset| parse(text).unwrap().too_small_for(engine, BufferSizePreset(preset));
        assert_eq!(too_small("128M", Engine::ModernEbpf, 4), None);
        assert_eq!(too_small("120M", Engine::Kmod, 10), None);
        assert!(too_small("0", Engine::Nodriver, 1).unwrap().contains("set 120M"));
        let text = too_small("256M", Engine::ModernEbpf, 10).unwrap();
        assert!(text.starts_with("256M is less") && text.contains("preset 10") && text.contains("set 632M"), "{text}");
    }
}
