use super::*;
use crate::repository::{KnownHosts, Transport};

fn parse<T: Into<serde_json::Value> + Clone>(options: &[(&str, T)]) -> Result<Config, Status> {
    Config::parse(&options.iter().map(|(name, value)| (*name, value.clone())).collect())
}

fn blocked(options: &[(&str, &str)]) -> String {
    match parse(options) {
        Err(Status::Blocked(message)) => message,
        other => panic!("{options:?} gives {other:?}"),
    }
}

const KNOWN_HOST: &str =
    "git.example.com ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";

#[test]
fn without_options_everything_is_as_falco_ships_it() {
    let config = parse::<&str>(&[]).unwrap();
    let wanted = Config {
        priority: Priority::Debug,
        metrics_port: "8765".parse().unwrap(),
        engine: Engine::ModernEbpf,
        buffer_size_preset: 4,
        drop_failed_exit: false,
        syslog_output: true,
        memory_limit: None,
        default_rules: true,
        rules: None,
        disabled_rules: Vec::new(),
        enabled_rules: Vec::new(),
        extra_labels: Vec::new(),
        falco_config: None,
        allow_unsafe_overrides: false,
        repository: None,
        k8s_audit: None,
    };
    assert_eq!(config, wanted);
}

#[test]
fn good_values_are_taken() {
    assert_eq!(parse(&[("priority", "critical")]).unwrap().priority, Priority::Critical);
    assert_eq!(parse(&[("metrics-port", 65535)]).unwrap().metrics_port.number(), 65535);
    assert_eq!(parse(&[("engine", "kmod")]).unwrap().engine, Engine::Kmod);
    assert_eq!(parse(&[("buffer-size-preset", 10)]).unwrap().buffer_size_preset, 10);
    assert_eq!(parse(&[("memory-limit", "1g")]).unwrap().memory_limit.unwrap().to_string(), "1G");
    assert_eq!(parse(&[("rules", "- list: x")]).unwrap().rules.as_deref(), Some("- list: x"));
    assert_eq!(parse(&[("falco-config", "{}")]).unwrap().falco_config.as_deref(), Some("{}"));
    assert_eq!(parse(&[("extra-labels", "a=b")]).unwrap().extra_labels, [("a".to_owned(), "b".to_owned())]);
    let config = parse(&[("disabled-rules", "A b"), ("enabled-rules", "tag:c")]).unwrap();
    assert_eq!(config.disabled_rules, [Selector::Name("A b".into())]);
    assert_eq!(config.enabled_rules, [Selector::Tag("c".into())]);
    let switches = ["drop-failed-exit", "syslog-output", "default-rules", "allow-unsafe-overrides"];
    let config = parse(&switches.map(|option| (option, true))).unwrap();
    assert!(config.drop_failed_exit && config.allow_unsafe_overrides);
    let config = parse(&switches.map(|option| (option, false))).unwrap();
    assert!(!config.syslog_output && !config.default_rules);
}

#[test]
fn the_listener_for_audit_events_is_off_until_it_is_asked_for_and_has_a_port_of_its_own() {
    assert_eq!(
        parse(&[("k8s-audit-address", "0.0.0.0:9765"), ("k8s-audit-secret", "secret:x")]).unwrap().k8s_audit,
        None
    );
    let on: RawConfig = [("k8s-audit", true)].into_iter().collect();
    let wanted = k8s_audit::Wanted { address: Address::default(), secret: None };
    assert_eq!(Config::parse(&on).unwrap().k8s_audit, Some(wanted));
    let options: [(&str, serde_json::Value); 2] = [("k8s-audit", true.into()), ("metrics-port", 9765.into())];
    let Err(Status::Blocked(text)) = parse(&options) else { panic!("both have one port") };
    assert!(text.starts_with("k8s-audit-address: port 9765 is that of metrics-port"), "{text}");
    assert!(parse(&[("metrics-port", 9765)]).is_ok(), "off, it takes no port");
}

