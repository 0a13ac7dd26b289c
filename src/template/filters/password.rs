//! `password_hash`: SHA-crypt, by which Linux and many services keep passwords.

use minijinja::value::{Rest, ValueOrKwargs};
use minijinja::{Environment, Error, Value};
use sha2::{Digest, Sha256, Sha512};

use super::{printed, split, wrong};

const ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Rounds where none are asked for, as passlib has them.
const ROUNDS: [(u32, &str); 2] = [(535_000, "5"), (656_000, "6")];

/// Ten times what anybody asks for.
const MOST_ROUNDS: u32 = 10_000_000;

/// Rounds that are not written, by the definition of SHA-crypt.
const PLAIN_ROUNDS: u32 = 5000;

pub(super) fn add(environment: &mut Environment<'static>) {
    environment.add_filter("password_hash", hash);
}

/// Without a salt, one that follows from the password: the same file comes out of every run.
fn hash(password: &Value, rest: Rest<ValueOrKwargs>) -> Result<String, Error> {
    let password = printed(password)?;
    let (args, named) = split(rest)?;
    let text = |index: usize, name: &str| -> Result<Option<String>, Error> {
        match args.get(index) {
            Some(value) => Ok(Some(value.to_string())),
            None => named.get::<Option<String>>(name),
        }
    };
    let kind = text(0, "hashtype")?.unwrap_or_else(|| "sha512".to_owned());
    let salt = match text(1, "salt")?.filter(|salt| !salt.is_empty()) {
        Some(salt) => salt,
        None => Sha256::digest(format!("kolla salt {password}"))
            .iter()
            .take(16)
            .map(|byte| char::from(ALPHABET[usize::from(byte & 63)]))
            .collect(),
    };
    if salt.len() > 16 || !salt.bytes().all(|byte| ALPHABET.contains(&byte)) {
        return Err(wrong("a salt has at most 16 letters, digits, `.` and `/`"));
    }
    let rounds = named.get::<Option<u32>>("rounds")?;
    let _ = named.get::<Option<Value>>("salt_size")?;
    named.assert_all_used()?;
    let index = match kind.as_str() {
        "sha256" | "sha256_crypt" => 0,
        "sha512" | "sha512_crypt" => 1,
        other => return Err(wrong(format!("unknown hash `{other}` of `password_hash`: use `sha512` or `sha256`"))),
    };
    let rounds = rounds.unwrap_or(ROUNDS[index].0).max(1000);
    if rounds > MOST_ROUNDS {
        return Err(wrong(format!("`password_hash` takes at most {MOST_ROUNDS} rounds: more take minutes")));
    }
    let digest = match index {
        0 => crypt::<Sha256>(password.as_bytes(), salt.as_bytes(), rounds),
        _ => crypt::<Sha512>(password.as_bytes(), salt.as_bytes(), rounds),
    };
    let written = if rounds == PLAIN_ROUNDS { String::new() } else { format!("rounds={rounds}$") };
    Ok(format!("${}${written}{salt}${}", ROUNDS[index].1, encode(&digest)))
}

/// The digest, by the steps of the definition.
fn crypt<D: Digest>(password: &[u8], salt: &[u8], rounds: u32) -> Vec<u8> {
    let size = <D as Digest>::output_size();
    let of = |parts: &[&[u8]]| {
        let mut digest = D::new();
        for part in parts {
            digest.update(part);
        }
        digest.finalize().to_vec()
    };
    let repeated = |block: &[u8], length: usize| block.iter().copied().cycle().take(length).collect::<Vec<u8>>();
    let second = of(&[password, salt, password]);
    let mut first = D::new();
    first.update(password);
    first.update(salt);
    first.update(repeated(&second, password.len()));
    let mut bits = password.len();
    while bits > 0 {
        first.update(if bits & 1 == 1 { &second[..] } else { password });
        bits >>= 1;
    }
    let mut digest = first.finalize().to_vec();
    let mut passwords = D::new();
    for _ in password {
        passwords.update(password);
    }
    let password = repeated(&passwords.finalize(), password.len());
    let mut salts = D::new();
    (0..16 + usize::from(digest[0])).for_each(|_| salts.update(salt));
    let salt = repeated(&salts.finalize(), salt.len().min(size));
    for round in 0..rounds {
        let (odd, three, seven) = (round % 2 == 1, round % 3 != 0, round % 7 != 0);
        let mut next = D::new();
        next.update(if odd { &password } else { &digest });
        if three {
            next.update(&salt);
        }
        if seven {
            next.update(&password);
        }
        next.update(if odd { &digest } else { &password });
        digest = next.finalize().to_vec();
    }
    digest
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
