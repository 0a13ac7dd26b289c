//! The walk: what a failure, a gate, an interrupt and a dry run mean for everything else.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kolla::error::HostCause;
use kolla::host::fake::{FakeFile, World};
use kolla::host::{ContainerSpec, Output, ReadOnly};
use kolla::op::container::Container;
use kolla::op::file::OneFile;
use kolla::op::file_set::FileSet;
use kolla::op::probe::{Probe, ProbeKind};
use kolla::plan::Node;
use kolla::run::WalkOptions;
use kolla::run::event::Summary;
use tokio_util::sync::CancellationToken;

use super::cloud::Cloud;

fn ended(lines: &[String]) -> Vec<&str> {
    lines.iter().filter(|line| !line.ends_with(": started")).map(String::as_str).collect()
}

#[tokio::test(start_paused = true)]
async fn a_failure_stops_only_what_depends_on_it() {
    let mut cloud = Cloud::new(&["a", "b"]);
    let first = cloud.volume("a", "one", &[]);
    let second = cloud.volume("a", "two", &[first]);
    // A milestone hands the blame on.
    let milestone =
        Node { id: "r/ready".into(), host: String::new(), role: "r".into(), op: None, after: vec![second], gate: None };
    cloud.plan.nodes.push(milestone);
    cloud.volume("b", "three", &[2]);
    cloud.volume("b", "four", &[]);
    cloud.fakes["a"].fail_next("volume_create", HostCause::TimedOut(60));
    let (summary, lines) = cloud.deploy().await;
    assert_eq!(summary, Summary { changed: 1, same: 0, failed: 1, skipped: 2 });
    let mut ended = ended(&lines);
    ended.sort_unstable();
    assert_eq!(
        ended,
        [
            "a/volume one: failed a: volume_create one: no answer within 60 s",
            "a/volume two: skipped waits for a volume one",
            "b/volume four: created",
            "b/volume three: skipped waits for a volume one",
        ]
    );
}

/// A cloud that something else deployed: `a` has its containers and folders, `b` nothing.
#[tokio::test(start_paused = true)]
async fn what_is_not_of_this_site_is_told_before_anything_is_written() {
    let mut cloud = Cloud::new(&["a", "b"]);
    for host in ["a", "b"] {
        for name in ["web", "db"] {
            let files = vec![OneFile::new(format!("{name}.conf"), "new", 0o600)];
            let set = FileSet { service: name.into(), container: name.into(), files, ..FileSet::default() };
            let set = cloud.add(host, set, &[]);
            let spec = ContainerSpec { name: name.into(), image: "reg/web:1".into(), ..Default::default() };
            let container = Container { spec, service: name.into(), ..Container::default() };
            cloud.add(host, container, &[set]);
        }
        cloud.volume(host, "data", &[]);
    }
    let theirs = cloud.fakes["a"].clone();
    theirs.world().publish("reg/web:1", "1");
    cloud.fakes["b"].world().publish("reg/web:1", "1");
    theirs.machine().pull("reg/web:1", None, &|_, _| {}).await.unwrap();
    for name in ["web", "db_next", "other"] {
        let spec = ContainerSpec { name: name.into(), image: "reg/web:1".into(), ..Default::default() };
        theirs.machine().create(&spec).await.unwrap();
        theirs.world().put(&format!("/etc/kolla/{name}/config.json"), FakeFile::new("{}".as_bytes(), 0o600, "root"));
    }
    // What a saved plan changes makes no difference.
    for only in [None, Some(BTreeSet::new())] {
        let options = WalkOptions { only, ..WalkOptions::default() };
        let (refused, lines) = cloud.try_walk(&options, Arc::default()).await;
        let refused = kolla::report::text::error(&refused.unwrap_err(), false);
        assert_eq!(
            refused,
            "error: a: not of this site, and in its way: folder /etc/kolla/web, container web, container db_next\n\
             hint: remove them if nobody needs them; with `--adopt` this site's own take their place\n"
        );
        for (host, fake) in &cloud.fakes {
            assert_eq!(fake.writes(), [""; 0], "{host} was touched");
        }
        assert!(lines.is_empty(), "{lines:?}");
    }
    // A dry run tells it with all the rest.
    let (summary, lines) = cloud.walk(true, 0, CancellationToken::new(), None).await;
    assert_eq!((summary.failed, summary.changed), (1, 9), "{lines:?}");
}

