//! Bounds that take too long, or too much, to be tried on the real Pebble.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixListener;
use std::thread;

use super::*;

/// What comes of a request when somebody at the socket says this, and then nothing more.
fn answered_with(answer: impl Into<Vec<u8>>, timeout: Duration) -> Result<Answer> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let socket = folder.path().join("socket");
    let listener = UnixListener::bind(&socket).expect("a socket");
    let answer = answer.into();
    thread::spawn(move || {
        let (mut connection, _) = listener.accept().expect("a connection");
        let _ = connection.read(&mut [0; 4096]);
        let _ = connection.write_all(&answer);
        // Open until the client goes.
        let _ = connection.read(&mut [0; 1]);
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let transport = Transport::new("web", &socket)?;
        transport.send(&Request::get("ask", "/v1/x").timeout(timeout)).await
    })
}

const SHORT: Duration = Duration::from_millis(100);

#[test]
fn silence_is_a_timeout_whenever_it_begins() {
    for answer in ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"] {
        let error = answered_with(answer, SHORT).map(|_| ()).expect_err("half an answer");
        assert_eq!(error, Error::Timeout { doing: "ask".to_owned(), after: SHORT }, "{answer:?}");
        assert_eq!(error.to_string(), "failed to ask: no answer after 0.1 s");
    }
}

#[test]
fn an_answer_without_end_is_given_up() {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", LARGEST_ANSWER + 1);
    let answer = [head.into_bytes(), vec![b'x'; LARGEST_ANSWER + 1]].concat();
    let error = answered_with(answer, ANSWER_TIMEOUT).map(|_| ()).expect_err("too large an answer");
    assert!(matches!(error, Error::Answer { .. }), "{error}");
}

#[test]
fn a_redirect_is_not_followed() {
    let answer = "HTTP/1.1 302 Found\r\nLocation: http://elsewhere/\r\nContent-Length: 0\r\n\r\n";
    let error = answered_with(answer, ANSWER_TIMEOUT).map(|_| ()).expect_err("a redirect");
    assert!(matches!(error, Error::Refused { status: 302, .. }), "{error}");
}

#[test]
fn a_refusal_that_is_not_pebbles_is_quoted_in_short() {
    let page = "x".repeat(10_000);
    let answer = format!("HTTP/1.1 502 Bad Gateway\r\nContent-Length: {}\r\n\r\n{page}", page.len());
    let error = answered_with(answer, ANSWER_TIMEOUT).map(|_| ()).expect_err("a refusal");
    assert!(error.to_string().len() < 300, "{error}");
}

#[test]
fn what_is_in_a_request_does_not_show_in_its_debug() {
    let request = Request::post("write /key", "/v1/files", "text/plain", b"PRIVATE".to_vec());
    let text = format!("{request:?}");
    assert!(text.contains("write /key") && !text.contains("PRIVATE") && !text.contains("80, 82"), "{text}");
}
