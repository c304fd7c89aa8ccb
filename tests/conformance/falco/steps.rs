//! What was done to a running Falco, by the words of the recordings.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use charm_tests::http_sink::{Manner, Received, Sink};
use nix::sys::signal::Signal;
use serde_json::Value;

use super::session::{SILENCE, Session, recorded_step_lines};
use super::world::World;
use crate::check::Findings;
use crate::client::{Question, ask};
use crate::mask;
use crate::program::{PATIENCE, wait_for};
use crate::recording::Recording;

/// How long it must be silent before a step.
const SETTLING: Duration = Duration::from_millis(150);

/// Whether the step itself reads a file that makes an alert.
pub fn reads_by_itself(step: &Value) -> bool {
    let what = step["do"].as_str().unwrap_or_default();
    what.ends_with("one alert") || what == "cat canary.txt" || what == "sink starts"
}

/// Takes a step and compares what came of it.
pub fn take(session: &mut Session<'_>, case: &Recording, step: &Value, findings: &mut Findings) {
    let what = step["do"].as_str().unwrap_or_default();
    if case.name == "reload_while_sink_hangs" && what == "SIGHUP" {
        session.wait_for_line("all output channels are blocked");
    }
    session.let_settle();
    // A mere look at the state shows what the step before it brought about.
    let place = if what == "state" { session.place } else { session.program.lines().len() };
    session.place = place;
    let before = Digests::read(session);
    act(session, case, step, findings);
    if let Some(recorded) = recorded_step_lines(step) {
        if recorded.is_empty() {
            std::thread::sleep(SILENCE);
        } else {
            wait_for(PATIENCE, || (session.lines_since(place).len() >= recorded.len()).then_some(()));
        }
        findings.same_set(&format!("after \"{what}\""), &recorded, &session.lines_since(place));
        if recorded.iter().any(|line| line.contains("SIGHUP received, restarting")) && step["metrics_status"].is_null()
        {
            restarted(session, case, what, findings);
        }
    }
    if step["digests_before"].is_array() {
        before.compare(step, &Digests::read(session), what, findings);
    }
    if let Some(wanted) = step["exists_events_log"].as_bool()
        && session.world.path("events.log").exists() != wanted
    {
        findings.add(format!("events.log exists: {}, recorded {wanted}", !wanted));
    }
    if step["alive"].as_bool() == Some(true) && !session.program.is_alive() {
        findings.add(format!("after \"{what}\" it was gone"));
    }
}

/// After a restart the engine opens again and the next files are read.
fn restarted(session: &mut Session<'_>, case: &Recording, what: &str, findings: &mut Findings) {
    if case.name == "reload_while_sink_hangs" {
        return;
    }
    if what.contains("another listen_port") {
        session.port = Some(session.world.places.port("<newport>"));
    }
    session.wait_until_open();
    session.read_files();
    if case.name == "reload_port_changed" {
        let old = ask(&Question::get(session.world.places.port("<port>"), "/healthz"), None);
        if old.is_ok() {
            findings.add("the old port still answers");
        }
    }
}

