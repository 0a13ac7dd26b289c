//! All variables of a site, in the tables that scopes look names up in.
//!
//! Most variables are the same on every host. What is evaluated from those alone is kept once for the site;
//! only what depends on a host's own variables, facts or name is kept per host.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use foldhash::{HashMap as FastMap, HashSet as FastSet};
use indexmap::IndexMap;
use minijinja::Value;

use super::compiled::CompiledValue;
use super::scope::Scope;
use super::{Layer, Origin, facts, layer};
use crate::error::InputError;
use crate::shell::Mask;

/// One host as the site describes it.
#[derive(Debug, Clone, Default)]
pub struct HostLayers {
    /// Its name.
    pub name: String,
    /// Its groups, the nearest first.
    pub groups: Vec<String>,
    /// Its groups' variables and its own, lowest first.
    pub layers: Vec<Arc<Layer>>,
    /// Its facts, as JSON of `host::Facts`; none before it was looked at.
    pub facts: Option<serde_json::Value>,
}

/// Values of names that nothing sets, the same for all sites.
pub struct Defaults(Table);

impl Defaults {
    /// Those of a layer.
    pub fn of(layer: Layer) -> Self {
        Self(Tables::default().table(vec![Arc::new(layer)]))
    }

    /// The layer.
    pub fn layer(&self) -> Option<&Layer> {
        self.0.layers.first().map(|layer| &**layer)
    }
}

/// What a site gives to its scopes.
#[derive(Debug, Clone, Default)]
pub struct SiteLayers {
    /// Layers under those of hosts, lowest first: roles, globals.yml.
    pub base: Vec<Arc<Layer>>,
    /// Under all of them, for expressions alone: a name in it counts as one that nothing sets.
    pub defaults: Option<fn() -> &'static Defaults>,
    /// The hosts.
    pub hosts: Vec<HostLayers>,
    /// Layers above those of hosts, lowest first: passwords.yml, `-e`.
    pub top: Vec<Arc<Layer>>,
    /// Names that no layer can set, as `groups`.
    pub constants: Vec<(String, Value)>,
    /// The folder that `lookup('file', ..)` starts from.
    pub folder: std::path::PathBuf,
    /// Names that may be set, though nothing sets them: where one is missed, it is no slip for another.
    pub documented: HashSet<String>,
    /// Names of the secrets that the services have.
    pub secrets: HashSet<String>,
    /// The environment that `lookup('env', ..)` reads.
    pub environment: HashMap<String, String>,
    /// Learns of secrets that templates read.
    pub mask: Mask,
}

/// The scopes of all hosts of a site.
#[derive(Debug, Clone)]
pub struct Scopes {
    hosts: IndexMap<String, Scope>,
    nowhere: Scope,
}

impl Scopes {
    /// The scopes of a site.
    pub fn new(layers: SiteLayers) -> Self {
        let names: Vec<String> = layers.hosts.iter().map(|host| host.name.clone()).collect();
        let shared = Arc::new(Shared::new(layers));
        let hosts = names.into_iter().enumerate().map(|(index, name)| (name, Scope::root(&shared, index)));
        Self { hosts: hosts.collect(), nowhere: Scope::root(&shared, usize::MAX) }
    }

    /// The scope of a host; for a name that is no host, one with the site's variables only.
    pub fn host(&self, name: &str) -> &Scope {
        self.hosts.get(name).unwrap_or(&self.nowhere)
    }

    /// What was missed so far of hosts that were not asked.
    pub fn unasked(&self) -> Unasked {
        let shared = self.nowhere.shared();
        shared.unasked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Mistakes in the templates of all layers, whether anything uses them or not.
    pub fn errors(&self) -> Vec<InputError> {
        let mut found = Vec::new();
        for variable in self.nowhere.shared().variables() {
            variable.compiled().errors(&mut found);
        }
        found
    }
}

/// A variable of one layer.
pub(super) struct Variable {
    name: String,
    layer: Arc<Layer>,
    compiled: OnceLock<Arc<CompiledValue>>,
}

impl Variable {
    /// Its layer's word on it.
    pub(super) fn origin(&self) -> Origin {
        layer::origin(&self.layer, &self.layer.vars[&self.name], self.layer.secret)
    }

