//! Filling a passwords file: each empty value by its kind, everything else left as it is.

mod judge;
mod kept;
mod merge;

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use indexmap::IndexMap;
use rand::{Rng as _, RngExt as _};
use russh::keys::ssh_key::{Algorithm, LineEnding, PrivateKey};

pub use judge::Password;
pub use merge::{MergeFiles, Merged, mergepwd};

use super::files;
use super::vault::{self, Seal, VaultKeys};
use crate::error::{self, Error, InputError, Result};
use crate::source::{Data, Document, Entry};
use crate::template::Layer;
use kept::Kept;

const DIGITS_AND_LETTERS: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const BCRYPT: &[u8] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Keys of users of Ceph.
const CEPHX: &[&str] = &[
    "ceph_mon_key",
    "ceph_admin_key",
    "ceph_bootstrap_mgr_key",
    "ceph_bootstrap_osd_key",
    "ceph_bootstrap_mds_key",
    "ceph_glance_key",
    "ceph_cinder_key",
    "ceph_cinder_backup_key",
    "ceph_manila_key",
    "ceph_rgw_key",
];

/// Kolla's keys that are more than a password, and which kind they are (its `genpwd`, August 2026).
const KINDS: &[(Kind, &[&str])] = &[
    (
        Kind::Uuid,
        &[
            "ceph_cluster_fsid",
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
    (Kind::Cephx, CEPHX),
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
    /// 128 bits as Ceph writes them: with a type, a time and their length before them, in base64.
    Cephx,
}

fn kind(name: &str) -> Kind {
    KINDS.iter().find(|(_, names)| names.contains(&name)).map_or(Kind::Password, |(kind, _)| *kind)
}

/// The value is one that may be empty for good.
pub(super) fn stays_empty(name: &str) -> bool {
    kind(name) == Kind::Blank
}

/// The passwords file. A value that must stay empty is an empty text; every other empty one is an error where it
/// is used.
pub(super) fn layer(path: &Path, keys: &VaultKeys) -> Result<Layer, InputError> {
    let mut layer = files::layer("passwords.yml", path, true, keys)?;
    for (name, sourced) in &mut layer.vars {
        if sourced.node.data == Data::Null && stays_empty(name) {
            sourced.node.data = Data::Str(String::new());
        }
    }
    Ok(layer)
}

/// Secrets that Kolla-Ansible's file lacks, which is known by others; beside them those of Ceph.
const OWN: [&str; 3] = ["keystone_fernet_secret", "zookeeper_super_password", "ceph_cluster_fsid"];
const OF_KOLLA: [&str; 2] = ["database_password", "keystone_admin_password"];

/// Fills the empty values of a passwords file, each by its kind; returns how many. With `check`, writes nothing. A file of
/// Kolla-Ansible gets the secrets that it lacks.
///
/// The file is replaced as a whole by a finished one, of mode 0600, so that no crash can lose a secret. Comments,
/// order and everything that has a value stay. SSH key pairs are Ed25519. A file that is encrypted as a whole stays so,
/// under the same password and id; in one that has encrypted values, new ones are encrypted like the first of them.
///
/// # Errors
/// A file that cannot be read, decrypted or written, or that is no mapping in YAML.
pub fn genpwd(file: &Path, keys: &VaultKeys, check: bool) -> Result<usize> {
    let missing = !file.exists();
    let hint = |error: Error| if missing { error.with_hint("copy etc/passwords.yml there first") } else { error };
    let mut kept = Kept::read(file, keys).map_err(hint)?;
    let entries = kept.entries()?;
    if OF_KOLLA.iter().all(|name| entries.contains_key(*name)) {
        kept.append(OWN.iter().chain(CEPHX).copied().filter(|name| !entries.contains_key(*name)))?;
    }
    let entries = kept.entries()?;
    let empty: Vec<_> = entries.iter().filter(|(name, entry)| is_empty(name, entry)).collect();
    if empty.is_empty() && !check {
        kept::close_to_others(&kept.file)?;
    }
    if empty.is_empty() {
        return Ok(0);
    }
    let seal = if kept.seal.is_some() { None } else { vault::seal_of_values(&kept.document, keys)? };
    let mut lines = IndexMap::new();
    for (name, entry) in &empty {
        lines.extend(edit(kind(name), entry, seal.as_ref())?);
    }
    let text = apply(&kept.text, &lines)?;
    if !check {
        kept::write(&kept.file, &text, kept.seal.as_ref())?;
    }
    Ok(empty.len())
}

/// The value is one to fill.
fn is_empty(name: &str, entry: &Entry) -> bool {
    match (&entry.value.data, kind(name)) {
        (Data::Null, kind) => kind != Kind::Blank,
        // Only a pair of which both halves are missing: half a pair is somebody's.
        (Data::Map(map), _) => {
            map.len() == 2
                && ["private_key", "public_key"]
                    .iter()
                    .all(|half| map.get(*half).is_some_and(|entry| entry.value.data == Data::Null))
        }
        _ => false,
    }
}

/// What is to stand after the colon, by line: one line for a password, two for a key pair.
type Edit = Vec<(usize, String)>;

fn edit(kind: Kind, entry: &Entry, seal: Option<&Seal>) -> Result<Edit> {
    let Data::Map(map) = &entry.value.data else {
        if kind != Kind::KeyPair {
            let secret = secret(kind);
            let text = seal.map_or_else(|| format!(" {}", quoted(&secret)), |seal| sealed(seal, &secret, entry.column));
            return Ok(vec![(entry.line, text)]);
        }
        let (private, public) = key_pair()?;
        let text = format!("\n  private_key:{}\n  public_key: {public}", block(seal, &private, entry.column + 2));
        return Ok(vec![(entry.line, text)]);
    };
    let (private, public) = key_pair()?;
    let halves = map.iter().map(|(half, entry)| {
        let text = if half == "private_key" { block(seal, &private, entry.column) } else { format!(" {public}") };
        (entry.line, text)
    });
    Ok(halves.collect())
}

/// A text of several lines as what stands after the colon of a key in `column`.
fn block(seal: Option<&Seal>, text: &str, column: usize) -> String {
    seal.map_or_else(|| format!(" |{}", indented(text, column + 1)), |seal| sealed(seal, text, column))
}

/// As [`block`], encrypted.
fn sealed(seal: &Seal, text: &str, column: usize) -> String {
    format!(" !vault |{}", indented(&seal.close(text), column + 1))
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
                .of(error::Kind::Unsupported)
                .hint("write it as `name:` on a line of its own")
                .into());
        };
        let rest = &content[colon + 1..];
        let comment = rest.find('#').map_or("", |at| &rest[at..]);
        if !matches!(rest[..rest.len() - comment.len()].trim(), "" | "~" | "null" | "Null" | "NULL") {
            return Err(InputError::new(format!("line {} cannot be filled", index + 1))
                .of(error::Kind::Unsupported)
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
        // AES; nobody reads the time.
        Kind::Cephx => STANDARD.encode([&[1, 0][..], &[0; 8], &[16, 0], &bytes::<16>()[..]].concat()),
    }
}

fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::rng().fill_bytes(&mut bytes);
    bytes
}

/// A text of one line that YAML reads as this text: in quotes if it would be read as a number, say.
fn quoted(text: &str) -> String {
    let plain = Document::parse("", text).is_ok_and(|document| document.root.data == Data::Str(text.to_owned()));
    if plain { text.to_owned() } else { format!("'{}'", text.replace('\'', "''")) }
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

#[cfg(test)]
mod tests;
