//! The rules by themselves, from every state that can be seen: each comes to rest, and what rests serves.

use super::next::{Act, Place, Wanted, next};
use super::observe::{Life, Mark, Observed, Prepared, ThisRun};
use crate::op::Want;

const LIVES: [Life; 6] = [Life::Absent, Life::Down, Life::Halted, Life::Restarting, Life::Told, Life::Running];

/// What the host makes of acts.
// Each is a fact of its own.
#[allow(clippy::struct_excessive_bools)]
#[derive(Debug, Clone, Copy)]
struct World {
    /// The wanted one gets ready.
    good: bool,
    /// The one before it does.
    old_good: bool,
    /// The one before it is as wanted.
    old_fits: bool,
    /// A stop that is noted reached the engine.
    stop_comes: bool,
    /// The engine refuses this act.
    refuses: Option<Act>,
    wanted: Wanted,
}

/// What is to be done next, by what is seen.
type Rules = fn(&Observed, Wanted) -> Act;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// Nothing is left.
    Done,
    /// In order, and something is left for another turn.
    Settled,
    /// In order, as it was before.
    Back,
    Failed,
}

impl World {
    /// The state after an act, and whether it went well.
    fn after(self, act: Act, mut seen: Observed) -> (Observed, bool) {
        let serves = |seen: &Observed| if seen.fits { self.good } else { self.old_good };
        let stopped = |life: Life| if life == Life::Absent { life } else { Life::Down };
        let marked = |seen: &mut Observed| {
            (seen.mark, seen.installed, seen.seed, seen.previous) = (Mark::Wanted, true, Life::Absent, Life::Absent);
        };
        match act {
            Act::Done => {}
            Act::Create => (seen.own, seen.fits, seen.installed) = (Life::Down, true, true),
            Act::Start => {
                assert!(seen.fits, "what is not as wanted is started: {seen:?}");
                (seen.mark, seen.installed, seen.seed) = (Mark::Unsure, true, stopped(seen.seed));
                if !self.good {
                    seen.own = Life::Down;
                    return (seen, false);
                }
                seen.own = Life::Running;
                marked(&mut seen);
            }
            Act::Reload => {
                seen.mark = Mark::Unsure;
                if !self.good {
                    seen.installed = false;
                    return (seen, false);
                }
                marked(&mut seen);
            }
            Act::Prepare => {
                let ran = seen.own == Life::Halted && !seen.seed.alive();
                assert!(!ran, "one that ran has its turn only when it runs again: {seen:?}");
                seen.next = Prepared::Fits;
            }
            Act::Retire => {
                assert!(seen.next == Prepared::Fits, "nothing can take over: {seen:?}");
                (seen.previous, seen.own) = (Life::Down, Life::Absent);
            }
            Act::Swap => {
                (seen.own, seen.fits) = (Life::Down, seen.next == Prepared::Fits);
                (seen.mark, seen.next) = (Mark::Unsure, Prepared::No);
            }
            Act::StartNew => {
                (seen.installed, seen.previous, seen.seed) = (true, stopped(seen.previous), stopped(seen.seed));
                seen.own = if self.good { Life::Running } else { Life::Restarting };
            }
            Act::Finish => {
                let may_be = seen.fits && matches!(seen.own, Life::Running | Life::Restarting) && !seen.seed.alive();
                assert!(may_be, "it cannot be called ready: {seen:?}");
                if !self.good {
                    seen.own = if seen.previous == Life::Absent { Life::Down } else { Life::Restarting };
                    return (seen, false);
                }
                seen.own = Life::Running;
                marked(&mut seen);
            }
            Act::Forget => seen.previous = Life::Absent,
            Act::Discard => {
                let serves = seen.own == Life::Running && seen.mark != Mark::Unsure;
                assert!(!serves || seen.run.failed, "what serves is removed: {seen:?}");
                (seen.own, seen.fits, seen.mark) = (Life::Absent, false, Mark::Unsure);
            }
            Act::PutBack => {
                let starts = !seen.run.rests && !seen.seed.alive();
                let runs = starts && self.old_good || seen.previous == Life::Running;
                seen.own = if runs { Life::Running } else { Life::Down };
                seen.mark = if seen.run.rests { Mark::Own } else { Mark::Unsure };
                (seen.fits, seen.installed) = (self.old_fits, self.old_fits);
                (seen.next, seen.previous) = (Prepared::No, Life::Absent);
                return (seen, !starts || self.old_good || seen.run.failed);
            }
            Act::AwaitEnd => seen.own = if self.stop_comes { Life::Halted } else { Life::Running },
            Act::StartAgain => {
                (seen.own, seen.mark) = (Life::Running, Mark::Unsure);
                if !serves(&seen) {
                    seen.own = Life::Down;
                    if !seen.run.failed {
                        seen.next = Prepared::No;
                        return (seen, false);
                    }
                }
            }
            Act::GiveWay => seen.own = Life::Down,
            Act::ReviveSeed => seen.seed = Life::Running,
            Act::Tidy => seen.next = Prepared::No,
            Act::Stop(place) | Act::Remove(place) => {
                let left = |life: Life| if matches!(act, Act::Stop(_)) { stopped(life) } else { Life::Absent };
                match place {
                    Place::Own => seen.own = left(seen.own),
                    Place::Previous => seen.previous = left(seen.previous),
                    Place::Seed => seen.seed = left(seen.seed),
                    Place::Next => seen.next = Prepared::No,
                }
            }
            Act::RemoveNotes => seen.noted = false,
        }
        (seen, true)
    }

