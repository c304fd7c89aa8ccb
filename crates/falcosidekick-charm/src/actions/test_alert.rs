//! A marked alert on purpose, sent to Falcosidekick as a Falco sends one, and what became of it at each output.
//!
//! Falcosidekick answers before it passes an alert on, so this waits for its counters and its log. Alerts of real Falcos
//! in the same seconds are counted, too.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use charm_core::http::Answer;
use charm_core::https::{self, Trust};
use charm_core::pebble::Client;
use charm_core::priority::Priority;
use charm_core::{Hook, Status, clock, http, juju, x509};
use serde::Deserialize;
use serde_json::json;

use super::show::Wanted;
use crate::facts;
use crate::health;
use crate::health::metrics::{Count, Counters, doubt};
use crate::log::Log;
use crate::names::{CHARM, CONTAINER, SERVICE};
use crate::outputs::table::Block;
use crate::plan::{Question, ServiceAction};

/// The rule of the alert: whoever sees it knows where it comes from.
pub const RULE: &str = "Juju test alert";
/// Also its tag.
const MARKER: &str = "juju-test-alert";

/// How long an output is given. A server that needs longer has a trouble worth telling.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(200);
/// An output that is not counted says what went wrong within this.
const UNCOUNTED_PATIENCE: Duration = Duration::from_secs(3);

#[derive(Deserialize)]
struct Parameters {
    priority: Option<String>,
}

/// What became of it at one output.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Arrival {
    /// It was counted as delivered.
    Delivered,
    /// The same, of an output whose count proves little; why.
    Perhaps(&'static str),
    /// It was not delivered; why.
    Failed(String),
    /// It was not sent there; why.
    NotSent(String),
    /// Nothing was counted in all the time.
    Unknown,
}

impl fmt::Display for Arrival {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Delivered => out.write_str("delivered"),
            Self::Perhaps(doubt) => write!(out, "sent: {doubt}"),
            Self::Failed(reason) => write!(out, "failed: {reason}"),
            Self::NotSent(reason) => write!(out, "not sent: {reason}"),
            Self::Unknown => write!(out, "not known: nothing came back within {} s", PATIENCE.as_secs()),
        }
    }
}

/// Sends it, waits, and tells. The action fails unless it arrived everywhere where it was to.
pub async fn run(hook: &Hook) -> Result<()> {
    let priority = priority(juju::action_get::<Parameters>()?.priority.as_deref())?;
    let wanted = Wanted::gather(hook).await?;
    let pebble = hook.container(CONTAINER)?;
    let before = match health::counters(wanted.listener).await {
        Ok(counters) => counters,
        Err(words) => bail!("{SERVICE} does not answer: {}", wanted.safe(&words)),
    };
    let last = facts::printed(&pebble).await?.pop();
    send(&wanted, &event(hook, priority, clock::now()).to_string()).await?;
    let arrivals = wait(&wanted, &pebble, priority, &before, last.as_deref()).await?;
    let result = |(block, arrival): &(&Block, Arrival)| (block.path.to_owned(), arrival.to_string());
    let mut results: BTreeMap<String, String> = arrivals.iter().map(result).collect();
    results.extend([("rule".to_owned(), RULE.to_owned()), ("priority".to_owned(), priority.word().to_owned())]);
    juju::action_set(&results)?;
    let bad = |(_, arrival): &&(&Block, Arrival)| matches!(arrival, Arrival::Failed(_) | Arrival::Unknown);
    let failed: Vec<&str> = arrivals.iter().filter(bad).map(|(block, _)| block.path).collect();
    if !failed.is_empty() {
        bail!(Status::Blocked(format!("the alert is not known to have arrived: {}", failed.join(", "))));
    }
    if arrivals.iter().all(|(_, arrival)| matches!(arrival, Arrival::NotSent(_))) {
        bail!(Status::Blocked("the alert was sent nowhere: give it a higher priority".to_owned()));
    }
    Ok(())
}

/// High, unless it is said otherwise, so that no least priority keeps it away.
fn priority(word: Option<&str>) -> Result<Priority> {
    let Some(word) = word else { return Ok(Priority::Critical) };
    match word.parse() {
        Ok(priority) => Ok(priority),
        Err(problem) => bail!("priority: {word:?} {problem}"),
    }
}

/// It takes every way that a real one takes, so it says that it is one of system calls: OTLP traces are for no others.
fn event(hook: &Hook, priority: Priority, now: i64) -> serde_json::Value {
    let (unit, model) = (hook.unit.to_string(), &hook.model);
    json!({
        "output": format!("This is a test, sent from {unit} by the action test-alert; nothing has happened ({MARKER})"),
        "priority": priority.word(),
        "rule": RULE,
        "time": x509::time_text(now),
        "source": "syscall",
        "tags": [MARKER],
        "hostname": unit.replace('/', "-"),
        "output_fields": {
            "evt.hostname": unit.replace('/', "-"),
            "juju_unit": unit,
            "juju_application": hook.unit.app.to_string(),
            "juju_charm": CHARM,
            "juju_model": model.name,
            "juju_model_uuid": model.uuid,
        },
    })
}

