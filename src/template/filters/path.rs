//! Filters and tests over paths.

use std::path::Path;

use minijinja::{Environment, Error, Value};

use super::{items, printed};

pub(super) fn add(environment: &mut Environment<'static>) {
    environment.add_filter("basename", |path: &Value| {
        printed(path).map(|path| path.rsplit('/').next().unwrap_or_default().to_owned())
    });
    environment.add_filter("dirname", |path: &Value| printed(path).map(|path| dirname(&path)));
    environment.add_filter("path_join", path_join);
    environment.add_filter("normpath", |path: &Value| printed(path).map(|path| normal(&path)));
    environment.add_filter("splitext", |path: &Value| printed(path).map(|path| split_extension(&path)));
    environment.add_test("abs", |path: &Value| printed(path).map(|path| path.starts_with('/')));
    for (name, holds) in [
        ("exists", Path::exists as fn(&Path) -> bool),
        ("file", Path::is_file),
        ("directory", Path::is_dir),
        ("link", Path::is_symlink),
    ] {
        environment.add_test(name, move |path: &Value| printed(path).map(|path| holds(Path::new(&path))));
    }
}

fn dirname(path: &str) -> String {
    let folder = path.rfind('/').map_or("", |at| &path[..=at]);
    let trimmed = folder.trim_end_matches('/');
    if trimmed.is_empty() { folder } else { trimmed }.to_owned()
}

fn path_join(parts: &Value) -> Result<String, Error> {
    let parts = if parts.as_str().is_some() { vec![parts.clone()] } else { items(parts)? };
    let mut path = std::path::PathBuf::new();
    for part in parts {
        path.push(part.to_string());
    }
    Ok(path.display().to_string())
}

/// Without `.`, `..` and doubled slashes.
fn normal(path: &str) -> String {
    let root = if path.starts_with('/') { "/" } else { "" };
    let mut kept: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if kept.last().is_some_and(|last| *last != "..") => drop(kept.pop()),
            ".." if !root.is_empty() => {}
            part => kept.push(part),
        }
    }
    let path = format!("{root}{}", kept.join("/"));
    if path.is_empty() { ".".to_owned() } else { path }
}

/// A path and its last extension with its point; a name that starts with points has none for those.
fn split_extension(path: &str) -> Vec<String> {
    let name = path.rsplit('/').next().unwrap_or_default();
    let points = name.len() - name.trim_start_matches('.').len();
    let at = name[points..].rfind('.').map_or(path.len(), |at| path.len() - name.len() + points + at);
    vec![path[..at].to_owned(), path[at..].to_owned()]
}
