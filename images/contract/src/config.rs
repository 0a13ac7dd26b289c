//! What a config.json may say, read strictly: a key that is not known is an error, as upstream has it.

use std::path::Path;

use serde::Deserialize;
use serde::de::Error as _;

use crate::{Failure, Result};

/// A whole config.json.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// The service's command line, split at white space only.
    pub(crate) command: String,
    #[serde(default, rename = "config_files")]
    pub(crate) copies: Vec<ConfigFile>,
    #[serde(default)]
    pub(crate) directories: Vec<Owned>,
    #[serde(default)]
    pub(crate) files: Vec<Owned>,
    #[serde(default)]
    pub(crate) permissions: Vec<Permission>,
}

/// A file or folder to copy into the container.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConfigFile {
    /// Where it is, as a glob pattern.
    pub(crate) source: String,
    /// Where it goes: into a folder when this ends with `/`.
    pub(crate) dest: String,
    /// `user` or `user:group`, by name.
    #[serde(default)]
    pub(crate) owner: Option<String>,
    #[serde(default)]
    pub(crate) perm: Option<Perm>,
    /// A source that is missing is no error.
    #[serde(default)]
    pub(crate) optional: bool,
    /// Files of a folder that is there already stay.
    #[serde(default)]
    pub(crate) merge: bool,
    /// Owner and mode are those of the source, and links stay links.
    #[serde(default)]
    pub(crate) preserve_properties: bool,
}

/// A folder or an empty file that must be there.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Owned {
    pub(crate) path: String,
    pub(crate) owner: String,
    pub(crate) perm: Perm,
}

/// Owner and mode of what is there.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Permission {
    /// A glob pattern.
    pub(crate) path: String,
    pub(crate) owner: String,
    #[serde(default)]
    pub(crate) perm: Option<Perm>,
    #[serde(default)]
    pub(crate) recurse: bool,
    /// Regular expressions; a path that matches one is left alone.
    #[serde(default)]
    pub(crate) exclude: Vec<String>,
}

/// A file mode: `"0600"`, `"600"` or `"0o600"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Perm(pub(crate) u32);

impl Perm {
    /// For a folder: who may read may enter.
    pub(crate) fn folder(self) -> u32 {
        self.0 | ((self.0 & 0o444) >> 2)
    }
}

impl<'de> Deserialize<'de> for Perm {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match u32::from_str_radix(text.strip_prefix("0o").unwrap_or(&text), 8) {
            Ok(mode) if mode <= 0o7777 => Ok(Self(mode)),
            _ => Err(D::Error::custom(format!("`{text}` is not a file mode"))),
        }
    }
}

impl Config {
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text =
            std::fs::read(path).map_err(|error| Failure::of(format!("read {}", path.display()), error).code(2))?;
        let config: Self = serde_json::from_slice(&text).map_err(|error| Failure::of(path.display(), error).code(2))?;
        for file in &config.copies {
            if !file.preserve_properties && (file.owner.is_none() || file.perm.is_none()) {
                let message = format!("`{}` needs `owner` and `perm`, or `preserve_properties`", file.source);
                return Err(Failure::of(path.display(), message).code(2));
            }
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Config> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Config::read(file.path())
    }

    #[test]
    fn what_is_not_in_the_contract_is_refused() {
        for (text, says) in [
            (r#"{"command": "x", "comand": "y"}"#, "unknown field `comand`"),
            (r#"{"config_files": []}"#, "missing field `command`"),
            (
                r#"{"command": "x", "config_files": [{"source": "a", "dest": "b", "ignore_globs": []}]}"#,
                "unknown field `ignore_globs`",
            ),
            (r#"{"command": "x", "config_files": [{"source": "a", "dest": "b", "owner": "root"}]}"#, "needs `owner`"),
            (
                r#"{"command": "x", "files": [{"path": "/a", "owner": "root", "perm": "rw"}]}"#,
                "`rw` is not a file mode",
            ),
        ] {
            let failure = read(text).unwrap_err();
            assert!(failure.message.contains(says), "{}", failure.message);
            assert_eq!(failure.code, 2);
        }
    }

    #[test]
    fn a_mode_may_be_written_in_three_ways() {
        let modes: Vec<Perm> = serde_json::from_str(r#"["0600", "600", "0o2755"]"#).unwrap();
        assert_eq!(modes, [Perm(0o600), Perm(0o600), Perm(0o2755)]);
        assert_eq!(Perm(0o640).folder(), 0o750);
    }
}
