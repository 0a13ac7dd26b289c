//! From files to a loaded site: all that is known before any host is asked.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use indexmap::IndexSet;

use super::App;
use super::unasked::not_known;
use crate::error::{Error, InputError, Kind, Result, nearest};
use crate::host::Facts;
use crate::plan::{Call, Input, Lookups, NAMED, Overrides, Place, Plan, Selection, UnusedVariables};
use crate::role::{Role, Roles};
use crate::shell::Mask;
use crate::site::{Site, SiteOptions};
use crate::template::Scopes;

/// All that was read before any host was asked.
pub struct Loaded {
    pub(super) roles: Roles,
    pub(super) site: Site,
    pub(super) overrides: Overrides,
    unused_variables: OnceLock<UnusedVariables>,
    /// Some warnings are errors.
    strict: bool,
}

impl Loaded {
    pub(super) fn of(roles: Roles, site: Site, overrides: Overrides) -> Self {
        Self { roles, site, overrides, unused_variables: OnceLock::new(), strict: false }
    }

    /// Reads roles, inventory, variables, passwords and the operator's own files.
    ///
    /// # Errors
    /// All input errors of all files.
    pub async fn read(app: &App) -> Result<Self> {
        let (options, control) = (&app.options, &app.control);
        let (roles, mut errors) = Roles::parsed(&options.roles)?;
        let sound = errors.is_empty();
        let logins = app.typed_logins().await?.clone();
        let typed = [&logins.login, &logins.become_root].map(|typed| typed.as_ref().map(|typed| typed.secret.clone()));
        let site = Site::load(
            &SiteOptions {
                config_dir: options.config_dir.clone(),
                inventories: options.inventories.clone(),
                passwords: Some(options.passwords.clone()),
                extra_vars: options.extra_vars.clone(),
                user: control.user.clone(),
                home: Some(control.home.clone()),
                environment: control.variables.clone(),
                vault: app.vault_keys().await?.clone(),
                password: logins.login,
                become_password: logins.become_root,
            },
            roles.layers(),
        );
        let mut found = Vec::new();
        let site = Error::collected(site, &mut found)?;
        // What a broken role would have set is not missing.
        errors.extend(found.into_iter().filter(|error| sound || error.kind != Kind::UndefinedVariable));
        if let Some(site) = &site {
            site.mask.learn_all(typed.iter().flatten().map(|typed| typed.reveal().to_owned()));
            app.frontend.hide(&site.mask);
        }
        let folder = site.as_ref().map_or_else(|| options.config_dir.join("config"), |site| site.overrides.clone());
        let mask = site.as_ref().map(|site| site.mask.clone()).unwrap_or_default();
        let overrides = Overrides::read(&folder, app.vault_keys().await?, &mask);
        let overrides = Error::collected(overrides, &mut errors)?;
        let (Some(site), Some(overrides), true) = (site, overrides, errors.is_empty()) else {
            return Err(Error::Input(errors));
        };
        overrides.texts().for_each(|text| site.mask.learn_file(text));
        let loaded = Self { strict: options.strict, ..Self::of(roles, site, overrides) };
        if !loaded.site.mistakes().is_empty() {
            let mut errors = loaded.site.mistakes().to_vec();
            // What else is wrong is told with them.
            Error::collected(loaded.draft(&loaded.members()).map(drop), &mut errors)?;
            return Err(Error::Input(errors));
        }
        if options.strict {
            let unused = loaded.unused_variables();
            let mut errors = unused.each();
            let misread = |word: &InputError| word.kind == Kind::ReadOtherwise;
            errors.extend(loaded.site.warnings().into_iter().filter(misread));
            if !errors.is_empty() {
                return Err(Error::Input(unused.refused().into_iter().chain(errors).collect()));
            }
        }
        Ok(loaded)
    }

    /// What hides the site's secrets.
    pub fn mask(&self) -> &Mask {
        &self.site.mask
    }

