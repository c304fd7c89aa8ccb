//! The falcosidekick-k8s charm, compiled, in a played Juju, with the real Pebble.
//!
//! Falcosidekick is a stand-in, unless `FALCOSIDEKICK` names the real program. `FALCOSIDEKICK_DISPATCH` names another
//! program to be tested in place of the charm.

mod actions;
mod config;
mod container;
mod cost;
mod death;
mod external_access;
mod garbage;
mod health;
mod http_endpoint;
mod ingress;
mod interrupt;
mod last_good;
mod lifecycle;
mod loki;
mod observability;
mod outputs;
mod refresh;
mod rotation;
mod tls;
mod together;
mod trust;
mod turns;
mod world;
