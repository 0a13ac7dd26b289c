//! Where inventories come from: files, folders of them, scripts, and lists of hosts.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::files;
use super::inventory::{Inventory, UNGROUPED};
use super::vault::is_sealed;
use super::{hosts, ini, script, yaml};
use crate::error::{InputError, Kind, Place};
use crate::source::{Data, Document, Node};
use crate::template::Sourced;

/// Files of a folder that are no inventories, by the end of their names (Ansible's default).
const IGNORED: &[&str] =
    &[".pyc", ".pyo", ".swp", ".bak", "~", ".rpm", ".md", ".txt", ".rst", ".orig", ".cfg", ".retry"];

/// Names of a folder that are no inventories.
const BESIDE: &[&str] = &["host_vars", "group_vars", "vars_plugins"];

/// Reads inventories, in order.
pub(super) fn read(sources: &[PathBuf], errors: &mut Vec<InputError>) -> Inventory {
    let mut inventory = Inventory::default();
    if sources.is_empty() {
        errors.push(
            InputError::new("no inventory")
                .of(Kind::Inventory)
                .hint("name one with `-i FILE`; inventory/ has examples"),
        );
    }
    for source in sources {
        if files::is_list(source) {
            list(&mut inventory, source);
        } else if source.is_dir() {
            folder(&mut inventory, source, errors);
        } else {
            let before = errors.len();
            file(&mut inventory, source, errors);
            if !source.exists() {
                let error = errors.drain(before..).next();
                errors.extend(error.map(|error| error.hint("name the inventory with `-i FILE`")));
            }
        }
    }
    inventory.reconcile();
    errors.extend(inventory.check());
    inventory
}

fn list(inventory: &mut Inventory, source: &Path) {
    let text = source.to_string_lossy();
    let document = std::sync::Arc::new(Document::made("-i", &text, Node::bare(Data::Null)));
    for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        // Ranges are not expanded here, as they are not by Ansible.
        let (name, port) = hosts::port(word);
        let (name, port) = if name.contains('[') { (word, None) } else { (name, port) };
        if !inventory.hosts.contains_key(name) {
            let node = |port| Node::new(1, 1, Data::Int(port));
            let port = port.map(|port| Sourced { node: node(port), document: document.clone() });
            inventory.add_host(UNGROUPED, name, port);
        }
    }
}

fn folder(inventory: &mut Inventory, path: &Path, errors: &mut Vec<InputError>) {
    for path in files::listed(path) {
        let name = files::file_name(&path);
        if BESIDE.contains(&name.as_str()) || IGNORED.iter().any(|end| name.ends_with(end)) {
            continue;
        }
        if path.is_dir() {
            folder(inventory, &path, errors);
        } else {
            file(inventory, &path, errors);
        }
    }
}

fn file(inventory: &mut Inventory, path: &Path, errors: &mut Vec<InputError>) {
    if let Some(runs) = program(path) {
        let result = if runs {
            script::read(inventory, path)
        } else {
            Err(InputError::new("the inventory script is not executable")
                .of(Kind::Inventory)
                .at(Place::file(path))
                .hint(format!("make it so with `chmod +x {}`", path.display())))
        };
        errors.extend(result.err());
        return;
    }
    match files::read(path) {
        Ok(text) if is_sealed(&text) => errors.push(
            InputError::new("an encrypted inventory is not read")
                .of(Kind::Unsupported)
                .at(Place::file(path))
                .hint("decrypt it with `ansible-vault decrypt`; files in group_vars/ and host_vars/ may be encrypted"),
        ),
        Ok(text) => text_of(inventory, path, &text, errors),
        Err(error) => errors.push(error),
    }
}

/// Whether a script or program may be run; `None` for any other file.
fn program(path: &Path) -> Option<bool> {
    let mut start = [0; 4];
    let read = File::open(path).and_then(|mut file| file.read(&mut start)).ok()?;
    let executable = std::fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o111 != 0);
    let program = start[..read].starts_with(b"#!") || (executable && start[..read] == *b"\x7fELF");
    program.then_some(executable)
}

/// The name's end says what a file is, else its content: a mapping is YAML, anything else INI.
fn text_of(inventory: &mut Inventory, path: &Path, text: &str, errors: &mut Vec<InputError>) {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(['#', ';']));
    let first = lines.next().unwrap_or_default();
    let named = files::has_extension(path, &["yml", "yaml", "json"]);
    if named || path.extension().is_none() {
        let looks = first == "---" || first.starts_with('{') || (first.ends_with(':') && !first.contains(' '));
        let ini = if named { first.is_empty() || first.starts_with('[') } else { !looks };
        match Document::parse_through(path, text) {
            Ok(document) if matches!(document.root.data, Data::Map(_)) || !ini => {
                errors.extend(document.twice());
                errors.extend(yaml::read(inventory, document));
                return;
            }
            Err(error) if !ini => {
                errors.push(error);
                return;
            }
            _ => {}
        }
    } else if files::has_extension(path, &["toml"]) {
        let error = InputError::new("an inventory in TOML is not read").of(Kind::Unsupported).at(Place::file(path));
        errors.push(error.hint("save what `ansible-inventory --list --yaml` prints, and name that with `-i`"));
        return;
    }
    errors.extend(ini::read(inventory, path, text));
}
