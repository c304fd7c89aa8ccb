//! Where alerts go besides Loki.

mod table;

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use charm_tests::authority::{Authority, Days};
use charm_tests::http_sink::{self, Manner};
use charm_tests::juju::{Event, Secret, State, Status};
use charm_tests::ports::free_port;
use charm_tests::programs;
use charm_tests::sink::Sink;
use charm_tests::stand_in::tls;

use crate::trust::tells;
use crate::world::{CONTAINER, LOKI, World, falco_relation, published};

const SECRET: &str = "9m4e2mr0ui3e8a215n4g";
const PATIENCE: Duration = Duration::from_secs(60);

fn secret(key: &str, value: &str) -> Secret {
    Secret::user(SECRET, "sidekick").revision([(key, value)])
}

fn with_webhook(state: State, sink: &Sink) -> State {
    state.config("outputs", format!("webhook: {{address: '{}'}}", sink.url()))
}

/// Waits until the sink has received this many alerts.
#[track_caller]
pub fn wait_for(sink: &Sink, count: usize, world: &World) {
    let begin = Instant::now();
    while sink.received().len() < count {
        assert!(begin.elapsed() < PATIENCE, "the alert did not arrive:\n{}", world.pebble.log());
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn loki_is_not_needed_beside_another_output() {
    let (world, sink) = (World::new(), Sink::start());
    let state = with_webhook(world.bare().relation(falco_relation()), &sink);
    let state = world.run(&Event::pebble_ready(CONTAINER), &state).state;
    assert_eq!(state.unit_status, Status::active(""));
    assert!(published(&state).is_some());
    world.post(world.port);
    wait_for(&sink, 1, &world);

    let state = world.run(&Event::config_changed(), &state.config("outputs", "")).state;
    assert!(state.unit_status.message.ends_with("or set outputs"), "{}", state.unit_status);
    assert_eq!(published(&state), None);
    world.assert_stopped();
}

#[test]
fn alerts_go_to_loki_and_to_other_outputs_with_what_is_added_to_them() {
    let (world, state) = World::settled();
    let sink = Sink::start();
    let state = with_webhook(state, &sink)
        .config("custom-fields", "site: 007\n")
        .config("custom-tags", "prod, berlin")
        .config("templated-fields", "of: '{{ .juju_unit }}'");
    let state = world.run(&Event::config_changed(), &state).state;
    assert_eq!(state.unit_status, Status::active(""));
    let entry = world.deliver(world.port);
    assert_eq!((entry.labels["site"].as_str(), entry.labels["of"].as_str()), ("007", "falco/0"));
    assert_eq!(entry.labels["tags"], "berlin,prod");
    wait_for(&sink, 1, &world);
    assert_eq!(sink.received()[0]["output_fields"]["site"], "007");
}

#[test]
fn alerts_below_the_least_priority_stay_away() {
    let (world, state) = World::settled();
    let sink = Sink::start();
    let outputs = format!("webhook: {{address: '{}'}}\nloki: {{minimumpriority: debug}}", sink.url());
    let state = state.config("outputs", outputs).config("minimum-priority", "error");
    let state = world.run(&Event::config_changed(), &state).state;
    assert_eq!(state.unit_status, Status::active(""));
    world.deliver(world.port);
    let state = world.run(&Event::config_changed(), &state.config("minimum-priority", "warning")).state;
    assert_eq!(state.unit_status, Status::active(""));
    world.deliver(world.port);
    wait_for(&sink, 1, &world);
    assert_eq!(sink.received().len(), 1, "the first was a warning, too");
}

#[test]
fn bad_outputs_block_with_all_that_is_wrong_and_alerts_go_on() {
    let (world, state) = World::settled();
    let process = world.process();
    let state = state.config("outputs", "slak: {}\nsyslog: {host: h, port: 514}\n").config("custom-fields", "rule: x");
    let blocked = world.run(&Event::config_changed(), &state).state;
    assert_eq!(blocked.unit_status.name, "blocked");
    let text = &blocked.unit_status.message;
    for part in ["custom-fields: \"rule\" ", "outputs: slak: ", "outputs: syslog.protocol: is missing"] {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(published(&blocked), published(&state));
    assert_eq!(world.process(), process);
    world.deliver(world.port);
}

#[test]
fn a_secret_is_taken_when_it_is_granted_and_again_when_it_changes() {
    let (world, state) = World::settled();
    let (first, second) = (Sink::start(), Sink::start());
    let process = world.process();
    let id = format!("secret:{SECRET}");
    let ungranted = secret("webhook-address", &first.url()).revoked();
    let state = state.config("outputs-secret", id.as_str()).secret(ungranted);
    let blocked = world.run(&Event::config_changed(), &state).state;
    let command = format!("outputs-secret: not granted; run: juju grant-secret {id} sidekick");
    assert_eq!(blocked.unit_status, Status::blocked(command));
    assert_eq!(world.process(), process);
    world.deliver(world.port);

    let mut state = State { secrets: Vec::new(), ..blocked }.secret(secret("webhook-address", &first.url()));
    state = world.run(&Event::config_changed(), &state).state;
    assert_eq!(state.unit_status, Status::active(""));
    world.deliver(world.port);
    wait_for(&first, 1, &world);

    let place = state.secrets.iter_mut().find(|secret| secret.id == SECRET).unwrap();
    *place = place.clone().revision([("webhook-address", second.url())]);
    state = world.run(&Event::secret_changed(SECRET), &state).state;
    assert_eq!(state.unit_status, Status::active(""));
    world.deliver(world.port);
    wait_for(&second, 1, &world);
}

#[test]
fn a_secret_by_reference_stands_in_the_file_of_mode_600_and_nowhere_else() {
    let (world, state) = World::settled();
    let sink = Sink::start();
    let text = format!("webhook: {{address: '{}', customheaders: {{X-Token: 'secret:{SECRET}/token'}}}}", sink.url());
    let state = state.config("outputs", text).secret(secret("token", "hunter2hunter2"));
    let shown = world.plan(&Event::config_changed(), &state);
    assert!(!shown.report().contains("hunter2"), "{}", shown.report());
    let outcome = world.run(&Event::config_changed(), &state);
    assert_eq!(outcome.state.unit_status, Status::active(""));
    let calls = outcome.call_lines().join("\n");
    assert!(!calls.contains("hunter2"), "{calls}");
    let file = world.path("/etc/falcosidekick/falcosidekick.yaml");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(fs::read_to_string(&file).unwrap().contains("hunter2"));
    let plan = world.pebble.get("/v1/plan?format=yaml").to_string();
    assert!(!plan.contains("hunter2"), "{plan}");
}

#[test]
fn an_action_that_fails_quotes_falcosidekick_without_secrets() {
    let (world, state) = World::settled();
    let sink = Sink::start();
    let text = format!("webhook: {{address: '{}', customheaders: {{X-Token: 'secret:{SECRET}/token'}}}}", sink.url());
    let state = state.config("outputs", text).secret(secret("token", "hunter2-swordfish"));
    let state = world.run(&Event::config_changed(), &state).state;
    // One that ends at once, and quotes what it read as its last words.
    let program = world.path("/app/falcosidekick");
    let words = "#!/bin/sh\nsed -n 's/.*\\(hunter2[a-z-]*\\).*/cannot use \\1 as a token/p' \"$2\"\nexit 1\n";
    fs::remove_file(&program).unwrap();
    fs::write(&program, words).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let outcome = world.action("restart", &state).expect_success();
    let action = outcome.action.clone().unwrap();
    assert!(action.failed && action.message.contains("cannot use [redacted] as a token"), "{action:?}");
    assert!(!outcome.report().contains("hunter2"), "{}", outcome.report());
}

#[test]
fn credentials_of_a_cloud_are_a_file_that_goes_when_nobody_reads_it_any_more() {
    let (world, state) = World::settled();
    let aws = "aws: {checkidentity: false, accesskeyid: AKIA, secretaccesskey: hunter2, s3: {bucket: b}}\n";
    let sink = Sink::start();
    let text = format!("{aws}webhook: {{address: '{}'}}", sink.url());
    let state = world.run_once(&Event::config_changed(), &state.config("outputs", text)).state;
    let file = world.path("/etc/falcosidekick-credentials/aws-credentials");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let state = world.run(&Event::config_changed(), &with_webhook(state, &sink)).state;
    assert_eq!(state.unit_status, Status::active(""));
    assert!(!file.exists());
}

/// An output is dropped while its server is down, and there after one restart once the server answers.
fn is_late(output: &str, with: impl Fn(State, u16) -> State) {
    let (world, state) = World::settled();
    let port = free_port();
    let state = world.run(&Event::config_changed(), &with(state, port)).state;
    assert_eq!(state.unit_status.name, "waiting");
    let text = &state.unit_status.message;
    assert!(text.starts_with(&format!("outputs: {output}: 127.0.0.1:{port} was not there")), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
    assert!(published(&state).is_some(), "Loki takes alerts");
    world.deliver(world.port);

    let process = world.process();
    let server = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let state = world.run(&Event::update_status(), &state).state;
    assert_eq!(state.unit_status, Status::active(""));
    let restarted = world.process();
    assert_ne!(restarted, process);
    drop(server);
    let state = world.run(&Event::update_status(), &state).state;
    assert_eq!((state.unit_status, world.process()), (Status::active(""), restarted));
}

#[test]
fn an_output_whose_server_was_down_gets_one_restart_when_the_server_answers() {
    let with = |state: State, port| state.config("outputs", format!("logstash: {{address: 127.0.0.1, port: {port}}}"));
    is_late("logstash", with);
}

#[test]
fn rabbitmq_that_was_down_gets_one_restart_when_it_answers() {
    if programs::given("FALCOSIDEKICK").is_some() {
        return println!("NOT PLAYED: Falcosidekick itself takes nobody for RabbitMQ who does not speak AMQP");
    }
    let text = format!("rabbitmq: {{url: 'secret:{SECRET}/url', queue: q}}");
    let url = |port| format!("amqp://u:hunter2@127.0.0.1:{port}/");
    is_late("rabbitmq", |state, port| state.config("outputs", text.as_str()).secret(secret("url", &url(port))));
}

#[test]
fn an_output_that_crashes_falcosidekick_without_its_server_is_left_out_until_the_server_answers() {
    let (world, state) = World::settled();
    let port = free_port();
    let text = format!("spyderbat: {{orguid: o, apikey: k, apiurl: 'http://127.0.0.1:{port}'}}");
    let state = world.run(&Event::config_changed(), &state.config("outputs", text)).state;
    assert_eq!(state.unit_status.name, "waiting");
    let status = &state.unit_status.message;
    assert!(status.starts_with(&format!("outputs: spyderbat: left out until 127.0.0.1:{port} answers")), "{status}");
    world.deliver(world.port);

    table::serve(TcpListener::bind(("127.0.0.1", port)).unwrap());
    let state = world.run(&Event::update_status(), &state).state;
    let file = fs::read_to_string(world.path("/etc/falcosidekick/falcosidekick.yaml")).unwrap();
    assert!(file.contains("spyderbat"), "{file}");
    // The stand-in does not have it, and so it is dropped there.
    let expected = if programs::given("FALCOSIDEKICK").is_some() { "active" } else { "blocked" };
    assert_eq!(state.unit_status.name, expected, "{}", state.unit_status);
    world.deliver(world.port);
}

#[test]
fn the_relation_and_the_option_share_loki() {
    let (world, state) = World::settled();
    let state = world.run(&Event::config_changed(), &state.config("outputs", "loki: {tenant: staff}")).state;
    assert_eq!(state.unit_status, Status::active(""));
    world.deliver(world.port);

    let both = state.clone().config("outputs", format!("loki: {{hostport: '{}'}}", world.loki.url()));
    let blocked = world.run(&Event::config_changed(), &both).state;
    assert!(blocked.unit_status.message.contains("is given by the relation send-loki-logs"), "{}", blocked.unit_status);

    let alone = both.without_relation(LOKI);
    let url = world.loki.url();
    let text = format!("loki: {{hostport: '{}'}}", url.trim_end_matches("/loki/api/v1/push"));
    let state = world.run(&Event::config_changed(), &alone.config("outputs", text)).state;
    assert_eq!(state.unit_status, Status::active(""));
    world.deliver(world.port);
}

#[test]
fn hostile_options_block_in_one_line_and_nothing_is_touched() {
    let (world, state) = World::settled();
    let process = world.process();
    for (option, value) in [
        ("outputs", "a: &a [x]\nb: [*a, *a]"),
        ("outputs", "slack: {webhookurl: !!binary aGk=}"),
        ("outputs", "\u{1}\u{7f}"),
        ("outputs", &"[".repeat(100_000)),
        ("outputs", "slack:\n\twebhookurl: x"),
        ("custom-fields", "a: {b: c}"),
        ("custom-tags", "a b"),
        ("templated-fields", "a: '{{'"),
        ("minimum-priority", "loud"),
    ] {
        let blocked = world.run(&Event::config_changed(), &state.clone().config(option, value)).state;
        assert_eq!(blocked.unit_status.name, "blocked", "{option}: {}", blocked.unit_status);
        assert!(blocked.unit_status.message.starts_with(&format!("{option}: ")), "{}", blocked.unit_status);
    }
    assert_eq!(world.process(), process);
}

/// What Falcosidekick finds in its environment.
fn environment(world: &World) -> BTreeMap<String, String> {
    let bytes = fs::read(format!("/proc/{}/environ", world.process())).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let pairs = text.split('\0').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[test]
fn proxies_of_the_model_reach_the_process_and_what_is_near_is_reached_without() {
    let (world, state) = World::settled();
    assert!(!environment(&world).contains_key("HTTPS_PROXY"));
    let process = world.process();
    let proxies = [("HTTP", "http://proxy.example:3128"), ("HTTPS", "http://proxy.example:3129"), ("NO", "10.0.0.0/8")];
    let behind = world.run_behind(&proxies, &Event::config_changed(), &state).state;
    assert_eq!(behind.unit_status, Status::active(""));
    assert_ne!(world.process(), process, "a process keeps the environment that it was started with");
    let found = environment(&world);
    assert_eq!(found["HTTP_PROXY"], "http://proxy.example:3128");
    assert_eq!(found["HTTPS_PROXY"], "http://proxy.example:3129");
    let near: Vec<&str> = found["NO_PROXY"].split(',').collect();
    for host in ["localhost", "127.0.0.1", "::1", ".svc", ".cluster.local", "10.0.0.0/8"] {
        assert!(near.contains(&host), "{near:?}");
    }
    world.deliver(world.port);

    let process = world.process();
    let again = world.run_behind(&proxies, &Event::update_status(), &behind).state;
    assert_eq!((again, world.process()), (behind.clone(), process));
    let gone = world.run(&Event::config_changed(), &behind).state;
    assert_eq!(gone.unit_status, Status::active(""));
    assert!(!environment(&world).contains_key("HTTPS_PROXY"));
}

#[test]
fn a_proxy_with_a_password_stays_where_it_is_and_is_remarked() {
    let (world, state) = World::settled();
    let proxies = [("HTTPS", "http://user:hunter2@proxy.example:3128")];
    let outcome = world.run_behind(&proxies, &Event::config_changed(), &state);
    let status = &outcome.state.unit_status;
    assert!(
        status.name == "active" && status.message.starts_with("https-proxy: of the model, not handed on"),
        "{status}"
    );
    assert!(!environment(&world).values().any(|value| value.contains("hunter2")));
    assert!(!outcome.call_lines().join("\n").contains("hunter2"));
}

/// Sends whoever comes elsewhere, until it is told not to.
struct Redirecting {
    url: String,
    is_over: Arc<AtomicBool>,
}

impl Redirecting {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hunter2/", listener.local_addr().unwrap());
        let is_over = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&is_over);
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut request = [0; 4096];
                let head = if flag.load(Ordering::SeqCst) {
                    "200 OK".to_owned()
                } else {
                    "302 Found\r\nLocation: https://elsewhere.example/hunter2".to_owned()
                };
                let answer = format!("HTTP/1.1 {head}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                drop(stream.read(&mut request).and_then(|_| stream.write_all(answer.as_bytes())));
            }
        });
        Self { url, is_over }
    }
}

#[test]
fn an_output_that_sends_elsewhere_loses_alerts_and_is_remarked_until_it_does_no_more() {
    let (world, state) = World::settled();
    let server = Redirecting::start();
    let text = format!("webhook: {{address: '{}'}}", server.url);
    let state = world.run(&Event::config_changed(), &state.config("outputs", text)).state;
    let status = &state.unit_status;
    assert_eq!(status.name, "active");
    assert!(status.message.starts_with("webhook: http://127.0.0.1:"), "{status}");
    assert!(status.message.contains("redirects to https://elsewhere.example"), "{status}");
    assert!(!status.message.contains("hunter2"), "{status}");
    server.is_over.store(true, Ordering::SeqCst);
    let state = world.run(&Event::update_status(), &state).state;
    assert_eq!(state.unit_status, Status::active(""));
}

#[test]
fn a_server_over_https_that_sends_elsewhere_is_remarked_once_it_is_believed_and_not_asked_before() {
    let (world, state) = World::settled();
    let authority = Authority::new("private");
    let identity = authority.identity(&["127.0.0.1"], Days(1, 1));
    let to = "https://elsewhere.example/hunter2".to_owned();
    let manner = Manner::Redirect { status: 301, from: Some("/hunter2".to_owned()), to, rest: 200 };
    let server = http_sink::Sink::start(manner, Some(Arc::new(tls::server(identity, None).unwrap())));
    let text = format!("webhook: {{address: 'https://u:hunter3@127.0.0.1:{}/hunter2'}}", server.port());
    let state = world.run(&Event::config_changed(), &state.config("outputs", text)).state;
    assert!(!state.unit_status.message.contains("redirects"), "{}", state.unit_status);
    assert_eq!(server.received(), []);

    let state = state.relation(tells(11, "ca", &[&authority]));
    let state = world.run(&Event::relation_changed_by_app(11), &state).state;
    let status = &state.unit_status;
    assert!(status.message.contains("redirects to https://elsewhere.example, where Falcosidekick goes"), "{status}");
    assert!(!status.message.contains("hunter"), "{status}");
    for asked in server.received() {
        assert_eq!((asked.method.as_str(), asked.path.as_str(), asked.body.as_str()), ("OPTIONS", "/hunter2", ""));
        assert!(!asked.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("authorization")), "{asked:?}");
    }

    let state = state.config("outputs", format!("webhook: {{address: 'https://127.0.0.1:{}/'}}", server.port()));
    let state = world.run(&Event::config_changed(), &state).state;
    assert_eq!(state.unit_status, Status::active(""));
}
