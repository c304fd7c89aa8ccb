//! The command line of Falco: the options a charm may use, and the words for a wrong one.

use std::path::PathBuf;

/// What the command line asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommandLine {
    /// `-c`.
    pub config: Option<PathBuf>,
    /// `-o`, in order.
    pub overrides: Vec<String>,
    /// `-r`, in order; replaces the list of the configuration.
    pub rules: Vec<String>,
    /// `-P`.
    pub pid_file: Option<PathBuf>,
    /// What to do.
    pub task: Task,
    /// The whole line, for `--support`.
    pub text: String,
}

/// What to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Task {
    /// Detect until stopped.
    #[default]
    Run,
    /// `--dry-run`.
    DryRun,
    /// `-V`, with the files in order.
    Validate(Vec<String>),
    /// `-L`.
    ListRules,
    /// `-l`.
    ListRule(String),
    /// `--list-plugins`.
    ListPlugins,
    /// `--support`.
    Support,
    /// `--version`.
    Version,
    /// `--config-schema`.
    ConfigSchema,
}

impl CommandLine {
    /// Reads arguments, program name first. The error is what Falco prints after `Error: `.
    pub fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut line = Self { text: arguments.join(" "), ..Self::default() };
        let mut rest = arguments.iter().skip(1).cloned();
        while let Some(argument) = rest.next() {
            let (name, mut attached) = split(&argument)?;
            let mut value = || {
                attached.take().or_else(|| rest.next()).ok_or_else(|| format!("Option ‘{name}’ is missing an argument"))
            };
            match name.as_str() {
                "c" => line.config = Some(value()?.into()),
                "o" | "option" => line.overrides.push(value()?),
                "r" => line.rules.push(value()?),
                "P" | "pidfile" => line.pid_file = Some(value()?.into()),
                "V" | "validate" => {
                    let file = value()?;
                    match &mut line.task {
                        Task::Validate(files) => files.push(file),
                        task => *task = Task::Validate(vec![file]),
                    }
                }
                "l" => line.task = Task::ListRule(value()?),
                "L" => line.task = Task::ListRules,
                "dry-run" => line.task = Task::DryRun,
                "list-plugins" => line.task = Task::ListPlugins,
                "support" => line.task = Task::Support,
                "version" => line.task = Task::Version,
                "config-schema" => line.task = Task::ConfigSchema,
                "U" | "unbuffered" | "v" => {}
                _ => return Err(format!("Option ‘{name}’ does not exist")),
            }
        }
        Ok(line)
    }

    /// Whether an `-o` turns `key` on. For the tasks that need no configuration file.
    pub fn is_on(&self, key: &str) -> bool {
        self.overrides
            .iter()
            .filter_map(|pair| pair.split_once('='))
            .any(|(name, value)| name == key && value == "true")
    }
}

/// An option's name, and the value written in the same argument.
fn split(argument: &str) -> Result<(String, Option<String>), String> {
    if let Some(long) = argument.strip_prefix("--") {
        return Ok(match long.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (long.to_owned(), None),
        });
    }
    let short = argument.strip_prefix('-').and_then(|rest| rest.chars().next());
    let Some(name) = short else { return Err(format!("Unmatched argument {argument}")) };
    let value = argument[1 + name.len_utf8()..].to_owned();
    Ok((name.to_string(), Some(value).filter(|value| !value.is_empty())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<CommandLine, String> {
        let all: Vec<String> = std::iter::once("falco").chain(arguments.iter().copied()).map(str::to_owned).collect();
        CommandLine::parse(&all)
    }

    #[test]
    fn files_to_validate_keep_their_order() {
        let line = parse(&["-V", "a", "-Vb", "--validate=c"]).unwrap();
        assert_eq!(line.task, Task::Validate(vec!["a".into(), "b".into(), "c".into()]));
    }

    #[test]
    fn an_unknown_option_is_named() {
        assert_eq!(parse(&["--nope"]).unwrap_err(), "Option ‘nope’ does not exist");
    }
}
