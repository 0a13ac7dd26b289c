//! role.yml to [`Role`]: a closed set of keys, every mistake with its place.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use indexmap::IndexMap;
use regex::Regex;

use super::keys::{CHECK, HOST_ITEM, STEP, TOP};
use super::parser::{Parser, pairs};
use super::{
    Action, Assert, Balancer, Check, Does, FileSpec, Files, HostItem, Limits, Number, On, Permission, Program, Role,
    Rule, Service, StatusItem, StatusKind, Step, Templates,
};
use crate::error::{InputError, Kind, nearest};
use crate::examples;
use crate::op::word::At;
use crate::op::words;
use crate::source::{Data, Document, Entry, Fields, Node, is_template, not_rendered};
use crate::template::{Layer, Sourced};

/// A role from its files; templates that it lacks are those of `shared`.
pub(super) fn role(name: &str, files: &Files, shared: &Templates) -> Result<(Role, Layer), Vec<InputError>> {
    let mut document = None;
    let mut templates = shared.clone();
    for (path, text) in files {
        match template(path, text) {
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
    let [needs, after] = ["needs", "after"].map(|key| top.texts(key));
    let fixed = top.texts("fixed");
    let elsewhere = top.text("elsewhere");
    let vars = top.map("vars");
    let mut services = IndexMap::new();
    for (service, entry) in top.map("services") {
        services.insert(service.to_owned(), parser.service(service, &entry.value));
    }
    let host = top.list("host").iter().filter_map(|node| parser.host_item(node)).collect();
    let steps = top.list("steps").iter().filter_map(|node| parser.step(node, &needs)).collect();
    let checks = top.list("checks").iter().filter_map(|node| parser.check(node, &services)).collect();
    let status = top.list("status").iter().filter_map(|node| parser.status(node)).collect();
    let mut actions = IndexMap::new();
    for (action, entry) in top.map("actions") {
        actions.insert(action.to_owned(), parser.action(&entry.value));
    }
    let in_use = top.take("in_use").and_then(|node| parser.program(node));
    parser.recoveries(&services, &actions);
    let mut layer = parser.vars(name, &services, &vars);
    let numbers = parser.numbers(&mut layer, &top.map("numbers"));
    let values = parser.values(&layer, &top.map("values"));
    let asserts = top.list("asserts").iter().filter_map(|node| parser.assert(node)).collect();
    let mut errors = top.finish();
    errors.append(&mut parser.errors);
    // What the parser has found at a place it knows better.
    let mut others = Vec::new();
    TOP.check(&document.root, &document, &mut others);
    others.retain(|error| !errors.iter().any(|known| known.place == error.place));
    errors.append(&mut others);
    if !errors.is_empty() {
        return Err(errors);
    }
    let role = Role {
        name: name.to_owned(),
        about,
        document: document.clone(),
        enabled,
        needs,
        after,
        fixed,
        elsewhere,
        values,
        asserts,
        numbers,
        services,
        host,
        steps,
        actions,
        in_use,
        checks,
        status,
        templates,
    };
    Ok((role, layer))
}

/// A file of a role as a template; none for role.yml.
pub(super) fn template(path: &Path, text: &Arc<str>) -> Option<(String, (PathBuf, Arc<str>))> {
    let name = path.file_name().filter(|name| *name != "role.yml")?;
    Some((name.to_string_lossy().into_owned(), (path.to_owned(), text.clone())))
}

/// What limits a service. Two of them have older keys of their own.
fn dimensions(fields: &mut Fields<'_>) -> Option<Node> {
    let written = fields.take("dimensions").cloned();
    let pair = |key: &str, node: &Node| {
        let entry = Entry { line: node.line, column: node.column, again: None, value: node.clone() };
        (key.to_owned(), entry)
    };
    let map =
        |of: &Node, pairs: Vec<(String, Entry)>| Node { data: Data::Map(pairs.into_iter().collect()), ..of.clone() };
    let memory = fields.take("memory").map(|node| (node, pair("mem_limit", node)));
    let nofile = fields.take("nofile").map(|node| {
        let both = map(node, vec![pair("soft", node), pair("hard", node)]);
        (node, pair("ulimits", &map(node, vec![pair("nofile", &both)])))
    });
    let (nodes, older): (Vec<&Node>, Vec<_>) = memory.into_iter().chain(nofile).unzip();
    let Some(first) = nodes.first() else { return written };
    if written.is_some() {
        fields.against(first, "`memory` and `nofile` are older keys of what is in `dimensions`: write them there");
    }
    Some(map(first, older))
}

impl Parser<'_> {
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
        Layer { name: format!("role {role}"), vars: found, ..Layer::default() }
    }

    /// The rules of variables: those that are written down, and those that follow from names and defaults.
    fn values(&mut self, vars: &Layer, written: &[(&str, &Entry)]) -> BTreeMap<String, Rule> {
        let implied =
            |(name, sourced): (&String, &Sourced)| Some((name.clone(), Rule::implied(name, &sourced.node.data)?));
        let mut rules: BTreeMap<String, Rule> = vars.vars.iter().filter_map(implied).collect();
        for (name, entry) in written {
            // Some of the whole site's have no default, and secrets have none.
            let known = examples::variables().map(|(_, known)| known).chain(examples::secrets());
            if !vars.vars.contains_key(*name) && !known.into_iter().any(|known| known == *name) {
                let message = format!("`{name}` is none of this role's variables");
                self.errors
                    .push(InputError::new(message).of(Kind::RoleRule).at(self.document.at(entry.line, entry.column)));
            }
            rules.extend(Rule::parse(self, &entry.value).map(|rule| ((*name).to_owned(), rule)));
        }
        rules
    }

    /// What must hold between variables; what is missing is told by the table of keys.
    fn assert(&mut self, node: &Node) -> Option<Assert> {
        let mut fields = Fields::of(self.document, node);
        Some(Assert {
            that: fields.take("that")?.clone(),
            variables: fields.words("variables"),
            message: fields.text("message")?,
            hint: fields.text("hint"),
            warns: fields.flag("warns"),
        })
    }

    /// Numbers, whose variables say what the engine gave unless the operator says otherwise.
    fn numbers(&mut self, vars: &mut Layer, written: &[(&str, &Entry)]) -> BTreeMap<String, Number> {
        let mut numbers = BTreeMap::new();
        for (name, entry) in written {
            let mut fields = Fields::of(self.document, &entry.value);
            let group = fields.text("group").unwrap_or_default();
            numbers.insert((*name).to_owned(), Number { group, from: fields.number("from").unwrap_or(1) });
            let value = Data::Str(format!("{{{{ facts.numbers.{name} }}}}"));
            let node = Node { data: value, ..entry.value.clone() };
            vars.vars.insert((*name).to_owned(), Sourced { node, document: self.document.clone() });
        }
        numbers
    }

    fn service(&mut self, name: &str, node: &Node) -> Service {
        let mut fields = Fields::of(self.document, node);
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
            each: fields.take("each").cloned(),
            container: fields.text("container").unwrap_or_else(|| name.replace('-', "_")),
            image: fields.take("image").cloned(),
            command: fields.take("command").cloned(),
            rolling: fields.number("rolling").unwrap_or(0),
            last: fields.take("last").cloned(),
            cluster: fields.take("cluster").cloned(),
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
            offers: words::OFFERS
                .iter()
                .filter_map(|offer| Some((offer.key.0, fields.take(offer.key.0)?.clone())))
                .collect(),
            limits: Limits {
                privileged: fields.flag("privileged"),
                cap_add: fields.texts("cap_add"),
                security_opt: fields.texts("security_opt"),
                pid: fields.text("pid").unwrap_or_default(),
                ipc: fields.text("ipc").unwrap_or_default(),
                cgroupns: fields.text("cgroupns").unwrap_or_default(),
                tmpfs: fields.texts("tmpfs"),
                devices: fields.list("devices").to_vec(),
                user: fields.text("user").unwrap_or_default(),
                dimensions: dimensions(&mut fields),
                stop_timeout: fields.number("stop_timeout").unwrap_or(0),
                health: fields.take("health").cloned(),
            },
        };
        if service.each.is_some() {
            // Others know its container by one name.
            let parts = [("proxy", service.proxy.is_some()), ("cluster", service.cluster.is_some())];
            let parts = parts.into_iter().filter_map(|(key, there)| there.then_some(key));
            for key in parts.chain(service.offers.keys().copied()) {
                fields.against(node, format!("a service with `each` cannot have `{key}`"));
            }
        }
        self.errors.extend(fields.finish());
        service
    }

    fn permission(&self, node: &Node) -> Option<Permission> {
        let mut fields = Fields::of(self.document, node);
        let (path, owner) = (fields.text("path")?, fields.text("owner")?);
        Some(Permission { path, owner, recurse: fields.flag("recurse") })
    }

    fn host_item(&mut self, node: &Node) -> Option<HostItem> {
        let (at, written) = HOST_ITEM.chosen(node)?;
        let word = words::HOST[at];
        let mut files = Vec::new();
        word.key.1.defined("file", written, &mut files);
        let files = files.into_iter().map(|node| self.host_file(node)).collect();
        let mut fields = Fields::of(self.document, node);
        Some(HostItem {
            node: node.clone(),
            group: fields.text("group").unwrap_or_else(|| "baremetal".into()),
            when: fields.take("when").cloned(),
            serial: fields.number("serial").unwrap_or(word.means.serial),
            word,
            written: written.clone(),
            files,
        })
    }

    fn step(&mut self, node: &Node, role_needs: &[String]) -> Option<Step> {
        let (at, written) = STEP.chosen(node)?;
        let mut fields = Fields::of(self.document, node);
        let needs = fields.texts("needs");
        for need in needs.iter().filter(|need| !role_needs.contains(need)) {
            let message = format!("the step needs `{need}`, which is not among the role's own `needs`");
            self.fail(node, message, Kind::RoleRule);
        }
        let word = words::STEPS[at];
        let on = On::of(fields.text("on").as_deref());
        if on == On::Every && !matches!(word.means.at, At::Service) {
            let message = format!("a step `{}` is done once: it cannot be `on: every`", word.key.0);
            self.fail(node, message, Kind::RoleRule);
        }
        Some(Step {
            node: node.clone(),
            on,
            when: fields.take("if").cloned(),
            after_ready: fields.text("when").as_deref() == Some("ready"),
            needs,
            word,
            written: written.clone(),
        })
    }

    fn action(&mut self, node: &Node) -> Action {
        let mut fields = Fields::of(self.document, node);
        let mut arguments = Vec::new();
        for (name, entry) in fields.map("arguments") {
            // The whole value is what the pattern says.
            let pattern = entry.value.as_str().unwrap_or(".+");
            match Regex::new(&format!("^(?:{pattern})$")) {
                Ok(pattern) => arguments.push((name.to_owned(), pattern)),
                Err(_) => self.fail(&entry.value, format!("`{pattern}` is no regular expression"), Kind::WrongValue),
            }
        }
        let does = match fields.take("command") {
            Some(command) => Does::Command(command.clone()),
            None => Does::Recovers,
        };
        if let Does::Recovers = does {
            for key in ["on", "arguments", "guard", "done"].into_iter().filter(|key| fields.take(key).is_some()) {
                self.fail(node, format!("an action that recovers a cluster has no `{key}`"), Kind::RoleRule);
            }
        }
        Action {
            node: node.clone(),
            about: fields.text("about").unwrap_or_default(),
            alias: fields.take("alias").cloned(),
            service: fields.text("service").unwrap_or_default(),
            on: On::of(fields.text("on").as_deref()),
            arguments,
            guard: fields.take("guard").cloned(),
            does,
            done: fields.take("done").cloned(),
            loses_data: fields.flag("loses_data"),
        }
    }

    /// Each cluster has an action that recovers it, because a deployment that may start nothing sends operators there.
    fn recoveries(&mut self, services: &IndexMap<String, Service>, actions: &IndexMap<String, Action>) {
        let recovers = || actions.values().filter(|action| matches!(action.does, Does::Recovers));
        for action in recovers() {
            if services.get(&action.service).is_none_or(|service| service.cluster.is_none()) {
                self.fail(&action.node, format!("service {} forms no `cluster`", action.service), Kind::RoleRule);
            }
        }
        for (name, service) in services {
            if let Some(cluster) = &service.cluster
                && !recovers().any(|action| action.service == *name)
            {
                let message = format!("no action has `recovers: cluster` with `service: {name}`");
                self.fail(cluster, message, Kind::RoleRule);
            }
        }
    }

    fn check(&mut self, node: &Node, services: &IndexMap<String, Service>) -> Option<Check> {
        let (at, written) = CHECK.chosen(node)?;
        if let Data::Map(map) = &written.data
            && let Some(container) = map.get("container")
        {
            self.container(&container.value, services);
        }
        let mut fields = Fields::of(self.document, node);
        Some(Check {
            node: node.clone(),
            group: fields.text("group"),
            when: fields.take("when").cloned(),
            word: words::CHECKS[at],
            written: written.clone(),
        })
    }

    /// A container that a check names is one of the role's.
    fn container(&mut self, node: &Node, services: &IndexMap<String, Service>) {
        let Some(name) = node.as_str().filter(|name| !is_template(name)) else { return };
        let is_of = |service: &Service| {
            let of_each = || name.strip_prefix(&*service.container).is_some_and(|rest| rest.starts_with('_'));
            service.container == name || service.each.is_some() && of_each()
        };
        if services.values().any(is_of) {
            return;
        }
        let known: Vec<&str> = services.values().map(|service| &*service.container).collect();
        let hint = match nearest(name, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if known.is_empty() => "describe its service under `services`".to_owned(),
            None => format!("name one of {}", known.join(", ")),
        };
        let error = InputError::new(format!("no service of this role has the container `{name}`"));
        self.errors.push(error.of(Kind::UnknownName).at(self.document.place(node)).hint(hint));
    }

    fn program(&self, node: &Node) -> Option<Program> {
        let mut fields = Fields::of(self.document, node);
        let (service, command) = (fields.text("service")?, fields.take("command")?.clone());
        Some(Program { node: node.clone(), service, command })
    }

    fn status(&self, node: &Node) -> Option<StatusItem> {
        let mut fields = Fields::of(self.document, node);
        let (about, when) = (fields.take("about")?.clone(), fields.take("if").cloned());
        let kind = if let Some(node) = fields.take("exec") {
            let mut exec = Fields::of(self.document, node);
            let [expect, same, reaches] = ["expect", "same", "reaches"].map(|key| exec.take(key).cloned());
            let (same, reaches) = (same.map(Box::new), reaches.map(Box::new));
            let (service, command) = (exec.text("service")?, exec.take("command")?.clone());
            StatusKind::Exec { service, command, expect, same, reaches }
        } else if let Some(node) = fields.take("table") {
            StatusKind::Table(self.program(node)?)
        } else if let Some(node) = fields.take("address") {
            StatusKind::Address(node.clone())
        } else {
            StatusKind::Api(fields.take("api")?.clone())
        };
        Some(StatusItem { node: node.clone(), about, when, kind })
    }
}
