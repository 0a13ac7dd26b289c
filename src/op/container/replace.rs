//! The acts on a container. The new one is created before the old one stops, so that a wrong image or option
//! costs nothing; the old one is kept until the new one is ready, and is started again when it is not.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::names::stopping;
use super::{Container, Reload, names};
use crate::error::{Error, HostCause, OperationError, Result};
use crate::host::{ContainerSpec, ContainerState, Look, PutFile, Remote};
use crate::op::files::{SETS, digest_of, keep_sets};
use crate::op::image::Image;
use crate::op::probe::Answer;
use crate::op::{Peer, View};

/// Log lines of a failed container that its error shows.
const LOG_LINES: usize = 12;
/// How long a program may take that checks files.
const VALIDATES: Duration = Duration::from_mins(1);
/// How long a container may take to end what outlives it.
const ENDS: Duration = Duration::from_mins(2);
/// Seconds for a container that does not say otherwise: Kolla's `graceful_timeout`.
const STOP_TIMEOUT: u32 = 60;

/// It runs, but its stop was ordered, or was about to be.
pub(in crate::op) fn told_to_stop(state: &ContainerState, at: &Peer) -> bool {
    let note = digest_of(format!("{}\n", state.id).as_bytes());
    let noted = |look: &Look| look.files.get(&stopping(&state.name)).is_some_and(|file| file.digest == note);
    state.running() && at.look(noted)
}

/// Stops a container. The engine carries that out even when whoever ordered it is gone, and shows the container as
/// running until then: a note on the host tells the next run.
pub(in crate::op) async fn stop(name: &str, timeout: u32, at: &View, host: &Remote) -> Result<()> {
    let alive = at.me.container(name).filter(ContainerState::alive);
    if let Some(state) = &alive {
        note(stopping(name), format!("{}\n", state.id), at, host).await?;
    }
    host.act().stop(name, timeout).await?;
    if alive.is_some() { drop_files(&[stopping(name)], at, host).await } else { Ok(()) }
}

/// Starts one whose stop may be under way: the engine would take it for running, and end it afterwards.
async fn revive(name: &str, timeout: u32, at: &View, host: &Remote) -> Result<()> {
    match host.act().stop(name, timeout).await {
        // The engine cannot stop it, so it runs.
        Err(Error::Host(error)) if matches!(error.cause, HostCause::Engine { .. }) => {}
        stopped => stopped?,
    }
    start_anew(name, at, host).await
}

/// Starts one that has ended.
async fn start_anew(name: &str, at: &View, host: &Remote) -> Result<()> {
    drop_note(name, at, host).await?;
    host.act().start(name).await
}

pub(super) async fn drop_note(name: &str, at: &View, host: &Remote) -> Result<()> {
    let path = stopping(name);
    let there = at.me.look(|look| look.files.contains_key(&path));
    if there { drop_files(&[path], at, host).await } else { Ok(()) }
}

async fn note(path: String, content: String, at: &View, host: &Remote) -> Result<()> {
    let file = PutFile { path, content: Arc::from(content.into_bytes()), mode: 0o644, owner: String::new() };
    crate::op::files::put(at, host, &[file]).await
}

async fn drop_files(paths: &[String], at: &View, host: &Remote) -> Result<()> {
    crate::op::files::run(host, &format!("rm -f {}", crate::shell::join(paths))).await?;
    for path in paths {
        at.me.note_file(path, None);
    }
    Ok(())
}

impl Container {
    pub(super) fn stop_timeout(&self) -> u32 {
        if self.spec.stop_timeout == 0 { STOP_TIMEOUT } else { self.spec.stop_timeout }
    }

    async fn create_as(&self, name: &str, at: &View, host: &Remote) -> Result<()> {
        let digest = self.image_digest(at, None).await?;
        let image = match &digest {
            Some(digest) => Image::pinned(&self.spec.image, digest),
            None => self.spec.image.clone(),
        };
        let labels = self.labels(&at.shared.site, digest.as_deref());
        let spec = ContainerSpec { name: name.to_owned(), image, labels, ..self.spec.clone() };
        host.act().remove(name).await?;
        match host.act().create(&spec).await {
            Err(Error::Host(error)) if matches!(error.cause, HostCause::Engine { status: 404, .. }) => {
                Err(Error::operation(format!("image `{}` is not on the host as its registry has it", self.spec.image))
                    .because(error.cause.to_string())
                    .with_hint("run `kolla pull` first"))
            }
            created => created.map(drop),
        }
    }

    pub(super) async fn create(&self, at: &View, host: &Remote) -> Result<()> {
        self.install(at, host).await?;
        self.create_as(&self.spec.name, at, host).await?;
        self.start(at, host).await
    }

