//! Events and errors as JSON, one a line, with stable names.

use std::sync::Arc;

use serde_json::{Value, json};

use super::Screen;
use crate::error::{Error, InputError, Place};
use crate::run::event::{Event, Sink};

/// Prints each event as one line on stdout.
pub struct JsonLines(Arc<Screen>);

impl JsonLines {
    /// Lines for a screen.
    pub fn new(screen: Arc<Screen>) -> Self {
        Self(screen)
    }
}

impl Sink for JsonLines {
    fn event(&self, event: &Event) {
        if let Ok(line) = serde_json::to_string(event) {
            self.0.plain(&line);
        }
    }
}

/// An error as the events that `--output json` ends with: one for each input error, else one.
pub fn error(error: &Error) -> Vec<Value> {
    if let Error::Input(errors) = error {
        return errors.iter().map(|found| finding(found, "error")).collect();
    }
    let mut value = match error {
        Error::Host(error) => {
            let hint = error.hint.clone().or_else(|| error.cause.hint());
            json!({
                "kind": "host", "message": error.to_string(), "host": error.host,
                "others": error.others.iter().map(|other| &other.host).collect::<Vec<_>>(), "address": error.address, "act": error.act, "cause": error.cause.to_string(), "hint": hint,
            })
        }
        Error::Operation(error) => json!({
            "kind": "operation", "message": error.message, "causes": error.causes,
            "log_of": error.log_of, "log": error.log, "hint": error.hint,
        }),
        Error::Local { act, cause, hint } => {
            json!({ "kind": "local", "message": format!("{act}: {cause}"), "hint": hint })
        }
        Error::Interrupted | Error::Input(_) => json!({ "kind": "interrupted", "message": "interrupted" }),
    };
    value["event"] = "error".into();
    value["severity"] = "error".into();
    value["code"] = error.kind().name().into();
    vec![value]
}

/// What was found in the operator's files, for an editor that shows it there. What only deserves a word may stop the command
/// (`--strict`), so the caller says whether it is an `error` or a `warning`.
pub fn finding(found: &InputError, severity: &str) -> Value {
    let place = found.place.as_ref();
    let column = place.map(|place| place.column).filter(|&column| column > 0);
    let mut value = json!({
        "event": severity, "severity": severity, "kind": "input", "code": found.kind, "message": found.message,
        "file": place.map(|place| place.file.display().to_string()),
        "line": place.map(|place| place.line).filter(|&line| line > 0),
        "column": column, "end": column.and(place).map(Place::end),
        "used_by": found.used_by, "causes": found.causes, "hint": found.hint,
    });
    if severity == "warning" {
        // As every warning has it.
        value["host"] = "".into();
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::event::Outcome;

    #[test]
    fn an_event_is_one_line_with_stable_names() {
        let (screen, out, _) = Screen::captured();
        let sink = JsonLines::new(screen);
        sink.event(&super::super::tests::finished("a", "r", "file x", Outcome::Updated, "2\nlines", (1, 2)));
        assert_eq!(
            out.text(),
            concat!(
                r#"{"event":"finished","node":"a/r/file x","host":"a","role":"r","subject":"file x","outcome":"updated","#,
                r#""reason":"2\nlines","details":[],"at_ms":1,"took_ms":2}"#,
                "\n"
            )
        );
    }

    #[test]
    fn every_input_error_is_an_event_of_its_own() {
        let at = Place::within("globals.yml", "a: 1\n", 1, 4);
        let values = error(&Error::Input(vec![InputError::new("one").at(at), InputError::new("two")]));
        assert_eq!((&values[0]["line"], &values[0]["file"]), (&json!(1), &json!("globals.yml")));
        assert_eq!((&values[0]["column"], &values[0]["end"]), (&json!(4), &json!(5)));
        assert_eq!((&values[0]["code"], &values[0]["severity"]), (&json!("wrong-value"), &json!("error")));
        assert_eq!((&values[1]["message"], &values[1]["line"]), (&json!("two"), &Value::Null));
    }
}
