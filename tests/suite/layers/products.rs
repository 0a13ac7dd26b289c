//! The program knows no product by name: what is known of one is data of its role, or in the one `op` that speaks to it.

use std::collections::BTreeSet;

use regex::Regex;

use super::{ROOT, sources};

/// Layers without a product's name.
const LAYERS: [&str; 4] = ["role", "plan", "run", "app"];
/// Roles whose names are words of the program itself.
const WORDS: [&str; 2] = ["host", "site"];

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
    assert!(found.is_empty(), "a product's name in a layer that knows none: {found:?}");
}
