//! Whatever somebody else writes.

use charm_tests::falco_host::FalcoHost;
use charm_tests::hostile::{Case, Subject, of_databags, of_options, run_through};
use charm_tests::juju::{Event, Metadata, Outcome, State};
use charm_tests::programs;

use crate::world::settled_from;

/// Hosts that take their share of the cases: most of the time each of them waits for Falco.
const HOSTS: usize = 6;

struct Host(FalcoHost);

impl Subject for Host {
    fn run(&self, event: &Event, state: &State) -> Outcome {
        self.0.context.run(event, state)
    }

    fn starts(&self) -> String {
        self.0.text("/etc/systemd/system/falco.service")
    }

    fn configuration(&self) -> String {
        self.0.text("/etc/juju-falco/falco.yaml")
    }

    /// Falco puts a variable of its environment in the place of `${NAME}`, unless the dollar is doubled.
    fn adds(&self, option: &str) -> &'static [&'static str] {
        match option {
            "disabled-rules" | "enabled-rules" => &[".rules["],
            "extra-labels" => &[".append_output[1].extra_fields["],
            "falco-config" => &["."],
            "rules" => &[".rules_files["],
            _ => &[],
        }
    }

    fn takes_for_a_command(&self) -> Option<String> {
        let text = self.configuration();
        text.lines().find(|line| line.replace("$${", "").contains("${")).map(str::to_owned)
    }
}

#[track_caller]
fn survives(cases: fn(&Metadata) -> Vec<Case>) {
    let cases = cases(&Metadata::read(programs::charmcraft("falco")).unwrap());
    run_through(&cases, HOSTS, || {
        let (host, state) = settled_from(|host| host.related("https://127.0.0.1:1/"));
        (Host(host), state)
    });
}

#[test]
fn nothing_in_a_databag_fails_a_hook_or_gets_into_anything_but_its_own_text() {
    survives(of_databags);
}

#[test]
fn nothing_in_an_option_fails_a_hook_or_gets_into_anything_but_its_own_text() {
    survives(of_options);
}
