//! A real SSH server with real git repositories on loopback, for one test: sshd and git of this machine, run as the
//! user who runs the test, with keys of its own. It knows nothing of the user's own keys, and leaves nothing behind.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::ports::free_port;

/// Where distributions put sshd. It insists on being started by its whole path.
const SSHD: [&str; 3] = ["/usr/sbin/sshd", "/usr/local/sbin/sshd", "/usr/bin/sshd"];

/// A server that greets within this time will greet at all.
const PATIENCE: Duration = Duration::from_secs(30);

/// The name under which commits are made.
const AUTHOR: [&str; 6] =
    ["-c", "user.name=Operator", "-c", "user.email=operator@example.com", "-c", "init.defaultBranch=main"];

/// The server. It ends with this value.
#[derive(Debug)]
pub struct GitServer {
    folder: TempDir,
    port: u16,
    user: String,
    sshd: Child,
    protocol: Protocol,
}

/// What of git's protocol passes through the SSH server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// The variable with its version does, as everywhere at large forges.
    V2,
    /// The variable does not, as with an sshd that nobody has set up for git.
    V0,
}

impl GitServer {
    /// Starts it on a free port of loopback. One key is let in, see [`GitServer::key`].
    ///
    /// Panics, and says what is missing, on a machine without sshd or git.
    pub fn start() -> Self {
        Self::with_protocol(Protocol::V2)
    }

    /// The same with another protocol.
    pub fn with_protocol(protocol: Protocol) -> Self {
        require_programs();
        if nix::unistd::geteuid().is_root() {
            // As root, sshd insists on this folder, which the service of the distribution makes.
            let made = fs::DirBuilder::new().recursive(true).mode(0o755).create("/run/sshd");
            made.expect("a folder for sshd");
        }
        let folder = tempfile::Builder::new().prefix("git-").tempdir().expect("a folder for the server");
        let user = nix::unistd::User::from_uid(nix::unistd::geteuid());
        let user = user.ok().flatten().expect("the user of this test is in /etc/passwd, which sshd wants").name;
        for name in ["host", "reader"] {
            new_key(&folder.path().join(name), name);
        }
        let port = free_port();
        let sshd = start_sshd(folder.path(), port, protocol);
        let server = Self { folder, port, user, sshd, protocol };
        server.let_in(&[&server.key()]);
        server
    }

    /// The option that names a repository here.
    pub fn url(&self, repository: &Repository) -> String {
        format!("git+ssh://{}@127.0.0.1:{}{}", self.user, self.port, repository.path.display())
    }

    /// The private key that is let in from the start.
    pub fn key(&self) -> String {
        read(&self.folder.path().join("reader"))
    }

    /// A private key that nobody knows yet.
    pub fn another_key(&self) -> String {
        let place = self.folder.path().join("another");
        new_key(&place, "another");
        read(&place)
    }

