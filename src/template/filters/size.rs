//! Filters over sizes: `64M` and `67108864`.

use minijinja::value::{Rest, ValueOrKwargs};
use minijinja::{Environment, Error, Value};

use super::super::arguments::{printed, split, wrong};

/// The letters of units, each 1024 times the one before, and what their words begin with.
const UNITS: &str = "BKMGTPEZY";
const WORDS: [&str; 9] = ["", "kilo", "mega", "giga", "tera", "peta", "exa", "zetta", "yotta"];

pub(super) fn add(environment: &mut Environment<'static>) {
    environment.add_filter("human_to_bytes", |size: &Value, rest: Rest<ValueOrKwargs>| {
        let text = printed(size)?;
        let (unit, bits) = options(rest, ["default_unit", "isbits"], 0)?;
        to_bytes(&text, unit.as_deref().unwrap_or_default(), bits)
    });
    environment.add_filter("human_readable", |size: &Value, rest: Rest<ValueOrKwargs>| {
        let text = printed(size)?;
        let (unit, bits) = options(rest, ["unit", "isbits"], 1)?;
        let size = text.trim().parse().map_err(|_| wrong(format!("`{text}` is no number of bytes")))?;
        Ok::<_, Error>(readable(size, unit.as_deref(), bits))
    });
}

/// The unit and whether bits are meant, of which the unit is the `first`th argument.
fn options(rest: Rest<ValueOrKwargs>, keys: [&str; 2], first: usize) -> Result<(Option<String>, bool), Error> {
    let (given, named) = split(rest)?;
    let argument = |index: usize, name: &str| match given.get(index) {
        Some(value) => Ok(Some(value.clone())),
        None => named.get::<Option<Value>>(name),
    };
    let unit = argument(first, keys[0])?.filter(Value::is_true).map(|unit| unit.to_string());
    let bits = argument(1 - first, keys[1])?.is_some_and(|bits| bits.is_true());
    named.assert_all_used()?;
    Ok((unit, bits))
}

/// 1024 to the power that the unit's first letter stands for.
fn factor(unit: &str) -> Option<f64> {
    let letter = unit.chars().next().unwrap_or('B').to_ascii_uppercase();
    let power = UNITS.find(letter)?;
    Some(1024_f64.powi(i32::try_from(power).ok()?))
}

#[allow(clippy::cast_possible_truncation)]
fn to_bytes(text: &str, default_unit: &str, bits: bool) -> Result<i64, Error> {
    let size = text.trim();
    let digits = size.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(size.len());
    let (number, unit) = (&size[..digits], size[digits..].trim());
    let number: f64 = number.parse().map_err(|_| wrong(format!("`{text}` is no size: expected one as `64M`")))?;
    let unit = if unit.is_empty() { default_unit } else { unit };
    let (letter, word) = if bits { ('b', "bit") } else { ('B', "byte") };
    let rest = unit.get(1..).unwrap_or_default();
    let fits = rest.is_empty()
        || rest == letter.to_string()
        || unit.to_lowercase().strip_suffix(word).is_some_and(|before| WORDS.contains(&before));
    let factor = factor(unit).filter(|_| fits);
    let factor = factor.ok_or_else(|| wrong(format!("unknown unit `{unit}` in `{text}`: use one as `M{letter}`")))?;
    let bytes = (number * factor).round_ties_even();
    // Beyond that the numbers of templates end.
    if bytes > 9e18 { Err(wrong(format!("`{text}` is too large"))) } else { Ok(bytes as i64) }
}

fn readable(size: f64, unit: Option<&str>, bits: bool) -> String {
    let base = if bits { "bits" } else { "Bytes" };
    let wanted = unit.and_then(|unit| unit.chars().next()).map(|letter| letter.to_ascii_uppercase());
    let chosen = UNITS.chars().rev().find(|letter| {
        let limit = factor(&letter.to_string()).unwrap_or(1.0);
        wanted.map_or(size >= limit, |wanted| wanted == *letter)
    });
    let letter = chosen.unwrap_or('B');
    let number = size / factor(&letter.to_string()).unwrap_or(1.0);
    if letter == 'B' { format!("{number:.2} {base}") } else { format!("{number:.2} {letter}{}", &base[..1]) }
}
