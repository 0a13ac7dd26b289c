//! The files of one service on one host, with the line of the site or role that each of their lines comes from.

use std::path::PathBuf;

use serde::Serialize;

use super::builder::{Builder, Input};
use super::instance::Instance;
use super::overrides::Searched;
use super::recipe::Recipe;
use super::service::{CONFIG_FILES, CONFIG_JSON, file_set};
use crate::error::{Error, InputError, Kind, Result, nearest};
use crate::op::file::digest_of;
use crate::role::{FileSpec, Role, Service};
use crate::site::merge::Origin;

/// A file of a service on a host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ServiceFile {
    /// Its name on the host, as `glance-api.conf`.
    pub name: String,
    /// Where the container has it.
    pub to: String,
    /// Who owns it there.
    pub owner: String,
    /// Its permissions there, as `0600`.
    pub mode: String,
    /// What it is made of, lowest first, and where the operator's files for it may be.
    pub sources: Vec<FileSource>,
    /// Its lines.
    #[serde(skip)]
    pub lines: Vec<FileLine>,
    /// Its content; of one that is no text, a word on that.
    #[serde(skip)]
    pub content: String,
    /// It is text.
    pub text: bool,
}

/// A file that another one is made of, or may be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileSource {
    /// Its path.
    pub file: PathBuf,
    /// It is the operator's, not the role's.
    pub own: bool,
    /// It is there.
    pub there: bool,
    /// It is used: it is there, and no more specific one takes its place.
    pub used: bool,
}

/// A line of a file, and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileLine {
    /// The line.
    pub text: String,
    /// The position of its source among those of the file; none for what only separates.
    #[serde(skip)]
    pub source: Option<usize>,
    /// The file it is from.
    pub file: Option<PathBuf>,
    /// The line there; none where that cannot be told.
    pub line: Option<usize>,
}

