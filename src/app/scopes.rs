//! Variables as hosts have them, also where no host was asked: then stand-ins have what templates look at.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::Loaded;
use crate::host::{Facts, Interface};
use crate::plan;
use crate::template::Scopes;

impl Loaded {
    /// Variables with what is known of the hosts. Of others nothing is made up: what needs it is an error.
    pub(super) fn scopes(&self, facts: &BTreeMap<String, Facts>) -> Scopes {
        let facts = self.site.hosts.keys().filter_map(|host| Some((host.clone(), json(facts.get(host)?))));
        plan::scopes(&self.roles, &self.site, facts.collect())
    }

    /// Variables where no host was asked: each is an ordinary one, whose address is as the inventory has it or, in a
    /// draft, any.
    pub(super) fn unasked(&self, draft: bool) -> Scopes {
        self.remembered(&BTreeMap::new(), draft)
    }

    /// The same where hosts of which something is kept are as they were last seen.
    pub(super) fn remembered(&self, kept: &BTreeMap<String, Facts>, draft: bool) -> Scopes {
        // What names interfaces may itself look into other facts.
        let bare = draft.then(|| {
            let facts = self.site.hosts.keys().map(|host| (host.clone(), json(&stand_in(host))));
            self.site.scopes(facts.collect())
        });
        let first = self.site.hosts.first().map_or("", |(host, _)| host);
        let mut names: Vec<String> = bare.iter().flat_map(|bare| bare.host(first).names()).collect();
        names.retain(|name| name.ends_with("_interface"));
        let facts = self.site.hosts.keys().map(|host| {
            if let Some(known) = kept.get(host) {
                return (host.clone(), json(known));
            }
            let mut facts = stand_in(host);
            if let Some(bare) = &bare {
                let get = |name: &str| bare.host(host).get(name).ok()?.as_str().map(str::to_owned);
                let reached = self.site.hosts.get(host).map_or(host.as_str(), |spec| &spec.address);
                interfaces(&mut facts, reached, names.iter().filter_map(|name| get(name)));
            }
            let mut facts = json(&facts);
            facts[if draft { "draft" } else { "unasked" }] = true.into();
            (host.clone(), facts)
        });
        plan::scopes(&self.roles, &self.site, facts.collect())
    }
}

fn json(facts: &Facts) -> serde_json::Value {
    serde_json::to_value(facts).unwrap_or_default()
}

/// Facts of an ordinary host, for one that was not asked or does not answer: enough to render what others need
/// to know of it, and to find mistakes before any host is asked.
fn stand_in(host: &str) -> Facts {
    Facts {
        hostname: host.split('.').next().unwrap_or(host).to_owned(),
        os: "debian".into(),
        os_version: "13".into(),
        os_codename: "trixie".into(),
        arch: "x86_64".into(),
        cpus: 4,
        memory_mib: 8192,
        open_files: 1_048_576,
        cgroup: 2,
        systemd: true,
        virt: "none".into(),
        engine_root: "/var/lib/docker".into(),
        ..Facts::default()
    }
}

/// Gives a stand-in the interfaces that variables name, so that templates that look into its facts can be rendered: with
/// the address by which it is reached, else with one of those for documentation.
fn interfaces(facts: &mut Facts, reached: &str, named: impl Iterator<Item = String>) {
    let address = reached.parse::<IpAddr>().ok();
    let ipv4 = address.filter(IpAddr::is_ipv4).unwrap_or(IpAddr::from([192, 0, 2, 1]));
    let ipv6 = address.filter(IpAddr::is_ipv6).unwrap_or(IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1]));
    for name in named.flat_map(|names| names.split(',').map(|name| name.trim().to_owned()).collect::<Vec<_>>()) {
        if name.is_empty() {
            continue;
        }
        if facts.default_interface.is_empty() {
            facts.default_interface.clone_from(&name);
        }
        let (ipv4, ipv6) = (vec![format!("{ipv4}/24")], vec![format!("{ipv6}/64")]);
        let mac = "00:00:5e:00:53:01".to_owned();
        facts.interfaces.insert(name, Interface { up: true, mtu: 1500, mac, ipv4, ipv6 });
    }
}
