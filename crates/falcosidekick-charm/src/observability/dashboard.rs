//! The dashboard. Pure.

use std::collections::BTreeMap;

use charm_core::dashboard;
use charm_core::interfaces::grafana_dashboard::{Provider, Template};

use crate::names::CHARM;

/// Alerts and how they get through, of all Falcosidekicks.
pub const DASHBOARD: &str = include_str!("../../../../charms/falcosidekick-k8s/dashboards/falcosidekick.json");

/// Grafana knows it by this name among those of the application.
const NAME: &str = "file:falcosidekick";

/// What Grafana is told. It is the same for every application of this charm, so that there is one dashboard for all.
pub fn provider() -> Provider {
    let template = Template {
        charm: CHARM.to_owned(),
        content: dashboard::encode(DASHBOARD).expect("a test encodes it"),
        // Those of Grafana would be put on the alerts as well, whose labels are those of Falco.
        inject_dropdowns: false,
    };
    Provider { templates: BTreeMap::from([(NAME.to_owned(), template)]) }
}

#[cfg(test)]
mod tests {
    use charm_core::interfaces::RelationData;

    use super::*;

    #[test]
    fn the_databag_stays_far_below_the_limits_of_juju_and_is_always_the_same() {
        let databag = provider().write();
        let longest = databag.iter().map(|(_, value)| value.len()).max().unwrap();
        assert!((1_000..32 * 1024).contains(&longest), "{longest} bytes");
        assert_eq!(databag, provider().write());
    }
}
