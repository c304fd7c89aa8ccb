//! Whatever somebody else writes.

use std::fs;

use charm_tests::hostile::{Case, Subject, of_databags, of_options, run_through};
use charm_tests::juju::{Event, Metadata, Outcome, State};
use charm_tests::programs;

use crate::world::{World, context};

/// Pods that take their share of the cases: most of the time each of them waits for Pebble.
const PODS: usize = 12;

impl Subject for World {
    fn run(&self, event: &Event, state: &State) -> Outcome {
        context(self.root()).run(event, state)
    }

    /// The plan without the digest, which is there to change, and without where the log goes, which is for Loki to say.
    fn starts(&self) -> String {
        let plan: String = serde_json::from_value(self.pebble.get("/v1/plan?format=yaml")).unwrap();
        let mut plan: serde_yaml::Mapping = serde_yaml::from_str(&plan).unwrap();
        plan.remove("log-targets");
        let plan = serde_yaml::to_string(&plan).unwrap();
        plan.lines().filter(|line| !line.contains("CHARM_CONFIG_DIGEST: ")).collect::<Vec<_>>().join("\n")
    }

    fn configuration(&self) -> String {
        fs::read_to_string(self.path("/etc/falcosidekick/falcosidekick.yaml")).unwrap()
    }
}

#[track_caller]
fn survives(cases: fn(&Metadata) -> Vec<Case>) {
    let cases = cases(&Metadata::read(programs::charmcraft("falcosidekick-k8s")).unwrap());
    run_through(&cases, PODS, World::settled);
}

#[test]
fn nothing_in_a_databag_fails_a_hook_or_gets_into_anything_but_its_own_text() {
    survives(of_databags);
}

#[test]
fn nothing_in_an_option_fails_a_hook_or_gets_into_anything_but_its_own_text() {
    survives(of_options);
}
