//! The demo on a cloud in memory: what is made, what is found again, and what is told.

use std::sync::{Arc, Mutex};

use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::demo::{External, Image, Internal, Key};
use super::*;
use crate::error::{Error, HostCause};
use crate::host::fake::Fake;
use crate::host::{HttpAnswer, HttpAsk, Remote};
use crate::op::api::Listing;
use crate::report::{Kept, text};
use crate::run::event::{Event, Outcome, Summary};

/// As much of the APIs as the demo can see: objects by the path that lists them.
#[derive(Default)]
struct Apis {
    objects: Vec<(String, Value)>,
    /// Requests that change something.
    sent: Vec<String>,
    /// What is refused, and in what words.
    refused: Option<(&'static str, u16, &'static str)>,
    /// Of these kinds somebody else makes the next one just before, so that ours is a conflict.
    rivals: Vec<&'static str>,
    /// The run is killed at the change after so many: before it is made, or once it is, if `late`.
    kill: Option<(usize, bool)>,
    killed: bool,
    /// What becomes of new servers.
    server: Value,
    /// How often the console was not yet there.
    silent: usize,
    uploaded: Vec<u8>,
}

fn answer(status: u16, body: &Value) -> HttpAnswer {
    HttpAnswer { status, body: body.to_string().into_bytes(), ..HttpAnswer::default() }
}

fn catalog() -> Value {
    let service = |name: &str, kind: &str, url: &str| {
        let endpoint =
            |interface: &str, url: &str| json!({ "interface": interface, "region_id": "RegionOne", "url": url });
        json!({ "name": name, "type": kind, "endpoints": [endpoint("public", "http://nowhere"), endpoint("internal", url)] })
    };
    json!([
        service("glance", "image", "http://10.0.0.250:9292"),
        service("nova", "compute", "http://10.0.0.250:8774/v2.1"),
        service("neutron", "network", "http://10.0.0.250:9696"),
    ])
}

impl Apis {
    fn answer(&mut self, ask: &HttpAsk) -> Option<HttpAnswer> {
        if ask.method == "GET" || ask.path == "/v3/auth/tokens" || self.killed {
            return self.answered(ask).filter(|_| !self.killed);
        }
        let last = self.kill.take_if(|(left, _)| *left == 0);
        if let Some((left, _)) = &mut self.kill {
            *left -= 1;
        }
        let late = last.map(|(_, late)| late);
        self.killed = late.is_some();
        let answer = if late == Some(false) { None } else { self.answered(ask) };
        answer.filter(|_| !self.killed)
    }

    fn answered(&mut self, ask: &HttpAsk) -> Option<HttpAnswer> {
        if ask.path == "/v3/auth/tokens" {
            let about = json!({ "token": { "project": { "id": "p1" }, "catalog": catalog() } });
            let mut answer = answer(201, &about);
            answer.headers.insert("x-subject-token".into(), "token".into());
            return Some(answer);
        }
        assert!(ask.headers.contains(&("x-auth-token".into(), "token".into())), "{ask:?}");
        let path = ask.path.trim_start_matches("/v2.1").to_owned();
        let body: Value = serde_json::from_slice(&ask.body).unwrap_or_default();
        if ask.method != "GET" && !path.ends_with("/action") {
            self.sent.push(format!("{} {path}", ask.method));
        }
        if let Some((_, status, words)) = self.refused.filter(|(what, ..)| *what == format!("{} {path}", ask.method)) {
            return Some(HttpAnswer { status, body: words.into(), ..HttpAnswer::default() });
        }
        let inner = body.as_object().and_then(|body| body.values().find(|value| value.is_object())).unwrap_or(&body);
        match ask.method.as_str() {
            "GET" => self.list(&path),
            "POST" if path.ends_with("/action") => {
                let early = self.silent > 0;
                self.silent = self.silent.saturating_sub(1);
                let output = json!({ "output": "demo1 login: " });
                if early {
                    Some(answer(404, &json!({ "itemNotFound": { "message": "no console" } })))
                } else {
                    Some(answer(200, &output))
                }
            }
            "POST" => {
                let mut made = inner.clone();
                let id = format!("{}", self.objects.len());
                made["id"] = id.clone().into();
                match path.as_str() {
                    "/v2/images" => made["status"] = "queued".into(),
                    "/v2.0/floatingips" => made["floating_ip_address"] = "10.0.2.157".into(),
                    "/servers" => {
                        made.as_object_mut()?.extend(self.server.as_object()?.clone());
                        let port =
                            json!({ "id": "port1", "device_id": id, "fixed_ips": [{ "ip_address": "10.0.0.7" }] });
                        self.objects.push(("/v2.0/ports".into(), port));
                    }
                    _ => {}
                }
                self.objects.push((path.clone(), made.clone()));
                if let Some(rival) = self.rivals.iter().position(|kind| *kind == path) {
                    self.rivals.remove(rival);
                    return Some(answer(409, &json!({ "conflict": { "message": "it is there" } })));
                }
                // Glance wraps nothing.
                Some(answer(201, &if path == "/v2/images" { made } else { json!({ "made": made }) }))
            }
            _ if path.ends_with("/file") => {
                self.uploaded.clone_from(&ask.body);
                self.change(path.trim_end_matches("/file"), &json!({ "status": "active" }))
            }
            _ if path.ends_with("/add_router_interface") => {
                let router = path.split('/').nth(3)?;
                let port = json!({ "id": "port0", "device_id": router, "subnet": body["subnet_id"] });
                self.objects.push(("/v2.0/ports".into(), port));
                Some(answer(200, &json!({ "id": router })))
            }
            _ => self.change(&path, inner),
        }
    }

