//! A unit of systemd with its files: restarted only when it has not yet taken over what they say now, and never left down
//! for what they say.
//!
//! New files are checked by the unit's own program before they are put in place. Those with which it ran are kept until
//! it runs with the new ones, and put back where it does not. What ran before a restart that may take containers down, as
//! one of the engine does without `live-restore`, is noted on the host until it serves again: also a run after one that was
//! killed knows what to wait for, and no other host has its turn before. Before that its containers are asked whether they
//! may go down, and load balancers send to others, as when they are replaced.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::{join_all, try_join_all};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::container::Container;
use super::file::{self, OneFile, digest_of, put, run};
use super::names::{APPLIED, SITE_LABEL};
use super::probe::Answer;
use super::word::{HostContext, Preparation, Word};
use super::{Attribute, Attributes, Diff, Op, Operation, Peer, ProgressSink, Turn, View, hunks};
use crate::error::{Error, HostCause, Result};
use crate::host::{ContainerState, LookRequest, PutFile, Remote};
use crate::shell::{join, quote};
use crate::source::{Fields, Keys, Node, Shape};

/// How long a unit may take to start or stop, in seconds: some have no limit of their own.
const RESTARTS: u64 = 300;
/// Units behind which an engine is.
const ENGINES: [&str; 2] = ["docker", "podman.socket"];
/// How long the engine may take to answer after its restart.
const ANSWERS: Duration = Duration::from_mins(1);
/// How long containers may take to serve again.
const SERVES: Duration = Duration::from_mins(5);
/// Lines of its journal that are shown when it fails.
const LINES: usize = 12;

/// The preparation `unit`.
pub const HOST: Word<Preparation> = Word {
    key: (
        "unit",
        Shape::Keys(&Keys::new(
            &[("name", Shape::Name), ("files", Shape::List(&file::SHAPE)), ("validate", Shape::Some(&Shape::Name))],
            &["name"],
        )),
    ),
    means: Preparation {
        // What is restarted may be missed.
        serial: 1,
        look: |node, context, ask| ask.units.push(written(node, context).name),
        resolve: |node, context| Some(Op::from(written(node, context))),
    },
};

fn written(node: &Node, context: &mut HostContext<'_, '_>) -> Unit {
    let mut fields = Fields::of(context.values.document, node);
    let name = fields.text("name").unwrap_or_default();
    Unit { name, files: std::mem::take(&mut context.files), validate: fields.words("validate") }
}

/// A unit.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Unit {
    /// As `docker`.
    pub name: String,
    /// Its files, by absolute path.
    pub files: Vec<OneFile>,
    /// Words of a program of the host that checks new files before they are used: it is given other paths in place of
    /// theirs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub validate: Vec<String>,
}

impl Unit {
    /// What is noted of it on the host: the mark itself and, behind its name, what is there only meanwhile.
    fn note(&self, suffix: &str) -> String {
        format!("{APPLIED}/unit-{}{suffix}", self.name)
    }

    /// Says which content the unit runs with: written after it was restarted, so that a run which is killed
    /// between the two restarts it once more rather than never.
    fn mark(&self) -> PutFile {
        let mut content = String::new();
        for file in &self.files {
            let _ = writeln!(content, "{} {}", file.digest, file.name);
        }
        file(self.note(""), content)
    }

    /// Containers that ran before it was restarted and have not been seen to serve since.
    fn awaited(&self) -> String {
        self.note(".containers")
    }

    /// The files with which it ran, below this folder by their whole paths.
    fn previous(&self) -> String {
        self.note(".previous")
    }

    /// Says that all of them are there.
    fn previous_whole(&self) -> String {
        self.previous() + "/.whole"
    }

    fn marked(&self, at: &Peer) -> bool {
        let mark = self.mark();
        at.look(|look| look.files.get(&mark.path).is_some_and(|file| file.digest == digest_of(&mark.content)))
    }

    /// Its files have the content they should.
    fn has_content(&self, at: &Peer) -> bool {
        let digest = |path: &String| at.look(|look| look.files.get(path).map(|state| state.digest.clone()));
        self.files.iter().all(|file| digest(&file.name).as_ref() == Some(&file.digest))
    }

