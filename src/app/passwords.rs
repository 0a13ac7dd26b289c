//! The site's secrets: filled, merged, judged.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;

use serde::Serialize;

use super::{App, Loaded};
use crate::error::{Result, nearest};
use crate::examples;
use crate::plan::reads;
use crate::site::{MergeFiles, Merged, Password, Read, Trace};
use crate::template::Mentions;

/// What is to be said of a secret.
#[derive(Debug, Clone, Default, Serialize)]
pub struct PasswordRow {
    /// Its name.
    pub name: String,
    /// `empty`, `missing`, `weak`, `unknown` or `unused`.
    pub state: &'static str,
    /// Why, or who reads it.
    pub about: String,
    /// Where it stands, as `/etc/kolla/passwords.yml:12`; empty where it is missing.
    pub place: String,
    /// Something enabled needs it, and it has no value.
    pub needed: bool,
}

/// Fills the empty entries of a file of passwords, unless it is a check; how many.
///
/// # Errors
/// When the file cannot be read, decrypted, understood or written.
pub async fn genpwd(app: &App, file: &Path, check: bool) -> Result<usize> {
    crate::site::genpwd(file, app.vault_keys().await?, check)
}

/// Takes the secrets of an older file of passwords into a newer one; `clean` leaves out names that only the old one has.
///
/// # Errors
/// When a file cannot be read, decrypted, understood or written.
pub async fn mergepwd(app: &App, files: &MergeFiles, clean: bool) -> Result<Merged> {
    crate::site::mergepwd(files, clean, app.vault_keys().await?)
}

/// How many secrets the site has, and those of which something is to be said.
///
/// # Errors
/// Input errors.
pub async fn passwords(app: &App) -> Result<(usize, Vec<PasswordRow>)> {
    let loaded = Loaded::read(app).await?;
    let enabled: HashSet<&str> = loaded.enabled()?.into_iter().map(|role| role.name.as_str()).collect();
    let trace = Trace::of(&loaded.site);
    let readers = loaded.roles.0.values().map(|role| (role.name.as_str(), trace.read(reads::by_role(role))));
    let (on, off): (Vec<_>, Vec<_>) = readers.partition(|(role, _)| enabled.contains(role));
    let of = |readers: &[(&str, Read)], name: &str| {
        let names: Vec<&str> = readers.iter().filter(|(_, read)| read.has(name)).map(|(role, _)| *role).collect();
        names.join(", ")
    };
    let by_files = trace.read(reads::by_overrides(&loaded.overrides));
    let by_program = trace.read([reads::by_program()]);
    // What the program reads of a role that is not enabled, it does not read.
    let of_off = |name: &str| {
        let rest =
            |role: &str| name.strip_prefix(role.replace('-', "_").as_str()).is_some_and(|rest| rest.starts_with('_'));
        off.iter().any(|(role, _)| rest(role))
    };
    let needed = |name: &str| {
        by_files.has(name) || on.iter().any(|(_, read)| read.has(name)) || by_program.has(name) && !of_off(name)
    };
    let read_by = |name: &str| match of(&on, name) {
        roles if !roles.is_empty() => format!("read by {roles}"),
        _ if by_files.has(name) => "read by files in config/".to_owned(),
        _ => "read by the program".to_owned(),
    };
    // What only a variable names that nothing reads is no slip.
    let mentioned = trace
        .read(trace.set().flat_map(|(_, values)| values).flat_map(|value| value.node.texts()).map(Mentions::of_text));
    let known: Vec<&str> = examples::secrets().collect();
    let judged = loaded.site.passwords();
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
        if needed(name) {
            match weak {
                _ if *empty => rows.push(row("empty", read_by(name))),
                Some(why) => rows.push(row("weak", (*why).to_owned())),
                None => {}
            }
        } else if known.contains(&name) || mentioned.has(name) || !of(&off, name).is_empty() {
            let roles = of(&off, name);
            let about =
                if roles.is_empty() { "nothing enabled reads it".into() } else { format!("not enabled: {roles}") };
            rows.push(row("unused", about));
        } else {
            let read = on.iter().flat_map(|(_, read)| read.names()).chain(by_files.names());
            let others = known.iter().copied().chain(read).filter(|other| !own.contains(other));
            let near = nearest(name, others).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            rows.push(row("unknown", format!("nothing reads it{near}")));
        }
    }
    for name in known.iter().filter(|name| needed(name) && !trace.has(name)) {
        let about = format!("{}; add `{name}:` and run `kolla genpwd`", read_by(name));
        rows.push(PasswordRow { name: (*name).into(), state: "missing", about, place: String::new(), needed: true });
    }
    let order = ["empty", "missing", "weak", "unknown", "unused"];
    rows.sort_by_key(|row| order.iter().position(|state| *state == row.state));
    Ok((judged.len(), rows))
}
