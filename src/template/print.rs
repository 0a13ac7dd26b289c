//! What template files print: the values between the text, which are written in the syntax of the file.

use std::cell::RefCell;
use std::io;

use minijinja::{Error, Output, Template, Value};

use super::arguments::text_of;
use super::{failure, yaml};
use crate::shell::syntax::{Piece, Syntax};

thread_local! {
    /// The value that a template file is printing at this moment.
    static PRINTING: RefCell<Option<Piece>> = const { RefCell::new(None) };
}

/// Stands for an empty value, which would not be seen in what a template writes.
const EMPTY: &str = "\u{e002}";

/// What a template file writes. What is captured (`{% set %}`, macros) comes here as a value once it is printed.
#[derive(Default)]
struct Pieces(Vec<Piece>);

impl io::Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = std::str::from_utf8(bytes).map_err(io::Error::other)?;
        match (PRINTING.take(), self.0.last_mut()) {
            (Some(value), _) => self.0.push(value),
            (None, Some(Piece::Text(before))) => before.push_str(text),
            (None, _) => self.0.push(Piece::Text(text.to_owned())),
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Prints a value into a template file; `data` is what it is, where that is no text.
pub(super) fn print(
    syntax: Syntax,
    value: &Value,
    data: Option<serde_json::Value>,
    out: &mut Output<'_>,
) -> Result<(), Error> {
    // As from an `if` without an `else`.
    if value.is_undefined() {
        return Ok(());
    }
    let text = if value.is_none() { String::new() } else { text_of(value).replace(EMPTY, "") };
    if value.is_safe() {
        return Ok(out.write_str(&text)?);
    }
    if let Some(what) = syntax.cannot_hold(&text) {
        return Err(failure::unwritable(text, what, syntax));
    }
    let shown = if text.is_empty() { EMPTY.to_owned() } else { text.clone() };
    PRINTING.set(Some(Piece::Value(text, data)));
    let written = out.write_str(&shown);
    PRINTING.set(None);
    Ok(written?)
}

/// The file that a template makes, its values in the syntax of the file.
pub(super) fn write(template: &Template<'_, '_>, root: Value, syntax: Option<Syntax>) -> Result<String, Error> {
    let Some(syntax) = syntax else { return template.render(root) };
    let mut pieces = Pieces::default();
    template.render_captured_to(root, &mut pieces)?;
    match syntax {
        Syntax::Yaml => yaml::write(&pieces.0),
        syntax => Ok(syntax.write(&pieces.0)),
    }
}
