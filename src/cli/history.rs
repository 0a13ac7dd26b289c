//! `kolla history`: the runs of this machine and user.

use clap::Args;
use serde_json::json;

use super::{Exit, Invocation};
use crate::report::record::{PastRun, history};
use crate::report::time::duration;
use crate::report::{Table, record};

/// Lists past runs of this machine and user, newest first, with the timeline of each.
#[derive(Debug, Args)]
pub struct History {
    /// Maximum number of runs
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
    pub last: usize,
}

impl History {
    pub(super) fn run(self, at: &Invocation) -> Exit {
        let folder = at.environment.runs();
        let runs = history(&folder);
        let runs = &runs[..runs.len().min(self.last)];
        if runs.is_empty() && !at.global.json() {
            at.screen.out(&format!("no runs in {}", folder.display()));
            return Exit::DONE;
        }
        at.answer(|| runs.iter().map(as_json).collect(), || text(runs));
        Exit::DONE
    }
}

fn text(runs: &[PastRun]) -> String {
    let mut table = Table::new(["started", "took", "result", "changed", "failed", "command", "record"]);
    for run in runs {
        let (changed, failed) = match run.changed_failed {
            Some((changed, failed)) => (changed.to_string(), failed.to_string()),
            None => ("-".into(), "-".into()),
        };
        table.row([
            run.started.replace('T', " "),
            run.took_ms.map_or_else(|| "-".into(), duration),
            run.result.to_owned(),
            changed,
            failed,
            run.command.clone(),
            run.folder.join(record::PAGE).display().to_string(),
        ]);
    }
    table.render()
}

fn as_json(run: &PastRun) -> serde_json::Value {
    json!({
        "started": run.started, "took_ms": run.took_ms, "result": run.result, "command": run.command,
        "changed": run.changed_failed.map(|(changed, _)| changed),
        "failed": run.changed_failed.map(|(_, failed)| failed),
        "folder": run.folder,
    })
}
