//! `kolla graph`: a phase's plan as a picture.

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};
use clap_complete::ArgValueCandidates;

use super::{Exit, Invocation, complete};
use crate::app;
use crate::error::{Error, Result};
use crate::report::graph;

/// Draws the dependency graph of the plan of a command.
#[derive(Debug, Args)]
pub struct Graph {
    /// The phase: a command such as `deploy` or `reconfigure`
    #[arg(default_value = "deploy", add = ArgValueCandidates::new(complete::phases))]
    pub phase: String,
    /// `html` for a browser, or `dot` for Graphviz (`kolla graph | dot -Tsvg`)
    #[arg(long, value_name = "FORM", default_value = "dot")]
    pub format: Format,
    /// Write to this file instead of stdout
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub to: Option<PathBuf>,
}

/// The format of the graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// The language of Graphviz.
    Dot,
    /// A self-contained HTML page.
    Html,
}

impl Graph {
    pub(super) async fn run(self, at: &Invocation) -> Result<Exit> {
        let (nodes, edges) = app::graph::graph(&at.app, &self.phase).await?;
        let text = match self.format {
            Format::Dot => graph::dot(&nodes, &edges),
            Format::Html => graph::html(&format!("kolla {}", self.phase), &nodes, &edges),
        };
        match &self.to {
            Some(file) => {
                std::fs::write(file, text).map_err(|error| Error::local(format!("write {}", file.display()), error))?;
            }
            None => at.screen.out(&text),
        }
        Ok(Exit::DONE)
    }
}
