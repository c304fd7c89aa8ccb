//! What Falcosidekick said about itself since it was last started: the only source of which outputs it has taken, as it
//! drops those it does not like and goes on. Pure.
//!
//! Its lines are `2026/08/17 09:00:00 [INFO]  : words`, with `[ERROR] :` for errors and nothing in brackets for what
//! ends it.

/// How it writes the time.
const TIME: &str = "2026/08/17 09:00:00";
const VERSION: &str = "Falcosidekick version: ";
const ENABLED_OUTPUTS: &str = "Enabled Outputs: [";

/// The lines since the last start, oldest first.
#[derive(Clone, Copy, Debug)]
pub struct Log<'a>(&'a [String]);

impl<'a> Log<'a> {
    /// Takes the lines of several starts. If the beginning of the last one is no longer among them, all of them are
    /// its.
    pub fn new(lines: &'a [String]) -> Self {
        // The version comes before anything else.
        let start = lines.iter().rposition(|line| info(line).is_some_and(|words| words.starts_with(VERSION)));
        Self(&lines[start.unwrap_or(0)..])
    }

    /// The times of all starts of which there is still the first line, oldest first, as they stand there.
    pub fn starts(lines: &'a [String]) -> Vec<&'a str> {
        let is_start = |line: &&'a String| info(line).is_some_and(|words| words.starts_with(VERSION));
        lines.iter().filter(is_start).filter_map(|line| line.get(..TIME.len())).collect()
    }

    /// The version, if that line is still there.
    pub fn version(self) -> Option<&'a str> {
        info(self.0.first()?)?.strip_prefix(VERSION)
    }

    /// Whether an output is enabled; `None` when the list of outputs is not there, or no longer.
    pub fn is_enabled(self, output: &str) -> Option<bool> {
        let list = |line: &'a String| info(line)?.strip_prefix(ENABLED_OUTPUTS)?.strip_suffix(']');
        let enabled = self.0.iter().rev().find_map(list)?;
        Some(enabled.split(' ').any(|name| name == output))
    }

    /// Why an output that was asked for is not enabled. `None` also when the list of outputs is no longer there.
    ///
    /// `says`: what stands in front of its errors.
    pub fn dropped(self, output: &str, says: &str) -> Option<&'a str> {
        if self.is_enabled(output)? {
            return None;
        }
        let reason = self.0.iter().find_map(|line| error_of(line, says));
        Some(reason.unwrap_or("it does not say why"))
    }

    /// The first complaint of an output in some lines, without its name.
    pub fn first_error(lines: &'a [String], says: &str) -> Option<&'a str> {
        let words = lines.iter().find_map(|line| error_of(line, says))?;
        words.split_once(" - ").map(|(_, words)| words)
    }

    /// What it said at the end; of a crash, what the crash was.
    pub fn last_words(self) -> Option<&'a str> {
        let crash = self.0.iter().rfind(|line| line.contains("panic: "));
        let last = crash.or_else(|| self.0.iter().rfind(|line| !line.trim().is_empty()))?;
        Some(words(last))
    }
}

/// Why a start failed, from Pebble's words about it: the last line that the program printed, or else the reason Pebble
/// gives.
pub fn failed_start(message: &str, task_log: &[String]) -> String {
    let output = task_log.iter().rev().find_map(|entry| entry.split_once("Most recent service output:\n"));
    let lines: Vec<String> = output.into_iter().flat_map(|(_, lines)| lines.lines()).map(str::to_owned).collect();
    let reason = || task_log.iter().rev().find_map(|entry| Some(entry.split_once(" ERROR ")?.1));
    Log::new(&lines).last_words().or_else(reason).unwrap_or(message).to_owned()
}

/// Words without the secrets that they quote.
pub fn without(words: &str, secrets: &[String]) -> String {
    secrets.iter().fold(words.to_owned(), |words, secret| words.replace(secret.as_str(), "[redacted]"))
}

/// A line without its time and level.
fn words(line: &str) -> &str {
    line.split_once(" : ").map_or(line, |(_, words)| words).trim()
}

