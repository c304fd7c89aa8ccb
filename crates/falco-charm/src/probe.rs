//! Would an alert get through? One connection to where Falco sends them, as Falco makes it and with what Falco trusts,
//! before any alert is lost. Nothing is sent.

#[cfg(test)]
mod tests;
mod verifier;

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use charm_core::Status;
use charm_core::status::one_line;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConfig};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::{Host, Url};

use self::verifier::Verifier;

/// No connection may take longer: a hook holds the lock of its machine.
pub const LIMIT: Duration = Duration::from_secs(3);

/// How much of what somebody else wrote is told, in characters.
const LONGEST: usize = 100;

/// Why an alert would not get through, in words for a status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Where to.
    address: String,
    reason: Reason,
}

/// One reason for each thing that somebody has to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The name of the host cannot be resolved.
    Unresolvable,
    /// Nobody listens there.
    Refused,
    /// No answer within the limit.
    TimedOut,
    /// The network has no way there, or something of the kind.
    Unreachable(String),
    /// There is a server, and it does not speak TLS.
    NotTls,
    /// The certificate is another host's; the names in it, as far as they are told.
    WrongName(Vec<String>),
    /// The certificate was good once.
    Expired,
    /// The certificate will be good, or the clock of one of both machines is wrong.
    NotYetValid,
    /// Nobody whom this unit trusts has issued the certificate.
    UnknownIssuer,
    /// Anything else that is wrong with the handshake.
    Tls(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, reason } = self;
        write!(out, "http-endpoint: {address} ")?;
        match reason {
            Reason::Unresolvable => out.write_str("cannot be resolved; see to the name servers of this machine"),
            Reason::Refused => {
                out.write_str("refuses connections; see whether Falcosidekick runs and can be reached from here")
            }
            Reason::TimedOut => write!(
                out,
                "does not answer within {} s; see to firewalls and routes between here and there",
                LIMIT.as_secs()
            ),
            Reason::Unreachable(words) => write!(out, "cannot be reached: {words}"),
            Reason::NotTls => out.write_str("does not speak TLS, and its URL is https"),
            Reason::WrongName(names) if names.is_empty() => {
                out.write_str("has a certificate for another name; have it issued anew")
            }
            Reason::WrongName(names) => {
                let names = one_line(&names.join(", "), LONGEST);
                write!(out, "has a certificate for {names}, not for this name; have it issued anew")
            }
            Reason::Expired => out.write_str("has a certificate that has expired; have it renewed"),
            Reason::NotYetValid => {
                out.write_str("has a certificate that is not valid yet; see to the clocks here and there")
            }
            Reason::UnknownIssuer => out.write_str(
                "has a certificate of an authority that is not trusted here; relate receive-ca-cert to that authority",
            ),
            Reason::Tls(words) => write!(out, "fails the TLS handshake: {words}"),
        }
    }
}

impl Failure {
    /// What an operator has to know: alerts that are lost until somebody acts, or a network in which the next one may
    /// well get through.
    pub fn status(&self) -> Status {
        match self.reason {
            Reason::NotTls | Reason::WrongName(_) | Reason::Expired | Reason::NotYetValid | Reason::UnknownIssuer => {
                Status::Blocked(self.to_string())
            }
            // OpenSSL may be content where rustls is not, so a failure without a name is only told.
            Reason::Unresolvable | Reason::Refused | Reason::TimedOut | Reason::Unreachable(_) | Reason::Tls(_) => {
                Status::Active(self.to_string())
            }
        }
    }
}

/// Connects to the server of an https URL, within a limit. Plain HTTP is content with a connection.
pub async fn probe(url: &Url, trusted: Vec<CertificateDer<'static>>, limit: Duration) -> Result<(), Failure> {
    let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
        // The relation takes no such URL.
        return Ok(());
    };
    let failed = |reason| Failure { address: format!("{host}:{port}"), reason };
    let connecting = async {
        let stream = connect(&host, port).await?;
        if url.scheme() == "https" { handshake(stream, &host, trusted).await } else { Ok(()) }
    };
    match tokio::time::timeout(limit, connecting).await {
        Ok(result) => result.map_err(failed),
        Err(_) => Err(failed(Reason::TimedOut)),
    }
}

async fn connect(host: &Host<&str>, port: u16) -> Result<TcpStream, Reason> {
    let addresses: Vec<SocketAddr> = match host {
        Host::Ipv4(address) => vec![(*address, port).into()],
        Host::Ipv6(address) => vec![(*address, port).into()],
        Host::Domain(name) => match tokio::net::lookup_host((*name, port)).await {
            Ok(addresses) => addresses.collect(),
            Err(_) => return Err(Reason::Unresolvable),
        },
    };
    // One after the other until one takes it; the last error is the one of all.
    TcpStream::connect(addresses.as_slice()).await.map_err(|error| match error.kind() {
        ErrorKind::ConnectionRefused => Reason::Refused,
        ErrorKind::TimedOut => Reason::TimedOut,
        _ => Reason::Unreachable(one_line(&error.to_string(), LONGEST)),
    })
}

async fn handshake(stream: TcpStream, host: &Host<&str>, trusted: Vec<CertificateDer<'static>>) -> Result<(), Reason> {
    let name = match host {
        Host::Ipv4(address) => ServerName::from(std::net::IpAddr::from(*address)),
        Host::Ipv6(address) => ServerName::from(std::net::IpAddr::from(*address)),
        Host::Domain(name) => {
            ServerName::try_from((*name).to_owned()).map_err(|error| Reason::Tls(error.to_string()))?
        }
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = Verifier::new(trusted, &provider);
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Reason::Tls(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    let connected = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    connected.map(drop).map_err(|error| reason(&error))
}

fn reason(error: &io::Error) -> Reason {
    let Some(error) = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>()) else {
        return match error.kind() {
            ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset => {
                Reason::Tls("the server closes the connection".to_owned())
            }
            _ => Reason::Tls(error.to_string()),
        };
    };
    match error {
        rustls::Error::InvalidMessage(_) => Reason::NotTls,
        rustls::Error::InvalidCertificate(problem) => match problem {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Reason::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Reason::NotYetValid,
            // A signature that does not fit is that of a namesake: an authority with a new key keeps its name.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => Reason::UnknownIssuer,
            CertificateError::NotValidForName => Reason::WrongName(Vec::new()),
            CertificateError::NotValidForNameContext { presented, .. } => Reason::WrongName(presented.clone()),
            other => Reason::Tls(one_line(&other.to_string(), LONGEST)),
        },
        other => Reason::Tls(one_line(&other.to_string(), LONGEST)),
    }
}
