//! Packages of a host's distribution.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{Diff, Operation, Tell, View};
use crate::error::{Error, HostCause, Result};
use crate::host::{Ask, Remote, limit};
use crate::shell::join;

/// Packages that must be installed, in whatever version the distribution has.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Packages {
    /// Their names.
    pub names: Vec<String>,
}

impl Packages {
    fn missing(&self, at: &View) -> Vec<String> {
        at.me.look(|look| self.names.iter().filter(|name| !look.packages.contains_key(*name)).cloned().collect())
    }
}

#[async_trait]
impl Operation for Packages {
    fn subject(&self) -> String {
        format!("packages {}", self.names.join(" "))
    }

    async fn diff(&self, at: &View) -> Result<Diff> {
        let missing = self.missing(at);
        Ok(if missing.is_empty() { Diff::Same("installed".into()) } else { Diff::Create(missing) })
    }

    async fn apply(&self, _diff: &Diff, at: &View, host: &Remote, _tell: &Tell) -> Result<()> {
        let names = join(self.missing(at));
        // Debian's way and the Red Hat family's. A package's own service is not asked to start before its
        // configuration is there, and the lock is waited for: unattended upgrades hold it at times.
        let script = format!(
            "set -e\nexport DEBIAN_FRONTEND=noninteractive\n\
             if command -v apt-get >/dev/null; then\n\
             lock='-o DPkg::Lock::Timeout=300'\n\
             apt-get $lock -qq update\n\
             apt-get $lock -qq -y --no-install-recommends -o Dpkg::Options::=--force-confold install {names}\n\
             elif command -v dnf >/dev/null; then dnf -q -y install {names}\n\
             else echo 'neither apt-get nor dnf is here' >&2; exit 69; fi"
        );
        let output = host.act().run_within(&script, &[], limit::PACKAGES).await?;
        if output.code != 0 {
            let cause = HostCause::Exit { code: output.code, stderr: output.stderr };
            return Err(Error::host(host.name(), format!("install {names}"), cause)
                .with_hint("try `apt-get update` and the same installation on the host by hand"));
        }
        let fresh = host.look(&Ask { packages: self.names.clone(), ..Ask::default() }).await?;
        at.me.note_system(fresh);
        Ok(())
    }
}
