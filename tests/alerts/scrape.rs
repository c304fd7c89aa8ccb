//! What the real Prometheus makes of the job that the falcosidekick-k8s charm hands over.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use charm_core::names::RelationId;
use charm_core::notes::Told;
use charm_tests::falco_host::eventually;
use charm_tests::prometheus::Prometheus;
use falcosidekick_charm::config::Port;
use falcosidekick_charm::facts::Facts;
use falcosidekick_charm::listener::Listener;
use falcosidekick_charm::observability::metrics::{EVENTS, ORIGINS, publish};
use serde_json::{Value, json};

/// Prometheus with this job, once its own tool has judged it.
fn scrape(folder: &Path, job: Value) -> Prometheus {
    let promtool = std::env::var_os("PROMTOOL").expect("PROMTOOL names the program: make test-alerts");
    let prometheus = Prometheus::start(&PathBuf::from(&promtool).with_file_name("prometheus"), folder, &[job]).unwrap();
    let configuration = folder.join("prometheus.yaml");
    let checked = Command::new(promtool).args(["check", "config"]).arg(configuration).output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    prometheus
}

/// The result of a query, as soon as there is one.
fn query(prometheus: &Prometheus, promql: &str) -> Vec<Value> {
    let result = || prometheus.query(promql).ok()?.as_array().filter(|result| !result.is_empty()).cloned();
    eventually("a result", result)
}

/// A server that says this to everybody; its port.
fn serve(metrics: String) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines();
            lines.map_while(Result::ok).take_while(|line| !line.is_empty()).for_each(drop);
            let _ = write!(stream, "HTTP/1.0 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\n\r\n{metrics}");
        }
    });
    port
}

/// The job as the charm hands it over, for one unit, as the library of Prometheus makes it of that.
fn job(port: u16) -> Value {
    let port: Port = port.to_string().parse().unwrap();
    let mut facts = Facts::default();
    let relation: RelationId = "1".parse().unwrap();
    facts.observers.told_scrapers = [(relation, Told::default())].into();
    let published = publish(&facts, Listener::plain(port), None);
    let jobs: Value = serde_json::from_str(published[0].changes.get("scrape_jobs").unwrap()).unwrap();
    let text = jobs[0].to_string().replace("\"*:", "\"127.0.0.1:");
    let mut job: Value = serde_json::from_str(&text).unwrap();
    job["job_name"] = json!("test");
    job
}

#[test]
#[ignore = "needs prometheus: make test-alerts"]
fn series_are_bounded_names_of_hosts_and_pods_are_gone_and_nothing_is_lost_from_the_sums() {
    let mut metrics = String::from("process_start_time_seconds 7\n");
    for (rule, places, count) in [("few", 3, 5), ("many", 2_000, 1)] {
        for place in 0..places {
            let labels =
                format!("hostname=\"node-{}\",k8s_ns_name=\"default\",k8s_pod_name=\"web-{place}\"", place % 7);
            writeln!(metrics, "{EVENTS}{{{labels},priority_raw=\"notice\",rule=\"{rule}\"}} {count}").unwrap();
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let prometheus = scrape(folder.path(), job(serve(metrics)));
    let few = query(&prometheus, &format!("sum({EVENTS}{{rule=\"few\"}})"));
    assert_eq!(few[0]["value"][1], "15", "a label that is only dropped would leave 5");
    let many = query(&prometheus, &format!("{EVENTS}{{rule=\"many\"}}"));
    assert!(many.len() <= usize::try_from(ORIGINS).unwrap() && many.len() > 1, "{} series", many.len());
    for series in &many {
        let labels: Vec<&str> = series["metric"].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(labels, ["__name__", "instance", "job", "k8s_ns_name", "origin", "priority_raw", "rule"]);
    }
    let other = query(&prometheus, "process_start_time_seconds");
    assert_eq!(other[0]["metric"].as_object().unwrap().len(), 3, "{other:?}");
}
