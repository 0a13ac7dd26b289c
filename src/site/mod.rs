//! What the operator wrote: inventory, globals.yml, passwords.yml, overrides, `-e`. Immutable once loaded.
//!
//! Precedence, low to high: roles, globals.yml, globals.d/, variables of groups (`all`, then parents before
//! children), of hosts, passwords.yml, `-e`.

mod aliases;
mod connection;
mod extra;
mod files;
mod groups;
mod hosts;
mod ini;
mod inventory;
mod listing;
mod literal;
pub mod merge;
mod misread;
mod own;
mod passwords;
mod pattern;
mod reads;
mod script;
mod sources;
mod trace;
pub mod upstream;
mod vault;
mod warnings;
mod words;
mod yaml;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use indexmap::{IndexMap, IndexSet};

pub use connection::{CONNECTION, misspelt};
pub use listing::Listing;
pub use passwords::{MergeFiles, Merged, Password, genpwd, key_pair, mergepwd};
pub use reads::READ_HERE;
pub use trace::{Read, Trace, place_of};
pub use vault::{DEFAULT_ID, VaultKey, VaultKeys};

use crate::error::{Error, InputError, Kind, Place, Result};
use crate::examples;
use crate::shell::{Mask, Secret, is_secret_name, secrets_in};
use crate::source::{Data, Node};
use crate::template::{HostLayers, Layer, Scopes, SiteLayers, Value};
use files::Beside;
use groups::{Groups, GroupsValue};
use inventory::{ALL, Inventory};

/// Where a site is read from.
#[derive(Debug, Clone, Default)]
pub struct SiteOptions {
    /// The folder of globals.yml and globals.d/, as `/etc/kolla`.
    pub config_dir: PathBuf,
    /// Inventories, in order: files, folders of them, scripts, lists as `host1,host2`.
    pub inventories: Vec<PathBuf>,
    /// passwords.yml; without it the one in `config_dir`.
    pub passwords: Option<PathBuf>,
    /// Values of `-e`: `k=v`, `@file` or a JSON mapping.
    pub extra_vars: Vec<String>,
    /// Login user where the inventory names none.
    pub user: String,
    /// The user's home, for keys and `known_hosts`.
    pub home: Option<PathBuf>,
    /// The environment, for `lookup('env', ..)`.
    pub environment: HashMap<String, String>,
    /// Passwords of encrypted files and values.
    pub vault: VaultKeys,
    /// The password of login users for whom the inventory has none.
    pub password: Option<LoginPassword>,
    /// The password that sudo wants where the inventory has none.
    pub become_password: Option<LoginPassword>,
}

/// A password of a login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginPassword {
    /// The password itself.
    pub secret: Secret,
    /// Where it was found, for messages: `from NAME (PLACE)`.
    pub from: String,
}

/// Where the engine listens unless it is told otherwise.
pub const ENGINE_SOCKET: &str = "/var/run/docker.sock";

/// How a host is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostSpec {
    /// Its name in the inventory.
    pub name: String,
    /// Where to connect to: `ansible_host`, or the name. Also what its key is recorded by.
    pub address: String,
    /// sshd's port.
    pub port: u16,
    /// Login user.
    pub user: String,
    /// The login user's password.
    pub password: Option<LoginPassword>,
    /// Root is reached by sudo.
    pub become_root: bool,
    /// The password that sudo wants.
    pub become_password: Option<LoginPassword>,
    /// Private keys to try, in this order; those that are missing or encrypted are passed over.
    pub key_files: Vec<PathBuf>,
    /// Files of known host keys; they need not exist. New ones are written to the first.
    pub known_hosts: Vec<PathBuf>,
    /// It is this machine.
    pub local: bool,
    /// The host to go through.
    pub jump: Option<Box<HostSpec>>,
    /// The container engine's socket.
    pub engine_socket: String,
}

impl HostSpec {
    /// A host with its defaults: port 22, root, no key.
    pub fn new(name: impl Into<String>, address: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            address: address.into(),
            port: 22,
            user: "root".into(),
            password: None,
            become_root: false,
            become_password: None,
            key_files: Vec::new(),
            known_hosts: Vec::new(),
            local: false,
            jump: None,
            engine_socket: ENGINE_SOCKET.into(),
        }
    }

    /// Root is reached by `sudo`.
    pub fn sudo(&self) -> bool {
        self.become_root && self.user != "root"
    }
}

/// Its address and port.
impl fmt::Display for HostSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.address.contains(':') {
            write!(f, "[{}]:{}", self.address, self.port)
        } else {
            write!(f, "{}:{}", self.address, self.port)
        }
    }
}

