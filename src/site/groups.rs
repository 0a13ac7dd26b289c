//! Groups and their hosts, and the groups that Kolla's services run on where the inventory does not say.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex};

use indexmap::{IndexMap, IndexSet};
use minijinja::value::{Enumerator, Object};

use super::inventory::{ALL, Group, Inventory};
use crate::template::Value;

/// The five coarse groups that an operator fills.
pub(super) const COARSE: &[&str] = &["control", "network", "compute", "storage", "monitoring"];

/// Kolla-Ansible's group tree (its inventory `multinode`, August 2026): services and the groups they run on. Each
/// row's services run on the hosts of all its parents.
const SERVICES: &[(&[&str], &str)] = &[
    (COARSE, "baremetal common prometheus-node-exporter prometheus-cadvisor"),
    (&["control", "network"], "tls-backend"),
    (&["common"], "cron fluentd kolla-logs kolla-toolbox"),
    (&["network"], "loadbalancer neutron manila-share designate-mdns ovn-controller-network"),
    (&["loadbalancer"], "letsencrypt haproxy keepalived"),
    (&["letsencrypt"], "letsencrypt-webserver letsencrypt-lego"),
    (
        &["control"],
        "etcd hacluster mariadb rabbitmq memcached valkey keystone glance nova cinder cloudkitty horizon barbican heat \
         ironic magnum mistral manila ceilometer aodh cyborg gnocchi tacker trove watcher octavia designate placement \
         skyline blazar opensearch neutron-server neutron-rpc-server neutron-periodic-worker \
         neutron-ovn-maintenance-worker ovn-database masakari-api masakari-engine masakari-hostmonitor",
    ),
    // Kolla-Ansible had it until 2021.
    (&["control"], "zookeeper"),
    // And until 2020.
    (&["control"], "ceph"),
    (&["ceph"], "ceph-mon ceph-mgr ceph-mds ceph-rgw"),
    (&["storage"], "ceph-osd"),
    (
        &["monitoring"],
        "grafana prometheus prometheus-alertmanager prometheus-openstack-exporter prometheus-blackbox-exporter",
    ),
    (
        &["compute"],
        "collectd hacluster-remote ceilometer-compute ceilometer-ipmi cyborg-agent prometheus-libvirt-exporter \
         masakari-instancemonitor ovn-controller-compute",
    ),
    (
        &["nova"],
        "nova-api nova-metadata nova-conductor nova-super-conductor nova-scheduler nova-novncproxy \
         nova-spicehtml5proxy nova-serialproxy nova-compute-ironic",
    ),
    (
        &["neutron"],
        "neutron-dhcp-agent neutron-l3-agent neutron-metadata-agent neutron-metering-agent neutron-bgp-dragent \
         neutron-ovn-vpn-agent ironic-neutron-agent",
    ),
    (&["compute", "network"], "neutron-ovn-agent neutron-ovn-metadata-agent prometheus-openstack-network-exporter"),
    (&["network", "compute", "manila-share"], "openvswitch"),
    (&["ovn-controller-compute", "ovn-controller-network"], "ovn-controller"),
    (&["cinder"], "cinder-api cinder-scheduler cinder-volume cinder-backup"),
    (&["storage"], "cinder-volume-lvm cinder-backup-lvm tgtd"),
    (&["cinder", "storage"], "cinder-volume-multiple cinder-backup-multiple"),
    (&["compute", "storage", "ironic"], "iscsid"),
    (&["compute", "storage"], "multipathd"),
    (&["ovn-database"], "ovn-northd ovn-nb-db ovn-sb-db ovn-sb-db-relay"),
    (&["glance"], "glance-api"),
    (&["placement"], "placement-api"),
    (&["heat"], "heat-api heat-api-cfn heat-engine"),
    (&["ironic"], "ironic-api ironic-conductor ironic-dnsmasq ironic-tftp ironic-http"),
    (&["octavia"], "octavia-api octavia-driver-agent octavia-health-manager octavia-housekeeping octavia-worker"),
    (
        &["designate"],
        "designate-api designate-central designate-producer designate-worker designate-sink designate-backend-bind9",
    ),
    (&["magnum"], "magnum-api magnum-conductor"),
    (&["mistral"], "mistral-api mistral-engine mistral-executor mistral-event-engine"),
    (&["manila"], "manila-api manila-data manila-scheduler"),
    (&["aodh"], "aodh-api aodh-evaluator aodh-listener aodh-notifier"),
    (&["barbican"], "barbican-api barbican-keystone-listener barbican-worker"),
    (&["ceilometer"], "ceilometer-central ceilometer-notification"),
    (&["cloudkitty"], "cloudkitty-api cloudkitty-processor"),
    (&["cyborg"], "cyborg-api cyborg-conductor"),
    (&["gnocchi"], "gnocchi-api gnocchi-metricd gnocchi-statsd"),
    (&["trove"], "trove-api trove-conductor trove-taskmanager"),
    (&["watcher"], "watcher-api watcher-engine watcher-applier"),
    (&["tacker"], "tacker-server tacker-conductor"),
    (&["blazar"], "blazar-api blazar-manager"),
    (&["skyline"], "skyline-apiserver skyline-console"),
    (&["opensearch"], "opensearch-dashboards prometheus-elasticsearch-exporter"),
    (&["mariadb"], "prometheus-mysqld-exporter proxysql"),
    (&["memcached"], "prometheus-memcached-exporter"),
    (&["valkey"], "valkey-sentinel prometheus-valkey-exporter"),
    (&["deployment"], "bifrost"),
];

