//! What ends a run before its time: the first Ctrl-C (SIGINT), SIGTERM or closed terminal (SIGHUP) stops starting things,
//! a second Ctrl-C or SIGTERM ends the program at once.

use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::error::Error;
use crate::report::{Screen, text};

/// How long a command that has nothing to finish may take to end.
const GRACE: Duration = Duration::from_secs(1);

/// Watches for SIGINT, SIGTERM and SIGHUP as long as the runtime lives. The first one cancels `stop`; with `finishing`,
/// the command then ends what it has begun and this says so.
pub(super) fn watch(screen: Arc<Screen>, stop: CancellationToken, finishing: bool) {
    let Ok(mut signals) = Signals::new() else { return };
    tokio::spawn(async move {
        signals.first().await;
        stop.cancel();
        if finishing {
            screen.err("interrupted: nothing new is started, what runs is finished; once more aborts at once");
            // A terminal that closes sends SIGHUP more than once, by the kernel and by the shell: nobody asks for more.
            signals.asked().await;
        } else {
            // What holds its thread, as a template without an end or a pipe that nobody writes to, does not see it.
            tokio::select! {
                () = signals.asked() => {}
                () = tokio::time::sleep(GRACE) => screen.err(&text::error(&Error::Interrupted, screen.paint_err.0)),
            }
        }
        end();
    });
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
    /// Nothing where SIGHUP is ignored, as under `nohup`: the run is then to outlive its terminal.
    hangup: Option<Signal>,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        let hangup = if ignored(SignalKind::hangup()) { None } else { Some(signal(SignalKind::hangup())?) };
        let (interrupt, terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        Ok(Self { interrupt, terminate, hangup })
    }

    async fn first(&mut self) {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = hangup => {}
        }
    }

    async fn asked(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Whoever started this program wants it to ignore a signal.
fn ignored(kind: SignalKind) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask >> (kind.as_raw_value() - 1) & 1 == 1
}

/// What is left on hosts is settled by the next run; see the design's `rerun is resume`.
#[allow(clippy::exit)]
fn end() -> ! {
    std::process::exit(130)
}
