//! The outputs: which are enabled, and what becomes of an event on its way to one.
//!
//! Loki, Webhook, Alertmanager, Elasticsearch, Slack, Teams and Discord are sent to as recorded, `OTLP` logs over HTTP,
//! `CloudEvents` without TLS, Syslog in JSON, and SMTP in plain text without TLS. The others are enabled or dropped as in Falcosidekick; an event for one of them is refused aloud, once its address
//! has passed the checks that come before sending.

mod address;
mod alertmanager;
mod chat;
mod client;
mod cloudevents;
mod elasticsearch;
mod loki;
mod mail;
mod otlp;
mod protobuf;
mod syslog;

use std::sync::Arc;

use super::event::Event;
use super::log;
use super::metrics::Metrics;
use super::settings::Settings;
use client::{Client, Delivery};

/// An enabled output.
#[derive(Debug)]
pub struct Output {
    name: &'static str,
    block: &'static str,
    client: Option<Client>,
}

/// What is said of every event that would be sent to an output that is not played.
const NOT_PLAYED: &str = "NOT PLAYED: the stand-in does not send to this output";

/// Outputs whose own limits and certificates are known.
const PLAYED: [&str; 7] = ["alertmanager", "discord", "elasticsearch", "loki", "slack", "teams", "webhook"];

/// Why the program ends at its start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crash;

/// How an output is recognised in the configuration.
struct Spec {
    name: &'static str,
    block: &'static str,
    /// Keys without which it is not enabled.
    needs: &'static [&'static str],
    /// Key with the address, and keys whose texts are put behind it.
    address: Option<(&'static str, &'static [&'static str])>,
}

const fn http(name: &'static str, block: &'static str, key: &'static [&'static str; 1]) -> Spec {
    Spec { name, block, needs: key, address: Some((key[0], &[])) }
}

const fn other(name: &'static str, block: &'static str, needs: &'static [&'static str]) -> Spec {
    Spec { name, block, needs, address: None }
}

/// In the order in which Falcosidekick lists them.
const SPECS: &[Spec] = &[
    http("Slack", "slack", &["slack.webhookurl"]),
    http("Teams", "teams", &["teams.webhookurl"]),
    http("Discord", "discord", &["discord.webhookurl"]),
    Spec {
        name: "AlertManager",
        block: "alertmanager",
        needs: &["alertmanager.hostport"],
        address: Some(("alertmanager.hostport", &["alertmanager.endpoint"])),
    },
    Spec {
        name: "Elasticsearch",
        block: "elasticsearch",
        needs: &["elasticsearch.hostport"],
        address: Some(("elasticsearch.hostport", &["/", "elasticsearch.index", "/", "elasticsearch.type"])),
    },
    Spec {
        name: "Loki",
        block: "loki",
        needs: &["loki.hostport"],
        address: Some(("loki.hostport", &["loki.endpoint"])),
    },
    http("Influxdb", "influxdb", &["influxdb.hostport"]),
    other("SMTP", "smtp", &["smtp.hostport"]),
    http("Webhook", "webhook", &["webhook.address"]),
    http("CloudEvents", "cloudevents", &["cloudevents.address"]),
    other("RabbitMQ", "rabbitmq", &["rabbitmq.url", "rabbitmq.queue"]),
    other("Wavefront", "wavefront", &["wavefront.endpointtype", "wavefront.endpointhost"]),
    Spec {
        name: "Grafana",
        block: "grafana",
        needs: &["grafana.hostport", "grafana.apikey"],
        address: Some(("grafana.hostport", &[])),
    },
    other("Syslog", "syslog", &["syslog.host"]),
    http("Tekton", "tekton", &["tekton.eventlistener"]),
    http("OpenObserve", "openobserve", &["openobserve.hostport"]),
    http("OTLPLogs", "otlp.logs", &["otlp.logs.endpoint"]),
    http("Talon", "talon", &["talon.address"]),
    other("Logstash", "logstash", &["logstash.address"]),
    http("Splunk", "splunk", &["splunk.host"]),
];

/// Enables what the configuration asks for.
pub fn enable(settings: &Arc<Settings>) -> Result<Vec<Output>, Crash> {
    let mut enabled = Vec::new();
    for spec in SPECS {
        let given = |key: &&str| !settings.text(key).is_empty() || !settings.list(key).is_empty();
        if !spec.needs.iter().all(given) {
            continue;
        }
        let Spec { name, block, .. } = *spec;
        match spec.address {
            Some((key, more)) => {
                let clients = addresses(settings, key, more);
                let error =
                    clients.iter().enumerate().find_map(|(place, address)| bad_address(spec, &clients, place, address));
                if let Some(error) = error {
                    log::error(&error.replacen("OTLPLogs", "OTLP Logs", 1));
                } else {
                    announce(settings, block);
                    enabled.push(Output { name, block, client: Client::new(settings, name, block, &clients) });
                }
            }
            None => enabled.extend(enable_other(settings, spec)?.map(|()| Output { name, block, client: None })),
        }
        // Falcosidekick goes on with a client that it does not have.
        if block == "tekton" && !enabled.iter().any(|output| output.block == block) {
            return Err(Crash);
        }
    }
    Ok(enabled)
}

