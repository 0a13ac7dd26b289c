//! `password_hash`: SHA-crypt and bcrypt, by which Linux and many services keep passwords.

use base64::Engine as _;
use base64::alphabet::BCRYPT;
use base64::engine::{GeneralPurpose, general_purpose::NO_PAD};
use bcrypt::Version;
use minijinja::value::{Rest, ValueOrKwargs};
use minijinja::{Environment, Error, Value};
use sha_crypt::{Params, sha256_crypt, sha512_crypt};
use sha2::{Digest, Sha256};

use super::super::arguments::{printed, split, wrong};

const ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A salt of bcrypt: 22 characters for 16 bytes; the last one's spare bits mean nothing.
const SALT: GeneralPurpose = GeneralPurpose::new(&BCRYPT, NO_PAD.with_decode_allow_trailing_bits(true));

/// The version of bcrypt where none is asked for.
pub(in crate::template) const IDENT: &str = "2b";

/// What `password_hash` can make.
#[derive(Clone, Copy)]
enum Scheme {
    Sha256,
    Sha512,
    Bcrypt,
}

impl Scheme {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "sha256" | "sha256_crypt" => Self::Sha256,
            "sha512" | "sha512_crypt" => Self::Sha512,
            "blowfish" | "bcrypt" => Self::Bcrypt,
            _ => return None,
        })
    }

    /// The fewest rounds, those where none are asked for (passlib's), and some more than anybody asks for. Of bcrypt
    /// it is their exponent.
    fn rounds(self) -> (u32, u32, u32) {
        match self {
            Self::Sha256 => (Params::ROUNDS_MIN, 535_000, 10_000_000),
            Self::Sha512 => (Params::ROUNDS_MIN, 656_000, 10_000_000),
            Self::Bcrypt => (4, 12, 16),
        }
    }

    /// The hash as it is kept; `ident` says which version of bcrypt.
    fn hash(self, password: &str, salt: Option<String>, rounds: u32, ident: &str) -> Result<String, Error> {
        match self {
            Self::Bcrypt => bcrypted(password, salt, rounds, ident),
            Self::Sha256 => {
                sha_crypted("5", password, salt, rounds, |word, salt, params| sha256_crypt(word, salt, params).to_vec())
            }
            Self::Sha512 => {
                sha_crypted("6", password, salt, rounds, |word, salt, params| sha512_crypt(word, salt, params).to_vec())
            }
        }
    }
}

pub(super) fn add(environment: &mut Environment<'static>) {
    environment.add_filter("password_hash", hash);
    // Kolla-Ansible's own: any text is a salt.
    environment.add_filter("bcrypt_hash", |password: &Value, rest: Rest<ValueOrKwargs>| {
        let (args, named) = split(rest)?;
        let salt = args.first().cloned().map_or_else(|| named.get::<Option<Value>>("salt"), |salt| Ok(Some(salt)))?;
        named.assert_all_used()?;
        let password = printed(password)?;
        let salt = salt.filter(Value::is_true).map(|salt| printed(&salt)).transpose()?;
        let salt = salt.map_or_else(|| own_salt(&password), |salt| first_half(&Sha256::digest(salt)));
        bcrypt_of(&password, Scheme::Bcrypt.rounds().1, salt, Version::TwoB)
    });
}

fn hash(password: &Value, rest: Rest<ValueOrKwargs>) -> Result<String, Error> {
    let password = printed(password)?;
    let (args, named) = split(rest)?;
    let text = |index: usize, name: &str| -> Result<Option<String>, Error> {
        match args.get(index) {
            Some(value) => Ok(Some(value.to_string())),
            None => named.get::<Option<String>>(name),
        }
    };
    let name = text(0, "hashtype")?.unwrap_or_else(|| "sha512".to_owned());
    let salt = text(1, "salt")?.filter(|salt| !salt.is_empty());
    let rounds = named.get::<Option<u32>>("rounds")?;
    let ident = named.get::<Option<String>>("ident")?.unwrap_or_else(|| IDENT.to_owned());
    let _ = named.get::<Option<Value>>("salt_size")?;
    named.assert_all_used()?;
    password_hash(&password, &name, salt, rounds, &ident)
}

