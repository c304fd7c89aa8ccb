//! A harmless alert on purpose, from a program that opens a file to alert and the way that it takes to the receiver.

use std::time::Duration;

use anyhow::Result;
use charm_core::Hook;
use charm_core::process::Command;
use charm_core::systemd::{self, Line};

use crate::delivery;
use crate::facts;
use crate::paths::UNIT;

/// The rule of Falco's defaults that is made to match.
pub const RULE: &str = "Read sensitive file untrusted";

/// What is opened, and not read.
const FILE: &str = "/etc/shadow";

/// Stands in the command line of the program, and so in the alert: whoever sees one knows where it comes from.
const MARKER: &str = "juju-test-alert";

/// How long Falco is given to notice, and again to complain about its receiver. It does both within seconds.
const PATIENCE: Duration = Duration::from_secs(6);

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(200);

/// How many of the last lines of the journal are looked at.
const LINES: usize = 200;

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The alert as it stands in the system log, unless alerts do not go there.
    pub alert: Option<String>,
    /// What became of it on its way over HTTP.
    pub delivery: Delivery,
}

/// What became of an alert on its way over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Falco sends alerts to nobody.
    NotSent,
    /// Falco has sent it, and complained of nothing. What the receiver answered, Falco does not look at.
    Sent,
    /// Falco could not send it, and why.
    Failed(String),
}

impl std::fmt::Display for Delivery {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotSent => out.write_str("not sent: relate http-endpoint to send alerts on"),
            Self::Sent => out.write_str("sent"),
            Self::Failed(reason) => write!(out, "failed: {reason}"),
        }
    }
}

/// Causes the alert. `port` is where Falco serves its metrics; `logs` and `sends`, whether alerts go to the system log
/// and over HTTP. The inner error is in words for the operator.
pub async fn run(hook: &Hook, port: u16, logs: bool, sends: bool) -> Result<Result<Outcome, String>> {
    let Some(before) = matches(port).await else {
        return Ok(Err(format!("Falco does not answer on its port {port}; see the status of this unit")));
    };
    let before_that = alerts();
    let since = newest(&systemd::printed_lines(UNIT, 1));
    // The shell opens the file, and reads nothing of it.
    let script = "exec 3<\"$1\"";
    Command::new("sh").args(["-c", script, MARKER]).arg(hook.path(FILE)).run()?;
    let mut left = PATIENCE;
    while matches(port).await.is_none_or(|now| now <= before) {
        let Some(rest) = left.checked_sub(PAUSE) else {
            return Ok(Err(format!(
                "opening {FILE} raised no alert: the rule {RULE:?} is not loaded, is disabled, or is below the option \
                 priority; or Falco sees no events"
            )));
        };
        left = rest;
        tokio::time::sleep(PAUSE).await;
    }
    let alert = if logs { logged(&before_that).await } else { None };
    let delivery = if sends { delivery(since).await } else { Delivery::NotSent };
    Ok(Ok(Outcome { alert, delivery }))
}

/// The alerts of the rule in the system log, as far as it is looked at.
fn alerts() -> Vec<String> {
    of_rule(&systemd::last_lines(UNIT, LINES))
}

/// Waits for a new one: Falco counts an alert before it sends it.
async fn logged(before: &[String]) -> Option<String> {
    let mut left = PATIENCE;
    loop {
        if let Some(alert) = newest_of(&alerts(), before) {
            return Some(alert);
        }
        left = left.checked_sub(PAUSE)?;
        tokio::time::sleep(PAUSE).await;
    }
}

/// How often the rule has matched, or nothing when Falco does not answer.
async fn matches(port: u16) -> Option<u64> {
    facts::metrics(port).await.as_deref().map(count)
}

/// A rule that has not matched yet has no series.
fn count(metrics: &str) -> u64 {
    let label = format!("rule_name=\"{RULE}\"");
    let series = metrics.lines().filter(|line| {
        line.strip_prefix("falcosecurity_falco_rules_matches_total{").is_some_and(|labels| labels.contains(&label))
    });
    series.filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok()).sum()
}

fn newest(lines: &[Line]) -> u64 {
    lines.iter().map(|line| line.time).max().unwrap_or_default()
}

/// Waits for a complaint, as Falco says nothing when all is well.
async fn delivery(since: u64) -> Delivery {
    let mut left = PATIENCE;
    loop {
        if let Some(reason) = delivery::failure_since(&systemd::printed_lines(UNIT, LINES), since) {
            return Delivery::Failed(reason);
        }
        let Some(rest) = left.checked_sub(PAUSE) else { return Delivery::Sent };
        left = rest;
        tokio::time::sleep(PAUSE).await;
    }
}

/// The alerts of the rule, oldest first.
fn of_rule<T: AsRef<str>>(lines: &[T]) -> Vec<String> {
    lines.iter().map(AsRef::as_ref).filter(|line| line.contains(RULE)).map(str::to_owned).collect()
}

/// The newest one that was not there before. One that names our program goes before others; an operator may have given
/// the rule another output, without the command line.
fn newest_of(alerts: &[String], before: &[String]) -> Option<String> {
    let new: Vec<&String> = alerts.iter().filter(|alert| !before.contains(alert)).collect();
    let ours = new.iter().rev().find(|alert| alert.contains(MARKER));
    ours.or_else(|| new.last()).map(|alert| (*alert).clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_matches_of_the_rule_count() {
        let metrics = "# TYPE falcosecurity_falco_rules_matches_total counter\n\
            falcosecurity_falco_rules_matches_total{priority=\"4\",rule_name=\"Read sensitive file untrusted\",source=\"syscall\"} 3\n\
            falcosecurity_falco_rules_matches_total{priority=\"4\",rule_name=\"Read sensitive file\",source=\"syscall\"} 5\n";
        assert_eq!(count(metrics), 3);
        assert_eq!(count(""), 0);
    }

    #[test]
    fn a_new_alert_of_ours_goes_before_other_new_ones_and_old_ones_do_not_count() {
        let alert =
            |marker: &str, number: u8| format!("{{\"n\":{number},\"rule\":\"{RULE}\",\"output\":\"sh {marker}\"}}");
        let lines = [alert(MARKER, 1), alert(MARKER, 2), alert("other", 3), "juju-test-alert".to_owned()];
        let alerts = of_rule(&lines);
        assert_eq!(alerts, lines[..3]);
        assert_eq!(newest_of(&alerts, &[]), Some(alert(MARKER, 2)));
        assert_eq!(newest_of(&alerts, &lines[..2]), Some(alert("other", 3)));
        assert_eq!(newest_of(&alerts, &alerts), None);
    }

    #[test]
    fn what_became_of_it_is_told_in_one_word_and_a_reason() {
        let texts = [Delivery::NotSent, Delivery::Sent, Delivery::Failed("refused".into())].map(|it| it.to_string());
        assert_eq!(texts[1..], ["sent", "failed: refused"]);
        assert!(texts[0].contains("http-endpoint"));
    }

    #[test]
    fn without_falco_the_operator_is_told_so() {
        let world = crate::world::World::new();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let text = runtime.block_on(run(&world.hook, port, true, true)).unwrap().unwrap_err();
        assert!(text.contains(&port.to_string()), "{text}");
    }
}