/// Groups that Kolla-Ansible called otherwise: today's name, and the one that stands for it in an older inventory.
const OLDER: &[(&str, &str)] = &[("loadbalancer", "haproxy")];

/// The parents of a service's group; none for a name that is no service of Kolla's.
pub(super) fn parents(service: &str) -> Option<&'static [&'static str]> {
    SERVICES.iter().find(|(_, services)| services.split_whitespace().any(|name| name == service)).map(|row| row.0)
}

/// Every service group with its parents.
pub(super) fn tree() -> impl Iterator<Item = (&'static str, &'static [&'static str])> {
    SERVICES.iter().flat_map(|(parents, services)| services.split_whitespace().map(move |name| (name, *parents)))
}

/// A site's groups.
#[derive(Default)]
pub(super) struct Groups {
    /// The hosts, in inventory order.
    hosts: IndexSet<String>,
    /// Hosts by group, `all` among them, each as Ansible lists them: its own, then its children's, level by level. By their
    /// index, as groups below: with names of their own, nested groups of many hosts would fill the memory.
    members: IndexMap<String, Vec<usize>>,
    /// Groups by host, own ones and those above, in inventory order; without `all`.
    of: Vec<Vec<usize>>,
    /// How groups are ordered where their variables meet: the depth below `all`, then the priority.
    rank: HashMap<String, (usize, i64)>,
    values: Mutex<HashMap<String, Option<Value>>>,
}

impl fmt::Debug for Groups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(&self.members).finish()
    }
}

impl Groups {
    /// The groups of an inventory without cycles.
    pub(super) fn new(inventory: &Inventory) -> Self {
        let children = inventory.children();
        let names = inventory.groups.keys().cloned();
        let members: IndexMap<String, Vec<usize>> = names.zip(members(inventory, &children)).collect();
        let mut of = vec![Vec::new(); inventory.hosts.len()];
        for (group, (_, hosts)) in members.iter().enumerate().filter(|(_, (name, _))| *name != ALL) {
            for host in hosts {
                of[*host].push(group);
            }
        }
        let rank = inventory.groups.iter().zip(depths(&children));
        let rank = rank.map(|((name, group), depth)| (name.clone(), (depth, group.priority))).collect();
        Self { hosts: inventory.hosts.keys().cloned().collect(), members, of, rank, values: Mutex::default() }
    }

    /// The hosts, in inventory order.
    pub(super) fn hosts(&self) -> &IndexSet<String> {
        &self.hosts
    }

