//! The keys by which SSH hosts are known: those of the option, in the format of OpenSSH, and those of large forges,
//! which everybody would have to look up otherwise. Pure.
//!
//! A host that is known by neither is never asked for its key: whatever answers would be trusted.

use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The keys of large forges. The fingerprint of each is the one that the forge publishes. A forge may change its keys,
/// hence a host that the option names is known by the option alone.
const BUILT_IN: [(&str, &[&str]); 3] = [
    (
        "github.com",
        &[
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl",
            "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBEmKSENjQEezOmxkZMy7opKgwFB9nkt5YRrYM\
             jNuG5N87uRgg6CLrbo5wAdT/y6v0mKV0U2w0WZ2YB/++Tpockg=",
        ],
    ),
    (
        "gitlab.com",
        &[
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAfuCHKVTjquxvt6CM6tdG4SLp1Btn/nOeHHE5UOzRdf",
            "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBFSMqzJeV9rUzU4kWitGjeR4PWSa29SPqJ1fV\
             khtj3Hw9xjLVXVYrU9QlYWrOLXBpQ6KWjbjTDTdDkoohFzgbEY=",
        ],
    ),
    (
        "bitbucket.org",
        &[
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIazEu89wgQZ4bqs3d63QSMzYVa0MuJ2e2gKTKqu+UUO",
            "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBPIQmuzMBuKdWeF4+a2sjSSpBK0iqitSQ+5BM\
             9KhpexuGt20JpTVM7u5BDZngncgrqDMbWdxMWWOGtZ9UgbqgZE=",
        ],
    ),
];

/// The lines of the option. At least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownHosts(Vec<String>);

impl KnownHosts {
    /// The lines as a file.
    pub fn file(&self) -> String {
        self.0.join("\n") + "\n"
    }
}

/// The keys of a forge, as a file; `None` when the host is none of those.
pub fn built_in(host: &str) -> Option<String> {
    let (_, keys) = BUILT_IN.iter().find(|(forge, _)| *forge == host)?;
    Some(keys.iter().flat_map(|key| [host, " ", key, "\n"]).collect())
}

impl FromStr for KnownHosts {
    type Err = String;

    /// The error follows the quoted text.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut lines = Vec::new();
        for (number, line) in text.lines().map(str::trim).enumerate() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            check(line).map_err(|wrong| {
                format!("has in line {} {wrong}; a line is `host type key`, as ssh-keyscan prints it", number + 1)
            })?;
            lines.push(line.to_owned());
        }
        if lines.is_empty() {
            return Err("has no line with the key of a host, as ssh-keyscan prints it".into());
        }
        Ok(Self(lines))
    }
}

/// Is it a line that ssh will use? It skips others without a word.
fn check(line: &str) -> Result<(), &'static str> {
    let mut words = line.split_ascii_whitespace().peekable();
    if let Some(marker) = words.next_if(|word| word.starts_with('@'))
        && !["@cert-authority", "@revoked"].contains(&marker)
    {
        return Err("an unknown marker");
    }
    let (Some(_), Some(kind), Some(key)) = (words.next(), words.next(), words.next()) else {
        return Err("less than three words");
    };
    // A key begins with its type again, as text with its length.
    let bytes = STANDARD.decode(key).map_err(|_| "a key that is not base64")?;
    let inner = bytes.split_first_chunk().and_then(|(length, rest)| rest.get(..u32::from_be_bytes(*length) as usize));
    if inner == Some(kind.as_bytes()) { Ok(()) } else { Err("a key that is not of the type before it") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";

    #[test]
    fn every_form_of_a_line_that_openssh_writes_is_taken() {
        let hashed = "|1|TEhef0CxSZnzVc2pjWZUYaNhzkw=|8Xsots8r/iPe8c2VA1q5nacMLeM=";
        let text = format!(
            "# git.example.com:22 SSH-2.0-OpenSSH_9.6\r\n\n git.example.com {KEY}\n[h]:2222,[192.0.2.1]:2222 {KEY} a comment\r\n\
             {hashed} {KEY}\n@cert-authority *.example.com {KEY}\n"
        );
        let known: KnownHosts = text.parse().unwrap();
        let file = known.file();
        assert_eq!(file.lines().count(), 4);
        assert!(file.starts_with(&format!("git.example.com {KEY}\n[h]:2222")), "{file}");
    }

    #[test]
    fn a_line_that_ssh_would_skip_is_refused_with_its_number() {
        for (line, words) in [
            ("git.example.com", "line 2 less than three words"),
            (KEY, "line 2 less than three words"),
            ("SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU", "less than three words"),
            ("h ssh-ed25519 no!base64", "not base64"),
            ("h ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl", "not of the type"),
            ("h ssh-rsa AAAA", "not of the type"),
            (&format!("@trusted h {KEY}"), "unknown marker"),
        ] {
            let error = format!("good {KEY}\n{line}").parse::<KnownHosts>().unwrap_err();
            assert!(error.contains(words), "{line}: {error}");
        }
    }

    #[test]
    fn a_text_without_a_key_is_refused() {
        for text in ["", "\n \n", "# only a remark"] {
            assert!(text.parse::<KnownHosts>().unwrap_err().contains("no line"), "{text:?}");
        }
    }

    #[test]
    fn the_large_forges_are_known_and_their_lines_are_in_order() {
        for host in ["github.com", "gitlab.com", "bitbucket.org"] {
            let lines = built_in(host).unwrap();
            let known: KnownHosts = lines.parse().unwrap();
            assert_eq!((known.0.len(), known.file()), (2, lines));
        }
        for host in ["example.com", "github.com.example.com", "git.launchpad.net", ""] {
            assert_eq!(built_in(host), None);
        }
    }
}
