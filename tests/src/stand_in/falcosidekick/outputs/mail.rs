//! What a mail server gets: a mail in plain text, over a connection without TLS. HTML, STARTTLS and other ways than a user
//! and a password to say who one is are not played.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use super::NOT_PLAYED;
use crate::stand_in::falcosidekick::event::Event;
use crate::stand_in::falcosidekick::log;
use crate::stand_in::falcosidekick::priority::Priority;
use crate::stand_in::falcosidekick::settings::Settings;

/// Sends an event.
pub async fn send(event: &Event, settings: &Settings) {
    match converse(event, settings).await {
        Ok(true) => log::info("SMTP -  SMTP - Sent OK"),
        Ok(false) => {
            log::stand_in(&format!("SMTP - {NOT_PLAYED} with TLS, in HTML, or with any authentication but `plain`"));
        }
        Err(words) => log::error(&format!("SMTP - {words}")),
    }
}

/// Whether it is played.
async fn converse(event: &Event, settings: &Settings) -> Result<bool, String> {
    let text = |key: &str| settings.text(&format!("smtp.{key}"));
    let address = text("hostport");
    let stream = TcpStream::connect(address).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::ConnectionRefused => {
            format!("Client error : dial tcp {address}: connect: connection refused")
        }
        _ => format!("Client error : dial tcp {address}: {error}"),
    })?;
    let mechanism = text("authmechanism").to_lowercase();
    if settings.switch("smtp.tls") || text("outputformat") != "text" || !matches!(mechanism.as_str(), "plain" | "none")
    {
        return Ok(false);
    }
    let mut talk = Talk(BufReader::new(stream));
    talk.expect("", "220").await?;
    let offered = talk.expect("EHLO localhost", "250").await?;
    if mechanism == "plain" {
        let words = format!("\0{}\0{}", text("user"), text("password"));
        talk.expect(&format!("AUTH PLAIN {}", STANDARD.encode(words)), "235").await?;
    }
    let eight_bits = if offered.contains("8BITMIME") { " BODY=8BITMIME" } else { "" };
    talk.expect(&format!("MAIL FROM:<{}>{eight_bits}", text("from")), "250").await?;
    for to in text("to").split(',') {
        talk.expect(&format!("RCPT TO:<{}>", to.trim()), "250").await?;
    }
    talk.expect("DATA", "354").await?;
    talk.expect(&format!("{}\r\n.", mail(event, text("from"), text("to"))), "250").await?;
    Ok(true)
}

/// One side of a conversation.
struct Talk(BufReader<TcpStream>);

impl Talk {
    /// Says something, unless it is nothing, and returns the answer if it begins with that number.
    async fn expect(&mut self, words: &str, number: &str) -> Result<String, String> {
        if !words.is_empty() {
            let words = format!("{words}\r\n");
            self.0.write_all(words.as_bytes()).await.map_err(|error| error.to_string())?;
        }
        let mut answer = String::new();
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line).await.map_err(|error| error.to_string())?;
            answer += &line;
            if line.as_bytes().get(3) != Some(&b'-') {
                break;
            }
        }
        if answer.starts_with(number) { Ok(answer) } else { Err(format!("(stand-in) the server says {answer:?}")) }
    }
}

fn mail(event: &Event, from: &str, to: &str) -> String {
    let priority = event.priority.map_or("", Priority::title);
    let time = event.time.unwrap_or_default();
    let day = time.strftime("%a %b %d %H:%M:%S +0000 %Y");
    let shown = event.shown_time();
    let Event { output, rule, source, hostname, tags, fields, .. } = event;
    let tags: String = tags.iter().flat_map(|tag| [tag.as_str(), " "]).collect();
    let fields: String =
        fields.iter().map(|(name, value)| [name.as_str(), ": ", &plain(value), "\n"].concat()).collect();
    let text = format!(
        "Subject: [{priority}] {output}\nFrom: {from}\nTo: {to}\nDate: {day}\nMIME-version: 1.0\n\
         Content-Type: text/plain; charset=\"UTF-8\"\n\nPriority: {priority}\nOutput: {output}\nRule: {rule}\n\
         Source: {source}\nHostname: {hostname}\nTags: {tags}\nTime: {shown}\n\n--Fields--\n{fields}\n"
    );
    text.replace('\n', "\r\n")
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