fn act(session: &mut Session<'_>, case: &Recording, step: &Value, findings: &mut Findings) {
    let world = session.world;
    let rules = || case.map("files").remove("rules.yaml").unwrap_or_default();
    let config = || case.map("files").remove("falco.yaml").unwrap_or_default();
    let changed_rules = || format!("{}# changed\n", rules());
    let bad_rules = || rules().replace("fd.name endswith", "fd.nope endswith");
    match step["do"].as_str().unwrap_or_default() {
        "SIGTERM" => session.program.signal(Signal::SIGTERM),
        "SIGINT" => session.program.signal(Signal::SIGINT),
        "falco.yaml deleted" => std::fs::remove_file(world.path("falco.yaml")).expect("a file to remove"),
        "rules.yaml with required_engine_version 0.99.0 renamed into place" => {
            world.rename_into_place("rules.yaml", &format!("- required_engine_version: 0.99.0\n{}", rules()));
        }
        "SIGHUP" if case.name == "reload_gap" => gap(session, findings),
        "SIGHUP" | "SIGHUP with the bad rules still there" => session.program.signal(Signal::SIGHUP),
        "SIGUSR1" => session.program.signal(Signal::SIGUSR1),
        "SIGUSR1; one alert" => {
            session.program.signal(Signal::SIGUSR1);
            session.wait_for_line("SIGUSR1 received");
            session.read_file("canary.txt");
            session.wait_for_file("events.log");
        }
        "one alert" => session.read_file("canary.txt"),
        "cat canary.txt" => hang_read(session, step, findings),
        "events.log renamed to events.log.1; one alert" => {
            std::fs::rename(world.path("events.log"), world.path("events.log.1")).expect("a file of alerts");
            session.read_file("canary.txt");
        }
        "state" | "process ended" => {}
        "sink starts" => {
            let sink = Sink::start_on(world.places.port("<sink>"), Manner::status(200), None);
            session.read_file("canary.txt");
            wait_for(PATIENCE, || (!sink.received().is_empty()).then_some(()));
            compare_requests(world, case, &sink.received(), findings);
        }
        "the sink closes the connection" => {
            session.wait_for_line("discarding all remaining notifications");
            world.sink("<sink>").hang_up();
        }
        "the right CA is renamed into place of ca.pem; one alert" => {
            world.rename_into_place("ca.pem", &world.authority.read("ca.pem"));
            session.read_file("canary.txt");
        }
        "broken falco.yaml renamed into place" => world.rename_into_place("falco.yaml", &format!("{}x: [\n", config())),
        "good falco.yaml (priority: info added) renamed into place" => {
            world.rename_into_place("falco.yaml", &format!("{}priority: info\n", config()));
        }
        "bad rules.yaml renamed into place" => world.rename_into_place("rules.yaml", &bad_rules()),
        "good rules.yaml renamed into place" | "rules.yaml replaced by renaming" => {
            world.rename_into_place("rules.yaml", &changed_rules());
        }
        "bad rules.yaml renamed into place, SIGHUP at once" => {
            world.rename_into_place("rules.yaml", &bad_rules());
            session.program.signal(Signal::SIGHUP);
            wait_for(PATIENCE, || (world.sink("<sink>").received().len() > 1).then_some(()));
        }
        "rules.yaml replaced by renaming, SIGHUP" => {
            world.rename_into_place("rules.yaml", &changed_rules());
            session.program.signal(Signal::SIGHUP);
        }
        "rules.yaml written in place" => world.write("rules.yaml", &changed_rules()),
        "falco.yaml with json_output: false renamed into place, SIGHUP at once" => {
            world.rename_into_place("falco.yaml", &config().replace("json_output: true", "json_output: false"));
            session.program.signal(Signal::SIGHUP);
        }
        "falco.yaml with the other URL renamed into place, SIGHUP" => {
            world.rename_into_place("falco.yaml", &config().replace("<sink>", "<sink2>"));
            session.program.signal(Signal::SIGHUP);
        }
        "falco.yaml with another listen_port renamed into place" => {
            world.rename_into_place("falco.yaml", &config().replace("<port>", "<newport>"));
        }
        "falco.yaml with a taken listen_port renamed into place" => {
            world.rename_into_place("falco.yaml", &config().replace("<port>", "<taken>"));
        }
        "config.d/a.yaml renamed into place" => world.rename_into_place("config.d/a.yaml", "priority: info\n"),
        "config.d/a.yaml written in place" => world.write("config.d/a.yaml", "priority: notice\n"),
        "rules.d/20.yaml renamed into place" => world.rename_into_place("rules.d/20.yaml", SECOND_RULE),
        "rules.d/20.yaml written in place" => world.write("rules.d/20.yaml", &format!("{SECOND_RULE}# changed\n")),
        "rules.d/20.yaml removed" => std::fs::remove_file(world.path("rules.d/20.yaml")).expect("a file to remove"),
        "rules.d/10.yaml removed (zero rules)" => {
            std::fs::remove_file(world.path("rules.d/10.yaml")).expect("a file to remove");
        }
        other => findings.add(format!("nobody knows how to do \"{other}\"")),
    }
}

