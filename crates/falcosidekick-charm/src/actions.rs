//! One function for each action. An error is the text with which the action fails.

mod show;
mod test_alert;

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use charm_core::interfaces::{RelationData, certificate_transfer, falcosidekick_http_endpoint};
use charm_core::status::Status;
use charm_core::x509::{self, Certificate};
use charm_core::{Hook, juju};

use crate::apply::answer::{self, NoAnswer};
use crate::decide::{self, decide};
use crate::facts::{self, Facts};
use crate::log;
use crate::names::{CERTIFICATES, CONTAINER, HTTP_ENDPOINT, SEND_CA_CERT, SERVICE};
use crate::plan::{Plan, Seen, ServiceAction};
use crate::tls::Identity;

/// Runs the action of this name.
pub async fn run(hook: &Hook, name: &str) -> Result<()> {
    let results = match name {
        "check-tls" => check_tls(&facts::gather(hook).await?).await?,
        "get-ca" => get_ca(&facts::gather(hook).await?)?,
        "list-outputs" => return set(&show::outputs(hook).await?),
        "restart" => restart(hook).await?,
        "show-config" => return set(&show::config(hook).await?),
        "test-alert" => return test_alert::run(hook).await,
        _ => bail!("this charm has no action {name}"),
    };
    set(&results.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

fn set(results: &BTreeMap<String, String>) -> Result<()> {
    juju::action_set(results)
}

type Results = BTreeMap<&'static str, String>;

/// What Falcosidekick shows itself with, whether it does so, and who was told to believe it.
async fn check_tls(facts: &Facts) -> Result<Results> {
    let identity = identity(facts)?;
    let leaf = identity.leaf();
    let names: Vec<String> = leaf.names.iter().map(ToString::to_string).collect();
    let days = (leaf.not_after - facts.now) / (24 * 60 * 60);
    Ok(BTreeMap::from([
        ("subject", leaf.subject.clone()),
        ("issuer", leaf.issuer.clone()),
        ("names", names.join(", ")),
        ("not-before", x509::time_text(leaf.not_before)),
        ("not-after", x509::time_text(leaf.not_after)),
        ("days-left", days.to_string()),
        ("chain", subjects(&identity.chain)),
        ("authorities", subjects(&identity.authorities)),
        ("told-to-trust", told(facts, &identity.authorities)?),
        ("answers", answers(facts).await),
    ]))
}

/// Who has to be trusted to believe it.
fn get_ca(facts: &Facts) -> Result<Results> {
    Ok(BTreeMap::from([("ca", x509::bundle(&identity(facts)?.authorities))]))
}

/// Stops and starts Falcosidekick, which loses the alerts that come in meanwhile.
async fn restart(hook: &Hook) -> Result<Results> {
    let pebble = hook.container(CONTAINER)?;
    let facts = facts::gather(hook).await?;
    let plan = decide(&facts);
    let ServiceAction::Run(listener, question) = &plan.service else {
        bail!("{SERVICE} is not to be started now: {}", why_not(&plan))
    };
    let hide = |words: &str| log::without(words, plan.secrets.expose());
    if let Err(error) = pebble.restart(&[SERVICE]).await {
        // The last words of a program that ends at once are among Pebble's, and can quote what it was told.
        bail!("failed to restart {SERVICE}: {}", hide(&error.to_string()));
    }
    match answer::wait_for(*listener, question).await {
        Ok(()) => Ok(BTreeMap::from([("restarted", SERVICE.to_owned())])),
        Err(NoAnswer::Silent(words) | NoAnswer::NotTrusted(words)) => {
            bail!("{SERVICE} was restarted, and does not answer: {}", hide(&words))
        }
    }
}

async fn answers(facts: &Facts) -> String {
    let plan = decide(facts);
    let ServiceAction::Run(listener, question) = &plan.service else {
        return format!("not asked: {}", why_not(&plan));
    };
    match answer::once(*listener, question).await {
        Ok(()) => "yes".to_owned(),
        Err(NoAnswer::Silent(words) | NoAnswer::NotTrusted(words)) => format!("no: {words}"),
    }
}

/// Why a plan does not have the service run.
fn why_not(plan: &Plan) -> String {
    plan.status(&Seen::Nothing).message()
}

/// Who was told whom to believe, as `application (endpoint)`. What the application published is for its leader to read.
fn told(facts: &Facts, authorities: &[Certificate]) -> Result<String> {
    if !facts.leader {
        return Ok("only the leader can tell".to_owned());
    }
    let ca = falcosidekick_http_endpoint::whom_to_believe(authorities);
    let certificates = certificate_transfer::Provider { certificates: authorities.to_vec(), unusable: 0 }.write();
    let mut all = Vec::new();
    for (endpoint, told, wanted) in
        [(HTTP_ENDPOINT, &facts.told_falcos, ca), (SEND_CA_CERT, &facts.told_authorities, certificates)]
    {
        let believe = told.iter().filter(|(_, told)| !told.is_empty() && told.lacks(&wanted).is_empty());
        for (relation, _) in believe {
            all.push(format!("{} ({endpoint})", juju::relation_list_app(*relation)?));
        }
    }
    Ok(if all.is_empty() { "nobody".to_owned() } else { all.join(", ") })
}

fn identity(facts: &Facts) -> Result<Identity> {
    let Some(tls) = decide::tls(facts) else {
        bail!("{CERTIFICATES} is not related: nothing is served over TLS");
    };
    let why = || tls.status.as_ref().map(Status::message).unwrap_or_default();
    tls.identity.clone().with_context(why)
}

fn subjects(certificates: &[Certificate]) -> String {
    certificates.iter().map(|certificate| certificate.subject.as_str()).collect::<Vec<_>>().join("; ")
}
