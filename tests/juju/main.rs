//! The harness that plays Juju, held to the real one: recordings of its hook commands, and whole hooks of small charms.

mod client;
mod commit;
mod consistency;
mod encodings;
mod end_to_end;
mod releases;
mod replay;
mod world;
