//! What the falco charm writes.

use std::fs;
use std::path::PathBuf;

use charm_core::config::RawConfig;
use charm_core::files::File;
use charm_core::topology::Topology;
use charm_tests::authority::{Authority, Days};
use charm_tests::falco_distribution::{Flaw, Options, tarball};
use charm_tests::falco_host::{FalcoHost, UNIT, sidekick};
use charm_tests::golden::assert_golden;
use charm_tests::juju::{Event, Relation, State};
use charm_tests::machine::Machine;
use charm_tests::ports::free_port;
use charm_tests::sink::Sink;
use falco_charm::config::Config;
use falco_charm::containers::Containers;
use falco_charm::decide::{Seen, decide};
use falco_charm::distribution::{Available, Distribution};
use falco_charm::facts::Facts;
use falco_charm::generation::Generation;
use falco_charm::k8s_audit::{Carried, Listener};
use falco_charm::paths::{CONFIG_FILE, DISTRIBUTIONS, K8S_AUDIT_FOLDER, UNIT_FILE};
use falco_charm::render::unit::{DIGEST_VARIABLE, unit_file};
use falco_charm::render::{Inputs, falco_yaml};
use serde_json::json;

use crate::situations::{Situations, replace_program};

const URL: &str = "https://sidekick.example/model-sidekick";

/// The distribution of a unit in production: the version and the beginning of a digest.
fn distribution() -> Distribution {
    Distribution { name: "0.44.1-0123456789ab".into(), container_plugin: true, ..Distribution::default() }
}

fn topology(state: &State) -> Topology {
    Topology {
        model: state.model.name.clone(),
        model_uuid: state.model.uuid.clone(),
        application: "falco".into(),
        unit: "falco/0".into(),
        charm_name: "falco".into(),
    }
}

