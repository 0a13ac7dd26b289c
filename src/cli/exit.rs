//! Exit codes.

use crate::run::event::Summary;

/// The exit code of a command that came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit(pub u8);

impl Exit {
    /// All is done.
    pub const DONE: Self = Self(0);
    /// A host or an operation failed.
    pub const FAILED: Self = Self(1);
    /// `--check --exit-code` found something to do.
    pub const CHANGES: Self = Self(3);
    /// Stopped by Ctrl-C.
    pub const INTERRUPTED: Self = Self(130);

    /// Of a run.
    pub fn of(summary: Summary, changes_matter: bool, interrupted: bool) -> Self {
        match summary {
            _ if interrupted => Self::INTERRUPTED,
            Summary { failed: 1.., .. } => Self::FAILED,
            Summary { changed: 1.., .. } if changes_matter => Self::CHANGES,
            _ => Self::DONE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_tell_how_a_run_ended() {
        let summary = |changed, failed| Summary { changed, failed, ..Summary::default() };
        assert_eq!(Exit::of(summary(1, 0), false, false), Exit(0));
        assert_eq!(Exit::of(summary(1, 0), true, false), Exit(3));
        assert_eq!(Exit::of(summary(0, 0), true, false), Exit(0));
        assert_eq!(Exit::of(summary(1, 1), true, false), Exit(1));
        assert_eq!(Exit::of(summary(1, 1), true, true), Exit(130));
    }
}
