//! The containers of this machine: where their runtimes listen, and which Kubernetes node it is, if it is one.
//!
//! Falco's container plugin looks for sockets once, when it is loaded, and at its own places only. What it finds is the
//! name, image and pod of a container; so a socket that is new has to change falco.yaml, and Falco loads it again.

use anyhow::Result;
use charm_core::{Hook, files};
use serde::Serialize;

const DOCKER: &str = "/run/docker.sock";
const PODMAN: &str = "/run/podman/podman.sock";

/// Where runtimes listen that serve nothing but Kubernetes.
const KUBERNETES_ONLY: [&str; 6] = [
    "/run/cri-dockerd.sock",
    "/run/crio/crio.sock",
    "/run/k0s/containerd.sock",
    "/run/k3s/containerd/containerd.sock", // and RKE2
    "/var/snap/k8s/common/run/containerd.sock",
    "/var/snap/microk8s/common/run/containerd.sock",
];

/// Where a containerd listens that may serve Kubernetes — Charmed Kubernetes, kubeadm, Canonical Kubernetes — or Docker,
/// or people.
const CONTAINERD: [&str; 2] =
    ["/run/containerd/containerd.sock", "/var/snap/k8s/common/run/containerd/containerd.sock"];

/// Holds the folder that Canonical Kubernetes puts before the usual place of its containerd.
const CANONICAL_KUBERNETES_BASE: &str = "/var/snap/k8s/common/lock/.containerd-base-dir";

/// What a kubelet leaves on its node.
const KUBELET: [&str; 2] = ["/var/lib/kubelet", "/var/snap/microk8s/common/var/lib/kubelet"];

/// Where a kubelet is told another name for its node than that of the host.
const KUBELET_OPTIONS: [&str; 7] = [
    "/etc/default/kubelet",
    "/etc/rancher/k3s/config.yaml",
    "/etc/rancher/rke2/config.yaml",
    "/var/lib/kubelet/kubeadm-flags.env",
    "/var/snap/k8s/common/args/kubelet",
    "/var/snap/kubelet/current/args", // Charmed Kubernetes
    "/var/snap/microk8s/current/args/kubelet",
];

const HOST_NAME: &str = "/proc/sys/kernel/hostname";

/// What there is on this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Containers {
    /// The name of the Kubernetes node, fit for a label of alerts.
    pub node: Option<String>,
    docker: Vec<String>,
    podman: Vec<String>,
    cri: Vec<String>,
    containerd: Vec<String>,
}

/// Looks at the machine, and runs no command for it.
pub fn gather(hook: &Hook) -> Result<Containers> {
    let has_kubelet = has_kubelet(hook)?;
    let node = if has_kubelet { name_of_node(hook)? } else { None };
    let mut found = Containers { node, ..Containers::default() };
    let is_there = |path: &str| files::is_socket(&hook.path(path));
    for (path, sockets) in [(DOCKER, &mut found.docker), (PODMAN, &mut found.podman)] {
        if is_there(path)? {
            sockets.push(path.to_owned());
        }
    }
    for path in KUBERNETES_ONLY {
        if is_there(path)? {
            found.cri.push(path.to_owned());
        }
    }
    let moved = text(hook, CANONICAL_KUBERNETES_BASE)?;
    let moved = moved.trim().trim_end_matches('/');
    let moved = moved.starts_with('/').then(|| format!("{moved}{}", CONTAINERD[0]));
    for path in CONTAINERD.into_iter().map(str::to_owned).chain(moved) {
        if !is_there(&path)? || found.cri.contains(&path) {
            continue;
        }
        // Asked by both engines, the plugin keeps the answer that comes last, and only the one of the CRI has pods in
        // it. Beside Docker, containerd holds Docker's containers, which Docker knows better.
        if has_kubelet {
            found.cri.push(path);
        } else if found.docker.is_empty() {
            found.containerd.push(path);
        }
    }
    Ok(found)
}

