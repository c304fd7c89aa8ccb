//! What git and ssh say when they fail, and what that means for the operator. Pure.
//!
//! Neither has exit codes that tell failures apart, so their words have to do; they are asked to speak English. What is
//! in no table is taken for trouble on the way, which passes by itself.

use charm_core::Status;
use charm_core::status::{one_line, without_credentials};

use super::url::{Reference, RepositoryUrl};
use super::{KNOWN_HOSTS, REPOSITORY, SSH_KEY, TOKEN};

/// How much of what git says a status quotes, in characters.
const LONGEST_QUOTE: usize = 160;

/// Why the server did not give what was asked of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No key is known for the host, or none of the kinds that it has.
    UnknownHost,
    /// The host shows another key than the known one.
    ChangedHost,
    /// The host does not know our key.
    KeyRefused,
    /// There is no such repository, or we may not see it.
    NoRepository,
    /// The host wants a login over HTTPS, or does not accept ours.
    LoginWanted,
    /// The repository is somewhere else.
    Redirected,
    /// The machine does not trust the certificate of the host.
    Certificate,
    /// The server does not have the commit.
    NoCommit,
    /// The server gives away nothing but what a branch or tag stands at.
    OnlyTips,
    /// The network at its worst moment: another try may help at once.
    Passing,
    /// Anything else.
    Other,
}

/// The words that give a failure away, most telling first: git adds the same two lines to whatever ssh says. Compared
/// in lower case.
const WORDS: [(&str, Failure); 35] = [
    ("remote host identification has changed", Failure::ChangedHost),
    ("host key for", Failure::ChangedHost), // ... has changed and you have requested strict checking; ... is revoked
    ("host key is known for", Failure::UnknownHost),
    ("host key verification failed", Failure::UnknownHost),
    ("no matching host key type found", Failure::UnknownHost),
    ("permission denied (", Failure::KeyRefused),
    ("too many authentication failures", Failure::KeyRefused),
    ("could not resolve hostname", Failure::Passing),
    ("could not resolve host:", Failure::Passing),
    ("temporary failure in name resolution", Failure::Passing),
    ("connection refused", Failure::Passing),
    ("couldn't connect to server", Failure::Passing),
    ("connection reset by peer", Failure::Passing),
    ("connection closed by", Failure::Passing),
    ("kex_exchange_identification", Failure::Passing),
    ("the requested url returned error: 429", Failure::Other),
    ("the requested url returned error: 401", Failure::LoginWanted),
    ("the requested url returned error: 403", Failure::LoginWanted),
    ("authentication failed for", Failure::LoginWanted),
    ("could not read username", Failure::LoginWanted),
    ("could not read password", Failure::LoginWanted),
    ("the requested url returned error: 30", Failure::Redirected),
    ("the requested url returned error: 404", Failure::NoRepository),
    ("certificate", Failure::Certificate),
    ("not our ref", Failure::NoCommit),
    ("could not find remote ref", Failure::NoCommit),
    ("unadvertised object", Failure::OnlyTips),
    ("does not appear to be a git repository", Failure::NoRepository),
    ("repository not found", Failure::NoRepository),
    ("not found", Failure::NoRepository),
    ("does not exist", Failure::NoRepository),
    ("could not be found", Failure::NoRepository),
    ("cannot find repository", Failure::NoRepository),
    ("no such project", Failure::NoRepository),
    ("access denied", Failure::NoRepository),
];

/// Lines that say nothing, or nothing of their own.
const EMPTY_WORDS: [&str; 7] = [
    "fatal: could not read from remote repository",
    "please make sure you have the correct access rights",
    "and the repository exists",
    "host key verification failed",
    "@@@",
    "=====",
    "warning:",
];

impl Failure {
    /// What the words of git and ssh mean.
    pub fn of(said: &str) -> Self {
        let said = said.to_lowercase();
        WORDS.iter().find(|(words, _)| said.contains(words)).map_or(Self::Other, |(_, failure)| *failure)
    }