    /// A run as [`super::Container::walk`] goes, by these rules.
    fn run(self, rules: Rules, mut seen: Observed, acts: &mut Vec<Act>) -> (Observed, Ended) {
        let settles = !rules(&seen, self.wanted).begins();
        let untouched = seen.previous == Life::Absent && seen.next == Prepared::No;
        seen.run = ThisRun {
            failed: false,
            rests: seen.own == Life::Down && seen.mark != Mark::Unsure && untouched && seen.seed != Life::Down,
            seeded: seen.seed.alive(),
        };
        loop {
            let act = rules(&seen, self.wanted);
            if act == Act::Done || act.begins() && (settles || seen.run.failed) {
                let ended = match (act, seen.run.failed) {
                    (_, true) => Ended::Back,
                    (Act::Done, _) => Ended::Done,
                    _ => Ended::Settled,
                };
                seen.run = ThisRun::default();
                return (seen, ended);
            }
            acts.push(act);
            assert!(acts.len() < 60, "it does not come to rest: {acts:?}");
            let before = seen;
            if self.refuses == Some(act) {
                seen.run.failed = true;
                match act {
                    // It was stopped, but not renamed.
                    Act::Retire => seen.own = Life::Down,
                    // The order to stop what it takes over from came to nobody's knowledge.
                    Act::StartNew if seen.seed.alive() => seen.seed = Life::Told,
                    _ => {}
                }
                continue;
            }
            let good;
            (seen, good) = self.after(act, seen);
            let alive =
                |seen: &Observed| [seen.own, seen.previous, seen.seed].iter().filter(|life| life.alive()).count();
            let beside = |seen: &Observed| alive(seen) > 1;
            assert!(!beside(&seen) || beside(&before), "{act:?} has two run at once: {before:?}");
            seen.run.rests |= act == Act::StartAgain;
            if !good {
                let back = act == Act::Finish && before.previous != Life::Absent;
                if seen.run.failed || !back {
                    seen.run = ThisRun::default();
                    return (seen, Ended::Failed);
                }
                seen.run.failed = true;
            }
        }
    }
}

/// Everything that can be seen when a run begins.
fn states() -> Vec<Observed> {
    let mut all = Vec::new();
    for own in LIVES {
        for (fits, mark) in [
            (true, Mark::Unsure),
            (true, Mark::Wanted),
            (false, Mark::Unsure),
            (false, Mark::Wanted),
            (false, Mark::Own),
        ] {
            if own == Life::Absent && (fits, mark) != (false, Mark::Unsure) {
                continue;
            }
            for installed in [true, false] {
                for next in [Prepared::No, Prepared::Fits, Prepared::Differs] {
                    for previous in LIVES {
                        for seed in LIVES {
                            let run = ThisRun::default();
                            all.push(Observed { own, fits, mark, installed, next, previous, seed, noted: true, run });
                        }
                    }
                }
            }
        }
    }
    all
}

fn truths<const N: usize>() -> impl Iterator<Item = [bool; N]> {
    (0..1_usize << N).map(|bits| std::array::from_fn(|bit| (bits >> bit) & 1 == 1))
}

/// All ways in which a host can answer.
fn worlds() -> Vec<World> {
    let mut all = Vec::new();
    for [good, old_good, old_fits, stop_comes, reloads] in truths() {
        // Where the one before is as wanted, it is as good as that.
        if old_fits && good != old_good {
            continue;
        }
        let wanted = Wanted { want: Want::Running, reloads };
        for refuses in [None, Some(Act::Retire), Some(Act::Swap), Some(Act::StartNew)] {
            all.push(World { good, old_good, old_fits, stop_comes, refuses, wanted });
        }
    }
    all
}

#[test]
fn every_state_comes_to_rest_and_serves() {
    let (states, worlds) = (states(), worlds());
    let longest = all_come_to_rest(next, &states, &worlds);
    println!("{} states in {} worlds, the longest path of {longest} acts", states.len(), worlds.len());
    assert!(states.len() > 5_000 && worlds.len() > 50, "only {} in {}", states.len(), worlds.len());
}