/// A loaded site.
#[derive(Debug, Clone)]
pub struct Site {
    /// The hosts, in inventory order.
    pub hosts: IndexMap<String, HostSpec>,
    /// Where globals.yml is.
    pub config_dir: PathBuf,
    /// The first inventory.
    pub inventory: Option<PathBuf>,
    /// The folder of the operator's own files of services, which need not be there.
    pub overrides: PathBuf,
    /// Hides the site's secrets.
    pub mask: Mask,
    groups: Arc<Groups>,
    layers: Layers,
    warnings: Vec<InputError>,
    mistakes: Vec<InputError>,
    environment: HashMap<String, String>,
}

/// All layers of a site, each list lowest first.
#[derive(Debug, Clone, Default)]
struct Layers {
    roles: Vec<Arc<Layer>>,
    globals: Vec<Arc<Layer>>,
    /// Those of groups and of the host itself.
    hosts: IndexMap<String, Vec<Arc<Layer>>>,
    top: Vec<Arc<Layer>>,
}

impl Site {
    /// Reads everything. `roles` are the variables of all roles, lowest precedence.
    ///
    /// # Errors
    /// All input errors of all files together.
    pub fn load(options: &SiteOptions, roles: Vec<Layer>) -> Result<Self> {
        let mut errors = Vec::new();
        let (inventory, group_vars, host_vars) = inventories(&options.inventories, &options.vault, &mut errors);
        if errors.is_empty() && inventory.hosts.is_empty() {
            let error = InputError::new("the inventory names no host").of(Kind::Inventory);
            let place = options.inventories.first().map(Place::file);
            errors.push(InputError { place, ..error }.hint("list hosts under `[control]`; inventory/ has examples"));
        }
        let (group_vars, host_vars) = (group_vars.by_name(), host_vars.by_name());
        let globals = files::globals(&options.config_dir, &options.vault, &mut errors);
        let mut top = Vec::new();
        let passwords = options.passwords.clone().unwrap_or_else(|| options.config_dir.join("passwords.yml"));
        if passwords.exists() || options.passwords.is_some() {
            match passwords::layer(&passwords, &options.vault) {
                Ok(layer) => top.push(layer),
                Err(error) if passwords.exists() => errors.push(error),
                Err(error) => errors.push(error.hint(
                    "copy etc/passwords.yml there and run `kolla genpwd`, or name another file with `--passwords`",
                )),
            }
        } else {
            errors.push(
                InputError::new(format!("there is no passwords.yml in {}", options.config_dir.display()))
                    .of(Kind::UnreadableFile)
                    .hint("copy etc/passwords.yml there and run `kolla genpwd`, or name one with `--passwords`"),
            );
        }
        for value in &options.extra_vars {
            match extra::layer(value, &options.vault) {
                Ok(layer) => top.push(layer),
                Err(error) => errors.push(error),
            }
        }
        let files = group_vars.values().chain(host_vars.values()).flatten().map(|layer| &**layer);
        let mistakes: Vec<InputError> =
            files.chain(&globals).chain(&top).flat_map(|layer| layer.twice.iter().cloned()).collect();
        if !errors.is_empty() {
            errors.extend(mistakes);
            return Err(Error::Input(errors));
        }
        let groups = Arc::new(Groups::new(&inventory));
        let mut layers = Layers {
            roles: shared(roles),
            globals: shared(globals),
            hosts: host_layers(&inventory, &groups, &group_vars, &host_vars),
            top: shared(top),
        };
        aliases::apply(&mut layers);
        let mask = mask(&layers);
        let config_dir = options.config_dir.clone();
        let inventory_file = options.inventories.first().cloned();
        let environment = options.environment.clone();
        let mut site = Self {
            hosts: IndexMap::new(),
            overrides: config_dir.join("config"),
            config_dir,
            inventory: inventory_file,
            mask,
            groups,
            layers,
            warnings: Vec::new(),
            mistakes,
            environment,
        };
        let scopes = site.scopes(IndexMap::new());
        errors.extend(scopes.errors());
        for name in inventory.hosts.keys() {
            match connection::spec(scopes.host(name), name, options) {
                Ok(spec) => drop(site.hosts.insert(name.clone(), spec)),
                // The same mistake of a group is one mistake.
                Err(found) => found.into_iter().for_each(|error| {
                    if !errors.iter().any(|known| known.place == error.place && known.place.is_some()) {
                        errors.push(error);
                    }
                }),
            }
        }
        errors.extend(connection::twice(&site.hosts, &scopes));
        let logins = site.hosts.values().flat_map(|spec| [&spec.password, &spec.become_password]);
        site.mask.learn_all(logins.flatten().map(|password| password.secret.reveal().to_owned()));
        let missing = match site.own_folder(&scopes) {
            Ok((folder, missing)) => {
                site.overrides = folder;
                missing
            }
            Err(error) => {
                errors.push(error);
                None
            }
        };
        if !errors.is_empty() {
            errors.splice(0..0, site.mistakes);
            return Err(Error::Input(errors));
        }
        site.warnings.extend(missing);
        site.warnings.extend(warnings::of(&site.layers, &site.groups, &group_vars, &host_vars, &passwords));
        site.warnings.extend(misread::of(&site.layers));
        Ok(site)
    }

