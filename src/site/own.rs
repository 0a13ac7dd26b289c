//! Where the operator's own files of services are: `node_custom_config`.

use std::path::{Path, PathBuf};

use indexmap::IndexMap;

use super::Site;
use crate::error::{InputError, Kind, Place};
use crate::template::{Scope, Scopes};

const NAME: &str = "node_custom_config";

impl Site {
    /// The folder of the operator's own files of services; `config/` beside globals.yml where nothing else is said.
    ///
    /// # Errors
    /// When hosts have different ones, or it is none.
    pub fn overrides(&self) -> Result<PathBuf, InputError> {
        let usual = self.config_dir.join("config");
        let scopes = self.scopes(IndexMap::new());
        let mut found: Option<PathBuf> = None;
        for host in self.hosts.keys() {
            let fail = |message: String, hint: &str| {
                let error = InputError::new(format!("`{NAME}`: {message}")).of(Kind::UnreadableFile).hint(hint);
                Err(InputError { place: self.set_at(&scopes, host), ..error })
            };
            let Some(folder) = self.folder(scopes.host(host), &usual)? else {
                return fail("expected the path of a folder".into(), "write it as text");
            };
            if found.as_ref().is_some_and(|other| *other != folder) {
                let hint = "one folder is read for all hosts";
                return fail(format!("{host} has another folder than the hosts before it"), hint);
            }
            if folder != absolute(&usual) && !folder.is_dir() {
                let hint = "make the folder, or name another one: a path beside globals.yml, or a whole one";
                return fail(format!("there is no folder {}", folder.display()), hint);
            }
            found = Some(folder);
        }
        Ok(found.filter(|folder| *folder != absolute(&usual)).unwrap_or(usual))
    }

    /// A host's folder; nothing where the value is no text.
    fn folder(&self, scope: &Scope, usual: &Path) -> Result<Option<PathBuf>, InputError> {
        if !scope.has(NAME) {
            return Ok(Some(absolute(usual)));
        }
        let value = scope.get(NAME)?;
        Ok(match value.as_str() {
            Some("") => Some(absolute(usual)),
            Some(text) => Some(absolute(&self.config_dir.join(text))),
            None => value.is_none().then(|| absolute(usual)),
        })
    }

    /// Where an operator set it, for this host if for one at all, or what it is made of.
    fn set_at(&self, scopes: &Scopes, host: &String) -> Option<Place> {
        let scopes = [host].into_iter().chain(self.hosts.keys()).map(|host| scopes.host(host));
        let mut origins = scopes.flat_map(|scope| [scope.explain(NAME), scope.explain("node_config")].concat());
        origins.find(|origin| !origin.layer.starts_with("role ")).map(|origin| origin.place)
    }
}

/// The same path from wherever it is used.
pub(super) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
