//! What is configured and what is seen of it, for anybody's eyes: no secret, and no part of a URL but its host.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use charm_core::Hook;
use charm_core::digest::Digest;
use charm_core::status::one_line;
use url::Url;

use crate::decide::{decide, options, sinks, waiting_for_pebble};
use crate::facts::{self, Facts};
use crate::health;
use crate::health::known::Known;
use crate::health::metrics::{Count, Counters, doubt};
use crate::listener::Listener;
use crate::log::{self, Log};
use crate::names::{CONFIG_FILE, CONTAINER, SERVICE};
use crate::outputs::table::Block;
use crate::outputs::{Shown, hosts_only};
use crate::plan::{Plan, ServiceAction};
use crate::sinks::Sinks;
use crate::{render, trust};

/// How much of a reason is shown, in characters.
const LONGEST: usize = 300;

/// What is needed to show anything.
pub struct Wanted {
    /// The facts.
    pub facts: Facts,
    /// What is to be done.
    pub plan: Plan,
    /// Where alerts come in.
    pub listener: Listener,
    /// Where they go, without what is left out for now.
    pub sinks: Sinks,
}

impl Wanted {
    /// Reads it. The error says why nothing is configured.
    pub async fn gather(hook: &Hook) -> Result<Self> {
        let facts = facts::gather(hook).await?;
        let plan = decide(&facts);
        let ServiceAction::Run(listener, _) = plan.service else {
            bail!("{SERVICE} is not to run: {}", super::why_not(&plan));
        };
        let (_, mut sinks) = options(&facts)?;
        if let Some(container) = &facts.container {
            sinks::leave_out(&mut sinks, &facts, container);
        }
        Ok(Self { facts, plan, listener, sinks })
    }

    /// The URL of Loki that a relation gave.
    pub fn loki(&self) -> Option<&Url> {
        self.facts.loki.as_ref()?.as_ref().ok()?.as_ref().map(|loki| &loki.url)
    }

    /// All outputs, that of the relation to Loki among them.
    pub fn outputs(&self) -> impl Iterator<Item = &'static Block> {
        let names: Vec<&str> = self.plan.outputs.iter().map(|output| output.name).collect();
        crate::outputs::table::outputs().filter(move |block| names.contains(&block.name))
    }

    /// Words of Falcosidekick as anybody may see them.
    pub fn safe(&self, words: &str) -> String {
        one_line(&hosts_only(&log::without(words, self.plan.secrets.expose())), LONGEST)
    }
}

/// Every output: is it enabled, where does it go, and what became of the last alerts.
pub async fn outputs(hook: &Hook) -> Result<BTreeMap<String, String>> {
    let wanted = Wanted::gather(hook).await?;
    let lines = facts::printed(&hook.container(CONTAINER)?).await?;
    let counters = health::counters(wanted.listener).await;
    let known = health::read(hook)?;
    let mut results = BTreeMap::new();
    for block in wanted.outputs() {
        let Shown { to, secrets, minimum } = wanted.sinks.outputs.shown(block, wanted.loki());
        let mut set = |name: &str, value: String| drop(results.insert(format!("{}.{name}", block.path), value));
        let log = Log::new(&lines);
        set(
            "enabled",
            match (log.is_enabled(block.name), log.dropped(block.name, block.says)) {
                (None, _) => "not known: the lines that tell are no longer there".to_owned(),
                (Some(true), _) => "yes".to_owned(),
                (Some(false), why) => format!("no: {}", wanted.safe(why.unwrap_or_default())),
            },
        );
        set("to", if to.is_empty() { "where Falcosidekick finds it by itself".to_owned() } else { to.join(", ") });
        set("secrets", if secrets.is_empty() { "none".to_owned() } else { secrets.join("; ") });
        set("minimum-priority", minimum.word().to_owned());
        let seen = counters.as_ref().map(|counters| seen(block.path, counters, &known));
        set("seen", seen.unwrap_or_else(|words| format!("not known: {}", wanted.safe(words))));
    }
    Ok(results)
}

/// What became of alerts to an output, since Falcosidekick was started.
fn seen(path: &str, counters: &Counters, known: &Known) -> String {
    let Count { good, bad } = counters.of(path);
    let now = if known.of(path).is_some() { "; the last ones failed" } else { "" };
    let doubt = doubt(path).map(|doubt| format!("; {doubt}")).unwrap_or_default();
    format!("{good} ok, {bad} errors{now}{doubt}")
}

/// The configuration as it is written for Falcosidekick, without its secrets.
pub async fn config(hook: &Hook) -> Result<BTreeMap<String, String>> {
    let wanted = Wanted::gather(hook).await?;
    let Wanted { facts, plan: _, listener, sinks } = &wanted;
    let Some(container) = &facts.container else { bail!(waiting_for_pebble()) };
    let has_authorities = !trust::received(facts).is_empty();
    let write = |sections| {
        let root = &container.root;
        render::configuration(*listener, &facts.topology, &sinks.fields, &sections, root, has_authorities)
    };
    let real = write(sinks.outputs.sections(wanted.loki()));
    let is_in_use = container.files.get(CONFIG_FILE) == Some(&Digest::of(&real));
    let loki = wanted.loki().map(without_secrets);
    let shown = write(sinks.outputs.without_secrets().sections(loki.as_ref()));
    Ok(BTreeMap::from([
        ("falcosidekick-yaml".to_owned(), shown),
        ("in-place".to_owned(), if is_in_use { "yes" } else { "no, the next hook writes it" }.to_owned()),
    ]))
}

/// A URL of a relation can carry user, password and token.
fn without_secrets(url: &Url) -> Url {
    let mut url = url.clone();
    // Both can only fail on a URL without a host, which has neither.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    if url.query().is_some() {
        url.set_query(Some("redacted"));
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_keeps_its_place_and_loses_what_may_be_secret() {
        let url = "https://u:hunter2@loki.example:3100/a/push?token=hunter2".parse().unwrap();
        assert_eq!(without_secrets(&url).as_str(), "https://loki.example:3100/a/push?redacted");
        let plain = "http://loki/push".parse().unwrap();
        assert_eq!(without_secrets(&plain), plain);
    }

    #[test]
    fn what_is_seen_says_how_much_it_is_worth() {
        let metrics = "# TYPE x counter\n\
            falcosecurity_falcosidekick_outputs_total{destination=\"slack\",status=\"ok\"} 3\n\
            falcosecurity_falcosidekick_outputs_total{destination=\"slack\",status=\"error\"} 2\n";
        let counters = Counters::parse(metrics).unwrap();
        assert_eq!(seen("slack", &counters, &Known::default()), "3 ok, 2 errors");
        let known = Known::default().after(&counters, 0);
        assert_eq!(seen("slack", &counters, &known), "3 ok, 2 errors; the last ones failed");
        assert!(seen("smtp", &counters, &known).contains("does not count"));
    }
}
