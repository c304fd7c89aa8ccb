//! What to do about the facts. Pure: no clock, no disk, no Juju.
//!
//! `Err(status)` means that nothing is touched this time: what runs goes on as it is.

use std::collections::BTreeMap;

use charm_core::Status;
use charm_core::digest::Digest;
use charm_core::files::File;
use charm_core::status::one_line;
use serde::{Serialize, Serializer};

use crate::config::{self, Config};
use crate::distribution::{self, Available, Distribution, Tarball};
use crate::facts::{Facts, Sidekick};
use crate::metrics::Served;
use crate::paths::{CONFIG_FILE, ORIGIN_FILE, UNIT, UNIT_FILE};
use crate::render;

/// What differs from what should be, and how to tell afterwards that it no longer does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// The distribution to run.
    pub distribution: Distribution,
    /// The tarball to unpack it from first.
    pub install: Option<Tarball>,
    /// Have Falco check the configuration before it is written.
    pub check: Option<Candidate>,
    /// Files to write, in this order.
    pub write: Vec<Written>,
    /// Make systemd read its unit files again.
    pub daemon_reload: bool,
    /// What to do with the service.
    pub service: ServiceAction,
    /// What Falco has to say about itself afterwards.
    pub expect: Expected,
    /// What to tell the operator, whatever is seen afterwards.
    #[serde(serialize_with = "as_text")]
    pub notes: Vec<Status>,
}

/// A file to write. Shown without its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Written(#[serde(serialize_with = "as_debug")] pub File);

/// A falco.yaml to be checked. Shown without its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Candidate(#[serde(serialize_with = "as_debug")] pub File);

/// What a Falco that runs this plan says on `/metrics`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Expected {
    /// Where to ask, on loopback.
    pub port: u16,
    /// The digest of its configuration file.
    pub config: Digest,
    /// Its rules files, whose digests have to be those on disk.
    pub rules: Vec<String>,
}

impl Expected {
    /// Has Falco loaded this configuration, and these rules as they are on disk?
    pub fn is_served(&self, served: &Served, rules_on_disk: &BTreeMap<String, Digest>) -> bool {
        served.config.get("falco.yaml") == Some(&self.config) && served.rules == *rules_on_disk
    }
}

/// What to do with the service: one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServiceAction {
    /// It runs what it should.
    Leave,
    /// It does not run, or would not at the next boot.
    Start,
    /// It runs, and can take in what differs.
    Reload,
    /// It runs, and was started with something else.
    Restart,
}

/// What was there after the plan was carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Falco answers, and has loaded exactly what it should.
    Serving,
    /// It is not up; its last words.
    Down(String),
    /// It is up, and does not say that it has loaded what it should; its last words.
    NotServing(String),
}

impl Plan {
    /// One status, from what is really there.
    pub fn status(&self, seen: &Seen) -> Status {
        let service = match seen {
            Seen::Serving => Status::active(),
            Seen::Down(words) => Status::Blocked(format!("{UNIT} does not stay up: {words}")),
            Seen::NotServing(words) => {
                let port = self.expect.port;
                Status::Blocked(format!(
                    "{UNIT} runs, but does not say on port {port} that it loaded its rules: {words}"
                ))
            }
        };
        let notes = self.notes.iter().cloned();
        Status::worst(std::iter::once(service).chain(notes).filter(|status| *status != Status::active()))
            .unwrap_or_else(Status::active)
    }
}

/// Decides.
pub fn decide(facts: &Facts) -> Result<Plan, Status> {
    let config = facts.config()?;
    check_host(facts)?;
    let mut notes: Vec<Status> = config.unserved.iter().map(|option| Config::unserved_remark(option)).collect();
    let (distribution, install) = choose_distribution(facts, &mut notes)?;
    let url = choose_url(facts, &mut notes);

    let yaml = render::falco_yaml(&config, &facts.topology, &facts.root, &distribution, url.as_deref());
    let (unit, digest) = render::unit_file(&facts.topology, &facts.root, &distribution);
    let expect = Expected {
        port: config.metrics_port.number(),
        config: Digest::of(&yaml),
        rules: render::rules_files(&distribution),
    };
    let candidate = File { path: CONFIG_FILE.to_owned(), mode: 0o600, content: yaml.into_bytes() };
    let unit = File { path: UNIT_FILE.to_owned(), mode: 0o644, content: unit.into_bytes() };

    let service = choose_action(facts, &digest, &expect);
    check_port(facts, &config, service)?;
    let differs = |file: &File| facts.files.get(file.path.as_str()) != Some(file);
    let daemon_reload = differs(&unit) || facts.service.needs_reload;
    let check = (install.is_some() || differs(&candidate)).then(|| Candidate(candidate.clone()));
    let origin = install.as_ref().map(|tarball| File {
        path: ORIGIN_FILE.to_owned(),
        mode: 0o644,
        content: distribution::origin_text(tarball, &distribution).into_bytes(),
    });
    // The unit file comes last, so that it never names something that is not there yet.
    let write = [candidate, unit].into_iter().filter(differs);
    let write = origin.into_iter().chain(write).map(Written).collect();
    Ok(Plan { distribution, install, check, write, daemon_reload, service, expect, notes })
}

