//! Members of a service of which not all that serve may be touched at once: permits, who goes last, and a stop when one
//! fails. Those that are down need no permit, and are up again before one that serves is touched.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, SemaphorePermit};

use crate::op::Turn;
use crate::plan::Plan;

/// The gates of a plan by key.
pub(super) struct Gates(BTreeMap<String, GateState>);

struct GateState {
    permits: Semaphore,
    /// Also those that are down need one.
    on_create: bool,
    members: Mutex<Members>,
    changed: Notify,
    /// The fork that all members which are down share: each of them may wait for the others.
    fork: tokio::sync::Mutex<Weak<OwnedSemaphorePermit>>,
}

/// A member that was let in. One that panics closes the gate before it gives its permit back.
pub(super) struct Entered<'a> {
    gate: &'a GateState,
    who: String,
    /// None where it is down.
    permit: Option<SemaphorePermit<'a>>,
}

impl Entered<'_> {
    /// One of the run's forks: the members that are down take one for all of them.
    pub(super) async fn fork(&self, forks: &Arc<Semaphore>) -> Option<Arc<OwnedSemaphorePermit>> {
        let alone = async || forks.clone().acquire_owned().await.ok().map(Arc::new);
        if self.permit.is_some() {
            return alone().await;
        }
        let mut shared = self.gate.fork.lock().await;
        if let Some(fork) = shared.upgrade() {
            return Some(fork);
        }
        let fork = alone().await?;
        *shared = Arc::downgrade(&fork);
        Some(fork)
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.gate.fail(&self.who);
        }
    }
}

#[derive(Default)]
struct Members {
    /// Those that are not done.
    left: BTreeSet<usize>,
    /// Those of them that were down and are at it, without a permit.
    down: BTreeSet<usize>,
    /// Those of them that let others go first.
    waiting: BTreeMap<usize, Turn>,
    /// The first that failed.
    failed: Option<String>,
}

impl GateState {
    fn lock(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fail(&self, who: &str) {
        self.lock().failed.get_or_insert_with(|| who.to_owned());
    }

    /// Waits until a member may ask for a permit; false where it is down and needs none.
    async fn may_go(&self, index: usize, turn: Turn) -> Result<bool, String> {
        loop {
            let changed = self.changed.notified();
            {
                let mut members = self.lock();
                if turn == Turn::Down && !self.on_create {
                    members.down.insert(index);
                    return Ok(false);
                }
                if members.down.remove(&index) {
                    self.changed.notify_waiters();
                }
                if let Some(failed) = &members.failed {
                    return Err(failed.clone());
                }
                let alone = members.down.is_empty();
                if turn <= Turn::Any && alone {
                    return Ok(true);
                }
                // The others that wait may now be free to go.
                if members.waiting.insert(index, turn) != Some(turn) {
                    self.changed.notify_waiters();
                }
                let later = |other: &usize| members.waiting.get(other).is_some_and(|other| *other >= turn);
                if alone && members.left.iter().all(later) {
                    return Ok(true);
                }
            }
            changed.await;
        }
    }
}

impl Gates {
    pub(super) fn of(plan: &Plan) -> Self {
        let mut gates: BTreeMap<String, GateState> = BTreeMap::new();
        for (index, node) in plan.nodes.iter().enumerate() {
            if let Some(gate) = &node.gate {
                let state = gates.entry(gate.key.clone()).or_insert_with(|| GateState {
                    permits: Semaphore::new(gate.at_once),
                    on_create: gate.on_create,
                    members: Mutex::default(),
                    changed: Notify::new(),
                    fork: tokio::sync::Mutex::default(),
                });
                state.members.get_mut().unwrap_or_else(PoisonError::into_inner).left.insert(index);
            }
        }
        Self(gates)
    }

    /// Waits for a member's turn, again for what is left after one; none where it has no gate. The error is the member
    /// whose failure stopped those that serve.
    pub(super) async fn enter(
        &self,
        key: &str,
        (index, who): (usize, String),
        turn: Turn,
    ) -> Result<Option<Entered<'_>>, String> {
        let Some(gate) = self.0.get(key) else { return Ok(None) };
        loop {
            if !gate.may_go(index, turn).await? {
                return Ok(Some(Entered { gate, who, permit: None }));
            }
            let permit = gate.permits.acquire().await.ok();
            let members = gate.lock();
            match &members.failed {
                Some(failed) => return Err(failed.clone()),
                // One that was down may have come while it waited for the permit.
                None if members.down.is_empty() => return Ok(Some(Entered { gate, who, permit })),
                None => {}
            }
        }
    }

    /// A member is done, in whatever way.
    pub(super) fn leave(&self, key: &str, index: usize) {
        if let Some(gate) = self.0.get(key) {
            let mut members = gate.lock();
            members.left.remove(&index);
            members.down.remove(&index);
            gate.changed.notify_waiters();
        }
    }

    /// A member failed: no other one that serves is touched.
    pub(super) fn fail(&self, key: &str, who: &str) {
        if let Some(gate) = self.0.get(key) {
            gate.fail(who);
        }
    }
}
