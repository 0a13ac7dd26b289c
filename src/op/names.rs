//! What a run makes on a host is called so, in one place: every name that follows from a container's own, its labels, and
//! what is noted of it.

/// Where the sets of files are.
pub const SETS: &str = "/etc/kolla/.sets";
/// Where the marks are that say what has been taken over by what runs.
pub const APPLIED: &str = "/etc/kolla/.applied";

/// The label that says whose a container is.
pub const SITE_LABEL: &str = "kolla.site";
/// The label that names the service.
pub const SERVICE_LABEL: &str = "kolla.service";
/// The label that names the role.
pub const ROLE_LABEL: &str = "kolla.role";
/// The label that all images of Kolla have, with their version.
pub const KOLLA_LABEL: &str = "kolla_version";
/// The label of a container that names its image's manifest.
pub const IMAGE_LABEL: &str = "kolla.image";
/// The label that names the set of files it was made with.
pub(super) const SET_LABEL: &str = "kolla.set";
/// What the labels with the digests of a container's parts begin with.
pub(super) const PART_LABEL: &str = "kolla.part.";

/// One of several containers that a service has on a host.
pub fn instance(name: &str, suffix: &str) -> String {
    format!("{name}_{suffix}")
}

/// Runs once: a step of the service.
pub fn task(name: &str, step: &str) -> String {
    format!("{name}_{step}")
}

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

/// All that have a name of this container's: what would be in its way.
pub fn all(name: &str) -> impl Iterator<Item = String> {
    lasting(name).into_iter().chain(passing(name))
}

/// What the links begin with that say which secrets of a service cannot be changed.
pub fn secrets(service: &str) -> String {
    format!("{APPLIED}/secrets/{service}.")
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
