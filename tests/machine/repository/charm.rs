//! The falco charm with a repository: what an operator pushes is what Falco loads, or the status says why not.

use charm_tests::crash::interrupt_everywhere;
use charm_tests::falco_host::{FalcoHost, UNIT};
use charm_tests::git_server::{GitServer, Repository};
use charm_tests::juju::{Event, Outcome, Secret, State};
use charm_tests::machine::Action;
use charm_tests::ports::free_port;

use super::unit::KEY;

const CONFIG: &str = "/etc/juju-falco/falco.yaml";
const FOLDER: &str = "/var/lib/juju-falco";

fn rule(name: &str) -> String {
    format!("- {{rule: {name}, desc: d, condition: evt.type = open, output: o, priority: INFO}}\n")
}

/// A host on which the charm was installed, and what the controller knows when the options name the repository.
fn host_and_state(port: u16, server: &GitServer, repository: &Repository) -> (FalcoHost, State) {
    let (host, state) = fresh(port, server, repository);
    let without = host.run(&Event::install(), &host.fresh()).state;
    assert_eq!(without.unit_status.name, "active", "{}", without.unit_status);
    (host, State { unit_status: without.unit_status, workload_version: without.workload_version, ..state })
}

/// A host on which nothing was done yet, and the same.
fn fresh(port: u16, server: &GitServer, repository: &Repository) -> (FalcoHost, State) {
    let mut host = FalcoHost::new();
    host.port = port;
    let state = host
        .fresh()
        .config("custom-config-repository", server.url(repository))
        .config("custom-config-repo-ssh-key", format!("secret:{KEY}"))
        .config("custom-config-repo-known-hosts", server.known_hosts())
        .secret(Secret::user(KEY, "falco").revision([("value", server.key())]));
    (host, state)
}

#[track_caller]
fn run(host: &FalcoHost, event: &Event, state: &State, status: &str) -> Outcome {
    let outcome = host.run(event, state);
    assert_eq!(outcome.state.unit_status.name, status, "{}", outcome.report());
    outcome
}

#[test]
#[ignore = "needs sshd: make test-machine"]
fn what_is_pushed_is_what_falco_loads() {
    let server = GitServer::start();
    let repository = server.repository("rules");
    repository.commit_files(&[
        ("rules.d/mine.yaml", rule("Mine")),
        ("config.override.d/metrics.yml", "metrics: {interval: 5m}\n".to_owned()),
        ("README.md", "not for Falco".to_owned()),
    ]);
    let (host, state) = host_and_state(free_port(), &server, &repository);
    let (process, before) = (host.machine.main_pid(UNIT), host.actions().len());
    let state = run(&host, &Event::config_changed(), &state, "active").state;
    assert_eq!((&host.actions()[before..], host.machine.main_pid(UNIT)), (&[Action::Reload][..], process));
    assert!(host.has_loaded("repository-mine.yaml") && host.has_loaded("falco_rules.yaml"), "{}", host.metrics());
    assert!(host.text(CONFIG).contains("interval: 5m"));

    repository.commit_files(&[("rules.d/more.yaml", rule("More"))]);
    let state = run(&host, &Event::update_status(), &state, "active").state;
    assert!(host.has_loaded("repository-more.yaml"), "{}", host.metrics());
    assert_eq!(host.actions()[before..], [Action::Reload, Action::Reload]);

    let config = host.text(CONFIG);
    repository.commit_files(&[("rules.d/more.yaml", rule("More").replace("evt.type", "no.such_field"))]);
    let state = run(&host, &Event::update_status(), &state, "blocked").state;
    let message = &state.unit_status.message;
    assert!(message.starts_with("custom-config-repository: rules.d/more.yaml: line 1"), "{message}");
    assert_eq!((host.text(CONFIG), host.actions().len()), (config.clone(), before + 2));

    repository.commit_files(&[
        ("rules.d/more.yaml", rule("More")),
        ("config.override.d/evil.yaml", "program_output: {enabled: true, program: touch /tmp/x}\n".to_owned()),
    ]);
    let state = run(&host, &Event::update_status(), &state, "blocked").state;
    let message = &state.unit_status.message;
    assert!(message.contains("config.override.d/evil.yaml") && message.contains("program_output"), "{message}");
    assert_eq!(host.text(CONFIG), config);

    let state = state.config("custom-config-repository", "");
    let state = run(&host, &Event::config_changed(), &state, "active").state;
    assert!(!host.has_loaded("repository-mine.yaml"), "{}", host.metrics());
    assert!(!host.machine.path(FOLDER).join("repository").exists());
    host.run(&Event::remove(), &state);
    assert!(!host.machine.path(FOLDER).exists());
}