    fn change(&mut self, path: &str, with: &Value) -> Option<HttpAnswer> {
        let (list, id) = path.rsplit_once('/')?;
        let found = self.objects.iter_mut().find(|(kind, object)| kind == list && object["id"] == id)?;
        found.1.as_object_mut()?.extend(with.as_object()?.clone());
        Some(HttpAnswer { status: 204, ..HttpAnswer::default() })
    }

    fn list(&self, path: &str) -> Option<HttpAnswer> {
        let (list, query) = path.split_once('?').unwrap_or((path, ""));
        let list = list.trim_end_matches("/detail");
        let wanted: Vec<(&str, &str)> = query.split('&').filter_map(|pair| pair.split_once('=')).collect();
        let fits = |object: &Value| {
            wanted.iter().all(|(key, value)| match *key {
                "fixed_ips" => {
                    Some(object["subnet"].as_str().unwrap_or_default()) == value.strip_prefix("subnet_id%3D")
                }
                "port_range_min" | "port_range_max" => value.parse::<u16>().is_ok_and(|port| object[*key] == port),
                "project_id" | "is_public" => true,
                _ => object[*key] == *value,
            })
        };
        let of = |kind: &str| {
            self.objects.iter().filter(|(path, _)| path == kind).map(|(_, object)| object).collect::<Vec<_>>()
        };
        let (parent, id) = list.rsplit_once('/')?;
        if let Some(one) = of(parent).into_iter().find(|object| object["id"] == id || object["name"] == id) {
            return Some(answer(200, &json!({ "one": one })));
        }
        if list.starts_with("/os-keypairs/") {
            return Some(answer(404, &json!({})));
        }
        Some(answer(200, &json!({ "all": of(list).into_iter().filter(|object| fits(object)).collect::<Vec<_>>() })))
    }
}

struct World {
    fake: Fake,
    apis: Arc<Mutex<Apis>>,
    folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let apis = Arc::new(Mutex::new(Apis { server: json!({ "status": "ACTIVE" }), ..Apis::default() }));
        let quotas = json!({ "id": "p1", "instances": 10, "cores": -1, "ram": 100_000 });
        let group = json!({ "id": "group1", "name": "default" });
        apis.lock().unwrap().objects = vec![("/os-quota-sets".into(), quotas), ("/v2.0/security-groups".into(), group)];
        let fake = Fake::new("control01");
        let answers = apis.clone();
        fake.on_http(move |_, ask| answers.lock().unwrap().answer(ask));
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("cirros-0.6.img"), b"QFI\xfb and all the rest").unwrap();
        Self { fake, apis, folder }
    }

    fn apis(&self) -> std::sync::MutexGuard<'_, Apis> {
        self.apis.lock().unwrap()
    }

    /// Outcomes by subject, and what the demo came to.
    async fn make(&self, check: bool, server: bool) -> (Vec<(String, Outcome)>, Result<(Summary, Option<Server>)>) {
        let cloud = Cloud::log_in(&identity(), self.fake.machine(), check).await.unwrap();
        let image = Image::of(&self.folder.path().join("cirros-0.6.img")).unwrap();
        let demo = Demo { image, external: Some(External::default()), internal: Internal::default(), server };
        let key = || Ok(Key { public: "ssh-ed25519 AAAA".into(), from: "key of mine".into() });
        let kept = Kept::default();
        let made = demo.make(&cloud, key, &CancellationToken::new(), &kept).await;
        let finished = |event: Event| match event {
            Event::Finished { subject, outcome, .. } => Some((subject, outcome)),
            _ => None,
        };
        (kept.events().into_iter().filter_map(finished).collect(), made)
    }
}

