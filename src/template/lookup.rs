//! The functions of templates: `lookup`, `query`.

use std::path::Path;
use std::sync::Arc;

use minijinja::value::{Kwargs, Object, ObjectRepr, Rest, ValueKind, ValueOrKwargs, from_args};
use minijinja::{Environment, Error, ErrorKind, State, Value};

use super::arguments::{entries, items};
use super::failure::wrap;
use super::filters;
use super::lazy::Root;
use super::scope::Scope;
use crate::error::{InputError, Kind, nearest};

/// The lookups there are.
const KINDS: &[&str] = &["dict", "env", "file", "fileglob", "first_found", "items", "list", "password", "vars"];

pub(super) fn add(environment: &mut Environment<'static>) {
    environment.add_function("lookup", |state: &State<'_, '_>, kind: &str, rest: Rest<ValueOrKwargs>| {
        let mut found = lookup(state, kind, rest)?;
        Ok::<_, Error>(match found.len() {
            0 if kind == "fileglob" => Value::from(found),
            0 => Value::from(()),
            1 => found.remove(0),
            _ => Value::from(found),
        })
    });
    for name in ["query", "q"] {
        environment.add_function(name, lookup);
    }
    // Leaves out what it stands for.
    environment.add_global("omit", Value::from_object(Omit));
}

/// `omit`: an item or entry with this value is none.
#[derive(Debug)]
pub(super) struct Omit;

impl Object for Omit {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }
}

fn wrong(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message.into())
}

fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    wrong(format!("cannot read {}: {error}", path.display()))
}

/// What a lookup finds for all its terms.
fn lookup(state: &State<'_, '_>, kind: &str, rest: Rest<ValueOrKwargs>) -> Result<Vec<Value>, Error> {
    let kind = kind.strip_prefix("ansible.builtin.").unwrap_or(kind);
    let args = rest.into_values();
    let (terms, named): (&[Value], Kwargs) = from_args(&args)?;
    let scope = Root::of(state)?;
    if terms.is_empty() {
        return Err(wrong(format!("`lookup('{kind}')` needs a name")));
    }
    let ignored = named.get::<Option<String>>("errors")?.is_some_and(|errors| errors == "ignore");
    let mut found = Vec::new();
    for term in terms {
        match one(&scope, kind, term, &named) {
            Ok(values) => found.extend(values),
            Err(_) if ignored => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// The password that a file keeps, as Ansible wrote it there: `WORD salt=SALT ident=IDENT`. It may be wanted as a hash.
///
/// None is made where there is none: what a plan says must not depend on which run was the first.
fn kept_password(scope: &Scope, term: &str, named: &Kwargs) -> Result<String, Error> {
    let mut words: Vec<&str> = term.split(' ').collect();
    let said = |name: &str| Ok::<_, Error>(named.get::<Option<Value>>(name)?.map(|value| value.to_string()));
    let (mut scheme, mut asked) = (said("encrypt")?, said("ident")?);
    // Options stand behind the path, too, which may have spaces.
    while let Some((name, value)) = words.last().filter(|_| words.len() > 1).and_then(|word| word.split_once('=')) {
        match name {
            "encrypt" => scheme = Some(value.to_owned()),
            "ident" => asked = Some(value.to_owned()),
            "length" | "chars" | "seed" => {}
            _ => return Err(wrong(format!("`lookup('password')` knows no `{name}`"))),
        }
        words.pop();
    }
    let path = scope.shared().folder.join(words.join(" "));
    let hint = "no password is made here: add it to passwords.yml and run `kolla genpwd`, or write it to the file";
    let text = match std::fs::read_to_string(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(unreadable(&path, &error)),
        text => text.unwrap_or_default(),
    };
    let text = text.trim_end();
    if text.is_empty() {
        return Err(wrap(InputError::new(format!("there is no password in {}", path.display())).hint(hint), ""));
    }
    let (word, salt) = text.rsplit_once(" salt=").map_or((text, None), |(word, salt)| (word, Some(salt)));
    let (salt, ident) = match salt.and_then(|salt| salt.split_once(" ident=")) {
        Some((salt, ident)) => (Some(salt), Some(ident.to_owned())),
        None => (salt, None),
    };
    scope.shared().mask.learn(word);
    match scheme.filter(|scheme| !scheme.is_empty()) {
        None => Ok(word.to_owned()),
        Some(scheme) => {
            let ident = asked.or(ident).unwrap_or_else(|| filters::IDENT.to_owned());
            filters::password_hash(word, &scheme, salt.map(str::to_owned), None, &ident)
        }
    }
}

/// What it finds for one.
fn one(scope: &Scope, kind: &str, term: &Value, named: &Kwargs) -> Result<Vec<Value>, Error> {
    let name = term.to_string();
    let default: Option<Value> = named.get("default")?;
    Ok(match kind {
        "file" => {
            let path = scope.shared().folder.join(&name);
            let strip = |flag: &str, usual: bool| Ok::<_, Error>(named.get::<Option<bool>>(flag)?.unwrap_or(usual));
            match (std::fs::read_to_string(&path), default) {
                (Ok(text), _) => {
                    let text = if strip("rstrip", true)? { text.trim_end() } else { &text };
                    vec![Value::from(if strip("lstrip", false)? { text.trim_start() } else { text })]
                }
                (Err(_), Some(default)) => vec![default],
                (Err(error), None) => return Err(unreadable(&path, &error)),
            }
        }
        "fileglob" => {
            let pattern = scope.shared().folder.join(&name).display().to_string();
            let paths = glob::glob(&pattern).map_err(|error| wrong(format!("bad pattern `{pattern}`: {error}")))?;
            let files = paths.flatten().filter(|path| path.is_file());
            files.map(|path| Value::from(path.display().to_string())).collect()
        }
        "vars" => match (scope.raw(&name), default) {
            (Err(_), Some(default)) if !scope.has(&name) => vec![default],
            (found, _) => vec![found.map_err(|error| wrap(error, &name))?],
        },
        "env" => match scope.shared().environment.get(&name) {
            Some(value) => vec![Value::from(value.as_str())],
            None => vec![default.unwrap_or_else(|| Value::from(""))],
        },
        "items" if matches!(term.kind(), ValueKind::Seq | ValueKind::Iterable) => items(term)?,
        "list" | "items" => vec![term.clone()],
        "dict" => {
            let pair = |(key, value)| Value::from_pairs([("key", key), ("value", value)]);
            entries(term)?.into_iter().map(pair).collect()
        }
        "first_found" => {
            let candidates = if term.as_str().is_some() { vec![term.clone()] } else { items(term)? };
            let mut paths = candidates.iter().map(|name| scope.shared().folder.join(name.to_string()));
            match paths.find(|path| path.exists()) {
                Some(path) => vec![Value::from(path.display().to_string())],
                None => return Err(wrong(format!("none of {term} is there"))),
            }
        }
        "pipe" => return Err(wrong("no command is run for a value: pass what it prints with `-e`")),
        "password" => vec![Value::from(kept_password(scope, &name, named)?)],
        other => {
            let hint = match nearest(other, KINDS.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("use one of {}", KINDS.join(", ")),
            };
            return Err(wrap(InputError::new(format!("unknown lookup `{other}`")).of(Kind::Template).hint(hint), ""));
        }
    })
}
