//! Commands about the cloud itself: how to get in, and what to try it with.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use indexmap::IndexSet;
use russh::keys::ssh_key::PrivateKey;

use super::facts::KeptFacts;
use super::load::{Loaded, connect_options, lease_note};
use super::phase::write_private;
use crate::cli::init_runonce::InitRunonce;
use crate::cli::reporting::Reporting;
use crate::cli::{Invocation, phases};
use crate::cloud::access::Access;
use crate::cloud::demo::{Image, Key};
use crate::cloud::{Cloud, Demo, Server};
use crate::error::{Error, Kind, Result};
use crate::host::{Ask, Look, Machine};
use crate::op::api::{self, Identity};
use crate::run::connect::connect_with_lease;
use crate::run::event::{Outcome, Summary};
use crate::run::{LeaseWish, SiteLease, Tally};
use crate::shell::Secret;
use crate::site::key_pair;
use crate::template::Scope;

/// Hosts that are tried, where no group says who reaches the cloud.
const TRIED: usize = 3;

/// Writes the administrator's files into the configuration folder, those that differ.
///
/// # Errors
/// Input errors; a file that cannot be written.
pub async fn post_deploy(at: &Invocation) -> Result<Summary> {
    let loaded = Loaded::read(at).await?;
    let near = near(at, &loaded)?;
    let host = near.first().map(String::as_str).unwrap_or_default();
    let access = with_scope(at, &loaded, host, &BTreeMap::new(), access)?;
    let folder = at.global.configdir(&at.environment);
    reported(at, &loaded, async |reporting| {
        let (files, check, role) = (access.files(), at.global.check, "keystone");
        let host = &at.environment.machine;
        let mut tally = Tally::begin(&*reporting.sink, "post-deploy", check, host, vec![role.into()], files.len());
        for (name, content) in files {
            let (act, path) = (tally.act(role, &format!("file {name}")), folder.join(name));
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
    })
    .await
}

/// Which of the administrator's files is there and not what `post-deploy` would write now, as after a new password.
pub(super) fn stale(at: &Invocation, scope: &Scope) -> Option<String> {
    let stale = outdated(&at.global.configdir(&at.environment), &access(scope).ok()?.files())?;
    Some(format!("{} is not what it should be now: run `kolla post-deploy`", stale.display()))
}

/// The first file that is there with another content.
fn outdated(folder: &Path, files: &[(&str, String)]) -> Option<PathBuf> {
    let files = files.iter().map(|(name, content)| (folder.join(name), content));
    let differs = |path: &Path, content: &str| std::fs::read(path).is_ok_and(|there| there != content.as_bytes());
    files.into_iter().find(|(path, content)| differs(path, content)).map(|(path, _)| path)
}

/// Its owner alone may read it.
fn is_private(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|about| about.permissions().mode() & 0o777 == 0o600)
}

/// Makes what a first server needs, and starts one if that is wanted.
///
/// # Errors
/// Input errors, a host or an API that does not answer, and the first object that the cloud refuses.
pub async fn init_runonce(at: &Invocation, request: &InitRunonce) -> Result<(Summary, Option<Server>)> {
    let loaded = Loaded::read(at).await?;
    let host = near(at, &loaded)?.into_iter().next().unwrap_or_default();
    let all =
        |scope: &Scope| ["keystone", "glance", "neutron", "nova"].iter().try_for_each(|role| enabled(scope, role));
    with_scope(at, &loaded, &host, &BTreeMap::new(), all)?;
    let image = Image::of(&image_file(at, request.image.as_deref())?)?;
    let (external, internal) = request.networks();
    let demo = Demo { image, external, internal, server: request.server };
    let mut server = None;
    let summary = reported(at, &loaded, async |reporting| {
        let Reached { machine, looks, lease } = reach(at, &loaded, reporting, !at.global.check).await?;
        let identity = with_scope(at, &loaded, machine.name(), &looks, identity)?;
        let stop = at.stop.child_token();
        let making = async {
            let cloud = Cloud::log_in(&identity, machine, at.global.check).await?;
            demo.make(&cloud, || key(at), &stop, &*reporting.sink).await
        };
        let (summary, started) = lease.during(making, &stop, &*reporting.sink).await??;
        server = started;
        Ok(summary)
    })
    .await?;
    if !at.global.json() && !at.global.check && !request.server {
        let folder = at.global.configdir(&at.environment);
        at.screen.out(&format!("start a server:\n  . {}/admin-openrc.sh\n  {}", folder.display(), demo.command()));
    }
    Ok((summary, server))
}

