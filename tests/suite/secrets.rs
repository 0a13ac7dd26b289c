//! No secret leaves the program: not a new one, and not one that still lies on the hosts.
//!
//! A cloud of all built-in roles is deployed to hosts in memory, its secrets are changed, and everything that a run with
//! `--diff` prints and writes is searched for the old and the new ones.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kolla::host::fake::Fake;
use kolla::host::{Look, LookRequest, Observer, Remote};
use kolla::op::fixed::note;
use kolla::op::{Op, Peer, Shared};
use kolla::plan::phase::named;
use kolla::plan::{Fixed, Plan, Saved, Selection};
use kolla::report::{Fanout, JsonLines, RunRecord, Screen, Terminal};
use kolla::run::{RunContext, WalkOptions, look, walk};
use kolla::shell::Mask;

use super::folder::{Folder, repository};
use super::world::teach;

const INVENTORY: &str = "[control]\ncontrol01\n[network]\ncontrol01\n[compute]\ncontrol01\n[storage]\ncontrol01\n\
    [monitoring]\ncontrol01\n";
const GLOBALS: &str = "kolla_internal_vip_address: 10.0.0.100\nnetwork_interface: eth0\n\
    neutron_external_interface: eth1\nenable_openstack_core: true\n";

/// Names of all secrets that there are.
fn names() -> Vec<String> {
    let text = std::fs::read_to_string(repository("etc/passwords.yml")).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#') && line.ends_with(':'));
    lines.map(|line| line.trim_end_matches(':').to_owned()).collect()
}

/// A secret as a person may choose it, and as few would: what URLs, JSON and quotes write in their own ways is in it.
fn long(age: &str, index: usize) -> String {
    format!("{age}{index:02}-p@ss/w%rd:Zq&x+{index:02}-of-a-secret-that-is-long")
}

/// One that is too short to be looked for inside of words.
fn short(age: &str, index: usize) -> String {
    format!("{}{}", if age == "old" { "w" } else { "y" }, char::from(b'g' + u8::try_from(index % 20).unwrap()))
}

/// Ways to write a secret by which it can be read.
fn readable(value: &str) -> Vec<String> {
    let url = |kept: &str| {
        value.bytes().fold(String::new(), |mut text, byte| {
            let c = char::from(byte);
            if c.is_ascii_alphanumeric() || "-._~".contains(c) || kept.contains(c) {
                text.push(c);
            } else {
                let _ = write!(text, "%{byte:02X}");
            }
            text
        })
    };
    vec![value.to_owned(), url(""), url("/"), STANDARD.encode(value), hex::encode(value)]
}

/// The text shows a secret; one of few characters only where it stands alone.
fn shows(text: &str, value: &str) -> bool {
    if value.len() >= 4 {
        return readable(value).iter().any(|written| text.contains(written));
    }
    let inside = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(value)
        .any(|(at, _)| !text[..at].ends_with(inside) && !text[at + value.len()..].starts_with(inside))
}

struct Cloud {
    folder: Folder,
    fakes: BTreeMap<String, Fake>,
}

