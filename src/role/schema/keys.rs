//! Keys that nobody knows, wherever they stand: also in what is read only once it is needed, as the questions of a service
//! that is on no host.

use super::shape::{Keys, Shape};
use super::{TOP, defined};
use crate::error::InputError;
use crate::source::{Data, Document, Fields, Node};

/// An error for each key of a role's file that its schema does not have.
pub(in crate::role) fn unknown(document: &Document) -> Vec<InputError> {
    let mut errors = Vec::new();
    of_keys(&TOP, &document.root, document, &mut errors);
    errors
}

fn of_keys(keys: &Keys, node: &Node, document: &Document, errors: &mut Vec<InputError>) {
    if !matches!(node.data, Data::Map(_)) {
        return;
    }
    let mut fields = Fields::of(document, node);
    for (key, shape) in keys.all {
        if let Some(value) = fields.take(key) {
            of_shape(shape, value, document, errors);
        }
    }
    errors.extend(fields.finish());
}

fn of_shape(shape: &Shape, node: &Node, document: &Document, errors: &mut Vec<InputError>) {
    match (shape, &node.data) {
        (Shape::Keys(keys), _) => of_keys(keys, node, document, errors),
        (Shape::Defined(name), _) => of_keys(defined(name), node, document, errors),
        (Shape::List(inner) | Shape::Some(inner), Data::Seq(items)) => {
            for item in items {
                of_shape(inner, item, document, errors);
            }
        }
        (Shape::Named(inner), Data::Map(map)) => {
            map.values().for_each(|entry| of_shape(inner, &entry.value, document, errors));
        }
        (Shape::Either(one, other), _) => [one, other].iter().for_each(|shape| of_shape(shape, node, document, errors)),
        _ => {}
    }
}
