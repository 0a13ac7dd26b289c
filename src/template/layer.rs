//! Variables as they were written, in layers of rising precedence.

use std::sync::Arc;

use indexmap::IndexMap;

use crate::error::{InputError, Place};
use crate::source::{Data, Document, Node};

/// A raw value and the file it stands in.
#[derive(Debug, Clone)]
pub struct Sourced {
    /// The value, templates unrendered.
    pub node: Node,
    /// Its file.
    pub document: Arc<Document>,
}

/// Variables of one origin.
#[derive(Debug, Clone, Default)]
pub struct Layer {
    /// What the origin is called, as `role mariadb`, `globals.yml`, `group control`, `host control01` or `-e`.
    pub name: String,
    /// Its variables.
    pub vars: IndexMap<String, Sourced>,
    /// It is of passwords: its values must not be shown, and an empty one is one that is missing.
    pub secret: bool,
    /// Keys of its file that stand twice.
    pub twice: Vec<InputError>,
}

impl Layer {
    /// All variables of a file, whose top must be a mapping.
    ///
    /// # Errors
    /// When the top is something else, or a secret's key is no variable name.
    pub fn of(name: impl Into<String>, document: Document, secret: bool) -> Result<Self, InputError> {
        let entries = document.entries()?;
        for (key, entry) in &entries {
            // Elsewhere it is a variable that nothing reads; of secrets nobody would tell.
            if secret && !is_name(key) {
                return Err(InputError::new(format!("`{key}` is no variable name"))
                    .at(document.at(entry.line, entry.column))
                    .hint("use letters, digits and underscores, a letter first"));
            }
        }
        let (twice, document) = (document.twice(), Arc::new(document));
        let vars = entries
            .into_iter()
            .map(|(key, entry)| (key, Sourced { node: entry.value, document: document.clone() }))
            .collect();
        Ok(Self { name: name.into(), vars, secret, twice })
    }
}

/// One layer's word on a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The layer's name.
    pub layer: String,
    /// Where the value stands.
    pub place: Place,
    /// The value as it was written; `***` where the layer is secret.
    pub text: String,
}

/// An expression can name a variable so.
pub(crate) fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_alphabetic() || c == '_') && name.chars().all(|c| c.is_alphanumeric() || c == '_')
}

/// A layer's word on a variable, as it is shown.
pub(super) fn origin(layer: &Layer, sourced: &Sourced, secret: bool) -> Origin {
    let mut place = sourced.document.place(&sourced.node);
    let text = match &sourced.node.data {
        _ if secret => {
            place.excerpt = None;
            "***".to_owned()
        }
        Data::Str(text) => text.clone(),
        _ => sourced.node.to_json().to_string(),
    };
    Origin { layer: layer.name.clone(), place, text }
}
