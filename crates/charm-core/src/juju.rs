//! One function per hook command, same name, same arguments. Every call starts a process: they are the cost of a hook.
//!
//! Words that come from elsewhere stand behind `--`, because Juju takes options after words, too.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::config::RawConfig;
use crate::names::{AppName, RelationId, UnitName};
use crate::process::{Command, Error};
use crate::relation::{Databag, Side};
use crate::secret::Redacted;
use crate::status::Status;
use crate::yaml;

/// A relation that Juju no longer knows, in whichever words the version at hand says so.
#[derive(Debug)]
pub struct RelationGone(RelationId);

impl fmt::Display for RelationGone {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "relation {} is gone", self.0)
    }
}

impl std::error::Error for RelationGone {}

/// All options that are set or have a default.
pub fn config_get() -> Result<RawConfig> {
    json(Command::new("config-get").arg("--format=json"))
}

/// The relations of an endpoint. Not the one being broken, says Juju; see [`crate::relation`].
pub fn relation_ids(endpoint: &str) -> Result<Vec<RelationId>> {
    let ids: Vec<String> = json(Command::new("relation-ids").args(["--format=json", "--", endpoint]))?;
    ids.iter().map(|id| Ok(id.parse()?)).collect()
}

/// The remote units of a relation.
pub fn relation_list(id: RelationId) -> Result<Vec<UnitName>> {
    let units: Vec<String> =
        of_relation(id, Command::new("relation-list").args(["--format=json", "-r", &id.to_string()]))?;
    units.iter().map(|unit| Ok(unit.parse()?)).collect()
}

/// The remote application of a relation. Known even without a unit.
pub fn relation_list_app(id: RelationId) -> Result<AppName> {
    let app: String =
        of_relation(id, Command::new("relation-list").args(["--format=json", "--app", "-r", &id.to_string()]))?;
    Ok(app.parse()?)
}

