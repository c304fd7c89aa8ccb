//! Playing a run that goes on until it is stopped.
//!
//! A recording tells how many alerts each start saw; those that no step speaks of are made as soon as the engine is
//! open.

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use rustls::ClientConfig;
use serde_json::Value;

use super::world::World;
use super::{code, comparable, recorded_lines, steps};
use crate::check::Findings;
use crate::client::{Question, ask};
use crate::mask;
use crate::program::{PATIENCE, Program, Stream, wait_for};
use crate::recording::{Recording, texts};

/// How long nothing must happen where nothing was recorded.
pub const SILENCE: Duration = Duration::from_millis(1500);

/// How long a counted alert may take to be on standard output; for ever, if an output hangs.
const PRINTING: Duration = Duration::from_millis(500);

/// A running Falco and what is known about it.
pub struct Session<'a> {
    /// What surrounds it.
    pub world: &'a World,
    /// The program.
    pub program: Program,
    /// Its webserver, if it has one.
    pub port: Option<u16>,
    /// How its webserver is spoken to.
    tls: Option<Arc<ClientConfig>>,
    /// Files that are still to be read after each start.
    reads: Vec<Vec<String>>,
    started: usize,
    /// How many lines there were before the last step.
    pub place: usize,
}

/// Plays a case.
pub fn play(world: &World, case: &Recording, findings: &mut Findings) {
    let config = case.map("files").remove("falco.yaml").unwrap_or_default();
    let mut session = Session {
        world,
        program: Program::start(&mut world.command(&case.texts("args"))),
        port: config.contains("webserver:").then(|| world.places.port("<port>")),
        tls: config.contains("ssl_enabled: true").then(|| world.authority.client(None, true)),
        reads: reads(case),
        started: 0,
        place: 0,
    };
    let order = session.wait_until_open();
    if case.name == "start_modern_ebpf" && !order.contains(&404) {
        findings.add("/metrics never was 404 before the engine was open");
    }
    let mut second = (case.name == "second_instance").then(|| second_instance(world, case));
    compare_audit_exchanges(world, case, &session, findings);
    session.read_files();
    compare_exchanges(world, case, findings);
    session.compare_metrics(case, findings);
    for step in case.items("signals_or_steps") {
        steps::take(&mut session, case, step, findings);
    }
    session.compare_end(case, findings);
    if let Some(second) = &mut second {
        compare_second(world, case, second, findings);
    }
    steps::compare_leftovers(world, case, findings);
}

/// The files to read after each start: as many as there were alerts, less those of the steps.
fn reads(case: &Recording) -> Vec<Vec<String>> {
    let mut starts = vec![Vec::new()];
    let mut counts = Vec::new();
    let mut audited = 0;
    for line in case.text("stdout").lines() {
        if line.contains("\"source\":\"k8s_audit\"") {
            audited += 1;
        }
        if let Some(count) = line.strip_prefix("Events detected: ") {
            counts.push(count.parse::<usize>().unwrap_or_default().saturating_sub(audited));
            starts.push(Vec::new());
        } else if let Some(name) = line.split("(file=<dir>/").nth(1)
            && let Some(starting) = starts.last_mut()
        {
            starting.push(name.split([' ', ')']).next().unwrap_or_default().to_owned());
        }
    }
    for (files, count) in starts.iter_mut().zip(counts) {
        // One reading makes several alerts if Falco tries all rules.
        let alerts_each = if case.name == "rule_matching_all" { 2 } else { 1 };
        files.truncate(count);
        files.resize_with(count / alerts_each, || "canary.txt".to_owned());
    }
    let in_steps = case.items("signals_or_steps").iter().filter(|step| steps::reads_by_itself(step)).count();
    let first = &mut starts[0];
    first.truncate(first.len().saturating_sub(in_steps));
    starts
}

