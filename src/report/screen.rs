//! The two streams of the program and, on a terminal, the bars drawn under their lines.
//!
//! The streams are handed in by `cli`; here they only get lines, so that a report looks the same in a test. Whatever is
//! printed goes through the one mask of the process, but what was asked for byte by byte ([`Screen::raw`]).

use std::io::{ErrorKind, Write};
use std::sync::{Arc, Mutex, OnceLock};

use indicatif::MultiProgress;

use super::paint::Paint;
use super::{lock, text};
use crate::shell::Mask;

type Stream = Mutex<Option<Box<dyn Write + Send>>>;

/// Where lines go. A stream whose reader went away gets no more of them; what runs goes on.
pub struct Screen {
    out: Stream,
    err: Stream,
    bars: Option<MultiProgress>,
    problem: Mutex<Option<String>>,
    secrets: OnceLock<Mask>,
    /// Paint for what goes to stdout.
    pub paint: Paint,
    /// Paint for what goes to stderr.
    pub paint_err: Paint,
}

impl Screen {
    /// A screen over two streams; with `bars` on the second one, which then must be a terminal.
    pub fn new(out: Box<dyn Write + Send>, err: Box<dyn Write + Send>, paint: (bool, bool), bars: bool) -> Self {
        Self {
            out: Mutex::new(Some(out)),
            err: Mutex::new(Some(err)),
            bars: bars.then(MultiProgress::new),
            problem: Mutex::new(None),
            secrets: OnceLock::new(),
            paint: Paint(paint.0),
            paint_err: Paint(paint.1),
        }
    }

    /// A screen without colour and bars that keeps what it gets, for tests.
    pub fn captured() -> (Arc<Self>, Captured, Captured) {
        let (out, err) = (Captured::default(), Captured::default());
        let screen = Self::new(Box::new(out.clone()), Box::new(err.clone()), (false, false), false);
        (Arc::new(screen), out, err)
    }

    /// The site's secrets are known: from now on nothing shows one.
    pub fn keep_to_itself(&self, secrets: Mask) {
        // The site of a process stays the same.
        let _ = self.secrets.set(secrets);
    }

    /// Warns of something that stops nothing.
    pub fn warn(&self, message: &str) {
        self.err(&text::warning(message, self.paint_err.0));
    }

    /// What hides secrets; without a site nothing is one.
    pub fn mask(&self) -> Mask {
        self.secrets.get().cloned().unwrap_or_default()
    }

    /// Text for stdout; a final newline is added where it is missing.
    pub fn out(&self, text: &str) {
        self.line(&self.out, &self.mask().hide(text));
    }

    /// Text for stderr; a final newline is added where it is missing.
    pub fn err(&self, text: &str) {
        self.line(&self.err, &self.mask().hide(text));
    }

    /// A value as a line of JSON for stdout.
    pub fn json(&self, value: serde_json::Value) {
        self.line(&self.out, &self.mask().hide_json(value).to_string());
    }

    /// Text for stdout as it is: an event's, whose secrets are hidden already, or a file's that was asked for with them.
    pub fn plain(&self, line: &str) {
        self.line(&self.out, line);
    }

    /// Lines of the log for stderr.
    pub fn log(&self, lines: &[u8]) {
        self.write(&self.err, self.mask().hide(&String::from_utf8_lossy(lines)).as_bytes());
    }

    /// Bytes for stdout, as they are.
    pub fn raw(&self, bytes: &[u8]) {
        self.write(&self.out, bytes);
    }

    /// Bytes for stderr, as they are.
    pub fn raw_err(&self, bytes: &[u8]) {
        self.write(&self.err, bytes);
    }

    /// The bars, on a terminal.
    pub fn bars(&self) -> Option<&MultiProgress> {
        self.bars.as_ref()
    }

    /// Why a stream took no more, unless its reader went away.
    pub fn problem(&self) -> Option<String> {
        lock(&self.problem).clone()
    }

    fn line(&self, stream: &Stream, text: &str) {
        if text.ends_with('\n') {
            self.write(stream, text.as_bytes());
        } else {
            self.write(stream, format!("{text}\n").as_bytes());
        }
    }

    fn write(&self, stream: &Stream, bytes: &[u8]) {
        let write = || {
            let mut stream = lock(stream);
            if let Some(open) = stream.as_mut()
                && let Err(error) = open.write_all(bytes).and_then(|()| open.flush())
            {
                *stream = None;
                // A terminal that was closed answers so.
                let hung_up = error.raw_os_error() == Some(nix::errno::Errno::EIO as i32);
                if error.kind() != ErrorKind::BrokenPipe && !hung_up {
                    lock(&self.problem).get_or_insert_with(|| error.to_string());
                }
            }
        };
        match &self.bars {
            Some(bars) => bars.suspend(write),
            None => write(),
        }
    }
}

/// A stream that keeps what was written to it.
#[derive(Clone, Default)]
pub struct Captured(Arc<Mutex<Vec<u8>>>);

impl Captured {
    /// All of it.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&lock(&self.0)).into_owned()
    }
}

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        lock(&self.0).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Gone;

    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_went_away_does_not_stop_a_run() {
        let err = Captured::default();
        let screen = Screen::new(Box::new(Gone), Box::new(err.clone()), (false, false), false);
        screen.out("one");
        screen.out("two");
        screen.err("three");
        assert_eq!(err.text(), "three\n");
        assert_eq!(screen.problem(), None);
    }
}
