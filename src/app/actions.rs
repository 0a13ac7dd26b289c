//! What the services of a site can be asked to do.

use super::Loaded;
use crate::error::{Error, Kind, Result};
use crate::plan::Call;
use crate::role::On;
use crate::source::Node;

/// An action that can be asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offered {
    /// The role.
    pub role: String,
    /// Its name.
    pub action: String,
    /// The command that does it, too.
    pub alias: Option<String>,
    /// One sentence.
    pub about: String,
    /// On which hosts it is done.
    pub on: On,
    /// Names of its arguments.
    pub arguments: Vec<String>,
    /// It loses data.
    pub loses_data: bool,
}

/// The actions of the enabled roles, or of one of them.
///
/// # Errors
/// A role that is not enabled.
pub fn offered(loaded: &Loaded, role: Option<&str>) -> Result<Vec<Offered>> {
    let mut roles = loaded.enabled()?;
    if let Some(name) = role {
        roles.retain(|role| role.name == name);
        if roles.is_empty() {
            let error = Error::input(format!("there is no enabled role `{name}`")).of(Kind::UnknownName);
            return Err(error.with_hint("`kolla do` lists the actions of all"));
        }
    }
    let all = roles.into_iter().flat_map(|role| role.actions.iter().map(move |(name, action)| (role, name, action)));
    let offered = all.map(|(role, name, action)| Offered {
        role: role.name.clone(),
        action: name.clone(),
        alias: action.alias.as_ref().and_then(Node::as_str).map(str::to_owned),
        about: action.about.clone(),
        on: action.on,
        arguments: action.arguments.iter().map(|(name, _)| name.clone()).collect(),
        loses_data: action.loses_data,
    });
    Ok(offered.collect())
}

/// Whether what is asked for loses data.
///
/// # Errors
/// It cannot be asked for so.
pub fn loses_data(loaded: &Loaded, call: &Call) -> Result<bool> {
    Ok(call.find(&loaded.roles)?.1.loses_data)
}
