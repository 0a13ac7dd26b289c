//! A run on a terminal: a line for what changed or failed, one summary line, and bars for what is under way.
//!
//! Without a terminal the lines are the same and the bars are left out.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use indexmap::IndexMap;

use super::bars::Bars;
use super::paint::{Paint, clean};
use super::time::duration;
use super::{Screen, columns, lock, text};
use crate::error::{HostError, Target, numbered, some_targets};
use crate::run::event::{Event, Outcome, Sink, Summary};

/// Hosts named in the first line; of more, some are left out.
const NAMED_HOSTS: usize = 8;
/// Failures are told again at the end when so many lines came after the first of them.
const SCROLLED_AWAY: usize = 15;
/// Durations below are noise, in milliseconds.
const WORTH_TELLING: u64 = 100;
/// Width up to which a growing column still pads its neighbours.
const SUBJECT_WIDTHS: std::ops::RangeInclusive<usize> = 22..=40;
/// Outcome and reason; the duration follows.
const OUTCOME_WIDTH: usize = 40;

/// Prints the events of a run as lines.
pub struct Terminal {
    screen: Arc<Screen>,
    verbose: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    bars: Option<Bars>,
    phase: String,
    check: bool,
    begun: bool,
    /// Hosts that cannot be used, by the reason.
    unusable: IndexMap<String, Vec<Target>>,
    widths: (usize, usize, usize),
    failures: Vec<String>,
    /// Hosts that showed what changed in a file: the same on another one is told by the name of this one.
    shown: HashMap<Vec<String>, String>,
    lines_since_failure: usize,
}

impl Terminal {
    /// Lines for a screen; `verbose` also prints what is as it should be, and requests a host.
    pub fn new(screen: Arc<Screen>, verbose: bool) -> Self {
        let bars = screen.bars().map(Bars::new);
        Self { screen, verbose, state: Mutex::new(State { bars, ..State::default() }) }
    }

    /// Takes the bars away and tells of hosts that failed before a walk began, except of `told`, whose error
    /// the caller prints.
    pub fn close(&self, told: Option<&HostError>) {
        let mut state = lock(&self.state);
        state.clear_bars();
        let is_told = |target: &Target| told.is_some_and(|told| told.hosts().any(|host| host == target.host));
        for (error, mut targets) in std::mem::take(&mut state.unusable) {
            targets.retain(|target| !is_told(target));
            if !targets.is_empty() {
                self.screen.out(&self.unusable(&error, targets));
            }
        }
    }

    fn unusable(&self, error: &str, targets: Vec<Target>) -> String {
        let (hosts, error) = told_once(error, targets);
        format!("  {hosts}  {} {}", self.screen.paint.red("failed:"), clean(&error))
    }

    fn begin(&self, state: &mut State, hosts: &[String], roles: &[String], operations: usize) {
        let paint = self.screen.paint;
        let width = |names: &[String]| names.iter().map(|name| columns::width(name)).max().unwrap_or(0);
        state.widths = (width(roles), width(hosts), *SUBJECT_WIDTHS.start());
        state.begun = true;
        state.failures.clear();
        state.shown.clear();
        let what = if state.check && state.phase != "check" {
            format!("{} (check)", state.phase)
        } else {
            state.phase.clone()
        };
        let size = format!("{}, {}", numbered(roles.len(), "role"), numbered(operations, "operation"));
        self.screen.out(&format!("{}  {}  ·  {size}", paint.bold(&what), some_hosts(hosts)));
        for (error, targets) in std::mem::take(&mut state.unusable) {
            let (host, error) = told_once(&error, targets);
            let line = state.row(
                paint,
                &Row {
                    role: "",
                    host: &host,
                    subject: "connection",
                    outcome: Outcome::Failed,
                    reason: &error,
                    took_ms: 0,
                },
            );
            self.tell(state, &line, true);
        }
    }

    fn tell(&self, state: &mut State, line: &str, failure: bool) {
        self.screen.out(line);
        if failure {
            state.failures.push(line.to_owned());
        } else {
            state.lines_since_failure += usize::from(!state.failures.is_empty());
        }
    }

