//! A repository of the operator, reached by a real git through an ssh that is none: a script that runs on this machine
//! what it was asked to run on another.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use charm_tests::falco_host::FalcoHost;
use charm_tests::juju::Context;
use charm_tests::programs;

/// The last word is what is to be run there.
const SSH: &str = "#!/bin/sh\nfor last; do :; done\nexec /bin/sh -c \"$last\"\n";

/// The option that names the host of it, and the host.
pub const HOST: &str = "git.example.com";

pub struct Repository {
    folder: PathBuf,
    pub known_hosts: String,
}

impl Repository {
    pub fn new(folder: &Path) -> Self {
        let folder = folder.join("repository");
        let programs = folder.join("bin");
        fs::create_dir_all(&programs).unwrap();
        fs::write(programs.join("ssh"), SSH).unwrap();
        fs::set_permissions(programs.join("ssh"), fs::Permissions::from_mode(0o755)).unwrap();
        let mut repository = Self { folder, known_hosts: String::new() };
        repository.git(&["init", "--quiet", "--initial-branch=main", "work"]);
        let (_, public) = repository.new_key();
        let words: Vec<&str> = public.split(' ').take(2).collect();
        repository.known_hosts = format!("{HOST} {}\n", words.join(" "));
        repository.commit("rules.d/first.yaml", "- list: of_the_repository\n  items: [a]\n");
        repository
    }

    /// The option that names it.
    pub fn url(&self) -> String {
        format!("git+ssh://git@{HOST}{}@main", self.folder.join("work/.git").display())
    }

    /// A private key that OpenSSH takes for one, and its public part.
    pub fn new_key(&self) -> (String, String) {
        let place = self.folder.join("key");
        // ssh-keygen asks before it replaces one.
        let _ = fs::remove_file(&place);
        let mut command = Command::new("ssh-keygen");
        succeed(command.args(["-q", "-t", "ed25519", "-N", "", "-C", "life", "-f"]).arg(&place));
        (fs::read_to_string(&place).unwrap(), fs::read_to_string(place.with_extension("pub")).unwrap())
    }

    /// One file of it has this content from now on.
    pub fn commit(&self, path: &str, content: &str) {
        let place = self.folder.join("work").join(path);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::write(place, content).unwrap();
        let author = ["-C", "work", "-c", "user.name=Operator", "-c", "user.email=operator@example.com"];
        self.git(&["-C", "work", "add", "--all"]);
        self.git(&[&author[..], &["commit", "--quiet", "--allow-empty", "--message", "rules"]].concat());
    }

    /// It is away, or back.
    pub fn set_away(&self, away: bool) {
        let script =
            if away { "#!/bin/sh\necho 'ssh: connect to host: Connection refused' >&2\nexit 255\n" } else { SSH };
        // A program that somebody is just running cannot be written to.
        let (place, beside) = (self.folder.join("bin/ssh"), self.folder.join("bin/ssh.new"));
        fs::write(&beside, script).unwrap();
        fs::set_permissions(&beside, fs::Permissions::from_mode(0o755)).unwrap();
        fs::rename(beside, place).unwrap();
    }

    /// As the host runs its hooks, with this ssh before that of the machine.
    pub fn context(&self, host: &FalcoHost) -> Context {
        Context::new(programs::charmcraft("falco"), programs::falco_charm(), programs::hook_command())
            .unwrap()
            .at_root(host.machine.root())
            .path(self.folder.join("bin"))
            .system_path()
            .host_command("systemctl", Arc::new(Mutex::new(host.machine.systemctl())))
            .host_command("journalctl", Arc::new(Mutex::new(host.machine.journalctl())))
    }

    fn git(&self, arguments: &[&str]) {
        let mut git = Command::new("git");
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("GIT_")) {
            git.env_remove(name);
        }
        git.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null").current_dir(&self.folder);
        succeed(git.args(arguments));
    }
}

#[track_caller]
fn succeed(command: &mut Command) {
    let output =
        command.output().unwrap_or_else(|error| panic!("a life needs git and ssh-keygen: {command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
