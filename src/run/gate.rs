//! Members of a service that must not all be touched at once: permits, who goes last, and a stop when one fails.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use tokio::sync::{Notify, Semaphore, SemaphorePermit};

use crate::op::Turn;
use crate::plan::Plan;

/// The gates of a plan by key.
pub(super) struct Gates(BTreeMap<String, GateState>);

struct GateState {
    permits: Semaphore,
    members: Mutex<Members>,
    changed: Notify,
}

#[derive(Default)]
struct Members {
    /// Those that are not done.
    left: BTreeSet<usize>,
    /// Those of them that let others go first.
    waiting: BTreeMap<usize, Turn>,
    /// The first that failed while it held a permit.
    failed: Option<String>,
}

impl Gates {
    pub(super) fn of(plan: &Plan) -> Self {
        let mut gates: BTreeMap<String, GateState> = BTreeMap::new();
        for (index, node) in plan.nodes.iter().enumerate() {
            if let Some(gate) = &node.gate {
                let state = gates.entry(gate.key.clone()).or_insert_with(|| GateState {
                    permits: Semaphore::new(gate.at_once),
                    members: Mutex::default(),
                    changed: Notify::new(),
                });
                state.members.get_mut().unwrap_or_else(PoisonError::into_inner).left.insert(index);
            }
        }
        Self(gates)
    }

    /// Waits for a member's turn. The error is the member whose failure stopped the others.
    pub(super) async fn enter(
        &self,
        key: &str,
        index: usize,
        turn: Turn,
    ) -> Result<Option<SemaphorePermit<'_>>, String> {
        let Some(gate) = self.0.get(key) else { return Ok(None) };
        loop {
            let changed = gate.changed.notified();
            {
                let mut members = gate.members.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(failed) = &members.failed {
                    return Err(failed.clone());
                }
                if turn <= Turn::Any {
                    break;
                }
                // The others that wait may now be free to go.
                if members.waiting.insert(index, turn).is_none() {
                    gate.changed.notify_waiters();
                }
                let later = |other: &usize| members.waiting.get(other).is_some_and(|other| *other >= turn);
                if members.left.iter().all(later) {
                    break;
                }
            }
            changed.await;
        }
        let permit = gate.permits.acquire().await.ok();
        let members = gate.members.lock().unwrap_or_else(PoisonError::into_inner);
        match &members.failed {
            Some(failed) => Err(failed.clone()),
            None => Ok(permit),
        }
    }

    /// A member is done, in whatever way.
    pub(super) fn leave(&self, key: &str, index: usize) {
        if let Some(gate) = self.0.get(key) {
            gate.members.lock().unwrap_or_else(PoisonError::into_inner).left.remove(&index);
            gate.changed.notify_waiters();
        }
    }

    /// A member failed after it was let in: no other one is touched.
    pub(super) fn fail(&self, key: &str, who: &str) {
        if let Some(gate) = self.0.get(key) {
            gate.members.lock().unwrap_or_else(PoisonError::into_inner).failed.get_or_insert_with(|| who.to_owned());
        }
    }
}
