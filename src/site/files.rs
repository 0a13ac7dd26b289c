//! The files a site is read from: which there are, and what they hold.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use indexmap::IndexMap;

use super::inventory::Inventory;
use super::vault::{self, VaultKeys};
use crate::error::{InputError, Place};
use crate::source::Data;
use crate::template::Layer;

/// A file's text.
pub(super) fn read(path: &Path) -> Result<String, InputError> {
    fs::read_to_string(path).map_err(|error| {
        let reason = match error.kind() {
            io::ErrorKind::NotFound => "no such file".to_owned(),
            io::ErrorKind::InvalidData => "it is not UTF-8 text".to_owned(),
            io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
            _ => error.to_string(),
        };
        InputError::new(format!("cannot read {}: {reason}", path.display()))
    })
}

/// The layer of a YAML or JSON file of variables, decrypted.
pub(super) fn layer(name: &str, path: &Path, secret: bool, keys: &VaultKeys) -> Result<Layer, InputError> {
    let parsed = vault::parse(path, &read(path)?, keys).and_then(|document| {
        let document = if secret { document.hide_all() } else { document };
        Layer::of(name, document, secret)
    });
    if secret { parsed.map_err(vault::without_excerpt) } else { parsed }
}

/// The passwords file. A value that must stay empty is an empty text; every other empty one is an error where it
/// is used.
pub(super) fn passwords(path: &Path, keys: &VaultKeys) -> Result<Layer, InputError> {
    let mut layer = layer("passwords.yml", path, true, keys)?;
    for (name, sourced) in &mut layer.vars {
        if sourced.node.data == Data::Null && super::passwords::stays_empty(name) {
            sourced.node.data = Data::Str(String::new());
        }
    }
    Ok(layer)
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

/// Reads inventory files and folders, in order.
pub(super) fn inventory(paths: &[PathBuf], errors: &mut Vec<InputError>) -> Inventory {
    let mut inventory = Inventory::default();
    if paths.is_empty() {
        errors.push(InputError::new("no inventory").hint("name one with `-i FILE`; inventory/ has examples"));
    }
    for path in paths {
        let files = if path.is_dir() {
            let skipped = ["pyc", "swp", "bak", "orig", "rpm", "md", "txt", "rst", "cfg", "retry"];
            let mut files = listed(path);
            files.retain(|file| file.is_file() && !has_extension(file, &skipped) && !file_name(file).ends_with('~'));
            files
        } else {
            vec![path.clone()]
        };
        for file in files {
            match read(&file) {
                Ok(text) => read_inventory(&mut inventory, &file, &text, errors),
                Err(error) if file == *path => errors.push(error.hint("name the inventory with `-i FILE`")),
                Err(error) => errors.push(error),
            }
        }
    }
    errors.extend(inventory.check());
    if errors.is_empty() && inventory.hosts.is_empty() {
        let error = InputError::new("the inventory names no host");
        let error = match paths.first() {
            Some(path) => error.at(Place::file(path)),
            None => error,
        };
        errors.push(error.hint("list hosts under `[control]`; inventory/ has examples"));
    }
    inventory
}

fn read_inventory(inventory: &mut Inventory, file: &Path, text: &str, errors: &mut Vec<InputError>) {
    if vault::is_sealed(text) {
        errors.push(
            InputError::new("an encrypted inventory is not read")
                .at(Place::file(file))
                .hint("decrypt it with `ansible-vault decrypt`; files in group_vars/ and host_vars/ may be encrypted"),
        );
        return;
    }
    let yaml = has_extension(file, &["yml", "yaml", "json"]) || text.lines().next().is_some_and(|line| line == "---");
    if yaml || text.starts_with("#!") {
        let what = if yaml { "an inventory in YAML" } else { "an inventory script" };
        errors.push(
            InputError::new(format!("{what} is not read"))
                .at(Place::file(file))
                .hint("write it in INI format: `ansible-inventory --list` shows what it holds"),
        );
        return;
    }
    errors.extend(inventory.read(file, text));
}

/// Variables of `group_vars/` or `host_vars/` beside the inventories, by name, lowest first.
pub(super) fn beside(
    inventories: &[PathBuf],
    folder: &str,
    what: &str,
    keys: &VaultKeys,
    errors: &mut Vec<InputError>,
) -> IndexMap<String, Vec<Arc<Layer>>> {
    let mut found: IndexMap<String, Vec<Arc<Layer>>> = IndexMap::new();
    let mut bases: Vec<PathBuf> = Vec::new();
    for path in inventories {
        let base = if path.is_dir() { path.clone() } else { path.parent().map(Path::to_owned).unwrap_or_default() };
        if !bases.contains(&base) {
            bases.push(base);
        }
    }
    for entry in bases.iter().flat_map(|base| listed(&base.join(folder))) {
        let name = file_name(&entry);
        let extensions = ["yml", "yaml", "json"];
        let stem = extensions.iter().find_map(|end| name.strip_suffix(&format!(".{end}"))).unwrap_or(&name);
        let files = if entry.is_dir() { listed(&entry) } else { vec![entry.clone()] };
        for file in files.iter().filter(|file| file.is_file()) {
            if file.extension().is_some() && !has_extension(file, &extensions) && entry.is_dir() {
                continue;
            }
            match layer(&format!("{what} {stem}"), file, false, keys) {
                Ok(layer) => found.entry(stem.to_owned()).or_default().push(Arc::new(layer)),
                Err(error) => errors.push(error),
            }
        }
    }
    found
}

/// What is in a folder, sorted, without hidden files; nothing where there is no folder.
fn listed(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> =
        entries.map(|entry| entry.path()).filter(|path| !file_name(path).starts_with('.')).collect();
    paths.sort();
    paths
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn has_extension(path: &Path, wanted: &[&str]) -> bool {
    path.extension().and_then(|end| end.to_str()).is_some_and(|end| wanted.contains(&end))
}
