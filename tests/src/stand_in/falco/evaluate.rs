//! Whether an event fulfils a condition. Only a part of the language is understood; `unsupported` tells which part is
//! missing, so that a rule is either evaluated in full or reported as never matching.

use super::event::{Event, FieldValue};
use super::filter::{Check, Expression, Operand};

const OPERATORS: &[&str] = &[
    "=",
    "==",
    "!=",
    "<",
    "<=",
    ">",
    ">=",
    "in",
    "intersects",
    "pmatch",
    "contains",
    "icontains",
    "startswith",
    "endswith",
    "exists",
];

/// What the stand-in cannot evaluate in a condition.
pub fn unsupported(expression: &Expression) -> Option<String> {
    let mut found = None;
    expression.visit(&mut |leaf| {
        let words = match leaf {
            Expression::Check(check) if !check.functions.is_empty() => format!("{}()", check.functions.join("() ")),
            Expression::Check(check) if !OPERATORS.contains(&check.operator.as_str()) => {
                format!("the operator {}", check.operator)
            }
            _ => return,
        };
        found.get_or_insert(words);
    });
    found
}

/// Whether the event fulfils the condition, which must be one without `unsupported` parts.
pub fn matches(expression: &Expression, event: &Event) -> bool {
    match expression {
        Expression::And(parts) => parts.iter().all(|part| matches(part, event)),
        Expression::Or(parts) => parts.iter().any(|part| matches(part, event)),
        Expression::Not(part) => !matches(part, event),
        Expression::Check(check) => check_matches(check, event),
        // Macros are put in before; an unknown one does not load.
        Expression::Macro(_) => false,
    }
}

/// A comparison with a field that has no value is false, whatever the operator.
fn check_matches(check: &Check, event: &Event) -> bool {
    let Some(value) = event.field(&check.field.name) else { return false };
    let text = value.text();
    match (check.operator.as_str(), &check.operand) {
        ("exists", _) => true,
        ("in", Operand::Many(values)) => value.texts().iter().all(|text| values.contains(text)),
        ("intersects", Operand::Many(values)) => value.texts().iter().any(|text| values.contains(text)),
        ("pmatch", Operand::Many(values)) => values.iter().any(|prefix| is_below(&text, prefix)),
        ("=" | "==", Operand::One(wanted)) => text == *wanted,
        ("!=", Operand::One(wanted)) => text != *wanted,
        ("contains", Operand::One(wanted)) => text.contains(wanted),
        ("icontains", Operand::One(wanted)) => text.to_lowercase().contains(&wanted.to_lowercase()),
        ("startswith", Operand::One(wanted)) => text.starts_with(wanted),
        ("endswith", Operand::One(wanted)) => text.ends_with(wanted),
        (operator, Operand::One(wanted)) => compare(&value, operator, wanted),
        _ => false,
    }
}

fn is_below(path: &str, prefix: &str) -> bool {
    let prefix = prefix.trim_end_matches('/');
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn compare(value: &FieldValue, operator: &str, wanted: &str) -> bool {
    let (FieldValue::Number(number), Ok(wanted)) = (value, wanted.parse::<i64>()) else { return false };
    match operator {
        "<" => *number < wanted,
        "<=" => *number <= wanted,
        ">" => *number > wanted,
        ">=" => *number >= wanted,
        _ => false,
    }
}
