//! Filters over lists and mappings, and between them and JSON or YAML text.

use minijinja::value::{Rest, ValueKind, ValueOrKwargs};
use minijinja::{Environment, Error, State, Value};

use super::super::arguments::{defined, entries, items, kind, room, split, truth, written, wrong};
use super::super::engine;
use super::super::lazy::{Root, settle};
use super::json;
use crate::shell::syntax::Syntax;
use crate::source::{Style, dump};

pub(super) fn add(environment: &mut Environment<'static>) {
    environment.add_filter("bool", |value: &Value| defined(value).map(|()| truth(value)));
    environment.add_filter("default", default);
    environment.add_filter("d", default);
    environment.add_function("dict", dict);
    environment.add_test("none", |value: &Value| defined(value).map(|()| value.is_none()));
    environment.add_test("sequence", |value: &Value| {
        matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable | ValueKind::String | ValueKind::Map)
    });
    environment.add_filter("mandatory", |value: Value| defined(&value).map(|()| value));
    environment.add_filter("ternary", ternary);
    environment.add_filter("combine", combine);
    environment.add_filter("dict2items", dict2items);
    environment.add_filter("items2dict", items2dict);
    environment.add_filter("difference", |a: &Value, b: &Value| keep(a, b, false));
    environment.add_filter("intersect", |a: &Value, b: &Value| keep(a, b, true));
    environment.add_filter("union", |a: &Value, b: &Value| union(a, b));
    environment
        .add_filter("symmetric_difference", |a: &Value, b: &Value| union(&keep(a, b, false)?, &keep(b, a, false)?));
    environment.add_filter("flatten", flatten);
    environment.add_filter("extract", extract);
    environment.add_filter("subelements", subelements);
    environment.add_filter("to_json", |state: &mut State<'_, '_>, value: &Value, rest: Rest<ValueOrKwargs>| {
        to_json(value, rest, json::Style::default()).map(|text| of_syntax(state, text, Syntax::has_json))
    });
    environment.add_filter("to_nice_json", |state: &mut State<'_, '_>, value: &Value, rest: Rest<ValueOrKwargs>| {
        let style = json::Style { indent: Some(4), sort: true, unicode: false };
        to_json(value, rest, style).map(|text| of_syntax(state, text, Syntax::has_json))
    });
    environment.add_filter("tojson", |state: &mut State<'_, '_>, value: &Value, rest: Rest<ValueOrKwargs>| {
        let text = to_json(value, rest, json::Style { sort: true, ..json::Style::default() })?;
        // For HTML.
        let text =
            text.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026").replace('\'', "\\u0027");
        Ok::<_, Error>(of_syntax(state, text, Syntax::has_json))
    });
    environment.add_filter("from_json", |text: &Value| {
        let parsed: serde_json::Value =
            serde_json::from_str(written(text)?).map_err(|error| wrong(format!("text is not JSON: {error}")))?;
        Ok(Value::from(minijinja::value::Serde(parsed)))
    });
    environment.add_filter("to_yaml", |state: &mut State<'_, '_>, value: &Value, rest: Rest<ValueOrKwargs>| {
        let yaml = to_yaml(value, rest, Style { flow: None, unicode: true, ..Style::default() });
        yaml.map(|text| of_syntax(state, text, |syntax| syntax == Syntax::Yaml))
    });
    environment.add_filter("to_nice_yaml", |state: &mut State<'_, '_>, value: &Value, rest: Rest<ValueOrKwargs>| {
        let yaml = to_yaml(value, rest, Style { indent: 4, unicode: true, ..Style::default() });
        yaml.map(|text| of_syntax(state, text, |syntax| syntax == Syntax::Yaml))
    });
    environment.add_filter("from_yaml", |text: &Value| {
        let document = crate::source::Document::parse("", written(text)?)
            .map_err(|error| wrong(format!("text is not YAML: {}", error.message)))?;
        Ok(Value::from(minijinja::value::Serde(document.root.to_json())))
    });
    environment.add_filter("type_debug", |value: &Value| type_name(value));
    environment.add_test("truthy", |value: &Value, rest: Rest<ValueOrKwargs>| truthy(value, rest));
    environment.add_test("falsy", |value: &Value, rest: Rest<ValueOrKwargs>| truthy(value, rest).map(|truthy| !truthy));
    environment.add_test("contains", |state: &mut State<'_, '_>, list: &Value, item: &Value| {
        state.perform_test("in", &[item.clone(), list.clone()])
    });
    for name in ["subset", "issubset"] {
        environment.add_test(name, |a: &Value, b: &Value| Ok(keep(a, b, false)?.len() == Some(0)));
    }
    for name in ["superset", "issuperset"] {
        environment.add_test(name, |a: &Value, b: &Value| Ok(keep(b, a, false)?.len() == Some(0)));
    }
    environment.add_test("all", |list: &Value| Ok(items(list)?.iter().all(Value::is_true)));
    environment.add_test("any", |list: &Value| Ok(items(list)?.iter().any(Value::is_true)));
}

