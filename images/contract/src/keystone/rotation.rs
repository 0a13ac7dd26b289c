//! Which keys of tokens must be there at a time, and by what steps a folder gets to them. It touches no file.
//!
//! Time is cut into intervals, numbered since 1970: an *epoch*. Keystone takes file `0` as the staged key, the highest
//! number as the primary and all others as secondary; all decrypt, the primary encrypts. A file is named by its epoch,
//! so it is written once and only `0` changes. Keystone reads the folder at any moment, file by file, hence:
//!
//! - Whatever is the highest number at any moment is a key that other hosts know and will keep for a token's life.
//! - A key is removed, or replaced, rounds after it was written elsewhere, if it may still be in use.

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::folder::{Change, Held, Keys};
use super::secret::{Key, Secret, is_key};
use crate::{Failure, Result};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rotation {
    pub(super) folder: PathBuf,
    /// Seconds that a key is the primary for.
    interval: NonZeroU64,
    /// Seconds that a token may be of use: Keystone's `expiration` and `allow_expired_window` together.
    lifetime: u64,
}

/// What the folder must hold at a time, and what it holds.
struct State<'a> {
    /// In the order in which they are written: the primary first, or a secondary would be the highest for a moment.
    wanted: Vec<(u64, Key, &'static str)>,
    /// The lowest number that is ours.
    lowest: u64,
    held: &'a Keys,
}

impl Rotation {
    /// How long this epoch still lasts.
    pub(super) fn left(&self, now: Duration) -> Duration {
        let next = (now.as_secs() / self.interval + 1).saturating_mul(self.interval.get());
        Duration::from_secs(next).saturating_sub(now)
    }

    /// What can be done now. Rounds follow, each after a pause, until one is empty: first keys appear under new
    /// numbers, then others are replaced, and then others are removed.
    pub(super) fn changes(&self, secret: &Secret, held: &Keys, now: u64) -> Result<Vec<Change>> {
        let state = self.state(secret, held, now)?;
        let takeover = held.iter().filter(|(number, held)| **number > 0 && state.fits(**number, held));
        let takeover = takeover.map(|(_, held)| held.written).min().unwrap_or(now);
        // Encrypting with other keys ended when ours came, or when they were set aside; here. Other hosts may have
        // been an interval later.
        let in_use = |held: &Held| {
            let end = held.written.max(takeover).saturating_add(self.lifetime).saturating_add(self.interval.get());
            now < end
        };
        let old = |number: u64| number > 0 && number < state.lowest;
        let stays = |number: u64, held: &Held| state.fits(number, held) || (old(number) && in_use(held));

        let mut appear = state.missing();
        // What is above our numbers, or in their place, goes on as a secondary key below them.
        let mut free = (1..state.lowest).filter(|number| !held.contains_key(number));
        for (number, away) in held.iter().filter(|(number, held)| !old(**number) && !stays(**number, held)) {
            let elsewhere = held.iter().any(|(number, held)| stays(*number, held) && held.key == away.key);
            if !is_key(&away.key) || elsewhere || state.wanted.iter().any(|(_, key, _)| *key == away.key) {
                continue;
            }
            let place = free.next().ok_or_else(|| Failure::new(format!("no number is free for key {number}")))?;
            appear.push(Change::Write(place, away.key.clone(), "a key that was here before"));
        }
        if !appear.is_empty() {
            return Ok(appear);
        }
        let replaced = state.replaced();
        if !replaced.is_empty() {
            return Ok(replaced);
        }
        let gone = held.iter().filter(|(number, held)| !stays(**number, held));
        Ok(gone.map(|(number, _)| Change::Remove(*number)).collect())
    }

    fn state<'a>(&self, secret: &Secret, held: &'a Keys, now: u64) -> Result<State<'a>> {
        let epoch = now / self.interval;
        // With clocks that differ by less than an interval, a token lives to see this many epochs after its own.
        let older = self.lifetime.div_ceil(self.interval.get()).saturating_add(1);
        let lowest = epoch
            .checked_sub(older)
            .filter(|number| *number > 0)
            .ok_or_else(|| Failure::new(format!("the clock cannot be right: it is {now} s after 1970")))?;
        let mut wanted =
            vec![(epoch, secret.fernet(epoch)?, "the primary key"), (0, secret.fernet(epoch + 1)?, "the staged key")];
        for number in (lowest..epoch).rev() {
            wanted.push((number, secret.fernet(number)?, "a secondary key"));
        }
        Ok(State { wanted, lowest, held })
    }
}

impl State<'_> {
    /// Whether a key is one of ours, in its place.
    fn fits(&self, number: u64, held: &Held) -> bool {
        self.wanted.iter().any(|(wanted, key, _)| *wanted == number && *key == held.key)
    }

    fn missing(&self) -> Vec<Change> {
        self.write(|number| !self.held.contains_key(&number))
    }

    fn replaced(&self) -> Vec<Change> {
        self.write(|number| self.held.get(&number).is_some_and(|held| !self.fits(number, held)))
    }

    fn write(&self, which: impl Fn(u64) -> bool) -> Vec<Change> {
        let which = self.wanted.iter().filter(|(number, ..)| which(*number));
        which.map(|(number, key, what)| Change::Write(*number, key.clone(), what)).collect()
    }
}
