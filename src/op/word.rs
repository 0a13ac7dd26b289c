//! Words of a role that become operations. The file of each operation says what is written under its word, what that means
//! on a host, and what it needs for that; the tables of [`words`](super::words) list them. What reads roles, makes plans and
//! describes the language goes by these tables.

use super::Op;
use super::file::OneFile;
use crate::host::{ContainerSpec, LookRequest};
use crate::source::{Document, Key, Node};
use crate::template::Values;

/// A word, what is written under it, and what it means.
#[derive(Debug)]
pub struct Word<M> {
    /// The word, and what is written under it.
    pub key: Key,
    /// What it means.
    pub means: M,
}

/// The keys of a table of words.
pub(super) const fn keys<M, const N: usize>(words: &[&'static Word<M>; N]) -> [&'static Key; N] {
    let mut keys = [&words[0].key; N];
    let mut at = 0;
    while at < N {
        keys[at] = &words[at].key;
        at += 1;
    }
    keys
}

/// A kind of step.
#[derive(Debug)]
pub struct Step {
    /// Where it is done.
    pub at: At,
    /// What it waits for.
    pub waits_for: WaitsFor,
    /// What services of other roles it uses.
    pub uses: &'static [&'static Offer],
    /// The operation that it becomes.
    pub resolve: fn(&Node, &mut StepContext<'_, '_>) -> Op,
}

/// On which service's first host a step is done.
#[derive(Debug, Clone, Copy)]
pub enum At {
    /// The one that offers this.
    Offer(&'static Offer),
    /// The role's own that the step names as its `service`; on all of its hosts where the role says so.
    Service,
    /// The same; what its container is made of is needed, too.
    Container,
}

/// What a step waits for beside the `needs` that it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitsFor {
    /// The roles that offer what it uses.
    Offers,
    /// The same, and the load balancer where one is before these: it reaches them as its service does.
    OffersAsService,
    /// All that the role needs.
    Needs,
}

/// What a service offers to steps of other roles: a key of services.
#[derive(Debug)]
pub struct Offer {
    /// The key, and what is written under it.
    pub key: Key,
    /// What it is, as `database`.
    pub what: &'static str,
}

/// A service that offers something.
#[derive(Debug, Clone, Copy)]
pub struct Offered<'a> {
    /// Its key.
    pub key: &'static str,
    /// The file of its role.
    pub document: &'a Document,
    /// What is written under the key.
    pub node: &'a Node,
    /// Its container.
    pub container: &'a str,
}

/// What a step becomes an operation by.
pub struct StepContext<'g, 'a> {
    /// Values of its role on its host.
    pub values: &'g mut Values<'a>,
    /// What it uses.
    pub offered: &'g [Offered<'g>],
    /// The container of the service that it names.
    pub container: ContainerSpec,
    /// It comes before the role's containers.
    pub before: bool,
}

impl StepContext<'_, '_> {
    /// What one of those it [uses](Step::uses) comes to on its host.
    pub fn offered<T: Default>(&mut self, offer: &Offer, read: impl FnOnce(&Node, &str, &mut Values<'_>) -> T) -> T {
        let Some(offered) = self.offered.iter().find(|offered| offered.key == offer.key.0) else { return T::default() };
        read(offered.node, offered.container, &mut self.values.of_document(offered.document))
    }
}

/// A kind of preparation of a host.
#[derive(Debug)]
pub struct Preparation {
    /// Hosts at a time where the role does not say; 0 is all.
    pub serial: u32,
    /// What the look at a host has to bring for it, beside its files.
    pub look: fn(&Node, &mut HostContext<'_, '_>, &mut LookRequest),
    /// The operation that it becomes.
    pub resolve: fn(&Node, &mut HostContext<'_, '_>) -> Option<Op>,
}

/// What a preparation becomes an operation by.
pub struct HostContext<'g, 'a> {
    /// Values of its role on its host.
    pub values: &'g mut Values<'a>,
    /// Its role.
    pub role: &'g str,
    /// Its files, as they are made for this host.
    pub files: Vec<OneFile>,
}
