//! Deploys and runs a highly available OpenStack cloud in containers, over SSH.
//!
//! The command `kolla` is [`cli`]. A program that embeds the library starts in [`app`].
//!
//! The modules are layers; each uses only those below it in this list (`tests/suite/layers.rs` keeps it so):
//! `cli`, `app`, `lab`, `image` and `cloud`, `report`, `run`, `plan`, `op`, `role`, `host`, `site`, `template`,
//! `error` with `examples`, `source` and `shell`.

pub mod app;
pub mod cli;
pub mod cloud;
pub mod error;
pub mod examples;
pub mod host;
pub mod image;
pub mod lab;
pub mod op;
pub mod plan;
pub mod report;
pub mod role;
pub mod run;
pub mod shell;
pub mod site;
pub mod source;
pub mod template;