/// The hash of a password, by the name of its kind.
pub(in crate::template) fn password_hash(
    password: &str,
    name: &str,
    salt: Option<String>,
    rounds: Option<u32>,
    ident: &str,
) -> Result<String, Error> {
    let Some(scheme) = Scheme::named(name) else {
        let known = "use `sha512`, `sha256` or `bcrypt`";
        return Err(wrong(format!("unknown hash `{name}` of `password_hash`: {known}")));
    };
    let (fewest, usual, most) = scheme.rounds();
    let rounds = rounds.unwrap_or(usual).max(fewest);
    if rounds > most {
        return Err(wrong(format!("`password_hash` takes at most {most} rounds of `{name}`: more take minutes")));
    }
    scheme.hash(password, salt, rounds, ident)
}

/// Where none is given, one that follows from the password: the same file comes out of every run.
fn own_salt(password: &str) -> [u8; 16] {
    first_half(&Sha256::digest(format!("kolla salt {password}")))
}

fn first_half(digest: &[u8]) -> [u8; 16] {
    std::array::from_fn(|index| digest[index])
}

fn bcrypted(password: &str, salt: Option<String>, rounds: u32, ident: &str) -> Result<String, Error> {
    let version = match ident {
        "2a" => Version::TwoA,
        "2b" => Version::TwoB,
        "2y" => Version::TwoY,
        _ => return Err(wrong(format!("unknown `ident` `{ident}` of bcrypt: use `2b`, `2a` or `2y`"))),
    };
    let salt = match salt {
        None => own_salt(password),
        Some(salt) => {
            let bytes = SALT.decode(&salt).ok().and_then(|bytes| bytes.try_into().ok());
            bytes.ok_or_else(|| wrong("a salt of bcrypt has 22 letters, digits, `.` and `/`"))?
        }
    };
    bcrypt_of(password, rounds, salt, version)
}

fn bcrypt_of(password: &str, rounds: u32, salt: [u8; 16], version: Version) -> Result<String, Error> {
    let parts = bcrypt::hash_with_salt(password, rounds, salt).map_err(|error| wrong(error.to_string()))?;
    Ok(parts.format_for_version(version))
}

fn sha_crypted(
    id: &str,
    password: &str,
    salt: Option<String>,
    rounds: u32,
    digest: impl Fn(&[u8], &[u8], Params) -> Vec<u8>,
) -> Result<String, Error> {
    let salt = salt.unwrap_or_else(|| {
        own_salt(password).iter().map(|byte| char::from(ALPHABET[usize::from(byte & 63)])).collect()
    });
    if salt.len() > 16 || !salt.bytes().all(|byte| ALPHABET.contains(&byte)) {
        return Err(wrong("a salt has at most 16 letters, digits, `.` and `/`"));
    }
    let params = Params::new(rounds).map_err(|error| wrong(error.to_string()))?;
    let digest = encode(&digest(password.as_bytes(), salt.as_bytes(), params));
    // The standard's own number is not written.
    let written = if rounds == Params::RECOMMENDED_ROUNDS { String::new() } else { format!("{params}$") };
    Ok(format!("${id}${written}{salt}${digest}"))
}

/// Three bytes at a time, from three parts of the digest that go round, as four characters.
fn encode(digest: &[u8]) -> String {
    let third = digest.len() / 3;
    let (mut a, mut b, mut c) = (0, third, 2 * third);
    let mut out = String::new();
    let mut put = |bytes: [u8; 3], count: usize| {
        let mut bits = u32::from(bytes[0]) << 16 | u32::from(bytes[1]) << 8 | u32::from(bytes[2]);
        for _ in 0..count {
            out.push(char::from(ALPHABET[(bits & 63) as usize]));
            bits >>= 6;
        }
    };
    for _ in 0..third {
        put([digest[a], digest[b], digest[c]], 4);
        (a, b, c) = if digest.len() == 64 { (b + 1, c + 1, a + 1) } else { (c + 1, a + 1, b + 1) };
    }
    match digest.len() {
        64 => put([0, 0, digest[63]], 2),
        _ => put([0, digest[31], digest[30]], 3),
    }
    out
}