    fn end(&self, state: &mut State, summary: Summary, took_ms: u64, requests: &[(String, u64)]) {
        state.clear_bars();
        let paint = self.screen.paint;
        if state.lines_since_failure > SCROLLED_AWAY {
            self.screen.out(&format!(
                "{}\n{}",
                paint.bold("failed again, to have it in sight:"),
                state.failures.join("\n")
            ));
        }
        if self.verbose && !requests.is_empty() {
            let each: Vec<String> = requests.iter().map(|(host, count)| format!("{host} {count}")).collect();
            self.screen.out(&paint.dim(&format!("requests  {}", each.join(", "))));
        }
        let text = summary_line(&state.phase, state.check, summary, took_ms);
        let painted = match summary {
            Summary { failed: 1.., .. } => paint.red(&text),
            Summary { changed: 1.., .. } => paint.yellow(&text),
            _ => paint.green(&text),
        };
        self.screen.out(&painted);
        state.begun = false;
    }
}

impl Sink for Terminal {
    fn event(&self, event: &Event) {
        let mut state = lock(&self.state);
        let state = &mut *state;
        match event {
            Event::Connecting { hosts } => {
                if let Some(bars) = &mut state.bars {
                    bars.connecting(hosts.len());
                }
            }
            Event::Host { host, address, error, .. } => {
                if let Some(bars) = &mut state.bars {
                    bars.connected();
                }
                if let Some(error) = error {
                    let target = Target { host: host.clone(), address: address.clone() };
                    if state.begun {
                        let line = self.unusable(error, vec![target]);
                        self.tell(state, &line, true);
                    } else {
                        state.unusable.entry(error.clone()).or_default().push(target);
                    }
                }
            }
            Event::Begin { phase, check, hosts, roles, operations } => {
                state.clear_bars();
                (state.phase, state.check) = (phase.clone(), *check);
                self.begin(state, hosts, roles, *operations);
                if let Some(bars) = &mut state.bars {
                    bars.begin(*operations);
                }
            }
            Event::Started { node, host, role, subject, .. } => {
                if let Some(bars) = &mut state.bars {
                    bars.start(node, &format!("{role}  {host}  {}", brief(subject)), subject.starts_with("image "));
                }
            }
            Event::Progress { node, done, total } => {
                if let Some(bars) = &mut state.bars {
                    bars.progress(node, *done, *total);
                }
            }
            Event::Waiting { node, why } => {
                if let Some(bars) = &mut state.bars {
                    bars.waiting(node, why);
                }
            }
            Event::Finished { node, host, role, subject, outcome, reason, details, took_ms, .. } => {
                let shown = self.verbose || *outcome != Outcome::Same;
                if shown {
                    let row = Row { role, host, subject, outcome: *outcome, reason, took_ms: *took_ms };
                    let mut line = state.row(self.screen.paint, &row);
                    for detail in state.once(host, subject, details) {
                        line.push_str(&self.detail(&detail));
                    }
                    self.tell(state, &line, *outcome == Outcome::Failed);
                }
                if let Some(bars) = &mut state.bars {
                    bars.finish(node, *outcome == Outcome::Failed);
                }
            }
            Event::Warning { host, message } => {
                let message = if host.is_empty() { message.clone() } else { format!("{host}: {message}") };
                self.screen.err(&text::warning(&message, self.screen.paint_err.0));
            }
            Event::End { summary, took_ms, requests } => self.end(state, *summary, *took_ms, requests),
        }
    }
}

impl Terminal {
    /// A line under an operation; lines of a hunk in its colours.
    fn detail(&self, detail: &str) -> String {
        let paint = self.screen.paint;
        let detail = clean(detail);
        let painted = match detail.chars().next() {
            Some('+') => paint.green(&detail),
            Some('-') => paint.red(&detail),
            Some('@') => paint.cyan(&detail),
            _ => detail,
        };
        format!("\n      {painted}")
    }
}

struct Row<'a> {
    role: &'a str,
    host: &'a str,
    subject: &'a str,
    outcome: Outcome,
    reason: &'a str,
    took_ms: u64,
}

impl State {
    fn row(&mut self, paint: Paint, row: &Row<'_>) -> String {
        let subject = clean(&brief(row.subject));
        self.widths.2 = self.widths.2.max(columns::width(&subject)).min(*SUBJECT_WIDTHS.end());
        let (roles, hosts, subjects) = self.widths;
        let word = if self.phase == "prechecks" && row.outcome == Outcome::Same {
            "passed"
        } else {
            word(row.outcome, self.check)
        };
        let reason = row.reason.lines().map(clean).collect::<Vec<_>>().join("; ");
        let plain = if reason.is_empty() { word.to_owned() } else { format!("{word}: {reason}") };
        let painted = match row.outcome {
            Outcome::Failed => paint.red(&plain),
            Outcome::Skipped | Outcome::Same => paint.dim(&plain),
            _ => format!("{}{}", paint.yellow(word), &plain[word.len()..]),
        };
        let acted = !matches!(row.outcome, Outcome::Same | Outcome::Skipped);
        let took = if acted && row.took_ms >= WORTH_TELLING {
            let gap = OUTCOME_WIDTH.saturating_sub(columns::width(&plain)).max(2);
            format!("{}{}", " ".repeat(gap), paint.dim(&duration(row.took_ms)))
        } else {
            String::new()
        };
        let (role, host) = (columns::padded(row.role, roles), columns::padded(row.host, hosts));
        let subject = columns::padded(&subject, subjects);
        format!("  {role}  {host}  {subject}  {painted}{took}")
    }

