//! The files of a service on a host: immutable sets of them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::file::{OneFile, known, put, run};
use super::hunks::{Places, hunks};
use super::names::{self, APPLIED, SETS};
use super::{Attribute, Attributes, Diff, Operation, ProgressSink, View, Want, foreign};
use crate::error::Result;
use crate::host::{FileState, PutFile, Remote};
use crate::shell::quote;

pub use super::hunks::NOTE;

/// Characters of a set's digest in its name.
const DIGEST: usize = 12;

/// The files of a service on a host: immutable, named by their digest; a link names the newest.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FileSet {
    /// The service.
    pub service: String,
    /// Its container.
    pub container: String,
    /// Its files.
    pub files: Vec<OneFile>,
    /// No link: the service reads a folder of that name.
    pub stable: bool,
    /// There or not.
    pub want: Want,
}

impl FileSet {
    /// The digest of all names, modes and contents.
    pub fn digest(&self) -> String {
        let mut hasher = Sha256::new();
        for file in &self.files {
            hasher.update(format!("{}\0{:o}\0{}\n", file.name, file.mode, file.digest));
        }
        hex::encode(hasher.finalize()).chars().take(DIGEST).collect()
    }

    /// Where the set is.
    pub fn folder(&self) -> String {
        format!("{SETS}/{}-{}", self.service, self.digest())
    }

    fn link(&self) -> String {
        format!("/etc/kolla/{}", self.service)
    }

    /// The folder of its name is what another deployment's container was made with.
    fn folder_is_foreign(&self, at: &View) -> bool {
        let link = self.link();
        let folder = at.me.look(|look| {
            look.files.get(&link).is_some_and(|file| file.link.is_none()) || look.inside(&link).next().is_some()
        });
        folder && foreign::is_foreign(&self.container, at)
    }

    /// What is noted of the service's container, and of one it may have taken over from.
    fn marks(&self) -> [String; 5] {
        names::notes(&self.service.replace('-', "_"))
    }

    /// The path is that of one of this service's sets, or in it. A set of `web-api` is none of `web`.
    fn in_sets(&self, path: &str) -> bool {
        path.strip_prefix(&format!("{SETS}/{}-", self.service)).is_some_and(|rest| {
            let digest = rest.split('/').next().unwrap_or_default();
            digest.len() == DIGEST && digest.chars().all(|c| c.is_ascii_hexdigit())
        })
    }

    /// The set that the link names.
    fn linked_set(&self, at: &View) -> Option<String> {
        at.me.look(|look| look.files.get(&self.link()).and_then(|file| file.link.clone()))
    }

    /// The files that differ from those of the set in use, a line or a hunk each.
    async fn details(&self, at: &View) -> Result<Vec<String>> {
        // Without a link, what is there is the folder that the process reads, or what something else left there.
        let folder = self.linked_set(at).unwrap_or_else(|| self.link());
        let before: BTreeMap<String, (String, FileState)> = files_in(&folder, at)
            .into_iter()
            .map(|(name, state)| (name.clone(), (format!("{folder}/{name}"), state)))
            .collect();
        let mut noted = None;
        let mut details = Vec::new();
        for file in &self.files {
            match before.get(&file.name) {
                None if before.is_empty() => {}
                None => details.push(format!("file {}: new", file.name)),
                Some((_, state)) if state.digest == file.digest => {
                    details.extend(file.rights(state).map(|rights| format!("file {}: {rights}", file.name)));
                }
                Some((path, _)) => {
                    details.push(format!("file {}: update", file.name));
                    if at.shared.hunks {
                        let noted = match &mut noted {
                            Some(noted) => noted,
                            none => none.insert(self.noted(at).await?),
                        };
                        let old = at.host().read(path).await?.unwrap_or_default();
                        details.extend(hunks(&old, &file.content, noted, false, &at.shared.mask));
                    }
                }
            }
        }
        for name in before.keys().filter(|name| !self.files.iter().any(|file| file.name == **name)) {
            details.push(format!("file {name}: gone"));
        }
        Ok(details)
    }

