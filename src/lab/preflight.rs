//! What a lab needs of this machine, asked before anything is made.

use std::path::Path;

use super::engine::Engine;
use super::{Options, image};
use crate::error::{Error, Result};
use crate::host::apt;
use crate::host::local::Local;

/// Space that the image and bare hosts take.
const LEAST_MIB: u64 = 2 << 10;
/// Space that a host takes once the core services run on it, with the share of the registry.
const HOST_MIB: u64 = 5 << 10;
/// Watchers that a booted host with an engine of its own opens, generously.
const WATCHERS: u64 = 24;

/// Something this machine lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lack {
    /// What is missing, as a sentence without its stop.
    pub what: String,
    /// What to do.
    pub hint: String,
    /// Without it no lab can be raised.
    pub fatal: bool,
}

/// What [`preflight`] found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Preflight {
    /// What is missing, worst first.
    pub lacks: Vec<Lack>,
    /// Packages that `up` will install on this machine.
    pub installs: Vec<String>,
}

impl Preflight {
    fn lack(&mut self, fatal: bool, what: impl Into<String>, hint: impl Into<String>) {
        self.lacks.push(Lack { what: what.into(), hint: hint.into(), fatal });
    }

    /// An error that names all that keeps a lab from being raised.
    pub(super) fn verdict(&self) -> Result<()> {
        let fatal: Vec<&Lack> = self.lacks.iter().filter(|lack| lack.fatal).collect();
        if fatal.is_empty() {
            return Ok(());
        }
        let joined = |part: fn(&Lack) -> &str| fatal.iter().map(|lack| part(lack)).collect::<Vec<_>>().join("; ");
        Err(Error::local("raise a lab", joined(|lack| &lack.what)).with_hint(joined(|lack| &lack.hint)))
    }
}

/// Asks what is missing here for a lab; changes nothing.
///
/// # Errors
/// When the engine answers nonsense; what is missing is in the answer, not an error.
pub async fn preflight(options: &Options) -> Result<Preflight> {
    let mut found = Preflight::default();
    let engine = match Engine::connect().await {
        Ok(engine) => engine,
        Err(error) => {
            let hint = if let Error::Local { hint: Some(hint), .. } = &error { hint.clone() } else { String::new() };
            found.lack(true, error.to_string(), hint);
            return Ok(found);
        }
    };
    if !image::exists(&engine).await? {
        ask_tools(&mut found).await;
    }
    ask_disk(&mut found, &engine, options).await?;
    ask_watchers(&mut found, options);
    found.lacks.sort_by_key(|lack| !lack.fatal);
    Ok(found)
}

async fn ask_tools(found: &mut Preflight) {
    found.installs = apt::missing_tools().await;
    if found.installs.is_empty() {
        return;
    }
    let missing = found.installs.join(" ");
    if !starts("apt-get").await {
        found.lack(
            true,
            format!("`{missing}` is missing, and so is `apt-get` to install it"),
            "run the lab on a Debian or Ubuntu machine, or install mmdebstrap by hand",
        );
    } else if !is_root() {
        found.lack(true, format!("`{missing}` is missing"), format!("run `sudo apt-get install {missing}`"));
    }
}

async fn ask_disk(found: &mut Preflight, engine: &Engine, options: &Options) -> Result<()> {
    let root = engine.root().await?.unwrap_or_else(|| "/".into());
    let Some(free) = free_mib(&root).await else { return Ok(()) };
    let wanted = HOST_MIB * u64::from(options.hosts + options.computes);
    let have = format!("{root} has {:.1} GiB free", gib(free));
    if free < LEAST_MIB {
        found.lack(true, format!("{have}, bare hosts take 2 GiB"), "free space there, as by `docker system prune`");
    } else if free < wanted {
        found.lack(
            false,
            format!("{have}, a lab with all core services takes about {:.0} GiB", gib(wanted)),
            "free space there, or raise fewer hosts",
        );
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
fn gib(mib: u64) -> f64 {
    mib as f64 / 1024.0
}

fn ask_watchers(found: &mut Preflight, options: &Options) {
    // The limit counts per user, and root of all hosts is one user.
    let limit = std::fs::read_to_string("/proc/sys/fs/inotify/max_user_instances").ok();
    let limit: Option<u64> = limit.and_then(|text| text.trim().parse().ok());
    let wanted = WATCHERS * u64::from(options.hosts + options.computes);
    if let Some(limit) = limit.filter(|limit| *limit < wanted) {
        found.lack(
            false,
            format!("fs.inotify.max_user_instances is {limit}, so many hosts may want {wanted}"),
            format!("run `sysctl fs.inotify.max_user_instances={}`", wanted.next_power_of_two()),
        );
    }
}

async fn starts(program: &str) -> bool {
    Local::new([program, "--version"]).output().await.is_ok()
}

fn is_root() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("Uid:")?.split_whitespace().nth(1));
    effective == Some("0")
}

/// Free space of the file system of a folder, or of its nearest parent that can be seen.
async fn free_mib(folder: &str) -> Option<u64> {
    for folder in Path::new(folder).ancestors() {
        let output = Local::new(["df", "-Pm", "--", &folder.display().to_string()]).output().await.ok()?;
        if output.code == 0 {
            return output.text().lines().nth(1)?.split_whitespace().nth(3)?.parse().ok();
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_fatal_is_told_at_once_and_warnings_do_not_stop() {
        let mut found = Preflight::default();
        found.lack(false, "little space", "free some");
        assert!(found.verdict().is_ok());
        found.lack(true, "no engine", "install one");
        found.lack(true, "no apt", "use Debian");
        let error = found.verdict().unwrap_err();
        assert_eq!(error.to_string(), "raise a lab: no engine; no apt");
    }
}
