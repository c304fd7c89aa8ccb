//! Playing the recordings of Falcosidekick: start it, send what was sent, compare answers, logs, deliveries and
//! counters.

mod deliveries;
mod raw;
mod world;

use std::collections::BTreeMap;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::sync::Arc;
use std::time::Duration;

use charm_tests::http_sink::{Manner, Sink};
use nix::sys::signal::Signal;
use rustls::ClientConfig;
use serde_json::Value;

use crate::check::Findings;
use crate::client::{Answer, Question, ask, exchange};
use crate::mask;
use crate::program::{PATIENCE, Program, Stream, wait_for};
use crate::recording::{Recording, texts};
use crate::suite::Played;
use world::{World, sample_event};

/// A user who may read nothing that belongs to root.
const NOBODY: u32 = 65534;

/// Plays a case.
pub fn play(program: &Path, case: &Recording) -> Played {
    let world = World::build(case);
    let mut findings = Findings::default();
    let mut running = Program::start(&mut command(program, &world, case));
    if case.value["ready"] == true && !wait_until_ready(&mut running, &world, case) {
        findings.add("it did not listen");
    }
    for exchange in case.items("exchanges") {
        compare_exchange(&world, exchange, &mut findings);
    }
    let refused = || running.stream(Stream::Err).iter().any(|line| line.contains("connection refused"));
    after_exchanges(&world, case, refused, &mut findings);
    let log = recorded_log(case);
    wait_for(PATIENCE, || (seen_log(&world, &running, case).len() >= log.len() || !running.is_alive()).then_some(()));
    deliveries::wait(&world, case);
    compare_metrics(&world, case, &mut findings);
    compare_end(&mut running, case, &mut findings);
    compare_log(&log, &seen_log(&world, &running, case), case, &mut findings);
    let stdout: Vec<String> = texts(&case.value["stdout_lines"]);
    let keep = |line: &String| !line.is_empty() && (!line.contains(':') || line.starts_with("GitVersion"));
    let kept = |lines: Vec<String>| -> Vec<String> {
        lines.into_iter().filter(keep).map(|line| mask::falcosidekick_common(&line)).collect()
    };
    findings.same_lines("standard output", &kept(stdout), &kept(running.stream(Stream::Out)));
    deliveries::compare(&world, case, &mut findings);
    if std::env::var_os("CONFORMANCE_CASE").is_some() {
        println!("{}", running.lines().iter().map(|(_, line)| line.as_str()).collect::<Vec<_>>().join("\n"));
    }
    findings.verdict()
}

fn command(program: &Path, world: &World, case: &Recording) -> Command {
    // Whoever runs the tests in the background may have made them deaf to SIGINT, and children inherit that.
    let mut command = Command::new("/usr/bin/env");
    // It names itself after the file that it was started from.
    command.arg("--default-signal=INT,QUIT,HUP").arg(world.named("falcosidekick", program));
    command.args(case.texts("args").iter().map(|argument| world.places.fill(argument)));
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.envs(case.map("env").into_iter().map(|(name, value)| (name, world.places.fill(&value))));
    if world.unreadable.is_some() && nix::unistd::geteuid().is_root() {
        command.uid(NOBODY);
    }
    command
}

/// A bare connection, as the recorder made it: it leaves a line in the log of a TLS listener.
fn wait_until_ready(program: &mut Program, world: &World, case: &Recording) -> bool {
    let host = if case.text("config_yaml").contains("[::1]") { "::1" } else { "127.0.0.1" };
    let port = world.places.port("<port>");
    let connected = || std::net::TcpStream::connect((host, port)).ok();
    wait_for(PATIENCE, || if program.is_alive() { connected().map(|_| true) } else { Some(false) }) == Some(true)
}

