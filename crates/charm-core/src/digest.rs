//! A stable fingerprint of content. SHA-256, because the standard library's hasher may change with the compiler, and a
//! rebuilt charm must not restart a service.

use std::fmt;
use std::io::Read;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256, Sha512};

/// The SHA-256 of something, as 64 lower-case hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Digest(String);

impl Digest {
    /// The digest of these bytes.
    pub fn of(content: impl AsRef<[u8]>) -> Self {
        Self(hex(&Sha256::digest(content.as_ref())))
    }

    /// One digest over several parts. Each goes in with its length, so that `["ab", "c"]` and `["a", "bc"]` differ.
    pub fn of_all<T: AsRef<[u8]>>(parts: impl IntoIterator<Item = T>) -> Self {
        let mut hasher = Sha256::new();
        for part in parts {
            let part = part.as_ref();
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        Self(hex(&hasher.finalize()))
    }

    /// The 64 digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first digits, enough for the name of a folder.
    pub fn short(&self) -> &str {
        &self.0[..12]
    }
}

impl From<String> for Digest {
    /// Takes a digest that somebody else computed. It is compared, never trusted, so any text will do.
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// Size, SHA-256 and SHA-512 of a stream, read once in small pieces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    /// In bytes.
    pub size: u64,
    /// In lower-case hexadecimal digits.
    pub sha256: String,
    /// In lower-case hexadecimal digits.
    pub sha512: String,
}

impl Fingerprint {
    /// Reads the stream to its end.
    pub fn of(mut stream: impl Read) -> std::io::Result<Self> {
        let (mut sha256, mut sha512, mut size) = (Sha256::new(), Sha512::new(), 0);
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let count = stream.read(&mut buffer)?;
            if count == 0 {
                return Ok(Self { size, sha256: hex(&sha256.finalize()), sha512: hex(&sha512.finalize()) });
            }
            sha256.update(&buffer[..count]);
            sha512.update(&buffer[..count]);
            size += count as u64;
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_sha256_that_other_programs_compute() {
        assert_eq!(Digest::of("").as_str(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        let fingerprint = Fingerprint::of(&b"abc"[..]).unwrap();
        assert_eq!(fingerprint.size, 3);
        assert_eq!(fingerprint.sha256, Digest::of("abc").as_str());
        assert!(fingerprint.sha512.starts_with("ddaf35a193617abacc417349ae204131"));
    }

    #[test]
    fn where_one_part_ends_counts() {
        assert_ne!(Digest::of_all(["ab", "c"]), Digest::of_all(["a", "bc"]));
    }
}
