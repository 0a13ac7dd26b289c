//! The variables of one host, rendered on first use.

mod explain;
mod shaped;
mod unset;

use std::cell::{Cell, RefCell};
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Weak};

use foldhash::HashMap as FastMap;
use minijinja::Value;
use minijinja::value::ValueKind;

use super::compiled::{self, CompiledValue, Form, Spot};
use super::engine::{self, Manner, Text};
use super::failure::{self, Said};
use super::lazy::{Lazy, Root, settle};
use super::shared::{Affected, Memo, Outcome, Reach, Shared, Variable};
use super::{Origin, Sourced, layer, print, trace};
use crate::error::{InputError, Kind, Place};
use crate::shell::syntax::Syntax;
use crate::source::{Data, Document, Node};
use unset::is_special;

/// How deep variables may stand in each other. Deeper is a mistake, and each level takes stack.
const DEEPEST: usize = 48;

/// The variables of one host. Cheap to clone.
#[derive(Clone)]
pub struct Scope {
    shared: Arc<Shared>,
    host: usize,
    child: Option<Arc<Child>>,
}

/// A further layer over a host's variables.
struct Child {
    vars: FastMap<String, Value>,
    /// The names of `vars`, sorted.
    names: String,
    affected: Affected,
    memo: Memo,
}

impl Child {
    fn affects(&self, name: &str) -> bool {
        self.affected.as_ref().is_none_or(|names| names.contains(name))
    }
}

/// A scope that values kept inside it can hold.
#[derive(Clone)]
pub(super) struct WeakScope {
    shared: Weak<Shared>,
    host: usize,
    child: Option<Weak<Child>>,
}

impl WeakScope {
    pub(super) fn upgrade(&self) -> Option<Scope> {
        let child = match &self.child {
            Some(child) => Some(child.upgrade()?),
            None => None,
        };
        Some(Scope { shared: self.shared.upgrade()?, host: self.host, child })
    }
}

thread_local! {
    /// How far the value under evaluation reaches, so far.
    static REACH: Cell<Reach> = const { Cell::new(Reach::Site) };
    /// Parts under evaluation on this thread: their address, their scope's, and their label.
    static CHAIN: RefCell<Vec<(usize, usize, String)>> = const { RefCell::new(Vec::new()) };
}

fn narrow(reach: Reach) {
    REACH.set(REACH.get().max(reach));
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Its variables may be secret.
        write!(f, "Scope({})", self.host_name().unwrap_or("no host"))
    }
}

