//! Which keys a host is known by: the part of OpenSSH's `known_hosts` files that matters to a client.
//!
//! Plain names, `[host]:port`, hashed names, wildcards and negations, `@revoked`. Lines of `@cert-authority` are
//! passed over (no host certificate is ever asked for), and so are lines that cannot be read, as OpenSSH does.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use russh::keys::ssh_key::{Algorithm, PublicKey};
use sha1::Sha1;

/// What the files say of one host.
#[derive(Debug, Default)]
pub(super) struct Known {
    lines: Vec<Line>,
}

#[derive(Debug)]
struct Line {
    /// `file:line`.
    place: String,
    revoked: bool,
    key: PublicKey,
}

/// What the files say of one key.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is recorded.
    Known,
    /// Nothing is recorded for this host.
    Unknown,
    /// Another key is recorded, there.
    Changed(String),
    /// It must not be used any more, as is said there.
    Revoked(String),
}

impl Known {
    /// Reads what is recorded for a host; files that cannot be read record nothing.
    pub(super) fn read(files: &[PathBuf], host: &str, port: u16) -> Self {
        let name = name(host, port);
        let mut known = Self::default();
        for file in files {
            let Ok(recorded) = Recorded::read(file) else { continue };
            for index in recorded.about(&name) {
                if let Some((revoked, key)) = parse(&recorded.lines[index], &name) {
                    known.lines.push(Line { place: format!("{}:{}", file.display(), index + 1), revoked, key });
                }
            }
        }
        known
    }

    /// What is to be thought of a key that the host offers.
    pub(super) fn check(&self, key: &PublicKey) -> Verdict {
        let same = |line: &&Line| line.key.key_data() == key.key_data();
        if let Some(line) = self.lines.iter().find(|line| line.revoked && same(line)) {
            return Verdict::Revoked(line.place.clone());
        }
        let mut valid = self.lines.iter().filter(|line| !line.revoked).peekable();
        let Some(first) = valid.peek().map(|line| line.place.clone()) else { return Verdict::Unknown };
        let (mut place, mut typed) = (first, false);
        for line in valid {
            if same(&line) {
                return Verdict::Known;
            }
            if !typed && same_type(&line.key.algorithm(), &key.algorithm()) {
                place.clone_from(&line.place);
                typed = true;
            }
        }
        Verdict::Changed(place)
    }

    /// The algorithms with those first whose keys are recorded: else a server with several keys would offer one
    /// that is not, and look like another host.
    pub(super) fn order(&self, algorithms: &[Algorithm]) -> Vec<Algorithm> {
        let recorded = |algorithm: &Algorithm| {
            self.lines.iter().any(|line| !line.revoked && same_type(&line.key.algorithm(), algorithm))
        };
        let (mut first, rest): (Vec<_>, Vec<_>) = algorithms.iter().cloned().partition(recorded);
        first.extend(rest);
        first
    }
}

/// A file, with its lines by the names that stand in them: each of many hosts would else look at all of them.
struct Recorded {
    stamp: Stamp,
    lines: Vec<String>,
    named: HashMap<String, Vec<usize>>,
    /// Lines with patterns or hashed names.
    others: Vec<usize>,
}

/// By which a file that has changed is known: inode, length, and when it was written.
type Stamp = (u64, u64, i64, i64);

impl Recorded {
    /// The file as it is now. It is kept, and read again once it has changed.
    fn read(file: &Path) -> std::io::Result<Arc<Self>> {
        static KEPT: LazyLock<Mutex<HashMap<PathBuf, Arc<Recorded>>>> = LazyLock::new(Mutex::default);
        let about = fs::metadata(file)?;
        let stamp = (about.ino(), about.len(), about.mtime(), about.mtime_nsec());
        let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = kept.get(file).filter(|known| known.stamp == stamp) {
            return Ok(known.clone());
        }
        let text = fs::read(file)?;
        let lines: Vec<String> = String::from_utf8_lossy(&text).lines().map(str::to_owned).collect();
        let (mut named, mut others) = (HashMap::<String, Vec<usize>>::new(), Vec::new());
        for (index, line) in lines.iter().enumerate() {
            let Some((_, hosts, _)) = parts(line) else { continue };
            if hosts.contains(['*', '?', '!', '|']) {
                others.push(index);
                continue;
            }
            for name in hosts.split(',') {
                named.entry(name.to_lowercase()).or_default().push(index);
            }
        }
        let recorded = Arc::new(Self { stamp, lines, named, others });
        kept.insert(file.to_owned(), recorded.clone());
        Ok(recorded)
    }

