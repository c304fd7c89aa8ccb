//! What has to wait for a turn to restart, and what does not.

use charm_core::names::UnitName;

use super::*;
use crate::names::RESTART_TURNS;
use crate::turns::{Peers, Turns};

/// There is another unit, and this one runs and has no turn.
fn beside_another(facts: Facts) -> Facts {
    let other: UnitName = "sidekick/1".parse().unwrap();
    let turns = Turns {
        relation: "1".parse().unwrap(),
        unit: "sidekick/0".parse().unwrap(),
        said: Databag::default(),
        peers: Some(Peers { units: [(other, Databag::default())].into(), app: Databag::default() }),
        runs: Some(true),
    };
    Facts { turns: Some(turns), ..facts }
}

/// What this unit says to the others in this plan.
fn asks(plan: &Plan) -> bool {
    plan.introduce.iter().any(|publish| publish.endpoint == RESTART_TURNS && publish.side == Side::Unit)
}

#[test]
fn another_configuration_waits_and_what_runs_goes_on_and_is_told_to_newcomers() {
    let mut facts = beside_another(settled(fresh()));
    facts.config = options(&[("allow-plain-http", "true"), ("minimum-priority", "error")]);
    facts.told_falcos.extend(told("8", &[]));
    let plan = decide(&facts);
    assert!(asks(&plan) && plan.keep_options.expose().is_none(), "nothing has served with them yet");
    assert_eq!((&plan.write, &plan.layer, &plan.remove), (&vec![], &None, &vec![]));
    assert!(matches!(plan.service, ServiceAction::Run(listener, _) if listener.port == 2801));
    assert_eq!(url(&plan), Some("\"http://10.1.2.3:2801/\""));
    let status = plan.status(&Seen::Serving);
    assert!(matches!(&status, Status::Waiting(text) if text.starts_with("restart-turns: waiting")), "{status}");

    facts.leader = true;
    let plan = decide(&facts);
    assert!(plan.layer.is_some() && plan.write.len() == 1, "who gives turns has one");
    assert_eq!(plan.status(&Seen::Serving), Status::active());
}

#[test]
fn another_certificate_waits_and_nobody_is_told_whom_to_believe_before_it_is_shown() {
    let (authority, ..) = tls::tests::settled((0, 90));
    let facts = beside_another(Facts { authority: Some(authority), told_falcos: told("7", &[]), ..certified() });
    let plan = decide(&facts);
    assert!(asks(&plan) && plan.write.is_empty() && plan.layer.is_none());
    assert_eq!(plan.service, ServiceAction::Leave);
}

#[test]
fn another_listener_and_a_first_start_wait_for_nobody() {
    let port = options(&[("allow-plain-http", "true"), ("port", "3000")]);
    let moved = Facts { config: port, ..settled(fresh()) };
    let (authority, addresses) = (certified().authority, certified().addresses);
    let encrypted = Facts { authority, addresses, now: tls::tests::NOW, ..settled(fresh()) };
    let in_clear_text = Facts { authority: None, config: options(&[("allow-plain-http", "true")]), ..certified() };
    for facts in [moved, encrypted, in_clear_text, fresh()] {
        let plan = decide(&beside_another(facts));
        assert!(!asks(&plan) && plan.layer.is_some() && !plan.write.is_empty(), "{plan:?}");
    }
}

#[test]
fn what_takes_no_restart_waits_for_nobody() {
    let mut facts = settled(fresh());
    for check in facts.container.as_mut().unwrap().plan.checks.values_mut() {
        check.threshold = Some(7);
    }
    let plan = decide(&beside_another(facts));
    assert!(!plan.restarts && plan.layer.is_some() && !asks(&plan));
    let plan = decide(&beside_another(settled(fresh())));
    assert_eq!(plan, decide(&settled(fresh())));
}

#[test]
fn nothing_is_asked_for_while_an_option_is_bad() {
    let mut facts = beside_another(settled(fresh()));
    facts.turns.as_mut().unwrap().said = [("restart-asked", "1")].into_iter().collect();
    facts.config = options(&[("port", "0")]);
    let plan = decide(&facts);
    let said: Vec<_> = plan.introduce.iter().flat_map(|publish| publish.changes.iter()).collect();
    assert_eq!(said, [("restart-asked", "")], "the question is taken back, so that nobody waits for this unit");
}
