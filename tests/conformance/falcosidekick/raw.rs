//! Sinks that do not speak HTTP: syslog over TCP or UDP, and a mail server, which is a double.

use std::io::Read as _;
use std::net::{TcpListener, UdpSocket};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::thread;

use charm_tests::mail_server::MailServer;
use regex::Regex;
use serde_json::Value;

use crate::mask;
use crate::recording::texts;

/// A running sink. Its threads end with the test program.
#[derive(Debug)]
pub enum RawSink {
    /// Takes bytes over TCP or UDP.
    Syslog {
        /// Where it listens.
        port: u16,
        /// What came: a connection or a datagram each.
        received: Arc<Mutex<Vec<String>>>,
    },
    /// Takes mails.
    Mail(MailServer),
}

impl RawSink {
    /// The sink that a recording had at a placeholder.
    pub fn of(case: &str) -> Option<Self> {
        match case {
            "syslog_tcp" => Some(Self::tcp()),
            "syslog_udp" => Some(Self::udp()),
            "smtp_ok" => Some(Self::Mail(MailServer::start())),
            _ => None,
        }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        match self {
            Self::Syslog { port, .. } => *port,
            Self::Mail(server) => server.port(),
        }
    }

    /// What came, comparable with [`recorded`].
    pub fn seen(&self) -> Vec<String> {
        static HEADER: LazyLock<Regex> =
            LazyLock::new(|| Regex::new(r"^<(\d)>\d\S+ \S+ Falco\[\d+\]:").expect("a good pattern"));
        match self {
            Self::Syslog { received, .. } => {
                let received = received.lock().unwrap_or_else(PoisonError::into_inner);
                let masked = received.iter().map(|raw| HEADER.replace(raw, "<$1><time> <hostname> Falco[<pid>]:"));
                masked.map(|raw| mask::falcosidekick(&raw)).collect()
            }
            Self::Mail(server) => server
                .mails()
                .into_iter()
                .map(|mail| mail.commands.into_iter().chain(mail.lines).chain([".".to_owned()]).collect::<Vec<_>>())
                .map(|lines| lines.join("\n"))
                .collect(),
        }
    }

    fn tcp() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let received = Arc::<Mutex<Vec<String>>>::default();
        let store = Arc::clone(&received);
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut text = String::new();
                // Whoever connects to see whether somebody is there says nothing.
                if stream.read_to_string(&mut text).is_ok() && !text.is_empty() {
                    store.lock().unwrap_or_else(PoisonError::into_inner).push(text);
                }
            }
        });
        Self::Syslog { port, received }
    }

    fn udp() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let port = socket.local_addr().expect("an address").port();
        let received = Arc::<Mutex<Vec<String>>>::default();
        let store = Arc::clone(&received);
        thread::spawn(move || {
            let mut buffer = vec![0; 1 << 16];
            while let Ok(length) = socket.recv(&mut buffer) {
                let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
                store.lock().unwrap_or_else(PoisonError::into_inner).push(text);
            }
        });
        Self::Syslog { port, received }
    }
}

/// What a sink got when it was recorded.
pub fn recorded(request: &Value) -> String {
    if let Some(raw) = request["raw"].as_str() {
        return raw.to_owned();
    }
    let said = texts(&request["dialogue"]);
    said.iter().filter_map(|line| line.strip_prefix("C: ")).collect::<Vec<_>>().join("\n")
}
