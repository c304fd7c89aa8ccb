//! Do alerts arrive, and what does the unit say when they do not?

use charm_tests::juju::{Event, State, Status};
use charm_tests::loki::Answer;
use charm_tests::ports::free_port;
use charm_tests::sink::Sink;

use crate::outputs::wait_for;
use crate::world::{CONTAINER, World, published};

const GET: &str = "GET / HTTP/1.0\r\n\r\n";

fn outputs(destination: &str, status: &str) -> String {
    format!("falcosecurity_falcosidekick_outputs_total{{destination=\"{destination}\",status=\"{status}\"}}")
}

fn inputs(status: &str) -> String {
    format!("falcosecurity_falcosidekick_inputs_total{{source=\"requests\",status=\"{status}\"}}")
}

fn update(world: &World, state: &State) -> State {
    world.run(&Event::update_status(), state).state
}

#[test]
fn alerts_that_fail_are_told_until_one_arrives() {
    let (world, state) = World::settled();
    let process = world.process();
    world.loki.answer(Answer::Refuse(500));
    for _ in 0..2 {
        world.post(world.port);
    }
    world.counted(world.port, &outputs("loki", "error"), 2);
    let failing = update(&world, &state);
    assert_eq!(failing.unit_status, Status::active("loki: 2 errors, 0 ok"));
    assert_eq!(published(&failing), published(&state), "Falcos go on sending, to the other outputs");

    world.loki.answer(Answer::Take);
    world.deliver(world.port);
    world.counted(world.port, &outputs("loki", "ok"), 1);
    assert_eq!(update(&world, &failing).unit_status, Status::active(""));
    assert_eq!(world.process(), process);
}

#[test]
fn one_output_that_fails_is_told_beside_one_that_works() {
    let (world, sink) = (World::new(), Sink::start());
    let closed = free_port();
    let text = format!(
        "webhook: {{address: '{}'}}\nelasticsearch: {{hostport: 'http://127.0.0.1:{closed}/'}}\n\
         slack: {{webhookurl: 'http://127.0.0.1:{closed}/hunter2'}}",
        sink.url()
    );
    let state = world.run(&Event::pebble_ready(CONTAINER), &world.bare().config("outputs", text)).state;
    world.post(world.port);
    wait_for(&sink, 1, &world);
    world.counted(world.port, &outputs("slack", "error"), 1);
    world.counted(world.port, &outputs("elasticsearch", "error"), 1);
    let status = update(&world, &state).unit_status;
    assert_eq!(status.name, "active");
    assert!(status.message.starts_with("elasticsearch: 1 error, 0 ok; slack: 1 error, 0 ok; outputs: "), "{status}");
    assert!(!status.message.contains("hunter2") && !status.message.contains("webhook:"), "{status}");
}

#[test]
fn what_is_rejected_is_told_until_something_else_is_accepted() {
    let (world, state) = World::settled();
    for _ in 0..4 {
        world.ask(world.port, GET);
    }
    world.deliver(world.port);
    world.counted(world.port, &inputs("rejected"), 4);
    let rejecting = update(&world, &state);
    assert_eq!(rejecting.unit_status, Status::active("inputs: 4 of 5 events since the last look were rejected"));
    world.deliver(world.port);
    assert_eq!(update(&world, &rejecting).unit_status, Status::active(""));
}

#[test]
fn what_was_counted_by_an_older_process_is_forgotten_with_it() {
    let (world, state) = World::settled();
    for _ in 0..3 {
        world.ask(world.port, GET);
    }
    world.counted(world.port, &inputs("rejected"), 3);
    let rejecting = update(&world, &state);
    assert_ne!(rejecting.unit_status, Status::active(""));
    world.pebble_command(&["restart", "falcosidekick"]);
    assert_eq!(update(&world, &rejecting).unit_status, Status::active(""));

    world.ask(world.port, GET);
    world.counted(world.port, &inputs("rejected"), 1);
    let again = update(&world, &rejecting);
    assert_eq!(again.unit_status, Status::active("inputs: 1 of 1 events since the last look were rejected"));
}

#[test]
fn a_file_of_what_was_counted_that_nobody_can_read_is_none() {
    let (world, state) = World::settled();
    let file = world.path("/run/juju-falcosidekick/health.json");
    assert!(file.exists());
    std::fs::write(&file, "{\"counters\": ").unwrap();
    world.ask(world.port, GET);
    world.counted(world.port, &inputs("rejected"), 1);
    let status = update(&world, &state).unit_status;
    assert_eq!(status, Status::active("inputs: 1 of 1 events since the last look were rejected"));
}

#[test]
fn a_check_that_failed_is_told_until_it_recovered_and_nothing_is_restarted_for_it() {
    let (world, state) = World::settled();
    world.check(1);
    assert!(world.is_ready());
    world.pebble_command(&["stop", "falcosidekick"]);
    world.check(3);
    assert!(!world.is_ready(), "no alert is to be sent here");

    world.pebble_command(&["start", "falcosidekick"]);
    let process = world.process();
    let failed = world.run(&Event::pebble_check_failed(CONTAINER, "health"), &state).state;
    assert_eq!(failed.unit_status.name, "waiting", "{}", failed.unit_status);
    let text = &failed.unit_status.message;
    assert!(text.starts_with("health: the check failed 3 times in a row, and http://127.0.0.1:"), "{text}");
    assert_eq!(update(&world, &failed).unit_status, failed.unit_status, "it is down until Pebble says otherwise");

    world.check(1);
    assert!(world.is_ready());
    let recovered = world.run(&Event::pebble_check_recovered(CONTAINER, "health"), &failed).state;
    assert_eq!(recovered.unit_status, Status::active(""));
    assert_eq!(world.process(), process);
    assert_eq!(published(&recovered), published(&state));
}

#[test]
fn a_recovery_that_nobody_told_of_is_seen_all_the_same() {
    let (world, state) = World::settled();
    world.pebble_command(&["stop", "falcosidekick"]);
    world.check(3);
    let failed = world.run(&Event::pebble_check_failed(CONTAINER, "health"), &state).state;
    assert_eq!(failed.unit_status.name, "waiting", "the hook has started it: {}", failed.unit_status);
    world.check(1);
    assert_eq!(update(&world, &failed).unit_status, Status::active(""));
    let requests = world.pebble.requests().len();
    world.run_once(&Event::update_status(), &failed);
    let asked = world.pebble.requests().split_off(requests);
    assert!(!asked.iter().any(|request| request.contains("/v1/checks")), "{asked:#?}");
}

#[test]
fn a_check_that_recovered_before_its_hook_is_not_told() {
    let (world, state) = World::settled();
    let told = world.run(&Event::pebble_check_failed(CONTAINER, "health"), &state).state;
    assert_eq!(told.unit_status, Status::active(""));
}
