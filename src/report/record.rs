//! What a run leaves behind: a folder with its events, every request to a host, and a timeline to look at.
//!
//! A record must never stop a run: once made, what cannot be written is left out and told at the end.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};

use super::lock;
use super::time::{duration, milliseconds, rfc3339, stamp};
use super::timeline::Timeline;
use crate::error::{Error, Result};
use crate::run::event::{Event, Outcome, Sink};
use crate::shell::Mask;

/// Runs whose records are kept.
const KEPT: usize = 50;
/// The file that says what a run was and how it ended.
const ABOUT: &str = "run.json";
/// The page to look at.
pub const PAGE: &str = "timeline.html";

/// The record of a run that is going on.
pub struct RunRecord {
    folder: PathBuf,
    command: String,
    mask: Mask,
    started: SystemTime,
    clock: Instant,
    open: Mutex<Open>,
}

struct Open {
    events: BufWriter<File>,
    requests: BufWriter<File>,
    timeline: Timeline,
    problem: Option<String>,
}

impl RunRecord {
    /// Makes a folder for this run in `dir`, and removes the oldest ones beyond 50. `command` is the command
    /// line as it will be shown; secrets of `mask` are hidden in it and in requests, those of events already are.
    ///
    /// # Errors
    /// When the folder or its files cannot be made.
    pub fn create(dir: &Path, command: &str, mask: Mask) -> Result<Self> {
        let act = || format!("write run records to {}", dir.display());
        let make = |path: &Path| DirBuilder::new().recursive(true).mode(0o700).create(path);
        make(dir).map_err(|error| Error::local(act(), error))?;
        let started = SystemTime::now();
        let name = format!("{}-{}", stamp(started), std::process::id());
        let folder = dir.join(name);
        make(&folder).map_err(|error| Error::local(act(), error))?;
        let file = |name: &str| create(&folder.join(name)).map_err(|error| Error::local(act(), error));
        let open = Open {
            events: BufWriter::new(file("events.jsonl")?),
            requests: BufWriter::new(file("requests.log")?),
            timeline: Timeline::default(),
            problem: None,
        };
        let command = mask.hide(command);
        let record = Self { folder, command, mask, started, clock: Instant::now(), open: Mutex::new(open) };
        record.about(&json!({ "pid": std::process::id() })).map_err(|error| Error::local(act(), error))?;
        prune(dir);
        Ok(record)
    }

    /// The run's folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Notes a request to a host (a command, an API call): what, how long, and how it ended in a few words.
    pub fn request(&self, host: &str, what: &str, took: Duration, outcome: &str) {
        let at = milliseconds(self.clock.elapsed().saturating_sub(took));
        let what = self.mask.hide(what);
        let what = what.trim_end().replace('\n', "\n            | ");
        let outcome = self.mask.hide(outcome).replace('\n', "; ");
        let outcome = if outcome.is_empty() { "ok" } else { &outcome };
        let line = format!("{:>10.3}s {host}  {}  {outcome}  {what}\n", seconds(at), duration(milliseconds(took)));
        let mut open = lock(&self.open);
        let written = open.requests.write_all(line.as_bytes()).and_then(|()| open.requests.flush());
        open.note(written);
    }

    /// Writes the timeline and how the run ended; the path of the page.
    ///
    /// # Errors
    /// When something of the record could not be written, now or earlier.
    pub fn finish(&self, exit: u8) -> Result<PathBuf> {
        let page = self.folder.join(PAGE);
        let mut open = lock(&self.open);
        let written = open.events.flush().and_then(|()| open.requests.flush());
        open.note(written);
        open.timeline.command.clone_from(&self.command);
        open.timeline.started = rfc3339(self.started);
        let html = open.timeline.html();
        let written = create(&page).and_then(|mut file| file.write_all(html.as_bytes()));
        open.note(written);
        let summary = open.timeline.summary;
        let took_ms = milliseconds(self.clock.elapsed());
        let written = self.about(&json!({ "exit": exit, "took_ms": took_ms, "summary": summary }));
        open.note(written);
        match open.problem.take() {
            Some(problem) => Err(Error::local(format!("write {}", self.folder.display()), problem)),
            None => Ok(page),
        }
    }

    /// Writes `run.json` whole: to a new file and over the old one, for a reader at the same time.
    fn about(&self, more: &Value) -> std::io::Result<()> {
        let mut about = json!({ "command": self.command, "started": rfc3339(self.started) });
        if let (Some(about), Some(more)) = (about.as_object_mut(), more.as_object()) {
            about.extend(more.clone());
        }
        let new = self.folder.join("run.json.new");
        create(&new)?.write_all(format!("{about}\n").as_bytes())?;
        fs::rename(new, self.folder.join(ABOUT))
    }
}

impl Sink for RunRecord {
    fn event(&self, event: &Event) {
        // Many, and of no interest afterwards.
        if matches!(event, Event::Progress { .. } | Event::Waiting { .. }) {
            return;
        }
        let Ok(line) = serde_json::to_string(event) else { return };
        let mut open = lock(&self.open);
        let mut written = open.events.write_all(format!("{line}\n").as_bytes());
        // What a killed run did must be on disk; the thousands that did nothing may be lost.
        if !matches!(event, Event::Finished { outcome: Outcome::Same, .. }) {
            written = written.and_then(|()| open.events.flush());
        }
        open.note(written);
        open.timeline.take(event);
    }
}

