//! Files and folders in the workload container, by their paths as the workload sees them on a unit.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, de};
use serde_json::{Value, json};

use super::Client;
use super::error::{Error, Result};
use super::multipart::{self, Part};
use super::transport::{ErrorResult, Request};

/// A file as it should be. Its content may be secret, so `Debug` shows only its size.
#[derive(Clone, PartialEq, Eq)]
pub struct File {
    /// Absolute, as on a unit.
    pub path: String,
    /// What it holds.
    pub content: Vec<u8>,
    /// Three octal digits such as `0o640`. Pebble never keeps the mode of an older file.
    pub mode: u32,
    /// Owner by name; Pebble's own user if there is none. Never kept from an older file either.
    pub user: Option<String>,
    /// Group by name; the primary group of the user if there is none. Useless without a user.
    pub group: Option<String>,
    /// Make missing folders above it, with mode 755 and the owner of the file.
    pub make_dirs: bool,
}

/// A folder as it should be, unless it exists: then it stays as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory {
    /// Absolute, as on a unit. Missing folders above it get the same mode and owner.
    pub path: String,
    /// Three octal digits such as `0o750`.
    pub mode: u32,
    /// Owner by name; Pebble's own user if there is none.
    pub user: Option<String>,
    /// Group by name; the primary group of the user if there is none.
    pub group: Option<String>,
}

/// What Pebble tells about a file or folder that exists.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct FileInfo {
    /// Absolute, as on a unit.
    pub path: String,
    /// The last part of the path.
    pub name: String,
    /// File, folder or something else.
    pub r#type: FileType,
    /// In bytes, for regular files.
    #[serde(default)]
    pub size: Option<u64>,
    /// The permission bits.
    #[serde(rename = "permissions", deserialize_with = "octal")]
    pub mode: u32,
    /// The owner's number.
    #[serde(default)]
    pub user_id: Option<u32>,
    /// The owner's name; empty if it has none.
    #[serde(default)]
    pub user: String,
    /// The group's number.
    #[serde(default)]
    pub group_id: Option<u32>,
    /// The group's name; empty if it has none.
    #[serde(default)]
    pub group: String,
}

/// What an entry of a folder is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileType {
    /// A regular file.
    File,
    /// A folder.
    Directory,
    /// A symbolic link, which is not followed when it is an entry of a folder.
    Symlink,
    /// Socket, pipe, device and whatever else there may be.
    #[serde(other)]
    Other,
}

/// What became of one file in a request for several.
#[derive(Deserialize)]
struct Outcome {
    path: String,
    #[serde(default)]
    error: Option<ErrorResult>,
}

