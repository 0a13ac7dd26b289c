//! Has the compiler look again when a file is added to a folder that is embedded; by itself it sees only changed ones.
//! Gives the program its version, with the commit that it is built from.
#![allow(clippy::print_stdout, clippy::disallowed_types, clippy::disallowed_methods)]

use std::path::Path;
use std::process::Command;

fn main() {
    for folder in ["docs", "images", "roles"] {
        println!("cargo:rerun-if-changed={folder}");
    }
    println!("cargo:rerun-if-env-changed=KOLLA_COMMIT");
    let version = env!("CARGO_PKG_VERSION");
    match commit() {
        Some(commit) => println!("cargo:rustc-env=KOLLA_VERSION={version} ({commit})"),
        None => println!("cargo:rustc-env=KOLLA_VERSION={version}"),
    }
}

/// The commit by `KOLLA_COMMIT`, for who builds from an archive, else by git, if it is there and this is its tree. Without
/// optimisation it is left out: while one works, each commit would have the whole program compiled anew.
fn commit() -> Option<String> {
    if let Ok(given) = std::env::var("KOLLA_COMMIT") {
        return Some(given).filter(|given| !given.is_empty());
    }
    if std::env::var("PROFILE").as_deref() != Ok("release") || !Path::new(".git").exists() {
        return None;
    }
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
        String::from_utf8(output.stdout).ok().map(|text| text.trim().to_owned())
    };
    let commit = git(&["rev-parse", "--short=12", "HEAD"])?;
    // It has a line more after each commit and checkout. A file that is not there would have this run at every build.
    let log = git(&["rev-parse", "--git-path", "logs/HEAD"]).filter(|log| Path::new(log).exists());
    if let Some(log) = log {
        println!("cargo:rerun-if-changed={log}");
    }
    Some(commit)
}
