//! Both charms, compiled, in one played Juju: from a file that is read on a machine to a line in a receiver of Loki's
//! push API.
//!
//! The real Pebble runs Falcosidekick, and a `systemctl` with a memory runs Falco; in [`booted`] the real systemd does.
//! The two are stand-ins, unless `FALCOSIDEKICK` and
//! `FALCO_TARBALL` name the real ones.

mod booted;
mod changes;
mod deployment;
mod encrypted;
mod removal;
mod world;