    /// A private key that is of no use without its passphrase.
    pub fn locked_key(&self) -> String {
        let place = self.folder.path().join("locked");
        let _ = fs::remove_file(&place);
        succeed(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "passphrase", "-f"]).arg(&place));
        read(&place)
    }

    /// Lets in these private keys, and no others.
    pub fn let_in(&self, keys: &[&str]) {
        let place = self.folder.path().join("key-to-let-in");
        let public = keys.iter().map(|key| {
            fs::write(&place, key).expect("a file in our folder");
            fs::set_permissions(&place, fs::Permissions::from_mode(0o600)).expect("our own file");
            succeed(Command::new("ssh-keygen").args(["-y", "-P", "", "-f"]).arg(&place))
        });
        let public: String = public.collect();
        fs::write(self.folder.path().join("authorized_keys"), public).expect("a file in our folder");
        // sshd may be given no key at all.
        let _ = fs::remove_file(place);
    }

    /// The line by which the server is known, as ssh-keyscan prints it.
    pub fn known_hosts(&self) -> String {
        let public = read(&self.folder.path().join("host.pub"));
        let words: Vec<&str> = public.split(' ').take(2).collect();
        format!("[127.0.0.1]:{} {}\n", self.port, words.join(" "))
    }

    /// Gives the server another host key, as one that was set up anew has, or one in between.
    pub fn change_host_key(&mut self) {
        self.stop();
        new_key(&self.folder.path().join("host"), "host");
        self.resume();
    }

    /// Ends the server; the repositories and the port stay.
    pub fn stop(&mut self) {
        // It may have ended by itself.
        let _ = self.sshd.kill();
        let _ = self.sshd.wait();
    }

    /// Starts it again.
    pub fn resume(&mut self) {
        self.sshd = start_sshd(self.folder.path(), self.port, self.protocol);
    }

    /// A new repository without any commit.
    pub fn repository(&self, name: &str) -> Repository {
        let (path, work) = (self.folder.path().join(format!("{name}.git")), self.folder.path().join(name));
        let repository = Repository { path, work };
        let mut git = command(self.folder.path());
        succeed(git.args(["init", "--quiet", "--separate-git-dir"]).args([&repository.path, &repository.work]));
        repository
    }

    /// What clients have asked for so far, one command for each connection that was let in.
    pub fn requests(&self) -> Vec<String> {
        let text = fs::read_to_string(self.folder.path().join("requests")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

impl Drop for GitServer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// One repository of the server, with a work tree to commit from.
#[derive(Clone, Debug)]
pub struct Repository {
    path: PathBuf,
    work: PathBuf,
}

impl Repository {
    /// The repository itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The work tree, for what [`Repository::write`] cannot make.
    pub fn work(&self) -> &Path {
        &self.work
    }

    /// Writes files into the work tree.
    pub fn write<C: AsRef<[u8]>>(&self, files: &[(&str, C)]) -> &Self {
        for (name, content) in files {
            let place = self.work.join(name);
            fs::create_dir_all(place.parent().expect("a path below the work tree")).expect("a folder");
            fs::write(place, content).expect("a file in the work tree");
        }
        self
    }

    /// Commits the work tree as it is to the branch that is checked out, and returns the commit.
    pub fn commit(&self) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", "rules"]);
        self.head()
    }

    /// Writes files and commits them.
    pub fn commit_files<C: AsRef<[u8]>>(&self, files: &[(&str, C)]) -> String {
        self.write(files).commit()
    }

    /// Replaces the branch that is checked out by one commit that has nothing in common with it.
    pub fn replace_history<C: AsRef<[u8]>>(&self, files: &[(&str, C)]) -> String {
        let branch = self.git(&["symbolic-ref", "--short", "HEAD"]);
        self.git(&["checkout", "--quiet", "--orphan", "another-history"]);
        let commit = self.commit_files(files);
        self.git(&["branch", "--quiet", "--force", "--move", branch.trim()]);
        self.git(&["reflog", "expire", "--expire=now", "--all"]);
        self.git(&["gc", "--quiet", "--prune=now"]);
        commit
    }

    /// Puts an annotated tag on what is checked out, or moves it there.
    pub fn tag(&self, name: &str) {
        self.git(&["tag", "--force", "--annotate", "--message", "a release", name]);
    }

    /// The commit that is checked out.
    pub fn head(&self) -> String {
        self.git(&["rev-parse", "HEAD"]).trim().to_owned()
    }

    /// Runs git in the work tree, and returns what it prints.
    pub fn git(&self, arguments: &[&str]) -> String {
        succeed(command(&self.work).args(arguments))
    }

    /// The same with something to read.
    pub fn git_with_input(&self, arguments: &[&str], input: &[u8]) -> String {
        let mut git = command(&self.work);
        let mut child = git.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("git");
        child.stdin.take().expect("a pipe").write_all(input).expect("git reads it");
        let output = child.wait_with_output().expect("git ends");
        assert!(output.status.success(), "git {arguments:?}");
        String::from_utf8(output.stdout).expect("text")
    }
}

/// A server that accepts connections, and then says nothing for as long as the test runs.
#[derive(Debug)]
pub struct SilentServer {
    port: u16,
    connections: Arc<AtomicUsize>,
}

impl SilentServer {
    /// Listens on a free port of loopback. Its thread ends with the program.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        thread::spawn(move || {
            // Kept, as one that goes out of scope is closed.
            let mut kept = Vec::new();
            for stream in listener.incoming().flatten() {
                kept.push(stream);
                count.store(kept.len(), Ordering::SeqCst);
            }
        });
        Self { port, connections }
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How many connections it has accepted.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

