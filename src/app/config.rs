//! The files of a service on a host, as its container would get them.

use indexmap::IndexSet;

use super::facts::KeptFacts;
use super::{App, Loaded};
use crate::error::{Error, Kind, Result, nearest};
use crate::plan::{Input, ServiceFile, service_files};

/// Which files.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The host.
    pub host: String,
    /// The service, as `glance-api`.
    pub service: String,
    /// The one of this name or path in the container; all where there is none.
    pub file: Option<String>,
    /// With their secrets.
    pub secrets: bool,
}

/// The files of a service on a host.
#[derive(Debug, Clone)]
pub struct Config {
    /// The files.
    pub files: Vec<ServiceFile>,
    /// What is not as it would be deployed, because hosts were not asked yet.
    pub warnings: Vec<String>,
}

/// The files of a service on a host, as its container would get them.
///
/// # Errors
/// Input errors; a host, service or file that is not there.
pub async fn config(app: &App, request: &Request) -> Result<Config> {
    let Request { host, service, file, secrets } = request;
    let loaded = Loaded::read(app).await?;
    loaded.known(host)?;
    let facts = KeptFacts::of(app).read();
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
        files.retain(|file| file.name == *wanted || file.to == *wanted);
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
    let mut warnings = Vec::new();
    if !facts.contains_key(host) {
        warnings.push(format!("{host} was not asked yet: facts of an ordinary host stand in for its own"));
    }
    if made_up {
        warnings.push("not all hosts were asked yet: addresses that only those know are made up".to_owned());
    }
    if !secrets {
        for file in &mut files {
            file.content = loaded.site.mask.hide(&file.content);
            for line in &mut file.lines {
                line.text = loaded.site.mask.hide(&line.text);
            }
        }
    }
    Ok(Config { files, warnings })
}
