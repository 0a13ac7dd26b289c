//! Packages of a host's distribution.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::word::{Preparation, Word};
use super::{Diff, Op, Operation, ProgressSink, View};
use crate::error::{Error, HostCause, Result};
use crate::host::{LookRequest, Remote, limit};
use crate::shell::join;
use crate::source::Shape;

/// The preparation `packages`.
pub const HOST: Word<Preparation> = Word {
    key: ("packages", Shape::Some(&Shape::Text)),
    means: Preparation {
        serial: 0,
        look: |node, context, ask| ask.packages.extend(context.values.list(node)),
        resolve: |node, context| Some(Op::from(Packages { names: context.values.list(node) })),
    },
};

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

/// Debian's way and the Red Hat family's. A package's own service is not asked to start before its configuration is there,
/// and the lock is waited for: unattended upgrades hold it at times. What an installation left that was killed, or whose
/// host lost its power, is brought in order first. Nothing is written before the end: a run that is killed has closed the
/// other end, and dpkg would be ended by that in the middle of its work.
fn script(names: &str) -> String {
    format!(
        "export DEBIAN_FRONTEND=noninteractive\n\
         lock='-o DPkg::Lock::Timeout=300'\n\
         from_debian() {{ apt-get $lock -qq update &&\n\
         apt-get $lock -qq -y --no-install-recommends -o Dpkg::Options::=--force-confold install {names}\n}}\n\
         in_order() {{ [ -n \"$(dpkg --audit; ls -A \"${{DPKG_ADMINDIR:-/var/lib/dpkg}}/updates\")\" ] &&\n\
         dpkg --force-confold --configure -a &&\n\
         apt-get $lock -qq -y --no-install-recommends -o Dpkg::Options::=--force-confold --fix-broken install\n}}\n\
         install() {{\n\
         if command -v apt-get >/dev/null; then from_debian || {{ code=$?; in_order && from_debian || return $code; }}\n\
         elif command -v dnf >/dev/null; then dnf -q -y install {names}\n\
         else echo 'neither apt-get nor dnf is here' >&2; return 69; fi\n}}\n\
         said=$(install 2>&1 >/dev/null)\ncode=$?\nprintf %s \"$said\" >&2\nexit $code\n"
    )
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

    async fn apply(&self, _diff: &Diff, at: &View, host: &Remote, _sink: &ProgressSink) -> Result<()> {
        let names = join(self.missing(at));
        let script = script(&names);
        let output = host.act().run_within(&script, &[], limit::PACKAGES).await?;
        if output.code != 0 {
            let cause = HostCause::Exit { code: output.code, stderr: output.stderr };
            return Err(Error::host(host.name(), format!("install {names}"), cause)
                .with_hint("try `apt-get update` and the same installation on the host by hand"));
        }
        let fresh = host.look(&LookRequest { packages: self.names.clone(), ..LookRequest::default() }).await?;
        at.me.note_system(fresh);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::host::local::Local;

    /// Programs of a Debian host on which an installation was cut off, if `cut_off`; and what they were called with.
    async fn installed(cut_off: bool, broken: bool) -> (u32, String, Vec<String>) {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("updates")).unwrap();
        if cut_off {
            std::fs::write(at("updates/0001"), "").unwrap();
        }
        let apt = "echo \"apt-get $*\" >>$DPKG_ADMINDIR/log\n\
            [ -e $DPKG_ADMINDIR/updates/0001 ] && { echo 'E: dpkg was interrupted' >&2; exit 100; }\n\
            [ ! -e $DPKG_ADMINDIR/broken ] || { echo 'E: no such package' >&2; exit 100; }";
        let dpkg =
            "echo \"dpkg $*\" >>$DPKG_ADMINDIR/log\ncase $* in *configure*) rm $DPKG_ADMINDIR/updates/0001; esac";
        for (name, text) in [("apt-get", apt), ("dpkg", dpkg)] {
            std::fs::write(at(name), format!("#!/bin/sh\n{text}\n")).unwrap();
            std::fs::set_permissions(at(name), std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        if broken {
            std::fs::write(at("broken"), "").unwrap();
        }
        let path = format!("{}:/usr/bin:/bin", folder.path().display());
        let shell = Local::new(["/bin/sh", "-c", &script("jq")]).env("PATH", path);
        let output = shell.env("DPKG_ADMINDIR", folder.path().display().to_string()).output().await.unwrap();
        let log = std::fs::read_to_string(at("log")).unwrap();
        let words = log.lines().map(|line| {
            let words = line.split(' ').filter(|word| !word.contains("::") && !["-o", "-qq", "-y"].contains(word));
            words.collect::<Vec<_>>().join(" ")
        });
        (output.code, output.stderr, words.collect())
    }

    #[tokio::test]
    async fn what_an_installation_left_that_was_cut_off_is_brought_in_order_first() {
        let install = "apt-get --no-install-recommends install jq";
        assert_eq!(installed(false, false).await, (0, String::new(), vec!["apt-get update".into(), install.into()]));
        let (code, _, calls) = installed(true, false).await;
        let mended = [
            "apt-get update",
            "dpkg --audit",
            "dpkg --force-confold --configure -a",
            "apt-get --no-install-recommends --fix-broken install",
            "apt-get update",
            install,
        ];
        assert_eq!((code, &calls[..]), (0, &mended.map(str::to_owned)[..]));
    }

    #[tokio::test]
    async fn one_that_fails_for_another_reason_is_not_tried_again() {
        let (code, said, calls) = installed(false, true).await;
        assert_eq!((code, said.as_str()), (100, "E: no such package"));
        assert_eq!(calls, ["apt-get update", "dpkg --audit"]);
    }
}