async fn send(wanted: &Wanted, event: &str) -> Result<()> {
    let Wanted { listener, plan, .. } = wanted;
    let here = SocketAddr::from((Ipv4Addr::LOCALHOST, listener.port));
    let answer = match &plan.service {
        ServiceAction::Run(_, Question::Tls { urls, authorities }) => {
            let Some(url) = urls.first() else { bail!("the certificate is for nobody") };
            https::post_json(url, Some(here), &Trust::only(authorities), event.to_owned())
                .await
                .map_err(anyhow::Error::from)
        }
        _ => http::post_json(&format!("http://{here}/"), event.to_owned()).await.map_err(anyhow::Error::from),
    };
    match answer {
        Ok(Answer { status: 200, .. }) => Ok(()),
        Ok(Answer { status, body }) => bail!("{SERVICE} did not take the alert: {status} {}", wanted.safe(&body)),
        Err(error) => bail!("{SERVICE} did not take the alert: {}", wanted.safe(&error.root_cause().to_string())),
    }
}

/// Looks until every output has said something.
async fn wait(
    wanted: &Wanted,
    pebble: &Client,
    priority: Priority,
    before: &Counters,
    last: Option<&str>,
) -> Result<Vec<(&'static Block, Arrival)>> {
    let begin = Instant::now();
    loop {
        let lines = facts::printed(pebble).await?;
        let all = Log::new(&lines);
        // What was printed after the line that was the last one before.
        let new = last.and_then(|last| lines.iter().rposition(|line| line == last)).map_or(0, |at| at + 1);
        let new = &lines[new..];
        let now = health::counters(wanted.listener).await.unwrap_or_else(|_| before.clone());
        let time = begin.elapsed();
        let look = |block: &'static Block| {
            if all.is_enabled(block.name) == Some(false) {
                return (block, Some(Arrival::NotSent("Falcosidekick has not enabled it".to_owned())));
            }
            let minimum = wanted.sinks.outputs.shown(block, None).minimum;
            if priority < minimum {
                return (block, Some(Arrival::NotSent(format!("it has a least priority of {}", minimum.word()))));
            }
            let count = now.of(block.path).since(before.of(block.path));
            let error = Log::first_error(new, block.says).map(|words| wanted.safe(words));
            (block, arrival(block, count, error, time))
        };
        let seen: Vec<_> = wanted.outputs().map(look).collect();
        if time > PATIENCE || seen.iter().all(|(_, arrival)| arrival.is_some()) {
            return Ok(seen.into_iter().map(|(block, arrival)| (block, arrival.unwrap_or(Arrival::Unknown))).collect());
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// What became of it; `None` while nothing is to be seen.
fn arrival(block: &Block, count: Count, error: Option<String>, waited: Duration) -> Option<Arrival> {
    match (count, error, doubt(block.path)) {
        (Count { bad, .. }, error, _) if bad > 0 => {
            Some(Arrival::Failed(error.unwrap_or_else(|| "it does not say why".to_owned())))
        }
        // An error that was not counted was about something else.
        (Count { good, .. }, _, None) if good > 0 => Some(Arrival::Delivered),
        (_, Some(error), Some(_)) => Some(Arrival::Failed(error)),
        (_, None, Some(doubt)) if waited > UNCOUNTED_PATIENCE => Some(Arrival::Perhaps(doubt)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outputs::table;

    fn arrival(path: &str, good: u64, bad: u64, error: Option<&str>, seconds: u64) -> Option<Arrival> {
        let block = table::block(path).unwrap();
        super::arrival(block, Count { good, bad }, error.map(str::to_owned), Duration::from_secs(seconds))
    }

    #[test]
    fn an_output_that_counts_is_believed_and_one_that_does_not_is_told_so() {
        assert_eq!(arrival("slack", 0, 0, None, 0), None);
        assert_eq!(arrival("slack", 1, 0, None, 0), Some(Arrival::Delivered));
        let refused = Some(Arrival::Failed("refused".to_owned()));
        assert_eq!(arrival("slack", 0, 1, Some("refused"), 0), refused);
        assert_eq!(arrival("slack", 5, 1, Some("refused"), 0), refused, "it may have been this one");
        assert_eq!(arrival("slack", 0, 0, Some("refused"), 0), None, "it is counted a moment later");
        assert_eq!(arrival("smtp", 0, 0, None, 1), None);
        assert!(matches!(arrival("smtp", 0, 0, None, 4), Some(Arrival::Perhaps(_))));
        assert_eq!(arrival("smtp", 0, 0, Some("refused"), 0), refused);
        assert_eq!(arrival("redis", 1, 0, Some("refused"), 0), refused, "it counts this as delivered");
    }

    #[test]
    fn without_a_priority_it_is_critical_and_a_bad_one_is_told() {
        assert_eq!(priority(None).unwrap(), Priority::Critical);
        assert_eq!(priority(Some("debug")).unwrap(), Priority::Debug);
        assert!(priority(Some("loud")).unwrap_err().to_string().starts_with("priority: \"loud\" is not one of "));
    }
}
