//! Walks a plan over connected hosts: limits, failure, interruption, events. Knows no operation by name.

pub mod connect;
mod context;
pub mod event;
mod foreign;
mod gate;
mod lease;
mod tally;
mod walk;

pub use context::RunContext;
pub use foreign::foreign;
pub use lease::{LeaseWish, SiteLease};
pub use tally::{Act, Tally};
pub use walk::{WalkOptions, look, walk};