/// A reload takes the metrics away and brings them back when the engine is open again.
fn gap(session: &Session<'_>, findings: &mut Findings) {
    session.program.signal(Signal::SIGHUP);
    let open = || !session.metrics().is_empty();
    if wait_for(PATIENCE, || (!open()).then_some(())).is_none() {
        findings.add("/metrics stayed all through the reload");
    }
    if wait_for(PATIENCE, || open().then_some(())).is_none() {
        findings.add("/metrics did not come back after the reload");
    }
}

const SECOND_RULE: &str = "\
- rule: Second canary read
  desc: Another canary file was read.
  condition: evt.type in (open, openat, openat2) and evt.is_open_read=true and fd.filename = canary2.txt
  output: Second canary read (file=%fd.name)
  priority: CRITICAL
";

/// A read while the HTTP output hangs: counted, but on standard output only if the worker got that far.
fn hang_read(session: &Session<'_>, step: &Value, findings: &mut Findings) {
    let on_stdout = step["alert_on_stdout"].as_bool() == Some(true);
    if !on_stdout && session.matches() == 0 {
        // The recorder's first read came before the engine was open.
        return;
    }
    let place = session.program.lines().len();
    session.read_file("canary.txt");
    let seen = || session.lines_since(place).iter().any(|line| line.starts_with("stdout: "));
    let patience = if on_stdout { PATIENCE } else { Duration::from_millis(500) };
    let came = wait_for(patience, || seen().then_some(())).is_some();
    if came != on_stdout {
        findings.add(format!("alert on standard output: {came}, recorded {on_stdout}"));
    }
}

impl Session<'_> {
    /// Waits until nothing more comes, so that late lines are not taken for those of the next step.
    fn let_settle(&self) {
        let mut count = 0;
        wait_for(PATIENCE, || {
            let before = std::mem::replace(&mut count, self.program.lines().len());
            std::thread::sleep(SETTLING);
            (count == before && count == self.program.lines().len()).then_some(())
        });
    }

    fn wait_for_line(&self, words: &str) {
        wait_for(PATIENCE, || self.program.lines().iter().any(|(_, line)| line.contains(words)).then_some(()));
    }

    fn wait_for_file(&self, name: &str) {
        let start = Instant::now();
        wait_for(PATIENCE, || {
            let filled = std::fs::metadata(self.world.path(name)).is_ok_and(|file| file.len() > 0);
            (filled || start.elapsed() > PATIENCE).then_some(())
        });
    }
}

/// Digests of files and the two time stamps, as `/metrics` shows them.
struct Digests {
    files: BTreeMap<String, String>,
    reloaded: Option<String>,
    started: Option<String>,
}

impl Digests {
    fn read(session: &Session<'_>) -> Self {
        Self::of(&session.metrics())
    }

    fn of(lines: &[String]) -> Self {
        let files = lines.iter().filter(|line| line.starts_with("falcosecurity_falco_sha256_"));
        let stamp = |name: &str| lines.iter().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
        Self {
            files: files
                .filter_map(|line| {
                    let (name, sum) = line.split_once(",sha256=")?;
                    Some((name.to_owned(), sum.to_owned()))
                })
                .collect(),
            reloaded: stamp("falcosecurity_falco_reload_timestamp_nanoseconds "),
            started: stamp("falcosecurity_falco_start_timestamp_nanoseconds "),
        }
    }

    /// The same files, and the same ones changed.
    fn compare(&self, step: &Value, after: &Self, what: &str, findings: &mut Findings) {
        let recorded = |key: &str| Self::of(&crate::recording::texts(&step[key]));
        let changed = |before: &Self, after: &Self| -> Vec<String> {
            let names = before.files.keys().chain(after.files.keys());
            let mut lines: Vec<String> = names
                .map(|name| match (before.files.get(name), after.files.get(name)) {
                    (Some(one), Some(other)) if one == other => format!("kept {name}"),
                    (Some(_), Some(_)) => format!("changed {name}"),
                    (Some(_), None) => format!("gone {name}"),
                    _ => format!("new {name}"),
                })
                .collect();
            lines.sort();
            lines.dedup();
            lines
        };
        let wanted = changed(&recorded("digests_before"), &recorded("digests_after"));
        findings.same_lines(&format!("digests after \"{what}\""), &wanted, &changed(self, after));
        let moved = |key: &str, one: &Option<String>, other: &Option<String>, findings: &mut Findings| {
            findings.same(&format!("{key} after \"{what}\""), &step[key].to_string(), &(one != other).to_string());
        };
        moved("reload_timestamp_changed", &self.reloaded, &after.reloaded, findings);
        moved("start_timestamp_changed", &self.started, &after.started, findings);
    }
}

