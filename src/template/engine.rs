//! The environments templates run in, and what was compiled in them.
//!
//! Compiled forms depend on nothing but the text, so they are kept for the life of the process and shared by
//! all hosts and sites: a site's variables are compiled once, not once a host.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, OnceLock, RwLock};

use foldhash::HashMap as FastMap;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::ValueKind;
use minijinja::{
    AutoEscape, Environment, Error, ErrorKind, Expression, State, Template, UndefinedBehavior, Value, escape_formatter,
};

use super::arguments::text_of;
use super::lazy::settle;
use super::print::print;
use super::{filters, lookup, methods, optional_paths};
use crate::shell::syntax::Syntax;

/// A text of YAML in the form it is evaluated in.
pub(super) enum Text {
    /// No template in it.
    Plain,
    /// `{{ expression }}` alone, which keeps its type; and where the expression starts.
    Expression(Expression<'static, 'static>, usize),
    /// Text around templates.
    Template(Template<'static, 'static>),
}

/// Templates are named by the syntax of their file and their own text under this mark, so that the loader needs no
/// registry and an `include` of some file name finds nothing.
const NAME: &str = "text:";

/// How a template is read, which Ansible lets its first line choose.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Settings {
    trim: bool,
    lstrip: bool,
    /// Start and end of blocks, of variables and of comments.
    delimiters: [String; 6],
}

impl Default for Settings {
    fn default() -> Self {
        Self { trim: true, lstrip: false, delimiters: ["{%", "%}", "{{", "}}", "{#", "#}"].map(str::to_owned) }
    }
}

/// The environments that were asked for: a handful.
static ENVIRONMENTS: LazyLock<RwLock<HashMap<Settings, &'static Environment<'static>>>> =
    LazyLock::new(RwLock::default);

/// Each distinct text, compiled.
static TEXTS: LazyLock<RwLock<FastMap<Box<str>, Arc<Text>>>> = LazyLock::new(RwLock::default);

/// How a template file is read and written.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) struct Manner {
    /// It is merged with others.
    pub(super) merged: bool,
    /// The syntax that values are written in; as they are where there is none.
    pub(super) syntax: Option<Syntax>,
}

/// Template files by path, and what is made of them.
type Files = HashMap<(PathBuf, Manner), Arc<File>>;

/// How many template files were compiled.
static NUMBER: AtomicUsize = AtomicUsize::new(0);

/// The last text of each template file, compiled.
static FILES: LazyLock<RwLock<Files>> = LazyLock::new(RwLock::default);

thread_local! {
    /// How many values the template that runs on this thread has printed, and the last one.
    static PRINTED: RefCell<(usize, Value)> = const { RefCell::new((0, Value::UNDEFINED)) };
}

/// The template's name, which says what is written.
fn name(syntax: Option<Syntax>, text: &str) -> String {
    format!("{NAME}{}:{text}", syntax.map_or("", Syntax::name))
}

/// The syntax of the file whose template runs; none in the value of a variable.
pub(super) fn syntax(state: &State<'_, '_>) -> Option<Syntax> {
    Syntax::named(state.name().strip_prefix(NAME)?.split_once(':')?.0)
}

/// A compiled template file.
pub(super) struct File {
    /// No other one has it.
    pub(super) number: usize,
    source: Box<str>,
    /// Its template.
    pub(super) template: Template<'static, 'static>,
    /// Lines before the template proper: 1 where a `#jinja2:` line was taken off.
    pub(super) skipped: usize,
}

