//! The commands about secrets, as an operator calls them.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

struct Folder(tempfile::TempDir);

impl Folder {
    /// A site whose file of passwords is encrypted by Ansible; the infrastructure alone is enabled.
    fn new(globals: &str) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.write("inventory", "[control]\ncontrol01 ansible_connection=local\n\n[network]\ncontrol01\n");
        folder.write("globals.yml", &format!("kolla_internal_vip_address: 10.0.0.100\n{globals}"));
        for name in ["password", "whole-1.2.yml"] {
            fs::copy(repository().join("tests/cases/vault").join(name), folder.path(name)).unwrap();
        }
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    #[allow(clippy::disallowed_types)]
    fn kolla(&self, words: &str) -> (i32, String) {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_kolla"))
            .args(["--configdir", ".", "-e", "enable_openstack_core=false"])
            .args(words.split(' '))
            .current_dir(self.0.path())
            .env_clear()
            .env("HOME", self.0.path())
            .env("USER", "operator")
            .output()
            .unwrap();
        let said = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
        (output.status.code().unwrap(), said)
    }

    /// Names by what is said of them.
    fn states(&self, code: i32) -> Vec<(String, Value)> {
        let (found, said) = self.kolla("passwords --output json");
        assert_eq!(found, code, "{said}");
        let answer: Value = serde_json::from_str(&said).unwrap();
        let rows = answer["rows"].as_array().unwrap();
        rows.iter().map(|row| (row["name"].as_str().unwrap().to_owned(), row["state"].clone())).collect()
    }
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn secrets_without_value_or_reader_are_told() {
    let folder = Folder::new("mine: '{{ my_secret }}'\n");
    fs::copy(repository().join("etc/passwords.yml"), folder.path("passwords.yml")).unwrap();
    let states = folder.states(1);
    let state = |name: &str| states.iter().find(|(other, _)| other == name).map(|(_, state)| state.clone());
    assert_eq!(state("rabbitmq_password"), Some(json!("empty")));
    assert_eq!(state("nova_database_password"), Some(json!("unused")));
    assert_eq!(folder.kolla("genpwd").0, 0);
    assert!(folder.states(0).iter().all(|(_, state)| state == "unused"), "{:?}", folder.states(0));

    let text = fs::read_to_string(folder.path("passwords.yml")).unwrap();
    let text: String = text
        .lines()
        .map(|line| match line.split_once(':').map_or("", |(name, _)| name) {
            "rabbitmq_password" => "rabitmq_password: Sh0rt but l0nger\n".to_owned(),
            "database_password" => "database_password: Sh0rt!\nmy_secret: yes it is one\n".to_owned(),
            _ => format!("{line}\n"),
        })
        .collect();
    folder.write("passwords.yml", &text);
    let (code, said) = folder.kolla("passwords");
    assert_eq!(code, 1);
    for (name, words) in [
        ("rabitmq_password", "unknown  nothing reads it; did you mean `rabbitmq_password`?"),
        ("rabbitmq_password", "missing  read by rabbitmq"),
        ("database_password", "weak     shorter than 8 characters"),
        ("my_secret", "unused   nothing enabled reads it"),
        ("nova_database_password", "unused   not enabled: nova"),
    ] {
        let line = said.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap_or(&said);
        assert!(line.contains(words), "{line}");
    }
    assert!(!said.contains("Sh0rt"), "no secret is shown");
}

#[test]
fn an_encrypted_file_of_passwords_is_filled_merged_and_used() {
    let folder = Folder::new("");
    let vault = "--vault-id prod@password";
    let names = fs::read_to_string(repository().join("etc/passwords.yml")).unwrap();
    folder.write("new.yml", &names);
    let (code, said) = folder.kolla("genpwd --passwords new.yml");
    assert_eq!((code, said.contains("filled")), (0, true), "{said}");
    let (code, said) =
        folder.kolla(&format!("mergepwd --old whole-1.2.yml --new new.yml --final passwords.yml --clean {vault}"));
    assert_eq!(code, 0, "{said}");
    assert!(said.starts_with("passwords.yml: kept 1 secret, "), "{said}");
    assert!(said.ends_with("left out 1 name: quoted\n"), "{said}");
    let text = fs::read_to_string(folder.path("passwords.yml")).unwrap();
    assert!(text.starts_with("$ANSIBLE_VAULT;1.2;AES256;prod\n"));
    assert_eq!(folder.kolla("validate").0, 2, "without the password");
    let (code, said) = folder.kolla(&format!("validate {vault}"));
    assert_eq!(code, 0, "{said}");
    let (code, said) = folder.kolla(&format!("vars control01 database_password {vault}"));
    assert!(code == 0 && said.contains("***") && !said.contains("hunter22"), "{said}");
    let (code, said) = folder.kolla(&format!("passwords {vault}"));
    assert_eq!(code, 0, "{said}");
    let (code, said) = folder.kolla(&format!("genpwd {vault}"));
    assert_eq!((code, said.as_str()), (0, "./passwords.yml: nothing was empty\n"));
    assert_eq!(fs::read_to_string(folder.path("passwords.yml")).unwrap(), text);
}