fn check_host(facts: &Facts) -> Result<(), Status> {
    if let Some(unit) = &facts.host.other_unit {
        let text = format!("{UNIT} of this machine is run by the unit {unit}; one Falco watches all of the machine");
        return Err(Status::Blocked(text));
    }
    if let Some(path) = &facts.host.foreign {
        let text = format!("another Falco is installed on this machine ({path}); remove it, or remove this unit");
        return Err(Status::Blocked(text));
    }
    Ok(())
}

fn choose_distribution(facts: &Facts, notes: &mut Vec<Status>) -> Result<(Distribution, Option<Tarball>), Status> {
    let application = &facts.topology.application;
    match &facts.available {
        Available::Installed(distribution) => Ok((distribution.clone(), None)),
        Available::New(tarball, distribution) => Ok((distribution.clone(), Some(tarball.clone()))),
        Available::Unusable { tarball, problem, installed } => {
            let what = if tarball.attached { "resource falco" } else { "the Falco packed with the charm" };
            let text =
                format!("{what}: {problem}; attach a good one: juju attach-resource {application} falco=FILE.tar.gz");
            match installed {
                Some(distribution) => {
                    notes.push(Status::Blocked(text));
                    Ok((distribution.clone(), None))
                }
                None => Err(Status::Blocked(text)),
            }
        }
        Available::Nothing => Err(Status::Blocked(format!(
            "no Falco to install: this charm was packed without one; juju attach-resource {application} falco=FILE.tar.gz"
        ))),
    }
}

/// Where alerts go beside the system log.
fn choose_url(facts: &Facts, notes: &mut Vec<Status>) -> Option<String> {
    let Some(Sidekick { app, data }) = &facts.sidekick else {
        let text = "alerts go to the system log only; relate http-endpoint to Falcosidekick to send them on";
        notes.push(Status::Active(text.to_owned()));
        return None;
    };
    match data {
        Ok(Some(provider)) => Some(provider.url.to_string()),
        Ok(None) => {
            notes.push(Status::Waiting(format!("http-endpoint: waiting for {app} to publish its URL")));
            None
        }
        Err(error) => {
            notes.push(Status::Blocked(format!("http-endpoint: {app} {error}; the last good URL stays in use")));
            facts.files.get(CONFIG_FILE).and_then(|file| render::url_of(&file.content))
        }
    }
}

/// From what the running process was started with and what it says it has loaded, never from what was just written.
fn choose_action(facts: &Facts, digest: &Digest, expect: &Expected) -> ServiceAction {
    if facts.service.sub_state == "auto-restart" {
        // A start would wait, with the hook, for the time between two tries of systemd.
        ServiceAction::Restart
    } else if !facts.service.is_running() || !facts.service.enabled {
        ServiceAction::Start
    } else if facts.running.as_ref() != Some(digest) {
        ServiceAction::Restart
    } else if facts.served.as_ref().is_some_and(|served| expect.is_served(served, &facts.rules)) {
        ServiceAction::Leave
    } else {
        ServiceAction::Reload
    }
}

/// Falco would take a port that another Falco has without an error, and would end on one that another program has.
fn check_port(facts: &Facts, config: &Config, service: ServiceAction) -> Result<(), Status> {
    let port = config.metrics_port;
    let on_disk = facts.files.get(CONFIG_FILE).and_then(|file| render::port_of(&file.content));
    let moves_there = match service {
        ServiceAction::Leave => false,
        ServiceAction::Start => !facts.service.is_running(),
        ServiceAction::Restart if !facts.service.is_running() => true,
        // Without a file of ours, what runs is the Python charm's Falco, and the port in use may well be its own.
        ServiceAction::Reload | ServiceAction::Restart => on_disk.is_some_and(|on_disk| on_disk != port.number()),
    };
    if moves_there && facts.host.listening.contains(&port.number()) {
        return Err(config::port_taken(port));
    }
    Ok(())
}