fn environment(settings: &Settings) -> Result<&'static Environment<'static>, Error> {
    if let Some(known) = ENVIRONMENTS.read().ok().and_then(|known| known.get(settings).copied()) {
        return Ok(known);
    }
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    // Makes errors name the undefined variable and carry the place.
    environment.set_debug(true);
    environment.set_auto_reload(false);
    environment.set_loader(|name| {
        Ok(name.strip_prefix(NAME).and_then(|name| name.split_once(':')).map(|(_, text)| text.to_owned()))
    });
    environment.set_unknown_method_callback(methods::call);
    environment.set_formatter(|out, state, value| {
        if let Some(syntax) = syntax(state) {
            let data = syntax.has_json() && !value.is_undefined() && value.kind() != ValueKind::String;
            let data = if data { Some(filters::json::of(&settle(value)?)?) } else { None };
            return print(syntax, value, data, out);
        }
        // Nothing prints as nothing; only inside of something else it is `None`.
        if value.is_none() {
            return Ok(());
        }
        PRINTED.with_borrow_mut(|printed| *printed = (printed.0 + 1, value.clone()));
        match value.kind() {
            ValueKind::Number if !value.is_integer() => Ok(out.write_str(&text_of(value))?),
            _ => escape_formatter(out, state, value),
        }
    });
    let [block, block_end, variable, variable_end, comment, comment_end] = settings.delimiters.clone();
    let syntax = SyntaxConfig::builder()
        .block_delimiters(block, block_end)
        .variable_delimiters(variable, variable_end)
        .comment_delimiters(comment, comment_end)
        .trim_blocks(settings.trim)
        .lstrip_blocks(settings.lstrip)
        .keep_trailing_newline(true)
        .build()?;
    environment.set_syntax(syntax);
    filters::add(&mut environment);
    lookup::add(&mut environment);
    optional_paths::add(&mut environment);
    let environment: &'static Environment<'static> = Box::leak(Box::new(environment));
    if let Ok(mut known) = ENVIRONMENTS.write() {
        known.insert(settings.clone(), environment);
    }
    Ok(environment)
}

/// The environment of values in YAML, and of template files that ask for nothing else.
fn standard() -> Result<&'static Environment<'static>, Error> {
    static STANDARD: OnceLock<&'static Environment<'static>> = OnceLock::new();
    if let Some(known) = STANDARD.get() {
        return Ok(known);
    }
    let made = environment(&Settings::default())?;
    Ok(STANDARD.get_or_init(|| made))
}

/// What a template makes: where it prints one value and nothing else, that value, and where it prints nothing at all,
/// nothing.
pub(super) fn render(template: &Template<'_, '_>, root: Value) -> Result<Value, Error> {
    let outer = PRINTED.replace((0, Value::UNDEFINED));
    let rendered = template.render(root);
    let (count, value) = PRINTED.replace(outer);
    let text = rendered?;
    Ok(match count {
        0 if text.is_empty() => Value::from(()),
        1 if value.kind() != ValueKind::String => {
            if text == text_of(&value) {
                value
            } else {
                Value::from(text)
            }
        }
        _ => Value::from(text),
    })
}

/// A text of role.yml that is a whole file.
pub(super) fn content(text: &str, syntax: Syntax) -> Result<Template<'static, 'static>, Error> {
    bounded(text)?;
    standard()?.get_template(&name(Some(syntax), &prepared(text.strip_suffix('\n').unwrap_or(text))))
}

/// What was made of a template, with at least as many line breaks at its end as that has.
pub(super) fn with_end(made: String, source: &str) -> String {
    let breaks = |text: &str| {
        text.bytes().rev().take_while(|byte| matches!(byte, b'\n' | b'\r')).filter(|byte| *byte == b'\n').count()
    };
    let missing = breaks(source).saturating_sub(breaks(&made));
    made + &"\n".repeat(missing)
}

/// The text of a value as it is compiled.
pub(super) fn prepared(text: &str) -> String {
    optional_paths::soften(&escaped(text)).into_owned()
}

/// The text with what Ansible does to the values of variables: a backslash in a text between `{{` and `}}` is one, and
/// starts no escape.
fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    let mut rest = text;
    while let Some(at) = rest.find('{') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let end = if rest.starts_with("{#") {
            rest.find("#}").map_or(rest.len(), |end| end + 2)
        } else if rest.starts_with("{%") {
            let end = rest.find("%}").map_or(rest.len(), |end| end + 2);
            let raw = rest[2..end.max(2)].trim_matches(['-', '+', '%', '}', ' ']) == "raw";
            if raw { rest.find("endraw").unwrap_or(rest.len()) } else { end }
        } else if rest.starts_with("{{") {
            let length = escape_strings(rest, &mut out);
            rest = &rest[length..];
            continue;
        } else {
            1
        };
        out.push_str(&rest[..end]);
        rest = &rest[end..];
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// Copies up to the `}}` with backslashes in strings doubled; gives the length of what was read.
fn escape_strings(text: &str, out: &mut String) -> usize {
    let mut quote = None;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match quote {
            None if text[at..].starts_with("}}") => return at,
            None if matches!(c, '\'' | '"') => quote = Some(c),
            Some(open) if c == open => quote = None,
            Some(open) if c == '\\' => {
                out.push('\\');
                match chars.next_if(|(_, next)| *next == open || *next == '\\') {
                    Some((_, next)) => out.extend(['\\', '\\', next]),
                    None => out.push('\\'),
                }
                continue;
            }
            _ => {}
        }
        out.push(c);
    }
    text.len()
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
    // As Jinja, without a last line break: `with_end` puts it behind what is text again.
    let compiled = Arc::new(compile(&prepared(text.strip_suffix('\n').unwrap_or(text)))?);
    if let Ok(mut texts) = TEXTS.write() {
        texts.insert(text.into(), compiled.clone());
    }
    Ok(compiled)
}

