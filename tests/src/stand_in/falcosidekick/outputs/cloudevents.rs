//! What a receiver of `CloudEvents` gets: the event, with what it is about in headers. Whatever comes of it is a success.

use super::NOT_PLAYED;
use crate::stand_in::falcosidekick::event::Event;
use crate::stand_in::falcosidekick::log;
use crate::stand_in::falcosidekick::priority::Priority;
use crate::stand_in::falcosidekick::settings::Settings;
use crate::stand_in::http::{self, Request};

/// Sends an event, and tells what Falcosidekick would count.
pub async fn send(event: &Event, settings: &Settings) -> bool {
    let Some(url) = settings.text("cloudevents.address").parse::<url::Url>().ok().filter(|url| url.scheme() == "http")
    else {
        log::stand_in(&format!("CloudEvents - {NOT_PLAYED} over TLS"));
        return false;
    };
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let headers = vec![
        header("User-Agent", "Go-http-client/1.1"),
        header("Ce-Eventsource", &event.source),
        header("Ce-Hostname", &event.hostname),
        header("Ce-Id", &event.uuid),
        header("Ce-Priority", event.priority.map_or("", Priority::title)),
        header("Ce-Rule", &event.rule),
        header("Ce-Source", "https://falco.org"),
        header("Ce-Specversion", "1.0"),
        header("Ce-Time", &event.time_text),
        header("Ce-Type", "falco.rule.output.v1"),
        header("Content-Type", "application/json"),
        header("Accept-Encoding", "gzip"),
    ];
    let request = Request { method: "POST".into(), url, headers, body: event.json().into_bytes() };
    // Falcosidekick does not look at it either.
    drop(http::send(request, None).await);
    log::info("CloudEvents - Send OK");
    true
}
