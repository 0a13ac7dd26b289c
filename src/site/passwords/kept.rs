//! A file of secrets that is read to be written again.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use indexmap::IndexMap;

use crate::error::{Error, Result};
use crate::site::files;
use crate::site::vault::{self, Seal, VaultKeys};
use crate::source::{Document, Entry};

/// The file as it is.
pub(super) struct Kept {
    /// Where it is, without links.
    pub(super) file: PathBuf,
    /// Its text, decrypted where the whole was encrypted.
    pub(super) text: String,
    /// How the whole is encrypted.
    pub(super) seal: Option<Seal>,
    /// Its text, parsed; values that are encrypted one by one stay so.
    pub(super) document: Document,
}

impl Kept {
    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read, decrypted or understood. None shows a line of it.
    pub(super) fn read(file: &Path, keys: &VaultKeys) -> Result<Self> {
        let mut text = files::read(file)?;
        // A link stays a link: what it points to is replaced.
        let path = fs::canonicalize(file).map_err(|error| Error::local(format!("read {}", file.display()), error))?;
        let mut seal = None;
        if vault::is_sealed(&text) {
            let (opened, how) = vault::open_file(file, &text, keys)?;
            (text, seal) = (opened, Some(how));
        }
        let document = Document::parse(file, &text).map_err(vault::without_excerpt)?.hide_all();
        Ok(Self { file: path, text, seal, document })
    }

    /// Adds names without a value at its end.
    pub(super) fn append<'a>(&mut self, names: impl Iterator<Item = &'a str>) -> Result<()> {
        for name in names {
            let end = if self.text.is_empty() || self.text.ends_with('\n') { "" } else { "\n" };
            let _ = writeln!(self.text, "{end}{name}:");
        }
        self.document = Document::parse(self.document.file(), &self.text).map_err(vault::without_excerpt)?.hide_all();
        Ok(())
    }

    /// Its names.
    ///
    /// # Errors
    /// When it is no mapping.
    pub(super) fn entries(&self) -> Result<IndexMap<String, Entry>> {
        Ok(self.document.entries()?)
    }
}

/// Replaces a file by a finished one, encrypted if there is a seal, so that no crash can lose a secret. Nobody but its
/// owner can read it.
///
/// # Errors
/// When it cannot be written; then it is as it was.
pub(super) fn write(file: &Path, text: &str, seal: Option<&Seal>) -> Result<()> {
    let failed = |error| Error::local(format!("write {}", file.display()), error);
    match seal {
        Some(seal) => replace(file, &seal.close(text)).map_err(failed),
        None => replace(file, text).map_err(failed),
    }
}

fn replace(file: &Path, text: &str) -> std::io::Result<()> {
    let old = match fs::metadata(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        old => Some(old?),
    };
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Mode 0600 from its first moment.
    let mut temporary = tempfile::Builder::new().prefix(".passwords.").tempfile_in(folder)?;
    temporary.write_all(text.as_bytes())?;
    let ours = temporary.as_file().metadata()?;
    if let Some(old) = old.as_ref().filter(|old| (ours.uid(), ours.gid()) != (old.uid(), old.gid())) {
        chown(temporary.path(), Some(old.uid()), Some(old.gid()))?;
    }
    let mode = old.map_or(0o600, |old| old.permissions().mode() & 0o600);
    temporary.as_file().set_permissions(fs::Permissions::from_mode(mode))?;
    temporary.as_file().sync_all()?;
    temporary.persist(file).map_err(|error| error.error)?;
    fs::File::open(folder)?.sync_all()
}

/// Takes the right to read a file from all but its owner.
///
/// # Errors
/// When it is somebody else's.
pub(super) fn close_to_others(file: &Path) -> Result<()> {
    let narrow = || {
        let mode = fs::metadata(file)?.permissions().mode();
        if mode & 0o077 != 0 {
            fs::set_permissions(file, fs::Permissions::from_mode(0o600))?;
        }
        Ok(())
    };
    narrow().map_err(|error: std::io::Error| Error::local(format!("write {}", file.display()), error))
}