    /// Where secrets stand in the files of the sets that are there.
    async fn noted(&self, at: &View) -> Result<Places> {
        let notes = at.me.look(|look| {
            let note = |path: &&String| self.in_sets(path) && path.ends_with(&format!("/{NOTE}"));
            look.files.keys().filter(note).cloned().collect::<Vec<_>>()
        });
        let mut places = Places::default();
        for path in notes {
            places.read(&String::from_utf8_lossy(&at.host().read(&path).await?.unwrap_or_default()));
        }
        Ok(places)
    }
}

/// The files of a service in a folder by name.
fn files_in(folder: &str, at: &View) -> BTreeMap<String, FileState> {
    at.me.look(|look| {
        let named = |(path, state): (&String, &FileState)| (path[folder.len() + 1..].to_owned(), state.clone());
        look.inside(folder).map(named).filter(|(name, _)| name != NOTE).collect()
    })
}

#[async_trait]
impl Operation for FileSet {
    fn subject(&self) -> String {
        format!("files {}", self.service)
    }

    async fn diff(&self, at: &View) -> Result<Diff> {
        if self.want == Want::Absent {
            let (inside, foreign) = (format!("{}/", self.link()), self.folder_is_foreign(at));
            let there = at.me.look(|look| {
                look.files.keys().any(|path| {
                    let linked = *path == self.link() || path.starts_with(&inside);
                    self.in_sets(path) || self.marks().contains(path) || linked && !foreign
                })
            });
            return Ok(if there { Diff::Remove } else { Diff::Same("not there".into()) });
        }
        let (folder, link) = (self.folder(), self.link());
        let (whole, any) = at.me.look(|look| {
            let whole = self.files.iter().all(|file| {
                look.files
                    .get(&format!("{folder}/{}", file.name))
                    .is_some_and(|state| state.digest == file.digest && file.rights(state).is_none())
            });
            (whole, look.files.contains_key(&link) || look.inside(&link).next().is_some())
        });
        if whole && (self.stable || self.linked_set(at).as_ref() == Some(&folder)) {
            return Ok(Diff::Same("content, mode and owner match".into()));
        }
        let details = self.details(at).await?;
        Ok(if any { Diff::Update(details) } else { Diff::Create(details) })
    }

    async fn attributes(&self, diff: &Diff, at: &View) -> Result<Attributes> {
        if self.want == Want::Absent {
            let there = if diff.differs() { "there" } else { "" };
            return Ok(Attributes::from([("files".to_owned(), Attribute::new(there, ""))]));
        }
        let mut found = Attributes::new();
        let linked = self.linked_set(at);
        // Until the link names the new set, what counts is the one that it names.
        let other = linked.clone().filter(|folder| *folder != self.folder());
        let mut now = files_in(other.as_ref().unwrap_or(&self.folder()), at);
        if !self.stable {
            found.insert("set".into(), Attribute::new(linked.unwrap_or_default(), self.folder()));
        }
        for file in &self.files {
            let before = now.remove(&file.name);
            found.insert(format!("file {}", file.name), file.attribute(before.as_ref()));
        }
        for (name, state) in now.iter().filter(|_| other.is_some()) {
            found.insert(format!("file {name}"), Attribute::new(known(state), ""));
        }
        Ok(found)
    }

    fn foreign(&self, at: &View) -> Vec<String> {
        let touched = self.want != Want::Absent && self.folder_is_foreign(at);
        touched.then(|| format!("folder {}", self.link())).into_iter().collect()
    }

