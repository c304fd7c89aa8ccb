//! Both charms under every release of Juju that can be played: the same hooks come to the same end.

use charm_tests::falco_host::{FalcoHost, HTTP_ENDPOINT, UNIT};
use charm_tests::juju::{Context, Event, JujuVersion, Relation, State};
use charm_tests::loki::LokiReceiver;
use charm_tests::machine::Machine;
use charm_tests::pod::{CONTAINER, Pod};
use charm_tests::ports::free_port;
use charm_tests::sink::Sink;
use serde_json::json;

/// Runs hooks, each once more than needed, and leaves the state in which everything has settled.
#[track_caller]
fn run(context: &Context, events: &[Event], mut state: State) -> State {
    for event in events {
        let outcome = context.run(event, &state).expect_success();
        let again = context.run(event, &outcome.state).expect_success();
        assert_eq!(again.state, outcome.state, "{event:?} had something left to do:\n{}", again.report());
        state = outcome.state;
    }
    state
}

#[test]
fn falco_comes_and_goes_under_every_release() {
    for version in JujuVersion::ALL {
        let sink = Sink::start();
        let host = FalcoHost::on(Machine::new().unwrap(), |context| context.juju(version));
        let state = host.related(&sink.url());
        let events = [
            Event::install(),
            Event::config_changed(),
            Event::start(),
            Event::relation_changed_by_app(HTTP_ENDPOINT),
            Event::update_status(),
        ];
        let state = run(&host.context, &events, state);
        assert_eq!(state.unit_status.to_string(), "active: ", "in Juju {version}");
        assert!(host.machine.is_active(UNIT), "in Juju {version}");
        let state = state.without_relation(HTTP_ENDPOINT);
        run(&host.context, &[Event::stop(), Event::remove()], state);
        assert!(!host.machine.is_active(UNIT), "in Juju {version}");
    }
}

#[test]
fn falcosidekick_comes_and_goes_under_every_release() {
    for version in JujuVersion::ALL {
        let loki = LokiReceiver::start();
        let pod = Pod::new(|context| context.juju(version));
        let endpoint = json!({"url": loki.url()}).to_string();
        let related =
            State::kubernetes().leader(true).config("port", free_port()).config("allow-plain-http", true).relation(
                Relation::new(2, "send-loki-logs", "loki").remote_unit(0).remote_unit_data(0, "endpoint", endpoint),
            );
        let state = pod.complete(related);
        let events = [
            Event::install(),
            Event::pebble_ready(CONTAINER),
            Event::config_changed(),
            Event::relation_changed(2, "loki/0"),
            Event::update_status(),
        ];
        let state = run(&pod.context, &events, state);
        assert_eq!(state.unit_status.to_string(), "active: ", "in Juju {version}");
        assert_eq!(pod.pebble.service_processes().len(), 1, "in Juju {version}");
        run(&pod.context, &[Event::stop(), Event::remove()], state.without_relation(2));
    }
}
