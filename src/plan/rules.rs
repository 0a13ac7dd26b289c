//! Values of variables against what roles say they may be.

use std::collections::HashSet;

use super::Input;
use super::values::text_of;
use crate::error::InputError;
use crate::role::Role;

/// Every value that breaks a rule of an enabled role, at its place; nothing that is made of such a value.
pub(super) fn broken(input: &Input<'_>, enabled: &[&Role]) -> Vec<InputError> {
    let (mut written, mut made) = (Vec::new(), Vec::new());
    let (mut seen, mut same) = (HashSet::new(), HashSet::new());
    for host in input.hosts {
        let scope = input.scopes.host(host);
        for (name, rule) in enabled.iter().flat_map(|role| &role.values) {
            if same.contains(name) {
                continue;
            }
            let (value, everywhere) = scope.get_reaching(name);
            if everywhere {
                same.insert(name);
            }
            // One that has no value is told by whoever needs it.
            let Ok(value) = value.map(|value| text_of(&value)) else { continue };
            let Some(error) = rule.broken(name, &value) else { continue };
            let Some(origin) = scope.explain(name).into_iter().next() else { continue };
            if seen.insert((name, value.clone())) {
                let found = if origin.text.contains("{{") { &mut made } else { &mut written };
                found.push((value, error.at(origin.place)));
            }
        }
    }
    let told: HashSet<String> = written.iter().map(|(value, _)| value.clone()).collect();
    let made = made.into_iter().filter(|(value, _)| !told.contains(value));
    let mut errors: Vec<InputError> = written.into_iter().chain(made).map(|(_, error)| error).collect();
    errors.sort_by_key(|error| error.place.as_ref().map(|place| (place.file.clone(), place.line)));
    errors
}