impl Cloud {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = Folder::new(INVENTORY);
        folder.write("globals.yml", GLOBALS);
        for (path, text) in files {
            folder.write(path, text);
        }
        let fake = Fake::new("control01");
        teach(&fake);
        Self { folder, fakes: BTreeMap::from([("control01".to_owned(), fake)]) }
    }

    fn passwords(&self, value: impl Fn(usize) -> String) {
        let lines = names().into_iter().enumerate().map(|(index, name)| format!("{name}: '{}'\n", value(index)));
        self.folder.write("passwords.yml", &lines.collect::<String>());
    }

    async fn look(&self, host: &str) -> Look {
        let host = Observer::new(self.fakes[host].machine());
        host.look(&LookRequest { folders: vec!["/etc".into()], ..LookRequest::default() }).await.unwrap()
    }

    async fn context(&self, mask: Mask) -> RunContext {
        let mut shared = Shared::new("kolla", true, false, None);
        shared.mask = mask;
        let mut peers = BTreeMap::new();
        for (name, fake) in &self.fakes {
            peers.insert(name.clone(), Peer::new(Observer::new(fake.machine()), self.look(name).await));
        }
        let machines = self.fakes.iter().map(|(name, fake)| (name.clone(), fake.machine())).collect();
        RunContext { machines: Arc::new(machines), peers: Arc::new(peers), shared: Arc::new(shared) }
    }

    /// The site's plan of a phase, and its mask as a run has it.
    fn plan(&self, phase: &str) -> (Plan, Mask) {
        self.folder
            .input(|input| {
                input.overrides.texts().for_each(|text| input.site.mask.learn_file(text));
                let plan = Plan::whole(input)?.select(named(phase).unwrap(), &Selection::default());
                Ok((plan, input.site.mask.clone()))
            })
            .unwrap()
    }

    /// Puts the files of the site on its hosts.
    async fn deploy(&self) {
        for phase in ["bootstrap-servers", "genconfig"] {
            let (mut plan, mask) = self.plan(phase);
            plan.nodes.retain(|node| matches!(node.op, Some(Op::FileSet(_) | Op::HostFile(_))));
            plan.nodes.iter_mut().for_each(|node| node.after.clear());
            let options = WalkOptions::default();
            let sink = Arc::new(Fanout::new(mask.clone(), Vec::new()));
            let summary = walk(&plan, &self.context(mask).await, &options, sink).await.unwrap();
            assert_eq!(summary.failed, 0);
        }
    }

    /// All that `plan --diff --save` prints and writes: on a terminal, as JSON, into its record and the saved plan.
    async fn diff(&self) -> String {
        let (plan, mask) = self.plan("deploy");
        let folder = tempfile::tempdir().unwrap();
        let (terminal, out, err) = Screen::captured();
        let (json, events, _) = Screen::captured();
        terminal.keep_to_itself(mask.clone());
        let record = Arc::new(RunRecord::create(folder.path(), "kolla plan --diff", mask.clone()).unwrap());
        let sinks: Vec<Arc<dyn kolla::run::event::Sink>> =
            vec![Arc::new(Terminal::new(terminal, true)), Arc::new(JsonLines::new(json)), record.clone()];
        let options = WalkOptions { check: true, ..WalkOptions::default() };
        let sink = Arc::new(Fanout::new(mask.clone(), sinks));
        for (host, fake) in &self.fakes {
            for (reference, _) in plan.images() {
                fake.world().publish(&reference, host);
            }
        }
        let (_, seen) = look(&plan, &self.context(mask.clone()).await, &options, sink).await;
        let saved = Saved::of(&plan, seen).unwrap().without_secrets(&mask).unwrap();
        record.finish(0).unwrap();
        let mut text = out.text() + &err.text() + &events.text();
        for entry in std::fs::read_dir(record.folder()).unwrap() {
            text += &std::fs::read_to_string(entry.unwrap().path()).unwrap();
        }
        text + &serde_json::to_string(&saved).unwrap()
    }

    /// Nobody has noted where the secrets are, as before this program did.
    fn forget_notes(&self) {
        for fake in self.fakes.values() {
            fake.world().files.retain(|path, _| !path.ends_with("/.secrets"));
        }
    }
}

fn assert_hidden(text: &str, values: impl IntoIterator<Item = String>, what: &str) {
    let shown: Vec<String> = values.into_iter().filter(|value| shows(text, value)).collect();
    let lines: Vec<&str> = text.lines().filter(|line| shown.iter().any(|value| shows(line, value))).take(4).collect();
    assert!(shown.is_empty(), "{what}: {shown:?} in\n{}", lines.join("\n"));
}

#[tokio::test(start_paused = true)]
async fn changed_secrets_show_neither_their_old_nor_their_new_value() {
    for make in [long, short] {
        let cloud = Cloud::new(&[]);
        cloud.passwords(|index| make("old", index));
        cloud.deploy().await;
        let count = names().len();
        let all = || (0..count).flat_map(|index| [make("old", index), make("new", index)]);
        let mut with_hunks = BTreeSet::new();
        for index in 0..count {
            cloud.passwords(|other| make(if other == index { "new" } else { "old" }, other));
            let text = cloud.diff().await;
            assert_hidden(&text, all(), &names()[index]);
            with_hunks.extend(text.contains(": update\n      @@").then_some(index));
        }
        // The others are in no file.
        assert!(with_hunks.len() > 15, "hunks of {} secrets only", with_hunks.len());
        cloud.passwords(|index| make("new", index));
        let text = cloud.diff().await;
        assert!(text.contains("      -") && text.contains("      +"), "no hunks");
        assert_hidden(&text, all(), "all at once");
        cloud.forget_notes();
        let text = cloud.diff().await;
        assert!(text.contains("      -") && text.contains("      +"), "no hunks");
        assert_hidden(&text, all(), "all at once, without notes");
    }
}