    /// What the operator reads. `with_token`: the login that failed had one.
    pub fn status(self, url: &RepositoryUrl, said: &str, with_token: bool) -> Status {
        let host = &url.host;
        let words = telling_line(said);
        let blocked = |option: &str, text: String| Status::Blocked(format!("{option}: {text}"));
        match self {
            Self::UnknownHost => unknown_host(url),
            Self::ChangedHost => blocked(
                KNOWN_HOSTS,
                format!(
                    "{host} shows another key than the one that is known: it has a new one, or somebody is in between; \
                     compare it with what the owner of {host} publishes, and set the option to its lines"
                ),
            ),
            Self::KeyRefused => blocked(
                SSH_KEY,
                format!("{host} does not accept the key; add its public half there as a deploy key ({words})"),
            ),
            Self::NoRepository => blocked(
                REPOSITORY,
                format!("{host} has no such repository, or does not let us see it; correct the option ({words})"),
            ),
            Self::LoginWanted if with_token => blocked(
                TOKEN,
                format!("{host} does not accept the token for this repository; give the secret a valid one ({words})"),
            ),
            Self::LoginWanted => blocked(
                REPOSITORY,
                format!(
                    "{host} has no such repository, or wants a login for it; correct the option, or set {TOKEN} ({words})"
                ),
            ),
            Self::Redirected => blocked(
                REPOSITORY,
                format!(
                    "{host} says that the repository is elsewhere; set the option to where it is, mostly the same with \
                     .git at its end ({words})"
                ),
            ),
            Self::Certificate => blocked(
                REPOSITORY,
                format!("this machine does not trust the certificate of {host}; install its authority ({words})"),
            ),
            Self::NoCommit => match url.reference {
                Reference::Commit(_) => blocked(REPOSITORY, format!("there is no commit {} at {host}", url.reference)),
                // It was there a moment ago, when the server was asked for it.
                _ => Status::Waiting(format!("{REPOSITORY}: {} has just moved at {host}", url.reference)),
            },
            Self::OnlyTips => blocked(
                REPOSITORY,
                format!("{host} does not give away single commits; name a branch or tag that stands at the commit"),
            ),
            Self::Passing | Self::Other => Status::Waiting(format!("{REPOSITORY}: cannot reach {host} ({words})")),
        }
    }
}

/// What to do about a host whose key is not known. It can be told before anything is asked.
pub fn unknown_host(url: &RepositoryUrl) -> Status {
    let host = &url.host;
    let port = url.port.map(|port| format!("-p {port} ")).unwrap_or_default();
    Status::Blocked(format!(
        "{KNOWN_HOSTS}: the host key of {host} is not known; set the option to what `ssh-keyscan {port}{host}` prints, \
         after you have compared it with what the owner of {host} publishes"
    ))
}

/// There is neither a branch nor a tag of this name.
pub fn no_reference(url: &RepositoryUrl) -> Status {
    let text = match &url.reference {
        Reference::Named(name) if is_short_commit(name) => {
            format!("there is no branch or tag {name} at {}; a commit is named by all of its 40 digits", url.host)
        }
        Reference::Named(name) => format!("there is no branch or tag {name} at {}", url.host),
        Reference::Default | Reference::Commit(_) => {
            format!("the repository at {} is empty, or has no main branch; push one, or name another", url.host)
        }
    };
    Status::Blocked(format!("{REPOSITORY}: {text}"))
}

fn is_short_commit(name: &str) -> bool {
    name.len() >= 7 && name.chars().all(|c| c.is_ascii_hexdigit())
}

