//! Values of INI inventories: Python's literals. What is none is text as it stands (`yes`, `0660`, `10.0.0.1`).

use std::collections::HashSet;

use indexmap::IndexMap;

use crate::source::{Data, Entry, Node};

/// Deeper than this, a value is text.
const DEEPEST: usize = 64;

/// A value as Ansible types it. Tuples and sets are lists; whole numbers beyond 64 bits stay text.
pub(super) fn literal(text: &str) -> Data {
    let mut parser = Parser { rest: text.trim_start_matches([' ', '\t']), depth: 0 };
    match parser.expression() {
        Some(data) if parser.at_end() => data,
        _ => Data::Str(text.to_owned()),
    }
}

struct Parser<'a> {
    rest: &'a str,
    depth: usize,
}

impl<'a> Parser<'a> {
    /// One value, or several with commas between them, which are a tuple.
    fn expression(&mut self) -> Option<Data> {
        let first = self.value()?;
        if !self.eat(',') {
            return Some(first);
        }
        let mut items = vec![Node::bare(first)];
        while !self.at_end() {
            items.push(Node::bare(self.value()?));
            if !self.eat(',') {
                break;
            }
        }
        Some(Data::Seq(items))
    }

    fn value(&mut self) -> Option<Data> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return None;
        }
        self.blanks();
        let data = match self.rest.chars().next()? {
            '[' => Data::Seq(self.items(']')?.0),
            '(' => {
                let (items, commas) = self.items(')')?;
                match <[Node; 1]>::try_from(items) {
                    Ok([one]) if !commas => one.data,
                    Ok([one]) => Data::Seq(vec![one]),
                    Err(items) => Data::Seq(items),
                }
            }
            '{' => self.braces()?,
            '+' | '-' => self.signed()?,
            c if c.is_ascii_digit() || c == '.' => self.number(false)?,
            _ => self.word()?,
        };
        self.depth -= 1;
        Some(data)
    }

    /// Values up to a closing bracket, and whether a comma stood among them.
    fn items(&mut self, end: char) -> Option<(Vec<Node>, bool)> {
        self.rest = &self.rest[1..];
        let (mut items, mut commas) = (Vec::new(), false);
        loop {
            if self.eat(end) {
                return Some((items, commas));
            }
            items.push(Node::bare(self.value()?));
            let comma = self.eat(',');
            commas |= comma;
            if !comma {
                return self.eat(end).then_some((items, commas));
            }
        }
    }

    /// A mapping, or a set. A set of sets is none, as in `{{ 1 }}`.
    fn braces(&mut self) -> Option<Data> {
        self.rest = &self.rest[1..];
        if self.eat('}') {
            return Some(Data::Map(IndexMap::new()));
        }
        let (mut items, mut map) = (Vec::new(), IndexMap::new());
        let mut known = HashSet::new();
        loop {
            let first = self.value()?;
            if self.eat(':') {
                let value = Node::bare(self.value()?);
                map.insert(key(&first)?, Entry::bare(value));
            } else if matches!(first, Data::Seq(_) | Data::Map(_)) {
                return None;
            } else if known.insert(format!("{first:?}")) {
                items.push(Node::bare(first));
            }
            let comma = self.eat(',');
            if self.eat('}') {
                break;
            }
            if !comma {
                return None;
            }
        }
        match (items.is_empty(), map.is_empty()) {
            (true, _) => Some(Data::Map(map)),
            (_, true) => Some(Data::Seq(items)),
            _ => None,
        }
    }

    fn signed(&mut self) -> Option<Data> {
        let minus = self.rest.starts_with('-');
        self.rest = &self.rest[1..];
        self.blanks();
        self.rest.starts_with(|c: char| c.is_ascii_digit() || c == '.').then(|| self.number(minus)).flatten()
    }

    fn number(&mut self, minus: bool) -> Option<Data> {
        let mut end = 0;
        let bytes = self.rest.as_bytes();
        let based = bytes.len() > 1 && bytes[0] == b'0' && b"xXoObB".contains(&bytes[1]);
        while let Some(&byte) = bytes.get(end) {
            let exponent = !based && end > 0 && matches!(bytes[end - 1], b'e' | b'E');
            if byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.') || (exponent && matches!(byte, b'+' | b'-'))
            {
                end += 1;
            } else {
                break;
            }
        }
        let (word, rest) = self.rest.split_at(end);
        let single = |text: &str| !text.starts_with('_') && !text.ends_with('_') && !text.contains("__");
        self.rest = rest;
        let digits = word.replace('_', "");
        if based {
            let base = match bytes[1].to_ascii_lowercase() {
                b'x' => 16,
                b'o' => 8,
                _ => 2,
            };
            let number = i64::from_str_radix(digits.get(2..)?, base).ok()?;
            return (!word.ends_with('_') && !word.contains("__")).then_some(Data::Int(if minus {
                -number
            } else {
                number
            }));
        }
        let float = digits.contains(['.', 'e', 'E']);
        let part =
            |text: &str| text.is_empty() || (single(text) && text.bytes().all(|b| b.is_ascii_digit() || b == b'_'));
        let (mantissa, exponent) = word.split_once(['e', 'E']).unwrap_or((word, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let power = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        if !part(whole)
            || !part(fraction)
            || power.is_empty()
            || !part(power)
            || (whole.is_empty() && fraction.is_empty())
        {
            return None;
        }
        if float {
            let number: f64 = digits.parse().ok()?;
            return Some(Data::Float(if minus { -number } else { number }));
        }
        if digits.starts_with('0') && digits.bytes().any(|b| b != b'0') {
            return None;
        }
        format!("{}{digits}", if minus { "-" } else { "" }).parse().ok().map(Data::Int)
    }

    /// A name that is a value, or texts one after the other, which are one.
    fn word(&mut self) -> Option<Data> {
        for (name, data) in [("True", Data::Bool(true)), ("False", Data::Bool(false)), ("None", Data::Null)] {
            if let Some(rest) = self.rest.strip_prefix(name)
                && !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_' || c == '(')
            {
                self.rest = rest;
                return Some(data);
            }
        }
        let mut text = self.text()?;
        loop {
            self.blanks();
            if !self.rest.starts_with(['\'', '"', 'r', 'R', 'u', 'U']) {
                return Some(Data::Str(text));
            }
            text.push_str(&self.text()?);
        }
    }

    fn text(&mut self) -> Option<String> {
        let prefix = self.rest.find(['\'', '"'])?;
        let raw = match self.rest[..prefix].to_ascii_lowercase().as_str() {
            "" | "u" | "b" => false,
            "r" | "br" | "rb" => true,
            _ => return None,
        };
        self.rest = &self.rest[prefix..];
        let one = &self.rest[..1];
        let three = one.repeat(3);
        let quote = if self.rest.starts_with(&three) { three } else { one.to_owned() };
        self.rest = &self.rest[quote.len()..];
        let mut text = String::new();
        loop {
            if let Some(rest) = self.rest.strip_prefix(&quote) {
                self.rest = rest;
                return Some(text);
            }
            match self.next()? {
                '\\' if raw => text.extend(['\\', self.next()?]),
                '\\' => self.escape(&mut text)?,
                c => text.push(c),
            }
        }
    }

    fn escape(&mut self, text: &mut String) -> Option<()> {
        let c = self.next()?;
        let plain = match c {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'a' => '\x07',
            'b' => '\x08',
            'f' => '\x0c',
            'v' => '\x0b',
            '\\' | '\'' | '"' => c,
            'x' => self.code(2, 2, 16)?,
            'u' => self.code(4, 4, 16)?,
            'U' => self.code(8, 8, 16)?,
            '0'..='7' => {
                let first = c.to_digit(8)?;
                let more = self.rest.chars().take(2).take_while(|c| c.is_digit(8)).count();
                let digits = &self.rest[..more];
                let rest = if digits.is_empty() { 0 } else { u32::from_str_radix(digits, 8).ok()? };
                self.rest = &self.rest[more..];
                char::from_u32((first << (3 * more)) + rest)?
            }
            'N' => return None,
            other => {
                text.extend(['\\', other]);
                return Some(());
            }
        };
        text.push(plain);
        Some(())
    }

    fn code(&mut self, least: usize, most: usize, base: u32) -> Option<char> {
        let digits = self.rest.chars().take(most).take_while(|c| c.is_digit(base)).count();
        if digits < least {
            return None;
        }
        let number = u32::from_str_radix(&self.rest[..digits], base).ok()?;
        self.rest = &self.rest[digits..];
        char::from_u32(number)
    }

    fn next(&mut self) -> Option<char> {
        let mut characters = self.rest.chars();
        let next = characters.next();
        self.rest = characters.as_str();
        next
    }

    fn blanks(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\x0c']);
    }

    fn eat(&mut self, c: char) -> bool {
        self.blanks();
        let rest: Option<&'a str> = self.rest.strip_prefix(c);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// Nothing is left but a comment.
    fn at_end(&mut self) -> bool {
        self.blanks();
        self.rest.is_empty() || self.rest.starts_with('#')
    }
}

/// A key as JSON writes it. Lists are none.
fn key(data: &Data) -> Option<String> {
    Some(match data {
        Data::Str(text) => text.clone(),
        Data::Int(number) => number.to_string(),
        Data::Bool(value) => value.to_string(),
        Data::Null => "null".to_owned(),
        Data::Float(number) => serde_json::Number::from_f64(*number)?.to_string(),
        Data::Seq(_) | Data::Map(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_typed_as_python_literals() {
        for (text, value) in [
            ("22", json!(22)),
            ("-1", json!(-1)),
            ("+1", json!(1)),
            ("- 1", json!(-1)),
            ("0", json!(0)),
            ("00", json!(0)),
            ("1_000", json!(1000)),
            ("0x1f", json!(31)),
            ("0o17", json!(15)),
            ("0b101", json!(5)),
            ("0660", json!("0660")),
            ("1.5", json!(1.5)),
            ("1.", json!(1.0)),
            (".5", json!(0.5)),
            ("1e3", json!(1000.0)),
            ("1_0e-1", json!(1.0)),
            ("10.0.0.1", json!("10.0.0.1")),
            ("True", json!(true)),
            ("true", json!("true")),
            ("Truely", json!("Truely")),
            ("yes", json!("yes")),
            ("None", json!(null)),
            ("'5'", json!("5")),
            ("'a' 'b'", json!("ab")),
            ("'a' # c", json!("a")),
            ("22 # c", json!(22)),
            ("a # c", json!("a # c")),
            (r"'a\tb\x41\u00e9\101\q'", json!("a\tbA\u{e9}A\\q")),
            (r"r'a\tb'", json!(r"a\tb")),
            ("'''it's'''", json!("it's")),
            ("'open", json!("'open")),
            ("", json!("")),
            ("-", json!("-")),
            ("--1", json!("--1")),
            ("1,2", json!([1, 2])),
            ("1,", json!([1])),
            ("(1)", json!(1)),
            ("(1,)", json!([1])),
            ("()", json!([])),
            ("['a', 1, [True,],]", json!(["a", 1, [true]])),
            ("[1 2]", json!("[1 2]")),
            ("[,]", json!("[,]")),
            ("[a]", json!("[a]")),
            ("{'a': True, 1: None}", json!({"a": true, "1": null})),
            ("{\"a\": true}", json!("{\"a\": true}")),
            ("{1, 2, 1}", json!([1, 2])),
            ("{}", json!({})),
            ("{{ x }}", json!("{{ x }}")),
            ("1 2", json!("1 2")),
            ("99999999999999999999", json!("99999999999999999999")),
            ("fd00::1", json!("fd00::1")),
            ("0b12", json!("0b12")),
            ("1__0", json!("1__0")),
        ] {
            assert_eq!(Node::bare(literal(text)).to_json(), value, "{text}");
        }
        let deep = format!("{}{}", "[".repeat(500), "]".repeat(500));
        assert_eq!(literal(&deep), Data::Str(deep.clone()));
    }
}
