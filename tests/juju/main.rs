//! The harness that plays Juju, held to the real one: recordings of its hook commands, and whole hooks of small charms.

mod client;
mod commit;
mod consistency;
mod end_to_end;
mod replay;
mod world;
