//! The charm `everything.py`, and the states that it is shown.

use charm_tests::juju::state::{Credential, OpenedPort, Storage};
use charm_tests::juju::{Context, JujuVersion, Metadata, Network, Owner, Relation, Secret, State, Status};
use serde_json::{Value, json};

use crate::python::{Ops, PythonCharm, source};

pub const APP: &str = "everything";
pub const UNIT: &str = "everything/0";
pub const CREW: u32 = 1;
pub const DB: u32 = 2;
pub const WEB: u32 = 3;
pub const TOKEN: &str = "9m4e2mr0ui3e8a215n4g";
pub const OWN: &str = "9m4e2mr0ui3e8a215n5g";
pub const SUPERFLUOUS: &str = "9m4e2mr0ui3e8a215n6g";
pub const REVOKED: &str = "9m4e2mr0ui3e8a215n7g";
pub const REMOTE_MODEL: &str = "0c7ab1f6-9a52-4c3e-8a51-6a2f6f1d7b01";

/// The charm by a generation of ops.
pub fn charm(ops: Ops) -> PythonCharm {
    PythonCharm::new(ops, "everything.py", Metadata::read(source("everything.yaml")).unwrap())
}

/// Every generation of ops on every release of Juju.
pub fn everywhere(mut test: impl FnMut(&PythonCharm, Context)) {
    for ops in Ops::ALL {
        let charm = charm(ops);
        for version in JujuVersion::ALL {
            println!("{ops:?} on Juju {version}");
            test(&charm, charm.context().juju(version));
        }
    }
}

pub fn related() -> State {
    let mut state = State::machine()
        .relation(Relation::peer(CREW, "crew", APP).local_app("who", "all"))
        .relation(
            Relation::new(DB, "db", "postgres")
                .remote_unit_data(0, "host", "db-0 ü")
                .remote_unit(1)
                .remote_app("json", "{\"a\": \"\\u00fc\"}")
                .local_app("gone", "x")
                .local_unit("gone", "x"),
        )
        .relation(Relation::new(WEB, "web", "proxy").remote_unit(0).remote_model(REMOTE_MODEL));
    let crew = state.relation_by_id_mut(CREW);
    crew.remote_app_data = crew.local_app_data.clone();
    crew.remote_units.insert("everything/1".into(), [("answer".to_owned(), "42".to_owned())].into());
    state.other_units.insert("everything/1".into(), Status::active("too"));
    state
}

pub fn own(id: &str, label: &str) -> Secret {
    Secret::owned(id, Owner::Application(APP.into())).label(label)
}

/// A leader with something of everything.
pub fn full() -> State {
    let mut db = Network::machine("198.51.100.7", "198.51.100.0/24");
    db.ingress = vec!["db.example".into()];
    db.egress = vec!["198.51.100.0/28".into(), "2001:db8::/64".into()];
    let mut state = related()
        .leader(true)
        .config("text", "ü: 'x'\n")
        .config("number", -3)
        .config("share", 1.0)
        .config("flag", false)
        .config("token", format!("secret:{TOKEN}"))
        .network("db", db)
        .storage(Storage { id: "data/3".into(), kind: "filesystem".into(), location: "/srv/data/3".into() })
        .storage(Storage { id: "data/4".into(), kind: "filesystem".into(), location: "/srv/data/4".into() })
        .secret(
            Secret::user(TOKEN, APP)
                .revision([("value", "first")])
                .revision([("value", "second\n")])
                .tracked(UNIT, 1, "token"),
        )
        .secret(own(OWN, "own").revision([("key", "zero")]).revision([("key", "one")]))
        .unit_status(Status::waiting("for 'x'"));
    state.app_status = Status::blocked("because ü");
    state.opened_ports =
        [OpenedPort::tcp(443), OpenedPort { protocol: "icmp".into(), from: -1, to: -1, endpoint: String::new() }]
            .into();
    state.credential = Some(Credential {
        cloud: ["lxd", "localhost", "default", "192.0.2.1"].map(String::from),
        auth_type: "certificate".into(),
        attributes: [("client-cert".to_owned(), "a\nb".to_owned())].into(),
        ca_certificates: vec!["c".into()],
    });
    state
}

pub fn bag(address: &str, entries: &[(&str, &str)]) -> Value {
    let mut bag = json!({
        "egress-subnets": format!("{address}/32"), "ingress-address": address, "private-address": address,
    });
    for (key, value) in entries {
        bag[key] = json!(value);
    }
    bag
}
