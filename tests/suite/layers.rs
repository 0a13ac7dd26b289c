//! Which module may know what: `docs` and reviews need not watch over it.

mod circles;
mod products;

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use regex::Regex;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Lowest first; modules of one layer do not import each other, except for the lowest one's.
const LAYERS: [&[&str]; 12] = [
    &["error", "examples", "source", "shell"],
    &["template"],
    &["site"],
    &["host"],
    &["op"],
    &["role"],
    &["plan"],
    &["run"],
    &["report"],
    &["lab", "image", "cloud"],
    &["app"],
    &["cli"],
];

/// What only the command line knows.
const OF_CLI: &str = r"\b(?:clap\w*|env::\w+|std::io::std\w+|Screen|ExitCode|exit_code)\b|\bprintln!";

/// A file of the library, without what is only there for tests.
struct Source {
    /// Its path in src, as `host/ssh.rs`.
    name: String,
    /// Its text without comments; as many lines as the file has, up to its tests.
    code: String,
}

impl Source {
    /// Its module, as `["host", "ssh"]`.
    fn module(&self) -> Vec<&str> {
        let path = self.name.trim_end_matches(".rs").trim_end_matches("/mod");
        if path == "lib" { Vec::new() } else { path.split('/').collect() }
    }

    fn layer(&self) -> &str {
        self.module().first().copied().unwrap_or_default()
    }
}

/// All files of the library but those of tests.
fn sources() -> Vec<Source> {
    let src = Path::new(ROOT).join("src");
    let mut files = Vec::new();
    rust_files(&src, &mut files);
    files.sort();
    let name = |path: &Path| path.strip_prefix(&src).unwrap().display().to_string();
    // The other program, and the start of this one.
    let own = |name: &String| !name.starts_with("bin/") && name != "main.rs" && !name.contains("tests");
    let names = files.iter().map(|path| name(path)).filter(own);
    names.map(|name| Source { code: code(&std::fs::read_to_string(src.join(&name)).unwrap()), name }).collect()
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// A text of Rust without comments and without the tests at its end.
fn code(text: &str) -> String {
    static TESTS: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"(?s)\n#\[cfg\(test\)\]\n(?:pub\(crate\) )?mod tests \{.*").unwrap());
    // Texts and letters first: a `//` in them begins no comment.
    static PARTS: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r##"(?s)(r#".*?"#|"(?:\\.|[^"\\])*"|'(?:\\[^']+|[^'\\])')|//[^\n]*|/\*.*?\*/"##).unwrap()
    });
    PARTS.replace_all(&TESTS.replace(text, "\n"), "$1").into_owned()
}

/// Entries of a list that can only get shorter: told is what is new, and what has gone.
fn compare(found: &[String], known: &[&str], new: &str) {
    let added: Vec<&String> = found.iter().filter(|entry| !known.contains(&entry.as_str())).collect();
    assert!(added.is_empty(), "{new}:\n{added:#?}");
    let gone: Vec<&&str> = known.iter().filter(|entry| !found.iter().any(|other| other == *entry)).collect();
    assert!(gone.is_empty(), "mended: take it out of the list of this test:\n{gone:#?}");
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|modules| modules.contains(&module))
}

fn may_import(module: &str, other: &str) -> bool {
    let (Some(mine), Some(theirs)) = (layer(module), layer(other)) else { return false };
    // A role is data about hosts that nobody has connected to.
    let forbidden = module == "role" && other == "host";
    !forbidden && (module == other || theirs < mine || (mine == 0 && theirs == 0))
}

/// Modules that a line of code names by `crate::`.
fn imports(line: &str) -> Vec<&str> {
    line.match_indices("crate::")
        .flat_map(|(at, found)| {
            let rest = &line[at + found.len()..];
            let name = |text: &'_ str| text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len());
            match rest.strip_prefix('{') {
                None => vec![&rest[..name(rest)]],
                Some(inner) => {
                    inner.split(',').map(str::trim).map(|part| &part[..name(part)]).filter(|n| !n.is_empty()).collect()
                }
            }
        })
        .collect()
}

#[test]
fn no_module_imports_from_above() {
    let mut wrong = Vec::new();
    let mut seen = 0;
    for source in sources().iter().filter(|source| !source.layer().is_empty()) {
        let (name, module) = (&source.name, source.layer());
        assert!(layer(module).is_some(), "src/{name}: `{module}` is in no layer; add it to this test and to lib.rs");
        for (index, line) in source.code.lines().enumerate() {
            for other in imports(line).into_iter().filter(|other| layer(other).is_some()) {
                seen += 1;
                if !may_import(module, other) {
                    wrong.push(format!("src/{name}:{}: {}", index + 1, line.trim()));
                }
            }
        }
    }
    assert!(seen > 100, "only {seen} imports were found: does this test still read the code?");
    assert!(wrong.is_empty(), "imports from above:\n{}", wrong.join("\n"));
}

#[test]
fn upward_imports_are_seen() {
    assert_eq!(imports("use crate::{plan::Plan, error::Error};"), ["plan", "error"]);
    assert_eq!(imports("    crate::host::LookRequest::default()"), ["host"]);
    assert!(!may_import("op", "plan") && !may_import("role", "host") && !may_import("lab", "image"));
    assert!(!may_import("app", "cli") && !may_import("cloud", "app"));
    assert!(may_import("cli", "error") && may_import("shell", "error") && may_import("op", "op"));
}

#[test]
fn what_can_be_embedded_knows_no_command_line() {
    let of_cli = Regex::new(OF_CLI).unwrap();
    let app: Vec<Source> = sources().into_iter().filter(|source| source.layer() == "app").collect();
    assert!(app.len() > 20, "only {} files were found", app.len());
    let mut wrong = Vec::new();
    for Source { name, code } in &app {
        let lines = code.lines().enumerate().filter(|(_, line)| of_cli.is_match(line));
        wrong.extend(lines.map(|(index, line)| format!("src/{name}:{}: {}", index + 1, line.trim())));
    }
    assert!(wrong.is_empty(), "only `cli` may know this:\n{}", wrong.join("\n"));
    for line in ["use clap::Args;", "std::env::var(x)", "at.screen: Arc<Screen>,", "error.exit_code()"] {
        assert!(of_cli.is_match(line), "{line}");
    }
}

#[test]
fn comments_and_tests_are_no_code() {
    let text = "//! One.\nlet a = \"http://b\"; // Two.\nlet c = ('\"', '/', '\\''); /* Three. */\n#[cfg(test)]\nmod tests {\n";
    assert_eq!(code(text), "\nlet a = \"http://b\"; \nlet c = ('\"', '/', '\\''); \n");
    assert_eq!(code("r#\"a // \"b\" \"# // c\n"), "r#\"a // \"b\" \"# \n");
}
