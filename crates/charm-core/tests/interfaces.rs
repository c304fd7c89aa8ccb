//! Every databag in `metadata/interfaces` is understood, and every interface has both a folder there and code here.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use charm_core::interfaces::{
    DatabagError, RelationData, certificate_transfer, cos_agent, falcosidekick_http_endpoint, grafana_dashboard,
    ingress, loki_push_api, prometheus_scrape, tls_certificates,
};
use charm_core::relation::Databag;
use charm_core::topology::Topology;
use serde::Deserialize;
use serde_json::Value;

/// Reads a databag and writes it again; `None` when nothing was published.
type RoundTrip = fn(&Databag) -> Result<Option<Databag>, DatabagError>;

/// Who reads or writes which bag of which interface with our code. `None`: the bag is never used by a charm of ours.
const TABLE: [(&str, &str, &str, Option<RoundTrip>); 19] = [
    ("certificate_transfer/v1", "provider", "app", Some(round_trip::<certificate_transfer::Provider>)),
    // Our charms only write this one, and always the same.
    ("certificate_transfer/v1", "requirer", "app", Some(|_| Ok(Some(certificate_transfer::requirer())))),
    ("cos_agent/v0", "provider", "unit", Some(round_trip::<cos_agent::Provider>)),
    ("cos_agent/v0", "requirer", "unit", None),
    ("falcosidekick_http_endpoint/v1", "provider", "app", Some(round_trip::<falcosidekick_http_endpoint::Provider>)),
    ("falcosidekick_http_endpoint/v1", "requirer", "app", None),
    ("grafana_dashboard/v0", "provider", "app", Some(read_dashboards)),
    ("grafana_dashboard/v0", "requirer", "app", None),
    ("ingress/v2", "provider", "app", Some(round_trip::<ingress::Provider>)),
    // Our charms only write these two, and on purpose otherwise than the Python charm that the databags are of.
    ("ingress/v2", "requirer", "app", None),
    ("ingress/v2", "requirer", "unit", None),
    ("loki_push_api/v1", "provider", "unit", Some(round_trip::<loki_push_api::Provider>)),
    ("loki_push_api/v1", "provider", "app", None),
    ("loki_push_api/v1", "requirer", "app", Some(rewrite_loki_requirer)),
    ("prometheus_scrape/v0", "provider", "app", Some(rewrite_scraped)),
    ("prometheus_scrape/v0", "provider", "unit", Some(round_trip::<prometheus_scrape::ProviderUnit>)),
    ("prometheus_scrape/v0", "requirer", "app", None),
    ("tls-certificates/v1", "provider", "app", Some(round_trip::<tls_certificates::Provider>)),
    ("tls-certificates/v1", "requirer", "unit", Some(round_trip::<tls_certificates::Requirer>)),
];

fn round_trip<T: RelationData>(databag: &Databag) -> Result<Option<Databag>, DatabagError> {
    Ok(T::read(databag)?.map(|data| data.write()))
}

/// Our charms only write this one: built from the topology in the databag, it has to be the databag.
fn rewrite_loki_requirer(databag: &Databag) -> Result<Option<Databag>, DatabagError> {
    let Some(metadata) = databag.get("metadata") else {
        return Ok(None);
    };
    let requirer = loki_push_api::Requirer {
        topology: topology("metadata", metadata)?,
        alert_rules: serde_json::from_str(databag.get("alert_rules").unwrap_or("null")).unwrap_or_default(),
    };
    Ok(Some(requirer.write()))
}

/// The same of this one.
fn rewrite_scraped(databag: &Databag) -> Result<Option<Databag>, DatabagError> {
    let Some(metadata) = databag.get("scrape_metadata") else {
        return Ok(None);
    };
    let provider = prometheus_scrape::Provider {
        topology: topology("scrape_metadata", metadata)?,
        jobs: serde_json::from_str(databag.get("scrape_jobs").unwrap_or_default()).expect("jobs"),
        alert_rules: serde_json::from_str(databag.get("alert_rules").unwrap_or("null")).unwrap_or_default(),
    };
    Ok(Some(provider.write()))
}

