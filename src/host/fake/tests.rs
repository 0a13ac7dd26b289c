use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::host::{LeaseNote, Remote};

fn spec(name: &str, image: &str) -> ContainerSpec {
    ContainerSpec { name: name.into(), image: image.into(), restart: true, ..ContainerSpec::default() }
}

#[tokio::test]
async fn a_container_goes_through_the_engines_states() {
    let fake = Fake::new("control01");
    let id = fake.world().publish("reg:4000/kolla/glance-api:1", "glance");
    let host = Remote::new(fake.machine());
    assert!(host.act().create(&spec("glance_api", "reg:4000/kolla/glance-api:1")).await.is_err());
    host.act().pull("reg:4000/kolla/glance-api:1", None, &|_, _| {}).await.unwrap();
    let digest = host.registry_digest("reg:4000/kolla/glance-api:1", None).await.ok();
    assert_eq!(host.image("reg:4000/kolla/glance-api:1").await.unwrap(), Some(ImageState { id: id.clone(), digest }));
    host.act().create(&spec("glance_api", &id)).await.unwrap();
    assert_eq!(host.containers().await.unwrap()["glance_api"].state, "created");
    host.act().start("glance_api").await.unwrap();
    assert!(host.containers().await.unwrap()["glance_api"].running());

    // Replaced by one that fails: the old one comes back under its name.
    host.act().stop("glance_api", 10).await.unwrap();
    host.act().rename("glance_api", "glance_api_previous").await.unwrap();
    fake.behave_once("glance_api", Behaviour::exits(1, "boom"));
    host.act().create(&spec("glance_api", &id)).await.unwrap();
    host.act().start("glance_api").await.unwrap();
    assert_eq!(host.containers().await.unwrap()["glance_api"].state, "restarting");
    assert_eq!(host.logs("glance_api", 5).await.unwrap(), ["boom"]);
    host.act().remove("glance_api").await.unwrap();
    host.act().rename("glance_api_previous", "glance_api").await.unwrap();
    host.act().start("glance_api").await.unwrap();
    assert!(host.containers().await.unwrap()["glance_api"].running());
}

#[tokio::test]
async fn files_written_and_scripts_run_are_seen_by_the_next_look() {
    let fake = Fake::new("control01");
    let host = Remote::new(fake.machine());
    let file = PutFile {
        path: "/etc/kolla/.sets/a/x.conf".into(),
        content: Arc::from(*b"x"),
        mode: 0o600,
        owner: "glance:glance".into(),
    };
    host.act().put(&[file]).await.unwrap();
    host.act().run("set -e\nln -sfn .sets/a /etc/kolla/a && sysctl -w net.x=1", b"").await.unwrap();
    let ask =
        LookRequest { folders: vec!["/etc/kolla".into()], sysctls: vec!["net.x".into()], ..LookRequest::default() };
    let look = host.look(&ask).await.unwrap();
    assert_eq!(look.files["/etc/kolla/.sets/a/x.conf"].mode, "0600");
    assert_eq!(look.files["/etc/kolla/a"].link.as_deref(), Some(".sets/a"));
    assert_eq!(look.sysctls["net.x"], "1");
    assert_eq!(host.read("/etc/kolla/a/x.conf").await.unwrap().as_deref(), Some(b"x".as_slice()));
    host.act().run("rm -rf /etc/kolla/.sets", b"").await.unwrap();
    assert_eq!(host.look(&ask).await.unwrap().files.len(), 2);
}

#[tokio::test]
async fn ordered_failures_leases_and_answers() {
    let fake = Fake::new("control01");
    let host = Remote::new(fake.machine());
    fake.fail_next("volumes", HostCause::Lost("reset".into()));
    assert!(host.volumes("kolla.site=kolla").await.is_err());
    assert!(host.volumes("kolla.site=kolla").await.unwrap().is_empty());

    let note = |command: &str| LeaseNote { command: command.into(), ..LeaseNote::default() };
    let Grant::Granted(lease) = host.act().lease(&note("first"), Duration::ZERO).await.unwrap() else { panic!() };
    let (_, second) = host.act().look_and_lease(&LookRequest::default(), &note("second")).await.unwrap();
    assert!(matches!(second, Grant::Held(holder) if holder == note("first")));
    drop(lease);
    let Grant::Granted(lease) = host.act().lease(&note("second"), Duration::ZERO).await.unwrap() else { panic!() };
    fake.world().lease = None;
    lease.lost().await;

    host.act().volume_create("v", &BTreeMap::new()).await.unwrap();
    fake.answer_http("", 9292, "/health", 200, "OK");
    let mut ask =
        HttpAsk { address: "127.0.0.1".into(), port: 9292, path: "/healthcheck".into(), ..HttpAsk::default() };
    assert_eq!(host.get(&ask, Duration::from_secs(1)).await.unwrap().status, 200);
    ask.port = 1;
    assert!(host.get(&ask, Duration::from_secs(1)).await.is_err());
    assert_eq!(fake.writes(), ["volume_create v"]);
}