impl Session<'_> {
    /// Waits until the engine is open. Returns the states of `/metrics` on the way.
    pub fn wait_until_open(&mut self) -> Vec<u16> {
        let mut states = Vec::new();
        let Some(port) = self.port else { return states };
        wait_for(PATIENCE, || {
            if !self.program.is_alive() {
                return Some(());
            }
            let healthy = ask(&Question::get(port, "/healthz"), self.tls.as_ref()).ok()?.status();
            let metrics = ask(&Question::get(port, "/metrics"), self.tls.as_ref()).ok()?.status();
            if states.last() != Some(&metrics) {
                states.push(metrics);
            }
            // Without metrics nothing tells when the engine is open; those cases read no file.
            (healthy == 200 && (metrics == 200 || !self.has_metrics())).then_some(())
        });
        states
    }

    fn has_metrics(&self) -> bool {
        let config = self.world.read("falco.yaml");
        config.contains("metrics:\n  enabled: true")
    }

    /// Reads the files that this start is to see.
    pub fn read_files(&mut self) {
        let files = self.reads.get_mut(self.started).map(std::mem::take).unwrap_or_default();
        self.started += 1;
        for file in files {
            self.read_file(&file);
        }
    }

    /// Reads a file and waits until it was counted, and a moment for the alert on standard output.
    ///
    /// The count comes first, and a line that arrives after the next step began would be taken for the step's.
    pub fn read_file(&self, name: &str) {
        let before = self.matches();
        let printed =
            |session: &Self| session.program.lines().iter().filter(|(stream, _)| *stream == Stream::Out).count();
        let printed_before = printed(self);
        let status = Command::new("cat").arg(self.world.path(name)).stdout(std::process::Stdio::null()).status();
        assert!(status.is_ok_and(|status| status.success()), "cat {name}");
        wait_for(PATIENCE, || (self.matches() > before).then_some(()));
        if self.world.read("falco.yaml").contains("stdout_output:\n  enabled: true") {
            wait_for(PRINTING, || (printed(self) > printed_before).then_some(()));
        }
    }

    /// How often rules matched since the start.
    pub fn matches(&self) -> u64 {
        let counts =
            self.metrics().into_iter().filter(|line| line.starts_with("falcosecurity_falco_rules_matches_total"));
        counts.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
    }

    /// The lines of `/metrics`, or none.
    pub fn metrics(&self) -> Vec<String> {
        let answer = self.port.and_then(|port| ask(&Question::get(port, "/metrics"), self.tls.as_ref()).ok());
        let page = answer.filter(|answer| answer.status() == 200).map(|answer| answer.body).unwrap_or_default();
        page.lines().map(str::to_owned).collect()
    }

    /// Lines written since a place, as they would have been recorded, with their stream.
    pub fn lines_since(&self, place: usize) -> Vec<String> {
        let lines = self.program.lines();
        lines[place.min(lines.len())..]
            .iter()
            .flat_map(|(stream, line)| {
                let word = if *stream == Stream::Out { "stdout" } else { "stderr" };
                comparable(std::slice::from_ref(line)).into_iter().map(move |line| (word, line))
            })
            .map(|(word, line)| format!("{word}: {}", self.world.masked(&line)))
            .filter(|line| !is_statistics(line))
            .collect()
    }

    fn compare_metrics(&self, case: &Recording, findings: &mut Findings) {
        let mut recorded = case.texts("metrics");
        recorded.extend(case.texts("engine_metric"));
        let prepare = |lines: Vec<String>| -> Vec<String> {
            let lines = lines.into_iter().map(|line| self.world.masked(&line));
            if case.name == "metrics_full" {
                lines.filter_map(|line| name_and_labels(&line)).collect()
            } else {
                lines.collect()
            }
        };
        // After a hung output the counter stands still only when all files were read, so this is looked at later.
        if case.name != "http_hang" {
            findings.contains("metrics", &prepare(recorded), &prepare(self.metrics()));
        }
    }

    fn compare_end(&mut self, case: &Recording, findings: &mut Findings) {
        let stderr = recorded_lines(case.text("stderr"));
        if case.value["killed"].is_string() {
            let all_there = wait_for(PATIENCE, || {
                (self.world.masked_stream(&self.program, Stream::Err).len() >= stderr.len()).then_some(())
            });
            if all_there.is_none() || !self.program.is_alive() {
                findings.add("it ended although an output hung, or said less than recorded");
            }
            self.program.kill();
        }
        match self.program.wait() {
            None => findings.add("it did not end"),
            Some(status) => findings.same("exit code", &case.value["exit_code"].to_string(), &code(status)),
        }
        let seen = self.world.masked_stream(&self.program, Stream::Err);
        if std::env::var_os("CONFORMANCE_CASE").is_some() {
            println!("{}", self.program.lines().iter().map(|(_, line)| line.as_str()).collect::<Vec<_>>().join("\n"));
        }
        findings.same_set("standard error", &stderr, &seen);
        if case.name != "reload_gap" {
            let stdout = recorded_lines(case.text("stdout"));
            findings.same_lines("standard output", &stdout, &self.world.masked_stream(&self.program, Stream::Out));
        }
    }
}

