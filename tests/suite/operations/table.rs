//! A table of cases as `tests/cases/op` has it, and the host and operation that it describes.
//!
//! A table has a `base` operation. `given` are operations applied first, `op` is the one that is tried; each is
//! the base with some keys replaced, or, where it has a `kind`, an operation of its own.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use indexmap::IndexMap;
use kolla::host::fake::{Behaviour, Fake, FakeFile};
use kolla::host::{Facts, LookRequest, Output, Reach, Remote};
use kolla::op::Op;
use kolla::op::file::OneFile;
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Table {
    #[serde(default)]
    pub(super) base: Value,
    /// What every case's host has.
    #[serde(default)]
    pub(super) host: Host,
    pub(super) cases: Vec<Case>,
}

/// What a host has, or gets.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Host {
    pub(super) facts: Option<Value>,
    /// Content of images by reference.
    pub(super) registry: IndexMap<String, String>,
    /// References that the engine has pulled, as the registry has them.
    pub(super) images: Vec<String>,
    /// References that the engine has no more.
    pub(super) no_images: Vec<String>,
    /// References that vanish from the registry.
    pub(super) unpublished: Vec<String>,
    /// What the registry answers instead, as `500 message`; empty where it answers as it should again.
    pub(super) registry_says: Option<String>,
    pub(super) files: IndexMap<String, String>,
    /// Owners of files, where they are not root's.
    pub(super) owners: BTreeMap<String, String>,
    /// systemd's state of units.
    pub(super) units: BTreeMap<String, String>,
    pub(super) volumes: Vec<String>,
    pub(super) packages: Vec<String>,
    pub(super) sysctls: BTreeMap<String, String>,
    pub(super) reachable: BTreeMap<String, String>,
    /// Names of containers that somebody else made.
    pub(super) foreign: Vec<String>,
    /// Status words of the engine's health check, by container.
    pub(super) health: BTreeMap<String, String>,
    /// Containers that run as members of a database outside of any cluster, until they are started again.
    pub(super) outside: Vec<String>,
    /// Acts on containers: `stop web`, `rename web other`.
    pub(super) acts: Vec<String>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Behaves {
    pub(super) exits: Option<i64>,
    pub(super) log: String,
    pub(super) health: String,
    pub(super) ports: Vec<u16>,
    pub(super) refused: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Case {
    pub(super) name: String,
    #[serde(default)]
    pub(super) host: Host,
    #[serde(default)]
    pub(super) peers: IndexMap<String, Host>,
    #[serde(default)]
    pub(super) given: Vec<Value>,
    /// What happens after `given` was applied.
    #[serde(default)]
    pub(super) meanwhile: Host,
    /// How containers behave when they are started, by name or image, after `given`.
    #[serde(default)]
    pub(super) behave: BTreeMap<String, Behaves>,
    /// The next start only.
    #[serde(default)]
    pub(super) behave_once: BTreeMap<String, Behaves>,
    /// The operation is tried once before, and the session is lost after so many writes. The engine carries out a stop
    /// that is ordered just then, 3 s after the next run has begun.
    pub(super) interrupted: Option<usize>,
    /// It was another one that was tried before.
    #[serde(default)]
    pub(super) interrupted_op: Value,
    #[serde(default)]
    pub(super) adopt: bool,
    /// How far the data of a database's members got, as found out earlier in the run.
    #[serde(default)]
    pub(super) positions: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) hunks: bool,
    pub(super) op: Value,
    /// `create: a; b`; absent where the diff itself fails.
    pub(super) diff: Option<String>,
    /// What the diff or apply says when it fails.
    pub(super) error: Option<String>,
    /// The diff after a failed apply.
    pub(super) again: Option<String>,
    #[serde(default)]
    pub(super) after: After,
    /// Calls that write, in order.
    pub(super) writes: Option<Vec<String>>,
    /// What the operator is warned of meanwhile.
    #[serde(default)]
    pub(super) warns: Vec<String>,
}

