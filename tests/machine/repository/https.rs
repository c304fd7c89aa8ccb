//! Over HTTPS: git's own server program behind a TLS server that asks for a login, or not.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use charm_tests::git_server::{GitServer, Repository, SilentServer};
use charm_tests::juju::{Event, Secret};
use charm_tests::stand_in::tls::{self, Identity};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::unit::{TOKEN, Unit, assert_blocked, assert_waiting};

/// A server of repositories over HTTPS. Its thread ends with the program.
struct HttpsServer {
    port: u16,
    certificate: String,
    /// The login that is wanted.
    login: Arc<Mutex<Option<String>>>,
    /// Has a login stood in the arguments of a process while it was used?
    leaked: Arc<AtomicBool>,
    /// Is everything elsewhere, as after a repository was renamed?
    moved: Arc<AtomicBool>,
}

impl HttpsServer {
    fn start(folder: &Path) -> Self {
        let certified = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let certificate = certified.cert.pem();
        let key = tls::key(certified.signing_key.serialize_pem().as_bytes()).unwrap();
        let identity = Identity { chain: tls::certificates(certificate.as_bytes()), key };
        let config = Arc::new(tls::server(identity, None).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self {
            port: listener.local_addr().unwrap().port(),
            certificate,
            login: Arc::default(),
            leaked: Arc::default(),
            moved: Arc::default(),
        };
        let connection = Connection {
            config,
            folder: folder.to_owned(),
            login: Arc::clone(&server.login),
            leaked: Arc::clone(&server.leaked),
            moved: Arc::clone(&server.moved),
        };
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let connection = connection.clone();
                // A client that does not trust us hangs up in the middle.
                thread::spawn(move || connection.serve(stream).ok());
            }
        });
        server
    }

    fn want(&self, login: &str) {
        *self.login.lock().unwrap() = Some(login.to_owned());
    }

    /// A unit that trusts the server and wants `repository`.
    fn unit(&self, repository: &Repository) -> Unit {
        let name = repository.path().file_name().unwrap().to_str().unwrap();
        let mut unit = Unit::new();
        unit.set("custom-config-repository", format!("git+https://127.0.0.1:{}/{name}", self.port));
        let file = unit.context.root().join("authority.pem");
        fs::write(&file, &self.certificate).unwrap();
        unit.context = unit.context.env("GIT_SSL_CAINFO", file.to_str().unwrap());
        unit
    }
}

#[derive(Clone)]
struct Connection {
    config: Arc<ServerConfig>,
    folder: PathBuf,
    login: Arc<Mutex<Option<String>>>,
    leaked: Arc<AtomicBool>,
    moved: Arc<AtomicBool>,
}

impl Connection {
    /// Answers one request.
    fn serve(&self, stream: std::net::TcpStream) -> std::io::Result<()> {
        let connection = ServerConnection::new(Arc::clone(&self.config)).map_err(std::io::Error::other)?;
        let mut stream = StreamOwned::new(connection, stream);
        let answer = self.answer(&mut BufReader::new(&mut stream))?;
        stream.write_all(&answer)?;
        stream.conn.send_close_notify();
        stream.flush()
    }

    fn answer(&self, request: &mut impl BufRead) -> std::io::Result<Vec<u8>> {
        let mut line = String::new();
        request.read_line(&mut line)?;
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let mut headers = BTreeMap::new();
        loop {
            line.clear();
            request.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            headers.insert(name.to_lowercase(), value.to_owned());
        }
        let mut body = Vec::new();
        let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        request.take(length).read_to_end(&mut body)?;
        if let Some(login) = &*self.login.lock().unwrap() {
            let secret = STANDARD.encode(login);
            if headers.get("authorization").is_none_or(|header| *header != format!("Basic {secret}")) {
                let text = "WWW-Authenticate: Basic realm=\"git\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
                return Ok(format!("HTTP/1.1 401 Unauthorized\r\n{text}").into());
            }
            let password = login.split_once(':').unwrap().1;
            if [password, &secret].into_iter().any(stands_in_an_argument) {
                self.leaked.store(true, Ordering::SeqCst);
            }
        }
        if self.moved.load(Ordering::SeqCst) {
            let text = "Location: https://127.0.0.1:1/elsewhere\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            return Ok(format!("HTTP/1.1 301 Moved Permanently\r\n{text}").into());
        }
        Ok(self.backend(&words, &headers, body))
    }

