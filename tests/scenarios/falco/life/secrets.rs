//! What nobody may see: a password, and keys.

use charm_tests::juju::{Secret, State};

/// The secret with the key of the repository.
pub const KEY: &str = "9m4e2mr0ui3e8a215n4g";

/// Texts that are found again wherever they get to.
pub struct Secrets {
    pub password: String,
    /// Parts of every key that ever was the key of the repository.
    pub of_keys: Vec<String>,
}

impl Secrets {
    pub fn new(seed: u64) -> Self {
        Self { password: format!("pass-{seed}-word-of-a-life"), of_keys: Vec::new() }
    }

    /// The key of the repository from now on.
    pub fn set_key(&mut self, state: &mut State, key: &str) {
        // A key is base64 between two lines that every key has; the second half of it is not its public part.
        let lines: Vec<&str> = key.lines().filter(|line| !line.starts_with("-----")).collect();
        self.of_keys.extend(lines.iter().skip(lines.len() / 2).map(|&line| line.to_owned()));
        match state.secrets.iter_mut().find(|secret| secret.id == KEY) {
            Some(secret) => *secret = secret.clone().revision([("value", key)]),
            None => state.secrets.push(Secret::user(KEY, "falco").revision([("value", key)])),
        }
    }

    /// Which of them stand in a text.
    pub fn in_text(&self, text: &str) -> Option<&str> {
        let all = std::iter::once(&self.password).chain(&self.of_keys);
        all.map(String::as_str).find(|secret| text.contains(secret))
    }
}
