use charm_core::systemd;

use super::*;
use crate::distribution::Available;
use crate::world::topology;

const SECRET_ID: &str = "secret:9m4e2mr0ui3e8a215n4g";

fn distribution(plugin: bool, json: bool) -> Distribution {
    let audit = Carried { plugin, json, rules: false };
    Distribution { name: "0.44.1-0123456789ab".into(), container_plugin: true, audit }
}

fn certificate(name: &str) -> File {
    File { path: format!("{K8S_AUDIT_FOLDER}/{name}.pem"), mode: 0o600, content: name.as_bytes().to_vec() }
}

fn identity(name: &str) -> Identity {
    Identity { file: certificate(name), remark: None }
}

/// A machine that has all that is needed.
fn facts() -> Facts {
    let mut facts = Facts {
        topology: topology(),
        available: Available::Installed(distribution(true, true)),
        k8s_audit: Some(Ok(identity("new"))),
        ..Facts::default()
    };
    facts.config =
        [("k8s-audit", serde_json::Value::from(true)), ("k8s-audit-secret", SECRET_ID.into())].into_iter().collect();
    facts
}

/// Falco listens on this address with the certificate `old`.
fn listening(mut facts: Facts, address: &str) -> Facts {
    let content = format!(
        "plugins:\n- name: k8saudit\n  init_config:\n    sslCertificate: {}\n  open_params: https://{address}/k8s-audit\n",
        certificate("old").path
    );
    let file = File { path: CONFIG_FILE.to_owned(), mode: 0o600, content: content.into_bytes() };
    facts.machine.files.insert(CONFIG_FILE, file);
    facts.machine.service =
        systemd::Unit { active_state: "active".into(), main_pid: Some(7), ..systemd::Unit::default() };
    facts.machine.audit.stored.insert(certificate("old").path, certificate("old"));
    facts
}

fn chosen(facts: &Facts, distribution: &Distribution) -> (Option<Listener>, String) {
    let mut notes = Vec::new();
    let listener = choose(facts, &facts.config().unwrap(), distribution, &mut notes);
    (listener, notes.iter().map(Status::to_string).collect::<Vec<_>>().join("\n"))
}

fn shown(facts: &Facts) -> (Option<(String, String)>, String) {
    let (listener, notes) = chosen(facts, &distribution(true, true));
    (listener.map(|listener| (listener.address.to_string(), listener.certificate)), notes)
}

#[test]
fn with_all_there_is_falco_listens_where_the_option_says_and_nothing_is_to_be_told() {
    let (listener, notes) = chosen(&facts(), &distribution(true, true));
    let listener = listener.unwrap();
    assert_eq!((listener.url().as_str(), notes.as_str()), ("https://127.0.0.1:9765/k8s-audit", ""));
    assert_eq!(listener.files.len(), 2, "the certificate and the rules of the charm");
}

#[test]
fn a_certificate_that_ends_soon_is_used_and_told() {
    let mut facts = facts();
    facts.k8s_audit = Some(Ok(Identity { remark: Some("k8s-audit-secret: ends soon".into()), ..identity("new") }));
    let (listener, notes) = shown(&facts);
    assert_eq!(listener.map(|(_, path)| path), Some(certificate("new").path));
    assert_eq!(notes, "active: k8s-audit-secret: ends soon");
}

#[test]
fn a_distribution_without_a_plugin_is_named_with_what_it_lacks() {
    for (plugin, json, named) in [
        (false, true, "without libk8saudit.so;"),
        (true, false, "without libjson.so;"),
        (false, false, "without libk8saudit.so and libjson.so;"),
    ] {
        let (listener, notes) = chosen(&facts(), &distribution(plugin, json));
        assert_eq!(listener, None);
        assert!(notes.contains("k8s-audit: Falco 0.44.1 comes") && notes.contains(named), "{notes}");
    }
}

#[test]
fn rules_of_the_distribution_go_before_those_of_the_charm() {
    let mut distribution = distribution(true, true);
    distribution.audit.rules = true;
    let listener = chosen(&facts(), &distribution).0.unwrap();
    assert!(listener.rules.starts_with("/opt/juju-falco/") && listener.files.len() == 1, "{listener:?}");
}

