use charm_core::config::RawConfig;
use charm_core::interfaces::RelationData;
use charm_core::interfaces::falcosidekick_http_endpoint::Provider;
use charm_core::relation::Databag;
use charm_core::systemd;

use super::*;
use crate::check::Verdict;
use crate::distribution::Available;
use crate::facts::{Host, Refused, Sidekick};
use crate::metrics::Served;
use crate::paths::{GOOD_CONFIG_FILE, GOOD_UNIT_FILE, UNIT_FILE};
use crate::repository::{Brought, Content};
use crate::world::topology;

fn distribution(version: &str) -> Distribution {
    Distribution { name: format!("{version}-0123456789ab"), container_plugin: true, ..Distribution::default() }
}

/// A machine on which nothing was done yet but the unpacking of Falco.
fn fresh() -> Facts {
    let available = Available::Installed(distribution("0.44.1"));
    let mut facts = Facts { topology: topology(), available, ..Facts::default() };
    facts.machine.default_rules = Some(Digest::of("default rules"));
    facts
}

fn with_options(mut facts: Facts, options: &[(&'static str, &str)]) -> Facts {
    facts.config = options.iter().copied().collect();
    facts
}

/// Falco gives this verdict on the candidate that it is to be asked about.
fn judged(mut facts: Facts, verdict: Verdict) -> Facts {
    let candidate = decide(&facts).unwrap().check.expect("Falco is asked first");
    learn(&mut facts, candidate.digest, verdict);
    facts
}

fn accepted(facts: Facts) -> Facts {
    judged(facts, Verdict::default())
}

fn rejected(facts: Facts, text: &str) -> Facts {
    judged(facts, Verdict { rejected: Some(text.into()), remarks: Vec::new() })
}

fn learn(facts: &mut Facts, candidate: Digest, verdict: Verdict) {
    let known = std::mem::take(&mut facts.machine.checked);
    facts.machine.checked = known.into_iter().chain([(candidate, verdict)]).collect();
}

/// The same machine after Falco took the candidate, the plan for it was carried out, and Falco serves it.
fn settled(facts: Facts) -> Facts {
    let mut facts = if decide(&facts).unwrap().check.is_some() { accepted(facts) } else { facts };
    let plan = decide(&facts).unwrap();
    assert_eq!(plan.check, None);
    let keep = plan.keep.clone().expect("it is something new");
    let machine = &mut facts.machine;
    for Written(file) in plan.write.into_iter().chain(keep.good) {
        let paths = [CONFIG_FILE, UNIT_FILE, ORIGIN_FILE, GOOD_CONFIG_FILE, GOOD_UNIT_FILE];
        machine.files.insert(paths.into_iter().find(|path| *path == file.path).unwrap(), file);
    }
    machine.links = keep.links;
    machine.generations.extend(plan.generation);
    machine.good_rules.clone_from(&plan.expect.rules);
    machine.service =
        systemd::Unit { active_state: "active".into(), main_pid: Some(7), enabled: true, ..systemd::Unit::default() };
    machine.running = crate::render::unit::digest_in(&machine.files[UNIT_FILE].content);
    serve(machine, plan.expect);
    facts.available = Available::Installed(plan.distribution.unwrap());
    facts
}

/// Falco has loaded what was expected.
fn serve(machine: &mut Machine, expect: Expected) {
    let config = [("falco.yaml".to_owned(), expect.config)].into();
    machine.served = Some(Served { config, rules: expect.rules, ..Served::default() });
}

fn sidekick(url: &str) -> Sidekick {
    let databag: Databag = [("url", url)].into_iter().collect();
    Sidekick { app: "sidekick".parse().unwrap(), data: Provider::read(&databag) }
}

fn written(plan: &Plan) -> Vec<&str> {
    plan.write.iter().map(|Written(file)| file.path.as_str()).collect()
}

fn url_in(plan: &Plan) -> Option<String> {
    let config = plan.write.iter().find(|Written(file)| file.path == CONFIG_FILE).expect("falco.yaml is written");
    falco_yaml::url_of(&config.0.content)
}

fn blocked(plan: &Plan) -> String {
    let Status::Blocked(text) = plan.status(&Seen::Serving) else { panic!("{}", plan.status(&Seen::Serving)) };
    text
}

const INLINE: &[(&str, &str)] = &[("rules", "- rule: mine")];

#[test]
fn falco_is_asked_before_anything_is_written() {
    let plan = decide(&fresh()).unwrap();
    assert!(plan.check.is_some());
    assert_eq!((written(&plan), plan.service, plan.daemon_reload), (vec![], ServiceAction::Leave, false));
}

#[test]
fn a_fresh_machine_gets_its_unit_file_last() {
    let plan = decide(&accepted(fresh())).unwrap();
    assert!(plan.check.is_none() && plan.daemon_reload);
    assert_eq!(written(&plan), [CONFIG_FILE, UNIT_FILE]);
    assert_eq!(plan.service, ServiceAction::Start);
}

#[test]
fn a_machine_that_is_as_it_should_be_is_left_alone() {
    let plan = decide(&settled(fresh())).unwrap();
    assert_eq!((&plan.check, &plan.write, plan.daemon_reload), (&None, &Vec::new(), false));
    assert_eq!(plan.service, ServiceAction::Leave);
    let keep = plan.keep.unwrap();
    assert_eq!((keep.good, keep.forget_refused), (Vec::new(), false));
}

#[test]
fn a_changed_priority_is_a_reload_and_not_a_restart() {
    let facts = accepted(with_options(settled(fresh()), &[("priority", "error")]));
    let plan = decide(&facts).unwrap();
    assert_eq!((written(&plan), plan.service), (vec![CONFIG_FILE], ServiceAction::Reload));
}

#[test]
fn a_new_distribution_is_unpacked_and_restarted_into() {
    let mut facts = settled(fresh());
    let tarball = serde_json::json!({"path": "/x", "attached": true, "size": 1, "modified": 1});
    facts.available = Available::New(serde_json::from_value(tarball).unwrap(), distribution("0.45.0"));
    facts.machine.default_rules = None;
    let plan = decide(&facts).unwrap();
    assert!(plan.install.is_some() && plan.check.is_some());
    let known = plan.check.unwrap().digest;
    learn(&mut facts, known, Verdict::default());
    assert!(decide(&facts).unwrap().check.is_some(), "a verdict says nothing about what is not there");
    facts.machine.default_rules = Some(Digest::of("new default rules"));
    let plan = decide(&facts).unwrap();
    assert!(plan.install.is_some() && plan.or_reject.is_some(), "the old one can be gone back to");
    assert_eq!(written(&plan), [ORIGIN_FILE, CONFIG_FILE, UNIT_FILE]);
    assert_eq!(plan.service, ServiceAction::Restart);
}

#[test]
fn files_that_are_right_already_do_not_hide_a_process_that_is_not() {
    let mut facts = settled(fresh());
    facts.machine.running = Some(Digest::of("what it was started with before the hook was killed"));
    let plan = decide(&facts).unwrap();
    assert_eq!((plan.write, plan.service), (Vec::new(), ServiceAction::Restart));

    let mut facts = settled(fresh());
    facts.machine.served.as_mut().unwrap().config.clear();
    assert_eq!(decide(&facts).unwrap().service, ServiceAction::Reload);

    let mut facts = settled(fresh());
    facts.machine.default_rules = Some(Digest::of("other rules"));
    assert_eq!(decide(&facts).unwrap().service, ServiceAction::Reload);
}

#[test]
fn a_service_that_is_down_is_started_and_one_that_would_not_start_at_boot_is_only_enabled() {
    let mut facts = settled(fresh());
    facts.machine.service.active_state = "failed".into();
    assert_eq!(decide(&facts).unwrap().service, ServiceAction::Start);
    let mut facts = settled(fresh());
    facts.machine.service.enabled = false;
    let plan = decide(&facts).unwrap();
    assert_eq!((plan.service, plan.enable), (ServiceAction::Leave, true));
}

#[test]
fn a_service_that_systemd_is_about_to_try_again_is_not_waited_for() {
    let mut facts = settled(fresh());
    facts.machine.service.active_state = "activating".into();
    facts.machine.service.sub_state = "auto-restart".into();
    facts.machine.service.main_pid = None;
    assert_eq!(decide(&facts).unwrap().service, ServiceAction::Restart);
}

#[test]
fn an_operator_can_ask_for_a_reload_of_what_needs_none() {
    let facts = Facts { asked_to_reload: true, ..settled(fresh()) };
    assert_eq!(decide(&facts).unwrap().service, ServiceAction::Reload);
}

#[test]
fn a_published_url_becomes_the_http_output() {
    let mut facts = settled(fresh());
    facts.sidekick = Some(sidekick("\"https://sidekick.example/x\""));
    let plan = decide(&accepted(facts)).unwrap();
    assert_eq!(url_in(&plan).as_deref(), Some("https://sidekick.example/x"));
    assert_eq!(plan.service, ServiceAction::Reload);
    assert_eq!(plan.status(&Seen::Serving), Status::active());
}

/// A Falcosidekick with a URL of https, and the file of those who vouch for it.
fn vouched(content: &str) -> (Facts, File) {
    let path = format!("{}/{content}.pem", crate::paths::AUTHORITIES);
    let file = File { path, mode: 0o644, content: content.into() };
    let mut facts = fresh();
    facts.sidekick = Some(sidekick("\"https://sidekick.example/x\""));
    facts.trust.file = Some(file.clone());
    (facts, file)
}

#[test]
fn the_file_of_authorities_is_there_before_falco_yaml_names_it() {
    let (facts, file) = vouched("one");
    let mut facts = accepted(facts);
    let plan = decide(&facts).unwrap();
    assert_eq!(written(&plan), [&*file.path, CONFIG_FILE, UNIT_FILE]);
    facts.machine.authorities = [(file.path.clone(), false), ("/stale".into(), true)].into();
    let plan = decide(&facts).unwrap();
    assert_eq!(
        (written(&plan)[0], &plan.remove),
        (&*file.path, &vec!["/stale".to_owned()]),
        "a damaged one is as none"
    );
    facts.machine.authorities = [(file.path, true)].into();
    let plan = decide(&facts).unwrap();
    assert_eq!((written(&plan), plan.remove.len()), (vec![CONFIG_FILE, UNIT_FILE], 0));
}

#[test]
fn with_an_unusable_url_the_last_good_one_keeps_its_authorities() {
    let (facts, file) = vouched("one");
    let mut facts = accepted(facts);
    facts.machine.authorities = [(file.path, true)].into();
    let mut facts = settled(facts);
    facts.sidekick = Some(sidekick("not json"));
    facts.trust = crate::trust::Trust::default();
    let plan = decide(&facts).unwrap();
    assert_eq!((written(&plan), plan.remove.len(), plan.service), (vec![], 0, ServiceAction::Leave));
}

#[test]
fn a_url_that_is_not_published_yet_is_waited_for_while_falco_detects() {
    let mut facts = fresh();
    facts.sidekick = Some(sidekick(""));
    let plan = decide(&accepted(facts)).unwrap();
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
    let text = blocked(&plan);
    assert!(text.starts_with("http-endpoint: sidekick published url \"not json\""), "{text}");
}

#[test]
fn without_the_relation_the_http_output_is_off_and_the_status_says_so() {
    let mut facts = fresh();
    facts.sidekick = Some(sidekick("\"https://good.example/\""));
    let mut facts = settled(facts);
    facts.sidekick = None;
    let plan = decide(&accepted(facts)).unwrap();
    assert_eq!(url_in(&plan), None);
    let Status::Active(text) = plan.status(&Seen::Serving) else { panic!() };
    assert!(text.contains("relate http-endpoint"), "{text}");
}

#[test]
fn a_bad_option_blocks_and_touches_nothing() {
    let facts = with_options(fresh(), &[("priority", "loud")]);
    assert!(matches!(decide(&facts), Err(Status::Blocked(_))));
    let plan = decide(&with_options(settled(fresh()), &[("priority", "loud")])).unwrap();
    assert_eq!((plan.service, plan.write.len(), plan.keep.is_some()), (ServiceAction::Leave, 0, false));
    assert!(blocked(&plan).starts_with("priority: "));
}

#[test]
fn while_an_option_is_bad_a_falco_that_is_down_starts_with_what_it_served_last() {
    let mut facts = with_options(settled(fresh()), &[("priority", "loud")]);
    facts.machine.service.active_state = "failed".into();
    facts.machine.files.remove(CONFIG_FILE);
    let plan = decide(&facts).unwrap();
    let paths: Vec<&str> = plan.write.iter().map(|written| written.0.path.as_str()).collect();
    assert_eq!((plan.service, paths), (ServiceAction::Start, vec![CONFIG_FILE]));
    // The Falco of somebody else has nothing to do with what this unit served once.
    facts.machine.host.other_unit = Some("falco/1".parse().unwrap());
    assert!(matches!(decide(&facts), Err(Status::Blocked(_))));
}

#[test]
fn another_falco_blocks_and_is_not_touched() {
    for host in [
        Host { foreign: Some("/usr/bin/falco".into()), ..Host::default() },
        Host { other_unit: Some("falco/1".parse().unwrap()), ..Host::default() },
        Host { listening: vec![8765], ..Host::default() },
    ] {
        let mut facts = accepted(fresh());
        facts.machine.host = host.clone();
        assert!(matches!(decide(&facts), Err(Status::Blocked(_))), "{host:?}");
    }
}

#[test]
fn falco_on_its_own_port_is_no_other_program() {
    let mut facts = settled(fresh());
    facts.machine.host.listening = vec![8765];
    assert_eq!(decide(&facts).unwrap().service, ServiceAction::Leave);
    let facts = accepted(with_options(facts, &[("priority", "error")]));
    assert_eq!(decide(&facts).unwrap().service, ServiceAction::Reload);
}

#[test]
fn a_port_that_is_taken_blocks_before_falco_is_moved_there() {
    let mut facts = settled(fresh());
    facts.machine.host.listening = vec![8765, 9000];
    let options: RawConfig = [("metrics-port", 9000)].into_iter().collect();
    facts.config = options;
    let Err(Status::Blocked(text)) = decide(&accepted(facts)) else { panic!() };
    assert!(text.starts_with("metrics-port: port 9000 of this machine is taken"), "{text}");
}

#[test]
fn a_falco_of_the_python_charm_is_taken_over_on_its_own_port() {
    let mut facts = accepted(fresh());
    facts.machine.service = settled(fresh()).machine.service;
    facts.machine.host.listening = vec![8765];
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
    let unusable =
        |installed| Available::Unusable { tarball: tarball.clone(), problem: "not a tar.gz archive".into(), installed };
    let facts = Facts { available: unusable(None), ..fresh() };
    assert!(matches!(decide(&facts), Err(Status::Blocked(_))));
    let facts = Facts { available: unusable(Some(distribution("0.44.1"))), ..settled(fresh()) };
    let plan = decide(&facts).unwrap();
    assert_eq!(plan.service, ServiceAction::Leave);
    assert!(blocked(&plan).starts_with("resource falco: not a tar.gz"));
}

#[test]
fn rules_that_falco_rejects_are_not_used_and_those_in_use_stay() {
    let facts = settled(with_options(fresh(), INLINE));
    let facts = rejected(with_options(facts, &[("rules", "- rule: bad")]), "rules line 1: bad");
    let plan = decide(&facts).unwrap();
    assert_eq!((written(&plan), plan.service), (vec![], ServiceAction::Leave));
    assert_eq!(plan.generation.as_ref(), facts.machine.current());
    let text = blocked(&plan);
    assert!(text.starts_with("rules line 1: bad; Falco goes on without the change"), "{text}");
}

#[test]
fn rejected_rules_do_not_hold_back_the_url_that_alerts_go_to() {
    let facts = settled(fresh());
    let mut facts = rejected(with_options(facts, INLINE), "rules line 1: bad");
    facts.sidekick = Some(sidekick("\"https://sidekick.example/\""));
    let facts = accepted(rejected(facts, "rules line 1: bad"));
    let plan = decide(&facts).unwrap();
    assert_eq!(url_in(&plan).as_deref(), Some("https://sidekick.example/"));
    assert!(plan.generation.as_ref().unwrap().is_empty());
    assert!(blocked(&plan).starts_with("rules line 1: bad"));
}

#[test]
fn rejected_rules_of_a_fresh_unit_leave_it_the_default_rules() {
    let facts = accepted(rejected(with_options(fresh(), INLINE), "rules line 1: bad"));
    let plan = decide(&facts).unwrap();
    assert_eq!((written(&plan), plan.service), (vec![CONFIG_FILE, UNIT_FILE], ServiceAction::Start));
    assert!(plan.generation.as_ref().unwrap().is_empty());
    assert!(blocked(&plan).starts_with("rules line 1: bad"));
}

#[test]
fn when_nothing_new_is_taken_the_last_good_files_stay_or_come_back() {
    let mut facts = settled(fresh());
    let good = facts.machine.files[CONFIG_FILE].clone();
    facts = rejected(with_options(facts, &[("priority", "error")]), "no");
    let plan = decide(&facts).unwrap();
    assert_eq!((written(&plan), plan.service, &plan.keep), (vec![], ServiceAction::Leave, &None));
    assert!(blocked(&plan).starts_with("no; the last good configuration stays in use"));

    facts.machine.files.insert(CONFIG_FILE, File { content: b"what was tried".to_vec(), ..good.clone() });
    facts.machine.served = None;
    let plan = decide(&facts).unwrap();
    assert_eq!((&plan.write, plan.service), (&vec![Written(good)], ServiceAction::Reload));
}

#[test]
fn when_nothing_is_taken_and_nothing_was_ever_good_nothing_is_touched() {
    let facts = rejected(fresh(), "no engine");
    assert_eq!(decide(&facts), Err(Status::Blocked("no engine".into())));
}

#[test]
fn a_candidate_is_only_given_up_for_something_else() {
    let plan = decide(&accepted(fresh())).unwrap();
    assert_eq!(plan.or_reject, None, "there is nothing else");
    let plan = decide(&accepted(with_options(fresh(), INLINE))).unwrap();
    assert!(plan.or_reject.is_some(), "there are the default rules alone");
    assert_eq!(decide(&settled(fresh())).unwrap().or_reject, None, "it is what it would go back to");
    let plan = decide(&accepted(with_options(settled(fresh()), INLINE))).unwrap();
    assert!(plan.or_reject.is_some() && plan.keep.is_some());
}

#[test]
fn what_falco_served_becomes_current_and_what_it_served_before_previous() {
    let facts = settled(with_options(fresh(), INLINE));
    let first = facts.machine.links.current.clone();
    assert_eq!(facts.machine.links.previous, None);
    let facts = settled(with_options(facts, &[("rules", "- rule: other")]));
    assert_eq!(facts.machine.links.previous, first);
    assert_ne!(facts.machine.links.current, first);
}

#[test]
fn a_rollback_holds_until_the_sources_change() {
    let facts = settled(with_options(fresh(), INLINE));
    let mut facts = settled(with_options(facts, &[("rules", "- rule: other")]));
    let Links { current, previous } = facts.machine.links.clone();
    facts.machine.refused = Some(Refused { refused: current.unwrap(), instead: previous.clone().unwrap() });
    let facts = settled(facts);
    assert_eq!(facts.machine.links.current, previous);
    let plan = decide(&facts).unwrap();
    assert_eq!(plan.service, ServiceAction::Leave);
    assert!(matches!(plan.status(&Seen::Serving), Status::Active(text) if text.contains("rollback-rules")));
    let facts = accepted(with_options(facts, &[("rules", "- rule: third")]));
    let plan = decide(&facts).unwrap();
    assert!(plan.keep.unwrap().forget_refused);
    assert_eq!(plan.service, ServiceAction::Reload);
}

#[test]
fn a_repository_that_cannot_be_had_leaves_the_rules_in_use() {
    let content = |rules: &str| Content {
        commit: "c0ffee".into(),
        rules: vec![crate::repository::File { name: "a.yaml".into(), content: rules.into() }],
        overrides: Vec::new(),
    };
    let brought = |content| Brought { content, problem: None };
    let mut facts = settled(Facts { repository: brought(Some(content("- rule: x"))), ..fresh() });
    let problem = Status::Waiting("custom-config-repository: git.example does not answer".into());
    facts.repository = Brought { content: None, problem: Some(problem.clone()) };
    let plan = decide(&facts).unwrap();
    assert_eq!((written(&plan), plan.service), (vec![], ServiceAction::Leave));
    assert_eq!(plan.status(&Seen::Serving), problem);

    let fresh = Facts { repository: facts.repository.clone(), ..with_options(fresh(), INLINE) };
    let plan = decide(&accepted(fresh)).unwrap();
    assert_eq!(plan.expect.rules.len(), 2, "the default rules and the inline ones are there");
}

#[test]
fn overrides_that_cannot_be_used_block_naming_them_and_leave_what_is_in_use() {
    let facts = settled(with_options(fresh(), INLINE));
    let options = [("rules", "- rule: other"), ("falco-config", "webserver: {enabled: false}")];
    let plan = decide(&with_options(facts, &options)).unwrap();
    assert_eq!((written(&plan), plan.service), (vec![], ServiceAction::Leave));
    let text = blocked(&plan);
    assert!(text.contains("falco-config") && text.contains("webserver"), "{text}");
}

#[test]
fn no_rules_at_all_and_no_output_at_all_are_not_what_the_operator_meant() {
    let options = [("default-rules", "false"), ("syslog-output", "false")];
    let plan = decide(&accepted(with_options(fresh(), &options))).unwrap();
    assert_eq!(plan.expect.rules.len(), 1);
    assert!(blocked(&plan).contains("default-rules"));
    let plan = decide(&accepted(with_options(fresh(), &options[1..]))).unwrap();
    assert!(matches!(plan.status(&Seen::Serving), Status::Active(text) if text.contains("syslog-output")));
}

#[test]
fn remarks_of_falco_stay_in_the_status() {
    let mut facts = fresh();
    facts.sidekick = Some(sidekick("\"https://sidekick.example/\""));
    let verdict = Verdict { rejected: None, remarks: vec!["rules: a".into(), "rules: b".into()] };
    let plan = decide(&judged(facts, verdict)).unwrap();
    assert_eq!(plan.status(&Seen::Serving), Status::Active("rules: a; rules: b".into()));
}

#[test]
fn what_the_host_lacks_blocks_before_anything_is_asked_or_written_and_does_not_count_where_falco_runs() {
    let unprivileged = host::Abilities { mapped_users: true, ..Default::default() };
    let mut facts = fresh();
    facts.machine.abilities = unprivileged.clone();
    let Err(Status::Blocked(text)) = decide(&facts) else { panic!() };
    assert!(text.starts_with("host: this is an unprivileged"), "{text}");
    let mut facts = settled(fresh());
    facts.machine.abilities = unprivileged;
    assert_eq!(decide(&facts).unwrap().service, ServiceAction::Leave);
}

#[test]
fn the_observability_agent_is_told_once_and_again_when_the_port_moves() {
    let mut facts = settled(fresh());
    facts.cos_agent = vec![("5".parse().unwrap(), Databag::default())];
    let [(_, told)] = decide(&facts).unwrap().publish.try_into().unwrap();
    assert!(told.get("config").unwrap().contains("8765"));
    facts.cos_agent = vec![("5".parse().unwrap(), told)];
    assert!(decide(&facts).unwrap().publish.is_empty());
    facts.config = [("metrics-port", 9000)].into_iter().collect();
    let plan = decide(&accepted(facts)).unwrap();
    assert!(plan.publish[0].1.get("config").unwrap().contains("9000"));
}

#[test]
fn alerts_that_do_not_arrive_are_a_remark_on_active() {
    let mut facts = fresh();
    facts.sidekick = Some(sidekick("\"http://sidekick.example/\""));
    let mut facts = settled(facts);
    let text = "Tue Nov 25 13:00:00 2026: libcurl failed to perform call: Couldn't connect to server".to_owned();
    facts.machine.printed = vec![systemd::Line { time: 5, text }];
    let plan = decide(&facts).unwrap();
    let Status::Active(text) = plan.status(&Seen::Serving) else { panic!() };
    assert_eq!(text, "http-endpoint: alerts do not arrive: Couldn't connect to server");
    facts.machine.delivery = plan.delivery.unwrap();
    assert_eq!(decide(&facts).unwrap().delivery, None, "what is known already is not written again");
}

#[test]
fn the_status_comes_from_what_is_seen() {
    let plan = decide(&settled(fresh())).unwrap();
    let down = plan.status(&Seen::Down("no driver".into()));
    assert_eq!(down, Status::Blocked("falco.service does not stay up: no driver".into()));
    assert!(matches!(plan.status(&Seen::NotServing(String::new())), Status::Blocked(_)));
}

#[test]
fn a_plan_shows_no_content_of_files() {
    let mut facts = with_options(fresh(), &[("rules", "- rule: hunter2"), ("falco-config", "x: hunter2")]);
    facts.sidekick = Some(sidekick("\"https://user:hunter2@sidekick.example/\""));
    for plan in [decide(&facts).unwrap(), decide(&accepted(facts)).unwrap()] {
        let shown = serde_yaml::to_string(&plan).unwrap();
        assert!(!shown.contains("hunter2") && !format!("{plan:?}").contains("hunter2"), "{shown}");
    }
}
