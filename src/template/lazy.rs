//! What the engine sees of a scope: the scope itself as a mapping, and lists and mappings whose elements are
//! rendered when they are asked for.

use std::fmt;
use std::sync::{Arc, OnceLock};

use minijinja::value::{DynObject, Enumerator, Object, ObjectRepr, ValueKind};
use minijinja::{Error, ErrorKind, State, Value};

use super::compiled::{CompiledValue, Form};
use super::failure;
use super::lookup::Omit;
use super::scope::{Scope, WeakScope};

/// The name under which filters find the scope they run in.
const SCOPE: &str = "\0scope";

/// A scope as the engine's top mapping; or, where the second is true, another host's, as `hostvars` gives it: what
/// that holds is the same from wherever it is asked.
pub(super) struct Root(Scope, bool);

impl fmt::Debug for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl Root {
    pub(super) fn value(scope: &Scope) -> Value {
        Value::from_object(Self(scope.clone(), false))
    }

    /// The scopes of all hosts by name.
    pub(super) fn hostvars(scope: &Scope) -> Value {
        Value::from_object(HostVars(scope.without_layer().downgrade()))
    }

    /// The scope that a filter or function runs in.
    pub(super) fn of(state: &State<'_, '_>) -> Result<Scope, Error> {
        let root = state.lookup(SCOPE).and_then(|value| value.downcast_object::<Self>());
        root.map(|root| root.0.clone())
            .ok_or_else(|| Error::new(ErrorKind::InvalidOperation, "only a site's variables can do this"))
    }
}

impl Object for Root {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        if key == SCOPE {
            return Some(Value::from_dyn_object(DynObject::new(self.clone())));
        }
        let found = if self.1 { self.0.lookup_from_afar(key) } else { self.0.lookup(key) };
        Some(match found? {
            // Undefined through another variable: as nothing at all it gets a name of its own in errors.
            Ok(value) if value.is_undefined() => return None,
            Ok(value) => value,
            Err(error) => Value::from(failure::wrap((*error).clone(), key)),
        })
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.0.names().into_iter().map(Value::from).collect())
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// `hostvars`.
struct HostVars(WeakScope);

impl fmt::Debug for HostVars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("hostvars")
    }
}

impl Object for HostVars {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let scope = self.0.upgrade()?;
        scope.other(key.as_str()?).map(|scope| Value::from_object(Root(scope, true)))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let names = self.0.upgrade().map(|scope| scope.shared().hosts.keys().cloned().collect::<Vec<_>>());
        Enumerator::Values(names.unwrap_or_default().into_iter().map(Value::from).collect())
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("hostvars")
    }
}

/// A list or mapping with templates in it.
pub(super) struct Lazy {
    part: Arc<CompiledValue>,
    scope: WeakScope,
    elements: Vec<OnceLock<Value>>,
}

impl fmt::Debug for Lazy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.part.label)
    }
}

impl Lazy {
    pub(super) fn value(part: &Arc<CompiledValue>, scope: &Scope) -> Value {
        let length = match &part.form {
            Form::Seq(parts) => parts.len(),
            Form::Map(parts) => parts.len(),
            _ => 0,
        };
        let elements = std::iter::repeat_with(OnceLock::new).take(length).collect();
        Value::from_object(Self { part: part.clone(), scope: scope.downgrade(), elements })
    }

    fn element(&self, index: usize) -> Option<Value> {
        let part = match &self.part.form {
            Form::Seq(parts) => parts.get(index)?,
            Form::Map(parts) => parts.get_index(index)?.1,
            _ => return None,
        };
        let slot = self.elements.get(index)?;
        if let Some(value) = slot.get() {
            return Some(value.clone());
        }
        let value = match self.scope.upgrade().map(|scope| scope.evaluate(part)) {
            Some(Ok(value)) => value,
            Some(Err(error)) => Value::from(failure::wrap(error, &self.part.label)),
            None => Value::from(Error::new(ErrorKind::InvalidOperation, "the site is gone")),
        };
        Some(slot.get_or_init(|| value).clone())
    }
}

impl Object for Lazy {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        if matches!(self.part.form, Form::Seq(_)) { ObjectRepr::Seq } else { ObjectRepr::Map }
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match &self.part.form {
            Form::Map(parts) => self.element(parts.get_index_of(key.as_str()?)?),
            _ => self.element(key.as_usize()?),
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        match &self.part.form {
            Form::Map(parts) => Enumerator::Values(parts.keys().map(|key| Value::from(key.as_str())).collect()),
            _ => Enumerator::Seq(self.elements.len()),
        }
    }
}

/// The value with everything in it rendered.
pub(super) fn settle(value: &Value) -> Result<Value, Error> {
    match value.kind() {
        // The engine's own way to say which value it was.
        ValueKind::Undefined => value.get_attr(""),
        ValueKind::Invalid => match Value::from(vec![value.clone()]).try_iter()?.checked().next() {
            Some(result) => result,
            None => Ok(value.clone()),
        },
        ValueKind::Seq | ValueKind::Iterable => {
            let kept = value.try_iter()?.filter(|item| !is_omitted(item));
            Ok(Value::from(kept.map(|item| settle(&item)).collect::<Result<Vec<_>, _>>()?))
        }
        ValueKind::Map if value.downcast_object_ref::<Root>().is_some() => Ok(value.clone()),
        ValueKind::Map => {
            let mut pairs = Vec::new();
            for key in value.try_iter()?.checked() {
                let key = key?;
                let item = value.get_item(&key)?;
                if !is_omitted(&item) {
                    pairs.push((key, settle(&item)?));
                }
            }
            Ok(Value::from_pairs(pairs))
        }
        _ if is_omitted(value) => Err(Error::new(ErrorKind::InvalidOperation, "`omit` stands for no value by itself")),
        _ => Ok(value.clone()),
    }
}

fn is_omitted(value: &Value) -> bool {
    value.downcast_object_ref::<Omit>().is_some()
}
