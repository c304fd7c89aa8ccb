//! The falco charm on a machine: whole hooks around the compiled charm, with a real process as Falco.

mod actions;
mod check;
mod config;
mod distribution;
mod garbage;
mod host;
mod hosts;
mod http_endpoint;
mod interrupt;
mod k8s_audit;
mod life;
mod lifecycle;
mod observability;
mod refresh;
mod restarts;
mod rules;
mod tls;
mod world;
