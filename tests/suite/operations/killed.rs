//! A run may be killed, or lose its session, at any order that it gives: every one of every path is tried. Whatever it
//! was, the next run must bring the host to where it should be, and no two containers of the same data may ever run at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kolla::host::fake::{Behaviour, Fake, World};
use kolla::host::{ContainerSpec, Output};
use kolla::op::{Diff, Op};

use super::faulty::{Fault, Faulty, Met};
use super::paths::{Path, SEED, paths};
use super::table::{Table, operation, tables};
use super::{Site, told};
use crate::suite::world::{image_id, teach};

/// More orders than any path has.
const MOST: usize = 64;

/// Names that have the same data.
fn shares_data(name: &str) -> bool {
    ["web", "web_next", "web_previous", SEED].contains(&name)
}

/// Whatever is seen of the host while a path is gone.
#[derive(Default)]
struct Watch {
    beside: Mutex<BTreeSet<String>>,
    states: Mutex<BTreeSet<String>>,
}

impl Watch {
    fn look(&self, world: &World) {
        let ours = || world.containers.iter().filter(|(name, _)| shares_data(name));
        let alive: Vec<&str> = ours()
            .filter(|(_, found)| matches!(&*found.state, "running" | "restarting"))
            .map(|(name, _)| &**name)
            .collect();
        if alive.len() > 1 {
            self.beside.lock().unwrap().insert(alive.join(" beside "));
        }
        let states: Vec<String> =
            ours().map(|(name, found)| format!("{name} {} {}", found.state, found.image_id)).collect();
        let notes = world.files.iter().filter(|(path, _)| path.starts_with("/etc/kolla/.applied/"));
        // Ids are of no interest, only whether a note is of the one that is there.
        let notes: Vec<String> = notes
            .map(|(path, file)| {
                let text = String::from_utf8_lossy(&file.content).into_owned();
                let of =
                    world.containers.iter().find(|(_, found)| text.contains(&found.id)).map_or("", |(name, _)| name);
                format!("{path} {of} {}", text.split_once(' ').map_or("", |(_, rest)| rest))
            })
            .collect();
        self.states.lock().unwrap().insert(format!("{states:?} {notes:?}"));
    }
}

impl Path {
    /// A host on which everything is as it was before the fault.
    async fn host(&self, table: &Table, drained: &Arc<Mutex<bool>>) -> Site {
        let fake = Fake::new("control01");
        teach(&fake);
        table.host.give(&fake);
        for (reference, content) in [("reg/web:1", "v1"), ("reg/web:2", "v2")] {
            fake.world().publish(reference, content);
            fake.machine().pull(reference, None, &|_, _| {}).await.unwrap();
        }
        let balancer = ContainerSpec { name: "haproxy".into(), image: "reg/web:1".into(), ..Default::default() };
        fake.machine().create(&balancer).await.unwrap();
        fake.machine().start("haproxy").await.unwrap();
        let told = drained.clone();
        fake.on_exec(move |world, container, argv, _| {
            let words: Vec<&str> = argv.iter().map(String::as_str).collect();
            let mut drained = told.lock().unwrap();
            let stdout = match words[..] {
                ["tell", _, _, state] => {
                    *drained = state == "drain";
                    ""
                }
                ["ask"] if *drained => "web,control01,0,DRAIN\n",
                ["ask"] if world.running("web") => "web,control01,0,UP\n",
                ["ask"] => "web,control01,0,DOWN\n",
                _ => return None,
            };
            (container == "haproxy").then(|| Output { stdout: stdout.into(), ..Output::default() })
        });
        let site = Site { fakes: [("control01".to_owned(), fake)].into(), ..Site::default() };
        for given in &self.given {
            // One that is started beside what has the same data would not last.
            let name = given["spec"]["name"].as_str().unwrap_or("web");
            if name == SEED {
                let _ = site.me().machine().stop("web", 1).await;
            }
            let op = operation(&table.base, given);
            let at = site.view(&op).await;
            site.apply(&op, &Diff::Create(Vec::new()), &at).await.unwrap();
        }
        for act in self.acts {
            match act.split_once(' ').unwrap() {
                ("stop", name) => site.me().machine().stop(name, 1).await.unwrap(),
                ("crash", name) => site.me().world().containers.get_mut(name).unwrap().state = "restarting".into(),
                (_, name) => site.me().machine().start(name).await.unwrap(),
            }
        }
        if self.bad {
            site.me().behave(&image_id("v2"), Behaviour::exits(1, "boom"));
            site.me().behave("web_validate", Behaviour::exits(0, ""));
            // The process refuses files of the second kind.
            site.me().on_exec(|world, container, argv, _| {
                let new = world.content("/etc/kolla/web/web.conf").is_some_and(|text| text == b"b");
                (container == "web" && argv[0] == "kolla_set_configs" && new).then(|| Output {
                    code: 1,
                    stderr: "unknown word".into(),
                    ..Output::default()
                })
            });
        }
        site
    }

