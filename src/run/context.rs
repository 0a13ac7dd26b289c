//! What a run goes by.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::host::Machine;
use crate::op::{Peer, Shared};

/// Connected hosts and what a run shares.
#[derive(Clone)]
pub struct RunContext {
    /// The machines by name.
    pub machines: Arc<BTreeMap<String, Arc<dyn Machine>>>,
    /// The same as others see them.
    pub peers: Arc<BTreeMap<String, Peer>>,
    /// What is asked once a run.
    pub shared: Arc<Shared>,
}
