//! Filters over numbers.

use minijinja::value::{Rest, ValueKind, ValueOrKwargs};
use minijinja::{Environment, Error, Value};

use super::super::arguments::{defined, split, wrong};

pub(super) fn add(environment: &mut Environment<'static>) {
    environment.add_filter("int", int);
    environment.add_filter("float", |value: &Value, default: Option<Value>| {
        defined(value)?;
        let found = match value.as_str() {
            Some(text) => text.trim().parse().ok(),
            None => whole(value).or_else(|| f64::try_from(value.clone()).ok()),
        };
        Ok::<_, Error>(found.map_or_else(|| default.unwrap_or_else(|| Value::from(0.0)), Value::from))
    });
    environment.add_filter("pow", |base: &Value, power: &Value| Ok::<_, Error>(number(base)?.powf(number(power)?)));
    environment.add_filter("root", |value: &Value, base: Option<Value>| {
        let base = base.map_or(Ok(2.0), |base| number(&base))?;
        Ok::<_, Error>(number(value)?.powf(1.0 / base))
    });
    environment.add_filter("log", |value: &Value, base: Option<Value>| {
        let value = number(value)?;
        let base = base.map(|base| number(&base)).transpose()?;
        Ok::<_, Error>(base.map_or_else(|| value.ln(), |base| value.ln() / base.ln()))
    });
}

/// A truth value as a number.
fn whole(value: &Value) -> Option<f64> {
    (value.kind() == ValueKind::Bool).then(|| if value.is_true() { 1.0 } else { 0.0 })
}

/// `value | int(default, base)`: what is no number is the default.
fn int(value: &Value, rest: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    defined(value)?;
    let (args, named) = split(rest)?;
    let argument = |index: usize, name: &str| match args.get(index) {
        Some(value) => Ok(Some(value.clone())),
        None => named.get::<Option<Value>>(name),
    };
    let default = argument(0, "default")?.unwrap_or_else(|| Value::from(0));
    let base = argument(1, "base")?.and_then(|base| base.as_i64()).unwrap_or(10);
    named.assert_all_used()?;
    if value.kind() == ValueKind::Number && value.is_integer() {
        return Ok(value.clone());
    }
    let found = match value.as_str() {
        Some(text) => integer(text.trim(), base).or_else(|| truncated(text.trim().parse().ok()?)),
        None => whole(value).or_else(|| f64::try_from(value.clone()).ok()).and_then(truncated),
    };
    Ok(found.map_or(default, Value::from))
}

fn integer(text: &str, base: i64) -> Option<i64> {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
    let prefix = match base {
        2 => "0b",
        8 => "0o",
        16 => "0x",
        _ => "",
    };
    let lower = digits.trim_start_matches('+').replace('_', "").to_lowercase();
    let digits = lower.strip_prefix(prefix).unwrap_or(&lower);
    if digits.starts_with('-') {
        return None;
    }
    i64::from_str_radix(digits, u32::try_from(base).ok().filter(|base| (2..=36).contains(base))?).ok().map(|n| n * sign)
}

#[allow(clippy::cast_possible_truncation)]
fn truncated(number: f64) -> Option<i64> {
    number.is_finite().then(|| number.trunc() as i64)
}

fn number(value: &Value) -> Result<f64, Error> {
    defined(value)?;
    f64::try_from(value.clone()).map_err(|_| wrong(format!("`{value}` is no number")))
}
