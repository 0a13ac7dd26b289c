//! Connects the hosts of a site and takes the one look at each that everything after it goes by.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use futures_util::stream::{FuturesUnordered, StreamExt};
use indexmap::IndexMap;

use super::event::{Event, Sink};
use super::lease::{LeaseWish, SiteLease, Votes};
use crate::error::{Error, HostCause, Result, by_cause};
use crate::host::{Bastions, ContainerState, Grant, LeaseNote, Login, Look, LookRequest, Machine, Observe, here, ssh};
use crate::site::Site;

/// Connections opened at once: sshd's are many, but their logins cost processor time here.
const STARTS: usize = 64;

/// Sessions that stay after the look. One takes 150 kB, and on most hosts of a large site a run has nothing to do.
const KEPT: usize = 256;

/// How hosts are connected.
#[derive(Clone, Default)]
pub struct ConnectOptions {
    /// How this machine logs in.
    pub login: Login,
    /// Told of each request.
    pub observe: Option<Observe>,
}

/// Hosts that answered, and why the others did not.
#[derive(Default)]
pub struct Connected {
    /// Machines by name, in the order asked for.
    pub machines: IndexMap<String, Arc<dyn Machine>>,
    /// What the look brought.
    pub looks: BTreeMap<String, Look>,
    /// The others, in the same order.
    pub failed: IndexMap<String, Error>,
}

impl Connected {
    /// Why hosts cannot be used, each cause once.
    pub fn causes(&self) -> Vec<Error> {
        by_cause(self.failed.values())
    }

    /// The look saw a container run there.
    pub fn runs(&self, host: &str, container: &str) -> bool {
        self.looks.get(host).and_then(|look| look.containers.get(container)).is_some_and(ContainerState::running)
    }
}

/// Connects hosts and looks at each; `request` says what at which. Failures are collected, not returned: what they
/// mean is the caller's to say.
pub async fn connect(
    site: &Site,
    names: &[String],
    options: &ConnectOptions,
    request: impl Fn(&str) -> LookRequest,
    sink: &dyn Sink,
) -> Connected {
    let nobody = LeaseWish::default();
    all(site, names, options, request, &mut Votes::of(&nobody), sink).await
}

/// The same, and takes the site's lease with the looks. Where another run has it, that ends it at once.
pub async fn connect_with_lease(
    site: &Site,
    names: &[String],
    options: &ConnectOptions,
    request: impl Fn(&str) -> LookRequest,
    wish: &LeaseWish,
    sink: &dyn Sink,
) -> (Connected, Result<SiteLease>) {
    let mut votes = Votes::of(wish);
    let connected = all(site, names, options, request, &mut votes, sink).await;
    let lease = votes.decide(&connected.machines).await;
    (connected, lease)
}

async fn all(
    site: &Site,
    names: &[String],
    options: &ConnectOptions,
    request: impl Fn(&str) -> LookRequest,
    votes: &mut Votes<'_>,
    sink: &dyn Sink,
) -> Connected {
    sink.event(&Event::Connecting { hosts: names.to_vec() });
    let (starts, bastions) = (tokio::sync::Semaphore::new(STARTS), Bastions::default());
    let mut answers: FuturesUnordered<_> = names
        .iter()
        .enumerate()
        .map(|(index, name)| {
            let (starts, bastions, request, note) = (&starts, &bastions, request(name), votes.note(name));
            async move {
                let begin = Instant::now();
                let permit = starts.acquire().await;
                let machine = one(site, name, bastions, options).await;
                drop(permit);
                let answer = match machine {
                    Ok(machine) => look(&*machine, &request, note).await.map(|(look, grant)| (machine, look, grant)),
                    Err(error) => Err(error),
                };
                if let Ok((machine, _, None)) = &answer
                    && index >= KEPT
                {
                    machine.rest().await;
                }
                (name.clone(), begin.elapsed(), answer)
            }
        })
        .collect();
    let mut connected = Connected::default();
    let (mut machines, mut failed) = (BTreeMap::new(), BTreeMap::new());
    while let Some((name, took, answer)) = answers.next().await {
        let (address, error, requests) = match answer {
            Ok((machine, look, grant)) => {
                let requests = machine.requests();
                votes.add(&name, grant);
                machines.insert(name.clone(), machine);
                connected.looks.insert(name.clone(), look);
                (None, None, requests)
            }
            Err(error) => {
                let (address, text, hint) = match &error {
                    Error::Host(host) => {
                        (host.address.clone(), host.failure(), host.hint.clone().or_else(|| host.cause.hint()))
                    }
                    other => (None, other.to_string(), None),
                };
                failed.insert(name.clone(), error);
                (address, Some(hint.map_or_else(|| text.clone(), |hint| format!("{text} ({hint})"))), 0)
            }
        };
        let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        sink.event(&Event::Host { host: name, address, error, requests, took_ms });
        if votes.refused().is_some() {
            break;
        }
    }
    for name in names {
        if let Some(machine) = machines.remove(name) {
            connected.machines.insert(name.clone(), machine);
        } else if let Some(error) = failed.remove(name) {
            connected.failed.insert(name.clone(), error);
        }
    }
    connected
}

async fn look(machine: &dyn Machine, request: &LookRequest, note: Option<&LeaseNote>) -> Result<(Look, Option<Grant>)> {
    match note {
        Some(note) => machine.look_and_lease(request, note).await.map(|(look, grant)| (look, Some(grant))),
        None => machine.look(request).await.map(|look| (look, None)),
    }
}

async fn one(site: &Site, name: &str, bastions: &Bastions, options: &ConnectOptions) -> Result<Arc<dyn Machine>> {
    let Some(spec) = site.hosts.get(name) else {
        return Err(Error::host(name, "connect", HostCause::Unreachable("it is not in the inventory".into())));
    };
    if spec.local {
        return here::connect(spec, options.observe.clone());
    }
    ssh::connect(spec, &options.login, bastions, options.observe.clone()).await
}
