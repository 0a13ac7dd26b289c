use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::*;
use crate::shell::Secret;
use crate::site::VaultKey;

const MARK: &str = "$ANSIBLE_VAULT;1.";

fn recorded(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/vault").join(name)).unwrap()
}

fn keys() -> VaultKeys {
    let password = Secret::new("kolla-test-password");
    VaultKeys::new(vec![VaultKey { id: "default".into(), password }])
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// What a file says, decrypted.
    fn data(&self, name: &str) -> serde_json::Value {
        vault::parse(&self.path(name), &self.text(name), &keys()).unwrap().root.to_json()
    }

    fn mode(&self, name: &str) -> u32 {
        fs::metadata(self.path(name)).unwrap().permissions().mode() & 0o777
    }

    fn merge(&self, clean: bool) -> Result<Merged> {
        let files =
            MergeFiles { old: self.path("old"), new: self.path("new"), merged: self.path("final"), check: false };
        mergepwd(&files, clean, &keys())
    }
}

#[test]
fn genpwd_adds_what_a_file_of_kolla_ansible_lacks() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("passwords.yml");
    fs::write(&file, "---\ndatabase_password: a\nkeystone_admin_password: b").unwrap();
    assert_eq!(genpwd(&file, &VaultKeys::default(), true).unwrap(), 13);
    assert_eq!(genpwd(&file, &VaultKeys::default(), false).unwrap(), 13);
    let text = fs::read_to_string(&file).unwrap();
    assert!(
        text.starts_with("---\ndatabase_password: a\nkeystone_admin_password: b\nkeystone_fernet_secret: "),
        "{text}"
    );
    assert_eq!((text.lines().count(), genpwd(&file, &VaultKeys::default(), false).unwrap()), (16, 0));
    // A file of something else stays as it is.
    fs::write(&file, "my_password: a\n").unwrap();
    assert_eq!(genpwd(&file, &VaultKeys::default(), false).unwrap(), 0);
}

#[test]
fn genpwd_makes_keys_as_ceph_does() {
    let folder = Folder::new();
    let file = folder.write("passwords.yml", "ceph_admin_key:\nceph_mon_key:\nceph_cluster_fsid:\n");
    assert_eq!(genpwd(&file, &VaultKeys::default(), false).unwrap(), 3);
    let found = folder.data("passwords.yml");
    let key = |name: &str| STANDARD.decode(found[name].as_str().unwrap()).unwrap();
    let (admin, mon) = (key("ceph_admin_key"), key("ceph_mon_key"));
    // What `ceph-authtool` reads: type 1, seconds, nanoseconds, the length of the key, the key.
    assert_eq!((&admin[..2], &admin[10..12], admin.len()), (&[1, 0][..], &[16, 0][..], 28));
    assert_ne!(admin, mon);
    assert!(found["ceph_cluster_fsid"].as_str().unwrap().parse::<uuid::Uuid>().is_ok());
}

#[test]
fn genpwd_keeps_an_encrypted_file_encrypted() {
    let folder = Folder::new();
    for name in ["whole-1.1.yml", "whole-1.2.yml"] {
        let file = folder.write(name, &recorded(name));
        assert!(genpwd(&file, &VaultKeys::default(), false).is_err());
        assert_eq!(folder.text(name), recorded(name));
        assert_eq!(genpwd(&file, &keys(), true).unwrap(), 1);
        assert_eq!(folder.text(name), recorded(name), "only a check");
        assert_eq!(genpwd(&file, &keys(), false).unwrap(), 1);
        assert_eq!(folder.text(name).lines().next(), recorded(name).lines().next());
        assert_eq!(folder.mode(name), 0o600);
        let data = folder.data(name);
        assert_eq!(
            (&data["database_password"], &data["quoted"]),
            (&json!("hunter22-of-the-vault"), &json!("na\u{ef}ve: text"))
        );
        assert_eq!(data["rabbitmq_password"].as_str().unwrap().len(), 40);
        let before = folder.text(name);
        assert_eq!(genpwd(&file, &keys(), false).unwrap(), 0);
        assert_eq!(folder.text(name), before, "nothing to fill: not written anew");
    }
}

