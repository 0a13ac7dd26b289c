//! Tells of a run: on the screen, and in the record it leaves.

use std::sync::Arc;

use super::{Exit, Invocation};
use crate::app::{Listeners, Loaded};
use crate::error::{Error, Result};
use crate::host::Observe;
use crate::report::{Fanout, JsonLines, RunRecord, Screen, Terminal};
use crate::run::event::{Event, Sink, Summary};
use crate::shell::Mask;

/// Carries out what is told and recorded as a run; `check` if it changes nothing.
pub(super) async fn reported(
    at: &Invocation,
    loaded: &Loaded,
    check: bool,
    run: impl AsyncFnOnce(&Listeners) -> Result<Summary>,
) -> Result<Summary> {
    let reporting = Reporting::begin(at, loaded.mask());
    let result = run(&reporting.listeners).await;
    reporting.end(at, result.as_ref().map(|summary| at.exit(*summary, check)));
    result
}

/// Prints the warnings of what is no run.
pub(super) struct Warnings(pub(super) Arc<Screen>);

impl Sink for Warnings {
    fn event(&self, event: &Event) {
        if let Event::Warning { message, .. } = event {
            self.0.warn(message);
        }
    }
}

/// A run that is going on.
struct Reporting {
    listeners: Listeners,
    /// What the run leaves; nothing where it could not be made.
    record: Option<Arc<RunRecord>>,
    terminal: Option<Arc<Terminal>>,
}

impl Reporting {
    /// Opens the run's record and the view that was asked for. A record that cannot be made is a warning.
    fn begin(at: &Invocation, mask: &Mask) -> Self {
        let record = match RunRecord::create(&at.environment.runs(), &at.app.command, mask.clone()) {
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
        let events = Arc::new(Fanout::new(mask.clone(), sinks));
        let listeners = Listeners { events, requests: record.clone().map(requests) };
        Self { listeners, record, terminal }
    }

    /// Closes both. Tells where the record is when something failed, and always with `-v`.
    fn end(self, at: &Invocation, result: Result<Exit, &Error>) {
        if let Some(terminal) = &self.terminal {
            let told = match result {
                Err(Error::Host(error)) => Some(&**error),
                _ => None,
            };
            terminal.close(told);
        }
        let Some(record) = &self.record else { return };
        let code = match result {
            Ok(Exit(code)) => code,
            Err(_) if at.app.stop.is_cancelled() => Exit::INTERRUPTED.0,
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

/// Notes requests to hosts in a record.
fn requests(record: Arc<RunRecord>) -> Observe {
    Arc::new(move |request| {
        let outcome = match request.outcome {
            Ok(text) => text.to_owned(),
            Err(error) => error.to_string(),
        };
        record.request(request.host, request.what, request.took, &outcome);
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Environment, Global, Output};
    use crate::report::Screen;
    use crate::report::record::history;

    #[test]
    fn a_run_is_told_and_recorded() {
        let dir = tempfile::tempdir().unwrap();
        let (screen, out, err) = Screen::captured();
        let environment = Environment { state_home: dir.path().into(), ..Environment::default() };
        let at = Invocation::new(
            environment,
            Global { output: Output::Json, ..Global::default() },
            screen,
            "kolla deploy".into(),
        );
        let reporting = Reporting::begin(&at, &Mask::new(["hunter22".into()]));
        let summary = Summary { failed: 1, ..Summary::default() };
        reporting.listeners.events.event(&Event::Warning { host: String::new(), message: "hunter22".into() });
        reporting.listeners.events.event(&Event::End { summary, took_ms: 5, requests: Vec::new() });
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
        let environment = Environment { state_home: dir.path().into(), ..Environment::default() };
        let at = Invocation::new(environment, Global::default(), screen, "kolla deploy".into());
        let reporting = Reporting::begin(&at, &Mask::default());
        assert!(err.text().starts_with("warning: this run leaves no record: "), "{}", err.text());
        reporting.end(&at, Ok(Exit::DONE));
    }
}
