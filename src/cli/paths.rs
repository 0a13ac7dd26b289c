//! Where the files of a site are that no option names.

use std::path::{Path, PathBuf};

use super::environment::Environment;

/// The folder of the site's files.
pub(super) fn configdir(given: Option<&Path>, environment: &Environment) -> PathBuf {
    let given = given.or(environment.config_path.as_deref());
    given.unwrap_or(Path::new("/etc/kolla")).to_owned()
}

/// The inventories: ours, else upstream's.
pub(super) fn inventories(given: &[PathBuf], configdir: &Path) -> Vec<PathBuf> {
    if !given.is_empty() {
        return given.to_owned();
    }
    let own = configdir.join("inventory");
    let upstream = configdir.join("ansible/inventory/all-in-one");
    vec![if own.exists() || !upstream.exists() { own } else { upstream }]
}

/// Folders of roles over the built-in ones, later ones over earlier ones; of those that are given the first one is first
/// asked.
pub(super) fn role_folders(given: &[PathBuf], configdir: &Path) -> Vec<PathBuf> {
    // The site's own is an error only where it was named.
    let own = Some(configdir.join("roles")).filter(|folder| folder.is_dir());
    own.into_iter().chain(given.iter().rev().cloned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_inventory_is_ours_else_upstreams() {
        let dir = tempfile::tempdir().unwrap();
        let environment = Environment { config_path: Some(dir.path().into()), ..Environment::default() };
        let folder = configdir(None, &environment);
        assert_eq!(inventories(&[], &folder), [dir.path().join("inventory")]);
        std::fs::create_dir_all(dir.path().join("ansible/inventory")).unwrap();
        std::fs::write(dir.path().join("ansible/inventory/all-in-one"), "").unwrap();
        assert_eq!(inventories(&[], &folder), [dir.path().join("ansible/inventory/all-in-one")]);
        std::fs::write(dir.path().join("inventory"), "").unwrap();
        assert_eq!(inventories(&[], &folder), [dir.path().join("inventory")]);
        assert_eq!(inventories(&["mine".into()], &folder), [PathBuf::from("mine")]);
        assert_eq!(configdir(Some(Path::new("/elsewhere")), &environment), PathBuf::from("/elsewhere"));
    }

    #[test]
    fn a_role_that_is_named_lies_over_the_sites_own() {
        let dir = tempfile::tempdir().unwrap();
        let given = ["first".into(), "second".into()];
        assert_eq!(role_folders(&given, dir.path()), ["second", "first"].map(PathBuf::from));
        let own = dir.path().join("roles");
        std::fs::create_dir(&own).unwrap();
        assert_eq!(role_folders(&given, dir.path()), [own, "second".into(), "first".into()]);
    }
}
