//! Facts of a host under the names Ansible gives them, as far as site files commonly use them.

use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net};
use minijinja::Value;
use serde_json::{Map, Value as Json, json};

/// `ansible_facts` from the JSON of `host::Facts`.
pub(super) fn ansible(facts: &Json) -> Value {
    let text = |name: &str| facts[name].as_str().unwrap_or_default().to_owned();
    let os = text("os");
    let version = text("os_version");
    let (distribution, family) = match os.as_str() {
        "debian" => ("Debian", "Debian"),
        "ubuntu" => ("Ubuntu", "Debian"),
        "rocky" => ("Rocky", "RedHat"),
        "almalinux" => ("AlmaLinux", "RedHat"),
        "centos" => ("CentOS", "RedHat"),
        "rhel" => ("RedHat", "RedHat"),
        other => (other, other),
    };
    let mut all = Map::new();
    let empty = Map::new();
    let interfaces = facts["interfaces"].as_object().unwrap_or(&empty);
    for (name, interface) in interfaces {
        all.insert(name.replace('-', "_"), self::interface(name, interface));
    }
    let default = text("default_interface");
    let first = |family: &str| {
        let interface = &all.get(&default.replace('-', "_")).cloned().unwrap_or_default();
        let address = if family == "ipv6" { interface[family][0].clone() } else { interface[family].clone() };
        match address {
            Json::Object(mut address) => {
                address.insert("interface".into(), default.clone().into());
                for name in ["macaddress", "mtu"] {
                    address.insert(name.into(), interface[name].clone());
                }
                Json::Object(address)
            }
            _ => json!({}),
        }
    };
    let (ipv4, ipv6) = (first("ipv4"), first("ipv6"));
    let mut put = |name: &str, value: Json| all.insert(name.to_owned(), value);
    put("hostname", facts["hostname"].clone());
    put("nodename", facts["hostname"].clone());
    put("fqdn", facts["hostname"].clone());
    put("distribution", distribution.into());
    put("os_family", family.into());
    put("distribution_version", version.clone().into());
    put("distribution_major_version", version.split('.').next().unwrap_or_default().into());
    put("distribution_release", text("os_codename").into());
    put("architecture", facts["arch"].clone());
    put("machine", facts["arch"].clone());
    put("domain", "".into());
    put("system", "Linux".into());
    put("pkg_mgr", if family == "Debian" { "apt" } else { "dnf" }.into());
    put("all_ipv4_addresses", addresses(interfaces, "ipv4"));
    put("all_ipv6_addresses", addresses(interfaces, "ipv6"));
    put("kernel", facts["kernel"].clone());
    put("processor_vcpus", facts["cpus"].clone());
    put("processor_nproc", facts["cpus"].clone());
    put("memtotal_mb", facts["memory_mib"].clone());
    put("service_mgr", if facts["systemd"] == json!(true) { "systemd" } else { "other" }.into());
    put("virtualization_type", facts["virt"].clone());
    put("interfaces", interfaces.keys().cloned().collect());
    put("default_ipv4", ipv4);
    put("default_ipv6", ipv6);
    Value::from(minijinja::value::Serde(Json::Object(all)))
}

/// The addresses of all interfaces, without those of the machine to itself.
fn addresses(interfaces: &Map<String, Json>, family: &str) -> Json {
    let nets = interfaces.values().flat_map(|interface| interface[family].as_array().cloned().unwrap_or_default());
    let addresses = nets.filter_map(|net| Some(IpNet::from_str(net.as_str()?).ok()?.addr()));
    addresses.filter(|address| !address.is_loopback()).map(|address| address.to_string()).collect()
}

fn interface(name: &str, interface: &Json) -> Json {
    let list = |family: &str| {
        let items = interface[family].as_array().cloned().unwrap_or_default();
        items.iter().filter_map(|item| IpNet::from_str(item.as_str()?).ok()).collect::<Vec<_>>()
    };
    let four = |net: &Ipv4Net| {
        json!({
            "address": net.addr().to_string(),
            "netmask": net.netmask().to_string(),
            "network": net.network().to_string(),
            "broadcast": net.broadcast().to_string(),
            "prefix": net.prefix_len().to_string(),
        })
    };
    let ipv4: Vec<Json> =
        list("ipv4").iter().filter_map(|net| if let IpNet::V4(net) = net { Some(four(net)) } else { None }).collect();
    let ipv6: Vec<Json> = list("ipv6")
        .iter()
        .map(
            |net| json!({"address": net.addr().to_string(), "prefix": net.prefix_len().to_string(), "scope": "global"}),
        )
        .collect();
    let mut found = json!({
        "device": name,
        "active": interface["up"],
        "mtu": interface["mtu"],
        "macaddress": interface["mac"],
        "ipv6": ipv6,
    });
    if let Some((first, rest)) = ipv4.split_first() {
        found["ipv4"] = first.clone();
        found["ipv4_secondaries"] = rest.to_vec().into();
    }
    found
}
