//! A saved plan: applied it does what it says, where nothing moved; else nothing.

use kolla::host::fake::{Fake, FakeFile};
use kolla::host::{ContainerSpec, ReadOnly};
use kolla::op::container::Container;
use kolla::op::exec::Exec;
use kolla::op::file::OneFile;
use kolla::op::file_set::FileSet;
use kolla::op::image::Image;
use kolla::op::names::SETS;
use kolla::op::probe::Probe;
use kolla::op::volume::Volume;
use kolla::op::{Op, Want};
use kolla::plan::{Gate, Plan, Saved};

use super::cloud::Cloud;
use super::cluster::spec;
use super::world::teach;

/// What is in the file of a service.
const OLD: &str = "max = 1; password = s3cret-old";
const NEW: &str = "max = 2; password = s3cret-new";

/// A service with an image, a file and a container, and a question to it.
fn service(cloud: &mut Cloud, host: &str, name: &str, content: &str) {
    let reference = format!("reg:4000/{name}:1");
    let image = cloud.add(host, Image { reference: reference.clone() }, &[]);
    let set = FileSet {
        service: name.into(),
        files: vec![OneFile::new(format!("{name}.conf"), content, 0o600)],
        ..FileSet::default()
    };
    let (configuration, folder) = (set.digest(), set.folder());
    let files = cloud.add(host, set, &[]);
    let container = Container {
        spec: ContainerSpec {
            name: name.into(),
            image: reference,
            mounts: vec![format!("{folder}:/files:ro")],
            restart: true,
            ..ContainerSpec::default()
        },
        role: name.into(),
        service: name.into(),
        configuration,
        ready: Probe { within: 5, ..Probe::default() },
        ..Container::default()
    };
    let container = cloud.add(host, container, &[image, files]);
    cloud.plan.nodes[container].gate = Some(Gate { key: name.into(), at_once: 1, on_create: false, last: false });
    let exec = Exec {
        name: None,
        container: name.into(),
        command: vec!["touch".into(), "/done".into()],
        unless: ReadOnly::declared(vec!["true".into()]),
        if_runs: false,
    };
    cloud.add(host, exec, &[container]);
}

fn volume(cloud: &mut Cloud, host: &str, name: &str) {
    cloud.add(host, Volume { name: name.into(), want: Want::Running }, &[]);
}

/// What is wanted of [`changed`] in the end, with this in the file of `web`.
fn wanted(cloud: &mut Cloud, content: &str) {
    cloud.plan = Plan { phase: "deploy".into(), ..Plan::default() };
    // Those of a host stand together.
    service(cloud, "a", "new", NEW);
    for host in ["a", "b"] {
        service(cloud, host, "web", content);
        service(cloud, host, "db", OLD);
    }
    volume(cloud, "b", "new");
}

/// Two services on two hosts, deployed; then one of them is wanted with another file on both, and a new service and a volume.
async fn changed() -> (Cloud, Saved) {
    let mut cloud = Cloud::new(&["a", "b"]);
    for host in ["a", "b"] {
        teach(&cloud.fakes[host]);
        for name in ["web", "db", "new"] {
            cloud.fakes[host].world().publish(&format!("reg:4000/{name}:1"), name);
        }
        service(&mut cloud, host, "web", OLD);
        service(&mut cloud, host, "db", OLD);
    }
    let (summary, lines) = cloud.deploy().await;
    assert_eq!((summary.failed, summary.skipped), (0, 0), "{lines:#?}");
    wanted(&mut cloud, NEW);
    let saved = cloud.look().await;
    (cloud, saved)
}

/// What the plan of [`changed`] changes.
const CHANGES: [&str; 9] = [
    "a/container new",
    "a/container web",
    // Whether it has to be run cannot be told before its container runs.
    "a/exec new touch /done",
    "a/files new",
    "a/files web",
    "a/image reg:4000/new:1",
    "b/container web",
    "b/files web",
    "b/volume new",
];

/// What is told of what moved; nothing was written by then.
async fn refused(cloud: &Cloud, saved: &Saved) -> Vec<String> {
    let moved = cloud.apply(saved).await.unwrap_err();
    assert!(cloud.fakes.values().all(|fake| fake.writes().is_empty()));
    moved
}

/// The path of a service's file in the set in use.
fn file_of(fake: &Fake, name: &str) -> String {
    let link = fake.world().files[&format!("/etc/kolla/{name}")].link.clone().unwrap();
    assert!(link.starts_with(SETS));
    format!("{link}/{name}.conf")
}

