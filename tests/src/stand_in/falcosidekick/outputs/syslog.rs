//! What a syslog server gets: one line with the event in JSON, over a connection of its own.

use jiff::Timestamp;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpStream, UdpSocket};

use super::NOT_PLAYED;
use crate::stand_in::falcosidekick::event::Event;
use crate::stand_in::falcosidekick::log;
use crate::stand_in::falcosidekick::settings::Settings;

/// Sends an event, and tells whether it was sent. Over UDP nobody can know more.
pub async fn send(event: &Event, settings: &Settings) -> bool {
    if settings.text("syslog.format") != "json" {
        log::stand_in(&format!("Syslog - {NOT_PLAYED} in any format but JSON"));
        return false;
    }
    match try_to_send(event, settings).await {
        Ok(()) => true,
        Err(words) => {
            log::error(&format!("Syslog - {words}"));
            false
        }
    }
}

async fn try_to_send(event: &Event, settings: &Settings) -> Result<(), String> {
    let protocol = settings.text("syslog.protocol");
    let (host, port) = (settings.text("syslog.host"), settings.text("syslog.port"));
    let address = format!("{host}:{port}");
    // A port that is none makes an address that cannot be dialled.
    if port.contains(':') {
        return Err(format!("dial {protocol}: address {address}: too many colons in address"));
    }
    let line = line(event);
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::ConnectionRefused => {
            format!("dial {protocol} {address}: connect: connection refused")
        }
        _ => format!("dial {protocol} {address}: {error}"),
    };
    match protocol {
        "tcp" => {
            let mut stream = TcpStream::connect(&address).await.map_err(failed)?;
            stream.write_all(line.as_bytes()).await.map_err(failed)
        }
        "udp" => {
            let socket = UdpSocket::bind(("0.0.0.0", 0)).await.map_err(failed)?;
            socket.send_to(line.as_bytes(), &address).await.map(drop).map_err(failed)
        }
        // The check at the start takes it in any case, and Go does not.
        other => Err(format!("dial {other}: unknown network {other}")),
    }
}

/// The facility is that of the kernel, whose number is 0.
fn line(event: &Event) -> String {
    let severity = event.priority.map_or(7, |priority| 8 - priority.number());
    let host = nix::unistd::gethostname().unwrap_or_default();
    let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ");
    format!("<{severity}>{now} {} Falco[{}]: {}\n", host.to_string_lossy(), std::process::id(), event.json())
}