/// What is left after the end: requests at the sinks, files of alerts, datagrams.
pub fn compare_leftovers(world: &World, case: &Recording, findings: &mut Findings) {
    if case.name != "http_down_then_up" && !case.items("http_sink_requests").is_empty() {
        let mut all: Vec<Received> = world.sink("<sink>").received();
        all.extend(world.sink("<sink2>").received());
        compare_requests(world, case, &all, findings);
    }
    for (key, name) in [("events_log_1", "events.log.1"), ("events_log", "events.log")] {
        if case.value[key].is_array() {
            let seen: Vec<String> = world.read(name).split('\n').map(|line| world.masked(line)).collect();
            let recorded: Vec<String> = case.texts(key).iter().map(|line| mask::falco_common(line)).collect();
            findings.same_lines(name, &recorded, &seen);
        }
    }
    if !world.is_real && case.value["syslog_datagrams"].is_array() {
        let seen: Vec<String> = world.syslog.end().iter().map(|message| world.masked(message)).collect();
        let lines = case.texts("syslog_datagrams").into_iter().filter(|line| !mask::is_about_the_kernel(line));
        let recorded: Vec<String> = lines.map(|line| mask::falco_common(&line)).collect();
        findings.same_set("syslog", &recorded, &seen);
    }
}

/// A header with its name in lower case: libcurl writes `TE`, the library of the stand-in `Te`, and HTTP means the same.
fn lower_name(header: &str) -> String {
    header.split_once(':').map_or_else(|| header.to_owned(), |(name, rest)| format!("{}:{rest}", name.to_lowercase()))
}

/// Requests at the sinks. Failed handshakes were recorded as well, and leave nothing here.
fn compare_requests(world: &World, case: &Recording, seen: &[Received], findings: &mut Findings) {
    let recorded: Vec<&Value> =
        case.items("http_sink_requests").iter().filter(|request| request["request_line"].is_string()).collect();
    if recorded.len() != seen.len() {
        findings.add(format!("{} requests at the sinks, recorded {}", seen.len(), recorded.len()));
    }
    for (recorded, seen) in recorded.iter().zip(seen) {
        let line = format!("{} {} HTTP/1.1", seen.method, seen.path);
        findings.same("request line", recorded["request_line"].as_str().unwrap_or_default(), &line);
        // The length depends on the name of the folder.
        let keep = |header: &String| !header.starts_with("content-length");
        let wanted = crate::recording::texts(&recorded["headers"]).into_iter().map(|header| lower_name(&header));
        let headers = seen.headers.iter().map(|(name, value)| world.places.take_out(&format!("{name}: {value}")));
        let headers = headers.map(|header| lower_name(&header));
        let [wanted, headers]: [Vec<String>; 2] = [wanted.filter(keep).collect(), headers.filter(keep).collect()];
        findings.same_set("headers at the sink", &wanted, &headers);
        let body = mask::falco_common(recorded["body"].as_str().unwrap_or_default());
        findings.same("body at the sink", &body, &world.masked(&seen.body));
        if recorded["client_certificate_subject"].is_string() && !seen.has_client_certificate {
            findings.add("no client certificate at the sink");
        }
    }
    let reused = |connections: Vec<u64>| connections.windows(2).filter(|pair| pair[0] == pair[1]).count().to_string();
    let wanted = recorded.iter().filter_map(|request| request["connection"].as_u64()).collect();
    let seen = seen.iter().map(|request| request.connection as u64).collect();
    if case.name != "reload_url_changed" && case.name != "https_ca_renewed" {
        findings.same("requests over a kept connection", &reused(wanted), &reused(seen));
    }
}
