//! From files to a loaded site, and from a loaded site to connected hosts and a plan.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use indexmap::IndexSet;

use crate::cli::{Environment, Global, Invocation};
use crate::error::{Error, InputError, Kind, Result};
use crate::host::{Ask, Facts, Interface, LeaseNote, Observe};
use crate::op::word::HostGround;
use crate::op::{Peer, PlainRegistry, Shared};
use crate::plan::{Input, Lookups, NAMED, Overrides, Plan, Selection, UnusedVariables};
use crate::report::RunRecord;
use crate::role::{FileSpec, Role, Roles};
use crate::run::RunContext;
use crate::run::connect::{ConnectOptions, Connected};
use crate::site::{Site, SiteOptions};
use crate::template::{Scope, Scopes, Values, truth};

/// All that was read before any host was asked.
pub(super) struct Loaded {
    pub(super) roles: Roles,
    pub(super) site: Site,
    pub(super) overrides: Overrides,
    unused_variables: OnceLock<UnusedVariables>,
}

impl Loaded {
    pub(super) fn of(roles: Roles, site: Site, overrides: Overrides) -> Self {
        Self { roles, site, overrides, unused_variables: OnceLock::new() }
    }

    pub(super) async fn read(at: &Invocation) -> Result<Self> {
        let (global, environment) = (&at.global, &at.environment);
        let config_dir = global.configdir(environment);
        let (roles, mut errors) = Roles::parsed(&role_folders(global, environment))?;
        let sound = errors.is_empty();
        let site = Site::load(
            &SiteOptions {
                config_dir: config_dir.clone(),
                inventories: global.inventories(environment),
                passwords: Some(global.passwords(environment)),
                extra_vars: global.extra_vars.clone(),
                user: environment.user.clone(),
                home: Some(environment.home.clone()),
                environment: environment.variables.clone(),
                vault: super::vault::keys(at).await?.clone(),
            },
            roles.layers(),
        );
        let mut found = Vec::new();
        let site = Error::collected(site, &mut found)?;
        // What a broken role would have set is not missing.
        errors.extend(found.into_iter().filter(|error| sound || error.kind != Kind::UndefinedVariable));
        if let Some(site) = &site {
            at.screen.keep_to_itself(site.mask.clone());
        }
        let folder = site.as_ref().map_or_else(|| Ok(config_dir.join("config")), Site::overrides);
        let overrides = folder.map_err(Error::from).and_then(|folder| Overrides::read(&folder));
        let overrides = Error::collected(overrides, &mut errors)?;
        let (Some(site), Some(overrides), true) = (site, overrides, errors.is_empty()) else {
            return Err(Error::Input(errors));
        };
        overrides.texts().for_each(|text| site.mask.learn_file(text));
        let loaded = Self::of(roles, site, overrides);
        if global.strict {
            let errors = loaded.unused_variables().each();
            if !errors.is_empty() {
                return Err(Error::Input(errors));
            }
        }
        Ok(loaded)
    }

    /// Hosts that `--limit` selects; all without one. `localhost` only where a service or role wants it.
    pub(super) fn limit(&self, at: &Invocation) -> Result<IndexSet<String>> {
        let patterns: Vec<String> = at.global.limit.iter().cloned().collect();
        if patterns.is_empty() {
            return Ok(self.members());
        }
        let selected = self.site.select(&patterns)?;
        if selected.is_empty() {
            return Err(Error::input(format!("`--limit {}` selects no host", patterns.join(" ")))
                .of(Kind::UnknownName)
                .with_hint("`kolla inventory` lists hosts and groups"));
        }
        Ok(selected)
    }

    /// Roles that are enabled, as the first host sees it.
    pub(super) fn enabled(&self) -> Result<Vec<&Role>> {
        let (scopes, members) = (self.unasked(true), self.members());
        let scope = scopes.host(members.first().map_or("", String::as_str));
        let mut enabled = Vec::new();
        for role in self.roles.0.values() {
            let wanted = role.enabled.as_ref().map(|node| scope.eval_flag(&role.document, node)).transpose()?;
            if wanted.unwrap_or(true) {
                enabled.push(role);
            }
        }
        Ok(enabled)
    }

