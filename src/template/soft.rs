//! Paths that may lead to nothing: `a.b.c | default(d)`, `a['b'].c is defined`.
//!
//! Jinja as Ansible runs it stops at something undefined where it is used, the engine at the first step from it. Where it
//! is only asked whether there is something at the end, the steps are therefore written as filters that let it through:
//! `a|__dot("b")|__dot("c") | default(d)`. Everything else stays as strict as it is.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::LazyLock;

use minijinja::{Environment, Error, Value};
use regex::Regex;

use super::filters::defined;

/// What asks whether there is something.
static ASKS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"^\s*(?:\|\s*(?:ansible\.builtin\.)?(?:default|d)\b|is\s+(?:not\s+)?(?:defined|undefined)\b)").ok()
});

pub(super) fn add(environment: &mut Environment<'static>) {
    // By a name, as `.b`, and by an expression, as `['b']`.
    environment.add_filter("__dot", step);
    environment.add_filter("__key", step);
}

fn step(value: &Value, key: &Value) -> Result<Value, Error> {
    if value.is_undefined() {
        return Ok(Value::UNDEFINED);
    }
    // What stands in brackets has to be there.
    defined(key)?;
    value.get_item(key)
}

/// The text of a template with such paths written so.
pub(super) fn soften(text: &str) -> Cow<'_, str> {
    if !["default", "defined", "d("].iter().any(|word| text.contains(word)) {
        return Cow::Borrowed(text);
    }
    let mut edits = Vec::new();
    for block in blocks(text) {
        find(text, block, &mut edits);
    }
    if edits.is_empty() {
        return Cow::Borrowed(text);
    }
    // Those inside of brackets come after those around them.
    edits.sort_by_key(|(range, _)| range.start);
    let (mut out, mut done) = (String::with_capacity(text.len() * 2), 0);
    for (range, new) in edits {
        out.push_str(&text[done..range.start]);
        out.push_str(new);
        done = range.end;
    }
    out.push_str(&text[done..]);
    Cow::Owned(out)
}

/// A part of such a text as it was written.
pub(super) fn plain(text: &str) -> Cow<'_, str> {
    static DOTS: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r#"\|__dot\("(\w+)"\)"#).ok());
    match &*DOTS {
        Some(dots) if text.contains("|__") => dots.replace_all(text, ".$1").replace("|__key(", "[").into(),
        _ => text.into(),
    }
}

/// Where expressions and statements stand, without comments and raw text.
fn blocks(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(start) = text[at..].find('{').map(|start| at + start) {
        let rest = &text[start..];
        let end = |close: &str| rest.find(close).map_or(text.len(), |end| start + end + close.len());
        at = if rest.starts_with("{#") {
            end("#}")
        } else if rest.starts_with("{%") && rest[2..].trim_start_matches(['-', '+', ' ']).starts_with("raw") {
            end("endraw")
        } else if rest.starts_with("{{") || rest.starts_with("{%") {
            let close = if rest.starts_with("{{") { "}}" } else { "%}" };
            let end = outside(rest, close).map_or(text.len(), |end| start + end);
            found.push(start + 2..end);
            end
        } else {
            start + 1
        };
    }
    found
}

/// The first place of `wanted` that is in no quotation.
fn outside(text: &str, wanted: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at..].starts_with(wanted.as_bytes()) {
            return Some(at);
        }
        at += if matches!(bytes[at], b'\'' | b'"') { 1 + quoted(&bytes[at..]) } else { 1 };
    }
    None
}

