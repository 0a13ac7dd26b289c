//! What is wrong with a file that is no YAML, or more of it than a site can need.

use crate::error::{InputError, Kind};

/// Lists and mappings in each other.
pub(super) const DEEPEST: usize = 32;

/// Values of a file, keys among them.
pub(super) const MOST_VALUES: usize = 1_000_000;

/// Values that the aliases of a file repeat.
pub(super) const MOST_REPEATED: usize = 250_000;

/// What stands between an error of ours and its hint on the way through the parser.
pub(super) const HINT: &str = "; hint: ";

/// Bytes of all texts of a file, with those that its aliases repeat.
pub(super) const MOST_TEXT: usize = 16 << 20;

/// What to do about the two mistakes that everybody makes once.
fn syntax_hint(line: &str) -> Option<&'static str> {
    let indent = &line[..line.len() - line.trim_start().len()];
    let value = line.split_once(": ").map_or("", |(_, value)| value.trim_start());
    if indent.contains('\t') {
        Some("indent with spaces")
    } else if value.starts_with("{{") || value.starts_with("{%") {
        Some("quote a value that begins with a template, as in `name: \"{{ other }}\"`")
    } else {
        None
    }
}

/// The error of a file, without its place; `line` is the text where the parser stopped.
pub(super) fn of(error: &serde_yaml::Error, line: &str) -> InputError {
    if matches!(error.without_snippet(), serde_yaml::Error::MultipleDocuments { .. }) {
        let hint = "take out the `---` or `...` that is not at the file's beginning";
        return InputError::new("a second document begins here").of(Kind::Syntax).hint(hint);
    }
    too_much(error).unwrap_or_else(|| {
        let (text, hint) = error_text(error);
        let hint = hint.or_else(|| syntax_hint(line).map(str::to_owned));
        InputError { hint, ..InputError::new(text).of(Kind::Syntax) }
    })
}

/// A file that is larger than a file of a site can be; `None` for any other mistake.
fn too_much(error: &serde_yaml::Error) -> Option<InputError> {
    use serde_yaml::Error as Yaml;
    use serde_yaml::budget::BudgetBreach;
    let (message, hint) = match error.without_snippet() {
        Yaml::AliasError { error, .. } => return too_much(error),
        Yaml::AliasReplayLimitExceeded { .. }
        | Yaml::AliasReplayStackDepthExceeded { .. }
        | Yaml::Budget {
            breach: BudgetBreach::RecordedAnchorEvents { .. } | BudgetBreach::RecordedAnchorBytes { .. },
            ..
        } => (
            format!("aliases repeat more than {MOST_REPEATED} values"),
            "leave some of them out: aliases of aliases make much of little",
        ),
        Yaml::RecursiveReferencesRequireWeakTypes { .. } => {
            ("an alias stands in the value that it repeats".to_owned(), "write out what is meant")
        }
        Yaml::Budget { breach: BudgetBreach::Depth { .. }, .. } => (
            format!("lists and mappings stand in each other more than {DEEPEST} deep"),
            "flatten them, or keep the value as a text of JSON",
        ),
        Yaml::Budget { breach: BudgetBreach::ScalarBytes { .. }, .. } => (
            format!("the texts of this file, with those that aliases repeat, have more than {} MiB", MOST_TEXT >> 20),
            "split it, or leave some aliases out",
        ),
        Yaml::Budget { breach: BudgetBreach::Nodes { .. } | BudgetBreach::Events { .. }, .. } => {
            (format!("this file has more than {MOST_VALUES} values"), "split it")
        }
        Yaml::Budget {
            breach: BudgetBreach::Aliases { .. } | BudgetBreach::Anchors { .. } | BudgetBreach::MergeKeys { .. },
            ..
        } => (format!("this file has more than {MOST_VALUES} anchors, aliases or merge keys"), "split it"),
        Yaml::Budget { .. } => ("this file has more than a site can need".to_owned(), "split it"),
        _ => return None,
    };
    Some(InputError::new(message).of(Kind::TooMuch).hint(hint))
}

/// The parser's own words without its place, which is printed beside them, and the hint where they are ours.
fn error_text(error: &serde_yaml::Error) -> (String, Option<String>) {
    let text = error.without_snippet().to_string();
    let (text, hint) = match text.split_once(HINT) {
        Some((text, hint)) => (text.to_owned(), hint.split(" at line ").next().map(str::to_owned)),
        None => (text, None),
    };
    let text = text.lines().next().unwrap_or_default();
    let text = text.strip_prefix("error: ").unwrap_or(text);
    let mut text = text.split(" at line ").next().unwrap_or(text).to_owned();
    if let Some(rest) = text.strip_prefix("line ").and_then(|rest| rest.split_once(": ")) {
        text = rest.1.to_owned();
    }
    (text.trim_end_matches('.').to_owned(), hint)
}