    /// Goes the path with a fault at the order of this number; what became of the fault.
    async fn go(&self, table: &Table, number: usize, fault: Fault, watch: &Arc<Watch>) -> Met {
        let drained = Arc::new(Mutex::new(false));
        let site = self.host(table, &drained).await;
        let message = format!("{}: {fault:?} at order {number}", self.name);
        let op = operation(&table.base, &self.op);
        let eyes = watch.clone();
        let seen = Arc::new(move |world: &World| eyes.look(world));
        let faulty = Faulty::new(site.me(), Some((number, fault)), seen.clone());
        site.me().forget_calls();
        let at = site.view_by(&op, &faulty.machine()).await;
        if let Ok(diff) = op.operation().diff(&at).await
            && diff.differs()
        {
            let _ = site.apply_by(&op, &diff, &at, faulty.machine()).await;
        }
        // The next run has no fault, but the engine may carry out late what was ordered. What fails is tried twice: in the
        // end it must be as before then, too.
        let wanted = self.then.as_ref().map_or_else(|| op.clone(), |then| operation(&table.base, then));
        let calm = Faulty::new(site.me(), None, seen).machine();
        let mut ended = Ok(());
        for _ in 0..2 {
            let at = site.view_by(&wanted, &calm).await;
            ended = match wanted.operation().diff(&at).await {
                Ok(diff) if diff.differs() => site.apply_by(&wanted, &diff, &at, calm.clone()).await,
                Ok(_) => Ok(()),
                Err(error) => Err(error),
            };
            if ended.is_ok() {
                break;
            }
        }
        tokio::time::sleep(Duration::from_secs(10)).await;
        let calls = site.me().writes();
        let message = format!("{message}, of {calls:?}");
        let fails = self.bad && self.then.is_none();
        assert_eq!(ended.is_err(), fails, "{message}: {:?}", ended.as_ref().err().map(told));
        self.check(&site, &wanted, &drained, fails, &message).await;
        faulty.met()
    }

    async fn check(&self, site: &Site, wanted: &Op, drained: &Mutex<bool>, fails: bool, message: &str) {
        if !fails {
            let again = site.diff(wanted).await;
            assert!(again.as_ref().is_ok_and(|diff| !diff.differs()), "{message}: {again:?}");
        }
        assert!(!*drained.lock().unwrap(), "{message}: it is still drained");
        let world = site.me().world();
        let judges: Vec<&String> = world.containers.keys().filter(|name| name.starts_with("judge_")).collect();
        assert_eq!(judges, [""; 0], "{message}");
        let names: Vec<&str> = world.containers.keys().map(String::as_str).filter(|name| shares_data(name)).collect();
        let Some((state, content)) = self.ends else {
            assert_eq!(names, [""; 0], "{message}");
            let notes: Vec<&String> =
                world.files.keys().filter(|path| path.starts_with("/etc/kolla/.applied/")).collect();
            assert_eq!(notes, [""; 0], "{message}");
            return;
        };
        let stopping: Vec<&String> = world.files.keys().filter(|path| path.ends_with(".stopping")).collect();
        assert_eq!(stopping, [""; 0], "{message}");
        if state == "exited" {
            let alive =
                world.containers.values().filter(|found| shares_data(&found.spec.name)).any(|f| f.state == "running");
            assert!(!alive, "{message}: {names:?}");
            return;
        }
        if state.is_empty() {
            // One of the two serves.
            assert!(world.running("web") != world.running(SEED), "{message}: {:?}", states(&world));
            return;
        }
        assert_eq!(names, ["web"], "{message}: {:?}", states(&world));
        let web = &world.containers["web"];
        assert_eq!((&*web.state, &web.image_id), (state, &image_id(content)), "{message}");
        if fails {
            if self.table == "reload.yml" {
                assert_eq!(
                    world.content("/etc/kolla/web/web.conf"),
                    Some(b"a".to_vec()),
                    "{message}: not its old files"
                );
            }
            return;
        }
        let Op::Container(container) = wanted else { unreachable!() };
        if container.spec.name == "web" {
            let mark = world.content("/etc/kolla/.applied/web").unwrap_or_default();
            let ready = format!("{} {}\n", web.id, container.configuration);
            assert_eq!(String::from_utf8_lossy(&mark), ready, "{message}");
        }
    }
}

fn states(world: &World) -> Vec<String> {
    world.containers.iter().map(|(name, found)| format!("{name} {}", found.state)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_run_may_be_killed_at_any_order_of_any_path() {
    let watch = Arc::new(Watch::default());
    let (count, mut points, mut wrong) = (paths().len(), 0, Vec::new());
    let tables: Arc<BTreeMap<String, Table>> = Arc::new(tables().into_iter().collect());
    for path in paths().into_iter().map(Arc::new) {
        for fault in Fault::ALL {
            for number in 0..MOST {
                let (path, tables, eyes, name) = (path.clone(), tables.clone(), watch.clone(), path.name);
                let gone = async move { path.go(&tables[path.table], number, fault, &eyes).await };
                match tokio::spawn(gone).await {
                    Ok(Met::Never) => {
                        assert!(number > 2, "{name} has only {number} orders");
                        break;
                    }
                    Ok(Met::Unfit) => {}
                    Ok(Met::Happened) => points += 1,
                    Err(_) => wrong.push(format!("{name}: {fault:?} at order {number}")),
                }
            }
        }
    }
    let states = watch.states.lock().unwrap().len();
    println!("{points} faults over {count} paths, {states} states of the host seen");
    assert!(watch.beside.lock().unwrap().is_empty(), "the same data at once: {:?}", watch.beside.lock().unwrap());
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(points > 1000 && states > 100, "{points} faults, {states} states");
}
