//! Files of the operator that nothing reads: a wrong name is else noticed only by what does not change.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;

use super::overrides::{ANY_HOST, Lookups, Overrides, file_name, fits, like, paths};
use crate::error::{InputError, Kind, nearest};
use crate::role::{Roles, many};
use crate::site::upstream;

/// How many files of the same fault are named where few words are wanted.
pub const NAMED: usize = 3;

/// Why nothing reads the files of several hosts that are not there.
const UNKNOWN_HOSTS: &str = ": the inventory has none of these hosts";

/// A role and a service of it; a role's name twice where hosts have the file.
type Owner<'a> = (&'a str, &'a str);

impl Overrides {
    /// The files that no plan looked for, with why; those of the same fault together, of which `most` are named.
    /// `hosts` are the inventory's.
    pub fn unread(&self, lookups: &Lookups, roles: &Roles, hosts: &[&str], most: usize) -> Vec<InputError> {
        let mut left =
            self.files.keys().map(String::as_str).filter(|path| !lookups.found.contains_key(*path)).peekable();
        if left.peek().is_none() {
            return Vec::new();
        }
        // As it is mostly called: `config`.
        let name = self.folder.file_name().unwrap_or(self.folder.as_os_str());
        let folder = name.to_string_lossy().into_owned();
        let known = Known { folder, lookups, roles, hosts, owners: owners(roles) };
        let mut faults: IndexMap<String, Vec<String>> = IndexMap::new();
        for path in left {
            faults.entry(known.fault(path)).or_default().push(known.shown(path));
        }
        let warning = |(mut fault, paths): (String, Vec<String>)| {
            if fault == UNKNOWN_HOSTS
                && let [path] = paths.as_slice()
            {
                let host = path.split('/').nth(2).unwrap_or_default();
                fault = format!(": the inventory has no host `{host}`");
            }
            InputError::new(format!("nothing reads {}{fault}", listed(&paths, most))).of(Kind::UnreadFile)
        };
        faults.into_iter().map(warning).collect()
    }
}

fn listed(paths: &[String], most: usize) -> String {
    let named: Vec<&str> = paths.iter().take(most).map(String::as_str).collect();
    match (named.split_last(), paths.len().saturating_sub(most)) {
        (Some((last, first)), 0) if !first.is_empty() => format!("{} and {last}", first.join(", ")),
        (_, 0) => named.concat(),
        (_, more) => format!("{} and {more} more", named.join(", ")),
    }
}

/// Who would read a path, were it enabled.
fn owners(roles: &Roles) -> BTreeMap<String, BTreeSet<Owner<'_>>> {
    let mut owners: BTreeMap<String, BTreeSet<Owner<'_>>> = BTreeMap::new();
    for role in roles.0.values() {
        let of_services = role.services.values().flat_map(|s| s.files.iter().map(|spec| (s.name.as_str(), spec)));
        let of_hosts = role.host.iter().flat_map(|item| &item.files);
        for (service, spec) in of_services.chain(of_hosts.map(|spec| (role.name.as_str(), spec))) {
            for path in paths(spec, &role.name, service, ANY_HOST, file_name(&spec.to)) {
                owners.entry(path).or_default().insert((&role.name, service));
            }
        }
    }
    owners
}

struct Known<'a> {
    folder: String,
    lookups: &'a Lookups,
    roles: &'a Roles,
    hosts: &'a [&'a str],
    owners: BTreeMap<String, BTreeSet<Owner<'a>>>,
}