impl Open {
    fn note(&mut self, written: std::io::Result<()>) {
        if let Err(error) = written {
            self.problem.get_or_insert_with(|| error.to_string());
        }
    }
}

#[allow(clippy::cast_precision_loss)]
fn seconds(milliseconds: u64) -> f64 {
    milliseconds as f64 / 1000.0
}

fn create(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

/// Folders of runs in `dir`, newest first; other things in it are left alone.
fn folders(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let mut folders: Vec<PathBuf> =
        entries.flatten().map(|entry| entry.path()).filter(|path| path.join(ABOUT).is_file()).collect();
    folders.sort_by(|a, b| b.file_name().cmp(&a.file_name()));
    folders
}

fn prune(dir: &Path) {
    for old in folders(dir).into_iter().skip(KEPT) {
        // The next run tries again.
        let _ = fs::remove_dir_all(old);
    }
}

/// A run of the past, as its record tells.
#[derive(Debug, Clone, PartialEq)]
pub struct PastRun {
    /// Its folder.
    pub folder: PathBuf,
    /// The command line, secrets hidden.
    pub command: String,
    /// When it began, RFC 3339.
    pub started: String,
    /// How it ended: `done`, `failed`, `bad input`, `changes found`, `interrupted`, `running` or `killed`.
    pub result: &'static str,
    /// Operations that changed something, and that failed, where the walk came to its end.
    pub changed_failed: Option<(u64, u64)>,
    /// Milliseconds from start to end; nothing while it runs or when it was killed.
    pub took_ms: Option<u64>,
}

/// The runs recorded in `dir`, newest first. A folder that is not there holds none.
pub fn history(dir: &Path) -> Vec<PastRun> {
    folders(dir).into_iter().filter_map(past).collect()
}

fn past(folder: PathBuf) -> Option<PastRun> {
    let about: Value = serde_json::from_str(&fs::read_to_string(folder.join(ABOUT)).ok()?).ok()?;
    let text = |key: &str| about[key].as_str().unwrap_or_default().to_owned();
    let result = match about["exit"].as_u64() {
        Some(0) => "done",
        Some(2) => "bad input",
        Some(3) => "changes found",
        Some(130) => "interrupted",
        Some(_) => "failed",
        None if about["pid"].as_u64().is_some_and(|pid| Path::new(&format!("/proc/{pid}")).exists()) => "running",
        None => "killed",
    };
    let summary = &about["summary"];
    let changed_failed = summary["changed"].as_u64().zip(summary["failed"].as_u64());
    let took_ms = about["took_ms"].as_u64();
    Some(PastRun { command: text("command"), started: text("started"), folder, result, changed_failed, took_ms })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::sync::Arc;

    use super::super::Fanout;
    use super::super::tests::finished;
    use super::*;
    use crate::run::event::Summary;

    #[test]
    fn a_record_holds_all_and_hides_secrets() {
        let dir = tempfile::tempdir().unwrap();
        let runs = dir.path().join("kolla/runs");
        let mask = Mask::new(["hunter22".into()]);
        let record = Arc::new(RunRecord::create(&runs, "kolla deploy -e x=hunter22", mask.clone()).unwrap());
        assert_eq!(history(&runs)[0].result, "running");
        let sink = Fanout::new(mask, vec![record.clone()]);
        sink.event(&finished("a", "r", "file x", Outcome::Updated, "was hunter22", (0, 5)));
        sink.event(&Event::End {
            summary: Summary { changed: 1, ..Summary::default() },
            took_ms: 9,
            requests: Vec::new(),
        });
        record.request("a", "echo hunter22\nsecond", Duration::from_millis(7), "exit 0");
        let page = record.finish(0).unwrap();

        let mut all = String::new();
        for entry in fs::read_dir(record.folder()).unwrap() {
            let path = entry.unwrap().path();
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "{}", path.display());
            all += &fs::read_to_string(path).unwrap();
        }
        assert!(!all.contains("hunter22"), "{all}");
        assert!(all.contains("a  0.00s  exit 0  echo ***\n            | second\n"), "{all}");
        assert!(page.is_file());
        assert_eq!(fs::metadata(&runs).unwrap().permissions().mode() & 0o777, 0o700);
        let past = history(&runs);
        assert_eq!((past[0].result, past[0].changed_failed), ("done", Some((1, 0))));
        assert_eq!(past[0].command, "kolla deploy -e x=***");
    }

    #[test]
    fn the_last_fifty_are_kept_newest_first() {
        let dir = tempfile::tempdir().unwrap();
        for number in 0..55 {
            let old = dir.path().join(format!("20200101T0000{number:02}.000Z-1-deploy"));
            fs::create_dir(&old).unwrap();
            fs::write(old.join(ABOUT), "{}").unwrap();
        }
        fs::create_dir(dir.path().join("0-not-ours")).unwrap();
        let record = RunRecord::create(dir.path(), "kolla check", Mask::default()).unwrap();
        let runs = history(dir.path());
        assert_eq!(runs.len(), KEPT);
        assert_eq!(runs[0].folder, record.folder());
        assert!(dir.path().join("0-not-ours").is_dir());
        assert_eq!(runs[1].result, "killed");
    }
}