/// Our charms say less of a dashboard than can be said of one, and count versions in their own way: what is left over is
/// put back.
fn read_dashboards(databag: &Databag) -> Result<Option<Databag>, DatabagError> {
    let Some(read) = grafana_dashboard::Provider::read(databag)? else {
        return Ok(None);
    };
    let written = read.write();
    assert_eq!(grafana_dashboard::Provider::read(&written)?, Some(read));
    let json = |databag: &Databag| -> Value {
        serde_json::from_str(databag.get("dashboards").expect("a key that was read")).expect("JSON that was read")
    };
    let (mut ours, theirs) = (json(&written), json(databag));
    ours["uuid"] = theirs["uuid"].clone();
    for (name, template) in ours["templates"].as_object_mut().expect("an object that was written") {
        for key in ["juju_topology", "dashboard_alt_uid"] {
            template[key] = theirs["templates"][name][key].clone();
        }
    }
    Ok(Some([("dashboards", ours.to_string())].into_iter().collect()))
}

fn topology(key: &'static str, metadata: &str) -> Result<Topology, DatabagError> {
    let mut metadata: BTreeMap<String, String> = serde_json::from_str(metadata)
        .map_err(|_| DatabagError::new(key, metadata, "it is not a JSON object of texts"))?;
    let mut take = |name: &str| metadata.remove(name).expect("a topology is whole");
    Ok(Topology {
        model: take("model"),
        model_uuid: take("model_uuid"),
        application: take("application"),
        unit: take("unit"),
        charm_name: take("charm_name"),
    })
}

#[derive(Deserialize)]
struct Vector {
    side: String,
    bag: String,
    databag: Databag,
}

fn metadata() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../metadata/interfaces")
}

fn folders(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).expect("a folder").map(|entry| entry.expect("an entry").path());
    let mut folders: Vec<PathBuf> = entries.filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

/// A databag with the JSON in its values parsed: Python puts a blank behind each colon, which no reader minds. Juju
/// removes a key that is set to nothing.
fn parsed(databag: &Databag) -> BTreeMap<&str, Value> {
    databag
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(key, value)| (key, serde_json::from_str(value).unwrap_or_else(|_| value.into())))
        .collect()
}

#[test]
fn every_folder_has_code_and_all_code_has_a_folder() {
    let versions = folders(&metadata()).into_iter().flat_map(|interface| folders(&interface));
    let mut on_disk: Vec<String> =
        versions.map(|path| path.strip_prefix(metadata()).unwrap().to_str().unwrap().to_owned()).collect();
    on_disk.sort();
    let mut in_table: Vec<&str> = TABLE.iter().map(|(folder, ..)| *folder).collect();
    in_table.dedup();
    assert_eq!(on_disk, in_table);
}

#[test]
fn every_vector_is_read_and_written_back_as_it_was() {
    let mut count = 0;
    for interface in folders(&metadata()).iter().flat_map(|interface| folders(interface)) {
        let name = interface.strip_prefix(metadata()).unwrap().to_str().unwrap().to_owned();
        for file in fs::read_dir(interface.join("vectors")).unwrap().map(|entry| entry.unwrap().path()) {
            let vector: Vector = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
            let row = TABLE
                .iter()
                .find(|(folder, side, bag, _)| (*folder, *side, *bag) == (&name, &vector.side, &vector.bag));
            let Some((.., code)) = row else { panic!("{}: no row for this side and bag", file.display()) };
            let Some(code) = code else { continue };
            let back = code(&vector.databag).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            assert_eq!(parsed(&back.unwrap_or_default()), parsed(&vector.databag), "{}", file.display());
            count += 1;
        }
    }
    assert!(count > 5, "only {count} vectors were read");
}
