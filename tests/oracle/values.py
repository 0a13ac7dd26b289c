#!/usr/bin/env python3
"""Compares the values of Kolla-Ansible's variables with those that the same names have here, in one site.

    tests/oracle/values.py [--venv FOLDER] [--kolla PROGRAM] [--record]

Without --venv, a virtual environment with Kolla-Ansible and the collections of Ansible is made in a temporary folder.
Then each variable of its group_vars/all, and of the defaults of its roles for services that are here, is evaluated by
Ansible for a host of a site, and by `kolla vars HOST --all` for the same one. Each is in one of three classes: equal,
different on purpose (with the reason, DIFFERENT below), or not here (with the reason, NOT_HERE). A variable in none
of them, and an entry below that matches none, is a fault. With --record the counts and the table are written to
docs/kolla-ansible-variables.md.
"""

import argparse
import collections
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import venv

RELEASE = "20.6.0"
REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
PAGE = REPOSITORY / "docs/kolla-ansible-variables.md"
HOST = "control01"
NETWORK = "10.0.0"

# Kolla-Ansible's roles for what is here, and those that all services share.
ROLES = ["common", "etcd", "glance", "haproxy-config", "horizon", "keystone", "loadbalancer", "mariadb", "memcached"]
ROLES += ["neutron", "nova", "nova-cell", "openvswitch", "placement", "rabbitmq", "prechecks", "service-images-pull"]
ROLES += ["service-ks-register", "service-rabbitmq"]

# What the site says, so that what follows from it is the same on both sides.
GLOBALS = f"""\
kolla_internal_vip_address: {NETWORK}.250
network_interface: eth0
neutron_external_interface: eth1
docker_registry: registry.example:5000
docker_namespace: kolla
kolla_base_distro: debian
kolla_base_distro_version: trixie
enable_proxysql: "no"
default_container_dimensions: {{}}
node_config: /etc/kolla
"""

# Names, or patterns of names, whose values differ, and why.
DIFFERENT = {
    r"default_container_dimensions_(docker|podman)":
        "the limits that every container has are not repeated in a variable",
    r"enable_(cinder_backup|fluentd|heat|cron)": "Kolla-Ansible deploys it by default; it is not here",
    r"enable_(heat_horizon_policy_file|horizon_heat)": "follows from Heat, which is not here",
    r"enable_prometheus_(haproxy|memcached|mysqld)_exporter": "follows from Prometheus, which is not here",
    r"fernet_key_rotation_interval": "keys are rotated by time, each token's lifetime",
    r"haproxy_connect_timeout": "a member that does not answer is left sooner",
    r"horizon_listen_port": "Horizon listens behind HAProxy, not in its place",
    r"kolla_base_distro_version_default_map": "the images that are built here are of Debian 13",
    r"libvirt_enable_sasl": "libvirt listens on no network",
    r"mariadb_(loadbalancer|backup_target|monitor_user)|mariadb_backup_database_user": "there is no ProxySQL",
    r"neutron_metadata_workers|nova_(cell_conductor|scheduler)_workers":
        "these have as many as others that answer over the queue",
    r"nova_cell_name": "the cell has a name",
    r"nova_compute_virt_type": "the site of this comparison has no KVM",
    r"rpc_transport_url|notify_transport_url|nova_cell_(rpc|notify)_transport_url": "passwords are encoded",
    r"\w+_git_repository": "named after the role",
    r"mariadb_innodb_log_file_size_mb": "a smaller log, which is recovered sooner",
    r"ovs_datapath": "the host of this comparison has no kernel module",
    r"glance_backends": "HTTP and others that only Glance's configuration has",
}

