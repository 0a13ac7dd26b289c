//! A site in a folder of its own.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use indexmap::IndexSet;
use kolla::error::Result;
use kolla::host::fake::Fake;
use kolla::plan::{Input, Overrides, Plan};
use kolla::role::Roles;
use kolla::shell::Secret;
use kolla::site::{DEFAULT_ID, Site, SiteOptions, VaultKey, VaultKeys};

/// The password of what is encrypted.
fn keys() -> VaultKeys {
    let password = std::fs::read_to_string(repository("tests/cases/vault/password")).unwrap();
    VaultKeys::new(vec![VaultKey { id: DEFAULT_ID.into(), password: Secret::new(password.trim()) }])
}

/// A config folder with roles of its own.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new(inventory: &str) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        let names: String = std::fs::read_to_string(repository("etc/passwords.yml")).unwrap();
        let mut filled = String::new();
        for line in names.lines().filter(|line| line.ends_with(':') && !line.starts_with('#')) {
            let value =
                if line.starts_with("ceph_cluster_fsid") { "00000000-0000-4000-8000-000000000001" } else { "secret" };
            let _ = writeln!(filled, "{line} {value}");
        }
        folder.write("inventory", inventory);
        folder.write("globals.yml", "kolla_internal_vip_address: 10.0.0.100\nenable_openstack_core: false\n");
        folder.write("passwords.yml", &filled);
        folder
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub(crate) fn plan(&self) -> Result<Plan> {
        self.input(Plan::whole)
    }

    /// What `make` makes of the site and its roles.
    pub(crate) fn input<T>(&self, make: impl FnOnce(&Input<'_>) -> Result<T>) -> Result<T> {
        self.input_with(&[], make)
    }

    /// The same with values of `-e`.
    pub(crate) fn input_with<T>(&self, extra: &[&str], make: impl FnOnce(&Input<'_>) -> Result<T>) -> Result<T> {
        let folders: Vec<PathBuf> = [self.path("roles")].into_iter().filter(|folder| folder.is_dir()).collect();
        let roles = Roles::load(&folders)?;
        let options = SiteOptions {
            config_dir: self.path(""),
            inventories: vec![self.path("inventory")],
            passwords: Some(self.path("passwords.yml")),
            extra_vars: extra.iter().map(ToString::to_string).collect(),
            user: "root".into(),
            ..SiteOptions::default()
        };
        let site = Site::load(&options, roles.layers())?;
        // What hosts keep, and of which nothing is known.
        let known = std::fs::read(self.path("known.json")).ok();
        let (kept, unknown): (BTreeMap<String, BTreeMap<String, u32>>, Vec<String>) =
            known.map(|text| serde_json::from_slice(&text).unwrap()).unwrap_or_default();
        let facts: BTreeMap<_, _> = (1..)
            .zip(site.hosts.keys().filter(|name| !unknown.contains(name)))
            .map(|(number, name)| {
                let mut facts = Fake::new(name.as_str()).world().facts.clone();
                facts.interfaces["eth0"].ipv4 = vec![format!("10.0.0.{number}/24")];
                facts.numbers = kept.get(name).cloned().unwrap_or_default();
                (name.clone(), facts)
            })
            .collect();
        let json = facts.iter().map(|(name, facts)| (name.clone(), serde_json::to_value(facts).unwrap())).collect();
        let hosts: IndexSet<String> = facts.keys().cloned().collect();
        let scopes = kolla::plan::scopes(&roles, &site, json);
        let overrides = Overrides::read(&site.overrides, &keys(), &site.mask)?;
        make(&Input {
            site: &site,
            roles: &roles,
            scopes: &scopes,
            facts: &facts,
            overrides: &overrides,
            hosts: &hosts,
        })
    }
}

pub(crate) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}
