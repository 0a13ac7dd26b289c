//! Filling a passwords file: each empty value by its kind, everything else left as it is.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use indexmap::IndexMap;
use rand::{Rng as _, RngExt as _};
use russh::keys::ssh_key::{Algorithm, LineEnding, PrivateKey};

use crate::error::{Error, InputError, Result};
use crate::source::{Data, Document, Entry};

const DIGITS_AND_LETTERS: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const BCRYPT: &[u8] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Kolla's keys that are more than a password, and which kind they are (its `genpwd`, August 2026).
const KINDS: &[(Kind, &[&str])] = &[
    (
        Kind::Uuid,
        &[
            "rbd_secret_uuid",
            "cinder_rbd_secret_uuid",
            "gnocchi_project_id",
            "gnocchi_resource_id",
            "gnocchi_user_id",
            "designate_pool_id",
        ],
    ),
    (
        Kind::KeyPair,
        &[
            "kolla_ssh_key",
            "nova_ssh_key",
            "keystone_ssh_key",
            "bifrost_ssh_key",
            "octavia_amp_ssh_key",
            "neutron_ssh_key",
            "haproxy_ssh_key",
        ],
    ),
    (Kind::Blank, &["docker_registry_password"]),
    (Kind::Hexadecimal, &["designate_rndc_key", "osprofiler_secret"]),
    (Kind::Fernet, &["barbican_crypto_key"]),
    (Kind::BcryptSalt, &["prometheus_bcrypt_salt"]),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// 40 letters and digits.
    Password,
    Uuid,
    /// A mapping of `private_key` and `public_key`.
    KeyPair,
    /// Only the operator can know it.
    Blank,
    /// 128 bits, as an HMAC-MD5 key.
    Hexadecimal,
    /// 256 bits in URL-safe base64.
    Fernet,
    BcryptSalt,
}

fn kind(name: &str) -> Kind {
    KINDS.iter().find(|(_, names)| names.contains(&name)).map_or(Kind::Password, |(kind, _)| *kind)
}

/// The value is one that may be empty for good.
pub(super) fn stays_empty(name: &str) -> bool {
    kind(name) == Kind::Blank
}

/// Fills the empty values of a passwords file, each by its kind; returns how many.
///
/// The file is replaced as a whole by a finished one, of mode 0600, so that no crash can lose a secret. Comments,
/// order and everything that has a value stay. SSH key pairs are Ed25519.
///
/// # Errors
/// A file that cannot be read or written, or that is no mapping in YAML.
pub fn genpwd(file: &Path) -> Result<usize> {
    // A link stays a link: what it points to is replaced.
    let file = &fs::canonicalize(file).map_err(|error| {
        Error::local(format!("read {}", file.display()), error).with_hint("copy etc/passwords.yml there first")
    })?;
    let text = super::files::read(file)?;
    if text.starts_with("$ANSIBLE_VAULT") {
        let error = InputError::new(format!("{} is encrypted with ansible-vault", file.display()));
        return Err(error.hint(format!("decrypt it with `ansible-vault decrypt {}`", file.display())).into());
    }
    let hidden = |mut error: InputError| {
        if let Some(place) = &mut error.place {
            place.excerpt = None;
        }
        Error::from(error)
    };
    let document = Document::parse(file, &text).map_err(hidden)?;
    let entries = document.entries().map_err(hidden)?;
    let mut edits = Vec::new();
    for (name, entry) in &entries {
        edits.extend(edit(name, entry)?);
    }
    let count = edits.len();
    let mut filled = text.clone();
    if count > 0 {
        let lines: IndexMap<usize, String> = edits.into_iter().flatten().collect();
        filled = apply(&text, &lines)?;
    }
    write(file, &filled, count > 0).map_err(|error| Error::local(format!("write {}", file.display()), error))?;
    Ok(count)
}

/// What is to stand after the colon, by line: one line for a password, two for a key pair.
type Edit = Vec<(usize, String)>;

fn edit(name: &str, entry: &Entry) -> Result<Option<Edit>> {
    let kind = kind(name);
    match &entry.value.data {
        Data::Null if kind == Kind::Blank => Ok(None),
        Data::Null if kind == Kind::KeyPair => {
            let (private, public) = key_pair()?;
            let text = format!("\n  private_key: |{}\n  public_key: {public}", indented(&private, 4));
            Ok(Some(vec![(entry.line, text)]))
        }
        Data::Null => Ok(Some(vec![(entry.line, format!(" {}", quoted(&secret(kind))))])),
        // Only a pair of which both halves are missing: half a pair is somebody's.
        Data::Map(map) if map.len() == 2 => match (map.get("private_key"), map.get("public_key")) {
            (Some(private), Some(public)) if private.value.data == Data::Null && public.value.data == Data::Null => {
                let (private_key, public_key) = key_pair()?;
                let text = format!(" |{}", indented(&private_key, private.column + 1));
                Ok(Some(vec![(private.line, text), (public.line, format!(" {public_key}"))]))
            }
            _ => Ok(None),
        },
        _ => Ok(None),
    }
}

