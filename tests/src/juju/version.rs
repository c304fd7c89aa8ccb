//! The releases of Juju that can be played.

use std::fmt;

/// A release of Juju. Everything that differs between them is asked of this type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum JujuVersion {
    /// 3.6.28, the long-term release.
    #[default]
    V3_6,
    /// 4.0.15.
    V4_0,
    /// 4.1-beta2.
    V4_1,
}

/// The commands that went away with Juju 4.
const ONLY_IN_3: [&str; 2] = ["leader-get", "leader-set"];

impl JujuVersion {
    /// All of them, oldest first.
    pub const ALL: [Self; 3] = [Self::V3_6, Self::V4_0, Self::V4_1];

    /// The text of `JUJU_VERSION`.
    pub fn agent_version(self) -> &'static str {
        match self {
            Self::V3_6 => "3.6.28",
            Self::V4_0 => "4.0.15",
            Self::V4_1 => "4.1-beta2.1",
        }
    }

    /// Major and minor number, for comparisons with `assumes`.
    pub fn numbers(self) -> (u32, u32) {
        match self {
            Self::V3_6 => (3, 6),
            Self::V4_0 => (4, 0),
            Self::V4_1 => (4, 1),
        }
    }

    /// The names of its hook commands, as far as they are played.
    pub fn commands(self) -> impl Iterator<Item = &'static str> {
        super::commands::names(self)
    }

    /// Whether this release has the hook command.
    pub fn has_command(self, name: &str) -> bool {
        self == Self::V3_6 || !ONLY_IN_3.contains(&name)
    }
}

impl fmt::Display for JujuVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.agent_version())
    }
}