/// Runs what is reported as a run is.
async fn reported(
    at: &Invocation,
    loaded: &Loaded,
    work: impl AsyncFnOnce(&Reporting) -> Result<Summary>,
) -> Result<Summary> {
    let reporting = Reporting::begin(at, &loaded.site.mask);
    let result = work(&reporting).await;
    let changes_matter = at.global.check && at.global.exit_code;
    let exit = result.as_ref().map(|summary| phases::exit(*summary, changes_matter, at.stop.is_cancelled()));
    reporting.end(at, exit);
    result
}

/// Hosts that reach the cloud's internal address: those that hold it, else any.
fn near(at: &Invocation, loaded: &Loaded) -> Result<Vec<String>> {
    let limit = loaded.limit(at)?;
    let holders = loaded.site.group("loadbalancer");
    let near: Vec<String> = limit.iter().filter(|host| holders.contains(&host.as_str())).cloned().collect();
    Ok(if near.is_empty() { limit.into_iter().take(TRIED).collect() } else { near })
}

struct Reached {
    machine: Arc<dyn Machine>,
    looks: BTreeMap<String, Look>,
    /// Of no host, where nothing is to be written.
    lease: SiteLease,
}

/// The first of them that answers. What writes to the cloud takes the site's lease: another run may be replacing what it
/// speaks to, or be making the same.
async fn reach(at: &Invocation, loaded: &Loaded, reporting: &Reporting, writes: bool) -> Result<Reached> {
    let near = near(at, loaded)?;
    let hosts = if writes { loaded.granting() } else { Vec::new() };
    let names: IndexSet<String> = near.iter().chain(&hosts).cloned().collect();
    let names: Vec<String> = names.into_iter().collect();
    let wish = LeaseWish { hosts, note: lease_note(at), without_majority: at.global.without_majority };
    let options = connect_options(at, reporting.record.as_ref());
    let ask = |_: &str| Ask::default();
    let (mut connected, lease) = tokio::select! {
        connected = connect_with_lease(&loaded.site, &names, &options, ask, &wish, &*reporting.sink) => connected,
        () = at.stop.cancelled() => return Err(Error::Interrupted),
    };
    let lease = lease?;
    let first = near.iter().find_map(|name| connected.machines.get(name).cloned());
    let error = near.iter().find_map(|name| connected.failed.swap_remove(name));
    match first {
        Some(machine) => Ok(Reached { machine, looks: connected.looks, lease }),
        None => Err(error.unwrap_or_else(|| Error::input("the inventory has no host").of(Kind::Inventory))),
    }
}

/// Reads variables as a host has them, with what is known of it.
fn with_scope<T>(
    at: &Invocation,
    loaded: &Loaded,
    host: &str,
    looks: &BTreeMap<String, Look>,
    read: impl FnOnce(&Scope) -> Result<T>,
) -> Result<T> {
    let facts = KeptFacts::of(at).with(looks);
    let scopes = if facts.contains_key(host) { loaded.scopes(&facts) } else { loaded.unasked(false) };
    read(scopes.host(host))
}

/// Refuses where a role is not there, or is left out.
fn enabled(scope: &Scope, role: &str) -> Result<()> {
    let name = format!("enable_{role}");
    let text = format!("{{{{ {name} | default(false) | bool }}}}");
    if scope.render(Path::new("globals.yml"), &text)?.eq_ignore_ascii_case("true") {
        return Ok(());
    }
    Err(Error::input(format!("{role} is not enabled")).with_hint(format!("set `{name}: true` and run `kolla deploy`")))
}