    /// Hosts that `--limit` selects; all without one. `localhost` only where a service or role wants it.
    pub(super) fn limit(&self, app: &App) -> Result<IndexSet<String>> {
        let patterns: Vec<String> = app.options.limit.iter().cloned().collect();
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

    pub(super) fn tags(&self, app: &App) -> Result<Selection> {
        let names: Vec<&str> = self.roles.0.keys().map(String::as_str).collect();
        for tag in app.options.tags.iter().chain(&app.options.skip_tags) {
            if !names.contains(&tag.as_str()) {
                let hint = match nearest(tag, names.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("roles: {}", names.join(", ")),
                };
                return Err(Error::input(format!("there is no role `{tag}`")).of(Kind::UnknownName).with_hint(hint));
            }
        }
        Ok(Selection { hosts: None, tags: app.options.tags.clone(), skip_tags: app.options.skip_tags.clone() })
    }

    pub(super) fn plan(
        &self,
        facts: &BTreeMap<String, Facts>,
        scopes: &Scopes,
        hosts: &IndexSet<String>,
    ) -> Result<Plan> {
        let Self { site, roles, overrides, .. } = self;
        self.allowed(Plan::whole(&Input { site, roles, scopes, facts, overrides, hosts }))
    }

    /// The plan of an action.
    pub(super) fn action(
        &self,
        call: &Call,
        facts: &BTreeMap<String, Facts>,
        scopes: &Scopes,
        hosts: &IndexSet<String>,
    ) -> Result<Plan> {
        let Self { site, roles, overrides, .. } = self;
        self.allowed(Plan::action(&Input { site, roles, scopes, facts, overrides, hosts }, call))
    }

    /// Where it is asked who uses what a run takes away.
    pub(super) fn users(
        &self,
        selection: &Selection,
        (facts, scopes): (&BTreeMap<String, Facts>, &Scopes),
        hosts: &IndexSet<String>,
    ) -> Result<Vec<(String, Vec<Place>)>> {
        let Self { site, roles, overrides, .. } = self;
        Plan::users(&Input { site, roles, scopes, facts, overrides, hosts }, selection)
    }

    /// A plan of a site that asks for nothing else than what is in it.
    fn allowed(&self, plan: Result<Plan>) -> Result<Plan> {
        let mut errors = self.unused_variables().refused();
        if let Ok(plan) = &plan
            && self.strict
        {
            errors.extend(self.overrides.read_otherwise(&plan.lookups, usize::MAX));
        }
        match plan {
            Err(Error::Input(others)) => errors.extend(others),
            Ok(_) if !errors.is_empty() => {}
            plan => return plan,
        }
        Err(Error::Input(errors))
    }

    /// The plan without any host having been asked, to find mistakes and to draw it. An address that only the
    /// host itself knows is a made-up one in it: what it writes is for nobody.
    pub(super) fn draft(&self, hosts: &IndexSet<String>) -> Result<Plan> {
        self.plan(&BTreeMap::new(), &self.unasked(true), hosts)
    }

    /// The plan without any host having been asked, for files that are to be used.
    ///
    /// # Errors
    /// Input errors; what is not known of hosts is one.
    pub(super) fn offline_plan(&self, hosts: &IndexSet<String>) -> Result<Plan> {
        let scopes = self.unasked(false);
        self.plan(&BTreeMap::new(), &scopes, hosts).map_err(|error| match error {
            Error::Input(mut errors) => {
                errors.retain(|error| error.kind != Kind::NotAsked);
                errors.extend(not_known(&scopes.unasked()));
                Error::Input(errors)
            }
            other => other,
        })
    }

    /// What of a draft, which was made of these scopes, is not known where hosts are not asked.
    pub(super) fn offline_errors(&self, drafted: &Scopes) -> Vec<InputError> {
        let unasked = drafted.unasked();
        if !unasked.facts {
            return not_known(&unasked).into_iter().collect();
        }
        // Some template looks into facts: whether it needs them shows where there are none.
        match self.offline_plan(&self.members()) {
            Err(Error::Input(errors)) => errors,
            _ => Vec::new(),
        }
    }

    /// What deserves a word but stops nothing, after plans that looked for these files of the operator's.
    pub(super) fn warnings(&self, plan: &Plan, lookups: &Lookups) -> Vec<InputError> {
        let mut warnings = self.unused_variables().brief();
        warnings.extend(self.other_warnings(plan, lookups, NAMED));
        warnings
    }

    /// Variables that nothing reads.
    pub(super) fn unused_variables(&self) -> &UnusedVariables {
        self.unused_variables.get_or_init(|| UnusedVariables::of(&self.site, &self.roles, &self.overrides))
    }

    /// What else deserves a word; of files of the same fault, and of lines of the same file, `most` are named.
    pub(super) fn other_warnings(&self, plan: &Plan, lookups: &Lookups, most: usize) -> Vec<InputError> {
        let hosts: Vec<&str> = self.site.hosts.keys().map(String::as_str).collect();
        let mut warnings = self.site.warnings();
        warnings.extend(plan.doubts.iter().cloned());
        warnings.extend(self.overrides.unread(lookups, &self.roles, &hosts, most));
        warnings.extend(self.overrides.read_otherwise(lookups, most));
        warnings
    }

    /// Refuses a host that is not there.
    pub(super) fn known(&self, host: &str) -> Result<()> {
        if self.site.hosts.contains_key(host) {
            return Ok(());
        }
        let hint = match nearest(host, self.site.hosts.keys().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "`kolla inventory` lists the hosts".into(),
        };
        Err(Error::input(format!("there is no host `{host}` in the inventory")).of(Kind::UnknownName).with_hint(hint))
    }
}