#[test]
fn bad_values_block_with_the_option_the_value_and_what_is_right() {
    for (name, value, text) in [
        ("priority", "loud", "priority: \"loud\" is not one of emergency"),
        ("priority", "", "priority: \"\" is not one of"),
        ("priority", "Debug", "priority: \"Debug\" is not one of"),
        ("metrics-port", "0", "metrics-port: \"0\" is not a port (1-65535)"),
        ("metrics-port", "65536", "metrics-port: \"65536\" is not a port"),
        ("metrics-port", "-1", "metrics-port: \"-1\" is not a port"),
        ("engine", "ebpf", "engine: \"ebpf\" is not one of modern_ebpf, kmod, nodriver"),
        ("buffer-size-preset", "11", "buffer-size-preset: \"11\" is not a number from 1 to 10"),
        ("memory-limit", "half", "memory-limit: \"half\" is not a size such as 512M"),
        ("memory-limit", "32M", "memory-limit: 32M is less than Falco takes"),
        ("disabled-rules", "tag:", "disabled-rules: \"tag:\" has `tag:` without"),
        (
            "k8s-audit-address",
            "localhost:9765",
            "k8s-audit-address: \"localhost:9765\" is not an IP address and a port",
        ),
        ("k8s-audit-address", "0.0.0.0:443", "k8s-audit-address: \"0.0.0.0:443\" has a port below 1024"),
        ("enabled-rules", "tag:a*", "enabled-rules: \"tag:a*\" has a *"),
        ("extra-labels", "a=%b", "extra-labels: \"a=%b\" has a value for a that has a %"),
    ] {
        let message = blocked(&[(name, value)]);
        assert!(message.starts_with(text), "{message}");
    }
}

#[test]
fn all_bad_values_are_told_at_once() {
    let rules = "x".repeat((1 << 20) + 1);
    let bad = [("priority", "loud"), ("metrics-port", "no"), ("rules", &rules), ("extra-labels", "x")];
    let message = blocked(&bad);
    for (option, _) in bad {
        assert!(format!("; {message}").contains(&format!("; {option}: ")), "{option}: {message}");
    }
    assert!(message.len() < 500, "a long text is not quoted");
}

#[test]
fn an_empty_text_is_like_no_text_where_none_is_usual() {
    let options = [
        "memory-limit",
        "rules",
        "disabled-rules",
        "enabled-rules",
        "extra-labels",
        "falco-config",
        "custom-config-repository",
        "custom-config-repo-ssh-key",
        "custom-config-repo-token",
        "custom-config-repo-known-hosts",
    ];
    for empty in ["", " \n"] {
        assert_eq!(parse(&options.map(|option| (option, empty))), parse::<&str>(&[]));
    }
    assert_eq!(parse(&[("memory-limit", "infinity"), ("rules", "# none yet\n")]), parse::<&str>(&[]));
}

#[test]
fn a_repository_comes_with_all_that_is_said_about_it() {
    let config = parse(&[
        ("custom-config-repository", "git+ssh://git@git.example.com/rules@main"),
        ("custom-config-repo-ssh-key", "secret:abc"),
        ("custom-config-repo-known-hosts", KNOWN_HOST),
    ])
    .unwrap();
    let wanted = config.repository.unwrap().unwrap();
    assert_eq!(wanted.url.transport, Transport::Ssh);
    assert_eq!((wanted.key.as_deref(), wanted.token), (Some("secret:abc"), None));
    assert_eq!(wanted.known_hosts, Some(KNOWN_HOST.parse::<KnownHosts>().unwrap()));
}

#[test]
fn a_missing_key_holds_back_the_repository_and_nothing_else() {
    let config = parse(&[("custom-config-repository", "git+ssh://git@github.com/rules"), ("priority", "error")]);
    let config = config.unwrap();
    assert_eq!(config.priority, Priority::Error);
    assert_eq!(config.repository.unwrap().unwrap().key, None);
}

#[test]
fn what_is_left_over_without_a_repository_is_harmless() {
    let config = parse(&[("custom-config-repo-token", "secret:abc"), ("custom-config-repo-known-hosts", "left over")]);
    assert_eq!(config.unwrap().repository, None);
}

#[test]
fn a_repository_that_is_not_understood_holds_back_nothing_but_itself() {
    let known_hosts = ("custom-config-repo-known-hosts", "left over");
    for (options, text) in [
        ([("custom-config-repository", "x"), known_hosts], "custom-config-repository: \"x\" is not git+ssh://"),
        (
            [("custom-config-repository", "git+https://h/r"), known_hosts],
            "custom-config-repo-known-hosts: \"left over\" has",
        ),
    ] {
        let config = parse(&options).unwrap();
        let Err(Status::Blocked(message)) = config.repository.unwrap() else { panic!() };
        assert!(message.starts_with(text), "{message}");
    }
    let message = blocked(&[("custom-config-repository", "x"), ("priority", "loud")]);
    assert!(message.starts_with("priority: ") && message.contains("; custom-config-repository: "), "{message}");
}