fn has_kubelet(hook: &Hook) -> Result<bool> {
    for path in KUBELET {
        if files::exists(&hook.path(path))? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn name_of_node(hook: &Hook) -> Result<Option<String>> {
    for path in KUBELET_OPTIONS {
        if let Some(name) = name_in(&text(hook, path)?) {
            return Ok(Some(name));
        }
    }
    Ok(valid(text(hook, HOST_NAME)?.trim()))
}

/// The name in the options of a kubelet: `--hostname-override=x`, with or without quotes, or `node-name: x` in a YAML
/// file.
fn name_in(options: &str) -> Option<String> {
    let words =
        options.lines().map(str::trim).filter(|line| !line.starts_with('#')).flat_map(|line| {
            line.split(|c: char| c.is_whitespace() || "=\"'".contains(c)).filter(|word| !word.is_empty())
        });
    let mut words = words.skip_while(|word| !matches!(*word, "--hostname-override" | "--node-name" | "node-name:"));
    words.nth(1).and_then(valid)
}

/// Kubernetes allows nothing else in the name of a node, and neither would a label of Falco. A kubelet takes a name in
/// capitals as one in small letters.
fn valid(name: &str) -> Option<String> {
    let name = name.to_ascii_lowercase();
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
    let is_valid = !name.is_empty() && name.len() <= 253 && name.chars().all(fits);
    is_valid.then_some(name)
}

fn text(hook: &Hook, path: &str) -> Result<String> {
    let content = files::read(&hook.path(path))?.unwrap_or_default();
    Ok(String::from_utf8_lossy(&content).into_owned())
}

/// The `init_config` of the container plugin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InitConfig {
    engines: Engines,
}

/// The plugin wants all engines named. None is ever off: an engine also tells containers from the host, and that it
/// does without a socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Engines {
    docker: Engine,
    podman: Engine,
    cri: Engine,
    containerd: Engine,
    lxc: Simple,
    libvirt_lxc: Simple,
    bpm: Simple,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Engine {
    enabled: bool,
    /// None given: the plugin looks at its own places.
    sockets: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Simple {
    enabled: bool,
}

impl Containers {
    /// What to tell the container plugin; nothing when no runtime was found. `root` is where the paths of this unit
    /// begin: empty, or a folder under test.
    pub fn init_config(&self, root: &str) -> Option<InitConfig> {
        let Self { node: _, docker, podman, cri, containerd } = self;
        if [docker, podman, cri, containerd].iter().all(|sockets| sockets.is_empty()) {
            return None;
        }
        let engine = |sockets: &[String]| Engine {
            enabled: true,
            sockets: sockets.iter().map(|path| format!("{root}{path}")).collect(),
        };
        let simple = || Simple { enabled: true };
        let engines = Engines {
            docker: engine(docker),
            podman: engine(podman),
            cri: engine(cri),
            containerd: engine(containerd),
            lxc: simple(),
            libvirt_lxc: simple(),
            bpm: simple(),
        };
        Some(InitConfig { engines })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::world::World;

    fn listen(world: &World, path: &str) {
        let place = world.hook.path(path);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        drop(UnixListener::bind(&place).unwrap());
    }

    /// The sockets of docker, podman, cri and containerd.
    fn sockets(world: &World) -> [Vec<String>; 4] {
        let Containers { node: _, docker, podman, cri, containerd } = gather(&world.hook).unwrap();
        [docker, podman, cri, containerd]
    }

    fn none() -> Vec<String> {
        Vec::new()
    }

    #[test]
    fn a_machine_without_containers_leaves_the_plugin_as_it_is() {
        let world = World::new();
        world.write("/run/containerd/containerd.sock", "a file is no socket");
        assert_eq!(gather(&world.hook).unwrap(), Containers::default());
        assert_eq!(Containers::default().init_config(""), None);
    }

    #[test]
    fn each_distribution_of_kubernetes_is_found_where_it_keeps_its_runtime() {
        for (kubelet, socket) in [
            ("/var/lib/kubelet/config.yaml", "/run/containerd/containerd.sock"),
            ("/var/lib/kubelet/config.yaml", "/run/crio/crio.sock"),
            ("/var/lib/kubelet/config.yaml", "/run/k3s/containerd/containerd.sock"),
            ("/var/lib/kubelet/config.yaml", "/var/snap/k8s/common/run/containerd/containerd.sock"),
            ("/var/lib/kubelet/config.yaml", "/var/snap/k8s/common/run/containerd.sock"),
            ("/var/snap/microk8s/common/var/lib/kubelet/config.yaml", "/var/snap/microk8s/common/run/containerd.sock"),
        ] {
            let world = World::new();
            world.write(kubelet, "");
            listen(&world, socket);
            assert_eq!(sockets(&world), [none(), none(), vec![socket.into()], none()], "{socket}");
        }
    }

    #[test]
    fn canonical_kubernetes_may_have_moved_its_containerd() {
        let world = World::new();
        world.write("/var/lib/kubelet/config.yaml", "");
        world.write(CANONICAL_KUBERNETES_BASE, "/srv/k8s/\n");
        listen(&world, "/srv/k8s/run/containerd/containerd.sock");
        assert_eq!(sockets(&world)[2], ["/srv/k8s/run/containerd/containerd.sock"]);
        world.write(CANONICAL_KUBERNETES_BASE, "/");
        assert_eq!(sockets(&world)[2], none());
        listen(&world, "/run/containerd/containerd.sock");
        assert_eq!(sockets(&world)[2], ["/run/containerd/containerd.sock"], "and is named once");
    }

    #[test]
    fn a_containerd_is_asked_as_what_it_serves() {
        let world = World::new();
        listen(&world, "/run/containerd/containerd.sock");
        assert_eq!(sockets(&world)[2..], [none(), vec!["/run/containerd/containerd.sock".into()]], "plain");
        listen(&world, "/run/docker.sock");
        let docker = vec!["/run/docker.sock".to_owned()];
        assert_eq!(sockets(&world), [docker.clone(), none(), none(), none()], "Docker's own");
        world.write("/var/lib/kubelet/config.yaml", "");
        let cri = vec!["/run/containerd/containerd.sock".to_owned()];
        assert_eq!(sockets(&world), [docker, none(), cri, none()], "a node with Docker beside");
        listen(&world, "/run/podman/podman.sock");
        assert_eq!(sockets(&world)[1], ["/run/podman/podman.sock"]);
    }

    #[test]
    fn all_engines_stay_on_and_paths_begin_at_the_root() {
        let found = Containers { cri: vec!["/run/x.sock".into()], ..Containers::default() };
        let yaml = serde_yaml::to_value(found.init_config("/root")).unwrap();
        let engines = yaml["engines"].as_mapping().unwrap();
        assert_eq!(engines.len(), 7);
        assert!(engines.values().all(|engine| engine["enabled"] == true), "{yaml:?}");
        assert_eq!(yaml["engines"]["cri"]["sockets"][0], "/root/run/x.sock");
        assert_eq!(yaml["engines"]["docker"]["sockets"].as_sequence().unwrap().len(), 0);
    }

    #[test]
    fn the_node_has_the_name_of_the_host_unless_its_kubelet_was_told_another() {
        let world = World::new();
        world.write(HOST_NAME, "Worker-7\n");
        let node = || gather(&world.hook).unwrap().node;
        assert_eq!(node(), None, "no kubelet");
        world.write("/var/lib/kubelet/config.yaml", "");
        assert_eq!(node().as_deref(), Some("worker-7"));
        for (path, options, name) in [
            ("/var/snap/microk8s/current/args/kubelet", "--a=b\n--hostname-override=Node.One\n", "node.one"),
            ("/var/snap/kubelet/current/args", "--hostname-override \"node-two\"\n--x", "node-two"),
            ("/var/snap/k8s/common/args/kubelet", "--hostname-override=node-three", "node-three"),
            ("/etc/rancher/k3s/config.yaml", "# node-name: no\nnode-name: 'node-four'\n", "node-four"),
            ("/etc/default/kubelet", "KUBELET_EXTRA_ARGS=\"--v=2 --hostname-override=node-five\"", "node-five"),
        ] {
            world.write(path, options);
            assert_eq!(node().as_deref(), Some(name), "{path}");
            fs::remove_file(world.hook.path(path)).unwrap();
        }
    }

    #[test]
    fn a_name_that_could_not_be_a_label_is_none() {
        let world = World::new();
        world.write("/var/lib/kubelet/config.yaml", "");
        for name in ["", "a%evt.type", "*a", "a b", "ä"] {
            world.write(HOST_NAME, name);
            assert_eq!(gather(&world.hook).unwrap().node, None, "{name}");
        }
    }
}
