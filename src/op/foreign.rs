//! What has a name of ours and is not of this site: of another deployment, or of somebody's own.

use super::View;
use super::names::{self, SITE_LABEL};
use crate::host::ContainerState;

/// There is such a container on the operation's host, and it is not of this site.
pub(super) fn is_foreign(container: &str, at: &View) -> bool {
    let not_ours = |state: &ContainerState| state.labels.get(SITE_LABEL) != Some(&at.shared.site);
    at.me.look(|look| look.containers.get(container).is_some_and(not_ours))
}

/// Containers that are not of this site and would be replaced or removed by what a container of this name goes through.
pub(super) fn containers(name: &str, at: &View) -> Vec<String> {
    names::all(name).filter(|name| is_foreign(name, at)).map(|name| format!("container {name}")).collect()
}