fn compare_exchange(world: &World, recorded: &Value, findings: &mut Findings) {
    let request = &recorded["request"];
    let text = |key: &str| request[key].as_str().unwrap_or_default();
    let what = recorded["what"].as_str().map_or_else(|| format!("{} {}", text("method"), text("url")), str::to_owned);
    let client = text("client");
    let what = if client.is_empty() { what } else { format!("{what} ({client})") };
    let answer = send(world, request);
    let response = &recorded["response"];
    let Some(status) = response["status"].as_u64() else {
        if let Ok(answer) = answer {
            findings.add(format!("{what}: answered {}, recorded no answer", answer.status_line));
        }
        return;
    };
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => return findings.add(format!("{what}: no answer: {error}")),
    };
    findings.same(&format!("{what}: status"), &status.to_string(), &answer.status().to_string());
    compare_headers(&what, response, &answer, findings);
    let body = response["body"].as_str().unwrap_or_default();
    if body.contains("# HELP") {
        // The recorder gave the deliveries before it the time to be counted.
        let read = || send(world, request).map(|answer| own_metrics(&answer.body)).unwrap_or_default();
        wait_for(Duration::from_secs(3), || (read() == own_metrics(body)).then_some(()));
        findings.same_lines(&format!("{what}: body"), &own_metrics(body), &read());
    } else if !body.starts_with('<') {
        findings.same(&format!("{what}: body"), body, &answer.body);
    }
}

fn compare_headers(what: &str, response: &Value, answer: &Answer, findings: &mut Findings) {
    let recorded = response["headers"].as_object().into_iter().flatten();
    let recorded = recorded.map(|(name, value)| format!("{name}: {}", value.as_str().unwrap_or_default()));
    // The suite asks to close each connection, the recorder did not.
    let seen = answer.headers.iter().filter(|(name, _)| name != "Connection").map(|(name, value)| {
        let value = if name == "Date" { "<date>" } else { value };
        format!("{name}: {value}")
    });
    findings.same_set(&format!("{what}: headers"), &recorded.collect::<Vec<_>>(), &seen.collect::<Vec<_>>());
}

/// The lines about Falcosidekick itself.
fn own_metrics(page: &str) -> Vec<String> {
    page.lines().filter(|line| line.contains("falcosecurity_")).map(str::to_owned).collect()
}

fn send(world: &World, request: &Value) -> Result<Answer, String> {
    let url = world.places.fill(request["url"].as_str().unwrap_or_default());
    let (scheme, rest) = url.split_once("://").ok_or("no scheme")?;
    let start = rest.find('/').unwrap_or(rest.len());
    let (host, port) = rest[..start].rsplit_once(':').ok_or("no port")?;
    let port: u16 = port.parse().map_err(|_| "no port")?;
    let client = request["client"].as_str().unwrap_or_default();
    if client == "TLS 1.1 only" {
        return old_hello(port);
    }
    let headers = request["headers"].as_object().into_iter().flatten();
    let body = request["body"].as_str().map(|body| world.body(body));
    let question = Question {
        method: request["method"].as_str().unwrap_or_default(),
        address: (host, port),
        path: &rest[start..],
        headers: headers.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned())).collect(),
        body: body.as_deref().map(str::as_bytes),
    };
    let tls = (scheme == "https").then(|| tls_client(world, client));
    ask(&question, tls.as_ref())
}

fn tls_client(world: &World, client: &str) -> Arc<ClientConfig> {
    let authority = &world.authority;
    match client {
        "TLS 1.2" | "no client certificate, TLS 1.2" => authority.old_client(None),
        "client without our CA" => authority.client(None, false),
        "good client certificate" => authority.client(Some("client"), true),
        "certificate of another CA" => authority.client(Some("foreign"), true),
        "certificate with serverAuth usage only" => authority.client(Some("serveronly"), true),
        _ => authority.client(None, true),
    }
}

