//! Alerts at the programs that they are for, sent by a Falcosidekick that the compiled charm has configured.
//!
//! Falcosidekick is a stand-in, unless `FALCOSIDEKICK` names the real program. Real are Loki, Alertmanager, rsyslog and
//! Prometheus; and, with the charm alone, the API server of Kubernetes. Doubles, and named so: the door in front of Loki that asks for a password, the mail server, and the HTTPS
//! servers in the place of a webhook, Elasticsearch and a receiver of OTLP.
//!
//! The OpenTelemetry Collector is not here: the registry of Go modules serves no version of its Loki receiver that it can
//! vouch for, so that the real Loki stands in its place.
//!
//! `make test-systems` fetches and builds what is needed; without it nothing here is run.

mod alertmanager;
mod door;
mod kubernetes;
mod loki;
mod mail;
mod model;
mod prometheus;
mod rsyslog;
mod sidekick;
mod sinks;
