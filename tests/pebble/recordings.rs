//! Everything that Pebble was ever seen to answer, given to the client: whole, broken off, and spoilt.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use charm_core::pebble::layer::{Service, Startup};
use charm_core::pebble::{Client, Directory, Error, File, Layer};
use charm_tests::coverage::{self, Table};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::canned::{Canned, Reply};
use crate::world::{World, until};

/// The one list of what the client is not made to ask for.
const REASONS: &str = "recordings/pebble-not-played.yaml";

/// The file of which each row is a command and the arguments that its program got.
const COMMANDS: &str = "command_parsing";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    reason: String,
    requests: Vec<String>,
}

fn not_played() -> Vec<Entry> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(REASONS);
    serde_yaml::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

struct Exchange {
    case: String,
    method: String,
    path: String,
    action: String,
    reply: Reply,
    status: u64,
    content_type: String,
    body: Vec<u8>,
}

fn exchanges() -> Vec<Exchange> {
    rows().into_iter().filter_map(|(_, exchange)| exchange).collect()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("recordings/pebble")
}

/// Every row of every recording, by its request; by its file if it is no exchange.
fn rows() -> Vec<(String, Option<Exchange>)> {
    let folder = folder();
    let mut files: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    files.iter().flat_map(|file| recorded_in(file)).collect()
}

fn recorded_in(file: &Path) -> Vec<(String, Option<Exchange>)> {
    let recording: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    let case = file.file_stem().unwrap().to_str().unwrap();
    let rows = recording["exchanges"].as_array().unwrap().iter().map(|row| Exchange::new(case, row));
    rows.map(|exchange| (exchange.as_ref().map_or_else(|| case.to_owned(), Exchange::request), exchange)).collect()
}

impl Exchange {
    fn new(case: &str, exchange: &Value) -> Option<Self> {
        let (request, response) = (&exchange["request"], &exchange["response"]);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let status = match &response["status"] {
            Value::Null => 0, // no HTTP answer came
            Value::Number(status) => status.as_u64().unwrap(),
            _ => return None, // a row about the inside of a service, no exchange
        };
        let content_type = text(&response["headers"]["Content-Type"]);
        let body = match &response["body"] {
            Value::String(body) => body.clone().into_bytes(),
            body => body.to_string().into_bytes(),
        };
        let reply = if status == 0 {
            Reply::Close
        } else if response["headers"]["Transfer-Encoding"] == "chunked" {
            Reply::chunked(status, &content_type, &body)
        } else {
            Reply::new(status, &content_type, &body)
        };
        let action = match &request["body"] {
            // The action of a multipart request stands in its first part.
            Value::String(body) if body.contains("\"action\": \"write\"") => "write".to_owned(),
            Value::Object(body) => body.get("action").map(text).unwrap_or_default(),
            _ => text(&request["query"]["action"]),
        };
        let (method, path) = (text(&request["method"]), text(&request["path"]));
        Some(Self { case: case.to_owned(), method, path, action, reply, status, content_type, body })
    }

    /// Method and path, with `{id}` for what differs from one change or notice to the next.
    fn request(&self) -> String {
        let mut parts: Vec<&str> = self.path.split('/').collect();
        if let ["", "v1", "changes" | "notices", id, ..] = &mut parts[..] {
            *id = "{id}";
        }
        format!("{} {}", self.method, parts.join("/"))
    }

