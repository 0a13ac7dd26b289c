//! Units of several hosts: one that does not run with its new files costs one host, and what its restart takes down serves
//! again before the next one is restarted.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use kolla::host::ContainerSpec;
use kolla::host::fake::FakeFile;
use kolla::op::Op;
use kolla::op::files::OneFile;
use kolla::op::unit::Unit;
use kolla::plan::Gate;

use super::walk::Cloud;
use super::world::teach;

const FILE: &str = "/etc/docker/daemon.json";

fn unit(content: &str) -> Op {
    Op::Unit(Unit { name: "docker".into(), files: vec![OneFile::new(FILE, content, 0o644)], ..Unit::default() })
}

fn wanted(hosts: &[&str], content: &str) -> Cloud {
    let mut cloud = Cloud::new(hosts);
    for host in hosts {
        let index = cloud.add(host, unit(content), &[]);
        let gate = Gate { key: "unit docker".into(), at_once: 1, on_create: false, last: false };
        cloud.plan.nodes[index].gate = Some(gate);
    }
    cloud
}

/// Hosts whose engine took over its old file and is wanted with another one; with a container of the site, if `serves`.
async fn engines(hosts: &[&str], content: &str, serves: bool) -> Cloud {
    let mut old = wanted(hosts, "old");
    old.fakes.values().for_each(teach);
    let (summary, lines) = old.deploy().await;
    assert_eq!(summary.changed, hosts.len(), "{lines:?}");
    if serves {
        for fake in old.fakes.values() {
            fake.world().publish("reg/web:1", "1");
            fake.machine().pull("reg/web:1", None, &|_, _| {}).await.unwrap();
            let labels = [("kolla.site".to_owned(), "kolla".to_owned())].into();
            let spec = ContainerSpec { name: "web".into(), image: "reg/web:1".into(), labels, ..Default::default() };
            fake.machine().create(&spec).await.unwrap();
            fake.machine().start("web").await.unwrap();
        }
    }
    old.plan = wanted(hosts, content).plan;
    old
}

fn content(cloud: &Cloud, host: &str) -> String {
    String::from_utf8(cloud.fakes[host].world().content(FILE).unwrap()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_bad_option_costs_one_engine_and_that_for_a_moment() {
    let hosts = ["a", "b", "c", "d"];
    let cloud = engines(&hosts, "broken", true).await;
    let (summary, lines) = cloud.deploy().await;
    assert_eq!((summary.failed, summary.skipped, summary.changed), (1, 3, 0), "{lines:?}");
    for host in hosts {
        assert_eq!(content(&cloud, host), "old");
        assert_eq!(cloud.fakes[host].world().units["docker"], "active");
    }
    let restarted = |host: &&str| cloud.fakes[*host].calls().iter().any(|call| call.contains("systemctl restart"));
    assert_eq!(hosts.iter().filter(|host| restarted(host)).count(), 1);

    // The corrected option reaches all of them.
    let corrected = Cloud { fakes: cloud.fakes.clone(), plan: wanted(&hosts, "new").plan };
    let (summary, lines) = corrected.deploy().await;
    assert_eq!((summary.failed, summary.changed), (0, 4), "{lines:?}");
    assert!(hosts.iter().all(|host| content(&corrected, host) == "new"));
}

#[tokio::test(start_paused = true)]
async fn hosts_on_which_nothing_runs_do_not_wait_for_each_other() {
    let cloud = engines(&["a", "b", "c"], "broken", false).await;
    let (summary, lines) = cloud.deploy().await;
    assert_eq!((summary.failed, summary.skipped), (3, 0), "{lines:?}");
}

/// Restarts of an engine stop its containers, which start again by themselves after a while. What was seen at each
/// restart: how many containers of other hosts did not run.
fn take_containers_down(cloud: &Cloud) -> Arc<Mutex<Vec<usize>>> {
    let seen: Arc<Mutex<Vec<usize>>> = Arc::default();
    for (host, fake) in &cloud.fakes {
        let mut others = cloud.fakes.clone();
        others.remove(host);
        let seen = seen.clone();
        fake.on_run(move |world, script, _| {
            if script.contains("systemctl restart") {
                seen.lock().unwrap().push(others.values().filter(|other| !other.world().running("web")).count());
                world.containers.get_mut("web").unwrap().state = "exited".into();
            }
            None
        });
    }
    seen
}

/// Walks while containers that are down get up after 20 s.
async fn deploy_while_they_get_up(cloud: &Cloud) -> (kolla::run::event::Summary, Vec<String>) {
    let get_up = async {
        loop {
            tokio::time::sleep(Duration::from_secs(20)).await;
            for fake in cloud.fakes.values() {
                fake.machine().start("web").await.unwrap();
            }
        }
    };
    tokio::select! {
        walked = cloud.deploy() => walked,
        () = get_up => unreachable!(),
    }
}

#[tokio::test(start_paused = true)]
async fn the_next_engine_waits_for_what_a_restart_took_down() {
    let cloud = engines(&["a", "b", "c"], "new", true).await;
    let seen = take_containers_down(&cloud);
    let (summary, lines) = deploy_while_they_get_up(&cloud).await;
    assert_eq!((summary.changed, summary.failed), (3, 0), "{lines:?}");
    assert_eq!(*seen.lock().unwrap(), [0, 0, 0], "{lines:?}");
    for fake in cloud.fakes.values() {
        assert!(fake.world().content("/etc/kolla/.applied/unit-docker.containers").is_none());
    }
}

/// A run was killed after it had restarted an engine and before its container served again.
#[tokio::test(start_paused = true)]
async fn what_a_killed_run_took_down_is_waited_for() {
    let cloud = engines(&["a", "b"], "new", true).await;
    {
        let mut world = cloud.fakes["a"].world();
        world.put("/etc/kolla/.applied/unit-docker.containers", FakeFile::new(*b"web\n", 0o644, "root:root"));
        world.containers.get_mut("web").unwrap().state = "exited".into();
    }
    let seen = take_containers_down(&cloud);
    let (summary, lines) = deploy_while_they_get_up(&cloud).await;
    assert_eq!((summary.changed, summary.failed), (2, 0), "{lines:?}");
    // First the one whose own container is down anyway.
    assert_eq!(*seen.lock().unwrap(), [0, 0], "{lines:?}");
    assert!(lines[0].starts_with("a/"), "{lines:?}");
}
