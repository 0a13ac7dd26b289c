//! The acts on a container, and the walk that carries them out: observe, decide, act, until nothing is left to do.
//!
//! The new one is created before the old one stops, so that a wrong image or option costs nothing; the old one is kept
//! until the new one serves, and is started again when it does not.

use std::time::Duration;

use tokio::time::Instant;

use super::next::{Act, Place, next};
use super::notes::{drop_files, drop_note, stop};
use super::observe::{Life, Mark, Observed, ThisRun};
use super::{Container, LOG_LINES};
use crate::error::{Error, HostCause, OperationError, Result};
use crate::host::{ContainerSpec, Remote};
use crate::op::image::Image;
use crate::op::names::{self, stopping};
use crate::op::probe::Answer;
use crate::op::{Diff, View};

/// How long a container may take to end what outlives it.
const ENDS: Duration = Duration::from_mins(2);
/// How much longer than its time a stop may take that the engine carries out.
const STOPS: Duration = Duration::from_secs(5);
/// Seconds for a container that does not say otherwise: Kolla's `graceful_timeout`.
const STOP_TIMEOUT: u32 = 60;
/// More acts than any path has: a mistake in the rules is told, and does not go on for ever.
const ACTS: usize = 32;

impl Container {
    /// Observes, decides and acts until nothing is left to do. What only brings in order ends before something is begun;
    /// after a failure nothing more is begun, only brought in order.
    pub(super) async fn walk(&self, diff: &Diff, at: &View, host: &Remote) -> Result<()> {
        at.me.refresh_containers().await?;
        let before = self.observe(ThisRun::default(), at).await?.seen;
        if matches!(diff, Diff::Create(_)) && matches!(before.own, Life::Down | Life::Halted) {
            // Whoever asks for that, as the one who starts a cluster, wants a new one.
            host.act().remove(&self.spec.name).await?;
        }
        let untouched = before.previous == Life::Absent && at.me.container(&self.next()).is_none();
        let stopped = before.own == Life::Down && before.mark != Mark::Unsure;
        let rests = stopped && untouched && before.seed != Life::Down;
        let mut run = ThisRun { failed: false, rests, seeded: before.seed.alive() };
        let mut failure = match diff {
            Diff::Replace(_) if before.own == Life::Running => self.may_be_replaced(host).await.err(),
            _ => None,
        };
        let mut is_back = false;
        for _ in 0..ACTS {
            run.failed = failure.is_some();
            let step = self.step(run, matches!(diff, Diff::Settle(_)), at, host).await;
            match (step, failure) {
                (Ok(Step::Done), None) => return Ok(()),
                (Ok(Step::Done), Some(error)) => {
                    let back = "the container that was there before is back".to_owned();
                    return Err(if is_back { error.because(back) } else { error });
                }
                (Ok(Step::Did(act)), known) => {
                    is_back |= matches!(act, Act::PutBack | Act::StartAgain);
                    // One that does not get up is not started for ever.
                    run.rests |= act == Act::StartAgain;
                    failure = known;
                }
                (Ok(Step::NoGood(error)), None) => failure = Some(error),
                (Ok(Step::NoGood(error)) | Err(error), Some(first)) => {
                    return Err(first.because(format!("and the one before could not be put back: {error}")));
                }
                (Err(error), None) => return Err(error),
            }
        }
        Err(Error::operation(format!("container {} does not come to rest", self.spec.name))
            .with_hint("see what else starts and stops it, and run this again"))
    }

    async fn step(&self, run: ThisRun, settles: bool, at: &View, host: &Remote) -> Result<Step> {
        at.me.refresh_containers().await?;
        let seen = self.observe(run, at).await?.seen;
        let act = next(&seen, self.wanted());
        if act == Act::Done || act.begins() && (settles || run.failed) {
            return Ok(Step::Done);
        }
        let done = match act {
            // From the stop of the old one on any failure puts it back.
            Act::Retire | Act::Swap | Act::StartNew => match self.carry_out(act, &seen, at, host).await {
                Ok(()) => Ok(()),
                Err(error) => {
                    let answer = Answer::Ended { why: error.to_string(), restarts: false };
                    Err(self.failure(answer, host).await)
                }
            },
            Act::Finish if seen.previous != Life::Absent => match self.serves(at, host).await {
                Err(error @ Error::Host(_)) => Err(self.failure(Answer::NotYet(error.to_string()), host).await),
                served => served,
            },
            act => return self.carry_out(act, &seen, at, host).await.map(|()| Step::Did(act)),
        };
        match done {
            Ok(()) if act == Act::Finish => self.mark_ready(at, host).await.map(|()| Step::Did(act)),
            Ok(()) => Ok(Step::Did(act)),
            Err(error) => Ok(Step::NoGood(error)),
        }
    }

