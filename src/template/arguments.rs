//! What filters, tests and methods are given: which kind of value it is, what it holds and how it prints.

use minijinja::value::{Rest, ValueKind, ValueOrKwargs, from_args};
use minijinja::{Error, ErrorKind, Value};

/// An error in what a template asks of a filter.
pub(super) fn wrong(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message.into())
}

/// Bytes of the longest text that a filter makes of a short one.
const LONGEST: usize = 10_000_000;

/// Items of all lists that a filter makes of a few short ones.
const MOST_ITEMS: usize = 500_000;

/// Says no to a text of so many bytes: it would fill the memory.
pub(super) fn room(length: usize) -> Result<usize, Error> {
    if length > LONGEST {
        return Err(wrong(format!("the result would be longer than {LONGEST} bytes")));
    }
    Ok(length)
}

/// Says no to lists of so many items.
pub(super) fn room_for(items: usize) -> Result<(), Error> {
    if items > MOST_ITEMS {
        return Err(wrong(format!("the result would have more than {MOST_ITEMS} items")));
    }
    Ok(())
}

/// The same value, unless it is undefined.
pub(super) fn defined(value: &Value) -> Result<(), Error> {
    // The engine's own way to say which value it was.
    if value.is_undefined() { value.get_attr("").map(drop) } else { Ok(()) }
}

/// The text a value prints as.
pub(super) fn printed(value: &Value) -> Result<String, Error> {
    defined(value).map(|()| text_of(value))
}

/// What is a text already; anything else is an error.
pub(super) fn written(value: &Value) -> Result<&str, Error> {
    defined(value)?;
    value.as_str().ok_or_else(|| wrong(format!("expected text, found {}", kind(value))))
}

/// The items of a list, the keys of a mapping; anything else is an error.
pub(super) fn items(value: &Value) -> Result<Vec<Value>, Error> {
    defined(value)?;
    match value.kind() {
        ValueKind::Seq | ValueKind::Iterable | ValueKind::Map => value.try_iter()?.checked().collect(),
        _ => Err(wrong(format!("expected a list, found {}", kind(value)))),
    }
}

/// The entries of a mapping; anything else is an error.
pub(super) fn entries(value: &Value) -> Result<Vec<(Value, Value)>, Error> {
    defined(value)?;
    if value.kind() != ValueKind::Map {
        return Err(wrong(format!("expected a mapping, found {}", kind(value))));
    }
    value.try_iter()?.checked().map(|key| key.and_then(|key| Ok((key.clone(), value.get_item(&key)?)))).collect()
}

/// Arguments and keyword arguments apart.
pub(super) fn split(args: Rest<ValueOrKwargs>) -> Result<(Vec<Value>, minijinja::value::Kwargs), Error> {
    let args = args.into_values();
    let (positional, named): (&[Value], minijinja::value::Kwargs) = from_args(&args)?;
    Ok((positional.to_vec(), named))
}

/// What kind of value it is, for messages.
pub(super) fn kind(value: &Value) -> &'static str {
    use minijinja::value::ValueKind as Kind;
    match value.kind() {
        Kind::None | Kind::Undefined => "nothing",
        Kind::Bool => "a truth value",
        Kind::Number => "a number",
        Kind::String | Kind::Bytes => "text",
        Kind::Seq | Kind::Iterable => "a list",
        Kind::Map => "a mapping",
        _ => "something else",
    }
}

/// Ansible's `bool`: everything but these words and their numbers is false.
pub fn truth(value: &Value) -> bool {
    match value.as_str() {
        Some(text) => matches!(text.to_lowercase().as_str(), "yes" | "on" | "1" | "true"),
        None => value.as_i64() == Some(1) || *value == Value::from(true) || *value == Value::from(1.0),
    }
}

/// What a value prints as.
pub(super) fn text_of(value: &Value) -> String {
    match f64::try_from(value.clone()) {
        Ok(number) if value.kind() == ValueKind::Number && !value.is_integer() => crate::source::float(number),
        _ => value.to_string(),
    }
}
