//! The filters over addresses and networks of Ansible's collection `ansible.utils`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::IpNet;
use minijinja::value::ValueKind;
use minijinja::{Environment, Error, Value};

use super::super::arguments::{items, printed, written, wrong};

pub(super) fn add(environment: &mut Environment<'static>) {
    environment
        .add_filter("ipaddr", |value: &Value, query: Option<Value>| each(value, &|one| ask(one, query.as_ref(), None)));
    environment.add_filter("ipv4", |value: &Value, query: Option<Value>| {
        each(value, &|one| ask(one, query.as_ref(), Some(4)))
    });
    environment.add_filter("ipv6", |value: &Value, query: Option<Value>| {
        each(value, &|one| ask(one, query.as_ref(), Some(6)))
    });
    environment.add_filter("ipwrap", |value: &Value| {
        let wrapped = |one: &Value| printed(one).map(|text| Value::from(wrapped(&text)));
        match value.kind() {
            ValueKind::Seq | ValueKind::Iterable => items(value)?.iter().map(wrapped).collect(),
            _ => wrapped(value),
        }
    });
    environment.add_filter("ipmath", |value: &Value, amount: i64| {
        let value = written(value)?;
        let address: IpAddr = value.parse().map_err(|_| wrong(format!("`{value}` is no address")))?;
        Ok::<_, Error>(number_of(address).saturating_add_signed(i128::from(amount)))
            .map(|number| address_of(number, address.is_ipv6()).to_string())
    });
    environment
        .add_filter("ipsubnet", |value: &Value, query: Option<Value>, index: Option<i64>| subnet(value, query, index));
    environment.add_filter("nthhost", |value: &Value, index: i64| {
        let value = written(value)?;
        let net = IpNet::from_str(value).map_err(|_| wrong(format!("`{value}` is no network")))?;
        Ok::<_, Error>(nth(&net, index).map_or_else(|| Value::from(false), |address| Value::from(address.to_string())))
    });
}

/// Networks in a network: how many, the one with an index, or which one of `query` it is itself.
fn subnet(value: &Value, query: Option<Value>, index: Option<i64>) -> Result<Value, Error> {
    let text = printed(value)?;
    let parsed = |text: &str| IpNet::from_str(text).or_else(|_| IpAddr::from_str(text).map(IpNet::from));
    let Ok(net) = parsed(&text) else { return Ok(Value::from(false)) };
    let net = net.trunc();
    let Some(query) = query.filter(|query| query.to_string() != "") else { return Ok(Value::from(net.to_string())) };
    let query = query.to_string();
    let Ok(prefix) = query.parse::<u8>() else {
        let outer = parsed(&query).map_err(|_| wrong(format!("`{query}` is no length of a prefix, no network")))?;
        if !outer.contains(&net) {
            return Err(wrong(format!("`{text}` is not in `{query}`")));
        }
        let from_start = number_of(net.network()) - number_of(outer.trunc().network());
        return Ok(Value::from((from_start / size(&net) + 1).to_string()));
    };
    if prefix > net.max_prefix_len() {
        return Ok(Value::from(false));
    }
    if prefix < net.prefix_len() {
        if index.is_none() && net.prefix_len() < net.max_prefix_len() {
            return Err(wrong(format!("`{text}` has no networks of a shorter prefix in it")));
        }
        // Around it: all networks from that length to its own, from the widest on.
        let length = match index {
            None => Some(prefix),
            Some(index) if index >= 0 => u8::try_from(index).ok().and_then(|index| prefix.checked_add(index)),
            Some(index) => {
                u8::try_from(index.unsigned_abs()).ok().and_then(|index| net.prefix_len().checked_sub(index))
            }
        };
        let length = length.filter(|length| (prefix..net.prefix_len()).contains(length));
        return Ok(length
            .and_then(|length| IpNet::new(net.addr(), length).ok())
            .map_or_else(|| Value::from(false), |outer| Value::from(outer.trunc().to_string())));
    }
    let Ok(step) = IpNet::new(net.addr(), prefix) else { return Ok(Value::from(false)) };
    let count = 1_u128.checked_shl(u32::from(prefix - net.prefix_len())).unwrap_or(u128::MAX);
    let Some(index) = index else {
        return Ok(Value::from(count.to_string()));
    };
    let place = match u128::try_from(index) {
        Ok(index) => Some(index),
        Err(_) => count.checked_sub(u128::from(index.unsigned_abs())),
    };
    Ok(place.filter(|place| *place < count).map_or_else(
        || Value::from(false),
        |place| {
            let address = address_of(number_of(net.network()) + place * size(&step), net.addr().is_ipv6());
            Value::from(format!("{address}/{prefix}"))
        },
    ))
}

/// IPv6 addresses stand in brackets before a port or a prefix.
fn wrapped(text: &str) -> String {
    let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
    match (address.parse::<Ipv6Addr>(), prefix) {
        (Ok(address), None) => format!("[{address}]"),
        (Ok(address), Some(prefix)) => format!("[{address}]/{prefix}"),
        _ => text.to_owned(),
    }
}

/// Of a list, what there is for its items, without those that have nothing.
fn each(value: &Value, ask: &dyn Fn(&Value) -> Result<Value, Error>) -> Result<Value, Error> {
    match value.kind() {
        ValueKind::Seq | ValueKind::Iterable => {
            let found = items(value)?.iter().map(ask).collect::<Result<Vec<_>, _>>()?;
            Ok(found.into_iter().filter(Value::is_true).collect())
        }
        ValueKind::None => Err(wrong("nothing is no address")),
        _ => ask(value),
    }
}

fn number_of(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address),
    }
}

