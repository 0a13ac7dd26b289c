//! Words and values of inventory lines: quoting as a shell's, values as Python's literals.

use std::sync::LazyLock;

use regex::Regex;

use crate::source::{Data, Document};

/// A word of a line and its column, from 1.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Word {
    pub(super) text: String,
    pub(super) column: usize,
}

/// The words of a line, quotes taken off, up to a `#`.
///
/// # Errors
/// The column of a quotation that is not closed.
pub(super) fn split(line: &str) -> Result<Vec<Word>, usize> {
    let mut words: Vec<Word> = Vec::new();
    let mut word: Option<Word> = None;
    let mut characters = line.chars().enumerate().peekable();
    while let Some((index, c)) = characters.next() {
        let column = index + 1;
        match c {
            '#' => break,
            c if c.is_whitespace() => words.extend(word.take()),
            '\'' | '"' => {
                let word = word.get_or_insert_with(|| Word { text: String::new(), column });
                loop {
                    match characters.next() {
                        Some((_, end)) if end == c => break,
                        Some((_, '\\')) if c == '"' => match characters.next() {
                            Some((_, next @ ('"' | '\\'))) => word.text.push(next),
                            Some((_, next)) => word.text.extend(['\\', next]),
                            None => return Err(column),
                        },
                        Some((_, inner)) => word.text.push(inner),
                        None => return Err(column),
                    }
                }
            }
            '\\' => {
                let word = word.get_or_insert_with(|| Word { text: String::new(), column });
                word.text.extend(characters.next().map(|(_, next)| next));
            }
            c => word.get_or_insert_with(|| Word { text: String::new(), column }).text.push(c),
        }
    }
    words.extend(word);
    Ok(words)
}

/// The text without a comment that a blank sets off.
pub(super) fn uncomment(text: &str) -> &str {
    let mut quote = None;
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        match quote {
            Some(open) if c == open => quote = None,
            None if matches!(c, '\'' | '"') => quote = Some(c),
            None if c == '#' && before.is_whitespace() => return &text[..at],
            _ => {}
        }
        before = c;
    }
    text
}

/// The text without the quotes around it.
pub(super) fn unquote(text: &str) -> &str {
    for quote in ['\'', '"'] {
        let inner = text.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
        if let Some(inner) = inner.filter(|inner| !inner.contains(quote)) {
            return inner;
        }
    }
    text
}

/// A value as Ansible types it: Python's literals, and text for everything else (`yes`, `0660`, `10.0.0.1`).
pub(super) fn literal(text: &str) -> Data {
    static NUMBER: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"^[+-]?(?:\d+\.\d*|\.\d+|\d+)(?:[eE][+-]?\d+)?$").ok());
    match text {
        "True" => return Data::Bool(true),
        "False" => return Data::Bool(false),
        "None" => return Data::Null,
        _ => {}
    }
    let unsigned = text.trim_start_matches(['+', '-']);
    if unsigned.chars().all(|c| c.is_ascii_digit())
        && (unsigned == "0" || !unsigned.starts_with('0'))
        && let Ok(number) = text.parse()
    {
        return Data::Int(number);
    }
    if unsigned.contains(['.', 'e', 'E'])
        && NUMBER.as_ref().is_some_and(|number| number.is_match(text))
        && let Ok(number) = text.parse()
    {
        return Data::Float(number);
    }
    if unquote(text).len() < text.len() {
        return Data::Str(unquote(text).to_owned());
    }
    // Lists and mappings of literals read the same in YAML's flow style.
    if ((text.starts_with('[') && text.ends_with(']'))
        || (text.starts_with('{') && !text.starts_with("{{") && text.ends_with('}')))
        && let Ok(document) = Document::parse("", text)
    {
        return document.root.data;
    }
    Data::Str(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_as_a_shell_does() {
        let split = |line| split(line).unwrap().into_iter().map(|word| word.text).collect::<Vec<_>>();
        assert_eq!(split("a  b=\"c d\" e='f \"g\"' # h"), ["a", "b=c d", "e=f \"g\""]);
        assert_eq!(split(r#"a="x\"y" b=c\ d"#), ["a=x\"y", "b=c d"]);
        assert_eq!(super::split("a b='c").unwrap_err(), 5);
    }

    #[test]
    fn values_are_typed_as_python_literals() {
        for (text, data) in [
            ("22", Data::Int(22)),
            ("-1", Data::Int(-1)),
            ("0", Data::Int(0)),
            ("0660", Data::Str("0660".into())),
            ("1.5", Data::Float(1.5)),
            ("1e3", Data::Float(1000.0)),
            ("10.0.0.1", Data::Str("10.0.0.1".into())),
            ("True", Data::Bool(true)),
            ("true", Data::Str("true".into())),
            ("yes", Data::Str("yes".into())),
            ("None", Data::Null),
            ("'5'", Data::Str("5".into())),
            ("", Data::Str(String::new())),
            ("-", Data::Str("-".into())),
            ("{{ x }}", Data::Str("{{ x }}".into())),
        ] {
            assert_eq!(literal(text), data, "{text}");
        }
        assert!(matches!(literal("['a', 1]"), Data::Seq(items) if items.len() == 2));
        assert!(matches!(literal("{'a': True}"), Data::Map(map) if map["a"].value.data == Data::Bool(true)));
    }
}
