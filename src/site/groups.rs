//! Groups and their hosts, and the groups that Kolla's services run on where the inventory does not say.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use indexmap::{IndexMap, IndexSet};
use minijinja::value::{Enumerator, Object};

use super::inventory::Inventory;
use crate::template::Value;

/// The five coarse groups that an operator fills.
const COARSE: &[&str] = &["control", "network", "compute", "storage", "monitoring"];

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

/// The parents of a service's group; none for a name that is no service of Kolla's.
pub(super) fn parents(service: &str) -> Option<&'static [&'static str]> {
    SERVICES.iter().find(|(_, services)| services.split_whitespace().any(|name| name == service)).map(|row| row.0)
}

/// Every service group with its parents.
#[cfg(test)]
pub(super) fn tree() -> impl Iterator<Item = (&'static str, &'static [&'static str])> {
    SERVICES.iter().flat_map(|(parents, services)| services.split_whitespace().map(move |name| (name, *parents)))
}

/// A site's groups.
#[derive(Default)]
pub(super) struct Groups {
    /// Hosts by group, `all` among them, each as the group lists them: its own, then its children's.
    members: IndexMap<String, Vec<String>>,
    /// Groups by host, own ones and those above, in inventory order; without `all`.
    of: HashMap<String, Vec<String>>,
    /// How far a group is below `all`.
    depth: HashMap<String, usize>,
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
        let mut members: IndexMap<String, Vec<String>> = IndexMap::new();
        members.insert("all".into(), inventory.hosts.keys().cloned().collect());
        for name in inventory.groups.keys().filter(|name| *name != "all") {
            let mut hosts = IndexSet::new();
            collect(inventory, name, &mut hosts);
            members.insert(name.clone(), hosts.into_iter().collect());
        }
        let mut of: HashMap<String, Vec<String>> = HashMap::new();
        for (group, hosts) in members.iter().filter(|(group, _)| *group != "all") {
            for host in hosts {
                of.entry(host.clone()).or_default().push(group.clone());
            }
        }
        let mut depth = HashMap::from([("all".to_owned(), 0)]);
        for name in inventory.groups.keys() {
            deepen(inventory, name, 1, &mut depth);
        }
        Self { members, of, depth, values: Mutex::default() }
    }

    /// Names of the inventory's groups.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.members.keys().map(String::as_str)
    }

    /// The group's hosts: its own; where the inventory has no such group, those of the groups that Kolla would
    /// put the service on. `None` for a name that is neither.
    pub(super) fn members(&self, name: &str) -> Option<Vec<&str>> {
        if let Some(hosts) = self.members.get(name) {
            return Some(hosts.iter().map(String::as_str).collect());
        }
        let parents = parents(name)?;
        let mut hosts = IndexSet::new();
        for parent in parents {
            hosts.extend(self.members(parent).unwrap_or_default());
        }
        Some(hosts.into_iter().collect())
    }

    /// The groups of a host.
    pub(super) fn of(&self, host: &str) -> &[String] {
        self.of.get(host).map(Vec::as_slice).unwrap_or_default()
    }

    /// How far a group is below `all`.
    pub(super) fn depth(&self, group: &str) -> usize {
        self.depth.get(group).copied().unwrap_or_default()
    }
}

fn collect(inventory: &Inventory, name: &str, hosts: &mut IndexSet<String>) {
    let Some(group) = inventory.groups.get(name) else { return };
    hosts.extend(group.hosts.iter().cloned());
    for child in group.children.keys() {
        collect(inventory, child, hosts);
    }
}

fn deepen(inventory: &Inventory, name: &str, depth: usize, depths: &mut HashMap<String, usize>) {
    let known = depths.entry(name.to_owned()).or_default();
    if name == "all" || *known >= depth {
        return;
    }
    *known = depth;
    for child in inventory.groups.get(name).into_iter().flat_map(|group| group.children.keys()) {
        deepen(inventory, child, depth + 1, depths);
    }
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
