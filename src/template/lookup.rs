//! The functions of templates: `lookup`, `query`.

use minijinja::value::{Rest, ValueOrKwargs, from_args};
use minijinja::{Environment, Error, ErrorKind, State, Value};

use super::failure::wrap;
use super::lazy::Root;

pub(super) fn add(environment: &mut Environment<'static>) {
    environment.add_function("lookup", lookup);
    environment.add_function("query", |state: &State<'_, '_>, kind: &str, rest: Rest<ValueOrKwargs>| {
        lookup(state, kind, rest).map(|value| Value::from(vec![value]))
    });
}

fn lookup(state: &State<'_, '_>, kind: &str, rest: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let wrong = |message: String| Error::new(ErrorKind::InvalidOperation, message);
    let args = rest.into_values();
    let (args, named): (&[Value], minijinja::value::Kwargs) = from_args(&args)?;
    let Some(what) = args.first() else {
        return Err(wrong(format!("`lookup('{kind}')` needs a name")));
    };
    let default: Option<Value> = named.get("default")?;
    let scope = Root::of(state)?;
    match kind {
        "file" => {
            let path = scope.shared().folder.join(what.to_string());
            match std::fs::read_to_string(&path) {
                Ok(text) => Ok(Value::from(text.trim_end())),
                Err(error) => default.ok_or_else(|| wrong(format!("cannot read {}: {error}", path.display()))),
            }
        }
        "vars" => match scope.raw(&what.to_string()) {
            Err(_) if default.is_some() && !scope.has(&what.to_string()) => Ok(default.unwrap_or_default()),
            found => found.map_err(|error| wrap(error, &what.to_string())),
        },
        "env" => Err(wrong(format!("the environment is not read: pass the value with `-e {what}=...`"))),
        other => Err(wrong(format!("unknown lookup `{other}`: use `file` or `vars`"))),
    }
}
