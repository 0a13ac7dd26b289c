//! A host that is prepared by a run which is killed at any order that it gives.

use kolla::host::fake::{Fake, FakeFile};
use kolla::op::file::OneFile;
use kolla::op::host_file::HostFile;
use kolla::op::packages::Packages;
use kolla::op::sysctl::Sysctl;
use kolla::op::unit::Unit;
use kolla::plan::Gate;

use super::cloud::Cloud;
use super::world::teach;

const LIMITS: &str = "/etc/security/limits.d/kolla.conf";
const NAMES: &str = "/etc/names";
const ENGINE: &str = "/etc/docker/daemon.json";

/// What `bootstrap-servers` wants of a host: one thing of each kind, of this version.
fn wants(cloud: &mut Cloud, host: &str, version: &str) {
    let file = |path: &str, mode| OneFile::new(path, format!("{version}\n"), mode);
    let packages = Packages { names: vec!["docker.io".into(), format!("tool-{version}")] };
    let sysctl = Sysctl {
        file: "/etc/sysctl.d/90-kolla.conf".into(),
        values: [("net.core.somaxconn".to_owned(), version.to_owned())].into_iter().collect(),
    };
    let mut last = cloud.add(host, packages, &[]);
    last = cloud.add(host, sysctl, &[last]);
    let of_host = HostFile { file: file(LIMITS, 0o644), ..HostFile::default() };
    last = cloud.add(host, of_host, &[last]);
    let block = HostFile { file: file(NAMES, 0o644), block: true, ..HostFile::default() };
    last = cloud.add(host, block, &[last]);
    let unit = Unit { name: "docker".into(), files: vec![file(ENGINE, 0o644)], ..Unit::default() };
    last = cloud.add(host, unit, &[last]);
    let gate = Gate { key: "unit docker".into(), at_once: 1, on_create: false, last: false };
    cloud.plan.nodes[last].gate = Some(gate);
}

fn bare() -> Cloud {
    let cloud = Cloud::new(&["a", "b"]);
    for fake in cloud.fakes.values() {
        teach(fake);
        let mut world = fake.world();
        world.sysctls.insert("net.core.somaxconn".into(), "0".into());
        world.put(NAMES, FakeFile::new(*b"theirs\n", 0o644, "root:root"));
    }
    cloud
}

/// All of it is there, whole, and nothing that only a run needs.
fn prepared(fake: &Fake, version: &str) -> bool {
    let world = fake.world();
    let content = |path: &str| String::from_utf8(world.content(path).unwrap_or_default().clone()).unwrap();
    let files = [LIMITS, ENGINE].iter().all(|path| content(path) == format!("{version}\n"));
    // What it ran with before may still be there: the mark says that it is no more.
    let notes = world.files.keys().filter(|path| path.starts_with("/etc/kolla/.applied/"));
    let notes = notes.filter(|path| !path.starts_with("/etc/kolla/.applied/unit-docker.previous"));
    files
        && content(NAMES) == format!("theirs\n# BEGIN kolla\n{version}\n# END kolla\n")
        && world.packages.contains_key(&format!("tool-{version}"))
        && world.sysctls["net.core.somaxconn"] == version
        && content("/etc/sysctl.d/90-kolla.conf") == format!("net.core.somaxconn = {version}\n")
        && world.units["docker"] == "active"
        && notes.eq(["/etc/kolla/.applied/unit-docker"])
}

#[tokio::test(start_paused = true)]
async fn a_killed_run_is_gone_on_with() {
    // A bare host, and one that is to become another one.
    for versions in [&["1"][..], &["1", "2"]] {
        let last = versions[versions.len() - 1];
        let mut killed = 0;
        loop {
            let mut cloud = bare();
            for version in versions {
                cloud.plan.nodes.clear();
                for host in ["a", "b"] {
                    wants(&mut cloud, host, version);
                }
                if *version != last {
                    assert_eq!(cloud.deploy().await.0.failed, 0);
                }
            }
            let fake = cloud.fakes["a"].clone();
            fake.world().dies_after = Some(killed);
            cloud.deploy().await;
            fake.world().dies_after = None;
            if fake.world().gone.take().is_none() {
                break;
            }
            let (summary, lines) = cloud.deploy().await;
            assert_eq!((summary.failed, summary.skipped), (0, 0), "{killed}: {lines:#?}");
            for (host, fake) in &cloud.fakes {
                assert!(prepared(fake, last), "{killed}: {host}: {:#?}", fake.world().files);
            }
            assert_eq!(cloud.deploy().await.0.changed, 0, "{killed}");
            killed += 1;
        }
        assert!(killed > 6, "it was killed at {killed} places only");
    }
}
