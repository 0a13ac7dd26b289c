//! Work that follows no plan, told in the events of a walk and counted.

use std::time::Instant;

use super::event::{Event, Outcome, Sink, Summary};

/// Acts one after the other, from or on one host.
pub struct Tally<'a> {
    sink: &'a dyn Sink,
    host: String,
    begin: Instant,
    summary: Summary,
}

/// Something that is looked at, and perhaps changed.
pub struct Act {
    node: String,
    role: String,
    subject: String,
    at_ms: u64,
}

impl<'a> Tally<'a> {
    /// Tells that so many operations begin.
    pub fn begin(
        sink: &'a dyn Sink,
        phase: &str,
        check: bool,
        host: &str,
        roles: Vec<String>,
        operations: usize,
    ) -> Self {
        let hosts = vec![host.to_owned()];
        sink.event(&Event::Begin { phase: phase.into(), check, hosts, roles, operations });
        Self { sink, host: host.into(), begin: Instant::now(), summary: Summary::default() }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.begin.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// One of a role, as `network demo-net`.
    pub fn act(&self, role: &str, subject: &str) -> Act {
        let (node, at_ms) = (format!("{}/{role}/{subject}", self.host), self.now());
        Act { node, role: role.into(), subject: subject.into(), at_ms }
    }

    /// It differs, and is being worked on.
    pub fn started(&self, act: &Act) {
        let Act { node, role, subject, at_ms } = act;
        self.sink.event(&Event::Started {
            node: node.clone(),
            host: self.host.clone(),
            role: role.clone(),
            subject: subject.clone(),
            at_ms: *at_ms,
        });
    }

    /// How far it is.
    pub fn progress(&self, act: &Act, done: u64, total: u64) {
        self.sink.event(&Event::Progress { node: act.node.clone(), done, total });
    }

    /// How it ended, or would end, and why.
    pub fn finished(&mut self, act: Act, outcome: Outcome, reason: &str) {
        *if outcome.changed() { &mut self.summary.changed } else { &mut self.summary.same } += 1;
        let Act { node, role, subject, at_ms } = act;
        self.sink.event(&Event::Finished {
            node,
            host: self.host.clone(),
            role,
            subject,
            outcome,
            reason: reason.into(),
            details: Vec::new(),
            at_ms,
            took_ms: self.now().saturating_sub(at_ms),
        });
    }

    /// Tells that it is over; so many requests were made to the host.
    pub fn end(self, requests: u64) -> Summary {
        let (summary, took_ms) = (self.summary, self.now());
        let requests = (requests > 0).then_some((self.host, requests)).into_iter().collect();
        self.sink.event(&Event::End { summary, took_ms, requests });
        summary
    }
}
