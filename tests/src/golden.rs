//! Golden files: texts that the charms write for others, kept beside the tests so that a change of one is seen by
//! whoever reviews it.
//!
//! `make golden` writes them anew. What differs from one machine to the next has to be replaced by the test before.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// The variable that makes tests write golden files instead of comparing them.
const UPDATE: &str = "UPDATE_GOLDEN";

/// The command that sets it.
const COMMAND: &str = "make golden";

/// How many differing lines of each side a failure shows.
const MOST_LINES: usize = 8;

/// Holds a text against `tests/golden/<name>`.
///
/// # Panics
/// If they differ, with the first lines that do and the command that takes the text over.
#[track_caller]
pub fn assert_golden(name: &str, text: &str) {
    if std::env::var_os(UPDATE).is_some_and(|value| !value.is_empty()) {
        write(&path_of(name), text);
    } else if let Err(problem) = compare(name, text) {
        panic!("{problem}");
    }
}

fn path_of(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(name)
}

fn compare(name: &str, text: &str) -> Result<(), String> {
    let golden = fs::read_to_string(path_of(name))
        .map_err(|error| format!("tests/golden/{name}: {error}; it is written by: {COMMAND}"))?;
    match difference(&golden, text) {
        None => Ok(()),
        Some(difference) => Err(format!(
            "tests/golden/{name} is not what comes out now, {difference}if the change is wanted, take it over by: \
             {COMMAND}"
        )),
    }
}

fn write(path: &Path, text: &str) {
    let folder = path.parent().expect("a golden file is in a folder");
    let done = fs::create_dir_all(folder).and_then(|()| fs::write(path, text));
    done.unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
}

/// Where two texts part, and the first lines from there on, as far as they differ.
fn difference(golden: &str, text: &str) -> Option<String> {
    if golden == text {
        return None;
    }
    let (old, new): (Vec<&str>, Vec<&str>) = (golden.split('\n').collect(), text.split('\n').collect());
    let same = |(old, new): &(&&str, &&str)| old == new;
    let before = old.iter().zip(&new).take_while(same).count();
    let after = old[before..].iter().rev().zip(new[before..].iter().rev()).take_while(same).count();
    let (mut old, mut new) = (old[before..old.len() - after].to_vec(), new[before..new.len() - after].to_vec());
    if old.len() == new.len() {
        // No line was added or taken away, so those between two that were changed need not be shown.
        (old, new) = old.into_iter().zip(new).filter(|(old, new)| old != new).unzip();
    }
    let mut shown = format!("from line {} on:\n", before + 1);
    for (sign, lines) in [('-', old), ('+', new)] {
        for line in lines.iter().take(MOST_LINES) {
            let _ = writeln!(shown, "{sign} {line}");
        }
        if let Some(more @ 1..) = lines.len().checked_sub(MOST_LINES) {
            let _ = writeln!(shown, "{sign} … and {more} more");
        }
    }
    Some(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_that_differ_are_shown_and_no_others() {
        assert_eq!(difference("a\nb\n", "a\nb\n"), None);
        assert_eq!(difference("a\nb\nc\nd\n", "a\nx\ny\nd\n").unwrap(), "from line 2 on:\n- b\n- c\n+ x\n+ y\n");
        assert_eq!(difference("a\nb\n", "a\n").unwrap(), "from line 2 on:\n- b\n");
        assert_eq!(difference("a\na\n", "a\na\na\n").unwrap(), "from line 3 on:\n+ a\n");
        assert_eq!(difference("a\nb\nc\n", "x\nb\ny\n").unwrap(), "from line 1 on:\n- a\n- c\n+ x\n+ y\n");
        assert_eq!(difference("a", "a\n").unwrap(), "from line 2 on:\n+ \n", "a missing last line feed");
    }

    #[test]
    fn a_long_difference_is_cut() {
        let long: Vec<String> = (0..20).map(|number| number.to_string()).collect();
        let shown = difference("\n", &(long.join("\n") + "\n\n")).unwrap();
        assert_eq!(shown.lines().count(), 1 + MOST_LINES + 1, "{shown}");
        assert!(shown.ends_with("+ 7\n+ … and 12 more\n"), "{shown}");
    }

    #[test]
    fn a_file_that_is_not_there_is_a_problem_that_names_the_command_which_writes_it() {
        let problem = compare("no-such-file", "text").unwrap_err();
        assert!(problem.starts_with("tests/golden/no-such-file: ") && problem.ends_with(": make golden"), "{problem}");
    }
}
