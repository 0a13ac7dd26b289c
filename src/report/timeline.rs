//! A run as one self-contained page: hosts down, time across, a bar an operation.
//!
//! The page holds the run as JSON and draws it itself, so that it can be zoomed and filtered; without scripts
//! it still shows the figures and the table of what took longest.
#![allow(clippy::format_push_string)] // Pages are small, and `format!` reads better than `write!` here.

use std::collections::HashMap;

use indexmap::IndexMap;
use serde_json::{Value, json};

use super::terminal::{summary_line, word};
use super::time::duration;
use crate::error::{Target, numbered, some_targets};
use crate::run::event::{Event, Outcome, Summary};

const PAGE: &str = include_str!("timeline.html");
/// Rows of the table of what took longest.
const SLOWEST: usize = 15;
/// Failures that are listed above the chart, and how many of them are unfolded.
const FAILURES: usize = 10;
const OPEN: usize = 2;
/// A pause of so many milliseconds between two operations ends a chain of them.
const CHAIN_GAP: u64 = 2_000;

/// What the page shows, gathered from events.
#[derive(Debug, Clone, Default)]
pub struct Timeline {
    /// The command line.
    pub command: String,
    /// When it began, RFC 3339.
    pub started: String,
    /// How many operations ended how, once the walk has ended.
    pub summary: Option<Summary>,
    phase: String,
    check: bool,
    hosts: Vec<String>,
    bars: Vec<Bar>,
    notes: Vec<String>,
    /// Hosts that could not be used, by the reason.
    unusable: IndexMap<String, Vec<Target>>,
    requests: u64,
    took_ms: u64,
    hosts_seen: HashMap<String, usize>,
}

#[derive(Debug, Clone)]
struct Bar {
    host: usize,
    role: String,
    subject: String,
    outcome: Outcome,
    reason: String,
    details: Vec<String>,
    at: u64,
    took: u64,
}

impl Bar {
    fn end(&self) -> u64 {
        self.at + self.took
    }
}

impl Timeline {
    /// The timeline of these events.
    pub fn of(command: &str, started: &str, events: &[Event]) -> Self {
        let mut timeline = Self { command: command.into(), started: started.into(), ..Self::default() };
        for event in events {
            timeline.take(event);
        }
        timeline
    }

    /// Takes one event.
    pub fn take(&mut self, event: &Event) {
        match event {
            Event::Begin { phase, check, hosts, .. } => {
                (self.phase, self.check) = (phase.clone(), *check);
                for host in hosts {
                    self.host(host);
                }
            }
            Event::Host { host, address, error: Some(error), .. } => {
                let target = Target { host: host.clone(), address: address.clone() };
                self.unusable.entry(error.clone()).or_default().push(target);
            }
            Event::Warning { host, message } => {
                let place = if host.is_empty() { String::new() } else { format!("{host}: ") };
                self.notes.push(format!("{place}{message}"));
            }
            Event::Finished { host, role, subject, outcome, reason, details, at_ms, took_ms, .. } => {
                let host = self.host(host);
                self.bars.push(Bar {
                    host,
                    role: role.clone(),
                    subject: subject.clone(),
                    outcome: *outcome,
                    reason: reason.clone(),
                    details: details.clone(),
                    at: *at_ms,
                    took: *took_ms,
                });
                self.took_ms = self.took_ms.max(at_ms + took_ms);
            }
            Event::End { summary, took_ms, requests } => {
                self.summary = Some(*summary);
                self.took_ms = self.took_ms.max(*took_ms);
                self.requests = requests.iter().map(|(_, count)| count).sum();
            }
            _ => {}
        }
    }

    fn host(&mut self, name: &str) -> usize {
        if let Some(&index) = self.hosts_seen.get(name) {
            return index;
        }
        self.hosts.push(name.to_owned());
        self.hosts_seen.insert(name.to_owned(), self.hosts.len() - 1);
        self.hosts.len() - 1
    }

    /// The page. All text of the run is escaped; nothing is loaded from elsewhere.
    pub fn html(&self) -> String {
        let summary = self.summary.unwrap_or_else(|| self.counted());
        let title = if self.phase.is_empty() { "run".to_owned() } else { self.phase.clone() };
        let line = summary_line(&self.phase, self.check, summary, self.took_ms);
        fill(
            PAGE,
            &[
                ("title", escape(&format!("kolla {title} · {}", self.started))),
                ("command", escape(&self.command)),
                ("started", escape(&self.started)),
                ("line", escape(&line)),
                ("ended", if self.summary.is_some() { String::new() } else { "did not come to its end".into() }),
                ("figures", self.figures(summary)),
                ("failed", self.failed()),
                ("notes", self.notes()),
                ("slowest", self.slowest()),
                ("data", embed(&self.data())),
            ],
        )
    }

