//! The site's lease: a run that may write has it on most of the hosts that grant it, so that two runs never write at the
//! same time, whichever hosts they are limited to.
//!
//! It is asked for at all these hosts at once, with the looks. Of two runs that start at the same moment each may get
//! some; then both give back, and ask one host after the other, in the same order: who gets the first one gets the rest.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use indexmap::IndexMap;
use tokio_util::sync::CancellationToken;

use super::event::{Event, Sink};
use crate::error::{Error, HostCause, Result, numbered};
use crate::host::{Grant, Lease, LeaseNote, Machine};

/// Hosts that answered.
type Machines = IndexMap<String, Arc<dyn Machine>>;

const ACT: &str = "take the site's lease";
/// How long the first host is waited for when they are asked in order.
const FIRST: Duration = Duration::from_secs(2);
/// How long the next ones are: others, who have lost at the first one, are to give them back.
const NEXT: Duration = Duration::from_secs(15);

/// Which lease a run wants; without hosts none, as a run that only reads.
#[derive(Debug, Clone, Default)]
pub struct LeaseWish {
    /// The hosts that grant it, in an order that is the same for all runs.
    pub hosts: Vec<String>,
    /// What others are told.
    pub note: LeaseNote,
    /// Those that answer are enough.
    pub without_majority: bool,
}

/// The site's lease, held by a run until it is dropped.
#[derive(Debug)]
pub struct SiteLease {
    held: Vec<(String, Lease)>,
    /// Without so many of them it is lost.
    needed: usize,
}

impl SiteLease {
    /// Walks while the lease is held. Where it is lost, nothing new is started, and what runs is finished.
    ///
    /// # Errors
    /// When it was lost before the end.
    pub async fn during<T>(
        &self,
        walk: impl Future<Output = T>,
        stop: &CancellationToken,
        sink: &dyn Sink,
    ) -> Result<T> {
        tokio::pin!(walk);
        let lost = tokio::select! {
            biased;
            lost = self.lost() => lost,
            walked = &mut walk => return Ok(walked),
        };
        let message = format!("{lost}: nothing new is started, what runs is finished");
        sink.event(&Event::Warning { host: String::new(), message });
        stop.cancel();
        walk.await;
        Err(lost)
    }

    /// Resolves when too few hosts are left that grant it.
    async fn lost(&self) -> Error {
        let each = self.held.iter().map(|(host, lease)| async move {
            lease.lost().await;
            host.as_str()
        });
        let mut losses: FuturesUnordered<_> = each.collect();
        let mut gone = Vec::new();
        while let Some(host) = losses.next().await {
            gone.push(host);
            if self.held.len() - gone.len() < self.needed {
                let why = format!("no word from what held it on {}", gone.join(", "));
                return Error::host(host, "hold the site's lease", HostCause::LeaseLost(why));
            }
        }
        std::future::pending().await
    }
}

/// What the hosts said that were asked for the lease.
pub(super) struct Votes<'a> {
    wish: &'a LeaseWish,
    granted: Vec<(String, Lease)>,
    held: Vec<(String, LeaseNote)>,
}

impl<'a> Votes<'a> {
    pub(super) fn of(wish: &'a LeaseWish) -> Self {
        Self { wish, granted: Vec::new(), held: Vec::new() }
    }

