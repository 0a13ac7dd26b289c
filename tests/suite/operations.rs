//! The law of operations, on a host in memory: after `apply` a fresh look's `diff` says same; a `diff` changes
//! nothing; equal operations have equal JSON. The cases are tables of data in `tests/cases/op`.

mod faulty;
mod interrupted;
mod killed;
mod paths;
pub(super) mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use indexmap::IndexMap;
use kolla::error::{Error, Result};
use kolla::host::fake::{Fake, FakeContainer};
use kolla::host::{HttpAsk, Machine, Remote};
use kolla::op::{Attribute, Diff, Kind, Op, Peer, Progress, ProgressSink, Shared, View};
use serde_json::Value;

use self::table::{After, Case, Host, operation, question, tables};
use super::world::teach;

pub(super) fn say(diff: &Diff) -> String {
    let with = |word: &str, details: &[String]| {
        if details.is_empty() { word.to_owned() } else { format!("{word}: {}", details.join("; ")) }
    };
    match diff {
        Diff::Same(reason) => format!("same: {reason}"),
        Diff::Create(details) => with("create", details),
        Diff::Update(details) => with("update", details),
        Diff::Replace(parts) => with("replace", parts),
        Diff::Start => "start".into(),
        Diff::Stop => "stop".into(),
        Diff::Remove => "remove".into(),
        Diff::Run(reason) => format!("run: {reason}"),
        Diff::Settle(reason) => format!("settle: {reason}"),
        Diff::Skip(reason) => format!("skip: {reason}"),
    }
}

/// An error as an operator reads it.
fn told(error: &Error) -> String {
    let text = kolla::report::text::error(error, false);
    text.trim_end().trim_start_matches("error: ").to_owned()
}

#[derive(Default)]
struct Site {
    fakes: IndexMap<String, Fake>,
    adopt: bool,
    positions: BTreeMap<String, String>,
    hunks: bool,
    warned: Arc<Mutex<Vec<String>>>,
}

impl Site {
    fn me(&self) -> &Fake {
        &self.fakes["control01"]
    }

    /// What a new run sees.
    async fn view(&self, op: &Op) -> View {
        self.view_by(op, &self.me().machine()).await
    }

    /// The same by way of another machine to its own host.
    async fn view_by(&self, op: &Op, me: &Arc<dyn Machine>) -> View {
        let mut peers = BTreeMap::new();
        for (name, fake) in &self.fakes {
            let host = Remote::new(if name == me.name() { me.clone() } else { fake.machine() });
            let look = host.look(&question(op)).await.unwrap();
            peers.insert(name.clone(), Peer::new(host.observer().clone(), look));
        }
        let shared = Arc::new(Shared::new("kolla", self.hunks, self.adopt, None));
        for (host, position) in &self.positions {
            let (cluster, seqno) = position.rsplit_once(':').expect("CLUSTER:SEQNO");
            shared.note_position(&format!("mariadb of {host}"), cluster.to_owned(), seqno.parse().unwrap());
        }
        View { me: peers["control01"].clone(), peers: Arc::new(peers), shared }
    }

    /// A run that is killed after so many writes, with the container whose stop it ordered last; none where it ends before.
    async fn killed(&self, op: &Op, writes: usize) -> Option<Option<FakeContainer>> {
        let at = self.view(op).await;
        let diff = op.operation().diff(&at).await.unwrap();
        self.me().forget_calls();
        self.me().world().dies_after = Some(writes);
        let _ = self.apply(op, &diff, &at).await;
        self.me().world().dies_after = None;
        self.me().world().gone.take()?;
        let last = self.me().writes().into_iter().nth(writes)?;
        Some(last.strip_prefix("stop ").and_then(|name| self.me().world().containers.get(name).cloned()))
    }

    /// The engine ends a container whose stop was ordered before, unless somebody else has ended it.
    async fn carry_out(&self, doomed: Option<FakeContainer>) {
        let Some(doomed) = doomed else { return };
        tokio::time::sleep(Duration::from_secs(3)).await;
        let same = |now: &FakeContainer| (&now.id, now.started) == (&doomed.id, doomed.started);
        let still = self.me().world().containers.values().any(same);
        if still {
            self.me().machine().stop(&doomed.id, 1).await.unwrap();
        }
    }

