//! The text of `/metrics`. Names and labels are those of Falco; what only a kernel probe can count stays 0.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use sha2::{Digest as _, Sha256};

use super::event::host_name;
use super::prepare::Prepared;
use super::settings::Engine;
use super::{Life, VERSION};

/// What has been counted since the last start or reload.
#[derive(Debug, Default)]
pub struct Counters {
    /// Events.
    pub events: AtomicU64,
    /// Alerts that found the queue of the outputs full.
    pub drops: AtomicU64,
    /// Matches of each rule, by its place.
    pub matches: Mutex<Vec<u64>>,
}

/// Everything that the text is made of.
#[derive(Debug)]
pub struct Board {
    counters: Arc<Counters>,
    rules: Vec<(String, usize, String, Vec<String>)>,
    rules_files: Vec<(String, String)>,
    config_files: Vec<(String, String)>,
    engine: &'static str,
    container_plugin: bool,
    audit: bool,
    groups: Vec<&'static str>,
    started: i64,
    reloaded: i64,
    since: Instant,
}

const DROP_KINDS: &[&str] = &["clone_fork", "execve", "connect", "open", "dir_file", "other_interest", "close", "proc"];

/// Counters of the kernel iterators, without the common start and the ending.
const ITERATOR_COUNTERS: &[&str] = &[
    "",
    "_file_pipe",
    "_file_memfd",
    "_file_regular",
    "_file_directory",
    "_file_socket_inet",
    "_file_socket_inet6",
    "_file_socket_unix",
    "_file_socket_netlink",
    "_file_anon_inode",
];

/// Counters of the state of libs, and whether they are gauges.
const STATE_COUNTERS: &[(&str, bool)] = &[
    ("n_threads", true),
    ("n_fds", true),
    ("n_noncached_fd_lookups", false),
    ("n_cached_fd_lookups", false),
    ("n_failed_fd_lookups", false),
    ("n_added_fds", false),
    ("n_removed_fds", false),
    ("n_stored_evts", false),
    ("n_store_evts_drops", false),
    ("n_retrieved_evts", false),
    ("n_retrieve_evts_drops", false),
    ("n_noncached_thread_lookups", false),
    ("n_cached_thread_lookups", false),
    ("n_failed_thread_lookups", false),
    ("n_added_threads", false),
    ("n_removed_threads", false),
    ("n_drops_full_threadtable", false),
];

const HELP: &str = "https://falco.org/docs/metrics/";
const OLD_HELP: &str =
    "https://falco.org/docs/metrics/ (DEPRECATED: enter events are no longer tracked in falcosecurity/libs)";

impl Board {
    /// Takes what does not change until the next reload.
    pub fn new(prepared: &Prepared, counters: Arc<Counters>, life: &Life) -> Self {
        let configuration = &prepared.base.configuration;
        let own_files = std::iter::once(&configuration.main).chain(&configuration.named_includes);
        let config_files = own_files
            .filter_map(|path| Some((name_of(path), digest(&std::fs::read(super::disk::on_disk(path)).ok()?))));
        let rules = prepared.rules.rules.iter();
        Self {
            counters,
            rules: rules
                .map(|rule| (rule.name.clone(), rule.priority.syslog(), rule.source.clone(), rule.tags.clone()))
                .collect(),
            rules_files: prepared.files.iter().map(|(path, text)| (name_of(path), digest(text.as_bytes()))).collect(),
            config_files: config_files.collect(),
            engine: match prepared.base.settings.engine {
                Engine::ModernEbpf { .. } => "modern_bpf",
                Engine::Kmod => "kmod",
                Engine::NoDriver => "nodriver",
                Engine::Replay => "savefile",
            },
            container_plugin: prepared.base.surroundings.fields.has_plugin("container"),
            audit: prepared.base.surroundings.fields.has_plugin("k8saudit"),
            groups: prepared.base.settings.metrics.as_ref().map(|metrics| metrics.groups.clone()).unwrap_or_default(),
            started: life.started,
            reloaded: life.reloaded,
            since: life.since,
        }
    }

    /// The text now.
    pub fn text(&self) -> String {
        let mut page = Page::default();
        page.gauge("falcosecurity_falco_version_info", &[("version", VERSION)], 1);
        for (name, sum) in &self.rules_files {
            let labels = [("file_name", name.as_str()), ("sha256", sum)];
            page.gauge("falcosecurity_falco_sha256_rules_files_info", &labels, 1);
        }
        for (name, sum) in &self.config_files {
            let labels = [("file_name", name.as_str()), ("sha256", sum)];
            page.gauge("falcosecurity_falco_sha256_config_files_info", &labels, 1);
        }
        if self.has("rules_counters") {
            self.rules(&mut page);
        }
        let labels = [("engine_name", self.engine), ("evt_source", "syscall")];
        if self.audit {
            let labels = [("engine_name", "source_plugin"), ("evt_source", super::audit::SOURCE)];
            page.gauge("falcosecurity_scap_engine_name_info", &labels, 1);
        }
        page.gauge("falcosecurity_scap_engine_name_info", &labels, 1);
        if self.engine == "modern_bpf" {
            self.kernel(&mut page);
        }
        if self.has("resource_utilization") {
            resources(&mut page);
        }
        if self.has("state_counters") {
            for (name, gauge) in STATE_COUNTERS {
                let name = format!("falcosecurity_scap_{name}_total");
                if *gauge { page.gauge(&name, &[], 0) } else { page.counter(&name, &[], 0) }
            }
        }
        if self.container_plugin && self.has("plugins_metrics") {
            page.counter("falcosecurity_plugins_container_n_containers_total", &[], 0);
            page.counter("falcosecurity_plugins_container_n_missing_container_images_total", &[], 0);
        }
        self.base(&mut page);
        page.text
    }

