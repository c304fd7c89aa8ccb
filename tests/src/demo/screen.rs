//! What the demo shows: words, and below them a table like that of `juju status`.
//!
//! On a terminal the table is rewritten in place. Elsewhere each change is one line, and no control codes are printed.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::time::Instant;

use crate::juju::Status;
use crate::model::Listed;

/// A place to print on.
#[derive(Debug)]
pub struct Screen {
    begin: Instant,
    terminal: bool,
    colours: bool,
    /// How many lines of a table stand at the end of what was printed.
    table: usize,
    units: Vec<Listed>,
    hooks: usize,
    known: BTreeMap<String, String>,
}

impl Screen {
    /// The standard output.
    pub fn new(begin: Instant) -> Self {
        let variable = |name| std::env::var(name).unwrap_or_default();
        let terminal = std::io::stdout().is_terminal() && variable("TERM") != "dumb";
        let colours = terminal && variable("NO_COLOR").is_empty();
        Self { begin, terminal, colours, table: 0, units: Vec::new(), hooks: 0, known: BTreeMap::new() }
    }

    /// Prints words, above the table if there is one.
    pub fn say(&mut self, text: &str) {
        let table = self.table > 0;
        let erased = self.erase();
        print(&format!("{erased}{text}\n"));
        if table {
            self.draw();
        }
    }

    /// Takes note of a hook that has ended.
    pub fn count_hook(&mut self) {
        self.hooks += 1;
    }

    /// Shows the units as they are now.
    pub fn show(&mut self, units: &[Listed]) {
        units.clone_into(&mut self.units);
        if self.terminal {
            let erased = self.erase();
            print(&erased);
            self.draw();
            return;
        }
        for unit in units {
            let text = line(&unit.status);
            if self.known.get(&unit.unit) != Some(&text) {
                print(&format!("[{:6.2} s] {:<20} {text}\n", self.begin.elapsed().as_secs_f64(), unit.unit));
                self.known.insert(unit.unit.clone(), text);
            }
        }
    }

    /// Leaves the table where it is: what is said next comes below it.
    pub fn keep_table(&mut self) {
        if !self.terminal {
            self.draw();
        }
        self.table = 0;
        print("\n");
    }

    fn draw(&mut self) {
        let rows: Vec<[String; 4]> = self.units.iter().map(row).collect();
        let head = ["Unit", "Workload", "Agent", "Message"].map(str::to_owned);
        let width =
            |column: usize| rows.iter().chain([&head]).map(|row| row[column].chars().count()).max().unwrap_or_default();
        let widths = [width(0), width(1), width(2)];
        let mut lines =
            vec![String::new(), format!("{} hooks, {:.1} s", self.hooks, self.begin.elapsed().as_secs_f64())];
        for row in [&head].into_iter().chain(&rows) {
            let [unit, workload, agent, message] = row;
            let padded = format!("{workload:<w$}", w = widths[1]);
            let workload = self.coloured(workload, &padded);
            lines.push(format!("{unit:<u$}  {workload}  {agent:<a$}  {message}", u = widths[0], a = widths[2]));
        }
        self.table = lines.len();
        let lines: Vec<&str> = lines.iter().map(|line| line.trim_end()).collect();
        // A line that is longer than the terminal is cut, not wrapped: the table has to keep its number of lines.
        let (cut, wrap) = if self.terminal { ("\x1b[?7l", "\x1b[?7h") } else { ("", "") };
        print(&format!("{cut}{}\n{wrap}", lines.join("\n")));
    }

    fn coloured(&self, status: &str, text: &str) -> String {
        let colour = match status {
            "active" => 32,
            "waiting" | "maintenance" => 33,
            "blocked" | "error" => 31,
            _ => return text.to_owned(),
        };
        if self.colours { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// What takes the table away again.
    fn erase(&mut self) -> String {
        match std::mem::take(&mut self.table) {
            0 => String::new(),
            lines => format!("\x1b[{lines}A\x1b[J"),
        }
    }
}

fn row(unit: &Listed) -> [String; 4] {
    let indent = if unit.principal.is_some() { "  " } else { "" };
    let star = if unit.leader { "*" } else { "" };
    let agent = match &unit.executing {
        Some(hook) => format!("executing {hook}"),
        None if unit.has_charm => "idle".to_owned(),
        None => "played".to_owned(),
    };
    let Status { name, message } = &unit.status;
    [format!("{indent}{}{star}", unit.unit), name.clone(), agent, message.clone()]
}

fn line(status: &Status) -> String {
    if status.message.is_empty() { status.name.clone() } else { format!("{}: {}", status.name, status.message) }
}

fn print(text: &str) {
    // Nobody who looks is no reason to leave everything half done.
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