/// What is to be written in the place of what, so that steps let what is undefined through.
type Edits = Vec<(Range<usize>, &'static str)>;

/// Finds the paths in an expression that are only asked for.
fn find(text: &str, block: Range<usize>, edits: &mut Edits) {
    let bytes = text.as_bytes();
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80;
    let word_end = |from: usize| (from..block.end).find(|at| !word(bytes[*at])).unwrap_or(block.end);
    // The sign of white space control is none of the expression's.
    let mut at = block.start + usize::from(matches!(bytes.get(block.start), Some(b'-' | b'+')));
    let mut before = b' ';
    while at < block.end {
        let byte = bytes[at];
        if matches!(byte, b'\'' | b'"') {
            at += 1 + quoted(&bytes[at..block.end]);
            before = byte;
        } else if word(byte) {
            let name_end = word_end(at);
            let (mut steps, mut end) = (Vec::new(), name_end);
            while let Some(next) = step_end(text, end..block.end, &word_end) {
                steps.push(end..next);
                end = next;
            }
            // A number is no name, what follows a dot belongs to something else, and a sign is for the whole.
            let name = !byte.is_ascii_digit() && !matches!(before, b'.' | b'-' | b'+' | b'|');
            let asked = ASKS.as_ref().is_some_and(|asks| asks.is_match(&text[end..block.end]));
            for step in steps.into_iter().filter(|_| name && asked) {
                let by_name = bytes[step.start] == b'.';
                edits.push((step.start..step.start + 1, if by_name { "|__dot(\"" } else { "|__key(" }));
                edits.push(if by_name { (step.end..step.end, "\")") } else { (step.end - 1..step.end, ")") });
            }
            // What stands in brackets is looked at by itself.
            at = name_end;
            before = b'x';
        } else {
            if !byte.is_ascii_whitespace() {
                before = byte;
            }
            at += 1;
        }
    }
}

/// Bytes up to the end of a quotation that starts here, its last sign not counted.
fn quoted(bytes: &[u8]) -> usize {
    let mut escaped = false;
    let end = bytes.iter().skip(1).position(|byte| {
        let closes = *byte == bytes[0] && !escaped;
        escaped = *byte == b'\\' && !escaped;
        closes
    });
    end.map_or(bytes.len() - 1, |end| end + 1)
}

/// Where a step ends that starts here: `.name`, or brackets with one expression in them.
fn step_end(text: &str, range: Range<usize>, word_end: &impl Fn(usize) -> usize) -> Option<usize> {
    let bytes = &text.as_bytes()[range.clone()];
    match bytes {
        [b'.', first, ..] if first.is_ascii_alphabetic() || *first == b'_' => Some(word_end(range.start + 1)),
        [b'[', ..] => {
            let (mut depth, mut at) = (0_usize, 0);
            while at < bytes.len() {
                match bytes[at] {
                    b'\'' | b'"' => at += quoted(&bytes[at..]),
                    b'[' | b'(' | b'{' => depth += 1,
                    b']' if depth == 1 => return (at > 1).then_some(range.start + at + 1),
                    b']' | b')' | b'}' => depth = depth.saturating_sub(1),
                    // A slice.
                    b':' if depth == 1 => return None,
                    _ => {}
                }
                at += 1;
            }
            None
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_let_what_is_undefined_through_where_it_is_asked_for() {
        for (text, soft) in [
            ("{{ a.b | default('c') }}", r#"{{ a|__dot("b") | default('c') }}"#),
            ("{{- a.b[c['d']][0]|d(1) -}}", r#"{{- a|__dot("b")|__key(c['d'])|__key(0)|d(1) -}}"#),
            ("{% if a.b is not defined and c.d %}", r#"{% if a|__dot("b") is not defined and c.d %}"#),
            ("{{ x[a.b is defined] }}", r#"{{ x[a|__dot("b") is defined] }}"#),
            ("{{ a[b.c|d(1)].e | default(1) }}", r#"{{ a|__key(b|__dot("c")|d(1))|__dot("e") | default(1) }}"#),
            // Texts and comments are not touched.
            (
                "a.b | default {# a.b | default #} {{ 'a.b | default' }}",
                "a.b | default {# a.b | default #} {{ 'a.b | default' }}",
            ),
            ("{% raw %}{{ a.b | default(1) }}{% endraw %}", "{% raw %}{{ a.b | default(1) }}{% endraw %}"),
            ("{{ 'it\\'s' ~ a.b | default('}}') }}", r#"{{ 'it\'s' ~ a|__dot("b") | default('}}') }}"#),
            // Nor is what is more than a path, or is used itself.
            ("{{ a.b() | default(1) }}", "{{ a.b() | default(1) }}"),
            ("{{ a[1:2] | default(1) }}", "{{ a[1:2] | default(1) }}"),
            ("{{ -a.b | default(1) }}", "{{ -a.b | default(1) }}"),
            ("{{ a.b | defaults(1) }}", "{{ a.b | defaults(1) }}"),
            ("{{ f(x).a.b | default(1) }}", "{{ f(x).a.b | default(1) }}"),
            ("{{ 1.5 | default(1) }}", "{{ 1.5 | default(1) }}"),
            ("{{ a.b.c | default(1", r#"{{ a|__dot("b")|__dot("c") | default(1"#),
        ] {
            assert_eq!(soften(text), soft);
            assert_eq!(plain(soft).len(), text.len(), "{soft}");
        }
    }
}
