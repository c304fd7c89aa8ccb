//! Certificates, an ingress, a load balancer, and authorities in both directions, all at once: a hook that is killed at
//! any point is made good by the next one.
//!
//! A world of this kind takes seconds to make, so each hook is killed at a few of its points, always the same ones.
//! `CRASH_POINTS=all` has every point tried.

use charm_tests::authority::{Authority, Days, publish};
use charm_tests::crash::{self, interrupt_everywhere, interrupt_here_and_there};
use charm_tests::ingress::{Ingress, Target};
use charm_tests::juju::state::{Goal, GoalEntry};
use charm_tests::juju::{Context, Event, Relation, State, Status};
use charm_tests::kubernetes::double::{Answer, ApiDouble};
use charm_tests::kubernetes::variables;
use charm_tests::loki::LokiReceiver;
use charm_tests::ports::free_port;
use falcosidekick_charm::kubernetes::objects::MANAGER;
use serde_json::json;

use crate::world::{CONTAINER, FALCO, LOKI, World, context, falco_relation, loki_relation};

const CERTIFICATES: u32 = 3;
const INGRESS: u32 = 4;
const RECEIVE: u32 = 11;
const SEND: u32 = 12;

const SERVICE: &str = "/api/v1/namespaces/test-model/services/sidekick-lb";
const WORKLOAD: &str = "/apis/apps/v1/namespaces/test-model/statefulsets/sidekick";
const BUDGETS: &str = "/apis/policy/v1/namespaces/test-model/poddisruptionbudgets";
const BUDGET: &str = "/apis/policy/v1/namespaces/test-model/poddisruptionbudgets/sidekick";

/// By which name the proxy calls the pod.
const NAME: &str = "sidekick.test-model.svc.cluster.local";

/// Far from any renewal.
pub const FRESH: Days = Days(1, 90);
/// Past 90 % of its life.
const NEARLY_OVER: Days = Days(95, 5);

/// What is around the pod, and outlives each of them.
pub struct Around {
    ports: [u16; 2],
    pub loki: LokiReceiver,
    /// Signs for the pod.
    authority: Authority,
    /// Vouches for the two proxies and for what stands before Loki.
    pub edge: Authority,
    loki_front: Ingress,
    pub proxy: Ingress,
    other: Ingress,
}

/// A pod beside an API of Kubernetes of its own.
pub struct Site {
    pub world: World,
    api: ApiDouble,
}

impl Around {
    pub fn new() -> Self {
        let (ports, loki) = ([free_port(), free_port()], LokiReceiver::start());
        let (authority, edge) = (Authority::new("pods"), Authority::new("edge"));
        let pod = || Target { port: ports[0], tls: Some((authority.root(), NAME.to_owned())) };
        let proxy = Ingress::start(&edge, "/test-model-sidekick", pod());
        let other = Ingress::start(&edge, "/other", pod());
        let url: url::Url = loki.url().parse().unwrap();
        let loki_front = Ingress::start(&edge, "", Target { port: url.port().unwrap(), tls: None });
        Self { ports, loki, authority, edge, loki_front, proxy, other }
    }

    /// A pod in which nothing has happened, and no Service of ours in its cluster.
    fn pod(&self) -> Site {
        let api = ApiDouble::start();
        let mut world = World::new().beside(&api);
        [world.port, world.metrics_port] = self.ports;
        let recording = |text: &str| Answer::Says(200, text.replace("2801", &self.ports[0].to_string()));
        api.answer("GET", WORKLOAD, [recording(include_str!("../../recordings/kubernetes/workload.json"))]);
        api.answer("GET", BUDGETS, [recording(include_str!("../../recordings/kubernetes/budgets.json"))]);
        let missing = Answer::Says(404, include_str!("../../recordings/kubernetes/not-found.json").to_owned());
        let service = recording(include_str!("../../recordings/kubernetes/service-with-address.json"));
        api.answer("PATCH", SERVICE, [service.clone()]);
        api.answer("DELETE", SERVICE, [recording(include_str!("../../recordings/kubernetes/removed.json"))]);
        api.answer("GET", SERVICE, [missing.clone()]);
        api.brings_about(("PATCH", SERVICE), ("GET", SERVICE), service);
        api.brings_about(("DELETE", SERVICE), ("GET", SERVICE), missing);
        Site { world, api }
    }

