use std::path::Path;

use super::*;

fn recorded(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/vault").join(name)).unwrap()
}

fn keys(pairs: &[(&str, &str)]) -> VaultKeys {
    let key = |(id, password): &(&str, &str)| VaultKey { id: (*id).into(), password: Secret::new(password) };
    VaultKeys::new(pairs.iter().map(key).collect())
}

const RIGHT: &str = "kolla-test-password";
const WRONG: &str = "another-test-password";

#[test]
fn what_ansible_wrote_is_read_and_written_alike() {
    for (file, id) in [("whole-1.1.yml", None), ("whole-1.2.yml", Some("prod"))] {
        let sealed = recorded(file);
        // The id is a hint only; all passwords are tried.
        for keys in [keys(&[("default", RIGHT)]), keys(&[("prod", WRONG), ("x", WRONG), ("y", RIGHT)])] {
            let (text, seal) = keys.open(&sealed).unwrap();
            assert!(text.starts_with("---\n# Ansible wrote this.\n") && text.contains("na\u{ef}ve"), "{text}");
            assert_eq!(seal.id.as_deref(), id);
            let again = seal.close(&text);
            assert_eq!(again.lines().next(), sealed.lines().next());
            assert_eq!(again.len(), sealed.len());
            assert_ne!(again, sealed, "the salt is a new one");
            assert_eq!(keys.open(&again).unwrap().0, text);
        }
        // With the same salt it is the same text, byte by byte.
        let envelope = Envelope::parse(&sealed).unwrap();
        let (text, _) = keys(&[("default", RIGHT)]).open(&sealed).unwrap();
        let same = cipher::close_with(RIGHT, envelope.id.clone(), text.as_bytes(), envelope.salt.clone());
        assert_eq!(same.to_string(), sealed);
    }
}

#[test]
fn texts_of_all_lengths_survive() {
    let seal = Seal { id: None, password: Secret::new(RIGHT) };
    for length in [0, 1, 15, 16, 17, 64] {
        let text = "\u{e9}x".repeat(length)[..length / 3 * 3].to_owned() + &"a".repeat(length % 3);
        let sealed = seal.close(&text);
        assert!(sealed.lines().all(|line| line.len() <= 80) && sealed.ends_with('\n'));
        assert_eq!(keys(&[("default", RIGHT)]).open(&sealed).unwrap().0, text);
    }
}

#[test]
fn what_stays_closed_says_why() {
    let sealed = recorded("whole-1.2.yml");
    let head = sealed.lines().next().unwrap();
    let right = keys(&[("default", RIGHT)]);
    let why = |keys: &VaultKeys, text: &str| keys.open(text).map(|(text, _)| text).unwrap_err();
    assert_eq!(why(&VaultKeys::default(), &sealed), Closed::NoPassword(Some("prod".into())));
    assert_eq!(
        why(&keys(&[("default", WRONG)]), &sealed),
        Closed::NoneFits(Some("prod".into()), vec!["default".into()])
    );
    for text in ["$ANSIBLE_VAULT;1.0;AES\n61\n", "$ANSIBLE_VAULT;1.1;AES\n61\n", "$ANSIBLE_VAULT;2;AES256;x;y\n61\n"] {
        assert!(matches!(why(&right, text), Closed::Unread(_)), "{text}");
    }
    let cut = &sealed[..sealed.len() - 100];
    let odd = &sealed[..sealed.len() - 2];
    for text in [head, "$ANSIBLE_VAULT", "$ANSIBLE_VAULT;1.1", &format!("{head}\nnothing\n"), odd, &cut[..200]] {
        assert!(matches!(why(&right, text), Closed::Damaged(_) | Closed::Unread(_)), "{text}");
    }
    // One changed digit of what is encrypted, of its HMAC or of the salt.
    for at in [60, 160, 700] {
        let mut bytes = sealed.clone().into_bytes();
        assert!(bytes[at].is_ascii_digit());
        bytes[at] = if bytes[at] == b'3' { b'6' } else { b'3' };
        let changed = String::from_utf8(bytes).unwrap();
        assert!(
            matches!(why(&right, &changed), Closed::NoneFits(..) | Closed::Damaged(_)),
            "a change at {at} is not noticed"
        );
    }
}
