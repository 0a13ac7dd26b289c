//! The tables of words: a new kind of step, preparation or check is a line here.

use super::check::Condition;
use super::word::{Offer, Preparation, Step, Word, keys};
use super::{catalog, check, database, exec, host_file, message_queue, packages, resources, sysctl, task, unit};
use crate::source::Key;

/// What services offer to steps.
pub const OFFERS: [&Offer; 3] = [&database::OFFER, &message_queue::OFFER, &catalog::OFFER];
/// Their keys.
pub const OFFER_KEYS: [&Key; OFFERS.len()] = [&OFFERS[0].key, &OFFERS[1].key, &OFFERS[2].key];

/// Kinds of steps.
pub const STEPS: [&Word<Step>; 6] =
    [&database::STEP, &message_queue::STEP, &catalog::STEP, &resources::STEP, &task::STEP, &exec::STEP];
/// Their keys.
pub const STEP_KEYS: [&Key; STEPS.len()] = keys(&STEPS);

/// Kinds of preparation of a host.
pub const HOST: [&Word<Preparation>; 5] =
    [&packages::HOST, &sysctl::HOST, &host_file::FILE, &host_file::BLOCK, &unit::HOST];
/// Their keys.
pub const HOST_KEYS: [&Key; HOST.len()] = keys(&HOST);

/// Kinds of checks.
pub const CHECKS: [&Word<Condition>; 14] = [
    &check::clock::CHECK,
    &check::disk_free::CHECK,
    &check::engine::CHECK,
    &check::hostnames_resolve::CHECK,
    &check::images_present::CHECK,
    &check::interface::CHECK,
    &check::interfaces::CHECK,
    &check::memory::CHECK,
    &check::open_files::CHECK,
    &check::os::CHECK,
    &check::peers_reachable::CHECK,
    &check::port_free::CHECK,
    &check::systemd::CHECK,
    &check::vip::CHECK,
];
/// Their keys.
pub const CHECK_KEYS: [&Key; CHECKS.len()] = keys(&CHECKS);
