//! role.yml to [`Role`]: a closed set of keys, every mistake with its place.

use std::collections::BTreeMap;
use std::sync::Arc;

use indexmap::IndexMap;

use super::{
    Balancer, Check, Cluster, FileSpec, Files, HostItem, HostKind, Limits, Permission, Role, Rule, Service, StatusItem,
    StatusKind, Step, StepKind, Templates,
};
use crate::error::{InputError, Kind};
use crate::examples;
use crate::source::{Document, Entry, Fields, Node, is_template, not_rendered};
use crate::template::{Layer, Sourced};

/// Kinds of checks that a role can ask for; `op::check` knows what they mean.
pub(super) const CHECKS: [&str; 13] = [
    "clock",
    "disk_free",
    "engine",
    "hostnames_resolve",
    "images_present",
    "interface",
    "memory",
    "open_files",
    "os",
    "peers_reachable",
    "port_free",
    "systemd",
    "vip",
];

/// A role from its files; templates that it lacks are those of `shared`.
pub(super) fn role(name: &str, files: &Files, shared: &Templates) -> Result<(Role, Layer), Vec<InputError>> {
    let mut document = None;
    let mut templates = shared.clone();
    for (path, text) in files {
        match super::all::template(path, text) {
            Some((file, template)) => drop(templates.insert(file, template)),
            None => document = Some(Document::parse(path, text).map_err(|error| vec![error])?),
        }
    }
    let Some(document) = document else {
        return Err(vec![InputError::new(format!("role `{name}` has no role.yml")).of(Kind::UnreadableFile)]);
    };
    let document = Arc::new(document);
    let mut parser = Parser { document: &document, templates: &templates, errors: Vec::new() };
    let mut top = Fields::of(&document, &document.root);
    let about = top.text("about").unwrap_or_default();
    let enabled = top.take("enabled").cloned();
    let needs = top.texts("needs");
    let fixed = top.texts("fixed");
    let elsewhere = top.text("elsewhere");
    let vars = top.map("vars");
    let mut services = IndexMap::new();
    for (service, entry) in top.map("services") {
        services.insert(service.to_owned(), parser.service(service, &entry.value));
    }
    let host = top.list("host").iter().filter_map(|node| parser.host_item(node)).collect();
    let steps = top.list("steps").iter().filter_map(|node| parser.step(node, &needs)).collect();
    let checks = top.list("checks").iter().filter_map(|node| parser.check(node)).collect();
    let status = top.list("status").iter().filter_map(|node| parser.status(node)).collect();
    let layer = parser.vars(name, &services, &vars);
    let values = parser.values(&layer, &top.map("values"));
    let mut errors = top.finish();
    errors.append(&mut parser.errors);
    // What the parser has not looked into yet.
    for error in super::schema::unknown(&document) {
        if !errors.iter().any(|known| (&known.place, &known.message) == (&error.place, &error.message)) {
            errors.push(error);
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let role = Role {
        name: name.to_owned(),
        about,
        document: document.clone(),
        enabled,
        needs,
        fixed,
        elsewhere,
        values,
        services,
        host,
        steps,
        checks,
        status,
        templates,
    };
    Ok((role, layer))
}

pub(super) struct Parser<'a> {
    pub(super) document: &'a Arc<Document>,
    pub(super) templates: &'a Templates,
    pub(super) errors: Vec<InputError>,
}

impl Parser<'_> {
    pub(super) fn fail(&mut self, node: &Node, message: impl Into<String>, kind: Kind) {
        self.errors.push(InputError::new(message).of(kind).at(self.document.place(node)));
    }

    fn vars(&mut self, role: &str, services: &IndexMap<String, Service>, vars: &[(&str, &Entry)]) -> Layer {
        let mut prefixes: Vec<String> = services.keys().map(|name| name.replace('-', "_")).collect();
        prefixes.extend([role.replace('-', "_"), "enable_".into()]);
        let mut found = IndexMap::new();
        for (name, entry) in vars {
            // Variables of the whole site keep Kolla's names, whatever they start with.
            if role != "site" && !prefixes.iter().any(|prefix| name.starts_with(prefix)) {
                let place = self.document.at(entry.line, entry.column);
                self.errors.push(
                    InputError::new(format!("variable `{name}` starts with neither the role's nor a service's name"))
                        .of(Kind::RoleRule)
                        .at(place)
                        .hint("variables of the whole site belong to roles/site/role.yml"),
                );
            }
            found.insert((*name).to_owned(), Sourced { node: entry.value.clone(), document: self.document.clone() });
        }
        Layer { name: format!("role {role}"), vars: found, secret: false }
    }

    /// The rules of variables: those that are written down, and those that follow from names and defaults.
    fn values(&mut self, vars: &Layer, written: &[(&str, &Entry)]) -> BTreeMap<String, Rule> {
        let implied =
            |(name, sourced): (&String, &Sourced)| Some((name.clone(), Rule::implied(name, &sourced.node.data)?));
        let mut rules: BTreeMap<String, Rule> = vars.vars.iter().filter_map(implied).collect();
        for (name, entry) in written {
            // Some of the whole site's have no default.
            if !vars.vars.contains_key(*name) && !examples::variables().any(|(_, known)| known == *name) {
                let message = format!("`{name}` is none of this role's variables");
                self.errors
                    .push(InputError::new(message).of(Kind::RoleRule).at(self.document.at(entry.line, entry.column)));
            }
            rules.extend(Rule::parse(self, &entry.value).map(|rule| ((*name).to_owned(), rule)));
        }
        rules
    }

    fn service(&mut self, name: &str, node: &Node) -> Service {
        let mut fields = Fields::of(self.document, node);
        let cluster = fields.take("cluster").and_then(|node| {
            let mut kinds = Fields::of(self.document, node);
            let galera = kinds.need("galera").map(|node| {
                let mut galera = Fields::of(self.document, node);
                let bootstrap = pairs(galera.map("bootstrap"));
                self.errors.extend(galera.finish());
                Cluster::Galera { bootstrap }
            });
            self.errors.extend(kinds.finish());
            galera
        });
        let balancer = fields.take("balancer").map(|node| {
            let mut programs = Fields::of(self.document, node);
            let balancer = Balancer { ask: programs.words("ask"), tell: programs.words("tell") };
            if balancer.ask.is_empty() {
                programs.against(node, "a `balancer` has a program to `ask`");
            }
            self.errors.extend(programs.finish());
            balancer
        });
        let files: Vec<FileSpec> = fields.list("files").iter().map(|node| self.file(node)).collect();
        for spec in files.iter().filter(|spec| is_template(&spec.to)) {
            fields.absorb(vec![not_rendered("`to` of a service's file").at(self.document.place(&spec.node))]);
        }
        let permissions = fields.list("permissions").iter().filter_map(|node| self.permission(node)).collect();
        let service = Service {
            name: name.to_owned(),
            node: node.clone(),
            group: fields.text("group").unwrap_or_else(|| name.to_owned()),
            when: fields.take("when").cloned(),
            container: fields.text("container").unwrap_or_else(|| name.replace('-', "_")),
            image: fields.take("image").cloned(),
            command: fields.take("command").cloned(),
            rolling: fields.number("rolling").unwrap_or(0),
            last: fields.take("last").cloned(),
            cluster,
            files,
            permissions,
            volumes: fields.list("volumes").to_vec(),
            env: pairs(fields.map("env")),
            ready: fields.take("ready").cloned(),
            before_replace: fields.take("before_replace").cloned(),
            before_remove: fields.words("before_remove"),
            reload: fields.words("reload"),
            validate: fields.words("validate"),
            proxy: fields.take("proxy").cloned(),
            balances: fields.text("balances"),
            after_steps: fields.flag("after_steps"),
            balancer,
            sql: fields.take("sql").cloned(),
            management: fields.take("management").cloned(),
            identity: fields.take("identity").cloned(),
            limits: Limits {
                privileged: fields.flag("privileged"),
                cap_add: fields.texts("cap_add"),
                security_opt: fields.texts("security_opt"),
                pid: fields.text("pid").unwrap_or_default(),
                ipc: fields.text("ipc").unwrap_or_default(),
                cgroupns: fields.text("cgroupns").unwrap_or_default(),
                tmpfs: fields.texts("tmpfs"),
                user: fields.text("user").unwrap_or_default(),
                memory: fields.take("memory").cloned(),
                nofile: fields.take("nofile").cloned(),
                stop_timeout: fields.number("stop_timeout").unwrap_or(0),
                health: fields.take("health").cloned(),
            },
        };
        self.errors.extend(fields.finish());
        service
    }

    fn permission(&mut self, node: &Node) -> Option<Permission> {
        let mut fields = Fields::of(self.document, node);
        let (path, owner) = (fields.need_text("path"), fields.need_text("owner"));
        let recurse = fields.flag("recurse");
        self.errors.extend(fields.finish());
        Some(Permission { path: path?, owner: owner?, recurse })
    }

    fn host_item(&mut self, node: &Node) -> Option<HostItem> {
        let mut fields = Fields::of(self.document, node);
        let group = fields.text("group").unwrap_or_else(|| "baremetal".into());
        let when = fields.take("when").cloned();
        let serial = fields.number("serial");
        let mut kinds = Vec::new();
        kinds.extend(fields.take("packages").cloned().map(HostKind::Packages));
        kinds.extend(fields.take("sysctl").cloned().map(HostKind::Sysctl));
        if let Some(file) = fields.take("file") {
            kinds.push(HostKind::File(Box::new(self.host_file(file))));
        }
        if let Some(block) = fields.take("block") {
            let mut inner = Fields::of(self.document, block);
            let path = inner.need_text("path").unwrap_or_default();
            let content = inner.need("content").cloned();
            self.errors.extend(inner.finish());
            kinds.extend(content.map(|content| HostKind::Block { path, content }));
        }
        if let Some(unit) = fields.take("unit") {
            let mut inner = Fields::of(self.document, unit);
            let name = inner.need_text("name").unwrap_or_default();
            let files = inner.list("files").iter().map(|node| self.host_file(node)).collect();
            let validate = inner.words("validate");
            self.errors.extend(inner.finish());
            kinds.push(HostKind::Unit { name, files, validate });
        }
        if kinds.len() != 1 && (kinds.len() > 1 || !fields.has_unknown()) {
            fields.against(node, "a host item has exactly one of `packages`, `sysctl`, `file`, `block`, `unit`");
        }
        self.errors.extend(fields.finish());
        let kind = kinds.pop()?;
        // What is restarted may be missed.
        let serial = serial.unwrap_or(u32::from(matches!(kind, HostKind::Unit { .. })));
        Some(HostItem { node: node.clone(), group, when, serial, kind })
    }

    fn step(&mut self, node: &Node, role_needs: &[String]) -> Option<Step> {
        let mut fields = Fields::of(self.document, node);
        let after_ready = match fields.text("when").as_deref() {
            None | Some("before") => false,
            Some("ready") => true,
            Some(other) => {
                fields.fail(node, format!("`when` is `before` or `ready`, not `{other}`"));
                false
            }
        };
        let condition = fields.take("if").cloned();
        let needs = fields.texts("needs");
        for need in needs.iter().filter(|need| !role_needs.contains(need)) {
            fields.against(node, format!("the step needs `{need}`, which is not among the role's own `needs`"));
        }
        let mut kinds = Vec::new();
        if let Some(inner) = fields.take("database") {
            kinds.push(StepKind::Database(inner.clone()));
        }
        if let Some(inner) = fields.take("message_queue") {
            kinds.push(StepKind::MessageQueue(inner.clone()));
        }
        if let Some(inner) = fields.take("catalog") {
            kinds.push(StepKind::Catalog(inner.clone()));
        }
        if let Some(inner) = fields.take("task") {
            let mut task = Fields::of(self.document, inner);
            let service = task.need_text("service").unwrap_or_default();
            let name = task.text("name").unwrap_or_else(|| "task".into());
            let command = task.take("command").cloned();
            kinds.push(StepKind::Task { service, name, command, env: pairs(task.map("env")) });
            self.errors.extend(task.finish());
        }
        if let Some(inner) = fields.take("exec") {
            let mut exec = Fields::of(self.document, inner);
            let service = exec.need_text("service").unwrap_or_default();
            if let (Some(command), Some(unless)) = (exec.need("command"), exec.need("unless")) {
                kinds.push(StepKind::Exec { service, command: command.clone(), unless: unless.clone() });
            }
            self.errors.extend(exec.finish());
        }
        if kinds.len() != 1 && (kinds.len() > 1 || !fields.has_unknown()) {
            fields.against(node, "a step has exactly one of `database`, `message_queue`, `catalog`, `task`, `exec`");
        }
        self.errors.extend(fields.finish());
        Some(Step { node: node.clone(), when: condition, after_ready, needs, kind: kinds.pop()? })
    }

    fn check(&mut self, node: &Node) -> Option<Check> {
        let mut fields = Fields::of(self.document, node);
        let group = fields.text("group");
        let when = fields.take("when").cloned();
        let mut found: Vec<(&str, &Node)> =
            CHECKS.iter().filter_map(|kind| fields.take(kind).map(|node| (*kind, node))).collect();
        if found.len() > 1 {
            fields.against(node, "a check has exactly one kind");
        }
        let errors = fields.finish();
        if found.is_empty() && errors.is_empty() {
            self.fail(node, format!("a check has one of `{}`", CHECKS.join("`, `")), Kind::RoleRule);
        }
        self.errors.extend(errors);
        let (kind, argument) = found.pop()?;
        Some(Check { node: node.clone(), group, when, kind: kind.to_owned(), argument: argument.clone() })
    }

    fn status(&mut self, node: &Node) -> Option<StatusItem> {
        let mut fields = Fields::of(self.document, node);
        let about = fields.need("about").cloned();
        let when = fields.take("if").cloned();
        let mut kinds = Vec::new();
        if let Some(inner) = fields.take("exec") {
            let mut exec = Fields::of(self.document, inner);
            let service = exec.need_text("service").unwrap_or_default();
            let [expect, same, reaches] = ["expect", "same", "reaches"].map(|key| exec.take(key).cloned());
            let (same, reaches) = (same.map(Box::new), reaches.map(Box::new));
            let command = exec.need("command").cloned();
            kinds.extend(command.map(|command| StatusKind::Exec { service, command, expect, same, reaches }));
            self.errors.extend(exec.finish());
        }
        kinds.extend(fields.take("address").cloned().map(StatusKind::Address));
        kinds.extend(fields.take("api").cloned().map(StatusKind::Api));
        if kinds.len() != 1 && (kinds.len() > 1 || !fields.has_unknown()) {
            fields.against(node, "a part of `status` has exactly one of `exec`, `address`, `api`");
        }
        self.errors.extend(fields.finish());
        Some(StatusItem { node: node.clone(), about: about?, when, kind: kinds.pop()? })
    }
}

pub(super) fn pairs(map: Vec<(&str, &Entry)>) -> Vec<(String, Node)> {
    map.into_iter().map(|(key, entry)| (key.to_owned(), entry.value.clone())).collect()
}
