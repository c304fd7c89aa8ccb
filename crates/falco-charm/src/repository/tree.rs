//! What is in a commit: which of its files are taken, and their content.
//!
//! Files are read from git's objects, and no work tree is ever made of them. So a symbolic link is a short text, a
//! submodule a number, and filters and hooks never run: nothing in a repository can point out of it. Whatever has the
//! name of a file that would be taken and is none is told, because a rule that silently does not count is worse than
//! one that blocks.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result, bail};
use charm_core::Status;
use charm_core::status::one_line;

use super::git;
use super::{Content, File, REPOSITORY};

/// Rules are in this folder.
const RULES: &str = "rules.d";

/// Overrides of the configuration are in this one.
const OVERRIDES: &str = "config.override.d";

/// How many files are taken from both folders together.
const MOST_FILES: usize = 256;

/// The largest file that is taken, in bytes. The rules that Falco comes with have a tenth of a megabyte.
const LARGEST_FILE: u64 = 4 * MIB;

/// The most that is taken from all files together, in bytes.
const MOST_BYTES: u64 = 16 * MIB;

/// The largest listing of a folder that is read, in bytes: ten thousand names and more.
const LARGEST_FOLDER: u64 = MIB;

const MIB: u64 = 1024 * 1024;

/// The mode of a submodule; git shows devices, sockets and pipes, which only a hostile server sends, with it as well.
const SUBMODULE: &str = "160000";

/// A file in the listing of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    folder: &'static str,
    name: String,
    object: String,
    size: u64,
}

/// The files of a commit, or why they are not taken. An error means that the repository is damaged.
pub fn read(repository: &Path, commit: &str) -> Result<Result<Content, Status>> {
    if let Some(problem) = check_folders(repository, commit)? {
        return Ok(Err(problem));
    }
    let listing = git::list(repository, commit, &[RULES, OVERRIDES])?;
    let entries = match choose(&listing)? {
        Ok(entries) => entries,
        Err(problem) => return Ok(Err(problem)),
    };
    let objects: String = entries.iter().flat_map(|entry| [&entry.object, "\n"]).collect();
    let contents = parse_batch(&git::contents(repository, objects.into_bytes())?, &entries)?;
    let mut content = Content { commit: commit.to_owned(), ..Content::default() };
    for (entry, bytes) in entries.into_iter().zip(contents) {
        let files = if entry.folder == RULES { &mut content.rules } else { &mut content.overrides };
        files.push(File { name: entry.name, content: bytes });
    }
    for files in [&mut content.rules, &mut content.overrides] {
        files.sort_by(|a, b| a.name.cmp(&b.name));
    }
    Ok(Ok(content))
}

/// Are both folders, where they are there, folders of a reasonable size? A listing is not asked for before.
fn check_folders(repository: &Path, commit: &str) -> Result<Option<Status>> {
    let asked = [format!("{commit}^{{commit}}"), format!("{commit}:{RULES}"), format!("{commit}:{OVERRIDES}")];
    let answers = git::check(repository, &asked)?;
    let (Some(first), Some(folders)) = (answers.first(), answers.get(1..)) else { bail!("git has not answered") };
    if first.is_none() {
        bail!("there is no commit {commit} in {}", repository.display());
    }
    let problem = [RULES, OVERRIDES].into_iter().zip(folders).find_map(|(folder, object)| match object {
        Some(object) if object.kind != "tree" => Some(format!("{folder} is no folder; put the files into one")),
        Some(object) if object.size > LARGEST_FOLDER => Some(format!("{folder} has too many files")),
        _ => None,
    });
    Ok(problem.map(|problem| blocked(&problem)))
}

fn blocked(text: &str) -> Status {
    Status::Blocked(format!("{REPOSITORY}: {text}"))
}