    async fn carry_out(&self, act: Act, seen: &Observed, at: &View, host: &Remote) -> Result<()> {
        let name = &self.spec.name;
        match act {
            Act::Done => Ok(()),
            Act::Create => {
                self.install(at, host).await?;
                self.create_as(name, at, host).await
            }
            Act::Start => self.start(seen, at, host).await,
            Act::Reload => self.reload(at, host).await,
            Act::Prepare => {
                self.check_new_files(at, host).await?;
                self.create_as(&self.next(), at, host).await
            }
            Act::Retire => self.retire(seen, at, host).await,
            Act::Swap => host.act().rename(&self.next(), name).await,
            Act::StartNew => {
                self.put_in_place(at, host).await?;
                self.take_over(seen, at, host).await?;
                // Somebody has started it: it has the same data.
                if seen.previous.alive() {
                    stop(&self.previous(), self.stop_timeout(), at, host).await?;
                }
                drop_note(name, at, host).await?;
                host.act().start(name).await
            }
            Act::Finish => {
                if let Err(error) = self.serves(at, host).await {
                    return Err(self.given_up(error, at, host).await);
                }
                self.mark_ready(at, host).await
            }
            Act::Forget => host.act().remove(&self.previous()).await,
            Act::Discard => host.act().remove(name).await,
            Act::PutBack => self.put_back(seen, at, host).await,
            Act::AwaitEnd => self.await_end(at, host).await,
            Act::StartAgain => self.start_again(seen, at, host).await,
            Act::GiveWay => stop(name, self.stop_timeout(), at, host).await,
            Act::ReviveSeed => self.revive_seed(seen, at, host).await,
            Act::Tidy => {
                self.undrain(at, host).await;
                // As long as it is there, the next run knows that there is something to tidy.
                host.act().remove(&self.next()).await
            }
            Act::Stop(place) => match self.at_place(place) {
                Some(name) => stop(&name, self.stop_timeout(), at, host).await,
                None => Ok(()),
            },
            Act::Remove(place) => self.remove(place, seen, at, host).await,
            Act::RemoveNotes => drop_files(&names::notes(name), at, host).await,
        }
    }

    pub(super) fn at_place(&self, place: Place) -> Option<String> {
        match place {
            Place::Own => Some(self.spec.name.clone()),
            Place::Previous => Some(self.previous()),
            Place::Next => Some(self.next()),
            Place::Seed => self.takes_over_from.clone(),
        }
    }

    fn stop_timeout(&self) -> u32 {
        if self.kill {
            return 0;
        }
        if self.spec.stop_timeout == 0 { STOP_TIMEOUT } else { self.spec.stop_timeout }
    }

    async fn create_as(&self, name: &str, at: &View, host: &Remote) -> Result<()> {
        let digest = at.image_digest(&self.spec.image).await?;
        let image = match &digest {
            Some(digest) => Image::pinned(&self.spec.image, digest),
            None => self.spec.image.clone(),
        };
        let labels = self.labels(&at.shared.site, digest.as_deref());
        let spec = ContainerSpec { name: name.to_owned(), image, labels, ..self.spec.clone() };
        host.act().remove(name).await?;
        match host.act().create(&spec).await {
            Err(Error::Host(error)) if matches!(error.cause, HostCause::Engine { status: 404, .. }) => {
                Err(Error::operation(format!("image `{}` is not on the host as its registry has it", self.spec.image))
                    .because(error.cause.to_string())
                    .with_hint("run `kolla pull` first"))
            }
            created => created.map(drop),
        }
    }

    async fn start(&self, seen: &Observed, at: &View, host: &Remote) -> Result<()> {
        // It would else start with the files it was stopped with.
        if !seen.installed {
            self.install(at, host).await?;
        }
        self.take_over(seen, at, host).await?;
        self.doubt(at, host).await?;
        drop_note(&self.spec.name, at, host).await?;
        host.act().start(&self.spec.name).await?;
        if let Err(error) = self.serves(at, host).await {
            return Err(self.given_up(error, at, host).await);
        }
        self.mark_ready(at, host).await
    }

