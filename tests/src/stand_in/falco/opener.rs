//! Who has a file open, as far as /proc still shows it.

use std::path::Path;

use super::event::Opener;

/// Looks for a process that has the file open at this moment, youngest first: whoever reads a file once is gone soon.
pub fn opener_of(path: &Path) -> Option<Opener> {
    let own = i32::try_from(std::process::id()).ok();
    let entries = std::fs::read_dir("/proc").ok()?.filter_map(Result::ok);
    let mut processes: Vec<i32> = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    processes.sort_unstable_by(|one, other| other.cmp(one));
    let found = processes.into_iter().filter(|pid| Some(*pid) != own).find(|pid| has_open(*pid, path));
    found.and_then(|pid| describe(&Path::new("/proc").join(pid.to_string())))
}

fn has_open(pid: i32, path: &Path) -> bool {
    let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().filter_map(Result::ok);
    descriptors.into_iter().any(|descriptor| std::fs::read_link(descriptor.path()).is_ok_and(|target| target == *path))
}

fn describe(process: &Path) -> Option<Opener> {
    let read = |name: &str| std::fs::read_to_string(process.join(name)).ok();
    let status = read("status")?;
    let value = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key))?;
        line.split_whitespace().next()?.parse::<u32>().ok()
    };
    let uid = value("Uid:")?;
    let parent = value("PPid:")?;
    let parent_name = std::fs::read_to_string(format!("/proc/{parent}/comm")).ok();
    Some(Opener {
        pid: i32::try_from(value("Pid:")?).ok()?,
        parent: i32::try_from(parent).ok()?,
        uid,
        user: nix::unistd::User::from_uid(uid.into()).ok().flatten().map(|user| user.name),
        name: read("comm")?.trim_end().to_owned(),
        parent_name: parent_name.map(|name| name.trim_end().to_owned()),
        command: read("cmdline")?.split_terminator('\0').map(str::to_owned).collect(),
        executable: std::fs::read_link(process.join("exe")).ok().map(|path| path.display().to_string()),
    })
}
