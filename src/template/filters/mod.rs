//! Filters and tests that Kolla's and Ansible's templates use and the engine lacks, or has with another meaning.

pub(super) mod address;
mod data;
pub(super) mod json;
mod network;
mod number;
mod password;
mod path;
mod pattern;
mod product;
mod service;
mod size;
mod text;
mod version;

use minijinja::value::Rest;
use minijinja::{Environment, State, Value};

use super::vocabulary::{FILTERS, TESTS};
pub(super) use password::{IDENT, password_hash};

/// Adds them all.
pub(super) fn add(environment: &mut Environment<'static>) {
    address::add(environment);
    data::add(environment);
    network::add(environment);
    number::add(environment);
    password::add(environment);
    path::add(environment);
    pattern::add(environment);
    product::add(environment);
    service::add(environment);
    size::add(environment);
    text::add(environment);
    version::add(environment);
    // Ansible's own also have names in full.
    for name in FILTERS {
        for collection in ["ansible.builtin", "ansible.utils"] {
            environment.add_filter(format!("{collection}.{name}"), |state: &mut State<'_, '_>, args: Rest<Value>| {
                state.apply_filter(name, &args)
            });
        }
    }
    for name in TESTS {
        environment.add_test(format!("ansible.builtin.{name}"), |state: &mut State<'_, '_>, args: Rest<Value>| {
            state.perform_test(name, &args)
        });
    }
}
