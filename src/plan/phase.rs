//! Phases: rows of a table, each a selection of the whole plan.

use crate::op::{Kind, Want};

/// A selection of the whole plan, with what is wanted of it.
#[derive(Debug, Clone, Copy)]
pub struct Phase {
    /// The command's name.
    pub name: &'static str,
    /// Kinds of operations it keeps.
    pub keep: &'static [Kind],
    /// Roles it keeps; all where it is empty.
    pub roles: &'static [&'static str],
    /// How it wants them.
    pub want: Want,
    /// Last things first.
    pub reverse: bool,
    /// It only looks: nothing is ever applied, and the site's lease is not taken.
    pub looks: bool,
    /// After a crash of a whole cluster.
    pub recover: bool,
}

const DEPLOY: &[Kind] = &[
    Kind::Image,
    Kind::Volume,
    Kind::FileSet,
    Kind::Galera,
    Kind::Task,
    Kind::Exec,
    Kind::Database,
    Kind::MessageQueue,
    Kind::Catalog,
    Kind::Container,
];

/// Steps are in it: a changed password is a changed configuration.
const RECONFIGURE: &[Kind] =
    &[Kind::FileSet, Kind::Galera, Kind::Database, Kind::MessageQueue, Kind::Catalog, Kind::Container];

const PLAIN: Phase =
    Phase { name: "", keep: &[], roles: &[], want: Want::Running, reverse: false, looks: false, recover: false };

/// All phases.
pub const PHASES: &[Phase] = &[
    Phase { name: "bootstrap-servers", keep: &[Kind::Packages, Kind::Sysctl, Kind::HostFile, Kind::Unit], ..PLAIN },
    Phase { name: "prechecks", keep: &[Kind::Check], looks: true, ..PLAIN },
    Phase { name: "pull", keep: &[Kind::Image], ..PLAIN },
    Phase { name: "genconfig", keep: &[Kind::FileSet], ..PLAIN },
    Phase { name: "deploy", keep: DEPLOY, ..PLAIN },
    Phase { name: "reconfigure", keep: RECONFIGURE, ..PLAIN },
    Phase { name: "check", keep: &[Kind::Ready], looks: true, ..PLAIN },
    Phase { name: "stop", keep: &[Kind::Container], want: Want::Stopped, reverse: true, ..PLAIN },
    Phase {
        name: "destroy",
        keep: &[Kind::Container, Kind::Volume, Kind::FileSet],
        want: Want::Absent,
        reverse: true,
        ..PLAIN
    },
    Phase {
        name: "mariadb-recovery",
        // What starts takes the files of now: those of the last start may be gone.
        keep: &[Kind::FileSet, Kind::Galera, Kind::Container],
        roles: &["mariadb"],
        recover: true,
        ..PLAIN
    },
];

/// The phase of a command.
pub fn named(name: &str) -> Option<&'static Phase> {
    PHASES.iter().find(|phase| phase.name == name)
}
