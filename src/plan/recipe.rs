//! What a file is made of: the role's own templates or value, and the operator's files over it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::overrides::{Given, LARGEST, OperatorFile, Searched, file_name, paths};
use crate::error::{InputError, Kind, Place};
use crate::role::{FileSpec, Merge, Role, Source, many};
use crate::shell::syntax::Syntax;
use crate::site::merge::{Origin, merge_ini, merge_ini_lines, merge_yaml, merge_yaml_lines, unreadable};
use crate::source::Document;
use crate::template::values::{Values, text_of, variable_of};
use crate::template::{Scope, Value};

/// A file before its layers are joined.
pub(super) struct Recipe {
    /// Its path.
    pub(super) to: String,
    /// Where the operator's files for it are looked for, below their folder.
    pub(super) looked: Vec<String>,
    /// What it may be called among the others of its service; empty where there is no other name for it.
    pub(super) also: String,
    /// What it is made of, lowest first.
    pub(super) layers: Vec<FileLayer>,
    merge: Merge,
    syntax: Option<Syntax>,
    used_by: String,
    /// The eyes that its templates were read with.
    scope: Scope,
}

/// One of the texts that a file is made of.
pub(super) struct FileLayer {
    /// Where it is from.
    pub(super) file: PathBuf,
    text: String,
    /// The operator's, not the role's.
    theirs: bool,
    source: Text,
}

/// The name of a variable of a service's templates: where the files go that the operator gave it.
const GIVEN: &str = "given";

/// What a layer's text was before it was rendered.
enum Text {
    /// A template.
    Template(Arc<str>),
    /// A value of the role's, at this line.
    Value(usize),
    /// No text.
    Bytes(Arc<[u8]>),
}

/// Where the files go that the operator gives a service, as its templates see it: nothing where there are none.
pub(super) fn given(
    specs: &[FileSpec],
    role: &Role,
    host: &str,
    overrides: &Searched<'_>,
    values: &mut Values<'_>,
) -> Option<Scope> {
    let mut paths: Vec<String> = Vec::new();
    for spec in specs.iter().filter(|spec| matches!(spec.source, Source::Given(_))) {
        if values.flag(spec.when.as_ref(), true) {
            paths.extend(overrides.given(spec, &role.name, host).iter().map(|given| below(&spec.to, given)));
        }
    }
    (!paths.is_empty()).then(|| values.scope.with(vec![(GIVEN.to_owned(), paths.into())]))
}

fn below(to: &str, given: &Given<'_>) -> String {
    if to.ends_with('/') { format!("{to}{}", given.below) } else { to.to_owned() }
}

/// A file's recipe; those of all files where it stands for several, and none where only the operator has it, and has none.
pub(super) fn recipes(
    spec: &FileSpec,
    to: String,
    (role, service): (&Role, &str),
    host: &str,
    overrides: &Searched<'_>,
    values: &mut Values<'_>,
) -> Vec<Recipe> {
    if matches!(spec.source, Source::Given(_)) {
        let all = overrides.given(spec, &role.name, host);
        if spec.required && all.is_empty() {
            let paths = paths(spec, &role.name, service, host, "");
            let path = paths.iter().find(|path| !path.contains(&format!("/{host}/")));
            let file = overrides.place(path.map_or("", String::as_str));
            values.note(missing(spec, service, &file, values));
        }
        return all
            .into_iter()
            .map(|given| {
                let mut recipe = Recipe::new(spec, below(&to, &given), given.looked, host, values.scope);
                recipe.also = recipe.to.trim_start_matches('/').replace('/', "-");
                if recipe.learn(spec, values) {
                    recipe.layers = recipe.with(values, |values| whole(given.file, values)).into_iter().collect();
                }
                recipe
            })
            .collect();
    }
    let found = overrides.of(spec, &role.name, service, host, file_name(&to));
    let looked = paths(spec, &role.name, service, host, file_name(&to));
    let mut recipe = Recipe::new(spec, to, looked, host, values.scope);
    if !recipe.learn(spec, values) {
        return vec![recipe];
    }
    recipe.layers = recipe.with(values, |values| {
        let over: Vec<&OperatorFile> = match (spec.merge, found.last()) {
            (Merge::Replace, Some((_, file))) => return operators(file, spec.merge, values).into_iter().collect(),
            _ => found.iter().map(|(_, file)| *file).collect(),
        };
        let mut layers = own(spec, role, values);
        layers.extend(over.into_iter().filter_map(|file| operators(file, spec.merge, values)));
        layers
    });
    vec![recipe]
}

