//! Ctrl-C: the first one stops starting things, the second one ends the program at once.

use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::error::Error;
use crate::report::{Screen, text};

/// How long a command that has nothing to finish may take to end.
const GRACE: Duration = Duration::from_secs(1);

/// Watches for SIGINT and SIGTERM as long as the runtime lives. The first one cancels `stop`; with `finishing`,
/// the command then ends what it has begun and this says so.
pub(super) fn watch(screen: Arc<Screen>, stop: CancellationToken, finishing: bool) {
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return;
    };
    tokio::spawn(async move {
        either(&mut interrupt, &mut terminate).await;
        stop.cancel();
        if finishing {
            screen.err("interrupted: nothing new is started, what runs is finished; once more aborts at once");
            either(&mut interrupt, &mut terminate).await;
        } else {
            // What holds its thread, as a template without an end or a pipe that nobody writes to, does not see it.
            tokio::select! {
                () = either(&mut interrupt, &mut terminate) => {}
                () = tokio::time::sleep(GRACE) => screen.err(&text::error(&Error::Interrupted, screen.paint_err.0)),
            }
        }
        end();
    });
}

async fn either(interrupt: &mut Signal, terminate: &mut Signal) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

/// What is left on hosts is settled by the next run; see the design's `rerun is resume`.
#[allow(clippy::exit)]
fn end() -> ! {
    std::process::exit(130)
}
