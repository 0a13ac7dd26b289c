//! A service on a host: its files rendered, its container described.

use std::num::NonZero;
use std::panic::resume_unwind;

use indexmap::IndexMap;
use serde_json::json;

use super::builder::Builder;
use super::image;
use super::instance::Instance;
use super::overrides::{Searched, file_name};
use super::recipe::{Recipe, given, recipes};
use super::settings;
use crate::error::{InputError, Kind, Place};
use crate::host::{ContainerSpec, Health, ReadOnly};
use crate::op::container::{Balanced, Container, Reload};
use crate::op::file::OneFile;
use crate::op::file_set::{FileSet, NOTE};
use crate::op::probe::Probe;
use crate::role::{FileSpec, Role, Service, Source};
use crate::source::{Data, Fields, Node};
use crate::template::values::{Values, note};

/// Hosts for which a thread of their own is worth while.
const WORTH_A_THREAD: usize = 16;
/// Where a container finds its files.
pub(super) const CONFIG_FILES: &str = "/var/lib/kolla/config_files";
/// The file that tells the image what to run, and where its files go.
pub(super) const CONFIG_JSON: &str = "config.json";

/// All that a host needs of a service.
pub(super) struct ServiceOnHost {
    pub(super) host: String,
    pub(super) image: String,
    pub(super) volumes: Vec<String>,
    pub(super) files: FileSet,
    pub(super) container: Container,
    pub(super) last: bool,
}

impl<'a> Builder<'a> {
    /// What hosts need of a service, where it is set up. Most of the work of a plan is here: all processors share it.
    pub(super) fn service_on_hosts(
        &mut self,
        role: &'a Role,
        service: &'a Service,
        hosts: &[String],
    ) -> Vec<ServiceOnHost> {
        let image = self.common_image(role, service, hosts);
        let (builder, image) = (&*self, image.as_deref());
        let some = |hosts: &[String]| {
            let mut errors = Vec::new();
            let each = hosts.iter().flat_map(|host| builder.service_on_host(role, service, (host, image), &mut errors));
            (each.collect::<Vec<_>>(), errors)
        };
        let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
        let mut shares = hosts.chunks(hosts.len().div_ceil(processors).max(WORTH_A_THREAD));
        let done = std::thread::scope(|threads| {
            let own = shares.next().unwrap_or_default();
            let others: Vec<_> = shares.map(|hosts| threads.spawn(move || some(hosts))).collect();
            let others = others.into_iter().map(|other| other.join().unwrap_or_else(|panic| resume_unwind(panic)));
            std::iter::once(some(own)).chain(others).collect::<Vec<_>>()
        });
        let mut found: Vec<ServiceOnHost> = Vec::with_capacity(hosts.len());
        for (on_hosts, errors) in done {
            found.extend(on_hosts);
            for error in errors {
                note(&mut self.errors, error);
            }
        }
        found
    }

    fn service_on_host(
        &self,
        role: &'a Role,
        service: &'a Service,
        (host, image): (&str, Option<&str>),
        errors: &mut Vec<InputError>,
    ) -> Vec<ServiceOnHost> {
        let used_by = format!("service {} on {host}", service.name);
        self.values_noting(errors, role, host, used_by, |values| {
            let instances = Instance::all(service, values);
            instances
                .iter()
                .map(|instance| {
                    instance.with(values, |values| self.instance_on_host(role, instance, (host, image), values))
                })
                .collect()
        })
    }

