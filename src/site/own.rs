//! Where the operator's own files of services are: `node_custom_config`.

use std::path::{Path, PathBuf};

use super::Site;
use crate::error::{InputError, Kind, Place};
use crate::template::{Scope, Scopes};

const NAME: &str = "node_custom_config";

impl Site {
    /// The folder of the operator's own files of services; `config/` beside globals.yml where nothing else is said. One that
    /// is not there deserves a word.
    ///
    /// # Errors
    /// When hosts have different ones, or it is none.
    pub(super) fn own_folder(&self, scopes: &Scopes) -> Result<(PathBuf, Option<InputError>), InputError> {
        let usual = self.config_dir.join("config");
        let mut found: Option<(PathBuf, &String)> = None;
        for host in self.hosts.keys() {
            let fail = |message: &str, hint: &str| Err(self.fault(scopes, host, message).hint(hint));
            let Some(folder) = self.folder(scopes.host(host), &usual)? else {
                return fail("expected the path of a folder", "write it as text");
            };
            match &found {
                Some((other, _)) if *other != folder => {
                    let hint = "one folder is read for all hosts";
                    return fail(&format!("{host} has another folder than the hosts before it"), hint);
                }
                Some(_) => {}
                None => found = Some((folder, host)),
            }
        }
        let Some((folder, host)) = found.filter(|(folder, _)| *folder != absolute(&usual)) else {
            return Ok((usual, None));
        };
        let missing = (!folder.is_dir()).then(|| {
            self.fault(scopes, host, &format!("there is no folder {}: no file is taken from it", folder.display()))
        });
        Ok((folder, missing))
    }

    fn fault(&self, scopes: &Scopes, host: &String, message: &str) -> InputError {
        let error = InputError::new(format!("`{NAME}`: {message}")).of(Kind::UnreadableFile);
        InputError { place: self.set_at(scopes, host), ..error }
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