#[track_caller]
fn require_programs() {
    let mut missing = Vec::new();
    if sshd().is_none() {
        missing.push("sshd (package openssh-server)");
    }
    for (program, argument, name) in
        [("git", "--version", "git"), ("ssh-keygen", "-?", "ssh-keygen (package openssh-client)")]
    {
        if Command::new(program).arg(argument).output().is_err() {
            missing.push(name);
        }
    }
    assert!(missing.is_empty(), "this test needs programs that are not installed here: {}", missing.join(", "));
}

fn sshd() -> Option<&'static Path> {
    SSHD.into_iter().map(Path::new).find(|path| path.is_file())
}

fn start_sshd(folder: &Path, port: u16, protocol: Protocol) -> Child {
    let shown = folder.display();
    let request = folder.join("answer");
    // The command of the client is a text that only git's own shell interprets, as on a server for git.
    let script = format!(
        "#!/bin/sh\nprintf '%s\\n' \"$SSH_ORIGINAL_COMMAND\" >> '{shown}/requests'\n\
         exec git shell -c \"$SSH_ORIGINAL_COMMAND\"\n"
    );
    fs::write(&request, script).expect("a file in our folder");
    fs::set_permissions(&request, fs::Permissions::from_mode(0o755)).expect("our own file");
    let accept = if protocol == Protocol::V2 { "AcceptEnv GIT_PROTOCOL\n" } else { "" };
    let settings = format!(
        "Port {port}\nListenAddress 127.0.0.1\nHostKey {shown}/host\nAuthorizedKeysFile {shown}/authorized_keys\n\
         PidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
         PermitRootLogin prohibit-password\nLogLevel VERBOSE\nForceCommand {}\n{accept}",
        request.display(),
    );
    let config = folder.join("sshd_config");
    fs::write(&config, settings).expect("a file in our folder");
    let log = fs::File::options().create(true).append(true).open(folder.join("sshd.log")).expect("a log");
    let mut child = Command::new(sshd().expect("it was looked for"))
        .args(["-D", "-e", "-f"])
        .arg(config)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("sshd starts");
    let started = Instant::now();
    while !greets(port) {
        let ended = child.try_wait().expect("our own child").is_some();
        if ended || started.elapsed() > PATIENCE {
            let _ = child.kill();
            panic!("sshd does not work:\n{}", fs::read_to_string(folder.join("sshd.log")).unwrap_or_default());
        }
        thread::sleep(Duration::from_millis(20));
    }
    child
}

fn greets(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    let mut greeting = [0; 4];
    stream.set_read_timeout(Some(PATIENCE)).is_ok() && stream.read_exact(&mut greeting).is_ok() && &greeting == b"SSH-"
}

fn new_key(place: &Path, comment: &str) {
    // ssh-keygen asks before it replaces one.
    let _ = fs::remove_file(place);
    succeed(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", comment, "-f"]).arg(place));
}

/// A git that knows nothing of who runs it.
fn command(folder: &Path) -> Command {
    let mut git = Command::new("git");
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("GIT_")) {
        git.env_remove(name);
    }
    git.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null").current_dir(folder).args(AUTHOR);
    git
}

#[track_caller]
fn succeed(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

fn read(place: &Path) -> String {
    fs::read_to_string(place).unwrap_or_else(|error| panic!("{}: {error}", place.display()))
}