    fn instance_on_host(
        &self,
        role: &'a Role,
        instance: &Instance<'a>,
        (host, image): (&str, Option<&str>),
        values: &mut Values<'_>,
    ) -> ServiceOnHost {
        let overrides = self.overrides;
        let service = instance.service;
        let open_files = self.input.facts.get(host).map_or(0, |facts| facts.open_files);
        let mut balanced = self.balanced(role, service, host);
        // A session of TCP may last for ever: it is cut, as one is whose host fails.
        let tcp = mode(service).is_some_and(|mode| values.text(mode) == "tcp");
        if let Some(balanced) = balanced.as_mut().filter(|_| tcp || service.proxy.is_none()) {
            balanced.tell.clear();
        }
        let image = image.map_or_else(|| image::reference(role, service, values), str::to_owned);
        let files = file_set(role, instance, host, overrides, values, |_, _, _, _| {});
        let folder = if files.stable { format!("/etc/kolla/{}", instance.name) } else { files.folder() };
        let mut mounts = vec![format!("{folder}/:{CONFIG_FILES}/:ro")];
        mounts.extend(service.volumes.iter().map(|node| values.text(node)).filter(|mount| !mount.is_empty()));
        settings::extra_volumes(role, instance, values, &mut mounts);
        let named = mounts.iter().filter(|mount| !mount.starts_with('/'));
        let volumes = named.filter_map(|mount| mount.split(':').next().map(str::to_owned)).collect();
        let mut env = IndexMap::from([
            ("KOLLA_CONFIG_STRATEGY".to_owned(), "COPY_ALWAYS".to_owned()),
            ("KOLLA_SERVICE_NAME".to_owned(), instance.name.clone()),
        ]);
        env.extend(values.environment(&service.env));
        let limits = &service.limits;
        let mut spec = ContainerSpec {
            name: instance.container.clone(),
            image: image.clone(),
            env,
            mounts,
            tmpfs: limits.tmpfs.clone(),
            devices: limits.devices.iter().filter_map(|node| device(node, values)).collect(),
            user: limits.user.clone(),
            privileged: limits.privileged,
            cap_add: limits.cap_add.clone(),
            security_opt: limits.security_opt.clone(),
            pid: limits.pid.clone(),
            ipc: limits.ipc.clone(),
            cgroupns: limits.cgroupns.clone(),
            health: limits.health.as_ref().map(|node| health(node, values)),
            restart: true,
            stop_timeout: limits.stop_timeout,
            ..ContainerSpec::default()
        };
        settings::limit(&mut spec, service, open_files, values);
        let reload = (!service.reload.is_empty()).then(|| Reload {
            command: reload_command(&service.reload),
            folder: folder.clone(),
            set: files.folder(),
            files: files.files.iter().map(|file| (file.name.clone(), file.digest.clone())).collect(),
        });
        // A value of the site, or a question for the live cluster.
        let (asked, told) = match &service.last {
            Some(node) if matches!(node.data, Data::Map(_)) => (Some(node), None),
            node => (None, node.as_ref()),
        };
        let container = Container {
            spec,
            role: role.name.clone(),
            service: instance.name.clone(),
            configuration: files.digest(),
            reload,
            validate: service.validate.clone(),
            ready: Probe::resolve(service.ready.as_ref(), values),
            balanced,
            before_replace: service.before_replace.as_ref().map(|node| Probe::resolve(Some(node), values)),
            before_remove: service.before_remove.clone(),
            last: asked.map(|node| Probe::resolve(Some(node), values)),
            ..Container::default()
        };
        let last = values.flag(told, false);
        ServiceOnHost { host: host.to_owned(), image, volumes, files, container, last }
    }

    /// What the load balancers know a service's member as, where they know it.
    fn balanced(&self, role: &Role, service: &Service, host: &str) -> Option<Balanced> {
        let judge = role.services.values().find(|other| other.balances.as_deref() == Some(service.name.as_str()));
        let backend = service.balances.as_ref().or_else(|| service.proxy.as_ref().map(|_| &service.name))?;
        let (_, balancer) = self.balancer?;
        let programs = balancer.balancer.as_ref()?;
        Some(Balanced {
            container: balancer.container.clone(),
            ask: ReadOnly::declared(programs.ask.clone()),
            tell: programs.tell.clone(),
            others: self.hosts_of(&service.group).len() > 1,
            backend: backend.replace('-', "_"),
            server: host.to_owned(),
            judge: judge.map(|judge| judge.container.clone()),
        })
    }
}

