//! What the charms rely on in Pebble, and in our client for it, against the real Pebble.
//!
//! A fact about Pebble that a charm is built on is a test here, so that a newer Pebble that behaves differently shows.

mod canned;
mod failures;
mod files;
mod layers;
mod log_targets;
mod recordings;
mod replan;
mod replan_states;
mod unreachable;
mod world;
