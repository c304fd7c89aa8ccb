//! `grafana_dashboard`: dashboards that a charm brings along for the Grafana it is related to.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{DatabagError, RelationData};
use crate::digest::Digest;
use crate::relation::Databag;

const DASHBOARDS: &str = "dashboards";

/// What the provider, the one that has dashboards, publishes in the databag of its application: one JSON object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Provider {
    /// The dashboards, by a name that is unique in the application: `file:<name>`.
    pub templates: BTreeMap<String, Template>,
}

/// One dashboard. A reader fails on one without `charm` or `content`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Template {
    /// The name of the charm.
    pub charm: String,
    /// The dashboard, as [`crate::dashboard::encode`] makes it. Its JSON needs a `uid`, and of several versions the one
    /// with the highest `version` is shown.
    pub content: String,
    /// Whether the reader puts variables for the labels of Juju in front of those that the dashboard has.
    pub inject_dropdowns: bool,
}

#[derive(Serialize, Deserialize)]
struct Dashboards {
    templates: BTreeMap<String, Template>,
    #[serde(default)]
    uuid: String,
}

impl RelationData for Provider {
    fn read(databag: &Databag) -> Result<Option<Self>, DatabagError> {
        let Some(value) = databag.get(DASHBOARDS) else {
            return Ok(None);
        };
        let Dashboards { templates, uuid: _ } =
            serde_json::from_str(value).map_err(|error| DatabagError::new(DASHBOARDS, value, error.to_string()))?;
        Ok(Some(Self { templates }))
    }

    fn write(&self) -> Databag {
        let templates = self.templates.clone();
        // It has to be another one when the dashboards are others; nobody looks at it for more than that.
        let uuid = Digest::of(json!(templates).to_string()).as_str()[..16].to_owned();
        [(DASHBOARDS, json!(Dashboards { templates, uuid }).to_string())].into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn provider(content: &str) -> Provider {
        let template = Template { charm: "c".into(), content: content.into(), inject_dropdowns: false };
        Provider { templates: BTreeMap::from([("file:a".into(), template)]) }
    }

    fn uuid(provider: &Provider) -> String {
        let databag = provider.write();
        serde_json::from_str::<Dashboards>(databag.get(DASHBOARDS).unwrap()).unwrap().uuid
    }

    #[test]
    fn what_is_written_can_be_read_and_is_told_apart_from_another_dashboard() {
        assert_eq!(Provider::read(&provider("a").write()), Ok(Some(provider("a"))));
        assert_eq!(uuid(&provider("a")), uuid(&provider("a")));
        assert_ne!(uuid(&provider("a")), uuid(&provider("b")));
    }

    #[test]
    fn nothing_published_is_not_an_error_and_half_of_it_is() {
        assert_eq!(Provider::read(&Databag::default()), Ok(None));
        for value in ["{}", "[]", "x", r#"{"templates": {"file:a": {"charm": "c"}}}"#] {
            assert!(Provider::read(&[(DASHBOARDS, value)].into_iter().collect()).is_err(), "{value}");
        }
    }
}
