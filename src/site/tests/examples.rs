//! The files that an operator starts from.

use std::fs;

use indexmap::IndexMap;

use super::super::{VaultKeys, genpwd};
use super::{Folder, repository};
use crate::source::Document;

#[test]
fn the_example_globals_show_every_variable_of_the_roles_with_its_default() {
    let text = fs::read_to_string(repository().join("etc/globals.yml")).unwrap();
    // A line of prose has a blank after its `#`, a value none, the rest of a value two.
    let value = |line: &str| match line.strip_prefix('#') {
        Some(rest) if !rest.starts_with(['#', ' ']) || rest.starts_with("  ") => rest.to_owned(),
        _ => line.to_owned(),
    };
    let shown = text.lines().map(value).collect::<Vec<_>>().join("\n");
    let shown = Document::parse("etc/globals.yml", &shown).unwrap().root.to_json();
    let passwords = fs::read_to_string(repository().join("etc/passwords.yml")).unwrap();
    let passwords = Document::parse("etc/passwords.yml", &passwords).unwrap().root.to_json();
    let mut wrong = Vec::new();
    for role in fs::read_dir(repository().join("roles")).unwrap() {
        let file = role.unwrap().path().join("role.yml");
        let role = Document::parse(&file, &fs::read_to_string(&file).unwrap()).unwrap().root.to_json();
        for (name, default) in role["vars"].as_object().into_iter().flatten() {
            if passwords.get(name).is_none() && shown.get(name) != Some(default) {
                wrong.push(format!("#{name}: {default}"));
            }
        }
    }
    assert!(wrong.is_empty(), "etc/globals.yml must have these lines:\n{}", wrong.join("\n"));
}

#[test]
fn the_example_inventories_and_passwords_load() {
    for name in ["all-in-one", "multinode"] {
        let text = fs::read_to_string(repository().join("inventory").join(name)).unwrap();
        let folder = Folder::new(&[("hosts", &text)]);
        for file in ["globals.yml", "passwords.yml"] {
            folder.write(file, &fs::read_to_string(repository().join("etc").join(file)).unwrap());
        }
        assert_eq!(genpwd(&folder.path("passwords.yml"), &VaultKeys::default(), false).unwrap(), 43);
        let site = folder.load();
        assert!(site.warnings().is_empty(), "{:?}", site.warnings());
        assert!(!site.group("mariadb").is_empty() && !site.group("loadbalancer").is_empty());
        let error = site.scopes(IndexMap::new()).host("localhost").get("url").unwrap_err();
        assert_eq!(error.hint.unwrap(), "set `kolla_internal_vip_address` in globals.yml");
    }
}