    /// systemd says that it does not run; where nothing is known it is taken to run.
    fn down(&self, at: &Peer) -> bool {
        at.look(|look| look.units.get(&self.name).is_some_and(|state| matches!(state.as_str(), "inactive" | "failed")))
    }

    fn waits(&self, at: &Peer) -> bool {
        at.look(|look| look.files.contains_key(&self.awaited()))
    }

    /// Nobody misses it while it is restarted: it is down, or no container runs on its host.
    fn idle(&self, at: &Peer) -> bool {
        self.down(at) || self.waits(at) || !at.look(|look| look.containers.values().any(ContainerState::alive))
    }

    /// Has its own program check the new files, outside of where they are used.
    async fn check_new_files(&self, host: &Remote) -> Result<()> {
        if self.validate.is_empty() {
            return Ok(());
        }
        let folder = self.note(".new");
        let place = |index: usize, file: &OneFile| {
            format!("{folder}/{index}/{}", file.name.rsplit('/').next().unwrap_or_default())
        };
        let mut places: Vec<(String, &OneFile)> =
            self.files.iter().enumerate().map(|(index, file)| (place(index, file), file)).collect();
        let files: Vec<PutFile> = places.iter().map(|(place, file)| file.put(place.clone())).collect();
        // A path may be the beginning of another one.
        places.sort_by_key(|(_, file)| std::cmp::Reverse(file.name.len()));
        let words = self
            .validate
            .iter()
            .map(|word| places.iter().fold(word.clone(), |word, (place, file)| word.replace(&file.name, place)));
        let script = format!("{}\ncode=$?\nrm -rf -- {}\nexit $code\n", join(words), quote(&folder));
        host.act().put(&files).await?;
        let output = host.act().run(&script, &[]).await?;
        if output.code == 0 {
            return Ok(());
        }
        let said = format!("{}{}", output.text(), output.stderr);
        let said = places.iter().fold(said, |said, (place, file)| said.replace(place, &file.name));
        let said = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("nothing said").trim().to_owned();
        let program = self.validate.first().map_or("", String::as_str);
        Err(Error::operation(format!("unit {}: its new files are not valid", self.name))
            .because(format!("`{program}` ended with exit code {}", output.code))
            .because(said)
            .with_hint("correct the variables that its files are made of; nothing was changed here"))
    }

    /// Keeps the files with which it runs. Where a run was killed on the way, what is in place may be that one's. From here
    /// on nobody knows what it runs with, until the mark says so again.
    async fn keep_files(&self, at: &View, host: &Remote) -> Result<()> {
        let mark = host.read(&self.mark().path).await?.unwrap_or_default();
        let mark = String::from_utf8_lossy(&mark).into_owned();
        let mut marked = mark.lines().filter_map(|line| line.split_once(' '));
        let (proven, kept) = at.me.look(|look| {
            let digest = |path: &str| look.files.get(path).map(|file| file.digest.as_str());
            let proven = !mark.is_empty() && marked.all(|(known, path)| digest(path) == Some(known));
            (proven, look.files.contains_key(&self.previous_whole()))
        });
        if !kept || proven {
            remove(&self.previous(), at, host).await?;
            let mut copies = Vec::new();
            for of in &self.files {
                copies.extend(copy(&of.name, self.previous() + &of.name, at, host).await?);
            }
            // In this order: the last one says that the others are there.
            copies.push(file(self.previous_whole(), String::new()));
            put(at, host, &copies).await?;
        }
        remove(&self.mark().path, at, host).await
    }

    /// What was kept is something else than what it should run with.
    fn kept_differs(&self, at: &Peer) -> bool {
        at.look(|look| {
            let kept = |file: &OneFile| look.files.get(&(self.previous() + &file.name));
            self.files.iter().any(|file| kept(file).is_none_or(|state| state.digest != file.digest))
        })
    }

