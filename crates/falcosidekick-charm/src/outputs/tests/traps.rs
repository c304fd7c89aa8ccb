//! What Falcosidekick would take, and then crash on, drop or lose events over.

use super::*;

/// Each of these texts is refused with words that begin like this.
#[track_caller]
fn refuses(traps: &[(&str, &str)]) {
    for (text, words) in traps {
        let problem = problem(text);
        assert!(problem.contains(&format!("outputs: {words}")), "{text}\n{problem}");
    }
}

#[test]
fn what_crashes_falcosidekick_is_caught_and_named() {
    refuses(&[
        ("syslog: {host: h, port: 514}", "syslog.protocol: is missing"),
        ("syslog: {host: h, port: 514, protocol: tls}", "syslog.protocol: is not one of tcp, udp"),
        ("wavefront: {endpointtype: other, endpointhost: h}", "wavefront.endpointtype: is not one of direct, proxy"),
        (
            "wavefront: {endpointtype: proxy, endpointhost: h}",
            "wavefront.endpointhost: would crash Falcosidekick: for endpointtype proxy it has to be a URL",
        ),
        (
            "wavefront: {endpointtype: direct, endpointhost: 'http://h'}",
            "wavefront.endpointhost: would crash Falcosidekick: for endpointtype direct",
        ),
        (
            "wavefront: {endpointtype: direct, endpointhost: h}",
            "wavefront.endpointtoken: is missing: endpointtype is direct",
        ),
        ("tekton: {eventlistener: h}", "tekton.eventlistener: is not a URL"),
        ("timescaledb: {host: h, port: abc}", "timescaledb.port: is not a whole number from 1 to 65535"),
        ("kubeless: {namespace: n, function: f, kubeconfig: /x}", "kubeless.kubeconfig: is not taken"),
        ("openfaas: {functionname: f, kubeconfig: /x}", "openfaas.kubeconfig: is not taken"),
        ("fission: {function: f, kubeconfig: /x}", "fission.kubeconfig: is not taken"),
        ("prometheus: {extralabels: rule}", "prometheus.extralabels: \"rule\" would crash Falcosidekick"),
        ("prometheus: {extralabels: 'a.b, a_b'}", "prometheus.extralabels: \"a_b\" would crash Falcosidekick"),
        ("prometheus: {extralabels: 'proc.args[0]'}", "prometheus.extralabels: \"proc.args[0]\" would crash"),
        ("prometheus: {extralabels: bad-name}", "prometheus.extralabels: is not a list of output fields"),
    ]);
}

#[test]
fn what_falcosidekick_drops_or_never_delivers_is_caught_and_named() {
    refuses(&[
        ("smtp: {hostport: 'h:25', from: a@b}", "smtp.to: is missing"),
        ("smtp: {hostport: 'h:25', from: a@b, to: c@d}", "smtp.user: is missing: authmechanism is plain"),
        ("smtp: {hostport: h, from: a@b, to: c@d, authmechanism: none}", "smtp.hostport: is not host:port"),
        ("smtp: {hostport: 'h:25', from: a@b, to: c@d, authmechanism: ''}", "smtp.authmechanism: is not one of"),
        ("smtp: {hostport: 'h:25', from: a, to: c@d, authmechanism: none}", "smtp.from: is not a mail address"),
        ("loki: {hostport: 'http://'}", "loki.hostport: is not a URL"),
        ("loki: {hostport: 'xxhttp://a'}", "loki.hostport: is not a URL"),
        ("loki: {hostport: 'http://h/', endpoint: push}", "loki.endpoint: is not a path that begins with /"),
        ("loki: {hostport: 'http://h/', user: u}", "loki.apikey: is missing"),
        ("loki: {hostport: 'http://h/', extralabels: my-field}", "loki.extralabels: is not a list of output fields"),
        (
            "loki: {hostport: 'http://h/', mutualtls: true}",
            "loki.mutualtls: can only be false: there is no client certificate",
        ),
        ("alertmanager: {hostport: ['http://a', b]}", "alertmanager.hostport: is not a URL"),
        (
            "alertmanager: {hostport: [], customseveritymap: {loud: x}}",
            "alertmanager.customseveritymap: \"loud\" is not one of",
        ),
        (
            "alertmanager: {hostport: 'http://a', dropeventthresholds: '1:warning: 2:error'}",
            "alertmanager.dropeventthresholds: is not number:priority",
        ),
        (
            "alertmanager: {hostport: 'http://a', extralabels: {A-b: c}}",
            "alertmanager.extralabels: \"A-b\" may only have small letters",
        ),
        ("pagerduty: {routingkey: k, region: eu}", "pagerduty.region: is not one of us"),
        ("kafka: {hostport: 'h:1', topic: t, sasl: SCRAM}", "kafka.sasl: is not one of PLAIN, "),
        ("kafka: {hostport: 'h:1', topic: t, sasl: plain}", "kafka.username: is missing: sasl is set"),
        ("kafka: {hostport: 'h', topic: t}", "kafka.hostport: is not host:port"),
        ("telegram: {token: t, chatid: me}", "telegram.chatid: is not the number of a chat"),
    ]);
}

