//! Filters and tests that Kolla's and Ansible's templates use and the engine lacks, or has with another meaning.

pub(super) mod address;
mod data;
mod json;
mod text;

use minijinja::value::{Rest, ValueOrKwargs, from_args};
use minijinja::{Environment, Error, ErrorKind, Value};

/// Names of all filters, the engine's own included, for "did you mean".
pub(super) const NAMES: &[&str] = &[
    "abs",
    "attr",
    "b64decode",
    "b64encode",
    "basename",
    "batch",
    "bool",
    "capitalize",
    "chain",
    "combine",
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
    "indent",
    "int",
    "intersect",
    "ipaddr",
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
    "lower",
    "mandatory",
    "map",
    "max",
    "min",
    "path_join",
    "pprint",
    "put_address_in_context",
    "quote",
    "regex_escape",
    "regex_findall",
    "regex_replace",
    "regex_search",
    "reject",
    "rejectattr",
    "replace",
    "reverse",
    "round",
    "safe",
    "select",
    "selectattr",
    "slice",
    "sort",
    "split",
    "string",
    "sum",
    "symmetric_difference",
    "ternary",
    "title",
    "to_json",
    "to_nice_json",
    "to_nice_yaml",
    "to_yaml",
    "tojson",
    "trim",
    "union",
    "unique",
    "upper",
    "urlencode",
    "zip",
];

/// Names of the tests that are words.
pub(super) const TESTS: &[&str] = &[
    "boolean",
    "contains",
    "defined",
    "divisibleby",
    "endingwith",
    "eq",
    "equalto",
    "escaped",
    "even",
    "false",
    "falsy",
    "filter",
    "float",
    "ge",
    "greaterthan",
    "gt",
    "in",
    "int",
    "integer",
    "iterable",
    "le",
    "lessthan",
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
];

/// Names of the functions.
pub(super) const FUNCTIONS: &[&str] = &["debug", "dict", "lookup", "namespace", "query", "range"];

/// Adds them all.
pub(super) fn add(environment: &mut Environment<'static>) {
    data::add(environment);
    text::add(environment);
    address::add(environment);
    // Collections of Ansible name some of them in full.
    for (long, short) in
        [("ansible.utils.ipaddr", "ipaddr"), ("ansible.utils.ipwrap", "ipwrap"), ("ansible.builtin.bool", "bool")]
    {
        environment.add_filter(long, move |state: &mut minijinja::State<'_, '_>, args: Rest<Value>| {
            state.apply_filter(short, &args)
        });
    }
}

/// An error in what a template asks of a filter.
fn wrong(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message.into())
}

/// The same value, unless it is undefined.
fn defined(value: &Value) -> Result<(), Error> {
    // The engine's own way to say which value it was.
    if value.is_undefined() { value.get_attr("").map(drop) } else { Ok(()) }
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
pub(super) fn truth(value: &Value) -> bool {
    match value.as_str() {
        Some(text) => matches!(text.to_lowercase().as_str(), "yes" | "on" | "1" | "true"),
        None => value.as_i64() == Some(1) || *value == Value::from(true) || *value == Value::from(1.0),
    }
}