fn truthy(value: &Value, rest: Rest<ValueOrKwargs>) -> Result<bool, Error> {
    let (args, named) = split(rest)?;
    let convert = match args.first() {
        Some(convert) => convert.is_true(),
        None => named.get::<Option<bool>>("convert_bool")?.unwrap_or(false),
    };
    named.assert_all_used()?;
    defined(value)?;
    let word = value.as_str().filter(|_| convert).map(str::to_lowercase);
    Ok(match word.as_deref() {
        Some("yes" | "on" | "1" | "true" | "y" | "t") => true,
        Some("no" | "off" | "0" | "false" | "n" | "f") => false,
        _ => value.is_true(),
    })
}

/// Python's name of the type.
fn type_name(value: &Value) -> &'static str {
    match value.kind() {
        ValueKind::None => "NoneType",
        ValueKind::Undefined => "Undefined",
        ValueKind::Bool => "bool",
        ValueKind::Number if value.is_integer() => "int",
        ValueKind::Number => "float",
        ValueKind::String => "str",
        ValueKind::Map => "dict",
        _ => "list",
    }
}

/// `value | default(other, boolean)`: where the last is true, also in place of what counts as false.
fn default(value: Value, rest: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let (args, named) = split(rest)?;
    let argument = |index: usize, name: &str| match args.get(index) {
        Some(value) => Ok(Some(value.clone())),
        None => named.get::<Option<Value>>(name),
    };
    let other = match args.first() {
        Some(other) => other.clone(),
        None if named.has("default_value") => named.get("default_value")?,
        None => Value::from(""),
    };
    let loose = argument(1, "boolean")?.is_some_and(|loose| loose.is_true());
    named.assert_all_used()?;
    Ok(if value.is_undefined() || loose && !value.is_true() { other } else { value })
}

/// A mapping from another one, from pairs, and from keyword arguments.
fn dict(rest: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let (args, named) = split(rest)?;
    let mut pairs = Vec::new();
    match args.first() {
        Some(map) if map.kind() == ValueKind::Map => pairs.extend(entries(map)?),
        Some(list) => {
            for pair in items(list)? {
                match &items(&pair)?[..] {
                    [key, value] => pairs.push((key.clone(), value.clone())),
                    _ => return Err(wrong(format!("`dict` takes pairs, found {pair}"))),
                }
            }
        }
        None => {}
    }
    for name in named.args() {
        pairs.push((Value::from(name), named.get(name)?));
    }
    Ok(Value::from_pairs(pairs))
}

fn ternary(value: &Value, yes: Value, no: Value, none: Option<Value>) -> Result<Value, Error> {
    defined(value)?;
    Ok(match none {
        Some(none) if value.is_none() => none,
        _ if value.is_true() => yes,
        _ => no,
    })
}

fn combine(first: Value, rest: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let (others, named) = split(rest)?;
    let recursive = named.get::<Option<bool>>("recursive")?.unwrap_or(false);
    let lists = named.get::<Option<String>>("list_merge")?.unwrap_or_else(|| "replace".to_owned());
    named.assert_all_used()?;
    let mut merged = Value::from_pairs(Vec::<(Value, Value)>::new());
    for value in std::iter::once(first).chain(others) {
        // A list of mappings counts as so many arguments.
        let parts = if value.kind() == ValueKind::Seq { items(&value)? } else { vec![value] };
        for part in parts.into_iter().filter(|part| !part.is_none()) {
            merged = merge(&merged, &part, recursive, &lists)?;
        }
    }
    Ok(merged)
}

