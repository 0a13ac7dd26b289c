//! Every name that follows from a container's own, in one place: what a run makes beside it, and what it notes of it.

use crate::op::files::APPLIED;

/// The new one, until the old one has stopped.
pub fn next(name: &str) -> String {
    format!("{name}_next")
}

/// The old one, until the new one is ready.
pub fn previous(name: &str) -> String {
    format!("{name}_previous")
}

/// The one that starts a cluster and that the container takes over from.
pub fn seed(name: &str) -> String {
    format!("{name}_seed")
}

/// Runs once: the image's own program checks new files.
pub fn validate(name: &str) -> String {
    format!("{name}_validate")
}

/// Runs once: makes the first data of a cluster.
pub fn bootstrap(name: &str) -> String {
    format!("{name}_bootstrap")
}

/// Runs once: tells how far the data got.
pub fn position(name: &str) -> String {
    format!("{name}_position")
}

/// The container, and those that may be beside it for a while.
pub fn lasting(name: &str) -> [String; 4] {
    [name.to_owned(), previous(name), next(name), seed(name)]
}

/// Those that run once and are gone.
pub fn passing(name: &str) -> [String; 3] {
    [validate(name), bootstrap(name), position(name)]
}

/// The file that says with which id and which configuration the container was ready.
pub fn mark(name: &str) -> String {
    format!("{APPLIED}/{name}")
}

/// The file that says which container of this name was told to stop, until it has.
pub fn stopping(name: &str) -> String {
    format!("{APPLIED}/{name}.stopping")
}

/// Every file that is noted of a container, and of one that it takes over from.
pub fn notes(name: &str) -> [String; 5] {
    let (previous, seed) = (previous(name), seed(name));
    [mark(name), mark(&seed), stopping(name), stopping(&previous), stopping(&seed)]
}
