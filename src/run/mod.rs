//! Walks a plan over connected hosts: limits, failure, interruption, events. Knows no operation by name.

pub mod event;
pub mod connect;
mod gate;
mod walk;

pub use walk::{Crew, WalkOptions, walk};
