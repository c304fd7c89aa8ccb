//! Every absolute path of this charm, once. A writer and a reader of the same file can so never disagree.
//!
//! All lie outside the charm's own folder, which Juju may replace, and apart from where Falco's packages install, so
//! that neither is taken for the other.

/// The systemd unit.
pub const UNIT: &str = "falco.service";

/// Its file. The name is the one that the packages and the Python charm use, so that nobody runs two by accident.
pub const UNIT_FILE: &str = "/etc/systemd/system/falco.service";

/// The configuration.
pub const CONFIG_FOLDER: &str = "/etc/juju-falco";

/// What Falco reads.
pub const CONFIG_FILE: &str = "/etc/juju-falco/falco.yaml";

/// What Falco is asked to check before it becomes the above.
pub const CANDIDATE_FILE: &str = "/etc/juju-falco/candidate/falco.yaml";

/// The folder of the candidate.
pub const CANDIDATE_FOLDER: &str = "/etc/juju-falco/candidate";

/// The last configuration that Falco proved to serve.
pub const GOOD_CONFIG_FILE: &str = "/etc/juju-falco/good/falco.yaml";

/// The unit file that it was served with.
pub const GOOD_UNIT_FILE: &str = "/etc/juju-falco/good/falco.service";

/// One folder for each generation of the operator's rules and overrides.
pub const GENERATIONS: &str = "/etc/juju-falco/generations";

/// Whom Falco trusts, one file for each set of authorities.
pub const AUTHORITIES: &str = "/etc/juju-falco/authorities";

/// The authorities that the host trusts, on Debian and Ubuntu.
pub const AUTHORITIES_OF_HOST: &str = "/etc/ssl/certs/ca-certificates.crt";

/// What Falco said of the candidates it was asked about last.
pub const CHECKED_FILE: &str = "/etc/juju-falco/checked.json";

/// The generation that an operator rolled back from.
pub const REFUSED_FILE: &str = "/etc/juju-falco/refused.json";

/// One folder for each installed distribution.
pub const DISTRIBUTIONS: &str = "/opt/juju-falco";

/// Which tarball the distribution in use was unpacked from, so that it need not be read in every hook.
pub const ORIGIN_FILE: &str = "/opt/juju-falco/origin.json";

/// Below the folder of a distribution: the program.
pub const PROGRAM: &str = "usr/bin/falco";

/// Below the folder of a distribution: the rules that come with it.
pub const DEFAULT_RULES: &str = "etc/falco/falco_rules.yaml";

/// Below the folder of a distribution: the plugin that tells containers apart. Builds without it exist.
pub const CONTAINER_PLUGIN: &str = "usr/share/falco/plugins/libcontainer.so";

/// Below the folder of a distribution: the plugin that listens for Kubernetes audit events. The official one has none.
pub const K8S_AUDIT_PLUGIN: &str = "usr/share/falco/plugins/libk8saudit.so";

/// Below the folder of a distribution: the plugin for fields of JSON.
pub const JSON_PLUGIN: &str = "usr/share/falco/plugins/libjson.so";

/// Below the folder of a distribution: rules about Kubernetes audit events.
pub const K8S_AUDIT_RULES: &str = "etc/falco/k8s_audit_rules.yaml";

/// Certificate, key and rules of the listener for Kubernetes audit events, each named by its content.
pub const K8S_AUDIT_FOLDER: &str = "/etc/juju-falco/k8s-audit";

/// What was asked of Juju about its port.
pub const OPENED_PORT: &str = "/var/lib/juju-falco/opened-port.json";

/// What Falco's packages put on a host.
pub const PACKAGE_FILES: [&str; 4] = [
    "/usr/bin/falco",
    "/usr/lib/systemd/system/falco.service",
    "/usr/lib/systemd/system/falco-modern-bpf.service",
    "/usr/lib/systemd/system/falco-kmod.service",
];

/// What outlives a boot and is no configuration.
pub const STATE_FOLDER: &str = "/var/lib/juju-falco";

/// The repository with the operator's rules, the key to it, and nothing else.
pub const REPOSITORY: &str = "/var/lib/juju-falco/repository";

/// What is forgotten at a boot.
pub const RUN_FOLDER: &str = "/run/juju-falco";

/// What was known of the delivery of alerts after the last hook.
pub const DELIVERY_FILE: &str = "/run/juju-falco/delivery.json";

/// Who is on the other side of which relation.
pub const REMOTES_FILE: &str = "/run/juju-falco/remotes.json";

/// What is collected for whoever helps from afar.
pub const SUPPORT_BUNDLE: &str = "/var/lib/juju-falco/support.tar.gz";

/// The name of a file without its folder.
pub fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}
