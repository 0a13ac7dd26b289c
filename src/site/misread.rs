//! Texts that YAML, or Ansible in an inventory in INI, reads as something else than what is written: `1.10` is the number 1.1,
//! and in YAML `0123` is 83 and `yes` is True.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::{Layers, ini};
use crate::error::{InputError, Kind};
use crate::shell::is_secret_name;
use crate::source::{Data, float, is_template};
use crate::template::{Layer, Sourced};

/// A word for each of them: of all secrets, and of variables that are texts by their roles' defaults.
pub(super) fn of(layers: &Layers) -> Vec<InputError> {
    let defaults: HashMap<&str, &Data> = layers
        .roles
        .iter()
        .flat_map(|layer| layer.vars.iter().map(|(name, sourced)| (name.as_str(), &sourced.node.data)))
        .collect();
    let mut seen = HashSet::new();
    let all = layers.globals.iter().chain(layers.hosts.values().flatten()).chain(&layers.top);
    let mut found = Vec::new();
    for layer in all.filter(|layer| seen.insert(Arc::as_ptr(layer))) {
        for (name, sourced) in &layer.vars {
            let default = defaults.get(name.as_str()).copied();
            // A line of several hosts is read for each of them.
            found.extend(misread(layer, name, sourced, default).filter(|word| !found.contains(word)));
        }
    }
    found
}

fn misread(layer: &Layer, name: &str, sourced: &Sourced, default: Option<&Data>) -> Option<InputError> {
    let node = &sourced.node;
    let read = match &node.data {
        Data::Bool(truth) => if *truth { "True" } else { "False" }.to_owned(),
        Data::Int(number) => number.to_string(),
        Data::Float(number) => float(*number),
        _ => return None,
    };
    let (written, hint) = if sourced.document.is_yaml() {
        (sourced.document.written(node)?.to_owned(), "write it in quotes")
    } else {
        ini::written(&sourced.document, name, node)?
    };
    if written == read {
        return None;
    }
    let is_secret = layer.secret || is_secret_name(name);
    let is_text = match default {
        _ if is_secret => true,
        Some(Data::Str(_)) if name.starts_with("enable_") || name.ends_with("_port") => false,
        // What is made of others may be of any kind; but nobody writes a number so.
        Some(Data::Str(text)) if is_template(text) => {
            matches!(node.data, Data::Float(_)) || written.contains(':') || written.starts_with('0')
        }
        Some(Data::Str(_)) => true,
        _ => false,
    };
    let hidden = is_secret || sourced.document.hides(node);
    let mut place = sourced.document.place(node);
    if hidden || !sourced.document.is_yaml() {
        // A host's line may have secrets of others, too.
        place.excerpt = None;
    }
    let shown = if hidden {
        format!("`{name}` is read as another text than is written")
    } else {
        format!("`{name}` is read as `{read}`, not as `{written}`")
    };
    let word = InputError::new(shown).of(Kind::ReadOtherwise).at(place);
    is_text.then(|| word.hint(format!("{hint}; or write what it is read as, if that is what is deployed")))
}
