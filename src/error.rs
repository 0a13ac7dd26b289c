//! What went wrong, as data: made where the facts are, printed only by `cli` and the terminal report.
//!
//! Three families: *input* errors point into a file and are collected; *host* errors name a host and what
//! was being done there; *operation* errors carry what an operator needs to see of a failed change.

mod host;
mod kind;
mod near;

use std::fmt;
use std::path::{Path, PathBuf};

pub use host::{HostCause, HostError, Target, by_cause, some_targets};
pub use kind::{Kind, page};
pub use near::{Names, nearest};

/// The result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Anything that stops a command or an operation.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// Bad input, all of it that was found: exit code 2, nothing was touched.
    #[error("{}", numbered(.0.len(), "input error"))]
    Input(Vec<InputError>),
    /// A host that cannot be reached or does not answer as it must.
    #[error("{0}")]
    Host(Box<HostError>),
    /// An operation that failed on a host.
    #[error("{0}")]
    Operation(Box<OperationError>),
    /// Something on this machine: a file, a directory, a process.
    #[error("{act}: {cause}")]
    Local {
        /// What was being done, as in `write /etc/kolla/passwords.yml`.
        act: String,
        /// Why it failed.
        cause: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// The user stopped the run.
    #[error("interrupted")]
    Interrupted,
}

impl Error {
    /// One input error without a place in a file, of the command line unless another kind is said.
    pub fn input(message: impl Into<String>) -> Self {
        Self::from(InputError::new(message).of(Kind::Usage))
    }

    /// The same error as one of this kind, where it is an input error.
    #[must_use]
    pub fn of(mut self, kind: Kind) -> Self {
        if let Self::Input(errors) = &mut self
            && let Some(last) = errors.last_mut()
        {
            last.kind = kind;
        }
        self
    }

    /// What a result has; its input errors go to others that are told with them.
    ///
    /// # Errors
    /// Those that are no input errors.
    pub fn collected<T>(result: Result<T>, errors: &mut Vec<InputError>) -> Result<Option<T>> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(Self::Input(found)) => {
                errors.extend(found);
                Ok(None)
            }
            Err(other) => Err(other),
        }
    }

    /// What kind of error it is; of several input errors the first one's.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Input(errors) => errors.first().map_or(Kind::WrongValue, |error| error.kind),
            Self::Host(error) => error.cause.kind(),
            Self::Operation(_) => Kind::Operation,
            Self::Local { .. } => Kind::Local,
            Self::Interrupted => Kind::Interrupted,
        }
    }

    /// A failure on this machine while doing `act`.
    pub fn local(act: impl Into<String>, cause: impl fmt::Display) -> Self {
        Self::Local { act: act.into(), cause: cause.to_string(), hint: None }
    }

    /// A failure of a host while doing `act`.
    pub fn host(host: impl Into<String>, act: impl Into<String>, cause: HostCause) -> Self {
        let (host, act) = (host.into(), act.into());
        Self::Host(Box::new(HostError { host, address: None, act, cause, hint: None, others: Vec::new() }))
    }

    /// A failed operation with its message.
    pub fn operation(message: impl Into<String>) -> Self {
        Self::Operation(Box::new(OperationError { message: message.into(), ..OperationError::default() }))
    }

    /// The same error with an act that helps.
    #[must_use]
    pub fn with_hint(mut self, text: impl Into<String>) -> Self {
        let text = Some(text.into());
        match &mut self {
            Self::Input(errors) => {
                if let Some(last) = errors.last_mut() {
                    last.hint = text;
                }
            }
            Self::Host(error) => error.hint = text,
            Self::Operation(error) => error.hint = text,
            Self::Local { hint, .. } => *hint = text,
            Self::Interrupted => {}
        }
        self
    }

    /// The same error with what caused it.
    #[must_use]
    pub fn because(mut self, cause: impl Into<String>) -> Self {
        match &mut self {
            Self::Operation(error) => error.causes.push(cause.into()),
            Self::Input(errors) => {
                if let Some(last) = errors.last_mut() {
                    last.causes.push(cause.into());
                }
            }
            Self::Local { cause: first, .. } => *first = format!("{first}: {}", cause.into()),
            Self::Host(_) | Self::Interrupted => {}
        }
        self
    }

    /// The exit code of a command that ends with this error.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Input(_) => 2,
            Self::Interrupted => 130,
            Self::Host(_) | Self::Operation(_) | Self::Local { .. } => 1,
        }
    }
}

impl From<InputError> for Error {
    fn from(error: InputError) -> Self {
        Self::Input(vec![error])
    }
}