#[test]
fn what_is_wrong_with_the_secret_keeps_the_certificate_before_or_leaves_out_the_listener() {
    let mut facts = facts();
    facts.k8s_audit = Some(Err(Status::Blocked("k8s-audit-secret: not granted".into())));
    let (listener, notes) = shown(&facts);
    assert_eq!(listener, None);
    assert!(notes.contains("k8s-audit-secret: not granted; Falco goes on without"), "{notes}");
    let (listener, notes) = shown(&listening(facts, "127.0.0.1:9765"));
    assert_eq!(listener, Some(("127.0.0.1:9765".into(), certificate("old").path)));
    assert!(notes.contains("not granted; the certificate before stays in use"), "{notes}");
}

#[test]
fn without_the_option_the_certificate_before_is_gone_as_well() {
    let mut facts = listening(facts(), "127.0.0.1:9765");
    facts.config = [("k8s-audit", true)].into_iter().collect();
    facts.k8s_audit = None;
    let (listener, notes) = shown(&facts);
    assert_eq!(listener, None);
    assert!(notes.contains("k8s-audit-secret: set it to a secret"), "{notes}");
}

#[test]
fn an_address_that_cannot_be_had_keeps_the_one_before_or_leaves_out_the_listener() {
    let mut facts = facts();
    facts.machine.audit.unusable = Some("127.0.0.1:9765 is taken by another program".into());
    let (listener, notes) = shown(&facts);
    assert_eq!(listener, None);
    assert!(notes.contains("k8s-audit-address: 127.0.0.1:9765 is taken"), "{notes}");
    let (listener, notes) = shown(&listening(facts, "127.0.0.1:9999"));
    assert_eq!(listener, Some(("127.0.0.1:9999".into(), certificate("new").path)));
    assert!(notes.contains("the address before stays in use"), "{notes}");
}

#[test]
fn an_address_is_tried_unless_falco_itself_listens_there() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    assert!(unusable(address, None).unwrap().contains("is taken by another program"));
    assert_eq!(unusable(address, Some(address)), None);
    let everywhere = SocketAddr::from(([0, 0, 0, 0], address.port()));
    assert_eq!(unusable(everywhere, Some(address)), None, "Falco lets go of its port when it moves");
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    assert_eq!(unusable(any, None), None);
    assert!(unusable("192.0.2.1:9765".parse().unwrap(), None).unwrap().contains("no address of this machine"));
}

#[test]
fn a_port_is_opened_only_for_an_address_that_others_can_reach() {
    for (address, port) in
        [("127.0.0.1:9765", None), ("[::1]:9765", None), ("0.0.0.0:9765", Some(9765)), ("[2001:db8::7]:1", Some(1))]
    {
        let facts = listening(facts(), address);
        assert_eq!(port_to_open(&facts.machine.files[CONFIG_FILE].content), port, "{address}");
    }
    assert_eq!(port_to_open(b"plugins: []\n"), None);
}

#[test]
fn only_what_falco_yaml_names_stays_in_the_folder() {
    let facts = listening(facts(), "127.0.0.1:9765");
    let found = &facts.machine.audit;
    let of = |text: &str| Change::of(found, None, text.as_bytes()).remove;
    assert_eq!(of(&certificate("old").path), Vec::<String>::new());
    assert_eq!(of("plugins: []"), [certificate("old").path]);
    let listener = chosen(&facts, &distribution(true, true)).0.unwrap();
    let change = Change::of(found, Some(&listener), listener.certificate.as_bytes());
    assert_eq!((change.write.len(), change.remove), (2, vec![certificate("old").path]));
}

#[test]
fn a_file_that_others_can_read_is_written_again() {
    let mut facts = listening(facts(), "127.0.0.1:9765");
    facts.k8s_audit = Some(Ok(identity("old")));
    let listener = chosen(&facts, &distribution(true, true)).0.unwrap();
    let written = |facts: &Facts| Change::of(&facts.machine.audit, Some(&listener), b"").write.len();
    assert_eq!(written(&facts), 1, "the rules");
    facts.machine.audit.stored.get_mut(&certificate("old").path).unwrap().mode = 0;
    assert_eq!(written(&facts), 2);
}