    /// One that would only start and end again is stopped; the next run starts it anew.
    async fn given_up(&self, error: Error, at: &View, host: &Remote) -> Error {
        let up = at.me.refresh_containers().await.is_err()
            || at.me.container(&self.spec.name).is_some_and(|state| state.running());
        if !up {
            let _ = host.act().stop(&self.spec.name, 1).await;
        }
        error
    }

    /// Stops the container that this one takes over from: both have the same data and ports.
    async fn take_over(&self, seen: &Observed, at: &View, host: &Remote) -> Result<()> {
        match &self.takes_over_from {
            Some(name) if seen.seed.alive() => stop(name, self.stop_timeout(), at, host).await,
            Some(name) => drop_note(name, at, host).await,
            None => Ok(()),
        }
    }

    /// It may be taken down while it runs, to be replaced or with its engine.
    pub(in crate::op) async fn may_be_replaced(&self, host: &Remote) -> Result<()> {
        let Some(probe) = &self.before_replace else { return Ok(()) };
        match probe.until_right(host, &self.spec.name).await? {
            Answer::NotYet(why) => {
                Err(Error::operation(format!("container {} cannot be replaced safely now", self.spec.name))
                    .because(why)
                    .with_hint("bring the other members back first: `kolla status`"))
            }
            // One that has ended meanwhile, as a run that was killed had ordered, cannot be asked, nor taken down.
            Answer::Right | Answer::Ended { .. } => Ok(()),
        }
    }

    async fn retire(&self, seen: &Observed, at: &View, host: &Remote) -> Result<()> {
        if seen.own == Life::Running {
            self.drain(at, host).await;
        }
        // Also one that the engine starts over and over: it would go on doing so under its new name.
        if seen.own.alive() {
            stop(&self.spec.name, self.stop_timeout(), at, host).await?;
        }
        host.act().rename(&self.spec.name, &self.previous()).await
    }

    /// The one before, running again if it ran, and in its place. In this order a run that is killed here leaves
    /// a container that the next one knows to have run.
    async fn put_back(&self, seen: &Observed, at: &View, host: &Remote) -> Result<()> {
        let (name, previous) = (&self.spec.name, self.previous());
        host.act().remove(&self.next()).await?;
        self.put_back_files(at, host).await?;
        drop_files(&[stopping(name), stopping(&previous)], at, host).await?;
        // What it takes over from has the same data and ports: only one of the two may run.
        let starts = !seen.run.rests && !seen.seed.alive();
        let mut started = Ok(());
        if starts {
            // As long as it is unsure, the next run knows that it is to run.
            self.doubt(at, host).await?;
            if seen.previous == Life::Told {
                stop(&previous, self.stop_timeout(), at, host).await?;
            }
            started = host.act().start(&previous).await;
            self.undrain(at, host).await;
        }
        host.act().rename(&previous, name).await?;
        started?;
        if starts && !seen.run.failed { self.gets_ready(host).await } else { Ok(()) }
    }

    async fn start_again(&self, seen: &Observed, at: &View, host: &Remote) -> Result<()> {
        let again = async {
            self.doubt(at, host).await?;
            drop_note(&self.spec.name, at, host).await?;
            host.act().start(&self.spec.name).await?;
            if seen.run.failed { Ok(()) } else { self.gets_ready(host).await }
        };
        let done = again.await;
        if done.is_err() {
            // What it cannot be is not tried again: the next run compares, and makes it what it should be.
            let _ = host.act().remove(&self.next()).await;
        }
        done
    }

    async fn revive_seed(&self, seen: &Observed, at: &View, host: &Remote) -> Result<()> {
        let Some(name) = &self.takes_over_from else { return Ok(()) };
        // The engine would take one whose stop is under way for running, and end it afterwards.
        if seen.seed == Life::Told {
            stop(name, self.stop_timeout(), at, host).await?;
        }
        drop_note(name, at, host).await?;
        host.act().start(name).await
    }

