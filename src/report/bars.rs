//! The bars under the lines of a run: one for all operations, a few for what is under way.

use std::time::{Duration, Instant};

use indexmap::IndexMap;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::paint::clean;
use crate::error::numbered;

/// Operations that get a line of their own.
const SHOWN: usize = 6;
const TICK: Duration = Duration::from_millis(120);

/// Drawn on stderr; gone when a run ends.
pub(super) struct Bars {
    multi: MultiProgress,
    overall: Option<ProgressBar>,
    running: IndexMap<String, Running>,
    failed: usize,
}

struct Running {
    text: String,
    bytes: bool,
    since: Instant,
    bar: Option<ProgressBar>,
}

impl Bars {
    pub(super) fn new(multi: &MultiProgress) -> Self {
        Self { multi: multi.clone(), overall: None, running: IndexMap::new(), failed: 0 }
    }

    pub(super) fn connecting(&mut self, hosts: usize) {
        self.clear();
        let bar = self.multi.add(ProgressBar::new(hosts as u64));
        bar.set_style(style("{spinner} connecting to {msg}  {pos}/{len}  {elapsed:.dim}"));
        bar.set_message(numbered(hosts, "host"));
        bar.enable_steady_tick(TICK);
        self.overall = Some(bar);
    }

    pub(super) fn connected(&mut self) {
        if let Some(bar) = &self.overall {
            bar.inc(1);
        }
    }

    pub(super) fn begin(&mut self, operations: usize) {
        self.clear();
        self.failed = 0;
        let bar = self.multi.add(ProgressBar::new(operations as u64));
        bar.set_style(style("{bar:30.cyan/dim} {pos}/{len} operations  {elapsed:.dim}{msg}"));
        bar.enable_steady_tick(TICK);
        self.overall = Some(bar);
    }

    pub(super) fn start(&mut self, node: &str, text: &str, bytes: bool) {
        self.running.insert(node.to_owned(), Running { text: clean(text), bytes, since: Instant::now(), bar: None });
        self.show();
    }

    pub(super) fn progress(&mut self, node: &str, done: u64, total: u64) {
        let Some(running) = self.running.get(node) else { return };
        let Some(bar) = &running.bar else { return };
        if bar.length() != Some(total) {
            let of = if total == 0 { "" } else { "/{total_bytes}  {bar:20.cyan/dim}" };
            let template = if running.bytes {
                format!("  {{spinner}} {{msg}}  {{bytes}}{of}  {{binary_bytes_per_sec:.dim}}  {{elapsed:.dim}}")
            } else {
                "  {spinner} {msg}  {pos}/{len}  {elapsed:.dim}".to_owned()
            };
            bar.set_style(style(&template));
            bar.set_length(total);
        }
        bar.set_position(done);
    }

    pub(super) fn waiting(&mut self, node: &str, why: &str) {
        let Some(running) = self.running.get(node) else { return };
        let Some(bar) = &running.bar else { return };
        bar.set_message(format!("{}: {}", running.text, clean(why)));
    }

    pub(super) fn finish(&mut self, node: &str, failed: bool) {
        if let Some(Running { bar: Some(bar), .. }) = self.running.shift_remove(node) {
            bar.finish_and_clear();
            self.multi.remove(&bar);
        }
        self.failed += usize::from(failed);
        if let Some(bar) = &self.overall {
            bar.inc(1);
        }
        self.show();
    }

    pub(super) fn clear(&mut self) {
        let running = std::mem::take(&mut self.running).into_values().filter_map(|running| running.bar);
        for bar in running.chain(self.overall.take()) {
            bar.finish_and_clear();
            self.multi.remove(&bar);
        }
    }

    /// Gives free lines to those that wait for one, and the rest to the overall bar's text.
    fn show(&mut self) {
        let Some(overall) = &self.overall else { return };
        let mut free = SHOWN.saturating_sub(self.running.values().filter(|running| running.bar.is_some()).count());
        for running in self.running.values_mut().filter(|running| running.bar.is_none()) {
            if free == 0 {
                break;
            }
            free -= 1;
            let bar =
                self.multi.insert_before(overall, ProgressBar::new_spinner().with_elapsed(running.since.elapsed()));
            bar.set_style(style("  {spinner} {msg}  {elapsed:.dim}"));
            bar.set_message(running.text.clone());
            bar.enable_steady_tick(TICK);
            running.bar = Some(bar);
        }
        let mut text = match self.running.len().saturating_sub(SHOWN) {
            0 => String::new(),
            more => format!("  {more} more under way"),
        };
        if self.failed > 0 {
            text = format!("{text}  {} failed", self.failed);
        }
        overall.set_message(text);
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("━━─")
        .tick_chars("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ ")
}
