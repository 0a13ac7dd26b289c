//! Why a value could not be had.

use minijinja::Error;

use super::super::arguments::text_of;
use super::super::compiled::{Form, Spot};
use super::super::engine;
use super::super::failure::{self, Said};
use super::super::lazy::Root;
use super::Scope;
use crate::error::{InputError, Kind, Place, nearest};

impl Scope {
    /// The input error behind an engine's error in `text`, whose compiled part starts at `offset`.
    pub(in crate::template) fn explain_error(
        &self,
        error: &Error,
        text: &str,
        offset: usize,
        locate: &dyn Fn(usize, usize) -> Option<Place>,
    ) -> InputError {
        let said = failure::read(error);
        let word = match &said {
            Said::Undefined(what) => what.rsplit('.').next().unwrap_or_default(),
            _ => "",
        };
        let (line, column) = failure::position(error, text, offset, word);
        let place = locate(line, column);
        match said {
            Said::Failed(mut inner, variable) => {
                if inner.place.is_none() {
                    inner.place = place;
                } else if let Some(place) = place.filter(|place| inner.place.as_ref() != Some(place)) {
                    // Innermost errors come up level by level: each adds the place that used the one below.
                    inner.causes.insert(0, used(&variable, &place));
                }
                inner
            }
            Said::Undefined(what) if self.definition(&what).is_some() => {
                let mut inner = self.why_undefined(&what);
                if let Some(place) = place {
                    inner.causes.insert(0, used(&what, &place));
                }
                inner
            }
            Said::Undefined(what) => {
                let mut undefined = self.undefined(&what);
                undefined.place = place;
                undefined
            }
            Said::Unwritable(unwritable) => {
                // By whatever name the template has it, a secret is to be corrected where it is set.
                let is_it =
                    |name: &&String| self.get(name).is_ok_and(|value| text_of(&value) == unwritable.value.reveal());
                let mut named: Vec<&String> = self.shared.secrets.iter().filter(is_it).collect();
                named.sort();
                let written = failure::expression(error, text);
                let name = named.first().map_or(&written, |name| *name);
                let origin = self.explain(name).into_iter().next();
                let mut wrong = InputError::new(format!("`{name}` {unwritable}")).of(Kind::WrongValue);
                let Some(origin) = origin else {
                    wrong.place = place;
                    return wrong.hint("what is text of the syntax itself is printed by `| safe`");
                };
                wrong.causes.extend(place.map(|place| used(&written, &place)));
                wrong.at(origin.place).hint("write a value without it")
            }
            Said::Wrong(wrong) => InputError { place: wrong.place.clone().or(place), ..wrong },
        }
    }

    /// Why a variable that is set has no value: what its own template lacks.
    pub(super) fn why_undefined(&self, name: &str) -> InputError {
        match self.definition(name).map(|variable| (variable.compiled(), &variable.compiled().form)) {
            Some((part, Form::Text(text, _))) => self.why_empty(text, &part.spot()),
            _ => self.undefined(name),
        }
    }

    /// Why `{{ expression }}` gave nothing: printing it says.
    pub(super) fn why_empty(&self, text: &str, spot: &Spot<'_>) -> InputError {
        let locate = |line, column| Some(spot.inside(text, line, column));
        match engine::printing(text).and_then(|template| template.render(Root::value(self))) {
            Err(error) => self.explain_error(&error, &engine::prepared(text), 0, &locate),
            Ok(_) => InputError::new(format!("`{text}` has no value")).of(Kind::UndefinedVariable).at(spot.place()),
        }
    }

    /// The error of an undefined name or expression.
    pub(super) fn undefined(&self, what: &str) -> InputError {
        if what.is_empty() {
            return InputError::new("undefined value")
                .of(Kind::UndefinedVariable)
                .hint("test it with `is defined`, or give it a `default`");
        }
        let error = InputError::new(format!("undefined variable `{what}`")).of(Kind::UndefinedVariable);
        if (what.starts_with("facts.") || what.starts_with("ansible_facts")) && !self.knows_facts() {
            let host = self.host_name().unwrap_or("the host");
            return InputError::new(format!("`{what}` is undefined"))
                .of(Kind::UndefinedVariable)
                .hint(format!("facts of {host} are not known: run where the host can be reached"));
        }
        if !what.chars().all(|c| c.is_alphanumeric() || c == '_') {
            return InputError::new(format!("`{what}` is undefined"))
                .of(Kind::UndefinedVariable)
                .hint("test it with `is defined`, or give it a `default`");
        }
        if self.shared.secrets.contains(what) {
            return error.hint(format!("add a line `{what}:` to passwords.yml and run `kolla genpwd`"));
        }
        if self.shared.documented.contains(what) {
            return error.hint(format!("set `{what}` in globals.yml"));
        }
        let names = self.names();
        let Some(near) = nearest(what, names.iter().map(String::as_str)) else {
            return error.hint(format!("set `{what}` in globals.yml"));
        };
        match self.explain(near).first() {
            Some(origin) => {
                let place = Place { column: 0, ..origin.place.clone() };
                error.hint(format!("`{near}` is defined in {place}"))
            }
            None => error.hint(format!("did you mean `{near}`?")),
        }
    }
}

/// A step on the way from what is asked for to what failed.
fn used(variable: &str, place: &Place) -> String {
    if variable.is_empty() { format!("used at {place}") } else { format!("`{variable}` is used at {place}") }
}
