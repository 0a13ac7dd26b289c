//! What people and programs see of a run: terminal lines, JSON lines, a run record with its timeline, tables.
//!
//! Everything here takes plain data ([`crate::run::event`], [`crate::error`]) and makes text of it; it knows
//! nothing of plans, roles or hosts, and writes only through [`Screen`] and into a run's own folder.

mod bars;
pub mod columns;
pub mod graph;
pub mod json;
pub mod paint;
pub mod record;
pub mod screen;
pub mod table;
pub mod terminal;
pub mod text;
pub mod time;
pub mod timeline;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use json::JsonLines;
pub use record::RunRecord;
pub use screen::Screen;
pub use table::Table;
pub use terminal::Terminal;

use crate::run::event::{Event, Outcome, Sink};
use crate::shell::Mask;

/// Gives each event to several sinks, its secrets hidden once for all of them.
pub struct Fanout {
    mask: Mask,
    sinks: Vec<Arc<dyn Sink>>,
}

impl Fanout {
    /// Sinks in the order in which they are told.
    pub fn new(mask: Mask, sinks: Vec<Arc<dyn Sink>>) -> Self {
        Self { mask, sinks }
    }
}

impl Sink for Fanout {
    fn event(&self, event: &Event) {
        let hidden = hide(&self.mask, event);
        let event = hidden.as_ref().unwrap_or(event);
        for sink in &self.sinks {
            sink.event(event);
        }
    }
}

/// The event without secrets, in all of its texts but the names of hosts, roles and phases; `None` where it is the same.
fn hide(mask: &Mask, event: &Event) -> Option<Event> {
    let mut event = match event {
        Event::Finished { outcome: Outcome::Same, node, subject, reason, .. }
            if [node, subject, reason].iter().all(|text| !mask.hides(text)) =>
        {
            return None;
        }
        Event::Connecting { .. } | Event::Begin { .. } | Event::End { .. } | Event::Host { error: None, .. } => {
            return None;
        }
        event => event.clone(),
    };
    let text = |text: &mut String| {
        if mask.hides(text) {
            *text = mask.hide(text);
        }
    };
    // Its host is in it as a name.
    let id = |node: &mut String| {
        let (host, rest) = node.split_once('/').unwrap_or(("", node));
        if mask.hides(rest) {
            *node = if host.is_empty() { mask.hide(rest) } else { format!("{host}/{}", mask.hide(rest)) };
        }
    };
    match &mut event {
        Event::Started { node, subject, .. } => {
            id(node);
            text(subject);
        }
        Event::Progress { node, .. } => id(node),
        Event::Waiting { node, why } => {
            id(node);
            text(why);
        }
        Event::Finished { node, subject, reason, details, .. } => {
            id(node);
            text(subject);
            text(reason);
            details.iter_mut().for_each(text);
        }
        Event::Warning { message, .. } => text(message),
        Event::Host { error: Some(error), .. } => text(error),
        Event::Host { .. } | Event::Connecting { .. } | Event::Begin { .. } | Event::End { .. } => {}
    }
    Some(event)
}

/// Keeps every event, for tests and for callers that look at a run afterwards.
#[derive(Default)]
pub struct Kept(Mutex<Vec<Event>>);

impl Kept {
    /// All events so far.
    pub fn events(&self) -> Vec<Event> {
        lock(&self.0).clone()
    }
}

impl Sink for Kept {
    fn event(&self, event: &Event) {
        lock(&self.0).push(event.clone());
    }
}

/// A report goes on after another task has panicked.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn finished(
        host: &str,
        role: &str,
        subject: &str,
        outcome: Outcome,
        reason: &str,
        ms: (u64, u64),
    ) -> Event {
        Event::Finished {
            node: format!("{host}/{role}/{subject}"),
            host: host.into(),
            role: role.into(),
            subject: subject.into(),
            outcome,
            reason: reason.into(),
            details: Vec::new(),
            at_ms: ms.0,
            took_ms: ms.1,
        }
    }

    #[test]
    fn a_secret_reaches_no_sink() {
        let kept = Arc::new(Kept::default());
        let fanout = Fanout::new(Mask::new(["hunter22".into()]), vec![kept.clone(), kept.clone()]);
        let mut event = finished("a", "r", "file x", Outcome::Updated, "password hunter22", (0, 1));
        if let Event::Finished { details, .. } = &mut event {
            details.push("+ password = hunter22".into());
        }
        fanout.event(&event);
        fanout.event(&Event::Warning { host: "a".into(), message: "hunter22 is weak".into() });
        fanout.event(&Event::Host {
            host: "a".into(),
            address: None,
            error: Some("no hunter22".into()),
            requests: 0,
            took_ms: 0,
        });
        for outcome in [Outcome::Same, Outcome::Created] {
            fanout.event(&finished("a", "r", "file /x/hunter22", outcome, "", (0, 1)));
        }
        let node = || "a/file /x/hunter22".to_owned();
        let (host, role, subject) = ("a".into(), "r".into(), "file /x/hunter22".into());
        fanout.event(&Event::Started { node: node(), host, role, subject, at_ms: 1 });
        fanout.event(&Event::Progress { node: node(), done: 1, total: 2 });
        assert_eq!(kept.events().len(), 14);
        assert!(!format!("{:?}", kept.events()).contains("hunter22"));
        assert_eq!(kept.events()[12], Event::Progress { node: "a/file /x/***".into(), done: 1, total: 2 });
    }
}