/// How the administrator gets in, by the site's variables.
fn access(scope: &Scope) -> Result<Access> {
    enabled(scope, "keystone")?;
    let text = |name: &str| -> Result<String> {
        let value = scope.get(name)?;
        if value.is_none() || value.as_str() == Some("") {
            let hint = if name.ends_with("_password") { "`kolla genpwd` fills it" } else { "set it in globals.yml" };
            return Err(Error::input(format!("`{name}` is empty")).with_hint(hint));
        }
        Ok(value.to_string())
    };
    let ca_file = "kolla_admin_openrc_cacert";
    Ok(Access {
        internal_url: text("keystone_internal_url")?,
        public_url: text("keystone_public_url")?,
        user: text("keystone_admin_user")?,
        project: text("keystone_admin_project")?,
        password: Secret::new(text("keystone_admin_password")?),
        region: text("openstack_region_name")?,
        ca_file: if scope.has(ca_file) { text(ca_file).unwrap_or_default() } else { String::new() },
    })
}

/// As whom the APIs are asked, by the site's variables.
pub(super) fn identity(scope: &Scope) -> Result<Identity> {
    let Access { internal_url, user, project, password, region, .. } = access(scope)?;
    let (address, port, _) = api::place(&internal_url)?;
    Ok(Identity { address, port, user, project, region, password })
}

/// The image's file: the one that was named, else one of the configuration folder, else the one we make ourselves.
fn image_file(at: &Invocation, named: Option<&Path>) -> Result<PathBuf> {
    if let Some(file) = named {
        return Ok(file.to_owned());
    }
    let folder = at.global.configdir(&at.environment);
    let mut found: Vec<PathBuf> = std::fs::read_dir(&folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name == "guest.qcow2" || (name.starts_with("cirros") && name.ends_with(".img"))
        })
        .collect();
    // The newest CirrOS before our own.
    found.sort_by_key(|path| (path.ends_with("guest.qcow2"), std::cmp::Reverse(path.clone())));
    found.into_iter().next().map_or_else(|| guest_image(at), Ok)
}

/// The image that is built here.
fn guest_image(at: &Invocation) -> Result<PathBuf> {
    let file = at.environment.state_home.join("kolla/guest.qcow2");
    if file.exists() {
        return Ok(file);
    }
    Err(Error::input("there is no image for servers").with_hint("run `kolla build guest`, or name one with `--image`"))
}

/// The public key that servers are to let in: the user's own, else one of the configuration folder, made where there
/// is none. A dry run makes none.
fn key(at: &Invocation) -> Result<Key> {
    let folder = at.environment.home.join(".ssh");
    for name in ["id_ed25519.pub", "id_ecdsa.pub", "id_rsa.pub"] {
        let file = folder.join(name);
        if let Ok(text) = std::fs::read_to_string(&file) {
            return Ok(key_of(&text, &file));
        }
    }
    let file = at.global.configdir(&at.environment).join(crate::cloud::demo::KEY);
    let failed = |error: &dyn std::fmt::Display| Error::local(format!("read the key {}", file.display()), error);
    let public = match std::fs::read_to_string(&file) {
        Ok(text) => {
            let key = PrivateKey::from_openssh(text).map_err(|error| failed(&error))?;
            key.public_key().to_openssh().map_err(|error| failed(&error))?
        }
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(&error)),
        Err(_) => {
            let (private, public) = key_pair()?;
            if !at.global.check {
                write_private(&file, private.as_bytes())?;
            }
            public
        }
    };
    Ok(key_of(&public, &file))
}