/// The rules, blind for one thing that can be seen, do not do.
#[test]
fn whatever_is_seen_is_needed() {
    fn blind(seen: &Observed, wanted: Wanted, to: fn(&mut Observed)) -> Act {
        let mut seen = *seen;
        to(&mut seen);
        next(&seen, wanted)
    }
    /// An end that is taken for another one.
    fn taken(life: &mut Life, from: Life, to: Life) {
        if *life == from {
            *life = to;
        }
    }
    let rules: [(&str, Rules); 14] = [
        ("a stop that was ordered", |s, w| blind(s, w, |s| taken(&mut s.own, Life::Told, Life::Running))),
        ("the end by such a stop", |s, w| blind(s, w, |s| taken(&mut s.own, Life::Halted, Life::Down))),
        ("a start over and over", |s, w| blind(s, w, |s| taken(&mut s.own, Life::Restarting, Life::Running))),
        ("whether it fits", |s, w| blind(s, w, |s| s.fits = s.own != Life::Absent)),
        ("the mark", |s, w| blind(s, w, |s| s.mark = Mark::Wanted)),
        ("the mark of another configuration", |s, w| blind(s, w, |s| s.mark = Mark::Unsure)),
        ("files", |s, w| blind(s, w, |s| s.installed = true)),
        ("the next one", |s, w| blind(s, w, |s| s.next = Prepared::No)),
        ("whether the next one fits", |s, w| {
            blind(s, w, |s| {
                if s.next == Prepared::Differs {
                    s.next = Prepared::Fits;
                }
            })
        }),
        ("the one before", |s, w| blind(s, w, |s| s.previous = Life::Absent)),
        ("the seed", |s, w| blind(s, w, |s| s.seed = Life::Absent)),
        ("a failure", |s, w| blind(s, w, |s| s.run.failed = false)),
        ("that it rests", |s, w| blind(s, w, |s| s.run.rests = false)),
        ("that the seed ran", |s, w| blind(s, w, |s| s.run.seeded = false)),
    ];
    let (states, worlds) = (states(), worlds());
    for (what, rules) in rules {
        let done = std::panic::catch_unwind(|| all_come_to_rest(rules, &states, &worlds));
        assert!(done.is_err(), "{what} makes no difference");
    }
}

/// Starts the rules from each state in each world; how many acts the longest path has.
fn all_come_to_rest(rules: Rules, states: &[Observed], worlds: &[World]) -> usize {
    let mut longest = 0;
    for seen in states {
        // What can be started again, unless it had been stopped by hand, or serves.
        let had_old = seen.previous != Life::Absent || !seen.fits && seen.own != Life::Absent;
        let stopped = seen.own == Life::Down && seen.mark != Mark::Unsure;
        let rested = stopped && seen.previous == Life::Absent && seen.next == Prepared::No;
        let serves = had_old && !rested || seen.seed.alive();
        for world in worlds {
            let (mut now, mut acts, mut ended) = (*seen, Vec::new(), Ended::Settled);
            for runs in 0..8 {
                // A refusal is of the first run.
                let refuses = world.refuses.filter(|_| runs == 0);
                (now, ended) = World { refuses, ..*world }.run(rules, now, &mut acts);
                let say = || format!("{seen:?} in {world:?} by {acts:?}: {now:?}");
                if ended == Ended::Back {
                    assert!((now.previous, now.next) == (Life::Absent, Prepared::No), "leftovers: {}", say());
                    let serves_again = [now.own, now.seed].iter().any(|life| life.alive() && *life != Life::Told);
                    assert!(serves_again || runs > 0 || !serves || !world.old_good, "not as before: {}", say());
                }
                if ended == Ended::Done || !world.good && ended != Ended::Settled {
                    break;
                }
            }
            longest = longest.max(acts.len());
            if world.good {
                let say = || format!("{ended:?}: {seen:?} in {world:?} by {acts:?}: {now:?}");
                assert!(ended == Ended::Done, "not done: {}", say());
                let rest = (now.own, now.fits, now.mark, now.installed, now.next, now.previous, now.seed);
                let serves = (Life::Running, true, Mark::Wanted, true, Prepared::No, Life::Absent, Life::Absent);
                assert!(rest == serves, "it does not serve: {}", say());
            }
        }
    }
    longest
}

#[test]
fn every_state_can_be_stopped_and_removed() {
    for seen in states() {
        for want in [Want::Stopped, Want::Absent] {
            let wanted = Wanted { want, reloads: false };
            let world = World { good: true, old_good: true, old_fits: false, stop_comes: true, refuses: None, wanted };
            let mut acts = Vec::new();
            let (now, ended) = world.run(next, seen, &mut acts);
            assert_eq!(ended, Ended::Done, "{seen:?}");
            let lives = [now.own, now.previous, now.seed];
            assert!(!lives.iter().any(|life| life.alive() || *life == Life::Halted), "{seen:?}: {now:?}");
            if want == Want::Absent {
                assert_eq!((lives, now.next, now.noted), ([Life::Absent; 3], Prepared::No, false), "{seen:?}");
            }
        }
    }
}
