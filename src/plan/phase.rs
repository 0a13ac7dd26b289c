//! Phases: rows of a table, each a selection of the whole plan.

use crate::op::{Class, Want};

/// A selection of the whole plan, with what is wanted of it.
#[derive(Debug, Clone, Copy)]
pub struct Phase {
    /// The command's name.
    pub name: &'static str,
    /// What the operations that it keeps are for.
    pub keep: &'static [Class],
    /// How it wants them.
    pub want: Want,
    /// Last things first.
    pub reverse: bool,
    /// It only looks: nothing is ever applied, and the site's lease is not taken.
    pub looks: bool,
    /// After a crash of a whole cluster.
    pub recover: bool,
}

const DEPLOY: &[Class] =
    &[Class::Image, Class::Volume, Class::Files, Class::Cluster, Class::Program, Class::Setting, Class::Container];

const RECONFIGURE: &[Class] = &[Class::Files, Class::Cluster, Class::Setting, Class::Container];

const PLAIN: Phase = Phase { name: "", keep: &[], want: Want::Running, reverse: false, looks: false, recover: false };

/// What an operator asks for by name: of a plan of its own.
pub const ACTION: Phase = Phase { name: "do", keep: &[Class::Action], ..PLAIN };

/// The same, of a cluster whose members all went down.
pub const RECOVERY: Phase = Phase {
    // What starts takes the files of now: those of the last start may be gone.
    keep: &[Class::Files, Class::Cluster, Class::Container],
    recover: true,
    ..ACTION
};

/// All phases.
pub const PHASES: &[Phase] = &[
    Phase { name: "bootstrap-servers", keep: &[Class::Host], ..PLAIN },
    Phase { name: "prechecks", keep: &[Class::Check], looks: true, ..PLAIN },
    Phase { name: "pull", keep: &[Class::Image], ..PLAIN },
    Phase { name: "prune-images", keep: &[Class::Unused], ..PLAIN },
    Phase { name: "genconfig", keep: &[Class::Files], ..PLAIN },
    Phase { name: "deploy", keep: DEPLOY, ..PLAIN },
    Phase { name: "reconfigure", keep: RECONFIGURE, ..PLAIN },
    Phase { name: "check", keep: &[Class::Ready], looks: true, ..PLAIN },
    Phase { name: "stop", keep: &[Class::Container], want: Want::Stopped, reverse: true, ..PLAIN },
    Phase {
        name: "destroy",
        keep: &[Class::Container, Class::Volume, Class::Files],
        want: Want::Absent,
        reverse: true,
        ..PLAIN
    },
];

/// The phase of a command.
pub fn named(name: &str) -> Option<&'static Phase> {
    PHASES.iter().find(|phase| phase.name == name)
}
