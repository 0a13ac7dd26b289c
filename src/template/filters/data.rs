//! Filters over lists and mappings, and between them and JSON or YAML text.

use minijinja::value::{Rest, ValueKind, ValueOrKwargs};
use minijinja::{Environment, Error, Value};

use super::super::lazy::{Root, settle};
use super::{defined, json, kind, split, truth, wrong};

pub(super) fn add(environment: &mut Environment<'static>) {
    environment.add_filter("bool", |value: &Value| defined(value).map(|()| truth(value)));
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
    environment.add_filter("to_json", |value: &Value| json::compact(&settle(value)?));
    environment.add_filter("to_nice_json", |value: &Value, _: Rest<ValueOrKwargs>| json::pretty(&settle(value)?));
    environment.add_filter("from_json", |text: &str| {
        let parsed: serde_json::Value =
            serde_json::from_str(text).map_err(|error| wrong(format!("text is not JSON: {error}")))?;
        Ok(Value::from(minijinja::value::Serde(parsed)))
    });
    environment.add_filter("to_yaml", |value: &Value, _: Rest<ValueOrKwargs>| to_yaml(value));
    environment.add_filter("to_nice_yaml", |value: &Value, _: Rest<ValueOrKwargs>| to_yaml(value));
    environment.add_filter("from_yaml", |text: &str| {
        let document = crate::source::Document::parse("", text)
            .map_err(|error| wrong(format!("text is not YAML: {}", error.message)))?;
        Ok(Value::from(minijinja::value::Serde(document.root.to_json())))
    });
    environment.add_test("truthy", |value: &Value| value.is_true());
    environment.add_test("falsy", |value: &Value| !value.is_true());
    environment.add_test("contains", |list: &Value, item: &Value| Ok(items(list)?.contains(item)));
    environment.add_test("subset", |a: &Value, b: &Value| Ok(keep(a, b, false)?.len() == Some(0)));
    environment.add_test("superset", |a: &Value, b: &Value| Ok(keep(b, a, false)?.len() == Some(0)));
}

/// The items of a list; anything else is an error.
fn items(value: &Value) -> Result<Vec<Value>, Error> {
    defined(value)?;
    match value.kind() {
        ValueKind::Seq | ValueKind::Iterable => value.try_iter()?.checked().collect(),
        _ => Err(wrong(format!("expected a list, found {}", kind(value)))),
    }
}

/// The entries of a mapping; anything else is an error.
fn entries(value: &Value) -> Result<Vec<(Value, Value)>, Error> {
    defined(value)?;
    if value.kind() != ValueKind::Map {
        return Err(wrong(format!("expected a mapping, found {}", kind(value))));
    }
    value.try_iter()?.checked().map(|key| key.and_then(|key| Ok((key.clone(), value.get_item(&key)?)))).collect()
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
        for part in parts {
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

fn dict2items(value: &Value, rest: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let (_, named) = split(rest)?;
    let key_name = named.get::<Option<String>>("key_name")?.unwrap_or_else(|| "key".to_owned());
    let value_name = named.get::<Option<String>>("value_name")?.unwrap_or_else(|| "value".to_owned());
    named.assert_all_used()?;
    let pair = |(key, value)| Value::from_pairs([(key_name.clone(), key), (value_name.clone(), value)]);
    Ok(entries(value)?.into_iter().map(pair).collect::<Vec<_>>().into())
}

fn items2dict(value: &Value, rest: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let (_, named) = split(rest)?;
    let key_name = named.get::<Option<String>>("key_name")?.unwrap_or_else(|| "key".to_owned());
    let value_name = named.get::<Option<String>>("value_name")?.unwrap_or_else(|| "value".to_owned());
    named.assert_all_used()?;
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
    fn walk(value: &Value, levels: i64, out: &mut Vec<Value>) -> Result<(), Error> {
        for item in items(value)? {
            if item.kind() == ValueKind::Seq && levels != 0 {
                walk(&item, levels - 1, out)?;
            } else if !item.is_none() {
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
    let mut out = Vec::new();
    walk(value, levels, &mut out)?;
    Ok(Value::from(out))
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

fn to_yaml(value: &Value) -> Result<String, Error> {
    let json = json::of(&settle(value)?)?;
    let options = serde_yaml::ser_options! { indent_step: 2, min_fold_chars: usize::MAX };
    serde_yaml::to_string_with_options(&json, options).map_err(|error| wrong(format!("cannot write YAML: {error}")))
}
