//! Where something is asked.

use crate::host::ReadOnly;

/// A program in a container.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    /// The host.
    pub host: String,
    /// The container.
    pub container: String,
    /// The program.
    pub program: ReadOnly,
}
