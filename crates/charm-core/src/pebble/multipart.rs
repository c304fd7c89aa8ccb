//! `multipart/form-data`, which Pebble uses for the contents of files: one function to write it, one to read it.
//!
//! Pure, and no general implementation: only the two headers that Pebble sends are looked at. Part contents are bytes
//! and are never looked into.

use std::fmt::Write as _;

const CONTENT_TYPE: &str = "multipart/form-data; boundary=";

/// One part. Its content is that of a file, so it is no part of `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Part {
    /// The name of the form field.
    pub name: String,
    /// The name of the file, if it is one.
    pub file_name: Option<String>,
    /// What stands between the headers and the next boundary.
    pub content: Vec<u8>,
}

impl std::fmt::Debug for Part {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Part")
            .field("name", &self.name)
            .field("file_name", &self.file_name)
            .field("bytes", &self.content.len())
            .finish()
    }
}

/// The content type and the body for these parts.
pub fn write(parts: &[Part]) -> (String, Vec<u8>) {
    let boundary = unused_boundary(parts);
    let mut body = Vec::new();
    for part in parts {
        let mut head = format!("--{boundary}\r\nContent-Disposition: form-data; name={}", quote(&part.name));
        let content_type = if let Some(file_name) = &part.file_name {
            let _ = write!(head, "; filename={}", quote(file_name));
            "application/octet-stream"
        } else {
            "application/json"
        };
        let _ = write!(head, "\r\nContent-Type: {content_type}\r\n\r\n");
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(&part.content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    (format!("{CONTENT_TYPE}{boundary}"), body)
}

/// The parts of a body, or what is wrong with it.
pub fn read(content_type: &str, body: &[u8]) -> Result<Vec<Part>, String> {
    let boundary = content_type
        .strip_prefix(CONTENT_TYPE)
        .map(|boundary| boundary.trim_matches('"'))
        .filter(|boundary| !boundary.is_empty())
        .ok_or_else(|| format!("content type {content_type:?} instead of multipart/form-data with a boundary"))?;
    let delimiter = format!("\r\n--{boundary}");
    // The first delimiter has no line before it.
    let mut rest = body.strip_prefix(&delimiter.as_bytes()[2..]).ok_or("multipart body without its first boundary")?;

    let mut parts = Vec::new();
    while let Some(part) = rest.strip_prefix(b"\r\n") {
        let end = find(part, delimiter.as_bytes()).ok_or("multipart body that ends within a part")?;
        parts.push(read_part(&part[..end])?);
        rest = &part[end + delimiter.len()..];
    }
    if rest.starts_with(b"--") { Ok(parts) } else { Err("multipart body without its last boundary".to_owned()) }
}

fn read_part(part: &[u8]) -> Result<Part, String> {
    let head_length = find(part, b"\r\n\r\n").ok_or("multipart part without headers")?;
    let head = str::from_utf8(&part[..head_length]).map_err(|_| "multipart headers that are not UTF-8")?;
    let disposition = head
        .split("\r\n")
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-disposition"))
        .ok_or("multipart part without Content-Disposition")?
        .1;
    Ok(Part {
        name: parameter(disposition, "name").ok_or("multipart part without a name")?,
        file_name: parameter(disposition, "filename"),
        content: part[head_length + 4..].to_vec(),
    })
}

/// The value of `; wanted="value"`. A value may hold semicolons and escaped quotes, so this walks over every parameter.
fn parameter(disposition: &str, wanted: &str) -> Option<String> {
    let mut rest = disposition;
    while let Some((_, tail)) = rest.split_once(';') {
        let (name, tail) = tail.split_once("=\"")?;
        let mut value = String::new();
        let mut characters = tail.chars();
        loop {
            match characters.next()? {
                '"' => break,
                '\\' => value.push(characters.next()?),
                character => value.push(character),
            }
        }
        if name.trim().eq_ignore_ascii_case(wanted) {
            return Some(value);
        }
        rest = characters.as_str();
    }
    None
}

/// A quoted string, with nothing in it that ends the string or the line.
fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            // A file name may hold these, a header cannot. Pebble then finds no content for the name and says so.
            '\r' => quoted.push_str("%0D"),
            '\n' => quoted.push_str("%0A"),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

/// A boundary that stands in none of the contents. Pebble wants 32 characters at least.
fn unused_boundary(parts: &[Part]) -> String {
    let mut number: u64 = 0;
    loop {
        let boundary = format!("charm-file-boundary-{number:020}");
        if parts.iter().all(|part| find(&part.content, boundary.as_bytes()).is_none()) {
            return boundary;
        }
        number += 1;
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

#[cfg(test)]
mod tests;
