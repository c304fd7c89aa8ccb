//! Where a unit with a charm runs: a machine or a pod.

use anyhow::{Result, bail};

use super::application::{Application, Charm, Systemd};
use super::booted::BootedHost;
use crate::falco_host::FalcoHost;
use crate::juju::{Context, State};
use crate::machine::Machine;
use crate::pod::{CONTAINER, Pod};

/// The surroundings of one unit.
#[derive(Debug)]
pub enum Place {
    /// A machine whose `systemctl` has a memory.
    Machine(Box<FalcoHost>),
    /// A machine with the real systemd.
    Booted(Box<BootedHost>),
    /// A pod.
    Pod(Box<Pod>),
}

impl Place {
    /// A place for a unit of this application; none if the application is played.
    pub fn new(app: &Application, number: u32, principal: Option<&str>) -> Result<Option<Self>> {
        let name = |context: Context| {
            let context = context.app(&app.name).unit_number(number);
            principal.iter().fold(context, |context, unit| context.principal(*unit))
        };
        Ok(Some(match &app.charm {
            Charm::Played(_) => return Ok(None),
            Charm::Falcosidekick => Self::Pod(Box::new(Pod::new(name))),
            Charm::Falco(systemd) => {
                let Some(port) = app.config.get("metrics-port").and_then(serde_json::Value::as_u64) else {
                    bail!("{}: metrics-port has to be set, as all machines here share one network", app.name);
                };
                let port = u16::try_from(port)?;
                match systemd {
                    Systemd::Real => Self::Booted(Box::new(BootedHost::new(name)?)),
                    Systemd::Played => {
                        let mut host = FalcoHost::on(Machine::new()?, name);
                        host.port = port;
                        Self::Machine(Box::new(host))
                    }
                }
            }
        }))
    }

    /// How the charm is run.
    pub fn context(&self) -> &Context {
        match self {
            Self::Machine(host) => &host.context,
            Self::Booted(host) => &host.context,
            Self::Pod(pod) => &pod.context,
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
        }
    }
}
