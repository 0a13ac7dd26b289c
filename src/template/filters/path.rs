//! Filters and tests over paths.

use std::path::Path;

use minijinja::{Environment, Error, Value};

use super::super::arguments::{items, printed, wrong};

pub(super) fn add(environment: &mut Environment<'static>) {
    environment.add_filter("basename", |path: &Value| {
        printed(path).map(|path| path.rsplit('/').next().unwrap_or_default().to_owned())
    });
    environment.add_filter("dirname", |path: &Value| printed(path).map(|path| dirname(&path)));
    environment.add_filter("path_join", path_join);
    environment.add_filter("normpath", |path: &Value| printed(path).map(|path| normal(&path)));
    environment.add_filter("relpath", |path: &Value, start: Option<Value>| {
        let start = start.map_or_else(|| Ok(".".to_owned()), |start| printed(&start))?;
        relative(&printed(path)?, &start)
    });
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

/// The way from one folder to a path.
fn relative(path: &str, start: &str) -> Result<String, Error> {
    let whole = |path: &str| {
        let path = std::path::absolute(path).map_err(|error| wrong(format!("`{path}`: {error}")))?;
        Ok::<_, Error>(normal(&path.to_string_lossy()))
    };
    let (path, start) = (whole(path)?, whole(start)?);
    let parts = |path: &str| path.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect::<Vec<_>>();
    let (path, start) = (parts(&path), parts(&start));
    let common = path.iter().zip(&start).take_while(|(a, b)| a == b).count();
    let up = std::iter::repeat_n("..", start.len() - common);
    let way: Vec<&str> = up.chain(path[common..].iter().map(String::as_str)).collect();
    Ok(if way.is_empty() { ".".to_owned() } else { way.join("/") })
}

/// A path and its last extension with its point; a name that starts with points has none for those.
fn split_extension(path: &str) -> Vec<String> {
    let name = path.rsplit('/').next().unwrap_or_default();
    let points = name.len() - name.trim_start_matches('.').len();
    let at = name[points..].rfind('.').map_or(path.len(), |at| path.len() - name.len() + points + at);
    vec![path[..at].to_owned(), path[at..].to_owned()]
}
