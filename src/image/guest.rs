//! The guest: an image that nothing runs from. It holds the disk of a small virtual machine, which is taken out of it.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::engine::Engine;
use crate::error::{Error, Result};

/// The image's name.
pub const GUEST: &str = "guest";

/// The disk's path in the image.
const DISK: &str = "/guest.qcow2";

/// Writes the disk in an image to a file, whole or not at all.
pub(super) async fn write(engine: &Engine, image: &str, path: &Path) -> Result<()> {
    let disk = engine.read(image, DISK).await?;
    let failed = |error: std::io::Error| Error::local(format!("write {}", path.display()), error);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(failed)?;
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    file.write_all(&disk).map_err(failed)?;
    file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644)).map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}