    /// Lines that may be about a host, in their order.
    fn about(&self, name: &str) -> BTreeSet<usize> {
        self.named.get(name).into_iter().flatten().chain(&self.others).copied().collect()
    }
}

/// RSA keys are one type, whatever they are signed with.
fn same_type(a: &Algorithm, b: &Algorithm) -> bool {
    a == b || matches!((a, b), (Algorithm::Rsa { .. }, Algorithm::Rsa { .. }))
}

/// The name a host is recorded by.
fn name(host: &str, port: u16) -> String {
    let host = host.to_lowercase();
    if port == 22 { host } else { format!("[{host}]:{port}") }
}

/// Whether a line is about the host, and its key.
fn parse(line: &str, name: &str) -> Option<(bool, PublicKey)> {
    let (revoked, hosts, key) = parts(line)?;
    if !matches(hosts, name) {
        return None;
    }
    PublicKey::from_openssh(&key).ok().map(|key| (revoked, key))
}

/// Whether a line takes its key back, the names in it, and the key as it is written.
fn parts(line: &str) -> Option<(bool, &str, String)> {
    let mut words = line.split_whitespace().peekable();
    let revoked = match words.peek()? {
        word if word.starts_with('#') => return None,
        &"@revoked" => words.next().is_some(),
        word if word.starts_with('@') => return None,
        _ => false,
    };
    let (hosts, kind, key) = (words.next()?, words.next()?, words.next()?);
    Some((revoked, hosts, format!("{kind} {key}")))
}

/// Whether a list of patterns means this name.
fn matches(hosts: &str, name: &str) -> bool {
    if let Some(hashed) = hosts.strip_prefix("|1|") {
        return hashed.split_once('|').is_some_and(|(salt, hash)| hashed_name(salt, hash, name).unwrap_or(false));
    }
    let mut found = false;
    for pattern in hosts.split(',') {
        let lower = pattern.to_lowercase();
        match lower.strip_prefix('!') {
            Some(not) if glob(not.as_bytes(), name.as_bytes()) => return false,
            Some(_) => {}
            None => found |= glob(lower.as_bytes(), name.as_bytes()),
        }
    }
    found
}

fn hashed_name(salt: &str, hash: &str, name: &str) -> Option<bool> {
    let (salt, hash) = (STANDARD.decode(salt).ok()?, STANDARD.decode(hash).ok()?);
    let mut mac = Hmac::<Sha1>::new_from_slice(&salt).ok()?;
    mac.update(name.as_bytes());
    Some(mac.verify_slice(&hash).is_ok())
}

/// `*` is any run of characters, `?` any one; nothing else is special, brackets least of all.
fn glob(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern.first(), name.first()) {
        (None, None) => true,
        (Some(b'*'), _) => glob(&pattern[1..], name) || (!name.is_empty() && glob(pattern, &name[1..])),
        (Some(b'?'), Some(_)) => glob(&pattern[1..], &name[1..]),
        (Some(a), Some(b)) if a == b => glob(&pattern[1..], &name[1..]),
        _ => false,
    }
}

