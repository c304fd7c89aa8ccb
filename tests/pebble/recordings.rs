//! Everything that Pebble was ever seen to answer, given to the client: whole, broken off, and spoilt.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use charm_core::pebble::{Client, Directory, Error, File, Layer};
use serde_json::Value;

use crate::canned::{Canned, Reply};

/// Parts of the API that no charm of ours uses, so that the client has nothing to read their answers with.
const UNUSED: [&str; 9] = [
    "/loki/api/v1/push", // what Pebble itself sends to a log server
    "/v1/checks/refresh",
    "/v1/exec",
    "/v1/health",
    "/v1/identities",
    "/v1/metrics",
    "/v1/notices",
    "/v1/signals",
    "/v1/changes", // apart from /wait, see below
];

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
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("recordings/pebble");
    let mut files: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    files.iter().flat_map(|file| recorded_in(file)).collect()
}

fn recorded_in(file: &Path) -> Vec<Exchange> {
    let recording: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    let case = file.file_stem().unwrap().to_str().unwrap();
    recording["exchanges"].as_array().unwrap().iter().filter_map(|exchange| Exchange::new(case, exchange)).collect()
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
    let mut asked = 0;
    for exchange in exchanges() {
        let server = Canned::new(exchange.replies(exchange.reply.clone()));
        let Some(result) = exchange.ask(&server.client).await else {
            let unused = UNUSED.iter().any(|path| exchange.path.starts_with(path));
            let action = exchange.path == "/v1/checks" && exchange.method == "POST";
            assert!(unused || action, "{}: nobody reads {} {}", exchange.case, exchange.method, exchange.path);
            continue;
        };
        asked += 1;
        check(&exchange, &result);
    }
    assert!(asked > 250, "only {asked} of the recorded answers were read");
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
