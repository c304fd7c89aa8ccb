//! What can happen to a unit between two hooks, and by which hook it hears of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use charm_tests::authority::Authority;
use charm_tests::falco_distribution::{Flaw, Options, real_tarball, tarball};
use charm_tests::falco_host::{FalcoHost, GENERAL_INFO, UNIT};
use charm_tests::juju::{self, Event, Relation, Secret, State};
use nix::sys::signal::Signal;
use serde_json::json;

use super::Life;
use super::secrets::KEY;

/// Where nobody listens.
const DEAD: &str = "http://127.0.0.1:9/";

/// Without parameters.
const ACTIONS: [&str; 8] =
    ["list-rules", "reload", "rollback-rules", "show-config", "support-bundle", "sync", "test-alert", "validate-rules"];

/// What becomes of the state after a hook.
#[derive(Clone, Copy, Debug)]
pub enum After {
    Nothing,
    /// The remote unit of this relation has departed.
    Departed(u32),
    /// This relation is over.
    Broken(u32),
}

impl After {
    pub fn follow(self, state: &mut State) {
        match self {
            Self::Nothing => {}
            Self::Departed(id) => state.relation_by_id_mut(id).remote_units.clear(),
            Self::Broken(id) => state.relations.retain(|relation| relation.id != id),
        }
    }
}

/// Resources: the one that hosts begin with, a newer one, and those that cannot be used.
pub fn tarballs(host: &FalcoHost, folder: &Path) -> Vec<PathBuf> {
    let made = |name: &str, options: &Options| {
        let folder = folder.join(name);
        fs::create_dir(&folder).unwrap();
        tarball(&folder, options)
    };
    let newer = match real_tarball() {
        Some(real) => real,
        None => made("newer", &Options { version: "0.45.0".into(), ..Options::default() }),
    };
    let flawed = made("flawed", &Options { flaw: Some(Flaw::NoGzip), ..Options::default() });
    vec![host.tarball.clone(), newer, flawed]
}

impl Life {
    /// Something that Juju tells a unit of.
    pub fn happen(&mut self) -> (Event, After) {
        match self.rng.u8(..100) {
            0..30 => {
                let wish = self.wish();
                self.note(format!("    juju config falco {wish}"));
                (Event::config_changed(), After::Nothing)
            }
            30..50 => self.relate("http-endpoint", "falcosidekick-k8s"),
            50..56 => self.relate("cos-agent", "grafana-agent"),
            56..62 => self.relate("receive-ca-cert", "site"),
            62..66 => self.change_repository(),
            66..74 => self.change_charm(),
            74..78 => {
                self.state.leader = true;
                (Event::leader_elected(), After::Nothing)
            }
            78..80 => {
                self.state.leader = false;
                (Event::update_status(), After::Nothing)
            }
            80..82 => (Event::stop(), After::Nothing),
            82..85 => (Event::start(), After::Nothing),
            85..90 => (Event::config_changed(), After::Nothing),
            90..92 => (Event::relation_changed_by_app(GENERAL_INFO), After::Nothing),
            92..95 => (Event::action(ACTIONS[self.rng.usize(..ACTIONS.len())]), After::Nothing),
            _ => (Event::update_status(), After::Nothing),
        }
    }

    /// A relation of this endpoint goes one step on.
    fn relate(&mut self, endpoint: &str, app: &str) -> (Event, After) {
        let unit = format!("{app}/0");
        let Some(relation) = self.state.relations.iter().find(|relation| relation.endpoint == endpoint).cloned() else {
            let id = self.next_relation;
            self.next_relation += 1;
            self.state.relations.push(Relation::new(id, endpoint, app));
            return (Event::relation_created(id), After::Nothing);
        };
        let id = relation.id;
        let is_alive = relation.life == juju::Life::Alive;
        match (is_alive, relation.remote_units.is_empty()) {
            (true, true) if self.chance(85) => {
                let joined = relation.remote_unit(0);
                *self.state.relation_by_id_mut(id) = joined;
                (Event::relation_joined(id, unit), After::Nothing)
            }
            (_, true) => {
                *self.state.relation_by_id_mut(id) = relation.broken();
                (Event::relation_broken(id), After::Broken(id))
            }
            (true, false) if self.chance(75) => self.publish(id, &unit),
            (_, false) => {
                *self.state.relation_by_id_mut(id) = relation.dying();
                (Event::relation_departed(id, unit), After::Departed(id))
            }
        }
    }