/// The text with each edited line's value put after its colon; comments stay.
fn apply(text: &str, edits: &IndexMap<usize, String>) -> Result<String> {
    let mut out = String::new();
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let Some(value) = edits.get(&(index + 1)) else {
            out.push_str(line);
            continue;
        };
        let content = line.trim_end_matches(['\n', '\r']);
        let Some(colon) = content.find(':') else {
            // `? key` and flow mappings: YAML allows them, no passwords file has them.
            return Err(InputError::new(format!("line {} cannot be filled", index + 1))
                .hint("write it as `name:` on a line of its own")
                .into());
        };
        let rest = &content[colon + 1..];
        let comment = rest.find('#').map_or("", |at| &rest[at..]);
        if !matches!(rest[..rest.len() - comment.len()].trim(), "" | "~" | "null" | "Null" | "NULL") {
            return Err(InputError::new(format!("line {} cannot be filled", index + 1))
                .hint("write it as `name:` on a line of its own")
                .into());
        }
        out.push_str(&content[..=colon]);
        let (first, more) = value.split_once('\n').map_or((value.as_str(), None), |(first, more)| (first, Some(more)));
        out.push_str(first);
        if !comment.is_empty() {
            out.push_str("  ");
            out.push_str(comment);
        }
        if let Some(more) = more {
            out.push('\n');
            out.push_str(more);
        }
        out.push('\n');
    }
    Ok(out)
}

fn write(file: &Path, text: &str, changed: bool) -> std::io::Result<()> {
    let old = fs::metadata(file)?;
    if !changed {
        if old.permissions().mode() & 0o077 != 0 {
            fs::set_permissions(file, fs::Permissions::from_mode(0o600))?;
        }
        return Ok(());
    }
    let folder = file.parent().unwrap_or_else(|| Path::new("."));
    // Mode 0600 from its first moment.
    let mut temporary = tempfile::Builder::new().prefix(".passwords.").tempfile_in(folder)?;
    temporary.write_all(text.as_bytes())?;
    let made = temporary.as_file().metadata()?;
    if (made.uid(), made.gid()) != (old.uid(), old.gid()) {
        chown(temporary.path(), Some(old.uid()), Some(old.gid()))?;
    }
    temporary.as_file().set_permissions(fs::Permissions::from_mode(0o600))?;
    temporary.as_file().sync_all()?;
    temporary.persist(file).map_err(|error| error.error)?;
    fs::File::open(folder)?.sync_all()
}

fn pick(alphabet: &[u8], length: usize) -> String {
    let mut rng = rand::rng();
    (0..length).map(|_| char::from(alphabet[rng.random_range(0..alphabet.len())])).collect()
}

fn secret(kind: Kind) -> String {
    match kind {
        Kind::Password | Kind::KeyPair | Kind::Blank => pick(DIGITS_AND_LETTERS, 40),
        Kind::Uuid => uuid::Uuid::new_v4().to_string(),
        Kind::Hexadecimal => hex::encode(bytes::<16>()),
        Kind::Fernet => URL_SAFE.encode(bytes::<32>()),
        Kind::BcryptSalt => pick(BCRYPT, 22),
    }
}

fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::rng().fill_bytes(&mut bytes);
    bytes
}

/// A text that YAML reads as this text: in quotes if it would be read as a number, say.
fn quoted(text: &str) -> String {
    let plain = Document::parse("", text).is_ok_and(|document| document.root.data == Data::Str(text.to_owned()));
    if plain { text.to_owned() } else { format!("'{text}'") }
}

/// A new SSH key pair, Ed25519: the private half as OpenSSH writes it, and the public one.
///
/// # Errors
/// When the system gives no randomness.
pub fn key_pair() -> Result<(String, String)> {
    let failed = |error| Error::local("make an SSH key", error);
    let key = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).map_err(failed)?;
    let private = key.to_openssh(LineEnding::LF).map_err(failed)?;
    Ok((private.to_string(), key.public_key().to_openssh().map_err(failed)?))
}

fn indented(text: &str, spaces: usize) -> String {
    let start = format!("\n{}", " ".repeat(spaces));
    text.lines().flat_map(|line| [start.as_str(), line]).collect()
}
