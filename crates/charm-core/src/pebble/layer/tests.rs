use super::*;

fn web() -> Layer {
    let web = Service {
        summary: "the web".to_owned(),
        startup: Some(Startup::Enabled),
        command: "/bin/web --port 80".to_owned(),
        environment: map("CHARM_CONFIG_DIGEST", "aaa".to_owned()),
        ..Service::default()
    };
    let up = Check {
        level: Some(Level::Ready),
        http: Some(HttpCheck { url: "http://127.0.0.1/healthz".to_owned(), ..HttpCheck::default() }),
        ..Check::default()
    };
    let loki = LogTarget {
        r#type: "loki".to_owned(),
        location: "http://loki:3100/loki/api/v1/push".to_owned(),
        services: vec!["all".to_owned()],
        labels: map("unit", "web/0".to_owned()),
        ..LogTarget::default()
    };
    Layer { services: map("web", web), checks: map("up", up), log_targets: map("loki-1", loki), ..Layer::default() }
}

fn changed(change: impl FnOnce(&mut Layer)) -> Layer {
    let mut layer = web();
    change(&mut layer);
    layer
}

fn service(layer: &mut Layer) -> &mut Service {
    layer.services.get_mut("web").unwrap()
}

fn check(layer: &mut Layer) -> &mut Check {
    layer.checks.get_mut("up").unwrap()
}

fn map<T>(key: &str, value: T) -> BTreeMap<String, T> {
    BTreeMap::from([(key.to_owned(), value)])
}

#[test]
fn a_layer_is_sent_with_what_was_said_and_nothing_else() {
    assert_eq!(
        serde_json::to_value(web()).unwrap(),
        serde_json::json!({
            "services": {"web": {
                "override": "replace",
                "summary": "the web",
                "startup": "enabled",
                "command": "/bin/web --port 80",
                "environment": {"CHARM_CONFIG_DIGEST": "aaa"},
            }},
            "checks": {"up": {"override": "replace", "level": "ready", "http": {"url": "http://127.0.0.1/healthz"}}},
            "log-targets": {"loki-1": {
                "override": "replace",
                "type": "loki",
                "location": "http://loki:3100/loki/api/v1/push",
                "services": ["all"],
                "labels": {"unit": "web/0"},
            }},
        })
    );
}

#[test]
fn a_silenced_log_target_still_says_that_it_has_no_services() {
    let silenced = LogTarget { services: Vec::new(), ..web().log_targets["loki-1"].clone() };
    assert_eq!(serde_json::to_value(silenced).unwrap()["services"], serde_json::json!([]));
}

#[test]
fn the_plan_may_hold_more_than_the_layer_says() {
    let plan = changed(|plan| {
        plan.services.insert("other".to_owned(), Service::default());
        plan.checks.insert("other".to_owned(), Check::default());
        plan.log_targets.insert("other".to_owned(), LogTarget::default());
    });
    assert!(web().is_in(&plan));
    assert!(!plan.is_in(&web()));
}

#[test]
fn defaults_written_out_are_no_difference() {
    let spelled_out = changed(|layer| {
        service(layer).on_success = Some(OnEnd::Restart);
        service(layer).on_failure = Some(OnEnd::Restart);
        service(layer).backoff_delay = Some(Duration::from_millis(500));
        service(layer).backoff_factor = Some(2.0);
        service(layer).backoff_limit = Some(Duration::from_secs(30));
        service(layer).kill_delay = Some(Duration::from_secs(5));
        check(layer).startup = Some(Startup::Enabled);
        check(layer).period = Some(Duration::from_secs(10));
        check(layer).timeout = Some(Duration::from_secs(3));
        check(layer).threshold = Some(3);
    });
    assert!(spelled_out.is_in(&web()));
    assert!(web().is_in(&spelled_out));
}

#[test]
fn a_timeout_longer_than_the_period_means_the_period() {
    let wanted = changed(|layer| {
        check(layer).period = Some(Duration::from_secs(2));
        check(layer).timeout = Some(Duration::from_secs(4));
    });
    let plan = changed(|layer| {
        check(layer).period = Some(Duration::from_secs(2));
        check(layer).timeout = Some(Duration::from_secs(2));
    });
    assert!(wanted.is_in(&plan));
}