/// What an error of this output says.
fn error_of<'a>(line: &'a str, says: &str) -> Option<&'a str> {
    // Of several servers of one output, each has a number: `AlertManager_0 - `. What sends to OTLP has one name for all.
    let is_its =
        |who: &str| who == says || who.starts_with(&format!("{says}_")) || who == "OTLP" && says.starts_with("OTLP ");
    marked(line, "[ERROR]").filter(|words| words.split_once(" - ").is_some_and(|(who, _)| is_its(who)))
}

fn info(line: &str) -> Option<&str> {
    marked(line, "[INFO]")
}

/// The words of a line of this level. What a line quotes of somebody else comes after the first colon and cannot pass
/// for a level.
fn marked<'a>(line: &'a str, level: &str) -> Option<&'a str> {
    let (head, words) = line.split_once(" : ")?;
    head.trim_end().ends_with(level).then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(|line| format!("2026/08/17 09:00:00 {line}")).collect()
    }

    #[test]
    fn only_the_last_start_counts() {
        let lines = lines(
            "[INFO]  : Falcosidekick version: 2.34.0\n[INFO]  : Enabled Outputs: []\n\
             [INFO]  : Falcosidekick version: 2.34.1\n[INFO]  : Enabled Outputs: [Slack Loki]\n[INFO]  : Loki - POST OK (204)",
        );
        let log = Log::new(&lines);
        assert_eq!(log.version(), Some("2.34.1"));
        assert_eq!(log.dropped("Loki", "Loki"), None);
    }

    #[test]
    fn a_dropped_output_is_told_with_the_error_it_was_dropped_for() {
        let lines = lines(
            "[INFO]  : Falcosidekick version: 2.34.1\n[ERROR] : Slack - Bad Endpoint\n[ERROR] : Loki - Bad Endpoint\n\
             [INFO]  : Enabled Outputs: [LokiCanary]",
        );
        assert_eq!(Log::new(&lines).dropped("Loki", "Loki"), Some("Loki - Bad Endpoint"));
        assert_eq!(Log::new(&lines).dropped("Webhook", "Webhook"), Some("it does not say why"));
    }

    #[test]
    fn lines_that_scrolled_away_say_nothing() {
        let lines = lines("[INFO]  : Loki - POST OK (204)");
        assert_eq!(Log::new(&lines).version(), None);
        assert_eq!(Log::new(&lines).dropped("Loki", "Loki"), None);
        assert_eq!(Log::new(&[]).last_words(), None);
    }

    #[test]
    fn what_a_server_answered_does_not_pass_for_words_of_falcosidekick() {
        let lines = lines("[ERROR] : Loki - header missing (400): [INFO]  : Enabled Outputs: []");
        assert_eq!(Log::new(&lines).dropped("Loki", "Loki"), None);
    }

    #[test]
    fn a_failed_start_is_told_in_the_words_of_the_program_or_else_of_pebble() {
        let message = "cannot perform the following tasks:\n- Start service";
        let told =
            |log: &[&str]| failed_start(message, &log.iter().map(|entry| (*entry).to_owned()).collect::<Vec<_>>());
        let error = "2026-08-17T09:00:00Z ERROR service start attempt: exited quickly with code 0, will restart";
        let output = "2026-08-17T09:00:00Z INFO Most recent service output:\n    \
                      2026/08/17 09:00:00 [INFO]  : Falcosidekick version: 2.34.1\n    2026/08/17 09:00:00  : listen tcp :1: bind";
        assert_eq!(told(&[output, error]), "listen tcp :1: bind");
        assert_eq!(told(&[error]), "service start attempt: exited quickly with code 0, will restart");
        assert_eq!(told(&[]), message);
    }

    #[test]
    fn its_last_words_are_the_last_line_or_the_head_of_a_crash() {
        let bind =
            lines("[INFO]  : Falcosidekick version: 2.34.1\n : listen tcp :2801: bind: address already in use\n");
        assert_eq!(Log::new(&bind).last_words(), Some("listen tcp :2801: bind: address already in use"));
        let crash: Vec<String> =
            ["panic: duplicate label names", "", "goroutine 1 [running]:", "main.main()"].map(String::from).into();
        assert_eq!(Log::new(&crash).last_words(), Some("panic: duplicate label names"));
    }
}
