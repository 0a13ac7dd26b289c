//! Values of variables against what roles say they may be.

use std::cell::OnceCell;
use std::collections::HashSet;

use indexmap::IndexMap;

use super::{Input, asserts};
use crate::error::{InputError, Kind, Place};
use crate::role::{ENABLE, Role};
use crate::source::is_template;
use crate::template::Scope;
use crate::template::values::text_of;

/// Values that break rules.
#[derive(Default)]
pub(super) struct Broken {
    errors: Vec<InputError>,
    /// Words on values that are no errors.
    pub(super) doubts: Vec<InputError>,
    /// As they are printed.
    values: HashSet<String>,
    /// Of these variables.
    names: HashSet<String>,
    /// There.
    places: HashSet<Place>,
}

/// Every value that breaks a rule of an enabled role, at its place; not what is made of such a value.
pub(super) fn broken(input: &Input<'_>, enabled: &[&Role]) -> Broken {
    let (mut broken, mut found) = (Broken::default(), Vec::new());
    let factless = OnceCell::new();
    let (mut seen, mut same) = (HashSet::new(), HashSet::new());
    for host in input.hosts {
        let scope = input.scopes.host(host);
        // Whether a role is enabled is asked of all of them.
        let switches =
            input.roles.0.values().flat_map(|role| &role.values).filter(|(name, _)| name.starts_with(ENABLE));
        for (name, rule) in switches.chain(enabled.iter().flat_map(|role| &role.values)) {
            if same.contains(name) {
                continue;
            }
            let (value, everywhere) = Scope::reaching(|| scope.get(name));
            if everywhere {
                same.insert(name);
            }
            // One that has no value is told by whoever needs it.
            let Ok(value) = value.map(|value| text_of(&value)) else { continue };
            let Some(error) = rule.broken(name, &value) else { continue };
            let Some(origin) = scope.explain(name).into_iter().next() else { continue };
            let of_role = origin.layer.starts_with("role ");
            // What a role leaves empty is one that need not be set.
            if value.is_empty() && of_role {
                continue;
            }
            let template = is_template(&origin.text);
            // What is made of facts cannot be judged while they are stand-ins.
            let of_stand_ins = || {
                let known = factless.get_or_init(|| input.site.scopes(IndexMap::new())).host(host).get(name);
                value.is_empty() || known.map_or(true, |known| text_of(&known) != value)
            };
            if template && !everywhere && input.facts.is_empty() && of_stand_ins()
                || !seen.insert((name, origin.place.clone()))
            {
                continue;
            }
            broken.names.insert(name.clone());
            broken.places.insert(origin.place.clone());
            found.push((template, of_role, value, error.at(origin.place)));
        }
    }
    // What is made of a wrong value comes after that, and what a role makes of it last.
    found.sort_by_key(|(template, of_role, ..)| (*template, *of_role));
    for (template, of_role, value, error) in found {
        // As a URL with the protocol that may not be.
        let follows = of_role && broken.values.iter().any(|wrong| names(&value, wrong));
        if !follows && broken.values.insert(value) || !template {
            broken.errors.push(error);
        }
    }
    let failed = asserts::failed(input, enabled, &broken.places).into_iter();
    let (doubts, errors): (Vec<_>, Vec<_>) = failed.partition(|error| error.kind.is_warning());
    broken.doubts = doubts;
    broken.errors.extend(errors);
    broken.errors.sort_by_key(|error| error.place.as_ref().map(|place| (place.file.clone(), place.line)));
    broken
}

/// A text has a value in it. A short one, as `0`, is in many: as a word of its own it counts.
fn names(text: &str, value: &str) -> bool {
    let value = value.trim();
    text.split(|c: char| !c.is_alphanumeric() && c != '.').any(|word| word == value) && !value.is_empty()
        || value.len() > 4 && text.contains(value)
}

/// The names in a line.
fn words_of(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !c.is_alphanumeric() && c != '_')
}

impl Broken {
    /// These errors, and then others but for those that complain of the same values where they are used.
    pub(super) fn before(self, others: Vec<InputError>) -> Vec<InputError> {
        let follows = |error: &InputError| {
            let of_nothing = error.message.ends_with("found nothing") && self.values.contains("");
            // As a list where a text is taken apart.
            let line = error.place.as_ref().and_then(|place| place.excerpt.as_deref()).unwrap_or_default();
            let of_kind = || error.kind == Kind::Template && words_of(line).any(|word| self.names.contains(word));
            let of_value =
                || error.kind == Kind::WrongValue && self.values.iter().any(|value| names(&error.message, value));
            of_nothing || of_kind() || of_value()
        };
        let others = others.into_iter().filter(|error| !follows(error));
        self.errors.into_iter().chain(others).collect()
    }
}
