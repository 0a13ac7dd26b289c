//! Kolla's address filters: which address a host has on a network, and how an address is written where.

use std::net::IpAddr;

use minijinja::value::{Rest, ValueOrKwargs};
use minijinja::{Environment, Error, State, Value};

use super::super::arguments::{split, written, wrong};
use super::super::failure::wrap;
use super::super::lazy::Root;
use super::super::scope::Scope;
use crate::error::{InputError, Kind, nearest};

pub(super) fn add(environment: &mut Environment<'static>) {
    environment.add_filter("kolla_address", kolla_address);
    environment.add_filter("kolla_url", kolla_url);
    environment.add_filter("put_address_in_context", |address: &Value, place: &str| in_place(written(address)?, place));
}

/// `network | kolla_address(hostname, override_var)`.
fn kolla_address(state: &State<'_, '_>, network: &Value, rest: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let (scope, network) = (Root::of(state)?, written(network)?);
    let (args, named) = split(rest)?;
    let argument = |index: usize, name: &str| match args.get(index) {
        Some(value) => Ok(Some(value.to_string())),
        None => named.get::<Option<String>>(name),
    };
    let (host, own) = (argument(0, "hostname")?, argument(1, "override_var")?);
    named.assert_all_used()?;
    let found = |scope: &Scope| match &own {
        Some(own) if scope.has(own) => {
            let value = scope.raw(own)?;
            match value.to_string().parse::<IpAddr>() {
                Ok(address) => Ok(Value::from(address.to_string())),
                Err(_) => Err(InputError::new(format!("`{own}` is `{value}`, which is no address"))),
            }
        }
        _ => of_network(scope, network),
    };
    match host {
        None => found(&scope),
        Some(host) => {
            let other = scope.other(&host).ok_or_else(|| wrong(format!("`{host}` is no host of the inventory")))?;
            // Whatever it finds depends on a host.
            scope.lookup("inventory_hostname");
            found(&other)
        }
    }
    .map_err(|error| wrap(error, ""))
}

/// `name | kolla_url(protocol, port, path, context)`.
fn kolla_url(address: &Value, protocol: &str, port: &Value, rest: Rest<ValueOrKwargs>) -> Result<String, Error> {
    let (args, named) = split(rest)?;
    let argument = |index: usize, name: &str| match args.get(index) {
        Some(value) => Ok(Some(value.to_string())),
        None => named.get::<Option<String>>(name),
    };
    let path = argument(0, "path")?.unwrap_or_default();
    let place = argument(1, "context")?.unwrap_or_else(|| "url".to_owned());
    named.assert_all_used()?;
    let address = in_place(written(address)?, &place)?;
    let port = port.to_string();
    let usual = matches!((protocol, port.trim()), ("http" | "ws", "80") | ("https" | "wss", "443"));
    Ok(if usual { format!("{protocol}://{address}{path}") } else { format!("{protocol}://{address}:{port}{path}") })
}

/// How an address is written in a URL, for memcached's clients and for Erlang.
fn in_place(address: &str, place: &str) -> Result<String, Error> {
    let six = address.contains(':');
    match place {
        "url" if six => Ok(format!("[{address}]")),
        "memcache" if six => Ok(format!("inet6:[{address}]")),
        "url" | "memcache" => Ok(address.to_owned()),
        "rabbitmq" => match address.parse() {
            Ok(IpAddr::V4(address)) => Ok(address.to_string().replace('.', ",")),
            Ok(IpAddr::V6(address)) => Ok(address.segments().map(|part| format!("16#{part:x}")).join(",")),
            Err(_) => Err(wrong(format!("`{address}` is no address"))),
        },
        other => Err(wrong(format!("unknown context `{other}`: use `url`, `memcache` or `rabbitmq`"))),
    }
}

