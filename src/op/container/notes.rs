//! What is noted of a container on its host: that it was told to stop, and with what it was ready.

use std::sync::Arc;

use super::Container;
use crate::error::{Error, Result};
use crate::host::{ContainerState, PutFile, Remote};
use crate::op::View;
use crate::op::file::{self, digest_of};
use crate::op::file_set::keep_sets;
use crate::op::names::{self, SET_LABEL, stopping};

/// Stops a container. The engine carries that out even when whoever ordered it is gone, and shows the container as
/// running until then: a note on the host tells the next run.
pub(in crate::op) async fn stop(name: &str, timeout: u32, at: &View, host: &Remote) -> Result<()> {
    let alive = at.me.container(name).filter(ContainerState::alive);
    if let Some(state) = &alive {
        put(stopping(name), format!("{}\n", state.id), at, host).await?;
    }
    if timeout == 0 {
        // The engine's own stop begins with SIGTERM also without time. One that is not running needs no kill.
        let _ = host.act().kill(name, "SIGKILL").await;
    }
    host.act().stop(name, timeout).await?;
    drop_note(name, at, host).await
}

/// Drops the note of a stop, if there is one.
pub(super) async fn drop_note(name: &str, at: &View, host: &Remote) -> Result<()> {
    drop_files(&[stopping(name)], at, host).await
}

/// Drops those of the files that are there.
pub(super) async fn drop_files(paths: &[String], at: &View, host: &Remote) -> Result<()> {
    let there = |path: &&String| at.me.look(|look| look.files.contains_key(*path));
    let paths: Vec<String> = paths.iter().filter(there).cloned().collect();
    if paths.is_empty() {
        return Ok(());
    }
    file::run(host, &format!("rm -f {}", crate::shell::join(&paths))).await?;
    for path in paths {
        at.me.note_file(&path, None);
    }
    Ok(())
}

async fn put(path: String, content: String, at: &View, host: &Remote) -> Result<()> {
    let file = PutFile { path, content: Arc::from(content.into_bytes()), mode: 0o644, owner: String::new() };
    file::put(at, host, &[file]).await
}

/// What the mark says of a container that was ready.
fn mark(id: &str, configuration: &str) -> String {
    format!("{id} {configuration}\n")
}

impl Container {
    /// The mark says that the container of this id was ready with this configuration.
    pub(super) fn marked(&self, at: &View, id: &str, configuration: &str) -> bool {
        let digest = digest_of(mark(id, configuration).as_bytes());
        at.me.look(|look| look.files.get(&names::mark(&self.spec.name)).is_some_and(|file| file.digest == digest))
    }

    /// The configuration with which a container of this name was ready last.
    pub(super) async fn ready_with(&self, host: &Remote) -> Result<Option<String>> {
        let mark = host.read(&names::mark(&self.spec.name)).await?.unwrap_or_default();
        Ok(String::from_utf8_lossy(&mark).split_whitespace().nth(1).map(str::to_owned))
    }

    /// From here on nobody knows whether it is ready, and with which files, until the mark says so again. Those it was
    /// ready with stay named there.
    pub(super) async fn doubt(&self, at: &View, host: &Remote) -> Result<()> {
        let path = names::mark(&self.spec.name);
        if !at.me.look(|look| look.files.contains_key(&path)) {
            return Ok(());
        }
        let mark = host.read(&path).await?.unwrap_or_default();
        let mark = String::from_utf8_lossy(&mark).into_owned();
        let words: Vec<&str> = mark.split_whitespace().take(2).collect();
        put(path, format!("{} unsure\n", words.join(" ")), at, host).await
    }

    /// Marks the container as having been ready, and drops what is needed no more: what it took over from, sets of files
    /// that nothing uses, the one before.
    pub(super) async fn mark_ready(&self, at: &View, host: &Remote) -> Result<()> {
        let Some(state) = host.containers().await?.remove(&self.spec.name) else {
            return Err(Error::operation(format!("container {} vanished", self.spec.name)));
        };
        if let Some(seed) = self.takes_over_from.as_ref().filter(|name| at.me.container(name).is_some()) {
            host.act().remove(seed).await?;
            drop_files(&[names::mark(seed), stopping(seed)], at, host).await?;
        }
        put(names::mark(&self.spec.name), mark(&state.id, &self.configuration), at, host).await?;
        if !self.configuration.is_empty() {
            keep_sets(host, at, &self.service, &self.configuration).await?;
        }
        if at.me.container(&self.previous()).is_some() {
            host.act().remove(&self.previous()).await?;
        }
        Ok(())
    }

    /// The set of files that a container was made with.
    pub(super) fn made_with(state: &ContainerState) -> &str {
        state.labels.get(SET_LABEL).map_or("", String::as_str)
    }
}
