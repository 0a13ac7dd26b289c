//! What is done with the bytes of a fuzzer and, by the ordinary tests, with those it once found: what the program does
//! with a file of an operator, and what must hold whatever that says.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use aes::Aes256;
use aes::cipher::{KeyIvInit as _, StreamCipher as _};
use ctr::Ctr128BE;
use hmac::{Hmac, KeyInit as _, Mac as _};
use kolla::error::{Error, InputError};
use kolla::report::text;
use kolla::role::Roles;
use kolla::shell::Secret;
use kolla::site::merge::{merge_ini, merge_yaml};
use kolla::site::{DEFAULT_ID, Listing, VaultKey, VaultKeys};
use kolla::source::{Document, Style, dump};
use kolla::template::{HostLayers, Layer, Scopes, SiteLayers};
use sha2::Sha256;

/// What became of an input.
#[derive(Debug)]
pub enum Verdict {
    /// It is what it has to be.
    Accepted,
    /// It is not, and this is what the user reads.
    Refused(String),
    /// No file of an operator: it is no UTF-8, or holds what has no bounds.
    Passed,
}

/// A target of the fuzzer.
pub type Target = fn(&[u8]) -> Verdict;

/// All targets by name.
pub const TARGETS: &[(&str, Target)] = &[
    ("inventory", inventory),
    ("yaml", yaml),
    ("ini_merge", ini_merge),
    ("vault", vault),
    ("vault_open", vault_open),
    ("role", role),
    ("template", template),
];

/// What stands between the texts of one input that are merged.
const NEXT: &str = "\n=====\n";

impl<T> From<Result<T, Error>> for Verdict {
    fn from(result: Result<T, Error>) -> Self {
        let Err(error) = result else { return Self::Accepted };
        let Error::Input(errors) = &error else { panic!("not the operator's mistake: {error}") };
        assert!(!errors.is_empty() && errors.iter().all(|error| !error.message.trim().is_empty()));
        Self::Refused(text::error(&error, false))
    }
}

impl<T> From<Result<T, InputError>> for Verdict {
    fn from(result: Result<T, InputError>) -> Self {
        result.map_err(Error::from).into()
    }
}

/// An inventory, read and listed. A comment `# limit: PATTERN` selects hosts of it.
pub fn inventory(bytes: &[u8]) -> Verdict {
    let Ok(text) = str::from_utf8(bytes) else { return Verdict::Passed };
    let limit = text.lines().find_map(|line| line.strip_prefix("# limit: "));
    if limit.is_some_and(|limit| limit.contains('@')) {
        // It names a file, as /dev/zero.
        return Verdict::Passed;
    }
    within(|folder| {
        let file = folder.join("hosts");
        fs::write(&file, bytes).unwrap();
        let listing = match Listing::read(&[file], &VaultKeys::default()) {
            Ok(listing) => listing,
            Err(error) => return Err::<(), _>(error).into(),
        };
        // The variables of one host: those of all may be as many as the hosts times the groups.
        if let Some(host) = listing.select("all").unwrap_or_default().first() {
            let _ = Verdict::from(listing.list(&["all[0]".to_owned()]));
            let _ = Verdict::from(listing.host(host));
        }
        let graph = listing.graph("all");
        match limit.map(|limit| listing.select(limit)) {
            Some(Err(error)) => Err::<(), _>(error).into(),
            _ => graph.into(),
        }
    })
}

/// A file of variables in YAML, and what is written of it is read as the same again; or several, merged.
pub fn yaml(bytes: &[u8]) -> Verdict {
    let Ok(text) = str::from_utf8(bytes) else { return Verdict::Passed };
    let texts: Vec<(&Path, &str)> = text.split(NEXT).map(|text| (Path::new("merged.yml"), text)).collect();
    if texts.len() > 1 {
        return merge_yaml(&texts).into();
    }
    let parsed = Document::parse("globals.yml", text);
    let value = parsed.as_ref().ok().map(|document| document.root.to_json());
    // Not what aliases blew up: that only takes time.
    if let Some(value) = value.filter(|value| value.to_string().len() < 50_000) {
        for style in [Style::default(), Style { flow: None, unicode: true, ..Style::default() }] {
            let written = dump(&value, style);
            let again = Document::parse("written.yml", &written);
            let again = again.unwrap_or_else(|error| panic!("{error:?}\n{written}"));
            assert_eq!(again.root.to_json(), value, "{written}");
        }
    }
    parsed.and_then(|document| Layer::of("globals.yml", document, false)).into()
}

/// Texts in INI, merged; and what comes of it is INI.
pub fn ini_merge(bytes: &[u8]) -> Verdict {
    let Ok(text) = str::from_utf8(bytes) else { return Verdict::Passed };
    let texts: Vec<(&Path, &str)> = text.split(NEXT).map(|text| (Path::new("nova.conf"), text)).collect();
    let merged = merge_ini(&texts, 0);
    if let Ok(merged) = &merged {
        merge_ini(&[(Path::new("merged"), merged)], 0).unwrap_or_else(|error| panic!("{error:?}\n{merged}"));
    }
    merged.into()
}

/// A file of variables that is encrypted, or of which some values are; without a password, so that its form is what counts.
pub fn vault(bytes: &[u8]) -> Verdict {
    variables(bytes, &VaultKeys::default()).map(drop).into()
}