fn as_debug<S: Serializer>(file: &File, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format!("{file:?}"))
}

fn as_text<S: Serializer>(notes: &[Status], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(notes.iter().map(ToString::to_string))
}

/// The last words of Falco that explain why it is down: its error, or else the last line.
pub fn last_words(lines: &[String]) -> String {
    const LONGEST: usize = 300;
    let error = lines.iter().rev().find_map(|line| line.find("Error: ").map(|start| &line[start + "Error: ".len()..]));
    match error.or_else(|| lines.last().map(String::as_str)) {
        Some(words) => one_line(words, LONGEST),
        None => format!("no reason in the journal; see: systemctl status {UNIT}"),
    }
}

#[cfg(test)]
mod tests {
    use charm_core::config::RawConfig;
    use charm_core::interfaces::RelationData;
    use charm_core::interfaces::falcosidekick_http_endpoint::Provider;
    use charm_core::relation::Databag;
    use charm_core::systemd;
    use charm_core::topology::Topology;

    use super::*;

    fn distribution(version: &str) -> Distribution {
        Distribution { name: format!("{version}-0123456789ab"), container_plugin: true }
    }

    /// A machine on which nothing was done yet.
    fn fresh() -> Facts {
        let topology = Topology {
            model: "prod".into(),
            model_uuid: "12345678-1234-4234-8234-123456789abc".into(),
            application: "falco".into(),
            unit: "falco/0".into(),
            charm_name: "falco".into(),
        };
        let available = Available::Installed(distribution("0.44.1"));
        Facts { topology, available, ..Facts::default() }
    }

    /// The same machine after the plan for it was carried out, and Falco has loaded everything.
    fn settled(mut facts: Facts) -> Facts {
        let plan = decide(&facts).unwrap();
        for Written(file) in plan.write {
            let path = [CONFIG_FILE, UNIT_FILE, ORIGIN_FILE].into_iter().find(|path| *path == file.path).unwrap();
            facts.files.insert(path, file);
        }
        facts.available = Available::Installed(plan.distribution.clone());
        facts.service = systemd::Unit {
            active_state: "active".into(),
            main_pid: Some(7),
            enabled: true,
            ..systemd::Unit::default()
        };
        facts.running = Some(render::unit_file(&facts.topology, "", &plan.distribution).1);
        facts.rules = [("falco_rules.yaml".to_owned(), Digest::of("rules"))].into();
        facts.served = Some(Served {
            config: [("falco.yaml".to_owned(), plan.expect.config)].into(),
            rules: facts.rules.clone(),
            version: None,
        });
        facts
    }

    fn sidekick(url: &str) -> Sidekick {
        let databag: Databag = [("url", url)].into_iter().collect();
        Sidekick { app: "sidekick".parse().unwrap(), data: Provider::read(&databag) }
    }

    fn written(plan: &Plan) -> Vec<&str> {
        plan.write.iter().map(|Written(file)| file.path.as_str()).collect()
    }

    fn yaml(plan: &Plan) -> String {
        let config = plan.write.iter().find(|Written(file)| file.path == CONFIG_FILE).expect("falco.yaml is written");
        String::from_utf8(config.0.content.clone()).unwrap()
    }

    #[test]
    fn a_fresh_machine_gets_its_files_checked_first_and_the_unit_file_last() {
        let plan = decide(&fresh()).unwrap();
        assert!(plan.check.is_some() && plan.daemon_reload);
        assert_eq!(written(&plan), [CONFIG_FILE, UNIT_FILE]);
        assert_eq!(plan.service, ServiceAction::Start);
    }

    #[test]
    fn a_machine_that_is_as_it_should_be_is_left_alone() {
        let plan = decide(&settled(fresh())).unwrap();
        assert_eq!((plan.check, plan.write, plan.daemon_reload), (None, Vec::new(), false));
        assert_eq!(plan.service, ServiceAction::Leave);
    }

    #[test]
    fn a_changed_priority_is_a_reload_and_not_a_restart() {
        let mut facts = settled(fresh());
        facts.config = [("priority", "error")].into_iter().collect();
        let plan = decide(&facts).unwrap();
        assert_eq!((written(&plan), plan.service), (vec![CONFIG_FILE], ServiceAction::Reload));
    }

