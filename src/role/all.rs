//! All roles: the built-in ones, and those of the operator's folders over them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use include_dir::{Dir, include_dir};
use indexmap::IndexMap;

use super::parse::{self, template};
use super::{Alias, FileSpec, Files, Role, Source, Templates, alias};
use crate::error::{Error, InputError, Kind, Result, nearest};
use crate::template::Layer;

static BUILT_IN: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/roles");

/// All roles by name.
#[derive(Debug, Clone, Default)]
pub struct Roles(pub IndexMap<String, Role>, Vec<Layer>);

impl Roles {
    /// The built-in roles and, over them, those in `folders` (a folder a role), later ones first.
    ///
    /// # Errors
    /// Every mistake in every role, together.
    pub fn load(folders: &[PathBuf]) -> Result<Self> {
        let (roles, errors) = Self::parsed(folders)?;
        if errors.is_empty() { Ok(roles) } else { Err(Error::Input(errors)) }
    }

    /// As [`Roles::load`], with the mistakes beside the roles that have none.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn parsed(folders: &[PathBuf]) -> Result<(Self, Vec<InputError>)> {
        let mut sources = built_in();
        for folder in folders {
            sources.extend(read_folder(folder)?);
        }
        Ok(parsed(sources))
    }

    /// The built-in roles with one over them that is in a folder of its own, and that one's name.
    ///
    /// # Errors
    /// A folder that cannot be read or holds no role, and every mistake in the role.
    pub fn with(folder: &Path) -> Result<(Self, String)> {
        if !folder.join("role.yml").is_file() {
            return Err(Error::input(format!("there is no role.yml in {}", folder.display()))
                .of(Kind::UnreadableFile)
                .with_hint("name the folder of a role: it holds role.yml and templates/"));
        }
        let named = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        let name = named.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut sources = built_in();
        sources.insert(name.clone(), read_role(folder)?);
        let (roles, errors) = parsed(sources);
        if errors.is_empty() { Ok((roles, name)) } else { Err(Error::Input(errors)) }
    }

    /// Roles from their files, by name.
    ///
    /// # Errors
    /// Every mistake in every role, together.
    pub fn parse(sources: BTreeMap<String, Files>) -> Result<Self> {
        let (roles, errors) = parsed(sources);
        if errors.is_empty() { Ok(roles) } else { Err(Error::Input(errors)) }
    }

    /// The variables of all roles: the lowest layers of every scope.
    pub fn layers(&self) -> Vec<Layer> {
        self.1.clone()
    }

    /// All actions that have a command of their own.
    pub fn aliases(&self) -> impl Iterator<Item = Alias<'_>> {
        alias::all(&self.0)
    }

    /// Roles in an order in which each stands after those it needs.
    ///
    /// # Errors
    /// A cycle, printed as such.
    pub fn ordered(&self) -> Result<Vec<&Role>> {
        fn visit<'a>(
            name: &'a str,
            roles: &'a IndexMap<String, Role>,
            path: &mut Vec<&'a str>,
            done: &mut Vec<&'a Role>,
        ) -> Result<()> {
            if let Some(start) = path.iter().position(|on| *on == name) {
                let place = roles.get(path[path.len() - 1]).map(|role| role.needs_place(name));
                path.push(name);
                let mut error = InputError::new(format!("roles need each other: {}", path[start..].join(" -> ")))
                    .of(Kind::Cycle)
                    .hint("take one of them out of a `needs` or an `after`");
                error.place = place;
                return Err(error.into());
            }
            let Some(role) = roles.get(name) else { return Ok(()) };
            if done.iter().any(|other| other.name == name) {
                return Ok(());
            }
            path.push(name);
            for need in role.before() {
                visit(need, roles, path, done)?;
            }
            path.pop();
            done.push(role);
            Ok(())
        }
        let mut done = Vec::new();
        for name in self.0.keys() {
            visit(name, &self.0, &mut Vec::new(), &mut done)?;
        }
        Ok(done)
    }
}

