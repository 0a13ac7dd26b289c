//! What a run tells while it goes: plain data, for whoever prints, logs or draws it.

use serde::Serialize;

/// Where events go. Called from many tasks: implementations lock for themselves and do not block for long.
pub trait Sink: Send + Sync {
    /// Takes one event.
    fn event(&self, event: &Event);
}

/// Where events go that nobody wants to see.
pub struct Quiet;

impl Sink for Quiet {
    fn event(&self, _event: &Event) {}
}

/// One thing that happened. The names are stable: `--output json` prints one of these a line.
#[derive(Debug, Clone, Serialize, PartialEq)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// Hosts are being connected to.
    Connecting {
        /// Their names.
        hosts: Vec<String>,
    },
    /// A host answered the look, or not.
    Host {
        /// Its name.
        host: String,
        /// Where it was looked for, where it cannot be used: `address:port`.
        address: Option<String>,
        /// Why it cannot be used; nothing where it can.
        error: Option<String>,
        /// Requests made so far.
        requests: u64,
        /// Milliseconds for the login and the look.
        took_ms: u64,
    },
    /// The walk begins.
    Begin {
        /// The phase, as `deploy`.
        phase: String,
        /// Only looking.
        check: bool,
        /// The hosts it touches.
        hosts: Vec<String>,
        /// The roles it touches, in order.
        roles: Vec<String>,
        /// Operations of the plan.
        operations: usize,
    },
    /// An operation is being worked on (it differs, or has to ask).
    Started {
        /// Its id.
        node: String,
        /// Its host.
        host: String,
        /// Its role.
        role: String,
        /// As `container glance_api`.
        subject: String,
        /// Milliseconds since the walk began.
        at_ms: u64,
    },
    /// How far a long operation is.
    Progress {
        /// Its id.
        node: String,
        /// Done, in `unit`s.
        done: u64,
        /// All, where it is known.
        total: u64,
    },
    /// What a long operation waits for, each time that this changes.
    Waiting {
        /// Its id.
        node: String,
        /// As `210 of 640 objects left`.
        why: String,
    },
    /// An operation ended.
    Finished {
        /// Its id.
        node: String,
        /// Its host.
        host: String,
        /// Its role.
        role: String,
        /// As `container glance_api`.
        subject: String,
        /// How it ended.
        outcome: Outcome,
        /// Why, in a few words: `running, image and configuration match`.
        reason: String,
        /// What differs, a line each; a file's hunk with `--diff`.
        details: Vec<String>,
        /// Milliseconds since the walk began when it started.
        at_ms: u64,
        /// Milliseconds it took.
        took_ms: u64,
    },
    /// Something an operator should know that is no failure.
    Warning {
        /// The host it is about; empty for the site.
        host: String,
        /// What.
        message: String,
    },
    /// The walk ended.
    End {
        /// How many operations ended how.
        summary: Summary,
        /// Milliseconds it took.
        took_ms: u64,
        /// Requests a host, by host.
        requests: Vec<(String, u64)>,
    },
}

/// How an operation ended.
#[derive(Debug, Clone, Copy, Serialize, PartialEq, Eq, Hash)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Nothing to do.
    Same,
    /// Made.
    Created,
    /// Changed in place.
    Updated,
    /// Old one gone, new one there.
    Replaced,
    /// Started as it was.
    Started,
    /// Stopped.
    Stopped,
    /// Removed.
    Removed,
    /// Ran once.
    Ran,
    /// Did not work; an [`Event::Finished`] carries the message in `reason` and the rest in `details`.
    Failed,
    /// Not tried because of something else, named in `reason`.
    Skipped,
}

impl Outcome {
    /// The host is not as it was.
    pub fn changed(self) -> bool {
        !matches!(self, Self::Same | Self::Failed | Self::Skipped)
    }
}

/// Operations by how they ended.
#[derive(Debug, Clone, Copy, Default, Serialize, PartialEq, Eq)]
pub struct Summary {
    /// Something was done (or would be, with `--check`).
    pub changed: usize,
    /// Nothing to do.
    pub same: usize,
    /// Did not work.
    pub failed: usize,
    /// Not tried.
    pub skipped: usize,
}