#[tokio::test(start_paused = true)]
async fn a_lost_host_is_not_asked_again() {
    let mut cloud = Cloud::new(&["a", "b"]);
    cloud.volume("a", "one", &[]);
    // It depends on nothing that failed, only comes later.
    let other = cloud.volume("b", "two", &[]);
    cloud.volume("a", "three", &[other]);
    cloud.fakes["a"].fail_next("volume_create", HostCause::Lost("reset".into()));
    let (summary, lines) = cloud.deploy().await;
    assert_eq!((summary.changed, summary.failed, summary.skipped), (1, 1, 1), "{lines:?}");
    assert!(lines.contains(&"a/volume three: skipped its host was lost".to_owned()), "{lines:?}");
}

#[tokio::test(start_paused = true)]
async fn a_service_that_does_not_answer_is_no_lost_host() {
    let mut cloud = Cloud::new(&["a"]);
    cloud.volume("a", "two", &[]);
    cloud.volume("a", "one", &[]);
    cloud.fakes["a"].fail_next("volume_create", HostCause::NoService("10.0.0.1:15672: connection refused".into()));
    let (summary, lines) = cloud.walk(false, 1, CancellationToken::new(), None).await;
    assert_eq!((summary.failed, summary.changed), (1, 1), "{lines:?}");
}

#[tokio::test(start_paused = true)]
async fn a_gate_lets_one_through_at_a_time_and_the_last_one_last() {
    let mut cloud = Cloud::new(&["a", "b", "c"]);
    for (host, last) in [("a", true), ("b", false), ("c", false)] {
        cloud.gated(host, last).await;
    }
    let (summary, lines) = cloud.deploy().await;
    assert_eq!(summary.changed, 3, "{lines:?}");
    let pairs: Vec<&str> = lines.iter().map(|line| line.split('/').next().unwrap()).collect();
    assert!(pairs.chunks(2).all(|pair| pair[0] == pair[1]), "two at once: {lines:?}");
    assert_eq!(pairs[4], "a", "{lines:?}");
}

#[tokio::test(start_paused = true)]
async fn a_member_that_is_down_comes_before_those_that_serve() {
    let mut cloud = Cloud::new(&["a", "b", "c"]);
    for (host, last) in [("a", true), ("b", false), ("c", false)] {
        cloud.gated(host, last).await;
    }
    cloud.fakes["c"].machine().stop("web", 1).await.unwrap();
    let (summary, lines) = cloud.deploy().await;
    assert_eq!(summary.changed, 3, "{lines:?}");
    let order: Vec<&str> = ended(&lines).iter().map(|line| line.split('/').next().unwrap()).collect();
    assert_eq!(order, ["c", "b", "a"], "{lines:?}");
}

/// A run that was killed had made the new container and ordered the stop of the old one, which still runs.
#[tokio::test(start_paused = true)]
async fn a_member_that_is_about_to_end_comes_before_those_that_serve() {
    let mut cloud = Cloud::new(&["a", "b", "c"]);
    for host in ["a", "b", "c"] {
        cloud.gated(host, false).await;
    }
    let labels = BTreeMap::from([("kolla.site".to_owned(), "kolla".to_owned())]);
    let next = ContainerSpec { name: "web_next".into(), image: "reg/web:2".into(), labels, ..Default::default() };
    cloud.fakes["c"].machine().create(&next).await.unwrap();
    let (summary, lines) = cloud.deploy().await;
    assert_eq!(summary.changed, 3, "{lines:?}");
    assert!(ended(&lines)[0].starts_with("c/"), "{lines:?}");
}

#[tokio::test(start_paused = true)]
async fn members_that_are_all_down_are_started_together_also_in_a_new_version() {
    let cloud = Cloud::of_members_that_need_each_other("2").await;
    for fake in cloud.fakes.values() {
        fake.machine().stop("web", 1).await.unwrap();
    }
    let (summary, lines) = cloud.deploy().await;
    assert_eq!((summary.changed, summary.failed, summary.skipped), (3, 0, 0), "{lines:?}");
}