    /// Hosts of a group, as the group lists them. The group of a service that the inventory leaves out has the hosts
    /// of the groups that Kolla would put the service on; an unknown group has none.
    pub fn group(&self, name: &str) -> Vec<&str> {
        self.groups.members(name).unwrap_or_default()
    }

    /// The groups that an operator would fill to give hosts to a group.
    pub fn groups_to_fill(&self, name: &str) -> Vec<String> {
        self.groups.to_fill(name)
    }

    /// Groups of the inventory that have hosts and are none of Kolla's.
    pub fn strange_groups(&self) -> Vec<&str> {
        self.groups.strangers()
    }

    /// Groups of a host, own ones and those above, in inventory order; without `all`.
    pub fn groups_of(&self, host: &str) -> Vec<&str> {
        self.groups.of(host)
    }

    /// Names of the inventory's groups, in its order, `all` first.
    pub fn group_names(&self) -> Vec<&str> {
        self.groups.names().collect()
    }

    /// Hosts that patterns select, in the order of `all`; all without a pattern. `@FILE` holds a pattern a line.
    ///
    /// # Errors
    /// Unknown names, and patterns that leave no host.
    pub fn select(&self, limit: &[String]) -> Result<IndexSet<String>> {
        pattern::select(&self.groups, limit).map_err(Error::Input)
    }

    /// Something beside the roles sets this variable.
    pub fn sets(&self, name: &str) -> bool {
        let Layers { roles: _, globals, hosts, top } = &self.layers;
        globals.iter().chain(hosts.values().flatten()).chain(top).any(|layer| layer.vars.contains_key(name))
    }

    /// The scopes of all hosts; facts by host, as JSON of `host::Facts`.
    pub fn scopes(&self, mut facts: IndexMap<String, serde_json::Value>) -> Scopes {
        let host = |(name, layers): (&String, &Vec<Arc<Layer>>)| {
            let mut groups: Vec<String> = self.groups.of(name).into_iter().map(str::to_owned).collect();
            groups.sort();
            HostLayers { name: name.clone(), groups, layers: layers.clone(), facts: facts.swap_remove(name) }
        };
        let hosts = self.layers.hosts.iter().map(host).collect();
        let constants = vec![
            ("groups".to_owned(), Value::from_object(GroupsValue(self.groups.clone()))),
            ("CONFIG_DIR".to_owned(), Value::from(own::absolute(&self.config_dir).display().to_string())),
        ];
        Scopes::new(SiteLayers {
            base: self.layers.roles.iter().chain(&self.layers.globals).cloned().collect(),
            defaults: Some(upstream::defaults),
            hosts,
            top: self.layers.top.clone(),
            constants,
            folder: self.config_dir.clone(),
            documented: examples::variables().map(|(_, name)| name.to_owned()).collect(),
            secrets: examples::secrets().map(str::to_owned).collect(),
            environment: self.environment.clone(),
            mask: self.mask.clone(),
        })
    }

    /// The site's secrets, as the file of passwords has them, with the value that `-e` gives.
    pub fn passwords(&self) -> Vec<Password> {
        let top = &self.layers.top;
        let names = top.iter().filter(|layer| layer.secret).flat_map(|layer| layer.vars.keys());
        let winner = |name: &String| top.iter().rev().find_map(|layer| layer.vars.get(name));
        names.filter_map(|name| Some(Password::judge(name, winner(name)?))).collect()
    }

    /// Errors that leave the site one of which others can be found: nothing else is to be made of it.
    pub fn mistakes(&self) -> &[InputError] {
        &self.mistakes
    }

    /// What deserves a word but stops nothing.
    pub fn warnings(&self) -> Vec<InputError> {
        self.warnings.clone()
    }
}