# The same for names that have no value here.
NOT_HERE = {
    r"\w+_services|mariadb_service": "the containers of Kolla-Ansible's playbooks, which are roles here",
    r"\w+_default_volumes|run_default_\w+|nova_cell_get_settings_volumes": "mounts of those containers",
    r"\w+_healthcheck(_test)?": "probes of those containers; roles say here when a service is ready",
    r"\w+_copy_certs|ssl_\w+_settings|haproxy_ssl_settings": "texts and switches of TLS, which is not here",
    r"\w+_database_shard|mariadb_shards_info|mariadb_shard_database_user": "rules of ProxySQL, which is not here",
    r"\w+_ks_(services|users|roles|user_roles)|keystone_service_endpoints|service_\w+":
        "arguments of Kolla-Ansible's tasks",
    r"\w+_rabbitmq_users": "arguments of Kolla-Ansible's tasks",
    r"\w+_config_validation|\w+_bootstrap_services|\w+_rolling_upgrade_services":
        "arguments of Kolla-Ansible's tasks",
    r"nova_(cell_)?services_require_\w+|docker_common_options": "arguments of Kolla-Ansible's tasks",
    r"mariadb_(singlenode|shun_on_failures|connect_retries_\w+|recover_tmp_file_path|backup_host|backup_possible)":
        "steps of Kolla-Ansible's tasks",
    r"etcd_\w*environment": "the environment of Kolla-Ansible's container",
    r"\w*haproxy_(tls_)?members|haproxy_external_single_frontend_\w+": "texts of Kolla-Ansible's haproxy.cfg",
    r"acme_client_\w+|letsencrypt_managed_certs": "certificates of ACME, which are not here",
    r"ovn_(nb|sb)_\w+": "OVN, which is not here",
    r"(redis|valkey)_connection_string|osprofiler_backend_connection_string|gnocchi_incoming_storage":
        "services that are not here",
    r"octavia_auto_configure|skyline_enable_sso|keystone_enable_federation_openid":
        "services and federation that are not here",
    r"(neutron_)?(mechanism_drivers|service_plugins|subprojects|modules_\w+|notification_topics|notification_drivers)":
        "parts of Kolla-Ansible's templates",
    r"(keystone|nova|neutron)_(enabled_)?notification_topics|glance_(ceph|store)_backends|nova_cell_ceph_backend":
        "parts of Kolla-Ansible's templates",
    r"nova_pci_passthrough_whitelist|rabbitmq_(enabled_)?plugins|syslog_facilities|proxysql_version_suffix":
        "parts of Kolla-Ansible's templates",
    r"project_name|kolla_ansible_delegate_facts_hosts": "arguments of Kolla-Ansible's tasks",
    r"kolla_ansible_setup_\w+": "arguments of Ansible's module",
}


def installed(folder):
    """The interpreter of an environment that has Kolla-Ansible."""
    python = folder / "bin/python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        pip = [python, "-m", "pip", "--quiet", "--disable-pip-version-check", "install"]
        subprocess.run([*pip, f"kolla-ansible=={RELEASE}", "ansible-core==2.18.*"], check=True)
        # Its filters for addresses.
        subprocess.run([*pip, "--no-deps", "ansible==11.*"], check=True)
    return python


def site(folder, share):
    """Writes the site, and the facts of its hosts."""
    shutil.copy(share / "ansible/inventory/multinode", folder / "inventory")
    text = (folder / "inventory").read_text()
    names = re.findall(r"^[a-z]+0\d$", text, re.MULTILINE)
    facts = {}
    for number, name in enumerate(dict.fromkeys(names), 11):
        address = f"{NETWORK}.{number}"
        text = re.sub(rf"^{name}$", f"{name} ansible_host={address}", text, flags=re.MULTILINE)
        ipv4 = {"address": address, "netmask": "255.255.255.0", "network": f"{NETWORK}.0", "prefix": "24"}
        facts[name] = {
            "hostname": name, "nodename": name, "fqdn": name, "architecture": "x86_64", "machine": "x86_64",
            "distribution": "Debian", "os_family": "Debian", "distribution_major_version": "13", "processor_vcpus": 4,
            "eth0": {"device": "eth0", "ipv4": ipv4}, "eth1": {"device": "eth1", "ipv4": ipv4},
            "default_ipv4": {"address": address, "interface": "eth0"},
        }
    (folder / "inventory").write_text(text)
    (folder / "globals.yml").write_text(GLOBALS)
    (folder / "facts.json").write_text(json.dumps(facts))
    passwords = (REPOSITORY / "etc/passwords.yml").read_text()
    (folder / "passwords.yml").write_text(re.sub(r"^([a-z]\w*):$", r"\1: hunter-2-x", passwords, flags=re.MULTILINE))
    os.chmod(folder / "passwords.yml", 0o600)


def inside(folder):
    """Prints the values that Ansible finds, by name; run in the environment that has it."""
    import yaml
    from ansible.inventory.manager import InventoryManager
    from ansible.parsing.dataloader import DataLoader
    from ansible.plugins.loader import filter_loader, init_plugin_loader
    from ansible.template import Templar
    from ansible.vars.hostvars import HostVars
    from ansible.vars.manager import VariableManager

    init_plugin_loader()
    ansible = pathlib.Path(sys.prefix, "share/kolla-ansible/ansible")
    filter_loader.add_directory(str(ansible / "filter_plugins"))

    def read(path):
        return yaml.safe_load(path.read_text()) or {}

    defaults = {}
    for role in ROLES:
        for path in sorted(ansible.glob(f"roles/{role}/defaults/**/*.yml")):
            defaults |= read(path)
    defaults |= read(ansible / "group_vars/all.yml")
    loader = DataLoader()
    inventory = InventoryManager(loader=loader, sources=[str(folder / "inventory")])
    manager = VariableManager(loader=loader, inventory=inventory)
    for name, value in defaults.items():
        inventory.groups["all"].set_variable(name, value)
    own = {"kolla_action": "deploy", "CONFIG_DIR": "/etc/kolla", "role_rabbitmq_groups": "rabbitmq"}
    own["project_name"] = "x"
    manager._extra_vars = read(folder / "globals.yml") | read(folder / "passwords.yml") | own
    for name, facts in json.loads((folder / "facts.json").read_text()).items():
        manager.set_host_facts(name, facts)
    manager._hostvars = HostVars(inventory=inventory, variable_manager=manager, loader=loader)
    variables = manager.get_vars(host=inventory.get_host(HOST), include_hostvars=True)
    templar = Templar(loader=loader, variables=variables)
    found = {}
    for name in defaults:
        try:
            found[name] = {"value": templar.template(variables[name], fail_on_undefined=True)}
        except Exception as error:
            found[name] = {"error": str(error)}
    json.dump(found, sys.stdout, default=str)