    /// What to ask a host with, if it is one that grants the lease.
    pub(super) fn note(&self, host: &str) -> Option<&'a LeaseNote> {
        self.wish.hosts.iter().any(|name| name == host).then_some(&self.wish.note)
    }

    pub(super) fn add(&mut self, host: &str, grant: Option<Grant>) {
        match grant {
            Some(Grant::Granted(lease)) => self.granted.push((host.to_owned(), lease)),
            Some(Grant::Held(holder)) => self.held.push((host.to_owned(), holder)),
            None => {}
        }
    }

    fn majority(&self) -> usize {
        self.wish.hosts.len() / 2 + 1
    }

    /// Another run has it: most of the hosts say so of the same one.
    pub(super) fn refused(&self) -> Option<Error> {
        let same = |holder: &LeaseNote| self.held.iter().filter(|(_, other)| other == holder).count();
        let holder = self.held.iter().find(|(_, holder)| same(holder) >= self.majority());
        holder.map(|(host, holder)| leased(host, holder))
    }

    /// Whether this run has it, once all that answer have.
    pub(super) async fn decide(mut self, machines: &Machines) -> Result<SiteLease> {
        if self.wish.hosts.is_empty() {
            return Ok(SiteLease { held: Vec::new(), needed: 0 });
        }
        if let Some(error) = self.refused() {
            return Err(error);
        }
        let answering: Vec<&String> = self.wish.hosts.iter().filter(|host| machines.contains_key(*host)).collect();
        let needed = if self.wish.without_majority { answering.len().min(self.majority()) } else { self.majority() };
        if self.granted.len() < needed && !self.held.is_empty() {
            self = self.in_order(&answering, needed, machines).await?;
        }
        if self.granted.len() >= needed {
            return Ok(SiteLease { held: self.granted, needed });
        }
        match self.held.last() {
            Some((host, holder)) => Err(leased(host, holder)),
            None => Err(self.too_few(machines)),
        }
    }

    /// Gives back what it got, and asks again, one host after the other.
    async fn in_order(self, answering: &[&String], needed: usize, machines: &Machines) -> Result<Self> {
        let wish = self.wish;
        drop(self);
        let mut votes = Self::of(wish);
        for (asked, host) in answering.iter().enumerate() {
            let Some(machine) = machines.get(*host) else { continue };
            let within = if votes.granted.is_empty() { FIRST } else { NEXT };
            votes.add(host, Some(machine.lease(&wish.note, within).await?));
            if votes.granted.len() + answering.len() - asked - 1 < needed {
                break;
            }
        }
        Ok(votes)
    }

    fn too_few(&self, machines: &Machines) -> Error {
        let silent = self.wish.hosts.iter().filter(|host| !machines.contains_key(*host));
        let silent: Vec<&str> = silent.map(String::as_str).collect();
        let (all, host) = (self.wish.hosts.len(), silent.first().copied().unwrap_or_default());
        let (needed, of) = (self.majority(), numbered(all, "host"));
        let why = format!("{needed} of {of} must grant it, and there is no answer from {}", silent.join(", "));
        Error::host(host, ACT, HostCause::NoMajority(why))
    }
}