    /// Hosts of the cloud. A deployment host that is in no other group is not one of them: nothing of ours
    /// ever touches the control machine because the inventory names it.
    pub(super) fn members(&self) -> IndexSet<String> {
        let deployment: Vec<&str> = self.site.group("deployment");
        let elsewhere: IndexSet<&str> = self.site.group("baremetal").into_iter().collect();
        self.site
            .hosts
            .keys()
            .filter(|host| !deployment.contains(&host.as_str()) || elsewhere.contains(host.as_str()))
            .cloned()
            .collect()
    }

    /// Hosts that grant the site's lease: those of the group `control`, or all where that has none.
    pub(super) fn granting(&self) -> Vec<String> {
        let control = self.site.group("control");
        if control.is_empty() {
            return self.members().into_iter().collect();
        }
        control.into_iter().map(str::to_owned).collect()
    }

    pub(super) fn tags(&self, at: &Invocation) -> Result<Selection> {
        let names: Vec<&str> = self.roles.0.keys().map(String::as_str).collect();
        for tag in at.global.tags.iter().chain(&at.global.skip_tags) {
            if !names.contains(&tag.as_str()) {
                let hint = match crate::error::nearest(tag, names.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("roles: {}", names.join(", ")),
                };
                return Err(Error::input(format!("there is no role `{tag}`")).of(Kind::UnknownName).with_hint(hint));
            }
        }
        Ok(Selection { hosts: None, tags: at.global.tags.clone(), skip_tags: at.global.skip_tags.clone() })
    }

    /// Variables with what is known of the hosts. Of others nothing is made up: what needs it is an error.
    pub(super) fn scopes(&self, facts: &BTreeMap<String, Facts>) -> Scopes {
        let json = |facts: &Facts| serde_json::to_value(facts).unwrap_or_default();
        let facts = self.site.hosts.keys().filter_map(|host| Some((host.clone(), json(facts.get(host)?))));
        self.site.scopes(facts.collect())
    }

    /// Variables where no host was asked: each is an ordinary one, whose address is as the inventory has it or, in a
    /// draft, any.
    pub(super) fn unasked(&self, draft: bool) -> Scopes {
        self.remembered(&BTreeMap::new(), draft)
    }

    /// The same where hosts of which something is kept are as they were last seen.
    pub(super) fn remembered(&self, kept: &BTreeMap<String, Facts>, draft: bool) -> Scopes {
        // What names interfaces may itself look into other facts.
        let bare =
            draft.then(|| self.scopes(&self.site.hosts.keys().map(|host| (host.clone(), stand_in(host))).collect()));
        let first = self.site.hosts.first().map_or("", |(host, _)| host);
        let mut names: Vec<String> = bare.iter().flat_map(|bare| bare.host(first).names()).collect();
        names.retain(|name| name.ends_with("_interface"));
        let facts = self.site.hosts.keys().filter_map(|host| {
            if let Some(known) = kept.get(host) {
                return Some((host.clone(), serde_json::to_value(known).ok()?));
            }
            let mut facts = stand_in(host);
            if let Some(bare) = &bare {
                let get = |name: &str| bare.host(host).get(name).ok()?.as_str().map(str::to_owned);
                let reached = self.site.hosts.get(host).map_or(host.as_str(), |spec| &spec.address);
                interfaces(&mut facts, reached, names.iter().filter_map(|name| get(name)));
            }
            let mut facts = serde_json::to_value(facts).ok()?;
            facts[if draft { "draft" } else { "unasked" }] = true.into();
            Some((host.clone(), facts))
        });
        self.site.scopes(facts.collect())
    }

