//! The hook commands: one table, one function each, one file per topic.

mod action;
mod config;
mod leader;
mod log;
mod model;
mod network;
mod port;
mod relation_get;
mod relation_list;
mod relation_set;
mod secret_args;
mod secret_get;
mod secret_grant;
mod secret_info;
mod secret_set;
mod state;
mod status;
mod storage;
mod words;

use std::fs;

pub use secret_args::is_key as is_secret_key;

use super::command::{Answer, Invocation};
use super::encode::{Format, Value};
use super::event::Kind;
use super::flags::{self, Flag, Line, Stop, quote};
use super::hook::{Hook, Reply};
use super::version::JujuVersion;

/// What a command has to say when it goes well.
#[derive(Debug)]
enum Output {
    /// Nothing.
    None,
    /// These bytes, whatever the format.
    Raw(Vec<u8>),
    /// A value in the format asked for.
    Value(Value),
    /// A value that looks different as YAML.
    Both {
        /// As JSON.
        json: Value,
        /// As YAML.
        yaml: Value,
    },
}

/// Why a command does not go well.
#[derive(Debug)]
enum Failure {
    /// Exit code 2.
    Usage(String),
    /// Exit code 1.
    Run(String),
    /// The call has to be made again with its standard input.
    NeedsStdin,
}

impl From<Stop> for Failure {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Usage(text) => Self::Usage(text),
            Stop::Help => Self::Usage("help".into()),
        }
    }
}

type Outcome = Result<Output, Failure>;

/// The command line is wrong.
fn usage<T>(text: impl Into<String>) -> Result<T, Failure> {
    Err(Failure::Usage(text.into()))
}

/// The command cannot do it.
fn refused<T>(text: impl Into<String>) -> Result<T, Failure> {
    Err(Failure::Run(text.into()))
}

/// What `--format` and `--output` do for a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Printer {
    /// Neither option.
    Plain,
    /// `--format` is taken and complained about.
    Deprecated,
    /// All formats, smart by default.
    Smart,
    /// YAML or JSON.
    Yaml,
}

/// One hook command.
struct Command {
    name: &'static str,
    /// What stands after the name in the first line of its help.
    help: &'static str,
    printer: Printer,
    flags: &'static [Flag],
    run: fn(&mut Hook, &Line, &Invocation) -> Outcome,
}

const fn command(
    name: &'static str,
    help: &'static str,
    printer: Printer,
    flags: &'static [Flag],
    run: fn(&mut Hook, &Line, &Invocation) -> Outcome,
) -> Command {
    Command { name, help, printer, flags, run }
}

const FORMAT: Flag = Flag::checked(&["format"]);
const OUTPUT: Flag = Flag::text(&["o", "output"]);
const RELATION: Flag = Flag::checked(&["r", "relation"]);
const APP: Flag = Flag::switch(&["app"]);
const APPLICATION: Flag = Flag::switch(&["application"]);
const FILE: Flag = Flag::text(&["file"]);