    /// The same in a cluster that has a Service and a `PodDisruptionBudget` of ours.
    fn pod_with_objects(&self) -> Site {
        let site = self.pod();
        let manager = json!({ "manager": MANAGER, "operation": "Apply", "fieldsType": "FieldsV1", "fieldsV1": {} });
        let budget = json!({ "metadata": { "name": "sidekick", "uid": "a-budget", "managedFields": [manager] } });
        let success = json!({ "apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Success" });
        for (method, path, answer) in [
            ("GET", SERVICE, site.says("PATCH", SERVICE)),
            ("GET", BUDGETS, Answer::object(200, &json!({ "metadata": {}, "items": [budget] }))),
            ("DELETE", BUDGET, Answer::object(200, &success)),
        ] {
            site.api.answer(method, path, [answer]);
        }
        let none = Answer::object(200, &json!({ "metadata": {}, "items": [] }));
        site.api.brings_about(("DELETE", BUDGET), ("GET", BUDGETS), none);
        site
    }

    /// What the controller knows of a leader that is related to everybody, before its first hook.
    fn related(&self) -> State {
        let path = url::Url::parse(&self.loki.url()).unwrap().path().to_owned();
        let ingress = Relation::new(INGRESS, "ingress", "gateway").remote_unit(0);
        let receive = Relation::new(RECEIVE, "receive-ca-cert", "lego").remote_unit(0);
        self.alone()
            .relation(loki_relation(&format!("{}{path}", self.loki_front.url())))
            .relation(falco_relation())
            .relation(Relation::new(CERTIFICATES, "certificates", "ca").remote_unit(0))
            .relation(ingress.remote_app("ingress", json!({ "url": self.proxy.url() }).to_string()))
            .relation(receive.remote_app("certificates", json!([self.edge.root()]).to_string()))
            .relation(Relation::new(SEND, "send-ca-cert", "somebody").remote_unit(0))
    }

    fn alone(&self) -> State {
        let state = State::kubernetes().leader(true).config("external-access", "load-balancer");
        state.config("port", self.ports[0]).config("metrics-port", self.ports[1])
    }

    /// The same after the pod has asked for a certificate, and `days` after somebody has signed.
    pub fn signed(&self, days: Days) -> State {
        let site = self.pod();
        let mut state = site.world.run_once(&Event::pebble_ready(CONTAINER), &self.related()).state;
        self.sign(&mut state, days);
        state
    }

    pub fn sign(&self, state: &mut State, days: Days) {
        self.authority.sign_all(state.relation_by_id_mut(CERTIFICATES), days);
    }

    /// A pod that serves this certificate and has nothing left to do, and what the controller knows then.
    pub fn settled(&self, signed: &State) -> (Site, State) {
        let site = self.pod();
        let state = site.world.run_once(&certificate_changed(), signed).state;
        assert_eq!(state.unit_status, Status::active(""));
        (site, state)
    }

    /// Kills `event` in the settled world, after `change` has happened to it.
    #[track_caller]
    fn kill(&self, event: &Event, change: impl Fn(&mut Site, &mut State)) {
        let signed = self.signed(FRESH);
        let points = interrupt_here_and_there(event, || {
            let (mut site, mut state) = self.settled(&signed);
            change(&mut site, &mut state);
            (site, state)
        });
        assert!(points >= 20, "only {points} points were found");
    }
}

impl Site {
    /// What its cluster would say now.
    #[track_caller]
    fn says(&self, method: &str, path: &str) -> Answer {
        self.api.says(method, path).unwrap_or_else(|| panic!("the double has no answer to {method} {path}"))
    }
}

