//! Makes it so, in one fixed order, and looks again. Our objects in the cluster are seen to before, as they may change
//! what is decided.
//!
//! 1. the request for a certificate and its secrets, and who this is, which touch nothing that runs;
//! 2. the files, then the layer, so that the layer never names a newer configuration than there is;
//! 3. one replan, also when nothing differs: it costs nothing then, and makes good what an interrupted hook left
//!    undone;
//! 4. does it run, does it answer, has it taken its outputs; then files that it no longer reads go;
//! 5. only if so: databags, ports, version;
//! 6. does it answer through the way in from outside; only if so, Falcos are sent there.

pub mod answer;
mod certificates;
pub mod kubernetes;

use std::time::Duration;

use anyhow::Result;
use charm_core::notes::Notes;
use charm_core::pebble::{self, Client, Current};
use charm_core::status::one_line;
use charm_core::{Hook, juju};

use crate::apply::answer::NoAnswer;
use crate::decide::waiting_for_pebble;
use crate::facts;
use crate::listener::Listener;
use crate::log::{self, Log, failed_start};
use crate::names::{CHARM, CONTAINER, SERVICE};
use crate::plan::{Dropped, Expected, Plan, Publish, Question, Seen, ServiceAction};

/// How much of what a program said is shown, in characters.
const LONGEST_WORDS: usize = 300;

/// An interrupted hook may have left a restart under way, which Pebble first brings to its end: 5 s at most for the old
/// process.
const REPLANS: usize = 12;
const REPLAN_PAUSE: Duration = Duration::from_millis(500);

/// Carries out the plan. A container that goes away meanwhile is expected: what is not done now is done when it is
/// back.
/// What was done is noted, for the next hook.
pub async fn apply(hook: &Hook, plan: &Plan, notes: &mut Notes) -> Result<Seen> {
    let Plan {
        certificate,
        introduce,
        kubernetes,
        write: _,
        layer: _,
        service: _,
        restarts: _,
        look_at_peers: _,
        outputs: _,
        secrets,
        targets: _,
        remove: _,
        publish,
        way_in,
        send,
        open_port,
        close_ports,
        keep_options,
        tell_version,
        notes: _,
    } = plan;
    certificates::apply(hook, certificate, notes)?;
    kubernetes::mark(kubernetes)?;
    self::publish(introduce, notes)?;
    let (seen, version) = match apply_to_container(&hook.container(CONTAINER)?, plan).await {
        Err(error) if error.is_not_ready() => return Err(anyhow::Error::new(error).context(waiting_for_pebble())),
        other => other?,
    };
    let seen = without_secrets(seen, secrets.expose());
    if !matches!(seen, Seen::Serving | Seen::Stopped | Seen::Without { nothing_left: false, .. }) {
        return Ok(seen);
    }
    self::publish(publish, notes)?;
    if let Some(port) = open_port {
        notes.open_port(*port)?;
    }
    for port in close_ports {
        notes.close_port(port)?;
    }
    if let Some(options) = keep_options.expose() {
        facts::options::keep(options)?;
    }
    if let Some(version) = version.filter(|_| *tell_version) {
        juju::application_version_set(&version)?;
    }
    if let Some(way_in) = way_in {
        match answer::through(hook, way_in).await? {
            Ok(()) => {}
            Err(NoAnswer::Silent(words) | NoAnswer::NotTrusted(words)) => return Ok(Seen::NoWayIn(cut(&words))),
        }
    }
    self::publish(send, notes)?;
    Ok(seen)
}

/// One hook command for each databag, and one for each endpoint, as a line of the log is one as well.
fn publish(all: &[Publish], notes: &mut Notes) -> Result<()> {
    for of_endpoint in all.chunk_by(|one, other| one.endpoint == other.endpoint) {
        for Publish { endpoint: _, relation, side, changes } in of_endpoint {
            notes.publish(*relation, *side, changes)?;
        }
        match of_endpoint {
            [Publish { endpoint, relation, .. }] => {
                tracing::info!("{endpoint}: updated what relation {relation} is told");
            }
            [Publish { endpoint, .. }, ..] => {
                tracing::info!("{endpoint}: updated what is told in {} databags", of_endpoint.len());
            }
            [] => {}
        }
    }
    Ok(())
}

async fn apply_to_container(pebble: &Client, plan: &Plan) -> pebble::Result<(Seen, Option<String>)> {
    let Plan {
        certificate: _,
        introduce: _,
        kubernetes: _,
        write,
        layer,
        service,
        restarts: _,
        look_at_peers: _,
        outputs,
        secrets: _,
        targets: _,
        remove,
        publish: _,
        way_in: _,
        send: _,
        open_port: _,
        close_ports: _,
        keep_options: _,
        tell_version: _,
        notes: _,
    } = plan;
    if !write.is_empty() {
        pebble.write_files(write).await?;
        let paths: Vec<&str> = write.iter().map(|file| file.path.as_str()).collect();
        tracing::info!("wrote {}", paths.join(", "));
    }
    if let Some(layer) = layer {
        pebble.add_layer(CHARM, layer).await?;
        tracing::info!("changed the plan of the container");
    }
    let seen = match service {
        ServiceAction::Leave => (Seen::Nothing, None),
        ServiceAction::Run(listener, question) => run(pebble, *listener, question, outputs).await?,
        ServiceAction::Stop => (stop(pebble).await?, None),
    };
    for path in remove {
        pebble.remove(path, false).await?;
        tracing::info!("removed {path}");
    }
    Ok(seen)
}

