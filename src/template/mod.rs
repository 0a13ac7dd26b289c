//! The one template environment: Kolla's filters over lazy [`Scope`]s that know the file and line of each
//! variable. Knows nothing of inventories, roles or hosts beyond the layers it is given.

mod layer;
mod scope;

pub use minijinja::Value;

pub use layer::{Layer, Origin, Sourced};
pub use scope::{Scope, Scopes};
