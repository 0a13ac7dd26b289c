//! AES-256 in counter mode under keys derived from a password, and HMAC-SHA256 over what it gives.

use aes::Aes256;
use aes::cipher::{KeyIvInit as _, StreamCipher as _};
use ctr::Ctr128BE;
use hmac::{Hmac, KeyInit as _, Mac as _};
use rand::Rng as _;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::envelope::Envelope;

/// PBKDF2's, as Ansible has them.
const ROUNDS: u32 = 10_000;
const BLOCK: usize = 16;

/// What a password and a salt give: 32 bytes each for cipher and HMAC, 16 for the counter's start.
struct Keys(Zeroizing<[u8; 80]>);

impl Keys {
    fn derive(password: &str, salt: &[u8]) -> Self {
        let mut derived = Zeroizing::new([0; 80]);
        pbkdf2::pbkdf2_hmac::<Sha256>(password.as_bytes(), salt, ROUNDS, &mut *derived);
        Self(derived)
    }

    /// Encrypts and decrypts: the same in this mode.
    fn apply(&self, bytes: &mut [u8]) {
        let (mut key, mut start) = (Zeroizing::new([0; 32]), [0; BLOCK]);
        key.copy_from_slice(&self.0[..32]);
        start.copy_from_slice(&self.0[64..]);
        Ctr128BE::<Aes256>::new(&(*key).into(), &start.into()).apply_keystream(bytes);
    }

    fn mac(&self, bytes: &[u8]) -> Hmac<Sha256> {
        // Zeros up to the hash's block are what HMAC itself puts after a shorter key.
        let mut key = Zeroizing::new([0; 64]);
        key[..32].copy_from_slice(&self.0[32..64]);
        let mut mac = Hmac::<Sha256>::new(&(*key).into());
        mac.update(bytes);
        mac
    }
}

/// Decrypts: nothing under another password, `Some(None)` where the padding is none.
#[allow(clippy::option_option)]
pub(super) fn open(password: &str, envelope: &Envelope) -> Option<Option<Vec<u8>>> {
    let keys = Keys::derive(password, &envelope.salt);
    keys.mac(&envelope.sealed).verify_slice(&envelope.tag).ok()?;
    let mut bytes = envelope.sealed.clone();
    keys.apply(&mut bytes);
    Some(unpadded(bytes))
}

/// Encrypts under a new salt.
pub(super) fn close(password: &str, id: Option<String>, text: &[u8]) -> Envelope {
    let mut salt = vec![0; 32];
    rand::rng().fill_bytes(&mut salt);
    close_with(password, id, text, salt)
}

pub(super) fn close_with(password: &str, id: Option<String>, text: &[u8], salt: Vec<u8>) -> Envelope {
    let keys = Keys::derive(password, &salt);
    let mut sealed = padded(text);
    keys.apply(&mut sealed);
    let tag = keys.mac(&sealed).finalize().into_bytes().to_vec();
    Envelope { id, salt, tag, sealed }
}

/// PKCS#7: as many bytes as are missing, each of that value; a whole block where none is.
fn padded(text: &[u8]) -> Vec<u8> {
    let missing = BLOCK - text.len() % BLOCK;
    let mut bytes = text.to_vec();
    bytes.resize(text.len() + missing, u8::try_from(missing).unwrap_or_default());
    bytes
}

fn unpadded(mut bytes: Vec<u8>) -> Option<Vec<u8>> {
    let last = *bytes.last()?;
    let count = usize::from(last);
    let kept = bytes.len().checked_sub(count)?;
    if !(1..=BLOCK).contains(&count) || bytes[kept..].iter().any(|byte| *byte != last) {
        return None;
    }
    bytes.truncate(kept);
    Some(bytes)
}