    pub(super) async fn start(&self, at: &View, host: &Remote) -> Result<()> {
        self.take_over(at, host).await?;
        self.doubt(at, host).await?;
        start_anew(&self.spec.name, at, host).await?;
        match self.ready.until_right(host, &self.spec.name).await? {
            Answer::Right => self.note_ready(host, at).await,
            answer @ Answer::NotYet(_) => Err(self.failure(answer, host).await),
            answer @ Answer::Ended { .. } => {
                let error = self.failure(answer, host).await;
                // It would only start and end again; the next run starts it anew.
                let _ = host.act().stop(&self.spec.name, 1).await;
                Err(error)
            }
        }
    }

    /// Waits until the load balancers send to it.
    pub(super) async fn until_sent_to(&self, at: &View, host: &Remote) -> Result<()> {
        match &self.balanced {
            Some(balanced) => balanced.wait(at, host).await,
            None => Ok(()),
        }
    }

    /// It answers as it should: once it is sent to, too, that is noted.
    pub(super) async fn note_ready(&self, host: &Remote, at: &View) -> Result<()> {
        self.until_sent_to(at, host).await?;
        self.mark_ready(host, at).await
    }

    /// Marks the container as having been ready, and drops sets of files that nothing uses any more.
    pub(super) async fn mark_ready(&self, host: &Remote, at: &View) -> Result<()> {
        let Some(state) = host.containers().await?.remove(&self.spec.name) else {
            return Err(Error::operation(format!("container {} vanished", self.spec.name)));
        };
        if let Some(old) = self.retiring(at) {
            host.act().remove(&old.name).await?;
        }
        let (path, content) = self.mark(&state.id);
        note(path, content, at, host).await?;
        if !self.configuration.is_empty() {
            keep_sets(host, at, &self.service, &self.configuration).await?;
        }
        Ok(())
    }

    /// Stops the container that this one takes over from: both have the same data and ports.
    async fn take_over(&self, at: &View, host: &Remote) -> Result<()> {
        if let Some(old) = self.retiring(at).filter(ContainerState::running) {
            stop(&old.name, self.stop_timeout(), at, host).await?;
        }
        Ok(())
    }

    pub(super) async fn replace(&self, at: &View, host: &Remote) -> Result<()> {
        let name = &self.spec.name;
        let old = at.me.container(name);
        let was_running = old.as_ref().is_some_and(ContainerState::running);
        // One that the engine starts over and over would go on doing so under its new name.
        let was_alive = old.as_ref().is_some_and(ContainerState::alive);
        let retired = self.retiring(at).filter(ContainerState::running);
        if let Some(probe) = self.before_replace.as_ref().filter(|_| was_running)
            // One that has ended meanwhile, as a run that was killed had ordered, cannot be asked, nor taken down.
            && let Answer::NotYet(why) = probe.until_right(host, name).await?
        {
            return Err(Error::operation(format!("container {name} cannot be replaced safely now"))
                .because(why)
                .with_hint("bring the other members back first: `kolla status`"));
        }
        self.install(at, host).await?;
        self.create_as(&self.next(), at, host).await?;
        // From here on something is down until something is up again, whatever fails.
        let swap = async {
            if let Some(balanced) = self.balanced.as_ref().filter(|_| was_running) {
                balanced.drain(at, host).await;
            }
            if was_alive {
                stop(name, self.stop_timeout(), at, host).await?;
            }
            host.act().rename(name, &self.previous()).await?;
            host.act().rename(&self.next(), name).await?;
            self.take_over(at, host).await?;
            host.act().start(name).await
        };
        let verdict = match swap.await {
            Ok(()) => self.ready.until_right(host, name).await,
            Err(error) => Ok(Answer::Ended { why: error.to_string(), restarts: false }),
        };
        let failure = match verdict {
            Ok(Answer::Right) => match self.until_sent_to(at, host).await {
                Ok(()) => {
                    self.mark_ready(host, at).await?;
                    return host.act().remove(&self.previous()).await;
                }
                Err(error) => error,
            },
            Ok(answer) => self.failure(answer, host).await,
            Err(error) => self.failure(Answer::NotYet(error.to_string()), host).await,
        };
        let put_back = async {
            self.put_back(was_alive, at, host).await?;
            match &retired {
                Some(retired) => revive(&retired.name, self.stop_timeout(), at, host).await,
                None => Ok(()),
            }
        };
        match put_back.await {
            Ok(()) => Err(failure.because("the container that was there before is back".to_owned())),
            Err(error) => Err(failure.because(format!("and the one before could not be put back: {error}"))),
        }
    }

