//! `keystone_keys`: keeps Keystone's folders of keys, on each host by itself.
//!
//! All hosts derive the same keys from one secret and their own clock, so no key ever travels from host to host, no
//! host rotates for the others, and one that was away is right again at once.

mod credential;
mod folder;
mod rotation;
mod secret;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use std::{fs, thread};

use nix::sys::signal::{SigSet, Signal};
use serde::Deserialize;

use crate::{Failure, Result};
use folder::Folder;
use rotation::Rotation;
use secret::Secret;

/// How long it sleeps at most: a clock that jumped, or a host that was suspended, is noticed within this.
const EVERY: Duration = Duration::from_mins(1);
/// From one round of changes to the next. Keystone lists the folder first and opens the files then; whoever listed it
/// before a round has read it before the next one.
const SETTLE: Duration = Duration::from_secs(1);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    secret: Secret,
    fernet: Rotation,
    credential: Credential,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Credential {
    folder: PathBuf,
}

/// Works until it is told to end, or until nothing is left to do: `keystone_keys [--config FILE] [--once]`.
pub(crate) fn run(arguments: &[String]) -> Result<u8> {
    let (mut path, mut once) = ("/etc/keystone/keystone-keys.json", false);
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        match (word.as_str(), words.as_slice().first()) {
            ("--once", _) => once = true,
            ("--config", Some(file)) => {
                path = file;
                words.next();
            }
            _ => return Err(Failure::new("usage: keystone_keys [--config FILE] [--once]").code(2)),
        }
    }
    let text = fs::read(path).map_err(|error| Failure::of(format!("read {path}"), error).code(2))?;
    let settings: Settings = serde_json::from_slice(&text).map_err(|error| Failure::of(path, error).code(2))?;
    let told = told_to_end()?;
    loop {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|error| Failure::of("read the clock", error))?;
        let pause = if settings.round(now.as_secs())? {
            SETTLE
        } else if once {
            return Ok(0);
        } else {
            settings.fernet.left(now).min(EVERY)
        };
        match told.recv_timeout(pause) {
            Err(RecvTimeoutError::Timeout) => {}
            _ if once => return Err(Failure::new("told to end before all keys were written")),
            _ => return Ok(0),
        }
    }
}

impl Settings {
    /// Does what can be done at once in each folder; tells whether there was anything.
    fn round(&self, now: u64) -> Result<bool> {
        let fernet = Folder::open(&self.fernet.folder)?;
        let rotated = fernet.apply(&self.fernet.changes(&self.secret, &fernet.held()?, now)?, now)?;
        let credential = Folder::open(&self.credential.folder)?;
        let completed = credential.apply(&credential::changes(&self.secret, &credential.held()?)?, now)?;
        Ok(rotated || completed)
    }
}

/// Gets a message at SIGTERM or SIGINT. A round that is under way is finished first: it takes no time.
fn told_to_end() -> Result<Receiver<()>> {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGTERM);
    signals.add(Signal::SIGINT);
    // Before there is a second thread: it inherits this.
    signals.thread_block().map_err(|error| Failure::of("block signals", error))?;
    let (sender, told) = channel();
    thread::spawn(move || {
        let _ = signals.wait();
        let _ = sender.send(());
    });
    Ok(told)
}