    async fn apply(&self, diff: &Diff, at: &View, host: &Remote, _sink: &ProgressSink) -> Result<()> {
        let link = self.link();
        if *diff == Diff::Remove {
            let noted = names::secrets(&self.service);
            let files = at.me.look(|look| look.files.keys().cloned().collect::<Vec<_>>());
            let mut gone: Vec<String> = files.iter().filter(|path| path.starts_with(&noted)).cloned().collect();
            gone.extend(self.marks());
            if !self.folder_is_foreign(at) {
                gone.push(link);
            }
            let digits = "[0-9a-f]".repeat(DIGEST);
            let sets = format!("{}/{}-{digits}", SETS, quote(&self.service));
            // The folders go with the last file in them.
            let script = format!(
                "rm -rf {} {sets}\nrmdir {SETS} {APPLIED}/secrets {APPLIED} 2>/dev/null || :",
                crate::shell::join(&gone)
            );
            run(host, &script).await?;
            for path in files.iter().filter(|path| self.in_sets(path)).chain(&gone) {
                at.me.note_file(path, None);
            }
            return Ok(());
        }
        let folder = self.folder();
        // With them, so that there is no moment in which nobody knows where their secrets are.
        let note = OneFile::new(NOTE, Places::of(&self.files, &at.shared.mask).note(), 0o600);
        let whole = self.files.iter().chain([&note]);
        let files: Vec<PutFile> = whole.map(|file| file.put(format!("{folder}/{}", file.name))).collect();
        put(at, host, &files).await?;
        // Touched, so that it counts as the newest even where it was there before.
        let mut script = format!("chmod 0770 {0} && touch {0}", quote(&folder));
        if !self.stable {
            // A link beside it, renamed over: there is no moment without one.
            let (folder, link) = (quote(&folder), quote(&link));
            // What another program left under this name, as Kolla-Ansible's folder, stays beside it.
            let aside = format!("{{ [ -L {link} ] || [ ! -e {link} ] || mv -T {link} {link}.before-kolla; }}");
            let _ = write!(script, " && {aside} && ln -sfn {folder} {link}.new && mv -Tf {link}.new {link}");
        }
        run(host, &script).await?;
        if !self.stable {
            at.me.note_file(&link, Some(FileState { link: Some(folder), ..FileState::default() }));
        }
        Ok(())
    }
}

/// Makes `folder` hold just the files of `set`, each put in place whole.
pub(super) async fn install(
    at: &View,
    host: &Remote,
    set: &str,
    folder: &str,
    files: &BTreeMap<String, String>,
) -> Result<()> {
    let names: Vec<String> = files.keys().map(|name| quote(name)).collect();
    let script = format!(
        "set -e\n[ ! -L {to} ] || rm {to}\nmkdir -p {to}\nchmod 0770 {to}\ncd {from}\n\
         for f in {names}; do cp -p \"$f\" {to}/.\"$f\".new; mv -f {to}/.\"$f\".new {to}/\"$f\"; done\n\
         cd {to}\nfor f in *; do case \" {list} \" in *\" $f \"*) ;; *) rm -rf \"$f\" ;; esac; done\n",
        to = quote(folder),
        from = quote(set),
        names = names.join(" "),
        list = files.keys().cloned().collect::<Vec<_>>().join(" "),
    );
    run(host, &script).await?;
    at.me.note_file(folder, None);
    for name in files.keys() {
        let copied = at.me.look(|look| look.files.get(&format!("{set}/{name}")).cloned());
        at.me.note_file(&format!("{folder}/{name}"), copied);
    }
    Ok(())
}

/// Removes the sets of a service but the two newest and the one in use.
pub(super) async fn keep_sets(host: &Remote, at: &View, service: &str, digest: &str) -> Result<()> {
    let prefix = format!("{SETS}/{service}-");
    let mut sets: Vec<String> = at.me.look(|look| {
        look.files
            .keys()
            .filter_map(|path| path.strip_prefix(&prefix)?.split('/').next())
            .filter(|rest| rest.len() == DIGEST && rest.chars().all(|c| c.is_ascii_hexdigit()))
            .map(str::to_owned)
            .collect()
    });
    sets.sort();
    sets.dedup();
    if sets.len() <= 2 {
        return Ok(());
    }
    let digits = "[0-9a-f]".repeat(DIGEST);
    let script = format!(
        "cd {SETS} && ls -dt {service}-{digits} | tail -n +3 | while read -r d; do \
         [ \"$d\" = {service}-{digest} ] || {{ rm -rf \"$d\" && echo \"$d\"; }}; done",
        service = quote(service),
    );
    for gone in run(host, &script).await?.lines() {
        at.me.note_file(&format!("{SETS}/{gone}"), None);
    }
    Ok(())
}