fn address_of(number: u128, six: bool) -> IpAddr {
    match u32::try_from(number) {
        Ok(number) if !six => IpAddr::V4(Ipv4Addr::from(number)),
        _ => IpAddr::V6(Ipv6Addr::from(number)),
    }
}

/// How many addresses a network has; the whole of IPv6 has one too few.
fn size(net: &IpNet) -> u128 {
    1_u128.checked_shl(u32::from(net.max_prefix_len() - net.prefix_len())).unwrap_or(u128::MAX)
}

/// The address with this number in a network, from its end where it is negative.
fn nth(net: &IpNet, index: i64) -> Option<IpAddr> {
    let size = size(net);
    let offset = match u128::try_from(index) {
        Ok(index) => index,
        Err(_) => size.checked_sub(u128::from(index.unsigned_abs()))?,
    };
    (offset < size).then(|| address_of(number_of(net.network()) + offset, net.addr().is_ipv6()))
}

fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            address.is_private()
                || address.is_loopback()
                || address.is_link_local()
                || address.is_documentation()
                || address.is_broadcast()
                || address.is_unspecified()
                || address.octets()[0] >= 240
                || (address.octets()[0] == 100 && address.octets()[1] & 0xc0 == 64)
        }
        IpAddr::V6(address) => {
            address.is_loopback()
                || address.is_unspecified()
                || address.is_unique_local()
                || address.is_unicast_link_local()
                || address.segments()[..2] == [0x2001, 0xdb8]
        }
    }
}

fn reverse_name(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa.")
        }
        IpAddr::V6(address) => {
            let digits = format!("{:032x}", u128::from(address));
            digits.chars().rev().flat_map(|digit| [digit, '.']).chain("ip6.arpa.".chars()).collect()
        }
    }
}

/// What there is for one address or network: false where it is none or not of the version, nothing where the query
/// has no answer.
fn ask(value: &Value, query: Option<&Value>, version: Option<u8>) -> Result<Value, Error> {
    let text = printed(value)?;
    let (net, bare) = match IpAddr::from_str(&text) {
        Ok(address) => (IpNet::from(address), true),
        Err(_) => match IpNet::from_str(&text) {
            Ok(net) => (net, false),
            Err(_) => return Ok(Value::from(false)),
        },
    };
    let six = net.addr().is_ipv6();
    if version.is_some_and(|version| (version == 6) != six) {
        return Ok(Value::from(false));
    }
    let Some(query) = query else { return Ok(Value::from(text)) };
    let word = query.to_string();
    if let Ok(index) = word.parse::<i64>() {
        let found = nth(&net, index).map(|address| format!("{address}/{}", net.prefix_len()));
        return Ok(found.map_or_else(|| Value::from(false), Value::from));
    }
    let (address, network, size) = (net.addr(), net.network(), size(&net));
    // IPv6 has no broadcasts, so there the first address is one as others.
    let is_host = size <= 2 || address != network;
    let with_prefix = |address: IpAddr| format!("{address}/{}", net.prefix_len());
    let only = |holds: bool| if holds { Value::from(text.as_str()) } else { Value::from(()) };
    let some = |holds: bool, text: String| if holds { Value::from(text) } else { Value::from(()) };
    Ok(match word.as_str() {
        "" => Value::from(text),
        "address" | "ip" => some(is_host || six, address.to_string()),
        "host" => some(is_host, with_prefix(address)),
        "ip/prefix" => some(size == 2 || size > 1 && address != network, with_prefix(address)),
        "address/prefix" | "gateway" | "gw" | "host/prefix" | "hostnet" | "router" => {
            let edge = size > 2 && (address == network || address == net.broadcast());
            if edge { Value::from(false) } else { Value::from(with_prefix(address)) }
        }
        "net" => some(size > 1 && address == network, with_prefix(network)),
        "subnet" | "network/prefix" | "network_prefix" => Value::from(with_prefix(network)),
        "network" | "network_id" => Value::from(network.to_string()),
        "cidr" => Value::from(with_prefix(address)),
        "prefix" => Value::from(net.prefix_len()),
        "netmask" => Value::from(net.netmask().to_string()),
        "hostmask" | "wildcard" => Value::from(net.hostmask().to_string()),
        "broadcast" => some(size > 2, net.broadcast().to_string()),
        "size" => i64::try_from(size).map_or_else(|_| Value::from(size), Value::from),
        "version" => Value::from(if six { 6 } else { 4 }),
        "type" => Value::from(if is_host { "address" } else { "network" }),
        "bool" => Value::from(true),
        "int" if bare => Value::from(number_of(address)),
        "int" => Value::from(format!("{}/{}", number_of(address), net.prefix_len())),
        "revdns" => Value::from(reverse_name(address)),
        "wrap" => Value::from(wrapped(&text)),
        "ipv4" => only(!six),
        "ipv6" => only(six),
        "private" => only(is_private(address)),
        "public" => only(!is_private(address) && !address.is_multicast()),
        "loopback" | "lo" => only(address.is_loopback()),
        "multicast" => only(address.is_multicast()),
        "unicast" => only(!address.is_multicast()),
        "link-local" => only(match address {
            IpAddr::V4(address) => address.is_link_local(),
            IpAddr::V6(address) => address.is_unicast_link_local(),
        }),
        "first_usable" => some(size > 1, address_of(number_of(network) + u128::from(size > 2), six).to_string()),
        "last_usable" => {
            let before_last = number_of(net.broadcast()) - u128::from(size > 2 && !six);
            some(size > 1, address_of(before_last, six).to_string())
        }
        other => match IpNet::from_str(other) {
            Ok(outer) => only(outer.contains(&address)),
            Err(_) => {
                return Err(wrong(format!(
                    "unknown query `{other}` of `ipaddr`: use `address`, `network` or `prefix`"
                )));
            }
        },
    })
}
