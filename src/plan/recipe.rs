//! What a file is made of: the role's own templates or value, and the operator's files over it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::overrides::{OperatorFile, Searched, file_name};
use crate::error::{InputError, Kind, Place};
use crate::role::{FileSpec, Merge, Role, Source};
use crate::site::merge::{Origin, merge_ini, merge_ini_lines, merge_yaml, merge_yaml_lines};
use crate::template::Scope;
use crate::template::values::{Values, text_of};

/// A file before its layers are joined.
pub(super) struct Recipe {
    /// Its path.
    pub(super) to: String,
    /// What it is made of, lowest first.
    pub(super) layers: Vec<FileLayer>,
    merge: Merge,
    used_by: String,
    /// The eyes that its templates were read with.
    scope: Scope,
}

/// One of the texts that a file is made of.
pub(super) struct FileLayer {
    /// Where it is from.
    pub(super) file: PathBuf,
    text: String,
    source: Text,
}

/// What a layer's text was before it was rendered.
enum Text {
    /// A template.
    Template(Arc<str>),
    /// A value of the role's, at this line.
    Value(usize),
}

/// A file's recipe. None where only the operator has one, and has none.
pub(super) fn recipe(
    spec: &FileSpec,
    to: String,
    (role, service): (&Role, &str),
    host: &str,
    overrides: &Searched<'_>,
    values: &mut Values<'_>,
) -> Option<Recipe> {
    let found = overrides.of(spec, &role.name, service, host, file_name(&to));
    let to = match (&spec.source, found.last()) {
        (Source::Given(_), None) => return None,
        (Source::Given(_), Some((path, _))) if to.ends_with('/') => to + file_name(path),
        _ => to,
    };
    let used_by = format!("file {} on {host}", file_name(&to));
    let mut recipe = Recipe { to, layers: Vec::new(), merge: spec.merge, used_by, scope: values.scope.clone() };
    if !spec.with.is_empty() {
        let vars = recipe.with(values, |values| values.variables(&spec.with));
        let Some(vars) = vars else { return Some(recipe) };
        recipe.scope = values.scope.with(vars);
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
    Some(recipe)
}

impl Recipe {
    /// Runs `read` with the eyes of this file.
    fn with<T>(&self, values: &mut Values<'_>, read: impl FnOnce(&mut Values<'_>) -> T) -> T {
        let used_by = self.used_by.clone();
        read(&mut Values { scope: &self.scope, document: values.document, used_by, errors: &mut *values.errors })
    }

    fn texts(&self) -> Vec<(&Path, &str)> {
        self.layers.iter().map(|layer| (&*layer.file, &*layer.text)).collect()
    }

    /// The file's content.
    pub(super) fn content(&self, values: &mut Values<'_>) -> String {
        if let [layer] = &*self.layers {
            return layer.text.clone();
        }
        let merged = match self.merge {
            Merge::Yaml => merge_yaml(&self.texts()),
            _ => merge_ini(&self.texts()),
        };
        merged.unwrap_or_else(|error| {
            self.with(values, |values| values.note(error));
            String::new()
        })
    }

    /// From which layer, and which line of its file, each line of the content comes. The line is 0 where it cannot be told.
    pub(super) fn origins(&self) -> Vec<Origin> {
        let merged = match (&*self.layers, self.merge) {
            ([layer], _) => {
                return (1..).zip(layer.text.lines()).map(|(line, _)| Some((0, line))).map(self.traced()).collect();
            }
            (_, Merge::Yaml) => merge_yaml_lines(&self.texts()),
            _ => merge_ini_lines(&self.texts()),
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
                Text::Template(source) => self.scope.traced(source, merged, &layer.text).ok_or(0),
                Text::Value(line) => Err(*line),
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
    match &spec.source {
        Source::Templates(names) => {
            let templates = names.iter().filter_map(|name| role.templates.get(name));
            templates.map(|(path, text)| rendered(path, text, spec.merge, values)).collect()
        }
        Source::Content(node) => {
            let text = match values.value(node) {
                value if value.as_str().is_some() => text_of(&value),
                value => serde_json::to_string_pretty(&value).unwrap_or_default() + "\n",
            };
            vec![FileLayer { file: values.document.file(), text, source: Text::Value(node.line) }]
        }
        Source::Given(_) => Vec::new(),
    }
}

/// A file of the operator's.
fn operators(file: &OperatorFile, merge: Merge, values: &mut Values<'_>) -> Option<FileLayer> {
    let Some(text) = &file.text else {
        let error =
            InputError::new("a service's file is made of this one, which is no text in UTF-8").of(Kind::UnreadableFile);
        values.note(error.at(Place::file(&file.path)));
        return None;
    };
    Some(rendered(&file.path, text, merge, values))
}

fn rendered(path: &Path, source: &Arc<str>, merge: Merge, values: &mut Values<'_>) -> FileLayer {
    let rendered = match merge {
        Merge::Replace => values.scope.render(path, source),
        _ => values.scope.render_merged(path, source),
    };
    let text = rendered.unwrap_or_else(|error| {
        values.note(error);
        String::new()
    });
    FileLayer { file: path.to_owned(), text, source: Text::Template(source.clone()) }
}
