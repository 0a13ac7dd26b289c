//! Ansible Vault: a text encrypted under a password, as a whole file or as one value in it.
//!
//! The format is the one of Ansible's documentation, versions 1.1 and 1.2, cipher AES256. Where passwords come from is
//! not known here.

mod cipher;
mod document;
mod envelope;

pub(super) use document::{open_file, parse, seal_of_values, without_excerpt};

use std::path::Path;

use crate::error::{InputError, Kind, Place};
use crate::shell::Secret;
use envelope::Envelope;

/// The id of a password that was given none, and of a text that names none.
pub const DEFAULT_ID: &str = "default";

/// A password and the id under which texts name it.
#[derive(Debug, Clone)]
pub struct VaultKey {
    /// As in `--vault-id ID@SOURCE`.
    pub id: String,
    /// The password.
    pub password: Secret,
}

/// The passwords that were given, in the order in which they are tried.
#[derive(Debug, Clone, Default)]
pub struct VaultKeys(Vec<VaultKey>);

/// How a text was encrypted, so that another one can be likewise.
#[derive(Debug, Clone)]
pub(super) struct Seal {
    /// The id that stands in the text.
    id: Option<String>,
    password: Secret,
}

/// Why a text stays closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Closed {
    /// It is of a version or cipher that is not read.
    Unread(String),
    /// It is not whole.
    Damaged(&'static str),
    /// No password was given; the id that it names.
    NoPassword(Option<String>),
    /// No given password opens it: the id that it names, and those of the passwords.
    NoneFits(Option<String>, Vec<String>),
}

/// The text is encrypted.
pub(super) fn is_sealed(text: &str) -> bool {
    text.starts_with(envelope::MARK)
}

/// The line of a header that has something before it, as an empty line: then the text is not taken for an encrypted one.
pub(super) fn late_header(text: &str) -> Option<usize> {
    let header = text.lines().position(|line| line.starts_with(envelope::MARK))?;
    (header > 0).then_some(header + 1)
}

/// The error of such a text, named by `what`.
pub(super) fn not_first(what: &str) -> InputError {
    InputError::new(format!("{what} is encrypted, and `{}` is not its first line", envelope::MARK))
        .of(Kind::Encrypted)
        .hint("remove what stands before that line")
}

impl VaultKeys {
    /// Passwords, the first one first tried.
    pub fn new(keys: Vec<VaultKey>) -> Self {
        Self(keys)
    }

    /// What an encrypted file holds, which may be no text; nothing where the file is not encrypted.
    ///
    /// # Errors
    /// When it stays closed.
    pub fn opened(&self, path: &Path, text: &str) -> Result<Option<Vec<u8>>, InputError> {
        if let Some(line) = late_header(text) {
            return Err(not_first("the file").at(Place { line, ..Place::file(path) }));
        }
        let opened = is_sealed(text).then(|| self.open_bytes(text)).transpose();
        let opened = opened.map_err(|why| why.error("the file").at(Place::file(path)))?;
        Ok(opened.map(|(bytes, _)| bytes))
    }

    /// As [`Self::open_bytes`], of what is text.
    fn open(&self, text: &str) -> Result<(String, Seal), Closed> {
        let (bytes, seal) = self.open_bytes(text)?;
        let text = String::from_utf8(bytes).map_err(|_| Closed::Damaged("what it holds is no text"))?;
        Ok((text, seal))
    }

    /// Decrypts: with the passwords of the id that the text names, then with the others, as Ansible does.
    fn open_bytes(&self, text: &str) -> Result<(Vec<u8>, Seal), Closed> {
        let envelope = Envelope::parse(text)?;
        if self.0.is_empty() {
            return Err(Closed::NoPassword(envelope.id));
        }
        let named = envelope.id.as_deref().unwrap_or(DEFAULT_ID);
        let (first, others): (Vec<_>, Vec<_>) = self.0.iter().partition(|key| key.id == named);
        for key in first.into_iter().chain(others) {
            if let Some(opened) = cipher::open(key.password.reveal(), &envelope) {
                let bytes = opened.ok_or(Closed::Damaged("its padding is none"))?;
                return Ok((bytes, Seal { id: envelope.id, password: key.password.clone() }));
            }
        }
        Err(Closed::NoneFits(envelope.id, self.0.iter().map(|key| key.id.clone()).collect()))
    }
}

impl Seal {
    /// Encrypts, with a new salt.
    pub(super) fn close(&self, text: &str) -> String {
        cipher::close(self.password.reveal(), self.id.clone(), text.as_bytes()).to_string()
    }
}

impl Closed {
    /// The error of a file or value, named by `what`.
    pub(super) fn error(&self, what: &str) -> InputError {
        match self {
            Self::Unread(form) => InputError::new(format!("{what} is encrypted as `{form}`, which is not read"))
                .of(Kind::Unsupported)
                .hint("encrypt it anew with `ansible-vault`: its version 1.1 or 1.2, with AES256, is read"),
            Self::Damaged(why) => InputError::new(format!("{what} is encrypted and damaged: {why}"))
                .of(Kind::Encrypted)
                .hint("restore it from a copy: no password opens it as it is"),
            Self::NoPassword(id) => {
                let option = match id.as_deref() {
                    None | Some(DEFAULT_ID) => "--vault-password-file FILE".to_owned(),
                    Some(id) => format!("--vault-id {id}@FILE"),
                };
                InputError::new(format!("{what} is encrypted with Ansible Vault, and no password is given"))
                    .of(Kind::Encrypted)
                    .hint(format!("name the password's file with `{option}`, or type it with `--ask-vault-password`"))
            }
            Self::NoneFits(id, given) => {
                let given = given.iter().map(|id| format!("`{id}`")).collect::<Vec<_>>().join(", ");
                let hint = match id {
                    Some(id) => format!("it was encrypted under the id `{id}`: give that password"),
                    None => "give the password that it was encrypted with".to_owned(),
                };
                InputError::new(format!(
                    "{what} cannot be decrypted: no given vault password fits ({given}), or it was changed"
                ))
                .of(Kind::Encrypted)
                .hint(hint)
            }
        }
    }
}

#[cfg(test)]
mod tests;
