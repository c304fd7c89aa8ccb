//! Values of `falco.yaml` that Falco refuses. Of those the recordings show only an unknown drop action; the others are
//! what Falco 0.44's source says.

use super::Reader;
use crate::stand_in::yaml::Node;

/// The old name of `rules_files` beside the new one.
pub fn rules_files(root: &Node) -> Result<(), String> {
    if root.get("rules_file").is_some() && root.get("rules_files").is_some() {
        return Err("both 'rules_files' and 'rules_file' keys set".into());
    }
    Ok(())
}

/// Outputs that are on but lead nowhere.
pub fn outputs(read: &Reader<'_>) -> Result<(), String> {
    for (output, key) in [("file", "filename"), ("program", "program")] {
        let block = format!("{output}_output");
        if read.switch(&[&block, "enabled"], false) && read.text(&[&block, key], "").is_empty() {
            return Err(format!("{output} output enabled but no {key} in configuration block"));
        }
    }
    Ok(())
}

/// `rule_matching`.
pub fn rule_matching(read: &Reader<'_>) -> Result<(), String> {
    match read.text(&["rule_matching"], "first").as_str() {
        "first" | "all" => Ok(()),
        other => Err(format!("Unknown rule matching strategy \"{other}\"--must be one of first, all")),
    }
}

/// `syscall_event_drops`.
pub fn drops(read: &Reader<'_>) -> Result<(), String> {
    let actions = read.root.path(&["syscall_event_drops", "actions"]).map(Node::items).unwrap_or_default();
    let mut ignored = false;
    for action in actions {
        match action.text() {
            Some("ignore") => ignored = true,
            Some(action @ ("log" | "alert")) if ignored => {
                let words = "does not make sense with the \"ignore\" action";
                return Err(format!("syscall event drop action \"{action}\" {words}"));
            }
            Some("log" | "alert" | "exit") => {}
            _ => {
                let words = "\"ignore\", \"log\", \"alert\", and \"exit\"";
                return Err(format!("available actions for syscall event drops are {words}"));
            }
        }
    }
    let threshold: f64 = read.whole(&["syscall_event_drops", "threshold"], 0.1);
    if !(0.0..=1.0).contains(&threshold) {
        return Err("syscall event drops threshold must be a double in the range [0, 1]".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stand_in::yaml;

    fn refused(text: &str) -> Option<String> {
        let root = yaml::parse(text).unwrap().unwrap();
        let read = Reader { root: &root };
        [rules_files(&root), outputs(&read), rule_matching(&read), drops(&read)].into_iter().find_map(Result::err)
    }

    #[test]
    fn what_falco_refuses_is_refused() {
        let cases = [
            ("rules_file: a\nrules_files: [b]\n", "both 'rules_files' and 'rules_file' keys set"),
            ("file_output: {enabled: true}\n", "file output enabled but no filename in configuration block"),
            ("program_output: {enabled: true}\n", "program output enabled but no program in configuration block"),
            ("rule_matching: some\n", "Unknown rule matching strategy \"some\"--must be one of first, all"),
            (
                "syscall_event_drops: {actions: [ignore, log]}\n",
                "syscall event drop action \"log\" does not make sense with the \"ignore\" action",
            ),
            (
                "syscall_event_drops: {threshold: 1.5}\n",
                "syscall event drops threshold must be a double in the range [0, 1]",
            ),
        ];
        for (text, words) in cases {
            assert_eq!(refused(text).as_deref(), Some(words), "{text}");
        }
    }

    #[test]
    fn what_the_charm_writes_is_taken() {
        assert_eq!(
            refused("rule_matching: first\nsyscall_event_drops: {actions: [log, alert], threshold: 0.1}\n"),
            None
        );
    }
}