#[test]
fn what_clouds_and_collectors_do_not_understand_is_caught_and_named() {
    refuses(&[
        ("otlp: {logs: {endpoint: 'http://h:4318'}}", "otlp.logs.endpoint: lacks its path"),
        ("otlp: {logs: {endpoint: 'h:4318'}}", "otlp.logs.endpoint: is not a URL"),
        (
            "otlp: {traces: {endpoint: 'https://h/v1/traces', checkcert: false}}",
            "otlp.traces.checkcert: can only be true: with false, Falcosidekick sends in clear",
        ),
        ("otlp: {logs: {endpoint: 'https://h/v1/logs', extraenvvars: {A: b}}}", "otlp.logs.extraenvvars: is not taken"),
        (
            "gcp: {credentials: '{}', pubsub: {projectid: p, topic: t}}",
            "gcp.credentials: is not a JSON object in base64",
        ),
        ("gcp: {storage: {bucket: b}}", "gcp.credentials: is missing, and gcp.storage needs it"),
        (
            "gcp: {chronicle: {projectid: p/q, instanceid: i, region: r}}",
            "gcp.chronicle.projectid: may only have letters",
        ),
        ("aws: {accesskeyid: a, s3: {bucket: b}}", "aws.secretaccesskey: is missing"),
        (
            "aws: {accesskeyid: \"a b\", secretaccesskey: c, s3: {bucket: b}}",
            "aws.accesskeyid: has a character that Amazon does not use",
        ),
        ("aws: {rolearn: r, s3: {bucket: b}}", "aws.accesskeyid: is missing: rolearn is assumed with the key"),
        ("aws: {region: r}", "aws.*: no output below it is set"),
        (
            "azure: {tenantid: t, eventhub: {name: n, namespace: h}}",
            "azure.clientid: is missing: all three belong together",
        ),
        ("influxdb: {hostport: 'http://h', user: u}", "influxdb.password: is missing"),
        ("policyreport: {enabled: false}", "policyreport.enabled: is not true"),
    ]);
}