/// The host's address on a network: of the interface `<network>_interface` names, in the family that
/// `<network>_address_family` names. Before the host was looked at, `ansible_host` stands in for it.
fn of_network(scope: &Scope, network: &str) -> Result<Value, InputError> {
    let host = scope.host_name().unwrap_or_default().to_owned();
    let variable = format!("{network}_interface");
    let interface = scope.raw(&variable)?.to_string();
    let family = format!("{network}_address_family");
    let family = if scope.has(&family) { scope.raw(&family)?.to_string() } else { "ipv4".to_owned() };
    let list = match family.as_str() {
        "ipv4" | "ipv6" => family.as_str(),
        other => {
            return Err(
                InputError::new(format!("`{network}_address_family` is `{other}`")).hint("use `ipv4` or `ipv6`")
            );
        }
    };
    let facts = scope.raw("facts")?;
    if !scope.knows_facts() {
        return without_facts(scope, &host, network, list);
    }
    let missing = |message: String, names: &[String]| {
        let error = InputError::new(message);
        let error = match scope.explain(&variable).into_iter().next() {
            Some(origin) => error.at(origin.place),
            None => error,
        };
        match nearest(&interface, names.iter().map(String::as_str)) {
            Some(near) => error.hint(format!("did you mean `{near}`? {host} has {}", names.join(", "))),
            None if names.is_empty() => error,
            None => error.hint(format!("set `{variable}` to one of {host}'s: {}", names.join(", "))),
        }
    };
    let interfaces = field(&facts, "interfaces");
    let found = field(&interfaces, &interface);
    // Facts that only stand in for those of a host that was not asked name no interface, or in a draft made-up ones.
    if interfaces.len() == Some(0) || field(&facts, "draft").is_true() {
        return without_facts(scope, &host, network, list);
    }
    if found.is_undefined() {
        let names: Vec<String> = interfaces
            .try_iter()
            .into_iter()
            .flatten()
            .map(|name| name.to_string())
            .filter(|name| name != "lo")
            .collect();
        return Err(missing(format!("{host} has no interface `{interface}` (`{variable}`)"), &names));
    }
    let addresses: Vec<String> = field(&found, list).try_iter().into_iter().flatten().map(|a| a.to_string()).collect();
    let bare: Vec<&str> = addresses.iter().map(|address| address.split('/').next().unwrap_or_default()).collect();
    choose(scope, &bare).map(Value::from).ok_or_else(|| {
        missing(format!("{host} has no {} address on `{interface}` (`{variable}`)", family.replace("ip", "IP")), &[])
    })
}

/// The first address that is no virtual one of the site and, where there is another, no loopback one.
fn choose<'a>(scope: &Scope, addresses: &[&'a str]) -> Option<&'a str> {
    if addresses.len() < 2 {
        return addresses.first().copied();
    }
    let virtual_address = |name: &str| {
        let value = scope.has(name).then(|| scope.raw(name).ok()).flatten();
        value.map(|value| value.to_string()).unwrap_or_default()
    };
    let vips = [virtual_address("kolla_internal_vip_address"), virtual_address("kolla_external_vip_address")];
    let own = addresses.iter().filter(|address| !vips.iter().any(|vip| vip == *address));
    let global = own.clone().find(|address| {
        address.parse::<IpAddr>().is_ok_and(|address| match address {
            IpAddr::V4(address) => !address.is_loopback(),
            IpAddr::V6(address) => !address.is_loopback() && !address.is_unicast_link_local(),
        })
    });
    global.or_else(|| own.clone().next()).or(addresses.first()).copied()
}

fn without_facts(scope: &Scope, host: &str, network: &str, family: &str) -> Result<Value, InputError> {
    let facts = scope.raw("facts")?;
    let (draft, unasked) = (field(&facts, "draft").is_true(), field(&facts, "unasked").is_true());
    let named = ["ansible_ssh_host", "ansible_host"].into_iter().find(|name| scope.has(name));
    let named = named.map_or_else(|| Ok(host.to_owned()), |name| scope.raw(name).map(|value| value.to_string()))?;
    match named.parse::<IpAddr>() {
        // Where hosts are not asked at all. Of one that does not answer, how it is reached is no sign of where others
        // find it.
        Ok(address) if (draft || unasked) && address.is_ipv4() == (family == "ipv4") => return Ok(Value::from(named)),
        _ if draft || unasked => scope.miss(|unasked| {
            unasked.networks.insert(network.to_owned());
            unasked.hosts.insert(host.to_owned());
        }),
        _ => {}
    }
    if draft {
        // Addresses for documentation: nobody has them.
        return Ok(Value::from(if family == "ipv4" { "192.0.2.1" } else { "2001:db8::1" }));
    }
    Err(InputError::new(format!("the `{network}` address of {host} is not known without its facts"))
        .of(Kind::NotAsked)
        .hint(format!("bring {host} up once, or take it out of the inventory until then")))
}

fn field(value: &Value, name: &str) -> Value {
    value.get_attr(name).unwrap_or_default()
}
