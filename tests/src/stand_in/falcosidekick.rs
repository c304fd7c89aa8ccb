//! The stand-in for Falcosidekick 2.34.1: its configuration with all traps, its HTTP surface, its TLS listener, its
//! counters, and those outputs that `outputs` lists, as recorded. Others are enabled or dropped; what would be sent to
//! them is refused aloud.

mod enrich;
mod event;
mod fields;
mod json;
mod log;
mod metrics;
mod outputs;
mod priority;
mod scalar;
mod server;
mod settings;
mod source;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use enrich::Additions;
use event::Event;
use log::Level;
use metrics::{Metrics, Panic};
use outputs::Output;
use settings::Settings;
use source::Source;

/// The version that it stands for.
pub const VERSION: &str = "2.34.1";

/// What requests are answered from.
#[derive(Debug)]
pub struct Shared {
    settings: Arc<Settings>,
    additions: Additions,
    metrics: Metrics,
    outputs: Vec<Arc<Output>>,
}

/// Runs the program. Whatever ends a listener ends it with code 0.
pub fn main() -> ExitCode {
    log::info(&format!("Falcosidekick version: {VERSION}"));
    let path = match arguments() {
        Ok(Arguments::Run(path)) => path,
        Ok(Arguments::Version) => {
            println!(
                "GitVersion:    {VERSION}\nGitCommit:     unknown\nGitTreeState:  unknown\nBuildDate:     unknown\n\
                 GoVersion:     none (stand-in)\nCompiler:      none (stand-in)\nPlatform:      linux/{}\n",
                if std::env::consts::ARCH == "aarch64" { "arm64" } else { "amd64" }
            );
            return ExitCode::SUCCESS;
        }
        Err(words) => {
            log::bare(&format!("falcosidekick: error: {words}"));
            return ExitCode::from(1);
        }
    };
    match start(path.as_deref()) {
        Ok(shared) => {
            let reason = run(shared);
            log::write(Level::Fatal, &reason);
            ExitCode::SUCCESS
        }
        Err(panic) => {
            log::bare(&format!("{panic}\n\ngoroutine 1 [running]:\n(stand-in: no stack)"));
            ExitCode::from(2)
        }
    }
}

enum Arguments {
    Run(Option<PathBuf>),
    Version,
}

fn arguments() -> Result<Arguments, String> {
    let mut rest = std::env::args().skip(1);
    let mut path = None;
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "-v" | "--version" => return Ok(Arguments::Version),
            "-c" | "--config-file" => {
                let value =
                    rest.next().ok_or_else(|| format!("expected argument for flag '{argument}', try --help"))?;
                path = Some(source::check_argument(&value)?);
            }
            other => match other.strip_prefix("--config-file=") {
                Some(value) => path = Some(source::check_argument(value)?),
                None => return Err(format!("unknown long flag '{other}', try --help")),
            },
        }
    }
    Ok(Arguments::Run(path))
}

/// Everything before the listeners. The error is a panic of the program.
fn start(path: Option<&Path>) -> Result<Shared, String> {
    let environment: BTreeMap<String, String> = std::env::vars().collect();
    let (source, error) = Source::read(path, environment);
    if let Some(error) = error {
        log::error(&error);
    }
    let settings = Arc::new(Settings::read(&source));
    let address = settings.text("listenaddress");
    if !address.is_empty() && address.parse::<IpAddr>().is_err() {
        log::write(Level::Fatal, "Failed to parse ListenAddress");
    }
    for (key, words) in
        [("listenport", "Bad listening port number"), ("tlsserver.notlsport", "Bad noTLS server port number")]
    {
        let port = settings.number(key);
        if port == 0 || port > 65535 {
            log::write(Level::Fatal, words);
        }
    }
    for block in source.unknown_outputs() {
        log::stand_in(&format!("{block} is configured, and the stand-in does not know this output"));
    }
    let additions = Additions::new(&settings);
    let metrics = Metrics::new(&settings, &additions)?;
    let outputs = outputs::enable(&settings).map_err(|outputs::Crash| {
        "panic: runtime error: invalid memory address or nil pointer dereference\n[signal SIGSEGV: segmentation \
         violation code=0x1 addr=0x0 pc=0x0]"
            .to_owned()
    })?;
    log::info(&format!("Enabled Outputs: [{}]", outputs::names(&outputs)));
    if settings.switch("debug") {
        log::write(Level::Fatal, "Debug mode: true");
    }
    let outputs = outputs.into_iter().map(Arc::new).collect();
    Ok(Shared { settings, additions, metrics, outputs })
}

/// Serves until a listener fails, and returns the reason. No signal is handled: each does what it does to any program.
fn run(shared: Shared) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime {
        Ok(runtime) => runtime.block_on(server::run(Arc::new(shared))),
        Err(error) => error.to_string(),
    }
}

/// Counts an event, checks it and sends it off. Whether it was accepted; `None` was no event at all.
fn accept_event(shared: &Arc<Shared>, event: Option<Event>) -> Result<bool, Panic> {
    let Some(mut event) = event else {
        shared.metrics.input(false);
        return Ok(false);
    };
    shared.additions.apply(&mut event);
    shared.metrics.event(&event, &shared.additions)?;
    if shared.settings.switch("debug") {
        log::write(Level::Debug, &format!("Falco's payload : {}", event.json()));
    }
    if !event.is_complete() {
        shared.metrics.input(false);
        return Ok(false);
    }
    shared.metrics.input(true);
    let event = Arc::new(event);
    for output in &shared.outputs {
        let (shared, output, event) = (Arc::clone(shared), Arc::clone(output), Arc::clone(&event));
        tokio::spawn(async move { output.send(&event, &shared.settings, &shared.metrics).await });
    }
    Ok(true)
}
