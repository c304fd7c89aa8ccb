//! A double of a mail server: it takes every mail, and remembers it. It offers what Falcosidekick was recorded with,
//! and checks no password.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// A mail that was taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mail {
    /// What came before it, from `EHLO` to `DATA`.
    pub commands: Vec<String>,
    /// Its lines, headers first.
    pub lines: Vec<String>,
}

/// A running server. Its threads end with the test program.
#[derive(Debug)]
pub struct MailServer {
    port: u16,
    mails: Arc<Mutex<Vec<Mail>>>,
}

impl MailServer {
    /// Listens on a port of its own.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("a listener has an address").port();
        let mails = Arc::new(Mutex::new(Vec::new()));
        let store = Arc::clone(&mails);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let store = Arc::clone(&store);
                thread::spawn(move || converse(stream, &store));
            }
        });
        Self { port, mails }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What came so far.
    pub fn mails(&self) -> Vec<Mail> {
        self.mails.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn converse(stream: TcpStream, store: &Mutex<Vec<Mail>>) -> Option<()> {
    let mut writer = stream.try_clone().ok()?;
    let mut lines = BufReader::new(stream).lines();
    let mut say = |words: &str| writer.write_all(format!("{words}\r\n").as_bytes()).ok();
    say("220 double ESMTP")?;
    let mut mail = Mail::default();
    loop {
        let line = lines.next()?.ok()?;
        let command = line.split(' ').next().unwrap_or_default().to_ascii_uppercase();
        mail.commands.push(line);
        match command.as_str() {
            "EHLO" => say("250-double\r\n250-AUTH PLAIN\r\n250 8BITMIME")?,
            "AUTH" => say("235 2.7.0 taken unseen")?,
            "MAIL" | "RCPT" => say("250 2.1.0 fine")?,
            "DATA" => {
                say("354 go on")?;
                loop {
                    let line = lines.next()?.ok()?;
                    if line == "." {
                        break;
                    }
                    mail.lines.push(line);
                }
                store.lock().unwrap_or_else(PoisonError::into_inner).push(std::mem::take(&mut mail));
                say("250 2.0.0 taken")?;
            }
            "QUIT" => return say("221 2.0.0 bye"),
            _ => say("502 5.5.1 this double does not know that")?,
        }
    }
}