impl Client {
    /// The content of a file, or `None` if there is none.
    pub async fn read_file(&self, path: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.read_files(&[path]).await?.remove(path))
    }

    /// The contents of several files by their paths, in one request. Those that do not exist are left out.
    pub async fn read_files(&self, paths: &[&str]) -> Result<BTreeMap<String, Vec<u8>>> {
        let request = Request::get(format!("read {}", paths.join(", ")), "/v1/files")
            .query("action", "read")
            .accept("multipart/form-data"); // Pebble insists on exactly this
        let request = paths.iter().fold(request, |request, path| request.query("path", &self.path(path)));
        let answer = self.transport.send(&request).await?;
        let parts = multipart::read(&answer.content_type, &answer.body).map_err(|problem| request.unusable(problem))?;
        let response = parts
            .iter()
            .find(|part| part.name == "response")
            .ok_or_else(|| request.unusable("no part that says how it went"))?;
        let outcomes: Vec<Outcome> = request.result(&response.content)?;
        let mut contents: BTreeMap<String, Vec<u8>> = parts
            .into_iter()
            .filter(|part| part.name == "files")
            .filter_map(|part| Some((part.file_name?, part.content)))
            .collect();
        let mut files = BTreeMap::new();
        for outcome in outcomes {
            let path = self.as_on_a_unit(&outcome.path);
            match self.all_succeeded([outcome]) {
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error),
                Ok(()) => {
                    let content = contents.remove(&self.path(&path));
                    files.insert(path, content.ok_or_else(|| request.unusable("no content, and no reason why"))?);
                }
            }
        }
        Ok(files)
    }

    /// The entries of a folder, or the file itself if the path is one; `None` if there is neither.
    pub async fn list_files(&self, path: &str) -> Result<Option<Vec<FileInfo>>> {
        let request =
            Request::get(format!("list {path}"), "/v1/files").query("action", "list").query("path", &self.path(path));
        match self.transport.result::<Vec<FileInfo>>(request).await {
            Ok(mut files) => {
                for file in &mut files {
                    file.path = self.as_on_a_unit(&file.path);
                }
                Ok(Some(files))
            }
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes all files in one request. Each is replaced in one step, but the request as a whole is not one step: when
    /// a file fails, the others are written all the same.
    pub async fn write_files(&self, files: &[File]) -> Result<()> {
        if files.is_empty() {
            return Ok(());
        }
        let head: Vec<Value> = files
            .iter()
            .map(|file| {
                let mut entry = owned(&self.path(&file.path), file.mode, file.user.as_deref(), file.group.as_deref());
                entry["make-dirs"] = file.make_dirs.into();
                entry
            })
            .collect();
        let head = json!({ "action": "write", "files": head }).to_string();
        let mut parts = vec![Part { name: "request".to_owned(), file_name: None, content: head.into_bytes() }];
        parts.extend(files.iter().map(|file| Part {
            name: "files".to_owned(),
            file_name: Some(self.path(&file.path)),
            content: file.content.clone(),
        }));
        let (content_type, body) = multipart::write(&parts);
        let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
        self.on_files(Request::post(format!("write {}", paths.join(", ")), "/v1/files", &content_type, body)).await
    }

    /// Makes folders that do not exist, with those above them.
    pub async fn make_dirs(&self, directories: &[Directory]) -> Result<()> {
        if directories.is_empty() {
            return Ok(());
        }
        let entries: Vec<Value> = directories
            .iter()
            .map(|Directory { path, mode, user, group }| {
                let mut entry = owned(&self.path(path), *mode, user.as_deref(), group.as_deref());
                // Without this an existing folder is an error.
                entry["make-parents"] = true.into();
                entry
            })
            .collect();
        let paths: Vec<&str> = directories.iter().map(|directory| directory.path.as_str()).collect();
        let body = json!({ "action": "make-dirs", "dirs": entries });
        self.on_files(Request::post_json(format!("make {}", paths.join(", ")), "/v1/files", &body)).await
    }

    /// Removes a file or folder; one that does not exist is removed already. A folder that is not empty is removed
    /// only if `recursive`.
    pub async fn remove(&self, path: &str, recursive: bool) -> Result<()> {
        let body = json!({ "action": "remove", "paths": [{ "path": self.path(path), "recursive": recursive }] });
        match self.on_files(Request::post_json(format!("remove {path}"), "/v1/files", &body)).await {
            Err(error) if error.is_not_found() => Ok(()),
            other => other,
        }
    }

    async fn on_files(&self, request: Request) -> Result<()> {
        self.all_succeeded(self.transport.result::<Vec<Outcome>>(request).await?)
    }

    // The HTTP status is 200 even if everything failed.
    fn all_succeeded(&self, outcomes: impl IntoIterator<Item = Outcome>) -> Result<()> {
        let failed = outcomes.into_iter().find_map(|outcome| Some((outcome.path, outcome.error?)));
        failed.map_or(Ok(()), |(path, ErrorResult { message, kind })| {
            Err(Error::File { path: self.as_on_a_unit(&path), kind, message })
        })
    }
}

fn owned(path: &str, mode: u32, user: Option<&str>, group: Option<&str>) -> Value {
    let mut entry = json!({ "path": path, "permissions": format!("{mode:03o}") });
    if let Some(user) = user {
        entry["user"] = user.into();
    }
    if let Some(group) = group {
        entry["group"] = group.into();
    }
    entry
}

fn octal<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<u32, D::Error> {
    let digits = String::deserialize(deserializer)?;
    u32::from_str_radix(&digits, 8).map_err(|_| de::Error::custom(format!("permissions {digits:?} are not octal")))
}

impl fmt::Debug for File {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, content, mode, user, group, make_dirs } = self;
        formatter
            .debug_struct("File")
            .field("path", path)
            .field("bytes", &content.len())
            .field("mode", &format_args!("{mode:03o}"))
            .field("user", user)
            .field("group", group)
            .field("make_dirs", make_dirs)
            .finish()
    }
}