fn identity() -> Identity {
    let text = str::to_owned;
    Identity {
        address: text("10.0.0.250"),
        port: 5000,
        user: text("admin"),
        project: text("admin"),
        region: text("RegionOne"),
        ..Identity::default()
    }
}

#[tokio::test]
async fn the_demo_is_made_once_and_found_again() {
    let world = World::new();
    let (dry, told) = world.make(true, true).await;
    assert_eq!(world.apis().sent, Vec::<String>::new());
    let (first, made) = world.make(false, true).await;
    // A dry run says what the other one does.
    assert_eq!((dry, told.unwrap().0), (first.clone(), made.unwrap().0));
    let outcome = |subject: &str| first.iter().find(|(other, _)| other == subject).map(|(_, outcome)| *outcome);
    assert_eq!(outcome("quota set instances"), Some(Outcome::Updated));
    assert_eq!(outcome("quota set cores"), Some(Outcome::Same), "it has no limit");
    assert_eq!(outcome("quota set ram"), Some(Outcome::Same), "it is more already");
    assert_eq!(outcome("image cirros"), Some(Outcome::Created));
    assert_eq!(world.apis().uploaded, b"QFI\xfb and all the rest");
    let find = |kind: &str, name: &str| {
        world.apis().objects.iter().find(|(path, o)| path.ends_with(kind) && o["name"] == name).unwrap().1.clone()
    };
    let (net, router) = (find("/networks", "public1"), find("/routers", "demo-router"));
    assert_eq!(router["external_gateway_info"]["network_id"], net["id"]);
    assert_eq!(find("/subnets", "public1-subnet")["allocation_pools"][0]["end"], "10.0.2.199");

    world.apis().sent.clear();
    let (second, made) = world.make(false, true).await;
    assert_eq!(world.apis().sent, Vec::<String>::new());
    assert!(second.len() == first.len() && second.iter().all(|(_, outcome)| *outcome == Outcome::Same), "{second:?}");
    assert_eq!(made.unwrap().0, Summary { same: first.len(), ..Summary::default() });
}

