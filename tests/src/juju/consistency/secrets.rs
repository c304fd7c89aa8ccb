//! Secrets must be such as the controller takes and keeps.

use std::collections::BTreeSet;

use super::Problems;
use crate::juju::state::{Owner, Secret, State};

/// In base64, for one key and for all.
const LARGEST: usize = 1_000_000;

pub fn check(problems: &mut Problems, state: &State) {
    let mut ids = BTreeSet::new();
    let mut labels: Vec<(&Owner, &str)> = Vec::new();
    for secret in &state.secrets {
        let id = &secret.id;
        let well_formed = id.len() == 20 && id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        problems.require(well_formed, || {
            format!("{id:?} is no id of a secret: 20 small letters and digits, without secret:")
        });
        problems.require(ids.insert(id), || format!("secret {id} is there twice"));
        let label = (&secret.owner, secret.label.as_str());
        problems.require(secret.label.is_empty() || !labels.contains(&label), || {
            format!("secret {id}: another one of the same owner has the label {}", secret.label)
        });
        labels.push(label);
        content(problems, secret);
    }
}

fn content(problems: &mut Problems, secret: &Secret) {
    let id = &secret.id;
    problems.require(!secret.revisions.is_empty(), || {
        format!("secret {id} has no revision: add one with Secret::revision")
    });
    for (number, content) in &secret.revisions {
        problems.require(!content.is_empty(), || format!("secret {id}: revision {number} is empty"));
        for key in content.keys() {
            problems.require(crate::juju::commands::is_secret_key(key), || {
                format!("secret {id}: {key:?} is no key: at least three small letters, digits and single hyphens")
            });
        }
        let size: usize = content.values().map(|value| value.len().div_ceil(3) * 4).sum();
        problems.require(size <= LARGEST, || format!("secret {id}: revision {number} is larger than Juju takes"));
    }
    for (unit, consumer) in &secret.consumers {
        problems.require(consumer.revision <= secret.latest() && consumer.revision > 0, || {
            format!("secret {id}: {unit} tracks revision {}, which never was", consumer.revision)
        });
    }
}
