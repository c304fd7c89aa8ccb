//! Hooks of the Python charms, recorded whole, played around ours.
//!
//! A vector is what Juju knew before one hook of a Python charm, the hook, and everything that was there afterwards. It
//! is put in front of the compiled charm: as a [`State`](crate::juju::State), and as a machine or a container that the
//! Python charm left behind. What comes out is compared at every [place](places) where another application or an
//! operator relies on it; the words of a status and the bytes of a databag are ours to choose.
//!
//! Our charm needs things that the Python one did not have, and has no use for others. [`adapt`] names what is put
//! differently. What comes out differently on purpose stands in a [list](differs) with the right value and the reason,
//! and nowhere else.

pub mod adapt;
pub mod differs;
pub mod falco;
pub mod falcosidekick;
pub mod folder;
pub mod format;
pub mod judge;
pub mod places;
mod play;

pub use differs::Differs;
pub use format::Vector;
pub use judge::{Judgement, judge};
pub use play::{End, Played, Run, play_all};
