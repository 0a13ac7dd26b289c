//! The written form: a line that says what follows, then lines of 80 hexadecimal digits.

use std::fmt;

use super::{Closed, DEFAULT_ID};

/// How an encrypted text begins.
pub(super) const MARK: &str = "$ANSIBLE_VAULT";

const CIPHER: &str = "AES256";
const COLUMNS: usize = 80;

/// Parts of an encrypted text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Envelope {
    /// The id of its password; none in version 1.1.
    pub(super) id: Option<String>,
    /// What the keys are derived with, beside the password.
    pub(super) salt: Vec<u8>,
    /// HMAC-SHA256 of `sealed`.
    pub(super) tag: Vec<u8>,
    /// The encrypted bytes.
    pub(super) sealed: Vec<u8>,
}

impl Envelope {
    pub(super) fn parse(text: &str) -> Result<Self, Closed> {
        let (head, body) = text.split_once('\n').unwrap_or((text, ""));
        let head = head.trim_end();
        let words: Vec<&str> = head.split(';').map(str::trim).collect();
        let id = match words[..] {
            [MARK, "1.1", CIPHER] => None,
            [MARK, "1.2", CIPHER, id] if !id.is_empty() => Some(id.to_owned()),
            [MARK, _, _, ..] => return Err(Closed::Unread(head.to_owned())),
            _ => return Err(Closed::Damaged("its first line is cut")),
        };
        let digits: String = body.split_whitespace().collect();
        let inner = hex::decode(digits).map_err(|_| Closed::Damaged("its lines are not all of hexadecimal digits"))?;
        let parts: Option<Vec<Vec<u8>>> =
            inner.split(|byte| *byte == b'\n').map(|part| hex::decode(part).ok()).collect();
        let Some([salt, tag, sealed]) = parts.and_then(|parts| <[Vec<u8>; 3]>::try_from(parts).ok()) else {
            return Err(Closed::Damaged("it does not hold its three parts"));
        };
        if tag.len() != 32 || sealed.is_empty() || sealed.len() % 16 != 0 {
            return Err(Closed::Damaged("a part of it is too short"));
        }
        Ok(Self { id, salt, tag, sealed })
    }
}

impl fmt::Display for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.id.as_deref() {
            None | Some(DEFAULT_ID) => writeln!(f, "{MARK};1.1;{CIPHER}")?,
            Some(id) => writeln!(f, "{MARK};1.2;{CIPHER};{id}")?,
        }
        let inner = [&self.salt, &self.tag, &self.sealed].map(hex::encode).join("\n");
        // Two digits a byte.
        inner.as_bytes().chunks(COLUMNS / 2).try_for_each(|bytes| writeln!(f, "{}", hex::encode(bytes)))
    }
}