/// How the load balancer speaks with a service.
fn mode(service: &Service) -> Option<&Node> {
    match &service.proxy.as_ref()?.data {
        Data::Map(proxy) => proxy.get("mode").map(|mode| &mode.value),
        _ => None,
    }
}

/// A signal comes from inside: after the engine's own kill it takes the container for stopped on purpose, and leaves
/// it down when the host comes back from a power cut.
fn reload_command(words: &[String]) -> Vec<String> {
    match words {
        [signal] if signal.starts_with("SIG") => {
            let script = format!("kill -s {} 1", signal.trim_start_matches("SIG"));
            vec!["sh".into(), "-c".into(), script]
        }
        words => words.to_vec(),
    }
}

/// The files of a service on a host, as they are made. Each is also shown to `each`, with what it is made of, its name in
/// the set and its content.
pub(super) fn file_set(
    role: &Role,
    instance: &Instance<'_>,
    host: &str,
    overrides: &Searched<'_>,
    values: &mut Values<'_>,
    mut each: impl FnMut(&FileSpec, &Recipe, &str, &[u8]),
) -> FileSet {
    let service = instance.service;
    let mut files: Vec<OneFile> = Vec::new();
    let mut config_files = Vec::new();
    // Names in the set, and where those files go.
    let mut taken: Vec<(String, String)> =
        [CONFIG_JSON, NOTE].map(|name| (name.to_owned(), format!("{CONFIG_FILES}/{name}"))).into();
    let scope = given(&service.files, role, host, overrides, values);
    let mut values = Values {
        scope: scope.as_ref().unwrap_or(values.scope),
        document: values.document,
        used_by: values.used_by.clone(),
        errors: &mut *values.errors,
    };
    let values = &mut values;
    for spec in &service.files {
        if !values.flag(spec.when.as_ref(), true) {
            continue;
        }
        for recipe in recipes(spec, spec.to.clone(), (role, service.name.as_str()), host, overrides, values) {
            let content = recipe.content(values);
            let Some(name) = name_in_set(spec, &recipe, &taken, service, values) else { continue };
            each(spec, &recipe, &name, &content);
            config_files.push(json!({
                "source": format!("{CONFIG_FILES}/{name}"),
                "dest": recipe.to,
                "owner": spec.owner,
                "perm": format!("{:04o}", spec.mode),
            }));
            taken.push((name.clone(), recipe.to));
            // Readable on the host by root alone, whatever it becomes in the container.
            files.push(OneFile::new(name, content, 0o600));
        }
    }
    if let Some(command) = &service.command {
        let mut config = serde_json::Map::new();
        config.insert("command".into(), values.text(command).into());
        config.insert("config_files".into(), config_files.into());
        if !service.permissions.is_empty() {
            let permissions: Vec<_> = service
                .permissions
                .iter()
                .map(|item| json!({ "path": item.path, "owner": item.owner, "recurse": item.recurse }))
                .collect();
            config.insert("permissions".into(), permissions.into());
        }
        let text = serde_json::to_string_pretty(&config).unwrap_or_default();
        files.push(OneFile::new(CONFIG_JSON, text + "\n", 0o600));
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    FileSet {
        service: instance.name.clone(),
        container: instance.container.clone(),
        files,
        stable: !service.reload.is_empty(),
        ..FileSet::default()
    }
}

/// The name of a file in its set, which is one folder: its own, or that of the operator's file for it where that is taken.
fn name_in_set(
    spec: &FileSpec,
    recipe: &Recipe,
    taken: &[(String, String)],
    service: &Service,
    values: &mut Values<'_>,
) -> Option<String> {
    let to = &recipe.to;
    // Those of the role's own files are not for files that are given, wherever they stand.
    let given = |spec: &FileSpec| matches!(spec.source, Source::Given(_));
    let own = |name: &str| service.files.iter().any(|other| !given(other) && file_name(&other.to) == name);
    let free = |name: &&str| !(taken.iter().any(|(other, _)| other == name) || given(spec) && own(name));
    let twice = taken.iter().any(|(_, other)| other == to);
    let also = Some(recipe.also.as_str()).filter(|name| !name.is_empty()).filter(free);
    let name = Some(file_name(to)).filter(free).or(also).filter(|_| !twice);
    if name.is_none() {
        let (service, name) = (&service.name, file_name(to));
        let (message, hint) = if twice {
            (format!("two files of service {service} go to {to}"), "leave one of them out, or say `when` for both")
        } else {
            let message = format!("another file of service {service} is called `{name}`, too");
            (message, "give the operator's file for this one another name: `override: FILE`")
        };
        let error = InputError::new(message).of(Kind::RoleRule).at(values.document.place(&spec.node));
        values.note(error.hint(hint));
    }
    // The program in the image that puts it in place reads these as a pattern.
    let odd = |letter: char| letter.is_control() || "*?[]".contains(letter);
    if let Some(name) = name.filter(|name| name.contains(odd)) {
        let error = InputError::new(format!("`{name}` cannot be the name of a service's file")).at(recipe
            .layers
            .first()
            .map_or_else(|| values.document.place(&spec.node), |layer| Place::file(&layer.file)));
        values.note(error.hint("leave `*`, `?`, `[` and `]` out of it"));
        return None;
    }
    name.map(str::to_owned)
}

/// A device, if the role names one.
fn device(node: &Node, values: &mut Values<'_>) -> Option<String> {
    let text = values.some_text(node).filter(|text| !text.is_empty())?;
    // The path of a device on the host may have colons of its own.
    let paths = text.rsplit_once(':').filter(|(host, container)| host.starts_with('/') && container.starts_with('/'));
    if paths.is_none() {
        let error = InputError::new(format!("`{text}` is no device")).of(Kind::WrongValue);
        let error = error.at(values.document.place(node));
        values.note(error.hint("write `PATH:PATH_IN_CONTAINER`; both begin with `/`"));
    }
    paths.is_some().then_some(text)
}

fn health(node: &Node, values: &mut Values<'_>) -> Health {
    let mut fields = Fields::of(values.document, node);
    let test = fields.need("test").map(|node| values.text(node)).unwrap_or_default();
    let health = Health {
        test,
        interval: fields.number("interval").unwrap_or(30),
        timeout: fields.number("timeout").unwrap_or(30),
        retries: fields.number("retries").unwrap_or(3),
        start_period: fields.number("start_period").unwrap_or(5),
    };
    for error in fields.finish() {
        values.note(error);
    }
    health
}

fn one_file(
    spec: &FileSpec,
    role: &Role,
    host: &str,
    overrides: &Searched<'_>,
    values: &mut Values<'_>,
) -> Option<OneFile> {
    let to = match values.scope.render(std::path::Path::new("path"), &spec.to) {
        Ok(path) => path,
        Err(error) => {
            values.note(InputError { place: Some(values.document.place(&spec.node)), ..error });
            String::new()
        }
    };
    let recipe = recipes(spec, to, (role, &role.name), host, overrides, values).pop()?;
    let content = recipe.content(values);
    let mut file = OneFile::new(recipe.to, content, spec.mode);
    if spec.owner != "root" {
        file.owner.clone_from(&spec.owner);
    }
    Some(file)
}

/// The files of a preparation.
pub(super) fn host_files(
    specs: &[FileSpec],
    role: &Role,
    host: &str,
    overrides: &Searched<'_>,
    values: &mut Values<'_>,
) -> Vec<OneFile> {
    let mut files = Vec::new();
    for spec in specs {
        if values.flag(spec.when.as_ref(), true) {
            files.extend(one_file(spec, role, host, overrides, values));
        }
    }
    files
}