    #[test]
    fn a_new_distribution_is_unpacked_and_restarted_into() {
        let mut facts = settled(fresh());
        let tarball = serde_json::json!({"path": "/x", "attached": true, "size": 1, "modified": 1});
        facts.available = Available::New(serde_json::from_value(tarball).unwrap(), distribution("0.45.0"));
        let plan = decide(&facts).unwrap();
        assert!(plan.install.is_some() && plan.check.is_some());
        assert_eq!(written(&plan), [ORIGIN_FILE, CONFIG_FILE, UNIT_FILE]);
        assert_eq!(plan.service, ServiceAction::Restart);
    }

    #[test]
    fn files_that_are_right_already_do_not_hide_a_process_that_is_not() {
        let mut facts = settled(fresh());
        facts.running = Some(Digest::of("what it was started with before the hook was killed"));
        let plan = decide(&facts).unwrap();
        assert_eq!((plan.write, plan.service), (Vec::new(), ServiceAction::Restart));

        let mut facts = settled(fresh());
        facts.served.as_mut().unwrap().config.clear();
        assert_eq!(decide(&facts).unwrap().service, ServiceAction::Reload);

        let mut facts = settled(fresh());
        facts.rules.insert("falco_rules.yaml".into(), Digest::of("other rules"));
        assert_eq!(decide(&facts).unwrap().service, ServiceAction::Reload);
    }

    #[test]
    fn a_service_that_is_down_or_would_not_start_at_boot_is_started() {
        let mut facts = settled(fresh());
        facts.service.active_state = "failed".into();
        assert_eq!(decide(&facts).unwrap().service, ServiceAction::Start);
        let mut facts = settled(fresh());
        facts.service.enabled = false;
        assert_eq!(decide(&facts).unwrap().service, ServiceAction::Start);
    }

    #[test]
    fn a_service_that_systemd_is_about_to_try_again_is_not_waited_for() {
        let mut facts = settled(fresh());
        facts.service.active_state = "activating".into();
        facts.service.sub_state = "auto-restart".into();
        facts.service.main_pid = None;
        assert_eq!(decide(&facts).unwrap().service, ServiceAction::Restart);
    }

    #[test]
    fn a_published_url_becomes_the_http_output() {
        let mut facts = settled(fresh());
        facts.sidekick = Some(sidekick("\"https://sidekick.example/x\""));
        let plan = decide(&facts).unwrap();
        assert_eq!(render::url_of(yaml(&plan).as_bytes()).as_deref(), Some("https://sidekick.example/x"));
        assert_eq!(plan.service, ServiceAction::Reload);
        assert_eq!(plan.status(&Seen::Serving), Status::active());
    }

    #[test]
    fn a_url_that_is_not_published_yet_is_waited_for_while_falco_detects() {
        let mut facts = fresh();
        facts.sidekick = Some(sidekick(""));
        let plan = decide(&facts).unwrap();
        assert_eq!(plan.service, ServiceAction::Start);
        assert_eq!(
            plan.status(&Seen::Serving),
            Status::Waiting("http-endpoint: waiting for sidekick to publish its URL".into())
        );
    }

    #[test]
    fn an_unusable_url_blocks_naming_the_application_and_the_last_good_one_stays() {
        let mut facts = fresh();
        facts.sidekick = Some(sidekick("\"https://good.example/\""));
        let mut facts = settled(facts);
        facts.sidekick = Some(sidekick("not json"));
        let plan = decide(&facts).unwrap();
        assert_eq!((written(&plan), plan.service), (vec![], ServiceAction::Leave));
        let Status::Blocked(text) = plan.status(&Seen::Serving) else { panic!() };
        assert!(text.starts_with("http-endpoint: sidekick published url \"not json\""), "{text}");
    }

    #[test]
    fn without_the_relation_the_http_output_is_off_and_the_status_says_so() {
        let mut facts = fresh();
        facts.sidekick = Some(sidekick("\"https://good.example/\""));
        let mut facts = settled(facts);
        facts.sidekick = None;
        let plan = decide(&facts).unwrap();
        assert_eq!(render::url_of(yaml(&plan).as_bytes()), None);
        let Status::Active(text) = plan.status(&Seen::Serving) else { panic!() };
        assert!(text.contains("relate http-endpoint"), "{text}");
    }

