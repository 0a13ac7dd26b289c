//! Files of this machine.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::error::{Error, Result};

/// Writes a file that may hold secrets: whole or not at all, and for its owner alone.
pub(super) fn write_private(path: &Path, content: &[u8]) -> Result<()> {
    let act = || format!("write {}", path.display());
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(|error| Error::local(act(), error))?;
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(|error| Error::local(act(), error))?;
    file.write_all(content).map_err(|error| Error::local(act(), error))?;
    // A power cut right after the rename must not leave it empty.
    file.as_file().sync_all().map_err(|error| Error::local(act(), error))?;
    file.persist(path).map_err(|error| Error::local(act(), error))?;
    Ok(())
}

/// Its owner alone may read it.
pub(super) fn is_private(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|about| about.permissions().mode() & 0o777 == 0o600)
}