    /// The other side writes something.
    fn publish(&mut self, id: u32, unit: &str) -> (Event, After) {
        match self.state.relation_by_id(id).endpoint.as_str() {
            "cos-agent" => {
                let peers = self.one_of(["[]", "no JSON", "{\"peers\": 1}"]);
                self.note(format!("    peers: {peers}"));
                let relation = self.state.relation_by_id_mut(id);
                relation.remote_units.get_mut(unit).unwrap().insert("peers".into(), peers.into());
                return (Event::relation_changed(id, unit), After::Nothing);
            }
            "receive-ca-cert" => {
                let [good, other] = [self.authority.root(), Authority::new("other").root()];
                let lists = [vec![good.clone()], vec![good], vec![other], vec!["no PEM".to_owned()], Vec::new()];
                let texts = lists.map(|list| json!(list).to_string()).into_iter().chain(["no JSON".to_owned()]);
                let certificates = self.one_of(texts.map(Some).chain([None]));
                self.tell(id, "certificates", certificates);
                self.tell(id, "version", Some("1".to_owned()));
            }
            _ => {
                let [plain, secure] = self.good_urls();
                let good = [plain.clone(), secure.clone(), plain, secure];
                let bad = [json!(DEAD).to_string(), json!("ftp://h/").to_string(), "{\"url\": [null]}".to_owned()];
                let texts = good.into_iter().chain(bad).chain(["no JSON".to_owned()]).map(Some);
                let url = self.one_of(texts.chain([None]));
                self.tell(id, "url", url);
                let good = json!(self.authority.root()).to_string();
                let other = json!(Authority::new("other").root()).to_string();
                let ca =
                    self.one_of([Some(good.clone()), Some(good), Some(other), Some("\"no PEM\"".to_owned()), None]);
                self.tell(id, "ca", ca);
            }
        }
        (Event::relation_changed_by_app(id), After::Nothing)
    }

    /// The other application sets a key, or removes it.
    fn tell(&mut self, id: u32, key: &str, value: Option<String>) {
        let told: String = format!("{value:?}").chars().take(100).collect();
        self.note(format!("    {key}: {told}"));
        let data = &mut self.state.relation_by_id_mut(id).remote_app_data;
        match value {
            Some(value) => data.insert(key.into(), value),
            None => data.remove(key),
        };
    }

    fn one_of<T>(&mut self, values: impl IntoIterator<Item = T>) -> T {
        let mut values: Vec<T> = values.into_iter().collect();
        values.swap_remove(self.rng.usize(..values.len()))
    }

    /// URLs with a password at which somebody listens: in clear text, and over TLS.
    pub fn good_urls(&self) -> [String; 2] {
        let with_password = |url: String| url.replace("://", &format!("://user:{}@", self.secrets.password));
        [&self.sink, &self.secure_sink].map(|sink| json!(with_password(sink.url())).to_string())
    }

    fn change_repository(&mut self) -> (Event, After) {
        match self.rng.u8(..6) {
            0 if self.state.secrets.iter().any(|secret| secret.consumers.contains_key("falco/0")) => {
                let (key, _) = self.repository.new_key();
                self.secrets.set_key(&mut self.state, &key);
                return (Event::secret_changed(KEY), After::Nothing);
            }
            1 => {
                let secret = self.state.secrets.iter_mut().find(|secret| secret.id == KEY);
                if let Some(secret) = secret {
                    *secret = secret.clone().revoked();
                    self.note("    the key is revoked".to_owned());
                    self.is_ill = true;
                }
            }
            2 => {
                self.note("    the repository is away".to_owned());
                self.is_ill = true;
                self.repository.set_away(true);
            }
            3 => {
                self.note("    the repository has bad rules".to_owned());
                self.is_ill = true;
                self.repository.commit("rules.d/second.yaml", "- rule: Broken\n  condition: x.y = 1\n");
            }
            _ => self.heal_repository(),
        }
        (Event::update_status(), After::Nothing)
    }

