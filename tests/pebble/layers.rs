//! Layers and the combined plan.

use std::time::Duration;

use charm_core::pebble::layer::{
    Check, ExecCheck, HttpCheck, Level, LogTarget, OnEnd, Replace, Service, Startup, TcpCheck,
};
use charm_core::pebble::{Current, Error, Layer};

use crate::world::{RUN, World, layer};

/// A layer that says everything that can be said, none of it a default.
fn full() -> Layer {
    let map = |key: &str, value: &str| [(key.to_owned(), value.to_owned())].into();
    let some = |text: &str| Some(text.to_owned());
    let web = Service {
        r#override: Replace,
        summary: "the web".to_owned(),
        description: "a web\nof two lines".to_owned(),
        startup: Some(Startup::Enabled),
        command: "sleep [ 1000 ]".to_owned(),
        after: vec!["db".to_owned()],
        before: vec!["late".to_owned()],
        requires: vec!["db".to_owned()],
        environment: map("DIGEST", "aaa"),
        user_id: Some(0),
        user: some("root"),
        group_id: Some(0),
        group: some("root"),
        working_dir: some("/tmp"),
        on_success: Some(OnEnd::FailureShutdown),
        on_failure: Some(OnEnd::SuccessShutdown),
        on_check_failure: [("http".to_owned(), OnEnd::Ignore), ("tcp".to_owned(), OnEnd::Shutdown)].into(),
        backoff_delay: Some(Duration::from_millis(1500)),
        backoff_factor: Some(1.5),
        backoff_limit: Some(Duration::from_secs(90)),
        kill_delay: Some(Duration::from_micros(1)),
    };
    let other = Service { command: "sleep 1001".to_owned(), ..Service::default() };
    let http = Check {
        level: Some(Level::Alive),
        startup: Some(Startup::Disabled),
        period: Some(Duration::from_secs(100)),
        timeout: Some(Duration::from_secs(70)),
        threshold: Some(7),
        http: Some(HttpCheck { url: "http://127.0.0.1:1/".to_owned(), headers: map("X-A", "b: c") }),
        ..Check::default()
    };
    let tcp = Check {
        level: Some(Level::Ready),
        startup: Some(Startup::Disabled),
        tcp: Some(TcpCheck { port: 1, host: some("127.0.0.1") }),
        ..Check::default()
    };
    let exec = ExecCheck {
        command: "test -d /".to_owned(),
        service_context: some("db"),
        environment: map("A", "b"),
        user_id: Some(0),
        user: some("root"),
        group_id: Some(0),
        group: some("root"),
        working_dir: some("/"),
    };
    let exec = Check { startup: Some(Startup::Disabled), exec: Some(exec), ..Check::default() };
    let loki = LogTarget {
        r#override: Replace,
        r#type: "loki".to_owned(),
        location: "http://127.0.0.1:1/loki/api/v1/push".to_owned(),
        services: vec!["all".to_owned(), "-db".to_owned()],
        labels: map("juju_unit", "$JUJU_UNIT"),
    };
    let silent = LogTarget { services: Vec::new(), ..loki.clone() };
    Layer {
        summary: "ours".to_owned(),
        description: "of the test".to_owned(),
        services: [("web", web), ("db", other.clone()), ("late", other)].map(|(name, it)| (name.to_owned(), it)).into(),
        checks: [("http", http), ("tcp", tcp), ("exec", exec)].map(|(name, it)| (name.to_owned(), it)).into(),
        log_targets: [("loki", loki), ("silent", silent)].map(|(name, it)| (name.to_owned(), it)).into(),
    }
}

#[tokio::test]
async fn pebble_takes_every_key_that_a_layer_has_and_gives_it_back() {
    let world = World::new();
    let full = full();
    assert!(!full.is_in(&world.client.plan().await.unwrap()));
    world.client.add_layer("charm", &full).await.unwrap();
    let plan = world.client.plan().await.unwrap();
    assert!(full.is_in(&plan), "{plan:#?}");
    assert_eq!(plan.services, full.services);
    assert_eq!(plan.log_targets, full.log_targets);
}