/// Without the comment, which is for the owner of the file.
fn key_of(line: &str, file: &Path) -> Key {
    let public = line.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
    Key { public, from: format!("key {}", file.display()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Environment, Global};
    use crate::report::Screen;

    const GLOBALS: &str = "enable_keystone: true\nkeystone_internal_url: http://10.0.0.250:5000\n\
        keystone_public_url: http://192.0.2.250:5000\nkeystone_admin_user: admin\nkeystone_admin_project: admin\n\
        openstack_region_name: RegionOne\nkolla_internal_vip_address: 10.0.0.250\n";

    /// A site of one host, and the command that is called on it.
    fn site(globals: &str, check: bool) -> (tempfile::TempDir, Invocation) {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("inventory", "[control]\nlocalhost ansible_connection=local\n"),
            ("globals.yml", globals),
            ("passwords.yml", "keystone_admin_password: it's secret\n"),
        ] {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        let at = |name: &str| dir.path().join(name);
        let environment = Environment { home: at("home"), state_home: at("state"), ..Environment::default() };
        let global = Global { configdir: Some(dir.path().into()), check, ..Global::default() };
        let (screen, stop) = (Screen::captured().0, tokio_util::sync::CancellationToken::new());
        (
            dir,
            Invocation {
                environment,
                global,
                screen,
                stop,
                vault: super::super::Vault::default(),
                command_line: "kolla".into(),
            },
        )
    }

    #[tokio::test]
    async fn the_administrators_files_are_written_when_they_differ() {
        let (dir, mut at) = site(GLOBALS, true);
        let script = dir.path().join("admin-openrc.sh");
        assert_eq!(post_deploy(&at).await.unwrap(), Summary { changed: 5, ..Summary::default() });
        assert!(!script.exists());
        at.global.check = false;
        assert_eq!(post_deploy(&at).await.unwrap(), Summary { changed: 5, ..Summary::default() });
        assert!(is_private(&script));
        assert!(std::fs::read_to_string(&script).unwrap().contains(r"export OS_PASSWORD='it'\''s secret'"));
        assert_eq!(post_deploy(&at).await.unwrap(), Summary { same: 5, ..Summary::default() });
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(post_deploy(&at).await.unwrap(), Summary { changed: 1, same: 4, ..Summary::default() });
        assert!(is_private(&script));
    }

    #[tokio::test]
    async fn files_with_an_old_password_are_told() {
        let (dir, at) = site(GLOBALS, false);
        let told = async || {
            let loaded = Loaded::read(&at).await.unwrap();
            let scopes = loaded.unasked(false);
            stale(&at, scopes.host("localhost"))
        };
        assert_eq!(told().await, None, "there are none yet");
        post_deploy(&at).await.unwrap();
        assert_eq!(told().await, None);
        std::fs::write(dir.path().join("passwords.yml"), "keystone_admin_password: another\n").unwrap();
        let script = dir.path().join("admin-openrc.sh");
        let expected = format!("{} is not what it should be now: run `kolla post-deploy`", script.display());
        assert_eq!(told().await, Some(expected));
    }

    #[tokio::test]
    async fn a_site_without_keystone_is_told_so() {
        let (_dir, at) = site("kolla_internal_vip_address: 10.0.0.250\nenable_keystone: false\n", false);
        let error = post_deploy(&at).await.unwrap_err();
        insta::assert_snapshot!(crate::report::text::error(&error, false), @r"
        error: keystone is not enabled
        hint: set `enable_keystone: true` and run `kolla deploy`
        ");
    }

    #[test]
    fn a_key_is_made_where_there_is_none_and_never_again() {
        let (dir, mut at) = site(GLOBALS, true);
        let made = dir.path().join("mykey");
        key(&at).unwrap();
        assert!(!made.exists(), "a dry run made it");
        at.global.check = false;
        let first = key(&at).unwrap();
        assert!(first.public.starts_with("ssh-ed25519 ") && is_private(&made));
        assert_eq!(key(&at).unwrap().public, first.public);
        std::fs::write(&made, "not a key").unwrap();
        assert!(key(&at).is_err());
        std::fs::create_dir_all(dir.path().join("home/.ssh")).unwrap();
        std::fs::write(dir.path().join("home/.ssh/id_rsa.pub"), "ssh-rsa AAAA me@here {x}\n").unwrap();
        assert_eq!(key(&at).unwrap().public, "ssh-rsa AAAA");
    }

    #[test]
    fn the_newest_cirros_comes_before_our_own_image() {
        let (dir, at) = site(GLOBALS, false);
        let file = || image_file(&at, None).map(|path| path.file_name().unwrap().to_owned());
        assert!(file().is_err());
        for name in ["guest.qcow2", "cirros-0.5.2.img", "cirros-0.6.3.img"] {
            std::fs::write(dir.path().join(name), "QFI\u{fb}").unwrap();
        }
        assert_eq!(file().unwrap(), "cirros-0.6.3.img");
    }
}