    /// The kept files in place again, and it runs with them; those that were not there go.
    async fn run_with_kept_files(&self, at: &View, host: &Remote) -> Result<()> {
        let mut before = Self { files: Vec::new(), ..self.clone() };
        for of in &self.files {
            match copy(&(self.previous() + &of.name), of.name.clone(), at, host).await? {
                Some(copy) => {
                    put(at, host, std::slice::from_ref(&copy)).await?;
                    before.files.push(OneFile::new(copy.path, copy.content.to_vec(), copy.mode));
                }
                None => remove(&of.name, at, host).await?,
            }
        }
        self.restart(host).await?;
        put(at, host, &[before.mark()]).await?;
        remove(&self.previous(), at, host).await
    }

    /// Restarts it. A unit that failed too often is not started again before that is forgotten, nor is its socket.
    async fn restart(&self, host: &Remote) -> Result<()> {
        let name = quote(&self.name);
        let script = format!(
            "systemctl daemon-reload && systemctl enable -q {name} || exit\n\
             systemctl reset-failed {name} {name}.socket 2>/dev/null\n\
             timeout {RESTARTS} systemctl restart {name} && sleep 1 && systemctl is-active -q {name}\n"
        );
        run(host, &script).await.map(drop)
    }

    /// Restarts it with its new files, or with those before where it does not run with these.
    async fn restart_with_new_files(&self, at: &View, host: &Remote, answered: bool) -> Result<()> {
        let files: Vec<PutFile> = self.files.iter().map(|file| file.put(file.name.clone())).collect();
        // Where they cannot be written it runs on; the next run finds it without a mark.
        put(at, host, &files).await?;
        match self.restart_until_it_answers(host, answered).await {
            Err(error) if !lost(&error) => Err(self.put_back(error, at, host).await),
            restarted => restarted,
        }
    }

    /// Restarts it; an engine answers then, and again where it did before. A socket alone is there at once, whatever is behind.
    async fn restart_until_it_answers(&self, host: &Remote, answered: bool) -> Result<()> {
        self.restart(host).await?;
        let end = Instant::now() + ANSWERS;
        let answers = answered || ENGINES.contains(&self.name.as_str());
        while answers && let Err(error) = host.containers().await {
            if Instant::now() > end {
                return Err(error);
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        Ok(())
    }

    /// It did not start: the error, with what was done about it.
    async fn put_back(&self, failure: Error, at: &View, host: &Remote) -> Error {
        let service =
            self.name.strip_suffix(".socket").map(|name| format!(" -u {}", quote(&format!("{name}.service"))));
        let service = service.unwrap_or_default();
        let journal = format!("journalctl -u {}{service} -n {LINES} -o cat --no-pager", quote(&self.name));
        let log = run(host, &journal).await.unwrap_or_default().lines().map(str::to_owned).collect();
        let error = if self.kept_differs(&at.me) {
            let now = match self.run_with_kept_files(at, host).await {
                Ok(()) => "it runs again with those that were there before".to_owned(),
                Err(error) => format!("and it could not be run with those that were there before: {error}"),
            };
            Error::operation(format!("unit {} does not run with its new files", self.name))
                .because(failure.to_string())
                .because(now)
                .with_hint("correct the variables that its files are made of; no host after this one is touched")
        } else {
            Error::operation(format!("unit {} does not start", self.name)).because(failure.to_string())
        };
        match error {
            Error::Operation(mut operation) => {
                operation.log_of = Some(format!("unit {}", self.name));
                operation.log = log;
                Error::Operation(operation)
            }
            other => other,
        }
    }

    /// Containers of this site that run, as the site wants them; none where the engine does not answer.
    async fn running<'a>(&self, at: &'a View, host: &Remote) -> Vec<&'a Container> {
        let Ok(states) = host.containers().await else { return Vec::new() };
        let runs = |container: &&Container| states.get(&container.spec.name).is_some_and(ContainerState::running);
        wanted(at, host).filter(runs).collect()
    }