/// A file that the operator must have, and has not.
fn missing(spec: &FileSpec, service: &str, file: &Path, values: &Values<'_>) -> InputError {
    let message = match &spec.source {
        Source::Given(names) if names.iter().any(|name| many(name)) => {
            format!("service {service} needs a file {}, and there is none", file.display())
        }
        _ => format!("service {service} needs the file {}, which is missing", file.display()),
    };
    let switch = spec.when.as_ref().and_then(variable_of);
    let origin = switch.and_then(|name| Some((name, values.scope.explain(name).into_iter().next()?)));
    let (place, hint) = match origin {
        Some((name, origin)) => (origin.place, format!("create it, or set `{name}` to `false`")),
        None => (values.document.place(&spec.node), "create it".to_owned()),
    };
    InputError::new(message).of(Kind::UnreadableFile).at(place).hint(hint)
}

impl Recipe {
    fn new(spec: &FileSpec, to: String, looked: Vec<String>, host: &str, scope: &Scope) -> Self {
        let used_by = format!("file {} on {host}", file_name(&to));
        let also = spec.known_as.as_deref().map(file_name).unwrap_or_default().to_owned();
        Self {
            to,
            looked,
            also,
            layers: Vec::new(),
            merge: spec.merge,
            syntax: spec.syntax,
            used_by,
            scope: scope.clone(),
        }
    }

    /// Adds the file's own variables; false where one failed.
    fn learn(&mut self, spec: &FileSpec, values: &mut Values<'_>) -> bool {
        if spec.with.is_empty() {
            return true;
        }
        let vars = self.with(values, |values| values.variables(&spec.with));
        vars.map(|vars| self.scope = values.scope.with(vars)).is_some()
    }

    /// Runs `read` with the eyes of this file.
    fn with<T>(&self, values: &mut Values<'_>, read: impl FnOnce(&mut Values<'_>) -> T) -> T {
        let used_by = self.used_by.clone();
        read(&mut Values { scope: &self.scope, document: values.document, used_by, errors: &mut *values.errors })
    }

    fn texts(&self) -> Vec<(&Path, &str)> {
        self.layers.iter().map(|layer| (&*layer.file, &*layer.text)).collect()
    }

    /// How many of the layers are the role's, which are written for the program that reads the file.
    fn written(&self) -> usize {
        self.layers.iter().filter(|layer| !layer.theirs).count()
    }

    /// The file's content.
    pub(super) fn content(&self, values: &mut Values<'_>) -> Vec<u8> {
        let faults: Vec<InputError> =
            self.layers.iter().enumerate().filter_map(|layer| self.unreadable(layer)).collect();
        self.with(values, |values| faults.into_iter().for_each(|fault| values.note(fault)));
        if let [layer] = &*self.layers {
            return match &layer.source {
                Text::Bytes(bytes) => bytes.to_vec(),
                _ => layer.text.clone().into_bytes(),
            };
        }
        let merged = match self.merge {
            Merge::Yaml => merge_yaml(&self.texts()),
            _ => merge_ini(&self.texts(), self.written()),
        };
        let merged = merged.unwrap_or_else(|error| {
            self.with(values, |values| values.note(error));
            String::new()
        });
        merged.into_bytes()
    }

    /// What the service could not read in a file of the operator's: a part that is merged into INI, or a whole policy.
    fn unreadable(&self, (index, layer): (usize, &FileLayer)) -> Option<InputError> {
        if !layer.theirs {
            return None;
        }
        let named = |ends: &[&str]| layer.file.extension().is_some_and(|end| ends.iter().any(|known| end == *known));
        let is_oslo = self.syntax == Some(Syntax::Oslo);
        if self.merge == Merge::Replace && !(is_oslo && named(&["conf", "ini"])) {
            let is_yaml = named(&["yaml", "yml", "json"]);
            let error = is_yaml.then(|| Document::parse(&layer.file, &layer.text).err()).flatten()?;
            // The last of two counts for who reads it.
            return (error.kind != Kind::DuplicateKey).then_some(error);
        }
        if self.merge == Merge::Yaml {
            return None;
        }
        // What is taken whole is not merged, which would tell it.
        if self.merge == Merge::Replace
            && let Err(error) = merge_ini(&[(&layer.file, &layer.text)], 0)
        {
            return Some(error);
        }
        let (line, message, hint) = unreadable(&layer.text, is_oslo)?;
        let (_, line) = self.traced()(Some((index, line)))?;
        let written = match &layer.source {
            Text::Template(source) => &**source,
            _ => &layer.text,
        };
        let place = Place::within(&layer.file, written, line, 1);
        Some(InputError::new(message).of(Kind::Syntax).at(place).hint(hint))
    }

    /// From which layer, and which line of its file, each line of the content comes. The line is 0 where it cannot be told.
    pub(super) fn origins(&self) -> Vec<Origin> {
        let merged = match (&*self.layers, self.merge) {
            ([layer], _) => {
                return (1..).zip(layer.text.lines()).map(|(line, _)| Some((0, line))).map(self.traced()).collect();
            }
            (_, Merge::Yaml) => merge_yaml_lines(&self.texts()),
            _ => merge_ini_lines(&self.texts(), self.written()),
        };
        merged.map(|(_, origins)| origins.into_iter().map(self.traced()).collect()).unwrap_or_default()
    }

    /// From a line of a layer's text to the line of its file.
    fn traced(&self) -> impl Fn(Origin) -> Origin {
        let merged = self.merge != Merge::Replace;
        let lines: Vec<Result<Vec<usize>, usize>> = self
            .layers
            .iter()
            .map(|layer| match &layer.source {
                Text::Template(source) => {
                    let syntax = self.syntax.filter(|_| !layer.theirs);
                    self.scope.traced(syntax, merged, source, &layer.text).ok_or(0)
                }
                Text::Value(line) => Err(*line),
                Text::Bytes(_) => Err(0),
            })
            .collect();
        move |origin| {
            origin.map(|(layer, line)| match lines.get(layer) {
                Some(Ok(lines)) => (layer, lines.get(line - 1).copied().unwrap_or_default()),
                Some(Err(line)) => (layer, *line),
                None => (layer, 0),
            })
        }
    }
}

