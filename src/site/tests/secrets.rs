//! Encrypted files, passwords, and what is hidden of them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use indexmap::IndexMap;
use serde_json::json;

use super::super::{Site, VaultKey, VaultKeys, genpwd};
use super::{Folder, THREE, get, repository};
use crate::error::Error;
use crate::source::Document;

/// A file that Ansible itself encrypted under the password `kolla-test-password`.
fn recorded(name: &str) -> String {
    fs::read_to_string(repository().join("tests/cases/vault").join(name)).unwrap()
}

fn test_keys() -> VaultKeys {
    let password = crate::shell::Secret::new("kolla-test-password");
    VaultKeys::new(vec![VaultKey { id: "default".into(), password }])
}

#[test]
fn a_password_that_a_lookup_read_is_hidden() {
    let globals =
        "kept: \"{{ lookup('password', 'kept.txt length=9') }}\"\nmissing: \"{{ lookup('password', 'x y') }}\"\n";
    let folder = Folder::new(&[("hosts", THREE), ("globals.yml", globals), ("kept.txt", "word-in-a-file salt=ab\n")]);
    let site = folder.load();
    assert_eq!(site.mask.hide("word-in-a-file"), "word-in-a-file", "nobody read it yet");
    assert_eq!(get(&site, "c1", "kept"), "word-in-a-file");
    assert_eq!(site.mask.hide("word-in-a-file"), "***");
    let error = site.scopes(IndexMap::new()).host("c1").get("missing").unwrap_err();
    assert_eq!(error.message, format!("there is no password in {}", folder.path("x y").display()));
    assert!(error.hint.unwrap().contains("kolla genpwd"));
}

#[test]
fn the_password_of_a_url_is_hidden_wherever_it_stands() {
    let globals = "rpc_transport_url: rabbit://nova:out%2Fside@mq.example:5671//\n\
                   proxies: [{ url: \"http://u:s3same@p.example\" }]\nplain: http://docs.example/x\n\
                   made: \"rabbit://nova:{{ rabbitmq_password }}@mq\"\n";
    let site = Folder::new(&[("hosts", THREE), ("globals.yml", globals)]).load();
    assert_eq!(site.mask.hide("out%2Fside, s3same, docs.example, nova"), "***, ***, docs.example, nova");
}

#[test]
fn encrypted_files_and_values_are_read_and_hidden() {
    let folder = Folder::new(&[
        ("hosts", THREE),
        ("globals.d/values.yml", &recorded("values.yml")),
        ("group_vars/control.yml", &recorded("whole-1.2.yml")),
        ("passwords.yml", &recorded("whole-1.1.yml")),
        ("extra.yml", &recorded("values.yml")),
    ]);
    let load = |extra: &[&str]| {
        folder.load_with(|options| {
            options.vault = test_keys();
            options.extra_vars = extra.iter().map(ToString::to_string).collect();
        })
    };
    let site = load(&[]).unwrap();
    assert_eq!(get(&site, "c1", "database_password"), "hunter22-of-the-vault");
    assert_eq!(get(&site, "n1", "two_lines"), "line one\nline two\n");
    assert_eq!(site.mask.hide("hunter22-of-the-vault, line two; na\u{ef}ve: text"), "***, ***; ***");
    let scopes = site.scopes(IndexMap::new());
    let origin = scopes.host("n1").explain("two_lines").remove(0);
    assert_eq!((origin.text.as_str(), origin.place.line, origin.place.excerpt), ("***", 13, None));
    // What `-e` puts in the place of a secret is one.
    assert_eq!(load(&["two_lines=override"]).unwrap().mask.hide("override"), "***");
    let file = format!("@{}", folder.path("extra.yml").display());
    assert_eq!(get(&load(&[&file]).unwrap(), "c1", "database_password"), "hunter22-of-the-vault");
    // Nothing of them is read without the password; each is said once.
    let errors = folder.errors();
    assert_eq!(errors.len(), 3, "{errors:#?}");
    assert!(errors[0].starts_with("group_vars/control.yml: group_vars/control.yml is encrypted with Ansible Vault"));
    assert!(errors[0].contains("`--vault-id prod@FILE`"), "{}", errors[0]);
    assert!(errors[1].starts_with("globals.d/values.yml:4:11: `database_password` is encrypted with Ansible Vault"));
    assert!(errors[2].starts_with("passwords.yml: passwords.yml is encrypted"), "{}", errors[2]);
    // An empty variable of an encrypted file is a missing password in passwords.yml only.
    let empty = |site: &Site| site.scopes(IndexMap::new()).host("c1").get("rabbitmq_password");
    assert_eq!(empty(&site).unwrap_err().message, "`rabbitmq_password` is empty");
    folder.write("passwords.yml", "other: one\n");
    assert!(empty(&load(&[]).unwrap()).unwrap().is_none());
}

