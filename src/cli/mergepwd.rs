//! `kolla mergepwd`: the secrets of a site in a newer file of names.

use std::path::PathBuf;

use clap::{Args, ValueHint};
use serde_json::json;

use super::{Exit, Invocation};
use crate::app::passwords;
use crate::error::{Result, numbered};
use crate::site::MergeFiles;

/// Merges the secrets of an old file into a new one.
#[derive(Debug, Args)]
pub struct Mergepwd {
    /// The file with the secrets of the site
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub old: PathBuf,
    /// The file with the names of the new release, filled by `genpwd`
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub new: PathBuf,
    /// The file to write; it may be the old or the new file
    #[arg(long = "final", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub merged: PathBuf,
    /// Drop names that only the old file has
    #[arg(long)]
    pub clean: bool,
}

impl Mergepwd {
    pub(super) async fn run(self, at: &Invocation) -> Result<Exit> {
        let files = MergeFiles { old: self.old, new: self.new, merged: self.merged, check: at.global.check };
        let told = passwords::mergepwd(&at.app, &files, self.clean).await?;
        let dropped = if self.clean { told.only_old.as_slice() } else { &[] };
        let names = |names: &[String]| if names.is_empty() { String::new() } else { format!(": {}", names.join(", ")) };
        let text = || {
            let mut text = format!(
                "{}: {} {}, {} only of the new file{}",
                files.merged.display(),
                if files.check { "would keep" } else { "kept" },
                numbered(told.kept, "secret"),
                numbered(told.added.len(), "name"),
                names(&told.added),
            );
            if !dropped.is_empty() {
                text = format!("{text}\nleft out {}{}", numbered(dropped.len(), "name"), names(dropped));
            }
            text
        };
        at.answer(
            || {
                let (file, encrypted) = (&files.merged, told.encrypted);
                json!({ "file": file, "kept": told.kept, "added": told.added, "left_out": dropped, "encrypted": encrypted })
            },
            text,
        );
        Ok(Exit::DONE)
    }
}
