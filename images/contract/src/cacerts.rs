//! `kolla_copy_cacerts`: the operator's certificate authorities become trusted in this container.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Failure, Result};

const SOURCE: &str = "/var/lib/kolla/config_files/ca-certificates";
const TRUSTED: &str = "/usr/local/share/ca-certificates";
const PREFIX: &str = "kolla-customca-";

/// Whether there is anything to add, or something of an earlier start to take away.
pub(crate) fn needed() -> bool {
    Path::new(SOURCE).is_dir() || !ours(Path::new(TRUSTED)).is_empty()
}

pub(crate) fn run() -> Result<u8> {
    if !replace(Path::new(SOURCE), Path::new(TRUSTED))? {
        return Ok(0);
    }
    let output = Command::new("update-ca-certificates")
        .output()
        .map_err(|error| Failure::of("run `update-ca-certificates`", error))?;
    if output.status.success() {
        return Ok(0);
    }
    Err(Failure::of("run `update-ca-certificates`", String::from_utf8_lossy(&output.stderr).trim()))
}

/// Makes our certificates in `trusted` those of `source`; tells whether there was anything to do.
fn replace(source: &Path, trusted: &Path) -> Result<bool> {
    let mut changed = false;
    for old in ours(trusted) {
        fs::remove_file(&old).map_err(|error| Failure::of(format!("remove {}", old.display()), error))?;
        changed = true;
    }
    for file in files(source) {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // Debian takes files that end in .crt only.
        let name = name.strip_suffix(".crt").unwrap_or(&name);
        let to = trusted.join(format!("{PREFIX}{name}.crt"));
        fs::copy(&file, &to).map_err(|error| Failure::of(format!("copy {}", file.display()), error))?;
        changed = true;
    }
    Ok(changed)
}

fn ours(trusted: &Path) -> Vec<PathBuf> {
    let is_ours = |file: &PathBuf| file.file_name().is_some_and(|name| name.to_string_lossy().starts_with(PREFIX));
    files(trusted).into_iter().filter(is_ours).collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_file()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_that_is_gone_is_no_longer_trusted() {
        let (source, trusted) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(trusted.path().join("other.crt"), "theirs").unwrap();
        fs::write(source.path().join("root.crt"), "ours").unwrap();
        assert!(replace(source.path(), trusted.path()).unwrap());
        assert_eq!(fs::read_to_string(trusted.path().join("kolla-customca-root.crt")).unwrap(), "ours");
        fs::remove_file(source.path().join("root.crt")).unwrap();
        assert!(replace(source.path(), trusted.path()).unwrap());
        assert!(ours(trusted.path()).is_empty());
        assert!(trusted.path().join("other.crt").exists());
        assert!(!replace(source.path(), trusted.path()).unwrap());
    }
}