/// What is rendered without any option, for a unit in production.
fn with_inputs<T>(state: &State, distribution: &Distribution, render: impl FnOnce(&Inputs<'_>) -> T) -> T {
    render(&Inputs {
        config: &Config::parse(&RawConfig::default()).unwrap(),
        topology: &topology(state),
        root: "",
        distribution,
        containers: &Containers::default(),
        generation: &Generation::default(),
        audit: None,
        url: None,
        authorities: None,
    })
}

/// A host on which the charm was installed, from this state.
fn installed(state: impl FnOnce(&FalcoHost) -> State) -> (FalcoHost, State) {
    let host = FalcoHost::new();
    let state = host.run(&Event::install(), &state(&host)).state;
    assert_eq!(state.unit_status.name, "active", "{}", state.unit_status);
    (host, state)
}

/// A file as the hook left it, with the names of a unit in production.
fn in_production(host: &FalcoHost, path: &str) -> String {
    let installed = fs::read_dir(host.machine.path(DISTRIBUTIONS)).unwrap().map(|entry| entry.unwrap());
    let installed = installed.filter(|entry| entry.file_type().unwrap().is_dir()).map(|entry| entry.file_name());
    let name = installed.last().unwrap().into_string().unwrap();
    host.text(path)
        .replace(host.machine.root().to_str().unwrap(), "")
        .replace(&name, &distribution().name)
        .replace(&format!("listen_port: {}\n", host.port), "listen_port: 8765\n")
}

#[test]
fn falco_yaml_without_a_relation() {
    let (host, _) = installed(FalcoHost::fresh);
    assert_golden("falco/falco.yaml", &in_production(&host, CONFIG_FILE));
}

#[test]
fn falco_yaml_with_a_url() {
    let (host, _) = installed(|host| host.related(URL));
    assert_golden("falco/falco-with-url.yaml", &in_production(&host, CONFIG_FILE));
}

#[test]
fn falco_yaml_with_a_listener_for_audit_events() {
    let certificate = File { path: format!("{K8S_AUDIT_FOLDER}/0123456789ab.pem"), mode: 0o600, content: Vec::new() };
    let carried = Carried { plugin: true, json: true, rules: true };
    let distribution = Distribution { audit: carried, ..distribution() };
    let listener = Listener::new("0.0.0.0:9765".parse().unwrap(), certificate, &distribution, None);
    let text = with_inputs(&State::default(), &distribution, |inputs| {
        falco_yaml::falco_yaml(&Inputs { audit: Some(&listener), ..*inputs })
    });
    assert_golden("falco/falco-with-k8s-audit.yaml", &text);
}

/// No hook would leave it: the default rules need the plugin. It is for distributions with rules of their own.
#[test]
fn falco_yaml_without_the_container_plugin() {
    let bare = Distribution { container_plugin: false, ..distribution() };
    let text = with_inputs(&State::default(), &bare, falco_yaml::falco_yaml);
    assert_golden("falco/falco-without-container-plugin.yaml", &text);
}

#[test]
fn the_unit_file() {
    let (host, state) = installed(FalcoHost::fresh);
    // The digest on the host covers the folder that stands for the root.
    let digest = with_inputs(&state, &distribution(), |inputs| unit_file(inputs).1);
    let text = in_production(&host, UNIT_FILE);
    let lines = text.lines().map(|line| match line.split_once(&format!("{DIGEST_VARIABLE}=")) {
        Some((before, _)) => format!("{before}{DIGEST_VARIABLE}={digest}\n"),
        None => format!("{line}\n"),
    });
    assert_golden("falco/falco.service", &lines.collect::<String>());
}

#[test]
fn statuses() {
    let mut list = Situations::default();
    before_anything_runs(&mut list);
    let (host, state) = installed(FalcoHost::fresh);
    on_a_host_that_runs(&mut list, &host, &state);
    assert_golden("falco/statuses.txt", list.text());
}

fn before_anything_runs(list: &mut Situations) {
    let host = FalcoHost::new();
    let fresh = host.fresh();
    let mut install = |situation: &str, host: &FalcoHost, state: &State| {
        list.add(situation, host.run(&Event::install(), state).state.unit_status);
    };
    let none = State { resources: [].into(), ..fresh.clone() };
    install("the charm was packed without Falco, and none is attached", &host, &none);
    let text = tarball(host.folder(), &Options { flaw: Some(Flaw::NoGzip), ..Options::default() });
    install("what is attached is no archive", &host, &fresh.clone().resource("falco", text));
    let packaged = FalcoHost::on(Machine::new().unwrap().with_falco_package().unwrap(), |context| context);
    install("the host has a Falco from a package", &packaged, &fresh);
    let foreign = FalcoHost::on(Machine::new().unwrap().with_foreign_unit().unwrap(), |context| context);
    install("the host has a falco.service that somebody else wrote", &foreign, &fresh);
}

fn on_a_host_that_runs(list: &mut Situations, host: &FalcoHost, state: &State) {
    list.add("installed, related to nobody", &state.unit_status);
    let status = host.second_unit("other").run(&Event::install(), &host.fresh()).success().unit_status;
    list.add("another application of the charm is on the same host", status);

    let related = |published: Option<&str>| {
        let published = published.iter().fold(sidekick(), |relation, url| relation.remote_app("url", *url));
        state.clone().relation(published)
    };
    let mut change = |situation: &str, state: &State| {
        list.add(situation, host.run(&Event::config_changed(), state).state.unit_status);
    };
    change("http-endpoint is related, nothing is published yet", &related(None));
    change("http-endpoint has published what is not JSON", &related(Some("http://sidekick:2801/")));
    change("http-endpoint has published a URL of another kind", &related(Some("\"ftp://sidekick/\"")));
    change("options are wrong", &state.clone().config("priority", "loud").config("metrics-port", 0));
    change_rules(&mut change, state);
    over_tls(list, host, state);
    in_trouble(list, host, state);
}

/// Of servers on loopback, as nobody knows what a name stands for where this runs.
fn over_tls(list: &mut Situations, host: &FalcoHost, state: &State) {
    let (authority, good) = (Authority::new("site"), Days(1, 30));
    let server = |names: &[&str], days| Sink::start_tls(authority.identity(names, days)).url();
    let mut change = |situation: &str, url: &str, ca: &str| {
        let published = sidekick().remote_app("url", json!(url).to_string()).remote_app("ca", json!(ca).to_string());
        let status = host.run(&Event::config_changed(), &state.clone().relation(published)).state.unit_status;
        let address = url.trim_start_matches("https://").trim_end_matches('/');
        list.add(situation, status.to_string().replace(address, "192.0.2.1:2801"));
    };
    let root = authority.root();
    let url = server(&["127.0.0.1"], good);
    change("http-endpoint has published its URL and its authority", &url, &root);
    change("the authority of Falcosidekick is another one", &url, &Authority::new("other").root());
    change("its certificate is for another name", &server(&["sidekick.example"], good), &root);
    change("its certificate has expired", &server(&["127.0.0.1"], Days(9, -1)), &root);
    change("its certificate is not valid yet", &server(&["127.0.0.1"], Days(-1, 9)), &root);
    change("nobody listens at its URL", "https://127.0.0.1:1/", &root);
    let garbage = Relation::new(5, "receive-ca-cert", "site").remote_app("certificates", "[\"garbage\"]");
    let status = host.run(&Event::config_changed(), &state.clone().relation(garbage)).state.unit_status;
    list.add("receive-ca-cert brings what is no certificate", status);
}

fn change_rules(change: &mut impl FnMut(&str, &State), state: &State) {
    let with = |option: &str, value: &str| state.clone().config(option, value);
    change("the address of the repository is none", &with("custom-config-repository", "git@h:r"));
    let private = with("custom-config-repository", "git+ssh://git@github.com/example/rules");
    change("the repository needs a key", &private);
    let unknown = with("custom-config-repository", "git+ssh://git@git.example/rules");
    change("the host of the repository is not known", &unknown.config("custom-config-repo-ssh-key", "secret:0"));
    change("there would be no rule at all", &state.clone().config("default-rules", false));
    change("an override is the charm's", &with("falco-config", "http_output: {insecure: true}"));
    change("an override has an option of its own", &with("falco-config", "priority: error"));
    change("an override needs allow-unsafe-overrides", &with("falco-config", "load_plugins: [json]"));
    change("an option names a rule that does not exist", &with("disabled-rules", "No Such Rule"));
    change("the engine sees nothing", &with("engine", "nodriver"));
    change("the only output would be off", &state.clone().config("syslog-output", false));
}

/// With words that are not Falco's own, so that they are the same with the real one.
fn in_trouble(list: &mut Situations, host: &FalcoHost, state: &State) {
    let port = free_port();
    let other_program = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    let taken = host.run(&Event::config_changed(), &state.clone().config("metrics-port", port)).state.unit_status;
    drop(other_program);
    list.add("another program has the port", taken.to_string().replace(&format!("port {port} "), "port 8765 "));

    host.run(&Event::config_changed(), state);
    replace_program(&program(host), "#!/bin/sh\necho 'Error: words of Falco' >&2\nexit 1\n");
    let status = host.run(&Event::config_changed(), &state.clone().config("priority", "error")).state.unit_status;
    list.add("Falco rejects the configuration that the charm made", status);
    host.machine.run(&["stop", UNIT]);
    list.add("Falco ends at once", host.run(&Event::update_status(), state).state.unit_status);

    // A hook would take half a minute to come to this conclusion.
    let facts = Facts { available: Available::Installed(distribution()), ..Facts::default() };
    let status = decide(&facts).unwrap().status(&Seen::NotServing("words of Falco".into()));
    list.add("Falco runs and does not answer", status);
}

fn program(host: &FalcoHost) -> PathBuf {
    let mut entries = fs::read_dir(host.machine.path(DISTRIBUTIONS)).unwrap().map(|entry| entry.unwrap().path());
    entries.find(|path| path.is_dir()).unwrap().join("usr/bin/falco")
}