    /// Applies while the engine carries out what was ordered before.
    async fn apply_beside(&self, op: &Op, diff: &Diff, at: &View, doomed: Option<FakeContainer>) -> Result<()> {
        tokio::join!(self.apply(op, diff, at), self.carry_out(doomed)).0
    }

    /// Applies, as a run does: what had to be settled is compared again.
    async fn apply(&self, op: &Op, diff: &Diff, at: &View) -> Result<()> {
        self.apply_by(op, diff, at, self.me().machine()).await
    }

    async fn apply_by(&self, op: &Op, diff: &Diff, at: &View, me: Arc<dyn Machine>) -> Result<()> {
        let others = self.fakes.iter().filter(|(name, _)| **name != me.name());
        let others = others.map(|(name, fake)| (name.clone(), fake.machine()));
        let machines = others.chain([(me.name().to_owned(), me.clone())]).collect();
        let host = Remote::among(me, Arc::new(machines));
        let warned = self.warned.clone();
        let sink = ProgressSink::new(move |progress| {
            if let Progress::Warning(message) = progress {
                warned.lock().unwrap().push(message);
            }
        });
        let mut diff = diff.clone();
        loop {
            op.operation().apply(&diff, at, &host, &sink).await?;
            if !matches!(diff, Diff::Settle(_)) {
                return Ok(());
            }
            diff = op.operation().diff(at).await?;
            if !diff.differs() {
                return Ok(());
            }
        }
    }

    /// Two looks with fresh eyes; neither may write.
    async fn diff(&self, op: &Op) -> Result<Diff> {
        let at = self.view(op).await;
        self.me().forget_calls();
        let first = op.operation().diff(&at).await;
        let second = op.operation().diff(&at).await;
        assert_eq!(self.me().writes(), Vec::<String>::new(), "a diff wrote");
        assert_eq!(first.as_ref().ok(), second.as_ref().ok(), "two diffs in a row differ");
        if let Ok(diff) = &first {
            attributes_say_the_same(op, diff, &at).await;
        }
        first
    }
}

/// Attributes differ where the diff does.
async fn attributes_say_the_same(op: &Op, diff: &Diff, at: &View) {
    // What cannot be had has none.
    let Ok(attributes) = op.operation().attributes(diff, at).await else { return };
    let differs = attributes.values().any(Attribute::differs);
    let unknown = attributes.values().any(|attribute| attribute.before.is_none());
    match diff {
        Diff::Same(_) | Diff::Skip(_) => assert!(!differs, "{op:?}: {diff}, but {attributes:#?}"),
        // What is not settled is in no state of its own, and a mark of readiness is none of the container.
        Diff::Settle(_) => {}
        Diff::Update(_) if op.kind() == Kind::Container => {}
        _ => assert!(differs || unknown || attributes.is_empty(), "{op:?}: {diff}, but {attributes:#?}"),
    }
}

