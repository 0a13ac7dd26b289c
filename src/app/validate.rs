//! All that can be known to be wrong with a site before a host is connected to.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{App, Loaded};
use crate::error::{Error, InputError, Place, Result};
use crate::plan::{Fault, UnusedVariable};

/// What was looked at, and what is wrong with it.
#[derive(Debug, Clone, Default)]
pub struct Validated {
    /// Hosts of the inventory.
    pub hosts: usize,
    /// Enabled roles.
    pub roles: Vec<String>,
    /// Variables that are set and that nothing reads.
    pub variables: Vec<UnusedVariableRow>,
    /// What deserves a word but is no error.
    pub warnings: Vec<InputError>,
    /// What keeps it from being deployed.
    pub problem: Option<Error>,
}

/// A variable that is set and that nothing reads.
#[derive(Debug, Clone, Default, Serialize)]
pub struct UnusedVariableRow {
    /// Its name.
    pub name: String,
    /// `unknown`, `renamed`, `refused`, `unsupported`, `met` (it asks for nothing, or for what is done anyway), `unnamed` or `unread`.
    pub state: &'static str,
    /// Where it is first set, as `/etc/kolla/globals.yml:12`.
    pub place: String,
    /// In how many more places it is set.
    pub more: usize,
    /// What Kolla-Ansible has it for, as `cinder`.
    pub topic: Option<&'static str>,
    /// The name that is meant, or that it has now.
    pub instead: Option<String>,
}

impl UnusedVariableRow {
    fn of(variable: &UnusedVariable) -> Self {
        let (topic, instead) = match &variable.fault {
            Fault::Unknown { near, .. } => (None, Some(near.clone())),
            Fault::Renamed { to, .. } => (None, Some(to.clone())),
            Fault::Met { topic } | Fault::Unsupported { topic } | Fault::Refused { topic, .. } => (Some(*topic), None),
            Fault::Unnamed | Fault::Unread => (None, None),
        };
        let place = Place { column: 0, ..variable.place.clone() }.to_string();
        let state = variable.fault.kind();
        Self { name: variable.name.clone(), state, place, more: variable.more, topic, instead }
    }
}

/// Loads everything and renders what can be rendered without a connection. `each`: variables that nothing reads are told one
/// by one, as an editor marks them, and not in a few lines.
///
/// # Errors
/// All input errors of all files; those in what is made of them are among what is found.
pub async fn validate(app: &App, each: bool) -> Result<Validated> {
    let loaded = Loaded::read(app).await?;
    // The whole site is valid or not; names that there are not would be refused by what follows.
    loaded.limit(app)?;
    loaded.tags(app)?;
    let hosts = loaded.site.hosts.len();
    let unused = loaded.unused_variables();
    let mut warnings = if each { unused.each() } else { unused.warnings() };
    let scopes = loaded.unasked(true);
    let (roles, others, problem) = match loaded.plan(&BTreeMap::new(), &scopes, &loaded.members()) {
        Ok(plan) => {
            let (roles, mut others) = (plan.roles(), loaded.other_warnings(&plan, &plan.lookups, usize::MAX));
            // It takes the most memory.
            drop(plan);
            let offline = loaded.offline_errors(&scopes);
            others.extend(offline.into_iter().map(|error| InputError {
                message: format!("`kolla genconfig --dir` would fail: {}", error.message),
                ..error
            }));
            (roles, others, None)
        }
        // Which files are read is not known then.
        Err(problem) => (Vec::new(), loaded.site.warnings(), Some(problem)),
    };
    warnings.extend(others);
    let variables = unused.0.iter().map(UnusedVariableRow::of).collect();
    Ok(Validated { hosts, roles, variables, warnings, problem })
}
