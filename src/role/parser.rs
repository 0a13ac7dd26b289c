//! What a role is read with: its file, the templates that there are, and the mistakes that were found.

use std::sync::Arc;

use super::Templates;
use crate::error::{InputError, Kind};
use crate::source::{Document, Entry, Node};

pub(super) struct Parser<'a> {
    pub(super) document: &'a Arc<Document>,
    pub(super) templates: &'a Templates,
    pub(super) errors: Vec<InputError>,
}

impl Parser<'_> {
    pub(super) fn fail(&mut self, node: &Node, message: impl Into<String>, kind: Kind) {
        self.errors.push(InputError::new(message).of(kind).at(self.document.place(node)));
    }
}

pub(super) fn pairs(map: Vec<(&str, &Entry)>) -> Vec<(String, Node)> {
    map.into_iter().map(|(key, entry)| (key.to_owned(), entry.value.clone())).collect()
}