impl Case {
    /// Plays the case; what was not as expected.
    async fn play(&self, base: &Value, host: &Host) -> (Kind, String) {
        let mut wrong = String::new();
        let mut fakes = IndexMap::from([("control01".to_owned(), Fake::new("control01"))]);
        fakes.extend(self.peers.keys().map(|name| (name.clone(), Fake::new(name))));
        for (name, fake) in &fakes {
            teach(fake);
            super::world::keystone(fake);
            host.give(fake);
            self.peers.get(name).unwrap_or(&self.host).give(fake);
        }
        let (positions, warned) = (self.positions.clone(), Arc::default());
        let site = Site { fakes, adopt: self.adopt, hunks: self.hunks, positions, warned };
        for (name, fake) in &site.fakes {
            self.peers.get(name).unwrap_or(&self.host).act(fake).await;
        }
        for patch in &self.given {
            let op = operation(base, patch);
            let at = site.view(&op).await;
            let diff = op.operation().diff(&at).await.unwrap();
            site.apply(&op, &diff, &at).await.unwrap_or_else(|error| panic!("{}: given: {}", self.name, told(&error)));
        }
        self.meanwhile.give(site.me());
        self.meanwhile.act(site.me()).await;
        for (what, behaves) in &self.behave {
            // `v2`, a content, stands for the image that has it.
            let image = what.starts_with('v').then(|| super::world::image_id(what));
            site.me().behave(image.as_ref().unwrap_or(what), behaves.behaviour());
        }
        for (what, behaves) in &self.behave_once {
            site.me().behave_once(what, behaves.behaviour());
        }
        let op = operation(base, &self.op);
        let json = serde_json::to_string(&op).unwrap();
        assert_eq!(json, serde_json::to_string(&op.clone()).unwrap());
        let read: Op = serde_json::from_str(&json).unwrap();
        assert_eq!(json, serde_json::to_string(&read).unwrap(), "{}: JSON is not what was read", self.name);

        let mut doomed = None;
        if let Some(writes) = self.interrupted {
            let first = if self.interrupted_op.is_null() { op.clone() } else { operation(base, &self.interrupted_op) };
            let killed = site.killed(&first, writes).await;
            doomed = killed.unwrap_or_else(|| panic!("{}: it was not interrupted", self.name));
        }
        let mut compare = |what: &str, expected: &str, found: &str| {
            if expected.trim_end() != found.trim_end() {
                let _ = writeln!(wrong, "  {what}:\n    expected {expected}\n    found    {found}");
            }
        };
        let diff = match site.diff(&op).await {
            Ok(diff) => diff,
            Err(error) => {
                compare("diff", self.diff.as_deref().unwrap_or("an error"), "an error");
                compare("error", self.error.as_deref().unwrap_or("none"), &told(&error));
                return (op.kind(), wrong);
            }
        };
        compare("diff", self.diff.as_deref().unwrap_or("an error"), &say(&diff));
        if diff.differs() {
            let at = site.view(&op).await;
            site.me().forget_calls();
            let result = site.apply_beside(&op, &diff, &at, doomed).await;
            if let Some(writes) = &self.writes {
                compare("writes", &format!("{writes:?}"), &format!("{:?}", site.me().writes()));
            }
            match result {
                Ok(()) => {
                    compare("error", self.error.as_deref().unwrap_or("none"), "none");
                    // The same run sees what it did, and so does the next one.
                    let same_run = op.operation().diff(&at).await;
                    let next_run = site.diff(&op).await;
                    for (who, again) in [("this run", same_run), ("next run", next_run)] {
                        let again = again.map_or_else(|error| told(&error), |diff| say(&diff));
                        if self.again.as_deref() != Some(&again) && !again.starts_with("same: ") {
                            compare(&format!("diff after apply, {who}"), "same", &again);
                        }
                    }
                }
                Err(error) => {
                    compare("error", self.error.as_deref().unwrap_or("none"), &told(&error));
                    if let Some(again) = &self.again {
                        let next = site.diff(&op).await;
                        compare("diff after the failure", again, &next.map_or_else(|e| told(&e), |diff| say(&diff)));
                    }
                }
            }
        }
        compare("warnings", &self.warns.join("\n"), &site.warned.lock().unwrap().join("\n"));
        self.after.compare(&site, &mut compare);
        (op.kind(), wrong)
    }
}