    fn counted(&self) -> Summary {
        let mut summary = Summary::default();
        for bar in &self.bars {
            match bar.outcome {
                Outcome::Same => summary.same += 1,
                Outcome::Failed => summary.failed += 1,
                Outcome::Skipped => summary.skipped += 1,
                _ => summary.changed += 1,
            }
        }
        summary
    }

    fn figures(&self, summary: Summary) -> String {
        let mut figures = vec![
            ("changed", summary.changed.to_string(), if self.check { "would change" } else { "changed" }),
            ("same", summary.same.to_string(), "same"),
            ("failed", summary.failed.to_string(), "failed"),
            ("skipped", summary.skipped.to_string(), "skipped"),
            ("", duration(self.took_ms), "wall time"),
            ("", self.hosts.len().to_string(), if self.hosts.len() == 1 { "host" } else { "hosts" }),
        ];
        if self.requests > 0 {
            figures.push(("", self.requests.to_string(), "requests"));
        }
        let mut text = String::new();
        for (class, number, name) in figures {
            let class = if number == "0" { "zero" } else { class };
            text += &format!("<div class=\"figure {class}\"><b>{number}</b><span>{name}</span></div>\n");
        }
        text
    }

    fn failed(&self) -> String {
        // The same on several hosts is one failure.
        let mut groups: IndexMap<(&str, &str), (Vec<&str>, &Bar)> = IndexMap::new();
        for bar in self.bars.iter().filter(|bar| bar.outcome == Outcome::Failed) {
            let group = groups.entry((&bar.subject, &bar.reason)).or_insert_with(|| (Vec::new(), bar));
            group.0.push(&self.hosts[bar.host]);
        }
        let open = if groups.len() <= OPEN { " open" } else { "" };
        let mut text = String::new();
        for ((subject, reason), (hosts, first)) in groups.into_iter().take(FAILURES) {
            text += &format!(
                "<details class=\"card failures\"{open}><summary><b>{}</b> <span>on {}:</span> {}</summary><pre>{}</pre></details>\n",
                escape(subject),
                escape(&hosts.join(", ")),
                escape(reason),
                escape(&first.details.join("\n"))
            );
        }
        text
    }

    fn notes(&self) -> String {
        let unusable = self.unusable.iter().map(|(error, hosts)| format!("{}: {error}", some_targets(hosts.iter())));
        let notes: Vec<String> = unusable.chain(self.notes.iter().cloned()).collect();
        if notes.is_empty() {
            return String::new();
        }
        let items: Vec<String> = notes.iter().map(|note| format!("<li>{}</li>", escape(note))).collect();
        let items = items.concat();
        format!("<h2>{}</h2><ul class=\"notes\">{items}</ul>", numbered(notes.len(), "warning"))
    }

    fn slowest(&self) -> String {
        let mut bars: Vec<&Bar> = self.bars.iter().filter(|bar| bar.took > 0).collect();
        bars.sort_by(|a, b| b.took.cmp(&a.took).then_with(|| a.at.cmp(&b.at)));
        let mut text = String::new();
        for bar in bars.into_iter().take(SLOWEST) {
            let outcome = word(bar.outcome, self.check);
            text += &format!(
                "<tr><td>{}</td><td>{}</td><td>{}</td><td class=\"{outcome}\">{outcome}</td><td>{}</td><td>{}</td></tr>\n",
                escape(&self.hosts[bar.host]),
                escape(&bar.role),
                escape(&bar.subject),
                escape(&bar.reason),
                duration(bar.took)
            );
        }
        text
    }

    /// What the page draws. Lists instead of objects: a run may have tens of thousands of operations.
    fn data(&self) -> Value {
        let mut roles: Vec<&str> = Vec::new();
        let mut index = HashMap::new();
        let mut bars = Vec::new();
        for bar in &self.bars {
            let role = *index.entry(bar.role.as_str()).or_insert_with(|| {
                roles.push(&bar.role);
                roles.len() - 1
            });
            let outcome = serde_json::to_value(bar.outcome).unwrap_or_default();
            bars.push(json!([bar.host, role, bar.subject, outcome, bar.reason, bar.details, bar.at, bar.took]));
        }
        json!({
            "hosts": self.hosts, "roles": roles, "bars": bars, "took": self.took_ms, "check": self.check,
            "chain": self.chain(),
        })
    }