/// What some outputs say when they are made.
fn announce(settings: &Settings, block: &str) {
    match block {
        "slack" => {
            if let Some(words) = chat::bad_template(settings.text("slack.messageformat")) {
                let line = format!("Slack - Error compiling message template : template: Slack:1: {words}");
                log::write(log::Level::Fatal, &line);
            }
        }
        "otlp.logs" => log::info("OTLP Logs - Client created"),
        _ => {}
    }
}

/// What the `Enabled Outputs` line holds.
pub fn names(outputs: &[Output]) -> String {
    outputs.iter().map(|output| output.name).collect::<Vec<_>>().join(" ")
}

impl Output {
    /// Delivers an event, if it is severe enough.
    pub async fn send(&self, event: &Event, settings: &Settings, metrics: &Metrics) {
        let least = super::priority::Priority::parse(&least_word(settings, self.block));
        let enough = least.is_none_or(|least| event.priority.is_some_and(|priority| priority >= least));
        // The event of `/test` goes to nearly all of them.
        let goes_anyway = event.rule == "Test rule" && self.block != "otlp.logs";
        if !enough && !goes_anyway {
            return;
        }
        let destination = self.name.to_lowercase();
        let Some(client) = &self.client else {
            match self.block {
                "syslog" => metrics.output(&destination, syslog::send(event, settings).await),
                // Falcosidekick counts no mails.
                "smtp" => mail::send(event, settings).await,
                _ => {
                    log::stand_in(&format!("{} - {NOT_PLAYED}", self.name));
                    metrics.output(&destination, false);
                }
            }
            return;
        };
        match self.block {
            // Falcosidekick counts no logs that go out by OTLP.
            "otlp.logs" => return otlp::send(event, settings).await,
            "cloudevents" => return metrics.output(&destination, cloudevents::send(event, settings).await),
            _ => {}
        }
        let delivery = match self.block {
            "slack" => chat::slack(event, settings),
            "teams" => chat::teams(event, settings),
            "discord" => chat::discord(event, settings),
            "loki" => loki::delivery(event, settings),
            "webhook" => Delivery::webhook(event, settings),
            "alertmanager" => alertmanager::delivery(event, settings),
            "elasticsearch" => elasticsearch::delivery(event, settings),
            _ => Delivery::refused(),
        };
        let good = client.deliver(delivery, settings).await;
        metrics.output(&destination, good);
    }
}

/// An unknown word means everything, and so does `info`.
fn least_word(settings: &Settings, block: &str) -> String {
    let word = settings.text(&format!("{block}.minimumpriority")).to_lowercase();
    if word == "info" { String::new() } else { word }
}

fn addresses(settings: &Settings, key: &str, more: &[&str]) -> Vec<String> {
    let first =
        if settings.text(key).is_empty() { settings.list(key).to_vec() } else { vec![settings.text(key).to_owned()] };
    let behind: String =
        more.iter().map(|part| if part.starts_with('/') { part } else { settings.text(part) }).collect();
    first.into_iter().map(|address| format!("{address}{behind}")).collect()
}

/// The error for an address that Falcosidekick refuses at its start.
fn bad_address(spec: &Spec, all: &[String], place: usize, address: &str) -> Option<String> {
    let name = if all.len() > 1 { format!("{}_{place}", spec.name) } else { spec.name.to_owned() };
    let schemes = ["http://", "https://", "nats://", "natss://"];
    if !schemes.iter().any(|scheme| address.contains(scheme)) {
        return Some(format!("{name} - Bad Endpoint"));
    }
    address::parse_error(address).map(|error| format!("{name} - {error}"))
}

/// Outputs that do not speak HTTP.
fn enable_other(settings: &Settings, spec: &Spec) -> Result<Option<()>, Crash> {
    match spec.block {
        "syslog" if !matches!(settings.text("syslog.protocol").to_lowercase().as_str(), "tcp" | "udp") => Err(Crash),
        "wavefront" if !matches!(settings.text("wavefront.endpointtype"), "direct" | "proxy") => Err(Crash),
        // Falcosidekick speaks AMQP to it; here whoever listens is taken for a server.
        "rabbitmq" => {
            let url = settings.text("rabbitmq.url").parse::<url::Url>().ok();
            let address = url.and_then(|url| Some((url.host_str()?.to_owned(), url.port().unwrap_or(5672))));
            let is_there = address.is_some_and(|address| std::net::TcpStream::connect(address).is_ok());
            if !is_there {
                log::error("Rabbitmq - Error while connecting rabbitmq");
            }
            Ok(is_there.then_some(()))
        }
        "logstash" => {
            let address = format!("{}:{}", settings.text("logstash.address"), settings.number("logstash.port"));
            let reachable = std::net::TcpStream::connect(&address);
            if reachable.is_err() {
                let words = "Logstash - misconfiguration, cannot connect to the logstash server";
                log::error(&format!("{words}: dial tcp {address}: connect: connection refused"));
            }
            Ok(reachable.ok().map(|_| ()))
        }
        _ => Ok(Some(())),
    }
}
