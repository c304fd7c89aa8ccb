//! What Falcosidekick sent, against what it sent to the recorder.

use std::collections::BTreeSet;
use std::time::Duration;

use charm_tests::http_sink::Received;
use serde_json::Value;

use super::raw;
use super::world::World;
use crate::check::Findings;
use crate::mask;
use crate::program::wait_for;
use crate::recording::Recording;

/// Stands in the place of a body that nobody reads here. Texts and numbers of one length make one of the same length.
fn protobuf(length: Option<&str>) -> String {
    format!("<{} bytes of protobuf>", length.unwrap_or("no"))
}

/// A sink that hangs leaves no line that one could wait for.
pub fn wait(world: &World, case: &Recording) {
    let count = case.items("sink_requests").len();
    if let Some(raw) = &world.raw {
        wait_for(Duration::from_secs(3), || (raw.seen().len() >= count).then_some(()));
    }
    if let Some(sink) = &world.sink {
        wait_for(Duration::from_secs(3), || (sink.received().len() >= count).then_some(()));
    }
}

/// What the sink of the case got.
pub fn compare(world: &World, case: &Recording, findings: &mut Findings) {
    if case.name.starts_with("real_loki_") {
        return compare_with_loki(world, case, findings);
    }
    if !case.value["sink_requests"].is_array() {
        return;
    }
    if let Some(raw) = &world.raw {
        let recorded: Vec<String> = case.items("sink_requests").iter().map(raw::recorded).collect();
        return findings.same_set("deliveries", &recorded, &raw.seen());
    }
    let recorded: Vec<String> = case.items("sink_requests").iter().map(recorded_delivery).collect();
    let Some(sink) = &world.sink else {
        findings.same_set("deliveries", &recorded, &[]);
        return;
    };
    let seen: Vec<String> = sink.received().iter().map(|received| seen_delivery(world, received)).collect();
    findings.same_set("deliveries", &recorded, &seen);
}

/// What a real Loki held afterwards, against what the sink in its place got: labels without those that were empty or
/// that Loki made itself, and lines.
fn compare_with_loki(world: &World, case: &Recording, findings: &mut Findings) {
    let entries = |streams: &Value| -> Vec<String> {
        let mut entries = BTreeSet::new();
        for stream in streams.as_array().into_iter().flatten() {
            let mut labels = stream["stream"].clone();
            if let Some(labels) = labels.as_object_mut() {
                labels.retain(|name, value| value != "" && name != "detected_level" && name != "service_name");
            }
            for pair in stream["values"].as_array().into_iter().flatten() {
                let line = pair[1].as_str().unwrap_or_default();
                let line = line.replace(&world.now.to_string(), "<now>").replace("<recording time>", "<now>");
                let line = mask::falcosidekick_common(&mask::falcosidekick(&line));
                entries.insert(format!("{labels} {line}"));
            }
        }
        entries.into_iter().collect()
    };
    let query = &case.value["observed"]["loki_query"];
    let refused = case.texts("log_lines").iter().any(|line| line.contains("[ERROR] : Loki - "));
    let Some(sink) = &world.sink else { return findings.add("the case has no Loki") };
    let bodies = sink.received().into_iter().filter_map(|received| serde_json::from_str::<Value>(&received.body).ok());
    let streams: Value = bodies.flat_map(|body| body["streams"].as_array().cloned().unwrap_or_default()).collect();
    // What Loki refused it does not hold, and where it was not asked the log and the counters are all there is.
    if !refused && query["result"].is_array() {
        findings.same_set("what Loki holds", &entries(&query["result"]), &entries(&streams));
    }
}

fn recorded_delivery(request: &Value) -> String {
    let text = |key: &str| request[key].as_str().unwrap_or_default().to_owned();
    let headers = request["headers"].as_object().into_iter().flatten();
    let headers = headers.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()));
    let length = request["headers"]["Content-Length"].as_str();
    let body = if request["body_decoded"].is_object() { protobuf(length) } else { text("body") };
    delivery(&text("method"), &text("path"), headers, &body)
}

fn seen_delivery(world: &World, received: &Received) -> String {
    let value = |value: &String| mask::falcosidekick(&world.places.take_out(value));
    let headers = received.headers.iter().map(|(name, text)| (name.clone(), value(text)));
    let is_protobuf = received.headers.iter().any(|(_, value)| value == "application/x-protobuf");
    let length = received.headers.iter().find(|(name, _)| name == "Content-Length").map(|(_, value)| value.as_str());
    let body = if is_protobuf { protobuf(length) } else { mask::falcosidekick(&received.body) };
    delivery(&received.method, &received.path, headers, &body)
}

fn delivery(method: &str, path: &str, headers: impl Iterator<Item = (String, String)>, body: &str) -> String {
    let mut headers: Vec<String> =
        headers.filter(|(name, _)| name != "Content-Length").map(|(name, value)| format!("{name}: {value}")).collect();
    headers.sort();
    let [path, body] = [path, body].map(mask::falcosidekick_common);
    format!("{method} {path} [{}] {}", headers.join("; "), body.trim_end())
}
