//! Hosts of several kinds, and what a charm before this one left on them.

use std::fs;
use std::os::unix::net::UnixListener;

use charm_tests::falco_host::{FalcoHost, UNIT, sidekick};
use charm_tests::juju::{Event, Secret};
use charm_tests::machine::Action;

use crate::world::{run, run_once, settled, settled_from};

const CONFIG: &str = "/etc/juju-falco/falco.yaml";

#[test]
fn a_host_that_cannot_be_watched_is_blocked_and_nothing_is_installed() {
    for (file, text, named) in [
        ("/proc/sys/kernel/osrelease", "5.4.0-216-generic\n", "modern_ebpf needs 5.8"),
        ("/proc/1/uid_map", "0 1000000 1000000000\n", "unprivileged container guest"),
        ("/proc/1/status", "CapBnd:\t0000000000000000\n", "CAP_BPF, CAP_PERFMON"),
    ] {
        let host = FalcoHost::new();
        host.machine.write(file, text, 0o644).unwrap();
        let state = run(&host, &Event::install(), &host.fresh());
        assert_eq!(state.unit_status.name, "blocked", "{file}: {}", state.unit_status);
        assert!(state.unit_status.message.contains(named), "{file}: {}", state.unit_status);
        assert!(!host.machine.path("/opt/juju-falco").exists(), "{file}");
        let state = run(&host, &Event::config_changed(), &state.config("engine", "nodriver"));
        assert_eq!(state.unit_status.name, "active", "{file}: nodriver needs none of it: {}", state.unit_status);
    }
}

#[test]
fn a_kubernetes_node_is_named_in_alerts_and_its_runtime_is_told_to_the_plugin() {
    let (host, state) = settled();
    host.machine.write("/var/lib/kubelet/config.yaml", "", 0o644).unwrap();
    host.machine.write("/proc/sys/kernel/hostname", "node-7\n", 0o644).unwrap();
    let socket = host.machine.path("/run/containerd/containerd.sock");
    fs::create_dir_all(socket.parent().unwrap()).unwrap();
    let _listener = UnixListener::bind(&socket).unwrap();
    let before = host.actions().len();
    run(&host, &Event::update_status(), &state);
    assert_eq!(host.actions()[before..], [Action::Reload]);
    let config = host.text(CONFIG);
    assert!(config.contains("k8s_node_name: node-7") && config.contains("/run/containerd/containerd.sock"), "{config}");
}

#[test]
fn alerts_that_do_not_arrive_are_a_remark_until_they_do() {
    let (host, state) = settled_from(|host| host.related("http://127.0.0.1:9/"));
    host.read_sensitive_file();
    let words = "alerts do not arrive";
    let state = charm_tests::falco_host::eventually("the complaint of Falco", || {
        let state = run_once(&host, &Event::update_status(), &state).state;
        state.unit_status.message.contains(words).then_some(state)
    });
    assert_eq!(state.unit_status.name, "active", "{}", state.unit_status);
    let sink = charm_tests::sink::Sink::start();
    let mut state = state;
    state.relations.retain(|relation| relation.endpoint != "http-endpoint");
    let state = state.relation(sidekick().remote_app("url", format!("\"{}\"", sink.url())));
    let state = run_once(&host, &Event::config_changed(), &state).state;
    let state = run_once(&host, &Event::update_status(), &state).state;
    assert!(!state.unit_status.message.contains(words), "{}", state.unit_status);
}

#[test]
fn a_reload_that_failed_is_told_to_the_receiver_whatever_the_priority_and_without_labels() {
    let sink = charm_tests::sink::Sink::start();
    let mine = "- macro: mine\n  condition: proc.name = mine\n";
    let (host, state) = settled_from(|host| host.related(&sink.url()).config("rules", mine));
    let state = run(&host, &Event::config_changed(), &state.config("priority", "emergency"));
    // Somebody changes on the machine what the charm has written.
    let config = host.text(CONFIG);
    let rules = config.lines().find_map(|line| line.trim().strip_prefix("- ").filter(|it| it.ends_with("/rules.yaml")));
    fs::write(rules.expect("the file of the option"), "- rule: no rule\n").unwrap();
    let alert = charm_tests::falco_host::eventually("the alert", || {
        sink.received().into_iter().find(|alert| alert["rule"] == "Falco internal: hot restart failure")
    });
    assert_eq!((&alert["priority"], &alert["source"]), (&"Critical".into(), &"internal".into()));
    assert!(alert["output_fields"].get("juju_unit").is_none() && alert["hostname"].is_string(), "{alert}");
    let process = host.machine.main_pid(UNIT);
    run_once(&host, &Event::update_status(), &state);
    assert_eq!(host.machine.main_pid(UNIT), process, "Falco goes on with what it had");
}

#[test]
fn what_the_python_charm_left_is_taken_over_in_one_hook_and_only_what_is_its_own_goes() {
    const KEY: &str = "9m4e2mr0ui3e8a215n4g";
    let host = FalcoHost::new();
    let folder = host.context.charm_dir().join("falco");
    fs::create_dir_all(folder.join("etc/falco")).unwrap();
    fs::write(folder.join("etc/falco/falco.yaml"), "config_files: []\n").unwrap();
    let repository = "git+ssh://git@git.example.com/org/rules.git";
    let git = format!("[remote \"origin\"]\n\turl = {repository}\n");
    for (path, text) in [
        ("/root/custom-falco-config-repository/.git/config", git.as_str()),
        ("/root/.ssh/id_rsa", "the key\n"),
        ("/root/.ssh/known_hosts", "git.example.com ssh-rsa AAAA\n"),
        ("/root/.ssh/authorized_keys", "of somebody else\n"),
    ] {
        host.machine.write(path, text, 0o600).unwrap();
    }
    let state = host
        .fresh()
        .config("custom-config-repository", repository)
        .config("custom-config-repo-ssh-key", format!("secret:{KEY}"))
        .secret(Secret::user(KEY, "falco").revision([("value", "the key")]));
    let outcome = run_once(&host, &Event::upgrade_charm(), &state);
    assert!(host.machine.is_active(UNIT), "{}", outcome.report());
    assert_eq!(host.count(Action::Start) + host.count(Action::Restart), 1);
    for gone in ["/root/custom-falco-config-repository", "/root/.ssh/id_rsa"] {
        assert!(!host.machine.path(gone).exists(), "{gone}");
    }
    for left in ["/root/.ssh/known_hosts", "/root/.ssh/authorized_keys"] {
        assert!(host.machine.path(left).exists(), "{left}");
    }
    assert!(!folder.exists());
    run(&host, &Event::config_changed(), &outcome.state);
}
