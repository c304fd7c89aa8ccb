//! Juju, played around a compiled charm: a hook goes in with a [`State`], and comes out as an [`Outcome`] with the next
//! one.
//!
//! ```no_run
//! use charm_tests::juju::{Context, Event, Relation, State, Status};
//!
//! let unit = Context::new("charms/falco/charmcraft.yaml", "target/debug/falco", "target/debug/hook-command")?
//!     .host_function("systemctl", |call: &charm_tests::juju::Invocation| charm_tests::juju::Answer::text(format!("{:?}", call.args)));
//! let before = State::machine()
//!     .config("priority", "error")
//!     .leader(true)
//!     .relation(Relation::new(1, "general-info", "ubuntu").remote_unit(0))
//!     .relation(Relation::new(2, "http-endpoint", "falcosidekick-k8s").remote_app("url", "\"https://sidekick.example\""));
//! let outcome = unit.run(&Event::relation_changed_by_app(2), &before).expect_success();
//! assert_eq!(outcome.state.unit_status, Status::active(""));
//! assert!(outcome.hook_commands() <= 9, "{:#?}", outcome.call_lines());
//! # Ok::<(), anyhow::Error>(())
//! ```
//!
//! # What is played, and how true it is
//!
//! The commands answer byte for byte as those of Juju 3.6.28, 4.0.15 and 4.1-beta2 do; a test replays recordings of the
//! real ones. Writes are buffered and sent on exit 0, or dropped, as there. The controller is a [`State`]: it refuses
//! what a real one is known to refuse, and nothing more. Not played: the `pod-spec-*`, `k8s-*` and `payload-*` commands
//! of Juju 3, help beyond its first line, and the time that rounds to a controller take.
//!
//! # Where to look
//!
//! * [`state`]: what the controller knows; [`event`]: why a hook runs; [`context`]: how it is run; [`outcome`]: what is
//!   left of it.
//! * [`command`]: programs of the host that a scenario plays, such as `systemctl`.
//! * [`hook`]: one hook without any process, for tests that call commands directly.
//! * `commands`, `encode`, `flags`, [`commit`]: the commands, what they print, how they read their line, what is sent
//!   at the end.

pub mod buffer;
mod clock;
pub mod command;
mod commands;
pub mod commit;
pub mod consistency;
pub mod context;
mod encode;
mod environment;
pub mod event;
mod flags;
pub mod hook;
mod layout;
pub mod metadata;
pub mod outcome;
mod process;
mod server;
pub mod state;
pub mod unit;
pub mod version;
pub mod wire;

pub use command::{Answer, HostCommand, Invocation};
pub use context::Context;
pub use event::Event;
pub use hook::Exit;
pub use metadata::Metadata;
pub use outcome::{Call, Outcome};
pub use server::{Moment, SharedCommand, Verdict};
pub use state::{Life, Model, Network, OpenedPort, Owner, Relation, Secret, State, Status, Substrate};
pub use version::JujuVersion;