impl crash::World for Site {
    fn context(&self) -> Context {
        let context = context(self.world.root());
        variables(self.api.port()).into_iter().fold(context, |context, (name, value)| context.env(name, value))
    }

    fn end(&self) -> String {
        let [service, budgets] = [SERVICE, BUDGETS].map(|path| self.says("GET", path));
        format!("{}\nService: {service:?}\nbudgets: {budgets:?}", crash::World::end(&self.world))
    }

    /// Also without when Juju is to tell of a secret, which is counted from the time at which it was asked to.
    fn without_chance(&self, state: &State) -> State {
        let mut state = self.world.without_chance(state);
        state.secrets.iter_mut().for_each(|secret| secret.expire = secret.expire.as_ref().map(|_| "a time".into()));
        state
    }
}

pub fn certificate_changed() -> Event {
    Event::relation_changed_by_app(CERTIFICATES)
}

fn end_relation(state: &mut State, id: u32) {
    let relation = state.relation_by_id(id).clone();
    *state.relation_by_id_mut(id) = relation.broken();
}

#[test]
fn a_killed_install_is_made_good() {
    let around = Around::new();
    interrupt_here_and_there(&Event::install(), || (around.pod(), around.alone()));
}

#[test]
fn a_killed_first_start_with_everything_is_made_good() {
    let around = Around::new();
    let signed = around.signed(FRESH);
    let points = interrupt_here_and_there(&Event::pebble_ready(CONTAINER), || (around.pod(), signed.clone()));
    assert!(points >= 40, "only {points} points were found");
}

#[test]
fn a_killed_request_beside_a_new_way_in_is_made_good() {
    let around = Around::new();
    let points = interrupt_here_and_there(&Event::relation_created(CERTIFICATES), || (around.pod(), around.related()));
    assert!(points >= 20, "only {points} points were found");
}

#[test]
fn a_killed_change_of_options_is_made_good() {
    let (around, other) = (Around::new(), free_port());
    around.kill(&Event::config_changed(), |site, state| {
        site.world.metrics_port = other;
        *state = state.clone().config("metrics-port", other).config("outputs", "loki: {minimumpriority: error}");
    });
}

#[test]
fn a_killed_end_of_a_load_balancer_is_made_good() {
    Around::new().kill(&Event::config_changed(), |_, state| {
        *state = state.clone().config("external-access", "none");
    });
}

#[test]
fn a_killed_arrival_of_another_certificate_is_made_good() {
    let around = Around::new();
    let request = charm_tests::authority::requests;
    let signed = around.signed(FRESH);
    let asked = request(&signed.relation_by_id(CERTIFICATES).local_unit_data).remove(0);
    let another = around.authority.answer(&asked, Days(0, 100));
    let points = interrupt_here_and_there(&certificate_changed(), || {
        let (site, mut state) = around.settled(&signed);
        publish(state.relation_by_id_mut(CERTIFICATES), std::slice::from_ref(&another));
        (site, state)
    });
    assert!(points >= 20, "only {points} points were found");
}

#[test]
fn a_killed_renewal_is_made_good() {
    let around = Around::new();
    let signed = around.signed(NEARLY_OVER);
    let points = interrupt_here_and_there(&certificate_changed(), || (around.pod(), signed.clone()));
    assert!(points >= 40, "only {points} points were found");
}

#[test]
fn a_killed_expiry_of_the_secret_is_made_good() {
    let around = Around::new();
    let signed = around.signed(FRESH);
    let (site, state) = around.settled(&signed);
    drop(site);
    let secret = state.secrets.iter().find(|secret| secret.label.contains("-certificate-")).unwrap();
    let event = Event::secret_expired(&secret.id, secret.latest());
    let points = interrupt_here_and_there(&event, || around.settled(&signed));
    assert!(points >= 20, "only {points} points were found");
}

