//! What a connection tells.

use std::io::Read;
use std::net::TcpListener;
use std::thread;

use charm_core::x509::Certificate;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection};

use super::*;
use crate::authorities::Authorities;

/// Long enough for a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// An authority, and a server with a certificate of it.
struct Server {
    port: u16,
    authority: String,
}

impl Server {
    /// Serves TLS for `names`, with a certificate as `change` makes it. Its thread ends with the program.
    fn start(names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap();
        let mut parameters = CertificateParams::new(names.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap();
        change(&mut parameters);
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.signed_by(&key, &authority).unwrap();
        Self { port: serve(&certificate, &key), authority: authority.pem() }
    }

    /// The same with a certificate that signed itself, and is no authority.
    fn on_its_own(names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut parameters = CertificateParams::new(names.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap();
        change(&mut parameters);
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.self_signed(&key).unwrap();
        Self { port: serve(&certificate, &key), authority: certificate.pem() }
    }

    fn trusted(&self) -> Vec<CertificateDer<'static>> {
        Authorities::of(Certificate::all(&self.authority)).trusted(b"")
    }
}

/// Serves TLS with this certificate.
fn serve(certificate: &rcgen::Certificate, key: &KeyPair) -> u16 {
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    listen(move |mut stream| {
        let mut connection = ServerConnection::new(Arc::clone(&config)).unwrap();
        // The client that is not content ends the handshake, which is what the tests are about.
        let _ = connection.complete_io(&mut stream);
    })
}

/// Hands each connection to a free port of loopback to `serve`.
fn listen(serve: impl Fn(std::net::TcpStream) + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || listener.incoming().flatten().for_each(serve));
    port
}

fn try_within(url: &str, trusted: Vec<CertificateDer<'static>>, limit: Duration) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(probe(&url.parse().unwrap(), trusted, limit))
}

fn try_it(url: &str, trusted: Vec<CertificateDer<'static>>) -> Result<(), Reason> {
    try_within(url, trusted, PATIENCE).map_err(|failure| failure.reason)
}

fn unchanged(_: &mut CertificateParams) {}

#[test]
fn a_good_certificate_is_taken_for_a_name_and_for_an_address() {
    let server = Server::start(&["localhost", "127.0.0.1"], unchanged);
    for host in ["localhost", "127.0.0.1"] {
        assert_eq!(try_it(&format!("https://{host}:{}/x", server.port), server.trusted()), Ok(()), "{host}");
    }
}

#[test]
fn a_certificate_for_another_name_is_told_with_its_names() {
    let server = Server::start(&["falcosidekick.example", "192.0.2.7"], unchanged);
    let url = format!("https://127.0.0.1:{}/", server.port);
    let failure = try_within(&url, server.trusted(), PATIENCE).unwrap_err();
    assert_eq!(failure.reason, Reason::WrongName(vec!["falcosidekick.example".into(), "192.0.2.7".into()]));
    assert!(failure.to_string().contains("a certificate for falcosidekick.example, 192.0.2.7, not"), "{failure}");
}

#[test]
fn a_certificate_that_is_over_and_one_that_has_not_begun_are_told_apart() {
    let expired = Server::start(&["127.0.0.1"], |parameters| {
        parameters.not_before = date_time_ymd(2020, 1, 1);
        parameters.not_after = date_time_ymd(2021, 1, 1);
    });
    let url = format!("https://127.0.0.1:{}/", expired.port);
    assert_eq!(try_it(&url, expired.trusted()), Err(Reason::Expired));
    let early = Server::start(&["127.0.0.1"], |parameters| {
        parameters.not_before = date_time_ymd(4000, 1, 1);
        parameters.not_after = date_time_ymd(4001, 1, 1);
    });
    let url = format!("https://127.0.0.1:{}/", early.port);
    assert_eq!(try_it(&url, early.trusted()), Err(Reason::NotYetValid));
}

#[test]
fn a_certificate_of_somebody_else_is_not_trusted() {
    let server = Server::start(&["127.0.0.1"], unchanged);
    let other = Server::start(&["127.0.0.1"], unchanged);
    let url = format!("https://127.0.0.1:{}/", server.port);
    assert_eq!(try_it(&url, other.trusted()), Err(Reason::UnknownIssuer), "a namesake");
    assert_eq!(try_it(&url, Vec::new()), Err(Reason::UnknownIssuer));
}

