//! Other names of variables, as of older releases: the variable that is meant gets the value.

use std::collections::HashMap;
use std::sync::Arc;

use super::upstream;
use super::{Layers, READ_HERE};
use crate::template::Layer;

/// Gives each value under another name of a variable that is read here to that variable, in the same layer: so what is
/// more specific still wins. A layer that has both names means the newer one.
pub(super) fn apply(layers: &mut Layers) {
    let roles = std::mem::take(&mut layers.roles);
    let known = |name: &str| READ_HERE.contains(&name) || roles.iter().any(|layer| layer.vars.contains_key(name));
    // Layers of groups are those of many hosts; the first of each pair keeps its place in memory.
    let mut made: HashMap<*const Layer, (Arc<Layer>, Arc<Layer>)> = HashMap::new();
    for layer in layers.globals.iter_mut().chain(layers.hosts.values_mut().flatten()).chain(&mut layers.top) {
        let pair = made.entry(Arc::as_ptr(layer)).or_insert_with(|| (layer.clone(), with_aliases(layer, known)));
        *layer = pair.1.clone();
    }
    layers.roles = roles;
}

fn with_aliases(layer: &Arc<Layer>, known: impl Fn(&str) -> bool) -> Arc<Layer> {
    let meant = layer.vars.iter().filter_map(|(name, value)| {
        let to = upstream::here(name).or_else(|| upstream::renamed(name))?;
        (known(to) && !layer.vars.contains_key(to)).then(|| (to.to_owned(), value.clone()))
    });
    let meant: Vec<_> = meant.collect();
    if meant.is_empty() {
        return layer.clone();
    }
    let mut layer = Layer::clone(layer);
    layer.vars.extend(meant);
    Arc::new(layer)
}