    fn has(&self, group: &str) -> bool {
        self.groups.contains(&group)
    }

    fn rules(&self, page: &mut Page) {
        let matches = self.counters.matches.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for ((name, priority, source, tags), count) in self.rules.iter().zip(matches).filter(|(_, count)| *count > 0) {
            let priority = priority.to_string();
            let tags: Vec<String> = tags.iter().map(|tag| format!("tag_{}", label_name(tag))).collect();
            let mut labels = vec![("priority", priority.as_str()), ("rule_name", name), ("source", source)];
            labels.extend(tags.iter().map(|tag| (tag.as_str(), "true")));
            page.counter("falcosecurity_falco_rules_matches_total", &labels, count);
        }
    }

    fn kernel(&self, page: &mut Page) {
        let events = self.counters.events.load(Ordering::Relaxed);
        if self.has("kernel_event_counters") {
            page.counter("falcosecurity_scap_n_evts_total", &[], events);
            for kind in DROP_KINDS {
                page.counter("falcosecurity_scap_n_drops_buffer_total", &[("dir", "exit"), ("drop", kind)], 0);
            }
            page.counter("falcosecurity_scap_n_drops_scratch_map_total", &[], 0);
            page.counter("falcosecurity_scap_n_drops_total", &[], 0);
        }
        if self.has("kernel_event_counters_per_cpu") {
            for cpu in 0..super::cores() {
                let label = cpu.to_string();
                let count = if cpu == 0 { events } else { 0 };
                page.counter("falcosecurity_scap_n_evts_cpu_total", &[("cpu", &label)], count);
                page.counter("falcosecurity_scap_n_drops_cpu_total", &[("cpu", &label)], 0);
            }
        }
        if self.has("kernel_iter_event_counters") {
            for name in ITERATOR_COUNTERS {
                page.counter(&format!("falcosecurity_scap_n_evts_task{name}_total"), &[], 0);
            }
            page.counter("falcosecurity_scap_n_drops_max_event_size_total", &[], 0);
            for name in ITERATOR_COUNTERS {
                page.counter(&format!("falcosecurity_scap_n_drops_task{name}_total"), &[], 0);
            }
        }
        if self.has("kernel_event_counters") {
            page.help = OLD_HELP;
            for kind in &DROP_KINDS[..6] {
                page.counter("falcosecurity_scap_n_drops_buffer_total", &[("dir", "enter"), ("drop", kind)], 0);
            }
            page.help = HELP;
        }
    }

    fn base(&self, page: &mut Page) {
        if self.engine != "nodriver" {
            let release = nix::sys::utsname::uname().map(|name| name.release().to_string_lossy().into_owned());
            let labels = [("kernel_release", release.unwrap_or_default())];
            page.gauge("falcosecurity_falco_kernel_release_info", &[(labels[0].0, &labels[0].1)], 1);
        }
        page.gauge("falcosecurity_evt_hostname_info", &[("hostname", &host_name())], 1);
        page.counter(
            "falcosecurity_falco_outputs_queue_num_drops_total",
            &[],
            self.counters.drops.load(Ordering::Relaxed),
        );
        page.gauge("falcosecurity_falco_reload_timestamp_nanoseconds", &[], self.reloaded);
        page.gauge("falcosecurity_falco_start_timestamp_nanoseconds", &[], self.started);
        page.counter("falcosecurity_falco_duration_seconds_total", &[], self.since.elapsed().as_secs());
        page.gauge("falcosecurity_falco_host_boot_timestamp_nanoseconds", &[], boot_time());
        page.gauge("falcosecurity_falco_host_num_cpus_total", &[], super::cores());
    }
}

fn resources(page: &mut Page) {
    let mut sizes = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    sizes.push_str(&std::fs::read_to_string("/proc/self/smaps_rollup").unwrap_or_default());
    let bytes = |key: &str| {
        let line = sizes.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
        let kilobytes: u64 = line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or_default();
        format!("{}.000000", kilobytes * 1024)
    };
    let measured = [
        ("cpu_usage_ratio", "0.000000".to_owned()),
        ("memory_rss_bytes", bytes("VmRSS:")),
        ("memory_vsz_bytes", bytes("VmSize:")),
        ("memory_pss_bytes", bytes("Pss:")),
        ("container_memory_used_bytes", "0.000000".to_owned()),
        ("host_cpu_usage_ratio", "0.000000".to_owned()),
        ("host_memory_used_bytes", "0.000000".to_owned()),
        ("host_procs_running_total", "0".to_owned()),
        ("host_open_fds_total", "0".to_owned()),
    ];
    for (name, value) in measured {
        page.gauge(&format!("falcosecurity_falco_{name}"), &[], value);
    }
}

struct Page {
    text: String,
    help: &'static str,
}

impl Default for Page {
    fn default() -> Self {
        Self { text: String::new(), help: HELP }
    }
}

impl Page {
    fn gauge(&mut self, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        self.metric("gauge", name, labels, value);
    }

    fn counter(&mut self, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        self.metric("counter", name, labels, value);
    }

    fn metric(&mut self, kind: &str, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        let labels: Vec<String> = labels.iter().map(|(key, value)| format!("{key}=\"{}\"", escape(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let help = self.help;
        // Writing to a text cannot fail.
        let _ = write!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name}{labels} {value}\n");
    }
}

fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn label_name(tag: &str) -> String {
    tag.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect()
}

fn name_of(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn digest(content: &[u8]) -> String {
    Sha256::digest(content).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn boot_time() -> u64 {
    let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let seconds = text.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse::<u64>().ok());
    seconds.unwrap_or_default() * 1_000_000_000
}