fn merge(low: &Value, high: &Value, recursive: bool, lists: &str) -> Result<Value, Error> {
    let mut merged: indexmap::IndexMap<Value, Value> = entries(low)?.into_iter().collect();
    for (key, value) in entries(high)? {
        let old = merged.get(&key);
        let value = match old {
            Some(old) if recursive && old.kind() == ValueKind::Map && value.kind() == ValueKind::Map => {
                merge(old, &value, recursive, lists)?
            }
            Some(old) if old.kind() == ValueKind::Seq && value.kind() == ValueKind::Seq => match lists {
                "replace" => value,
                "keep" => old.clone(),
                "append" => items(old)?.into_iter().chain(items(&value)?).collect(),
                "prepend" => items(&value)?.into_iter().chain(items(old)?).collect(),
                "append_rp" => union(&keep(old, &value, false)?, &value)?,
                "prepend_rp" => union(&value, &keep(old, &value, false)?)?,
                other => return Err(wrong(format!("unknown `list_merge` `{other}`"))),
            },
            _ => value,
        };
        merged.insert(key, value);
    }
    Ok(Value::from_pairs(merged))
}

/// What the two fields of a pair are called.
fn pair_names(rest: Rest<ValueOrKwargs>) -> Result<(String, String), Error> {
    let (args, named) = split(rest)?;
    let name = |index: usize, name: &str, usual: &str| match args.get(index) {
        Some(given) => Ok(given.to_string()),
        None => Ok::<_, Error>(named.get::<Option<String>>(name)?.unwrap_or_else(|| usual.to_owned())),
    };
    let (key, value) = (name(0, "key_name", "key")?, name(1, "value_name", "value")?);
    named.assert_all_used()?;
    Ok((key, value))
}

fn dict2items(value: &Value, rest: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let (key_name, value_name) = pair_names(rest)?;
    let pair = |(key, value)| Value::from_pairs([(key_name.clone(), key), (value_name.clone(), value)]);
    Ok(entries(value)?.into_iter().map(pair).collect::<Vec<_>>().into())
}

fn items2dict(value: &Value, rest: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let (key_name, value_name) = pair_names(rest)?;
    let pair = |item: Value| {
        let (key, value) = (item.get_attr(&key_name)?, item.get_attr(&value_name)?);
        if key.is_undefined() || value.is_undefined() {
            return Err(wrong(format!("every item needs `{key_name}` and `{value_name}`")));
        }
        Ok((key, value))
    };
    Ok(Value::from_pairs(items(value)?.into_iter().map(pair).collect::<Result<Vec<_>, _>>()?))
}

/// The distinct items of `a` that are in `b`, or that are not.
fn keep(a: &Value, b: &Value, present: bool) -> Result<Value, Error> {
    let others = items(b)?;
    let mut kept: Vec<Value> = Vec::new();
    for item in items(a)? {
        if others.contains(&item) == present && !kept.contains(&item) {
            kept.push(item);
        }
    }
    Ok(Value::from(kept))
}

fn union(a: &Value, b: &Value) -> Result<Value, Error> {
    let mut all: Vec<Value> = Vec::new();
    for item in items(a)?.into_iter().chain(items(b)?) {
        if !all.contains(&item) {
            all.push(item);
        }
    }
    Ok(Value::from(all))
}

fn flatten(value: &Value, rest: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    fn walk(value: &Value, levels: i64, nulls: bool, out: &mut Vec<Value>) -> Result<(), Error> {
        for item in items(value)? {
            if matches!(item.kind(), ValueKind::Seq | ValueKind::Iterable) && levels != 0 {
                walk(&item, levels - 1, nulls, out)?;
            } else if nulls || !(item.is_none() || matches!(item.as_str(), Some("None" | "null"))) {
                out.push(item);
            }
        }
        Ok(())
    }
    let (args, named) = split(rest)?;
    let levels = match args.first().and_then(Value::as_i64) {
        Some(levels) => levels,
        None => named.get::<Option<i64>>("levels")?.unwrap_or(-1),
    };
    let nulls = !named.get::<Option<bool>>("skip_nulls")?.unwrap_or(true);
    named.assert_all_used()?;
    let mut out = Vec::new();
    walk(value, levels, nulls, &mut out)?;
    Ok(Value::from(out))
}

