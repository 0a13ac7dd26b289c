//! One file on a host, and the scripts of ours that work on files.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Attribute, View};
use crate::error::{Error, HostCause, Result};
use crate::host::{FileState, PutFile, Remote};
use crate::shell::syntax::Syntax;
use crate::source::{Keys, Shape};

/// What is written of a file.
pub const KEYS: Keys = Keys {
    what: "a file",
    all: &[
        ("to", Shape::Path(&Shape::Text)),
        ("override", Shape::Name),
        ("owner", Shape::Name),
        ("mode", Shape::Mode),
        ("merge", Shape::OneOf(&["ini", "oslo", "yaml"])),
        ("syntax", Shape::OneOf(&Syntax::NAMES)),
        ("required", Shape::Plain),
        ("with", Shape::Named(&Shape::Any)),
        ("when", Shape::Flag),
    ],
    needed: &["to"],
    any_of: &[],
    one_of: &[
        &("template", Shape::Some(&Shape::Name)),
        &("content", Shape::Any),
        &("given", Shape::Some(&Shape::Name)),
    ],
};
/// A file.
pub const SHAPE: Shape = Shape::Defined("file", &KEYS);

/// SHA-256 in hexadecimal.
pub fn digest_of(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// One file, without its content where it is printed or saved: only the digest.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct OneFile {
    /// File name in a set, absolute path on a host.
    pub name: String,
    /// Digest of the content.
    pub digest: String,
    /// Permissions.
    pub mode: u32,
    /// `user:group` on the host; empty is root.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub owner: String,
    /// The content.
    #[serde(skip)]
    pub content: Arc<[u8]>,
}

impl OneFile {
    /// A file of root.
    pub fn new(name: impl Into<String>, content: impl Into<Vec<u8>>, mode: u32) -> Self {
        let content: Arc<[u8]> = content.into().into();
        Self { name: name.into(), digest: digest_of(&content), mode, owner: String::new(), content }
    }

    pub(super) fn put(&self, path: String) -> PutFile {
        PutFile { path, content: self.content.clone(), mode: self.mode, owner: self.owner.clone() }
    }

    fn wanted_owner(&self) -> &str {
        if self.owner.is_empty() { "root:root" } else { &self.owner }
    }

    /// As a saved plan knows it: how it is, and how it should be.
    pub(super) fn attribute(&self, state: Option<&FileState>) -> Attribute {
        let wanted = format!("{:04o} {}", self.mode, self.wanted_owner());
        let now = state.map(|state| match self.rights(state) {
            // An owner has a name and a number, and may be wanted without a group.
            None => format!("{wanted} {}", state.digest),
            Some(_) => known(state),
        });
        Attribute::new(now.unwrap_or_default(), format!("{wanted} {}", self.digest))
    }

    /// What of mode and owner is not as it should be, in words.
    pub(super) fn rights(&self, state: &FileState) -> Option<String> {
        let mode = format!("{:04o}", self.mode);
        let mode = (state.mode != mode).then(|| format!("mode {} -> {mode}", state.mode));
        let wanted = self.wanted_owner();
        let owner = (!state.owned_by(&self.owner)).then(|| format!("owner {} -> {wanted}", state.owner));
        let differ: Vec<String> = mode.into_iter().chain(owner).collect();
        (!differ.is_empty()).then(|| differ.join(", "))
    }
}

/// A file of a host as a saved plan knows it.
pub(super) fn known(state: &FileState) -> String {
    format!("{} {} {}", state.mode, state.owner, state.digest)
}

/// Runs a script of ours; its exit code counts.
pub(super) async fn run(host: &Remote, script: &str) -> Result<String> {
    let output = host.act().run(script, &[]).await?;
    if output.code == 0 {
        return Ok(output.text());
    }
    Err(Error::host(host.name(), "run a script", HostCause::Exit { code: output.code, stderr: output.stderr }))
}

/// Writes files and notes them in the look.
pub(super) async fn put(at: &View, host: &Remote, files: &[PutFile]) -> Result<()> {
    if files.is_empty() {
        return Ok(());
    }
    host.act().put(files).await?;
    for file in files {
        let owner = if file.owner.is_empty() { "root:root".to_owned() } else { file.owner.clone() };
        let mode = format!("{:04o}", file.mode);
        let state = FileState { digest: digest_of(&file.content), mode, owner, ..FileState::default() };
        at.me.note_file(&file.path, Some(state));
    }
    Ok(())
}
