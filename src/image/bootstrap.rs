//! Bare Debian, from this machine's mirror: what the first of our own images is built on.

use sha2::{Digest, Sha256};

use super::definition::DEBIAN;
use super::engine::Engine;
use super::{Event, INPUTS, Say};
use crate::error::{Error, Result};
use crate::host::apt::{self, Apt, SUITE, archive};

/// The engine's name for it; it is not pushed anywhere.
const REPOSITORY: &str = "kolla-debian";

/// Options of mmdebstrap that decide the content. Documentation is most of what an installation writes.
fn recipe() -> Vec<String> {
    let excluded = ["/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/info/*"];
    let mut words = vec!["--variant=minbase".to_owned(), "--include=ca-certificates".into()];
    words.extend(excluded.map(|path| format!("--dpkgopt=path-exclude={path}")));
    words.push("--dpkgopt=path-include=/usr/share/doc/*/copyright".into());
    words.push("--dpkgopt=force-unsafe-io".into());
    words
}

/// The digest of what it is made by. Where the mirror is does not count, nor what day it is.
pub(super) fn inputs() -> String {
    hex::encode(Sha256::digest(format!("{SUITE}\0{}", recipe().join("\0"))))
}

/// Its reference, once it is there.
pub(super) async fn debian(engine: &Engine, apt: &Apt, inputs: &str, again: bool, say: Say<'_>) -> Result<String> {
    let reference = format!("{REPOSITORY}:{SUITE}-{}", &inputs[..12]);
    if !again && engine.image(&reference).await?.is_some() {
        return Ok(reference);
    }
    if apt.needs_login() {
        let cause = format!("`{}` wants a login, which must not end up in images", apt.archive);
        return Err(Error::local("build images", cause).with_hint("name another mirror by `--mirror`"));
    }
    let missing = apt::missing_tools().await;
    if !missing.is_empty() {
        say(Event::Installs(missing.clone()));
        apt::install(&missing).await?;
    }
    say(Event::Starts { image: DEBIAN.into() });
    let folder = tempfile::tempdir().map_err(|error| Error::local("make a temporary folder", error))?;
    // The images install packages the same way, so how the mirror is reached stays in them.
    let mut tree = apt.public_access();
    tree.push(apt.sources());
    let mut words = recipe();
    if apt.has_authorities() {
        words.push("--customize-hook=chroot \"$1\" update-ca-certificates".into());
    }
    let root = apt.bootstrap(words, &archive(&tree)?, folder.path()).await?;
    engine.import(&root, &reference, vec![format!("LABEL {INPUTS}={inputs}")]).await?;
    Ok(reference)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_the_same_on_every_machine() {
        assert_eq!(inputs(), inputs());
        assert_eq!(inputs().len(), 64);
    }
}
