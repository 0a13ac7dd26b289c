//! Units of several hosts: one that does not run with its new files costs one host, and what its restart takes down serves
//! again before the next one is restarted.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use kolla::host::fake::FakeFile;
use kolla::host::{ContainerSpec, Output, ReadOnly};
use kolla::op::Op;
use kolla::op::container::{Balanced, Container};
use kolla::op::file::OneFile;
use kolla::op::probe::{Probe, ProbeKind};
use kolla::op::unit::Unit;
use kolla::plan::Gate;

use super::cloud::Cloud;
use super::world::teach;

const FILE: &str = "/etc/docker/daemon.json";

fn unit(content: &str) -> Op {
    Op::from(Unit { name: "docker".into(), files: vec![OneFile::new(FILE, content, 0o644)], ..Unit::default() })
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
    let corrected = Cloud { plan: wanted(&hosts, "new").plan, ..cloud };
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

/// Hosts whose container may not always go, and is behind a load balancer in the same one. What was done on all of them, in
/// order.
async fn asked(hosts: &[&str]) -> (Cloud, Arc<Mutex<bool>>, Arc<Mutex<Vec<String>>>) {
    let mut cloud = engines(hosts, "new", true).await;
    let program = |words: &[&str]| ReadOnly::declared(words.iter().map(ToString::to_string).collect());
    cloud.serving = vec![Arc::new(Container {
        spec: ContainerSpec { name: "web".into(), ..ContainerSpec::default() },
        before_replace: Some(Probe {
            ask: ProbeKind::Exec { argv: program(&["may-stop"]) },
            within: 5,
            ..Probe::default()
        }),
        balanced: Some(Balanced {
            container: "web".into(),
            ask: program(&["members"]),
            tell: vec!["tell".into()],
            others: true,
            backend: "back".into(),
            server: "me".into(),
            judge: None,
        }),
        ..Container::default()
    })];
    let (may, done): (Arc<Mutex<bool>>, Arc<Mutex<Vec<String>>>) = (Arc::default(), Arc::default());
    for (host, fake) in &cloud.fakes {
        let (asked, told) = (may.clone(), done.clone());
        let host = host.clone();
        fake.on_exec(move |_, _, argv, _| match argv[0].as_str() {
            "may-stop" => Some(Output { code: u32::from(!*asked.lock().unwrap()), ..Output::default() }),
            "members" => Some(Output { stdout: b"back,me,0,UP\n".to_vec(), ..Output::default() }),
            "tell" => {
                told.lock().unwrap().push(format!("{host}: {}", argv[1..].join(" ")));
                Some(Output::default())
            }
            _ => None,
        });
        let restarts = done.clone();
        fake.on_run(move |_, script, _| {
            script.contains("systemctl restart").then(|| restarts.lock().unwrap().push("restart".into()));
            None
        });
    }
    (cloud, may, done)
}

#[tokio::test(start_paused = true)]
async fn a_restart_asks_what_may_go_down_with_it() {
    let (cloud, may, done) = asked(&["a", "b"]).await;
    let (summary, lines) = cloud.deploy().await;
    assert_eq!((summary.changed, summary.failed, summary.skipped), (0, 1, 1), "{lines:?}");
    assert!(lines.iter().any(|line| line.contains("container web cannot be replaced safely now")), "{lines:?}");
    assert_eq!(*done.lock().unwrap(), [""; 0], "something was done to an engine whose container may not go");
    assert_eq!((content(&cloud, "a").as_str(), content(&cloud, "b").as_str()), ("old", "old"));
    // Nobody takes it for one that has not read its files.
    assert!(cloud.fakes.values().all(|fake| fake.world().content("/etc/kolla/.applied/unit-docker").is_some()));

    *may.lock().unwrap() = true;
    let (summary, lines) = cloud.deploy().await;
    assert_eq!((summary.changed, summary.failed), (2, 0), "{lines:?}");
    let done = done.lock().unwrap().clone();
    let one = ["a: back me drain", "b: back me drain", "restart", "a: back me ready", "b: back me ready"];
    let restarts: Vec<usize> = (0..done.len()).filter(|index| done[*index] == "restart").collect();
    assert_eq!(restarts.len(), 2, "{done:?}");
    assert_eq!(done[..5], one, "{done:?}");
    assert_eq!(done[restarts[1] - 2..restarts[1] + 3], one, "{done:?}");
}

#[tokio::test(start_paused = true)]
async fn load_balancers_send_again_to_what_was_put_back() {
    let (mut cloud, may, done) = asked(&["a"]).await;
    *may.lock().unwrap() = true;
    cloud.plan = wanted(&["a"], "broken").plan;
    let (summary, lines) = cloud.deploy().await;
    assert_eq!((summary.changed, summary.failed), (0, 1), "{lines:?}");
    assert_eq!(content(&cloud, "a"), "old");
    assert_eq!(done.lock().unwrap().last().unwrap(), "a: back me ready");
}
