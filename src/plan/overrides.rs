//! Files of the operator that replace or extend a role's own: `config/` in the site's folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, Result};

/// The operator's files by their path below `config/`.
#[derive(Debug, Clone, Default)]
pub struct Overrides(BTreeMap<String, (PathBuf, Arc<str>)>);

impl Overrides {
    /// Reads the folder; one that is not there holds nothing.
    ///
    /// # Errors
    /// When a file cannot be read, or is no text.
    pub fn read(folder: &Path) -> Result<Self> {
        let mut found = BTreeMap::new();
        let mut open = vec![folder.to_owned()];
        while let Some(path) = open.pop() {
            let failed = |error| Error::local(format!("read {}", path.display()), error);
            let entries = match std::fs::read_dir(&path) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound && path == folder => break,
                entries => entries.map_err(failed)?,
            };
            for entry in entries {
                let path = entry.map_err(failed)?.path();
                if path.is_dir() {
                    open.push(path);
                    continue;
                }
                let text = std::fs::read_to_string(&path)
                    .map_err(|error| Error::local(format!("read {}", path.display()), error))?;
                if let Ok(name) = path.strip_prefix(folder) {
                    found.insert(name.display().to_string(), (path.clone(), text.into()));
                }
            }
        }
        Ok(Self(found))
    }

    /// What there is for a file of a role on a host, the more specific later.
    pub fn of(&self, role: &str, host: &str, file: &str) -> Vec<&(PathBuf, Arc<str>)> {
        [file.to_owned(), format!("{role}/{file}"), format!("{role}/{host}/{file}")]
            .iter()
            .filter_map(|name| self.0.get(name))
            .collect()
    }
}