fn collect_built_in(folder: &Dir<'_>, files: &mut Files) {
    for file in folder.files() {
        if let Some(text) = file.contents_utf8() {
            files.insert(Path::new("roles").join(file.path()), text.into());
        }
    }
    for inner in folder.dirs() {
        collect_built_in(inner, files);
    }
}

fn built_in() -> BTreeMap<String, Files> {
    let files = |folder: &Dir<'_>| {
        let mut files = Files::new();
        collect_built_in(folder, &mut files);
        (folder.path().display().to_string(), files)
    };
    BUILT_IN.dirs().map(files).collect()
}

/// The roles that have no mistakes, and the mistakes of all.
fn parsed(sources: BTreeMap<String, Files>) -> (Roles, Vec<InputError>) {
    let mut errors = Vec::new();
    let mut roles = IndexMap::new();
    let mut layers = Vec::new();
    // Of all roles, as its variables are.
    let shared: Templates =
        sources.get("site").into_iter().flatten().filter_map(|(path, text)| template(path, text)).collect();
    let names: Vec<String> = sources.keys().cloned().collect();
    for (name, files) in sources {
        match parse::role(&name, &files, &shared) {
            Ok((role, layer)) => {
                layers.push(layer);
                roles.insert(name, role);
            }
            Err(found) => errors.extend(found),
        }
    }
    leave_out(&mut roles);
    for role in roles.values() {
        for need in role.before().filter(|need| !names.contains(need)) {
            let word = if role.needs.contains(need) { "needs" } else { "comes after" };
            let mut error = InputError::new(format!("role `{}` {word} `{need}`, which is no role", role.name));
            error.hint = nearest(need, names.iter().map(String::as_str)).map(|n| format!("did you mean `{n}`?"));
            errors.push(error.of(Kind::UnknownName).at(role.needs_place(need)));
        }
    }
    errors.extend(alias::clashes(&roles));
    (Roles(roles, layers), errors)
}

/// Notes which names of a template's other files a file does not give.
fn leave_out(roles: &mut IndexMap<String, Role>) {
    let templates = |spec: &FileSpec| match &spec.source {
        Source::Templates(names) => names.clone(),
        _ => Vec::new(),
    };
    let mut given: HashMap<String, BTreeSet<String>> = HashMap::new();
    for spec in roles.values().flat_map(Role::files) {
        for template in templates(spec) {
            given.entry(template).or_default().extend(spec.with.iter().map(|(name, _)| name.clone()));
        }
    }
    for spec in roles.values_mut().flat_map(Role::files_mut) {
        let all: BTreeSet<&String> = templates(spec).iter().filter_map(|name| given.get(name)).flatten().collect();
        spec.left_out =
            all.into_iter().filter(|name| !spec.with.iter().any(|(own, _)| own == *name)).cloned().collect();
    }
}

fn read_folder(folder: &Path) -> Result<BTreeMap<String, Files>> {
    let entries = std::fs::read_dir(folder).map_err(|error| {
        Error::input(format!("cannot read the roles in {}", folder.display()))
            .of(Kind::UnreadableFile)
            .because(error.to_string())
            .with_hint("`--roles` names a folder that holds a folder for each role: correct its path")
    })?;
    let folders = entries.flatten().filter(|entry| entry.path().join("role.yml").is_file());
    folders.map(|entry| Ok((entry.file_name().to_string_lossy().into_owned(), read_role(&entry.path())?))).collect()
}

fn read_role(folder: &Path) -> Result<Files> {
    let failed = |path: &Path, error| Error::local(format!("read {}", path.display()), error);
    let mut files = Files::new();
    let mut open = vec![folder.to_owned()];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            let inner = std::fs::read_dir(&path).map_err(|error| failed(&path, error))?;
            open.extend(inner.flatten().map(|entry| entry.path()));
        } else {
            let text = std::fs::read_to_string(&path).map_err(|error| failed(&path, error))?;
            files.insert(path, text.into());
        }
    }
    Ok(files)
}
