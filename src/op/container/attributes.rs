//! What is compared of a container, each as it is and as it is to be: whose it is, what each part of it was made of, whether
//! it runs. What it differs in follows from this, and a saved plan keeps it.

use super::Container;
use super::next::{Act, next, places};
use super::observe::{Found, Life};
use crate::error::Result;
use crate::host::ContainerState;
use crate::op::names::{IMAGE_LABEL, PART_LABEL, SITE_LABEL};
use crate::op::{Attribute, Attributes, View, Want};

/// Whose it is.
pub(super) const SITE: &str = "site";
/// The digest of its image.
pub(super) const IMAGE: &str = "image";
const STATE: &str = "state";

const RUNNING: &str = "running";
const DOWN: &str = "down";

/// One of them is known not to be as it is to be.
pub(super) fn differ(attributes: &Attributes) -> bool {
    attributes.values().any(Attribute::differs)
}

impl Container {
    /// Whose a container is, and of what it was made. Where nobody tells which image is wanted, the one it has is.
    pub(super) async fn made(&self, state: Option<&ContainerState>, at: &View) -> Attributes {
        let label = |name: &str| state.and_then(|state| state.labels.get(name)).cloned().unwrap_or_default();
        let mut made = Attributes::from([(SITE.to_owned(), Attribute::new(label(SITE_LABEL), &at.shared.site))]);
        if state.is_some() {
            let image = at.shared.in_registry(&self.spec.image, at.host()).await.digest().ok();
            let image = image.unwrap_or_else(|| label(IMAGE_LABEL));
            made.insert(IMAGE.to_owned(), Attribute::new(label(IMAGE_LABEL), image));
        }
        for (name, digest) in self.parts() {
            made.insert(name.trim_start_matches(PART_LABEL).to_owned(), Attribute::new(label(&name), digest));
        }
        made
    }

    /// The files in the stable folder from which its process takes them over.
    pub(super) fn files(&self, at: &View) -> Attributes {
        let Some(reload) = &self.reload else { return Attributes::new() };
        let file = |(name, digest): (&String, &String)| {
            let path = format!("{}/{name}", reload.folder);
            let now = at.me.look(|look| look.files.get(&path).map(|file| file.digest.clone()));
            (format!("file {name}"), Attribute::new(now.unwrap_or_default(), digest))
        };
        reload.files.iter().map(file).collect()
    }
}

impl Found {
    /// All that is compared. What a broken replacement left is not in it, nor whether it was ready: that is brought in order
    /// before anything is compared.
    ///
    /// # Errors
    /// When the image of one that is to be made cannot be had.
    pub(super) async fn attributes(self, of: &Container, at: &View) -> Result<Attributes> {
        if of.want != Want::Running {
            return Ok(self.leftovers(of));
        }
        let Self { seen, made, files } = self;
        let state = match seen.own {
            Life::Running => Attribute::new(RUNNING, RUNNING),
            // The run that was killed while it replaced this one may have stopped it.
            _ if next(&seen, of.wanted()) == Act::Retire => Attribute::unknown(RUNNING),
            _ => Attribute::new(DOWN, RUNNING),
        };
        let mut found = made;
        if seen.own == Life::Absent {
            let image = at.image_digest(&of.spec.image).await?;
            found.insert(IMAGE.to_owned(), Attribute::new("", image.unwrap_or_default()));
        }
        found.insert(STATE.to_owned(), state);
        found.extend(files);
        Ok(found)
    }

    /// Of one that is to be stopped or gone, with what a broken run may have left of it.
    fn leftovers(&self, of: &Container) -> Attributes {
        let there = places(&self.seen).into_iter().filter(|(_, life)| *life != Life::Absent);
        let named = there.filter_map(|(place, life)| Some((of.at_place(place)?, life)));
        if of.want == Want::Stopped {
            // As long as its stop is noted, nobody has seen the end of it.
            let state = |life| Attribute::new(if life == Life::Down { DOWN } else { RUNNING }, DOWN);
            return named.map(|(name, life)| (format!("container {name}"), state(life))).collect();
        }
        let mut found = Attributes::new();
        for (name, life) in named {
            // It stops before it goes, and one that something outlives may be started for that: a run may have been killed
            // in between.
            if of.before_remove.is_empty() {
                let runs = if life.alive() { RUNNING } else { "" };
                found.insert(format!("state of {name}"), Attribute::new(runs, ""));
            }
            found.insert(format!("container {name}"), Attribute::new("there", ""));
        }
        found
    }
}
