"""The cluster, as ceph-views, ceph-action and ceph-clients ask it: one connection for all questions of a program."""

import collections
import concurrent.futures
import json
import os
import re
import subprocess
import sys
import tempfile

import rados
import rbd

# Flags with which somebody keeps the cluster from doing something.
FLAGS = ("noout", "noin", "noup", "nodown", "norebalance", "norecover", "nobackfill", "noscrub", "nodeep-scrub",
         "pauserd", "pausewr")
# What a placement group is, worst first; one that is not active is worse than all of these.
WORST = ("inconsistent", "unfound", "toofull", "undersized", "degraded", "stale", "remapped")
UUID = re.compile(r"^(?:volume-|snapshot-|backup-)?([0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12})(?:_\w+|\.\w+)?$")


# Ceph's number of no OSD.
NOBODY = 2147483647


class Refused(Exception):
    """What cannot be done, or not now: place, cause and hint in one line."""


class Unanswered(Refused):
    """No monitor or no manager answers."""


def main(run):
    """Runs a program; what it refuses is its last line."""
    code = 0
    try:
        run()
    except (Refused, rados.Error, rbd.Error) as error:
        print(error)
        code = 1
    sys.stdout.flush()
    # Without the end of the library's threads, which may take long where nobody answers, and may fail.
    os._exit(code)


def human(count):
    """A number of bytes for people."""
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} PiB"


class Cluster:
    """A connection as client.admin. Without limits, each question would wait for 300 s, or for ever."""

    def __init__(self, within=10):
        limits = dict.fromkeys(("client_mount_timeout", "rados_mon_op_timeout", "rados_osd_op_timeout"), str(within))
        self.within = within
        self.rados = rados.Rados(conffile="/etc/ceph/ceph.conf", name="client.admin", conf=limits)
        try:
            self.rados.connect()
        except rados.Error:
            raise Unanswered(f"ceph: no monitor answers within {within} s: look at `kolla status` and at "
                             "`kolla logs HOST ceph_mon`") from None

    def answer(self, send, prefix, more):
        """An answer as (exit code, output, errors)."""
        code, output, errors = send(json.dumps({"prefix": prefix, "format": "json", **more}), b"")
        return -code, output, errors.strip()

    def right(self, who, prefix, more, answer):
        """The output of an answer that must be right, as what its JSON says."""
        code, output, errors = answer
        if code == 110:
            raise Unanswered(f"ceph: no {who} answers within {self.within} s: look at `kolla status` and at "
                             f"`kolla logs HOST {'ceph_mgr' if who == 'manager' else 'ceph_mon'}`")
        if code:
            words = " ".join([prefix, *(str(value) for value in more.values())])
            raise Refused(f"ceph: `{words}` failed: {errors or f'error {code}'}: see `kolla logs HOST ceph_mon`")
        return json.loads(output) if output.strip() else {}

    def mon(self, prefix, **more):
        return self.right("monitor", prefix, more, self.answer(self.rados.mon_command, prefix, more))

    def mgr(self, prefix, **more):
        return self.right("manager", prefix, more, self.answer(self.rados.mgr_command, prefix, more))

    def asked(self, prefix, manager=False, **more):
        """A question that is answered by an exit code; 0 is yes."""
        return self.answer(self.rados.mgr_command if manager else self.rados.mon_command, prefix, more)

    def tell_mon(self, name, prefix, **more):
        """An answer of one monitor about itself."""
        def send(words, given):
            return self.rados.mon_command(words, given, target=name)
        return self.right(f"monitor `{name}`", prefix, more, self.answer(send, prefix, more))

    def tell_osd(self, number, prefix, **more):
        """An answer of one OSD about itself; none if there is none."""
        words = json.dumps({"prefix": prefix, "format": "json", **more})
        code, output, _ = self.rados.osd_command(number, words, b"", timeout=5)
        return None if code else json.loads(output)

    # What is there

    def pools(self):
        return {pool["pool_name"]: pool for pool in self.mon("osd pool ls", detail="detail")}

    def pool(self, name):
        pools = self.pools()
        if name not in pools:
            raise Refused(f"pool `{name}`: there is none of this name: the pools are {', '.join(pools)}")
        return pools[name]

    def groups(self):
        """All placement groups, as their OSDs last said it: that is some seconds old."""
        return self.mgr("pg ls")["pg_stats"]

    def current_groups(self):
        """All placement groups, once all that moved since the last change of the map has said so."""
        mapped, groups = self.mapped(), self.groups()
        old = [group for group in groups if group["up"] != mapped.get(group["pgid"])]
        if old:
            raise Refused(f"{len(old)} placement groups have not yet said what they do since the last change: ask "
                          "again in some seconds")
        return groups

    def mapped(self):
        """The OSDs that each placement group is to be on, by the map."""
        with tempfile.NamedTemporaryFile() as file:
            _, output, _ = self.answer(self.rados.mon_command, "osd getmap", {})
            file.write(output)
            file.flush()
            words = ["osdmaptool", file.name, "--test-map-pgs-dump-all"]
            text = subprocess.run(words, capture_output=True, text=True, check=False).stdout
        found = re.findall(r"^(\S+) raw .*? up \(\[(.*?)\]", text, re.MULTILINE)
        nobody = {"NONE": NOBODY, "": NOBODY}
        return {name: [int(nobody.get(each, each)) for each in up.split(",")] if up else [] for name, up in found}

    def monitors(self):
        """Names of those in the quorum."""
        return self.mon("quorum_status")["quorum_names"]