/// Samples without their values, and without what there is once a processor.
fn name_and_labels(line: &str) -> Option<String> {
    if line.contains("_cpu_total") || line.is_empty() {
        return None;
    }
    if line.starts_with('#') {
        return Some(line.to_owned());
    }
    let bare = line.rsplit_once(' ')?.0;
    let host = ["kernel_release=", "hostname="].iter().find_map(|label| bare.find(label).map(|at| at + label.len()));
    Some(host.map_or_else(|| bare.to_owned(), |end| format!("{}<host>", &bare[..end])))
}

fn compare_exchanges(world: &World, case: &Recording, findings: &mut Findings) {
    for exchange in case.items("http_exchanges") {
        let request = exchange["request"].as_str().unwrap_or_default();
        let mut words = request.split(' ');
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let tls = request.ends_with("over TLS").then(|| world.authority.client(None, true));
        let question = Question { method, ..Question::get(world.places.port("<port>"), path) };
        let recorded = &exchange["response"];
        let status_line = recorded["status_line"].as_str().unwrap_or_default();
        match ask(&question, tls.as_ref()) {
            Err(_) if status_line.is_empty() => {}
            Err(error) => findings.add(format!("{request}: {error}")),
            Ok(answer) => {
                findings.same(&format!("{request}: status"), status_line, &answer.status_line);
                let any_length = texts(&recorded["headers"]).contains(&"Content-Length: <n>".to_owned());
                let seen = answer.headers.iter().map(|(name, value)| match name.as_str() {
                    "Content-Length" if any_length => "Content-Length: <n>".to_owned(),
                    _ => format!("{name}: {value}"),
                });
                findings.same_set(
                    &format!("{request}: headers"),
                    &texts(&recorded["headers"]),
                    &seen.collect::<Vec<_>>(),
                );
                let body = recorded["body"].as_str().unwrap_or_default();
                if !body.starts_with("<see ") {
                    findings.same(&format!("{request}: body"), body, &answer.body);
                }
            }
        }
    }
}

