//! What was measured, as a table with a word about each of its columns.

use std::fmt::Write as _;
use std::time::Duration;

use crate::case::{Calls, Case, Charm, MOST_MEMORY, quantile};
use crate::processes::Processes;

const LEGEND: &str = "
wall time        from the start of the process to its end, with everything that it waits for: the median, and
                 what 95 % of the runs do not exceed
CPU time         of the process itself, in its program and in the kernel, without its children
own share        CPU time in hundredths of the wall time: the rest is Juju, Falco, Pebble, and waiting for them
× empty process  as many times what the empty process in Rust takes in the same run: compare this between machines
memory           the most that the process itself had resident at a time, of one more run that is traced
hook commands    calls of Juju, a process each; the harness answers, through a smaller program than Juju's
host commands    calls of systemctl and journalctl, which the harness answers as well
Pebble requests  over Pebble's socket; Pebble watches what it starts for a second before it says that it runs
";

/// The table.
pub fn text(processes: &Processes, charms: &[Charm], runs: usize) -> String {
    let Processes { system, rust, hook_command } = processes;
    let empty = [&rust.wall, &rust.cpu].map(|values| quantile(values, 0.5));
    let mut text = format!("\nOne dispatch of each charm, built for release, {runs} runs of each hook\n\n");
    row(&mut text, "", ["wall time", "", "× empty", "CPU time", "× empty", "own", "memory", "hook", "host", "Pebble"]);
    row(
        &mut text,
        "",
        ["median", "p95", "process", "median", "process", "share", "peak", "commands", "commands", "requests"],
    );
    row(&mut text, "", ["ms", "ms", "", "ms", "", "%", "MiB", "", "", ""]);
    case(&mut text, system, empty);
    case(&mut text, rust, empty);
    let mut one = [""; 10];
    let (time, ratio) = (millis(*hook_command), times(*hook_command, empty[0]));
    (one[0], one[2]) = (&time, &ratio);
    row(&mut text, "one hook command", one);
    for Charm { name, most_hook_commands, cases } in charms {
        let _ = writeln!(text, "\n{name}");
        for each in cases {
            case(&mut text, each, empty);
        }
        let steady = cases.iter().filter(|case| case.steady);
        let commands = steady.map(|case| case.calls.hook_commands).max().unwrap_or(0);
        let usual = cases.iter().filter(|case| case.most_memory == MOST_MEMORY);
        let [memory, limit] = [usual.filter_map(|case| case.memory).max().unwrap_or(0), MOST_MEMORY].map(mebibytes);
        let _ = writeln!(
            text,
            "  budgets: {commands} of {most_hook_commands} hook commands when there is nothing to do, \
             {memory} of {limit} MiB of memory"
        );
    }
    text + LEGEND
}

fn case(text: &mut String, case: &Case, [empty_wall, empty_cpu]: [Duration; 2]) {
    let Case { name, steady: _, most_memory: _, wall, cpu, memory, calls } = case;
    let Calls { hook_commands, host_commands, requests } = *calls;
    let (median, p95, cpu) = (quantile(wall, 0.5), quantile(wall, 0.95), quantile(cpu, 0.5));
    let [hook_commands, host_commands, requests] = [hook_commands, host_commands, requests]
        .map(|number| if number == 0 { "–".into() } else { number.to_string() });
    let cells = [
        millis(median),
        millis(p95),
        times(median, empty_wall),
        millis(cpu),
        times(cpu, empty_cpu),
        format!("{:.0}", 100.0 * cpu.as_secs_f64() / median.as_secs_f64()),
        memory.map_or_else(String::new, mebibytes),
        hook_commands,
        host_commands,
        requests,
    ];
    row(text, name, cells.each_ref().map(String::as_str));
}

fn row(text: &mut String, name: &str, cells: [&str; 10]) {
    let mut line = format!("  {name:<34}");
    for cell in cells {
        let _ = write!(line, "{cell:>10}");
    }
    let _ = writeln!(text, "{}", line.trim_end());
}

fn millis(time: Duration) -> String {
    format!("{:.2}", time.as_secs_f64() * 1000.0)
}

fn times(time: Duration, unit: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() / unit.as_secs_f64())
}

#[expect(clippy::cast_precision_loss, reason = "it is rounded to hundredths of a mebibyte")]
fn mebibytes(bytes: u64) -> String {
    format!("{:.2}", bytes as f64 / f64::from(1 << 20))
}
