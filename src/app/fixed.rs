//! Secrets that cannot be changed once a service was deployed with them.

use std::collections::BTreeMap;
use std::time::SystemTime;

use crate::error::{Error, Result};
use crate::host::Remote;
use crate::op::fixed::{Held, note};
use crate::plan::{Fixed, Plan};
use crate::report::time::rfc3339;
use crate::run::RunContext;
use crate::run::connect::Connected;
use crate::run::event::{Event, Sink};

/// Refuses secrets that cannot be changed. Who only looks is told, and sees what else would change.
pub(super) fn refuse_changed(
    fixed: &Fixed,
    plan: &Plan,
    connected: &Connected,
    check: bool,
    sink: &dyn Sink,
) -> Result<()> {
    let changed = fixed.changed(plan, connected.looks.iter());
    if !check && !changed.is_empty() {
        return Err(Error::Input(changed));
    }
    for error in changed {
        let hint = error.hint.as_deref().unwrap_or_default();
        let message = format!("it would be refused: {}: {hint}", error.message);
        sink.event(&Event::Warning { host: String::new(), message });
    }
    Ok(())
}

/// Has hosts note which secrets their services have. Without a note a change of one is not noticed: that is a word.
pub(super) async fn note_secrets(held: BTreeMap<String, Vec<Held>>, context: &RunContext, sink: &dyn Sink) {
    let since = rfc3339(SystemTime::now());
    for (host, mut held) in held {
        let (Some(machine), Some(me)) = (context.machines.get(&host), context.peers.get(&host)) else { continue };
        held.retain(|held| !me.look(|look| held.noted(look)));
        if held.is_empty() {
            continue;
        }
        if let Err(error) = note(&Remote::new(machine.clone()), me, &held, &since).await {
            sink.event(&Event::Warning { host, message: format!("its secrets are not noted: {error}") });
        }
    }
}