/// Requests to the listener for audit events, which were recorded by what they are.
fn compare_audit_exchanges(world: &World, case: &Recording, session: &Session<'_>, findings: &mut Findings) {
    let event = case.text("audit_event").replace("<time>", "2026-11-24T00:22:49.000000Z");
    for exchange in case.items("audit_exchanges") {
        let what = exchange["what"].as_str().unwrap_or_default();
        let list = format!("{{\"kind\":\"EventList\",\"apiVersion\":\"audit.k8s.io/v1\",\"items\":[{event}]}}");
        let (path, content_type, body) = match what {
            "one event" => ("/k8s-audit", "application/json", event.as_str()),
            "an EventList" => ("/k8s-audit", "application/json", list.as_str()),
            "not JSON" => ("/k8s-audit", "application/json", "nope"),
            "another content type" => ("/k8s-audit", "text/plain", event.as_str()),
            "another path" => ("/other", "application/json", event.as_str()),
            other => panic!("{other}: no such request"),
        };
        let before = session.matches();
        let question = Question {
            method: "POST",
            headers: vec![("Content-Type".into(), content_type.into())],
            body: Some(body.as_bytes()),
            ..Question::get(world.places.port("<audit>"), path)
        };
        let recorded = exchange["response"].as_str().unwrap_or_default();
        let (head, recorded_body) = recorded.split_once("\r\n\r\n").unwrap_or((recorded, ""));
        let mut lines = head.split("\r\n").map(str::to_owned);
        let status_line = lines.next().unwrap_or_default();
        match ask(&question, None) {
            Err(error) => findings.add(format!("{what}: {error}")),
            Ok(answer) => {
                findings.same(&format!("{what}: status"), &status_line, &answer.status_line);
                let seen = answer.headers.iter().map(|(name, value)| match name.as_str() {
                    "Date" => "Date: <date>".to_owned(),
                    _ => format!("{name}: {value}"),
                });
                findings.same_set(&format!("{what}: headers"), &lines.collect::<Vec<_>>(), &seen.collect::<Vec<_>>());
                findings.same(&format!("{what}: body"), recorded_body, &answer.body);
            }
        }
        if path == "/k8s-audit" && body != "nope" && content_type == "application/json" {
            wait_for(PATIENCE, || (session.matches() > before).then_some(()));
        }
    }
}

/// Another instance with its own folder, on the same port.
fn second_instance(world: &World, case: &Recording) -> Program {
    let config = case.map("files").remove("falco.yaml").unwrap_or_default();
    world.write("second/falco.yaml", &config);
    let mut program = Program::start(&mut world.command(&["-c".into(), "<dir>/second/falco.yaml".into()]));
    let start = Instant::now();
    wait_for(SILENCE, || (start.elapsed() > SILENCE || !program.is_alive()).then_some(()));
    program
}

fn compare_second(world: &World, case: &Recording, program: &mut Program, findings: &mut Findings) {
    if !program.is_alive() {
        findings.add("the second instance did not stay");
        return;
    }
    program.signal(Signal::SIGTERM);
    let Some(status) = program.wait() else { return findings.add("the second instance did not end") };
    let recorded = &case.value["second"];
    findings.same("exit code of the second instance", &recorded["exit_code"].to_string(), &code(status));
    let stderr = recorded_lines(recorded["stderr"].as_str().unwrap_or_default());
    let seen: Vec<String> = world.masked_stream(program, Stream::Err);
    let seen: Vec<String> = seen.iter().map(|line| line.replace("<dir>/second", "<dir2>")).collect();
    findings.same_set("standard error of the second instance", &stderr, &seen);
}

/// The lines that a step was followed by, with their stream.
pub fn recorded_step_lines(step: &Value) -> Option<Vec<String>> {
    let lines = step["new_lines"].as_array()?;
    let lines = lines.iter().filter_map(|pair| Some((pair[0].as_str()?, pair[1].as_str()?)));
    let lines = lines.filter(|(_, line)| !mask::is_about_the_kernel(line));
    let lines = lines.map(|(stream, line)| format!("{stream}: {}", mask::falco_common(line)));
    Some(lines.filter(|line| !is_statistics(line)).collect())
}

/// Falco's statistics stay in a buffer until something else is printed, so they can come a step late.
fn is_statistics(line: &str) -> bool {
    let starts = ["Events detected", "Rule counts", "Triggered rules", "   "];
    line.strip_prefix("stdout: ").is_some_and(|line| starts.iter().any(|start| line.starts_with(start)))
}
