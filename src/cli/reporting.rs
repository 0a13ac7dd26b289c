//! Puts the sinks of one run together: the screen, and the record it leaves.

use std::sync::Arc;

use super::{Exit, Invocation};
use crate::error::{Error, Result};
use crate::report::{Fanout, JsonLines, RunRecord, Terminal};
use crate::run::event::Sink;
use crate::shell::Mask;

/// The sinks of a run that is going on.
pub struct Reporting {
    /// Where the run's events go.
    pub sink: Arc<Fanout>,
    /// What the run leaves, for its requests; nothing where it could not be made.
    pub record: Option<Arc<RunRecord>>,
    terminal: Option<Arc<Terminal>>,
}

impl Reporting {
    /// Opens the run's record and the view that was asked for. A record that cannot be made is a warning.
    pub fn begin(at: &Invocation, mask: &Mask) -> Self {
        let record = match RunRecord::create(&at.environment.runs(), &at.command_line, mask.clone()) {
            Ok(record) => Some(Arc::new(record)),
            Err(error) => {
                at.warn(&format!("this run leaves no record: {error}"));
                None
            }
        };
        let terminal = (!at.global.json()).then(|| Arc::new(Terminal::new(at.screen.clone(), at.global.verbose > 0)));
        let mut sinks: Vec<Arc<dyn Sink>> = Vec::new();
        match &terminal {
            Some(terminal) => sinks.push(terminal.clone()),
            None => sinks.push(Arc::new(JsonLines::new(at.screen.clone()))),
        }
        if let Some(record) = &record {
            sinks.push(record.clone());
        }
        Self { sink: Arc::new(Fanout::new(mask.clone(), sinks)), record, terminal }
    }

    /// Closes both. Tells where the record is when something failed, and always with `-v`.
    pub fn end(self, at: &Invocation, result: Result<Exit, &Error>) {
        if let Some(terminal) = &self.terminal {
            let told = match result {
                Err(Error::Host(error)) => Some(error.host.as_str()),
                _ => None,
            };
            terminal.close(told);
        }
        let Some(record) = &self.record else { return };
        let code = match result {
            Ok(Exit(code)) => code,
            Err(_) if at.stop.is_cancelled() => Exit::INTERRUPTED.0,
            Err(error) => error.exit_code(),
        };
        match record.finish(code) {
            Ok(page) if code == 1 || at.global.verbose > 0 => {
                let paint = at.screen.paint_err;
                at.screen.err(&format!("{} {}", paint.cyan("timeline:"), page.display()));
            }
            Ok(_) => {}
            Err(error) => at.warn(&format!("the record of this run is not complete: {error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Environment, Global, Output};
    use crate::report::Screen;
    use crate::report::record::history;
    use crate::run::event::{Event, Summary};

    #[test]
    fn a_run_is_told_and_recorded() {
        let dir = tempfile::tempdir().unwrap();
        let (screen, out, err) = Screen::captured();
        let at = Invocation {
            environment: Environment { state_home: dir.path().into(), ..Environment::default() },
            global: Global { output: Output::Json, ..Global::default() },
            screen,
            stop: tokio_util::sync::CancellationToken::new(),
            vault: crate::cli::session::Vault::default(),
            command_line: "kolla deploy".into(),
        };
        let reporting = Reporting::begin(&at, &Mask::new(["hunter22".into()]));
        let summary = Summary { failed: 1, ..Summary::default() };
        reporting.sink.event(&Event::Warning { host: String::new(), message: "hunter22".into() });
        reporting.sink.event(&Event::End { summary, took_ms: 5, requests: Vec::new() });
        reporting.end(&at, Ok(Exit::FAILED));
        assert!(
            out.text().starts_with("{\"event\":\"warning\",\"host\":\"\",\"message\":\"***\"}\n{\"event\":\"end\"")
        );
        let run = &history(&at.environment.runs())[0];
        assert_eq!((run.command.as_str(), run.result), ("kolla deploy", "failed"));
        assert_eq!(err.text(), format!("timeline: {}\n", run.folder.join("timeline.html").display()));
    }

    #[test]
    fn a_record_that_cannot_be_made_stops_nothing() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("kolla"), "a file").unwrap();
        let (screen, _, err) = Screen::captured();
        let at = Invocation {
            environment: Environment { state_home: dir.path().into(), ..Environment::default() },
            global: Global::default(),
            screen,
            stop: tokio_util::sync::CancellationToken::new(),
            vault: crate::cli::session::Vault::default(),
            command_line: "kolla deploy".into(),
        };
        let reporting = Reporting::begin(&at, &Mask::default());
        assert!(err.text().starts_with("warning: this run leaves no record: "), "{}", err.text());
        reporting.end(&at, Ok(Exit::DONE));
    }
}
