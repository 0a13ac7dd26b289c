//! What stands for a name that no file sets: what the engine itself has under it, facts of the host, and defaults.

use std::sync::PoisonError;

use minijinja::Value;

use super::super::Origin;
use super::super::lazy::{Root, settle};
use super::super::shared::{Reach, Unasked};
use super::{Scope, narrow};

impl Scope {
    /// Names of the variables that have a value though nothing sets them.
    pub fn default_names(&self) -> Vec<String> {
        self.shared.default_names().map(str::to_owned).collect()
    }

    /// The value that a variable has where nothing sets it.
    pub fn default_value(&self, name: &str) -> Option<Value> {
        let variable = self.shared.default(name)?;
        settle(&self.evaluate(variable.compiled()).ok()?).ok()
    }

    /// The word on a variable that nothing sets.
    pub fn default_origin(&self, name: &str) -> Option<Origin> {
        self.shared.default(name).map(|variable| variable.origin())
    }

    /// Names that no layer sets.
    pub(super) fn special(&self, name: &str) -> Option<Value> {
        if let Some(value) = self.shared.constants.get(name) {
            return Some(value.clone());
        }
        if !is_special(name) {
            return None;
        }
        if name == "hostvars" {
            return Some(Root::hostvars(self));
        }
        narrow(Reach::Host);
        match name {
            "vars" => Some(Root::value(self)),
            // Before a host was looked at its facts are empty, not undefined: `facts.x | default(..)` works.
            "facts" | "ansible_facts" if !self.knows_facts() => Some(Value::from_pairs(Vec::<(Value, Value)>::new())),
            _ => {
                let found = self.shared.host(self.host).special(name);
                if name == "ansible_facts" && self.is_draft() {
                    self.miss(|unasked| unasked.facts = true);
                }
                found
            }
        }
    }

    /// A fact under the name of a variable, as `ansible_hostname`: Ansible has all of them so, too.
    pub(super) fn injected(&self, name: &str) -> Option<Value> {
        let fact = name.strip_prefix("ansible_")?;
        let facts = self.shared.host(self.host).special("ansible_facts")?;
        let value = facts.get_attr(fact).ok().filter(|value| !value.is_undefined())?;
        self.special("ansible_facts").map(|_| value)
    }

    /// Its facts are stand-ins.
    fn is_draft(&self) -> bool {
        let facts = self.shared.host(self.host).specials.get("facts");
        facts.is_some_and(|facts| facts.get_attr("draft").is_ok_and(|draft| draft.is_true()))
    }

    /// Notes what only the host knows, which was not asked.
    pub(in crate::template) fn miss(&self, note: impl FnOnce(&mut Unasked)) {
        note(&mut self.shared.unasked.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// The host was looked at.
    pub(in crate::template) fn knows_facts(&self) -> bool {
        self.shared.host(self.host).specials.contains_key("facts")
    }
}

pub(super) fn is_special(name: &str) -> bool {
    matches!(
        name,
        "hostvars"
            | "vars"
            | "facts"
            | "ansible_facts"
            | "group_names"
            | "inventory_hostname"
            | "inventory_hostname_short"
    )
}