impl After {
    fn compare(&self, site: &Site, compare: &mut impl FnMut(&str, &str, &str)) {
        let world = site.me().world();
        if let Some(expected) = &self.containers {
            let found: BTreeMap<String, String> = world
                .containers
                .iter()
                .map(|(name, found)| {
                    let content =
                        ["v1", "v2", "other"].into_iter().find(|c| super::world::image_id(c) == found.image_id);
                    (name.clone(), format!("{} {}", found.state, content.unwrap_or("?")))
                })
                .collect();
            compare("containers", &format!("{expected:?}"), &format!("{found:?}"));
        }
        if let Some(expected) = &self.volumes {
            compare("volumes", &format!("{expected:?}"), &format!("{:?}", world.volumes.keys().collect::<Vec<_>>()));
        }
        for (path, expected) in &self.files {
            let found = world.files.get(path).map(|file| match &file.link {
                Some(to) => format!("-> {to}"),
                None => String::from_utf8_lossy(&file.content).into_owned(),
            });
            compare(path, &format!("{expected:?}"), &format!("{found:?}"));
        }
        if let Some(expected) = &self.packages {
            compare("packages", &format!("{expected:?}"), &format!("{:?}", world.packages.keys().collect::<Vec<_>>()));
        }
        if let Some(expected) = &self.sysctls {
            compare("sysctls", &format!("{expected:?}"), &format!("{:?}", world.sysctls));
        }
        for (path, expected) in &self.owners {
            compare(path, expected, &world.files[path].owner);
        }
        if !self.units.is_empty() {
            compare("units", &format!("{:?}", self.units), &format!("{:?}", world.units));
        }
        if let Some(expected) = &self.hosts_file {
            compare("/etc/hosts", expected, &world.facts.hosts_file);
        }
        for (name, expected) in &self.signals {
            let found = world.containers.get(name).map(|found| found.signals.clone()).unwrap_or_default();
            compare("signals", &format!("{expected:?}"), &format!("{found:?}"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn operations_keep_the_law() {
    let mut wrong = String::new();
    let mut kinds = BTreeSet::new();
    for (file, table) in tables() {
        for case in &table.cases {
            let (kind, found) = case.play(&table.base, &table.host).await;
            kinds.insert(format!("{kind:?}"));
            if !found.is_empty() {
                let _ = writeln!(wrong, "{file}: {}\n{found}", case.name);
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
    let missing: Vec<String> =
        Kind::ALL.iter().map(|kind| format!("{kind:?}")).filter(|k| !kinds.contains(k)).collect();
    assert!(missing.is_empty(), "no case for {missing:?}");
}

#[tokio::test(start_paused = true)]
async fn keystone_learns_what_changed_and_nothing_twice() {
    let fake = Fake::new("control01");
    teach(&fake);
    let keystone = super::world::keystone(&fake);
    // Catalog steps of several services run at the same time, and share a project and roles.
    keystone.lock().unwrap().rivals.extend(["projects", "roles"].map(str::to_owned));
    // A busy Keystone's answers are late for the load balancer, which says 502; what was asked is done all the same.
    keystone.lock().unwrap().loses = true;
    fake.world().publish("reg/db:1", "v1");
    let base = serde_json::json!({
        "kind": "container", "role": "db", "service": "db", "ready": { "ask": "running", "within": 5 },
        "spec": { "name": "mariadb", "image": "reg/db:1" },
    });
    let site = Site {
        fakes: IndexMap::from([("control01".to_owned(), fake)]),
        adopt: false,
        hunks: false,
        positions: BTreeMap::new(),
        ..Site::default()
    };
    site.me().machine().pull("reg/db:1", None, &|_, _| {}).await.unwrap();
    let wanted = |url: &str, roles: &[&str], digest: &str| {
        let sql = serde_json::json!({ "container": "mariadb", "argv": ["mariadb"] });
        let identity = serde_json::json!({
            "address": "10.0.0.250", "port": 5000, "user": "admin", "project": "admin", "region": "RegionOne",
        });
        serde_json::json!({
            "kind": "catalog", "service": "nova", "service_type": "compute", "endpoints": { "internal": url },
            "user": "nova", "project": "service", "roles": roles, "password_digest": digest,
            "identity": identity, "sql": sql,
        })
    };
    for value in [
        base,
        wanted("http://a:8774/v2.1", &["admin"], "d1"),
        wanted("http://b:8774/v2.1", &["admin", "service"], "d1"),
        wanted("http://b:8774/v2.1", &["admin", "service"], "d2"),
    ] {
        let op: Op = serde_json::from_value(value).unwrap();
        let at = site.view(&op).await;
        let diff = op.operation().diff(&at).await.unwrap();
        site.apply(&op, &diff, &at).await.unwrap();
        assert!(matches!(site.diff(&op).await.unwrap(), Diff::Same(_)));
    }
    let keystone = keystone.lock().unwrap();
    let count: Vec<(&str, usize)> = keystone.objects.iter().map(|(kind, all)| (kind.as_str(), all.len())).collect();
    assert_eq!(count, [("endpoints", 1), ("projects", 1), ("roles", 2), ("services", 1), ("users", 1)]);
    assert_eq!(keystone.objects["endpoints"][0]["url"], "http://b:8774/v2.1");
    assert_eq!(keystone.granted.len(), 2);
}

/// What an administrator made, changed or removed is the administrator's.
#[tokio::test(start_paused = true)]
async fn an_object_of_an_api_is_made_once_and_left_as_it_is() {
    let fake = Fake::new("control01");
    teach(&fake);
    let api = super::world::keystone(&fake);
    // What was asked is done, and the answer does not come.
    api.lock().unwrap().loses = true;
    fake.world().publish("reg/db:1", "v1");
    let site = Site { fakes: IndexMap::from([("control01".to_owned(), fake)]), ..Site::default() };
    site.me().machine().pull("reg/db:1", None, &|_, _| {}).await.unwrap();
    let types = || api.lock().unwrap().objects.get("types").cloned().unwrap_or_default();
    api.lock().unwrap().objects.insert("types".into(), vec![serde_json::json!({ "name": "own", "id": "1" })]);
    let base = serde_json::json!({
        "kind": "container", "role": "db", "service": "db", "ready": { "ask": "running", "within": 5 },
        "spec": { "name": "mariadb", "image": "reg/db:1" },
    });
    let wanted = |names: &[&str]| {
        let are: Vec<Value> = names.iter().map(|name| serde_json::json!({ "name": name, "speed": 1 })).collect();
        serde_json::json!({
            "kind": "resources", "service_type": "volumev3", "path": "/types", "look": "/types", "object": "volume_type",
            "are": are, "sql": { "container": "mariadb", "argv": ["mariadb"] },
            "identity": {
                "address": "10.0.0.250", "port": 5000, "user": "admin", "project": "admin", "region": "RegionOne",
            },
        })
    };
    for (value, found) in [
        (base, vec!["own"]),
        (wanted(&["own", "fast"]), vec!["own", "fast"]),
        (wanted(&["own", "fast", "slow"]), vec!["own", "fast", "slow"]),
    ] {
        let op: Op = serde_json::from_value(value).unwrap();
        let at = site.view(&op).await;
        let diff = op.operation().diff(&at).await.unwrap();
        site.apply(&op, &diff, &at).await.unwrap();
        assert_eq!(types().iter().map(|each| each["name"].as_str().unwrap()).collect::<Vec<_>>(), found);
        // Also when it is gone.
        api.lock().unwrap().objects.get_mut("types").unwrap().retain(|each| each["name"] != "slow");
        assert!(matches!(site.diff(&op).await.unwrap(), Diff::Same(_)));
    }
    assert_eq!(types()[0].get("speed"), None);
}

/// Listing all of its users would be more than is taken of one answer.
#[tokio::test(start_paused = true)]
async fn a_message_queue_of_a_large_cloud_is_asked_for_the_one_user() {
    let fake = Fake::new("control01");
    teach(&fake);
    fake.world().publish("reg/db:1", "v1");
    let queue = || HttpAsk { address: "10.0.0.11".into(), port: 15672, method: "PUT".into(), ..HttpAsk::default() };
    let site = Site { fakes: IndexMap::from([("control01".to_owned(), fake)]), ..Site::default() };
    site.me().machine().pull("reg/db:1", None, &|_, _| {}).await.unwrap();
    let base = serde_json::json!({
        "kind": "container", "role": "mq", "service": "mq", "ready": { "ask": "running", "within": 5 },
        "spec": { "name": "rabbitmq", "image": "reg/db:1" },
    });
    let management =
        serde_json::json!({ "container": "rabbitmq", "address": "10.0.0.11", "port": 15672, "user": "openstack" });
    let wanted = serde_json::json!({
        "kind": "message_queue", "vhost": "/", "user": "openstack", "tags": ["administrator"], "password_digest": "d",
        "queue_type": "quorum", "management": management,
    });
    let container = operation(&Value::Null, &base);
    let at = site.view(&container).await;
    site.apply(&container, &container.operation().diff(&at).await.unwrap(), &at).await.unwrap();
    for number in 0..40_000 {
        let body = br#"{"password":"x","tags":""}"#.to_vec();
        let ask = HttpAsk { path: format!("/api/users/tenant-{number}"), body, ..queue() };
        site.me().machine().http(&ask, Duration::from_secs(1)).await.unwrap();
    }
    let op = operation(&Value::Null, &wanted);
    let diff = site.diff(&op).await.unwrap_or_else(|error| panic!("{}", told(&error)));
    assert_eq!(say(&diff), "create: virtual host /; user openstack; rights of openstack in /");
    let at = site.view(&op).await;
    site.apply(&op, &diff, &at).await.unwrap();
    assert!(!site.diff(&op).await.unwrap().differs());
}
