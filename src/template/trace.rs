//! From which line of its source each line of a rendered text comes.
//!
//! The engine does not tell, so it is asked: marks with the line's number are put before what each line of the source
//! prints, where they change nothing of how white space is cut, and are found again in what comes out. Whoever sees a
//! text with marks in it (a filter, a comparison) may make something else of it; so the caller compares.

use crate::shell::syntax::MARK;

/// The source with marks; `None` where that cannot be told apart from what it says.
pub(super) fn marked(source: &str) -> Option<String> {
    let (first, _) = source.split_once('\n').unwrap_or((source, ""));
    let settings = first.starts_with("#jinja2:");
    if source.contains([MARK.0, MARK.1]) || (settings && first.contains("_string")) {
        return None;
    }
    let mut out = String::with_capacity(source.len() * 2);
    let (mut line, mut at, mut due, mut raw) = (1, 0, true, false);
    if settings {
        at = (first.len() + 1).min(source.len());
        out.push_str(&source[..at]);
        line = 2;
    }
    while let Some(c) = source[at..].chars().next() {
        let rest = &source[at..];
        let inner = |end: &str| rest[2..].find(end).map(|found| found + 4);
        let tag = match rest.get(..2) {
            Some("{#") if !raw => inner("#}"),
            Some("{{") if !raw => inner("}}"),
            Some("{%") => inner("%}").filter(|length| !raw || word(&rest[..*length]) == "endraw"),
            _ => None,
        };
        if let Some(length) = tag {
            // What is before `{{-` is cut up to the text before it.
            if rest.starts_with("{{") && !rest.starts_with("{{-") {
                mark(line, &mut out);
            }
            if rest.starts_with("{%") {
                raw = word(&rest[..length]) == "raw";
            }
            out.push_str(&rest[..length]);
            line += rest[..length].matches('\n').count();
            at += length;
            due = true;
            continue;
        }
        if c == '\n' {
            line += 1;
            due = true;
        } else if due && !c.is_whitespace() {
            mark(line, &mut out);
            due = false;
        }
        out.push(c);
        at += c.len_utf8();
    }
    Some(out)
}

/// The first word of a block's tag.
fn word(tag: &str) -> &str {
    tag.trim_start_matches(['{', '%', '-', '+']).trim_start().split(|c: char| !c.is_alphabetic()).next().unwrap_or("")
}

fn mark(line: usize, out: &mut String) {
    out.extend([MARK.0.to_string(), line.to_string(), MARK.1.to_string()]);
}

/// A rendered text without its marks, and the line of the source of each of its lines.
pub(super) fn read(rendered: &str, source: &str) -> (String, Vec<usize>) {
    let source: Vec<&str> = source.lines().collect();
    let blank = |line: usize| source.get(line - 1).is_some_and(|text| text.trim().is_empty());
    let (mut text, mut lines, mut last) = (String::with_capacity(rendered.len()), Vec::new(), 0);
    for line in rendered.split_inclusive('\n') {
        let mut parts = line.split(MARK.0);
        let before = parts.next().unwrap_or_default();
        text.push_str(before);
        let mut first = None;
        for part in parts {
            let (number, rest) = part.split_once(MARK.1).unwrap_or(("", part));
            first = first.or_else(|| number.parse::<usize>().ok());
            text.push_str(rest);
        }
        // A line without marks is of the value that the one before began, or a blank one.
        last = match first {
            Some(number) => number,
            None if line.trim().is_empty() && blank(last + 1) => last + 1,
            None => last.max(1),
        };
        lines.push(last);
    }
    (text, lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_stand_before_what_a_line_prints() {
        let shown = |source: &str| marked(source).map(|text| text.replace(MARK.0, "<").replace(MARK.1, ">"));
        for (source, expected) in [
            ("a = 1\n\n  b\n", "<1>a = 1\n\n  <3>b\n"),
            ("{% if x -%}\n  y {{ z }}\n{%- endif %}w", "{% if x -%}\n  <2>y <2>{{ z }}\n{%- endif %}<3>w"),
            ("a\n  {{- b }}\n", "<1>a\n  {{- b }}\n"),
            ("{# a\nb #}c", "{# a\nb #}<2>c"),
            ("{% raw %}{{ a }}{% b %}{% endraw %}{{ c }}", "{% raw %}<1>{{ a }}{% b %}{% endraw %}<1>{{ c }}"),
            ("#jinja2: trim_blocks:False\na", "#jinja2: trim_blocks:False\n<2>a"),
        ] {
            assert_eq!(shown(source).as_deref(), Some(expected), "{source}");
        }
        assert_eq!(shown("#jinja2: variable_start_string:'[['\n[[ a ]]"), None);
    }
}