    fn backend(&self, words: &[String], headers: &BTreeMap<String, String>, body: Vec<u8>) -> Vec<u8> {
        let (path, query) = words[1].split_once('?').unwrap_or((&words[1], ""));
        let header = |name: &str| headers.get(name).cloned().unwrap_or_default();
        let mut child = Command::new("git")
            .arg("http-backend")
            .env("GIT_PROJECT_ROOT", &self.folder)
            .env("GIT_HTTP_EXPORT_ALL", "1")
            .env("REQUEST_METHOD", &words[0])
            .env("PATH_INFO", path)
            .env("QUERY_STRING", query)
            .env("CONTENT_TYPE", header("content-type"))
            .env("CONTENT_LENGTH", body.len().to_string())
            .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
            .env("GIT_PROTOCOL", header("git-protocol"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut pipe = child.stdin.take().unwrap();
        thread::spawn(move || pipe.write_all(&body));
        let said = child.wait_with_output().unwrap().stdout;
        let end = said.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
        let head = String::from_utf8_lossy(&said[..end]).into_owned();
        let status = head.lines().find_map(|line| line.strip_prefix("Status: ")).unwrap_or("200 OK").to_owned();
        let length = said.len() - end - 4;
        let head = format!("HTTP/1.1 {status}\r\n{head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
        [head.as_bytes(), &said[end + 4..]].concat()
    }
}

/// Can a process of this machine be seen to have this in its arguments?
fn stands_in_an_argument(text: &str) -> bool {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    processes.into_iter().any(|process| {
        let line = fs::read(process.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(text)
    })
}

fn served() -> (GitServer, Repository, HttpsServer, String) {
    let files = GitServer::start();
    let repository = files.repository("settings");
    let commit = repository.commit_files(&[("rules.d/a.yaml", "one")]);
    let server = HttpsServer::start(repository.path().parent().unwrap());
    (files, repository, server, commit)
}

#[test]
#[ignore = "needs sshd: make test-machine"]
fn a_public_repository_needs_no_login() {
    let (_files, repository, server, commit) = served();
    let mut unit = server.unit(&repository);
    assert_eq!(unit.changed(), format!("active: {commit}"));
    assert_eq!(unit.file("rules.d/a.yaml"), "one");
    assert_eq!(unit.names(), [&format!("{commit}.git"), "memory.json"]);
    let commit = repository.commit_files(&[("rules.d/a.yaml", "two")]);
    assert_eq!(unit.update(), format!("active: {commit}"));
}

#[test]
#[ignore = "needs sshd: make test-machine"]
fn a_token_lets_in_and_stands_in_no_argument_and_in_no_file() {
    let (_files, repository, server, commit) = served();
    server.want("x-access-token:hunter2hunter2");
    let mut unit = server.unit(&repository);
    assert_blocked(&unit.changed(), "custom-config-repository", "set custom-config-repo-token");
    unit.set("custom-config-repo-token", format!("secret:{TOKEN}"));
    unit.state = unit.state.clone().secret(Secret::user(TOKEN, "settings").revision([("value", "hunter2hunter2\n")]));
    assert_eq!(unit.changed(), format!("active: {commit}"));
    for name in unit.names() {
        let found = Command::new("grep").args(["-r", "hunter2"]).arg(unit.folder().join(&name)).output().unwrap();
        assert_eq!(found.status.code(), Some(1), "{name}");
    }
    // Some hosts have a user for each token.
    server.want("deploy:hunter3hunter3");
    let commit = repository.commit_files(&[("rules.d/a.yaml", "two")]);
    assert_blocked(&unit.update(), "custom-config-repo-token", "does not accept the token");
    assert_eq!(unit.file("rules.d/a.yaml"), "one");
    unit.rotate(TOKEN, "deploy:hunter3hunter3");
    assert_eq!(unit.run(&Event::secret_changed(TOKEN)), format!("active: {commit}"));
    assert!(!server.leaked.load(Ordering::SeqCst), "the token stood in the arguments of a process");
}

#[test]
#[ignore = "needs sshd: make test-machine"]
fn what_does_not_prove_who_it_is_and_what_sends_us_elsewhere_is_not_followed() {
    let (_files, repository, server, _) = served();
    let mut unit = server.unit(&repository);
    server.moved.store(true, Ordering::SeqCst);
    assert_blocked(&unit.changed(), "custom-config-repository", "the repository is elsewhere");
    let other = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    fs::write(unit.context.root().join("authority.pem"), other.cert.pem()).unwrap();
    assert_blocked(&unit.changed(), "custom-config-repository", "does not trust the certificate");
    unit.set("custom-config-repository", "git+https://127.0.0.1:1/settings");
    assert_waiting(&unit.changed(), "cannot reach 127.0.0.1");
}

#[test]
#[ignore = "needs sshd: make test-machine"]
fn a_server_that_accepts_and_hangs_is_waited_for_and_not_for_long() {
    let silent = SilentServer::start();
    let mut unit = Unit::new();
    unit.set("custom-config-repository", format!("git+https://127.0.0.1:{}/settings", silent.port()));
    let started = Instant::now();
    assert_waiting(&unit.changed(), "127.0.0.1 did not answer within 10 s");
    assert!(started.elapsed() < Duration::from_secs(25), "{:?}", started.elapsed());
}

#[test]
#[ignore = "needs sshd: make test-machine"]
fn a_key_does_not_outlive_the_change_to_https() {
    let (files, repository, server, commit) = served();
    let mut unit = Unit::of(&files, &repository, "@main");
    unit.changed();
    assert!(unit.names().contains(&"key".to_owned()));
    let https = server.unit(&repository);
    unit.set("custom-config-repository", https.state.config["custom-config-repository"].clone());
    unit.context = unit.context.env("GIT_SSL_CAINFO", https.context.root().join("authority.pem").to_str().unwrap());
    assert_eq!(unit.changed(), format!("active: {commit}"));
    assert_eq!(unit.names(), [&format!("{commit}.git"), "memory.json"]);
}