#[test]
fn a_certificate_that_is_trusted_itself_needs_no_authority_but_must_fit() {
    let server = Server::on_its_own(&["127.0.0.1"], unchanged);
    let url = format!("https://127.0.0.1:{}/", server.port);
    assert_eq!(try_it(&url, server.trusted()), Ok(()));
    let other = Server::on_its_own(&["127.0.0.1"], unchanged);
    assert_eq!(try_it(&url, other.trusted()), Err(Reason::UnknownIssuer), "a namesake");
    let foreign = Server::on_its_own(&["falcosidekick.example"], unchanged);
    let reason = try_it(&format!("https://127.0.0.1:{}/", foreign.port), foreign.trusted()).unwrap_err();
    assert!(matches!(reason, Reason::WrongName(_)), "{reason:?}");
    for (since, until, expected) in [(2020, 2021, Reason::Expired), (4000, 4001, Reason::NotYetValid)] {
        let server = Server::on_its_own(&["127.0.0.1"], |parameters| {
            parameters.not_before = date_time_ymd(since, 1, 1);
            parameters.not_after = date_time_ymd(until, 1, 1);
        });
        let url = format!("https://127.0.0.1:{}/", server.port);
        assert_eq!(try_it(&url, server.trusted()), Err(expected));
    }
}

#[test]
fn a_closed_port_refuses() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for scheme in ["http", "https"] {
        let url = format!("{scheme}://127.0.0.1:{port}/");
        assert_eq!(try_it(&url, Vec::new()), Err(Reason::Refused));
    }
}

#[test]
fn a_server_that_says_nothing_does_not_hold_the_hook() {
    let port = listen(|mut stream| drop(stream.read_to_end(&mut Vec::new())));
    let url = format!("https://127.0.0.1:{port}/");
    let failure = try_within(&url, Vec::new(), Duration::from_millis(200)).unwrap_err();
    assert_eq!(failure.reason, Reason::TimedOut);
    // Plain HTTP is content with the connection.
    assert_eq!(try_it(&format!("http://127.0.0.1:{port}/"), Vec::new()), Ok(()));
}

#[test]
fn a_server_without_tls_and_one_that_hangs_up_are_told() {
    use std::io::Write;
    let port = listen(|mut stream| {
        let _ = stream.read(&mut [0; 16]);
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
        // What is left unread would reset the connection, and take the answer along.
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let _ = stream.read_to_end(&mut Vec::new());
    });
    assert_eq!(try_it(&format!("https://127.0.0.1:{port}/"), Vec::new()), Err(Reason::NotTls));
    let port = listen(drop);
    let reason = try_it(&format!("https://127.0.0.1:{port}/"), Vec::new()).unwrap_err();
    assert_eq!(reason, Reason::Tls("the server closes the connection".into()));
}

#[test]
fn a_name_that_does_not_exist_cannot_be_resolved() {
    // With an empty label it is none that anybody asks a server for.
    assert_eq!(try_it("https://falcosidekick..invalid/", Vec::new()), Err(Reason::Unresolvable));
}

#[test]
fn what_somebody_has_to_repair_blocks_and_what_may_pass_does_not() {
    let status = |reason| Failure { address: "h:2801".into(), reason }.status();
    for reason in
        [Reason::NotTls, Reason::WrongName(Vec::new()), Reason::Expired, Reason::NotYetValid, Reason::UnknownIssuer]
    {
        assert!(matches!(status(reason.clone()), Status::Blocked(_)), "{reason:?}");
    }
    for reason in [Reason::Unresolvable, Reason::Refused, Reason::TimedOut, Reason::Tls("odd".into())] {
        assert!(matches!(status(reason.clone()), Status::Active(_)), "{reason:?}");
    }
}

#[test]
fn every_failure_names_the_endpoint_and_the_address_and_fits_into_a_status() {
    for reason in [
        Reason::Unresolvable,
        Reason::Refused,
        Reason::TimedOut,
        Reason::Unreachable("no route to host".into()),
        Reason::NotTls,
        Reason::WrongName(Vec::new()),
        Reason::Expired,
        Reason::NotYetValid,
        Reason::UnknownIssuer,
        Reason::Tls("bad record".into()),
    ] {
        let text = Failure { address: "h:2801".into(), reason }.to_string();
        assert!(text.starts_with("http-endpoint: h:2801 ") && text.len() < 200, "{text}");
    }
}
