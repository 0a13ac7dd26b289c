//! Images of Kolla on a host that no container uses and that the site does not need.
//!
//! What the site needs has the tag that it names, also where that was pushed anew: a deployment would take that one or pull.

use std::collections::BTreeSet;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::names::KOLLA_LABEL;
use super::{Attribute, Attributes, Diff, Operation, ProgressSink, View};
use crate::error::{Result, numbered};
use crate::host::{ListedImage, Remote};

/// Images that are to go.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct UnusedImages {
    /// References that stay, whoever uses them.
    pub needed: BTreeSet<String>,
}

impl UnusedImages {
    async fn found(&self, at: &View) -> Result<Vec<ListedImage>> {
        let in_use: BTreeSet<String> = at.me.look(|look| {
            let ids = look.containers.values().map(|container| bare(&container.image_id).to_owned());
            ids.collect()
        });
        let needed: BTreeSet<&str> = self.needed.iter().map(|name| short(name)).collect();
        let mut found = at.host().images(KOLLA_LABEL).await?;
        found.retain(|image| {
            !in_use.contains(bare(&image.id)) && !image.names.iter().any(|name| needed.contains(short(name)))
        });
        found.sort_by_cached_key(name);
        Ok(found)
    }
}

/// The id alone: Podman leaves out that it is a digest.
fn bare(id: &str) -> &str {
    id.trim_start_matches("sha256:")
}

/// Podman names the registry that Docker leaves out.
fn short(reference: &str) -> &str {
    reference.trim_start_matches("docker.io/")
}

/// By which it is told: a tag, else a digest, else its id.
fn name(image: &ListedImage) -> String {
    let tag = image.names.iter().find(|name| !name.contains('@'));
    tag.or(image.names.first()).unwrap_or(&image.id).clone()
}

/// As an engine tells sizes.
fn size(bytes: u64) -> String {
    if bytes < 1_000_000_000 {
        return format!("{} MB", bytes.div_ceil(1_000_000));
    }
    let tenths = bytes / 100_000_000;
    format!("{}.{} GB", tenths / 10, tenths % 10)
}

/// How much space they take: without the layers that others share, where the engine knows these.
fn space(images: &[ListedImage]) -> String {
    let own: Option<u64> = images.iter().map(|image| Some(image.size.saturating_sub(image.shared?))).sum();
    let (bound, bytes) = match own {
        Some(own) => ("at least", own),
        None => ("at most", images.iter().map(|image| image.size).sum()),
    };
    format!("{} with {bound} {}", numbered(images.len(), "image"), size(bytes))
}

#[async_trait]
impl Operation for UnusedImages {
    fn subject(&self) -> String {
        "unused images".into()
    }

    async fn diff(&self, at: &View) -> Result<Diff> {
        if !at.me.look(|look| look.facts.engine) {
            return Ok(Diff::Skip("no container engine answers".into()));
        }
        let found = self.found(at).await?;
        if found.is_empty() {
            return Ok(Diff::Same("none".into()));
        }
        let lines = found.iter().map(|image| format!("- {} ({})", name(image), size(image.size)));
        Ok(Diff::Update(lines.chain([space(&found)]).collect()))
    }

    async fn attributes(&self, diff: &Diff, at: &View) -> Result<Attributes> {
        if !diff.differs() {
            return Ok(Attributes::new());
        }
        let found = self.found(at).await?;
        Ok(found.iter().map(|image| (name(image), Attribute::new(image.id.clone(), ""))).collect())
    }

    async fn apply(&self, _diff: &Diff, at: &View, host: &Remote, sink: &ProgressSink) -> Result<()> {
        let found = self.found(at).await?;
        for (done, image) in (1..).zip(&found) {
            // An engine removes an image with its last name, and refuses while a container uses it.
            for name in &image.names {
                host.act().image_remove(name).await?;
            }
            if image.names.is_empty() {
                host.act().image_remove(&image.id).await?;
            }
            sink.progress(done, found.len() as u64);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn space_is_a_bound_that_holds() {
        let image = |size, shared| ListedImage { size, shared, ..ListedImage::default() };
        let (large, small) = (image(1_250_000_000, Some(250_000_000)), image(300_000_000, Some(200_000_001)));
        assert_eq!(space(&[large.clone(), small]), "2 images with at least 1.0 GB");
        assert_eq!(space(&[large.clone(), image(300_000_000, None)]), "2 images with at most 1.5 GB");
        assert_eq!(space(&[image(1, None)]), "1 image with at most 1 MB");
    }
}
