mod property;
mod traps;

use charm_core::Status;
use charm_core::secret::{Content, SecretError};

use super::document::minimal;
use super::*;

/// The problems, or the outputs. Nothing is related.
fn parse(options: &[(&str, &str)], secrets: &Secrets) -> Result<Outputs, String> {
    parse_beside(options, secrets, false)
}

fn parse_beside(options: &[(&str, &str)], secrets: &Secrets, loki_is_related: bool) -> Result<Outputs, String> {
    let around = Surroundings { app: "sidekick", loki_is_related, secrets };
    let mut problems = Problems::default();
    let outputs = Outputs::parse(&options.iter().copied().collect(), &around, &mut problems);
    if problems.is_empty() {
        return Ok(outputs);
    }
    let Status::Blocked(text) = problems.into() else { panic!() };
    Err(text)
}

fn yaml(text: &str) -> Result<Outputs, String> {
    parse(&[(OUTPUTS, text)], &Secrets::new())
}

#[track_caller]
fn problem(text: &str) -> String {
    yaml(text).expect_err(text)
}

fn secret(id: &str, content: &[(&str, &str)]) -> (String, Result<Content, SecretError>) {
    let content = content.iter().map(|(key, value)| ((*key).to_owned(), Redacted::new((*value).to_owned())));
    (id.to_owned(), Ok(content.collect()))
}

/// The value at a place of the configuration.
fn at<'a>(sections: &'a render::Sections, path: &str) -> &'a serde_json::Value {
    let (first, rest) = path.split_once('.').unwrap();
    rest.split('.').fold(&sections[first], |value, key| &value[key])
}

#[test]
fn a_minimal_configuration_of_each_output_is_taken_as_it_is() {
    for block in table::outputs() {
        let outputs = yaml(&minimal(block)).unwrap_or_else(|problem| panic!("{}: {problem}", block.path));
        assert_eq!(outputs.enabled().map(|block| block.path).collect::<Vec<_>>(), [block.path]);
        let sections = outputs.sections(None);
        for key in block.keys.iter().filter(|key| key.needed) {
            let written = at(&sections, &format!("{}.{}", block.path, key.name));
            match (key.kind, written) {
                (Kind::UrlPart, _) => assert_eq!(written, &address::percent_encoded(key.sample)),
                (Kind::BaseUrls, serde_json::Value::Array(list)) => assert_eq!(list, &[key.sample]),
                (Kind::Integer(..), number) => assert_eq!(number.to_string(), key.sample),
                (Kind::Switch, switch) => assert_eq!(switch.to_string(), key.sample),
                (_, text) => assert_eq!(text, key.sample, "{}.{}", block.path, key.name),
            }
        }
    }
}

#[test]
fn each_needed_key_that_is_missing_is_named() {
    for block in table::outputs() {
        let all = minimal(block);
        let needed: Vec<String> = block
            .keys
            .iter()
            .filter(|key| key.needed)
            .map(|key| format!("{}.{}", block.path, key.name))
            .chain(block.needs.iter().map(|(shared, key)| format!("{shared}.{key}")))
            .collect();
        for path in &needed {
            let name = path.rsplit('.').next().unwrap();
            let is_other = |line: &&str| !line.trim_start().starts_with(&format!("{name}: "));
            let mut without = all.lines().filter(is_other).collect::<Vec<_>>().join("\n") + "\n";
            // Something has to be left of the block.
            let depth = "  ".repeat(block.path.matches('.').count() + 1);
            if without.lines().last().is_none_or(|line| line.ends_with(':')) {
                let harmless = block.all_keys().find(|key| !key.needed && key.kind == Kind::Switch);
                let spare = block.all_keys().find(|key| !key.needed && key.kind == Kind::Text);
                let priority = block.key(block::MINIMUM).map(|_| "minimumpriority: error".to_owned());
                let spare = spare.or(harmless).map(|key| format!("{}: 'true'", key.name));
                let spare = priority.or(spare).unwrap();
                without.extend([depth.as_str(), spare.as_str(), "\n"]);
            }
            let text = yaml(&without).expect_err(&without);
            assert!(text.contains(&format!("outputs: {path}: is missing")), "{without}{text}");
        }
    }
}

#[test]
fn every_output_of_the_program_is_in_the_table() {
    assert_eq!(table::outputs().count(), 70);
}

