//! What was last seen of each host, kept for runs in which one does not answer: others need its addresses.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::files::write_private;
use super::{App, Loaded};
use crate::host::{Facts, Look};
use crate::op::file::digest_of;
use crate::op::number;
use crate::template::Scopes;

/// The facts kept of a site's hosts, in one file of this machine.
pub(super) struct KeptFacts(PathBuf);

impl KeptFacts {
    /// Those of the site whose configuration folder this is.
    pub(super) fn of(app: &App) -> Self {
        let folder = &app.options.config_dir;
        let folder = folder.canonicalize().unwrap_or_else(|_| folder.clone());
        let name: String = digest_of(folder.display().to_string().as_bytes()).chars().take(12).collect();
        Self(app.control.state.join(format!("facts/{name}.json")))
    }

    /// What was kept. A file that is damaged is worth no more than none.
    pub(super) fn read(&self) -> BTreeMap<String, Facts> {
        std::fs::read(&self.0).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
    }

    /// What is known now: of hosts that answered what they said, which is kept; of others what was kept of them.
    pub(super) fn with(&self, looks: &BTreeMap<String, Look>) -> BTreeMap<String, Facts> {
        let mut facts = self.read();
        let seen = |look: &Look| Facts { numbers: number::kept(look), ..look.facts.clone() };
        facts.extend(looks.iter().map(|(host, look)| (host.clone(), seen(look))));
        let text = serde_json::to_vec(&facts).unwrap_or_default();
        // A full disk here must not keep anybody from repairing a cloud.
        if let Err(error) = write_private(&self.0, &text) {
            tracing::warn!("the facts of the hosts are not kept: {error}");
        }
        facts
    }
}

impl Loaded {
    /// Variables as a host has them, with what is known of it.
    pub(super) fn scopes_of(&self, app: &App, host: &str, looks: &BTreeMap<String, Look>) -> Scopes {
        let facts = KeptFacts::of(app).with(looks);
        if facts.contains_key(host) { self.scopes(&facts) } else { self.unasked(false) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_does_not_answer_is_as_it_was_last_seen() {
        let dir = tempfile::tempdir().unwrap();
        let kept = KeptFacts(dir.path().join("facts.json"));
        let look = |hostname: &str| {
            let facts = Facts { hostname: hostname.into(), ..Facts::default() };
            Look { facts, ..Look::default() }
        };
        let both = BTreeMap::from([("a".to_owned(), look("one")), ("b".to_owned(), look("two"))]);
        kept.with(&both);
        let found = kept.with(&BTreeMap::from([("a".to_owned(), look("renamed"))]));
        assert_eq!((found["a"].hostname.as_str(), found["b"].hostname.as_str()), ("renamed", "two"));
    }
}
