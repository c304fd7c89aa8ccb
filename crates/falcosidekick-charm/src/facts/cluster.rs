//! What the cluster knows of a way in from outside, asked only if there is to be one or may still be one of ours.

use anyhow::Result;
use charm_core::config::{Problems, RawConfig};
use charm_core::{Hook, juju};

use crate::kubernetes::access::Access;
use crate::kubernetes::{Cluster, MARK, client};

/// Two to four requests if there is a reason to. `is_marked`: whether there may be objects of ours.
pub async fn cluster(hook: &Hook, leads: bool, config: &RawConfig, is_marked: bool) -> Result<Cluster> {
    let mut problems = Problems::default();
    let wanted = Access::parse(config, &mut problems);
    // With options that cannot be read, nothing is touched.
    if !problems.is_empty() {
        return Ok(Cluster::default());
    }
    let mut cluster = marked(wanted, leads, is_marked);
    if cluster.wanted != Access::None || (leads && cluster.is_marked) {
        cluster.objects = Some(client::look(hook, &cluster.wanted, leads).await);
    }
    Ok(cluster)
}

/// The same without a look at the cluster.
pub fn marks(wanted: Access, leads: bool) -> Result<Cluster> {
    Ok(marked(wanted, leads, juju::state_get(MARK)?.is_some()))
}

fn marked(wanted: Access, leads: bool, is_marked: bool) -> Cluster {
    let is_of_interest = leads || wanted != Access::None;
    Cluster { wanted, leads, is_marked: is_of_interest && is_marked, objects: None }
}
