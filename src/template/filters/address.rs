//! Kolla's address filters: which address a host has on a network, and how an address is written where.

use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use minijinja::{Environment, Error, State, Value};

use super::super::failure::wrap;
use super::super::lazy::Root;
use super::super::scope::Scope;
use super::wrong;
use crate::error::{InputError, nearest};

pub(super) fn add(environment: &mut Environment<'static>) {
    environment.add_filter("kolla_address", |state: &State<'_, '_>, network: &str, host: Option<String>| {
        let scope = Root::of(state)?;
        match host {
            None => of_network(&scope, network),
            Some(host) => {
                let other = scope.other(&host).ok_or_else(|| wrong(format!("`{host}` is no host of the inventory")))?;
                // Whatever it finds depends on a host.
                scope.lookup("inventory_hostname");
                of_network(&other, network)
            }
        }
        .map_err(|error| wrap(error, ""))
    });
    environment.add_filter("kolla_url", |address: &str, protocol: &str, port: &Value, path: Option<&str>| {
        let port = port.to_string();
        let usual = matches!((protocol, port.as_str()), ("http", "80") | ("https", "443"));
        let port = if usual { String::new() } else { format!(":{port}") };
        let path = match path.unwrap_or_default() {
            "" => String::new(),
            path if path.starts_with('/') => path.to_owned(),
            path => format!("/{path}"),
        };
        format!("{protocol}://{}{port}{path}", bracketed(address))
    });
    environment.add_filter("put_address_in_context", |address: &str, place: &str| match place {
        "url" | "rabbitmq" => Ok(bracketed(address)),
        "memcache" if address.contains(':') => Ok(format!("inet6:{}", bracketed(address))),
        "memcache" => Ok(address.to_owned()),
        other => Err(wrong(format!("unknown context `{other}`: use `url`, `memcache` or `rabbitmq`"))),
    });
    environment.add_filter("ipwrap", |address: &str| bracketed(address));
    environment.add_filter("ipaddr", ipaddr);
    environment.add_filter("ipv4", |address: &str| only(address, std::net::IpAddr::is_ipv4));
    environment.add_filter("ipv6", |address: &str| only(address, std::net::IpAddr::is_ipv6));
}

/// IPv6 addresses stand in brackets before a port.
fn bracketed(address: &str) -> String {
    if address.parse::<std::net::Ipv6Addr>().is_ok() { format!("[{address}]") } else { address.to_owned() }
}

fn only(address: &str, wanted: fn(&IpAddr) -> bool) -> Value {
    let bare = address.split('/').next().unwrap_or_default();
    match bare.parse::<IpAddr>() {
        Ok(parsed) if wanted(&parsed) => Value::from(address),
        _ => Value::from(false),
    }
}

/// The parts of `ipaddr` that Kolla's templates use; what is no address is false.
fn ipaddr(value: &Value, query: Option<Value>) -> Result<Value, Error> {
    let text = value.to_string();
    let Ok(net) = IpNet::from_str(&text).or_else(|_| IpAddr::from_str(&text).map(IpNet::from)) else {
        return Ok(Value::from(false));
    };
    let Some(query) = query else {
        return Ok(Value::from(text));
    };
    if let Some(index) = query.as_i64() {
        let host = if index >= 0 {
            net.trunc().hosts().nth(usize::try_from(index).unwrap_or_default().saturating_sub(1))
        } else {
            None
        };
        return match (index, host) {
            (0, _) => Ok(Value::from(format!("{}/{}", net.network(), net.prefix_len()))),
            (_, Some(host)) => Ok(Value::from(format!("{host}/{}", net.prefix_len()))),
            _ => Err(wrong(format!("`{text}` has no address number {index}"))),
        };
    }
    Ok(match query.as_str().unwrap_or_default() {
        "" => Value::from(text),
        "address" | "ip" => Value::from(net.addr().to_string()),
        "network" => Value::from(net.network().to_string()),
        "prefix" => Value::from(net.prefix_len()),
        "netmask" => Value::from(net.netmask().to_string()),
        "broadcast" => Value::from(net.broadcast().to_string()),
        "net" | "subnet" | "network/prefix" => Value::from(net.trunc().to_string()),
        "host" | "host/prefix" | "address/prefix" => Value::from(format!("{}/{}", net.addr(), net.prefix_len())),
        "ipv4" => only(&text, std::net::IpAddr::is_ipv4),
        "ipv6" => only(&text, std::net::IpAddr::is_ipv6),
        other => {
            return Err(wrong(format!("unknown query `{other}` of `ipaddr`: use `address`, `network` or `prefix`")));
        }
    })
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
    // Facts that only stand in for those of a host that was not asked name no interface.
    if interfaces.len() == Some(0) {
        return without_facts(scope, &host, network, list);
    }
    let found = field(&interfaces, &interface);
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
    let named = if scope.has("ansible_host") { scope.raw("ansible_host")?.to_string() } else { host.to_owned() };
    match named.parse::<IpAddr>() {
        // Where hosts are not asked at all. Of one that does not answer, how it is reached is no sign of where others
        // find it.
        Ok(address) if (draft || unasked) && address.is_ipv4() == (family == "ipv4") => Ok(Value::from(named)),
        // Addresses for documentation: nobody has them.
        _ if draft => Ok(Value::from(if family == "ipv4" { "192.0.2.1" } else { "2001:db8::1" })),
        _ => Err(InputError::new(format!("the `{network}` address of {host} is not known without its facts"))
            .hint(format!("bring {host} up once, or take it out of the inventory until then"))),
    }
}

fn field(value: &Value, name: &str) -> Value {
    value.get_attr(name).unwrap_or_default()
}
