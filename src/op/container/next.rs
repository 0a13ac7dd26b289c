//! What is to be done next with a container, by what can be seen of it: a pure function that is total over all that can
//! be seen. Whatever a run did before it was killed, the next one goes on from there.
//!
//! The path of a replacement: [`Act::Prepare`] makes the new one, [`Act::Retire`] stops the old one and takes its name
//! away, [`Act::Swap`] names the new one, [`Act::StartNew`] starts it, [`Act::Finish`] waits until it serves and removes
//! the old one. Where the new one is no good, [`Act::Discard`] removes it and [`Act::PutBack`] starts the old one.

use super::observe::{Life, Mark, Observed, Prepared};
use crate::op::{Diff, Want};

/// How a container is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wanted {
    /// There, stopped, gone.
    pub(super) want: Want,
    /// Its process takes changed files over.
    pub(super) reloads: bool,
}

/// One of the containers that may be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Place {
    /// The one in place.
    Own,
    /// The one before.
    Previous,
    /// The one that is to take over.
    Next,
    /// The one that it takes over from.
    Seed,
}

/// One act on a container. Each may be killed at any moment, and done again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Act {
    /// Nothing is left to do.
    Done,
    /// Make the first one.
    Create,
    /// Start the one in place, and wait until it serves.
    Start,
    /// Have its process take its files over.
    Reload,
    /// Make the one that is to take over.
    Prepare,
    /// Drain and stop the one in place, and give it the name of the one before.
    Retire,
    /// Give the new one its place.
    Swap,
    /// Start the new one in its place.
    StartNew,
    /// Wait until the one in place serves; mark it, and remove what it took over from.
    Finish,
    /// Remove the one before: the one in place has served since, though it is no more as wanted.
    Forget,
    /// Remove the new one: it is no good, or no more wanted.
    Discard,
    /// Start the one before, and give it its place again.
    PutBack,
    /// Wait for the end of the one in place, which was told to stop.
    AwaitEnd,
    /// Start the one in place again as it is: it ran before.
    StartAgain,
    /// Stop the one in place: what it takes over from has the same data and runs.
    GiveWay,
    /// Start again what it takes over from.
    ReviveSeed,
    /// Have the load balancers send to the one in place, and remove the one that was to take over.
    Tidy,
    /// Stop one.
    Stop(Place),
    /// Stop and remove one.
    Remove(Place),
    /// Remove what is noted of one that is gone.
    RemoveNotes,
}

impl Act {
    /// It begins something, and so takes a turn of its own; the others go on with what was begun.
    pub(super) fn begins(self) -> bool {
        match self {
            Self::Create
            | Self::Start
            | Self::Reload
            | Self::Prepare
            | Self::Retire
            | Self::Stop(_)
            | Self::Remove(_)
            | Self::RemoveNotes => true,
            Self::Done
            | Self::Swap
            | Self::StartNew
            | Self::Finish
            | Self::Forget
            | Self::Discard
            | Self::PutBack
            | Self::AwaitEnd
            | Self::StartAgain
            | Self::GiveWay
            | Self::ReviveSeed
            | Self::Tidy => false,
        }
    }
}

/// What is to be done next.
pub(super) fn next(seen: &Observed, wanted: Wanted) -> Act {
    match wanted.want {
        Want::Running if seen.own.alive() && seen.own != Life::Told && seen.seed.alive() => Act::GiveWay,
        Want::Running if seen.previous == Life::Absent => unreplaced(seen, wanted.reloads),
        Want::Running => replaced(seen),
        Want::Stopped => stopped(seen),
        Want::Absent => gone(seen),
    }
}

/// An old one has lost its name to a new one.
fn replaced(seen: &Observed) -> Act {
    match seen.own {
        Life::Absent if seen.next == Prepared::Fits && !seen.run.failed => Act::Swap,
        Life::Absent => Act::PutBack,
        _ if seen.run.failed => Act::Discard,
        // It serves, and something else is wanted since.
        Life::Running if !seen.fits && seen.mark != Mark::Unsure => Act::Forget,
        _ if !seen.fits => Act::Discard,
        Life::Told => Act::AwaitEnd,
        Life::Down | Life::Halted => Act::StartNew,
        Life::Restarting | Life::Running => Act::Finish,
    }
}