    /// Names of the inventory's groups.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.members.keys().map(String::as_str)
    }

    /// The group's hosts: its own; where the inventory has no such group, those of the groups that Kolla would
    /// put the service on. `None` for a name that is neither.
    pub(super) fn members(&self, name: &str) -> Option<Vec<&str>> {
        if let Some(hosts) = self.members.get(name) {
            return Some(hosts.iter().filter_map(|host| self.hosts.get_index(*host)).map(String::as_str).collect());
        }
        if let Some((_, older)) = OLDER.iter().find(|(new, older)| *new == name && self.members.contains_key(*older)) {
            return self.members(older);
        }
        let parents = parents(name)?;
        let mut hosts = IndexSet::new();
        for parent in parents {
            hosts.extend(self.members(parent).unwrap_or_default());
        }
        Some(hosts.into_iter().collect())
    }

    /// The groups that an operator would fill to give hosts to a group: itself, or those that its hosts come from.
    pub(super) fn to_fill(&self, name: &str) -> Vec<String> {
        match parents(name) {
            Some(parents) if !self.members.contains_key(name) => {
                let mut groups: Vec<String> = parents.iter().flat_map(|parent| self.to_fill(parent)).collect();
                groups.sort_unstable();
                groups.dedup();
                groups
            }
            _ => vec![name.to_owned()],
        }
    }

    /// Groups of the inventory that have hosts and are none of Kolla's.
    pub(super) fn strangers(&self) -> Vec<&str> {
        let known =
            |name: &str| name == ALL || COARSE.contains(&name) || parents(name).is_some() || name == "deployment";
        let strange = self.members.iter().filter(|(name, hosts)| !known(name) && !hosts.is_empty());
        strange.map(|(name, _)| name.as_str()).collect()
    }

    /// The groups of a host.
    pub(super) fn of(&self, host: &str) -> Vec<&str> {
        let groups = self.hosts.get_index_of(host).and_then(|host| self.of.get(host));
        let names = groups.into_iter().flatten().filter_map(|group| self.members.get_index(*group));
        names.map(|(name, _)| name.as_str()).collect()
    }

    /// The groups of a host, those first whose variables are lower: by depth, priority and name. Without `all`.
    pub(super) fn ranked(&self, host: &str) -> Vec<&str> {
        let mut names = self.of(host);
        names.sort_by_key(|name| (self.rank.get(*name).copied().unwrap_or_default(), *name));
        names
    }
}

/// The hosts of each group: its own, then those of the groups in it, level by level.
fn members(inventory: &Inventory, children: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let own = |group: &Group| group.hosts.iter().filter_map(|host| inventory.hosts.get_index_of(host)).collect();
    let own: Vec<Vec<usize>> = inventory.groups.values().map(own).collect();
    let of = |start: usize| {
        let (mut seen, mut groups) = (vec![false; children.len()], VecDeque::from([start]));
        let (mut listed, mut hosts) = (vec![false; inventory.hosts.len()], Vec::new());
        seen[start] = true;
        while let Some(group) = groups.pop_front() {
            hosts.extend(own[group].iter().filter(|host| !std::mem::replace(&mut listed[**host], true)));
            groups.extend(children[group].iter().filter(|child| !std::mem::replace(&mut seen[**child], true)));
        }
        hosts
    };
    (0..children.len()).map(of).collect()
}

/// How deep each group stands below `all`, by the longest way.
fn depths(children: &[Vec<usize>]) -> Vec<usize> {
    let mut depths = vec![0; children.len()];
    for group in Inventory::downwards(children) {
        for child in &children[group] {
            depths[*child] = depths[*child].max(depths[group] + 1);
        }
    }
    depths
}

/// `groups` of templates: a mapping that also answers for the groups of services that the inventory leaves out.
pub(super) struct GroupsValue(pub(super) Arc<Groups>);

impl fmt::Debug for GroupsValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Object for GroupsValue {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        let mut values = self.0.values.lock().ok()?;
        if let Some(known) = values.get(key) {
            return known.clone();
        }
        let value = self.0.members(key).map(|hosts| hosts.into_iter().map(Value::from).collect());
        values.insert(key.to_owned(), value.clone());
        value
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.0.names().map(Value::from).collect())
    }
}
