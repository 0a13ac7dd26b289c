//! What a service is on one host: one container, or one for each element of its `each`.

use super::place::Place;
use crate::error::{InputError, Kind};
use crate::host::ReadOnly;
use crate::op::names;
use crate::role::Service;
use crate::source::Node;
use crate::template::values::text_of;
use crate::template::{Value, Values};

/// One container of a service on a host.
pub(super) struct Instance<'a> {
    pub(super) service: &'a Service,
    /// The service's name, and behind it what tells this one from others of the host.
    pub(super) name: String,
    /// The same of the container's name.
    pub(super) container: String,
    /// The element that it is for.
    item: Option<Value>,
}

impl<'a> Instance<'a> {
    fn new(service: &'a Service, item: Option<Value>) -> Self {
        let (mut name, mut container) = (service.name.clone(), service.container.clone());
        let suffix = item.as_ref().map(suffix).unwrap_or_default();
        if !suffix.is_empty() {
            name = format!("{name}-{suffix}");
            container = names::instance(&container, &suffix);
        }
        Self { service, name, container, item }
    }

    /// Those of a service on the host with these eyes; none where the host is not meant.
    pub(super) fn all(service: &'a Service, values: &mut Values<'_>) -> Vec<Self> {
        let Some(each) = &service.each else {
            let wanted = values.flag(service.when.as_ref(), true);
            return wanted.then(|| Self::new(service, None)).into_iter().collect();
        };
        let Some(list) = values.some_value(each) else { return Vec::new() };
        // The letters of a text are no list.
        let items = list.try_iter().ok().filter(|_| list.as_str().is_none());
        let Some(items) = items.map(Iterator::collect::<Vec<Value>>) else {
            values.fail(each, "`each` must be a list");
            return Vec::new();
        };
        let mut found: Vec<Self> = Vec::new();
        for item in items {
            let instance = Self::new(service, Some(item));
            let wanted = instance.with(values, |values| values.flag(service.when.as_ref(), true));
            let named = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
            if !instance.name.chars().all(named) {
                let message =
                    format!("`{}` is no name of a container: letters, digits, `.`, `_` and `-` are", instance.name);
                let error = InputError::new(message).of(Kind::RoleRule).at(values.document.place(each));
                values.note(error.hint("give the element a `name`"));
                continue;
            }
            if found.iter().any(|other| other.name == instance.name) {
                let message = format!("two elements of `each` are called `{}`", instance.name);
                let error = InputError::new(message).of(Kind::RoleRule).at(values.document.place(each));
                values.note(error.hint("an element is a name, or a mapping with a `name`"));
            } else if wanted {
                found.push(instance);
            }
        }
        found
    }

    /// Runs `read` with the eyes of this one, which see its `item`.
    pub(super) fn with<T>(&self, values: &mut Values<'_>, read: impl FnOnce(&mut Values<'_>) -> T) -> T {
        let Some(item) = &self.item else { return read(values) };
        let used_by = format!("{} ({})", values.used_by, self.name);
        values.with(vec![("item".to_owned(), item.clone())], |values| {
            values.used_by = used_by;
            read(values)
        })
    }

    /// A program in this one, as its host sees it.
    pub(super) fn place(&self, host: &str, command: &Node, values: &mut Values<'_>) -> Place {
        let program = ReadOnly::declared(values.words(command));
        Place { host: host.to_owned(), container: self.container.clone(), program }
    }
}

/// What tells an element from others: its `name`, or itself.
fn suffix(item: &Value) -> String {
    let name = item.get_attr("name").unwrap_or_default();
    if name.is_undefined() { text_of(item) } else { text_of(&name) }
}
