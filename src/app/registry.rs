//! A registry for images on this machine.

use super::App;
use super::build::TAG;
use crate::error::Result;
use crate::image::{self, BuildOptions, Registry, Say};

/// What builds images for the registry on a port of this machine.
pub(super) fn builds(app: &App, port: u16) -> BuildOptions {
    let proxies = app.control.proxies.clone();
    BuildOptions { registry: format!("127.0.0.1:{port}"), proxies, ..BuildOptions::new(TAG) }
}

/// The registry on a port of this machine.
pub fn registry(app: &App, port: u16) -> Registry {
    Registry { port, image: builds(app, port).reference("registry") }
}

/// Builds its image, with Debian packages from a mirror, and starts it.
///
/// # Errors
/// What the engine says; an image that cannot be built.
pub async fn up(app: &App, registry: &Registry, mirror: Option<&str>, say: Say<'_>) -> Result<()> {
    let mirror = mirror.map(str::to_owned);
    let options = BuildOptions { images: vec!["registry".into()], mirror, ..builds(app, registry.port) };
    image::build(&options, say).await?;
    registry.up().await?;
    Ok(())
}