    #[test]
    fn a_bad_option_blocks_and_touches_nothing() {
        let mut facts = settled(fresh());
        facts.config = [("priority", "loud")].into_iter().collect();
        assert!(matches!(decide(&facts), Err(Status::Blocked(_))));
    }

    #[test]
    fn another_falco_blocks_and_is_not_touched() {
        for host in [
            crate::facts::Host { foreign: Some("/usr/bin/falco".into()), ..Default::default() },
            crate::facts::Host { other_unit: Some("falco/1".parse().unwrap()), ..Default::default() },
            crate::facts::Host { listening: vec![8765], ..Default::default() },
        ] {
            let facts = Facts { host: host.clone(), ..fresh() };
            assert!(matches!(decide(&facts), Err(Status::Blocked(_))), "{host:?}");
        }
    }

    #[test]
    fn falco_on_its_own_port_is_no_other_program() {
        let mut facts = settled(fresh());
        facts.host.listening = vec![8765];
        assert_eq!(decide(&facts).unwrap().service, ServiceAction::Leave);
        facts.config = [("priority", "error")].into_iter().collect();
        assert_eq!(decide(&facts).unwrap().service, ServiceAction::Reload);
    }

    #[test]
    fn a_port_that_is_taken_blocks_before_falco_is_moved_there() {
        let mut facts = settled(fresh());
        facts.host.listening = vec![8765, 9000];
        let options: RawConfig = [("metrics-port", 9000)].into_iter().collect();
        facts.config = options;
        let Err(Status::Blocked(text)) = decide(&facts) else { panic!() };
        assert!(text.starts_with("metrics-port: port 9000 of this machine is taken"), "{text}");
    }

    #[test]
    fn a_falco_of_the_python_charm_is_taken_over_on_its_own_port() {
        let mut facts = fresh();
        facts.service = settled(fresh()).service;
        facts.host.listening = vec![8765];
        assert_eq!(decide(&facts).unwrap().service, ServiceAction::Restart);
    }

    #[test]
    fn without_a_distribution_the_command_that_attaches_one_is_named() {
        let facts = Facts { available: Available::Nothing, ..fresh() };
        let Err(Status::Blocked(text)) = decide(&facts) else { panic!() };
        assert!(text.contains("juju attach-resource falco falco="), "{text}");
    }

    #[test]
    fn an_unusable_tarball_blocks_and_what_is_installed_goes_on() {
        let tarball = serde_json::json!({"path": "/x", "attached": true, "size": 1, "modified": 1});
        let tarball: Tarball = serde_json::from_value(tarball).unwrap();
        let unusable = |installed| Available::Unusable {
            tarball: tarball.clone(),
            problem: "not a tar.gz archive".into(),
            installed,
        };
        let facts = Facts { available: unusable(None), ..fresh() };
        assert!(matches!(decide(&facts), Err(Status::Blocked(_))));
        let facts = Facts { available: unusable(Some(distribution("0.44.1"))), ..settled(fresh()) };
        let plan = decide(&facts).unwrap();
        assert_eq!(plan.service, ServiceAction::Leave);
        assert!(
            matches!(plan.status(&Seen::Serving), Status::Blocked(text) if text.starts_with("resource falco: not a tar.gz"))
        );
    }

    #[test]
    fn the_status_comes_from_what_is_seen() {
        let plan = decide(&settled(fresh())).unwrap();
        let down = plan.status(&Seen::Down("no driver".into()));
        assert_eq!(down, Status::Blocked("falco.service does not stay up: no driver".into()));
        assert!(matches!(plan.status(&Seen::NotServing(String::new())), Status::Blocked(_)));
    }

    #[test]
    fn the_last_words_are_the_error_of_falco_or_else_its_last_line() {
        let lines = ["x: Error: bad rule".to_owned(), "Syscall event drop monitoring:".to_owned()];
        assert_eq!(last_words(&lines), "bad rule");
        assert_eq!(last_words(&lines[1..]), "Syscall event drop monitoring:");
        assert!(last_words(&[]).contains("systemctl status"));
    }

    #[test]
    fn a_plan_shows_no_content_of_files() {
        let mut facts = fresh();
        facts.sidekick = Some(sidekick("\"https://user:hunter2@sidekick.example/\""));
        let plan = decide(&facts).unwrap();
        let shown = serde_yaml::to_string(&plan).unwrap();
        assert!(!shown.contains("hunter2") && !format!("{plan:?}").contains("hunter2"), "{shown}");
    }
}