#[tokio::test]
async fn a_refusal_is_told_in_the_apis_own_words() {
    let world = World::new();
    let words =
        r#"{"NeutronError": {"type": "InvalidInput", "message": "physical_network 'physnet1' unknown", "detail": ""}}"#;
    world.apis().refused = Some(("POST /v2.0/networks", 400, words));
    let error = world.make(false, false).await.1.unwrap_err();
    insta::assert_snapshot!(text::error(&error, false), @r"
    error: network public1: neutron refused POST /v2.0/networks: 400
    caused by: physical_network 'physnet1' unknown
    hint: set `neutron_external_interface` and run `kolla deploy`, or leave it out with `--enable-ext-net 0`
    ");
    // What was made stays, the rest follows.
    world.apis().refused = None;
    world.apis().sent.clear();
    world.make(false, false).await.1.unwrap();
    let sent = world.apis().sent.clone();
    assert!(!sent.iter().any(|sent| sent == "POST /flavors") && sent.iter().any(|sent| sent == "POST /v2.0/networks"));
}

#[tokio::test]
async fn an_upload_that_was_cut_off_goes_into_the_image_that_waits_for_it() {
    let world = World::new();
    world.fake.fail_next("upload", HostCause::Lost("power cut".into()));
    assert!(matches!(world.make(false, false).await.1, Err(Error::Host(_))));
    world.make(false, false).await.1.unwrap();
    let posts = world.apis().sent.iter().filter(|sent| *sent == "POST /v2/images").count();
    assert_eq!((posts, world.apis().uploaded.len()), (1, 21));
}

/// One that `init-runonce` of another machine made between our look and our order.
#[tokio::test]
async fn what_somebody_else_makes_at_the_same_moment_is_taken() {
    let world = World::new();
    let kinds = ["/flavors", "/os-keypairs", "/v2.0/security-group-rules", "/v2.0/networks", "/v2.0/subnets"];
    world.apis().rivals = kinds.into();
    world.make(false, false).await.1.unwrap();
    assert!(world.apis().rivals.is_empty());
    world.apis().sent.clear();
    world.make(false, false).await.1.unwrap();
    assert_eq!(world.apis().sent, Vec::<String>::new());
}

/// Wherever a run is killed, the next one makes what is left, and nothing a second time.
#[tokio::test(start_paused = true)]
async fn a_killed_run_is_gone_on_with() {
    for late in [false, true] {
        let mut kills = 0;
        loop {
            let world = World::new();
            world.apis().kill = Some((kills, late));
            let first = world.make(false, false).await.1;
            if !std::mem::take(&mut world.apis().killed) {
                first.unwrap();
                break;
            }
            assert!(first.is_err());
            world.make(false, false).await.1.unwrap_or_else(|error| panic!("{kills}: {error}"));
            let mut made: Vec<String> = world
                .apis()
                .objects
                .iter()
                .map(|(kind, object)| {
                    let mut object = object.clone();
                    object.as_object_mut().unwrap().remove("id");
                    format!("{kind} {object}")
                })
                .collect();
            let count = made.len();
            made.sort();
            made.dedup();
            assert_eq!(made.len(), count, "{kills}: something was made twice: {made:#?}");
            world.apis().sent.clear();
            world.make(false, false).await.1.unwrap();
            assert_eq!(world.apis().sent, Vec::<String>::new(), "{kills}");
            kills += 1;
        }
        assert!(kills > 20, "it was killed at {kills} places only");
    }
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_goes_on_is_waited_for() {
    for (then, sent) in [("active", 0), ("queued", 1)] {
        let world = World::new();
        let image = json!({ "id": "i1", "name": "cirros", "status": "saving", "disk_format": "qcow2" });
        world.apis().objects.push(("/v2/images".into(), image));
        let settles = async {
            tokio::time::sleep(std::time::Duration::from_secs(20)).await;
            let mut apis = world.apis();
            let image = apis.objects.iter_mut().find(|(kind, _)| kind == "/v2/images").unwrap();
            image.1["status"] = then.into();
        };
        let (made, ()) = tokio::join!(world.make(false, false), settles);
        made.1.unwrap();
        let apis = world.apis();
        assert!(!apis.sent.iter().any(|sent| sent == "POST /v2/images"), "a second image of that name was made");
        assert_eq!(apis.sent.iter().filter(|sent| sent.ends_with("/file")).count(), sent, "{then}");
    }
    let world = World::new();
    let image = json!({ "id": "i1", "name": "cirros", "status": "saving", "disk_format": "qcow2" });
    world.apis().objects.push(("/v2/images".into(), image));
    let error = world.make(false, false).await.1.unwrap_err();
    insta::assert_snapshot!(text::error(&error, false), @r"
    error: image cirros: somebody has been uploading it for 120s
    hint: wait for that, or remove it with `openstack image delete i1`
    ");
}

#[tokio::test(start_paused = true)]
async fn a_server_is_reached_from_outside_once_it_has_booted() {
    let world = World::new();
    world.apis().silent = 3;
    let server = world.make(false, true).await.1.unwrap().1;
    assert_eq!(server, Some(Server { address: "10.0.2.157".into(), console: "demo1 login: ".into() }));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_start_says_why() {
    let world = World::new();
    world.apis().server = json!({ "status": "ERROR", "fault": { "code": 500, "message": "No valid host was found." } });
    let error = world.make(false, true).await.1.unwrap_err();
    insta::assert_snapshot!(text::error(&error, false), @r"
    error: server demo1: it could not be started
    caused by: No valid host was found.
    hint: remove it with `openstack server delete demo1` before the next try
    ");
    world.apis().objects.retain(|(path, _)| path != "/servers");
    world.apis().server = json!({ "status": "BUILD", "OS-EXT-STS:task_state": "spawning" });
    let error = world.make(false, true).await.1.unwrap_err();
    insta::assert_snapshot!(text::error(&error, false), @r"
    error: server demo1: not active after 300s: BUILD spawning
    hint: `kolla logs HOST nova-compute` shows what it waits for
    ");
}

#[tokio::test]
async fn parts_say_whether_they_are_up() {
    let world = World::new();
    world.apis().objects = vec![
        ("/os-services".into(), json!({ "host": "compute01", "binary": "nova-compute", "state": "down" })),
        ("/v2.0/agents".into(), json!({ "host": "network01", "binary": "neutron-l3-agent", "alive": true })),
    ];
    let host = Remote::new(world.fake.machine());
    let session = identity().log_in_at_once(&host).await.unwrap();
    for (service_type, path, state, parts) in [
        ("compute", "/os-services", "state", [("compute01", "nova-compute", false)]),
        ("network", "/v2.0/agents", "alive", [("network01", "neutron-l3-agent", true)]),
    ] {
        let [service_type, path, state] = [service_type, path, state].map(str::to_owned);
        let listing = Listing { service_type, path, state, host: "host".into(), name: "binary".into() };
        let found = session.agents(&host, &listing).await.unwrap();
        let found: Vec<_> = found.iter().map(|part| (&*part.host, &*part.name, part.up)).collect();
        assert_eq!(found, parts);
    }
}
