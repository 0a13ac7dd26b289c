//! The one template environment: Kolla's filters over lazy [`Scope`]s that know the file and line of each
//! variable. Knows nothing of inventories, roles or hosts beyond the layers it is given.

mod arguments;
mod compiled;
mod engine;
mod facts;
mod failure;
mod filters;
mod layer;
mod lazy;
mod lookup;
mod mentions;
mod methods;
mod optional_paths;
mod print;
mod scope;
mod shared;
mod trace;
pub mod values;
mod vocabulary;
mod yaml;

pub use minijinja::Value;

pub use arguments::truth;
pub(crate) use layer::is_name;
pub use layer::{Layer, Origin, Sourced};
pub use mentions::Mentions;
pub use scope::Scope;
pub use shared::{Defaults, HostLayers, Scopes, SiteLayers, Unasked};
pub use values::Values;

#[cfg(test)]
mod tests;