const COMMANDS: &[Command] = &[
    command("action-fail", " [\"<failure message>\"]", Printer::Plain, &[], action::fail),
    command("action-get", " [options] [<key>[.<key>.<key>...]]", Printer::Smart, &[], action::get),
    command("action-log", " <message>", Printer::Plain, &[], action::log),
    command("action-set", " <key>=<value> [<key>=<value> ...]", Printer::Plain, &[], action::set),
    command("application-version-set", " <new-version>", Printer::Plain, &[], status::version_set),
    command(
        "close-port",
        " [options] <port>[/<protocol>] or <from>-<to>[/<protocol>] or icmp",
        Printer::Deprecated,
        port::FLAGS,
        port::close,
    ),
    command("config-get", " [options] [<key>]", Printer::Smart, config::FLAGS, config::get),
    command("credential-get", " [options]", Printer::Smart, &[], model::credential_get),
    command("goal-state", " [options]", Printer::Yaml, &[], model::goal_state),
    command("is-leader", " [options]", Printer::Smart, &[], leader::is_leader),
    command("juju-log", " [options] <message>", Printer::Deprecated, log::FLAGS, log::juju_log),
    command("juju-reboot", " [options]", Printer::Plain, model::REBOOT_FLAGS, model::reboot),
    command("leader-get", " [options] [<key>]", Printer::Smart, &[], leader::get),
    command("leader-set", " <key>=<value> [...]", Printer::Plain, &[], leader::set),
    command(
        "network-get",
        " [options] <binding-name> [--ingress-address] [--bind-address] [--egress-subnets]",
        Printer::Smart,
        network::FLAGS,
        network::get,
    ),
    command(
        "open-port",
        " [options] <port>[/<protocol>] or <from>-<to>[/<protocol>] or icmp",
        Printer::Deprecated,
        port::FLAGS,
        port::open,
    ),
    command("opened-ports", " [options]", Printer::Smart, port::LIST_FLAGS, port::opened),
    command("relation-get", " [options] <key> <unit id>", Printer::Smart, &[RELATION, APP], relation_get::get),
    command("relation-ids", " [options] [<name>]", Printer::Smart, &[], relation_list::ids),
    command("relation-list", " [options]", Printer::Smart, &[RELATION, APP], relation_list::list),
    command("relation-model-get", " [options]", Printer::Smart, &[RELATION], relation_list::model_get),
    command(
        "relation-set",
        " [options] key=value [key=value ...]",
        Printer::Deprecated,
        &[RELATION, APP, FILE],
        relation_set::set,
    ),
    command("resource-get", " <resource name>", Printer::Plain, &[], model::resource_get),
    command("secret-add", " [options] <key>[#base64]=<value> ...", Printer::Plain, secret_args::FLAGS, secret_set::add),
    command("secret-get", " [options] <ID> [key[#base64]]", Printer::Yaml, secret_get::FLAGS, secret_get::get),
    command("secret-grant", " [options] <ID>", Printer::Plain, secret_grant::GRANT_FLAGS, secret_grant::grant),
    command("secret-ids", " [options]", Printer::Smart, &[], secret_info::ids),
    command("secret-info-get", " [options] <ID>", Printer::Yaml, secret_info::FLAGS, secret_info::get),
    command("secret-remove", " [options] <ID>", Printer::Plain, secret_set::REMOVE_FLAGS, secret_set::remove),
    command("secret-revoke", " [options] <ID>", Printer::Plain, secret_grant::REVOKE_FLAGS, secret_grant::revoke),
    command(
        "secret-set",
        " [options] <ID> [key[#base64]=value...]",
        Printer::Plain,
        secret_args::FLAGS,
        secret_set::set,
    ),
    command("state-delete", " <key>", Printer::Plain, &[], state::delete),
    command("state-get", " [options] [<key>]", Printer::Smart, state::GET_FLAGS, state::get),
    command("state-set", " [options] key=value [key=value ...]", Printer::Plain, &[FILE], state::set),
    command(
        "status-get",
        " [options] [--include-data] [--application]",
        Printer::Smart,
        status::GET_FLAGS,
        status::get,
    ),
    command("status-set", " [options] <status> [<message>]", Printer::Plain, &[APPLICATION], status::set),
    command("storage-add", " <charm storage name>[=count] ...", Printer::Plain, &[], storage::add),
    command("storage-get", " [options] [-s <storage-id>] [<key>]", Printer::Smart, storage::GET_FLAGS, storage::get),
    command("storage-list", " [options] [<storage-name>]", Printer::Smart, &[], storage::list),
    command("unit-get", " [options] <setting>", Printer::Smart, &[], model::unit_get),
];

/// The names of all commands of a release that are played.
pub fn names(juju: JujuVersion) -> impl Iterator<Item = &'static str> {
    COMMANDS.iter().map(|command| command.name).filter(move |name| juju.has_command(name))
}

