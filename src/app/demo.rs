//! What a new cloud is tried with.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use indexmap::IndexSet;
use russh::keys::ssh_key::PrivateKey;

use super::build::guest_file;
use super::connect::{connect_options, lease_wish};
use super::files::write_private;
use super::{App, Listeners, Loaded};
use crate::cloud::access::Access;
use crate::cloud::demo::{External, Image, Internal, KEY, Key};
use crate::cloud::{Cloud, Demo, Server};
use crate::error::{Error, Kind, Result};
use crate::host::{Look, LookRequest, Machine};
use crate::run::SiteLease;
use crate::run::connect::connect_with_lease;
use crate::run::event::Summary;
use crate::site::key_pair;

/// What to try a cloud with.
#[derive(Debug, Clone)]
pub struct Request {
    /// The image; without one cirros*.img or guest.qcow2 in the configuration folder, else the one that is built here.
    pub image: Option<PathBuf>,
    /// The network outside.
    pub external: Option<External>,
    /// The servers' network.
    pub internal: Internal,
    /// Also start a server.
    pub server: bool,
}

/// What is made of a request on this site.
///
/// # Errors
/// Input errors: a service that is not enabled, an image that is not there.
pub fn demo(app: &App, loaded: &Loaded, request: &Request) -> Result<Demo> {
    let host = loaded.near(app)?.into_iter().next().unwrap_or_default();
    Demo::possible(loaded.scopes_of(app, &host, &BTreeMap::new()).host(&host))?;
    let Request { image, external, internal, server } = request.clone();
    Ok(Demo { image: Image::of(&image_file(app, image.as_deref())?)?, external, internal, server })
}

/// Makes it, what is not there yet; the server that was started.
///
/// # Errors
/// A host or an API that does not answer, and the first object that the cloud refuses.
pub async fn make(
    app: &App,
    loaded: &Loaded,
    demo: &Demo,
    check: bool,
    listeners: &Listeners,
) -> Result<(Summary, Option<Server>)> {
    let Reached { machine, looks, lease } = reach(app, loaded, listeners, !check).await?;
    let name = machine.name().to_owned();
    let identity = Access::of(loaded.scopes_of(app, &name, &looks).host(&name))?.identity()?;
    let stop = app.stop.child_token();
    let making = async {
        let cloud = Cloud::log_in(&identity, machine, check).await?;
        demo.make(&cloud, || key(app, check), &stop, &*listeners.events).await
    };
    lease.during(making, &stop, &*listeners.events).await?
}

struct Reached {
    machine: Arc<dyn Machine>,
    looks: BTreeMap<String, Look>,
    /// Of no host, where nothing is to be written.
    lease: SiteLease,
}

/// The first of them that answers. What writes to the cloud takes the site's lease: another run may be replacing what it
/// speaks to, or be making the same.
async fn reach(app: &App, loaded: &Loaded, listeners: &Listeners, writes: bool) -> Result<Reached> {
    let near = loaded.near(app)?;
    let hosts = if writes { loaded.granting() } else { Vec::new() };
    let names: IndexSet<String> = near.iter().chain(&hosts).cloned().collect();
    let names: Vec<String> = names.into_iter().collect();
    let wish = lease_wish(app, hosts);
    let options = connect_options(app, listeners.requests.clone());
    let ask = |_: &str| LookRequest::default();
    let (mut connected, lease) = tokio::select! {
        connected = connect_with_lease(&loaded.site, &names, &options, ask, &wish, &*listeners.events) => connected,
        () = app.stop.cancelled() => return Err(Error::Interrupted),
    };
    let lease = lease?;
    let first = near.iter().find_map(|name| connected.machines.get(name).cloned());
    let error = near.iter().find_map(|name| connected.failed.swap_remove(name));
    match first {
        Some(machine) => Ok(Reached { machine, looks: connected.looks, lease }),
        None => Err(error.unwrap_or_else(|| Error::input("the inventory has no host").of(Kind::Inventory))),
    }
}

/// The image's file: the one that was named, else one of the configuration folder, else the one we make ourselves.
fn image_file(app: &App, named: Option<&Path>) -> Result<PathBuf> {
    if let Some(file) = named {
        return Ok(file.to_owned());
    }
    let mut found: Vec<PathBuf> = std::fs::read_dir(&app.options.config_dir)
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
    found.into_iter().next().map_or_else(|| guest_image(app), Ok)
}

/// The image that is built here.
fn guest_image(app: &App) -> Result<PathBuf> {
    let file = guest_file(app);
    if file.exists() {
        return Ok(file);
    }
    Err(Error::input("there is no image for servers").with_hint("run `kolla build guest`, or name one with `--image`"))
}

/// The public key that servers are to let in: the user's own, else one of the configuration folder, made where there
/// is none. A dry run makes none.
fn key(app: &App, check: bool) -> Result<Key> {
    let folder = app.control.home.join(".ssh");
    for name in ["id_ed25519.pub", "id_ecdsa.pub", "id_rsa.pub"] {
        let file = folder.join(name);
        if let Ok(text) = std::fs::read_to_string(&file) {
            return Ok(key_of(&text, &file));
        }
    }
    let file = app.options.config_dir.join(KEY);
    let failed = |error: &dyn std::fmt::Display| Error::local(format!("read the key {}", file.display()), error);
    let public = match std::fs::read_to_string(&file) {
        Ok(text) => {
            let key = PrivateKey::from_openssh(text).map_err(|error| failed(&error))?;
            key.public_key().to_openssh().map_err(|error| failed(&error))?
        }
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(&error)),
        Err(_) => {
            let (private, public) = key_pair()?;
            if !check {
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
    use crate::app::Options;
    use crate::app::files::is_private;

    /// An empty configuration folder.
    fn site() -> (tempfile::TempDir, App) {
        let dir = tempfile::tempdir().unwrap();
        let mut app = App { options: Options::of(dir.path()), ..App::default() };
        (app.control.home, app.control.state) = (dir.path().join("home"), dir.path().join("state"));
        (dir, app)
    }

    #[test]
    fn a_key_is_made_where_there_is_none_and_never_again() {
        let (dir, app) = site();
        let made = dir.path().join("mykey");
        key(&app, true).unwrap();
        assert!(!made.exists(), "a dry run made it");
        let first = key(&app, false).unwrap();
        assert!(first.public.starts_with("ssh-ed25519 ") && is_private(&made));
        assert_eq!(key(&app, false).unwrap().public, first.public);
        std::fs::write(&made, "not a key").unwrap();
        assert!(key(&app, false).is_err());
        std::fs::create_dir_all(dir.path().join("home/.ssh")).unwrap();
        std::fs::write(dir.path().join("home/.ssh/id_rsa.pub"), "ssh-rsa AAAA me@here {x}\n").unwrap();
        assert_eq!(key(&app, false).unwrap().public, "ssh-rsa AAAA");
    }

    #[test]
    fn the_newest_cirros_comes_before_our_own_image() {
        let (dir, app) = site();
        let file = || image_file(&app, None).map(|path| path.file_name().unwrap().to_owned());
        assert!(file().is_err());
        for name in ["guest.qcow2", "cirros-0.5.2.img", "cirros-0.6.3.img"] {
            std::fs::write(dir.path().join(name), "QFI\u{fb}").unwrap();
        }
        assert_eq!(file().unwrap(), "cirros-0.6.3.img");
    }
}
