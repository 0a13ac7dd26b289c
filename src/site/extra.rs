//! Values of `-e`: `k=v k2=v2`, `@file`, or a mapping in JSON or YAML.

use std::path::Path;
use std::sync::Arc;

use indexmap::IndexMap;

use super::vault::VaultKeys;
use super::words;
use crate::error::{InputError, Kind, Place};
use crate::source::{Data, Document, Node};
use crate::template::{Layer, Sourced};

/// The layer of one `-e`. Values of `k=v` are text, as they are for Ansible.
pub(super) fn layer(value: &str, keys: &VaultKeys) -> Result<Layer, InputError> {
    let trimmed = value.trim();
    if let Some(file) = trimmed.strip_prefix('@') {
        let file = Path::new(file);
        return super::files::layer("-e", file, false, keys).map_err(|error| {
            if file.exists() { error } else { error.hint("`-e @FILE` reads variables from a file: correct its path") }
        });
    }
    let at = |column| Place::within("-e", value, 1, column);
    if trimmed.starts_with(['{', '[']) {
        return Layer::of("-e", Document::parse_through("-e", value)?, false);
    }
    let words = words::split(value)
        .map_err(|column| InputError::new("a quotation is not closed").of(Kind::Usage).at(at(column)))?;
    if words.is_empty() {
        return Err(InputError::new("empty `-e`")
            .of(Kind::Usage)
            .at(at(1))
            .hint("write `-e name=value` or `-e @file`"));
    }
    let document = Arc::new(Document::made("-e", value, Node::bare(Data::Null)));
    let mut vars = IndexMap::new();
    for word in words {
        let Some((key, text)) = word.text.split_once('=').filter(|(key, _)| !key.is_empty()) else {
            let error = InputError::new(format!("expected `name=value`, found `{}`", word.text))
                .of(Kind::Usage)
                .at(at(word.column));
            let hint = if Path::new(&word.text).exists() {
                format!("read a file with `-e @{}`", word.text)
            } else {
                "quote values with spaces, as in `-e \"name='a value'\"`".to_owned()
            };
            return Err(error.hint(hint));
        };
        let column = word.column + key.chars().count() + 1;
        let node = Node::new(1, column, Data::Str(text.to_owned()));
        vars.insert(key.to_owned(), Sourced { node, document: document.clone() });
    }
    Ok(Layer { name: "-e".into(), vars, ..Layer::default() })
}
