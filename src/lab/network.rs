//! The two networks of a lab: `internal` for the API and its address, `external` as the outside world.
//!
//! The engine names a host's interfaces in the alphabetical order of its networks' names, and takes the default route
//! from the first: hence `api` before `external`.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use bollard::models::{Ipam, IpamConfig, Network, NetworkCreateRequest};
use ipnet::Ipv4Net;

use super::engine::{Engine, LAB, failed};
use crate::error::{Error, Result};

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Internal,
    External,
}

impl Role {
    /// The engine's name for the network.
    pub(super) fn network(self, lab: &str) -> String {
        match self {
            Self::Internal => format!("kolla-lab-{lab}-api"),
            Self::External => format!("kolla-lab-{lab}-external"),
        }
    }
}

/// Where the engine's end of the bridge is; the machine answers there.
pub(super) fn gateway(subnet: Ipv4Net) -> Ipv4Addr {
    nth(subnet, 1)
}

/// The address that moves between hosts.
pub(super) fn vip(subnet: Ipv4Net) -> Ipv4Addr {
    nth(subnet, 250)
}

/// An address by its number in the subnet.
pub(super) fn nth(subnet: Ipv4Net, number: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(subnet.network()) + number)
}

/// Finds the lab's network or creates it in a subnet that nothing here uses.
pub(super) async fn ensure(engine: &Engine, lab: &str, role: Role, wanted: Option<Ipv4Net>) -> Result<Ipv4Net> {
    let name = role.network(lab);
    let all = engine.networks().await?;
    if let Some(network) = all.iter().find(|network| network.name.as_deref() == Some(&name)) {
        let ours = network.labels.as_ref().and_then(|labels| labels.get(LAB)).map(String::as_str) == Some(lab);
        return match subnets(network).first() {
            Some(subnet) if ours => Ok(*subnet),
            _ => Err(Error::local(format!("use network {name}"), "it was not made by this lab")
                .with_hint(format!("remove it by `docker network rm {name}`, or name the lab otherwise"))),
        };
    }
    let mtu = engine.mtu().await;
    let taken = taken(&all);
    let candidates: Vec<Ipv4Net> = match wanted {
        Some(subnet) => vec![subnet],
        // More than one: another lab may take the first while this one looks.
        None => candidates().filter(|subnet| !taken.iter().any(|other| overlap(*subnet, *other))).take(8).collect(),
    };
    let mut refusal = Error::local(format!("create network {name}"), "no subnet within 10.71.0.0 to 10.79.0.0 is free")
        .with_hint("name two by `--subnet`");
    for subnet in candidates {
        match engine.network_create(request(&name, lab, subnet, mtu.clone())).await {
            Ok(()) => return Ok(subnet),
            Err(error) => refusal = failed(format!("create network {name} as {subnet}"))(error),
        }
    }
    Err(refusal)
}

/// Names of the networks of a lab.
pub(super) async fn of_lab(engine: &Engine, lab: &str) -> Result<Vec<String>> {
    let ours = |network: &Network| network.labels.as_ref()?.get(LAB).filter(|have| *have == lab).map(|_| ());
    Ok(engine.networks().await?.into_iter().filter(|network| ours(network).is_some()).filter_map(|n| n.name).collect())
}

fn request(name: &str, lab: &str, subnet: Ipv4Net, mtu: Option<String>) -> NetworkCreateRequest {
    let config = IpamConfig {
        subnet: Some(subnet.to_string()),
        gateway: Some(gateway(subnet).to_string()),
        // Kept from whatever else is attached to the network by hand.
        auxiliary_addresses: Some(HashMap::from([("vip".to_owned(), vip(subnet).to_string())])),
        ..Default::default()
    };
    NetworkCreateRequest {
        name: name.to_owned(),
        driver: Some("bridge".into()),
        ipam: Some(Ipam { config: Some(vec![config]), ..Default::default() }),
        options: mtu.map(|mtu| HashMap::from([("com.docker.network.driver.mtu".to_owned(), mtu)])),
        labels: Some(HashMap::from([(LAB.to_owned(), lab.to_owned())])),
        ..Default::default()
    }
}

fn candidates() -> impl Iterator<Item = Ipv4Net> {
    let block = |second: u8, third: u8| Ipv4Net::new(Ipv4Addr::new(10, second, third, 0), 24).ok();
    (71..=79).flat_map(move |second| (0..=255).filter_map(move |third| block(second, third)))
}

fn overlap(a: Ipv4Net, b: Ipv4Net) -> bool {
    a.contains(&b.network()) || b.contains(&a.network())
}

fn subnets(network: &Network) -> Vec<Ipv4Net> {
    let configs = network.ipam.iter().flat_map(|ipam| ipam.config.iter().flatten());
    configs.filter_map(|config| config.subnet.as_ref()?.parse().ok()).collect()
}

/// Subnets of the engine's networks, of this machine's routes, and of its resolvers.
fn taken(networks: &[Network]) -> Vec<Ipv4Net> {
    let mut taken: Vec<Ipv4Net> = networks.iter().flat_map(subnets).collect();
    taken.extend(std::fs::read_to_string("/proc/net/route").map(|text| routes(&text)).unwrap_or_default());
    let resolvers = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let servers = resolvers.lines().filter_map(|line| line.strip_prefix("nameserver")?.trim().parse().ok());
    taken.extend(servers.filter_map(|address: Ipv4Addr| Ipv4Net::new(address, 32).ok()));
    taken
}

/// Destinations of /proc/net/route, which prints addresses as little-endian hexadecimals; the default is left out.
fn routes(table: &str) -> Vec<Ipv4Net> {
    let address = |word: &str| Some(Ipv4Addr::from(u32::from_str_radix(word, 16).ok()?.to_le_bytes()));
    let route = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (destination, mask) = (address(words.get(1)?)?, address(words.get(7)?)?);
        Ipv4Net::with_netmask(destination, mask).ok().filter(|net| net.prefix_len() > 0)
    };
    table.lines().skip(1).filter_map(route).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subnet_of_a_route_or_of_another_network_is_not_taken() {
        let table = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n\
                     eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
                     tun0\t0000470A\t00000000\t0001\t0\t0\t0\t0000FEFF\t0\t0\t0\n";
        let routes = routes(table);
        assert_eq!(routes, ["10.71.0.0/15".parse().unwrap()]);
        let first = candidates().find(|subnet| !routes.iter().any(|route| overlap(*subnet, *route)));
        assert_eq!(first, Some("10.72.0.0/24".parse().unwrap()), "10.70 and 10.71 are behind the tunnel");
    }
}