/// What the host is like in the end; only what is named is compared.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct After {
    /// All containers: `running v2`, the state and the content of its image.
    pub(super) containers: Option<BTreeMap<String, String>>,
    pub(super) volumes: Option<Vec<String>>,
    /// Content by path, `-> path` for a link, null for what must not be there.
    pub(super) files: BTreeMap<String, Option<String>>,
    /// Owners of files.
    pub(super) owners: BTreeMap<String, String>,
    /// systemd's state of units.
    pub(super) units: BTreeMap<String, String>,
    pub(super) packages: Option<Vec<String>>,
    pub(super) sysctls: Option<BTreeMap<String, String>>,
    pub(super) hosts_file: Option<String>,
    /// Signals a container got.
    pub(super) signals: BTreeMap<String, Vec<String>>,
}

impl Host {
    pub(super) fn give(&self, fake: &Fake) {
        let mut world = fake.world();
        if let Some(patch) = &self.facts {
            let mut facts = serde_json::to_value(&world.facts).unwrap();
            merge(&mut facts, patch);
            world.facts = serde_json::from_value::<Facts>(facts).unwrap();
        }
        for (reference, content) in &self.registry {
            world.publish(reference, content);
        }
        for reference in &self.images {
            let (digest, id) = world.registry[reference].clone();
            let name = reference.rsplit_once(':').unwrap().0.to_owned();
            world.images.insert(reference.clone(), id.clone());
            world.images.insert(format!("{name}@{digest}"), id);
        }
        for reference in &self.no_images {
            let name = reference.rsplit_once(':').unwrap().0.to_owned();
            world.images.retain(|known, _| known != reference && !known.starts_with(&format!("{name}@")));
        }
        for reference in &self.unpublished {
            world.registry.remove(reference);
        }
        if let Some(says) = &self.registry_says {
            let fails = says.split_once(' ');
            world.registry_fails = fails.map(|(status, message)| (status.parse().unwrap(), message.to_owned()));
        }
        for (path, content) in &self.files {
            world.put(path, FakeFile::new(content.as_bytes(), 0o644, "root:root"));
        }
        for (path, owner) in &self.owners {
            world.files.get_mut(path).unwrap().owner.clone_from(owner);
        }
        world.units.extend(self.units.clone());
        world.volumes.extend(self.volumes.iter().map(|name| (name.clone(), BTreeMap::new())));
        world.packages.extend(self.packages.iter().map(|name| (name.clone(), "1.0".to_owned())));
        world.sysctls.extend(self.sysctls.clone());
        world.reachable.extend(self.reachable.iter().map(|(address, reach)| {
            let reach = match reach.as_str() {
                "open" => Reach::Open,
                "refused" => Reach::Refused,
                "timed out" => Reach::TimedOut,
                _ => Reach::Unknown,
            };
            (address.clone(), reach)
        }));
        for (name, health) in &self.health {
            world.containers.get_mut(name).unwrap().health.clone_from(health);
        }
    }

    pub(super) async fn act(&self, fake: &Fake) {
        let host = Remote::new(fake.machine());
        for name in &self.foreign {
            let image = "other/image:1";
            fake.world().publish(image, "other");
            host.act().pull(image, None, &|_, _| {}).await.unwrap();
            let spec = kolla::host::ContainerSpec {
                name: name.clone(),
                image: image.into(),
                restart: true,
                ..Default::default()
            };
            host.act().create(&spec).await.unwrap();
            host.act().start(name).await.unwrap();
        }
        for name in self.outside.clone() {
            let started = fake.world().containers[&name].started;
            fake.on_exec(move |world, container, argv, _| {
                let asked = container == name && argv.iter().any(|word| word.contains("wsrep_cluster_status"));
                let status =
                    "wsrep_cluster_status\tnon-Primary\nwsrep_cluster_size\t1\nwsrep_cluster_state_uuid\ta-b\n";
                let outside = asked && world.containers.get(container)?.started == started;
                outside.then(|| Output { stdout: status.into(), ..Output::default() })
            });
        }
        for act in &self.acts {
            match act.split(' ').collect::<Vec<_>>()[..] {
                ["stop", name] => host.act().stop(name, 1).await.unwrap(),
                ["rename", name, to] => host.act().rename(name, to).await.unwrap(),
                ["remove", name] => host.act().remove(name).await.unwrap(),
                _ => panic!("unknown act {act}"),
            }
        }
    }
}

