//! To the real rsyslog.

use std::fs;
use std::net::{TcpStream, UdpSocket};
use std::path::Path;
use std::process::Command;

use charm_tests::falco_host::eventually;
use charm_tests::ports::free_port;
use charm_tests::programs;
use charm_tests::server::Server;

use crate::sidekick::Sidekick;

/// rsyslog out of an unpacked package, with one input, and what came in a file.
fn start(folder: &Path, protocol: &str, port: u16) -> Server {
    let root = programs::given("RSYSLOG_ROOT").expect("RSYSLOG_ROOT names what tests/tools/debian prints");
    let library = fs::read_dir(root.join("usr/lib"))
        .unwrap()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.join("rsyslog").is_dir())
        .expect("a package of rsyslog has modules");
    let configuration = folder.join("rsyslog.conf");
    let text = format!(
        "module(load=\"im{protocol}\")\n\
         input(type=\"im{protocol}\" port=\"{port}\" address=\"127.0.0.1\")\n\
         template(name=\"parts\" type=\"string\" string=\"%syslogseverity-text% %programname% %msg%\\n\")\n\
         *.* action(type=\"omfile\" file=\"{}\" template=\"parts\")\n",
        folder.join("messages").display()
    );
    fs::write(&configuration, text).unwrap();
    let mut command = Command::new(root.join("usr/sbin/rsyslogd"));
    command
        .env_clear()
        .env("LD_LIBRARY_PATH", &library)
        .arg("-n")
        .args(["-i".as_ref(), folder.join("pid").as_os_str()])
        .args(["-f".as_ref(), configuration.as_os_str()])
        .args(["-M".as_ref(), library.join("rsyslog").as_os_str()]);
    let mut server = Server::start("rsyslog", &mut command, format!("127.0.0.1:{port}"), folder).unwrap();
    let address = server.address().to_owned();
    let is_ready = |_: &Server| match protocol {
        "tcp" => TcpStream::connect(&address).is_ok(),
        // Somebody else has it then.
        _ => UdpSocket::bind(&address).is_err(),
    };
    server.wait_until(is_ready).unwrap();
    server
}

#[track_caller]
fn assert_arrives(protocol: &str) {
    let folder = tempfile::Builder::new().prefix("rsyslog-").tempdir().unwrap();
    let port = free_port();
    let _rsyslog = start(folder.path(), protocol, port);
    let outputs = format!("syslog: {{host: 127.0.0.1, port: '{port}', protocol: {protocol}}}");
    let sidekick = Sidekick::with_outputs(&outputs);
    let mark = sidekick.alert();
    sidekick.assert_counters("syslog", (1, 0));
    let line = eventually("the alert", || {
        let messages = fs::read_to_string(folder.path().join("messages")).unwrap_or_default();
        messages.lines().find(|line| line.contains(&mark)).map(str::to_owned)
    });
    let body = line.strip_prefix("warning Falco ").unwrap_or_else(|| panic!("{line}"));
    let event: serde_json::Value = serde_json::from_str(body.trim()).unwrap();
    assert_eq!(event["output_fields"]["mark"], mark.as_str());
    assert_eq!(event["rule"], "Read sensitive file untrusted");
}

#[test]
#[ignore = "needs the real rsyslog: make test-systems"]
fn an_alert_arrives_over_tcp() {
    assert_arrives("tcp");
}

#[test]
#[ignore = "needs the real rsyslog: make test-systems"]
fn an_alert_arrives_over_udp() {
    assert_arrives("udp");
}
