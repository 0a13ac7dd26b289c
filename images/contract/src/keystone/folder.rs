//! A folder of keys as Keystone reads it: each file whose name is a number is a key.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use super::secret::Key;
use crate::{Failure, Result};

/// Where files are written before they get their name. A folder, because Keystone opens every *file* first and looks
/// at its name then: one that is just being renamed would be gone when it does.
const NEW: &str = ".kolla-new";

/// A key in the folder, and when it was written, in seconds since 1970.
#[derive(Clone)]
pub(super) struct Held {
    pub(super) key: Key,
    pub(super) written: u64,
}

/// All keys by their numbers.
pub(super) type Keys = BTreeMap<u64, Held>;

/// One thing to do. Each leaves a folder that Keystone can use.
#[derive(Clone)]
pub(super) enum Change {
    /// A key appears under a number, or takes the place of another; what it is, for people.
    Write(u64, Key, &'static str),
    Remove(u64),
}

/// A folder that no other process of this program changes at the same time.
pub(super) struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let act = |error: io::Error| Failure::of(format!("open {}", path.display()), error);
        let lock = File::open(path).map_err(act)?;
        lock.lock().map_err(act)?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    pub(super) fn held(&self) -> Result<Keys> {
        let mut held = Keys::new();
        let act = |path: &Path| format!("read {}", path.display());
        for entry in fs::read_dir(&self.path).map_err(|error| Failure::of(act(&self.path), error))? {
            let path = entry.map_err(|error| Failure::of(act(&self.path), error))?.path();
            let Some(number) = number(&path).filter(|_| path.is_file()) else { continue };
            let read = || -> io::Result<Held> {
                let since = fs::metadata(&path)?.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
                Ok(Held { key: fs::read(&path)?, written: since.as_secs() })
            };
            held.insert(number, read().map_err(|error| Failure::of(act(&path), error))?);
        }
        Ok(held)
    }

    /// Does these changes in this order; tells whether there were any.
    pub(super) fn apply(&self, changes: &[Change], now: u64) -> Result<bool> {
        for change in changes {
            match change {
                Change::Write(number, key, what) => {
                    let path = self.path.join(number.to_string());
                    self.write(&path, key, now)
                        .map_err(|error| Failure::of(format!("write {}", path.display()), error))?;
                    eprintln!("keystone_keys: wrote {}, {what}", path.display());
                }
                Change::Remove(number) => {
                    let path = self.path.join(number.to_string());
                    fs::remove_file(&path).map_err(|error| Failure::of(format!("remove {}", path.display()), error))?;
                    eprintln!("keystone_keys: removed {}, too old or not of this time", path.display());
                }
            }
        }
        Ok(!changes.is_empty())
    }

    /// Under its name the file is whole, also after a power cut. Its time is the one that the key was chosen by.
    fn write(&self, path: &Path, key: &[u8], now: u64) -> io::Result<()> {
        let folder = self.path.join(NEW);
        let new = folder.join("key");
        DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        match fs::remove_file(&new) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(key)?;
        file.set_modified(UNIX_EPOCH + Duration::from_secs(now))?;
        file.sync_all()?;
        fs::rename(&new, path)
    }
}

/// The number that is a file's name, written as this program would write it.
fn number(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?;
    name.parse().ok().filter(|number: &u64| number.to_string() == name)
}