    /// Waits for the end of one that was told to stop. One that goes on is left alone: its stop never reached the engine,
    /// or somebody has started it since.
    async fn await_end(&self, at: &View, host: &Remote) -> Result<()> {
        let end = Instant::now() + Duration::from_secs(self.stop_timeout().into()) + STOPS;
        while at.me.container(&self.spec.name).is_some_and(|state| state.alive()) {
            if Instant::now() > end {
                return drop_note(&self.spec.name, at, host).await;
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
            at.me.refresh_containers().await?;
        }
        Ok(())
    }

    /// It is ready, and the load balancers send to it.
    async fn serves(&self, at: &View, host: &Remote) -> Result<()> {
        self.gets_ready(host).await?;
        self.until_sent_to(at, host).await
    }

    /// One that runs and does not serve must not be taken for one that does.
    async fn gets_ready(&self, host: &Remote) -> Result<()> {
        match self.ready.until_right(host, &self.spec.name).await? {
            Answer::Right => Ok(()),
            answer => Err(self.failure(answer, host).await),
        }
    }

    /// Waits until the load balancers send to it.
    pub(in crate::op) async fn until_sent_to(&self, at: &View, host: &Remote) -> Result<()> {
        match &self.balanced {
            Some(balanced) => balanced.wait(at, host).await,
            None => Ok(()),
        }
    }

    /// Before it stops: the load balancers send to its other members.
    pub(in crate::op) async fn drain(&self, at: &View, host: &Remote) {
        if let Some(balanced) = &self.balanced {
            balanced.drain(at, host).await;
        }
    }

    /// They may send to it again.
    pub(in crate::op) async fn undrain(&self, at: &View, host: &Remote) {
        if let Some(balanced) = &self.balanced {
            balanced.tell(at, host, "ready").await;
        }
    }

    async fn remove(&self, place: Place, seen: &Observed, at: &View, host: &Remote) -> Result<()> {
        let Some(name) = self.at_place(place) else { return Ok(()) };
        let (life, first) = match place {
            Place::Own => (seen.own, true),
            Place::Previous => (seen.previous, seen.own == Life::Absent),
            Place::Seed => (seen.seed, false),
            Place::Next => (Life::Down, false),
        };
        let parting = first && !self.before_remove.is_empty();
        if parting {
            self.end_what_outlives(&name, life, host).await?;
            // It may have been started just for that.
            at.me.refresh_containers().await?;
        }
        if parting || life.alive() {
            stop(&name, self.stop_timeout(), at, host).await?;
        }
        host.act().remove(&name).await?;
        drop_files(&[names::mark(&name), stopping(&name)], at, host).await
    }

    /// Ends what stays without the container, by a program in it; one that does not run is started for that.
    async fn end_what_outlives(&self, name: &str, life: Life, host: &Remote) -> Result<()> {
        if !life.alive() {
            host.act().start(name).await?;
        }
        let ended = tokio::time::timeout(ENDS, host.act().exec(name, "0", &self.before_remove, &[])).await;
        let why = match ended {
            Ok(Ok(output)) if output.code == 0 => return Ok(()),
            Ok(Ok(output)) => output.stderr.trim().lines().last().unwrap_or("nothing said").to_owned(),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("that takes longer than {}s", ENDS.as_secs()),
        };
        Err(Error::operation(format!("what outlives container {name} could not be ended"))
            .because(why)
            .with_hint(format!("end it by hand and remove {name}, then run the same again")))
    }

    pub(super) async fn failure(&self, answer: Answer, host: &Remote) -> Error {
        let name = &self.spec.name;
        let log = host.logs(name, LOG_LINES).await.unwrap_or_default();
        let (message, causes) = match answer {
            Answer::Ended { why, .. } => (format!("container {name} ended instead of becoming ready"), vec![why]),
            Answer::NotYet(why) => (format!("container {name} is not ready after {}s", self.ready.within), vec![why]),
            Answer::Right => (format!("container {name} failed"), Vec::new()),
        };
        Error::Operation(Box::new(OperationError {
            message,
            causes,
            log_of: Some(name.clone()),
            log,
            hint: Some(format!("rerun only this with `--tags {} --limit {}`", self.role, host.name())),
        }))
    }
}

/// What became of a step.
enum Step {
    /// Nothing is left to do in this turn.
    Done,
    /// An act was carried out.
    Did(Act),
    /// The new one is no good: the old one is to serve.
    NoGood(Error),
}
