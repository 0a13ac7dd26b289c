//! Inventories and host patterns mean what they mean to Ansible, whose answers are recorded beside each case.
//!
//! A folder of `tests/cases/inventory` holds inventories, those to read in `sources` (one a line; else `hosts`), what
//! it is about, and in `expected.json` Ansible's answer, written there by `tests/oracle/inventory.py`. A second line of
//! `about` says where the program and Ansible part: `refused: WORDS` of its message; `accepted: WHY`, where Ansible
//! refuses; `differs: WHY`.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use kolla::error::Error;
use kolla::site::{Listing, VaultKeys};
use serde_json::{Value, json};

fn cases() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases")
}

fn recorded(folder: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(folder.join("expected.json")).unwrap()).unwrap()
}

/// What the program prints, or what it says instead.
#[allow(clippy::disallowed_types)]
fn run(folder: &Path, sources: &[&str], form: &[&str]) -> Result<String, String> {
    let home = tempfile::tempdir().unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_kolla"))
        .arg("inventory")
        .args(form)
        .args(sources.iter().flat_map(|source| ["-i", source]))
        .current_dir(folder)
        .env_clear()
        .env("HOME", home.path())
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    match output.status.code() {
        Some(0) => Ok(text(&output.stdout)),
        Some(2) => Err(text(&output.stderr)),
        _ => panic!("{}: {output:?}", folder.display()),
    }
}

/// What is wrong with a case; nothing where all is as it should be.
fn case(folder: &Path) -> Option<String> {
    let sources = fs::read_to_string(folder.join("sources")).unwrap_or_else(|_| "hosts".to_owned());
    let sources: Vec<&str> = sources.lines().collect();
    let about = fs::read_to_string(folder.join("about")).unwrap();
    let note = about.lines().nth(1).map(|note| note.split_once(": ").unwrap_or((note, "")));
    let expected = recorded(folder);
    let list = run(folder, &sources, &["--list"]);
    let graph = run(folder, &sources, &["--graph"]);
    if let Some(("refused:" | "refused", words)) = note {
        let words = words.split(" (Ansible").next().unwrap_or_default();
        return match list {
            Err(said) if said.contains(words) && graph.is_err() => None,
            other => Some(format!("should be refused with `{words}`: {other:?}")),
        };
    }
    let (list, graph) = match (list, graph) {
        (Ok(list), Ok(graph)) => (list, graph),
        (list, graph) => return Some(format!("refused: {list:?}, {graph:?}")),
    };
    let list: Value = serde_json::from_str(&list).unwrap();
    let graph = json!(graph.lines().collect::<Vec<_>>());
    let same = list == expected["list"] && graph == expected["graph"];
    if note.is_some() == same {
        let (ours, theirs) = (json!({ "list": list, "graph": graph }), expected);
        return Some(format!("{note:?}\n--- ours\n{ours:#}\n--- Ansible's\n{theirs:#}"));
    }
    if note.is_none() && expected["said"].is_array() && !allowed(&expected["said"]) {
        return Some(format!("Ansible complains: {:#}", expected["said"]));
    }
    for (host, vars) in list["_meta"]["hostvars"].as_object().unwrap() {
        let alone = run(folder, &sources, &["--host", host]);
        let alone: Result<Value, String> = alone.map(|text| serde_json::from_str(&text).unwrap());
        if alone.as_ref() != Ok(vars) {
            return Some(format!("--host {host}: {alone:?}"));
        }
    }
    None
}

/// Ansible warns of names that it reads all the same.
fn allowed(said: &Value) -> bool {
    let lines = said.as_array().into_iter().flatten().filter_map(Value::as_str);
    lines.into_iter().all(|line| {
        let known =
            ["both group and host with same name", "duplicate localhost", "reserved name", "duplicate mapping key"];
        known.iter().any(|known| line.contains(known))
    })
}

#[test]
fn inventories_mean_what_they_mean_to_ansible() {
    let mut folders: Vec<PathBuf> =
        fs::read_dir(cases().join("inventory")).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    assert!(folders.len() >= 60);
    let mut wrong = String::new();
    for folder in folders {
        if let Some(why) = case(&folder) {
            let _ = writeln!(wrong, "{}: {why}", folder.file_name().unwrap().display());
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// A pattern's answer as Ansible's: no hosts where it refuses.
fn answer(found: Result<Vec<String>, Error>) -> (Vec<String>, String) {
    match found {
        Ok(hosts) => (hosts, String::new()),
        Err(Error::Input(errors)) => {
            (Vec::new(), errors.iter().map(|error| error.message.clone()).collect::<Vec<_>>().join("; "))
        }
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn host_patterns_select_what_they_select_for_ansible() {
    let folder = cases().join("patterns");
    let listing = Listing::read(&[folder.join("hosts")], &VaultKeys::default()).unwrap();
    let notes = fs::read_to_string(folder.join("patterns")).unwrap();
    let expected = recorded(&folder);
    let expected = expected.as_array().unwrap();
    assert!(expected.len() >= 60 && expected.len() == notes.lines().count());
    let mut wrong = String::new();
    for (line, expected) in notes.lines().zip(expected) {
        let (pattern, note) = line.split_once('\t').map_or((line, None), |(pattern, note)| (pattern, Some(note)));
        assert_eq!(expected["pattern"], pattern);
        // Files of patterns are named from where the program is started.
        let here = pattern.replace('@', &format!("@{}/", folder.display()));
        let (limited, said) = answer(listing.select(&here));
        let said = said.replace(&format!("{}/", folder.display()), "");
        let theirs = |key: &str| match &expected[key] {
            Value::Null => json!([]),
            hosts => hosts.clone(),
        };
        let same = if pattern.contains('@') {
            json!(limited) == theirs("limited")
        } else {
            json!(limited) == theirs("limited") && json!(answer(listing.matching(&here)).0) == theirs("hosts")
        };
        let refused = note.and_then(|note| note.strip_prefix("refused: ")).map(|note| note.split(" (").next().unwrap());
        if refused.map_or(!same, |words| same || !said.contains(words)) {
            let ours = answer(listing.matching(&here));
            let _ =
                writeln!(wrong, "{pattern:?} {note:?}\n  ours {limited:?} {ours:?} {said:?}\n  Ansible's {expected}");
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn one_form_at_a_time_is_printed() {
    let folder = cases().join("inventory/ini-children");
    let refused = |form: &[&str]| run(&folder, &["hosts"], form).unwrap_err();
    assert!(refused(&["--list", "--graph"]).contains("cannot be used with"));
    assert!(refused(&["--host", "h3"]).contains("`h3` is no host and no group"));
    assert!(refused(&["--host", "h*"]).contains("`h*` matches 2 hosts"));
    assert!(refused(&["--graph", "b2"]).contains("there is no group `b2` in the inventory"));
    assert_eq!(
        run(&folder, &["hosts"], &["--graph", "p"]).unwrap(),
        "@p:\n  |--@a:\n  |  |--h1\n  |--@b:\n  |  |--h2\n"
    );
    let limited = run(&folder, &["hosts"], &["--list", "--limit", "b"]).unwrap();
    let limited: Value = serde_json::from_str(&limited).unwrap();
    assert_eq!((&limited["a"], &limited["b"]), (&Value::Null, &json!({ "hosts": ["h2"] })));
}
