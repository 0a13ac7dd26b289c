//! One node of a walk: it waits for its turn, does what differs, and is compared again where something had to be
//! brought in order first.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Ended, Walk, millis, name};
use crate::error::Error;
use crate::host::Remote;
use crate::op::{Diff, Operation, Turn, View};
use crate::plan::{Gate, Node};
use crate::run::event::{Event, Outcome};

/// A node under way.
pub(super) struct Work<'a> {
    walk: &'a Walk,
    index: usize,
    node: &'a Node,
    operation: &'a dyn Operation,
    view: &'a View,
    host: &'a Remote,
    /// When it was begun, in milliseconds since the walk was.
    at_ms: Option<u64>,
    /// How long it took, without the time it waited for others.
    took: Duration,
    /// What was brought in order.
    settled: Option<Diff>,
}

/// Something differs that was not to be changed.
fn unplanned(diff: &Diff) -> Error {
    Error::operation(format!("the saved plan does not change it, and now there is something to do: {diff}"))
        .with_hint("read a new plan with `kolla plan --save`")
}

/// What comes next.
enum Next {
    /// Something is left to do.
    Left(Diff),
    /// Nothing.
    Ended(Ended),
}

impl<'a> Work<'a> {
    pub(super) fn new(
        walk: &'a Walk,
        (index, node): (usize, &'a Node),
        operation: &'a dyn Operation,
        view: &'a View,
        host: &'a Remote,
    ) -> Self {
        Self { walk, index, node, operation, view, host, at_ms: None, took: Duration::ZERO, settled: None }
    }

    /// Carries it out; how it ended.
    pub(super) async fn run(mut self) -> Ended {
        let (at_ms, started) = (millis(self.walk.begin), Instant::now());
        let first = self.operation.diff(self.view).await;
        self.walk.see(self.node, self.operation, self.view, &first).await;
        let differs = matches!(&first, Ok(diff) if diff.differs()) && !self.walk.options.check;
        let mut diff = match first {
            Ok(diff) if differs && self.walk.may_change(self.node) => diff,
            other => {
                (self.at_ms, self.took) = (Some(at_ms), started.elapsed());
                return match other {
                    Ok(diff) if differs => self.failed(&unplanned(&diff)),
                    Ok(diff) => self.done(&diff),
                    Err(error) => self.failed(&error),
                };
            }
        };
        loop {
            match self.round(diff).await {
                Next::Left(left) => diff = left,
                Next::Ended(ended) => return ended,
            }
        }
    }

    async fn round(&mut self, mut diff: Diff) -> Next {
        let mut entered = None;
        if let Some(gate) = &self.node.gate {
            let turn = self.turn(gate, &diff).await;
            entered = match self.walk.gates.enter(&gate.key, (self.index, name(self.node)), turn).await {
                Ok(entered) => entered,
                Err(failed) => return self.held_back(&format!("waits for {failed}"), Some(failed)),
            };
            if self.walk.options.stop.is_cancelled() {
                return self.held_back("interrupted", None);
            }
            // The others' turns may have changed what this one sees.
            diff = match self.operation.diff(self.view).await {
                Ok(diff) if diff.differs() => diff,
                Ok(same) => return Next::Ended(self.done(&same)),
                Err(error) => return Next::Ended(self.broken(&error)),
            };
        }
        let forks = &self.walk.forks;
        let _fork = match &entered {
            Some(entered) => entered.fork(forks).await,
            None => forks.clone().acquire_owned().await.ok().map(Arc::new),
        };
        let _turn = match self.walk.hosts.get(&self.node.host) {
            Some(turns) => turns.acquire().await.ok(),
            None => None,
        };
        // It may have waited for its turn for long.
        if self.walk.options.stop.is_cancelled() {
            return self.held_back("interrupted", None);
        }
        self.begins();
        self.view.shared.first_change();
        let started = Instant::now();
        let applied = self.operation.apply(&diff, self.view, self.host, &self.walk.sink(self.node)).await;
        self.took += started.elapsed();
        match applied {
            Err(error) => Next::Ended(self.broken(&error)),
            Ok(()) if matches!(diff, Diff::Settle(_)) => {
                self.settled = Some(diff);
                match self.operation.diff(self.view).await {
                    Ok(left) if left.differs() => Next::Left(left),
                    Ok(same) => Next::Ended(self.done(&same)),
                    Err(error) => Next::Ended(self.broken(&error)),
                }
            }
            Ok(()) => Next::Ended(self.done(&diff)),
        }
    }

    /// When it may be touched.
    async fn turn(&self, gate: &Gate, diff: &Diff) -> Turn {
        if !gate.on_create && matches!(diff, Diff::Create(_) | Diff::Start) {
            return Turn::Down;
        }
        match self.operation.turn(self.view).await {
            Turn::Down => Turn::Down,
            _ if gate.last => Turn::Last,
            turn => turn,
        }
    }

    fn begins(&mut self) {
        if self.at_ms.is_none() {
            let at_ms = millis(self.walk.begin);
            self.at_ms = Some(at_ms);
            self.walk.sink.event(&Event::Started {
                node: self.node.id.clone(),
                host: self.node.host.clone(),
                role: self.node.role.clone(),
                subject: self.operation.subject(),
                at_ms,
            });
        }
    }

    /// In milliseconds: when it was begun, and how long it took.
    fn times(&self) -> (u64, u64) {
        let took = u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX);
        (self.at_ms.unwrap_or_else(|| millis(self.walk.begin)), took)
    }

    /// What was done last, or that nothing had to be; but not where something had been brought in order before.
    fn done(&self, diff: &Diff) -> Ended {
        let diff = self.settled.as_ref().filter(|_| !diff.differs()).unwrap_or(diff);
        self.walk.done(self.index, self.node, diff, self.times())
    }

    fn failed(&self, error: &Error) -> Ended {
        self.walk.failed(self.index, self.node, self.times(), error)
    }

    /// It failed when it had been let in: members that serve are not touched any more.
    fn broken(&self, error: &Error) -> Ended {
        if let Some(gate) = &self.node.gate {
            self.walk.gates.fail(&gate.key, &name(self.node));
        }
        self.failed(error)
    }

    /// It may not go on. What was brought in order by then was.
    fn held_back(&self, why: &str, blame: Option<String>) -> Next {
        let Some(Diff::Settle(reason)) = &self.settled else {
            return Next::Ended(self.walk.skip(self.index, self.node, why, blame));
        };
        let reason = format!("{reason}; what is left: {why}");
        self.walk.finished(self.node, Outcome::Ran, reason, Vec::new(), self.times());
        let blame = Some(blame.unwrap_or_else(|| name(self.node)));
        Next::Ended(Ended { index: self.index, outcome: Outcome::Ran, blame })
    }
}
