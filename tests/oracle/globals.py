#!/usr/bin/env python3
"""Takes the names of Kolla-Ansible's variables from its package, and shows what this program makes of each of them.

    tests/oracle/globals.py [--venv FOLDER] [--kolla PROGRAM] [--record]

Without --venv, a virtual environment with kolla-ansible and PyYAML is made in a temporary folder. Then

1. the names in src/site/upstream/names.yml are compared with those of the newest package, of that of the release that
   is deployed, and of older ones: of globals.yml (also in comments), group_vars/all, the defaults of the roles, and the
   documentation of bootstrap-servers. With --record the files there are written anew, and so is
   tests/cases/globals/names, the names of globals.yml;
2. each old name in renamed.yml has to stand beside its successor in one of the notes of Kolla-Ansible's releases, which
   are in its source package, or in group_vars/all/, and be upstream's no more; the successors have to be;
3. its globals.yml, every commented line switched on, is read by `kolla validate --strict`: each variable has to be read
   here, switched off, or told. Counts are printed.
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
import tarfile
import tempfile
import textwrap
import venv
import zipfile

RELEASE = "22.2.0"
# The release that is deployed, and the last package of older ones: their names are told, too.
OLDER = ["20.6.0", "21.3.0", "19.8.0", "18.8.0", "17.9.0", "16.7.0", "15.6.0", "14.11.0", "13.9.0", "12.8.0", "11.4.0"]
OLDER += ["10.4.0", "9.3.2", "8.3.0", "7.2.1", "6.2.3", "5.0.5", "4.0.5"]
ALL = "all services"
PACKAGE = f"kolla-ansible=={RELEASE}"
REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
UPSTREAM = REPOSITORY / "src/site/upstream"
NAMES = REPOSITORY / "tests/cases/globals/names"

# Roles whose variables belong to another topic than the role's own name.
TOPICS = {
    "certificates": "tls",
    "ceph-rgw": "ceph",
    "container-engine-migration": ALL,
    "destroy": ALL,
    "haproxy": "loadbalancer",
    "haproxy-config": "loadbalancer",
    "keepalived": "loadbalancer",
    "kolla_toolbox": ALL,
    "logs": ALL,
    "loadbalancer-config": "loadbalancer",
    "module-load": ALL,
    "nova-cell": "nova",
    "octavia-certificates": "octavia",
    "ovn-controller": "ovn",
    "ovn-db": "ovn",
    "ovs-dpdk": "openvswitch",
    "prechecks": ALL,
    "prometheus-node-exporters": "prometheus",
    "proxysql-config": "proxysql",
    "prune-images": ALL,
    "sysctl": ALL,
}
# Names that stand in no file but globals.yml, by how they start.
STARTS = {"hnas": "manila", "workaround": ALL, "kolla": ALL}

# Words before a colon in the prose of globals.yml.
PROSE = {"eg", "one"}

# Old names and what they are called today.
RENAMED = {
    "cinder_iscsi_helper": "cinder_target_helper",
    "elasticsearch_address": "opensearch_address",
    "elasticsearch_port": "opensearch_port",
    "enable_cadf_notifications": "keystone_default_notifications_topic_enabled",
    "enable_ironic_ipxe": "ironic_dnsmasq_serve_ipxe",
    "enable_xtrabackup": "enable_mariabackup",
    "haproxy_listen_http_extra": "haproxy_frontend_http_extra",
    "haproxy_listen_tcp_extra": "haproxy_frontend_tcp_extra",
    "ironic_dnsmasq_default_gateway": "ironic_dnsmasq_dhcp_ranges",
    "ironic_dnsmasq_dhcp_range": "ironic_dnsmasq_dhcp_ranges",
    "ironic_inspector_kernel_cmdline_extras": "ironic_kernel_cmdline_extras",
    "ironic_inspector_pxe_filter": "ironic_pxe_filter",
    "kolla_external_fqdn_cacert": "kolla_admin_openrc_cacert",
    "kolla_internal_address": "kolla_internal_vip_address",
    "kolla_internal_fqdn_cacert": "kolla_admin_openrc_cacert",
    "openstack_previous_release_name": "ironic_pin_release_version",
}
# Names of upstream's whose meaning has another name in this program, whose own roles are the authority.
HERE = {
    "api_interface_address": "api_address",
    "cron_logrotate_log_maxsize": "cron_logrotate_max_size",
    "dhcp_agents_per_network": "neutron_dhcp_agents_per_network",
    "docker_custom_config": "host_engine_custom_options",
    "enable_loadbalancer": "enable_haproxy",
    "fernet_key_rotation_interval": "keystone_fernet_rotation_interval",
    "fernet_token_allow_expired_window": "keystone_token_allow_expired_window",
    "fernet_token_expiry": "keystone_token_expiration",
    "mariadb_backup_database_user": "mariadb_backup_user",
    "mariadb_innodb_log_file_size_mb": "mariadb_innodb_log_file_mib",
    "neutron_api_workers": "neutron_server_workers",
    "ovs_datapath": "openvswitch_datapath",
    "rabbitmq_extra_config": "rabbitmq_additional_config",
    "tunnel_interface_address": "tunnel_address",
}

HEAD = "made by tests/oracle/globals.py from Kolla-Ansible's packages: do not edit."


def installed(folder, temporary):
    """The package's data, and what says how names go together: the notes of its releases, and its variables."""
    python = folder / "bin/python"
    pip = [python, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    if not python.exists():
        venv.create(folder, with_pip=True)
        subprocess.run([*pip, "install", "PyYAML"], check=True)
        subprocess.run([*pip, "install", "--no-deps", PACKAGE], check=True)
    subprocess.run([*pip, "download", "--no-deps", "--no-binary", ":all:", "-d", temporary, PACKAGE], check=True)
    (archive,) = pathlib.Path(temporary).glob("*.tar.gz")
    with tarfile.open(archive) as files:
        notes = [file for file in files if "/releasenotes/notes/" in file.name and file.isfile()]
        notes = [files.extractfile(file).read().decode() for file in notes]
    for release in OLDER:
        package = f"kolla-ansible=={release}"
        subprocess.run([*pip, "download", "--no-deps", "-d", f"{temporary}/older", package], check=True)
    share = folder / "share/kolla-ansible"
    return share, notes + [path.read_text() for path in share.glob("ansible/group_vars/all/*.yml")]


def switched_on(text):
    """globals.yml with every commented variable switched on; prose stays prose."""
    lines = text.splitlines()
    key = re.compile(r"#( ?)([a-z][a-z0-9_]*):(?: |$)")
    plain = {match[2] for match in map(key.match, lines) if match and not match[1]}
    out, inside = [], False
    for line in lines:
        match = key.match(line)
        if match and match[2] not in PROSE and (not match[1] or match[2] not in plain):
            plain.add(match[2])
            out.append(line[1 + len(match[1]):])
            inside = True
        elif inside and re.match(r"#(  |[}\]])", line):
            out.append(line[1:])
        else:
            out.append(line)
            inside = False
    return "\n".join(out) + "\n"


def collect(share, yaml):
    """Names by topic, those of globals.yml, and its text with everything switched on."""
    topics, seen = collections.defaultdict(set), {}

    def take(topic, names):
        topic = ALL if topic in ("common", ALL) or topic.startswith("service-") else TOPICS.get(topic, topic)
        for name in names:
            topics[seen.setdefault(name, topic)].add(name)

    def keys(path):
        return yaml.safe_load(path.read_text()) or {}

    ansible = share / "ansible"
    for path in sorted((ansible / "group_vars/all").glob("*.yml")):
        take(path.stem, keys(path))
    for path in sorted(ansible.glob("roles/*/defaults/**/*.yml")):
        take(path.relative_to(ansible / "roles").parts[0], keys(path))
    # A limit that each play has, and nothing defines.
    for path in sorted(ansible.glob("*.yml")):
        for name in re.findall(r"\b([a-z]\w*)_max_fail_percentage\b", path.read_text()):
            topic = name if name in topics else ALL
            take(topic, [f"{name}_max_fail_percentage"])
    # What the collection of roles beside the package reads, as far as the documentation names it.
    (path,) = share.rglob("bootstrap-servers.rst")
    secrets = {"public_key", *keys(share / "etc_examples/kolla/passwords.yml")}
    words = re.findall(r"``([a-z]+(?:_[a-z]+)+|virtualenv)``", path.read_text())
    take(path.stem, [name for name in words if not name.startswith("ansible_") and name not in secrets])
    text = switched_on((share / "etc_examples/kolla/globals.yml").read_text())
    names = yaml.safe_load(text)
    for name in names:
        start = next((start for start in STARTS if name.startswith(start)), None)
        take(STARTS.get(start) or next((topic for topic in topics if name.startswith(topic)), ALL), [name])
    return topics, names, text


def older(topics, temporary, yaml):
    """Adds the names of older releases: about their role, or what another name that starts like them is about."""
    known = set().union(*topics.values())
    prefixes = sorted(topics, key=len, reverse=True)
    for release in OLDER:
        (path,) = pathlib.Path(temporary, "older").glob(f"kolla[-_]ansible-{release}*")
        found = {}
        for name, text in texts(path):
            if match := re.search(r"ansible/(?:group_vars/all|roles/([^/]+)/defaults/main)\.yml$", name):
                topic = match[1] or ""
                names = re.findall(r"^([a-z]\w*):", text, re.MULTILINE)
            elif name.endswith("kolla/globals.yml"):
                topic, names = "", re.findall(r"^#? ?([a-z]\w*):(?: |$)", text, re.MULTILINE)
            else:
                continue
            for each in names:
                found[each] = found.get(each) or topic
        for each, role in found.items():
            if each in known or each in PROSE or each in RENAMED:
                continue
            bare = each.removeprefix("enable_")
            topic = TOPICS.get(role, role) or next((t for t in prefixes if bare.startswith(t.replace("-", "_"))), "")
            topic = topic or (bare.split("_")[0] if bare != each else ALL)
            topics[ALL if topic == "common" or topic.startswith("service-") else topic].add(each)
            known.add(each)


def texts(path):
    """The files of a package, which is a wheel or an archive."""
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as files:
            yield from ((name, files.read(name).decode()) for name in files.namelist() if name.endswith(".yml"))
    else:
        with tarfile.open(path) as files:
            yield from ((f.name, files.extractfile(f).read().decode()) for f in files if f.name.endswith(".yml"))


def data(topics):
    """The texts of the files of names."""
    names = [f"# Names of Kolla-Ansible's variables by what they are about, {HEAD}\n"]
    for topic, found in sorted(topics.items()):
        words = textwrap.fill(" ".join(sorted(found)), 118, initial_indent="  ", subsequent_indent="  ")
        names.append(f"{topic}: >-\n{words}\n")
    other = [f"# Other names of variables, {HEAD}\n# A value under such a name has effect.\n"]
    other += ["\n# Old names, and what Kolla-Ansible calls them today.\nrenamed:\n"]
    other += [f"  {old}: {new}\n" for old, new in sorted(RENAMED.items())]
    other += ["\n# Names of Kolla-Ansible's, and what this program calls the same.\nhere:\n"]
    other += [f"  {old}: {new}\n" for old, new in sorted(HERE.items())]
    return {UPSTREAM / "names.yml": "".join(names), UPSTREAM / "renamed.yml": "".join(other)}


def check_renamed(topics, notes):
    """What is wrong with the table of old names."""
    known = set().union(*topics.values())
    wrong = []
    for old, new in RENAMED.items():
        together = any(re.search(rf"\b{old}\b", note) and re.search(rf"\b{new}\b", note) for note in notes)
        if old in known or new not in known or not together:
            wrong.append(f"{old} -> {new}: old name {old in known}, new name {new in known}, in a note {together}")
    wrong += [f"{old} is not upstream's" for old in HERE if old not in known]
    return wrong


def validate(kolla, text, temporary):
    """What `kolla validate --strict` says of each variable that it tells of, by name."""
    site = pathlib.Path(temporary, "site")
    site.mkdir()
    (site / "globals.yml").write_text(text)
    (site / "inventory").write_text("[control]\nc1\n[network]\nc1\n[compute]\nc1\n")
    shutil.copy(REPOSITORY / "etc/passwords.yml", site)
    os.chmod(site / "passwords.yml", 0o600)
    words = [kolla, "--configdir", site, "validate", "--strict", "--output", "json"]
    environment = {"HOME": temporary, "PATH": os.environ["PATH"]}
    found = subprocess.run(words, check=False, capture_output=True, text=True, env=environment)
    told = {}
    for line in found.stdout.splitlines():
        event = json.loads(line)
        name = re.search(r"`(\w+)`", event.get("message", ""))
        if event.get("event") == "error" and name:
            told[name[1]] = event["message"]
    if found.returncode != 2 or not told:
        sys.exit(f"`kolla validate --strict` ended with {found.returncode}:\n{found.stderr[-2000:]}")
    return told


def inside(options):
    import yaml

    with tempfile.TemporaryDirectory() as temporary:
        share, notes = installed(pathlib.Path(options.venv), temporary)
        topics, names, text = collect(share, yaml)
        known = set().union(*topics.values())
        wrong = check_renamed(topics, notes)
        older(topics, temporary, yaml)
        known = set().union(*topics.values())
        made = data(topics) | {NAMES: "".join(f"{name}\n" for name in names)}
        if options.record:
            for path, text in made.items():
                path.write_text(text)
        for path, expected in made.items():
            if not path.exists() or path.read_text() != expected:
                wrong.append(f"{path.relative_to(REPOSITORY)} is not what the package has: run with --record")
        print(f"{len(known)} names of Kolla-Ansible {RELEASE} in {len(topics)} topics; {len(RENAMED)} old names")
        if options.kolla:
            wrong += classify(options.kolla, names, text, known, temporary)
    print("\n".join(wrong) or "all is well")
    return 1 if wrong else 0


def classify(kolla, names, text, known, temporary):
    """Counts what the program says of all variables of globals.yml; what it leaves out, unless it reads it."""
    told = validate(kolla, text, temporary)
    said = "\n".join(path.read_text() for path in sorted(REPOSITORY.glob("roles/**/*")) if path.is_file())
    itself = (REPOSITORY / "src/plan/reads.rs").read_text().split("const READ_HERE")[1].split("];")[0]
    words = set(re.findall(r"\w+", said + itself))
    counts, wrong = collections.Counter(), []
    for name, value in names.items():
        if name in told:
            counts[re.sub(r"`\w+`", "`..`", told[name])] += 1
        elif name in words:
            counts["read"] += 1
        elif name.startswith("enable_") and str(value).lower() in ("false", "no"):
            counts["switched off, and not there"] += 1
        else:
            wrong.append(f"nothing is said of {name}")
    wrong += [f"told of {name}, which is not set" for name in told if name not in names]
    wrong += [f"{name} is upstream's, but: {told[name]}" for name in told if name in known and "unknown" in told[name]]
    print(f"{len(names)} variables of globals.yml, all lines switched on:")
    for what, count in counts.most_common():
        print(f"  {count:4} {what}")
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--venv", help="a virtual environment that has kolla-ansible and PyYAML, or where to make one")
    parser.add_argument("--kolla", default=str(REPOSITORY / "target/debug/kolla"), help="the program; empty for none")
    parser.add_argument("--record", action="store_true", help="write the files anew")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        return inside(options)
    with tempfile.TemporaryDirectory() as temporary:
        options.venv = options.venv or f"{temporary}/venv"
        folder = pathlib.Path(options.venv)
        if not (folder / "bin/python").exists():
            installed(folder, tempfile.mkdtemp(dir=temporary))
        words = [folder / "bin/python", __file__, "--inside", "--venv", options.venv, "--kolla", options.kolla]
        return subprocess.run([*words, *(["--record"] if options.record else [])], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
