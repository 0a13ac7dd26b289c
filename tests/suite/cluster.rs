//! Clusters: what the built-in role says of Galera, and what members wait for together in one run.

use std::time::Duration;

use kolla::host::Output;
use kolla::host::fake::Fake;
use kolla::op::Op;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::cloud::Cloud;
use super::folder::{Folder, repository};
use super::world::teach;

/// What the built-in role says of MariaDB's cluster.
pub(super) fn spec() -> Value {
    let plan = Folder::new("[control]\nc1\n").plan().unwrap();
    let found = plan.nodes.iter().find_map(|node| match &node.op {
        Some(Op::Cluster(cluster)) => Some(serde_json::to_value(&cluster.spec).unwrap()),
        _ => None,
    });
    found.expect("MariaDB forms a cluster")
}

#[test]
fn the_table_of_operations_has_what_the_role_says() {
    let text = std::fs::read_to_string(repository("tests/cases/op/cluster.yml")).unwrap();
    let table: Value = serde_yaml::from_str(&text).unwrap();
    assert_eq!(table["base"]["spec"], spec());
}

/// A member that runs, and what its database says: `outside` of the cluster of the others until it starts again.
async fn runs(fake: &Fake, outside: bool) {
    teach(fake);
    fake.world().publish("reg:4000/db:1", "v1");
    let machine = fake.machine();
    machine.pull("reg:4000/db:1", None, &|_, _| {}).await.unwrap();
    let labels = json!({ "kolla.site": "kolla" });
    let spec = json!({ "name": "mariadb", "image": "reg:4000/db:1", "labels": labels });
    machine.create(&serde_json::from_value(spec).unwrap()).await.unwrap();
    machine.start("mariadb").await.unwrap();
    let before = fake.world().containers["mariadb"].started;
    fake.on_exec(move |world, container, argv, _| {
        let joined = !outside || world.containers[container].started != before;
        let (status, size) = if joined { ("Primary", 3) } else { ("non-Primary", 1) };
        let said = [("status", status.to_owned()), ("state_uuid", "a-b".to_owned()), ("size", size.to_string())];
        let said = said.map(|(name, value)| format!("wsrep_cluster_{name}\t{value}\n")).concat();
        (argv[0] == "mariadb").then(|| Output { stdout: said.into_bytes(), ..Output::default() })
    });
}

/// Operations of all members, as a plan has them: the positions at once, then the seeds one after the other.
fn decides(cloud: &mut Cloud, recover: bool) {
    let mut before = Vec::new();
    for stage in ["position", "seed"] {
        let mut done = Vec::new();
        for host in ["a", "b", "c"].into_iter().filter(|_| recover || stage == "seed") {
            let op = json!({
                "kind": "cluster", "stage": stage, "spec": spec(), "volume": "mariadb", "recover": recover,
                "recovery": "kolla mariadb-recovery", "chosen": null,
                "members": { "a": "10.0.0.1", "b": "10.0.0.2", "c": "10.0.0.3" },
                "member": {
                    "role": "mariadb", "service": "mariadb", "ready": { "ask": "running", "within": 5 },
                    "spec": { "name": "mariadb", "image": "reg:4000/db:1" },
                },
            });
            let after: Vec<usize> = if stage == "seed" { [&before[..], &done[..]].concat() } else { before.clone() };
            done.push(cloud.add(host, serde_json::from_value::<kolla::op::Op>(op).unwrap(), &after));
        }
        before = done;
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_is_outside_is_waited_for_once_a_run() {
    for recover in [true, false] {
        let mut cloud = Cloud::new(&["a", "b", "c"]);
        for (host, fake) in &cloud.fakes {
            runs(fake, host == "c").await;
        }
        decides(&mut cloud, recover);
        let began = Instant::now();
        let (summary, lines) = cloud.deploy().await;
        assert_eq!((summary.changed, summary.failed), (1, 0), "{lines:#?}");
        let joined = lines.iter().any(|line| line.starts_with("c/cluster seed of mariadb: ran starts again, to join"));
        assert!(joined, "{lines:#?}");
        // It gets its 30 s to come by itself, but not before each member's turn.
        let took = began.elapsed();
        assert!((Duration::from_secs(30)..Duration::from_secs(45)).contains(&took), "{recover}: {took:?}");
    }
}
