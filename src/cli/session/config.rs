//! The files of a service on a host, as its container would get them.

use indexmap::IndexSet;

use super::ask::known_host;
use super::load::Loaded;
use crate::cli::Invocation;
use crate::error::{Error, Result, nearest};
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
    let scopes = loaded.unasked(false);
    let hosts: IndexSet<String> = loaded.members();
    let mut files = service_files(
        &Input {
            site: &loaded.site,
            roles: &loaded.roles,
            scopes: &scopes,
            facts: &std::collections::BTreeMap::new(),
            overrides: &loaded.overrides,
            hosts: &hosts,
        },
        host,
        service,
    )?;
    if let Some(wanted) = file {
        let names: Vec<String> = files.iter().map(|file| file.name.clone()).collect();
        files.retain(|file| file.name == wanted || file.to == wanted);
        if files.is_empty() {
            let name = wanted.rsplit('/').next().unwrap_or(wanted);
            let hint = match nearest(name, names.iter().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("files: {}", names.join(", ")),
            };
            return Err(Error::input(format!("service {service} has no file `{wanted}` on {host}")).with_hint(hint));
        }
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
