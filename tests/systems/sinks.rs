//! To HTTPS servers, which are doubles: they answer as the real ones do to a good request, and remember it.

use charm_tests::certificates::Authority;
use charm_tests::falco_host::eventually;
use charm_tests::http_sink::{Manner, Received, Sink};
use serde_json::Value;

use crate::sidekick::{SECRET, Sidekick};

/// The path of the URL that is a secret.
const SECRET_PATH: &str = "/T0/B0";

/// Deploys with what `outputs` makes of the sink's port, sends an alert, and returns its mark and what came.
#[track_caller]
fn deliver(status: u16, answer: &str, outputs: impl Fn(u16) -> String) -> (Sidekick, String, Received) {
    let authority = Authority::create();
    let sink = Sink::start(Manner::Answer(vec![(status, answer.to_owned())]), Some(authority.server(false)));
    let url = format!("https://127.0.0.1:{}{SECRET_PATH}", sink.port());
    let sidekick = Sidekick::with_secret_url(&authority, &outputs(sink.port()), &url);
    let mark = sidekick.alert();
    let received = eventually("the alert", || sink.received().into_iter().next());
    (sidekick, mark, received)
}

fn header<'a>(received: &'a Received, name: &str) -> Option<&'a str> {
    let found = received.headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.as_str())
}

#[test]
#[ignore = "of make test-systems"]
fn a_webhook_gets_the_alert_with_a_header_from_a_secret() {
    let (sidekick, mark, received) = deliver(200, "", |port| {
        format!(
            "webhook: {{address: 'https://127.0.0.1:{port}/hook', customheaders: {{x-token: 'secret:{SECRET}/password'}}}}"
        )
    });
    assert_eq!((received.method.as_str(), received.path.as_str()), ("POST", "/hook"));
    assert_eq!(header(&received, "X-Token"), Some("hunter2hunter2"));
    assert_eq!(header(&received, "Content-Type"), Some("application/json; charset=utf-8"));
    let body: Value = serde_json::from_str(&received.body).unwrap();
    assert_eq!(body["output_fields"]["mark"], mark.as_str());
    assert_eq!(body["tags"], serde_json::json!(["filesystem"]));
    sidekick.assert_counters("webhook", (1, 0));
}

#[test]
#[ignore = "of make test-systems"]
fn a_chat_gets_the_alert_as_a_message() {
    let (sidekick, mark, received) = deliver(200, "ok", |_| {
        format!("slack: {{webhookurl: 'secret:{SECRET}/url', messageformat: 'Alert {{{{ .Rule }}}}'}}")
    });
    assert_eq!((received.method.as_str(), received.path.as_str()), ("POST", SECRET_PATH));
    let message: Value = serde_json::from_str(&received.body).unwrap();
    assert_eq!(message["text"], "Alert Read sensitive file untrusted");
    let fields = message["attachments"][0]["fields"].as_array().unwrap();
    assert!(fields.iter().any(|field| field["title"] == "mark" && field["value"] == mark.as_str()), "{fields:?}");
    sidekick.assert_counters("slack", (1, 0));
}

#[test]
#[ignore = "of make test-systems"]
fn elasticsearch_gets_a_document_in_the_index_of_the_day() {
    let (sidekick, mark, received) = deliver(201, "{\"result\": \"created\"}", |port| {
        format!(
            "elasticsearch: {{hostport: 'https://127.0.0.1:{port}', index: alerts, suffix: daily, username: falco, \
             password: 'secret:{SECRET}/password'}}"
        )
    });
    let today = jiff::Timestamp::now().strftime("%Y.%m.%d").to_string();
    // A test that runs at midnight has two days.
    let yesterday = (jiff::Timestamp::now() - jiff::SignedDuration::from_hours(1)).strftime("%Y.%m.%d").to_string();
    let paths = [today, yesterday].map(|day| format!("/alerts-{day}/_doc"));
    assert_eq!(received.method, "POST");
    assert!(paths.contains(&received.path), "{}", received.path);
    assert_eq!(header(&received, "Authorization"), Some("Basic ZmFsY286aHVudGVyMmh1bnRlcjI="));
    let document: Value = serde_json::from_str(&received.body).unwrap();
    assert_eq!(document["output_fields"]["mark"], mark.as_str());
    assert_eq!(document["@timestamp"], document["time"]);
    sidekick.assert_counters("elasticsearch", (1, 0));
}

#[test]
#[ignore = "of make test-systems"]
fn a_receiver_of_otlp_gets_a_log_record() {
    let (sidekick, mark, received) =
        deliver(200, "", |port| format!("otlp: {{logs: {{endpoint: 'https://127.0.0.1:{port}/v1/logs'}}}}"));
    assert_eq!((received.method.as_str(), received.path.as_str()), ("POST", "/v1/logs"));
    assert_eq!(header(&received, "Content-Type"), Some("application/x-protobuf"));
    // Texts stand in protobuf as they are.
    for text in [mark.as_str(), "service.name", "Read sensitive file untrusted"] {
        assert!(received.body.contains(text), "{text} is not in {:?}", received.body);
    }
    // Falcosidekick counts nothing for OTLP.
    assert_eq!(sidekick.counters("otlplogs"), (0, 0));
    assert!(!sidekick.log().contains("[ERROR]"), "{}", sidekick.log());
}
