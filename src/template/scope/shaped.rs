//! Values that are to be of one shape: a text, a truth value, a number, a list.

use minijinja::Value;
use minijinja::value::ValueKind;

use super::super::arguments;
use super::Scope;
use crate::error::InputError;
use crate::source::{Document, Node};

impl Scope {
    /// As [`Scope::eval`], for text: numbers and truth values are printed, nothing is empty.
    pub fn eval_text(&self, document: &Document, node: &Node) -> Result<String, InputError> {
        let value = self.eval(document, node)?;
        text_of(&value).ok_or_else(|| expected("text", &value, document, node))
    }

    /// As [`Scope::eval`], for a truth value by Ansible's words; nothing is false.
    pub fn eval_flag(&self, document: &Document, node: &Node) -> Result<bool, InputError> {
        let value = self.eval(document, node)?;
        let text = text_of(&value).unwrap_or_default().to_lowercase();
        match (value.kind(), text.as_str()) {
            (ValueKind::None, _) | (_, "no" | "off" | "0" | "false" | "n" | "f") => Ok(false),
            (_, "yes" | "on" | "1" | "true" | "y" | "t") => Ok(true),
            _ => Err(expected("true or false", &value, document, node)),
        }
    }

    /// As [`Scope::eval`], for a whole number.
    pub fn eval_number(&self, document: &Document, node: &Node) -> Result<i64, InputError> {
        let value = self.eval(document, node)?;
        let number = if value.kind() == ValueKind::Bool { None } else { value.as_i64() };
        number
            .or_else(|| value.as_str().and_then(|text| text.trim().parse().ok()))
            .ok_or_else(|| expected("a whole number", &value, document, node))
    }

    /// As [`Scope::eval`], for a list of texts; nothing is empty.
    pub fn eval_list(&self, document: &Document, node: &Node) -> Result<Vec<String>, InputError> {
        let value = self.eval(document, node)?;
        match value.kind() {
            ValueKind::None => Ok(Vec::new()),
            ValueKind::Seq | ValueKind::Iterable => {
                let items = value.try_iter().into_iter().flatten();
                items.map(|item| text_of(&item).ok_or_else(|| expected("text", &item, document, node))).collect()
            }
            _ => Err(expected("a list", &value, document, node)),
        }
    }
}

/// A plain value as text.
fn text_of(value: &Value) -> Option<String> {
    match value.kind() {
        ValueKind::None => Some(String::new()),
        ValueKind::Bool | ValueKind::Number | ValueKind::String => Some(value.to_string()),
        _ => None,
    }
}

fn expected(what: &str, found: &Value, document: &Document, node: &Node) -> InputError {
    let shown = match (found.as_str(), found.kind()) {
        (Some(text), _) if text.len() <= 60 => format!("`{text}`"),
        (_, ValueKind::Bool | ValueKind::Number) => format!("`{found}`"),
        _ => arguments::kind(found).to_owned(),
    };
    InputError::new(format!("expected {what}, found {shown}")).at(document.place(node))
}
