//! What a run leaves that was killed, or whose session was lost: a service that ran before runs after.

use kolla::error::HostCause;
use kolla::host::fake::{Behaviour, Fake};
use kolla::host::{ContainerSpec, Output};
use kolla::op::{Diff, Op};
use serde_json::{Value, json};

use super::table::{Table, operation, tables};
use super::{Site, told};
use crate::suite::world::{image_id, teach};

/// A table, and a host on which its container runs.
async fn running(file: &str, patch: &Value) -> (Table, Site) {
    let (_, table) = tables().into_iter().find(|(name, _)| name == file).unwrap();
    let fake = Fake::new("control01");
    teach(&fake);
    table.host.give(&fake);
    let fakes = [("control01".to_owned(), fake)].into();
    let site = Site { fakes, ..Site::default() };
    if *patch != Value::Null {
        let balancer = ContainerSpec { name: "haproxy".into(), image: "reg/web:1".into(), ..Default::default() };
        site.me().machine().create(&balancer).await.unwrap();
        site.me().machine().start("haproxy").await.unwrap();
        // It sends to what has the first image.
        site.me().on_exec(|world, container, argv, _| {
            let up = world.containers.get("web").is_some_and(|web| web.image_id == image_id("v1"));
            let stdout = format!("web,control01,0,{}\n", if up { "UP" } else { "DOWN" });
            (container == "haproxy" && argv == ["ask"]).then(|| Output { stdout: stdout.into(), ..Output::default() })
        });
    }
    let old = operation(&table.base, patch);
    let at = site.view(&old).await;
    site.apply(&old, &Diff::Create(Vec::new()), &at).await.unwrap();
    (table, site)
}

#[tokio::test(start_paused = true)]
async fn a_session_lost_at_a_stop_leaves_nothing_down() {
    let (table, site) = running("container.yml", &Value::Null).await;
    let new = operation(&table.base, &json!({ "spec": { "image": "reg/web:2" } }));
    let at = site.view(&new).await;
    let doomed = site.me().world().containers["web"].clone();
    site.me().fail_next("stop", HostCause::Lost("reset".into()));
    let diff = new.operation().diff(&at).await.unwrap();
    let applied = site.apply_beside(&new, &diff, &at, Some(doomed)).await;
    assert!(told(&applied.unwrap_err()).contains("the container that was there before is back"));
    let states: Vec<(String, String)> =
        site.me().world().containers.iter().map(|(name, web)| (name.clone(), web.state.clone())).collect();
    assert_eq!(states, [("web".to_owned(), "running".to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn one_that_is_put_back_twice_has_its_old_files_both_times() {
    let (table, site) = running("reload.yml", &Value::Null).await;
    site.me().world().publish("reg/web:2", "v2");
    site.me().machine().pull("reg/web:2", None, &|_, _| {}).await.unwrap();
    site.me().behave(&image_id("v2"), Behaviour::exits(1, "boom"));
    site.me().behave("web_validate", Behaviour::exits(0, ""));
    let reload = json!({ "set": "/etc/kolla/.sets/web-bbbbbbbbbbbb", "files": { "web.conf": "b" } });
    let patch = json!({ "spec": { "image": "reg/web:2" }, "configuration": "bbbbbbbbbbbb", "reload": reload });
    let new = operation(&table.base, &patch);
    for _ in 0..2 {
        let at = site.view(&new).await;
        let diff = new.operation().diff(&at).await.unwrap();
        assert!(site.apply(&new, &diff, &at).await.is_err());
        assert_eq!(site.me().world().content("/etc/kolla/web/web.conf"), Some(b"a".to_vec()));
        assert_eq!(site.me().world().containers["web"].state, "running");
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_ends_before_its_turn_is_started() {
    let (table, site) = running("container.yml", &Value::Null).await;
    let stop = operation(&table.base, &json!({ "want": "stopped" }));
    let wanted = operation(&table.base, &Value::Null);
    assert!(site.killed(&stop, 1).await.flatten().is_some());
    let at = site.view(&wanted).await;
    let diff = wanted.operation().diff(&at).await.unwrap();
    assert!(matches!(diff, Diff::Settle(_)), "{diff:?}");
    site.me().machine().stop("web", 1).await.unwrap();
    site.apply(&wanted, &diff, &at).await.unwrap();
    assert_eq!(site.me().world().containers["web"].state, "running");
}

/// The run was killed before the engine had the order.
#[tokio::test(start_paused = true)]
async fn one_whose_stop_never_comes_is_left_alone() {
    let (table, site) = running("container.yml", &Value::Null).await;
    let stop = operation(&table.base, &json!({ "want": "stopped" }));
    let wanted = operation(&table.base, &Value::Null);
    let before = site.me().world().containers["web"].started;
    assert!(site.killed(&stop, 1).await.is_some());
    let at = site.view(&wanted).await;
    let diff = wanted.operation().diff(&at).await.unwrap();
    site.apply(&wanted, &diff, &at).await.unwrap();
    assert_eq!(site.me().world().containers["web"].started, before);
    assert!(!site.diff(&wanted).await.unwrap().differs());
}

#[tokio::test(start_paused = true)]
async fn one_that_the_load_balancer_does_not_send_to_gives_way_to_the_one_before() {
    let balanced =
        json!({ "balanced": { "container": "haproxy", "ask": ["ask"], "backend": "web", "server": "control01" } });
    let (table, site) = running("container.yml", &balanced).await;
    let mut patch = balanced;
    patch["spec"] = json!({ "image": "reg/web:2" });
    let new: Op = operation(&table.base, &patch);
    let at = site.view(&new).await;
    let diff = new.operation().diff(&at).await.unwrap();
    let error = told(&site.apply(&new, &diff, &at).await.unwrap_err());
    assert!(error.starts_with("haproxy on control01 does not send to control01 yet"), "{error}");
    assert!(error.contains("the container that was there before is back"), "{error}");
    let world = site.me().world();
    assert_eq!(world.containers.keys().collect::<Vec<_>>(), ["haproxy", "web"]);
    assert_eq!((&*world.containers["web"].state, &world.containers["web"].image_id), ("running", &image_id("v1")));
}