#[tokio::test(start_paused = true)]
async fn members_that_were_all_told_to_stop_are_started_together() {
    let cloud = Cloud::of_members_that_need_each_other("1").await;
    cloud.tell_to_stop(&["a", "b", "c"]);
    let ((summary, lines), ()) = tokio::join!(cloud.deploy(), cloud.carry_out_stops());
    assert_eq!((summary.changed, summary.failed, summary.skipped), (3, 0, 0), "{lines:?}");
}

/// They are started as they were, together; what is left then is done one at a time.
#[tokio::test(start_paused = true)]
async fn members_that_were_all_told_to_stop_are_replaced_once_they_are_up() {
    let cloud = Cloud::of_members_that_need_each_other("2").await;
    cloud.tell_to_stop(&["a", "b", "c"]);
    let beside: Arc<Mutex<usize>> = Arc::default();
    for (host, fake) in &cloud.fakes {
        let mut others = cloud.fakes.clone();
        others.remove(host);
        let (beside, asked) = (beside.clone(), Mutex::new(0));
        fake.on_exec(move |world, _, _, _| {
            let mut asked = asked.lock().unwrap();
            let replaced = |world: &World| usize::from(world.containers.contains_key("web_previous"));
            let at_once: usize = others.values().map(|other| replaced(&other.world())).sum();
            let mut beside = beside.lock().unwrap();
            *beside = (*beside).max(replaced(world) * at_once);
            // The first answer is no, so that each one is at it for a while.
            *asked += replaced(world);
            (replaced(world) == 1 && *asked == 1).then(|| Output { code: 1, ..Output::default() })
        });
    }
    let ((summary, lines), ()) = tokio::join!(cloud.deploy(), cloud.carry_out_stops());
    assert_eq!((summary.changed, summary.failed, summary.skipped), (3, 0, 0), "{lines:?}");
    assert!(lines.contains(&"a/container web: replaced image".to_owned()), "{lines:?}");
    assert_eq!(*beside.lock().unwrap(), 0, "more than one was replaced at a time");
}

/// A member that was told to stop is started anew, which takes it a while. Another one that serves comes to its turn when
/// that one already runs again, and waits until it is ready.
#[tokio::test(start_paused = true)]
async fn one_that_serves_is_not_touched_while_another_gets_up() {
    let mut cloud = Cloud::new(&["a", "b"]);
    cloud.member("a", false, "1", ProbeKind::Exec { argv: ReadOnly::declared(vec!["slow".into()]) }).await;
    cloud.tell_to_stop(&["a"]);
    let begin = tokio::time::Instant::now();
    cloud.fakes["a"].on_exec(move |_, _, _, _| {
        Some(Output { code: u32::from(begin.elapsed() < Duration::from_secs(20)), ..Output::default() })
    });
    let late = Container {
        spec: ContainerSpec { name: "late".into(), image: "reg/web:1".into(), restart: true, ..Default::default() },
        ready: Probe { within: 30, ..Probe::default() },
        ..Container::default()
    };
    cloud.gated("b", false).await;
    let late = cloud.add("a", late, &[]);
    cloud.plan.nodes.swap(1, late);
    cloud.plan.nodes[late].after = vec![1];
    let ((summary, lines), ()) = tokio::join!(cloud.deploy(), cloud.carry_out_stops());
    assert_eq!((summary.changed, summary.failed), (3, 0), "{lines:?}");
    let at = |line: &str| lines.iter().position(|other| other.starts_with(line));
    assert!(at("a/container late: created") < at("a/container web: ran"), "b came first: {lines:?}");
    assert!(at("a/container web: ran") < at("b/container web: started"), "{lines:?}");
}

/// What it settled by then is told.
#[tokio::test(start_paused = true)]
async fn one_that_was_settled_and_may_not_go_on_says_both() {
    let mut cloud = Cloud::new(&["a", "b"]);
    for host in ["a", "b"] {
        cloud.gated(host, false).await;
    }
    cloud.tell_to_stop(&["a"]);
    let stop = CancellationToken::new();
    let (walked, ()) =
        tokio::join!(cloud.walk(false, 0, stop, Some("a/container web: started")), cloud.carry_out_stops());
    let (summary, lines) = walked;
    assert_eq!((summary.changed, summary.skipped), (1, 1), "{lines:?}");
    let settled = "a/container web: ran its stop was ordered by a run that was killed; what is left: interrupted";
    assert!(lines.contains(&settled.to_owned()), "{lines:?}");
    assert_eq!(cloud.fakes["a"].world().containers["web"].state, "running");
}

