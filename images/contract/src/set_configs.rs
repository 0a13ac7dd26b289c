//! `kolla_set_configs`: makes the container's files what config.json says, and tells whether they are.
//!
//! What a start puts in place, the next start takes back first (originals and a list of them are kept under
//! /etc/kolla/defaults), so that a file that config.json no longer names does not stay behind.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::config::{Config, ConfigFile};
use crate::copy::{Ids, Style, folder, own, remove, replace, touch, walk};
use crate::{Failure, Result};

/// Where the service's command line is left for `kolla_start`.
pub(crate) const RUN_COMMAND: &str = "/run_command";

/// Applies config.json, or with `--check` only compares: exit code 1 when something differs.
pub(crate) fn run(arguments: &[String]) -> Result<u8> {
    let container = Container::at("/");
    match arguments {
        [] => {
            let strategy = std::env::var("KOLLA_CONFIG_STRATEGY").unwrap_or_default();
            container.apply(&strategy).map(|()| 0)
        }
        [flag] if flag == "--check" => {
            let differences = container.check().map_err(|failure| failure.code(2))?;
            for difference in &differences {
                eprintln!("{difference}");
            }
            Ok(u8::from(!differences.is_empty()))
        }
        _ => Err(Failure::new("usage: kolla_set_configs [--check]").code(2)),
    }
}

/// The places the contract names.
struct Container {
    config: PathBuf,
    run_command: PathBuf,
    configured: PathBuf,
    defaults: PathBuf,
}

/// One source and the one place it replaces.
struct Unit {
    source: PathBuf,
    dest: PathBuf,
    style: Style,
}

/// What stood where a unit went.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Original {
    dest: PathBuf,
    /// Its copy's name under /etc/kolla/defaults/saved, if anything stood there.
    saved: Option<String>,
}

impl Container {
    fn at(root: impl AsRef<Path>) -> Self {
        let root = root.as_ref();
        Self {
            config: root.join("var/lib/kolla/config_files/config.json"),
            run_command: root.join(RUN_COMMAND.trim_start_matches('/')),
            configured: root.join("configured"),
            defaults: root.join("etc/kolla/defaults"),
        }
    }

    fn apply(&self, strategy: &str) -> Result<()> {
        match strategy {
            "COPY_ONCE" if self.configured.exists() => return Ok(()),
            "COPY_ALWAYS" | "COPY_ONCE" => {}
            other => {
                let message = format!("KOLLA_CONFIG_STRATEGY is `{other}`; it must be `COPY_ALWAYS` or `COPY_ONCE`");
                return Err(Failure::new(message).code(2));
            }
        }
        let config = Config::read(&self.config)?;
        for wanted in &config.directories {
            folder(Path::new(&wanted.path), Ids::find(&wanted.owner)?, wanted.perm.0)?;
        }
        for wanted in &config.files {
            touch(Path::new(&wanted.path), Ids::find(&wanted.owner)?, wanted.perm.0)?;
        }
        self.take_back()?;
        let units = units(&config)?;
        self.keep_originals(&units)?;
        for unit in &units {
            replace(&unit.source, &unit.dest, unit.style)?;
        }
        write(&self.run_command, config.command.as_bytes())?;
        permissions(&config)?;
        if strategy == "COPY_ONCE" {
            write(&self.configured, b"")?;
        }
        Ok(())
    }

    /// Puts the originals back in place of what the last start brought.
    fn take_back(&self) -> Result<()> {
        for original in self.originals()?.iter().rev() {
            remove(&original.dest)?;
            if let Some(name) = &original.saved {
                replace(&self.saved(name), &original.dest, Style::Kept)?;
            }
        }
        remove(&self.defaults.join("state"))?;
        remove(&self.defaults.join("saved"))
    }

    /// All originals are saved and listed before the first file changes: a start that is killed loses none.
    fn keep_originals(&self, units: &[Unit]) -> Result<()> {
        let mut originals: Vec<Original> = Vec::new();
        for unit in units {
            if originals.iter().any(|original| original.dest == unit.dest) {
                continue;
            }
            let name = originals.len().to_string();
            let exists = fs::symlink_metadata(&unit.dest).is_ok();
            if exists {
                replace(&unit.dest, &self.saved(&name), Style::Kept)?;
            }
            originals.push(Original { dest: unit.dest.clone(), saved: exists.then_some(name) });
        }
        fs::create_dir_all(&self.defaults)
            .map_err(|error| Failure::of(format!("make folder {}", self.defaults.display()), error))?;
        let text = serde_json::to_vec_pretty(&originals).map_err(|error| Failure::of("write the state", error))?;
        write(&self.defaults.join("state"), &text)
    }

    fn originals(&self) -> Result<Vec<Original>> {
        let state = self.defaults.join("state");
        match fs::read(&state) {
            Ok(text) => serde_json::from_slice(&text).map_err(|error| Failure::of(state.display(), error)),
            Err(_) => Ok(Vec::new()),
        }
    }

    fn saved(&self, name: &str) -> PathBuf {
        self.defaults.join("saved").join(name)
    }