#[tokio::test]
async fn a_layer_that_leaves_all_to_defaults_is_in_the_plan_as_well() {
    let world = World::new();
    let web = Service { command: "sleep 1".to_owned(), ..Service::default() };
    let check = Check { tcp: Some(TcpCheck { port: 1, host: None }), ..Check::default() };
    let wanted = Layer { checks: [("up".to_owned(), check)].into(), ..layer(web) };
    world.client.add_layer("charm", &wanted).await.unwrap();
    let plan = world.client.plan().await.unwrap();
    assert!(wanted.is_in(&plan), "{plan:#?}");
}

#[tokio::test]
async fn a_timeout_beyond_the_period_is_in_the_plan_although_pebble_shows_another() {
    let world = World::new();
    let check = Check {
        period: Some(Duration::from_secs(2)),
        timeout: Some(Duration::from_secs(4)),
        tcp: Some(TcpCheck { port: 1, host: None }),
        ..Check::default()
    };
    let wanted = Layer { checks: [("up".to_owned(), check)].into(), ..Layer::default() };
    world.client.add_layer("charm", &wanted).await.unwrap();
    assert!(wanted.is_in(&world.client.plan().await.unwrap()));
}

#[tokio::test]
async fn our_layer_wins_over_the_one_of_the_image_and_may_have_its_label() {
    let image = "services: {web: {override: replace, command: sleep 1, startup: disabled, environment: {IMAGE: yes}}}";
    for label in ["charm", "image"] {
        let world = World::with_layers(&[("image", image)]);
        let wanted = layer(world.service("aaa", RUN));
        assert!(!wanted.is_in(&world.client.plan().await.unwrap()));
        world.client.add_layer(label, &wanted).await.unwrap();
        assert!(wanted.is_in(&world.client.plan().await.unwrap()), "label {label}");
    }
}

#[tokio::test]
async fn an_entry_that_a_later_layer_leaves_out_stays() {
    let world = World::new();
    world.client.add_layer("charm", &full()).await.unwrap();
    world.client.add_layer("charm", &Layer::default()).await.unwrap();
    assert!(full().is_in(&world.client.plan().await.unwrap()));
}

#[tokio::test]
async fn a_refused_layer_is_an_error_in_pebbles_words_and_changes_nothing() {
    let world = World::new();
    world.want(world.service("aaa", RUN)).await;
    let before = world.client.plan().await.unwrap();
    let without_command = layer(Service { command: String::new(), ..world.service("bbb", RUN) });
    let error = world.client.add_layer("charm", &without_command).await.unwrap_err();
    assert!(matches!(error, Error::Refused { status: 400, .. }), "{error:?}");
    let expected =
        "failed to add layer charm: pebble refused with 400: plan must define \"command\" for service \"web\"";
    assert_eq!(error.to_string(), expected);
    assert_eq!(world.client.plan().await.unwrap(), before);
}

#[tokio::test]
async fn a_variable_reaches_the_process_byte_for_byte() {
    let world = World::new();
    let hostile = "$HOME ${X} %s \"double\" 'single' \\n `id` # no\n: {yaml} ä\t";
    let mut service = world.service("aaa", "printf %s \"$HOSTILE\" > hostile; exec sleep 1000");
    service.environment.insert("HOSTILE".to_owned(), hostile.to_owned());
    service.environment.insert("NUMBER".to_owned(), "017".to_owned());
    service.environment.insert("EMPTY".to_owned(), String::new());
    service.working_dir = Some(world.client.path(""));
    let wanted = layer(service);
    world.client.add_layer("charm", &wanted).await.unwrap();
    assert!(wanted.is_in(&world.client.plan().await.unwrap()));
    world.client.replan().await.unwrap();
    assert_eq!(world.client.read_file("/hostile").await.unwrap().unwrap(), hostile.as_bytes());
}

#[tokio::test]
async fn services_and_checks_that_pebble_does_not_know_are_left_out() {
    let world = World::new();
    world.client.add_layer("charm", &full()).await.unwrap();
    let services = world.client.services(&["web", "unknown"]).await.unwrap();
    assert_eq!(services.len(), 1);
    assert_eq!((services[0].name.as_str(), services[0].current), ("web", Current::Inactive));
    assert_eq!(world.client.services(&[]).await.unwrap().len(), 3);
    assert_eq!(world.client.checks(&["http", "tcp", "unknown"]).await.unwrap().len(), 2);
    assert_eq!(world.client.checks(&[]).await.unwrap().len(), 3);
}
