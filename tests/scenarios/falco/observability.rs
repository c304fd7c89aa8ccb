//! What the observability agent on the same machine is told.

use charm_tests::falco_host::FalcoHost;
use charm_tests::juju::{Event, Relation, State};
use serde_json::Value;

use crate::world::{run, settled_from};

const COS_AGENT: u32 = 9;

fn related(host: &FalcoHost) -> State {
    host.fresh().relation(Relation::new(COS_AGENT, "cos-agent", "grafana-agent").remote_unit(0))
}

/// What the unit has published.
fn published(state: &State) -> Value {
    let relation = state.relations.iter().find(|relation| relation.id == COS_AGENT).expect("it is related");
    serde_json::from_str(relation.local_unit_data.get("config").map_or("null", String::as_str)).unwrap()
}

#[test]
fn the_agent_gets_a_job_rules_and_a_dashboard_and_hears_of_another_port() {
    let (host, state) = settled_from(related);
    let config = published(&state);
    let target = &config["metrics_scrape_jobs"][0]["static_configs"][0]["targets"][0];
    assert_eq!(target, &format!("localhost:{}", host.port));
    assert!(config["metrics_alert_rules"]["groups"].as_array().is_some_and(|groups| !groups.is_empty()));
    assert_eq!(config["dashboards"].as_array().map(Vec::len), Some(1));

    let port = charm_tests::ports::free_port();
    let state = run(&host, &Event::config_changed(), &state.config("metrics-port", port));
    let target = &published(&state)["metrics_scrape_jobs"][0]["static_configs"][0]["targets"][0];
    assert_eq!(target, &format!("localhost:{port}"));
}

#[test]
fn nothing_is_published_while_falco_does_not_serve() {
    let host = FalcoHost::new();
    let taken = std::net::TcpListener::bind(("127.0.0.1", host.port)).unwrap();
    let state = run(&host, &Event::install(), &related(&host));
    assert_eq!(state.unit_status.name, "blocked", "{}", state.unit_status);
    assert_eq!(published(&state), Value::Null);
    drop(taken);
}
