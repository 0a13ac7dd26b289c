//! What the command line does for `app`: asks for secrets at the terminal, and hides those of the site on the screen.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::sync::Arc;

use async_trait::async_trait;
use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};

use tokio_util::sync::CancellationToken;

use crate::app::Frontend;
use crate::error::{Error, Result};
use crate::report::Screen;
use crate::shell::{Mask, Secret};

/// A person at a terminal.
pub(super) struct Person {
    pub(super) screen: Arc<Screen>,
    pub(super) stop: CancellationToken,
}

/// A terminal that does not show what is typed; shows it again when this is dropped.
struct Quiet {
    terminal: File,
    before: Termios,
}

impl Quiet {
    fn new(terminal: File) -> std::io::Result<Self> {
        let before = tcgetattr(&terminal)?;
        let mut quiet = before.clone();
        quiet.local_flags.remove(LocalFlags::ECHO);
        tcsetattr(&terminal, SetArg::TCSAFLUSH, &quiet)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        // The line's end was not shown either.
        let _ = self.terminal.write_all(b"\n");
        let _ = tcsetattr(&self.terminal, SetArg::TCSAFLUSH, &self.before);
    }
}

#[async_trait]
impl Frontend for Person {
    /// Asks at the terminal of this process; where it has none, takes a line of stdin.
    async fn secret(&self, question: &str) -> Result<Secret> {
        let failed = |error: std::io::Error| Error::local("ask for a password", error);
        let terminal = OpenOptions::new().read(true).write(true).open("/dev/tty").ok();
        let quiet = match terminal {
            Some(terminal) => {
                // Before it asks: what is typed at once would else be shown, and dropped.
                let mut quiet = Quiet::new(terminal).map_err(failed)?;
                quiet.terminal.write_all(question.as_bytes()).map_err(failed)?;
                Some(quiet)
            }
            None => None,
        };
        let from = quiet.as_ref().map(|quiet| quiet.terminal.try_clone()).transpose().map_err(failed)?;
        let read = tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            match from {
                Some(terminal) => BufReader::new(terminal).read_line(&mut line),
                None => std::io::stdin().lock().read_line(&mut line),
            }
            .map(|_| line)
        });
        let line = tokio::select! {
            line = read => line.map_err(|error| Error::local("ask for a password", error))?.map_err(failed)?,
            () = self.stop.cancelled() => return Err(Error::Interrupted),
        };
        drop(quiet);
        Ok(Secret::new(line))
    }

    fn hide(&self, secrets: &Mask) {
        self.screen.keep_to_itself(secrets.clone());
    }
}
