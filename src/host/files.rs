//! Files to a host in one stream: a tar archive of temporary files, and the script that checks them and puts each
//! in its place by a rename.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use super::PutFile;
use crate::shell;

/// The script and its input. `token` keeps the temporary names of two runs apart.
///
/// # Errors
/// When the archive cannot be made: a path that is not absolute, or is a folder's.
pub(super) fn batch(files: &[PutFile], token: &str) -> Result<(String, Vec<u8>), String> {
    let mut archive = tar::Builder::new(Vec::new());
    let (mut folders, mut owners, mut modes) = (BTreeSet::new(), BTreeMap::new(), BTreeMap::new());
    let (mut sums, mut renames, mut temporary) = (String::new(), String::new(), Vec::new());
    for (index, file) in files.iter().enumerate() {
        let parts = file.path.rsplit_once('/').filter(|(_, name)| !name.is_empty() && file.path.starts_with('/'));
        let Some((folder, _)) = parts else { return Err(format!("`{}` is no path of a file", file.path)) };
        if file.path.contains('\n') {
            return Err(format!("`{}` has a newline", file.path));
        }
        // Absolute names are no member names; tar is told to start from the root.
        let name = format!("{folder}/.kolla-{token}-{index}");
        let mut header = tar::Header::new_gnu();
        header.set_size(u64::try_from(file.content.len()).unwrap_or(u64::MAX));
        header.set_mode(0o600);
        header.set_entry_type(tar::EntryType::Regular);
        archive
            .append_data(&mut header, name.trim_start_matches('/'), &*file.content)
            .map_err(|error| format!("`{}`: {error}", file.path))?;
        let quoted = shell::quote(&name);
        let owner = if file.owner.is_empty() { "0:0" } else { &file.owner };
        folders.insert(shell::quote(if folder.is_empty() { "/" } else { folder }));
        owners.entry(owner.to_owned()).or_insert_with(Vec::new).push(quoted.clone());
        modes.entry(file.mode & 0o7777).or_insert_with(Vec::new).push(quoted.clone());
        // sha256sum's own way of writing a name with a backslash.
        let (mark, escaped) = if name.contains('\\') { ("\\", name.replace('\\', "\\\\")) } else { ("", name.clone()) };
        let _ = writeln!(sums, "{mark}{}  {escaped}", hex::encode(Sha256::digest(&*file.content)));
        let _ = writeln!(renames, "mv -fT -- {quoted} {}", shell::quote(&file.path));
        temporary.push(quoted);
    }
    let archive = archive.into_inner().map_err(|error| error.to_string())?;
    let folders = folders.into_iter().collect::<Vec<_>>().join(" ");
    let mut script = format!(
        "set -e\nLC_ALL=C PATH=$PATH:/usr/bin:/bin\nexport LC_ALL PATH\numask 022\n\
         trap 'rm -f -- {}' EXIT\ntrap 'exit 143' TERM\nmkdir -p -- {folders}\ntar -C / --no-same-owner -xf -\n",
        temporary.join(" ").replace('\'', r"'\''"),
    );
    let _ = write!(script, "sha256sum --quiet --strict -c - <<'KOLLA-SUMS'\n{sums}KOLLA-SUMS\n");
    for (owner, names) in owners {
        let _ = writeln!(script, "chown -- {} {}", shell::quote(&owner), names.join(" "));
    }
    for (mode, names) in modes {
        let _ = writeln!(script, "chmod -- {mode:04o} {}", names.join(" "));
    }
    script.push_str(&renames);
    Ok((script, archive))
}

/// The script that writes a file anew that is there; the content is its input. A copy of the file with all its attributes
/// gets the content and is renamed into place. A file that is a mount cannot be renamed over: it is written in place, once
/// the copy has shown that there is room.
pub(super) fn rewriting(path: &str, content: &[u8]) -> String {
    format!(
        "set -e\nLC_ALL=C PATH=$PATH:/usr/bin:/bin\nexport LC_ALL PATH\n\
         file=$(readlink -e -- {})\ncopy=$file.kolla-$$\ntrap 'rm -f -- \"$copy\"' EXIT\ntrap 'exit 143' TERM\n\
         cp -a --attributes-only -- \"$file\" \"$copy\"\ncat >\"$copy\"\n\
         [ \"$(sha256sum <\"$copy\")\" = '{}  -' ]\n\
         mv -fT -- \"$copy\" \"$file\" 2>/dev/null || cat -- \"$copy\" >\"$file\"\n",
        shell::quote(path),
        hex::encode(Sha256::digest(content)),
    )
}