#[test]
fn genpwd_encrypts_new_values_among_encrypted_ones() {
    let folder = Folder::new();
    let given = format!("{}nova_ssh_key:\nneutron_ssh_key:\n  private_key:\n  public_key:\n", recorded("values.yml"));
    let file = folder.write("values.yml", &given);
    assert_eq!(genpwd(&file, &VaultKeys::default(), false).unwrap_err().exit_code(), 2);
    assert_eq!(folder.text("values.yml"), given);
    assert_eq!(genpwd(&file, &keys(), false).unwrap(), 3);
    let text = folder.text("values.yml");
    assert!(text.starts_with(&given[..given.find("rabbitmq_password").unwrap()]), "what was there stays, byte by byte");
    assert!(text.contains("rabbitmq_password: !vault |  # to be filled\n"));
    assert_eq!(text.matches(MARK).count(), 5);
    assert!(!text.contains("PRIVATE KEY"));
    let data = folder.data("values.yml");
    assert_eq!(data["rabbitmq_password"].as_str().unwrap().len(), 40);
    for name in ["nova_ssh_key", "neutron_ssh_key"] {
        let key = PrivateKey::from_openssh(data[name]["private_key"].as_str().unwrap()).unwrap();
        assert_eq!(key.public_key().to_openssh().unwrap(), data[name]["public_key"].as_str().unwrap());
    }
    // With nothing to fill no password is needed.
    assert_eq!(genpwd(&file, &VaultKeys::default(), false).unwrap(), 0);
}

const OLD: &str = "---\n# old\na: 'kept # with a mark'  # why\nb:\ngone: x\nkey:\n  private_key: |\n    one\n    # two\n\n  public_key: p\n\
                   redis_master_password: red\n";
const NEW: &str = "---\n# new\nb: fresh b\n\n# About a.\na: fresh\nkey:\n  private_key: f\n  public_key: f\nadded: 12345\nempty:\n\
                   valkey_master_password: fresh";

#[test]
fn mergepwd_puts_old_values_into_the_new_file() {
    let folder = Folder::new();
    folder.write("old", OLD);
    folder.write("new", NEW);
    let told = folder.merge(false).unwrap();
    let expected = "---\n# new\nb: fresh b\n\n# About a.\na: 'kept # with a mark'  # why\nkey:\n  private_key: |\n    one\n    # two\n\n  \
                    public_key: p\nadded: 12345\nempty:\nvalkey_master_password: red\n";
    assert_eq!(folder.text("final"), format!("{expected}gone: x\n"));
    assert_eq!(folder.mode("final"), 0o600);
    let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!((told.kept, told.added, told.only_old), (4, names(&["added", "empty"]), names(&["gone"])));
    assert_eq!(folder.merge(true).unwrap().kept, 3);
    assert_eq!(folder.text("final"), expected);
    // The final file may be the old one.
    let files =
        MergeFiles { old: folder.path("old"), new: folder.path("new"), merged: folder.path("old"), check: true };
    assert!(!mergepwd(&files, true, &keys()).unwrap().encrypted);
    assert_eq!(folder.text("old"), OLD, "only a check");
    mergepwd(&MergeFiles { check: false, ..files }, true, &keys()).unwrap();
    assert_eq!(folder.text("old"), expected);
}

#[test]
fn mergepwd_encrypts_as_the_old_file_is() {
    let folder = Folder::new();
    folder.write("new", NEW);
    // As a whole, under the id of the old one.
    folder.write("old", &recorded("whole-1.2.yml"));
    assert!(folder.merge(false).unwrap().encrypted);
    assert_eq!(folder.text("final").lines().next(), recorded("whole-1.2.yml").lines().next());
    let data = folder.data("final");
    assert_eq!((&data["a"], &data["database_password"]), (&json!("fresh"), &json!("hunter22-of-the-vault")));
    // Value by value: those of the new file, too.
    folder.write("old", &recorded("values.yml"));
    assert!(folder.merge(false).unwrap().encrypted);
    let text = folder.text("final");
    assert!(!text.contains("fresh") && !text.contains("12345"), "{text}");
    let data = folder.data("final");
    assert_eq!((&data["b"], &data["added"], &data["empty"]), (&json!("fresh b"), &json!("12345"), &json!(null)));
    assert_eq!((&data["key"]["private_key"], &data["two_lines"]), (&json!("f"), &json!("line one\nline two\n")));
    // What is encrypted is never written in plain because the old file is plain.
    folder.write("old", OLD);
    folder.write("new", &recorded("whole-1.1.yml"));
    assert!(folder.merge(false).unwrap().encrypted);
    assert!(folder.text("final").starts_with("$ANSIBLE_VAULT;1.1;AES256\n"));
}

#[test]
fn mergepwd_refuses_what_it_cannot_take_over() {
    let folder = Folder::new();
    folder.write("new", NEW);
    for (old, message) in [
        ("{a: 1, b: 2}\n", "`a` does not begin a line of its own"),
        ("x: &here one\na: *here\nb: 1\n", "the value of"),
        ("- a\n", "expected a mapping, found a list"),
    ] {
        folder.write("old", old);
        let Err(Error::Input(errors)) = folder.merge(true) else { panic!("{old}") };
        assert!(errors[0].message.starts_with(message), "{errors:?}");
        assert!(errors[0].place.as_ref().is_none_or(|place| place.excerpt.is_none()));
        assert!(!folder.path("final").exists());
    }
    fs::remove_file(folder.path("old")).unwrap();
    assert!(matches!(folder.merge(false), Err(Error::Input(_))));
}
