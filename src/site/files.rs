//! The files a site is read from: which there are, and what they hold.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use indexmap::IndexMap;

use super::vault::{self, VaultKeys};
use crate::error::{InputError, Kind, Place};
use crate::template::Layer;

/// A file's text.
pub(super) fn read(path: &Path) -> Result<String, InputError> {
    // Editors of Windows write a mark before the text.
    let unmarked = |text: String| text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
    let text = fs::read_to_string(path).map(unmarked).map_err(|error| {
        let reason = match error.kind() {
            io::ErrorKind::NotFound => "no such file".to_owned(),
            io::ErrorKind::InvalidData => "it is not UTF-8 text".to_owned(),
            io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
            _ => error.to_string(),
        };
        InputError::new(format!("cannot read {}: {reason}", path.display())).of(Kind::UnreadableFile)
    })?;
    match vault::late_header(&text) {
        Some(line) => Err(vault::not_first("the file").at(Place { line, ..Place::file(path) })),
        None => Ok(text),
    }
}

/// `host1,host2` is a list of hosts, unless there is such a file.
pub(super) fn is_list(source: &Path) -> bool {
    source.to_string_lossy().contains(',') && !source.exists()
}

/// The layer of a YAML or JSON file of variables, decrypted.
pub(super) fn layer(name: &str, path: &Path, secret: bool, keys: &VaultKeys) -> Result<Layer, InputError> {
    let parsed = vault::parse(path, &read(path)?, keys).and_then(|document| {
        let document = if secret { document.hide_all() } else { document };
        Layer::of(name, document, secret)
    });
    if secret { parsed.map_err(vault::without_excerpt) } else { parsed }
}

/// globals.yml and what is in globals.d/, lowest first.
pub(super) fn globals(folder: &Path, keys: &VaultKeys, errors: &mut Vec<InputError>) -> Vec<Layer> {
    let mut layers = Vec::new();
    let main = folder.join("globals.yml");
    if main.exists() {
        keep(layer("globals.yml", &main, false, keys), &mut layers, errors);
    } else {
        errors.push(
            InputError::new(format!("there is no globals.yml in {}", folder.display()))
                .of(Kind::UnreadableFile)
                .hint("copy etc/globals.yml there, or name another folder with `--configdir`"),
        );
    }
    for path in listed(&folder.join("globals.d")) {
        if has_extension(&path, &["yml", "yaml", "json"]) {
            keep(layer(&format!("globals.d/{}", file_name(&path)), &path, false, keys), &mut layers, errors);
        }
    }
    layers
}

fn keep(layer: Result<Layer, InputError>, layers: &mut Vec<Layer>, errors: &mut Vec<InputError>) {
    match layer {
        Ok(layer) => layers.push(layer),
        Err(error) => errors.push(error),
    }
}

/// How files of variables may end.
const VARIABLES: [&str; 3] = ["yml", "yaml", "json"];

/// Variables of `group_vars/` or `host_vars/` beside the inventories: one mapping by name a folder, lowest first.
#[derive(Debug, Clone, Default)]
pub(super) struct Beside(pub(super) Vec<IndexMap<String, Vec<Arc<Layer>>>>);

impl Beside {
    /// Reads what is there. `what` is `group` or `host`; a file that ends in no way of files of variables is one only
    /// where that is the whole name of one of them.
    pub(super) fn read(
        inventories: &[PathBuf],
        folder: &str,
        what: &str,
        known: impl Fn(&str) -> bool,
        keys: &VaultKeys,
        errors: &mut Vec<InputError>,
    ) -> Self {
        let mut bases: Vec<PathBuf> = Vec::new();
        for path in inventories.iter().filter(|path| !is_list(path)) {
            let base = if path.is_dir() { path.clone() } else { path.parent().map(Path::to_owned).unwrap_or_default() };
            // The last one to name a folder says when it is read.
            bases.retain(|other| *other != base);
            bases.push(base);
        }
        let read = |base: &PathBuf| {
            let mut found: IndexMap<String, Vec<Arc<Layer>>> = IndexMap::new();
            for (name, path) in entries(&base.join(folder), &known) {
                let files = if path.is_dir() { below(&path) } else { vec![path] };
                for file in files {
                    match layer(&format!("{what} {name}"), &file, false, keys) {
                        Ok(layer) => found.entry(name.clone()).or_default().push(Arc::new(layer)),
                        Err(error) => errors.push(error),
                    }
                }
            }
            found
        };
        Self(bases.iter().map(read).collect())
    }

    /// All layers by name.
    pub(super) fn by_name(&self) -> IndexMap<String, Vec<Arc<Layer>>> {
        let mut found: IndexMap<String, Vec<Arc<Layer>>> = IndexMap::new();
        for (name, layers) in self.0.iter().flatten() {
            found.entry(name.clone()).or_default().extend(layers.iter().cloned());
        }
        found
    }
}

/// The file or folder of each name: the one without an end first, then `.yml`, `.yaml`, `.json`; the first one counts.
fn entries(folder: &Path, known: impl Fn(&str) -> bool) -> IndexMap<String, PathBuf> {
    let mut found: IndexMap<String, (usize, PathBuf)> = IndexMap::new();
    for path in listed(folder) {
        let name = file_name(&path);
        let ended = VARIABLES
            .iter()
            .enumerate()
            .find_map(|(rank, end)| Some((name.strip_suffix(end)?.strip_suffix('.')?.to_owned(), rank + 1)));
        let (stem, rank) = match ended {
            Some(ended) if !known(&name) => ended,
            _ => (name.clone(), 0),
        };
        if rank == 0 && !known(&name) && (path.extension().is_some() || name.ends_with('~')) {
            continue;
        }
        let entry = found.entry(stem).or_insert((rank, path.clone()));
        if rank < entry.0 {
            *entry = (rank, path);
        }
    }
    found.into_iter().map(|(name, (_, path))| (name, path)).collect()
}

/// The files of variables in a folder and those below it.
fn below(folder: &Path) -> Vec<PathBuf> {
    let wanted = |path: &PathBuf| path.extension().is_none() || has_extension(path, &VARIABLES);
    let paths = listed(folder).into_iter().filter(|path| !file_name(path).ends_with('~') && wanted(path));
    paths
        .flat_map(|path| match path.is_dir() {
            true if path.extension().is_none() => below(&path),
            true => Vec::new(),
            false => vec![path],
        })
        .collect()
}

/// What is in a folder, sorted, without hidden files; nothing where there is no folder.
pub(super) fn listed(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> =
        entries.map(|entry| entry.path()).filter(|path| !file_name(path).starts_with('.')).collect();
    paths.sort();
    paths
}

pub(super) fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

pub(super) fn has_extension(path: &Path, wanted: &[&str]) -> bool {
    path.extension().and_then(|end| end.to_str()).is_some_and(|end| wanted.contains(&end))
}
