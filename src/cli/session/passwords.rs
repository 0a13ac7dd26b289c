//! The site's secrets: filled, merged, judged.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;

use super::load::Loaded;
use super::{PasswordRow, vault};
use crate::cli::Invocation;
use crate::error::{Result, nearest};
use crate::role::Role;
use crate::site::{MergeFiles, Merged, Password, Site};
use crate::template::words_of;

/// What the program itself reads.
const READ_HERE: &[&str] = &["docker_registry_password"];

/// Fills the empty entries of a file of passwords, unless it is a check; how many.
///
/// # Errors
/// When the file cannot be read, decrypted, understood or written.
pub async fn genpwd(at: &Invocation, file: &Path) -> Result<usize> {
    crate::site::genpwd(file, vault::keys(at).await?, at.global.check)
}

/// Takes the secrets of an older file of passwords into a newer one; `clean` leaves out names that only the old one has.
///
/// # Errors
/// When a file cannot be read, decrypted, understood or written.
pub async fn mergepwd(at: &Invocation, files: &MergeFiles, clean: bool) -> Result<Merged> {
    crate::site::mergepwd(files, clean, vault::keys(at).await?)
}

/// How many secrets the site has, and those of which something is to be said.
///
/// # Errors
/// Input errors.
pub async fn passwords(at: &Invocation) -> Result<(usize, Vec<PasswordRow>)> {
    let loaded = Loaded::read(at).await?;
    let enabled: HashSet<&str> = loaded.enabled()?.into_iter().map(|role| role.name.as_str()).collect();
    let readers: Vec<Reader<'_>> = loaded.roles.0.values().map(Reader::of).collect();
    let (on, off): (Vec<_>, Vec<_>) = readers.iter().partition(|reader| enabled.contains(reader.role));
    let of = |readers: &[&Reader<'_>], name: &str| {
        let names: Vec<&str> = readers.iter().filter(|reader| reader.words.contains(name)).map(|r| r.role).collect();
        names.join(", ")
    };
    let site = &loaded.site;
    let overrides = || loaded.overrides.texts().flat_map(words_of);
    let needed = on.iter().flat_map(|reader| reader.words.iter().copied()).chain(overrides());
    let needed = site.reached(needed.chain(READ_HERE.iter().copied()));
    let somewhere = site.reached(off.iter().flat_map(|reader| reader.words.iter().copied()).chain(site.mentioned()));
    let known = Site::known_passwords();
    let judged = site.passwords();
    let own: BTreeSet<&str> = judged.iter().map(|password| password.name.as_str()).collect();
    let mut rows = Vec::new();
    for Password { name, place, empty, weak } in &judged {
        let name = name.as_str();
        let row = |state, about: String| PasswordRow {
            name: name.into(),
            state,
            about,
            place: place.to_string(),
            needed: state == "empty",
        };
        if needed.contains(name) {
            match weak {
                _ if *empty => rows.push(row("empty", read_by(&of(&on, name)))),
                Some(why) => rows.push(row("weak", (*why).to_owned())),
                None => {}
            }
        } else if somewhere.contains(name) || known.contains(&name) {
            let roles = of(&off, name);
            let about =
                if roles.is_empty() { "nothing enabled reads it".into() } else { format!("not enabled: {roles}") };
            rows.push(row("unused", about));
        } else {
            let others = known.iter().chain(&needed).copied().filter(|other| !own.contains(other));
            let near = nearest(name, others).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            rows.push(row("unknown", format!("nothing reads it{near}")));
        }
    }
    for name in known.iter().filter(|name| needed.contains(*name) && !site.sets(name)) {
        let about = format!("{}; add `{name}:` and run `kolla genpwd`", read_by(&of(&on, name)));
        rows.push(PasswordRow { name: (*name).into(), state: "missing", about, place: String::new(), needed: true });
    }
    let order = ["empty", "missing", "weak", "unknown", "unused"];
    rows.sort_by_key(|row| order.iter().position(|state| *state == row.state));
    Ok((judged.len(), rows))
}

fn read_by(roles: &str) -> String {
    if roles.is_empty() { "needed through a variable".to_owned() } else { format!("read by {roles}") }
}

/// A role and all words that it says: of its file, its templates, and those of all roles that it uses.
pub(super) struct Reader<'a> {
    role: &'a str,
    pub(super) words: HashSet<&'a str>,
}

impl<'a> Reader<'a> {
    pub(super) fn of(role: &'a Role) -> Self {
        // What the role `site` has is for others to use.
        if role.name == "site" {
            return Self { role: &role.name, words: HashSet::new() };
        }
        let mut said = role.document.root.texts();
        let folder = |path: &'a Path| path.parent().and_then(Path::parent).and_then(Path::file_name);
        let is_own = |path: &'a Path| folder(path).is_some_and(|folder| *folder == *role.name);
        let (own, mut shared): (Vec<_>, Vec<_>) = role.templates.iter().partition(|(_, (path, _))| is_own(path));
        said.extend(own.into_iter().map(|(_, (_, text))| &**text));
        // One of them may include another.
        while let Some(at) = shared.iter().position(|(name, _)| said.iter().any(|text| text.contains(name.as_str()))) {
            let (_, (_, text)) = shared.swap_remove(at);
            said.push(text);
        }
        Self { role: &role.name, words: said.into_iter().flat_map(words_of).collect() }
    }
}