    /// What differs from config.json and the files it names, one line each.
    fn check(&self) -> Result<Vec<String>> {
        let config = Config::read(&self.config)?;
        let units = units(&config)?;
        let mut found = Vec::new();
        if fs::read(&self.run_command).unwrap_or_default() != config.command.as_bytes() {
            found.push("the command differs".to_owned());
        }
        // A later unit may write into a folder that an earlier one brought.
        let mut wanted: BTreeMap<PathBuf, (PathBuf, Style)> = BTreeMap::new();
        for unit in &units {
            wanted.insert(unit.dest.clone(), (unit.source.clone(), unit.style));
            for path in walk(&unit.source) {
                let below = path.strip_prefix(&unit.source).unwrap_or(&path).to_owned();
                wanted.insert(unit.dest.join(below), (path, unit.style));
            }
        }
        for (dest, (source, style)) in &wanted {
            if let Some(how) = differs(source, dest, *style)? {
                found.push(format!("{}: {how}", dest.display()));
            }
        }
        for unit in &units {
            let extra = walk(&unit.dest).into_iter().filter(|path| !wanted.contains_key(path));
            found.extend(extra.map(|path| format!("{}: does not belong here", path.display())));
        }
        let gone = self.originals()?.into_iter().filter(|original| !wanted.contains_key(&original.dest));
        found.extend(gone.map(|original| format!("{}: is no longer in config.json", original.dest.display())));
        Ok(found)
    }
}

/// Resolves globs, folders and owners of `config_files`.
fn units(config: &Config) -> Result<Vec<Unit>> {
    let mut units = Vec::new();
    for file in &config.copies {
        let style = match (&file.owner, file.perm) {
            (Some(owner), Some(perm)) if !file.preserve_properties => Style::Given(Ids::find(owner)?, perm),
            _ => Style::Kept,
        };
        for source in sources(file)? {
            let dest = if file.dest.ends_with('/') {
                Path::new(&file.dest).join(source.file_name().unwrap_or_default())
            } else {
                PathBuf::from(&file.dest)
            };
            if !(file.merge && source.is_dir()) {
                units.push(Unit { source, dest, style });
                continue;
            }
            for path in walk(&source) {
                let below = path.strip_prefix(&source).unwrap_or(&path).to_owned();
                // Folders come with the files in them; one without any is not needed.
                if !path.is_dir() || (style == Style::Kept && path.is_symlink()) {
                    units.push(Unit { dest: dest.join(below), source: path, style });
                }
            }
        }
    }
    Ok(units)
}

fn sources(file: &ConfigFile) -> Result<Vec<PathBuf>> {
    let pattern = file.source.trim_end_matches('/');
    let found: Vec<PathBuf> =
        glob::glob(pattern).map_err(|error| Failure::of(pattern, error).code(2))?.flatten().collect();
    if found.is_empty() && !file.optional {
        return Err(Failure::new(format!("{pattern}: there is no such file, and it is not `optional`")));
    }
    if found.len() > 1 && !file.dest.ends_with('/') && !file.merge {
        let message = format!("{pattern} names {} files, so `dest` must end with `/`", found.len());
        return Err(Failure::new(message).code(2));
    }
    Ok(found)
}

/// How a copy differs from what it must be.
fn differs(source: &Path, dest: &Path, style: Style) -> Result<Option<&'static str>> {
    let from = style.look(source).map_err(|error| Failure::of(source.display(), error))?;
    let Ok(at) = fs::symlink_metadata(dest) else { return Ok(Some("is missing")) };
    let (ids, mode) = style.wants(&from);
    if at.file_type() != from.file_type() {
        return Ok(Some("is another kind of file"));
    }
    if (at.uid(), at.gid()) != (ids.user, ids.group) {
        return Ok(Some("has another owner"));
    }
    if at.is_symlink() {
        return Ok((fs::read_link(source).ok() != fs::read_link(dest).ok()).then_some("points elsewhere"));
    }
    if at.mode() & 0o7777 != mode {
        return Ok(Some("has another mode"));
    }
    if at.is_file() {
        let read = |path: &Path| fs::read(path).map_err(|error| Failure::of(path.display(), error));
        return Ok((read(source)? != read(dest)?).then_some("has another content"));
    }
    Ok(None)
}

fn permissions(config: &Config) -> Result<()> {
    for wanted in &config.permissions {
        let ids = Ids::find(&wanted.owner)?;
        let exclude = wanted
            .exclude
            .iter()
            .map(|text| regex_lite::Regex::new(text).map_err(|error| Failure::of(text, error).code(2)))
            .collect::<Result<Vec<_>>>()?;
        let paths = glob::glob(&wanted.path).map_err(|error| Failure::of(&wanted.path, error).code(2))?;
        for path in paths.flatten() {
            let below = if wanted.recurse { walk(&path) } else { Vec::new() };
            for path in std::iter::once(path).chain(below) {
                let text = path.to_string_lossy();
                if exclude.iter().any(|pattern| pattern.is_match(&text)) {
                    continue;
                }
                let mode = wanted.perm.map(|perm| if path.is_dir() { perm.folder() } else { perm.0 });
                own(&path, ids, mode).map_err(|error| Failure::of(format!("set owner of {text}"), error))?;
            }
        }
    }
    Ok(())
}

fn write(path: &Path, text: &[u8]) -> Result<()> {
    fs::write(path, text).map_err(|error| Failure::of(format!("write {}", path.display()), error))
}

#[cfg(test)]
mod tests;
