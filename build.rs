//! Has the compiler look again when a file is added to a folder that is embedded; by itself it sees only changed ones.
#![allow(clippy::print_stdout)]

fn main() {
    for folder in ["docs", "images", "roles", "src/bin/kolla-image"] {
        println!("cargo:rerun-if-changed={folder}");
    }
}