    /// Notes which containers serve before it is restarted, beside those of a run that was killed; whether the engine
    /// answered.
    async fn note_containers(&self, at: &View, host: &Remote) -> Result<bool> {
        let Ok(containers) = host.containers().await else { return Ok(false) };
        let mut names = self.noted(host).await?;
        let ours = |state: &&ContainerState| {
            state.running() && state.labels.get(SITE_LABEL) == Some(&at.shared.site) && !names.contains(&state.name)
        };
        let running: Vec<&ContainerState> = containers.values().filter(ours).collect();
        let asked = running.iter().map(|state| serves(state, at, host));
        let answers = join_all(asked).await;
        let serve = running.iter().zip(answers).filter(|(_, why)| why.is_none()).map(|(state, _)| state.name.clone());
        names.extend(serve.collect::<Vec<_>>());
        if !names.is_empty() {
            put(at, host, &[file(self.awaited(), names.join("\n") + "\n")]).await?;
        }
        Ok(true)
    }

    async fn noted(&self, host: &Remote) -> Result<Vec<String>> {
        let noted = host.read(&self.awaited()).await?.unwrap_or_default();
        Ok(String::from_utf8_lossy(&noted).lines().map(str::to_owned).collect())
    }

    /// Waits until the containers that ran before serve again.
    async fn until_containers_serve(&self, at: &View, host: &Remote) -> Result<()> {
        if !self.waits(&at.me) {
            return Ok(());
        }
        let end = Instant::now() + SERVES;
        for name in self.noted(host).await? {
            loop {
                let why = match host.containers().await {
                    // Somebody has removed it.
                    Ok(containers) if !containers.contains_key(&name) => None,
                    Ok(containers) => serves(&containers[&name], at, host).await,
                    Err(error) => Some(error.to_string()),
                };
                let Some(why) = why else { break };
                if Instant::now() > end {
                    let seconds = SERVES.as_secs();
                    let message = format!("container {name} does not serve {seconds} s after unit {} did", self.name);
                    return Err(Error::operation(message).because(why).with_hint(format!(
                        "`kolla logs {} {name}`; if it is not to run any more, remove {} on the host",
                        host.name(),
                        self.awaited()
                    )));
                }
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        }
        for container in self.running(at, host).await {
            container.until_sent_to(at, host).await?;
        }
        remove(&self.awaited(), at, host).await
    }
}

/// Containers as the site wants them on a host.
fn wanted<'a>(at: &'a View, host: &Remote) -> impl Iterator<Item = &'a Container> {
    let of_host = at.shared.containers.get(host.name()).into_iter().flatten();
    of_host.filter_map(|op| if let Op::Container(container) = op { Some(&**container) } else { None })
}

/// Why a container does not serve; nothing where it does.
async fn serves(state: &ContainerState, at: &View, host: &Remote) -> Option<String> {
    if !state.running() || state.unhealthy() || state.status.contains("(health: starting)") {
        return Some(state.status.to_lowercase());
    }
    let container = wanted(at, host).find(|other| other.spec.name == state.name)?;
    match container.ready.once(host, &state.name).await {
        Ok(Answer::Right) => None,
        Ok(Answer::NotYet(why) | Answer::Ended { why, .. }) => Some(why),
        Err(error) => Some(error.to_string()),
    }
}

/// A file as it is on the host, for another path; none where there is no such file.
async fn copy(path: &str, to: String, at: &View, host: &Remote) -> Result<Option<PutFile>> {
    let state = at.me.look(|look| look.files.get(path).cloned());
    Ok(state.zip(host.read(path).await?).map(|(state, content)| PutFile {
        path: to,
        content: content.into(),
        mode: u32::from_str_radix(&state.mode, 8).unwrap_or(0o600),
        owner: if state.ids.is_empty() { state.owner } else { state.ids },
    }))
}

/// Removes a file or folder that is there.
async fn remove(path: &str, at: &View, host: &Remote) -> Result<()> {
    let inside = format!("{path}/");
    if at.me.look(|look| look.files.keys().any(|known| known == path || known.starts_with(&inside))) {
        run(host, &format!("rm -rf {}", quote(path))).await?;
        at.me.note_file(path, None);
    }
    Ok(())
}

/// A small file of root's.
fn file(path: String, content: String) -> PutFile {
    PutFile { path, content: Arc::from(content.into_bytes()), mode: 0o644, owner: String::new() }
}