#[tokio::test(start_paused = true)]
async fn secrets_that_an_override_sets_are_hidden_and_options_are_not() {
    let conf = |age: &str| {
        format!(
            "[one]\npassword = hunter2-{age}\nmy_option = plain-{age}\n[two]\nconnection = mysql://u:horse-{age}@h/z\n\
             [three]\ntransport_url = rabbit://a:battery-{age}@h1:5672,b:battery-{age}@h2:5672//\n"
        )
    };
    let words = ["hunter2", "horse", "battery"];
    let values = || words.iter().flat_map(|word| ["old", "new"].map(|age| format!("{word}-{age}")));
    let cloud = Cloud::new(&[("config/nova.conf", &conf("old"))]);
    cloud.passwords(|index| long("old", index));
    cloud.deploy().await;
    cloud.folder.write("config/nova.conf", &conf("new"));
    cloud.folder.write("globals.yml", &format!("{GLOBALS}keystone_token_expiration: 4321\n"));
    let text = cloud.diff().await;
    assert_hidden(&text, values(), "changed");
    for line in ["-my_option = plain-old", "+my_option = plain-new", "+expiration = 4321", "-expiration = "] {
        assert!(text.contains(&format!("      {line}")), "no line {line}");
    }
    assert!(!text.contains("-expiration = *"), "the old value of an ordinary option is hidden");
    std::fs::remove_file(cloud.folder.path("config/nova.conf")).unwrap();
    let text = cloud.diff().await;
    assert_hidden(&text, values(), "gone");
    assert!(text.contains("      -my_option = plain-old"));
    cloud.forget_notes();
    assert_hidden(&cloud.diff().await, values(), "gone, without notes");
}

/// Which secrets a deployment refuses to change, after one with other values.
#[tokio::test(start_paused = true)]
async fn secrets_by_which_services_log_in_cannot_be_changed_by_a_deployment() {
    let cloud = Cloud::new(&[]);
    cloud.passwords(|index| long("old", index));
    let fixed = |cloud: &Cloud| {
        cloud
            .folder
            .input(|input| {
                let whole = Plan::whole(input)?;
                let fixed = Fixed::of(&whole, input.site, input.roles, input.scopes.host("control01"));
                Ok((whole.select(named("deploy").unwrap(), &Selection::default()), fixed))
            })
            .unwrap()
    };
    let (plan, before) = fixed(&cloud);
    let looks = async || BTreeMap::from([("control01".to_owned(), cloud.look("control01").await)]);
    assert_eq!(before.changed(&plan, looks().await.iter()), [], "nothing is noted yet");
    let context = cloud.context(Mask::default()).await;
    let held = &before.to_note(&plan)["control01"];
    note(&Remote::new(context.machines["control01"].clone()), &context.peers["control01"], held, "2026-01-01")
        .await
        .unwrap();
    let looks = looks().await;
    assert!(held.iter().all(|held| held.noted(&looks["control01"])));
    assert!(held.iter().all(|held| context.peers["control01"].look(|look| held.noted(look))));
    assert_eq!(before.changed(&plan, looks.iter()), []);

    cloud.passwords(|index| long("new", index));
    let (plan, after) = fixed(&cloud);
    let errors = after.changed(&plan, looks.iter());
    let names: Vec<&str> = errors.iter().map(|error| error.message.split('`').nth(1).unwrap()).collect();
    assert_eq!(
        names,
        [
            "database_password",
            "glance_database_password",
            "glance_keystone_password",
            "keystone_database_password",
            "neutron_database_password",
            "neutron_keystone_password",
            "nova_api_database_password",
            "nova_database_password",
            "nova_keystone_password",
            "placement_database_password",
            "placement_keystone_password",
            "rabbitmq_cluster_cookie",
            "rabbitmq_password",
        ]
    );
    let error = &errors[0];
    assert!(error.message.contains("deployed with (since 2026-01-01)"), "{}", error.message);
    assert_eq!(error.place.as_ref().unwrap().file, cloud.folder.path("passwords.yml"));
    // Who leaves the services out leaves them as they are.
    let some = Selection { tags: vec!["horizon".into()], ..Selection::default() };
    let horizon = cloud.folder.input(|input| Ok(Plan::whole(input)?.select(named("deploy").unwrap(), &some))).unwrap();
    assert_eq!(after.changed(&horizon, looks.iter()), []);
}
