//! Each module imports only from the layers under its own: `docs` and reviews need not watch over it.

use std::path::{Path, PathBuf};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Lowest first; modules of one layer do not import each other, except for the lowest one's.
const LAYERS: [&[&str]; 11] = [
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
    &["cli"],
];

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
    let line = line.trim_start();
    if line.starts_with("//") {
        return Vec::new();
    }
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

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn no_module_imports_from_above() {
    let src = Path::new(ROOT).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    let mut wrong = Vec::new();
    let mut seen = 0;
    for path in files {
        let name = path.strip_prefix(&src).unwrap().display().to_string();
        let module = name.split('/').next().unwrap().trim_end_matches(".rs").to_owned();
        // The other program, the two roots, and tests may use what they like.
        if module == "bin" || module == "main" || module == "lib" || name.ends_with("tests.rs") {
            continue;
        }
        assert!(layer(&module).is_some(), "src/{name}: `{module}` is in no layer; add it to this test and to lib.rs");
        let text = std::fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        for (index, line) in code.lines().enumerate() {
            for other in imports(line).into_iter().filter(|other| layer(other).is_some()) {
                seen += 1;
                if !may_import(&module, other) {
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
    assert_eq!(imports("    crate::host::Ask::default()"), ["host"]);
    assert!(!may_import("op", "plan") && !may_import("role", "host") && !may_import("lab", "image"));
    assert!(may_import("cli", "error") && may_import("shell", "error") && may_import("op", "op"));
}
