//! Files of YAML that are encrypted as a whole, or of which some values are.

use std::path::Path;

use super::{Seal, VaultKeys, is_sealed, late_header, not_first};
use crate::error::{InputError, Place};
use crate::source::{Data, Document, Node};

/// The document of a file's text, decrypted; it may have keys twice. What was encrypted is not shown by errors, and hidden
/// like a password.
///
/// # Errors
/// What does not parse, and the first text that stays closed.
pub(in crate::site) fn parse(path: &Path, text: &str, keys: &VaultKeys) -> Result<Document, InputError> {
    let mut document = if is_sealed(text) {
        let (text, _) = open_file(path, text, keys)?;
        Document::parse_through(path, &text).map_err(without_excerpt)?.hide_all()
    } else {
        Document::parse_through(path, text)?
    };
    document.open_texts(&mut |label, text| {
        if late_header(text).is_some() {
            return Err(without_excerpt(not_first(&format!("`{label}`"))));
        }
        let opened = is_sealed(text).then(|| open_value(label, text, keys)).transpose()?;
        Ok(opened.map(|(text, _)| text))
    })?;
    Ok(document)
}

/// The same error without the line that it stands in.
pub(in crate::site) fn without_excerpt(mut error: InputError) -> InputError {
    if let Some(place) = &mut error.place {
        place.excerpt = None;
    }
    error
}

/// Decrypts the text of a file.
///
/// # Errors
/// When it stays closed.
pub(in crate::site) fn open_file(path: &Path, text: &str, keys: &VaultKeys) -> Result<(String, Seal), InputError> {
    keys.open(text).map_err(|why| why.error(&path.display().to_string()).at(Place::file(path)))
}

fn open_value(label: &str, text: &str, keys: &VaultKeys) -> Result<(String, Seal), InputError> {
    keys.open(text).map_err(|why| why.error(&format!("`{label}`")))
}

/// How the first encrypted value of a document is encrypted; nothing where none is.
///
/// # Errors
/// When that value stays closed.
pub(in crate::site) fn seal_of_values(document: &Document, keys: &VaultKeys) -> Result<Option<Seal>, InputError> {
    let Some((label, node)) = first_sealed("", &document.root) else { return Ok(None) };
    let opened = open_value(&label, node.as_str().unwrap_or_default(), keys);
    opened.map(|(_, seal)| Some(seal)).map_err(|error| error.at(document.place(node)))
}

/// The first encrypted value in a node, and its name.
fn first_sealed<'a>(label: &str, node: &'a Node) -> Option<(String, &'a Node)> {
    match &node.data {
        Data::Str(text) if is_sealed(text) => Some((label.to_owned(), node)),
        Data::Seq(items) => {
            items.iter().enumerate().find_map(|(at, item)| first_sealed(&format!("{label}[{at}]"), item))
        }
        Data::Map(map) => map.iter().find_map(|(key, entry)| {
            let label = if label.is_empty() { key.clone() } else { format!("{label}.{key}") };
            first_sealed(&label, &entry.value)
        }),
        _ => None,
    }
}
