//! The end of a life: nothing fails any more, what everybody wants is good, and one hook tells of it.

use charm_tests::crash::World as _;
use charm_tests::falco_host::{FalcoHost, UNIT};
use charm_tests::juju::{self, Event, Relation, Secret, State};
use serde_json::json;

use super::Life;
use super::checks::{self, Before};

impl Life {
    /// One hook, and then all is as on a unit that is deployed now.
    pub fn end(&mut self) {
        self.note("    nothing fails any more".to_owned());
        self.heal_repository();
        self.wish_well();
        self.state.leader = true;
        let tarball = self.tarballs[self.rng.usize(..2)].clone();
        self.state.resources.insert("falco".into(), tarball);
        self.state.relations.retain(|relation| relation.life == juju::Life::Alive);
        let url = self.good_urls()[self.rng.usize(..2)].clone();
        let root = self.authority.root();
        for relation in &mut self.state.relations {
            match relation.endpoint.as_str() {
                "http-endpoint" => {
                    relation.remote_app_data.insert("url".into(), url.clone());
                    relation.remote_app_data.insert("ca".into(), json!(root).to_string());
                }
                "receive-ca-cert" => {
                    relation.remote_app_data.insert("certificates".into(), json!([root]).to_string());
                    relation.remote_app_data.insert("version".into(), "1".into());
                }
                "cos-agent" => relation.remote_units.values_mut().for_each(|databag| {
                    databag.remove("peers");
                }),
                _ => {}
            }
        }
        // Nobody has gone back from anything. It fails where that is so already.
        let undo = Event::action("rollback-rules").param("undo", true);
        self.state = self.context().run(&undo, &self.state).expect_success().state;
        let event = Event::upgrade_charm();
        self.note(format!("{} with {:#?}", self.name(&event), self.state.config));
        let before = Before::of(self);
        let outcome = self.context().run(&event, &self.state);
        checks::of_hook(self, &before, &event, &outcome);
        let is_blind = outcome.state.unit_status.message.starts_with("default-rules: ");
        assert!(is_blind || outcome.state.unit_status.name != "blocked", "{}", outcome.report());
        self.state = outcome.state;
        let port = self.state.config["metrics-port"].as_u64().and_then(|port| port.try_into().ok());
        self.host.port = port.expect("a port is set at the end");

        let (loaded, host_end, state) = (checks::serving(self), self.host_end(), self.state.clone());
        self.host.machine.run(&["stop", UNIT]);
        self.deploy_anew(&state);
        let fresh = (told(&self.state), self.host_end(), without_configuration(&checks::serving(self)));
        assert_eq!(
            (told(&state), host_end, without_configuration(&loaded)),
            fresh,
            "the end of a life and a fresh unit"
        );
    }

    /// Another machine, on which everybody wants the same from the beginning.
    fn deploy_anew(&mut self, state: &State) {
        let mut host = FalcoHost::new();
        host.port = self.host.port;
        self.host = host;
        let related = |relation: &Relation| {
            let fresh = Relation::new(relation.id, &relation.endpoint, &relation.remote_app);
            let (remote_app_data, remote_units) = (relation.remote_app_data.clone(), relation.remote_units.clone());
            Relation { remote_app_data, remote_units, ..fresh }
        };
        let unread = |secret: &Secret| Secret { consumers: std::collections::BTreeMap::new(), ..secret.clone() };
        self.state = State {
            config: state.config.clone(),
            resources: state.resources.clone(),
            relations: state.relations.iter().map(related).collect(),
            secrets: state.secrets.iter().map(unread).collect(),
            leader: true,
            ..State::default()
        };
        for event in
            [Event::install(), Event::leader_elected(), Event::config_changed(), Event::start(), Event::update_status()]
        {
            let outcome = self.context().run(&event, &self.state).expect_success();
            self.note(format!("a fresh unit: {}: {}", self.name(&event), outcome.state.unit_status));
            self.state = outcome.state;
        }
    }

    /// Files and service, without the generation before, which a fresh unit does not have.
    fn host_end(&self) -> String {
        let current = std::fs::read_link(self.host.machine.path("/etc/juju-falco/generations/current")).unwrap();
        let current = format!("/etc/juju-falco/generations/{}/", current.display());
        let end = self.host.end();
        let lines =
            end.lines().filter(|line| !line.starts_with("/etc/juju-falco/generations/") || line.starts_with(&current));
        // What is known of a delivery that has failed before is over with the next alert.
        lines.filter(|line| !line.starts_with("/run/")).collect::<Vec<_>>().join("\n")
    }
}

/// What Juju and others are told of a unit.
fn told(state: &State) -> String {
    let State { unit_status, workload_version, opened_ports, relations, .. } = state;
    let databags =
        relations.iter().map(|relation| (relation.full_id(), &relation.local_app_data, &relation.local_unit_data));
    format!("{unit_status}\n{workload_version}\n{opened_ports:?}\n{:#?}", databags.collect::<Vec<_>>())
}

/// The configuration has paths of the machine in it.
fn without_configuration(loaded: &[String]) -> Vec<String> {
    loaded.iter().filter(|line| !line.contains("sha256_config")).cloned().collect()
}