impl Scope {
    pub(super) fn root(shared: &Arc<Shared>, host: usize) -> Self {
        Self { shared: shared.clone(), host, child: None }
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(super) fn downgrade(&self) -> WeakScope {
        WeakScope {
            shared: Arc::downgrade(&self.shared),
            host: self.host,
            child: self.child.as_ref().map(Arc::downgrade),
        }
    }

    /// The scope of another host of the site.
    pub(super) fn other(&self, host: &str) -> Option<Self> {
        let index = self.shared.hosts.get_index_of(host)?;
        Some(Self { shared: self.shared.clone(), host: index, child: None })
    }

    /// The same host without a further layer.
    pub(super) fn without_layer(&self) -> Self {
        Self { child: None, ..self.clone() }
    }

    /// The host's name.
    pub(super) fn host_name(&self) -> Option<&str> {
        self.shared.hosts.get_index(self.host).map(|(name, _)| name.as_str())
    }

    /// A variable's value, rendered in depth.
    ///
    /// # Errors
    /// When no layer sets it, or its value cannot be rendered: then at the place of what fails.
    pub fn get(&self, name: &str) -> Result<Value, InputError> {
        let value = self.raw(name)?;
        settle(&value).map_err(|error| self.explain_error(&error, "", 0, &|_, _| None))
    }

    /// What is read of variables, and whether it is the same on every host of the site.
    pub fn reaching<T>(read: impl FnOnce() -> T) -> (T, bool) {
        let outer = REACH.replace(Reach::Site);
        let found = read();
        let reach = REACH.replace(outer);
        (found, reach == Reach::Site)
    }

    /// A variable's value; lists and mappings as they are.
    pub(super) fn raw(&self, name: &str) -> Result<Value, InputError> {
        match self.lookup(name) {
            Some(Ok(value)) if value.is_undefined() => Err(self.why_undefined(name)),
            Some(Ok(value)) => Ok(value),
            Some(Err(error)) => Err((*error).clone()),
            None => Err(self.undefined(name)),
        }
    }

    /// Some layer sets the variable.
    pub fn has(&self, name: &str) -> bool {
        if self.shared.varies(name) {
            narrow(Reach::Host);
        }
        self.child.as_ref().is_some_and(|child| child.vars.contains_key(name))
            || self.special(name).is_some()
            || self.definition(name).is_some()
    }

    /// A value of any shape, rendered in depth; `"{{ x }}"` alone keeps the type of `x`.
    pub fn eval(&self, document: &Document, node: &Node) -> Result<Value, InputError> {
        Ok(match &node.data {
            Data::Null => Value::from(()),
            Data::Bool(value) => Value::from(*value),
            Data::Int(value) => Value::from(*value),
            Data::Float(value) => Value::from(*value),
            Data::Str(text) if node.verbatim => Value::from(text.as_str()),
            Data::Str(text) => {
                let spot = Spot::of(document, node, false);
                let compiled = engine::text(text).map_err(|error| compiled::syntax(&error, text, &spot))?;
                if matches!(*compiled, Text::Plain) {
                    return Ok(Value::from(text.as_str()));
                }
                self.once_for_site("text", text, || {
                    let value = self.run(text, &compiled, &spot)?;
                    if value.is_undefined() {
                        return Err(self.why_empty(text, &spot));
                    }
                    settle(&value).map_err(|error| self.explain_error(&error, text, 0, &|_, _| Some(spot.place())))
                })?
            }
            Data::Seq(items) => {
                items.iter().map(|item| self.eval(document, item)).collect::<Result<Vec<_>, _>>()?.into()
            }
            Data::Map(entries) => {
                let pair = |(key, entry): (&String, &crate::source::Entry)| {
                    Ok((key.clone(), self.eval(document, &entry.value)?))
                };
                Value::from_pairs(entries.iter().map(pair).collect::<Result<Vec<_>, InputError>>()?)
            }
        })
    }

    /// Renders a template file's text, as Ansible's module `template` does. Errors stand at a line and column of it, or of
    /// the variable that failed.
    pub fn render(&self, file: &Path, source: &str) -> Result<String, InputError> {
        self.render_as(file, source, Manner::default())
    }

    /// As [`Scope::render`], for a text that is merged with others, as Kolla-Ansible's `merge_configs` does.
    pub fn render_merged(&self, file: &Path, source: &str) -> Result<String, InputError> {
        self.render_as(file, source, Manner { merged: true, syntax: None })
    }

    /// Renders the template of a file in a syntax, which what it prints is written in.
    pub fn render_in(
        &self,
        syntax: Option<Syntax>,
        merged: bool,
        file: &Path,
        source: &str,
    ) -> Result<String, InputError> {
        self.render_as(file, source, Manner { merged, syntax })
    }

    /// As [`Scope::render_in`], of a file that stands in another one.
    pub fn eval_in(&self, syntax: Syntax, document: &Document, node: &Node) -> Result<String, InputError> {
        let text = node.as_str().unwrap_or_default();
        let spot = Spot::of(document, node, false);
        let compiled = engine::content(text, syntax).map_err(|error| compiled::syntax(&error, text, &spot))?;
        let made = print::write(&compiled, Root::value(self), Some(syntax)).map_err(|error| {
            self.explain_error(&error, &engine::prepared(text), 0, &|line, column| {
                Some(spot.inside(text, line, column))
            })
        })?;
        Ok(engine::with_end(made, text))
    }

    /// From which line of the source each line of what it was rendered to comes; `None` where that cannot be told.
    pub fn traced(&self, syntax: Option<Syntax>, merged: bool, source: &str, rendered: &str) -> Option<Vec<usize>> {
        // Under a name of its own: what is compiled is kept by name.
        let marked = self.render_in(syntax, merged, Path::new("traced"), &trace::marked(source)?).ok()?;
        let (text, lines) = trace::read(&marked, source);
        (text == rendered).then_some(lines)
    }

    fn render_as(&self, file: &Path, source: &str, manner: Manner) -> Result<String, InputError> {
        let compiled = engine::file(file, source, manner).map_err(|(error, text, skipped)| {
            let (line, column) = failure::position(&error, &text, 0, "");
            match failure::read(&error) {
                Said::Wrong(wrong) | Said::Failed(wrong, _) => {
                    wrong.at(Place::within(file, source, line + skipped, column))
                }
                Said::Undefined(what) => self.undefined(&what),
                Said::Unwritable(unwritable) => InputError::new(unwritable.to_string()),
            }
        })?;
        let at = |line, column| Some(Place::within(file, source, line + compiled.skipped, column));
        let text = compiled.template.source();
        let rendered = self.once_for_site("file", &compiled.number.to_string(), || {
            let rendered = print::write(&compiled.template, Root::value(self), manner.syntax);
            let rendered = rendered.map_err(|error| self.explain_error(&error, text, 0, &at))?;
            Ok(Value::from(engine::with_end(rendered, source)))
        })?;
        Ok(rendered.as_str().unwrap_or_default().to_owned())
    }

    /// Evaluates a text once for all hosts, where nothing that it was made from depends on a host. A list of all
    /// hosts that every host has would else take a time that grows with their square.
    fn once_for_site(
        &self,
        kind: &str,
        text: &str,
        evaluate: impl FnOnce() -> Result<Value, InputError>,
    ) -> Result<Value, InputError> {
        // Under another layer other names are defined.
        let layer = self.child.as_ref().map_or("", |child| child.names.as_str());
        let key = format!("{kind} {layer}\0{text}");
        if let Some(Ok(known)) = self.shared.texts.get(&key) {
            return Ok(known);
        }
        let outer = REACH.replace(Reach::Site);
        let value = evaluate();
        let reach = REACH.replace(outer.max(REACH.get()));
        // Nothing that holds a scope: the scopes hold what is kept here.
        let plain = |value: &Value| {
            matches!(value.kind(), ValueKind::None | ValueKind::Bool | ValueKind::Number | ValueKind::String)
        };
        if let (Ok(value), Reach::Site) = (&value, reach)
            && plain(value)
        {
            self.shared.texts.put(&key, Ok(value.clone()));
        }
        value
    }

    /// The same variables under one more layer, the highest.
    #[must_use]
    pub fn with(&self, vars: Vec<(String, Value)>) -> Self {
        let mut all = self.child.as_ref().map(|child| child.vars.clone()).unwrap_or_default();
        all.extend(vars);
        let affected = self.shared.affected(all.keys().cloned().collect());
        let mut names: Vec<&str> = all.keys().map(String::as_str).collect();
        names.sort_unstable();
        let child = Child { names: names.join(" "), vars: all, affected, memo: Memo::default() };
        Self { child: Some(Arc::new(child)), ..self.clone() }
    }

    /// What a variable's value is written as, where it counts; none of what no file says.
    pub fn written(&self, name: &str) -> Option<&Sourced> {
        let layers = [&self.shared.top.layers, &self.shared.host(self.host).table.layers, &self.shared.base.layers];
        layers.into_iter().find_map(|layers| layers.iter().rev().find_map(|layer| layer.vars.get(name)))
    }

    /// Every layer that sets the variable, the winner first.
    pub fn explain(&self, name: &str) -> Vec<Origin> {
        let host = self.shared.host(self.host);
        let layers = self.shared.base.layers.iter().chain(&host.table.layers).chain(&self.shared.top.layers);
        let setting: Vec<_> = layers.filter_map(|layer| Some((layer, layer.vars.get(name)?))).collect();
        let secret = setting.iter().any(|(layer, sourced)| layer.secret || sourced.document.hides(&sourced.node));
        setting.into_iter().rev().map(|(layer, sourced)| layer::origin(layer, sourced, secret)).collect()
    }

    /// Names of all variables, sorted; without those of the engine's own, as `groups` and `facts`.
    pub fn names(&self) -> Vec<String> {
        let shared = &self.shared;
        let tables = shared.base.names().chain(shared.host(self.host).table.names()).chain(shared.top.names());
        let child = self.child.iter().flat_map(|child| child.vars.keys().map(String::as_str));
        let mut names: Vec<String> = tables.chain(child).map(str::to_owned).collect();
        names.sort();
        names.dedup();
        names
    }

    /// As [`Scope::lookup`], for another host that is named: the value depends on that name alone.
    pub(super) fn lookup_from_afar(&self, name: &str) -> Option<Outcome> {
        let outer = REACH.get();
        let found = self.lookup(name);
        REACH.set(outer);
        found
    }

    /// What the engine finds under a name; `None` where nothing sets it.
    pub(super) fn lookup(&self, name: &str) -> Option<Outcome> {
        if let Some(value) = self.child.as_ref().and_then(|child| child.vars.get(name)) {
            narrow(Reach::Layer);
            return Some(Ok(value.clone()));
        }
        if let Some(value) = self.special(name) {
            return Some(Ok(value));
        }
        let varies = self.shared.varies(name);
        let definition = self.definition(name);
        if let Some(fact) = definition.is_none().then(|| self.injected(name)).flatten() {
            return Some(Ok(fact));
        }
        let Some(variable) = definition.or_else(|| self.shared.default(name)) else {
            // Another host may have it.
            narrow(if varies || is_special(name) { Reach::Host } else { Reach::Site });
            return None;
        };
        let part = variable.compiled();
        if let Form::Value(value) = &part.form {
            narrow(if varies { Reach::Host } else { Reach::Site });
            return Some(Ok(value.clone()));
        }
        if let Some(known) = self.known(name, varies) {
            return Some(known);
        }
        let outer = REACH.replace(if varies { Reach::Host } else { Reach::Site });
        let outcome = self.evaluate(part).map_err(Arc::new);
        let reach = REACH.replace(outer.max(REACH.get()));
        match (&self.child, reach) {
            (Some(child), Reach::Layer) => child.memo.put(name, outcome.clone()),
            (Some(child), _) if child.affects(name) => child.memo.put(name, outcome.clone()),
            (_, Reach::Site) => self.shared.memo.put(name, outcome.clone()),
            _ => self.shared.host(self.host).memo.put(name, outcome.clone()),
        }
        Some(outcome)
    }

    /// A value that was evaluated before and holds here.
    fn known(&self, name: &str, varies: bool) -> Option<Outcome> {
        if let Some(child) = &self.child {
            if let Some(known) = child.memo.get(name) {
                narrow(Reach::Layer);
                return Some(known);
            }
            if child.affects(name) {
                return None;
            }
        }
        if let Some(known) = self.shared.host(self.host).memo.get(name) {
            narrow(Reach::Host);
            return Some(known);
        }
        if varies { None } else { self.shared.memo.get(name) }
    }

    fn definition(&self, name: &str) -> Option<&Arc<Variable>> {
        let shared = &self.shared;
        shared.top.get(name).or_else(|| shared.host(self.host).table.get(name)).or_else(|| shared.base.get(name))
    }

    /// A compiled part's value; a list or mapping with templates stays lazy.
    pub(super) fn evaluate(&self, part: &Arc<CompiledValue>) -> Result<Value, InputError> {
        let (text, compiled) = match &part.form {
            Form::Value(value) => return Ok(value.clone()),
            Form::Failed(error) => return Err((**error).clone()),
            Form::Empty => {
                let place = part.spot().place();
                let hint = format!("fill it with `kolla genpwd --passwords {}`", place.file.display());
                return Err(InputError::new(format!("`{}` is empty", part.label))
                    .of(Kind::EmptySecret)
                    .at(place)
                    .hint(hint));
            }
            Form::Seq(_) | Form::Map(_) => {
                narrow(if self.child.is_some() { Reach::Layer } else { Reach::Host });
                return Ok(Lazy::value(part, self));
            }
            Form::Text(text, compiled) => (text, compiled),
        };
        let key = (Arc::as_ptr(part) as usize, self.identity());
        let looped = CHAIN.with_borrow_mut(|chain| {
            let start = chain.iter().position(|(part, scope, _)| (*part, *scope) == key);
            let looped =
                start.map(|start| chain[start..].iter().map(|(_, _, label)| label.clone()).collect::<Vec<_>>());
            let looped = looped.or_else(|| (chain.len() >= DEEPEST).then(Vec::new));
            if looped.is_none() {
                chain.push((key.0, key.1, part.label.clone()));
            }
            looped
        });
        let spot = part.spot();
        match looped {
            None => {
                let result = self.run(text, compiled, &spot);
                CHAIN.with_borrow_mut(Vec::pop);
                result.map_err(|error| {
                    let here = (spot.document.file(), spot.line);
                    let own = error.place.as_ref().is_some_and(|place| (&place.file, place.line) == (&here.0, here.1));
                    if own { compiled::of_secret(error, &part.label, spot.secret) } else { error }
                })
            }
            Some(labels) if labels.is_empty() => Err(InputError::new(format!(
                "variables stand in each other more than {DEEPEST} deep at `{}`",
                part.label
            ))
            .of(Kind::Cycle)
            .at(spot.place())),
            Some(mut labels) => {
                labels.push(part.label.clone());
                Err(InputError::new(format!("recursive: {}", labels.join(" -> ")))
                    .of(Kind::Cycle)
                    .at(spot.place())
                    .hint(format!("give one of them a value of its own, as `{}` in globals.yml", labels[0])))
            }
        }
    }

    /// Two scopes with the same identity see the same values.
    fn identity(&self) -> usize {
        self.child.as_ref().map_or(self.host, |child| Arc::as_ptr(child) as usize)
    }

    fn run(&self, text: &str, compiled: &Text, spot: &Spot<'_>) -> Result<Value, InputError> {
        let (result, offset) = match compiled {
            Text::Plain => return Ok(Value::from(text)),
            Text::Expression(expression, offset) => (expression.eval(Root::value(self)), *offset),
            Text::Template(template) => (engine::render(template, Root::value(self)), 0),
        };
        let result = result.map(|value| match value.as_str() {
            Some(made) if text.ends_with('\n') => Value::from(engine::with_end(made.to_owned(), text)),
            // What prints as it is, is for the file that prints it to say.
            Some(made) if value.is_safe() => Value::from(made),
            _ => value,
        });
        result.map_err(|error| {
            self.explain_error(&error, &engine::prepared(text), offset, &|line, column| {
                Some(spot.inside(text, line, column))
            })
        })
    }
}