    /// Operations the end waited for, first to last: each is the last to end before the next one began. Events
    /// do not tell what waited for what, so this is a hint, and is called one.
    fn chain(&self) -> Vec<usize> {
        let mut by_end: Vec<usize> = (0..self.bars.len()).filter(|&index| self.bars[index].took > 0).collect();
        by_end.sort_by_key(|&index| (self.bars[index].end(), self.bars[index].took));
        let mut chain = Vec::new();
        while let Some(&last) = by_end.last() {
            let Some(&latest) = chain.last() else {
                chain.push(last);
                continue;
            };
            let next: &Bar = &self.bars[latest];
            let ended = by_end.partition_point(|&index| self.bars[index].end() <= next.at);
            by_end.truncate(ended);
            let Some(end) = by_end.last().map(|&index| self.bars[index].end()) else { break };
            if next.at - end > CHAIN_GAP {
                break;
            }
            // Of those that ended about then, the one of the same role or host is most likely the cause.
            let near = by_end.iter().rev().take_while(|&&index| end - self.bars[index].end() <= 20);
            let Some(&best) = near.max_by_key(|&&index| {
                let bar = &self.bars[index];
                (u8::from(bar.role == next.role) + u8::from(bar.host == next.host), bar.end())
            }) else {
                break;
            };
            by_end.retain(|&index| index != best);
            chain.push(best);
        }
        chain.reverse();
        chain
    }
}

/// Puts values in the place of `{{name}}`, in one pass, so that no value is looked into.
pub(super) fn fill(page: &str, values: &[(&str, String)]) -> String {
    let mut filled = String::with_capacity(page.len());
    let mut rest = page;
    while let Some((before, after)) = rest.split_once("{{") {
        filled.push_str(before);
        let Some((name, after)) = after.split_once("}}") else { break };
        if let Some((_, value)) = values.iter().find(|(key, _)| *key == name) {
            filled.push_str(value);
        }
        rest = after;
    }
    filled.push_str(rest);
    filled
}

/// Text for HTML, inside elements and attributes.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// JSON for a `script` element: nothing in it can end the element.
pub(super) fn embed(value: &Value) -> String {
    value.to_string().replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

#[cfg(test)]
mod tests {
    use super::super::tests::finished;
    use super::*;

    #[test]
    fn no_text_of_a_run_is_markup() {
        let evil = "</script><script>alert('x')</script>{{data}}";
        let events = [
            Event::Warning { host: evil.into(), message: evil.into() },
            finished(evil, evil, evil, Outcome::Failed, evil, (0, 10)),
        ];
        let page = Timeline::of(evil, evil, &events).html();
        assert!(!page.contains("<script>alert"), "raw markup");
        assert!(page.contains("&lt;/script&gt;&lt;script&gt;alert(&#39;x&#39;)"));
        assert!(page.contains(r"\u003c/script\u003e"));
        assert_eq!(page.matches("</script>").count(), PAGE.matches("</script>").count());
        assert!(!page.contains("http:") && !page.contains("https:"), "loads something from elsewhere");
    }

    #[test]
    fn the_chain_goes_back_from_the_end_by_time() {
        let events = [
            finished("a", "r", "image x", Outcome::Created, "", (0, 500)),
            finished("b", "r", "image x", Outcome::Created, "", (0, 300)),
            finished("b", "r", "file x", Outcome::Created, "", (300, 20)),
            finished("a", "r", "container x", Outcome::Created, "", (500, 700)),
            finished("b", "s", "container y", Outcome::Created, "", (1_201, 900)),
        ];
        assert_eq!(Timeline::of("", "", &events).chain(), [0, 3, 4]);
    }

    #[test]
    fn a_run_that_was_killed_still_has_figures() {
        let events = [finished("a", "r", "x", Outcome::Failed, "", (0, 10))];
        let page = Timeline::of("kolla deploy", "2026", &events).html();
        assert!(page.contains("did not come to its end"));
        assert!(page.contains("<b>1</b><span>failed</span>"));
        assert!(Timeline::default().html().contains("</html>"), "an empty run has a page too");
    }
}