/// The first line that says something, in a form that can be shown.
fn telling_line(said: &str) -> String {
    let tells = |line: &&str| {
        let lower = line.to_lowercase();
        !line.is_empty() && !EMPTY_WORDS.iter().any(|empty| lower.contains(empty))
    };
    let lines = || said.lines().map(|line| line.trim().trim_start_matches("remote:").trim());
    let line = lines().find(tells).or_else(|| lines().next()).unwrap_or_default();
    one_line(&without_credentials(line), LONGEST_QUOTE)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAIL: &str = "fatal: Could not read from remote repository.\n\nPlease make sure you have the correct access \
         rights\nand the repository exists.\n";

    fn url(text: &str) -> RepositoryUrl {
        text.parse().unwrap()
    }

    fn status(said: &str, with_token: bool) -> Status {
        Failure::of(said).status(&url("git+ssh://git@git.example.com:2222/org/r.git@main"), said, with_token)
    }

    #[test]
    fn what_the_operator_has_to_mend_blocks_and_names_the_option() {
        for (said, option, words) in [
            (
                "No ED25519 host key is known for [git.example.com]:2222 and you have requested strict checking.\r\nHost key \
                 verification failed.\r\n",
                KNOWN_HOSTS,
                "`ssh-keyscan -p 2222 git.example.com`",
            ),
            (
                "@@@@@@\r\n@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\r\nHost key for [h]:22 has changed and \
                 you have requested strict checking.\r\nHost key verification failed.\r\n",
                KNOWN_HOSTS,
                "another key",
            ),
            ("git@git.example.com: Permission denied (publickey).\r\n", SSH_KEY, "deploy key (git@git"),
            ("ERROR: Repository not found.\n", REPOSITORY, "(ERROR: Repository not found.)"),
            (
                "remote: \nremote: ========\nremote: \nremote: ERROR: The project you were looking for could not be found or \
                 you don't have permission to view it.\nremote: \n",
                REPOSITORY,
                "(ERROR: The project you",
            ),
            ("fatal: '/r.git' does not appear to be a git repository\n", REPOSITORY, "no such repository"),
            ("error: Server does not allow request for unadvertised object 11\n", REPOSITORY, "single commits"),
        ] {
            let Status::Blocked(text) = status(&format!("{said}{TAIL}"), false) else { panic!("{said}") };
            assert!(text.starts_with(&format!("{option}: ")) && text.contains(words), "{text}");
        }
    }

    #[test]
    fn a_commit_that_is_not_there_blocks_and_a_branch_that_has_just_moved_waits() {
        let said = format!("fatal: remote error: upload-pack: not our ref 1111\n{TAIL}");
        let status = |end: &str| Failure::of(&said).status(&url(&format!("git+ssh://git@h/r@{end}")), &said, false);
        let commit = "1".repeat(40);
        let text = format!("custom-config-repository: there is no commit {commit} at h");
        assert_eq!(status(&commit), Status::Blocked(text));
        assert_eq!(status("main"), Status::Waiting("custom-config-repository: main has just moved at h".into()));
    }

    #[test]
    fn a_login_over_https_that_fails_names_the_token_only_if_there_is_one() {
        for said in [
            "fatal: could not read Username for 'https://h': terminal prompts disabled\n",
            "fatal: unable to access 'https://h/r/': The requested URL returned error: 403\n",
            "remote: HTTP Basic: Access denied\nfatal: Authentication failed for 'https://h/r/'\n",
        ] {
            let (with, without) = (status(said, true).message(), status(said, false).message());
            assert!(with.starts_with("custom-config-repo-token: "), "{with}");
            assert!(without.starts_with("custom-config-repository: ") && without.contains(TOKEN), "{without}");
        }
        let said = "remote: Repository not found.\nfatal: repository 'https://h/r/' not found\n";
        assert!(status(said, false).message().contains("(Repository not found.)"));
    }

    #[test]
    fn trouble_on_the_way_waits_and_the_line_that_says_something_is_quoted() {
        for (said, again, words) in [
            ("ssh: connect to host h port 22: Connection refused\r\n", true, "port 22: Connection refused"),
            ("ssh: Could not resolve hostname h: Temporary failure in name resolution\r\n", true, "resolve hostname"),
            ("ssh: connect to host h port 22: Connection timed out\r\n", false, "timed out"),
            ("ssh: connect to host h port 22: No route to host\r\n", false, "No route"),
            ("kex_exchange_identification: Connection closed by remote host\r\n", true, "Connection closed"),
            ("fatal: unable to access 'https://h/r/': Could not resolve host: h\n", true, "resolve host: h"),
            ("fatal: unable to access 'https://u:pw@h/': The requested URL returned error: 503\n", false, "error: 503"),
            ("something nobody has seen before\n", false, "something nobody"),
            ("", false, "()"),
        ] {
            let said = if said.is_empty() { String::new() } else { format!("{said}{TAIL}") };
            assert_eq!(Failure::of(&said) == Failure::Passing, again, "{said}");
            let Status::Waiting(text) = status(&said, false) else { panic!("{said}") };
            assert!(text.starts_with("custom-config-repository: cannot reach git.example.com ("), "{text}");
            assert!(text.contains(words) && !text.contains("pw@"), "{text}");
        }
    }

    #[test]
    fn a_name_that_looks_like_the_start_of_a_commit_is_told_that_commits_are_given_whole() {
        let text = |reference: &str| no_reference(&url(&format!("git+https://h/r{reference}"))).message();
        assert!(text("@0123456").contains("all of its 40 digits"));
        assert!(text("@feature").ends_with("no branch or tag feature at h"));
        assert!(text("").contains("is empty"));
    }
}
