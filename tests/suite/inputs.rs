//! Broken inputs, through the program itself: exit code 2, exactly the expected words, and nothing written.
//!
//! Each folder of `tests/cases/inputs` is a config folder with the command line in `command` and what the program
//! says on stderr in `expected`. `KOLLA_BLESS=1` writes down what it says now: read it as an operator would.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Every file below a folder, with its content.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(std::fs::read_dir(&path).unwrap().flatten().map(|entry| entry.path()));
        } else {
            found.insert(path.strip_prefix(folder).unwrap().to_owned(), std::fs::read(&path).unwrap());
        }
    }
    found
}

#[test]
fn broken_inputs_are_refused_with_their_place_and_what_to_do() {
    let bless = std::env::var_os("KOLLA_BLESS").is_some();
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/inputs");
    let mut folders: Vec<PathBuf> = std::fs::read_dir(&cases).unwrap().flatten().map(|entry| entry.path()).collect();
    folders.sort();
    assert!(folders.len() >= 30);
    let mut wrong = String::new();
    for folder in folders {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        // A copy, so that a program that does write shows, and other tests see nothing of it.
        let copy = tempfile::tempdir().unwrap();
        let before = files(&folder);
        for (path, content) in &before {
            let path = copy.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        let state = tempfile::tempdir().unwrap();
        let command = String::from_utf8(before[Path::new("command")].clone()).unwrap();
        let output = run(copy.path(), state.path(), command.split_whitespace());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.code() != Some(2) {
            let _ = writeln!(wrong, "{name}: `kolla {}` ended with {}, said\n{said}", command.trim(), output.status);
        }
        if files(copy.path()) != before || !files(state.path()).is_empty() {
            let _ = writeln!(wrong, "{name}: files were written");
        }
        if !output.stdout.is_empty() {
            let _ = writeln!(wrong, "{name}: something was said on stdout");
        }
        let expected = folder.join("expected");
        if bless {
            std::fs::write(expected, &said).unwrap();
        } else if std::fs::read_to_string(&expected).unwrap_or_default() != said {
            let expected = std::fs::read_to_string(&expected).unwrap_or_default();
            let _ = writeln!(wrong, "{name}:\n--- expected\n{expected}--- said\n{said}");
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[allow(clippy::disallowed_types)]
fn run<'a>(folder: &Path, home: &Path, words: impl Iterator<Item = &'a str>) -> std::process::Output {
    std::process::Command::new(env!("CARGO_BIN_EXE_kolla"))
        // The cases are about the infrastructure: OpenStack's roles would each miss something, too.
        .args(["--configdir", ".", "-e", "enable_openstack_core=false"])
        .args(words)
        .current_dir(folder)
        .env_clear()
        .env("HOME", home)
        .env("USER", "operator")
        .env("XDG_STATE_HOME", home)
        .output()
        .unwrap()
}