    pub fn heal_repository(&mut self) {
        let number = self.rng.u8(..100);
        self.note(format!("    the repository is there, with the rules {number}"));
        self.is_ill = false;
        self.repository.set_away(false);
        self.repository.commit("rules.d/second.yaml", &format!("- list: second\n  items: [a{number}]\n"));
        if let Some(secret) = self.state.secrets.iter_mut().find(|secret| secret.id == KEY) {
            let granted = Secret::user(KEY, "falco");
            secret.access = granted.access;
        }
    }

    fn change_charm(&mut self) -> (Event, After) {
        if self.chance(50) {
            let tarball = self.tarballs[self.rng.usize(..self.tarballs.len())].clone();
            self.note(format!("    juju attach-resource falco falco={}", tarball.display()));
            self.state.resources.insert("falco".into(), tarball);
        }
        (Event::upgrade_charm(), After::Nothing)
    }

    /// Something happens to the machine, of which nobody tells.
    pub fn disturb(&mut self) {
        let machine = &self.host.machine;
        let what = match self.rng.u8(..15) {
            0 => {
                machine.kill(UNIT, Signal::SIGKILL);
                "Falco is killed"
            }
            1 => {
                machine.kill(UNIT, Signal::SIGKILL);
                machine.pass_time(Duration::from_secs(20));
                "Falco is killed, and systemd starts it again"
            }
            2 => {
                machine.run(&["stop", UNIT]);
                "somebody stops Falco"
            }
            3 => {
                machine.run(&["disable", UNIT]);
                "somebody disables Falco"
            }
            4 => {
                machine.reboot();
                "the machine is rebooted"
            }
            5 => self.damage("usr/bin/falco"),
            6 => self.damage("etc/falco/falco_rules.yaml"),
            7 => self.damage("usr/share/falco/plugins/libcontainer.so"),
            8 => self.remove("/etc/juju-falco/falco.yaml"),
            9 => self.remove("/etc/juju-falco/generations"),
            10 => self.remove("/etc/juju-falco/good/falco.yaml"),
            11 => self.overwrite("/etc/juju-falco/checked.json"),
            12 => self.overwrite("/opt/juju-falco/origin.json"),
            13 => self.remove("/etc/systemd/system/falco.service"),
            _ => {
                self.host.read_sensitive_file();
                "somebody reads a sensitive file"
            }
        };
        self.was_disturbed = true;
        self.note(format!("    {what}"));
    }

    /// A file of the distribution is gone.
    fn damage(&self, below: &str) -> &'static str {
        for entry in fs::read_dir(self.host.machine.path("/opt/juju-falco")).into_iter().flatten().flatten() {
            // One that has it no more, or is no distribution, is as damaged as it can be.
            let _ = fs::remove_file(entry.path().join(below));
        }
        match below {
            "usr/bin/falco" => "the program of Falco is gone",
            "etc/falco/falco_rules.yaml" => "the default rules are gone",
            _ => "the container plugin is gone",
        }
    }

    fn remove(&self, path: &'static str) -> &'static str {
        let place = self.host.machine.path(path);
        // It need not be there.
        let _ = if place.is_dir() { fs::remove_dir_all(place) } else { fs::remove_file(place) };
        path
    }

    fn overwrite(&self, path: &'static str) -> &'static str {
        let place = self.host.machine.path(path);
        if place.exists() {
            fs::write(place, "nonsense").unwrap();
        }
        path
    }
}
