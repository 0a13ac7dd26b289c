//! Values in the syntax of the file that they are printed into: the program that reads the file gets each value as it is.
//!
//! A file is known as its pieces, its own text and values between. Where a value stands, as inside of quotes, follows from
//! the text before it; how a whole option is written, from all of its pieces.

mod option;
mod quoted;

use serde_json::Value as Json;

/// What a file is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Syntax {
    /// INI as oslo.config reads it.
    Oslo,
    /// Option files of MariaDB.
    OptionFile,
    /// INI as uWSGI reads it.
    Uwsgi,
    /// haproxy.cfg.
    Haproxy,
    /// JSON.
    Json,
    /// Python.
    Python,
    /// A POSIX shell.
    Shell,
    /// YAML.
    Yaml,
    /// One line that is nothing but a value.
    Line,
}

/// A part of a file.
#[derive(Debug, Clone, PartialEq)]
pub enum Piece {
    /// Text of the syntax.
    Text(String),
    /// A value: as it prints, and what it is where that is no text.
    Value(String, Option<Json>),
}

/// Around the number of a line where a file is traced: characters of private use, which no template has. They are no part of
/// the text before a value.
pub(crate) const MARK: (char, char) = ('\u{e000}', '\u{e001}');

/// All of them, by their names in role.yml.
const ALL: [(&str, Syntax); 9] = [
    ("haproxy", Syntax::Haproxy),
    ("json", Syntax::Json),
    ("line", Syntax::Line),
    ("mariadb", Syntax::OptionFile),
    ("oslo", Syntax::Oslo),
    ("python", Syntax::Python),
    ("shell", Syntax::Shell),
    ("uwsgi", Syntax::Uwsgi),
    ("yaml", Syntax::Yaml),
];

impl Syntax {
    /// Their names in role.yml.
    pub const NAMES: [&str; ALL.len()] = {
        let (mut names, mut index) = ([""; ALL.len()], 0);
        while index < ALL.len() {
            names[index] = ALL[index].0;
            index += 1;
        }
        names
    };

    /// The one of a name.
    pub fn named(name: &str) -> Option<Self> {
        ALL.iter().find(|(known, _)| *known == name).map(|(_, syntax)| *syntax)
    }

    /// Its name in role.yml.
    pub fn name(self) -> &'static str {
        ALL.iter().find(|(_, syntax)| *syntax == self).map_or("", |(name, _)| name)
    }

    /// What a file is written in by the end of its name, where that says it.
    pub fn of_file(path: &str) -> Option<Self> {
        match path.rsplit_once('.')?.1 {
            "json" => Some(Self::Json),
            "py" => Some(Self::Python),
            _ => None,
        }
    }

    /// What JSON says is a value of this syntax, too.
    pub fn has_json(self) -> bool {
        matches!(self, Self::Json | Self::Python | Self::Yaml)
    }

    /// What of a value this syntax has no way to write.
    pub fn cannot_hold(self, value: &str) -> Option<&'static str> {
        let blank_end = || value.starts_with(char::is_whitespace) || value.ends_with(char::is_whitespace);
        match self {
            _ if value.contains('\0') => Some("a NUL character"),
            Self::OptionFile | Self::Json | Self::Python | Self::Shell | Self::Yaml => None,
            _ if value.contains(['\n', '\r']) => Some("a line break"),
            Self::Oslo | Self::Haproxy => None,
            Self::Line => blank_end().then_some("a blank at its beginning or end"),
            Self::Uwsgi if blank_end() => Some("a blank at its beginning or end"),
            Self::Uwsgi if value.contains('%') => Some("a `%`"),
            Self::Uwsgi => (value.contains("$(") || value.contains("@(")).then_some("a `$(` or `@(`"),
        }
    }

    /// The file that the pieces make.
    pub fn write(self, pieces: &[Piece]) -> String {
        match self {
            Self::Oslo | Self::OptionFile => option::write(self, pieces),
            Self::Haproxy | Self::Json | Self::Python | Self::Shell => quoted::write(self, pieces),
            // `template::yaml` writes files of YAML, which have to be read for that.
            Self::Uwsgi | Self::Line | Self::Yaml => pieces.iter().map(Piece::plain).collect(),
        }
    }
}

impl Piece {
    /// It as it is.
    fn plain(&self) -> &str {
        match self {
            Self::Text(text) | Self::Value(text, _) => text,
        }
    }
}

/// A text without the marks by which lines are traced.
fn unmarked(text: &str) -> String {
    let mut inside = false;
    let seen = |c: &char| {
        let within = inside || *c == MARK.0;
        inside = within && *c != MARK.1;
        !within
    };
    text.chars().filter(seen).collect()
}

/// All the ways in which a value is written inside of an option, or of quotes.
pub(super) fn forms(value: &str) -> impl Iterator<Item = String> {
    let options = [Syntax::Oslo, Syntax::OptionFile].map(|syntax| option::escaped(syntax, value));
    options.into_iter().chain(quoted::forms(value))
}

#[cfg(test)]
mod tests;