/// Each element with each item of a list in it, which a path names: `users | subelements('keys')`.
fn subelements(value: &Value, path: &Value, rest: Rest<ValueOrKwargs>) -> Result<Vec<Value>, Error> {
    let (args, named) = split(rest)?;
    let skips = match args.first() {
        Some(skips) => skips.is_true(),
        None => named.get::<Option<Value>>("skip_missing")?.is_some_and(|skips| skips.is_true()),
    };
    named.assert_all_used()?;
    let path = match path.as_str() {
        Some(path) => path.split('.').map(Value::from).collect(),
        None => items(path)?,
    };
    let elements = match value.kind() {
        ValueKind::Map => entries(value)?.into_iter().map(|(_, element)| element).collect(),
        _ => items(value)?,
    };
    let mut found = Vec::new();
    for element in elements {
        let mut list = element.clone();
        for key in &path {
            list = list.get_item(key)?;
            if list.is_undefined() {
                break;
            }
        }
        match list.kind() {
            ValueKind::Undefined if skips => {}
            ValueKind::Undefined => return Err(wrong("an element of `subelements` has no such list in it")),
            ValueKind::Seq | ValueKind::Iterable => {
                found.extend(items(&list)?.into_iter().map(|item| Value::from(vec![element.clone(), item])));
            }
            _ => return Err(wrong(format!("`subelements` leads to {}, not to a list", kind(&list)))),
        }
    }
    Ok(found)
}

/// `key | extract(container, more keys)`, mostly as `hosts | map('extract', hostvars, 'x')`.
fn extract(key: &Value, container: &Value, more: Option<Value>) -> Result<Value, Error> {
    let mut value = container.get_item(key)?;
    if value.is_undefined() && container.downcast_object_ref::<Root>().is_none() {
        return Err(wrong(format!("there is no `{key}`")));
    }
    let more = match more {
        Some(keys) if keys.kind() == ValueKind::Seq => items(&keys)?,
        other => other.into_iter().collect(),
    };
    for key in more {
        value = value.get_item(&key)?;
    }
    settle(&value)
}

/// A text of JSON or YAML: in a file that has it in its syntax it is part of that, and elsewhere a text.
fn of_syntax(state: &State<'_, '_>, text: String, has: impl Fn(Syntax) -> bool) -> Value {
    let own = engine::syntax(state).is_some_and(has);
    if own { Value::from_safe_string(text) } else { Value::from(text) }
}

fn to_json(value: &Value, rest: Rest<ValueOrKwargs>, style: json::Style) -> Result<String, Error> {
    let (args, named) = split(rest)?;
    let indent = match args.first() {
        Some(indent) => indent.as_usize(),
        None => named.get::<Option<usize>>("indent")?,
    };
    let style = json::Style {
        indent: indent.map(room).transpose()?.or(style.indent),
        sort: named.get::<Option<bool>>("sort_keys")?.unwrap_or(style.sort),
        unicode: named.get::<Option<bool>>("ensure_ascii")?.map_or(style.unicode, |ascii| !ascii),
    };
    json::text(&settle(value)?, style)
}

fn to_yaml(value: &Value, rest: Rest<ValueOrKwargs>, style: Style) -> Result<String, Error> {
    let (args, named) = split(rest)?;
    let indent = match args.first() {
        Some(indent) => indent.as_usize(),
        None => named.get::<Option<usize>>("indent")?,
    };
    let style = Style {
        // As PyYAML: others are no indentation.
        indent: indent.unwrap_or(style.indent).clamp(2, 9),
        width: named.get::<Option<usize>>("width")?.unwrap_or(style.width),
        flow: named.get::<Option<bool>>("default_flow_style")?.or(style.flow),
        sort: named.get::<Option<bool>>("sort_keys")?.unwrap_or(style.sort),
        unicode: style.unicode,
    };
    Ok(dump(&json::of(&settle(value)?)?, style))
}
