//! `external-access` on the real kube-apiserver with the real etcd, by the compiled charm.

mod recordings;
mod world;

use charm_tests::juju::state::{Goal, GoalEntry};
use charm_tests::juju::{Event, State, Status};
use serde_json::json;

use self::world::{APP, BUDGETS, SERVICE, SERVICES, WORKLOADS, World, published, trust_first};

#[test]
#[ignore = "needs the real Kubernetes API, which takes minutes to build: make test-systems"]
fn without_the_right_blocked_and_with_it_the_service_is_there_and_its_address_is_published() {
    let world = World::new();
    let state = world.related().config("external-access", "load-balancer");
    let state = world.run(&Event::config_changed(), &state).state;
    assert_eq!(state.unit_status, trust_first());
    assert_eq!(world.cluster.get(SERVICE), None);
    assert_eq!(published(&state), None, "nobody is sent where callers from outside do not get in");

    world.trust();
    let state = world.run(&Event::config_changed(), &state).state;
    assert_eq!(
        state.unit_status,
        Status::waiting("external-access: waiting for the cluster to give the Service sidekick-lb an address")
    );
    let service = world.cluster.get(SERVICE).unwrap();
    assert_eq!(service["spec"]["type"], "LoadBalancer");
    assert_eq!(service["spec"]["selector"], json!({ "app.kubernetes.io/name": "sidekick" }));
    let port = &service["spec"]["ports"][0];
    assert_eq!((&port["port"], &port["targetPort"]), (&json!(world.port), &json!(world.port)));
    assert_eq!(service["metadata"]["labels"], json!({ "app.kubernetes.io/managed-by": "falcosidekick-k8s" }));
    let owner = &service["metadata"]["ownerReferences"][0];
    assert_eq!((&owner["kind"], &owner["uid"]), (&json!("StatefulSet"), &world.workload["metadata"]["uid"]));

    world.balance(&json!([{ "ip": "203.0.113.7" }]));
    let state = world.run(&Event::update_status(), &state).state;
    assert_eq!(state.unit_status, Status::active(""));
    assert_eq!(published(&state), Some(format!("\"http://203.0.113.7:{}/\"", world.port)));
    assert_eq!(state.charm_state.unwrap()["external-access"], "yes");
}

/// What Juju keeps for as long as there may be something of ours in the cluster.
fn mark(state: &State) -> Option<&str> {
    state.charm_state.as_ref()?.get("external-access").map(String::as_str)
}

#[test]
#[ignore = "needs the real Kubernetes API, which takes minutes to build: make test-systems"]
fn the_service_follows_the_options_and_goes_with_them() {
    let world = World::trusted();
    let annotations = |text: &str| {
        world.related().config("external-access", "load-balancer").config("load-balancer-annotations", text)
    };
    let first = annotations("example.com/internal: true\nexample.com/pool: '7'");
    let state = world.run(&Event::config_changed(), &first).state;
    let there = || world.cluster.get(SERVICE).unwrap();
    let expected = json!({ "example.com/internal": "true", "example.com/pool": "7" });
    assert_eq!(there()["metadata"]["annotations"], expected);

    let state = state.config("load-balancer-annotations", "example.com/pool=8");
    let state = world.run(&Event::config_changed(), &state).state;
    assert_eq!(there()["metadata"]["annotations"], json!({ "example.com/pool": "8" }));

    let state = state.config("port", world.other_port);
    let state = world.run(&Event::config_changed(), &state).state;
    let ports = there()["spec"]["ports"].clone();
    assert_eq!((ports.as_array().unwrap().len(), &ports[0]["port"]), (1, &json!(world.other_port)), "{ports}");

    world.node("node-b", "198.51.100.2", true);
    let state = state.config("external-access", "node-port");
    let state = world.run(&Event::config_changed(), &state).state;
    assert_eq!(there()["spec"]["type"], "NodePort");
    assert_eq!(there()["metadata"]["annotations"], json!(null));
    let node_port = &there()["spec"]["ports"][0]["nodePort"];
    assert_eq!(state.unit_status, Status::active(""));
    assert_eq!(published(&state), Some(format!("\"http://198.51.100.2:{node_port}/\"")), "in the hook that makes it");

    let state = state.config("external-access", "none");
    let state = world.run(&Event::config_changed(), &state).state;
    assert_eq!(world.cluster.get(SERVICE), None);
    assert_eq!(state.unit_status, Status::active(""));
    let service = format!("\"http://sidekick.test-model.svc.cluster.local:{}/\"", world.other_port);
    assert_eq!(published(&state), Some(service), "who is in the same model is sent to the Service again");
    assert_eq!(mark(&state), None, "from here on nobody asks Kubernetes");
}