    /// Details, without the hunks that another host has shown.
    fn once(&mut self, host: &str, subject: &str, details: &[String]) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        let mut files: Vec<Vec<String>> = Vec::new();
        for line in details.iter().flat_map(|detail| detail.lines()) {
            match files.last_mut() {
                Some(file) if !line.starts_with("file ") => file.push(line.to_owned()),
                _ => files.push(vec![line.to_owned()]),
            }
        }
        for mut file in files {
            if !file.get(1).is_some_and(|line| line.starts_with("@@")) {
                lines.append(&mut file);
                continue;
            }
            let mut what = file.clone();
            what.push(subject.to_owned());
            match self.shown.get(&what) {
                Some(other) if other != host => lines.push(format!("{}, as on {other}", file[0])),
                _ => {
                    self.shown.insert(what, host.to_owned());
                    lines.append(&mut file);
                }
            }
        }
        lines
    }

    fn clear_bars(&mut self) {
        if let Some(bars) = &mut self.bars {
            bars.clear();
        }
    }
}

/// What an operation did; with `check`, what it would do.
pub fn word(outcome: Outcome, check: bool) -> &'static str {
    match (outcome, check) {
        (Outcome::Same, _) => "same",
        (Outcome::Created, false) => "created",
        (Outcome::Created, true) => "create",
        (Outcome::Updated, false) => "updated",
        (Outcome::Updated, true) => "update",
        (Outcome::Replaced, false) => "replaced",
        (Outcome::Replaced, true) => "replace",
        (Outcome::Started, false) => "started",
        (Outcome::Started, true) => "start",
        (Outcome::Stopped, false) => "stopped",
        (Outcome::Stopped, true) => "stop",
        (Outcome::Removed, false) => "removed",
        (Outcome::Removed, true) => "remove",
        (Outcome::Ran, false) => "ran",
        (Outcome::Ran, true) => "run",
        (Outcome::Failed, _) => "failed",
        (Outcome::Skipped, _) => "skipped",
    }
}

/// `changed 7, same 50, failed 1, skipped 3 in 1m12s`; what is 0 is left out, except the first.
pub fn summary_line(phase: &str, check: bool, summary: Summary, took_ms: u64) -> String {
    let Summary { changed, same, failed, skipped } = summary;
    let mut parts = if phase == "prechecks" {
        vec![format!("passed {}", same + changed)]
    } else {
        let first = if check { "would change" } else { "changed" };
        vec![format!("{first} {changed}"), format!("same {same}")]
    };
    parts.extend((failed > 0).then(|| format!("failed {failed}")));
    parts.extend((skipped > 0).then(|| format!("skipped {skipped}")));
    format!("{} in {}", parts.join(", "), duration(took_ms))
}

/// A subject as lines show it: an image without its registry, which is the same for all.
pub fn brief(subject: &str) -> Cow<'_, str> {
    match subject.strip_prefix("image ").and_then(|image| image.rsplit_once('/')) {
        Some((_, name)) => format!("image {name}").into(),
        None => subject.into(),
    }
}

/// Who fails for a reason, and that: a single host's address is part of the reason.
fn told_once(error: &str, mut targets: Vec<Target>) -> (String, String) {
    if let [Target { host, address: Some(address) }] = targets.as_slice() {
        return (host.clone(), format!("{address}: {error}"));
    }
    // They came in the order of their answers.
    targets.sort_by(|a, b| a.host.cmp(&b.host));
    (some_targets(targets.iter()), error.to_owned())
}

/// All hosts, or the first and last ones and how many there are.
pub fn some_hosts(hosts: &[String]) -> String {
    match hosts {
        [first @ .., last] if hosts.len() > NAMED_HOSTS => {
            format!("{} ... {last} ({})", first[..NAMED_HOSTS - 3].join(" "), numbered(hosts.len(), "host"))
        }
        _ => hosts.join(" "),
    }
}

#[cfg(test)]
mod tests;
