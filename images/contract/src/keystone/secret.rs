//! The one secret that all hosts have, and the keys that follow from it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use hkdf::Hkdf;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use sha2::Sha256;

use crate::{Failure, Result};

/// A Fernet key as its file holds it: 32 bytes in the base64 of URLs, with padding, without a line end.
pub(super) type Key = Vec<u8>;

/// Shorter ones could be guessed from a single token.
const SHORTEST: usize = 32;

/// Has no `Debug`, so that it is never printed.
pub(super) struct Secret(String);

impl Secret {
    /// The key that the tokens of one epoch are encrypted with.
    pub(super) fn fernet(&self, epoch: u64) -> Result<Key> {
        self.derive(&format!("kolla fernet key {epoch}"))
    }

    /// One of the keys of credentials.
    pub(super) fn credential(&self, number: u64) -> Result<Key> {
        self.derive(&format!("kolla credential key {number}"))
    }

    /// HKDF (RFC 5869) with SHA-256 and no salt.
    fn derive(&self, info: &str) -> Result<Key> {
        let mut key = [0; 32];
        Hkdf::<Sha256>::new(None, self.0.as_bytes())
            .expand(info.as_bytes(), &mut key)
            .map_err(|error| Failure::of("derive a key", error))?;
        Ok(URL_SAFE.encode(key).into_bytes())
    }
}

impl<'de> Deserialize<'de> for Secret {
    /// By way of any value: the message of a wrong type would quote it.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(text) if text.len() >= SHORTEST => Ok(Self(text)),
            _ => Err(D::Error::custom(format!("`secret` must be a text of at least {SHORTEST} characters"))),
        }
    }
}

/// Whether Keystone could use this as a key.
pub(super) fn is_key(text: &[u8]) -> bool {
    URL_SAFE.decode(text.trim_ascii()).is_ok_and(|key| key.len() == 32)
}
