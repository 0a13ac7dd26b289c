//! Filters and tests that Kolla's and Ansible's templates use and the engine lacks, or has with another meaning.

pub(super) mod address;
mod data;
mod json;
mod network;
mod number;
mod password;
mod path;
mod pattern;
mod product;
mod service;
mod size;
mod text;
mod version;

use minijinja::value::{Rest, ValueKind, ValueOrKwargs, from_args};
use minijinja::{Environment, Error, ErrorKind, State, Value};

use super::engine::text_of;
pub(super) use password::{IDENT, password_hash};

/// Names of all filters, the engine's own included, for "did you mean".
pub(super) const NAMES: &[&str] = &[
    "abs",
    "attr",
    "b64decode",
    "b64encode",
    "basename",
    "batch",
    "bcrypt_hash",
    "bool",
    "capitalize",
    "center",
    "chain",
    "checksum",
    "combinations",
    "combine",
    "comment",
    "count",
    "d",
    "default",
    "dict2items",
    "dictsort",
    "difference",
    "dirname",
    "e",
    "escape",
    "extract",
    "first",
    "flatten",
    "float",
    "format",
    "from_json",
    "from_yaml",
    "groupby",
    "hash",
    "human_readable",
    "human_to_bytes",
    "indent",
    "int",
    "intersect",
    "ipaddr",
    "ipmath",
    "ipsubnet",
    "ipv4",
    "ipv6",
    "ipwrap",
    "items",
    "items2dict",
    "join",
    "kolla_address",
    "kolla_url",
    "last",
    "length",
    "lines",
    "list",
    "log",
    "lower",
    "mandatory",
    "map",
    "max",
    "md5",
    "min",
    "normpath",
    "nthhost",
    "password_hash",
    "path_join",
    "pow",
    "pprint",
    "product",
    "put_address_in_context",
    "quote",
    "regex_escape",
    "regex_findall",
    "regex_replace",
    "regex_search",
    "reject",
    "rejectattr",
    "relpath",
    "replace",
    "reverse",
    "root",
    "round",
    "safe",
    "select",
    "select_services_enabled_and_mapped_to_host",
    "selectattr",
    "service_enabled",
    "service_enabled_and_mapped_to_host",
    "service_mapped_to_host",
    "sha1",
    "slice",
    "sort",
    "split",
    "splitext",
    "string",
    "sum",
    "subelements",
    "symmetric_difference",
    "ternary",
    "title",
    "to_json",
    "to_nice_json",
    "to_nice_yaml",
    "to_uuid",
    "to_yaml",
    "tojson",
    "trim",
    "truncate",
    "type_debug",
    "union",
    "unique",
    "upper",
    "urldecode",
    "urlencode",
    "urlsplit",
    "wordcount",
    "zip",
    "zip_longest",
];

/// Names of the tests that are words.
pub(super) const TESTS: &[&str] = &[
    "abs",
    "all",
    "any",
    "boolean",
    "contains",
    "defined",
    "directory",
    "divisibleby",
    "endingwith",
    "eq",
    "equalto",
    "escaped",
    "even",
    "exists",
    "false",
    "falsy",
    "file",
    "filter",
    "float",
    "ge",
    "greaterthan",
    "gt",
    "in",
    "int",
    "integer",
    "issubset",
    "issuperset",
    "iterable",
    "le",
    "lessthan",
    "link",
    "lower",
    "lt",
    "mapping",
    "match",
    "ne",
    "none",
    "number",
    "odd",
    "regex",
    "safe",
    "sameas",
    "search",
    "sequence",
    "startingwith",
    "string",
    "subset",
    "superset",
    "test",
    "true",
    "truthy",
    "undefined",
    "upper",
    "url",
    "version",
    "version_compare",
];

/// Names of the functions.
pub(super) const FUNCTIONS: &[&str] = &["debug", "dict", "lookup", "namespace", "q", "query", "range"];

/// Adds them all.
pub(super) fn add(environment: &mut Environment<'static>) {
    address::add(environment);
    data::add(environment);
    network::add(environment);
    number::add(environment);
    password::add(environment);
    path::add(environment);
    pattern::add(environment);
    product::add(environment);
    service::add(environment);
    size::add(environment);
    text::add(environment);
    version::add(environment);
    // Ansible's own also have names in full.
    for name in NAMES {
        for collection in ["ansible.builtin", "ansible.utils"] {
            environment.add_filter(format!("{collection}.{name}"), |state: &mut State<'_, '_>, args: Rest<Value>| {
                state.apply_filter(name, &args)
            });
        }
    }
    for name in TESTS {
        environment.add_test(format!("ansible.builtin.{name}"), |state: &mut State<'_, '_>, args: Rest<Value>| {
            state.perform_test(name, &args)
        });
    }
}

/// An error in what a template asks of a filter.
fn wrong(message: impl Into<String>) -> Error {
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
fn room_for(items: usize) -> Result<(), Error> {
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
fn printed(value: &Value) -> Result<String, Error> {
    defined(value).map(|()| text_of(value))
}

/// What is a text already; anything else is an error.
fn written(value: &Value) -> Result<&str, Error> {
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
fn split(args: Rest<ValueOrKwargs>) -> Result<(Vec<Value>, minijinja::value::Kwargs), Error> {
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
