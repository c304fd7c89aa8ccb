//! Where a unit with a charm runs: a machine or a pod.

use anyhow::Result;
use serde_json::Value;

use super::application::{Application, Charm};
use super::booted::BootedHost;
use crate::falco_host::FalcoHost;
use crate::juju::{Context, State};
use crate::machine::Machine;
use crate::pod::{CONTAINER, Pod};
use crate::programs;

/// The surroundings of one unit.
#[derive(Debug)]
pub enum Place {
    /// A machine whose `systemctl` has a memory.
    Machine(Box<FalcoHost>),
    /// A machine with the real systemd.
    Booted(Box<BootedHost>),
    /// A pod.
    Pod(Box<Pod>),
    /// Nothing but Juju.
    Bare(Box<Context>),
}

impl Place {
    /// A place for a unit of this application; none if the application is played. A machine charm takes the first of
    /// these hosts.
    pub fn new(
        app: &Application,
        number: u32,
        principal: Option<&str>,
        hosts: &mut Vec<BootedHost>,
    ) -> Result<Option<Self>> {
        let name = |context: Context| {
            let context = context.app(&app.name).unit_number(number);
            principal.iter().fold(context, |context, unit| context.principal(*unit))
        };
        Ok(Some(match &app.charm {
            Charm::Played(_) => return Ok(None),
            Charm::Other(other) => {
                let context =
                    Context::with_metadata(other.metadata.clone(), &other.dispatch, programs::hook_command())?;
                Self::Bare(Box::new(name(context)))
            }
            Charm::Falcosidekick => Self::Pod(Box::new(Pod::new(name))),
            Charm::Falco if !hosts.is_empty() => Self::Booted(Box::new(hosts.remove(0).prepared(name))),
            Charm::Falco => {
                let mut host = FalcoHost::on(Machine::new()?, name);
                // Where it asks for metrics, as all machines here share one network.
                host.port = app.config.get("metrics-port").and_then(Value::as_u64).unwrap_or_default().try_into()?;
                Self::Machine(Box::new(host))
            }
        }))
    }

    /// How the charm is run.
    pub fn context(&self) -> &Context {
        match self {
            Self::Machine(host) => &host.context,
            Self::Booted(host) => &host.context,
            Self::Pod(pod) => &pod.context,
            Self::Bare(context) => context,
        }
    }

    /// The workload container.
    pub fn container(&self) -> Option<&'static str> {
        matches!(self, Self::Pod(_)).then_some(CONTAINER)
    }

    /// Adds to a state what depends on the place: resources and addresses.
    pub fn complete(&self, state: State) -> State {
        match self {
            Self::Machine(host) => state.resource("falco", &host.tarball),
            Self::Booted(host) => state.resource("falco", &host.tarball),
            Self::Pod(pod) => pod.complete(state),
            Self::Bare(_) => state,
        }
    }
}
