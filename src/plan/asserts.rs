//! What must hold between variables: what roles say of theirs, and that no two hosts have one address.

use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};

use indexmap::IndexMap;

use super::Input;
use crate::error::{InputError, Kind, Place};
use crate::role::{Assert, Role};
use crate::template::Scope;
use crate::template::values::text_of;

/// The address by which other hosts reach a host, and what it is made of.
const ADDRESS: [&str; 4] = ["api_address", "api_interface", "network_interface", "ansible_host"];

/// Why a variable has no value.
const NO_VALUE: [Kind; 4] = [Kind::UndefinedVariable, Kind::NotAsked, Kind::EmptySecret, Kind::Cycle];

/// Where what enabled roles say does not hold; not of values that are `wrong` by themselves.
pub(super) fn failed(input: &Input<'_>, enabled: &[&Role], wrong: &HashSet<Place>) -> Vec<InputError> {
    let (mut found, mut seen) = (Vec::new(), HashSet::new());
    // Of a value that is wrong, what else is wrong with it may follow from that: the first condition counts.
    let mut errors: HashMap<Option<Place>, String> = HashMap::new();
    for host in input.hosts {
        let scope = input.scopes.host(host);
        for (role, assert) in enabled.iter().flat_map(|role| role.asserts.iter().map(move |assert| (role, assert))) {
            let error = match scope.eval_flag(&role.document, &assert.that) {
                Ok(true) => continue,
                Ok(false) => broken(scope, assert),
                // One that has no value is told by whoever needs it.
                Err(error) if NO_VALUE.contains(&error.kind) => continue,
                Err(error) => error,
            };
            let values = assert.variables.iter().filter_map(|name| scope.explain(name).into_iter().next());
            let known = values.into_iter().any(|origin| wrong.contains(&origin.place));
            if known || !seen.insert((error.message.clone(), error.place.clone())) {
                continue;
            }
            if !error.kind.is_warning() {
                errors.entry(error.place.clone()).or_insert_with(|| error.message.clone());
            }
            found.push(error);
        }
    }
    found.retain(|error| errors.get(&error.place).is_none_or(|first| *first == error.message));
    found.extend(one_address(input));
    found
}

/// The error at the first of its variables that an operator sets.
fn broken(scope: &Scope, assert: &Assert) -> InputError {
    let origins = || assert.variables.iter().filter_map(|name| Some((name, scope.explain(name).into_iter().next()?)));
    let set = origins().find(|(_, origin)| !origin.layer.starts_with("role ")).or_else(|| origins().next());
    let Some((name, origin)) = set else { return InputError::new(assert.message.clone()) };
    let value = scope.get(name).map(|value| text_of(&value)).unwrap_or_default();
    let kind = if assert.warns { Kind::Doubtful } else { Kind::WrongValue };
    let error = InputError::new(format!("`{name}` {}: `{value}`", assert.message)).of(kind).at(origin.place);
    InputError { hint: assert.hint.clone(), ..error }
}

/// Hosts that have the address of another one.
fn one_address(input: &Input<'_>) -> Vec<InputError> {
    let factless = OnceCell::new();
    let mut first: HashMap<String, &str> = HashMap::new();
    let (mut found, mut seen): (Vec<InputError>, HashSet<Option<Place>>) = (Vec::new(), HashSet::new());
    for host in input.hosts {
        // Of one that was not asked what the operator says, and nothing that is made up.
        let scopes = if input.facts.contains_key(host) {
            input.scopes
        } else {
            factless.get_or_init(|| input.site.scopes(IndexMap::new()))
        };
        let scope = scopes.host(host);
        let address = scope.get(ADDRESS[0]).map(|value| text_of(&value)).unwrap_or_default();
        if address.is_empty() {
            continue;
        }
        let Some(other) = first.get(&address) else {
            first.insert(address, host);
            continue;
        };
        let origins = ADDRESS.iter().filter_map(|name| scope.explain(name).into_iter().next());
        let place = origins.filter(|origin| !origin.layer.starts_with("role ")).map(|origin| origin.place).next();
        // The same mistake of a group is one mistake.
        if seen.insert(place.clone()) {
            let error =
                InputError::new(format!("{other} and {host} have the same address {address} (`{}`)", ADDRESS[0]));
            found.push(InputError { place, ..error }.hint("give each host an address of its own"));
        }
    }
    found
}
