//! Deploys and runs a highly available OpenStack cloud in containers, over SSH.
//!
//! The modules are layers; each uses only those below it in this list (`tests/layers.rs` keeps it so):
//! `cli`, `lab` and `image`, `report`, `run`, `plan`, `op`, `role`, `host`, `site`, `template`,
//! `error` with `source` and `shell`.

pub mod error;
pub mod host;
pub mod lab;
pub mod shell;
pub mod site;