/// The start of a handshake by somebody who knows nothing newer than TLS 1.1, which our TLS library does not speak.
fn old_hello(port: u16) -> Result<Answer, String> {
    let mut hello = vec![3, 2];
    hello.extend([7; 32]);
    // No session, one cipher suite, no compression.
    hello.extend([0, 0, 2, 0xc0, 0x13, 1, 0]);
    let length = u8::try_from(hello.len()).map_err(|error| error.to_string())?;
    let mut record = vec![22, 3, 1, 0, length + 4, 1, 0, 0, length];
    record.extend(hello);
    let answer = exchange(("127.0.0.1", port), &record, None)?;
    // An alert is no answer, and 21 is its record.
    if answer.first() == Some(&21) {
        Err("alert".into())
    } else {
        Ok(Answer { status_line: format!("{answer:?}"), headers: Vec::new(), body: String::new() })
    }
}

/// What some recordings did beside their list of requests.
fn after_exchanges(world: &World, case: &Recording, refused: impl Fn() -> bool, findings: &mut Findings) {
    let delivered = || {
        let page = world.metrics(case).map(|answer| answer.body).unwrap_or_default();
        page.lines().filter(|line| line.starts_with("falcosecurity_falcosidekick_outputs_total")).count()
    };
    let port = world.places.port("<port>");
    let send_event = |rule: &str| {
        let body = sample_event(rule);
        let question = Question { method: "POST", body: Some(body.as_bytes()), ..Question::get(port, "/") };
        ask(&question, None).map(|answer| answer.status())
    };
    match case.name.as_str() {
        "webhook_hung" => {
            let count = case.value["observed"]["events_posted"].as_u64().unwrap_or_default();
            let good = (0..count).filter(|_| send_event("Terminal shell in container") == Ok(200)).count() as u64;
            findings.same("accepted posts", &count.to_string(), &good.to_string());
            let health = ask(&Question::get(port, "/healthz"), None).map(|answer| answer.status());
            findings.same("health", "Ok(200)", &format!("{health:?}"));
        }
        "loki_down_then_up" => {
            findings.same("first post", "Ok(200)", &format!("{:?}", send_event("lost")));
            // The first delivery is refused before the port is opened after all.
            wait_for(PATIENCE, || refused().then_some(()));
            let sink = Sink::start_on(world.places.port("<late>"), Manner::status(204), None);
            std::thread::sleep(Duration::from_secs(1));
            findings.same("requests after the sink came up", "0", &sink.received().len().to_string());
            findings.same("second post", "Ok(200)", &format!("{:?}", send_event("kept")));
            wait_for(PATIENCE, || (!sink.received().is_empty()).then_some(()));
            let only_kept = sink.received().iter().all(|request| request.body.contains("\"rule\":\"kept\""));
            findings.same("only the later event", "true", &only_kept.to_string());
        }
        "tls_replace_on_disk" => {
            world.replace_certificate();
            // The client knows the old certificate's authority only.
            let tls = world.authority.client(None, true);
            let answer = ask(&Question::get(port, "/ping"), Some(&tls)).map(|answer| answer.status());
            findings.same("answer with the old certificate", "Ok(200)", &format!("{answer:?}"));
        }
        "webhook_ca_replaced_good" | "webhook_ca_replaced_bad" => {
            // The first delivery, good or bad, is over before the file changes.
            wait_for(PATIENCE, || (delivered() > 0).then_some(()));
            let was_good = case.name == "webhook_ca_replaced_good";
            world.replace_authority(if was_good { "otherca.crt" } else { "ca.crt" });
            findings.same("second post", "Ok(200)", &format!("{:?}", send_event("second")));
        }
        _ => {}
    }
}

fn recorded_log(case: &Recording) -> Vec<String> {
    let lines = case.texts("log_lines");
    let traced = has_stack(case);
    let mut lines: Vec<String> = lines.iter().map(|line| mask::falcosidekick_common(line)).collect();
    if traced {
        lines.retain(|line| is_log_line(line));
        lines.dedup();
    }
    lines
}