/// One mistake in what the user wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputError {
    /// What kind of mistake it is.
    pub kind: Kind,
    /// What is wrong, lower case, literals in backticks, no full stop.
    pub message: String,
    /// Where it stands.
    pub place: Option<Place>,
    /// What used it, as in `used by file glance-api.conf on control01`.
    pub used_by: Option<String>,
    /// What caused it, outermost first.
    pub causes: Vec<String>,
    /// What to do: an act.
    pub hint: Option<String>,
}

impl InputError {
    /// An error with its message only, of a wrong value unless another kind is said.
    pub fn new(message: impl Into<String>) -> Self {
        let (kind, message) = (Kind::WrongValue, message.into());
        Self { kind, message, place: None, used_by: None, causes: Vec::new(), hint: None }
    }

    /// The same error as one of this kind.
    #[must_use]
    pub fn of(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    /// The same error at a place.
    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }

    /// The same error with an act that helps.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// In one line, as warnings are told: the column and the hint are left out.
impl InputError {
    /// It with what to do, in one line: a warning.
    pub fn in_a_line(&self) -> String {
        match &self.hint {
            Some(hint) => format!("{self} ({hint})"),
            None => self.to_string(),
        }
    }
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{}: ", Place { column: 0, ..place.clone() })?;
        }
        write!(f, "{}", self.message)
    }
}

/// A place in a file: line and column count from 1; 0 means that only the file is known.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// The file, as the user named it.
    pub file: PathBuf,
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
    /// The line's text, shown under the place with a caret at the column. None of a line that is no line of text: a file
    /// on one line would come with each of its mistakes.
    pub excerpt: Option<String>,
}

/// Bytes of the longest line that is shown.
const LONGEST_EXCERPT: usize = 2000;

impl Place {
    /// The file as a whole.
    pub fn file(path: impl AsRef<Path>) -> Self {
        Self { file: path.as_ref().to_owned(), line: 0, column: 0, excerpt: None }
    }

    /// A line and column of `text`, which is the content of `path`.
    pub fn within(path: impl AsRef<Path>, text: &str, line: usize, column: usize) -> Self {
        let text = line.checked_sub(1).and_then(|index| text.lines().nth(index));
        Self::on_line(path, text, line, column)
    }

    /// As [`Place::within`], with the line's text.
    pub(crate) fn on_line(path: impl AsRef<Path>, text: Option<&str>, line: usize, column: usize) -> Self {
        let excerpt = text.filter(|text| text.len() <= LONGEST_EXCERPT).map(str::to_owned);
        Self { file: path.as_ref().to_owned(), line, column, excerpt }
    }

    /// The column behind the word at the place, for who marks it: the word, number, text in quotes or expression in
    /// braces that begins there. One character where nothing is known of it.
    pub fn end(&self) -> usize {
        let Some(line) = self.excerpt.as_deref().filter(|_| self.column > 0) else { return self.column + 1 };
        let rest: Vec<char> = line.chars().skip(self.column - 1).collect();
        let until = |end: &str| {
            let text: String = rest[2.min(rest.len())..].iter().collect();
            text.find(end).map_or(rest.len(), |at| text[..at].chars().count() + 2 + end.len())
        };
        let word = |c: &&char| c.is_alphanumeric() || "_-./".contains(**c);
        let length = match rest.as_slice() {
            ['{', '{', ..] => until("}}"),
            ['{', '%', ..] => until("%}"),
            [quote @ ('"' | '\''), after @ ..] => after.iter().position(|c| c == quote).map_or(rest.len(), |at| at + 2),
            rest => rest.iter().take_while(word).count(),
        };
        self.column + length.max(1)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
            if self.column > 0 {
                write!(f, ":{}", self.column)?;
            }
        }
        Ok(())
    }
}

/// An operation that failed, with what is needed to understand it.
#[derive(Debug, Clone, Default)]
pub struct OperationError {
    /// What failed, as in `container glance_api is not ready after 60s`.
    pub message: String,
    /// Why, outermost first.
    pub causes: Vec<String>,
    /// Whose log lines follow, as in `glance_api`.
    pub log_of: Option<String>,
    /// The last log lines.
    pub log: Vec<String>,
    /// What to do: an act.
    pub hint: Option<String>,
}

impl fmt::Display for OperationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.message)
    }
}

/// `1 host`, `3 hosts`.
pub fn numbered(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_ends_behind_its_word() {
        for (line, column, end) in [
            ("a: toy_port # x", 4, 12),
            ("a: \"{{ x }}\" # x", 4, 13),
            ("a: {{ x }}-y", 4, 11),
            ("a: 'open", 4, 9),
            ("a: [", 4, 5),
            ("ä: ü", 4, 5),
            ("", 1, 2),
        ] {
            assert_eq!(Place::within("x", line, 1, column).end(), end, "{line}");
        }
    }
}
