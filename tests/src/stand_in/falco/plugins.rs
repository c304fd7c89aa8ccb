//! Plugins as far as they decide whether rules load. A library counts as loadable when it is there; none of its code
//! runs.

use std::path::Path;

use super::audit;
use super::disk::on_disk;
use super::schema::as_switch;
use super::settings::PluginConfig;

/// A plugin that counts as loaded.
#[derive(Clone, Debug)]
pub struct Plugin {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// Event source that it brings.
    pub source: Option<&'static str>,
}

/// Versions of the plugins that Falco 0.44.1 was recorded with.
const VERSIONS: &[(&str, &str)] = &[("container", "0.7.1"), ("json", "0.7.4"), ("k8saudit", "0.18.0")];

/// Container engines and the sockets that the container plugin looks at without any configuration.
const ENGINES: &[(&str, &[&str])] = &[
    ("podman", &["/run/podman/podman.sock"]),
    ("docker", &["/var/run/docker.sock"]),
    (
        "cri",
        &[
            "/run/containerd/containerd.sock",
            "/run/crio/crio.sock",
            "/run/k3s/containerd/containerd.sock",
            "/run/host-containerd/containerd.sock",
        ],
    ),
    ("containerd", &["/run/host-containerd/containerd.sock"]),
    ("lxc", &[]),
    ("libvirt_lxc", &[]),
    ("bpm", &[]),
];

/// Loads a plugin. The error is the text of Falco's runtime error.
pub fn load(config: &PluginConfig) -> Result<Plugin, String> {
    let path = config.library.display();
    if !on_disk(&config.library).is_file() {
        return Err(format!(
            "cannot load plugin {path}: can't load plugin dynamic library: {path}: cannot open shared object file: No \
             such file or directory"
        ));
    }
    let known = VERSIONS.iter().find(|(name, _)| *name == config.name).map(|(_, version)| (*version).to_owned());
    Ok(Plugin {
        name: config.name.clone(),
        version: declared_version(&config.library).or(known).unwrap_or_else(|| "0.0.0".into()),
        source: (config.name == "k8saudit").then_some(audit::SOURCE),
    })
}

/// Types of the settings of the container plugin that a charm may want to write.
const CONTAINER_SETTINGS: &[(&str, Fits)] =
    &[("label_max_len", |text| text.parse::<u64>().is_ok()), ("with_size", |text| as_switch(text).is_some())];

/// Whether a text is a value of some type.
type Fits = fn(&str) -> bool;

/// Looks at what is given to a plugin. The error is the text of Falco's runtime error.
pub fn check_init(config: &PluginConfig) -> Result<(), String> {
    let PluginConfig { name, init, .. } = config;
    for (key, fits) in CONTAINER_SETTINGS {
        let value = init.iter().find(|(other, _)| name == "container" && other == key).map(|(_, value)| value);
        if value.is_some_and(|value| !value.text().is_some_and(fits)) {
            let words = "Value type not permitted by 'type' constraint.";
            return Err(format!("error in plugin {name} init config: In <root>[{key}], {words}"));
        }
    }
    Ok(())
}

/// What the log says after a plugin was loaded.
pub fn log_lines(config: &PluginConfig, plugin: &Plugin) -> Vec<String> {
    let Plugin { name, version, .. } = plugin;
    let mut lines = vec![format!("Loaded plugin '{name}@{version}' from file {}", config.library.display())];
    if name == "container" {
        for (engine, sockets) in ENGINES {
            lines.push(format!("[libs]: container: Enabled '{engine}' container engine."));
            let sockets = sockets.iter();
            lines.extend(
                sockets.map(|socket| format!("[libs]: container: * enabled container runtime socket at '{socket}'")),
            );
        }
    }
    lines
}

/// A stand-in's library is a text that says which version it stands for.
fn declared_version(library: &Path) -> Option<String> {
    let text = std::fs::read_to_string(on_disk(library)).ok()?;
    text.lines().find_map(|line| line.strip_prefix("version: ").map(str::to_owned))
}