/// Stops the service, whoever started it: the one that a rock comes with may run before any hook.
async fn stop(pebble: &Client) -> pebble::Result<Seen> {
    if matches!(current(pebble).await?, None | Some(Current::Inactive | Current::Error)) {
        return Ok(Seen::Stopped);
    }
    pebble.stop(&[SERVICE]).await?;
    tracing::info!("stopped {SERVICE}");
    Ok(Seen::Stopped)
}

async fn run(
    pebble: &Client,
    listener: Listener,
    question: &Question,
    outputs: &[Expected],
) -> pebble::Result<(Seen, Option<String>)> {
    if let Some(words) = start(pebble).await? {
        return Ok((Seen::Down(words), None));
    }
    let answer = answer::wait_for(listener, question).await;
    let lines = facts::printed(pebble).await?;
    let log = Log::new(&lines);
    let seen = match answer {
        Ok(()) => enabled(log, outputs),
        Err(NoAnswer::NotTrusted(words)) => Seen::NotTrusted(cut(&words)),
        Err(NoAnswer::Silent(words)) => {
            let last = log.last_words().map_or_else(|| "it said nothing".to_owned(), cut);
            // Pebble watches a new process for a second. One that ends later runs and does not run by turns.
            match known(pebble).await? {
                Current::Active => Seen::NotServing(format!("{words}; its last words: {last}")),
                _ => Seen::Down(last),
            }
        }
    };
    Ok((seen, log.version().map(cut)))
}

/// Whether Falcosidekick has enabled what it has to.
fn enabled(log: Log<'_>, outputs: &[Expected]) -> Seen {
    let dropped = outputs.iter().filter_map(|output| {
        let words = log.dropped(output.name, output.says)?;
        Some(Dropped { output: output.clone(), words: cut(words) })
    });
    let dropped: Vec<_> = dropped.collect();
    match dropped.len() {
        0 => Seen::Serving,
        count => Seen::Without { dropped, nothing_left: count == outputs.len() },
    }
}

/// What Falcosidekick says can quote what it was told.
fn without_secrets(seen: Seen, secrets: &[String]) -> Seen {
    let hide = |words: String| log::without(&words, secrets);
    match seen {
        Seen::Nothing | Seen::Serving | Seen::Stopped => seen,
        Seen::NotTrusted(words) => Seen::NotTrusted(hide(words)),
        Seen::Down(words) => Seen::Down(hide(words)),
        Seen::NotServing(words) => Seen::NotServing(hide(words)),
        Seen::NoWayIn(words) => Seen::NoWayIn(hide(words)),
        Seen::Without { dropped, nothing_left } => {
            let hide = |one: Dropped| Dropped { words: hide(one.words), ..one };
            Seen::Without { dropped: dropped.into_iter().map(hide).collect(), nothing_left }
        }
    }
}

/// Has Pebble make the service what its plan says, and sees to it that it did. `Some`: why it does not run.
async fn start(pebble: &Client) -> pebble::Result<Option<String>> {
    match after(replan(pebble).await, pebble).await? {
        Ok(Current::Active) => return Ok(None),
        // That a change is done is no proof: one that somebody aborted reads as done.
        Ok(_) => tracing::info!("starting {SERVICE}, which does not run after a replan"),
        Err(words) => return Ok(Some(words)),
    }
    Ok(match after(pebble.start(&[SERVICE]).await, pebble).await? {
        Ok(Current::Active) => None,
        Ok(other) => Some(format!("after a start it is {other:?} to Pebble")),
        Err(words) => Some(words),
    })
}

/// How the service is after this change, or why the change failed.
async fn after(change: pebble::Result<()>, pebble: &Client) -> pebble::Result<Result<Current, String>> {
    let failed = match failure(change) {
        Err(error) if error.is_not_ready() => return Err(error),
        other => other,
    };
    // First, because another Pebble has words of its own for a change of the one before.
    let current = known(pebble).await?;
    Ok(failed?.map_or(Ok(current), Err))
}

/// How the service of our layer is. A Pebble that does not know it has taken the place of the one that got the layer:
/// it is not ready, and Juju tells when it is.
async fn known(pebble: &Client) -> pebble::Result<Current> {
    let replaced = || {
        let cause = format!("another one, which does not know {SERVICE}, has taken its place");
        pebble::Error::Unreachable { container: CONTAINER.to_owned(), cause }
    };
    current(pebble).await?.ok_or_else(replaced)
}

async fn replan(pebble: &Client) -> pebble::Result<()> {
    for _ in 1..REPLANS {
        match pebble.replan().await {
            Err(pebble::Error::Change { message, .. }) if message.contains("while terminating") => {
                tokio::time::sleep(REPLAN_PAUSE).await;
            }
            other => return other,
        }
    }
    pebble.replan().await
}

async fn current(pebble: &Client) -> pebble::Result<Option<Current>> {
    Ok(pebble.services(&[SERVICE]).await?.first().map(|service| service.current))
}

/// A start that failed is expected trouble; its reason is what matters. Everything else is an error.
fn failure(change: pebble::Result<()>) -> pebble::Result<Option<String>> {
    match change {
        Err(pebble::Error::Change { message, log, .. }) => Ok(Some(cut(&failed_start(&message, &log)))),
        other => other.map(|()| None),
    }
}

fn cut(words: &str) -> String {
    one_line(words, LONGEST_WORDS)
}
