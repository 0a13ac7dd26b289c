//! The files of a service on a host, as its container would get them.

use indexmap::IndexSet;

use super::ask::known_host;
use super::facts::KeptFacts;
use super::load::Loaded;
use crate::cli::Invocation;
use crate::error::{Error, Kind, Result, nearest};
use crate::plan::{Input, ServiceFile, service_files};

/// The files of a service on a host: all, or the one of a name or a path in the container. Secrets are hidden unless
/// `secrets` is set.
///
/// # Errors
/// Input errors; a host, service or file that is not there.
pub async fn config(
    at: &Invocation,
    host: &str,
    service: &str,
    file: Option<&str>,
    secrets: bool,
) -> Result<Vec<ServiceFile>> {
    let loaded = Loaded::read(at).await?;
    known_host(&loaded, host)?;
    let facts = KeptFacts::of(at).read();
    let hosts: IndexSet<String> = loaded.members();
    let made = |draft| {
        let scopes = loaded.remembered(&facts, draft);
        let (site, roles, overrides) = (&loaded.site, &loaded.roles, &loaded.overrides);
        service_files(&Input { site, roles, scopes: &scopes, facts: &facts, overrides, hosts: &hosts }, host, service)
    };
    // Before any host was asked an address may not be known: then a made-up one stands for it, as in `validate`.
    let (mut files, made_up) = match made(false) {
        Ok(files) => (files, false),
        Err(_) => (made(true)?, true),
    };
    if let Some(wanted) = file {
        let names: Vec<String> = files.iter().map(|file| file.name.clone()).collect();
        files.retain(|file| file.name == wanted || file.to == wanted);
        if files.is_empty() {
            let name = wanted.rsplit('/').next().unwrap_or(wanted);
            let hint = match nearest(name, names.iter().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("files: {}", names.join(", ")),
            };
            return Err(Error::input(format!("service {service} has no file `{wanted}` on {host}"))
                .of(Kind::UnknownName)
                .with_hint(hint));
        }
    }
    if !facts.contains_key(host) {
        at.warn(&format!("{host} was not asked yet: facts of an ordinary host stand in for its own"));
    }
    if made_up {
        at.warn("not all hosts were asked yet: addresses that only those know are made up");
    }
    if !secrets {
        for file in &mut files {
            file.content = loaded.site.mask.hide(&file.content);
            for line in &mut file.lines {
                line.text = loaded.site.mask.hide(&line.text);
            }
        }
    }
    Ok(files)
}
