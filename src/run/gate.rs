//! Members of a service of which not all that serve may be touched at once: permits, who goes last, and a stop when one
//! fails. Those that are down need no permit, and are up again before one that serves is touched.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, Semaphore, SemaphorePermit};

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
                });
                state.members.get_mut().unwrap_or_else(PoisonError::into_inner).left.insert(index);
            }
        }
        Self(gates)
    }

    /// Waits for a member's turn, again for what is left after one. The error is the member whose failure stopped those
    /// that serve.
    pub(super) async fn enter(
        &self,
        key: &str,
        index: usize,
        turn: Turn,
    ) -> Result<Option<SemaphorePermit<'_>>, String> {
        let Some(gate) = self.0.get(key) else { return Ok(None) };
        loop {
            if !gate.may_go(index, turn).await? {
                return Ok(None);
            }
            let permit = gate.permits.acquire().await.ok();
            let members = gate.lock();
            match &members.failed {
                Some(failed) => return Err(failed.clone()),
                // One that was down may have come while it waited for the permit.
                None if members.down.is_empty() => return Ok(permit),
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
            gate.lock().failed.get_or_insert_with(|| who.to_owned());
        }
    }
}
