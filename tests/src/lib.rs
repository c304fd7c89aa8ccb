//! Juju, systemd and the peers of both charms, played around the compiled charms.

pub mod authority;
pub mod coverage;
pub mod crash;
pub mod demo;
pub mod falco_distribution;
pub mod falco_host;
pub mod git_server;
pub mod golden;
pub mod hostile;
pub mod ingress;
pub mod interfaces;
pub mod interrupt;
pub mod juju;
pub mod loki;
pub mod machine;
pub mod model;
pub mod pebble;
pub mod pod;
pub mod ports;
pub mod programs;
pub mod sink;
pub mod stand_in;
pub mod vectors;