/// What was encrypted with the right password: the first byte says whether it is a whole file, one value, or something
/// that no program encrypts.
pub fn vault_open(bytes: &[u8]) -> Verdict {
    const PASSWORD: &str = "a password";
    let Some((kind, bytes)) = bytes.split_first() else { return Verdict::Passed };
    let keys = VaultKeys::new(vec![VaultKey { id: DEFAULT_ID.into(), password: Secret::new(PASSWORD) }]);
    let padded = || {
        let missing = 16 - bytes.len() % 16;
        [bytes, &vec![u8::try_from(missing).unwrap(); missing]].concat()
    };
    match kind {
        b'f' => {
            let opened = variables(sealed(PASSWORD, padded()).as_bytes(), &keys);
            if let Ok(text) = str::from_utf8(bytes)
                && !text.contains("$ANSIBLE_VAULT")
            {
                let plain = Document::parse("all.yml", text).and_then(|document| Layer::of("all", document, false));
                assert_eq!(opened.is_ok(), plain.is_ok(), "{opened:?}, {plain:?}");
            }
            opened.map(drop).into()
        }
        b'v' => {
            let sealed = sealed(PASSWORD, padded()).replace('\n', "\n  ");
            let opened = variables(format!("value: !vault |\n  {sealed}").as_bytes(), &keys);
            if let (Ok(vars), Ok(text)) = (&opened, str::from_utf8(bytes)) {
                assert_eq!(vars["value"].as_str(), Some(text));
            }
            opened.map(drop).into()
        }
        _ => variables(sealed(PASSWORD, bytes.to_vec()).as_bytes(), &keys).map(drop).into(),
    }
}

/// A role.yml.
pub fn role(bytes: &[u8]) -> Verdict {
    let Ok(text) = str::from_utf8(bytes) else { return Verdict::Passed };
    let file = |name: &str, text: &str| (PathBuf::from(format!("roles/fuzz/{name}")), text.into());
    let files = BTreeMap::from([file("role.yml", text), file("fuzz.conf.j2", "[DEFAULT]\n")]);
    let roles = Roles::parse(BTreeMap::from([("fuzz".to_owned(), files)]));
    roles.and_then(|roles| roles.ordered().map(|_| Scopes::new(layers(roles.layers())).errors())).into()
}

/// Values and a template of a file. What may go round, and what makes much of little on purpose, is left out: Ansible lets
/// an operator write what takes for ever, and so does the program.
pub fn template(bytes: &[u8]) -> Verdict {
    const UNBOUNDED: [&str; 9] = ["for", "macro", "set", "*", "~", "join", "range", "password_hash", "lookup"];
    let Ok(text) = str::from_utf8(bytes) else { return Verdict::Passed };
    if UNBOUNDED.iter().any(|word| text.contains(word)) || text.contains("query") || text.contains("q(") {
        return Verdict::Passed;
    }
    let globals = "a: text\nb: [1, 2.5, x]\nc: {d: '{{ a }}', e: yes}\nf: 10.0.0.1/24\ng: '{{ b }}'\n";
    let globals =
        Document::parse("globals.yml", globals).and_then(|document| Layer::of("globals.yml", document, false));
    let scopes = Scopes::new(layers(vec![globals.unwrap()]));
    let scope = scopes.host("h1");
    let file = Path::new("fuzz.j2");
    let _ = Verdict::from(scope.render_merged(file, text));
    // The same text as the value of a variable.
    let quoted = format!("value: {}\n", serde_json::Value::from(text));
    if let Ok(document) = Document::parse("role.yml", &quoted)
        && let Ok(entries) = document.entries()
    {
        let _ = Verdict::from(scope.eval(&document, &entries["value"].value));
    }
    scope.render(file, text).into()
}

/// Layers of a site with one host.
fn layers(base: Vec<Layer>) -> SiteLayers {
    let host = HostLayers { name: "h1".into(), groups: vec!["control".into()], ..HostLayers::default() };
    SiteLayers { base: base.into_iter().map(Into::into).collect(), hosts: vec![host], ..SiteLayers::default() }
}

/// The variables that a file of `group_vars` gives a host.
fn variables(bytes: &[u8], keys: &VaultKeys) -> Result<serde_json::Value, Error> {
    within(|folder| {
        fs::write(folder.join("hosts"), "h1\n").unwrap();
        fs::create_dir_all(folder.join("group_vars")).unwrap();
        fs::write(folder.join("group_vars/all.yml"), bytes).unwrap();
        Listing::read(&[folder.join("hosts")], keys)?.host("h1")
    })
}

/// Runs with a folder of this thread's own: to make one for each input would take longer than all else.
fn within<T>(run: impl FnOnce(&Path) -> T) -> T {
    thread_local!(static FOLDER: tempfile::TempDir = tempfile::tempdir().unwrap());
    FOLDER.with(|folder| run(folder.path()))
}

/// Bytes as Ansible Vault encrypts them, whatever they are; always with the same salt.
fn sealed(password: &str, mut bytes: Vec<u8>) -> String {
    const SALT: &[u8; 32] = b"always the same salt, for a test";
    let mut derived = [0; 80];
    pbkdf2::pbkdf2_hmac::<Sha256>(password.as_bytes(), SALT, 10_000, &mut derived);
    let (key, start): ([u8; 32], [u8; 16]) = (derived[..32].try_into().unwrap(), derived[64..].try_into().unwrap());
    Ctr128BE::<Aes256>::new(&key.into(), &start.into()).apply_keystream(&mut bytes);
    let mut mac = Hmac::<Sha256>::new_from_slice(&derived[32..64]).unwrap();
    mac.update(&bytes);
    let inner = [hex::encode(SALT), hex::encode(mac.finalize().into_bytes()), hex::encode(bytes)].join("\n");
    let digits = hex::encode(inner);
    let lines: Vec<&str> = digits.as_bytes().chunks(80).map(|line| str::from_utf8(line).unwrap()).collect();
    format!("$ANSIBLE_VAULT;1.1;AES256\n{}\n", lines.join("\n"))
}
