//! Hosts in memory with a plan that is walked over them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kolla::error::Result;
use kolla::host::fake::{Fake, FakeFile};
use kolla::host::{self, ContainerSpec, Observer, Output, ReadOnly};
use kolla::op::container::Container;
use kolla::op::probe::{Probe, ProbeKind};
use kolla::op::volume::Volume;
use kolla::op::{Op, Peer, Progress, ProgressSink, Shared, Want};
use kolla::plan::{Gate, Node, Plan, Saved};
use kolla::run::event::{Event, Outcome, Sink, Summary};
use kolla::run::{RunContext, WalkOptions, look, walk};
use tokio_util::sync::CancellationToken;

use super::operations::table::asks;

/// Keeps what operations ended like, and may cancel the run at a word.
#[derive(Default)]
pub(super) struct Notes {
    lines: Mutex<Vec<String>>,
    cancel_at: Option<(String, CancellationToken)>,
}

impl Sink for Notes {
    fn event(&self, event: &Event) {
        let line = match event {
            Event::Started { node, .. } => format!("{node}: started"),
            Event::Finished { node, outcome, reason, .. } => {
                let word = match outcome {
                    Outcome::Failed => "failed".to_owned(),
                    outcome => format!("{outcome:?}").to_lowercase(),
                };
                format!("{node}: {word} {reason}").trim_end().to_owned()
            }
            Event::Warning { message, .. } => format!("warning: {message}"),
            _ => return,
        };
        if let Some((word, stop)) = &self.cancel_at
            && line.contains(word.as_str())
        {
            stop.cancel();
        }
        self.lines.lock().unwrap().push(line);
    }
}

pub(super) struct Cloud {
    pub(super) fakes: BTreeMap<String, Fake>,
    pub(super) plan: Plan,
    /// Containers that the site wants on each host, where the plan has none.
    pub(super) serving: Vec<Arc<Container>>,
}

impl Cloud {
    pub(super) fn new(hosts: &[&str]) -> Self {
        let fakes = hosts.iter().map(|name| ((*name).to_owned(), Fake::new(*name))).collect();
        Self { fakes, plan: Plan { phase: "deploy".into(), ..Plan::default() }, serving: Vec::new() }
    }

    pub(super) fn add(&mut self, host: &str, op: impl Into<Op>, after: &[usize]) -> usize {
        let op = op.into();
        let id = format!("{host}/{}", op.operation().subject());
        let node = Node { id, host: host.into(), role: "r".into(), op: Some(op), after: after.to_vec(), gate: None };
        self.plan.nodes.push(node);
        self.plan.nodes.len() - 1
    }

    pub(super) fn volume(&mut self, host: &str, name: &str, after: &[usize]) -> usize {
        self.add(host, Volume { name: name.into(), want: Want::Running }, after)
    }

    /// A container that runs its first image and is wanted with its second: to be replaced through a gate.
    pub(super) async fn gated(&mut self, host: &str, last: bool) -> usize {
        self.member(host, last, "2", ProbeKind::Running).await
    }

    /// The same with the version it is wanted in, and what it takes to be ready.
    pub(super) async fn member(&mut self, host: &str, last: bool, wanted: &str, ready: ProbeKind) -> usize {
        let fake = self.fakes[host].clone();
        for version in ["1", "2"] {
            fake.world().publish(&format!("reg/web:{version}"), version);
            fake.machine().pull(&format!("reg/web:{version}"), None, &|_, _| {}).await.unwrap();
        }
        let container = |version: &str, ask: ProbeKind| Container {
            spec: ContainerSpec {
                name: "web".into(),
                image: format!("reg/web:{version}"),
                restart: true,
                ..Default::default()
            },
            role: "r".into(),
            service: "web".into(),
            ready: Probe { ask, within: 30, ..Probe::default() },
            ..Container::default()
        };
        let mut old = Self { fakes: self.fakes.clone(), plan: Plan::default(), serving: Vec::new() };
        old.add(host, container("1", ProbeKind::Running), &[]);
        assert_eq!(old.walk(false, 0, CancellationToken::new(), None).await.0.changed, 1);
        let index = self.add(host, container(wanted, ready), &[]);
        self.plan.nodes[index].gate = Some(Gate { key: "web".into(), at_once: 1, on_create: false, last });
        index
    }

