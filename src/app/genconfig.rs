//! The files of all services, written on this machine.

use std::path::Path;

use super::files::write_private;
use super::{App, Loaded};
use crate::error::Result;
use crate::op::Op;
use crate::plan::phase::named;
use crate::run::event::{Event, Sink, Summary};

/// Writes the files of all services into a folder, a folder a host, without connecting to any; how many it wrote, and how
/// many were the same. The site's warnings go to `sink`.
///
/// # Errors
/// Input errors; a file that cannot be written.
pub fn genconfig(app: &App, loaded: &Loaded, dir: &Path, sink: &dyn Sink) -> Result<Summary> {
    let limit = loaded.limit(app)?;
    let mut selection = loaded.tags(app)?;
    selection.hosts = Some(limit);
    let mut summary = Summary::default();
    let whole = loaded.offline_plan(&loaded.members())?;
    for warning in loaded.warnings(&whole, &whole.lookups) {
        sink.event(&Event::Warning { host: String::new(), message: warning.in_a_line() });
    }
    let Some(phase) = named("genconfig") else { return Ok(summary) };
    for node in whole.select(phase, &selection).nodes {
        let Some(Op::FileSet(set)) = node.op else { continue };
        let folder = dir.join(&node.host).join(&set.service);
        for file in &set.files {
            let path = folder.join(&file.name);
            if std::fs::read(&path).is_ok_and(|content| *content == *file.content) {
                summary.same += 1;
            } else {
                write_private(&path, &file.content)?;
                summary.changed += 1;
            }
        }
    }
    Ok(summary)
}
