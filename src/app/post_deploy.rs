//! How the administrator gets in: files in the configuration folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::files::{is_private, write_private};
use super::{App, Loaded};
use crate::cloud::access::{Access, SERVICE};
use crate::error::Result;
use crate::run::Tally;
use crate::run::event::{Outcome, Sink, Summary};
use crate::template::Scope;

/// How the administrator gets in.
///
/// # Errors
/// Input errors.
pub fn access(app: &App, loaded: &Loaded) -> Result<Access> {
    let host = loaded.near(app)?.into_iter().next().unwrap_or_default();
    Access::of(loaded.scopes_of(app, &host, &BTreeMap::new()).host(&host))
}

/// Writes the administrator's files, those that differ.
///
/// # Errors
/// A file that cannot be written.
pub fn write(app: &App, access: &Access, check: bool, sink: &dyn Sink) -> Result<Summary> {
    let (files, host) = (access.files(), &app.control.name);
    let mut tally = Tally::begin(sink, "post-deploy", check, host, vec![SERVICE.into()], files.len());
    for (name, content) in files {
        let (act, path) = (tally.act(SERVICE, &format!("file {name}")), app.options.config_dir.join(name));
        let outcome = match std::fs::read(&path) {
            Ok(there) if there == content.as_bytes() && is_private(&path) => Outcome::Same,
            Ok(_) => Outcome::Updated,
            Err(_) => Outcome::Created,
        };
        if outcome.changed() && !check {
            write_private(&path, content.as_bytes())?;
        }
        tally.finished(act, outcome, "");
    }
    Ok(tally.end(0))
}

/// Which of the administrator's files is there and not what would be written now, as after a new password.
pub(super) fn stale(app: &App, scope: &Scope) -> Option<String> {
    let stale = outdated(&app.options.config_dir, &Access::of(scope).ok()?.files())?;
    Some(format!("{} is not what it should be now: run `kolla post-deploy`", stale.display()))
}

/// The first file that is there with another content.
fn outdated(folder: &Path, files: &[(&str, String)]) -> Option<PathBuf> {
    let files = files.iter().map(|(name, content)| (folder.join(name), content));
    let differs = |path: &Path, content: &str| std::fs::read(path).is_ok_and(|there| there != content.as_bytes());
    files.into_iter().find(|(path, content)| differs(path, content)).map(|(path, _)| path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::Options;
    use crate::run::event::Quiet;

    const GLOBALS: &str = "enable_keystone: true\nkeystone_internal_url: http://10.0.0.250:5000\n\
        keystone_public_url: http://192.0.2.250:5000\nkeystone_admin_user: admin\nkeystone_admin_project: admin\n\
        openstack_region_name: RegionOne\nkolla_internal_vip_address: 10.0.0.250\n";

    /// A site of one host.
    fn site(globals: &str) -> (tempfile::TempDir, App) {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("inventory", "[control]\nlocalhost ansible_connection=local\n"),
            ("globals.yml", globals),
            ("passwords.yml", "keystone_admin_password: it's secret\n"),
        ] {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        let mut app = App { options: Options::of(dir.path()), ..App::default() };
        app.control.state = dir.path().join("state");
        (dir, app)
    }

    #[tokio::test]
    async fn the_administrators_files_are_written_when_they_differ() {
        let (dir, app) = site(GLOBALS);
        let access = access(&app, &Loaded::read(&app).await.unwrap()).unwrap();
        let write = |check| write(&app, &access, check, &Quiet).unwrap();
        let script = dir.path().join("admin-openrc.sh");
        assert_eq!(write(true), Summary { changed: 5, ..Summary::default() });
        assert!(!script.exists());
        assert_eq!(write(false), Summary { changed: 5, ..Summary::default() });
        assert!(is_private(&script));
        assert!(std::fs::read_to_string(&script).unwrap().contains(r"export OS_PASSWORD='it'\''s secret'"));
        assert_eq!(write(false), Summary { same: 5, ..Summary::default() });
        std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
        assert_eq!(write(false), Summary { changed: 1, same: 4, ..Summary::default() });
        assert!(is_private(&script));
    }

    #[tokio::test]
    async fn files_with_an_old_password_are_told() {
        let (dir, app) = site(GLOBALS);
        let told = async || {
            let loaded = Loaded::read(&app).await.unwrap();
            let scopes = loaded.unasked(false);
            stale(&app, scopes.host("localhost"))
        };
        assert_eq!(told().await, None, "there are none yet");
        let loaded = Loaded::read(&app).await.unwrap();
        write(&app, &access(&app, &loaded).unwrap(), false, &Quiet).unwrap();
        assert_eq!(told().await, None);
        std::fs::write(dir.path().join("passwords.yml"), "keystone_admin_password: another\n").unwrap();
        let script = dir.path().join("admin-openrc.sh");
        let expected = format!("{} is not what it should be now: run `kolla post-deploy`", script.display());
        assert_eq!(told().await, Some(expected));
    }

    #[tokio::test]
    async fn a_site_without_keystone_is_told_so() {
        let (_dir, app) = site("kolla_internal_vip_address: 10.0.0.250\nenable_keystone: false\n");
        let error = access(&app, &Loaded::read(&app).await.unwrap()).unwrap_err();
        insta::assert_snapshot!(crate::report::text::error(&error, false), @r"
        error: keystone is not enabled
        hint: set `enable_keystone: true` and run `kolla deploy`
        ");
    }
}