#[test]
#[ignore = "needs sshd: make test-machine"]
fn a_hundred_hooks_with_a_repository_do_nothing_and_ask_once_each() {
    let server = GitServer::start();
    let repository = server.repository("rules");
    repository.commit_files(&[("rules.d/mine.yaml", rule("Mine"))]);
    let (host, state) = host_and_state(free_port(), &server, &repository);
    let state = run(&host, &Event::config_changed(), &state, "active").state;
    let (files, actions) = (host.files(), host.actions());
    let requests = server.requests().len();
    for _ in 0..100 {
        let outcome = run(&host, &Event::update_status(), &state, "active");
        assert!(outcome.hook_commands() <= 8 + 1, "{}", outcome.report());
    }
    assert_eq!((host.files(), host.actions()), (files, actions));
    assert_eq!(server.requests().len(), requests + 100, "an unchanged branch costs one request");
}

#[test]
#[ignore = "needs sshd: make test-machine"]
fn sync_fetches_at_once_and_validate_rules_judges_what_is_pushed() {
    let server = GitServer::start();
    let repository = server.repository("rules");
    let first = repository.commit_files(&[("rules.d/mine.yaml", rule("Mine"))]);
    let (host, state) = host_and_state(free_port(), &server, &repository);
    let outcome = run(&host, &Event::action("sync"), &state, "active");
    let action = outcome.action.as_ref().unwrap();
    assert_eq!((action.status(), action.results["commit"].as_str()), ("completed", Some(first.as_str())));
    assert!(host.has_loaded("repository-mine.yaml"));
    repository.commit_files(&[("rules.d/mine.yaml", "- rule: Broken\n".to_owned())]);
    let judged = host.run(&Event::action("validate-rules"), &outcome.state);
    let action = judged.action.as_ref().unwrap();
    assert!(action.failed && action.message.contains("rules.d/mine.yaml"), "{}", judged.report());
    assert_eq!(judged.state.unit_status, outcome.state.unit_status);
}

/// One hook with a repository in play, killed before each of its effects.
#[track_caller]
fn is_made_good(event: &Event, after_a_push: bool) {
    let (port, server) = (free_port(), GitServer::start());
    let repository = server.repository("rules");
    repository.commit_files(&[("rules.d/mine.yaml", rule("None"))]);
    let points = interrupt_everywhere(event, || {
        repository.replace_history(&[("rules.d/mine.yaml", rule("Mine"))]);
        if !after_a_push {
            return host_and_state(port, &server, &repository);
        }
        let (host, state) = fresh(port, &server, &repository);
        let state = run(&host, &Event::install(), &state, "active").state;
        repository.commit_files(&[("rules.d/mine.yaml", rule("Other"))]);
        (host, state)
    });
    assert!(points >= 20, "only {points} points were tried");
}

#[test]
#[ignore = "needs sshd: make test-machine"]
fn a_killed_config_changed_with_a_repository_is_made_good() {
    is_made_good(&Event::config_changed(), false);
}

#[test]
#[ignore = "needs sshd: make test-machine"]
fn a_killed_update_status_after_a_push_is_made_good() {
    is_made_good(&Event::update_status(), true);
}

#[test]
#[ignore = "needs sshd: make test-machine"]
fn a_killed_secret_changed_with_a_repository_is_made_good() {
    is_made_good(&Event::secret_changed(KEY), true);
}
