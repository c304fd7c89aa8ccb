//! Outputs besides Loki.

use std::collections::BTreeSet;

use charm_core::secret::{Content, SecretError};

use super::*;
use crate::decide::sinks::LATE_VARIABLE;
use crate::names::{AWS_CREDENTIALS_FILE, SERVICE};

const LAB: (&str, &str) = ("allow-plain-http", "true");
const SLACK: &str = "slack: {webhookurl: 'https://hooks.example/hunter2'}";
const LOGSTASH: &str = "logstash: {address: logstash}";
const FIRST: &str = "2026/08/17 09:00:00";
const SECOND: &str = "2026/08/17 09:05:00";

fn with_outputs(text: &str) -> Facts {
    Facts { config: options(&[LAB, ("outputs", text)]), ..fresh() }
}

/// What Falcosidekick says at each of these starts.
fn log(starts: &[&str], enabled: &str) -> Vec<String> {
    let lines = |time: &&str| {
        [
            format!("{time} [INFO]  : Falcosidekick version: 2.34.1"),
            format!(
                "{time} [ERROR] : Logstash - misconfiguration, cannot connect to the logstash server: dial tcp: refused"
            ),
            format!("{time} [INFO]  : Enabled Outputs: [{enabled}]"),
        ]
    };
    starts.iter().flat_map(lines).collect()
}

fn note(plan: &Plan) -> Option<&str> {
    plan.layer.as_ref()?.services[SERVICE].environment.get(LATE_VARIABLE).map(String::as_str)
}

#[test]
fn loki_is_not_needed_beside_another_output() {
    let facts = Facts { loki: None, ..with_outputs(SLACK) };
    let plan = decide(&facts);
    assert!(matches!(plan.service, ServiceAction::Run(..)));
    assert_eq!(plan.outputs.iter().map(|output| output.path).collect::<Vec<_>>(), ["slack"]);
    let file = String::from_utf8(plan.write[0].content.clone()).unwrap();
    assert!(file.contains("hunter2") && !file.contains("loki"), "{file}");
    let Status::Active(remark) = plan.status(&Seen::Serving) else { panic!() };
    assert!(remark.starts_with("outputs: secrets in plain text"), "{remark}");
    assert!(!serde_yaml::to_string(&plan).unwrap().contains("hunter2") && !format!("{plan:?}").contains("hunter2"));
}

#[test]
fn bad_outputs_block_with_all_other_bad_options_and_nothing_is_touched() {
    let facts = Facts { config: options(&[("port", "0"), ("outputs", "slak: {}"), LAB]), ..settled(fresh()) };
    let text = blocked(leaves(&facts));
    assert_eq!(text, "port: \"0\" is not a port (1-65535); outputs: slak: there is no such output");
}

#[test]
fn a_secret_that_is_not_granted_blocks_and_what_runs_goes_on() {
    let mut facts = settled(with_outputs(SLACK));
    facts.config = options(&[LAB, ("outputs-secret", "secret:abc")]);
    facts.secrets.insert("secret:abc".into(), Err(SecretError::NotGranted));
    let text = blocked(leaves(&facts));
    assert_eq!(text, "outputs-secret: not granted; run: juju grant-secret secret:abc sidekick");

    let content = Content::from([("slack-webhookurl".into(), Redacted::new("https://h/new".into()))]);
    facts.secrets.insert("secret:abc".into(), Ok(content));
    let plan = decide(&facts);
    assert!(plan.layer.is_some() && plan.write.len() == 1, "another secret is another configuration");
    assert_eq!(plan.status(&Seen::Serving), Status::active());
}

#[test]
fn some_outputs_that_are_dropped_block_and_the_others_go_on() {
    let plan = decide(&with_outputs(SLACK));
    let dropped = plan.outputs.iter().filter(|output| output.path == "slack");
    let dropped = dropped.map(|output| Dropped { output: output.clone(), words: "Slack - Bad Endpoint".into() });
    let seen = Seen::Without { dropped: dropped.collect(), nothing_left: false };
    assert_eq!(blocked(plan.status(&seen)), "outputs: slack: Falcosidekick dropped it: Slack - Bad Endpoint");
}

#[test]
fn an_output_whose_server_was_down_is_waited_for_and_gets_one_restart() {
    let mut facts = settled(with_outputs(LOGSTASH));
    let container = facts.container.as_mut().unwrap();
    container.log = log(&[FIRST], "Loki");
    let plan = decide(&facts);
    assert_eq!(plan.layer, None, "the server does not answer yet");
    let logstash = plan.outputs.iter().find(|output| output.path == "logstash").unwrap().clone();
    let seen = Seen::Without { dropped: vec![Dropped { output: logstash, words: "w".into() }], nothing_left: false };
    let Status::Waiting(text) = plan.status(&seen) else { panic!() };
    assert!(text.starts_with("outputs: logstash: logstash:5044 was not there when Falcosidekick started"), "{text}");

    facts.container.as_mut().unwrap().answering.insert("logstash");
    let plan = decide(&facts);
    assert_eq!(note(&plan), Some(FIRST));

    let mut facts = settled(facts);
    facts.container.as_mut().unwrap().log = log(&[FIRST, SECOND], "Loki");
    let plan = decide(&facts);
    assert_eq!(plan.layer, None, "it was tried, and it was not the server");
    let logstash = plan.outputs.iter().find(|output| output.path == "logstash").unwrap().clone();
    let seen = Seen::Without { dropped: vec![Dropped { output: logstash, words: "w".into() }], nothing_left: false };
    assert_eq!(blocked(plan.status(&seen)), "outputs: logstash: Falcosidekick dropped it: w");

    let container = facts.container.as_mut().unwrap();
    (container.log, container.answering) = (log(&[FIRST, SECOND], "Loki Logstash"), BTreeSet::new());
    assert_eq!(decide(&facts).layer, None, "a note that went would be a restart");

    facts.config = options(&[LAB, ("outputs", "logstash: {address: other}")]);
    let plan = decide(&facts);
    assert!(plan.layer.is_some() && note(&plan).is_none(), "another configuration is a start anyway");
}

