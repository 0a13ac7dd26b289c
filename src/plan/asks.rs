//! What the variables of Kolla-Ansible ask for that no role reads.

use indexmap::IndexMap;
use minijinja::value::ValueKind;

use crate::error::Place;
use crate::site::Site;
use crate::site::upstream::{Ask, ask};
use crate::template::{Scope, Scopes, Value, values::text_of};

/// What a variable asks for, over all hosts.
pub(super) enum Asked {
    /// Nothing, or what is done anyway.
    Met,
    /// What changes no more than how a service does its work.
    Unsupported,
    /// What is refused.
    Refused {
        /// The first value that is.
        value: String,
        /// What holds here, where that is known.
        done: Option<String>,
        /// Where the value stands.
        place: Place,
    },
}

/// The values that hosts have.
pub(super) struct Asks<'a> {
    hosts: Vec<&'a str>,
    scopes: Scopes,
}

impl<'a> Asks<'a> {
    /// Those of a site, of which no host was asked.
    pub(super) fn of(site: &'a Site) -> Self {
        Self { hosts: site.hosts.keys().map(String::as_str).collect(), scopes: site.scopes(IndexMap::new()) }
    }

    /// The most that the values of a variable ask for, over all hosts; `meant` is the name that it has today.
    pub(super) fn most(&self, name: &str, meant: &str) -> Asked {
        let mut most = Asked::Met;
        for host in &self.hosts {
            let scope = self.scopes.host(host);
            let (value, everywhere) = Scope::reaching(|| scope.get(name));
            // What it is made of may be known of a host alone that was asked.
            let Ok(value) = value else { return Asked::Unsupported };
            let done = scope.default_value(meant);
            match ask(meant, &value, done.as_ref()) {
                Ask::Met => {}
                Ask::Unsupported => most = Asked::Unsupported,
                Ask::Refused => {
                    if let Some(origin) = scope.explain(name).into_iter().next() {
                        let (value, done) = (shown(&value), done.as_ref().map(shown));
                        return Asked::Refused { value, done, place: origin.place };
                    }
                }
            }
            if everywhere {
                break;
            }
        }
        most
    }
}

/// A value as an operator writes it; of a list or a mapping nothing, because secrets may stand in it.
fn shown(value: &Value) -> String {
    match value.as_str() {
        None if value.kind() == ValueKind::Seq && value.len() != Some(0) => "[..]".into(),
        None if value.kind() == ValueKind::Map && value.len() != Some(0) => "{..}".into(),
        Some("") => "\"\"".into(),
        Some(text) => text.to_owned(),
        None => text_of(value).to_lowercase(),
    }
}
