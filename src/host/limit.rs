//! How long each act on a host may take, in one place. What takes longer is given up and told, with the host and the act; a
//! program that was started for it in a container is ended.
//!
//! These are for what hangs, so they are far above what a slow host needs. What may be waited for by its nature has a
//! limit of its own where that is known: readiness by its role (`within`), stops by the container (`stop_timeout`).

use std::time::Duration;

/// Connecting and logging in.
pub const LOGIN: Duration = Duration::from_secs(10);
/// A look. A host whose disk hangs answers SSH, and nothing else.
pub const LOOK: Duration = Duration::from_mins(1);
/// What only reads: lists of the engine, a file, an image's digest in its registry.
pub const READ: Duration = Duration::from_mins(1);
/// A question that is asked by a program in a container.
pub const QUESTION: Duration = Duration::from_mins(1);
/// The statements of a step that write to the database.
pub const SQL: Duration = Duration::from_mins(3);
/// How long the database itself works on one of them.
pub const STATEMENT: Duration = Duration::from_mins(1);
/// Any other program in a container, as one that makes a service reload.
pub const PROGRAM: Duration = Duration::from_mins(5);
/// A program in a container that is a role's step (`exec`).
pub const STEP: Duration = Duration::from_mins(30);
/// A container that runs once: migrations of a large cloud's tables take long.
pub const TASK: Duration = Duration::from_hours(1);
/// A script: files, parameters of the kernel, units.
pub const SCRIPT: Duration = Duration::from_mins(5);
/// Installing packages, maybe from far away, maybe after unattended upgrades.
pub const PACKAGES: Duration = Duration::from_mins(30);
/// Files on their way to the host.
pub const FILES: Duration = Duration::from_mins(10);
/// What the engine does at once: creating, renaming, signals, volumes.
pub const ENGINE: Duration = Duration::from_mins(1);
/// What it does with processes and disks: starting, removing; stopping beyond the time that the container has for it.
pub const ENGINE_SLOW: Duration = Duration::from_mins(5);
/// Silence in what comes piece by piece, as a pull or a log.
pub const SILENCE: Duration = Duration::from_mins(5);
/// The end of a container. Whoever waits for it gives up before.
pub const END: Duration = Duration::from_hours(2);
