//! Making conditions and outputs: lists and macros are put in, fields are checked, and `append_output` is added.

use std::collections::{BTreeMap, BTreeSet};

use super::{Compiled, Origin, Rule, Rules, Source, Surroundings};
use crate::stand_in::falco::fields::Fields;
use crate::stand_in::falco::filter::{Expression, Operand};
use crate::stand_in::falco::format::Format;
use crate::stand_in::falco::report::{Code, Location, Problem, snippet};
use crate::stand_in::falco::settings::AppendOutput;
use crate::stand_in::yaml::Mark;

type Result<T> = std::result::Result<T, Box<Problem>>;

/// What conditions may refer to so far.
struct Names {
    lists: BTreeMap<String, Vec<String>>,
    macros: BTreeMap<String, Compiled>,
}

impl Rules {
    /// Compiles everything again, because a later file can change earlier items. Warnings are about `file` only.
    pub(super) fn compile(
        &mut self,
        surroundings: &Surroundings,
        file: &str,
        warnings: &mut Vec<Problem>,
    ) -> Result<()> {
        let mut names = Names { lists: self.compile_lists(), macros: BTreeMap::new() };
        for found in &mut self.macros {
            let compiled = compile_condition(
                &found.origin,
                ("macro", &found.name),
                ("macro condition", &found.condition),
                &names,
                &surroundings.fields,
            )?;
            names.macros.insert(found.name.clone(), compiled.clone());
            found.compiled = Some(compiled);
        }
        for rule in &mut self.rules {
            rule.compile(&names, surroundings)?;
        }
        self.mark_used();
        self.warn(file, warnings);
        Ok(())
    }

    fn compile_lists(&mut self) -> BTreeMap<String, Vec<String>> {
        let mut done: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for list in &mut self.lists {
            list.lists = list.items.iter().filter(|item| done.contains_key(*item)).cloned().collect();
            list.compiled = list
                .items
                .iter()
                .flat_map(|item| done.get(item).cloned().unwrap_or_else(|| vec![item.clone()]))
                .collect();
            done.insert(list.name.clone(), list.compiled.clone());
        }
        done
    }

    fn mark_used(&mut self) {
        let compiled = || {
            let rules = self.rules.iter().filter_map(|rule| rule.compiled.as_ref());
            rules.chain(self.macros.iter().filter_map(|found| found.compiled.as_ref()))
        };
        let macros: BTreeSet<String> = compiled().flat_map(|compiled| compiled.macros.clone()).collect();
        let mut lists: BTreeSet<String> = compiled().flat_map(|compiled| compiled.lists.clone()).collect();
        lists.extend(self.lists.iter().flat_map(|list| list.lists.clone()));
        self.macros.iter_mut().for_each(|found| found.used = macros.contains(&found.name));
        self.lists.iter_mut().for_each(|list| list.used = lists.contains(&list.name));
    }

    fn warn(&self, file: &str, warnings: &mut Vec<Problem>) {
        let mut add = |origin: &Origin, code, kind, name: &str, words: &str| {
            if origin.file == file {
                warnings.push(origin.problem(code, kind, name, words.to_owned()));
            }
        };
        for rule in &self.rules {
            let all_events = rule.compiled.as_ref().is_some_and(|compiled| compiled.expression.event_types().is_none());
            if all_events && rule.source == "syscall" {
                let words = "Rule matches too many evt.type values. This has a significant performance penalty.";
                add(&rule.origin, Code::NoEventType, "rule", &rule.name, words);
            }
        }
        for found in self.macros.iter().filter(|found| !found.used) {
            let words = "Macro not referred to by any other rule/macro";
            add(&found.origin, Code::UnusedMacro, "macro", &found.name, words);
        }
        for list in self.lists.iter().filter(|list| !list.used) {
            let words = "List not referred to by any other rule/macro";
            add(&list.origin, Code::UnusedList, "list", &list.name, words);
        }
    }
}