/// The files that a service's container gets on a host.
///
/// # Errors
/// A service that is not on the host, and every mistake in its files and in what is told to the load balancer.
pub fn service_files(input: &Input<'_>, host: &str, name: &str) -> Result<Vec<ServiceFile>> {
    let overrides = Searched::new(input.overrides);
    let (mut builder, enabled) = Builder::prepared(input, &overrides)?;
    let (role, service) = find(&builder, &enabled, host, name)?;
    let mut found = Vec::new();
    let used_by = format!("service {} on {host}", service.name);
    let set = builder.values(role, host, used_by, |values| {
        let instances = Instance::all(service, values);
        let named = |instance: &&Instance<'_>| instance.name == name || instance.container == name;
        let instance = instances.iter().find(named).or(instances.first())?;
        Some(instance.with(values, |values| {
            file_set(role, instance, host, &overrides, values, |spec, recipe, name, content| {
                found.push(ServiceFile { name: name.to_owned(), ..described(spec, recipe, content, input) });
            })
        }))
    });
    if !builder.errors.is_empty() {
        return Err(Error::Input(builder.errors));
    }
    let Some(set) = set else {
        let error = InputError::new(format!("service {} is not set up on {host}: its `when` is false", service.name))
            .of(Kind::UnknownName);
        return Err(error.at(role.document.place(service.when.as_ref().unwrap_or(&service.node))).into());
    };
    for file in set.files.iter().filter(|file| file.name == CONFIG_JSON) {
        let content = String::from_utf8_lossy(&file.content).into_owned();
        let (path, line) = (role.document.file(), service.node.line);
        found.push(ServiceFile {
            name: CONFIG_JSON.into(),
            to: format!("{CONFIG_FILES}/{CONFIG_JSON}"),
            owner: "root".into(),
            mode: "0600".into(),
            lines: lines(&content, std::slice::from_ref(&path), &vec![Some((0, line)); content.lines().count()]),
            sources: vec![FileSource { file: path, own: false, there: true, used: true }],
            content,
            text: true,
        });
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

fn described(spec: &FileSpec, recipe: &Recipe, content: &[u8], input: &Input<'_>) -> ServiceFile {
    let looked = &recipe.looked;
    let text = std::str::from_utf8(content);
    let no_text = || format!("not text: {} bytes, SHA-256 {}\n", content.len(), digest_of(content));
    let parts: Vec<PathBuf> = recipe.layers.iter().map(|layer| layer.file.clone()).collect();
    let own: Vec<PathBuf> = looked.iter().map(|path| input.overrides.folder.join(path)).collect();
    let source = |file: &PathBuf, own, there| FileSource { file: file.clone(), own, there, used: parts.contains(file) };
    let role = parts.iter().filter(|path| !own.contains(path));
    let mut sources: Vec<FileSource> = role.map(|file| source(file, false, true)).collect();
    let there = |path: &String| input.overrides.files.contains_key(path);
    sources.extend(own.iter().zip(looked).map(|(file, path)| source(file, true, there(path))));
    // By their position among the sources instead of that among the parts.
    let place = |part: usize| sources.iter().position(|source| source.file == parts[part]).unwrap_or_default();
    let origins: Vec<Origin> =
        recipe.origins().into_iter().map(|origin| origin.map(|(part, line)| (place(part), line))).collect();
    let files: Vec<PathBuf> = sources.iter().map(|source| source.file.clone()).collect();
    ServiceFile {
        name: String::new(),
        to: recipe.to.clone(),
        owner: spec.owner.clone(),
        mode: format!("{:04o}", spec.mode),
        lines: lines(text.unwrap_or_default(), &files, &origins),
        sources,
        content: text.map_or_else(|_| no_text(), str::to_owned),
        text: text.is_ok(),
    }
}

fn lines(content: &str, files: &[PathBuf], origins: &[Origin]) -> Vec<FileLine> {
    let origins = origins.iter().copied().chain(std::iter::repeat(None));
    let line = |(text, origin): (&str, Origin)| FileLine {
        text: text.to_owned(),
        source: origin.map(|(source, _)| source),
        file: origin.and_then(|(source, _)| files.get(source).cloned()),
        line: origin.map(|(_, line)| line).filter(|line| *line > 0),
    };
    content.lines().zip(origins).map(line).collect()
}

/// The service of a name, or of its container's name, and its role.
fn find<'a>(builder: &Builder<'a>, enabled: &[&'a Role], host: &str, name: &str) -> Result<(&'a Role, &'a Service)> {
    let one_of = |service: &Service, all: &str| {
        let rest = name.strip_prefix(all);
        rest.is_some_and(|rest| rest.is_empty() || service.each.is_some() && rest.starts_with(['-', '_']))
    };
    let meant = |service: &&Service| one_of(service, &service.name) || one_of(service, &service.container);
    let of = |role: &'a Role| role.services.values().find(meant).map(|service| (role, service));
    let on_host = |service: &Service| builder.hosts_of(&service.group).iter().any(|other| other == host);
    let there = || enabled.iter().flat_map(|role| role.services.values()).filter(|service| on_host(service));
    let missing = |message: String, hint: String| Err(InputError::new(message).of(Kind::UnknownName).hint(hint).into());
    let listed = || there().map(|service| service.name.as_str()).collect::<Vec<_>>().join(", ");
    if let Some((role, service)) = enabled.iter().copied().find_map(of) {
        if on_host(service) {
            return Ok((role, service));
        }
        let hosts = builder.hosts_of(&service.group);
        let hint = match hosts.as_slice() {
            [] => format!("add hosts to the group `{}` of the inventory", service.group),
            hosts => format!("hosts of its group `{}`: {}", service.group, hosts.join(", ")),
        };
        return missing(format!("there is no service {} on {host}", service.name), hint);
    }
    if let Some((role, service)) = builder.input.roles.0.values().find_map(of) {
        let message = format!("service {} is of the role {}, which is not enabled", service.name, role.name);
        return missing(message, format!("services on {host}: {}", listed()));
    }
    let names = builder.input.roles.0.values().flat_map(|role| role.services.keys().map(String::as_str));
    let hint = match nearest(name, there().map(|service| service.name.as_str())).or_else(|| nearest(name, names)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("services on {host}: {}", listed()),
    };
    missing(format!("there is no service `{name}`"), hint)
}