/// Answers one call.
pub fn answer(hook: &mut Hook, invocation: &Invocation) -> Reply {
    let name = invocation.name.as_str();
    let found = COMMANDS.iter().find(|command| command.name == name && hook.unit.juju.has_command(name));
    let Some(command) = found else {
        return Reply::Unknown(error(1, &format!("bad request: unknown command: {name}")));
    };
    match run(command, hook, invocation) {
        Ok(answer) => Reply::Answer(answer),
        Err(Failure::Usage(text)) => Reply::Answer(error(2, &text)),
        Err(Failure::Run(text)) => Reply::Answer(error(1, &text)),
        Err(Failure::NeedsStdin) => Reply::NeedsStdin,
    }
}

fn error(code: i32, text: &str) -> Answer {
    Answer::failure(code, format!("ERROR {text}\n"))
}

fn run(command: &Command, hook: &mut Hook, invocation: &Invocation) -> Result<Answer, Failure> {
    let mut all: Vec<Flag> = command.flags.to_vec();
    match command.printer {
        Printer::Plain => {}
        Printer::Deprecated => all.push(Flag::text(&["format"])),
        Printer::Smart | Printer::Yaml => all.extend([FORMAT, OUTPUT]),
    }
    let check = |name: &str, value: &str| check(hook, command.printer, name, value);
    let line = match flags::read(&invocation.args, &all, &check) {
        Ok(line) => line,
        Err(Stop::Help) => return Ok(Answer::text(help(command, hook))),
        Err(stop) => return Err(stop.into()),
    };
    let mut answer = Answer::default();
    let output = (command.run)(hook, &line, invocation)?;
    if command.printer == Printer::Deprecated && line.get("format").is_some_and(|format| !format.is_empty()) {
        answer.stderr = format!("--format flag deprecated for command {}", quote(command.name)).into_bytes();
    }
    let bytes = print(command.printer, &line, &output);
    match line.get("o").filter(|path| !path.is_empty()) {
        None => answer.stdout = bytes,
        Some(path) => {
            let path = invocation.cwd.join(path);
            fs::write(&path, bytes).map_err(|error| Failure::Run(words::cannot_open(&path, &error)))?;
        }
    }
    Ok(answer)
}

/// Little more than the first line: what a command is for stands in Juju's own documentation.
fn help(command: &Command, hook: &Hook) -> String {
    let Command { name, help, .. } = command;
    // In a hook of a relation there is a default for both words.
    if *name == "relation-get" && hook.own_relation().is_some() {
        return format!("Usage: {name} [options] [<key> [<unit id>]]\n");
    }
    // The one default of a flag that somebody reads: ops 2 finds the storage of a hook by it.
    if *name == "storage-get"
        && let Kind::Storage { id, .. } = &hook.event.kind
    {
        return format!("Usage: {name}{help}\n\nOptions:\n-s  (= {id})\n");
    }
    format!("Usage: {name}{help}\n")
}

fn print(printer: Printer, line: &Line, output: &Output) -> Vec<u8> {
    let usual = if printer == Printer::Yaml { Format::Yaml } else { Format::Smart };
    let format = line.get("format").and_then(Format::named).unwrap_or(usual);
    match output {
        Output::None => Vec::new(),
        Output::Raw(bytes) => bytes.clone(),
        Output::Value(value) => format.print(value),
        Output::Both { json, .. } if format == Format::Json => format.print(json),
        Output::Both { yaml, .. } => format.print(yaml),
    }
}

/// Options whose values are looked at while the line is read.
fn check(hook: &Hook, printer: Printer, name: &str, value: &str) -> Result<(), String> {
    match name {
        "format" => match Format::named(value) {
            Some(Format::Smart) if printer == Printer::Yaml => Err(format!("unknown format {}", quote(value))),
            Some(_) => Ok(()),
            None => Err(format!("unknown format {}", quote(value))),
        },
        "r" => words::relation_id(hook, value).map(|_| ()),
        "s" => storage::known(hook, value),
        _ => Ok(()),
    }
}