/// What the role itself makes a file of, lowest first.
fn own(spec: &FileSpec, role: &Role, values: &mut Values<'_>) -> Vec<FileLayer> {
    let left_out = spec.left_out.iter().filter(|name| values.scope.has(name));
    let left_out: Vec<(String, Value)> = left_out.map(|name| (name.clone(), Value::UNDEFINED)).collect();
    let scope = if left_out.is_empty() { values.scope.clone() } else { values.scope.with(left_out) };
    let used_by = values.used_by.clone();
    let values = &mut Values { scope: &scope, document: values.document, used_by, errors: &mut *values.errors };
    match &spec.source {
        Source::Templates(names) => {
            let templates = names.iter().filter_map(|name| role.templates.get(name));
            templates.map(|(path, text)| rendered(path, text, spec.syntax, spec.merge, values)).collect()
        }
        Source::Content(node) => {
            // A value that is the whole file of JSON is that file, not a text in it.
            let whole = |syntax: Syntax| syntax.has_json() && variable_of(node).is_some();
            let text = match spec.syntax.filter(|syntax| node.as_str().is_some() && !whole(*syntax)) {
                Some(syntax) => values.text_in(syntax, node),
                None => match values.value(node) {
                    value if value.as_str().is_some() => text_of(&value),
                    value => serde_json::to_string_pretty(&value).unwrap_or_default() + "\n",
                },
            };
            vec![FileLayer { file: values.document.file(), text, theirs: false, source: Text::Value(node.line) }]
        }
        Source::Given(_) => Vec::new(),
    }
}

/// A file of the operator's that is taken whole.
fn whole(file: &OperatorFile, values: &mut Values<'_>) -> Option<FileLayer> {
    match &file.bytes {
        Some(bytes) => {
            let source = Text::Bytes(bytes.clone());
            Some(FileLayer { file: file.path.clone(), text: String::new(), theirs: true, source })
        }
        None => operators(file, Merge::Replace, values),
    }
}

/// A file of the operator's that is text.
fn operators(file: &OperatorFile, merge: Merge, values: &mut Values<'_>) -> Option<FileLayer> {
    let Some(text) = &file.text else {
        let error = if file.bytes.is_some() {
            InputError::new("a service's file is made of this one, which is no text in UTF-8")
        } else {
            InputError::new(format!("a service gets this file, which is larger than {LARGEST} MiB"))
                .hint("mount it from the hosts instead: `SERVICE_extra_volumes`")
        };
        values.note(error.of(Kind::UnreadableFile).at(Place::file(&file.path)));
        return None;
    };
    // As the operator wrote it for the program that reads it, its values, too.
    let layer = rendered(&file.path, text, None, merge, values);
    file.hide(&layer.text);
    Some(FileLayer { theirs: true, ..layer })
}

fn rendered(
    path: &Path,
    source: &Arc<str>,
    syntax: Option<Syntax>,
    merge: Merge,
    values: &mut Values<'_>,
) -> FileLayer {
    let rendered = values.scope.render_in(syntax, merge != Merge::Replace, path, source);
    let text = rendered.unwrap_or_else(|error| {
        values.note(error);
        String::new()
    });
    FileLayer { file: path.to_owned(), text, theirs: false, source: Text::Template(source.clone()) }
}
