//! Files of the operator that replace or extend a role's own: those below `node_custom_config`.
//!
//! What a plan looks for is noted, so that a file that nothing looks for shows.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::{Error, InputError, Kind, Place, Result};
use crate::role::{FileSpec, Merge, Source};

/// Stands for a host's name in a path.
pub(super) const ANY_HOST: &str = "*";

/// The operator's files.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// Where they are.
    pub(super) folder: PathBuf,
    /// Each by its path below that.
    pub(super) files: BTreeMap<String, OperatorFile>,
}

/// A file of the operator's.
#[derive(Debug, Clone)]
pub struct OperatorFile {
    /// Its path, for messages.
    pub path: PathBuf,
    /// Its text; none where it holds something else, as an image of a disk, which no service's file is made of.
    pub text: Option<Arc<str>>,
}

impl Overrides {
    /// Reads the folder; one that is not there holds nothing. What is hidden, as a repository's own folder, is left out.
    ///
    /// # Errors
    /// When a file cannot be read, or is encrypted: a service would get it as it is.
    pub fn read(folder: &Path) -> Result<Self> {
        let (mut found, mut errors) = (BTreeMap::new(), Vec::new());
        let mut open = vec![folder.to_owned()];
        while let Some(path) = open.pop() {
            let entries = match std::fs::read_dir(&path) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound && path == folder => break,
                Err(error) => {
                    errors.push(unreadable(&path, &error));
                    continue;
                }
                Ok(entries) => entries,
            };
            for entry in entries {
                let entry = entry.map_err(|error| Error::local(format!("read {}", path.display()), error))?;
                let path = entry.path();
                if entry.file_name().to_string_lossy().starts_with('.') {
                    continue;
                }
                if path.is_dir() {
                    open.push(path);
                    continue;
                }
                let content = match std::fs::read(&path) {
                    Ok(content) => content,
                    Err(error) => {
                        errors.push(unreadable(&path, &error));
                        continue;
                    }
                };
                // Editors of Windows write a mark before the text.
                let text = String::from_utf8(content).ok();
                let text: Option<Arc<str>> = text.map(|text| Arc::from(text.strip_prefix('\u{feff}').unwrap_or(&text)));
                if text.as_ref().is_some_and(|text| text.starts_with("$ANSIBLE_VAULT;")) {
                    let error = InputError::new("an encrypted file of a service is not read")
                        .of(Kind::Unsupported)
                        .at(Place::file(&path));
                    errors.push(error.hint("keep its secrets in passwords.yml, and name them here as `{{ name }}`"));
                }
                if let Ok(name) = path.strip_prefix(folder) {
                    found.insert(name.display().to_string(), OperatorFile { path, text });
                }
            }
        }
        if errors.is_empty() { Ok(Self { folder: folder.to_owned(), files: found }) } else { Err(Error::Input(errors)) }
    }
}

impl Overrides {
    /// The texts of all files.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.files.values().filter_map(|file| file.text.as_deref())
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> InputError {
    InputError::new(format!("cannot read {}: {error}", path.display())).of(Kind::UnreadableFile)
}

/// What a plan looked for among the operator's files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lookups {
    /// Paths it asked for, those of a host as of any.
    pub(super) asked: BTreeSet<String>,
    /// Paths of the files it found.
    pub(super) found: BTreeSet<String>,
    /// Roles that are enabled.
    pub(super) roles: BTreeSet<String>,
    /// Services that are on a host.
    pub(super) services: BTreeSet<String>,
}

impl Lookups {
    /// Adds those of another plan of the same site.
    pub fn add(&mut self, other: &Self) {
        self.asked.extend(other.asked.iter().cloned());
        self.found.extend(other.found.iter().cloned());
        self.roles.extend(other.roles.iter().cloned());
        self.services.extend(other.services.iter().cloned());
    }
}

/// The operator's files while a plan is made of them.
pub(super) struct Searched<'a> {
    overrides: &'a Overrides,
    notes: Mutex<Notes>,
}

#[derive(Default)]
struct Notes {
    lookups: Lookups,
    /// Where the files of roles lie whose paths are noted: they are the same on all hosts.
    specs: HashSet<usize>,
}

impl<'a> Searched<'a> {
    pub(super) fn new(overrides: &'a Overrides) -> Self {
        Self { overrides, notes: Mutex::default() }
    }

    /// What there is for a file of a service on a host, by its path, the more specific later.
    pub(super) fn of(
        &self,
        spec: &FileSpec,
        role: &str,
        service: &str,
        host: &str,
        file: &str,
    ) -> Vec<(&'a str, &'a OperatorFile)> {
        let files = &self.overrides.files;
        if files.is_empty() {
            return Vec::new();
        }
        let found: Vec<_> =
            paths(spec, role, service, host, file).iter().filter_map(|path| files.get_key_value(path)).collect();
        let Notes { lookups, specs } = &mut *self.notes();
        if specs.insert(std::ptr::from_ref(spec).addr()) {
            lookups.asked.extend(paths(spec, role, service, ANY_HOST, file));
        }
        for (path, _) in &found {
            if !lookups.found.contains(*path) {
                lookups.found.insert((*path).clone());
            }
        }
        found.into_iter().map(|(path, file)| (path.as_str(), file)).collect()
    }

    /// What was looked for.
    pub(super) fn lookups(&self) -> Lookups {
        std::mem::take(&mut self.notes().lookups)
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where files for one of a role may be, the more specific later.
pub(super) fn paths(spec: &FileSpec, role: &str, service: &str, host: &str, file: &str) -> Vec<String> {
    let (folder, file) = match &spec.known_as {
        Some(path) => path.rsplit_once('/').unwrap_or((role, path)),
        None => (role, file),
    };
    let mut paths = match (&spec.source, spec.merge) {
        (Source::Given(names), _) => {
            let of = |folder: String| names.iter().rev().map(move |name| format!("{folder}/{name}"));
            of(role.to_owned()).chain(of(format!("{role}/{host}"))).collect()
        }
        (_, Merge::Replace | Merge::Ini | Merge::Yaml) => {
            vec![file.to_owned(), format!("{folder}/{file}"), format!("{folder}/{host}/{file}")]
        }
        (_, Merge::Oslo) => vec![
            "global.conf".to_owned(),
            format!("{role}.conf"),
            format!("{role}/{service}.conf"),
            format!("{role}/{host}/{role}.conf"),
            format!("{role}/{host}/{service}.conf"),
        ],
    };
    // A service of its role's name.
    paths.dedup();
    paths
}

/// The last part of a path.
pub(super) fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}