fn seen_log(world: &World, program: &Program, case: &Recording) -> Vec<String> {
    let lines = program.stream(Stream::Err);
    let mut lines: Vec<String> = lines
        .iter()
        .filter_map(|line| mask::without_stand_in(line))
        .map(|line| mask::falcosidekick_common(&mask::falcosidekick(&world.places.take_out(&line))))
        .collect();
    if has_stack(case) {
        lines.retain(|line| is_log_line(line));
        lines.dedup();
    }
    lines
}

fn has_stack(case: &Recording) -> bool {
    case.texts("log_lines").iter().any(|line| line == "<stack trace>")
}

/// Not a line of a stack.
fn is_log_line(line: &str) -> bool {
    ["<time> ", "panic: ", "[signal "].iter().any(|start| line.starts_with(start))
}

/// The start-up lines in order, the rest in any.
fn compare_log(recorded: &[String], seen: &[String], case: &Recording, findings: &mut Findings) {
    let start = recorded.iter().position(|line| line.contains("is up and listening")).map_or(0, |place| place + 1);
    let sorted = |lines: &[String]| {
        let mut lines = lines.to_vec();
        // Falcosidekick goes through its custom fields in the order of a hash table.
        let custom = |line: &String| line.contains("ustom field '");
        lines.chunk_by_mut(|one, other| custom(one) && custom(other)).for_each(<[String]>::sort);
        lines
    };
    findings.same_lines("start-up lines", &sorted(&recorded[..start]), &sorted(&seen[..start.min(seen.len())]));
    if has_stack(case) {
        let mut seen = seen.to_vec();
        seen.sort();
        seen.dedup();
        let mut recorded = recorded.to_vec();
        recorded.sort();
        recorded.dedup();
        findings.same_set("log", &recorded, &seen);
    } else {
        findings.same_set("log", recorded, seen);
    }
}

fn compare_metrics(world: &World, case: &Recording, findings: &mut Findings) {
    let Some(recorded) = case.value["metrics_delta"].as_object() else { return };
    let recorded: BTreeMap<String, String> =
        recorded.iter().map(|(name, count)| (name.clone(), count.to_string())).collect();
    let read = || -> BTreeMap<String, String> {
        let page = world.metrics(case).map(|answer| answer.body).unwrap_or_default();
        let samples = page.lines().filter(|line| line.starts_with("falcosecurity_"));
        samples
            .filter_map(|line| line.rsplit_once(' '))
            .map(|(name, count)| (name.to_owned(), count.to_owned()))
            .collect()
    };
    // Deliveries are counted a moment after they are logged.
    wait_for(Duration::from_secs(3), || (read() == recorded).then_some(()));
    let lines = |counters: &BTreeMap<String, String>| -> Vec<String> {
        counters.iter().map(|(name, count)| format!("{name} {count}")).collect()
    };
    findings.same_set("counters", &lines(&recorded), &lines(&read()));
}

fn compare_end(program: &mut Program, case: &Recording, findings: &mut Findings) {
    let signal = match case.value["exit_signal"].as_str() {
        Some("SIGTERM") => Some(Signal::SIGTERM),
        Some("SIGHUP") => Some(Signal::SIGHUP),
        Some("SIGINT") => Some(Signal::SIGINT),
        _ => None,
    };
    if let Some(signal) = signal {
        program.signal(signal);
    } else if case.value["exit_code"].is_null() {
        if !program.is_alive() {
            findings.add("it ended by itself");
        }
        program.kill();
        program.wait();
        return;
    }
    let describe = |status: ExitStatus| match (status.code(), status.signal()) {
        (Some(code), _) => format!("code {code}"),
        (None, signal) => format!("signal {signal:?}"),
    };
    let recorded = signal.map_or_else(
        || format!("code {}", case.value["exit_code"]),
        |signal| format!("signal {:?}", Some(signal as i32)),
    );
    match program.wait() {
        None => findings.add("it did not end"),
        Some(status) => findings.same("end", &recorded, &describe(status)),
    }
}
