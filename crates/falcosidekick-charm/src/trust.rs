//! Whom this application believes, and whom others have to believe to believe it. Pure.

use charm_core::Status;
use charm_core::interfaces::RelationData;
use charm_core::interfaces::certificate_transfer::{self, Provider};
use charm_core::relation::Side;
use charm_core::x509::Certificate;

use crate::decide;
use crate::facts::{Facts, Received};
use crate::names::{RECEIVE_CA_CERT, SEND_CA_CERT};
use crate::plan::Publish;

/// Everybody whom we were told to believe, each once. One relation that cannot be used takes nothing from the others.
pub fn received(facts: &Facts) -> Vec<Certificate> {
    let mut all = Vec::new();
    for Received { published, .. } in &facts.received {
        for certificate in published.iter().flatten().flat_map(|provider| &provider.certificates) {
            if !all.contains(certificate) {
                all.push(certificate.clone());
            }
        }
    }
    all
}

/// What is wrong with what we were told.
pub fn problems(facts: &Facts) -> impl Iterator<Item = Status> {
    facts.received.iter().filter_map(|Received { app, published, .. }| {
        let words = match published {
            Err(error) => error.to_string(),
            Ok(provider) => provider.as_ref()?.problem()?,
        };
        Some(Status::Blocked(format!("{RECEIVE_CA_CERT}: {app} {words}")))
    })
}

/// What those who ask whom to believe are told, and those who tell us.
pub fn publications(facts: &Facts, authorities: &[Certificate]) -> Vec<Publish> {
    let provider = Provider { certificates: authorities.to_vec(), unusable: 0 };
    let send = decide::publish(SEND_CA_CERT, &facts.told_authorities, |_, _| provider.write());
    let requirer = certificate_transfer::requirer();
    let receive = facts.received.iter().filter_map(|Received { relation, told, .. }| {
        Publish::of(RECEIVE_CA_CERT, *relation, Side::App, told.as_ref()?, &requirer)
    });
    send.into_iter().chain(receive).collect()
}