#[test]
fn values_of_the_wrong_kind_are_caught_and_named() {
    refuses(&[
        (
            "webhook: {address: 'http://h/', customheaders: {a.b: c}}",
            "webhook.customheaders: \"a.b\" is not the name of a header",
        ),
        (
            "webhook: {address: 'http://h/', customheaders: {a: \"b\\nc\"}}",
            "webhook.customheaders: \"a\" has an empty value",
        ),
        ("webhook: {address: \"http://h/\\nx\"}", "webhook.address: has a line feed"),
        (
            "slack: {webhookurl: 'https://h/', messageformat: '{{ .Rule'}",
            "slack.messageformat: has a {{ without its }}",
        ),
        ("slack: {webhookurl: 'https://h/', minimumpriority: info}", "slack.minimumpriority: is not one of"),
        ("slack: {webhookurl: 'https://h/', minimumpriority: xerrory}", "slack.minimumpriority: is not one of"),
        ("slack: {webhookurl: ''}", "slack.webhookurl: is not a URL"),
        ("slack: {webhookurl: }", "slack.webhookurl: has no value"),
        ("slack: {webhookurl: [a]}", "slack.webhookurl: is a list, and takes one value"),
        ("slack: {webhookurl: {a: b}}", "slack.webhookurl: is a map, and takes one value"),
        (
            "elasticsearch: {hostport: 'http://h', numberofreplicas: 0}",
            "elasticsearch.numberofreplicas: is not a whole number from 1",
        ),
        (
            "elasticsearch: {hostport: 'http://h', batching: {flushinterval: soon}}",
            "elasticsearch.batching.flushinterval: is not a span",
        ),
        ("zincsearch: {hostport: 'http://h', index: ../x}", "zincsearch.index: may only have letters"),
        ("nats: {hostport: 'http://h'}", "nats.hostport: is not a URL that begins with nats://"),
        ("rabbitmq: {url: 'http://h', queue: q}", "rabbitmq.url: is not a URL that begins with amqp:// or amqps://"),
    ]);
}

#[test]
fn the_relation_and_the_option_do_not_both_say_where_loki_is() {
    let beside = |text| parse_beside(&[(OUTPUTS, text)], &Secrets::new(), true);
    let text = beside("loki: {hostport: 'http://h', tenant: t}").unwrap_err();
    assert_eq!(text, "outputs: loki.hostport: is given by the relation send-loki-logs; remove it, or the relation");
    let outputs = beside("loki: {tenant: t, extralabels: proc.name}").unwrap();
    let loki = "http://related/push?a=b".parse().unwrap();
    let sections = outputs.sections(Some(&loki));
    assert_eq!(at(&sections, "loki.hostport"), "http://related/push?a=b");
    assert_eq!((at(&sections, "loki.endpoint"), at(&sections, "loki.tenant")), (&"".into(), &"t".into()));
    assert!(at(&sections, "loki.extralabels").as_str().unwrap().ends_with(",juju_application,proc.name"));
}

#[test]
fn the_thresholds_that_falcosidekick_cannot_read_are_replaced_by_what_they_mean() {
    let sections = yaml("alertmanager: {hostport: 'http://h/'}").unwrap().sections(None);
    assert_eq!(
        at(&sections, "alertmanager.dropeventthresholds"),
        "10000:critical, 1000:critical, 100:critical, 10:warning, 1:warning"
    );
    let sections =
        yaml("alertmanager: {hostport: 'http://h/', customseveritymap: {Warning: page}}").unwrap().sections(None);
    assert_eq!(at(&sections, "alertmanager.customseveritymap"), &serde_json::json!({"4": "page"}));
}

#[test]
fn a_password_with_any_character_fits_into_a_url() {
    let sections = yaml("timescaledb: {host: h, user: u, password: 'p@ss/%zz #'}").unwrap().sections(None);
    assert_eq!(at(&sections, "timescaledb.password"), "p%40ss%2F%25zz%20%23");
}

#[test]
fn hostile_yaml_is_refused_in_one_line() {
    for text in [
        "a: &a [x]\nb: *a",
        "slack: {webhookurl: !!binary aGk=}",
        "slack: {a: 1, A: 2}",
        "\u{0}",
        "a: [[[[[[[[[[1]]]]]]]]]]",
        "%",
    ] {
        let problem = problem(text);
        assert!(problem.starts_with("outputs: ") && !problem.contains('\n'), "{problem}");
    }
    assert_eq!(problem(&"x".repeat(70_000)), "outputs: is longer than 65536 bytes");
}
