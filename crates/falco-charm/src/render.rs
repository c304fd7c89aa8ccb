//! The files that Falco and systemd read, as text from typed data. Pure.

pub mod falco_yaml;
pub mod unit;

use charm_core::topology::Topology;

use crate::config::Config;
use crate::containers::Containers;
use crate::distribution::Distribution;
use crate::generation::Generation;
use crate::k8s_audit::Listener;

/// Everything that the two files are made of.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// The options.
    pub config: &'a Config,
    /// Who we are.
    pub topology: &'a Topology,
    /// Where the paths of this unit begin: empty, or a folder under test.
    pub root: &'a str,
    /// The Falco to run.
    pub distribution: &'a Distribution,
    /// The containers on this machine.
    pub containers: &'a Containers,
    /// The operator's rules and overrides.
    pub generation: &'a Generation,
    /// Where Kubernetes audit events are listened for.
    pub audit: Option<&'a Listener>,
    /// Where alerts are sent.
    pub url: Option<&'a str>,
    /// The file of those who vouch for the receiver, as a path of this unit. Without one Falco looks where the host keeps
    /// its own.
    pub authorities: Option<&'a str>,
}