impl Rule {
    fn compile(&mut self, names: &Names, surroundings: &Surroundings) -> Result<()> {
        let compiled = compile_condition(
            &self.origin,
            ("rule", &self.name),
            ("rule condition", &self.condition),
            names,
            &surroundings.fields,
        )?;
        self.compiled = Some(compiled);
        let appends: Vec<&AppendOutput> = surroundings.append.iter().filter(|append| append.applies(self)).collect();
        let mut text = self.output.text.clone();
        for append in &appends {
            if append.suggested {
                text.push_str(&surroundings.fields.suggested(&self.source));
            }
            text.extend(append.text.iter().flat_map(|extra| [" ", extra.as_str()]));
        }
        let parse =
            |text: &str| Format::parse(text, &surroundings.fields).map_err(|words| Box::new(self.bad_output(words)));
        let format = parse(&text)?;
        let fields = appends.iter().flat_map(|append| &append.fields);
        let extra = fields.map(|(name, text)| Ok((name.clone(), parse(text)?))).collect::<Result<Vec<_>>>()?;
        self.format = format;
        self.format_text = text;
        self.extra = extra;
        Ok(())
    }

    fn bad_output(&self, words: String) -> Problem {
        let part = ("rule output", self.output.mark);
        self.origin.part_problem(Code::CompileOutput, ("rule", &self.name), part, words)
    }
}

impl AppendOutput {
    fn applies(&self, rule: &Rule) -> bool {
        self.rule.as_ref().is_none_or(|name| *name == rule.name)
            && self.source.as_ref().is_none_or(|source| *source == rule.source)
            && self.tags.iter().all(|tag| rule.tags.contains(tag))
    }
}

fn compile_condition(
    origin: &Origin,
    item: (&'static str, &str),
    (part, condition): (&'static str, &Source),
    names: &Names,
    fields: &Fields,
) -> Result<Compiled> {
    let in_condition = |code, inside_part: bool, offset, words: String| {
        let mut problem = if inside_part {
            origin.part_problem(code, item, (part, condition.mark), words)
        } else {
            origin.problem(code, item.0, item.1, words)
        };
        let around = if inside_part { condition.mark } else { origin.mark };
        let location = place_in_condition(&condition.text, around, offset);
        problem.snippet = snippet(&condition.text, location.mark.offset);
        problem.locations.push(location);
        Box::new(problem)
    };
    let expression = Expression::parse(&condition.text)
        .map_err(|error| in_condition(Code::CompileCondition, true, error.offset, error.words))?;
    let mut trouble = None;
    let mut compiled = Compiled { expression: Expression::And(Vec::new()), macros: Vec::new(), lists: Vec::new() };
    let expression = expression.replace(&mut |leaf| match leaf {
        Expression::Macro(found_name) => {
            if let Some(found) = names.macros.get(&found_name.name) {
                compiled.macros.push(found_name.name);
                found.expression.clone()
            } else {
                let words = format!("Undefined macro '{}' used in filter.", found_name.name);
                trouble.get_or_insert_with(|| in_condition(Code::Validate, false, found_name.offset, words));
                Expression::Macro(found_name)
            }
        }
        Expression::Check(mut check) => {
            if !fields.knows(&check.field.name) {
                let words = format!("filter_check called with nonexistent field {}", check.field.name);
                trouble.get_or_insert_with(|| in_condition(Code::CompileCondition, true, check.field.offset, words));
            }
            if let Operand::Many(values) = &mut check.operand {
                let lists = values.iter().filter(|value| names.lists.contains_key(*value)).cloned();
                compiled.lists.extend(lists);
                let put_in = |value: &String| names.lists.get(value).cloned().unwrap_or_else(|| vec![value.clone()]);
                *values = values.iter().flat_map(put_in).collect();
            }
            Expression::Check(check)
        }
        other @ (Expression::And(_) | Expression::Or(_) | Expression::Not(_)) => other,
    });
    compiled.expression = expression;
    trouble.map_or(Ok(compiled), Err)
}

/// A place in a condition, counted the way Falco counts it: one line below the item and from the item's column on.
fn place_in_condition(condition: &str, around: Mark, offset: usize) -> Location {
    let short = condition.chars().count() <= 20;
    let start: String = condition.chars().take(if short { 20 } else { 17 }).collect();
    let more = if short { "" } else { "..." };
    let mark = Mark { line: around.line + 1, column: around.column + offset + 1, offset: around.offset + offset };
    Location { kind: "condition expression", item: String::new(), file: format!("\"{start}{more}\""), mark }
}

impl Compiled {
    /// The names of the fields in it.
    pub fn field_names(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        self.expression.visit(&mut |leaf| {
            if let Expression::Check(check) = leaf {
                names.insert(check.field.name.clone());
            }
        });
        names
    }

    /// The operators in it.
    pub fn operators(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        self.expression.visit(&mut |leaf| {
            if let Expression::Check(check) = leaf {
                names.insert(check.operator.clone());
            }
        });
        names
    }
}