#[test]
fn secrets_are_masked_and_empty_ones_are_errors_where_they_are_used() {
    let folder = Folder::new(&[
        ("hosts", THREE),
        (
            "passwords.yml",
            "database_password: hunter2\nrabbitmq_password:\ndocker_registry_password:\nkey: {private_key: |-\n  -----BEGIN\n  abcdefgh\n  }\n",
        ),
    ]);
    folder.write("passwords.yml", "database_password: hunter2\nrabbitmq_password:\ndocker_registry_password:\nkey:\n  private_key: |\n    -----BEGIN-----\n    abcdefgh\n");
    let site = folder.load_with(|options| options.extra_vars = vec!["database_password=override".into()]).unwrap();
    assert_eq!(site.mask.hide("hunter2 override abcdefgh plain"), "*** *** *** plain");
    let scopes = site.scopes(IndexMap::new());
    let scope = scopes.host("c1");
    assert_eq!(scope.get("docker_registry_password").unwrap().to_string(), "");
    let error = scope.render(Path::new("t.j2"), "{{ rabbitmq_password }}").unwrap_err();
    assert_eq!(error.message, "`rabbitmq_password` is empty");
    assert!(folder.strip(&error.hint.unwrap()).starts_with("fill it with `kolla genpwd --passwords passwords.yml`"));
}

#[test]
fn genpwd_fills_what_is_empty_and_nothing_else() {
    let folder = Folder::new(&[(
        "passwords.yml",
        "---\n# Databases\ndatabase_password:   # the root one\nkept: chosen\nempty_text: \"\"\n\nrbd_secret_uuid: ~\n\
         designate_rndc_key: null\nbarbican_crypto_key:\nprometheus_bcrypt_salt:\ndocker_registry_password:\n\
         nova_ssh_key:\n  private_key:\n  public_key:\nhalf_ssh_key:\n  private_key: mine\n  public_key:\n\
         keystone_ssh_key:\nlast_password:",
    )]);
    let file = folder.path("passwords.yml");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(genpwd(&file, &VaultKeys::default(), false).unwrap(), 8);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let text = fs::read_to_string(&file).unwrap();
    let data = Document::parse(&file, &text).unwrap().root.to_json();
    let value = |name: &str| data[name].as_str().unwrap_or_default().to_owned();
    let alphanumeric = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric());
    for name in ["database_password", "last_password"] {
        assert!(value(name).len() == 40 && alphanumeric(&value(name)), "{name}");
    }
    assert_ne!(value("database_password"), value("last_password"));
    assert_eq!(uuid::Uuid::parse_str(&value("rbd_secret_uuid")).unwrap().get_version_num(), 4);
    assert!(
        value("designate_rndc_key").len() == 32 && value("designate_rndc_key").chars().all(|c| c.is_ascii_hexdigit())
    );
    assert_eq!(value("barbican_crypto_key").len(), 44);
    assert_eq!(value("prometheus_bcrypt_salt").len(), 22);
    for name in ["nova_ssh_key", "keystone_ssh_key"] {
        let key = russh::keys::ssh_key::PrivateKey::from_openssh(data[name]["private_key"].as_str().unwrap()).unwrap();
        assert_eq!(key.public_key().to_openssh().unwrap(), data[name]["public_key"].as_str().unwrap());
    }
    assert_eq!((value("kept"), value("empty_text")), ("chosen".into(), String::new()));
    assert_eq!(data["half_ssh_key"], json!({"private_key": "mine", "public_key": null}));
    assert!(data["docker_registry_password"].is_null());
    assert!(
        text.starts_with("---\n# Databases\ndatabase_password: ") && text.contains("  # the root one\nkept: chosen\n")
    );
    // Again: nothing to fill, nothing touched.
    assert_eq!(genpwd(&file, &VaultKeys::default(), false).unwrap(), 0);
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
    let left: Vec<_> = fs::read_dir(folder.0.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

#[test]
fn genpwd_refuses_what_it_cannot_fill() {
    let folder = Folder::new(&[("passwords.yml", "{a: , b: 1}\n")]);
    let file = folder.path("passwords.yml");
    assert!(
        matches!(genpwd(&file, &VaultKeys::default(), false), Err(Error::Input(errors)) if errors[0].message == "line 1 cannot be filled")
    );
    assert_eq!(fs::read_to_string(&file).unwrap(), "{a: , b: 1}\n");
    assert!(matches!(genpwd(&folder.path("nowhere"), &VaultKeys::default(), false), Err(Error::Input(_))));
}