    /// Its compiled value.
    pub(super) fn compiled(&self) -> &Arc<CompiledValue> {
        self.compiled.get_or_init(|| {
            let sourced = &self.layer.vars[&self.name];
            Arc::new(CompiledValue::new(self.name.clone(), &sourced.document, &sourced.node, self.layer.secret))
        })
    }
}

/// Layers and the winner of each name.
#[derive(Default)]
pub(super) struct Table {
    /// Lowest first.
    pub(super) layers: Vec<Arc<Layer>>,
    winners: FastMap<String, Arc<Variable>>,
}

impl Table {
    pub(super) fn get(&self, name: &str) -> Option<&Arc<Variable>> {
        self.winners.get(name)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.winners.keys().map(String::as_str)
    }
}

/// Makes tables, so that a layer of many hosts is compiled once.
#[derive(Default)]
struct Tables {
    known: HashMap<*const Layer, Vec<Arc<Variable>>>,
}

impl Tables {
    fn table(&mut self, layers: Vec<Arc<Layer>>) -> Table {
        let mut winners = FastMap::default();
        for layer in &layers {
            let variables = self.known.entry(Arc::as_ptr(layer)).or_insert_with(|| {
                let variable =
                    |name: &String| Variable { name: name.clone(), layer: layer.clone(), compiled: OnceLock::new() };
                layer.vars.keys().map(|name| Arc::new(variable(name))).collect()
            });
            for variable in variables.iter() {
                winners.insert(variable.name.clone(), variable.clone());
            }
        }
        Table { layers, winners }
    }
}

/// A host's part of the site.
#[derive(Default)]
pub(super) struct Host {
    pub(super) table: Table,
    /// What only it has: its name, groups and facts.
    pub(super) specials: FastMap<&'static str, Value>,
    /// Its facts under Ansible's names, made for who asks.
    ansible: OnceLock<Value>,
    pub(super) memo: Memo,
}

impl Host {
    /// A name that only it has.
    pub(super) fn special(&self, name: &str) -> Option<Value> {
        if name != "ansible_facts" {
            return self.specials.get(name).cloned();
        }
        let facts = self.specials.get("facts")?;
        Some(self.ansible.get_or_init(|| facts::ansible(&serde_json::to_value(facts).unwrap_or_default())).clone())
    }
}

/// Everything the scopes of a site share.
pub(super) struct Shared {
    pub(super) base: Table,
    defaults: Option<fn() -> &'static Defaults>,
    pub(super) top: Table,
    pub(super) hosts: IndexMap<String, Host>,
    nowhere: Host,
    pub(super) constants: FastMap<String, Value>,
    pub(super) folder: std::path::PathBuf,
    pub(super) documented: HashSet<String>,
    pub(super) secrets: HashSet<String>,
    pub(super) environment: HashMap<String, String>,
    pub(super) mask: Mask,
    /// Names that mean different things on different hosts.
    varying: FastSet<String>,
    pub(super) memo: Memo,
    /// Texts and template files that came out the same for the whole site.
    pub(super) texts: Memo,
    words: OnceLock<FastMap<String, Vec<String>>>,
    affected: Mutex<HashMap<Vec<String>, Affected>>,
    all: Vec<Arc<Variable>>,
    pub(super) unasked: Mutex<Unasked>,
}

/// What only hosts know that were not asked.
#[derive(Debug, Clone, Default)]
pub struct Unasked {
    /// Networks on which addresses are missed, and of which hosts.
    pub networks: BTreeSet<String>,
    /// Those hosts.
    pub hosts: BTreeSet<String>,
    /// Something looks into stand-ins for facts.
    pub facts: bool,
}

/// Which variables a further layer can change; `None` is all.
pub(super) type Affected = Option<Arc<FastSet<String>>>;

impl Shared {
    fn new(layers: SiteLayers) -> Self {
        let mut tables = Tables::default();
        let base = tables.table(layers.base);
        let top = tables.table(layers.top);
        let mut varying = FastSet::default();
        let mut hosts = IndexMap::new();
        for host in layers.hosts {
            let table = tables.table(host.layers);
            varying.extend(table.names().filter(|name| top.get(name).is_none()).map(str::to_owned));
            let short = host.name.split('.').next().unwrap_or_default();
            let mut specials = FastMap::from_iter([
                ("inventory_hostname", Value::from(host.name.as_str())),
                ("inventory_hostname_short", Value::from(short)),
                ("group_names", Value::from(host.groups)),
            ]);
            if let Some(facts) = &host.facts {
                specials.insert("facts", Value::from(minijinja::value::Serde(facts)));
            }
            hosts.insert(host.name, Host { table, specials, ansible: OnceLock::new(), memo: Memo::default() });
        }
        let mut all: Vec<Arc<Variable>> = tables.known.into_values().flatten().collect();
        // The order of a run's errors must not depend on where the layers lie in memory.
        all.sort_by_cached_key(|variable| {
            let sourced = &variable.layer.vars[&variable.name];
            (sourced.document.file(), sourced.node.line, sourced.node.column)
        });
        Self {
            base,
            defaults: layers.defaults,
            top,
            hosts,
            nowhere: Host::default(),
            constants: layers.constants.into_iter().collect(),
            folder: layers.folder,
            documented: layers.documented,
            secrets: layers.secrets,
            environment: layers.environment,
            mask: layers.mask,
            varying,
            memo: Memo::default(),
            texts: Memo::default(),
            words: OnceLock::new(),
            affected: Mutex::default(),
            all,
            unasked: Mutex::default(),
        }
    }

