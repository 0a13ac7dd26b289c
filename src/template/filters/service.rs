//! Kolla's filters over descriptions of services: `enabled`, and `group` or `host_in_groups`.

use minijinja::{Environment, Error, State, Value};

use super::super::arguments::{entries, items, truth, wrong};
use super::super::lazy::Root;

pub(super) fn add(environment: &mut Environment<'static>) {
    environment.add_filter("service_enabled", enabled);
    environment.add_filter("service_mapped_to_host", here);
    environment.add_filter("service_enabled_and_mapped_to_host", |state: &State<'_, '_>, service: &Value| {
        Ok(enabled(service)? && here(state, service)?)
    });
    environment.add_filter("select_services_enabled_and_mapped_to_host", |state: &State<'_, '_>, services: &Value| {
        let mut kept = Vec::new();
        for (name, service) in entries(services)? {
            if enabled(&service)? && here(state, &service)? {
                kept.push((name, service));
            }
        }
        Ok(Value::from_pairs(kept))
    });
}

fn enabled(service: &Value) -> Result<bool, Error> {
    let found = service.get_attr("enabled")?;
    if found.is_undefined() || found.is_none() { Err(missing(service, "`enabled`")) } else { Ok(truth(&found)) }
}

fn here(state: &State<'_, '_>, service: &Value) -> Result<bool, Error> {
    let listed = service.get_attr("host_in_groups")?;
    if !listed.is_undefined() && !listed.is_none() {
        return Ok(truth(&listed));
    }
    let group = service.get_attr("group")?;
    if group.is_undefined() || group.is_none() {
        return Err(missing(service, "`group` or `host_in_groups`"));
    }
    let groups = Root::of(state)?.raw("group_names").map_err(|error| super::super::failure::wrap(error, ""))?;
    Ok(group.as_str() == Some("all") || items(&groups)?.contains(&group))
}

fn missing(service: &Value, what: &str) -> Error {
    let name = service.get_attr("container_name").unwrap_or_default();
    wrong(format!("the service `{name}` has no {what}"))
}