#[test]
fn unknown_names_are_named_with_the_likely_one() {
    assert_eq!(problem("slak: {webhookurl: x}"), "outputs: slak: there is no such output");
    assert_eq!(
        problem("slack: {webhook: 'https://h/'}"),
        "outputs: slack.webhook: there is no such key; is webhookurl meant?; outputs: slack.webhookurl: is missing"
    );
    assert_eq!(problem("aws: {lambd: {functionname: x}}"), "outputs: aws.lambd: there is no such key");
    assert_eq!(problem("slack: https://h/"), "outputs: slack: is not a map of its keys");
    assert_eq!(problem("customfields: {a: b}"), "outputs: customfields: is no output; use the option custom-fields");
    assert_eq!(problem("- slack"), "outputs: is not a YAML map of outputs");
    assert_eq!(problem("slack:"), "outputs: slack: is not a map of its keys");
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let text = problem("slak: {}\nsyslog: {protocol: tls, port: 0}\nloki: {hostport: loki, minimumpriority: loud}\n");
    for part in [
        "outputs: slak: there is no such output",
        "outputs: syslog.protocol: is not one of tcp, udp",
        "outputs: syslog.port: is not a whole number from 1 to 65535",
        "outputs: syslog.host: is missing",
        "outputs: loki.hostport: is not a URL",
        "outputs: loki.minimumpriority: is not one of emergency, alert, ",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
}

#[test]
fn texts_stay_texts_and_numbers_become_numbers() {
    let outputs =
        yaml("loki: {hostport: 'http://h/', tenant: 007, maxconcurrentrequests: '5', checkcert: true}\n").unwrap();
    let sections = outputs.sections(None);
    assert_eq!(at(&sections, "loki.tenant"), "007");
    assert_eq!(at(&sections, "loki.hostport"), "http://h", "a slash would be doubled");
    assert_eq!(at(&sections, "loki.maxconcurrentrequests"), 5);
    assert_eq!(at(&sections, "loki.checkcert"), true);
    assert_eq!(at(&sections, "loki.format"), "json");
    assert_eq!(at(&sections, "loki.extralabels"), "juju_unit,juju_charm,juju_model,juju_model_uuid,juju_application");
}

#[test]
fn names_may_have_capitals_and_words_too() {
    let outputs = yaml("Syslog: {Host: h, PORT: 514, protocol: UDP, minimumPriority: Error}").unwrap();
    let sections = outputs.sections(None);
    assert_eq!(at(&sections, "syslog.protocol"), "udp", "with capitals every event would fail");
    assert_eq!(at(&sections, "syslog.minimumpriority"), "error");
}

#[test]
fn the_least_priority_is_for_outputs_that_have_none_of_their_own() {
    let text = "slack: {webhookurl: 'https://h/x'}\nwebui: {url: 'http://h/'}\nsyslog: {host: h, port: 1, protocol: tcp, minimumpriority: debug}\n";
    let with = |least| parse(&[(OUTPUTS, text), (MINIMUM_PRIORITY, least)], &Secrets::new()).unwrap();
    let loki = "http://loki/".parse().unwrap();
    let sections = with("warning").sections(Some(&loki));
    assert_eq!(at(&sections, "slack.minimumpriority"), "warning");
    assert_eq!(at(&sections, "loki.minimumpriority"), "warning");
    assert_eq!(at(&sections, "syslog.minimumpriority"), "debug");
    assert!(at(&sections, "webui.minimumpriority").is_null());
    assert!(at(&with("debug").sections(Some(&loki)), "slack.minimumpriority").is_null());
}

#[test]
fn a_secret_alone_can_make_an_output_and_a_reference_can_stand_for_any_value() {
    let secrets = Secrets::from([
        secret("secret:one", &[("slack-webhookurl", "https://h/token\n"), ("webhook-customheaders-x-key", "k")]),
        secret("secret:two", &[("address", "http://h/"), ("port", "25")]),
    ]);
    let text = "webhook: {address: secret:two/address, customheaders: {Accept: text/plain}}\nsyslog: {host: h, protocol: tcp, port: secret:two/port}\n";
    let outputs = parse(&[(OUTPUTS, text), (OUTPUTS_SECRET, "secret:one")], &secrets).unwrap();
    let sections = outputs.sections(None);
    assert_eq!(at(&sections, "slack.webhookurl"), "https://h/token", "without the line feed of a file");
    assert_eq!(at(&sections, "webhook.address"), "http://h/");
    assert_eq!(at(&sections, "webhook.customheaders"), &serde_json::json!({"Accept": "text/plain", "x-key": "k"}));
    assert_eq!(at(&sections, "syslog.port"), 25);
    assert_eq!(outputs.enabled().map(|block| block.path).collect::<Vec<_>>(), ["slack", "syslog", "webhook"]);
    let remarks = outputs.remarks();
    assert!(remarks.len() == 1 && remarks[0].contains("webhook.customheaders"), "a header in plain text: {remarks:?}");
}

#[test]
fn secrets_in_plain_text_are_remarked_and_those_from_secrets_are_not() {
    let remarks = |text| yaml(text).unwrap().remarks();
    let remark = &remarks("slack: {webhookurl: 'https://h/token'}\nwebhook: {address: 'http://u:p@h/'}\n")[0];
    assert!(remark.contains("slack.webhookurl, webhook.address") && remark.contains("outputs-secret"), "{remark}");
    assert!(!remark.contains("token"), "{remark}");
    assert_eq!(remarks("webhook: {address: 'http://u@h/'}"), Vec::<String>::new());
    let secrets = Secrets::from([secret("secret:one", &[("url", "https://h/token")])]);
    let outputs = parse(&[(OUTPUTS, "slack: {webhookurl: secret:one/url}")], &secrets).unwrap();
    assert_eq!(outputs.remarks(), Vec::<String>::new());
    assert_eq!(outputs.that_print_secrets(), ["slack"]);
}

#[test]
fn a_secret_that_cannot_be_read_is_told_once_with_the_command_and_nothing_else_is() {
    let refused = |error| Secrets::from([("secret:one".to_owned(), Err(error))]);
    let text = "slack: {webhookurl: secret:one/a}\ntelegram: {token: secret:one/b, chatid: '1'}\n";
    let problem = parse(&[(OUTPUTS, text)], &refused(SecretError::NotGranted)).unwrap_err();
    assert_eq!(problem, "outputs: slack.webhookurl: not granted; run: juju grant-secret secret:one sidekick");
    let options = [(OUTPUTS, "grafana: {hostport: 'http://h'}"), (OUTPUTS_SECRET, "secret:one")];
    let problem = parse(&options, &refused(SecretError::NotGranted)).unwrap_err();
    assert_eq!(problem, "outputs-secret: not granted; run: juju grant-secret secret:one sidekick");
    let problem = parse(&options, &refused(SecretError::NotFound)).unwrap_err();
    assert_eq!(problem, "outputs-secret: there is no secret secret:one");
}

#[test]
fn what_is_wrong_in_a_secret_is_told_without_its_value() {
    let check = |content: &[(&str, &str)], text: &str| {
        let secrets = Secrets::from([secret("secret:one", content)]);
        parse(&[(OUTPUTS, text), (OUTPUTS_SECRET, "secret:one")], &secrets).unwrap_err()
    };
    assert_eq!(
        check(&[("slack-url", "hunter2")], ""),
        "outputs-secret: slack-url: is no key of an output, as in slack-webhookurl"
    );
    let text = check(&[("slack-webhookurl", "hunter2")], "");
    assert!(text.starts_with("outputs: slack.webhookurl: is not a URL") && !text.contains("hunter2"), "{text}");
    let twice = check(&[("slack-webhookurl", "https://h/hunter2")], "slack: {webhookurl: 'https://h/'}");
    assert_eq!(twice, "outputs-secret: slack-webhookurl: stands in outputs as well");
    assert_eq!(
        check(&[("slack-webhookurl", "\u{fffd}")], ""),
        "outputs-secret: slack-webhookurl: is not text in UTF-8"
    );
    let text = check(&[], "slack: {webhookurl: secret:one/gone}");
    assert_eq!(text, "outputs: slack.webhookurl: secret secret:one has no such key gone");
    assert_eq!(check(&[], "slack: {webhookurl: 'secret:'}"), "outputs: slack.webhookurl: is not secret:<id>/<key>");
}

#[test]
fn more_secrets_than_a_hook_should_read_are_refused() {
    let lines: Vec<_> = (0..=secrets::MOST).map(|n| format!("  x{n}: secret:a{n}/key\n")).collect();
    let text = lines.concat();
    let text = format!("webhook:\n address: 'http://h/'\n customheaders:\n{text}");
    let wanted = secrets::wanted(&[(OUTPUTS, text.as_str())].into_iter().collect());
    assert_eq!(wanted.len(), secrets::MOST);
    let secrets: Secrets = wanted.iter().map(|id| secret(id, &[("key", "value")])).collect();
    let problem = parse(&[(OUTPUTS, &text)], &secrets).unwrap_err();
    assert_eq!(problem, "outputs: names more than 10 secrets; put several values into one");
}

#[test]
fn credentials_of_clouds_go_where_their_libraries_look() {
    let outputs = yaml(
        "aws: {accesskeyid: AKIA, secretaccesskey: hunter2/hunter2, region: eu-central-1, checkidentity: false, s3: {bucket: b}}\n\
         azure: {tenantid: t, clientid: c, clientcertificate: \"-----BEGIN X\\n\", eventhub: {name: n, namespace: h}}\n",
    );
    let outputs = outputs.unwrap();
    let sections = outputs.sections(None);
    assert_eq!(sections["aws"], serde_json::json!({"checkidentity": false, "s3": {"bucket": "b"}}));
    assert_eq!(sections["azure"], serde_json::json!({"eventhub": {"name": "n", "namespace": "h"}}));
    let files = outputs.files();
    let shown: Vec<_> = files.iter().map(|file| (file.path.as_str(), file.mode)).collect();
    assert_eq!(
        shown,
        [
            ("/etc/falcosidekick-credentials/aws-credentials", 0o600),
            ("/etc/falcosidekick-credentials/azure-client.pem", 0o600)
        ]
    );
    assert_eq!(files[0].content, b"[default]\naws_access_key_id = AKIA\naws_secret_access_key = hunter2/hunter2\n");
    let variables = outputs.environment("");
    assert_eq!(variables["AWS_SHARED_CREDENTIALS_FILE"], "/etc/falcosidekick-credentials/aws-credentials");
    assert_eq!(variables["AWS_REGION"], "eu-central-1");
    assert_eq!(variables["AWS_ACCESS_KEY_ID"], "", "it would be asked before the file");
    assert_eq!(variables["AZURE_CLIENT_CERTIFICATE_PATH"], "/etc/falcosidekick-credentials/azure-client.pem");
    assert!(!format!("{variables:?}").contains("hunter2"));
}

#[test]
fn a_role_of_amazon_is_assumed_with_the_key() {
    let outputs = yaml("aws: {accesskeyid: AKIA, secretaccesskey: s, rolearn: 'arn:aws:iam::1:role/r', externalid: e, s3: {bucket: b}}").unwrap();
    let files = outputs.files();
    let text = |file: &charm_core::pebble::File| String::from_utf8(file.content.clone()).unwrap();
    assert!(text(&files[0]).starts_with("[key]\n"));
    assert_eq!(text(&files[1]), "[default]\nrole_arn = arn:aws:iam::1:role/r\nsource_profile = key\nexternal_id = e\n");
    assert_eq!(outputs.environment("/root")["AWS_CONFIG_FILE"], "/root/etc/falcosidekick-credentials/aws-config");
}

#[test]
fn outputs_that_need_their_server_at_the_start_are_known_with_it() {
    let late = |text| {
        let late = yaml(text).unwrap().late();
        late.into_iter().map(|(path, server)| format!("{path} {}:{}", server.host, server.port)).collect::<Vec<_>>()
    };
    assert_eq!(late("rabbitmq: {url: 'amqp://u:p@mq/', queue: q}"), ["rabbitmq mq:5672"]);
    assert_eq!(late("logstash: {address: l, port: 1}"), ["logstash l:1"]);
    assert_eq!(late("elasticsearch: {hostport: 'https://e'}"), Vec::<String>::new());
    assert_eq!(late("elasticsearch: {hostport: 'https://e', createindextemplate: true}"), ["elasticsearch e:443"]);
    assert_eq!(late("aws: {region: eu-west-1, sqs: {url: 'https://s/'}}"), ["aws.sqs sts.eu-west-1.amazonaws.com:443"]);
    assert_eq!(late("aws: {checkidentity: false, region: eu-west-1, sqs: {url: 'https://s/'}}"), Vec::<String>::new());
}