#[test]
fn files_of_clouds_are_written_once_and_removed_when_nobody_reads_them_any_more() {
    let aws = "aws: {accesskeyid: A, secretaccesskey: hunter2, s3: {bucket: b}}";
    let plan = decide(&with_outputs(aws));
    assert!(plan.write.iter().any(|file| file.path == AWS_CREDENTIALS_FILE));
    let mut facts = settled(with_outputs(aws));
    assert_eq!(decide(&facts).write, vec![]);
    facts.container.as_mut().unwrap().files.remove(AWS_CREDENTIALS_FILE);
    assert_eq!(decide(&facts).write.len(), 1, "somebody removed it");
    let mut facts = settled(facts);
    let other = "aws: {accesskeyid: A, secretaccesskey: other, s3: {bucket: b}}";
    facts.config = options(&[LAB, ("outputs", other)]);
    assert!(decide(&facts).layer.is_some(), "a process that has read the old one has to be restarted");
    facts.config = options(&[LAB]);
    assert_eq!(decide(&facts).remove, [AWS_CREDENTIALS_FILE]);
}

#[test]
fn proxies_of_the_model_reach_the_service_and_loki_is_reached_without() {
    let mut vars: BTreeMap<String, String> = ["JUJU_UNIT_NAME", "JUJU_MODEL_NAME", "JUJU_MODEL_UUID", "JUJU_CHARM_DIR"]
        .map(|name| (name.into(), "a/0".into()))
        .into();
    vars.insert("JUJU_CHARM_HTTPS_PROXY".into(), "http://proxy:3128".into());
    let proxy = charm_core::Hook::from_vars(&vars).unwrap().proxy;
    let plan = decide(&Facts { proxy, ..fresh() });
    let environment = &plan.layer.unwrap().services[SERVICE].environment;
    assert_eq!(environment["HTTPS_PROXY"], "http://proxy:3128");
    assert!(environment["NO_PROXY"].contains("loki"));
}

#[test]
fn an_output_that_would_crash_falcosidekick_now_is_left_out_and_the_others_go_on() {
    let mut facts = with_outputs("spyderbat: {orguid: o, apikey: k}");
    facts.container.as_mut().unwrap().absent.insert("spyderbat");
    let plan = decide(&facts);
    assert!(!String::from_utf8(plan.write[0].content.clone()).unwrap().contains("spyderbat"));
    let Status::Waiting(text) = plan.status(&Seen::Serving) else { panic!() };
    assert_eq!(
        text,
        "outputs: spyderbat: left out until api.spyderbat.com:443 answers, as Falcosidekick would crash without it"
    );
    let plan = decide(&Facts { loki: None, ..facts.clone() });
    assert_eq!(plan.service, ServiceAction::Stop, "alerts would be taken and lost");
    assert!(matches!(plan.status(&Seen::Stopped), Status::Waiting(_)));
    facts.container.as_mut().unwrap().absent.clear();
    assert!(decide(&facts).outputs.iter().any(|output| output.path == "spyderbat"));
}

#[test]
fn outputs_and_tls_share_the_file_the_layer_and_what_is_removed() {
    let aws = "aws: {accesskeyid: A, secretaccesskey: hunter2, s3: {bucket: b}}";
    let facts = Facts { config: options(&[("outputs", aws)]), loki: None, ..certified() };
    let container = fresh().container;
    let plan = decide(&Facts { container, ..facts.clone() });
    let paths: Vec<&str> = plan.write.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(paths, [CONFIG_FILE, CERTIFICATE_FILE, KEY_FILE, AWS_CREDENTIALS_FILE]);
    let file = String::from_utf8(plan.write[0].content.clone()).unwrap();
    assert!(file.contains("\"tlsserver\"") && file.contains("\"s3\""), "{file}");
    let environment = &plan.layer.as_ref().unwrap().services[SERVICE].environment;
    assert_eq!(environment["TLSSERVER_DEPLOY"], "");
    assert!(environment["AWS_SHARED_CREDENTIALS_FILE"].ends_with(AWS_CREDENTIALS_FILE));

    let facts = settled(facts);
    assert_eq!((decide(&facts).write, decide(&facts).layer), (vec![], None));
    let without_tls = Facts { authority: None, config: options(&[LAB, ("outputs", aws)]), ..facts.clone() };
    assert_eq!(decide(&without_tls).remove, [CERTIFICATE_FILE, KEY_FILE]);
    let without_outputs = Facts { config: options(&[]), loki: certified().loki, ..facts.clone() };
    assert_eq!(decide(&without_outputs).remove, [AWS_CREDENTIALS_FILE]);
    let with_nothing = Facts { config: options(&[]), ..facts };
    assert_eq!(decide(&with_nothing).remove, [CERTIFICATE_FILE, KEY_FILE, AWS_CREDENTIALS_FILE]);
}