/// The UUID of the model on the other side of a relation, or `None` if this Juju does not tell.
pub fn relation_model_get(id: RelationId) -> Result<Option<String>> {
    #[derive(Deserialize)]
    struct Model {
        uuid: String,
    }
    let command = Command::new("relation-model-get").args(["--format=json", "-r", &id.to_string()]);
    match command.run() {
        Ok(text) => Ok(Some(parse::<Model>("relation-model-get", &text)?.uuid)),
        // It came with Juju 3.6.2.
        Err(Error::Start(..)) => Ok(None),
        Err(Error::Failed(_, output)) => {
            tracing::debug!("relation-model-get: {}", output.stderr.trim_end());
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// A databag of a relation: the remote application's, or our own application's, which only the leader can read.
pub fn relation_get_app(id: RelationId, app: &AppName) -> Result<Databag> {
    of_relation(
        id,
        Command::new("relation-get").args(["--format=json", "--app", "-r", &id.to_string(), "-", app.as_str()]),
    )
}

/// The databag of a unit, a remote one or this one.
pub fn relation_get_unit(id: RelationId, unit: &UnitName) -> Result<Databag> {
    of_relation(id, Command::new("relation-get").args(["--format=json", "-r", &id.to_string(), "-", &unit.to_string()]))
}

/// Changes keys of one of our own databags; an empty value removes its key.
pub fn relation_set(id: RelationId, side: Side, changes: &BTreeMap<String, String>) -> Result<()> {
    let mut command = Command::new("relation-set").args(["-r", &id.to_string(), "--file", "-"]);
    if side == Side::App {
        command = command.arg("--app");
    }
    command.input(yaml::quoted_line(changes)?.into_bytes()).run().map(drop).map_err(|error| gone_or(id, error))
}

/// Is this unit the leader?
pub fn is_leader() -> Result<bool> {
    json(Command::new("is-leader").arg("--format=json"))
}

/// The addresses of an endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Network {
    /// What others should connect to. May hold host names; empty while Juju knows none.
    #[serde(rename = "ingress-addresses", default)]
    pub ingress_addresses: Vec<String>,
    #[serde(rename = "bind-addresses", default)]
    devices: Vec<Device>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
struct Device {
    #[serde(default)]
    addresses: Vec<DeviceAddress>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
struct DeviceAddress {
    #[serde(default)]
    value: String,
}

impl Network {
    /// The address of this unit itself. The first is not always one: Juju 4.1 has a host name there.
    pub fn own_address(&self) -> Option<IpAddr> {
        self.devices.iter().flat_map(|device| &device.addresses).find_map(|address| address.value.parse().ok())
    }
}

/// The addresses of an endpoint. Read whole: asking for `--bind-address` alone can take down an agent of Juju 3.6.
pub fn network_get(endpoint: &str) -> Result<Network> {
    json(Command::new("network-get").args(["--format=json", "--", endpoint]))
}

/// What this unit has had Juju keep under a key; `None` when there is nothing.
pub fn state_get(key: &str) -> Result<Option<String>> {
    // What is missing is an empty text, and all of it null if there never was any.
    let value: Option<String> = json(Command::new("state-get").args(["--format=json", "--", key]))?;
    Ok(value.filter(|value| !value.is_empty()))
}

/// Everything that this unit has had Juju keep.
pub fn state_get_all() -> Result<BTreeMap<String, String>> {
    let all: Option<BTreeMap<String, String>> = json(Command::new("state-get").arg("--format=json"))?;
    Ok(all.unwrap_or_default())
}

/// Has Juju keep a text for this unit when the hook succeeds. Nobody sees it in the list of processes.
pub fn state_set(key: &str, value: &str) -> Result<()> {
    let text = yaml::quoted_line(&BTreeMap::from([(key, value)]))?;
    run(Command::new("state-set").args(["--file", "-"]).input(text.into_bytes()))
}

/// Has Juju forget it when the hook succeeds.
pub fn state_delete(key: &str) -> Result<()> {
    run(Command::new("state-delete").args(["--", key]))
}

/// How many units of this application there are to be: without those that are being removed.
pub fn planned_units() -> Result<usize> {
    #[derive(Deserialize)]
    struct Goal {
        #[serde(default)]
        units: BTreeMap<String, Unit>,
    }
    #[derive(Deserialize)]
    struct Unit {
        #[serde(default)]
        status: String,
    }
    let goal: Goal = json(Command::new("goal-state").arg("--format=json"))?;
    Ok(goal.units.values().filter(|unit| unit.status != "dying").count())
}

/// Sets the status of this unit. Takes effect at once, also when the hook fails.
pub fn status_set(status: &Status) -> Result<()> {
    run(Command::new("status-set").args(["--", status.name(), &status.message()]))
}

/// Writes one record to the log of Juju.
pub fn juju_log(level: &str, message: &str) -> Result<()> {
    run(Command::new("juju-log").args(["--log-level", level, "--", message]))
}

/// Opens a TCP port of this unit when the hook succeeds.
pub fn open_port(port: u16) -> Result<()> {
    run(Command::new("open-port").arg(format!("{port}/tcp")))
}

/// Closes what `opened_ports` listed, when the hook succeeds.
pub fn close_port(port: &str) -> Result<()> {
    run(Command::new("close-port").arg(port))
}

/// The open ports of this unit: `2801/tcp`. With what this hook opened and closed so far.
pub fn opened_ports() -> Result<Vec<String>> {
    json(Command::new("opened-ports").arg("--format=json"))
}

/// Tells which version of the workload runs. Takes effect at once.
pub fn application_version_set(version: &str) -> Result<()> {
    run(Command::new("application-version-set").args(["--", version]))
}

/// The path of a resource of type file, downloaded if need be, or `None` when none is attached.
pub fn resource_get(name: &str) -> Result<Option<PathBuf>> {
    match Command::new("resource-get").args(["--", name]).run() {
        // The path comes without a line feed; the trimming is for a later Juju.
        Ok(path) => {
            Ok(Some(PathBuf::from(String::from_utf8(path).context("resource-get printed no text")?.trim_end())))
        }
        Err(Error::Failed(command, output)) if output.code == Some(1) => {
            tracing::debug!("`{command}`: {}", output.stderr.trim_end());
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// One value of a secret at its newest revision, as the base64 text in JSON that Juju prints: asked for as it is, bytes
/// that are no text would come back damaged.
pub fn secret_get(id: &str, key: &str) -> std::result::Result<Vec<u8>, Error> {
    Command::new("secret-get").args(["--format=json", "--refresh", "--", id, &format!("{key}#base64")]).run()
}

/// All values of a secret at its newest revision, as a JSON object of texts.
pub fn secret_get_all(id: &str) -> std::result::Result<Vec<u8>, Error> {
    Command::new("secret-get").args(["--format=json", "--refresh", "--", id]).run()
}

/// Everything in a secret that we own, found by its label, at its newest revision; `None` when there is none. Values have
/// to be texts. With the newest one read, Juju tells of the older ones that nobody reads them any more.
pub fn secret_get_by_label(label: &str) -> Result<Option<BTreeMap<String, Redacted<String>>>> {
    match Command::new("secret-get").args(["--format=json", "--refresh", "--label", label]).run() {
        Ok(text) => {
            // An error must not quote what it failed to read.
            let content: BTreeMap<String, String> =
                serde_json::from_slice(&text).ok().context("secret-get printed no JSON object of texts")?;
            Ok(Some(content.into_iter().map(|(key, value)| (key, Redacted::new(value))).collect()))
        }
        Err(Error::Failed(_, output)) if output.stderr.contains("not found") => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// What Juju knows of a secret of ours.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct SecretInfo {
    /// The newest revision.
    pub revision: u32,
}

/// The id and revision of a secret that we own, found by its label, or `None` when there is none.
pub fn secret_info_get(label: &str) -> Result<Option<(String, SecretInfo)>> {
    match Command::new("secret-info-get").args(["--format=json", "--label", label]).run() {
        Ok(text) => {
            let by_id: BTreeMap<String, SecretInfo> = parse("secret-info-get", &text)?;
            Ok(by_id.into_iter().next())
        }
        Err(Error::Failed(_, output)) if output.stderr.contains("not found") => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Creates a secret that this unit owns, with the content of a file. `file` has to be absolute: the agent opens it.
/// `expire`: when Juju shall tell that it is due, in RFC 3339.
pub fn secret_add(label: &str, file: &Path, expire: Option<&str>) -> Result<String> {
    let command = Command::new("secret-add").args(["--owner", "unit", "--label", label]).args(expires(expire));
    let command = command.arg("--file").arg(file);
    Ok(String::from_utf8(command.run()?).context("secret-add printed no text")?.trim_end().to_owned())
}

/// Gives a secret new content, and another time at which it is due if there is one.
pub fn secret_set(id: &str, file: &Path, expire: Option<&str>) -> Result<()> {
    run(Command::new("secret-set").args(expires(expire)).arg("--file").arg(file).args(["--", id]))
}

/// Gives a secret another time at which it is due, and leaves its content.
pub fn secret_set_expire(id: &str, expire: &str) -> Result<()> {
    run(Command::new("secret-set").args(expires(Some(expire))).args(["--", id]))
}

fn expires(time: Option<&str>) -> impl Iterator<Item = &str> {
    time.into_iter().flat_map(|time| ["--expire", time])
}

/// Removes a secret, or one revision of it, when the hook succeeds.
pub fn secret_remove(id: &str, revision: Option<u32>) -> Result<()> {
    let command = Command::new("secret-remove");
    let command = match revision {
        Some(revision) => command.args(["--revision", &revision.to_string()]),
        None => command,
    };
    run(command.args(["--", id]))
}

/// Ends the action as failed. The charm has to exit with 0 all the same, or the text is lost.
pub fn action_fail(message: &str) -> Result<()> {
    run(Command::new("action-fail").args(["--", message]))
}

/// The parameters of the action.
pub fn action_get<T: DeserializeOwned>() -> Result<T> {
    json(Command::new("action-get").arg("--format=json"))
}

/// Sets results of the action, as `name=value`.
pub fn action_set(results: &BTreeMap<String, String>) -> Result<()> {
    let words = results.iter().map(|(name, value)| format!("{name}={value}"));
    run(Command::new("action-set").arg("--").args(words))
}

fn run(command: Command) -> Result<()> {
    command.run()?;
    Ok(())
}

fn json<T: DeserializeOwned>(command: Command) -> Result<T> {
    let name = command.program().to_string_lossy().into_owned();
    parse(&name, &command.run()?)
}

fn parse<T: DeserializeOwned>(name: &str, text: &[u8]) -> Result<T> {
    serde_json::from_slice(text).with_context(|| format!("failed to read what {name} printed"))
}

/// Like [`json`], with the several ways of saying that the relation is gone folded into one.
fn of_relation<T: DeserializeOwned>(id: RelationId, command: Command) -> Result<T> {
    let name = command.program().to_string_lossy().into_owned();
    parse(&name, &command.run().map_err(|error| gone_or(id, error))?)
}

/// After a forced removal Juju 3.6 says `permission denied`, 4.x that or `relation not found`. Our own application's
/// databag is read by the leader only, so here a refusal never means "not the leader".
fn gone_or(id: RelationId, error: Error) -> anyhow::Error {
    match &error {
        Error::Failed(_, output)
            if ["relation not found", "permission denied"].iter().any(|words| output.stderr.contains(words)) =>
        {
            anyhow::Error::new(error).context(RelationGone(id))
        }
        _ => error.into(),
    }
}
