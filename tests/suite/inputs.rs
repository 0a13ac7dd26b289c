//! Broken inputs, through the program itself: exit code 2, exactly the expected words, and nothing written.
//!
//! Each folder of `tests/cases/inputs` is a config folder with the command line in `command` and what the program
//! says on stderr in `expected`; `tests/cases/codes.yml` has the kinds of errors that `--output json` names.
//! `KOLLA_BLESS=1` writes down what it says now: read it as an operator would.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use kolla::error::{Kind, page};

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
    assert!(folders.len() >= 80, "only {} cases", folders.len());
    let mut wrong = String::new();
    let (mut codes, mut met) = (String::new(), BTreeSet::new());
    for folder in folders {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        // A copy, so that a program that does write shows, and other tests see nothing of it.
        let copy = tempfile::tempdir().unwrap();
        let before = files(&folder);
        for (path, content) in &before {
            let path = copy.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, content).unwrap();
            // Not for others to read, of which there is a warning.
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        }
        let state = tempfile::tempdir().unwrap();
        let command = String::from_utf8(before[Path::new("command")].clone()).unwrap();
        let output = run(copy.path(), state.path(), command.split_whitespace());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.code() != Some(2) {
            let _ = writeln!(wrong, "{name}: `kolla {}` ended with {}, said\n{said}", command.trim(), output.status);
        }
        // The record of a run that was refused is no effect; root's is elsewhere.
        let mut state = files(state.path());
        state.retain(|path, _| !path.starts_with("kolla/runs"));
        if files(copy.path()) != before || !state.is_empty() {
            let _ = writeln!(wrong, "{name}: files were written");
        }
        // Nothing but the errors. What is no command line is not known to ask for JSON.
        let events = String::from_utf8_lossy(&output.stdout).into_owned();
        let of = |line: &str| {
            let event: serde_json::Value = serde_json::from_str(line).ok()?;
            (event["kind"] == "input").then(|| event["code"].as_str().map(str::to_owned))?
        };
        let mut found: Vec<Option<String>> = events.lines().map(of).collect();
        found.dedup();
        match found.into_iter().collect::<Option<Vec<_>>>() {
            Some(found) => {
                let _ = writeln!(codes, "{name}: [{}]", found.join(", "));
                met.extend(found);
            }
            None => drop(writeln!(wrong, "{name}: on stdout is no finding:\n{events}")),
        }
        let expected = folder.join("expected");
        if bless {
            std::fs::write(expected, &said).unwrap();
        } else if std::fs::read_to_string(&expected).unwrap_or_default() != said {
            let expected = std::fs::read_to_string(&expected).unwrap_or_default();
            let _ = writeln!(wrong, "{name}:\n--- expected\n{expected}--- said\n{said}");
        }
    }
    let file = cases.with_file_name("codes.yml");
    if bless {
        std::fs::write(&file, &codes).unwrap();
    }
    let expected = std::fs::read_to_string(&file).unwrap_or_default();
    for (now, before) in codes.lines().zip(expected.lines().chain(std::iter::repeat(""))) {
        if now != before {
            let _ = writeln!(wrong, "codes.yml: expected `{before}`, found `{now}`");
        }
    }
    for kind in Kind::ALL.iter().filter(|kind| kind.is_input()) {
        // A plan can only be saved of hosts that answer.
        if !met.contains(kind.name()) && ![Kind::SavedPlan, Kind::FixedSecret, Kind::InUse].contains(kind) {
            let _ = writeln!(wrong, "no case is of the kind `{}`", kind.name());
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}\nKOLLA_BLESS=1 writes these anew; read what changed in them");
}

#[test]
fn the_page_of_errors_is_what_the_program_says() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/errors.md");
    if std::env::var_os("KOLLA_BLESS").is_some() {
        std::fs::write(&file, page()).unwrap();
    }
    assert!(std::fs::read_to_string(&file).unwrap() == page(), "KOLLA_BLESS=1 writes docs/errors.md anew");
    let mut names: Vec<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Kind::ALL.len(), "two kinds have the same name");
}

#[test]
fn templates_that_look_into_facts_are_valid_before_hosts_were_asked() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("inventory", "[control]\nc1 ansible_host=10.1.1.1\nc2\n[network]\nc1\n");
    write(
        "globals.yml",
        "kolla_internal_vip_address: 10.1.1.100\nnetwork_interface: \"{{ 'bond0' if facts.os == 'debian' else 'em1' }}\"\nkolla_external_vip_interface: em2\n",
    );
    let secrets = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/inputs/globals-port-range/passwords.yml");
    write("passwords.yml", &std::fs::read_to_string(secrets).unwrap());
    write(
        "config/galera.cnf",
        "[mariadbd]\na = {{ ansible_facts.default_ipv4.address }}\n\
         b = {{ hostvars[inventory_hostname]['ansible_facts'][api_interface]['ipv4']['address'] }}\n",
    );
    let run = |words: &[&str]| run(folder.path(), folder.path(), words.iter().copied());
    let done = run(&["validate", "-i", "inventory"]);
    assert_eq!(done.status.code(), Some(0), "{}", String::from_utf8_lossy(&done.stdout));
    for (host, address) in [("c1", "10.1.1.1"), ("c2", "192.0.2.1")] {
        let file = run(&["config", "-i", "inventory", host, "mariadb", "my.cnf"]).stdout;
        let file = String::from_utf8(file).unwrap();
        for key in ["a", "b", "bind_address"] {
            assert!(file.contains(&format!("{key} = {address}")), "{host}: {file}");
        }
    }
}

#[test]
#[allow(clippy::disallowed_types)]
fn a_command_that_is_held_up_ends_when_it_is_told_to() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("globals.yml");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let mut command = program(folder.path(), folder.path(), ["validate"].into_iter());
    let mut child = command.stderr(std::process::Stdio::null()).spawn().unwrap();
    // Opening it lasts until the program has it open, too; then that waits for a text which never comes.
    let writer = std::fs::OpenOptions::new().write(true).open(&pipe).unwrap();
    let id = nix::unistd::Pid::from_raw(child.id().try_into().unwrap());
    nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGTERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    drop(writer);
}

fn run<'a>(folder: &Path, home: &Path, words: impl Iterator<Item = &'a str>) -> std::process::Output {
    program(folder, home, words).output().unwrap()
}

#[allow(clippy::disallowed_types)]
fn program<'a>(folder: &Path, home: &Path, words: impl Iterator<Item = &'a str>) -> std::process::Command {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_kolla"));
    command
        // The cases are about the infrastructure: OpenStack's roles would each miss something, too.
        .args(["--configdir", ".", "-e", "enable_openstack_core=false", "--output", "json"])
        .args(words)
        .current_dir(folder)
        .env_clear()
        .env("HOME", home)
        .env("USER", "operator")
        .env("XDG_STATE_HOME", home);
    command
}