impl Known<'_> {
    fn shown(&self, path: &str) -> String {
        format!("{}/{path}", self.folder)
    }

    /// Why nothing reads a path, as the end of a sentence that names it.
    fn fault(&self, path: &str) -> String {
        let parts: Vec<&str> = path.split('/').collect();
        let meant = |near: Option<String>| {
            near.map(|near| format!("; did you mean `{}`?", self.shown(&near))).unwrap_or_default()
        };
        if for_host(&parts, ANY_HOST).is_some_and(|path| self.lookups.asked.iter().any(|asked| fits(asked, &path))) {
            let host = parts[1];
            if self.hosts.contains(&host) {
                return format!(": no service on {host} looks for it");
            }
            // Never a file for all hosts: what is for one is not for others.
            return match nearest(host, self.hosts.iter().copied()).and_then(|near| for_host(&parts, near)) {
                Some(near) => format!(": the inventory has no host `{host}`{}", meant(Some(near))),
                None => UNKNOWN_HOSTS.to_owned(),
            };
        }
        if let Some(off) = self.off(path, &parts) {
            return format!(": {off}");
        }
        if let Some((_, why)) = upstream::files().find(|(pattern, _)| fits(pattern, path)) {
            return format!(": {why}");
        }
        match (self.near(path, &parts), parts.as_slice()) {
            (None, [role, _, ..]) if !self.roles.0.contains_key(*role) => format!(": there is no role `{role}`"),
            (None, [file]) => match file.strip_suffix(".conf").filter(|name| upstream::is_topic(name)) {
                Some(name) => format!(": there is no role `{name}`"),
                None => String::new(),
            },
            (near, _) => meant(near),
        }
    }

    /// What is not enabled, of the services that would read it.
    fn off(&self, path: &str, parts: &[&str]) -> Option<String> {
        let of_host = || self.owners.get(&for_host(parts, ANY_HOST)?);
        let of_pattern = || Some(self.owners.iter().find(|(known, _)| many(known) && fits(known, path))?.1);
        let owners = self.owners.get(path).or_else(of_host).or_else(of_pattern)?;
        let (role, service) = owners.first()?;
        let of_service = owners.len() == 1 && role != service;
        let who = if of_service { format!("service {service}") } else { format!("role {role}") };
        Some(if owners.iter().any(|(other, _)| other != role) {
            "no role that would read it is enabled".to_owned()
        } else if !self.lookups.roles.contains(*role) {
            format!("role {role} is not enabled")
        } else if owners.iter().any(|(_, service)| self.lookups.services.contains(*service)) {
            format!("{who} is set up without it")
        } else {
            format!("{who} has no host for it")
        })
    }

    /// The path that is most likely meant, of those that something reads.
    fn near(&self, path: &str, parts: &[&str]) -> Option<String> {
        let host = parts.get(1).filter(|part| self.hosts.contains(part));
        let of_host = |part| if part == ANY_HOST { host.copied() } else { Some(part) };
        // What stands for several files, and whether it does, has the name of this one if that is like it.
        let read: Vec<(bool, Vec<&str>)> = self
            .lookups
            .asked
            .iter()
            .filter_map(|asked| {
                let (folder, last) = asked.rsplit_once('/').unwrap_or(("", asked));
                if !last.is_empty() && !many(last) {
                    return Some((false, asked.split('/').map(of_host).collect::<Option<_>>()?));
                }
                let mut found: Vec<&str> = folder.split('/').map(of_host).collect::<Option<_>>()?;
                let rest = parts.get(found.len()..).filter(|rest| !rest.is_empty())?;
                found.extend(rest);
                (last.is_empty() || rest.len() == 1 && like(last, rest[0])).then_some((true, found))
            })
            .collect();
        // A file in another folder than it should be.
        let single = read.iter().filter(|(several, _)| !several).map(|(_, other)| other);
        let named: Vec<_> = single.filter(|other| other.last().copied() == Some(file_name(path))).collect();
        let only = |found: Vec<&Vec<&str>>| (found.len() == 1).then(|| found[0].join("/"));
        let of_role = named.iter().filter(|other| other.first() == parts.first()).copied().collect();
        let as_deep = named.iter().filter(|other| other.len() == parts.len()).copied().collect();
        if let Some(found) = only(of_role).or_else(|| only(as_deep)).or_else(|| only(named)) {
            return Some(found);
        }
        // One part of the path is misspelt.
        (0..parts.len()).find_map(|index| {
            let differs = |other: &&Vec<&str>| {
                other.len() == parts.len()
                    && other.iter().enumerate().all(|(at, part)| at == index || *part == parts[at])
            };
            let alike = read.iter().map(|(_, other)| other).filter(differs);
            let near = nearest_name(parts[index], alike.map(|other| other[index]))?;
            let part = |at: usize| if at == index { near } else { parts[at] };
            Some((0..parts.len()).map(part).collect::<Vec<_>>().join("/"))
        })
    }
}

/// A path of a host, `ROLE/HOST/FILE`, for another host.
fn for_host(parts: &[&str], host: &str) -> Option<String> {
    match parts {
        [role, _, file @ ..] if !file.is_empty() => Some(format!("{role}/{host}/{}", file.join("/"))),
        _ => None,
    }
}

/// The nearest name: the same with another extension, or a slip before the same one, which makes no names alike.
fn nearest_name<'a>(word: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let split = |name: &'_ str| name.rfind('.').unwrap_or(name.len());
    let (stem, extension) = word.split_at(split(word));
    let (mut same, mut like) = (Vec::new(), IndexMap::new());
    for name in names {
        let (other, with) = name.split_at(split(name));
        if other == stem {
            same.push(name);
        } else if with == extension {
            like.insert(other, name);
        }
    }
    nearest(word, same).or_else(|| nearest(stem, like.keys().copied()).map(|near| like[near]))
}