/// The files that are taken, out of what `git ls-tree -z -l` prints: `mode kind object size<TAB>path<NUL>`. Everything
/// that is wrong with them is told at once.
fn choose(listing: &[u8]) -> Result<Result<Vec<Entry>, Status>> {
    let mut entries: Vec<Entry> = Vec::new();
    let (mut seen, mut problems) = (BTreeSet::new(), Vec::new());
    for line in listing.split(|byte| *byte == 0).filter(|line| !line.is_empty()) {
        let (words, path) = split_at_tab(line).context("git ls-tree has printed a line without a path")?;
        let words: Vec<&str> = words.split_ascii_whitespace().collect();
        let [mode, _kind, object, size] = words[..] else { bail!("git ls-tree has printed an unknown line") };
        if let Some(folder) = [RULES, OVERRIDES].into_iter().find(|folder| path == folder.as_bytes()) {
            problems.push(format!("{folder} is a submodule or a device; put a folder in its place"));
            continue;
        }
        let prefix = |folder: &str| Some(path.strip_prefix(folder.as_bytes())?.strip_prefix(b"/")?.to_vec());
        let Some((folder, name)) = [RULES, OVERRIDES].into_iter().find_map(|f| Some((f, prefix(f)?))) else {
            continue;
        };
        // Files that start with a dot are hidden from a pattern like *.yaml as well. A submodule is told by any name,
        // because rules are what it is there for.
        let is_hidden = name.starts_with(b".") && !name.contains(&b'/');
        if is_hidden || !(name.ends_with(b".yaml") || name.ends_with(b".yml") || mode == SUBMODULE) {
            tracing::debug!("{folder}/{} is not read", String::from_utf8_lossy(&name));
            continue;
        }
        let shown = one_line(&format!("{folder}/{}", String::from_utf8_lossy(&name)), 80);
        let mut refuse = |why: String| problems.push(format!("{shown} {why}"));
        match (mode, String::from_utf8(name), size.parse()) {
            ("120000", ..) => refuse("is a symbolic link; put a regular file in its place".into()),
            (SUBMODULE, ..) => refuse("is a submodule or a device; put a regular file in its place".into()),
            ("040000", ..) => refuse("is a folder; give it another name, or put a regular file in its place".into()),
            ("100644" | "100755" | "100664", Ok(name), Ok(size)) => {
                if name.contains(|c: char| c.is_control() || c == '/') {
                    refuse("has a name with characters that no name of a file may have; rename it".into());
                } else if size > LARGEST_FILE {
                    refuse(format!("has {size} bytes, and {LARGEST_FILE} is the most; make it smaller"));
                } else if !seen.insert((folder, name.clone())) {
                    refuse("is there twice".into());
                } else {
                    entries.push(Entry { folder, name, object: object.to_owned(), size });
                }
            }
            (_, Err(_), _) => refuse("has a name that is not UTF-8; rename it".into()),
            _ => refuse("is no regular file; put one in its place".into()),
        }
    }
    let bytes: u64 = entries.iter().map(|entry| entry.size).sum();
    if entries.len() > MOST_FILES {
        problems.push(format!(
            "there are {} files in {RULES} and {OVERRIDES}, and {MOST_FILES} is the most",
            entries.len()
        ));
    } else if bytes > MOST_BYTES {
        problems.push(format!("{RULES} and {OVERRIDES} have {bytes} bytes together, and {MOST_BYTES} is the most"));
    }
    Ok(if problems.is_empty() { Ok(entries) } else { Err(blocked(&problems.join("; "))) })
}

fn split_at_tab(line: &[u8]) -> Option<(&str, &[u8])> {
    let tab = line.iter().position(|byte| *byte == b'\t')?;
    Some((std::str::from_utf8(&line[..tab]).ok()?, &line[tab + 1..]))
}