    pub(super) fn plan(
        &self,
        facts: &BTreeMap<String, Facts>,
        scopes: &Scopes,
        hosts: &IndexSet<String>,
    ) -> Result<Plan> {
        Plan::whole(&Input { site: &self.site, roles: &self.roles, scopes, facts, overrides: &self.overrides, hosts })
    }

    /// The plan without any host having been asked, to find mistakes and to draw it. An address that only the
    /// host itself knows is a made-up one in it: what it writes is for nobody.
    pub(super) fn draft(&self, hosts: &IndexSet<String>) -> Result<Plan> {
        self.plan(&BTreeMap::new(), &self.unasked(true), hosts)
    }

    /// The plan without any host having been asked, for files that are to be used.
    pub(super) fn offline_plan(&self, hosts: &IndexSet<String>) -> Result<Plan> {
        self.plan(&BTreeMap::new(), &self.unasked(false), hosts)
    }

    /// What deserves a word but stops nothing, after plans that looked for these files of the operator's.
    pub(super) fn warnings(&self, lookups: &Lookups) -> Vec<InputError> {
        let mut warnings = self.unused_variables().brief();
        warnings.extend(self.other_warnings(lookups, NAMED));
        warnings
    }

    /// Variables that nothing reads.
    pub(super) fn unused_variables(&self) -> &UnusedVariables {
        self.unused_variables.get_or_init(|| UnusedVariables::of(&self.site, &self.roles, &self.overrides))
    }

    /// What else deserves a word; of files of the same fault, `most` are named.
    pub(super) fn other_warnings(&self, lookups: &Lookups, most: usize) -> Vec<InputError> {
        let hosts: Vec<&str> = self.site.hosts.keys().map(String::as_str).collect();
        let mut warnings = self.site.warnings();
        warnings.extend(self.overrides.unread(lookups, &self.roles, &hosts, most));
        warnings
    }

    /// What the batched look at a host has to bring: the files that are ours and, for who prepares hosts, what roles
    /// prepare on them.
    pub(super) fn ask(&self, scopes: &Scopes, host: &str, prepares: bool) -> Ask {
        let scope = scopes.host(host);
        let path = |spec: &FileSpec| scope.render(Path::new("path"), &spec.to).unwrap_or_else(|_| spec.to.clone());
        let mut ask = Ask { folders: vec!["/etc/kolla".into()], ..Ask::default() };
        for role in self.roles.0.values().filter(|_| prepares) {
            for item in &role.host {
                let used_by = format!("role {} on {host}", role.name);
                // What is wrong here is told when a plan is made of it.
                let mut errors = Vec::new();
                let mut values = Values { scope, document: &role.document, used_by, errors: &mut errors };
                let mut ground = HostGround { values: &mut values, role: &role.name, files: Vec::new() };
                (item.word.means.look)(&item.written, &mut ground, &mut ask);
                ask.files.extend(item.files.iter().map(path));
            }
        }
        ask
    }
}

/// Folders of roles over the built-in ones, later ones over earlier ones.
fn role_folders(global: &Global, environment: &Environment) -> Vec<PathBuf> {
    let mut folders = global.role_folders(environment);
    // One that is not there is an error only where it was named.
    let own = folders.pop().filter(|folder| folder.is_dir());
    folders.reverse();
    folders.splice(0..0, own);
    folders
}

/// All roles, without a site.
///
/// # Errors
/// Mistakes in roles.
pub fn roles(global: &Global, environment: &Environment) -> Result<Roles> {
    Roles::load(&role_folders(global, environment))
}

/// Facts of an ordinary host, for one that was not asked or does not answer: enough to render what others need
/// to know of it, and to find mistakes before any host is asked.
fn stand_in(host: &str) -> Facts {
    Facts {
        hostname: host.split('.').next().unwrap_or(host).to_owned(),
        os: "debian".into(),
        os_version: "13".into(),
        os_codename: "trixie".into(),
        arch: "x86_64".into(),
        cpus: 4,
        memory_mib: 8192,
        open_files: 1_048_576,
        cgroup: 2,
        systemd: true,
        virt: "none".into(),
        engine_root: "/var/lib/docker".into(),
        ..Facts::default()
    }
}

