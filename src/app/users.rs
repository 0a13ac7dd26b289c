//! Who uses the services that a run takes away, beyond other roles: clients that are connected to a storage cluster.

use super::ask;
use super::dependents::tell;
use crate::error::{InputError, Kind, Result};
use crate::host::Observer;
use crate::op::Want;
use crate::plan::Place;
use crate::run::connect::Connected;
use crate::run::event::Sink;

/// Users that are named.
const NAMED: usize = 20;

/// Refuses to take services away from those that use them. Who only looks is told.
pub(super) async fn refuse(
    asked: Vec<(String, Vec<Place>)>,
    connected: &Connected,
    (want, check): (Want, bool),
    sink: &dyn Sink,
) -> Result<()> {
    let mut errors = Vec::new();
    for (role, places) in asked {
        let running = places.iter().filter(|place| connected.runs(&place.host, &place.container));
        let places: Vec<_> = running
            .filter_map(|place| Some((place, Observer::new(connected.machines.get(&place.host)?.clone()))))
            .collect();
        // Where nothing runs, nobody is served.
        if places.is_empty() {
            continue;
        }
        match ask::first(places.into_iter()).await {
            Ok(text) => errors.extend(in_use(&role, &text, want)),
            Err(error) => errors.push(
                InputError::new(format!("it is not known who uses {role}: {error}"))
                    .of(Kind::InUse)
                    .hint("`--abort` does not ask"),
            ),
        }
    }
    tell(errors, check, sink)
}

fn in_use(role: &str, text: &str, want: Want) -> Option<InputError> {
    let users: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if users.is_empty() {
        return None;
    }
    let mut named = users[..users.len().min(NAMED)].join("; ");
    if users.len() > NAMED {
        named = format!("{named}; and {} more", users.len() - NAMED);
    }
    let verb = if want == Want::Absent { "removes" } else { "stops" };
    let error = InputError::new(format!("{role} is in use: {named}")).of(Kind::InUse);
    Some(error.hint(format!("end these first; `--abort` {verb} it under them")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_users_are_told_up_to_a_number() {
        let said = |text: &str, want| in_use("ceph", text, want).map(|error| (error.message, error.hint.unwrap()));
        assert_eq!(said("\n", Want::Stopped), None);
        let (message, hint) = said("a is open at 10.0.0.4\nb is open\n", Want::Stopped).unwrap();
        assert_eq!(message, "ceph is in use: a is open at 10.0.0.4; b is open");
        assert_eq!(hint, "end these first; `--abort` stops it under them");
        let (message, hint) = said(&"one\n".repeat(NAMED + 2), Want::Absent).unwrap();
        assert!(message.ends_with("; one; and 2 more"), "{message}");
        assert!(hint.contains("removes"), "{hint}");
    }
}