    /// Makes the client ask for what was asked in the recording. `None` if it has no method for that.
    async fn ask(&self, client: &Client) -> Option<Result<(), Error>> {
        let result = match (self.method.as_str(), self.path.as_str(), self.action.as_str()) {
            ("GET", "/v1/system-info", _) => client.system_info().await.map(drop),
            ("GET", "/v1/plan", _) => client.plan().await.map(drop),
            ("POST", "/v1/layers", _) => client.add_layer("charm", &Layer::default()).await,
            ("GET", "/v1/services", _) => client.services(&[]).await.map(drop),
            ("GET", "/v1/checks", _) => client.checks(&["up"]).await.map(drop),
            ("GET", "/v1/logs", _) => client.logs(&["web"], 10).await.map(drop),
            ("POST", "/v1/services", "start") => client.start(&["web"]).await,
            ("POST", "/v1/services", "stop") => client.stop(&["web"]).await,
            ("POST", "/v1/services", "restart") => client.restart(&["web"]).await,
            ("POST", "/v1/services", _) => client.replan().await,
            ("GET", path, _) if path.ends_with("/wait") => client.replan().await,
            ("GET", "/v1/files", "list") => client.list_files("/f").await.map(drop),
            ("GET", "/v1/files", _) => client.read_file("/f").await.map(drop),
            ("POST", "/v1/files", "make-dirs") => client.make_dirs(&[directory()]).await,
            ("POST", "/v1/files", "remove") => client.remove("/f", true).await,
            ("POST", "/v1/files", _) => client.write_files(&[file()]).await,
            _ => return None,
        };
        Some(result)
    }

    /// The replies that lead to this one: a wait needs a change to wait for.
    fn replies(&self, reply: Reply) -> Vec<Reply> {
        if self.path.ends_with("/wait") {
            let accepted = r#"{"type":"async","status-code":202,"status":"Accepted","change":"1","result":null}"#;
            vec![Reply::json(202, accepted), reply]
        } else {
            vec![reply]
        }
    }

    fn result(&self) -> Value {
        serde_json::from_slice::<Value>(&self.body).map(|mut body| body["result"].take()).unwrap_or_default()
    }
}

fn file() -> File {
    File { path: "/f".to_owned(), content: b"x".to_vec(), mode: 0o644, user: None, group: None, make_dirs: false }
}

fn directory() -> Directory {
    Directory { path: "/d".to_owned(), mode: 0o755, user: None, group: None }
}

#[tokio::test]
async fn every_recorded_answer_is_understood() {
    let (listed, mut table) = (not_played(), Table::new());
    for (request, exchange) in rows() {
        let is_listed = listed.iter().any(|entry| entry.requests.contains(&request));
        let count = table.entry(request.clone()).or_default();
        let Some(exchange) = exchange else {
            match (request == COMMANDS, is_listed) {
                // See the test of commands.
                (true, false) => count.passed(),
                (false, true) => count.not_played(),
                _ => panic!("{request} is either played or listed"),
            }
            continue;
        };
        let server = Canned::new(exchange.replies(exchange.reply.clone()));
        match (exchange.ask(&server.client).await, is_listed) {
            (Some(result), false) => {
                check(&exchange, &result);
                count.passed();
            }
            (None, true) => count.not_played(),
            (Some(_), true) => panic!("{request} is listed as not played, but the client asks for it"),
            (None, false) => panic!("{}: nobody reads {request}, and it is not listed", exchange.case),
        }
    }
    for Entry { reason, requests } in &listed {
        assert!(!reason.trim().is_empty(), "{requests:?} has no reason");
        let unknown: Vec<_> = requests.iter().filter(|request| !table.contains_key(*request)).collect();
        assert!(unknown.is_empty(), "there is no recording of {unknown:?}");
    }
    coverage::check("recordings/pebble/coverage.yaml", REASONS, &table);
}

fn check(exchange: &Exchange, result: &Result<(), Error>) {
    let answer = exchange.result();
    let expected = match (exchange.status, exchange.path.as_str()) {
        (0, _) => matches!(result, Err(Error::Unreachable { .. })),
        // The change was accepted; then nobody is there to wait with.
        (202, _) => matches!(result, Err(Error::Unreachable { .. })),
        (504, _) => matches!(result, Err(Error::Timeout { .. })),
        (400.., "/v1/files") if answer["kind"] == "not-found" => result.is_ok(),
        (400.., _) => match result {
            Err(Error::Refused { status, message, kind, .. }) => {
                u64::from(*status) == exchange.status
                    && answer["message"] == *message
                    && answer["kind"].as_str() == kind.as_deref()
            }
            _ => false,
        },
        (_, path) if path.ends_with("/wait") => match result {
            Ok(()) => answer["status"] == "Done",
            Err(Error::Change { message, .. }) => answer["err"] == *message,
            Err(_) => false,
        },
        (_, "/v1/files") => match result {
            Ok(()) => true,
            Err(Error::File { message, .. }) => {
                String::from_utf8_lossy(&exchange.body).contains(&message.replace('"', "\\\""))
            }
            Err(_) => false,
        },
        _ => result.is_ok(),
    };
    assert!(expected, "{} {} {}: {result:?}", exchange.case, exchange.method, exchange.path);
}