/// The host is gone: what became of a request nobody knows.
fn lost(error: &Error) -> bool {
    matches!(error, Error::Host(host) if matches!(host.cause, HostCause::Lost(_) | HostCause::Unreachable(_) | HostCause::Jump { .. }))
}

#[async_trait]
impl Operation for Unit {
    fn subject(&self) -> String {
        format!("unit {}", self.name)
    }

    async fn diff(&self, at: &View) -> Result<Diff> {
        let mut changed = Vec::new();
        for file in &self.files {
            match at.me.look(|look| look.files.get(&file.name).cloned()) {
                None => changed.push(format!("file {}: new", file.name)),
                Some(state) if state.digest == file.digest => {
                    changed.extend(file.rights(&state).map(|rights| format!("file {}: {rights}", file.name)));
                }
                Some(state) => changed.extend(hunks::of_host(file, &state, at).await?),
            }
        }
        Ok(if !changed.is_empty() {
            Diff::Update(changed)
        } else if self.down(&at.me) {
            Diff::Start
        } else if !self.marked(&at.me) {
            Diff::Run("restarted: it may not have read its files".into())
        } else if self.waits(&at.me) {
            Diff::Run("containers that ran before its restart were not seen to serve again".into())
        } else {
            Diff::Same("runs with its files as they are".into())
        })
    }

    async fn attributes(&self, _diff: &Diff, at: &View) -> Result<Attributes> {
        let mark = self.mark();
        let marked = at.me.look(|look| look.files.get(&mark.path).map(|file| file.digest.clone()));
        let state = if self.down(&at.me) { "down" } else { "running" };
        let waits = if self.waits(&at.me) { "awaited" } else { "serving" };
        let files = self.files.iter().map(|file| {
            let state = at.me.look(|look| look.files.get(&file.name).cloned());
            (format!("file {}", file.name), file.attribute(state.as_ref()))
        });
        let others = [
            (format!("file {}", mark.path), Attribute::new(marked.unwrap_or_default(), digest_of(&mark.content))),
            ("state".to_owned(), Attribute::new(state, "running")),
            ("containers".to_owned(), Attribute::new(waits, "serving")),
        ];
        Ok(files.chain(others).collect())
    }

    async fn turn(&self, at: &View) -> Turn {
        // What runs may have changed since the look, or could not be asked for then.
        let known = at.me.refresh_containers().await.is_ok();
        if self.idle(&at.me) && (known || self.down(&at.me)) {
            return Turn::Down;
        }
        let first = |peer: &Peer| self.down(peer) || self.waits(peer);
        if at.peers.values().any(first) { Turn::AfterThoseDown } else { Turn::Any }
    }

    async fn apply(&self, _diff: &Diff, at: &View, host: &Remote, _sink: &ProgressSink) -> Result<()> {
        if self.has_content(&at.me) && self.marked(&at.me) && !self.down(&at.me) {
            // Nothing that it would have to read again.
            let rights = |file: &&OneFile| {
                at.me.look(|look| look.files.get(&file.name).is_some_and(|state| file.rights(state).is_some()))
            };
            let files: Vec<PutFile> =
                self.files.iter().filter(rights).map(|file| file.put(file.name.clone())).collect();
            put(at, host, &files).await?;
            return self.until_containers_serve(at, host).await;
        }
        self.check_new_files(host).await?;
        let running = self.running(at, host).await;
        try_join_all(running.iter().map(|container| container.may_be_replaced(host))).await?;
        self.keep_files(at, host).await?;
        let answered = self.note_containers(at, host).await?;
        join_all(running.iter().map(|container| container.drain(at, host))).await;
        let restarted = self.restart_with_new_files(at, host, answered).await;
        join_all(running.iter().map(|container| container.undrain(at, host))).await;
        restarted?;
        put(at, host, &[self.mark()]).await?;
        remove(&self.previous(), at, host).await?;
        let fresh = host.look(&LookRequest { units: vec![self.name.clone()], ..LookRequest::default() }).await?;
        let engine = fresh.facts.engine;
        at.me.note_system(fresh);
        self.until_containers_serve(at, host).await?;
        if engine { at.me.refresh_containers().await } else { Ok(()) }
    }
}
