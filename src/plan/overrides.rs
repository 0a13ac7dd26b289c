//! Files of the operator that replace or extend a role's own: those below `node_custom_config`.
//!
//! What a plan looks for is noted, so that a file that nothing looks for shows.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::{Error, InputError, Kind, Result};
use crate::role::{FileSpec, Merge, Source, many};
use crate::shell::Mask;
use crate::shell::syntax::Syntax;
use crate::site::VaultKeys;

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
    /// Its text; none where it holds something else.
    pub text: Option<Arc<str>>,
    /// What it holds where it is no text. None of a file that is larger than any of a service, as an image of a disk.
    pub bytes: Option<Arc<[u8]>>,
    /// Of a file that was encrypted: what has to hide all that it holds and is rendered to.
    pub(super) hidden: Option<Mask>,
}

/// A file of the operator's that a service is given.
pub(super) struct Given<'a> {
    /// Its path below the folder where it goes.
    pub(super) below: String,
    /// Where it is looked for, the more specific later.
    pub(super) looked: Vec<String>,
    pub(super) file: &'a OperatorFile,
}

/// The largest file of the operator's that a service may have, in MiB: every host gets it, and keeps the last three.
pub(super) const LARGEST: u64 = 16;

impl Overrides {
    /// Reads the folder; one that is not there holds nothing. What is hidden, as a repository's own folder, is left out.
    /// Encrypted files are decrypted, and `mask` learns what they hold.
    ///
    /// # Errors
    /// When a file cannot be read, or stays encrypted: a service would get it as it is.
    pub fn read(folder: &Path, keys: &VaultKeys, mask: &Mask) -> Result<Self> {
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
                match (OperatorFile::read(&path, keys, mask), path.strip_prefix(folder)) {
                    (Ok(file), Ok(name)) => drop(found.insert(name.display().to_string(), file)),
                    (Err(error), _) => errors.push(error),
                    (_, Err(_)) => {}
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

impl OperatorFile {
    fn read(path: &Path, keys: &VaultKeys, mask: &Mask) -> Result<Self, InputError> {
        let mut file = Self { path: path.to_owned(), text: None, bytes: None, hidden: None };
        let content = || {
            let large = std::fs::metadata(path)?.len() > LARGEST << 20;
            (!large).then(|| std::fs::read(path)).transpose()
        };
        let Some(mut content) = content().map_err(|error| unreadable(path, &error))? else { return Ok(file) };
        if let Ok(text) = std::str::from_utf8(&content)
            && let Some(opened) = keys.opened(path, text)?
        {
            (content, file.hidden) = (opened, Some(mask.clone()));
        }
        match String::from_utf8(content) {
            Ok(text) => {
                // Editors of Windows write a mark before the text.
                let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
                file.hide(text);
                file.text = Some(text.into());
            }
            Err(error) => file.bytes = Some(error.into_bytes().into()),
        }
        Ok(file)
    }

    /// Hides a text that is made of this file, where the file was encrypted.
    pub(super) fn hide(&self, text: &str) {
        if let Some(mask) = &self.hidden {
            mask.learn_whole_file(text);
        }
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
    /// Paths of the files it found, and what the services that get them take them to be written in.
    pub(super) found: BTreeMap<String, Option<Syntax>>,
    /// Roles that are enabled.
    pub(super) roles: BTreeSet<String>,
    /// Services that are on a host.
    pub(super) services: BTreeSet<String>,
}

impl Lookups {
    /// Adds those of another plan of the same site.
    pub fn add(&mut self, other: &Self) {
        self.asked.extend(other.asked.iter().cloned());
        self.found.extend(other.found.iter().map(|(path, syntax)| (path.clone(), *syntax)));
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
        let found = paths(spec, role, service, host, file);
        let found: Vec<_> = found.iter().filter_map(|path| files.get_key_value(path)).collect();
        self.note(spec, || paths(spec, role, service, ANY_HOST, file), found.iter().map(|(path, _)| path.as_str()));
        found.into_iter().map(|(path, file)| (path.as_str(), file)).collect()
    }

    /// Where the operator's file of a path would be.
    pub(super) fn place(&self, path: &str) -> PathBuf {
        self.overrides.folder.join(path)
    }

    /// The files that a service is given for this one on a host: the first of its names that is there, or all that are like
    /// its pattern.
    pub(super) fn given(&self, spec: &FileSpec, role: &str, host: &str) -> Vec<Given<'a>> {
        let files = &self.overrides.files;
        if files.is_empty() {
            return Vec::new();
        }
        let all = paths(spec, role, "", host, "");
        let start = |path: &str| path[..path.rfind('/').map_or(0, |end| end + 1)].to_owned();
        // By the name that it has there: a more specific one takes the place of another.
        let (mut found, mut seen) = (BTreeMap::new(), Vec::new());
        for pattern in &all {
            let (several, start_of) = (many(pattern), start(pattern));
            let inside = files.range(start_of.clone()..).take_while(|(path, _)| path.starts_with(&start_of));
            for (path, file) in inside.filter(|(path, _)| fits(pattern, path)) {
                let below = path[start_of.len()..].to_owned();
                let other = |other: &String| if several { start(other) + &below } else { other.clone() };
                let looked = all.iter().map(other).collect();
                let name = if several { below.clone() } else { String::new() };
                seen.push(path.as_str());
                found.insert(name, Given { below, looked, file });
            }
        }
        self.note(spec, || paths(spec, role, "", ANY_HOST, ""), seen.into_iter());
        found.into_values().collect()
    }

    fn note<'b>(&self, spec: &FileSpec, asked: impl FnOnce() -> Vec<String>, found: impl Iterator<Item = &'b str>) {
        let Notes { lookups, specs } = &mut *self.notes();
        if specs.insert(std::ptr::from_ref(spec).addr()) {
            lookups.asked.extend(asked());
        }
        for path in found {
            if !lookups.found.contains_key(path) {
                lookups.found.insert(path.to_owned(), spec.syntax);
            }
        }
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
            // One that begins with `/` is of another folder than the role's.
            let parts = |name: &'_ String| match name.strip_prefix('/').and_then(|name| name.split_once('/')) {
                Some((folder, name)) => (folder.to_owned(), name.to_owned()),
                None => (role.to_owned(), name.clone()),
            };
            let all = names.iter().rev().map(parts).map(|(folder, name)| format!("{folder}/{name}"));
            let of_host = names.iter().rev().map(parts).map(|(folder, name)| format!("{folder}/{host}/{name}"));
            all.chain(of_host).collect()
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

/// A path is like a pattern, in which a folder stands for all that is in it.
pub(super) fn fits(pattern: &str, path: &str) -> bool {
    let mut parts = path.split('/');
    for part in pattern.split('/') {
        match parts.next() {
            Some(_) if part.is_empty() => return true,
            Some(name) if like(part, name) => {}
            _ => return false,
        }
    }
    parts.next().is_none()
}

/// A name is like one with `*` and `?` in it.
pub(super) fn like(pattern: &str, name: &str) -> bool {
    let mut letters = pattern.chars();
    match letters.next() {
        None => name.is_empty(),
        Some('*') => {
            name.char_indices().any(|(at, _)| like(letters.as_str(), &name[at..])) || like(letters.as_str(), "")
        }
        Some('?') => name.chars().next().is_some_and(|letter| like(letters.as_str(), &name[letter.len_utf8()..])),
        Some(letter) => name.strip_prefix(letter).is_some_and(|rest| like(letters.as_str(), rest)),
    }
}

/// The last part of a path.
pub(super) fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}