#[tokio::test(start_paused = true)]
async fn what_it_says_is_done_and_nothing_else() {
    let (cloud, saved) = changed().await;
    assert_eq!(saved.changes().into_iter().collect::<Vec<_>>(), CHANGES);
    let text = serde_json::to_string(&saved).unwrap();
    assert!(!text.contains("s3cret") && !text.contains("max ="), "{text}");
    let saved: Saved = serde_json::from_str(&text).unwrap();
    let (summary, lines) = cloud.apply(&saved).await.unwrap();
    assert_eq!((summary.changed, summary.same, summary.failed), (8, 13, 0), "{lines:#?}");
    // Once more it has nothing to do.
    assert_eq!(cloud.apply(&saved).await.unwrap().0.changed, 0);
}

#[tokio::test(start_paused = true)]
async fn a_tag_that_was_pushed_again_is_refused() {
    let (cloud, saved) = changed().await;
    for fake in cloud.fakes.values() {
        fake.world().publish("reg:4000/db:1", "db again");
    }
    let moved = refused(&cloud, &saved).await;
    assert_eq!(moved.len(), 4, "{moved:#?}");
    for line in ["a image reg:4000/db:1: digest was to become `sha256:", "b container db: image was to become `sha256:"]
    {
        assert!(moved.iter().any(|moved| moved.starts_with(line)), "{moved:#?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_container_that_was_stopped_is_refused() {
    for name in ["web", "db"] {
        let (cloud, saved) = changed().await;
        cloud.fakes["b"].machine().stop(name, 1).await.unwrap();
        let moved = refused(&cloud, &saved).await;
        assert_eq!(moved, [format!("b container {name}: state was `running`, and is now `down`")]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_that_was_edited_is_refused() {
    for name in ["web", "db"] {
        let (cloud, saved) = changed().await;
        let path = file_of(&cloud.fakes["a"], name);
        cloud.fakes["a"].world().put(&path, FakeFile::new(*b"by hand", 0o600, "root:root"));
        let moved = refused(&cloud, &saved).await;
        assert_eq!(moved.len(), 1, "{moved:#?}");
        assert!(moved[0].starts_with(&format!("a files {name}: file {name}.conf was `0600 ")), "{moved:#?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_volume_that_is_gone_is_refused() {
    let (mut cloud, _) = changed().await;
    cloud.fakes["a"].machine().volume_create("old", &[].into()).await.unwrap();
    volume(&mut cloud, "a", "old");
    let saved = cloud.look().await;
    cloud.fakes["a"].machine().volume_remove("old").await.unwrap();
    let moved = refused(&cloud, &saved).await;
    assert_eq!(moved, ["a volume old was as wanted, and now there is something to do: create"]);
}

#[tokio::test(start_paused = true)]
async fn a_host_that_came_or_went_and_a_site_that_changed_are_refused() {
    let (mut cloud, saved) = changed().await;
    let whole = cloud.plan.clone();
    cloud.plan.nodes.retain(|node| node.host == "a");
    let moved = refused(&cloud, &saved).await;
    assert!(moved.contains(&"b container web is not in the plan any more".to_owned()), "{moved:#?}");
    let of_one = cloud.look().await;
    cloud.plan = whole;
    let moved = refused(&cloud, &of_one).await;
    assert!(moved.contains(&"b container web is new".to_owned()), "{moved:#?}");

    wanted(&mut cloud, "max = 3");
    let moved = refused(&cloud, &saved).await;
    assert!(moved.iter().any(|line| line.starts_with("a files web: file web.conf was to become `0600 ")), "{moved:#?}");
    assert!(moved.iter().all(|line| line.starts_with("a ") || line.starts_with("b ")), "{moved:#?}");
}

#[tokio::test(start_paused = true)]
async fn what_it_does_not_change_is_not_touched_later_either() {
    let (cloud, mut saved) = changed().await;
    // As if the volume had been there when the plan was saved, and had gone after the last look before it is applied.
    saved.operations.get_mut("b/volume new").unwrap().diff = kolla::op::Diff::Same("there".into());
    let (summary, lines) = cloud.apply_unseen(&saved).await;
    assert_eq!((summary.changed, summary.failed), (7, 1), "{lines:#?}");
    let failed = "b/volume new: failed the saved plan does not change it, and now there is something to do: create";
    assert!(lines.contains(&failed.to_owned()), "{lines:#?}");
    assert!(!cloud.fakes["b"].world().volumes.contains_key("new"));
}

/// Two members of a database, of which `a` has the newer data.
async fn stopped_database() -> Cloud {
    let mut cloud = Cloud::new(&["a", "b"]);
    for (host, last) in [("a", 1), ("b", 0)] {
        let fake = &cloud.fakes[host];
        teach(fake);
        fake.world().publish("reg:4000/db:1", "v1");
        fake.machine().pull("reg:4000/db:1", None, &|_, _| {}).await.unwrap();
        got_to(fake, 7 + last);
        let op = serde_json::json!({
            "kind": "cluster", "stage": "seed", "members": { "a": "10.0.0.1", "b": "10.0.0.2" }, "spec": spec(),
            "volume": "mariadb", "recover": false, "recovery": "kolla mariadb-recovery", "chosen": null,
            "member": {
                "role": "mariadb", "service": "mariadb", "ready": { "ask": "running", "within": 5 },
                "spec": { "name": "mariadb", "image": "reg:4000/db:1" },
            },
        });
        cloud.add(host, serde_json::from_value::<Op>(op).unwrap(), &[]);
    }
    // One after the other, as in a plan.
    cloud.plan.nodes[1].after.push(0);
    cloud
}

/// A member's data, after an orderly stop.
fn got_to(fake: &Fake, position: u32) {
    let text = format!("uuid: a-b\nseqno: {position}\nsafe_to_bootstrap: 0\n");
    fake.world().put(
        "/var/lib/docker/volumes/mariadb/_data/grastate.dat",
        FakeFile::new(text.into_bytes(), 0o660, "root:root"),
    );
}

#[tokio::test(start_paused = true)]
async fn another_member_that_would_start_the_cluster_is_refused() {
    let cloud = stopped_database().await;
    let saved = cloud.look().await;
    assert_eq!(saved.changes().into_iter().collect::<Vec<_>>(), ["a/cluster seed of mariadb"]);
    got_to(&cloud.fakes["b"], 9);
    let would = "run (starts the cluster: its data got furthest, to 9)";
    let line = format!("b cluster seed of mariadb was as wanted, and now there is something to do: {would}");
    assert_eq!(refused(&cloud, &saved).await, [line]);
    got_to(&cloud.fakes["b"], 7);
    let (summary, lines) = cloud.apply(&saved).await.unwrap();
    assert_eq!((summary.changed, summary.same, summary.failed), (1, 1, 0), "{lines:#?}");
    assert_eq!(cloud.apply(&saved).await.unwrap().0.changed, 0);
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_went_down_is_refused() {
    let cloud = stopped_database().await;
    let (summary, lines) = cloud.deploy().await;
    assert_eq!((summary.changed, summary.failed), (1, 0), "{lines:#?}");
    let saved = cloud.look().await;
    assert!(saved.changes().is_empty());
    cloud.fakes["a"].machine().stop("mariadb_seed", 1).await.unwrap();
    assert_eq!(refused(&cloud, &saved).await, ["a cluster seed of mariadb: cluster was `up`, and is now `down`"]);
}

/// Wherever a run is killed, the same command goes on from there, and changes nothing that the plan does not say.
#[tokio::test(start_paused = true)]
async fn a_killed_run_is_resumed() {
    let mut killed = 0;
    loop {
        let (cloud, saved) = changed().await;
        let fake = &cloud.fakes["a"];
        fake.world().dies_after = Some(killed);
        cloud.apply(&saved).await.unwrap();
        fake.world().dies_after = None;
        if fake.world().gone.take().is_none() {
            break;
        }
        let (summary, lines) = cloud.apply(&saved).await.unwrap_or_else(|moved| panic!("{killed}: {moved:#?}"));
        assert_eq!((summary.failed, summary.skipped), (0, 0), "{killed}: {lines:#?}");
        let ended = lines.iter().filter(|line| !line.ends_with(": started") && !line.contains(": same "));
        for line in ended {
            assert!(CHANGES.iter().any(|node| line.starts_with(node)), "{killed}: {line}");
        }
        assert_eq!(cloud.deploy().await.0.changed, 0, "{killed}");
        killed += 1;
    }
    assert!(killed > 16, "it was killed at {killed} places only");
}

/// What `destroy` does on a host on which all sorts of things are: services that run, one of which something outlives and
/// that was stopped, one that was told to stop, what an interrupted replacement left, and what no role of the site knows.
async fn to_be_destroyed() -> Cloud {
    let mut cloud = Cloud::new(&["a", "b"]);
    for host in ["a", "b"] {
        teach(&cloud.fakes[host]);
        for name in ["web", "db", "agent", "old"] {
            cloud.fakes[host].world().publish(&format!("reg:4000/{name}:1"), name);
        }
        for name in ["web", "db", "agent"] {
            service(&mut cloud, host, name, OLD);
            volume(&mut cloud, host, name);
        }
    }
    service(&mut cloud, "a", "old", OLD);
    let (summary, lines) = cloud.deploy().await;
    assert_eq!((summary.failed, summary.skipped), (0, 0), "{lines:#?}");
    // A new one of `web` was made when a run was killed.
    wanted(&mut cloud, NEW);
    cloud.plan.nodes.retain(|node| node.id == "a/files web" || node.id == "a/container web");
    let last = cloud.plan.nodes.len() - 1;
    cloud.plan.nodes[last].after = vec![0];
    let fake = cloud.fakes["a"].clone();
    for writes in 0.. {
        fake.world().dies_after = Some(writes);
        cloud.deploy().await;
        fake.world().dies_after = None;
        assert!(fake.world().gone.take().is_some(), "{:#?}", fake.calls());
        if fake.world().containers.contains_key("web_next") {
            break;
        }
    }
    fake.machine().stop("agent", 1).await.unwrap();
    let id = fake.world().containers["db"].id.clone();
    let note = FakeFile::new(format!("{id}\n").into_bytes(), 0o644, "root:root");
    fake.world().put("/etc/kolla/.applied/db.stopping", note);
    cloud
}

/// The plan of that by what is there now.
fn destroys(cloud: &mut Cloud) {
    cloud.plan = Plan { phase: "destroy".into(), ..Plan::default() };
    let container = |name: &str| Container {
        spec: ContainerSpec { name: name.into(), ..ContainerSpec::default() },
        before_remove: if name == "agent" { vec!["end-all".into()] } else { Vec::new() },
        want: Want::Absent,
        ..Container::default()
    };
    let files =
        |name: &str| FileSet { service: name.into(), container: name.into(), want: Want::Absent, ..FileSet::default() };
    if cloud.fakes["a"].world().containers.contains_key("old") {
        cloud.add("a", container("old"), &[]);
    }
    if cloud.fakes["a"].world().files.keys().any(|path| path.starts_with("/etc/kolla/.sets/old")) {
        cloud.add("a", files("old"), &[]);
    }
    for host in ["a", "b"] {
        for name in ["agent", "db", "web"] {
            let before = cloud.add(host, container(name), &[]);
            cloud.add(host, files(name), &[before]);
            cloud.add(host, Volume { name: name.into(), want: Want::Absent }, &[before]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_killed_destroy_is_resumed() {
    let mut killed = 0;
    loop {
        let mut cloud = to_be_destroyed().await;
        destroys(&mut cloud);
        let saved = cloud.look().await;
        let fake = cloud.fakes["a"].clone();
        fake.world().dies_after = Some(killed);
        cloud.apply(&saved).await.unwrap_or_else(|moved| panic!("{killed}: {moved:#?}"));
        fake.world().dies_after = None;
        let ended = fake.world().gone.take().is_none();
        if !ended {
            destroys(&mut cloud);
            let (summary, lines) = cloud.apply(&saved).await.unwrap_or_else(|moved| panic!("{killed}: {moved:#?}"));
            assert_eq!((summary.failed, summary.skipped), (0, 0), "{killed}: {lines:#?}");
        }
        for fake in cloud.fakes.values() {
            let world = fake.world();
            assert!(world.containers.is_empty() && world.volumes.is_empty(), "{killed}: {:?}", world.containers);
            let files = world.files.iter().filter(|(path, file)| path.starts_with("/etc/kolla/") && !file.folder);
            let left: Vec<&String> = files.map(|(path, _)| path).collect();
            assert!(left.is_empty(), "{killed}: {left:?}");
        }
        if ended {
            break;
        }
        killed += 1;
    }
    assert!(killed > 16, "it was killed at {killed} places only");
}

#[tokio::test(start_paused = true)]
async fn what_somebody_started_since_is_not_destroyed() {
    let mut cloud = to_be_destroyed().await;
    cloud.fakes["b"].machine().stop("web", 1).await.unwrap();
    destroys(&mut cloud);
    let saved = cloud.look().await;
    cloud.fakes["b"].machine().start("web").await.unwrap();
    assert_eq!(refused(&cloud, &saved).await, ["b container web: state of web was nothing, and is now `running`"]);
}
