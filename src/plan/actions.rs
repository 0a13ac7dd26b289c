//! The plan of an action: what a role says of it, for the hosts that it is for.

use std::collections::BTreeMap;

use super::builder::{Builder, Input};
use super::instance::Instance;
use super::overrides::Searched;
use super::phase::{ACTION, RECOVERY};
use super::steps::no_service;
use super::{Phase, Plan, Selection, ordered};
use crate::error::{Error, InputError, Kind, Result, nearest};
use crate::op::action::Action as Op;
use crate::op::probe::Probe;
use crate::role::{Action, Does, On, Role, Roles};
use crate::source::Node;
use crate::template::{Value, Values};

/// An action that an operator asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Call {
    /// The role.
    pub role: String,
    /// Its action.
    pub action: String,
    /// Values by the names of its arguments.
    pub arguments: Vec<(String, String)>,
    /// The host that is meant.
    pub to: Option<String>,
}

impl Call {
    /// What is asked for, as its role has it.
    ///
    /// # Errors
    /// A role, an action or an argument that there is not, one that is missing, and one that is not as it must be.
    pub fn find<'a>(&self, roles: &'a Roles) -> Result<(&'a Role, &'a Action)> {
        let with_actions = || roles.0.values().filter(|role| !role.actions.is_empty()).map(|role| role.name.as_str());
        let Some(role) = roles.0.get(&self.role) else {
            return unknown(
                format!("there is no role `{}`", self.role),
                &self.role,
                &with_actions().collect::<Vec<_>>(),
            );
        };
        let Some(action) = role.actions.get(&self.action) else {
            let names: Vec<&str> = role.actions.keys().map(String::as_str).collect();
            return unknown(format!("role {} has no action `{}`", role.name, self.action), &self.action, &names);
        };
        let mut errors = Vec::new();
        let mut wrong = |message: String, kind: Kind| errors.push(InputError::new(message).of(kind));
        for (name, value) in &self.arguments {
            match action.arguments.iter().find(|(known, _)| known == name) {
                None => wrong(format!("{} has no argument `{name}`", self.action), Kind::UnknownName),
                Some((_, pattern)) if !pattern.is_match(value) => {
                    wrong(format!("`{name}` is `{value}`, and must match {pattern}"), Kind::WrongValue);
                }
                Some(_) => {}
            }
        }
        for (name, _) in
            action.arguments.iter().filter(|(name, _)| !self.arguments.iter().any(|(given, _)| given == name))
        {
            wrong(format!("{} wants the argument `{name}`: write {name}=VALUE", self.action), Kind::MissingKey);
        }
        match (&self.to, action.on) {
            (None, On::Host) => {
                wrong(format!("{} is for one host: name it with `--to`", self.action), Kind::MissingKey);
            }
            (Some(_), On::First | On::Every) => {
                wrong(format!("{} is not for a host of your choice: leave out `--to`", self.action), Kind::Usage);
            }
            _ => {}
        }
        if errors.is_empty() { Ok((role, action)) } else { Err(Error::Input(errors)) }
    }

    /// What of a plan it is.
    ///
    /// # Errors
    /// It cannot be asked for so.
    pub fn phase(&self, roles: &Roles) -> Result<&'static Phase> {
        Ok(match self.find(roles)?.1.does {
            Does::Command(_) => &ACTION,
            Does::Recovers => &RECOVERY,
        })
    }
}

fn unknown<T>(message: String, name: &str, names: &[&str]) -> Result<T> {
    let hint = match nearest(name, names.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if names.is_empty() => "it has none".to_owned(),
        None => format!("name one of {}", names.join(", ")),
    };
    Err(InputError::new(message).of(Kind::UnknownName).hint(hint).into())
}

/// The plan of an action: one host after the other, and their containers one after the other.
pub(super) fn plan(input: &Input<'_>, call: &Call) -> Result<Plan> {
    let (role, action) = call.find(input.roles)?;
    let overrides = Searched::new(input.overrides);
    let (mut builder, enabled) = Builder::prepared(input, &overrides)?;
    if !enabled.iter().any(|other| other.name == role.name) {
        let error = InputError::new(format!("role {} is not enabled", role.name)).of(Kind::UnknownName);
        return Err(error.hint("`kolla do` lists the actions of roles that are").into());
    }
    let phase = format!("do {} {}", call.role, call.action);
    let command = match &action.does {
        Does::Command(command) => command,
        Does::Recovers => {
            let of_role = Selection { tags: vec![role.name.clone()], ..Selection::default() };
            return Ok(Plan { phase, ..Plan::whole(input)?.select(&RECOVERY, &of_role) });
        }
    };
    let Some(service) = role.services.get(&action.service) else {
        return Err(no_service(role, &action.node, &action.service).into());
    };
    let mut hosts = builder.hosts_of(&service.group);
    match (&call.to, action.on) {
        (Some(to), _) if !hosts.contains(to) => {
            let message = format!("{to} is no host of the group {}, or does not answer", service.group);
            return Err(InputError::new(message)
                .of(Kind::UnknownName)
                .hint(format!("hosts: {}", hosts.join(", ")))
                .into());
        }
        (Some(to), _) => hosts.retain(|host| host == to),
        // Of those of `first`, a run takes one where it can be done.
        (None, _) => {}
    }
    let mut last = None;
    for host in hosts {
        let used_by = format!("action {} on {host}", call.action);
        let ops = builder.values(role, &host, used_by, |values| {
            let instances = Instance::all(service, values);
            let op = |instance: &Instance<'_>| {
                instance.with(values, |values| operation(action, command, call, instance, values))
            };
            instances.iter().map(op).collect::<Vec<_>>()
        });
        for op in ops {
            last = Some(builder.add(&host, &role.name, op, last));
        }
    }
    let Builder { nodes, errors, .. } = builder;
    if !errors.is_empty() {
        return Err(Error::Input(errors));
    }
    Ok(Plan { phase, nodes: ordered(nodes)?, ..Plan::default() })
}

fn operation(action: &Action, command: &Node, call: &Call, instance: &Instance<'_>, values: &mut Values<'_>) -> Op {
    let arguments: BTreeMap<&str, &str> = call.arguments.iter().map(|(name, value)| (&**name, &**value)).collect();
    let arguments = Value::from(minijinja::value::Serde(arguments));
    values.with(vec![("arguments".to_owned(), arguments)], |values| Op {
        name: call.action.clone(),
        container: instance.container.clone(),
        command: values.words(command),
        guard: action.guard.as_ref().map(|node| Probe::resolve(Some(node), values)),
        done: action.done.as_ref().map(|node| Probe::resolve(Some(node), values)),
    })
}
