//! Of modules beside each other, none needs itself in the end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use regex::Regex;

use super::{Source, compare, sources};

/// Circles that are there: the parent, and the modules under it that need each other.
const KNOWN: [&str; 1] = [
    // It is in the nature of templates: what is evaluated calls filters and `lookup`, these look into variables of the scope,
    // and the value of a variable is a template that is evaluated once it is looked into.
    "template: compiled engine filters lazy lookup scope shared",
];

static TEXTS: LazyLock<Regex> = LazyLock::new(|| Regex::new(r##"(?s)r#".*?"#|"(?:\\.|[^"\\])*""##).unwrap());
static USES: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\b(pub(?:\(\w+\))?\s+)?use\s+([^;]+);").unwrap());
static PATHS: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\b(?:crate|super|self)(?:::\w+)+").unwrap());

type Path = Vec<String>;

/// The paths of a tree of imports, each with the name that it gets: of `a::{b, c as d}` `a::b` with `b` and `a::c` with `d`.
fn imports(tree: &str) -> Vec<(String, String)> {
    let Some((before, rest)) = tree.split_once('{') else {
        let (path, name) = tree.split_once(" as ").unwrap_or((tree, tree.rsplit("::").next().unwrap_or(tree)));
        let path = path.trim().trim_end_matches("::self");
        return if path.is_empty() { Vec::new() } else { vec![(path.to_owned(), name.trim().to_owned())] };
    };
    let inner = rest.trim_end().strip_suffix('}').unwrap_or(rest);
    let (mut parts, mut depth) = (vec![String::new()], 0);
    for letter in inner.chars() {
        depth += i32::from(letter == '{') - i32::from(letter == '}');
        if letter == ',' && depth == 0 {
            parts.push(String::new());
        } else if let Some(part) = parts.last_mut() {
            part.push(letter);
        }
    }
    let before = before.trim();
    let whole = |(path, name): (String, String)| match path.as_str() {
        "self" => (before.trim_end_matches("::").to_owned(), name),
        _ => (format!("{before}{path}"), name),
    };
    parts.iter().flat_map(|part| imports(part)).map(whole).collect()
}

/// All modules, and names that one has from a module under it.
#[derive(Default)]
struct Modules {
    all: BTreeSet<Path>,
    exports: BTreeMap<(Path, String), Path>,
}

impl Modules {
    fn of(sources: &[Source]) -> Self {
        let all = sources.iter().map(path).collect();
        let mut modules = Self { all, ..Self::default() };
        for source in sources {
            let from = path(source);
            for found in USES.captures_iter(&source.code).filter(|found| found.get(1).is_some()) {
                for (path, name) in imports(&found[2]) {
                    let to = modules.resolve(&path, &from).filter(|to| to.len() > from.len() && to.starts_with(&from));
                    modules.exports.extend(to.map(|to| ((from.clone(), name), to)));
                }
            }
        }
        modules
    }

    /// The module that a path leads to: the one that it names, or that has what it names.
    fn resolve(&self, path: &str, from: &Path) -> Option<Path> {
        let mut parts = path.split("::").map(str::trim).peekable();
        let mut at = from.clone();
        if parts.next_if_eq(&"crate").is_some() {
            at.clear();
        } else if parts.next_if_eq(&"self").is_none() && parts.peek() != Some(&"super") {
            // Else it is a crate.
            let child: Path = from.iter().cloned().chain(parts.peek().map(|part| (*part).to_owned())).collect();
            self.all.get(&child)?;
        }
        while parts.next_if_eq(&"super").is_some() {
            at.pop();
        }
        for part in parts {
            at.push(part.to_owned());
            if !self.all.contains(&at) {
                at.pop();
                return Some(self.exports.get(&(at.clone(), part.to_owned())).cloned().unwrap_or(at));
            }
        }
        Some(at)
    }
}

fn path(source: &Source) -> Path {
    source.module().into_iter().map(str::to_owned).collect()
}

/// For each parent, which module directly under it needs which other one.
type Edges = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

fn edges(sources: &[Source]) -> Edges {
    let modules = Modules::of(sources);
    let mut edges = Edges::new();
    for source in sources {
        let (from, code) = (path(source), TEXTS.replace_all(&source.code, ""));
        let used = USES.captures_iter(&code).flat_map(|found| imports(&found[2])).map(|(path, _)| path);
        let named = used.chain(PATHS.find_iter(&code).map(|found| found.as_str().to_owned()));
        for to in named.filter_map(|path| modules.resolve(&path, &from)) {
            let shared = from.iter().zip(&to).take_while(|(one, other)| one == other).count();
            // A child may use its parent, and a parent its child.
            if let (Some(one), Some(other)) = (from.get(shared), to.get(shared)) {
                let siblings = edges.entry(to[..shared].join("::")).or_default();
                siblings.entry(one.clone()).or_default().insert(other.clone());
            }
        }
    }
    edges
}

/// All that a module needs, and what that needs in turn.
fn needs<'a>(module: &'a str, edges: &'a BTreeMap<String, BTreeSet<String>>) -> BTreeSet<&'a str> {
    let (mut found, mut left) = (BTreeSet::new(), vec![module]);
    while let Some(next) = left.pop() {
        let new = edges.get(next).into_iter().flatten().map(String::as_str).filter(|other| found.insert(*other));
        left.extend(new);
    }
    found
}

/// Modules that need each other, as `host: session ssh`.
fn circles(edges: &Edges) -> Vec<String> {
    let mut found = BTreeSet::new();
    for (parent, siblings) in edges {
        let all: BTreeMap<&str, BTreeSet<&str>> =
            siblings.keys().map(|module| (module.as_str(), needs(module, siblings))).collect();
        for (module, needed) in all.iter().filter(|(module, needed)| needed.contains(*module)) {
            let back = |other: &&&str| all.get(**other).is_some_and(|needed| needed.contains(module));
            let circle: Vec<&str> = needed.iter().filter(back).copied().collect();
            found.insert(format!("{parent}: {}", circle.join(" ")));
        }
    }
    found.into_iter().collect()
}

#[test]
fn no_two_modules_need_each_other() {
    let edges = edges(&sources());
    let count: usize = edges.values().flat_map(BTreeMap::values).map(BTreeSet::len).sum();
    assert!(count > 300, "only {count} imports were found: does this test still read the code?");
    compare(&circles(&edges), &KNOWN, "these modules need each other: move what they share into a module of its own");
}

#[test]
fn circles_are_seen() {
    let source = |name: &str, code: &str| Source { name: name.into(), code: code.into() };
    let found = |b: &str| {
        circles(&edges(&[
            source("lib.rs", "pub mod x;"),
            source("x/mod.rs", "mod a;\nmod b;\nmod c;\npub use a::{A, One as Other};\nuse b::B;"),
            source("x/a.rs", "use super::X;\nuse super::{b::{self, B}};"),
            source("x/b.rs", b),
            source("x/c.rs", "fn c() { crate::x::b::d::d() }"),
            source("x/b/d.rs", "use super::B;\nuse a::A;"),
        ]))
    };
    for allowed in ["", "use super::X;", "const S: &str = \"super::a\";", "use d::D;", "use super::One;"] {
        assert_eq!(found(allowed), Vec::<String>::new(), "{allowed}");
    }
    for wrong in ["fn b(a: &super::a::A) {}", "use crate::x::a as e;", "use super::{A, X};", "use super::Other;"] {
        assert_eq!(found(wrong), ["x: a b"], "{wrong}");
    }
    assert_eq!(found("use super::c;"), ["x: b c"]);
}
