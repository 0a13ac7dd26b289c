//! The environments templates run in, and what was compiled in them.
//!
//! Compiled forms depend on nothing but the text, so they are kept for the life of the process and shared by
//! all hosts and sites: a site's variables are compiled once, not once a host.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, RwLock};

use minijinja::syntax::SyntaxConfig;
use minijinja::{AutoEscape, Environment, Error, Expression, Template, UndefinedBehavior};

use super::{filters, lookup};

/// A text of YAML in the form it is evaluated in.
pub(super) enum Text {
    /// No template in it.
    Plain,
    /// `{{ expression }}` alone, which keeps its type; and where the expression starts.
    Expression(Expression<'static, 'static>, usize),
    /// Text around templates.
    Template(Template<'static, 'static>),
}

/// Templates are named by their own text under this mark, so that the loader needs no registry and an `include`
/// of some file name finds nothing.
const NAME: &str = "text:";

/// Environments by `trim_blocks` and `lstrip_blocks`, which Ansible lets a template's first line choose.
static ENVIRONMENTS: [LazyLock<Environment<'static>>; 4] = [
    LazyLock::new(|| environment(false, false)),
    LazyLock::new(|| environment(false, true)),
    LazyLock::new(|| environment(true, false)),
    LazyLock::new(|| environment(true, true)),
];

/// Each distinct text, compiled.
static TEXTS: LazyLock<RwLock<HashMap<Box<str>, Arc<Text>>>> = LazyLock::new(RwLock::default);

/// The last text of each template file, compiled.
static FILES: LazyLock<RwLock<HashMap<PathBuf, Arc<File>>>> = LazyLock::new(RwLock::default);

/// A compiled template file.
pub(super) struct File {
    source: Box<str>,
    /// Its template.
    pub(super) template: Template<'static, 'static>,
    /// Lines before the template proper: 1 where a `#jinja2:` line was taken off.
    pub(super) skipped: usize,
}

fn environment(trim: bool, lstrip: bool) -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    // Makes errors name the undefined variable and carry the place.
    environment.set_debug(true);
    environment.set_auto_reload(false);
    environment.set_loader(|name| Ok(name.strip_prefix(NAME).map(str::to_owned)));
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    if let Ok(syntax) =
        SyntaxConfig::builder().trim_blocks(trim).lstrip_blocks(lstrip).keep_trailing_newline(true).build()
    {
        environment.set_syntax(syntax);
    }
    filters::add(&mut environment);
    lookup::add(&mut environment);
    environment
}

/// The environment of values in YAML, and of template files that ask for nothing else.
pub(super) fn standard() -> &'static Environment<'static> {
    &ENVIRONMENTS[2]
}

/// The text's compiled form.
pub(super) fn text(text: &str) -> Result<Arc<Text>, Error> {
    if !text.contains("{{") && !text.contains("{%") && !text.contains("{#") {
        static PLAIN: LazyLock<Arc<Text>> = LazyLock::new(|| Arc::new(Text::Plain));
        return Ok(PLAIN.clone());
    }
    if let Some(known) = TEXTS.read().ok().and_then(|texts| texts.get(text).cloned()) {
        return Ok(known);
    }
    let compiled = Arc::new(compile(text)?);
    if let Ok(mut texts) = TEXTS.write() {
        texts.insert(text.into(), compiled.clone());
    }
    Ok(compiled)
}

fn compile(text: &str) -> Result<Text, Error> {
    let inner = text.strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}"));
    if let Some(inner) = inner {
        let inner = inner.strip_suffix(['-', '+']).unwrap_or(inner);
        let stripped = inner.strip_prefix(['-', '+']).unwrap_or(inner);
        // `{{ a }} and {{ b }}` also starts and ends so, but what is between is no expression.
        if let Ok(expression) = standard().compile_expression_owned(stripped.to_owned()) {
            return Ok(Text::Expression(expression, 2 + inner.len() - stripped.len()));
        }
    }
    standard().get_template(&format!("{NAME}{text}")).map(Text::Template)
}

/// The compiled form of a template file with this text.
pub(super) fn file(path: &Path, source: &str) -> Result<Arc<File>, (Error, usize)> {
    let known = FILES.read().ok().and_then(|files| files.get(path).cloned());
    if let Some(known) = known.filter(|known| *known.source == *source) {
        return Ok(known);
    }
    let (mut trim, mut lstrip, mut skipped, mut rest) = (true, false, 0, source);
    if let Some(settings) = source.strip_prefix("#jinja2:") {
        let (line, after) = settings.split_once('\n').unwrap_or((settings, ""));
        for (name, value) in line.split(',').filter_map(|setting| setting.split_once(':')) {
            let value = value.trim().eq_ignore_ascii_case("true");
            match name.trim() {
                "trim_blocks" => trim = value,
                "lstrip_blocks" => lstrip = value,
                _ => {}
            }
        }
        (skipped, rest) = (1, after);
    }
    let environment = &*ENVIRONMENTS[usize::from(trim) * 2 + usize::from(lstrip)];
    let template = environment.get_template(&format!("{NAME}{rest}")).map_err(|error| (error, skipped))?;
    let compiled = Arc::new(File { source: source.into(), template, skipped });
    if let Ok(mut files) = FILES.write() {
        files.insert(path.to_owned(), compiled.clone());
    }
    Ok(compiled)
}

/// The same text as a template that prints, which says what of it is undefined.
pub(super) fn printing(text: &str) -> Result<Template<'static, 'static>, Error> {
    standard().get_template(&format!("{NAME}{text}"))
}
