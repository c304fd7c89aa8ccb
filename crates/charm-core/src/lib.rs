//! What a Juju charm written in Rust needs, as functions and types: a library that the charm calls, never a framework
//! that calls the charm.
//!
//! # The flow
//!
//! Juju starts the charm for each event, and one such hook is one pass of data through three functions that the charm
//! writes:
//!
//! ```text
//! gather(&hook) -> Facts           reads everything, changes nothing
//! decide(&facts) -> Plan           pure; Err(status) means: touch nothing this time
//! apply(&hook, &plan) -> Seen      changes what differs, in one fixed order, then looks again
//! plan.status(&seen) -> Status     from what is really there
//! ```
//!
//! There is no registry of events, no deferral and no stored state: everything can be read again, so every hook may do
//! everything, and one that was killed is made good by the next. [`notes`] save reading, and are never needed.
//!
//! # The smallest charm
//!
//! ```no_run
//! use std::process::ExitCode;
//!
//! use charm_core::{Event, Hook, Status, files, juju};
//!
//! const FILE: &str = "/etc/motd.d/juju";
//!
//! fn main() -> ExitCode {
//!     charm_core::run(dispatch)
//! }
//!
//! async fn dispatch(hook: Hook) -> anyhow::Result<Option<Status>> {
//!     let place = hook.path(FILE);
//!     if hook.event == Event::Remove {
//!         files::remove(&place)?;
//!         return Ok(None);
//!     }
//!     let Some(text) = juju::config_get()?.get::<String>("message").map_err(Status::from)? else {
//!         return Ok(Some(Status::Blocked("message: set it to what users should read".into())));
//!     };
//!     let file = files::File { path: FILE.into(), mode: 0o644, content: text.into_bytes() };
//!     if !files::is_in_place(&place, &file)? {
//!         files::replace(&place, &file.content, file.mode)?;
//!     }
//!     Ok(Some(Status::active()))
//! }
//! ```
//!
//! # Finding one's way
//!
//! * From Juju to the charm: [`Hook`] is the environment, read once; [`run()`] turns what the charm returns into a
//!   status and an exit code, and [`Status`] says how.
//! * From the charm to Juju: [`juju`] has one function for each hook command. [`relation`], [`secret`] and [`config`]
//!   add what a charm wants on top: databags by difference, content that does not print itself, options with types and
//!   all their problems at once.
//! * The other side of a relation: [`interfaces`], one file each. Their schemas and real databags stand in
//!   `metadata/interfaces`. [`alert_rules`] and [`dashboard`] bring what a charm has for its observers into the form
//!   that databags carry.
//! * The workload: [`systemd`] on machines, [`pebble`] in containers, [`files`] for what it reads, [`digest`] to tell
//!   what it was started with, [`http`] and [`https`] to ask whether it answers, [`x509`] for its certificates,
//!   [`process`] for everything else.

pub mod alert_rules;
pub mod clock;
pub mod config;
pub mod dashboard;
pub mod digest;
pub mod files;
pub mod hook;
pub mod http;
pub mod https;
pub mod interfaces;
pub mod juju;
mod log;
pub mod names;
pub mod notes;
pub mod pebble;
pub mod priority;
pub mod process;
pub mod relation;
pub mod run;
pub mod secret;
pub mod status;
pub mod systemd;
pub mod topology;
pub mod x509;
pub mod yaml;

pub use hook::{Event, Hook};
pub use run::run;
pub use status::Status;