/// The one in place has its name, if there is one.
fn unreplaced(seen: &Observed, reloads: bool) -> Act {
    let prepared = seen.next != Prepared::No;
    let begin = if seen.fits { Act::Start } else { Act::Prepare };
    match seen.own {
        Life::Absent => Act::Create,
        Life::Told => Act::AwaitEnd,
        _ if !seen.fits && seen.next == Prepared::Fits && !seen.run.failed => Act::Retire,
        // What it takes over from runs in its place.
        Life::Down | Life::Halted if seen.run.failed && seen.run.seeded && seen.seed == Life::Told => Act::ReviveSeed,
        Life::Down | Life::Halted if seen.seed.alive() => {
            if prepared {
                Act::Tidy
            } else {
                begin
            }
        }
        // It ran until a run that was killed, or failed, stopped it.
        Life::Halted => Act::StartAgain,
        Life::Down if prepared && !seen.run.rests => Act::StartAgain,
        _ if prepared => Act::Tidy,
        Life::Down if seen.run.failed && seen.run.seeded && seen.seed != Life::Absent => Act::ReviveSeed,
        Life::Down | Life::Restarting => begin,
        Life::Running if !seen.fits => Act::Prepare,
        Life::Running if seen.seed != Life::Absent => Act::Finish,
        Life::Running if seen.mark == Mark::Wanted && seen.installed => Act::Done,
        Life::Running if reloads => Act::Reload,
        Life::Running => Act::Finish,
    }
}

/// All of them, as they are.
pub(super) fn places(seen: &Observed) -> [(Place, Life); 4] {
    let next = if seen.next == Prepared::No { Life::Absent } else { Life::Down };
    [(Place::Own, seen.own), (Place::Previous, seen.previous), (Place::Next, next), (Place::Seed, seen.seed)]
}

fn stopped(seen: &Observed) -> Act {
    let left = |(_, life): &(Place, Life)| life.alive() || *life == Life::Halted;
    places(seen).into_iter().find(left).map_or(Act::Done, |(place, _)| Act::Stop(place))
}

fn gone(seen: &Observed) -> Act {
    let left = places(seen).into_iter().find(|(_, life)| *life != Life::Absent);
    match left {
        Some((place, _)) => Act::Remove(place),
        None if seen.noted => Act::RemoveNotes,
        None => Act::Done,
    }
}

/// The same as it is told before it is done; `parts` are those in which the one in place is not as wanted.
pub(super) fn diff(seen: &Observed, wanted: Wanted, parts: Vec<String>) -> Diff {
    let settle = |why: &str| Diff::Settle(why.to_owned());
    match next(seen, wanted) {
        Act::Done => Diff::Same(
            match wanted.want {
                Want::Running => "running, image and configuration match",
                Want::Stopped => "not running",
                Want::Absent => "not there",
            }
            .into(),
        ),
        Act::Create => Diff::Create(Vec::new()),
        Act::Start => Diff::Start,
        Act::Reload => Diff::Update(vec!["configuration, reloaded".into()]),
        Act::Prepare | Act::Retire => Diff::Replace(parts),
        Act::Stop(_) => Diff::Stop,
        Act::Remove(_) | Act::RemoveNotes => Diff::Remove,
        Act::AwaitEnd | Act::StartAgain => settle("its stop was ordered by a run that was killed"),
        Act::GiveWay => settle("the container it takes over from is still there"),
        Act::Finish if seen.previous == Life::Absent && seen.seed != Life::Absent => {
            settle("the container it takes over from is still there")
        }
        Act::Finish if seen.previous == Life::Absent => settle("was not ready when last seen"),
        Act::Swap
        | Act::StartNew
        | Act::Finish
        | Act::Forget
        | Act::Discard
        | Act::PutBack
        | Act::ReviveSeed
        | Act::Tidy => settle("settles a replacement that was interrupted"),
    }
}