fn shared(layers: Vec<Layer>) -> Vec<Arc<Layer>> {
    layers.into_iter().map(Arc::new).collect()
}

/// Each host's layers: of its groups from `all` down, then its own.
fn host_layers(
    inventory: &Inventory,
    groups: &Groups,
    group_vars: &IndexMap<String, Vec<Arc<Layer>>>,
    host_vars: &IndexMap<String, Vec<Arc<Layer>>>,
) -> IndexMap<String, Vec<Arc<Layer>>> {
    let mut of_group: HashMap<&str, Vec<Arc<Layer>>> = HashMap::new();
    for name in groups.names() {
        let inline = inventory.groups.get(name).filter(|group| !group.vars.is_empty());
        let inline = inline.map(|group| {
            Arc::new(Layer { name: format!("group {name}"), vars: group.vars.clone(), ..Layer::default() })
        });
        let layers = inline.into_iter().chain(group_vars.get(name).into_iter().flatten().cloned()).collect();
        of_group.insert(name, layers);
    }
    let layers_of = |(host, vars): (&String, &IndexMap<String, _>)| {
        let names = [ALL].into_iter().chain(groups.ranked(host));
        let mut layers: Vec<Arc<Layer>> = names.filter_map(|name| of_group.get(name)).flatten().cloned().collect();
        if !vars.is_empty() {
            layers.push(Arc::new(Layer { name: format!("host {host}"), vars: vars.clone(), ..Layer::default() }));
        }
        layers.extend(host_vars.get(host).into_iter().flatten().cloned());
        (host.clone(), layers)
    };
    inventory.hosts.iter().map(layers_of).collect()
}

/// Reads inventories and what stands beside them: variables of groups, and of hosts.
fn inventories(paths: &[PathBuf], keys: &VaultKeys, errors: &mut Vec<InputError>) -> (Inventory, Beside, Beside) {
    let inventory = sources::read(paths, errors);
    let group = |name: &str| inventory.groups.contains_key(name);
    let group_vars = Beside::read(paths, "group_vars", "group", group, keys, errors);
    let host = |name: &str| inventory.hosts.contains_key(name);
    let host_vars = Beside::read(paths, "host_vars", "host", host, keys, errors);
    (inventory, group_vars, host_vars)
}

/// Every text of passwords.yml, of what was encrypted and of what is called a secret, what another layer puts in the
/// place of one of these, and the passwords of URLs.
fn mask(layers: &Layers) -> Mask {
    fn urls(node: &Node, found: &mut Vec<String>) {
        match &node.data {
            Data::Str(text) if text.contains("://") => found.extend(secrets_in(text)),
            Data::Seq(items) => items.iter().for_each(|item| urls(item, found)),
            Data::Map(map) => map.values().for_each(|entry| urls(&entry.value, found)),
            _ => {}
        }
    }
    fn texts(node: &Node, found: &mut Vec<String>) {
        match &node.data {
            // In a file that is encrypted as a whole: nobody's secret.
            // What is made of others is known by those.
            Data::Str(text) if !text.contains("{{") => found.push(text.clone()),
            Data::Int(number) => found.push(number.to_string()),
            Data::Seq(items) => items.iter().for_each(|item| texts(item, found)),
            Data::Map(map) => map.values().for_each(|entry| texts(&entry.value, found)),
            _ => {}
        }
    }
    let all = layers.globals.iter().chain(layers.hosts.values().flatten()).chain(&layers.top);
    let mut seen = HashSet::new();
    let all: Vec<&Arc<Layer>> = all.filter(|layer| seen.insert(Arc::as_ptr(layer))).collect();
    let (mut found, mut names) = (Vec::new(), HashSet::new());
    for (layer, (name, sourced)) in all.iter().flat_map(|layer| layer.vars.iter().map(move |var| (layer, var))) {
        found.extend(sourced.document.opened().iter().map(|secret| secret.reveal().to_owned()));
        urls(&sourced.node, &mut found);
        let scalar = !matches!(sourced.node.data, Data::Seq(_) | Data::Map(_));
        if layer.secret
            || is_secret_name(name)
            || sourced.document.is_hidden()
            || (scalar && sourced.document.hides(&sourced.node))
        {
            names.insert(name);
        }
    }
    for (_, sourced) in all.iter().flat_map(|layer| &layer.vars).filter(|(name, _)| names.contains(name)) {
        texts(&sourced.node, &mut found);
    }
    Mask::new(found)
}

#[cfg(test)]
mod tests;
