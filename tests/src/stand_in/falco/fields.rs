//! The names of the fields that Falco 0.44.1 knows, which decides whether a rule loads. Few of them have a value here.

use super::audit;

/// Class of fields and the names in it; `[]` marks those that take an argument.
const CLASSES: &[(&str, &str)] = &[
    (
        "evt",
        "num time time.s time.iso8601 datetime datetime.s rawtime rawtime.s rawtime.ns reltime reltime.s reltime.ns \
         pluginname plugininfo source is_async asynctype hostname latency latency.s latency.ns latency.quantized \
         latency.human deltatime deltatime.s deltatime.ns outputtime dir type type.is[] syscall.is[] category cpu args \
         arg[] rawarg[] info buffer buflen res rawres failed is_io is_io_read is_io_write io_dir is_wait wait_latency \
         is_syslog count count.error count.error.file count.error.net count.error.memory count.error.other count.exit \
         count.procinfo count.threadinfo around[] abspath[] buflen.in buflen.out buflen.file buflen.file.in \
         buflen.file.out buflen.net buflen.net.in buflen.net.out is_open_read is_open_write is_open_exec \
         is_open_create",
    ),
    (
        "proc",
        "pid exe pexe aexe[] exepath pexepath aexepath[] name pname aname[] args aargs[] cmdline pcmdline acmdline[] \
         cmdnargs cmdlenargs exeline env[] aenv[] cwd loginshellid tty ppid apid[] vpid pvpid sid sname sid.exe \
         sid.exepath vpgid vpgid.name vpgid.exe vpgid.exepath pgid pgid.name pgid.exe pgid.exepath duration \
         ppid.duration pid.ts ppid.ts is_exe_writable is_exe_upper_layer is_exe_lower_layer is_exe_from_memfd \
         is_sid_leader is_vpgid_leader is_pgid_leader exe_ino exe_ino.ctime exe_ino.mtime \
         exe_ino.ctime_duration_proc_start exe_ino.ctime_duration_pidns_start pidns_init_start_ts fdopencount fdlimit \
         fdusage vmsize vmrss vmswap nchilds nthreads stdin.type stdin.name stdout.type stdout.name stderr.type \
         stderr.name is_container_healthcheck is_container_liveness_probe is_container_readiness_probe",
    ),
    (
        "thread",
        "pmajor pfmajor pfminor cap_permitted cap_inheritable cap_effective cgroups cgroup[] vtid tid ismain nametid \
         exectime totexectime vmsize vmrss vmsize.b vmrss.b cpu cpu.user cpu.system",
    ),
    (
        "fd",
        "num type typechar name nameraw directory filename ip cip sip lip rip port cport sport lport rport l4proto \
         sockfamily is_server uid containername containerdirectory proto cproto sproto lproto rproto net cnet snet \
         lnet rnet connected name_changed cip.name sip.name lip.name rip.name dev dev.major dev.minor ino types[] \
         is_upper_layer is_lower_layer",
    ),
    ("fs.path", "name nameraw source sourceraw target targetraw"),
    ("fdlist", "nums names cips sips cports sports"),
    ("user", "uid name homedir shell loginuid loginname"),
    ("group", "gid name"),
    ("syslog", "facility facility.str severity severity.str message"),
];

/// Fields that only the container plugin brings.
const CONTAINER: &[(&str, &str)] = &[
    (
        "container",
        "id full_id name image image.id type privileged mounts mount[] mount.source[] mount.dest[] mount.mode[] \
         mount.rdwr[] mount.propagation[] image.repository image.tag image.digest healthcheck liveness_probe \
         readiness_probe start_ts duration ip cni.json host_pid host_network host_ipc label[] labels",
    ),
    (
        "k8s",
        "ns.name pod.name pod.id pod.uid pod.sandbox_id pod.full_sandbox_id pod.label[] pod.labels pod.ip \
         pod.cni.json rc.name rc.id rc.label[] rc.labels svc.name svc.id svc.label[] svc.labels ns.id ns.label[] \
         ns.labels rs.name rs.id rs.label[] rs.labels deployment.name deployment.id deployment.label[] \
         deployment.labels",
    ),
];

/// Plugins whose fields are taken on trust: plugin, and what its fields start with.
const TRUSTED: &[(&str, &[&str])] = &[("json", &["json.", "jevt."])];

/// Which fields a rule may use.
#[derive(Clone, Debug, Default)]
pub struct Fields {
    /// Names of the loaded plugins.
    pub plugins: Vec<String>,
    /// Names of the static fields.
    pub statics: Vec<String>,
}

impl Fields {
    /// Whether `name`, with its argument in brackets or not, can be used.
    pub fn knows(&self, name: &str) -> bool {
        let bare = name.split('[').next().unwrap_or(name);
        if let Some(own) = bare.strip_prefix("static.") {
            return self.statics.iter().any(|other| other == own);
        }
        if in_classes(CLASSES, bare) {
            return true;
        }
        if self.has_plugin("container") && in_classes(CONTAINER, bare) {
            return true;
        }
        if self.has_plugin("k8saudit") && audit::knows(bare) {
            return true;
        }
        TRUSTED
            .iter()
            .filter(|(plugin, _)| self.has_plugin(plugin))
            .any(|(_, starts)| starts.iter().any(|start| bare.starts_with(start)))
    }

    /// Whether a plugin of that name is loaded.
    pub fn has_plugin(&self, name: &str) -> bool {
        self.plugins.iter().any(|other| other == name)
    }

    /// Text that `suggested_output` adds to the output of a rule for this source.
    pub fn suggested(&self, source: &str) -> String {
        let mut text = String::new();
        if self.has_plugin("container") && source == "syscall" {
            text.push_str(
                " container_id=%container.id container_name=%container.name \
                 container_image_repository=%container.image.repository container_image_tag=%container.image.tag \
                 k8s_pod_name=%k8s.pod.name k8s_ns_name=%k8s.ns.name",
            );
        }
        text.extend(self.statics.iter().map(|name| format!(" static_{name}=%static.{name}")));
        text
    }
}

fn in_classes(classes: &[(&str, &str)], name: &str) -> bool {
    classes
        .iter()
        .filter_map(|(class, names)| Some((name.strip_prefix(class)?.strip_prefix('.')?, names)))
        .any(|(rest, names)| names.split_whitespace().any(|known| known.trim_end_matches("[]") == rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn container_fields_come_with_the_plugin() {
        let without = Fields::default();
        let with = Fields { plugins: vec!["container".into()], statics: vec!["juju_unit".into()] };
        assert!(!without.knows("container.id") && with.knows("container.id"));
        assert!(without.knows("proc.aname[2]") && without.knows("fd.name") && !without.knows("fd.nope"));
        assert!(with.knows("static.juju_unit") && !with.knows("static.other"));
    }
}