    pub(super) fn host(&self, index: usize) -> &Host {
        self.hosts.get_index(index).map_or(&self.nowhere, |(_, host)| host)
    }

    /// The variable that stands for a name that nothing sets.
    pub(super) fn default(&self, name: &str) -> Option<&'static Arc<Variable>> {
        self.defaults.and_then(|defaults| defaults().0.get(name))
    }

    pub(super) fn default_names(&self) -> impl Iterator<Item = &str> {
        self.defaults.into_iter().flat_map(|defaults| defaults().0.names())
    }

    /// The name means different things on different hosts.
    pub(super) fn varies(&self, name: &str) -> bool {
        self.varying.contains(name)
    }

    fn variables(&self) -> impl Iterator<Item = &Arc<Variable>> {
        self.all.iter()
    }

    fn sets(&self, name: &str) -> bool {
        self.base.get(name).is_some()
            || self.top.get(name).is_some()
            || self.varying.contains(name)
            || self.constants.contains_key(name)
    }

    /// The variables whose values a layer that sets `names` can change.
    ///
    /// By their words: a variable that mentions a name, or mentions one that does, may depend on it.
    pub(super) fn affected(&self, mut names: Vec<String>) -> Affected {
        if names.iter().any(|name| self.sets(name)) {
            return None;
        }
        names.sort();
        if let Some(known) = self.affected.lock().ok().and_then(|known| known.get(&names).cloned()) {
            return known;
        }
        let words = self.words.get_or_init(|| self.find_words());
        let mut found: FastSet<String> = names.iter().cloned().collect();
        let mut next = names.clone();
        while let Some(word) = next.pop() {
            for name in words.get(&word).into_iter().flatten() {
                if found.insert(name.clone()) {
                    next.push(name.clone());
                }
            }
        }
        let found = Some(Arc::new(found));
        if let Ok(mut known) = self.affected.lock() {
            known.insert(names, found.clone());
        }
        found
    }

    fn find_words(&self) -> FastMap<String, Vec<String>> {
        let mut words: FastMap<String, Vec<String>> = FastMap::default();
        for variable in self.variables() {
            let mut texts = Vec::new();
            variable.compiled().texts(&mut texts);
            let mentioned: FastSet<&str> = texts.into_iter().flat_map(words_of).collect();
            for word in mentioned {
                words.entry(word.to_owned()).or_default().push(variable.name.clone());
            }
        }
        words
    }
}

/// The identifiers in a text.
pub(super) fn words_of(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

/// How far a value's validity reaches: what it was made from is the same for the whole site, for one host, or
/// only under one further layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reach {
    Site,
    Host,
    Layer,
}

/// A variable's value or its error.
pub(super) type Outcome = Result<Value, Arc<InputError>>;

/// Variables that were evaluated.
#[derive(Default)]
pub(super) struct Memo(Mutex<FastMap<String, Outcome>>);

impl Memo {
    pub(super) fn get(&self, name: &str) -> Option<Outcome> {
        self.0.lock().ok()?.get(name).cloned()
    }

    pub(super) fn put(&self, name: &str, outcome: Outcome) {
        if let Ok(mut memo) = self.0.lock() {
            memo.insert(name.to_owned(), outcome);
        }
    }
}
