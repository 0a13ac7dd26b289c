//! The image of a lab host: Debian with systemd and sshd, and nothing that runs for no reason.

use sha2::{Digest, Sha256};

use super::engine::{Body, Engine, Entry, archive};
use crate::error::{Error, Result};
use crate::host::apt::{Apt, SUITE};

/// Label that holds the digest of all that went into the image.
const LABEL: &str = "kolla.lab.image";
const REPOSITORY: &str = "kolla-lab-host";

/// The host's first process: the image's command.
pub(super) const INIT: &str = "/usr/local/sbin/kolla-lab-init";

/// All a bare host has beyond Debian's smallest set; notably no Python and no engine.
const PACKAGES: [&str; 6] = ["systemd", "systemd-sysv", "openssh-server", "iproute2", "iptables", "ca-certificates"];

/// Units that cost processor time, want hardware, or act on the machine's kernel instead of the host's.
const MASKED: [&str; 33] = [
    "apt-daily-upgrade.timer",
    "apt-daily.timer",
    "console-getty.service",
    "container-getty@.service",
    "dev-hugepages.mount",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "getty-static.service",
    "getty.target",
    "getty@.service",
    "ldconfig.service",
    "man-db.timer",
    "modprobe@.service",
    "sys-fs-fuse-connections.mount",
    "sys-kernel-config.mount",
    "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount",
    "systemd-ask-password-console.path",
    "systemd-ask-password-wall.path",
    "systemd-journal-catalog-update.service",
    "systemd-journal-flush.service",
    "systemd-logind.service",
    "systemd-modules-load.service",
    "systemd-remount-fs.service",
    "systemd-timesyncd.service",
    "systemd-tmpfiles-clean.timer",
    "systemd-udev-trigger.service",
    "systemd-udevd.service",
    "systemd-udevd-control.socket",
    "systemd-udevd-kernel.socket",
    "tmp.mount",
];

/// The image's own files.
fn files() -> Vec<Entry> {
    let mut entries = vec![
        Entry::file(INIT, 0o755, include_str!("host/init.sh")),
        Entry::file("/etc/ssh/sshd_config.d/kolla-lab.conf", 0o644, include_str!("host/sshd.conf")),
        Entry::file("/etc/systemd/journald.conf.d/kolla-lab.conf", 0o644, include_str!("host/journald.conf")),
        Entry::file("/etc/systemd/system.conf.d/kolla-lab.conf", 0o644, include_str!("host/systemd.conf")),
        Entry::file("/etc/apt/apt.conf.d/80kolla-lab", 0o644, include_str!("host/apt.conf")),
        Entry::link(
            "/etc/systemd/system/multi-user.target.wants/systemd-networkd.service",
            "/usr/lib/systemd/system/systemd-networkd.service",
        ),
        Entry::link("/etc/systemd/system/default.target", "/usr/lib/systemd/system/multi-user.target"),
    ];
    entries.extend(MASKED.map(|unit| Entry::link(format!("/etc/systemd/system/{unit}"), "/dev/null")));
    entries
}

/// Options of mmdebstrap that shape the content.
fn recipe() -> Vec<String> {
    let mut words = vec!["--variant=minbase".to_owned(), format!("--include={}", PACKAGES.join(","))];
    // Documentation is most of what an installation writes; the distribution's sysctl files would change the
    // kernel of this machine, which all hosts share.
    for path in ["/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*", "/usr/lib/sysctl.d/*"] {
        words.push(format!("--dpkgopt=path-exclude={path}"));
    }
    words.push("--dpkgopt=force-unsafe-io".into());
    // Each host makes its own identity. Debian's adduser refuses users above 999 as system users, and Kolla's are.
    words.push(format!("--customize-hook={}", include_str!("host/customize.sh").trim()));
    words
}

/// The digest of everything that decides the image's content.
fn input_digest() -> String {
    let mut hasher = Sha256::new();
    hasher.update(SUITE);
    for word in recipe() {
        hasher.update([0]);
        hasher.update(word);
    }
    for entry in files() {
        hasher.update(format!("\0{}\0{:o}\0", entry.path, entry.mode));
        match entry.body {
            Body::File(content) => hasher.update(content),
            Body::Link(target) => hasher.update(target),
            Body::Folder => {}
        }
    }
    hex::encode(&hasher.finalize()[..8])
}

/// The reference of the image, which may not be there yet.
pub(super) fn reference() -> String {
    format!("{REPOSITORY}:{}", input_digest())
}

/// Whether the image is there already.
pub(super) async fn exists(engine: &Engine) -> Result<bool> {
    Ok(!engine.images(&format!("{LABEL}={}", input_digest())).await?.is_empty())
}

/// Builds the image and drops older ones that no lab uses.
pub(super) async fn build(engine: &Engine, apt: &Apt) -> Result<()> {
    let digest = input_digest();
    let folder = tempfile::tempdir().map_err(|error| Error::local("make a temporary folder", error))?;
    let root = apt.bootstrap(recipe(), &archive(&files())?, folder.path()).await?;

    let older = engine.images(LABEL).await?;
    let changes = vec![format!("LABEL {LABEL}={digest}"), format!("CMD [\"{INIT}\"]")];
    engine.image_import(&root, REPOSITORY, &digest, changes).await?;
    for (id, labels) in older {
        if labels.get(LABEL) != Some(&digest) {
            engine.image_remove(&id).await;
        }
    }
    Ok(())
}
