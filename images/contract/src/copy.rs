//! Files and folders with the owner and mode they are to have.

use std::fs::{self, DirBuilder, Metadata, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown, lchown, symlink};
use std::path::{Path, PathBuf};

use nix::unistd::{Group, User};

use crate::config::Perm;
use crate::{Failure, Result};

/// A user and a group, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ids {
    pub(crate) user: u32,
    pub(crate) group: u32,
}

impl Ids {
    /// Looks up `user` or `user:group`; without a group it is the user's own.
    pub(crate) fn find(owner: &str) -> Result<Self> {
        let (user, group) = owner.split_once(':').map_or((owner, None), |(user, group)| (user, Some(group)));
        let found = User::from_name(user)
            .map_err(|error| Failure::of(format!("look up user `{user}`"), error).code(2))?
            .ok_or_else(|| Failure::new(format!("there is no user `{user}` in this image")).code(2))?;
        let group = match group {
            None => found.gid.as_raw(),
            Some(name) => Group::from_name(name)
                .map_err(|error| Failure::of(format!("look up group `{name}`"), error).code(2))?
                .ok_or_else(|| Failure::new(format!("there is no group `{name}` in this image")).code(2))?
                .gid
                .as_raw(),
        };
        Ok(Self { user: found.uid.as_raw(), group })
    }
}

/// Who owns a copy and what its mode is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// As config.json says.
    Given(Ids, Perm),
    /// As the source has it; links stay links.
    Kept,
}

impl Style {
    /// The source's metadata, its links followed or not.
    pub(crate) fn look(self, source: &Path) -> io::Result<Metadata> {
        if self == Self::Kept { fs::symlink_metadata(source) } else { fs::metadata(source) }
    }

    /// What a copy of something like this must have.
    pub(crate) fn wants(self, source: &Metadata) -> (Ids, u32) {
        match self {
            Self::Given(ids, perm) if source.is_dir() => (ids, perm.folder()),
            Self::Given(ids, perm) => (ids, perm.0),
            Self::Kept => (Ids { user: source.uid(), group: source.gid() }, source.mode() & 0o7777),
        }
    }
}

/// Copies a file or a whole folder to `dest`, in place of whatever is there.
pub(crate) fn replace(source: &Path, dest: &Path, style: Style) -> Result<()> {
    let act = |error: io::Error| Failure::of(format!("copy {} to {}", source.display(), dest.display()), error);
    if let Some(parent) = dest.parent() {
        fs::create_dir_all(parent).map_err(act)?;
    }
    let from = style.look(source).map_err(act)?;
    let (ids, mode) = style.wants(&from);
    if from.is_dir() {
        remove(dest)?;
        folder(dest, ids, mode)?;
        for entry in fs::read_dir(source).map_err(act)? {
            let entry = entry.map_err(act)?;
            replace(&entry.path(), &dest.join(entry.file_name()), style)?;
        }
        return Ok(());
    }
    if from.is_symlink() {
        remove(dest)?;
        symlink(fs::read_link(source).map_err(act)?, dest).map_err(act)?;
        return lchown(dest, Some(ids.user), Some(ids.group)).map_err(act);
    }
    if fs::symlink_metadata(dest).is_ok_and(|at| at.is_dir()) {
        remove(dest)?;
    }
    write(source, dest, ids, mode).map_err(act)
}

/// Writes under another name and renames, so that no reader ever sees half a file, or a secret with a wide mode.
fn write(source: &Path, dest: &Path, ids: Ids, mode: u32) -> io::Result<()> {
    let name = dest.file_name().unwrap_or_default().to_string_lossy();
    let new = dest.with_file_name(format!(".{name}.kolla-new"));
    let _ = fs::remove_file(&new);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    io::copy(&mut fs::File::open(source)?, &mut file)?;
    chown(&new, Some(ids.user), Some(ids.group))?;
    file.set_permissions(Permissions::from_mode(mode))?;
    match fs::rename(&new, dest) {
        // A file that is itself mounted cannot be renamed over.
        Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
            fs::remove_file(&new)?;
            io::copy(&mut fs::File::open(source)?, &mut OpenOptions::new().write(true).truncate(true).open(dest)?)?;
            chown(dest, Some(ids.user), Some(ids.group))?;
            fs::set_permissions(dest, Permissions::from_mode(mode))
        }
        done => done,
    }
}

/// Makes sure of a folder with its parents.
pub(crate) fn folder(path: &Path, ids: Ids, mode: u32) -> Result<()> {
    let act = |error: io::Error| Failure::of(format!("make folder {}", path.display()), error);
    DirBuilder::new().recursive(true).mode(0o755).create(path).map_err(act)?;
    own(path, ids, Some(mode)).map_err(act)
}

/// Makes sure of a file, empty if it is new. A link in its place is refused.
pub(crate) fn touch(path: &Path, ids: Ids, mode: u32) -> Result<()> {
    let act = |error: io::Error| Failure::of(format!("make file {}", path.display()), error);
    if fs::symlink_metadata(path).is_ok_and(|at| at.is_symlink()) {
        return Err(Failure::new(format!("make file {}: it is a symbolic link", path.display())));
    }
    OpenOptions::new().append(true).create(true).mode(0o600).open(path).map_err(act)?;
    own(path, ids, Some(mode)).map_err(act)
}

/// Owner first: changing it clears the set-id bits of the mode.
pub(crate) fn own(path: &Path, ids: Ids, mode: Option<u32>) -> io::Result<()> {
    lchown(path, Some(ids.user), Some(ids.group))?;
    match mode {
        Some(mode) if !fs::symlink_metadata(path)?.is_symlink() => {
            fs::set_permissions(path, Permissions::from_mode(mode))
        }
        _ => Ok(()),
    }
}

/// Removes whatever is there; nothing there is fine, and so is a mount point, which stays.
pub(crate) fn remove(path: &Path) -> Result<()> {
    let done = match fs::symlink_metadata(path) {
        Ok(at) if at.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match done {
        Err(error) if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ResourceBusy) => {
            Err(Failure::of(format!("remove {}", path.display()), error))
        }
        _ => Ok(()),
    }
}

/// Everything under a folder, parents first; a link to a folder is not entered.
pub(crate) fn walk(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut entries: Vec<PathBuf> =
        fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    entries.sort();
    for path in entries {
        let enter = fs::symlink_metadata(&path).is_ok_and(|at| at.is_dir());
        found.push(path.clone());
        if enter {
            found.extend(walk(&path));
        }
    }
    found
}
