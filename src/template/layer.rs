//! Variables as they were written, in layers of rising precedence.

use std::sync::Arc;

use indexmap::IndexMap;

use crate::error::{InputError, Place};
use crate::source::{Document, Node};

/// A raw value and the file it stands in.
#[derive(Debug, Clone)]
pub struct Sourced {
    /// The value, templates unrendered.
    pub node: Node,
    /// Its file.
    pub document: Arc<Document>,
}

/// Variables of one origin.
#[derive(Debug, Clone)]
pub struct Layer {
    /// What the origin is called, as `role mariadb`, `globals.yml`, `group control`, `host control01` or `-e`.
    pub name: String,
    /// Its variables.
    pub vars: IndexMap<String, Sourced>,
    /// Its values must not be shown.
    pub secret: bool,
}

impl Layer {
    /// All variables of a file, whose top must be a mapping.
    ///
    /// # Errors
    /// When the top is something else, or a key is no variable name.
    pub fn of(name: impl Into<String>, document: Document, secret: bool) -> Result<Self, InputError> {
        let entries = document.entries()?;
        let document = Arc::new(document);
        let vars = entries
            .into_iter()
            .map(|(key, entry)| (key, Sourced { node: entry.value, document: document.clone() }))
            .collect();
        Ok(Self { name: name.into(), vars, secret })
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
