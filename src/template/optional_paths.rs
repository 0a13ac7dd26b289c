//! Paths that may lead to nothing: `a.b.c | default(d)`, `a['b'].c is defined`.
//!
//! Jinja as Ansible runs it stops at something undefined where it is used, the engine at the first step from it. Where it
//! is only asked whether there is something at the end, the steps are therefore written as filters that let it through:
//! `a|__dot("b")|__dot("c") | default(d)`. Everything else stays as strict as it is.
//!
//! What is read for that also tells an expression that is too long for the engine.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::LazyLock;

use minijinja::{Environment, Error, Value};
use regex::Regex;

use super::arguments::defined;

/// Names, signs and texts of an expression: far more than anybody writes, and fewer than the engine's stack has room for.
const MOST_PARTS: usize = 1000;

/// Words that are no variables.
const KEYWORDS: [&str; 14] =
    ["and", "else", "elif", "false", "for", "if", "in", "is", "none", "not", "or", "set", "true", "with"];

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
    static MAY: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"default|defined|\|\s*d\b").ok());
    if !MAY.as_ref().is_some_and(|may| may.is_match(text)) {
        return Cow::Borrowed(text);
    }
    let mut edits = Vec::new();
    for block in blocks(text) {
        block.find(&mut edits);
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

/// An expression, or a row of `elif`, is so long that the engine, which calls itself for each part, would run out of its
/// stack.
pub(super) fn is_endless(text: &str) -> bool {
    if text.len() <= MOST_PARTS {
        return false;
    }
    let blocks = blocks(text);
    let branches = blocks.iter().filter(|block| block.sign == b'%' && block.word(0) == "elif").count();
    branches > MOST_PARTS || blocks.iter().any(|block| block.parts() > MOST_PARTS)
}

/// All expressions and statements, without those in comments and in raw text.
fn blocks(text: &str) -> Vec<Block<'_>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(start) = text[at..].find('{').map(|start| at + start) {
        at = match text.as_bytes().get(start + 1) {
            Some(b'#') => text[start..].find("#}").map_or(text.len(), |end| start + end + 2),
            Some(sign @ (b'{' | b'%')) => {
                let block = Block::read(text, start + 2, *sign);
                let raw = raw_end(text, &block);
                let end = raw.unwrap_or(block.end);
                found.extend(raw.is_none().then_some(block));
                end
            }
            _ => start + 1,
        };
    }
    found
}

/// A part of such a text as long as it was written; brackets end with another sign.
pub(super) fn plain(text: &str) -> Cow<'_, str> {
    static DOTS: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r#"\|__dot\("(\w+)"\)"#).ok());
    match &*DOTS {
        Some(dots) if text.contains("|__") => dots.replace_all(text, ".$1").replace("|__key(", "[").into(),
        _ => text.into(),
    }
}

/// Where text ends that is not looked at, if the block begins such a one.
fn raw_end(text: &str, block: &Block<'_>) -> Option<usize> {
    static END: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\{%[-+]?\s*endraw\s*[-+]?%\}").ok());
    let raw = block.sign == b'%' && block.word(0) == "raw";
    raw.then(|| END.as_ref()?.find_at(text, block.end).map(|found| found.end())).map(|end| end.unwrap_or(text.len()))
}

/// What is to be written in the place of what, so that steps let what is undefined through.
type Edits = Vec<(Range<usize>, &'static str)>;

/// What an expression consists of, as far as it matters here.
struct Token<'a> {
    text: &'a str,
    start: usize,
    /// It is a bracket: the position of the one that it belongs to.
    other: Option<usize>,
}

impl Token<'_> {
    fn end(&self) -> usize {
        self.start + self.text.len()
    }

    fn is(&self, sign: u8) -> bool {
        self.text.as_bytes() == [sign]
    }

    fn is_word(&self) -> bool {
        self.text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && self.text.is_ascii()
    }

    fn is_name(&self) -> bool {
        self.is_word() && !KEYWORDS.contains(&self.text.to_ascii_lowercase().as_str())
    }

    /// A value may end with it.
    fn is_operand(&self) -> bool {
        let last = self.text.as_bytes().last().copied().unwrap_or_default();
        self.is_name() || matches!(last, b')' | b']' | b'}' | b'\'' | b'"') || last.is_ascii_digit()
    }
}

