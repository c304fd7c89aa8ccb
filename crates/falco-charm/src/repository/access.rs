//! What git and ssh need to be let in: a key and the keys of hosts as files of ours, or a token in the environment.
//! Neither ever stands in an argument, and nothing of it lies in root's home.

use std::path::Path;

use anyhow::{Error, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use charm_core::process::{self, Command};
use charm_core::secret::{self, Redacted, SecretError};
use charm_core::{Hook, Status, files};

use super::git::Access;
use super::url::{RepositoryUrl, Transport};
use super::{SSH_KEY, TOKEN, Wanted, failure, known_hosts};

/// The private key, in the folder of the repository.
const KEY_FILE: &str = "key";

/// The keys of hosts, beside it.
const KNOWN_HOSTS_FILE: &str = "known_hosts";

/// The key of each secret's content.
const CONTENT_KEY: &str = "value";

/// The user of a token when its secret names none. Most forges do not care; those that do say which one it has to be.
const TOKEN_USER: &[u8] = b"x-access-token";

/// How ssh is started, apart from the files it reads. It reads no settings of the machine, tries no other key, asks
/// nobody, learns no host, and does not wait for a host that has gone silent.
const SSH_OPTIONS: [&str; 19] = [
    "BatchMode=yes",
    "CanonicalizeHostname=no",
    "CheckHostIP=no",
    "ClearAllForwardings=yes",
    "ConnectTimeout=5",
    "ControlMaster=no",
    "ControlPath=none",
    "ForwardAgent=no",
    "GlobalKnownHostsFile=/dev/null",
    "IdentitiesOnly=yes",
    "IdentityAgent=none",
    "KbdInteractiveAuthentication=no",
    "LogLevel=ERROR",
    "PasswordAuthentication=no",
    "PreferredAuthentications=publickey",
    "ServerAliveCountMax=2",
    "ServerAliveInterval=5",
    "StrictHostKeyChecking=yes",
    "UpdateHostKeys=no",
];

/// What is wrong with the options, as far as that can be told before anything is installed or asked.
pub fn check(wanted: &Wanted) -> Result<(), Status> {
    match wanted.url.transport {
        Transport::Ssh if wanted.key.is_none() => Err(Status::Blocked(format!(
            "{SSH_KEY}: set it to a secret with a private key that may read the repository: run juju add-secret \
             falco-key {CONTENT_KEY}#file=PATH, then grant it to this application"
        ))),
        Transport::Ssh if wanted.known_hosts.is_none() && known_hosts::built_in(&wanted.url.host).is_none() => {
            Err(failure::unknown_host(&wanted.url))
        }
        Transport::Ssh | Transport::Https => Ok(()),
    }
}

/// Does a file of this name belong into the folder, as the options are?
pub fn is_file_for(wanted: &Wanted, name: &str) -> bool {
    let ssh = wanted.url.transport == Transport::Ssh;
    ssh && (name == KNOWN_HOSTS_FILE || name == KEY_FILE && wanted.key.is_some())
}

/// Reads the secret that the transport needs, and gets git let in with it.
pub fn prepare(hook: &Hook, folder: &Path, wanted: &Wanted) -> Result<Access> {
    let proxies = hook.proxy.variables().map(|(name, value)| (name, Redacted::new(value.to_owned())));
    let mut access = Access { variables: proxies.collect(), ..Access::default() };
    match (wanted.url.transport, &wanted.key, &wanted.token) {
        (Transport::Ssh, Some(key), _) => {
            let key = read_secret(hook, SSH_KEY, key)?;
            place_key(folder, &key)?;
            place_known_hosts(folder, wanted)?;
            access.variables.push(("GIT_SSH_VARIANT", Redacted::new("ssh".to_owned())));
            access.variables.push(("GIT_SSH_COMMAND", Redacted::new(ssh(folder))));
        }
        (Transport::Https, _, Some(token)) => {
            access.settings.push(login(&wanted.url, &read_secret(hook, TOKEN, token)?)?);
            access.with_token = true;
        }
        (Transport::Ssh, None, _) | (Transport::Https, _, None) => {}
    }
    Ok(access)
}

fn read_secret(hook: &Hook, option: &str, id: &str) -> Result<Redacted<Vec<u8>>> {
    let app = hook.unit.app.as_str();
    let text = match secret::get(id, CONTENT_KEY)? {
        Ok(content) => return Ok(content),
        Err(SecretError::NotGranted) => {
            format!("this application may not read the secret; run: juju grant-secret {id} {app}")
        }
        Err(SecretError::NotFound) => {
            format!("there is no secret {id}; set the option to what juju add-secret prints, and grant it to {app}")
        }
        Err(SecretError::NoKey) => {
            format!("the secret has no key `{CONTENT_KEY}`; run: juju update-secret {id} {CONTENT_KEY}#file=PATH")
        }
    };
    bail!(Status::Blocked(format!("{option}: {text}")))
}

/// Puts the key where ssh reads it, and has OpenSSH itself say whether it is one.
fn place_key(folder: &Path, key: &Redacted<Vec<u8>>) -> Result<()> {
    let place = folder.join(KEY_FILE);
    let text = normal_key(key.expose());
    let file = files::File { path: place.to_string_lossy().into_owned(), mode: 0o600, content: text };
    if !files::is_in_place(&place, &file)? {
        files::replace(&place, &file.content, file.mode)?;
        tracing::info!("the key of {SSH_KEY} is a new one");
    }
    // The empty word is the passphrase: without it there would be a question.
    match Command::new("ssh-keygen").env("LC_ALL", "C").args(["-y", "-P", "", "-f"]).arg(&place).run() {
        Ok(_) => Ok(()),
        Err(process::Error::Failed(command, output)) => {
            files::remove(&place)?;
            let text = if output.stderr.contains("passphrase") {
                "the key is locked with a passphrase, which a unit cannot type; make one without: ssh-keygen -t ed25519 -N ''"
            } else if file.content.starts_with(b"ssh-") || file.content.starts_with(b"ecdsa-") {
                "the secret has a public key in it, which belongs on the host; it has to be the private one"
            } else {
                "the secret has no private key in it that OpenSSH can read; make one: ssh-keygen -t ed25519 -N ''"
            };
            let status = Status::Blocked(format!("{SSH_KEY}: {text}"));
            Err(Error::new(process::Error::Failed(command, output)).context(status))
        }
        Err(error) => Err(error.into()),
    }
}

/// A key as OpenSSH insists on it: lines of Unix, and a line feed at its end. Both get lost when a key is handed on.
fn normal_key(key: &[u8]) -> Vec<u8> {
    let mut text: Vec<u8> = key.trim_ascii().iter().copied().filter(|byte| *byte != b'\r').collect();
    text.push(b'\n');
    text
}

/// A host that the option names is known by the option alone.
fn place_known_hosts(folder: &Path, wanted: &Wanted) -> Result<()> {
    let place = folder.join(KNOWN_HOSTS_FILE);
    let put = |text: &str| -> Result<()> {
        let content = text.as_bytes().to_vec();
        let file = files::File { path: place.to_string_lossy().into_owned(), mode: 0o600, content };
        if files::is_in_place(&place, &file)? { Ok(()) } else { files::replace(&place, &file.content, file.mode) }
    };
    let url = &wanted.url;
    if let Some(option) = &wanted.known_hosts {
        put(&option.file())?;
        if names(&place, url)? {
            return Ok(());
        }
    }
    match known_hosts::built_in(&url.host) {
        Some(built_in) => put(&built_in),
        None => bail!(failure::unknown_host(url)),
    }
}

/// Does a line of this file name the host? Names may be hashed, and patterns, so that OpenSSH has to answer.
fn names(known_hosts: &Path, url: &RepositoryUrl) -> Result<bool> {
    // Lines without a port count for every port.
    let with_port = url.port.map(|port| format!("[{}]:{port}", url.host));
    for name in with_port.into_iter().chain([url.host.clone()]) {
        let output = Command::new("ssh-keygen").args(["-F", &name, "-f"]).arg(known_hosts).output()?;
        if output.code == Some(0) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The command line of ssh, which git hands to a shell.
fn ssh(folder: &Path) -> String {
    let quoted = |name: &str| format!("'{}'", folder.join(name).to_string_lossy().replace('\'', r"'\''"));
    let options: Vec<String> = SSH_OPTIONS.iter().map(|option| format!("-o {option}")).collect();
    let known_hosts = quoted(KNOWN_HOSTS_FILE);
    format!("ssh -F none -i {} -o UserKnownHostsFile={known_hosts} {}", quoted(KEY_FILE), options.join(" "))
}

/// The header with a token, as a setting for this host alone. The secret holds the token, or `user:token`.
fn login(url: &RepositoryUrl, token: &Redacted<Vec<u8>>) -> Result<(String, Redacted<String>)> {
    let token = token.expose().trim_ascii();
    if token.is_empty() || !token.iter().all(u8::is_ascii_graphic) {
        bail!(Status::Blocked(format!("{TOKEN}: the secret has no token in it: one word of printable characters")));
    }
    let login = if token.contains(&b':') { token.to_owned() } else { [TOKEN_USER, b":", token].concat() };
    let header = format!("Authorization: Basic {}", STANDARD.encode(login));
    Ok((format!("http.https://{}/.extraHeader", url.authority()), Redacted::new(header)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(url: &str) -> Wanted {
        Wanted { url: url.parse().unwrap(), key: None, token: None, known_hosts: None }
    }

    fn blocked(wanted: &Wanted) -> String {
        check(wanted).unwrap_err().message()
    }

    #[test]
    fn ssh_without_a_key_blocks_before_anything_is_asked() {
        let mut wanted = wanted("git+ssh://git@github.com/o/r");
        assert!(blocked(&wanted).starts_with("custom-config-repo-ssh-key: set it to a secret"));
        wanted.key = Some("secret:x".into());
        assert_eq!(check(&wanted), Ok(()));
    }

    #[test]
    fn a_host_that_nobody_knows_blocks_before_anything_is_asked() {
        let mut wanted = wanted("git+ssh://git@git.example.com:2222/o/r");
        wanted.key = Some("secret:x".into());
        let text = blocked(&wanted);
        assert!(text.starts_with("custom-config-repo-known-hosts: the host key of git.example.com"), "{text}");
        assert!(text.contains("ssh-keyscan -p 2222 git.example.com"), "{text}");
    }

    #[test]
    fn https_needs_neither() {
        assert_eq!(check(&wanted("git+https://git.example.com/o/r")), Ok(()));
    }

    #[test]
    fn a_token_becomes_a_header_for_its_host_alone() {
        let login = |url: &str, token: &str| {
            let (key, value) = login(&url.parse().unwrap(), &Redacted::new(token.into())).unwrap();
            (key, value.expose().clone())
        };
        let (key, value) = login("git+https://h:8443/o/r", "abc\n");
        assert_eq!(key, "http.https://h:8443/.extraHeader");
        assert_eq!(value, format!("Authorization: Basic {}", STANDARD.encode("x-access-token:abc")));
        let (_, value) = login("git+https://h/o/r", "oauth2:abc");
        assert_eq!(value, format!("Authorization: Basic {}", STANDARD.encode("oauth2:abc")));
    }

    #[test]
    fn a_token_that_would_break_out_of_its_header_blocks() {
        let url: RepositoryUrl = "git+https://h/r".parse().unwrap();
        for token in ["", " ", "a\nX-Other: b", "a b", "\u{e4}"] {
            let error = login(&url, &Redacted::new(token.into())).unwrap_err();
            assert!(error.to_string().contains("custom-config-repo-token: "), "{error}");
        }
    }

    #[test]
    fn a_key_gets_the_lines_and_the_end_that_openssh_insists_on() {
        for key in ["-----BEGIN\nx\n-----END", "-----BEGIN\r\nx\r\n-----END\r\n", "\n -----BEGIN\nx\n-----END\n\n"] {
            assert_eq!(normal_key(key.as_bytes()), b"-----BEGIN\nx\n-----END\n");
        }
    }
}
