//! Keys of credentials: they encrypt data at rest, so what is there is never replaced.

use super::folder::{Change, Keys};
use super::secret::Secret;
use crate::Result;

/// What is missing in a folder that has no keys but ours. The primary comes first: a host that was stopped between the
/// two encrypts with the same key as all others.
pub(super) fn changes(secret: &Secret, held: &Keys) -> Result<Vec<Change>> {
    let ours = [(1, secret.credential(1)?, "the primary key"), (0, secret.credential(0)?, "the staged key")];
    let foreign = held.iter().any(|(number, held)| !ours.iter().any(|(our, key, _)| our == number && *key == held.key));
    if foreign {
        return Ok(Vec::new());
    }
    let missing = ours.into_iter().filter(|(number, ..)| !held.contains_key(number));
    Ok(missing.map(|(number, key, what)| Change::Write(number, key, what)).collect())
}