#[test]
#[ignore = "needs the real Kubernetes API, which takes minutes to build: make test-systems"]
fn what_others_set_stays_and_what_they_change_of_ours_is_set_right() {
    let world = World::trusted();
    let state = world.related().config("external-access", "load-balancer");
    let state = state.config("load-balancer-annotations", "example.com/pool=7");
    let state = world.run(&Event::config_changed(), &state).state;
    world.cluster.merge(
        SERVICE,
        "cloud-controller",
        &json!({
            "metadata": { "annotations": { "cloud.example.com/id": "lb-1" }, "labels": { "theirs": "yes" } },
            "spec": { "externalTrafficPolicy": "Local", "sessionAffinity": "ClientIP" },
        }),
    );
    let version = |object: &serde_json::Value| object["metadata"]["resourceVersion"].clone();
    let before = world.cluster.get(SERVICE).unwrap();
    let state = world.run(&Event::update_status(), &state).state;
    assert_eq!(version(&world.cluster.get(SERVICE).unwrap()), version(&before), "there was nothing to change");

    let wrong = json!({
        "metadata": { "annotations": { "example.com/pool": "1" }, "ownerReferences": [] },
        "spec": { "type": "ClusterIP", "externalTrafficPolicy": null, "sessionAffinity": "ClientIP" },
    });
    world.cluster.merge(SERVICE, "kubectl-edit", &wrong);
    let state = state.config("load-balancer-annotations", "example.com/pool=9");
    world.run(&Event::config_changed(), &state);
    let after = world.cluster.get(SERVICE).unwrap();
    let annotations = json!({ "cloud.example.com/id": "lb-1", "example.com/pool": "9" });
    assert_eq!(after["metadata"]["annotations"], annotations);
    assert_eq!(after["metadata"]["labels"]["theirs"], "yes");
    assert_eq!(
        (&after["spec"]["type"], &after["spec"]["sessionAffinity"]),
        (&json!("LoadBalancer"), &json!("ClientIP"))
    );
    assert_eq!(after["metadata"]["ownerReferences"][0]["uid"], world.workload["metadata"]["uid"]);
}

#[test]
#[ignore = "needs the real Kubernetes API, which takes minutes to build: make test-systems"]
fn a_service_of_somebody_else_is_left_alone() {
    let world = World::trusted();
    let theirs = json!({ "metadata": { "name": "sidekick-lb" }, "spec": { "ports": [{ "port": 80 }] } });
    let theirs = world.cluster.create(SERVICES, &theirs);
    let state = world.related().config("external-access", "load-balancer");
    let state = world.run(&Event::config_changed(), &state).state;
    assert_eq!(
        state.unit_status,
        Status::blocked(
            "external-access: there is a Service sidekick-lb that this charm has not made; remove it, and this charm \
             makes one, for example: kubectl --namespace test-model delete service sidekick-lb"
        )
    );
    let state = world.run(&Event::config_changed(), &state.config("external-access", "none")).state;
    assert_eq!(state.unit_status, Status::active(""));
    assert_eq!(world.cluster.get(SERVICE), Some(theirs));
}

#[test]
#[ignore = "needs the real Kubernetes API, which takes minutes to build: make test-systems"]
fn more_than_one_unit_has_a_disruption_budget_unless_somebody_has_seen_to_it() {
    let world = World::trusted();
    let budget = format!("{BUDGETS}/sidekick");
    let state = world.related().config("external-access", "load-balancer");
    let state = world.run(&Event::config_changed(), &state).state;
    assert_eq!(world.cluster.get(&budget), None, "one unit");

    world.scale(2);
    let state = world.run(&Event::update_status(), &state).state;
    let spec = world.cluster.get(&budget).unwrap()["spec"].clone();
    let expected =
        json!({ "maxUnavailable": 1, "selector": { "matchLabels": { "app.kubernetes.io/name": "sidekick" } } });
    assert_eq!(spec, expected);

    let theirs = json!({
        "metadata": { "name": "theirs" },
        "spec": { "minAvailable": 1, "selector": { "matchLabels": { "app.kubernetes.io/name": "sidekick" } } },
    });
    world.cluster.create(BUDGETS, &theirs);
    let state = world.run(&Event::update_status(), &state).state;
    assert_eq!(world.cluster.get(&budget), None, "two for the same pods would keep Kubernetes from moving them");

    world.cluster.delete(&format!("{BUDGETS}/theirs"));
    let state = world.run(&Event::update_status(), &state).state;
    assert!(world.cluster.get(&budget).is_some());
    world.scale(1);
    let state = world.run(&Event::update_status(), &state).state;
    assert_eq!(world.cluster.get(&budget), None, "one unit again");

    world.scale(3);
    let state = world.run(&Event::update_status(), &state).state;
    world.run(&Event::config_changed(), &state.config("external-access", "none"));
    assert_eq!(world.cluster.get(&budget), None);
}