#[test]
fn the_summary_of_a_layer_is_no_difference_because_the_plan_has_none() {
    assert!(changed(|layer| layer.summary = "ours".to_owned()).is_in(&web()));
}

#[test]
fn every_difference_that_matters_is_one() {
    let web_service = || web().services["web"].clone();
    let services = [
        Service { command: "/bin/web".to_owned(), ..web_service() },
        Service { summary: "our web".to_owned(), ..web_service() },
        Service { startup: None, ..web_service() },
        Service { environment: map("CHARM_CONFIG_DIGEST", "bbb".to_owned()), ..web_service() },
        Service { environment: BTreeMap::new(), ..web_service() },
        Service { user_id: Some(0), ..web_service() },
        Service { kill_delay: Some(Duration::from_secs(6)), ..web_service() },
        Service { on_check_failure: map("up", OnEnd::Restart), ..web_service() },
    ];
    let web_check = || web().checks["up"].clone();
    let checks = [
        Check { level: None, ..web_check() },
        Check { threshold: Some(1), ..web_check() },
        Check { http: Some(HttpCheck::default()), ..web_check() },
        Check { http: None, tcp: Some(TcpCheck { port: 80, host: None }), ..web_check() },
    ];
    let web_target = || web().log_targets["loki-1"].clone();
    let log_targets = [
        LogTarget { location: "http://loki:3100/".to_owned(), ..web_target() },
        LogTarget { services: Vec::new(), ..web_target() },
    ];
    let different = services.map(|service| Layer { services: map("web", service), ..web() }).into_iter();
    let different = different.chain(checks.map(|check| Layer { checks: map("up", check), ..web() }));
    let different = different.chain(log_targets.map(|target| Layer { log_targets: map("loki-1", target), ..web() }));
    for wanted in different {
        assert!(!wanted.is_in(&web()), "{wanted:?}");
        assert!(wanted.is_in(&wanted));
    }
}

#[test]
fn a_plan_as_pebble_prints_it_is_understood() {
    let plan: Layer = serde_yaml::from_str(
        r"
services:
    web:
        summary: the web
        startup: enabled
        override: merge
        command: /bin/web --port 80
        environment:
            CHARM_CONFIG_DIGEST: aaa
        kill-delay: 5s
checks:
    up:
        override: replace
        level: ready
        period: 1m30s
        threshold: 3
        http:
            url: http://127.0.0.1/healthz
log-targets:
    loki-1:
        type: loki
        location: http://loki:3100/loki/api/v1/push
        services:
            - all
        override: replace
        labels:
            unit: web/0
",
    )
    .unwrap();
    assert!(changed(|layer| check(layer).period = Some(Duration::from_secs(90))).is_in(&plan));
}

#[test]
fn values_that_look_like_numbers_stay_the_text_they_are() {
    let yaml = "services: {web: {environment: {A: \"1\", B: 1e400, C: 0x1f, D: \"true\", E: \"\", F: \"~\", G: 1_0}}}";
    let plan: Layer = serde_yaml::from_str(yaml).unwrap();
    let environment: Vec<&str> = plan.services["web"].environment.values().map(String::as_str).collect();
    assert_eq!(environment, ["1", "1e400", "0x1f", "true", "", "~", "1_0"]);
}

#[test]
fn what_a_newer_pebble_adds_does_not_hide_the_rest_of_a_plan() {
    let plan: Layer = serde_yaml::from_str(
        "future: {}
services: {web: {override: replace, command: x, startup: maybe, on-failure: dance, future: [1]}}
checks: {up: {override: replace, level: half, grpc: {port: 1}}}
log-targets: {t: {override: replace, type: future, location: '', services: []}}",
    )
    .unwrap();
    assert_eq!(plan.services["web"].startup, Some(Startup::Disabled), "as Pebble takes any other word");
    assert_eq!(plan.services["web"].on_failure, Some(OnEnd::Unknown));
    assert_eq!(plan.checks["up"].level, Some(Level::Unknown));
}

#[test]
fn an_empty_plan_is_an_empty_layer() {
    assert_eq!(serde_yaml::from_str::<Layer>("{}\n").unwrap(), Layer::default());
}