fn leased(host: &str, holder: &LeaseNote) -> Error {
    Error::host(host, ACT, HostCause::Leased(holder.to_string()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Mutex;

    use super::*;
    use crate::host::LookRequest;
    use crate::host::fake::Fake;
    use crate::run::event::Summary;

    const HOSTS: [&str; 3] = ["control01", "control02", "control03"];

    #[derive(Default)]
    struct Warnings(Mutex<Vec<String>>);

    impl Sink for Warnings {
        fn event(&self, event: &Event) {
            if let Event::Warning { message, .. } = event {
                self.0.lock().unwrap().push(message.clone());
            }
        }
    }

    struct Site(BTreeMap<String, Fake>);

    impl Site {
        fn new(hosts: &[&str]) -> Self {
            Self(hosts.iter().map(|name| ((*name).to_owned(), Fake::new(*name))).collect())
        }

        /// A run that asks the hosts that `answer`, in this order.
        async fn ask<'a>(&self, wish: &'a LeaseWish, answer: &[&str]) -> (Votes<'a>, Machines) {
            let (mut votes, mut machines) = (Votes::of(wish), Machines::new());
            for host in answer {
                let machine = self.0[*host].machine();
                if let Some(note) = votes.note(host) {
                    votes.add(host, Some(machine.look_and_lease(&LookRequest::default(), note).await.unwrap().1));
                }
                machines.insert((*host).to_owned(), machine);
            }
            (votes, machines)
        }

        async fn take(&self, wish: &LeaseWish, answer: &[&str]) -> Result<SiteLease> {
            let (votes, machines) = self.ask(wish, answer).await;
            votes.decide(&machines).await
        }
    }

    fn wish(command: &str, hosts: &[&str]) -> LeaseWish {
        let note = LeaseNote {
            user: "ops".into(),
            machine: "deploy01".into(),
            pid: 7,
            since: "2026-01-01T00:00:00Z".into(),
            command: command.into(),
        };
        LeaseWish { hosts: hosts.iter().map(|host| (*host).to_owned()).collect(), note, without_majority: false }
    }

    #[tokio::test]
    async fn a_second_run_is_refused_whatever_it_is_limited_to_until_the_first_one_is_gone() {
        let site = Site::new(&HOSTS);
        let first = site.take(&wish("kolla deploy -l control01", &HOSTS), &HOSTS).await.unwrap();
        let second = wish("kolla deploy -l control02", &HOSTS);
        let refused = site.take(&second, &HOSTS).await.unwrap_err();
        assert_eq!(
            refused.to_string(),
            "control01: take the site's lease: another run has it: `kolla deploy -l control01` of ops on deploy01, \
             process 7, since 2026-01-01T00:00:00Z"
        );
        // With one host that does not answer it is the same, and it is known before all have.
        let (votes, _) = site.ask(&second, &HOSTS[..2]).await;
        assert!(votes.refused().is_some());
        drop((votes, first));
        site.take(&second, &HOSTS).await.unwrap();
    }

    #[tokio::test]
    async fn reads_take_none() {
        let site = Site::new(&HOSTS);
        site.take(&LeaseWish::default(), &HOSTS).await.unwrap();
        assert!(site.0.values().all(|fake| fake.world().lease.is_none()));
    }

    #[tokio::test]
    async fn a_majority_is_enough_and_less_is_not() {
        let site = Site::new(&HOSTS);
        let wish = wish("kolla deploy", &HOSTS);
        drop(site.take(&wish, &HOSTS[1..]).await.unwrap());
        let refused = site.take(&wish, &HOSTS[2..]).await.unwrap_err();
        assert_eq!(
            refused.to_string(),
            "control01: take the site's lease: 2 of 3 hosts must grant it, and there is no answer from control01, control02"
        );
        // What it had is given back; and an operator may say that nobody else is at work.
        let without_majority = LeaseWish { without_majority: true, ..wish.clone() };
        let lease = site.take(&without_majority, &HOSTS[2..]).await.unwrap();
        // Not over one that is.
        let second = LeaseWish { note: LeaseNote { pid: 8, ..wish.note.clone() }, ..without_majority };
        assert!(site.take(&second, &HOSTS[2..]).await.unwrap_err().to_string().contains("another run has it"));
        drop(lease);
        assert!(site.take(&second, &[]).await.is_ok());
    }

    #[tokio::test]
    async fn of_two_runs_that_start_at_once_one_gets_it() {
        for hosts in [&HOSTS[..2], &HOSTS[..]] {
            let site = Site::new(hosts);
            let (first, second) = (wish("first", hosts), wish("second", hosts));
            // Each gets the host that it comes to first.
            let backwards: Vec<&str> = hosts.iter().rev().copied().collect();
            let (mut one, mut all) = site.ask(&first, &hosts[..1]).await;
            let (mut two, _) = site.ask(&second, &backwards[..1]).await;
            for host in hosts {
                all.insert((*host).to_owned(), site.0[*host].machine());
            }
            for (votes, rest) in [(&mut one, &hosts[1..]), (&mut two, &backwards[1..])] {
                for host in rest {
                    let grant = site.0[*host].machine().lease(&votes.wish.note, FIRST).await.unwrap();
                    votes.add(host, Some(grant));
                }
            }
            let (one, two) = tokio::join!(one.decide(&all), two.decide(&all));
            assert!(one.is_ok() != two.is_ok(), "{hosts:?}: {one:?} {two:?}");
        }
    }

    #[tokio::test]
    async fn a_run_that_loses_it_starts_nothing_new_and_finishes_what_runs() {
        let site = Site::new(&HOSTS);
        let lease = site.take(&wish("kolla deploy", &HOSTS), &HOSTS).await.unwrap();
        let (stop, sink) = (CancellationToken::new(), Warnings::default());
        let lose = |host: &str| drop(site.0[host].world().lease.take());
        // One of three does not matter.
        lose("control02");
        let walk = async {
            tokio::task::yield_now().await;
            assert!(!stop.is_cancelled());
            lose("control03");
            stop.cancelled().await;
            Summary { changed: 1, ..Summary::default() }
        };
        let error = lease.during(walk, &stop, &sink).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "control03: hold the site's lease: it was lost: no word from what held it on control02, control03"
        );
        assert_eq!(error.exit_code(), 1);
        assert_eq!(*sink.0.lock().unwrap(), [format!("{error}: nothing new is started, what runs is finished")]);
    }
}
