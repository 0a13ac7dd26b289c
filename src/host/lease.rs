//! The site's lease at one machine: who has it, and the process there that holds it.
//!
//! The process is a shell with a lock (`flock`), so the lease goes when that ends: when it is given back, when whoever
//! holds it is killed or loses the connection, or, where a connection hangs, once nobody was heard of for a while.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio_util::sync::{CancellationToken, DropGuard};

/// How often the process is told that somebody is there.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(15);
/// After how long without a word it gives the lease back. Whoever holds it must know by then: of a connection that hangs,
/// SSH's own keepalive tells within 90 s.
pub(super) const EXPIRES: Duration = Duration::from_secs(150);

/// What tells another run who has the lease.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LeaseNote {
    /// The user.
    pub user: String,
    /// The machine it runs on.
    pub machine: String,
    /// Its process there.
    pub pid: u32,
    /// When it began, RFC 3339.
    pub since: String,
    /// The command line.
    pub command: String,
}

impl fmt::Display for LeaseNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.command.is_empty() {
            return f.write_str("a run that does not say who it is");
        }
        let Self { user, machine, pid, since, command } = self;
        write!(f, "`{command}` of {user} on {machine}, process {pid}, since {since}")
    }
}

/// What became of asking for it.
#[derive(Debug)]
pub enum Grant {
    /// It is ours.
    Granted(Lease),
    /// Another run has it.
    Held(LeaseNote),
}

/// The lease at one machine; given back when this is dropped.
#[derive(Debug)]
pub struct Lease {
    _given_back: DropGuard,
    over: CancellationToken,
}

/// The other end of a lease: as long as it is there, the process is.
#[derive(Debug)]
pub struct Holder {
    given_back: CancellationToken,
    _over: DropGuard,
}

impl Lease {
    /// One that is held, and its other end.
    pub fn new() -> (Self, Holder) {
        let (given_back, over) = (CancellationToken::new(), CancellationToken::new());
        let holder = Holder { given_back: given_back.clone(), _over: over.clone().drop_guard() };
        (Self { _given_back: given_back.drop_guard(), over }, holder)
    }

    /// Resolves when it is lost: the process has ended, or the connection to it has.
    pub async fn lost(&self) {
        self.over.cancelled().await;
    }
}

impl Holder {
    /// Resolves when nobody wants it any more.
    pub async fn given_back(&self) {
        self.given_back.cancelled().await;
    }

    /// Nobody wants it any more.
    pub fn is_given_back(&self) -> bool {
        self.given_back.is_cancelled()
    }
}