#[tokio::test(start_paused = true)]
async fn a_gate_lets_nobody_through_after_a_failure() {
    let mut cloud = Cloud::new(&["a", "b", "c"]);
    for host in ["a", "b", "c"] {
        cloud.gated(host, false).await;
        cloud.fakes[host].fail_next("create", HostCause::Engine { status: 500, message: "disk full".into() });
    }
    let (summary, lines) = cloud.deploy().await;
    assert_eq!((summary.failed, summary.skipped), (1, 2), "{lines:?}");
    let failed = lines.iter().find(|line| line.contains(": failed ")).unwrap();
    let host = failed.split('/').next().unwrap();
    let skipped =
        lines.iter().filter(|line| line.ends_with(&format!("skipped waits for {host} container web"))).count();
    assert_eq!(skipped, 2, "{lines:?}");
}

/// A mistake of the program at one member is a failure like any other.
#[tokio::test(start_paused = true)]
async fn a_gate_lets_nobody_through_after_a_panic() {
    let mut cloud = Cloud::new(&["a", "b", "c"]);
    for host in ["a", "b", "c"] {
        cloud.member(host, false, "2", ProbeKind::Exec { argv: ReadOnly::declared(vec!["ready".into()]) }).await;
        cloud.fakes[host].on_exec(|_, _, _, _| panic!("a mistake"));
    }
    let (summary, lines) = cloud.deploy().await;
    assert_eq!((summary.failed, summary.skipped), (1, 2), "{lines:?}");
}

/// Fewer forks than members: those that need each other take one together.
#[tokio::test(start_paused = true)]
async fn members_that_are_down_are_started_together_with_one_fork() {
    let cloud = Cloud::of_members_that_need_each_other("1").await;
    for fake in cloud.fakes.values() {
        fake.machine().stop("web", 1).await.unwrap();
    }
    let (summary, lines) = cloud.walk(false, 1, CancellationToken::new(), None).await;
    assert_eq!((summary.changed, summary.failed, summary.skipped), (3, 0, 0), "{lines:?}");
}

#[tokio::test(start_paused = true)]
async fn an_interrupt_starts_nothing_new() {
    let mut cloud = Cloud::new(&["a"]);
    let first = cloud.volume("a", "one", &[]);
    cloud.volume("a", "two", &[first]);
    let (summary, lines) = cloud.walk(false, 0, CancellationToken::new(), Some("one: started")).await;
    assert_eq!(ended(&lines), ["a/volume one: created", "a/volume two: skipped interrupted"]);
    assert_eq!((summary.changed, summary.skipped), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn an_interrupt_holds_back_what_waits_for_its_turn() {
    let mut cloud = Cloud::new(&["a"]);
    for name in ["one", "two", "three"] {
        cloud.volume("a", name, &[]);
    }
    // With one fork all three are at it, two of them waiting.
    let (summary, lines) = cloud.walk(false, 1, CancellationToken::new(), Some(": started")).await;
    assert_eq!((summary.changed, summary.skipped), (1, 2), "{lines:?}");
    assert_eq!(lines.iter().filter(|line| line.ends_with("skipped interrupted")).count(), 2, "{lines:?}");
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_says_what_it_would_do_and_writes_nothing() {
    let mut cloud = Cloud::new(&["a"]);
    let first = cloud.volume("a", "one", &[]);
    cloud.volume("a", "two", &[first]);
    cloud.gated("a", false).await;
    let (summary, lines) = cloud.walk(true, 0, CancellationToken::new(), None).await;
    assert_eq!(summary.changed, 3, "{lines:?}");
    assert!(lines.contains(&"a/container web: replaced image".to_owned()), "{lines:?}");
    assert_eq!(cloud.fakes["a"].writes(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_second_run_has_nothing_to_do() {
    let mut cloud = Cloud::new(&["a", "b"]);
    for host in ["a", "b"] {
        cloud.gated(host, false).await;
        cloud.volume(host, "one", &[]);
    }
    assert_eq!(cloud.deploy().await.0.changed, 4);
    let (summary, _) = cloud.deploy().await;
    assert_eq!(summary, Summary { changed: 0, same: 4, failed: 0, skipped: 0 });
}