/// `to` with the keys of `patch`, mappings within likewise.
fn merge(to: &mut Value, patch: &Value) {
    match (to, patch) {
        (Value::Object(to), Value::Object(patch)) => {
            for (key, value) in patch {
                merge(to.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (to, patch) => to.clone_from(patch),
    }
}

pub(super) fn operation(base: &Value, patch: &Value) -> Op {
    let mut value = base.clone();
    if patch.get("kind").is_some() {
        value = patch.clone();
    } else if !patch.is_null() {
        merge(&mut value, patch);
    }
    let mut op: Op = serde_json::from_value(value.clone()).unwrap_or_else(|error| panic!("{error}: {value}"));
    let fill = |file: &mut OneFile, from: &Value| {
        let content = from["content"].as_str().unwrap_or_default().as_bytes().to_vec();
        *file = OneFile { owner: file.owner.clone(), ..OneFile::new(file.name.clone(), content, file.mode) };
    };
    let fill_all =
        |files: &mut [OneFile]| files.iter_mut().enumerate().for_each(|(i, file)| fill(file, &value["files"][i]));
    match &mut op {
        Op::FileSet(set) => fill_all(&mut Arc::make_mut(set).files),
        Op::Unit(unit) => fill_all(&mut Arc::make_mut(unit).files),
        Op::HostFile(host) => fill(&mut Arc::make_mut(host).file, &value["file"]),
        Op::Container(container) => {
            // A reloading service knows its files by their digests; the table gives contents.
            if let Some(reload) = &mut Arc::make_mut(container).reload {
                for (name, content) in value["reload"]["files"].as_object().unwrap() {
                    let digest = kolla::op::file::digest_of(content.as_str().unwrap().as_bytes());
                    reload.files.insert(name.clone(), digest);
                }
            }
        }
        _ => {}
    }
    op
}

/// What the batched look asks for on account of an operation.
pub(super) fn question(op: &Op) -> LookRequest {
    let mut ask = LookRequest { folders: vec!["/etc/kolla".into()], ..LookRequest::default() };
    asks(op, &mut ask);
    ask
}

/// Adds what an operation has to know of its host.
pub(in crate::suite) fn asks(op: &Op, ask: &mut LookRequest) {
    match op {
        Op::HostFile(file) => ask.files.push(file.file.name.clone()),
        Op::Unit(unit) => {
            ask.units.push(unit.name.clone());
            ask.files.extend(unit.files.iter().map(|file| file.name.clone()));
        }
        Op::Sysctl(sysctl) => {
            ask.files.push(sysctl.file.clone());
            ask.sysctls.extend(sysctl.values.keys().cloned());
        }
        Op::Packages(packages) => ask.packages.extend(packages.names.iter().cloned()),
        _ => {}
    }
}

impl Behaves {
    pub(super) fn behaviour(&self) -> Behaviour {
        Behaviour {
            exits: self.exits,
            log: self.log.lines().map(str::to_owned).collect(),
            health: self.health.clone(),
            ports: self.ports.clone(),
            refused: self.refused.clone(),
        }
    }
}

pub(super) fn tables() -> Vec<(String, Table)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/op");
    let mut tables: Vec<(String, Table)> = std::fs::read_dir(folder)
        .unwrap()
        .flatten()
        .map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            let text = std::fs::read_to_string(entry.path()).unwrap();
            let table = serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
            (name, table)
        })
        .collect();
    tables.sort_by(|a, b| a.0.cmp(&b.0));
    tables
}
