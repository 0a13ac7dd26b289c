//! Lines of the operator's files that look like something else than what the program that reads them takes them for.
//!
//! They are read as they are written, before they are rendered: what a value holds is right, whatever it looks like.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::LazyLock;

use regex::Regex;

use super::overrides::{Lookups, Overrides};
use crate::error::{InputError, Kind, Place};
use crate::shell::syntax::Syntax;

/// What prints a value, and what prints nothing.
static TEMPLATE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"(?s)(\{\{.*?\}\})|\{%.*?%\}|\{#.*?#\}").ok());

impl Overrides {
    /// Such lines of all files that services get; of those of one file, `most` are told one by one.
    pub fn read_otherwise(&self, lookups: &Lookups, most: usize) -> Vec<InputError> {
        let of_file = |(path, syntax): (&String, &Option<Syntax>)| {
            let (file, syntax) = (self.files.get(path)?, (*syntax)?);
            let found = lines(syntax, file.text.as_deref()?);
            let more = found.len().saturating_sub(most);
            let mut told: Vec<_> = found.into_iter().take(most).map(|line| line.warning(&file.path)).collect();
            if let (Some(last), 1..) = (told.last_mut(), more) {
                let _ = write!(last.message, " (and {more} more such lines in this file)");
            }
            Some(told)
        };
        lookups.found.iter().filter_map(of_file).flatten().collect()
    }
}

/// A line that is read otherwise, by its number.
#[derive(Debug, PartialEq)]
enum Line {
    /// The value of this key ends with what looks like a comment that begins with this sign.
    Comment(usize, String, char),
    /// A section of this name, where this one is meant.
    Section(usize, String, String),
}

impl Line {
    fn warning(self, file: &Path) -> InputError {
        let (line, message, hint) = match self {
            Self::Comment(line, key, sign) => (
                line,
                format!("the service reads the comment behind `{key}` as a part of the value"),
                format!("move it to a line of its own; or write the value in quotes, if the `{sign}` belongs to it"),
            ),
            Self::Section(line, name, meant) => {
                (line, format!("the service does not read a section `[{name}]`"), format!("write it as `[{meant}]`"))
            }
        };
        // Without the text of the line, which may hold a secret that nothing else knows.
        InputError::new(message).of(Kind::ReadOtherwise).at(Place::on_line(file, None, line, 1)).hint(hint)
    }
}

/// Such lines of a text.
fn lines(syntax: Syntax, text: &str) -> Vec<Line> {
    let signs: &[char] = match syntax {
        Syntax::Oslo | Syntax::Uwsgi => &['#', ';'],
        // What is behind `#` is a comment there.
        Syntax::OptionFile => &[';'],
        _ => return Vec::new(),
    };
    // A value stands for what an expression prints; lines keep their numbers.
    let shown = TEMPLATE.as_ref().map_or(text.into(), |template| {
        template.replace_all(text, |found: &regex::Captures<'_>| {
            let value = if found.get(1).is_some() { "x" } else { "" };
            value.to_owned() + &"\n".repeat(found[0].matches('\n').count())
        })
    });
    let (mut found, mut key) = (Vec::new(), None);
    for (number, line) in (1..).zip(shown.lines().map(str::trim_end)) {
        let more = line.starts_with([' ', '\t']) && syntax == Syntax::Oslo;
        let written = line.trim_start();
        if !more {
            key = None;
            if written.starts_with(['#', ';']) {
                continue;
            }
            if let Some(name) = written.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                let meant = if name.trim().eq_ignore_ascii_case("default") { "DEFAULT" } else { name.trim() };
                if meant != name && syntax == Syntax::Oslo {
                    found.push(Line::Section(number, name.to_owned(), meant.to_owned()));
                }
                continue;
            }
        }
        let value = if more {
            written
        } else {
            let Some(at) = line.find(|c| c == '=' || c == ':' && syntax == Syntax::Oslo) else { continue };
            key = Some(line[..at].trim().to_owned());
            &line[at + 1..]
        };
        if let (Some(key), Some(sign)) = (&key, comment(value, more, signs)) {
            found.push(Line::Comment(number, key.clone(), sign));
        }
    }
    found
}