/// The contents in what `git cat-file --batch` prints: `object blob size<LF>content<LF>` for each.
fn parse_batch(mut printed: &[u8], entries: &[Entry]) -> Result<Vec<Vec<u8>>> {
    let mut contents = Vec::new();
    for entry in entries {
        let header = format!("{} blob {}\n", entry.object, entry.size);
        let size = usize::try_from(entry.size)?;
        let content = printed.strip_prefix(header.as_bytes()).and_then(|rest| rest.split_at_checked(size));
        let Some((content, rest)) = content else {
            bail!("git cannot read {}/{} ({})", entry.folder, entry.name, entry.object)
        };
        contents.push(content.to_owned());
        printed = rest.strip_prefix(b"\n").context("git cat-file has printed an unknown end")?;
    }
    Ok(contents)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OBJECT: &str = "873221c53b0ba7d7f662606a00fcaca20b276b27";

    fn listing<P: AsRef<[u8]>>(files: &[(&str, &str, &str, P)]) -> Vec<u8> {
        let mut all = Vec::new();
        for (mode, kind, size, path) in files {
            all.extend(format!("{mode} {kind} {OBJECT} {size:>7}\t").bytes());
            all.extend(path.as_ref());
            all.push(0);
        }
        all
    }

    fn names(files: &[(&str, &str, &str, &str)]) -> Vec<String> {
        let entries = choose(&listing(files)).unwrap().unwrap();
        entries.iter().map(|entry| format!("{}/{}", entry.folder, entry.name)).collect()
    }

    fn refusal<P: AsRef<[u8]>>(files: &[(&str, &str, &str, P)]) -> String {
        let Err(Status::Blocked(text)) = choose(&listing(files)).unwrap() else { panic!("it was taken") };
        text
    }

    #[test]
    fn only_yaml_files_that_stand_directly_in_the_two_folders_are_taken() {
        let files = [
            ("100644", "blob", "10", "rules.d/a.yaml"),
            ("100755", "blob", "10", "rules.d/b ü.yml"),
            ("100644", "blob", "10", "rules.d/README.md"),
            ("100644", "blob", "10", "rules.d/c.yaml.bak"),
            ("100644", "blob", "10", "rules.d/C.YAML"),
            ("100644", "blob", "10", "rules.d/.hidden.yaml"),
            ("120000", "blob", "10", "rules.d/.#a.yaml"),
            ("040000", "tree", "-", "rules.d/deeper"),
            ("160000", "commit", "-", "rules.d/.module"),
            ("120000", "blob", "10", "rules.d/link"),
            ("100644", "blob", "10", "rules.dx/a.yaml"),
            ("100644", "blob", "10", "config.override.d/a.yaml"),
        ];
        assert_eq!(names(&files), ["rules.d/a.yaml", "rules.d/b ü.yml", "config.override.d/a.yaml"]);
    }

    #[test]
    fn what_is_called_a_yaml_file_and_is_none_blocks_and_all_of_it_is_told() {
        let text = refusal(&[
            ("120000", "blob", "11", "rules.d/link.yaml"),
            ("160000", "commit", "-", "rules.d/module"),
            ("040000", "tree", "-", "rules.d/folder.yaml"),
            ("100000", "blob", "1", "rules.d/odd.yaml"),
        ]);
        assert_eq!(
            text,
            "custom-config-repository: rules.d/link.yaml is a symbolic link; put a regular file in its place; \
             rules.d/module is a submodule or a device; put a regular file in its place; rules.d/folder.yaml is a folder; give it \
             another name, or put a regular file in its place; rules.d/odd.yaml is no regular file; put one in its place"
        );
    }

    #[test]
    fn a_name_that_no_file_may_have_blocks() {
        assert!(refusal(&[("100644", "blob", "1", b"rules.d/\xff.yaml")]).contains("not UTF-8"));
        assert!(refusal(&[("100644", "blob", "1", "rules.d/a\nb.yaml")]).contains("rules.d/a b.yaml has a name"));
        // No git makes such trees; a server could send one.
        assert!(refusal(&[("100644", "blob", "1", "rules.d/../x.yaml")]).contains("has a name"));
        assert!(refusal(&[("160000", "commit", "-", "rules.d")]).contains("rules.d is a submodule"));
        let twice = [("100644", "blob", "1", "rules.d/a.yaml"); 2];
        assert!(refusal(&twice).contains("is there twice"));
    }

    #[test]
    fn each_limit_blocks_and_is_named() {
        assert!(refusal(&[("100644", "blob", "4194305", "rules.d/a.yaml")]).contains("4194304 is the most"));
        let many: Vec<String> = (0..257).map(|number| format!("rules.d/{number}.yaml")).collect();
        let many: Vec<_> = many.iter().map(|name| ("100644", "blob", "1", name.as_str())).collect();
        assert!(refusal(&many).contains("257 files") && refusal(&many).contains("256 is the most"));
        assert_eq!(names(&many[..256]).len(), 256);
        let large: Vec<_> = many[..5].iter().map(|(mode, kind, _, name)| (*mode, *kind, "4194304", *name)).collect();
        assert!(refusal(&large).contains("16777216 is the most"));
        assert_eq!(names(&large[..4]).len(), 4);
    }

    #[test]
    fn contents_are_cut_by_their_sizes_and_a_damaged_answer_is_an_error() {
        let entry = |size| Entry { folder: RULES, name: "a".into(), object: OBJECT.into(), size };
        let printed = format!("{OBJECT} blob 3\na\nb\n{OBJECT} blob 0\n\n");
        let contents = parse_batch(printed.as_bytes(), &[entry(3), entry(0)]).unwrap();
        assert_eq!(contents, [b"a\nb".to_vec(), Vec::new()]);
        for damaged in [format!("{OBJECT} missing\n"), format!("{OBJECT} blob 3\na"), String::new()] {
            parse_batch(damaged.as_bytes(), &[entry(3)]).unwrap_err();
        }
    }
}