fn compile(text: &str) -> Result<Text, Error> {
    bounded(text)?;
    let inner = text.strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}"));
    if let Some(inner) = inner {
        let inner = inner.strip_suffix(['-', '+']).unwrap_or(inner);
        let stripped = inner.strip_prefix(['-', '+']).unwrap_or(inner);
        // `{{ a }} and {{ b }}` also starts and ends so, but what is between is no expression.
        if let Ok(expression) = standard()?.compile_expression_owned(stripped.to_owned()) {
            return Ok(Text::Expression(expression, 2 + inner.len() - stripped.len()));
        }
    }
    standard()?.get_template(&name(None, text)).map(Text::Template)
}

fn bounded(text: &str) -> Result<(), Error> {
    if optional_paths::is_endless(text) {
        let why = "an expression has too many parts: make variables of some of them";
        return Err(Error::new(ErrorKind::SyntaxError, why));
    }
    Ok(())
}

/// The compiled form of a template file with this text. One that is merged with others takes the white space before
/// blocks away, and its strings are read as those of variables, as Kolla-Ansible has it.
///
/// # Errors
/// With the text that was compiled, and how many lines of the file were left out before it.
pub(super) fn file(path: &Path, source: &str, manner: Manner) -> Result<Arc<File>, (Error, String, usize)> {
    let key = (path.to_owned(), manner);
    let known = FILES.read().ok().and_then(|files| files.get(&key).cloned());
    if let Some(known) = known.filter(|known| *known.source == *source) {
        return Ok(known);
    }
    let mut settings = Settings { lstrip: manner.merged, ..Settings::default() };
    let (mut skipped, mut rest) = (0, source);
    if let Some(line) = source.strip_prefix("#jinja2:") {
        let (line, after) = line.split_once('\n').unwrap_or((line, ""));
        for (name, value) in line.split(',').filter_map(|setting| setting.split_once(':')) {
            settings.set(name.trim(), value.trim());
        }
        (skipped, rest) = (1, after);
    }
    let rest = rest.replace("\r\n", "\n");
    let rest = rest.strip_suffix('\n').unwrap_or(&rest);
    let rest = if manner.merged { escaped(rest) } else { Cow::Borrowed(rest) };
    // Of a file with signs of its own neither is known.
    let usual = settings.delimiters == Settings::default().delimiters;
    let checked = if usual { bounded(&rest) } else { Ok(()) };
    let rest = if usual { optional_paths::soften(&rest) } else { rest.clone() };
    let environment = checked.and_then(|()| environment(&settings));
    let template = environment.and_then(|environment| environment.get_template(&name(manner.syntax, &rest)));
    let template = template.map_err(|error| (error, rest.into_owned(), skipped))?;
    let compiled =
        Arc::new(File { number: NUMBER.fetch_add(1, Ordering::Relaxed), source: source.into(), template, skipped });
    if let Ok(mut files) = FILES.write() {
        files.insert(key, compiled.clone());
    }
    Ok(compiled)
}

impl Settings {
    /// One setting of a `#jinja2:` line; others have no meaning here.
    fn set(&mut self, name: &str, value: &str) {
        const DELIMITERS: [&str; 6] = [
            "block_start_string",
            "block_end_string",
            "variable_start_string",
            "variable_end_string",
            "comment_start_string",
            "comment_end_string",
        ];
        match name {
            "trim_blocks" => self.trim = value.eq_ignore_ascii_case("true"),
            "lstrip_blocks" => self.lstrip = value.eq_ignore_ascii_case("true"),
            _ => {
                if let Some(index) = DELIMITERS.iter().position(|known| *known == name) {
                    value.trim_matches(['\'', '"']).clone_into(&mut self.delimiters[index]);
                }
            }
        }
    }
}

/// The same text as a template that prints, which says what of it is undefined.
pub(super) fn printing(text: &str) -> Result<Template<'static, 'static>, Error> {
    standard()?.get_template(&name(None, &prepared(text.strip_suffix('\n').unwrap_or(text))))
}
