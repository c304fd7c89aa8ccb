//! What surrounds a case: its files, ports, certificates and the sinks for its alerts.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::PathBuf;

use charm_tests::certificates::Authority;
use charm_tests::http_sink::{Manner, Sink};
use charm_tests::ports::free_port;
use tempfile::TempDir;

use super::syslog::Syslog;
use super::{Subject, places};
use crate::recording::{Places, Recording};

/// What surrounds a case.
#[derive(Debug)]
pub struct World {
    /// The program.
    pub program: PathBuf,
    /// The stand-in says more about itself than the real program can be made to.
    pub is_real: bool,
    /// Variables of the case.
    pub environment: BTreeMap<String, String>,
    /// Values of placeholders.
    pub places: Places,
    /// Certificates.
    pub authority: Authority,
    /// Sinks by placeholder.
    pub sinks: Vec<(&'static str, Sink)>,
    /// The socket that stands for `/dev/log`.
    pub syslog: Syslog,
    /// The kernel does not let the probe in.
    pub without_probe: bool,
    folder: TempDir,
    _taken: Vec<TcpListener>,
}

/// Cases in which another program has the port.
const BUSY: &[&str] = &["dryrun_port_busy", "webserver_port_busy", "webserver_port_busy_modern_ebpf"];

/// Cases in which the kernel does not let the probe in.
const NO_PROBE: &[&str] = &["no_capabilities"];

impl World {
    /// Builds everything and writes the files of the case.
    pub fn build(subject: &Subject, case: &Recording) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let authority = Authority::create();
        let mut places = places(subject, folder.path());
        places.set("<certs>", authority.folder().display().to_string());
        let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
        places.set("<taken>", taken.local_addr().expect("an address").port().to_string());
        let mut listeners = vec![taken];
        for placeholder in ["<port>", "<newport>", "<audit>"] {
            places.set(placeholder, free_port().to_string());
        }
        if BUSY.contains(&case.name.as_str()) {
            listeners.push(TcpListener::bind(("127.0.0.1", places.port("<port>"))).expect("a free port"));
        }
        if case.name == "k8saudit_port_busy" {
            listeners.push(TcpListener::bind(("127.0.0.1", places.port("<audit>"))).expect("a free port"));
        }
        let sinks = sinks(case, &authority);
        match case.name.as_str() {
            "http_refused" | "http_down_then_up" => places.set("<sink>", free_port().to_string()),
            _ => sinks.iter().for_each(|(name, sink)| places.set(name, sink.port().to_string())),
        }
        let syslog = Syslog::listen(&folder.path().join("log.socket")).expect("a new socket");
        let world = Self {
            program: subject.program(),
            is_real: subject.is_real,
            environment: case.map("env"),
            places,
            authority,
            sinks,
            syslog,
            without_probe: NO_PROBE.contains(&case.name.as_str()),
            folder,
            _taken: listeners,
        };
        std::fs::write(world.authority.path("vmlinux"), []).expect("a new file");
        world.write_files(case);
        world
    }

    /// The socket that stands for `/dev/log`.
    pub fn syslog_path(&self) -> PathBuf {
        self.folder.path().join("log.socket")
    }

    /// The file that stands for the types of the kernel, which the probe needs.
    pub fn types_path(&self) -> PathBuf {
        self.authority.path(if self.without_probe { "no-such-file" } else { "vmlinux" })
    }

    /// A file of the case.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The text of a file of the case.
    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Writes a file in place.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).expect("a new folder");
        }
        std::fs::write(path, self.places.fill(text)).unwrap_or_else(|error| panic!("{name}: {error}"));
    }

    /// Puts a file in place by renaming. It is made in a folder that nobody watches.
    pub fn rename_into_place(&self, name: &str, text: &str) {
        let aside = self.authority.path("aside");
        std::fs::write(&aside, self.places.fill(text)).expect("a new file");
        std::fs::rename(&aside, self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    }

    /// A sink of the case.
    pub fn sink(&self, placeholder: &str) -> &Sink {
        let found = self.sinks.iter().find(|(name, _)| *name == placeholder);
        &found.unwrap_or_else(|| panic!("{placeholder} is no sink of this case")).1
    }

    fn write_files(&self, case: &Recording) {
        for (name, text) in case.map("files") {
            self.write(&name, &text);
        }
        for name in ["canary.txt", "canary2.txt"] {
            self.write(name, "canary\n");
        }
        for folder in ["rules.d", "config.d"] {
            std::fs::create_dir_all(self.path(folder)).expect("a new folder");
        }
        if case.name == "https_ca_renewed" {
            self.write("ca.pem", &self.authority.read("otherca.pem"));
        }
    }
}

fn sinks(case: &Recording, authority: &Authority) -> Vec<(&'static str, Sink)> {
    let good = || Sink::start(Manner::status(200), None);
    let second = good();
    let name = case.name.as_str();
    let first = match name {
        "http_500" => Sink::start(Manner::status(500), None),
        "http_redirect" => {
            let to = format!("http://127.0.0.1:{}/", second.port());
            Sink::start(Manner::Redirect { status: 302, from: None, to, rest: 200 }, None)
        }
        "http_hang" | "http_hang_then_close" | "reload_while_sink_hangs" => Sink::start(Manner::Hang, None),
        "https_to_http" => Sink::start(Manner::Deaf, None),
        "https_wrong_name" => Sink::start(Manner::status(200), Some(authority.server_as("elsewhere", false))),
        "http_echo_compress" => Sink::start(Manner::Answer(vec![(200, "thank you".into())]), None),
        _ if name.starts_with("https_") => {
            let mutual = name.starts_with("https_mtls");
            Sink::start(Manner::status(200), Some(authority.server(mutual)))
        }
        _ => good(),
    };
    vec![("<sink2>", second), ("<sink>", first)]
}
