//! What Elasticsearch gets: one document, in an index with the date of the day on which it is sent.

use jiff::Timestamp;

use super::client::{Delivery, basic_auth};
use crate::stand_in::falcosidekick::event::Event;
use crate::stand_in::falcosidekick::json;
use crate::stand_in::falcosidekick::settings::Settings;

/// The request for an event.
pub fn delivery(event: &Event, settings: &Settings) -> Delivery {
    let text = |key: &str| settings.text(&format!("elasticsearch.{key}"));
    let suffix = match text("suffix") {
        "none" => None,
        "monthly" => Some("%Y.%m"),
        "annually" => Some("%Y"),
        _ => Some("%Y.%m.%d"),
    };
    let suffix = suffix.map(|format| format!("-{}", Timestamp::now().strftime(format))).unwrap_or_default();
    let address = format!("{}/{}{suffix}/{}", text("hostport"), text("index"), text("type"));
    let mut headers = Vec::new();
    if !text("apikey").is_empty() {
        headers.push(("Authorization".to_owned(), format!("APIKey {}", text("apikey"))));
    } else if !text("username").is_empty() && !text("password").is_empty() {
        headers.push(basic_auth(text("username"), text("password")));
    }
    headers.push(("Content-Type".to_owned(), "application/json; charset=utf-8".to_owned()));
    headers.extend(settings.map("elasticsearch.customheaders"));
    let event_json = event.json();
    let body = format!(
        "{},\"@timestamp\":{}}}",
        event_json.strip_suffix('}').unwrap_or_default(),
        json::text(&event.time_text)
    );
    Delivery { method: "POST".into(), headers, body: Some(body), address: Some(address) }
}
