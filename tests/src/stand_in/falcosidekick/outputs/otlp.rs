//! What a receiver of OTLP logs gets over HTTP: the event as a log record, about a second after it came. Falcosidekick
//! puts all events of that second into one request, and tries again after some answers; the stand-in sends each by itself,
//! and once.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use url::Url;

use super::client;
use super::protobuf::Message;
use crate::stand_in::falcosidekick::event::Event;
use crate::stand_in::falcosidekick::log;
use crate::stand_in::falcosidekick::priority::Priority;
use crate::stand_in::falcosidekick::settings::Settings;
use crate::stand_in::http::{self, Request, Response};
use crate::stand_in::tls::{self, Trust};

/// How long events are collected.
const COLLECTS: Duration = Duration::from_secs(1);

/// The variable with whom its library believes, instead of those of the system.
const AUTHORITIES: &str = "OTEL_EXPORTER_OTLP_CERTIFICATE";

/// `INFO`, which is what every event is here.
const SEVERITY: (u64, &str) = (9, "INFO");

/// Sends an event. Success leaves no trace.
pub async fn send(event: &Event, settings: &Settings) {
    log::info("OTLP Logs - Sending log");
    tokio::time::sleep(COLLECTS).await;
    if let Err(words) = try_to_send(event, settings).await {
        log::error(&format!("OTLP - {words}"));
    }
}

async fn try_to_send(event: &Event, settings: &Settings) -> Result<(), String> {
    let endpoint = settings.text("otlp.logs.endpoint");
    let url: Url = endpoint.parse().map_err(|error| format!("(stand-in) {error}"))?;
    let mut headers = vec![
        ("User-Agent".to_owned(), "OTel Go OTLP over HTTP/protobuf logs exporter/0.14.0".to_owned()),
        ("Content-Type".to_owned(), "application/x-protobuf".to_owned()),
    ];
    let more = settings.text("otlp.logs.headers").split(',').filter_map(|pair| pair.split_once('='));
    headers.extend(more.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned())));
    headers.push(("Accept-Encoding".to_owned(), "gzip".to_owned()));
    let trust = match std::env::var(AUTHORITIES).ok().filter(|path| !path.is_empty()) {
        Some(path) => Trust::Only(tls::certificates(&std::fs::read(path).unwrap_or_default())),
        None => Trust::SystemAnd(Vec::new()),
    };
    let tls = tls::client(trust, None).map_err(|error| error.to_string())?;
    let address = format!("{}:{}", url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or(0));
    let request = Request { method: "POST".into(), url, headers, body: body(event) };
    let answer = http::send(request, Some(Arc::new(tls))).await;
    let Response { status, reason, body, .. } =
        answer.map_err(|failure| format!("Post {endpoint:?}: {}", client::words(&failure, &address)))?;
    let body = String::from_utf8_lossy(&body);
    let failed = || format!("failed to send logs to {endpoint}: {status} {reason} (body: {})", body.trim_end());
    if (200..300).contains(&status) { Ok(()) } else { Err(failed()) }
}

/// `ExportLogsServiceRequest`, whose fields have these numbers.
fn body(event: &Event) -> Vec<u8> {
    let now = Timestamp::now().as_nanosecond().try_into().unwrap_or_default();
    let resource = Message::default()
        .message(1, &attribute("service.name", "falco"))
        .message(1, &attribute("service.version", "v0.1.0"));
    let mut record = Message::default()
        .fixed(1, now)
        .number(2, SEVERITY.0)
        .text(3, SEVERITY.1)
        .message(5, &Message::default().text(1, &event.output));
    for (name, value) in attributes(event) {
        record = record.message(6, &attribute(name, &value));
    }
    let record = record.fixed(11, now);
    let scope = Message::default().message(1, &Message::default().text(1, "falco")).message(2, &record);
    let logs = Message::default().message(1, &resource).message(2, &scope);
    Message::default().message(1, &logs.text(3, "https://opentelemetry.io/schemas/1.23.1")).into_bytes()
}

fn attribute(name: &str, value: &str) -> Message {
    Message::default().text(1, name).message(2, &Message::default().text(1, value))
}

fn attributes(event: &Event) -> Vec<(&'static str, String)> {
    let priority = event.priority.map_or("", Priority::title).to_owned();
    let mut all = vec![("priority", priority), ("source", event.source.clone()), ("rule", event.rule.clone())];
    if !event.hostname.is_empty() {
        all.push(("hostname", event.hostname.clone()));
    }
    if !event.tags.is_empty() {
        all.push(("tags", event.tags.join(",")));
    }
    all.push(("timestamp", event.shown_time()));
    all
}
