//! What can be seen of a container on its host, as a small plain value: all that the next act is decided by.

use super::Container;
use super::attributes::{IMAGE, SITE, differ};
use crate::error::{Error, Result};
use crate::host::{ContainerState, Look};
use crate::op::file::digest_of;
use crate::op::names::{self, SITE_LABEL, stopping};
use crate::op::{Attribute, Attributes, Peer, View, Want};

/// How one container is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(super) enum Life {
    /// There is none.
    #[default]
    Absent,
    /// It does not run: never started, or ended.
    Down,
    /// It has ended, and its stop is still noted: the run that ordered it was killed.
    Halted,
    /// The engine starts it over and over, or has paused it.
    Restarting,
    /// It has processes, and its stop is noted: it is about to end, unless the order never came.
    Told,
    /// It runs.
    Running,
}

impl Life {
    /// It has processes, or the engine will give it some by itself.
    pub(super) fn alive(self) -> bool {
        matches!(self, Self::Restarting | Self::Told | Self::Running)
    }
}

/// The container that is to take over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(super) enum Prepared {
    /// There is none.
    #[default]
    No,
    /// It is as wanted.
    Fits,
    /// It was made for something else.
    Differs,
}

/// What the mark says of the container in place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(super) enum Mark {
    /// Nothing that is known to be true of it.
    #[default]
    Unsure,
    /// It was ready with the configuration that is wanted.
    Wanted,
    /// It was ready with the configuration that it was made with.
    Own,
}

/// What a run keeps from one look to the next while it works on a container. After a kill all of it is as by default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(super) struct ThisRun {
    /// The new one is no good: the old one is to serve.
    pub(super) failed: bool,
    /// The old one is not to be started: it had been stopped to begin with, or it was tried already.
    pub(super) rests: bool,
    /// What it takes over from ran to begin with.
    pub(super) seeded: bool,
}

/// A container with everything that is beside it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(super) struct Observed {
    /// The container in place.
    pub(super) own: Life,
    /// It is as wanted, but for files that a running process takes over.
    pub(super) fits: bool,
    /// What its mark says.
    pub(super) mark: Mark,
    /// The folder from which a running process takes files over holds the wanted ones.
    pub(super) installed: bool,
    /// The one that is to take over.
    pub(super) next: Prepared,
    /// The one before.
    pub(super) previous: Life,
    /// What it takes over from.
    pub(super) seed: Life,
    /// Something is noted of it on the host.
    pub(super) noted: bool,
    /// What is known of this run.
    pub(super) run: ThisRun,
}

/// It has processes, but its stop was ordered, or was about to be.
pub(in crate::op) fn told_to_stop(state: &ContainerState, at: &Peer) -> bool {
    state.alive() && stop_noted(state, at)
}

fn stop_noted(state: &ContainerState, at: &Peer) -> bool {
    let note = digest_of(format!("{}\n", state.id).as_bytes());
    let noted = |look: &Look| look.files.get(&stopping(&state.name)).is_some_and(|file| file.digest == note);
    at.look(noted)
}

fn life(state: &ContainerState, at: &Peer) -> Life {
    match (state.alive(), stop_noted(state, at)) {
        (true, true) => Life::Told,
        (true, false) if state.running() => Life::Running,
        (true, false) => Life::Restarting,
        (false, true) => Life::Halted,
        (false, false) => Life::Down,
    }
}

fn ours(state: &ContainerState, at: &View) -> bool {
    state.labels.get(SITE_LABEL) == Some(&at.shared.site)
}

/// What one look at a container brought: what is done, what is told of it and what a saved plan keeps all follow from this.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// How everything is.
    pub(super) seen: Observed,
    /// Whose the one in place is and of what it was made, each as it is and as it is to be.
    pub(super) made: Attributes,
    /// The files that its process takes over.
    pub(super) files: Attributes,
}

impl Found {
    /// The parts in which the one in place is not as wanted.
    pub(super) fn parts(&self) -> Vec<String> {
        if self.made.get(SITE).is_some_and(Attribute::differs) {
            return vec!["adopted".into()];
        }
        let differing = self.made.iter().filter(|(_, attribute)| attribute.differs());
        let mut parts: Vec<String> = differing.map(|(name, _)| name.clone()).collect();
        parts.sort_by_key(|name| name != IMAGE);
        parts
    }
}

impl Container {
    /// What is there, by the last look.
    ///
    /// # Errors
    /// When it is somebody else's.
    pub(super) async fn observe(&self, run: ThisRun, at: &View) -> Result<Found> {
        // Where it is to go, one of somebody else's is none.
        let mine = |state: &ContainerState| self.want == Want::Running || ours(state, at);
        let life = |name: &str| at.me.container(name).filter(mine).map_or(Life::Absent, |state| life(&state, &at.me));
        let noted = names::notes(&self.spec.name);
        let mut seen = Observed {
            own: life(&self.spec.name),
            previous: life(&self.previous()),
            seed: self.takes_over_from.as_deref().map_or(Life::Absent, life),
            noted: at.me.look(|look| noted.iter().any(|path| look.files.contains_key(path))),
            run,
            ..Observed::default()
        };
        let next = at.me.container(&self.next());
        if self.want != Want::Running {
            seen.next = if life(&self.next()) == Life::Absent { Prepared::No } else { Prepared::Differs };
            return Ok(Found { seen, ..Found::default() });
        }
        let files = self.files(at);
        seen.installed = !differ(&files);
        if let Some(state) = &next {
            let made = self.made(Some(state), at).await;
            seen.next = if differ(&made) { Prepared::Differs } else { Prepared::Fits };
        }
        let own = at.me.container(&self.spec.name);
        let made = self.made(own.as_ref(), at).await;
        let Some(state) = own else { return Ok(Found { seen, made, files }) };
        if !ours(&state, at) {
            if at.shared.adopt {
                return Ok(Found { seen, made, files });
            }
            return Err(Error::operation(format!("there is a container {} that is not this site's", self.spec.name))
                .with_hint("remove it, or replace it with `--adopt`"));
        }
        seen.fits = !differ(&made);
        let made_with = Self::made_with(&state);
        seen.mark = if self.marked(at, &state.id, &self.configuration) {
            Mark::Wanted
        } else if self.marked(at, &state.id, made_with) {
            Mark::Own
        } else {
            Mark::Unsure
        };
        Ok(Found { seen, made, files })
    }

    /// A host has a member that does not run, or soon will not: only its own turn starts it again.
    pub(super) fn down(&self, at: &Peer) -> bool {
        match at.container(&self.spec.name) {
            None => at.container(&self.previous()).is_some(),
            Some(state) => life(&state, at) != Life::Running,
        }
    }

    /// A host has a member whose replacement was interrupted.
    pub(super) fn interrupted(&self, at: &Peer) -> bool {
        at.container(&self.previous()).is_some() || at.container(&self.next()).is_some()
    }
}
