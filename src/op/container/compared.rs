//! All that is compared of a container, with whether it runs: a saved plan keeps it.

use super::Container;
use super::attributes::IMAGE;
use super::next::{Act, next, places};
use super::observe::{Found, Life};
use crate::error::Result;
use crate::op::{Attribute, Attributes, View, Want};

const STATE: &str = "state";

const RUNNING: &str = "running";
const DOWN: &str = "down";

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
