//! The program knows no product by name: what is known of one is data of its role, or in the one `op` that speaks to it.

use std::collections::BTreeSet;

use regex::Regex;

use super::{ROOT, compare, sources};

/// Layers without a product's name.
const LAYERS: [&str; 4] = ["role", "plan", "run", "app"];
/// Roles whose names are words of the program itself.
const WORDS: [&str; 2] = ["host", "site"];
/// What is still named, and where.
const KNOWN: [&str; 10] = [
    "plan/build.rs: galera",
    "plan/build.rs: mariadb",
    "plan/mod.rs: galera",
    "plan/phase.rs: mariadb",
    "plan/questions.rs: keystone",
    "plan/reads.rs: keystone",
    "plan/reads.rs: mariadb",
    "role/mod.rs: galera",
    "role/parse.rs: galera",
    "role/keys.rs: galera",
];

#[test]
fn no_product_is_named() {
    let roles = std::fs::read_dir(format!("{ROOT}/roles")).unwrap().flatten();
    let roles = roles.map(|entry| entry.file_name().into_string().unwrap());
    let names: BTreeSet<String> =
        roles.filter(|name| !WORDS.contains(&name.as_str())).chain(["galera".to_owned()]).collect();
    assert!(names.len() > 10, "{names:?}");
    let names = names.into_iter().collect::<Vec<_>>().join("|");
    // Of `galera_check` and `MariadbRecovery` the first word, too.
    let product = Regex::new(&format!(r"(?:^|[^A-Za-z0-9])({names})(?:[^A-Za-z0-9]|$)")).unwrap();
    let capital = Regex::new(r"[a-z0-9][A-Z]").unwrap();
    let mut found = BTreeSet::new();
    for source in sources().iter().filter(|source| LAYERS.contains(&source.layer())) {
        let parted =
            capital.replace_all(&source.code, |at: &regex::Captures<'_>| format!("{}_{}", &at[0][..1], &at[0][1..]));
        let lower = parted.to_lowercase();
        found.extend(product.captures_iter(&lower).map(|name| format!("{}: {}", source.name, &name[1])));
    }
    let found: Vec<String> = found.into_iter().collect();
    compare(&found, &KNOWN, "a product's name in a layer that knows none");
}
