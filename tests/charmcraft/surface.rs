//! The names that deployed models depend on. A refresh drops the value of an option that is gone and refuses to drop an
//! endpoint in use, so a change here is a change for operators: it belongs in the CHANGELOG of the charm.

use crate::charm::Charm;

/// One endpoint: role, name, interface, limit, scope.
type Endpoint<'a> = (&'a str, &'a str, &'a str, Option<u32>, Option<&'a str>);

fn endpoints(charm: &Charm) -> Vec<Endpoint<'_>> {
    charm
        .endpoints()
        .map(|(role, name, endpoint)| {
            (role, name.as_str(), endpoint.interface.as_str(), endpoint.limit, endpoint.scope.as_deref())
        })
        .collect()
}

/// Name, type and default of each option, the default as YAML writes it.
fn options(charm: &Charm) -> Vec<(&str, &str, Option<String>)> {
    charm
        .config
        .options
        .iter()
        .map(|(name, option)| {
            let default = option.default.as_ref().map(|value| serde_yaml::to_string(value).unwrap().trim().to_owned());
            (name.as_str(), option.r#type.as_str(), default)
        })
        .collect()
}

#[test]
fn falco_keeps_its_names() {
    let charm = Charm::read("falco");
    assert!(charm.subordinate);
    assert_eq!(
        endpoints(&charm),
        [
            ("requires", "general-info", "juju-info", None, Some("container")),
            ("requires", "http-endpoint", "falcosidekick_http_endpoint", Some(1), None),
            ("requires", "receive-ca-cert", "certificate_transfer", None, None),
            ("provides", "cos-agent", "cos_agent", Some(1), None),
        ]
    );
    assert_eq!(
        options(&charm),
        [
            ("allow-unsafe-overrides", "boolean", Some("false".into())),
            ("buffer-size-preset", "int", Some("4".into())),
            ("custom-config-repo-known-hosts", "string", None),
            ("custom-config-repo-ssh-key", "secret", None),
            ("custom-config-repo-token", "secret", None),
            ("custom-config-repository", "string", None),
            ("default-rules", "boolean", Some("true".into())),
            ("disabled-rules", "string", None),
            ("drop-failed-exit", "boolean", Some("false".into())),
            ("enabled-rules", "string", None),
            ("engine", "string", Some("modern_ebpf".into())),
            ("extra-labels", "string", None),
            ("falco-config", "string", None),
            ("k8s-audit", "boolean", Some("false".into())),
            ("k8s-audit-address", "string", Some("127.0.0.1:9765".into())),
            ("k8s-audit-secret", "secret", None),
            ("memory-limit", "string", None),
            ("metrics-port", "int", Some("8765".into())),
            ("priority", "string", Some("debug".into())),
            ("rules", "string", None),
            ("syslog-output", "boolean", Some("true".into())),
        ]
    );
    let actions = [
        "list-rules",
        "reload",
        "rollback-rules",
        "show-config",
        "support-bundle",
        "sync",
        "test-alert",
        "validate-rules",
    ];
    assert_eq!(charm.actions.keys().collect::<Vec<_>>(), actions);
    assert_eq!(charm.resources.keys().collect::<Vec<_>>(), ["falco"]);
    assert!(charm.containers.is_empty());
}

#[test]
fn falcosidekick_keeps_its_names() {
    let charm = Charm::read("falcosidekick-k8s");
    assert!(!charm.subordinate);
    assert_eq!(
        endpoints(&charm),
        [
            ("requires", "certificates", "tls-certificates", Some(1), None),
            ("requires", "ingress", "ingress", Some(1), None),
            ("requires", "logging", "loki_push_api", Some(1), None),
            ("requires", "receive-ca-cert", "certificate_transfer", None, None),
            ("requires", "send-loki-logs", "loki_push_api", Some(1), None),
            ("provides", "grafana-dashboard", "grafana_dashboard", None, None),
            ("provides", "http-endpoint", "falcosidekick_http_endpoint", None, None),
            ("provides", "metrics-endpoint", "prometheus_scrape", None, None),
            ("provides", "send-ca-cert", "certificate_transfer", None, None),
            ("peers", "restart-turns", "falcosidekick_turns", None, None),
        ]
    );
    assert_eq!(
        options(&charm),
        [
            ("allow-plain-http", "boolean", Some("false".into())),
            ("custom-fields", "string", None),
            ("custom-tags", "string", None),
            ("external-access", "string", Some("none".into())),
            ("load-balancer-annotations", "string", None),
            ("metrics-port", "int", Some("2810".into())),
            ("minimum-priority", "string", Some("debug".into())),
            ("outputs", "string", None),
            ("outputs-secret", "secret", None),
            ("port", "int", Some("2801".into())),
            ("templated-fields", "string", None),
        ]
    );
    let actions = ["check-tls", "get-ca", "list-outputs", "restart", "show-config", "test-alert"];
    assert_eq!(charm.actions.keys().collect::<Vec<_>>(), actions);
    assert_eq!(charm.resources.keys().collect::<Vec<_>>(), ["falcosidekick-image"]);
    assert_eq!(charm.containers.keys().collect::<Vec<_>>(), ["falcosidekick"]);
}
