//! How Falco gets at the system calls, and the buffers in between. Pure.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

/// Falco's word for its modern eBPF probe.
const MODERN_EBPF: &str = "modern_ebpf";

/// Falco's word for its kernel module.
const KMOD: &str = "kmod";

/// Falco's word for none.
const NODRIVER: &str = "nodriver";

/// How Falco gets at the system calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Engine {
    /// By a probe that comes with it.
    #[default]
    ModernEbpf,
    /// By a kernel module that the host has to have.
    Kmod,
    /// Not at all: only plugins bring events.
    Nodriver,
}

impl fmt::Display for Engine {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::ModernEbpf => MODERN_EBPF,
            Self::Kmod => KMOD,
            Self::Nodriver => NODRIVER,
        })
    }
}

impl FromStr for Engine {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            MODERN_EBPF => Ok(Self::ModernEbpf),
            KMOD => Ok(Self::Kmod),
            NODRIVER => Ok(Self::Nodriver),
            _ => Err("is not one of modern_ebpf, kmod, nodriver"),
        }
    }
}

/// A size of the buffers between kernel and Falco, in Falco's numbering: 1 to 10.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BufferSizePreset(pub u8);

impl BufferSizePreset {
    /// The size of one buffer in MiB: 1, 2, 4 and so on up to 512.
    pub fn mebibytes(self) -> u64 {
        1 << (self.0 - 1)
    }
}

impl Default for BufferSizePreset {
    /// Falco's own: 8 MiB.
    fn default() -> Self {
        Self(4)
    }
}

impl FromStr for BufferSizePreset {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().ok().filter(|preset| (1..=10).contains(preset)).map(Self).ok_or("is not a number from 1 to 10")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engines_are_called_as_falco_calls_them_wherever_they_are_written() {
        for (engine, word) in
            [(Engine::ModernEbpf, "modern_ebpf"), (Engine::Kmod, "kmod"), (Engine::Nodriver, "nodriver")]
        {
            assert_eq!(word.parse(), Ok(engine));
            assert_eq!(engine.to_string(), word);
            assert_eq!(serde_yaml::to_value(engine).unwrap(), word);
        }
        // What Falco had in earlier versions, needs a file for, or does not know.
        for word in ["ebpf", "gvisor", "replay", "modern-ebpf", "modern_bpf", "KMOD", ""] {
            assert!(word.parse::<Engine>().is_err(), "{word}");
        }
    }

    #[test]
    fn presets_are_those_of_falco() {
        let sizes: Vec<u64> = (1..=10).map(|preset| BufferSizePreset(preset).mebibytes()).collect();
        assert_eq!(sizes, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]);
        assert_eq!(BufferSizePreset::default().mebibytes(), 8);
        for text in ["0", "11", "-1", "4.0", "256", ""] {
            assert!(text.parse::<BufferSizePreset>().is_err(), "{text}");
        }
    }
}