class Places:
    """Where the disks are: OSDs in buckets of CRUSH, and what rules of pools make of them."""

    def __init__(self, cluster):
        found = cluster.mgr("osd df", output_method="tree")
        nodes = {node["id"]: node for node in found["nodes"]}
        self.osds = {node["id"]: node for node in (*nodes.values(), *found.get("stray", [])) if node["id"] >= 0}
        parents = {child: node["id"] for node in nodes.values() for child in node.get("children", [])}
        self.paths = {number: self.path(number, parents, nodes) for number in self.osds}
        self.rules = {rule["rule_id"]: rule for rule in cluster.mon("osd crush rule dump")}

    @staticmethod
    def path(node, parents, nodes):
        """Buckets of an OSD by their types, from the root."""
        found = []
        while node in parents:
            node = parents[node]
            found.append((nodes[node]["type"], nodes[node]["name"]))
        return dict(reversed(found))

    def osd(self, text):
        """An OSD by its number, as an operator writes it."""
        if int(text) not in self.osds:
            known = ", ".join(map(str, sorted(self.osds)))
            raise Refused(f"osd.{text}: there is none of this number: the OSDs are {known}")
        return self.osds[int(text)]

    def rule(self, pool):
        """The name of a pool's rule, and what it places copies in: a bucket, a class of disks, a kind of domain."""
        rule = self.rules[pool["crush_rule"]]
        taken = next(step["item_name"] for step in rule["steps"] if step["op"] == "take")
        kinds = [step["type"] for step in rule["steps"] if step["op"].startswith("choose")]
        root, _, kind = taken.partition("~")
        return rule["rule_name"], root, kind, kinds[-1] if kinds else "osd"

    def domains(self, pool, without=None):
        """The OSDs that a pool's copies may be on, by failure domain; none that is out."""
        _, root, kind, domain = self.rule(pool)
        found = collections.defaultdict(list)
        for number, osd in self.osds.items():
            path = self.paths[number]
            if number == without or not osd["reweight"] or not osd["crush_weight"] or root not in path.values():
                continue
            if kind in ("", osd["device_class"]):
                found[osd["name"] if domain == "osd" else path.get(domain)].append(osd)
        return dict(found)


def data(osds):
    """Bytes of pools on OSDs, without what BlueStore has for itself."""
    return sum(osd["kb_used_data"] + osd["kb_used_omap"] for osd in osds) * 1024


def badness(state):
    """How bad the state of a placement group is: the least is the worst."""
    if "active" not in state.split("+"):
        return -1
    return next((place for place, word in enumerate(WORST) if word in state), len(WORST))


# Who uses it


def host_of(address):
    """`10.0.0.4` of `v1:10.0.0.4:0/123`."""
    address = re.sub(r"^v\d:|^any:", "", address).split("/")[0]
    return address.rsplit(":", 1)[0].strip("[]")


def sessions(cluster):
    """All sessions of users as (number of the client, user, address). Each monitor knows its own."""
    own = cluster.rados.get_instance_id()
    found = []
    for monitor in cluster.monitors():
        for each in cluster.tell_mon(monitor, "sessions"):
            # A connection for `tell` has a number of its own, and the client's in its name; the first has none there.
            name, user = each["name"].partition(".")[2], each["entity_name"]
            number = int(name) if name.isdigit() else each["global_id"]
            # Daemons have sessions, too, and each start of one has a short one by its bootstrap key.
            if user.startswith("client.") and not user.startswith("client.bootstrap-") and number != own:
                found.append((number, user, host_of(each["socket_addr"]["addr"])))
    return sorted(set(found))


def watchers(cluster, only=None):
    """Who has images open, as (pool/image, number of the client, address); the number is none for a pool that cannot
    be asked, and the address says why then."""
    found = []
    for name, pool in cluster.pools().items():
        if "rbd" not in pool["application_metadata"] or only not in (None, name):
            continue
        try:
            with cluster.rados.open_ioctx(name) as context:
                for space in ["", *rbd.RBD().namespace_list(context)]:
                    context.set_namespace(space)
                    where = f"{name}/{space}" if space else name
                    images = rbd.RBD().list(context)
                    # One after the other, hundreds of them would take seconds.
                    with concurrent.futures.ThreadPoolExecutor(8) as threads:
                        answers = threads.map(watchers_of, [context] * len(images), images)
                        found += [(f"{where}/{image}", *each) for image, all_of_it in zip(images, answers, strict=True)
                                  for each in all_of_it]
        except (rados.Error, rbd.Error) as error:
            found.append((name, None, f"cannot be asked: {error}"))
    return found


def watchers_of(context, image):
    try:
        # One that only reads does not watch itself.
        with rbd.Image(context, image, read_only=True) as opened:
            return [(each["id"], host_of(each["addr"])) for each in opened.watchers_list()]
    except rbd.ImageNotFound:
        # Removed since, or on the way to be.
        return []


def mounts(cluster):
    """Who mounts file systems, as (file system:path, number of the client, user, address)."""
    found = []
    for system in cluster.mon("fs dump")["filesystems"]:
        for server in system["mdsmap"]["info"].values():
            if not server["state"].startswith("up:active"):
                continue
            # The library's only way to ask a metadata server is one that mounts itself.
            words = ["ceph", "--connect-timeout", "5", "tell", f"mds.{server['name']}", "client", "ls", "-f", "json"]
            done = subprocess.run(words, capture_output=True, text=True, check=False)
            if done.returncode:
                found.append((system["mdsmap"]["fs_name"], None, "", f"cannot be asked: {done.stderr.strip()}"))
                continue
            for each in json.loads(done.stdout):
                about = each["client_metadata"]
                path = f"{system['mdsmap']['fs_name']}:{about.get('root', '/')}"
                user = f"client.{about['entity_id']}" if "entity_id" in about else "unknown"
                found.append((path, each["id"], user, host_of(each["entity"]["addr"]["addr"])))
    return found