    pub(super) async fn start_again(&self, at: &View, host: &Remote) -> Result<()> {
        self.doubt(at, host).await?;
        revive(&self.spec.name, self.stop_timeout(), at, host).await
    }

    /// The one before, running again if it ran, and in its place. In this order a run that is killed here leaves
    /// a container that the next one knows to have run.
    pub(super) async fn put_back(&self, start: bool, at: &View, host: &Remote) -> Result<()> {
        let never_lost_its_name = !host.containers().await?.contains_key(&self.previous());
        if !never_lost_its_name {
            host.act().remove(&self.spec.name).await?;
        }
        self.put_back_files(at, host).await?;
        if never_lost_its_name {
            if start {
                self.start_again(at, host).await?;
            }
        } else {
            self.doubt(at, host).await?;
            drop_note(&self.spec.name, at, host).await?;
            if start {
                host.act().start(&self.previous()).await?;
            }
            host.act().rename(&self.previous(), &self.spec.name).await?;
        }
        self.undrain(at, host).await;
        // As long as it is there, the next run knows that there is something to settle.
        host.act().remove(&self.next()).await
    }

    /// From here on nobody knows whether it is ready, and with which files, until the mark says so again. Those it was
    /// ready with stay named there.
    async fn doubt(&self, at: &View, host: &Remote) -> Result<()> {
        let path = self.mark("").0;
        if !at.me.look(|look| look.files.contains_key(&path)) {
            return Ok(());
        }
        let mark = host.read(&path).await?.unwrap_or_default();
        let mark = String::from_utf8_lossy(&mark).into_owned();
        let words: Vec<&str> = mark.split_whitespace().take(2).collect();
        note(path, format!("{} unsure\n", words.join(" ")), at, host).await
    }

    pub(super) async fn undrain(&self, at: &View, host: &Remote) {
        if let Some(balanced) = &self.balanced {
            balanced.tell(at, host, "ready").await;
        }
    }

    /// A folder that is always the same gets the files again with which its container was ready.
    pub(super) async fn put_back_files(&self, at: &View, host: &Remote) -> Result<()> {
        let Some(reload) = &self.reload else { return Ok(()) };
        let mark = host.read(&self.mark("").0).await?.unwrap_or_default();
        let mark = String::from_utf8_lossy(&mark).into_owned();
        let Some(configuration) = mark.split_whitespace().nth(1) else { return Ok(()) };
        let set = format!("{SETS}/{}-{configuration}", self.service);
        let files: BTreeMap<String, String> = at.me.look(|look| {
            let files = look.files.iter();
            files
                .filter_map(|(path, file)| {
                    Some((path.strip_prefix(&set)?.strip_prefix('/')?.into(), file.digest.clone()))
                })
                .collect()
        });
        if files.is_empty() {
            return Ok(());
        }
        crate::op::files::install(at, host, &set, &reload.folder, &files).await
    }

    pub(super) async fn reload(&self, at: &View, host: &Remote) -> Result<()> {
        let Some(reload) = &self.reload else { return Ok(()) };
        let old = host.containers().await?.remove(&self.spec.name);
        self.check_new_files(at, host).await?;
        self.doubt(at, host).await?;
        self.put_in_place(at, host).await?;
        let Err(error) = self.taken_over(reload, host).await else {
            return if old.is_some() { self.note_ready(host, at).await } else { Ok(()) };
        };
        // It goes on with the old ones for now; with the new ones it may never start again.
        self.put_back_files(at, host).await?;
        let _ = host.act().exec(&self.spec.name, "0", &["kolla_set_configs".to_owned()], &[]).await;
        Err(error.because("the files that were there before are back".to_owned()))
    }

    /// Makes the process take its new files over.
    async fn taken_over(&self, reload: &Reload, host: &Remote) -> Result<()> {
        let argv = ["kolla_set_configs".to_owned()];
        let output = host.act().exec(&self.spec.name, "0", &argv, &[]).await?;
        if output.code != 0 {
            return Err(Error::operation(format!("container {} did not take its new files", self.spec.name))
                .because(output.stderr.trim().to_owned()));
        }
        let output = host.act().exec(&self.spec.name, "0", &reload.command, &[]).await?;
        if output.code != 0 {
            let said = format!("{}{}", output.stderr, output.text());
            return Err(Error::operation(format!("container {} did not reload", self.spec.name))
                .because(format!("{}: exit code {}", crate::shell::join(&reload.command), output.code))
                .because(said.trim().to_owned()));
        }
        match self.ready.until_right(host, &self.spec.name).await? {
            Answer::Right => Ok(()),
            answer => Err(self.failure(answer, host).await),
        }
    }