/// Records a key: one appending write, so that neither a second run nor a crash can tear a line.
pub(super) fn learn(file: &Path, host: &str, port: u16, key: &PublicKey) -> std::io::Result<()> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock();
    if let Some(folder) = file.parent().filter(|folder| !folder.exists()) {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let mut known = fs::OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(file)?;
    let mut last = [b'\n'];
    if known.metadata()?.len() > 0 {
        known.seek(SeekFrom::End(-1))?;
        known.read_exact(&mut last)?;
    }
    let key = PublicKey::from(key.key_data().clone()).to_openssh().map_err(std::io::Error::other)?;
    let newline = if last == [b'\n'] { "" } else { "\n" };
    known.write_all(format!("{newline}{} {key}\n", name(host, port)).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJJN/il4r2wHVPwv2G0Vigj5FRj7I7h0jsd8VCdVub0E";
    const B: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINMVq7xCKUy/ncCWq2AnUg5U7fSHcm1bWQ4NniTftp9o";
    const RSA: &str = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQDR7bZdzPleScTyibAiXjn0MofinNJd0qN+ZymIY7oIF2RrZPXWGzWdL8ON/bd+eNWpXKW/xgJHKbN9njK/7Z5RK1iniPNAsbcjZI67BJiPtnlDwlatY2wfNFmpyDBImrlxNxsqU9sMhwiduckR+7ndiGsGpocmNtY1/t9p+4wBKWJR3SdgtbFKbvo1O3L4LgH+BWLB9sdkbfAC5R7mwqanTwA9Pk5ifhpAyhozGawR3SJAZuPFZ6U6lZR7tly2yMFqOTJDVU9UFO07PdjIWyV0DEQWUSlFxy/tLpfNBG+ZeM7Je0E2QxupzmztGYua6mT+spd5sL5fW0EWxIuq6+hD";

    fn key(text: &str) -> PublicKey {
        PublicKey::from_openssh(text).unwrap()
    }

    fn verdict(lines: &str, host: &str, port: u16, offered: &str) -> Verdict {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("known_hosts");
        fs::write(&file, lines).unwrap();
        let verdict = Known::read(&[folder.path().join("none"), file], host, port).check(&key(offered));
        let short = |place: String| place.rsplit('/').next().unwrap().to_owned();
        match verdict {
            Verdict::Changed(place) => Verdict::Changed(short(place)),
            Verdict::Revoked(place) => Verdict::Revoked(short(place)),
            other => other,
        }
    }

    #[test]
    fn a_host_is_found_in_every_form_of_line() {
        // `ssh-keygen -H` made the hashed one, for 192.168.1.61.
        let hashed = format!("|1|p1FBkc9tSl0ZPljOGTkP94dSS6k=|QO6SY8TMdmn63yQ/QHktIMYbRRo= {A}");
        for (line, host, port) in [
            (format!("h1 {A}"), "h1", 22),
            (format!("\th1\t{A} a comment"), "H1", 22),
            (format!("other,[h1]:2222 {A}"), "h1", 2222),
            (format!("*.example.org,!bad.example.org {A}"), "a.example.org", 22),
            (format!("10.0.0.? {A}"), "10.0.0.7", 22),
            (hashed, "192.168.1.61", 22),
        ] {
            assert_eq!(verdict(&line, host, port, A), Verdict::Known, "{line}");
        }
        for (line, host, port) in [
            (format!("h1 {A}"), "h1", 2222),
            (format!("#h1 {A}"), "h1", 22),
            (format!("*.example.org,!bad.example.org {A}"), "bad.example.org", 22),
            (format!("@cert-authority h1 {A}"), "h1", 22),
            ("h1 ssh-ed25519 not-a-key".into(), "h1", 22),
            (String::new(), "h1", 22),
        ] {
            assert_eq!(verdict(&line, host, port, A), Verdict::Unknown, "{line}");
        }
    }

    #[test]
    fn a_changed_or_revoked_key_is_refused_with_its_place() {
        let both = format!("# head\nh1 {RSA}\nh1 {B}\n");
        assert_eq!(verdict(&both, "h1", 22, A), Verdict::Changed("known_hosts:3".into()));
        assert_eq!(verdict(&both, "h1", 22, B), Verdict::Known);
        let revoked = format!("h1 {A}\n@revoked * {A}\n");
        assert_eq!(verdict(&revoked, "h1", 22, A), Verdict::Revoked("known_hosts:2".into()));
    }

    #[test]
    fn recorded_types_are_asked_for_first() {
        let known = Known { lines: vec![Line { place: String::new(), revoked: false, key: key(RSA) }] };
        let order = known.order(&[Algorithm::Ed25519, Algorithm::Rsa { hash: None }]);
        assert_eq!(order, [Algorithm::Rsa { hash: None }, Algorithm::Ed25519]);
    }

    #[test]
    fn a_learned_key_is_known_and_leaves_the_other_lines_whole() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ssh/known_hosts");
        let known = |host: &str, port| Known::read(std::slice::from_ref(&file), host, port);
        assert_eq!(known("h1", 2222).check(&key(A)), Verdict::Unknown);
        learn(&file, "h1", 2222, &key(A)).unwrap();
        assert_eq!(known("h1", 2222).check(&key(A)), Verdict::Known);
        fs::write(&file, format!("{}h2 {B}", fs::read_to_string(&file).unwrap())).unwrap();
        learn(&file, "h3", 22, &key(A)).unwrap();
        for (host, port, offered) in [("h1", 2222, A), ("h2", 22, B), ("h3", 22, A)] {
            assert_eq!(known(host, port).check(&key(offered)), Verdict::Known, "{host}");
        }
    }
}