/// An expression or statement.
struct Block<'a> {
    sign: u8,
    tokens: Vec<Token<'a>>,
    /// Behind its last sign.
    end: usize,
}

impl<'a> Block<'a> {
    /// Reads one from behind its first signs up to its last ones.
    fn read(text: &'a str, start: usize, sign: u8) -> Self {
        let close = if sign == b'{' { "}}" } else { "%}" };
        let bytes = text.as_bytes();
        let word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_' || *byte >= 0x80;
        let (mut tokens, mut open): (Vec<Token<'a>>, Vec<usize>) = (Vec::new(), Vec::new());
        // A sign here is white space control, none of the expression's.
        let mut at = start + usize::from(matches!(bytes.get(start), Some(b'-' | b'+')));
        while at < bytes.len() {
            if open.is_empty() && text[at..].starts_with(close) {
                return Self { sign, tokens, end: at + close.len() };
            }
            let length = match bytes[at] {
                b'\'' | b'"' => quoted(&bytes[at..]),
                byte if word(&byte) => bytes[at..].iter().take_while(|byte| word(byte)).count(),
                _ => 1,
            };
            let (position, byte) = (tokens.len(), bytes[at]);
            let mut other = None;
            match byte {
                b'(' | b'[' | b'{' => open.push(position),
                b')' | b']' | b'}' => {
                    other = open.pop();
                    if let Some(first) = other {
                        tokens[first].other = Some(position);
                    }
                }
                _ => {}
            }
            if !byte.is_ascii_whitespace() {
                tokens.push(Token { text: &text[at..at + length], start: at, other });
            }
            at += length;
        }
        Self { sign, tokens, end: text.len() }
    }

    fn is(&self, position: usize, sign: u8) -> bool {
        self.tokens.get(position).is_some_and(|token| token.is(sign))
    }

    fn word(&self, position: usize) -> &str {
        self.tokens.get(position).map_or("", |token| token.text)
    }

    /// Tokens of its longest expression: those that stand in a row, and of brackets in it the longest row again.
    fn parts(&self) -> usize {
        let mut behind = vec![0; self.tokens.len() + 1];
        // The longest row so far in each pair of brackets that is open, from the end.
        let mut inside = vec![0];
        for (position, token) in self.tokens.iter().enumerate().rev() {
            let ends = [b',', b':', b')', b']', b'}'].into_iter().any(|sign| token.is(sign));
            behind[position] = match token.other {
                Some(other) if other < position => {
                    inside.push(0);
                    0
                }
                Some(other) => 1 + inside.pop().unwrap_or_default() + behind[other + 1],
                None if ends => 0,
                None => 1 + behind[position + 1],
            };
            if let Some(longest) = inside.last_mut() {
                *longest = behind[position].max(*longest);
            }
        }
        inside.into_iter().max().unwrap_or_default()
    }

    /// Finds the paths that are only asked for.
    fn find(&self, edits: &mut Edits) {
        for first in 0..self.tokens.len() {
            let Some(root) = self.root(first) else { continue };
            let (mut steps, mut end) = (Vec::new(), root);
            while let Some(next) = self.step(end) {
                steps.push(end..next);
                end = next;
            }
            if steps.is_empty() || !self.is_asked(first, end) {
                continue;
            }
            for step in steps {
                let (open, last) = (&self.tokens[step.start], &self.tokens[step.end - 1]);
                if open.is(b'.') {
                    // White space between the two stays, so that lines do.
                    edits.push((open.start..open.end(), ""));
                    edits.push((last.start..last.start, "|__dot(\""));
                    edits.push((last.end()..last.end(), "\")"));
                } else {
                    edits.push((open.start..open.end(), "|__key("));
                    edits.push((last.start..last.end(), ")"));
                }
            }
        }
    }

    /// The token behind the value that begins here, if steps from it can be written as filters: a name, a text, a group.
    fn root(&self, first: usize) -> Option<usize> {
        let token = &self.tokens[first];
        let before = first.checked_sub(1).map(|before| &self.tokens[before]);
        // A part of another path, what a test is given, and the name of a filter are no values by themselves.
        if before.is_some_and(|before| before.is(b'.') || before.is(b'|')) || self.is_of_test(first) {
            return None;
        }
        // A sign counts for the whole, unless it stands between two values.
        let one = first > 1 && self.tokens[first - 2].is_operand();
        if before.is_some_and(|before| before.is(b'-') || before.is(b'+')) && !one {
            return None;
        }
        if token.is(b'(') {
            return if before.is_some_and(Token::is_operand) { None } else { token.other.map(|end| end + 1) };
        }
        (token.is_name() || token.text.starts_with(['\'', '"'])).then_some(first + 1)
    }

    /// A test's argument has no filters of its own: `x is in a.b | default(c)` asks for what the test says.
    fn is_of_test(&self, first: usize) -> bool {
        let back = |count: usize| first.checked_sub(count).map_or("", |position| self.word(position));
        let test = first > 0 && (self.tokens[first - 1].is_word());
        // Its own name may have dots.
        back(1) == "is" || test && (back(2) == "is" || back(2) == "not" && back(3) == "is")
    }

    /// The token behind a step that begins here: `.name`, or brackets with one expression in them.
    fn step(&self, at: usize) -> Option<usize> {
        if self.is(at, b'.') {
            let name = self.tokens.get(at + 1)?;
            let called = self.is(at + 2, b'(');
            return (name.is_word() && !called).then_some(at + 2);
        }
        if !self.is(at, b'[') {
            return None;
        }
        let close = self.tokens[at].other.filter(|close| *close > at + 1)?;
        let mut inner = at + 1;
        while inner < close {
            let token = &self.tokens[inner];
            // Slices and tuples are no expressions.
            if [b':', b',', b'=', b'*'].into_iter().any(|sign| token.is(sign)) {
                return None;
            }
            inner = token.other.filter(|other| *other > inner).unwrap_or(inner) + 1;
        }
        Some(close + 1)
    }

    /// It is asked whether there is something at the end of a path; or it is what `default` falls back to, which may not be
    /// wanted.
    fn is_asked(&self, first: usize, end: usize) -> bool {
        let (mut first, mut end) = (first, end);
        // In parentheses of its own, which are no call's.
        while first > 0
            && self.tokens[first - 1].other == Some(end)
            && self.is(first - 1, b'(')
            && self.root(first - 1).is_some()
        {
            (first, end) = (first - 1, end + 1);
        }
        let full = |at: usize| if self.word(at) == "ansible" && self.word(at + 2) == "builtin" { at + 4 } else { at };
        if self.is(end, b'|') {
            return matches!(self.word(full(end + 1)), "default" | "d");
        }
        let back = |count: usize| first.checked_sub(count).map_or("", |position| self.word(position));
        if (back(3), back(1)) == ("|", "(") && matches!(back(2), "default" | "d") {
            return self.is(end, b')') || self.is(end, b',');
        }
        let negated = usize::from(self.word(end + 1) == "not");
        self.word(end) == "is" && matches!(self.word(full(end + 1 + negated)), "defined" | "undefined")
    }
}

/// Bytes of the quotation that starts here.
fn quoted(bytes: &[u8]) -> usize {
    let mut escaped = false;
    let end = bytes.iter().skip(1).position(|byte| {
        let closes = *byte == bytes[0] && !escaped;
        escaped = *byte == b'\\' && !escaped;
        closes
    });
    end.map_or(bytes.len(), |end| end + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endless_expression_is_known() {
        let nested = (0..50).fold("1".to_owned(), |inner, _| format!("({inner}{})", " + 1".repeat(20)));
        for (text, endless) in [
            (format!("{{{{ a{} }}}}", ".b".repeat(1000)), true),
            (format!("{{{{ a{} }}}}", "[0]".repeat(1100)), true),
            (format!("{{{{ [1{}] }}}}", " + 1".repeat(600)), true),
            (format!("{{{{ [1{}] }}}}", ", a.b | d(1)".repeat(1000)), false),
            (format!("{{{{ {{'a': 1{}}} }}}}", ", 'b': [1, 2]".repeat(1000)), false),
            ("{{ a.b }}".repeat(1000), false),
            (format!("{{{{ {nested} }}}}"), true),
            (format!("{{{{ {{{}'z': 1}} }}}}", "'a': f(x.y, [1, 2]), ".repeat(1000)), false),
            (format!("{{% if a %}}{}{{% endif %}}", "{% elif b %}".repeat(1001)), true),
            (format!("{{# {} #}}", "a.".repeat(1000)), false),
        ] {
            assert_eq!(is_endless(&text), endless, "{text:.80}");
        }
    }

    #[test]
    fn steps_let_what_is_undefined_through_where_it_is_asked_for() {
        for (text, soft) in [
            ("{{ a.b | default('c') }}", r#"{{ a|__dot("b") | default('c') }}"#),
            ("{{- a.b[c['d']][0]|d(1) -}}", r#"{{- a|__dot("b")|__key(c['d'])|__key(0)|d(1) -}}"#),
            (
                "{{ a.b | d }} {{ a.b|ansible.builtin.default }}",
                r#"{{ a|__dot("b") | d }} {{ a|__dot("b")|ansible.builtin.default }}"#,
            ),
            ("{% if a.b is not defined and c.d %}", r#"{% if a|__dot("b") is not defined and c.d %}"#),
            ("{{ x[a.b is defined] }}", r#"{{ x[a|__dot("b") is defined] }}"#),
            ("{{ a[b.c|d(1)].e | default(1) }}", r#"{{ a|__key(b|__dot("c")|d(1))|__dot("e") | default(1) }}"#),
            ("{{ a.\n  b . c | default(1) }}", "{{ a\n  |__dot(\"b\")  |__dot(\"c\") | default(1) }}"),
            ("{{ a [0] | default(1) }}", "{{ a |__key(0) | default(1) }}"),
            ("{{ (a.b) | default(1) }}", r#"{{ (a|__dot("b")) | default(1) }}"#),
            ("{{ (a | d({})).b | default(1) }}", r#"{{ (a | d({}))|__dot("b") | default(1) }}"#),
            ("{{ a|d(b.c) | default(d[0], true) }}", r#"{{ a|d(b|__dot("c")) | default(d|__key(0), true) }}"#),
            ("{{ 'a'.b | default(1) }}", r#"{{ 'a'|__dot("b") | default(1) }}"#),
            ("{{ [1] + a.b | default([]) }}", r#"{{ [1] + a|__dot("b") | default([]) }}"#),
            ("{{ {'a': {'b': 1}} | f(a.b | d(1)) }}", r#"{{ {'a': {'b': 1}} | f(a|__dot("b") | d(1)) }}"#),
            ("{{ 1 in a.b | default([]) }}", r#"{{ 1 in a|__dot("b") | default([]) }}"#),
            ("{{ a.b.c | default(1", r#"{{ a|__dot("b")|__dot("c") | default(1"#),
        ] {
            assert_eq!(soften(text), soft);
            assert_eq!(plain(soft).len(), text.len(), "{soft}");
        }
        for text in [
            // Texts and comments.
            "a.b | default {# a.b | default #} {{ 'a.b | default' }} {{ 'it\\'s a.b | d' }}",
            "{% raw %}endraw {{ a.b | default(1) }}{% endraw %}",
            "{%-\traw -%}{{ a.b | default(1) }}{%- endraw %}",
            "{{ 'x' ~ {'a': {}} ~ '{{ a.b | default(1) }}' }}",
            // What is more than a path, or is used itself.
            "{{ a.b() | default(1) }}",
            "{{ a[1:2] | default(1) }}",
            "{{ a[1,2] | default(1) }}",
            "{{ f(a.b) | default(1) }}",
            "{{ a | default(b.c + 1) }}",
            "{{ -a.b | default(1) }}",
            "{{ a.0.b | default(1) }}",
            "{{ 2 * -a.b | default(1) }}",
            "{{ -(a.b) | default(1) }}",
            "{{ 1 is in (a.b) | default(1) }}",
            "{{ a is ansible.builtin.string | default(1) }}",
            "{{ a is not ansible.builtin.string | default(1) }}",
            "{{ a.b | defaults(1) }}",
            "{{ 1.5 | default(1) }}",
            // What a test is given.
            "{{ 1 is in a.b | default([]) }}",
            "{{ 1 is not in a.b | default([]) }}",
            "{{ a is eq b.c | default(1) }}",
            // Keywords are no names, and the engine knows no others than of ASCII.
            "{{ 1 in[1]|default(1) }}",
            "{{ not[a] is defined }}",
            "{{ a.\u{e9} | default(1) }}",
            "{{ a.b\u{a0}| default(1) }}",
        ] {
            assert_eq!(soften(text), text);
        }
    }
}