#[tokio::test]
async fn every_recorded_command_reaches_its_program_in_the_recorded_words() {
    let recording = fs::read(folder().join(format!("{COMMANDS}.json"))).unwrap();
    let recording: Value = serde_json::from_slice(&recording).unwrap();
    let rows = recording["exchanges"].as_array().unwrap();
    let world = World::new();
    let program = world.root.path().join("program");
    // Each word comes with a byte that no word can hold.
    let script = "#!/bin/sh\nprintf '%s\\0' \"$@\" >\"$FILE.new\"\nmv \"$FILE.new\" \"$FILE\"\nexec sleep 1000\n";
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let file = |number: usize| world.root.path().join(format!("words-{number}"));
    let service = |(number, row): (usize, &Value)| {
        let text = row["request"]["body"].as_str().unwrap().strip_prefix("service command = program + ").unwrap();
        let text: String = serde_json::from_str(text).unwrap();
        let environment = [("FILE".to_owned(), file(number).display().to_string())].into();
        let command = format!("{} {text}", program.display());
        let service = Service { startup: Some(Startup::Enabled), command, environment, ..Service::default() };
        (format!("s{number}"), service)
    };
    let services = rows.iter().enumerate().map(service).collect();
    world.client.add_layer("charm", &Layer { services, ..Layer::default() }).await.unwrap();
    world.client.replan().await.unwrap();
    for (number, row) in rows.iter().enumerate() {
        until("the words", async || file(number).exists()).await;
        let words = fs::read_to_string(file(number)).unwrap();
        let words: Vec<&str> = words.split_terminator('\0').collect();
        assert_eq!(json!(words), row["response"]["body"], "{}", row["request"]["body"]);
    }
    assert_eq!(rows.len(), 19, "the recordings have changed");
}

#[tokio::test]
async fn every_answer_that_breaks_off_means_that_pebble_is_gone() {
    for exchange in exchanges() {
        let server = Canned::new(exchange.replies(exchange.reply.clone().cut()));
        if let Some(result) = exchange.ask(&server.client).await {
            assert!(
                result.as_ref().is_err_and(Error::is_unreachable),
                "{} {}: {result:?}",
                exchange.case,
                exchange.path
            );
        }
    }
}

#[tokio::test]
async fn every_answer_that_makes_no_sense_is_an_error_and_nothing_worse() {
    let mut tried = HashSet::new();
    for exchange in exchanges().iter().filter(|exchange| exchange.status != 0) {
        let Exchange { method, path, action, status, content_type, .. } = exchange;
        if !tried.insert((method.clone(), path.clone(), action.clone(), *status)) {
            continue;
        }
        for spoilt in [&b""[..], b"null", b"{", b"[]", b"\xff\xfe", b"{\"type\":\"sync\",\"result\":7}"] {
            let server = Canned::new(exchange.replies(Reply::new(*status, content_type, spoilt)));
            match exchange.ask(&server.client).await {
                // No line at all is a proper answer here.
                Some(Ok(())) => assert!(path == "/v1/logs" && spoilt.is_empty(), "{path}: {spoilt:?}"),
                Some(Err(error)) => assert!(!error.is_unreachable(), "{path}: {spoilt:?}: {error}"),
                None => {}
            }
        }
    }
    assert!(tried.len() > 50, "only {} kinds of answer", tried.len());
}