    /// Checks new files with the image's own program and puts them where a reloading service reads them.
    pub(super) async fn install(&self, at: &View, host: &Remote) -> Result<()> {
        self.check_new_files(at, host).await?;
        self.put_in_place(at, host).await
    }

    async fn put_in_place(&self, at: &View, host: &Remote) -> Result<()> {
        let Some(reload) = &self.reload else { return Ok(()) };
        crate::op::files::install(at, host, &self.set(), &reload.folder, &reload.files).await
    }

    fn set(&self) -> String {
        format!("{SETS}/{}-{}", self.service, self.configuration)
    }

    async fn check_new_files(&self, at: &View, host: &Remote) -> Result<()> {
        if self.validate.is_empty() {
            return Ok(());
        }
        let name = names::validate(&self.spec.name);
        let digest = self.image_digest(at, None).await?;
        let image = digest.map_or_else(|| self.spec.image.clone(), |digest| Image::pinned(&self.spec.image, &digest));
        let spec = ContainerSpec {
            name: name.clone(),
            image,
            command: self.validate.clone(),
            mounts: vec![format!("{}:/var/lib/kolla/config_files:ro", self.set())],
            labels: [(super::SITE_LABEL.to_owned(), at.shared.site.clone())].into(),
            ..ContainerSpec::default()
        };
        host.act().remove(&name).await?;
        host.act().create(&spec).await?;
        host.act().start(&name).await?;
        let waited = tokio::time::timeout(VALIDATES, host.act().wait(&name)).await;
        let Ok(code) = waited else {
            host.act().remove(&name).await?;
            let late = format!("the check of the new files of {} does not end; nothing was changed", self.service);
            return Err(Error::operation(late).because(crate::shell::join(&self.validate)));
        };
        let code = code?;
        let log = if code == 0 { Vec::new() } else { host.logs(&name, LOG_LINES).await.unwrap_or_default() };
        host.act().remove(&name).await?;
        if code == 0 {
            return Ok(());
        }
        Err(Error::Operation(Box::new(OperationError {
            message: format!("the new files of {} are not valid; nothing was changed", self.service),
            causes: vec![format!("{}: exit code {code}", crate::shell::join(&self.validate))],
            log_of: Some(name),
            log,
            hint: Some("see what your overrides in the config folder changed".into()),
        })))
    }

    pub(super) async fn away(&self, remove: bool, at: &View, host: &Remote) -> Result<()> {
        for state in self.leftovers(at) {
            let parting = remove && state.name == self.spec.name && !self.before_remove.is_empty();
            if parting {
                self.end_what_outlives(&state, host).await?;
            }
            if parting || state.alive() {
                stop(&state.name, self.stop_timeout(), at, host).await?;
            }
            if remove {
                host.act().remove(&state.name).await?;
                drop_files(&[names::mark(&state.name), stopping(&state.name)], at, host).await?;
            }
        }
        Ok(())
    }

    /// Ends what stays without the container, by a program in it; one that does not run is started for that.
    async fn end_what_outlives(&self, state: &ContainerState, host: &Remote) -> Result<()> {
        if !state.alive() {
            host.act().start(&state.name).await?;
        }
        let ended = tokio::time::timeout(ENDS, host.act().exec(&state.name, "0", &self.before_remove, &[])).await;
        let why = match ended {
            Ok(Ok(output)) if output.code == 0 => return Ok(()),
            Ok(Ok(output)) => output.stderr.trim().lines().last().unwrap_or("nothing said").to_owned(),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("that takes longer than {}s", ENDS.as_secs()),
        };
        Err(Error::operation(format!("what outlives container {} could not be ended", state.name))
            .because(why)
            .with_hint(format!("end it by hand and remove {}, then run the same again", state.name)))
    }

    pub(super) async fn failure(&self, answer: Answer, host: &Remote) -> Error {
        let name = &self.spec.name;
        let log = host.logs(name, LOG_LINES).await.unwrap_or_default();
        let (message, causes) = match answer {
            Answer::Ended { why, .. } => (format!("container {name} ended instead of becoming ready"), vec![why]),
            Answer::NotYet(why) => (format!("container {name} is not ready after {}s", self.ready.within), vec![why]),
            Answer::Right => (format!("container {name} failed"), Vec::new()),
        };
        Error::Operation(Box::new(OperationError {
            message,
            causes,
            log_of: Some(name.clone()),
            log,
            hint: Some(format!("rerun only this with `--tags {} --limit {}`", self.role, host.name())),
        }))
    }
}