#[test]
fn a_killed_move_of_the_ingress_is_made_good() {
    let around = Around::new();
    let elsewhere = json!({ "url": around.other.url() }).to_string();
    around.kill(&Event::relation_changed_by_app(INGRESS), |_, state| {
        let told = &mut state.relation_by_id_mut(INGRESS).remote_app_data;
        told.insert("ingress".into(), elsewhere.clone());
    });
}

#[test]
fn a_killed_new_leader_is_made_good() {
    let around = Around::new();
    let signed = around.signed(FRESH).leader(false);
    let points = interrupt_here_and_there(&Event::leader_elected(), || {
        let site = around.pod();
        // Who led before has seen to the Service, and has told nobody anything yet.
        site.api.answer("GET", SERVICE, [site.says("PATCH", SERVICE)]);
        let mut state = site.world.run_once(&certificate_changed(), &signed).state;
        for id in [FALCO, INGRESS, SEND] {
            state.relation_by_id_mut(id).local_app_data.clear();
        }
        (site, state.leader(true))
    });
    assert!(points >= 20, "only {points} points were found");
}

#[test]
fn a_killed_upgrade_into_a_new_pod_with_everything_is_made_good() {
    let around = Around::new();
    let (_, state) = around.settled(&around.signed(FRESH));
    let points = interrupt_here_and_there(&Event::upgrade_charm(), || (around.pod(), state.clone()));
    assert!(points >= 40, "only {points} points were found");
}

#[test]
fn a_killed_hook_after_the_death_of_the_container_is_made_good() {
    Around::new().kill(&Event::pebble_ready(CONTAINER), |site, _| site.world.pebble.restart());
}

#[test]
fn a_killed_end_of_certificates_with_everything_is_made_good() {
    Around::new().kill(&Event::relation_broken(CERTIFICATES), |_, state| end_relation(state, CERTIFICATES));
}

#[test]
fn a_killed_end_of_the_ingress_is_made_good() {
    Around::new().kill(&Event::relation_broken(INGRESS), |_, state| end_relation(state, INGRESS));
}

#[test]
fn a_killed_end_of_loki_is_made_good() {
    Around::new().kill(&Event::relation_broken(LOKI), |_, state| end_relation(state, LOKI));
}

#[test]
fn a_killed_end_of_those_who_are_believed_is_made_good() {
    Around::new().kill(&Event::relation_broken(RECEIVE), |_, state| end_relation(state, RECEIVE));
}

#[test]
fn a_killed_end_of_those_who_believe_is_made_good() {
    Around::new().kill(&Event::relation_broken(SEND), |_, state| end_relation(state, SEND));
}

#[test]
fn a_killed_end_of_the_last_falco_is_made_good() {
    Around::new().kill(&Event::relation_broken(FALCO), |_, state| end_relation(state, FALCO));
}

#[test]
fn a_killed_stop_is_made_good() {
    Around::new().kill(&Event::stop(), |_, _| ());
}

/// Juju runs the last hook of a unit again until it succeeds, and there is none after it.
#[test]
fn a_killed_end_of_the_last_unit_leaves_nothing_of_ours_in_the_cluster() {
    let around = Around::new();
    let known = around.pod().world.run_once(&Event::install(), &around.alone()).state;
    for leader in [true, false] {
        let dying = GoalEntry { status: "dying".into(), since: "2026-01-01 10:00:00Z".into() };
        let goal = Goal { units: [("sidekick/0".into(), dying)].into(), ..Goal::default() };
        let last = State { goal: Some(goal), leader, ..known.clone() };
        let prepare = || (around.pod_with_objects(), last.clone());
        let (site, state) = prepare();
        site.world.run_once(&Event::remove(), &state);
        let left = [SERVICE, BUDGETS].map(|path| site.says("GET", path));
        assert!(matches!(&left[0], Answer::Says(404, _)), "{left:?}");
        assert!(matches!(&left[1], Answer::Says(200, text) if text.contains("\"items\":[]")), "{left:?}");
        let points = interrupt_everywhere(&Event::remove(), prepare);
        assert!(points >= 10, "only {points} points were tried");
    }
}
