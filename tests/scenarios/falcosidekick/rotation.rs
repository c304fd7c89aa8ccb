//! Certificates are renewed while alerts come in, from somebody who tries nothing twice, as Falco does.
//!
//! A restart takes time in which nobody answers. What is lost has to be lost there and nowhere else: each alert that
//! nobody took lies between the last one that the old process took and the first one that the new one took, and each one
//! that was taken and did not reach Loki is among the last ones that the old process took. Who took an alert is told by
//! the certificate that was shown.

use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use charm_tests::authority::{Authority, Days};
use charm_tests::falco_host::eventually;
use charm_tests::juju::{Event, Status};
use charm_tests::stand_in::tls::{self, Trust};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use serde_json::json;

use crate::tls::{ADDRESS, FRESH, changed, settled, sign};
use crate::world::World;

/// Past nine tenths of its life, so that another one is asked for at once.
const NEARLY_OVER: Days = Days(94, 6);

/// A busy Falco.
const PAUSE: Duration = Duration::from_millis(5);

/// Alerts that have to be taken between two renewals.
const ENOUGH: usize = 50;

/// The certificate that was shown by who took an alert.
type Shown = Vec<u8>;

/// Sends alerts until it is dropped.
struct Falco {
    ends: Arc<AtomicBool>,
    taken: Arc<AtomicUsize>,
    thread: Option<thread::JoinHandle<Vec<Option<Shown>>>>,
}

impl Falco {
    fn start(port: u16, authority: &str) -> Self {
        let (ends, taken) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let trust = Trust::Only(tls::certificates(authority.as_bytes()));
        let config = Arc::new(tls::client(trust, None).unwrap());
        let (stop, counted) = (Arc::clone(&ends), Arc::clone(&taken));
        let thread = thread::spawn(move || {
            let mut alerts = Vec::new();
            while !stop.load(Ordering::SeqCst) {
                let shown = send(port, &config, alerts.len()).ok();
                counted.fetch_add(usize::from(shown.is_some()), Ordering::SeqCst);
                alerts.push(shown);
                thread::sleep(PAUSE);
            }
            alerts
        });
        Self { ends, taken, thread: Some(thread) }
    }

    /// Waits until many more alerts were taken than now.
    fn go_on(&self) {
        let known = self.taken.load(Ordering::SeqCst);
        eventually("many alerts", || (self.taken.load(Ordering::SeqCst) >= known + ENOUGH).then_some(()));
    }

    /// Of each alert, in their order, who took it.
    fn end(mut self) -> Vec<Option<Shown>> {
        self.ends.store(true, Ordering::SeqCst);
        self.thread.take().unwrap().join().unwrap()
    }
}

impl Drop for Falco {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::SeqCst);
    }
}

fn text_of(number: usize) -> String {
    format!("alert {number} of many")
}

/// One alert, on a connection of its own.
fn send(port: u16, config: &Arc<ClientConfig>, number: usize) -> io::Result<Shown> {
    let body = json!({
        "output": text_of(number), "priority": "Warning", "rule": "Read sensitive file untrusted", "source": "syscall",
        "time": jiff::Timestamp::now().to_string(), "output_fields": {"juju_unit": "falco/0"},
    })
    .to_string();
    let socket = TcpStream::connect(("127.0.0.1", port))?;
    let name = ServerName::try_from(ADDRESS).unwrap();
    let connection = ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
    let mut stream = StreamOwned::new(connection, socket);
    write!(stream, "POST / HTTP/1.0\r\nContent-Length: {}\r\n\r\n{body}", body.len())?;
    let mut answer = Vec::new();
    // A server that closes without a word of TLS has said everything all the same.
    let _ = stream.read_to_end(&mut answer);
    if !answer.starts_with(b"HTTP/1.0 200") && !answer.starts_with(b"HTTP/1.1 200") {
        return Err(io::Error::other("it was not taken"));
    }
    let shown = stream.conn.peer_certificates().and_then(|chain| chain.first());
    shown.map(|leaf| leaf.to_vec()).ok_or_else(|| io::Error::other("nothing was shown"))
}

/// How often each alert has arrived in Loki.
fn arrived(world: &World) -> BTreeMap<usize, usize> {
    let mut arrived = BTreeMap::new();
    for entry in world.loki.entries() {
        let number = entry.line.split_once("alert ").and_then(|(_, rest)| rest.split_once(" of many")?.0.parse().ok());
        *arrived.entry(number.expect("an alert of ours")).or_default() += 1;
    }
    arrived
}

#[test]
fn renewals_under_a_stream_of_alerts_lose_what_comes_in_during_their_restarts_and_nothing_else() {
    let authority = Authority::new("test");
    let (world, mut state) = settled(&authority, NEARLY_OVER);
    let falco = Falco::start(world.port, &authority.root());
    let mut processes = vec![world.process()];
    assert_eq!(world.starts(), processes.len(), "one start before there was any alert");
    for days in [NEARLY_OVER, FRESH] {
        falco.go_on();
        state = world.run_once(&changed(), &sign(&state, &authority, days)).state;
        assert_eq!(state.unit_status, Status::active(""));
        processes.push(world.process());
        assert_eq!(world.starts(), processes.len(), "one start for each renewal");
        falco.go_on();
        state = world.run_once(&Event::update_status(), &state).state;
        assert_eq!(world.process(), *processes.last().unwrap(), "a restart without a reason");
        assert_eq!(world.starts(), processes.len(), "a start without a reason");
    }
    let alerts = falco.end();
    processes.dedup();
    assert_eq!(processes.len(), 3, "one restart for each renewal");

    // The last process is still there, so all that it took arrives.
    let last = alerts.iter().rposition(Option::is_some).unwrap();
    let arrived = eventually("the last alert", || Some(arrived(&world)).filter(|arrived| arrived.contains_key(&last)));
    let is_lost = |number: usize| !arrived.contains_key(&number);

    let takers: Vec<&Shown> = alerts.iter().flatten().collect();
    let mut in_turn = takers.clone();
    in_turn.dedup();
    assert_eq!(in_turn.len(), 3, "each certificate was shown until the next one was, and none came back");
    let refused: Vec<usize> = (0..alerts.len()).filter(|number| alerts[*number].is_none()).collect();
    for &number in &refused {
        let before = alerts[..number].iter().rev().flatten().next();
        let after = alerts[number..].iter().flatten().next();
        assert_ne!(before, after, "alert {number} was lost, and no restart was to blame");
    }
    let vanished: Vec<usize> =
        (0..alerts.len()).filter(|number| alerts[*number].is_some() && is_lost(*number)).collect();
    for &number in &vanished {
        let next = alerts[number + 1..]
            .iter()
            .enumerate()
            .find(|(at, taker)| *taker == &alerts[number] && !is_lost(number + 1 + at));
        assert!(next.is_none(), "alert {number} was taken and lost, and later ones were not");
    }
    assert!(arrived.values().all(|times| *times == 1), "an alert arrived twice: {arrived:?}");
    println!(
        "{} alerts, 2 restarts: {} refused while nobody listened, {} taken and lost with the process that took them",
        alerts.len(),
        refused.len(),
        vanished.len()
    );
}
