//! What is not known where hosts are not asked.

use crate::error::{InputError, Kind};
use crate::plan::NAMED;
use crate::template::Unasked;

/// One error for all that is not known of hosts that were not asked.
pub(super) fn not_known(unasked: &Unasked) -> Option<InputError> {
    let hosts: Vec<&str> = unasked.hosts.iter().map(String::as_str).collect();
    let networks = unasked.networks.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let more = match hosts.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let hosts = hosts.get(..NAMED.min(hosts.len()))?.join(", ");
    let message = format!("without asking hosts, addresses of {hosts}{more} are not known ({networks})");
    (!hosts.is_empty()).then(|| {
        InputError::new(message).of(Kind::NotAsked).hint("give them addresses of that family as `ansible_host`")
    })
}