def same(one, other):
    """Two values mean the same: words for a truth value are one, and so are a number and its text."""
    def plain(value):
        truth = {"yes": True, "true": True, "no": False, "false": False}
        return truth.get(value.lower(), value) if isinstance(value, str) else value

    one, other = plain(one), plain(other)
    # A secret, which is not shown.
    if one == "***":
        return True
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return str(one) == str(other) or (one in (None, "") and other in (None, ""))


def compare(theirs, ours):
    """The class of each variable and its reason; what is wrong with that."""
    classes, wrong, used = {}, [], set()

    def reason(table, name):
        for pattern, why in table.items():
            if re.fullmatch(pattern, name):
                used.add(pattern)
                return why
        return None

    for name, found in theirs.items():
        here = ours.get(name)
        if here is None:
            classes[name] = "not here", reason(NOT_HERE, name)
        elif "error" in found:
            classes[name] = "without a value there", "Kolla-Ansible itself sets a part of it while it runs"
        elif not here["error"] and (same(here["value"], found["value"])):
            classes[name] = "equal", ""
        else:
            classes[name] = "different", reason(DIFFERENT, name)
        if classes[name][1] is None:
            said = here and (here["error"] or here["value"])
            wrong.append(f"{name} is {classes[name][0]}: {said} here, {found.get('value')} in Kolla-Ansible")
    wrong += [f"no variable is like `{pattern}`" for pattern in [*DIFFERENT, *NOT_HERE] if pattern not in used]
    return classes, wrong


def page(classes):
    """The page of docs/."""
    counts = collections.Counter(what for what, _ in classes.values())
    lines = [
        f"# Variables of Kolla-Ansible {RELEASE} (2025.1)\n",
        "Made by `tests/oracle/values.py --record`: do not edit. Each variable of Kolla-Ansible's `group_vars/all`,",
        "and of the defaults of its roles for the services that are here, is evaluated by Ansible and by",
        "`kolla vars HOST --all`, for a host of the same site.\n",
        "| class | variables |\n|---|---:|",
        *(f"| {what} | {counts[what]} |" for what in ["equal", "different", "not here", "without a value there"]),
        f"| all | {len(classes)} |\n",
    ]
    for what, title in [("different", "Different on purpose"), ("not here", "Not here")]:
        reasons = collections.defaultdict(list)
        for name, (of, why) in sorted(classes.items()):
            if of == what:
                reasons[why].append(f"`{name}`")
        lines.append(f"## {title}\n")
        lines += [f"- {why}: {', '.join(names)}\n" for why, names in sorted(reasons.items(), key=str)]
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--venv", help="a virtual environment that has Kolla-Ansible, or where to make one")
    parser.add_argument("--kolla", default=str(REPOSITORY / "target/debug/kolla"), help="the program")
    parser.add_argument("--record", action="store_true", help="write the page anew")
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        return inside(pathlib.Path(options.inside))
    with tempfile.TemporaryDirectory() as temporary:
        python = installed(pathlib.Path(options.venv or f"{temporary}/venv"))
        folder = pathlib.Path(temporary, "site")
        folder.mkdir()
        site(folder, python.parents[1] / "share/kolla-ansible")
        words = [python, __file__, "--inside", folder]
        theirs = json.loads(subprocess.run(words, check=True, stdout=subprocess.PIPE).stdout)
        words = [options.kolla, "--configdir", folder, "vars", HOST, "--all", "--output", "json"]
        ours = json.loads(subprocess.run(words, check=True, stdout=subprocess.PIPE).stdout)
        classes, wrong = compare(theirs, {row["name"]: row for row in ours})
    made = page(classes)
    if options.record:
        PAGE.write_text(made)
    if not PAGE.exists() or PAGE.read_text() != made:
        wrong.append(f"{PAGE.relative_to(REPOSITORY)} is not what was found: run with --record")
    print(collections.Counter(what for what, _ in classes.values()).most_common())
    print("\n".join(wrong) or "all is well")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