/// The sign of what looks like a comment in a value: outside of quotes and behind a blank; where the value begins, before one.
fn comment(value: &str, more: bool, signs: &[char]) -> Option<char> {
    let (mut quote, mut before) = (None, ' ');
    let begin = value.trim_start();
    if let Some(first) = begin.chars().next().filter(|first| signs.contains(first)) {
        return (more || begin[1..].starts_with([' ', '\t'])).then_some(first);
    }
    for c in begin.chars() {
        let opens = !before.is_alphanumeric();
        match quote {
            Some(open) if c == open => quote = None,
            None if ['"', '\''].contains(&c) && opens => quote = Some(c),
            None if signs.contains(&c) && before.is_whitespace() => return Some(c),
            _ => {}
        }
        before = c;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(syntax: Syntax, text: &str) -> Vec<String> {
        let line = |line: Line| match line {
            Line::Comment(number, key, sign) => format!("{number} {key} {sign}"),
            Line::Section(number, name, meant) => format!("{number} [{name}] [{meant}]"),
        };
        lines(syntax, text).into_iter().map(line).collect()
    }

    #[test]
    fn comments_behind_values_and_sections_of_other_names_are_told() {
        for (text, expected) in [
            ("[DEFAULT]\nk = 4  # four\nl: a ; b\n", &["2 k #", "3 l ;"][..]),
            ("[a]\nk = 4 #four\nl = \t; nothing\nm = # nothing\n", &["2 k #", "3 l ;", "4 m #"]),
            ("[a]\nk = \"a # b\" # c\nl = it's # one\n", &["2 k #", "3 l #"]),
            ("[a]\nk = a,\n  b  # b\n  # c\n", &["3 k #", "4 k #"]),
            ("[a]\nk = {{ x }}  # {{ y }}\n", &["2 k #"]),
            ("{# one\ntwo #}\n[a]\n{% if x %}\nk = 4 ; four\n{% endif %}\n", &["5 k ;"]),
            (
                "[default]\n[Default]\n[ DEFAULT ]\n[ database]\n",
                &[
                    "1 [default] [DEFAULT]",
                    "2 [Default] [DEFAULT]",
                    "3 [ DEFAULT ] [DEFAULT]",
                    "4 [ database] [database]",
                ],
            ),
        ] {
            assert_eq!(told(Syntax::Oslo, text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_read_as_it_looks_is_not_told() {
        for text in [
            "# k = 4 # c\n; k = 4 ; c\n[DEFAULT]\n[Database]\nk = 4\n",
            "[a]\nuri = a;b#c\nl = #fff\nm = a; b\nn = C# is\n",
            "[a]\nk = 'a # b'\nl = {\"a\": \"b ; c\"}\nm = \"it's # one\"\n",
            "[a]\nk = {{ x ~ ' # ' ~ y }}\nl = 4 {# four #}\n",
            "[a]\nk = a\n\n  # not of the value\n",
            "[a]\n{% if x %}# off{% endif %}\nreserved # c\n",
        ] {
            assert_eq!(told(Syntax::Oslo, text), [""; 0], "{text}");
        }
        let text = "[default]\n  k = 4 # four\n  l = 4 ; four\n  # c\n";
        assert_eq!(told(Syntax::OptionFile, text), ["3 l ;"]);
        assert_eq!(told(Syntax::Uwsgi, text), ["2 k #", "3 l ;"]);
        for syntax in [Syntax::Haproxy, Syntax::Shell, Syntax::Python, Syntax::Json, Syntax::Line] {
            assert_eq!(told(syntax, text), [""; 0], "{syntax:?}");
        }
    }
}