    /// Three members that run, of which none gets ready again before all have been started a second time: as
    /// RabbitMQ, where each waits for the one that stopped last.
    pub(super) async fn of_members_that_need_each_other(wanted: &str) -> Self {
        let mut cloud = Self::new(&["a", "b", "c"]);
        for host in ["a", "b", "c"] {
            cloud
                .member(host, false, wanted, ProbeKind::Exec { argv: ReadOnly::declared(vec!["all there".into()]) })
                .await;
        }
        let back: Arc<Mutex<BTreeSet<String>>> = Arc::default();
        for (host, fake) in &cloud.fakes {
            let (host, back) = (host.clone(), back.clone());
            let before = fake.world().containers["web"].started;
            fake.on_exec(move |world, container, argv, _| {
                let mut back = back.lock().unwrap();
                if world.containers[container].started != before {
                    back.insert(host.clone());
                }
                (argv == ["all there"]).then(|| Output { code: u32::from(back.len() < 3), ..Output::default() })
            });
        }
        cloud
    }

    /// What a killed `kolla stop` leaves: members were told to stop, and still run when the next one looks.
    pub(super) fn tell_to_stop(&self, hosts: &[&str]) {
        for fake in hosts.iter().map(|host| &self.fakes[*host]) {
            let id = fake.world().containers["web"].id.clone();
            let note = FakeFile::new(format!("{id}\n").into_bytes(), 0o644, "root");
            fake.world().put("/etc/kolla/.applied/web.stopping", note);
        }
    }

    /// The engines do, after a while.
    pub(super) async fn carry_out_stops(&self) {
        tokio::time::sleep(Duration::from_secs(2)).await;
        for fake in self.fakes.values() {
            if fake.world().content("/etc/kolla/.applied/web.stopping").is_some() {
                fake.machine().stop("web", 1).await.unwrap();
            }
        }
    }

    pub(super) async fn walk(
        &self,
        check: bool,
        forks: usize,
        stop: CancellationToken,
        cancel_at: Option<&str>,
    ) -> (Summary, Vec<String>) {
        let notes = Notes { lines: Mutex::default(), cancel_at: cancel_at.map(|word| (word.to_owned(), stop.clone())) };
        let options = WalkOptions { check, forks, stop, only: None };
        self.walk_with(&options, Arc::new(notes)).await
    }

    async fn walk_with(&self, options: &WalkOptions, notes: Arc<Notes>) -> (Summary, Vec<String>) {
        let (summary, lines) = self.try_walk(options, notes).await;
        (summary.unwrap(), lines)
    }

    pub(super) async fn try_walk(&self, options: &WalkOptions, notes: Arc<Notes>) -> (Result<Summary>, Vec<String>) {
        let summary = walk(&self.plan, &self.context(notes.clone()).await, options, notes.clone()).await;
        let lines = notes.lines.lock().unwrap().clone();
        (summary, lines)
    }

    /// What is seen of the hosts now.
    pub(super) async fn look(&self) -> Saved {
        let notes: Arc<Notes> = Arc::default();
        let context = self.context(notes.clone()).await;
        let (_, seen) = look(&self.plan, &context, &WalkOptions::default(), notes).await;
        Saved::of(&self.plan, seen).unwrap()
    }

    /// What `kolla apply` does; else what moved.
    pub(super) async fn apply(&self, saved: &Saved) -> Result<(Summary, Vec<String>), Vec<String>> {
        let moved = saved.moved(&self.look().await);
        if !moved.is_empty() {
            return Err(moved);
        }
        Ok(self.apply_unseen(saved).await)
    }

    /// The same without the look before.
    pub(super) async fn apply_unseen(&self, saved: &Saved) -> (Summary, Vec<String>) {
        let options = WalkOptions { only: Some(saved.changes()), ..WalkOptions::default() };
        self.walk_with(&options, Arc::default()).await
    }

    async fn context(&self, sink: Arc<Notes>) -> RunContext {
        let mut peers = BTreeMap::new();
        let mut machines = BTreeMap::new();
        for (name, fake) in &self.fakes {
            let host = Observer::new(fake.machine());
            let mut ask = host::LookRequest { folders: vec!["/etc/kolla".into()], ..Default::default() };
            self.plan.nodes.iter().filter_map(|node| node.op.as_ref()).for_each(|op| asks(op, &mut ask));
            let look = host.look(&ask).await.unwrap();
            peers.insert(name.clone(), Peer::new(host, look));
            machines.insert(name.clone(), fake.machine());
            fake.forget_calls();
        }
        let mut shared = Shared::new("kolla", false, false, None);
        let serving: Vec<Op> = self.serving.iter().cloned().map(Op::Container).collect();
        shared.containers = self.fakes.keys().map(|name| (name.clone(), serving.clone())).collect();
        shared.sink = ProgressSink::new(move |progress| {
            if let Progress::Warning(message) = progress {
                sink.event(&Event::Warning { host: String::new(), message });
            }
        });
        RunContext { machines: Arc::new(machines), peers: Arc::new(peers), shared: Arc::new(shared) }
    }

    pub(super) async fn deploy(&self) -> (Summary, Vec<String>) {
        self.walk(false, 0, CancellationToken::new(), None).await
    }
}
