//! A unit of systemd with its files: restarted only when it has not yet taken over what they say now.

use std::fmt::Write as _;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

use super::files::{APPLIED, OneFile, digest_of, put, run};
use super::{Attribute, Attributes, Diff, Operation, Tell, View};
use crate::error::Result;
use crate::host::{Ask, PutFile, Remote};
use crate::shell::quote;

/// A unit.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Unit {
    /// As `docker`.
    pub name: String,
    /// Its files, by absolute path.
    pub files: Vec<OneFile>,
}

impl Unit {
    /// Says which content the unit runs with: written after it was restarted, so that a run which is killed
    /// between the two restarts it once more rather than never.
    fn mark(&self) -> PutFile {
        let mut content = String::new();
        for file in &self.files {
            let _ = writeln!(content, "{} {}", file.digest, file.name);
        }
        PutFile {
            path: format!("{APPLIED}/unit-{}", self.name),
            content: Arc::from(content.as_bytes()),
            mode: 0o644,
            owner: String::new(),
        }
    }
}

#[async_trait]
impl Operation for Unit {
    fn subject(&self) -> String {
        format!("unit {}", self.name)
    }

    async fn diff(&self, at: &View) -> Result<Diff> {
        let mark = self.mark();
        let (changed, applied, engine_down) = at.me.look(|look| {
            let digest = |path: &str| look.files.get(path).map(|file| file.digest.clone());
            let changed: Vec<String> = self
                .files
                .iter()
                .filter(|file| digest(&file.name).as_deref() != Some(&file.digest))
                .map(|file| format!("file {}", file.name))
                .collect();
            let applied = digest(&mark.path).as_deref() == Some(&digest_of(&mark.content));
            (changed, applied, self.name == "docker" && !look.facts.engine)
        });
        Ok(if !changed.is_empty() {
            Diff::Update(changed)
        } else if !applied {
            Diff::Run("restarted: it may not have read its files".into())
        } else if engine_down {
            Diff::Start
        } else {
            Diff::Same("runs with its files as they are".into())
        })
    }

    async fn attributes(&self, _diff: &Diff, at: &View) -> Result<Attributes> {
        let mark = self.mark();
        let mut wanted: Vec<(&str, String)> =
            self.files.iter().map(|file| (file.name.as_str(), file.digest.clone())).collect();
        wanted.push((mark.path.as_str(), digest_of(&mark.content)));
        Ok(at.me.look(|look| {
            let now = |path: &str| look.files.get(path).map(|file| file.digest.clone()).unwrap_or_default();
            let files =
                wanted.into_iter().map(|(path, digest)| (format!("file {path}"), Attribute::new(now(path), digest)));
            let engine = if look.facts.engine { "running" } else { "down" };
            let engine = (self.name == "docker").then(|| ("engine".to_owned(), Attribute::new(engine, "running")));
            files.chain(engine).collect()
        }))
    }

    async fn apply(&self, _diff: &Diff, at: &View, host: &Remote, _tell: &Tell) -> Result<()> {
        let files: Vec<PutFile> = self
            .files
            .iter()
            .map(|file| PutFile {
                path: file.name.clone(),
                content: file.content.clone(),
                mode: file.mode,
                owner: file.owner.clone(),
            })
            .collect();
        put(at, host, &files).await?;
        let name = quote(&self.name);
        run(host, &format!("systemctl daemon-reload && systemctl enable -q {name} && systemctl restart {name}"))
            .await?;
        put(at, host, &[self.mark()]).await?;
        let fresh = host.look(&Ask::default()).await?;
        at.me.note_system(fresh);
        at.me.refresh_containers().await
    }
}