#[test]
#[ignore = "needs the real Kubernetes API, which takes minutes to build: make test-systems"]
fn pods_of_more_than_one_unit_are_spread_and_juju_leaves_that_alone() {
    let world = World::trusted();
    let pods = || {
        let set = world.cluster.get(&format!("{WORKLOADS}/{APP}")).unwrap();
        set["spec"]["template"]["spec"]["topologySpreadConstraints"].clone()
    };
    let state = world.related().config("external-access", "load-balancer");
    let state = world.run(&Event::config_changed(), &state).state;
    assert_eq!(pods(), json!(null), "one unit");

    world.scale(2);
    let state = world.run(&Event::update_status(), &state).state;
    assert_eq!(state.unit_status.name, "waiting", "for an address");
    let spread = pods();
    assert_eq!(
        spread,
        json!([{
            "maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": { "matchLabels": { "app.kubernetes.io/name": "sidekick" } },
        }])
    );
    world.write_workload("another image");
    assert_eq!(pods(), spread, "Juju names other fields only");
    for units in [1, 3] {
        world.scale(units);
        let state = world.run(&Event::update_status(), &state).state;
        world.run(&Event::config_changed(), &state.config("external-access", "none"));
        assert_eq!(pods(), spread, "to take it away would restart all units for nothing");
    }
}

#[test]
#[ignore = "needs the real Kubernetes API, which takes minutes to build: make test-systems"]
fn our_objects_go_with_the_last_unit_and_with_no_other() {
    let world = World::trusted();
    world.scale(2);
    let state = world.related().config("external-access", "load-balancer");
    let state = world.run(&Event::config_changed(), &state).state;
    let budget = format!("{BUDGETS}/sidekick");
    assert!(world.cluster.get(SERVICE).is_some() && world.cluster.get(&budget).is_some());

    let goal = |units: &[(&str, &str)]| {
        let entry = |status: &str| GoalEntry { status: status.into(), since: "2026-01-01 10:00:00Z".into() };
        let units = units.iter().map(|(name, status)| ((*name).to_owned(), entry(status))).collect();
        Some(Goal { units, ..Goal::default() })
    };
    let bare = State { relations: Vec::new(), ..state };
    let one_less = State { goal: goal(&[("sidekick/0", "dying"), ("sidekick/1", "active")]), ..bare.clone() };
    world.run(&Event::remove(), &one_less);
    assert!(world.cluster.get(SERVICE).is_some() && world.cluster.get(&budget).is_some());

    let units = [("sidekick/0", "dying"), ("sidekick/1", "dying")];
    let none_left = State { leader: false, goal: goal(&units), ..bare };
    world.run(&Event::remove(), &none_left);
    assert_eq!((world.cluster.get(SERVICE), world.cluster.get(&budget)), (None, None));
}

#[test]
#[ignore = "needs the real Kubernetes API, which takes minutes to build: make test-systems"]
fn while_the_api_server_is_away_everything_goes_on_and_nothing_is_lost() {
    let mut world = World::trusted();
    let state = world.related().config("external-access", "load-balancer");
    let state = world.run(&Event::config_changed(), &state).state;
    world.balance(&json!([{ "hostname": "lb.example.com", "ip": "203.0.113.7" }]));
    let state = world.run(&Event::update_status(), &state).state;
    let url = Some(format!("\"http://lb.example.com:{}/\"", world.port));
    assert_eq!((published(&state), &state.unit_status), (url.clone(), &Status::active("")));
    let processes = world.pod.pebble.service_processes();

    world.cluster.stop();
    for (event, state) in [
        (Event::update_status(), state.clone()),
        (Event::config_changed(), state.clone().config("external-access", "node-port")),
    ] {
        let away = world.run(&event, &state).state;
        assert_eq!(away.unit_status.name, "waiting");
        let words = "external-access: waiting for the API server of the cluster: ";
        assert!(away.unit_status.message.starts_with(words), "{}", away.unit_status);
        assert_eq!(published(&away), url);
        assert_eq!(world.pod.pebble.service_processes(), processes);
    }
    let unset = world.run(&Event::config_changed(), &state.clone().config("external-access", "none")).state;
    assert_eq!(unset.unit_status.name, "waiting");
    assert!(mark(&state).is_some());
    assert_eq!(mark(&unset), mark(&state), "it still knows that there is something to remove");
    let dying = [("sidekick/0".to_owned(), GoalEntry { status: "dying".into(), since: "2026-01-01 10:00:00Z".into() })];
    let goal = Some(Goal { units: dying.into(), ..Goal::default() });
    world.run(&Event::remove(), &State { relations: Vec::new(), goal, ..state });
}