/// Gives a stand-in the interfaces that variables name, so that templates that look into its facts can be rendered: with
/// the address by which it is reached, else with one of those for documentation.
fn interfaces(facts: &mut Facts, reached: &str, named: impl Iterator<Item = String>) {
    let address = reached.parse::<IpAddr>().ok();
    let ipv4 = address.filter(IpAddr::is_ipv4).unwrap_or(IpAddr::from([192, 0, 2, 1]));
    let ipv6 = address.filter(IpAddr::is_ipv6).unwrap_or(IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1]));
    for name in named.flat_map(|names| names.split(',').map(|name| name.trim().to_owned()).collect::<Vec<_>>()) {
        if name.is_empty() {
            continue;
        }
        if facts.default_interface.is_empty() {
            facts.default_interface.clone_from(&name);
        }
        let (ipv4, ipv6) = (vec![format!("{ipv4}/24")], vec![format!("{ipv6}/64")]);
        let mac = "00:00:5e:00:53:01".to_owned();
        facts.interfaces.insert(name, Interface { up: true, mtu: 1500, mac, ipv4, ipv6 });
    }
}

pub(super) fn connect_options(at: &Invocation, record: Option<&Arc<RunRecord>>) -> ConnectOptions {
    let observe = record.map(|record| {
        let record = record.clone();
        let observe: Observe = Arc::new(move |request| {
            let outcome = match request.outcome {
                Ok(text) => text.to_owned(),
                Err(error) => error.to_string(),
            };
            record.request(request.host, request.what, request.took, &outcome);
        });
        observe
    });
    ConnectOptions {
        accept_new_host_keys: at.global.accept_new_host_keys,
        agent_socket: at.environment.ssh_auth_sock.clone(),
        observe,
    }
}

/// What other runs are told of this one while it has the site's lease.
pub(super) fn lease_note(at: &Invocation) -> LeaseNote {
    LeaseNote {
        user: at.environment.user.clone(),
        machine: at.environment.machine.clone(),
        pid: std::process::id(),
        since: crate::report::time::rfc3339(std::time::SystemTime::now()),
        command: at.command_line.clone(),
    }
}

/// Variables that the run itself needs, from the first host's eyes.
pub(super) fn shared(at: &Invocation, scope: &Scope) -> Result<Shared> {
    let text = |name: &str| -> Result<String> {
        Ok(scope.get(name).map(|value| if value.is_none() { String::new() } else { value.to_string() })?)
    };
    let user = text("docker_registry_username")?;
    let login = if user.is_empty() {
        None
    } else {
        let password = crate::shell::Secret::new(text("docker_registry_password")?);
        Some(crate::host::RegistryLogin { user, password })
    };
    let mut shared = Shared::new(text("kolla_site_name")?, at.global.diff, at.global.adopt, login);
    shared.mask = at.screen.mask();
    let plain = scope.get("docker_registry_insecure").map(|value| truth(&value))?;
    let address = text("docker_registry")?;
    shared.plain = (plain && shared.login.is_none()).then(|| PlainRegistry::new(address));
    Ok(shared)
}

pub(super) fn context(connected: Connected, mut shared: Shared) -> RunContext {
    let Connected { machines, mut looks, .. } = connected;
    shared.asks = machines.values().next().map(|machine| crate::host::Observer::new(machine.clone()));
    let peers = machines
        .iter()
        .map(|(name, machine)| {
            let look = looks.remove(name).unwrap_or_default();
            (name.clone(), Peer::new(crate::host::Observer::new(machine.clone()), look))
        })
        .collect();
    RunContext { machines: Arc::new(machines.into_iter().collect()), peers: Arc::new(peers), shared: Arc::new(shared) }
}
