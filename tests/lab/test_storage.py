"""A cloud that stores in Ceph: what a server writes to a volume is there whatever dies, and can be had again."""

import base64
import contextlib
import json
import re
import secrets
import time
import urllib.request

import boto3
import pytest
from api import DIRECT, Api
from botocore.config import Config
from client import Client

from lab import NAME, REGISTRY_PORT, expect, say, wait_until

HOSTS = ["control01", "control02", "control03"]
# Beyond the file system that the guest starts from. The disk's cache is dropped: what is read comes from Ceph.
READ = 'say "data $(dd if=/dev/vda bs=1M skip=64 count=32 2> /dev/null | sha256sum | cut -c -64)"'
WRITE = f"""#!/bin/sh
dd if=/dev/urandom of=/dev/vda bs=1M seek=64 count=32 conv=notrunc,fsync 2> /dev/null
echo 3 > /proc/sys/vm/drop_caches
{READ}
size=0
while :; do
    now=$(cat /sys/block/vda/size)
    [ "$now" = "$size" ] || say "disk of $((now / 2048)) MiB"
    size=$now
    sleep 1
done
"""
# Mounts a share as a user; what is there is the same for all who may.
SHARE = r"""#!/bin/sh
modprobe ceph && mkdir /share
if mount -t ceph {path} /share -o name={user},secret={key},mount_timeout=15; then
    [ -e /share/data ] || { dd if=/dev/urandom of=/share/data bs=1M count=8 conv=fsync 2> /dev/null; }
    say "share has $(sha256sum < /share/data | cut -c -64)"
    size=0
    while :; do
        now=$(df -m /share | awk 'END { print $2 }')
        [ "$now" = "$size" ] || say "share of $now MiB"
        size=$now
        sleep 1
    done
fi
say "share not mounted"
"""
# Writes 4 KiB, flushes, reads them again, and an older block, too. A line every two seconds: times are in hundredths.
LOAD = r"""#!/bin/sh
now() { read -r up _ < /proc/uptime; echo "${up%.*}${up#*.}"; }
header() { dd if=/dev/vda bs=4k skip=$((16384 + $1 % 4096)) count=1 2> /dev/null | head -n 1; }
count=0 errors=0 wrong=0 longest=0 told=0
head -c 4000 /dev/urandom > /run/rest
while :; do
    begin=$(now)
    { echo "block $count"; cat /run/rest /run/rest; } | head -c 4096 > /run/block
    dd if=/run/block of=/dev/vda bs=4k seek=$((16384 + count % 4096)) count=1 conv=notrunc,fsync 2> /dev/null ||
        errors=$((errors + 1))
    echo 3 > /proc/sys/vm/drop_caches
    for each in "$count" $((count > 2000 ? count - 2000 : 0)); do
        [ "$(header "$each")" = "block $each" ] || wrong=$((wrong + 1))
    done
    took=$(($(now) - begin)) count=$((count + 1))
    [ "$took" -le "$longest" ] || longest=$took
    if [ $(($(now) - told)) -ge 200 ]; then
        told=$(now)
        say "io: $count writes, $errors errors, $wrong wrong, longest $longest"
        longest=0
    fi
done
"""


def ceph(lab, *words, host="control01"):
    """An answer of the cluster."""
    words = ("exec", host, "ceph_mon", "--", "ceph", "--connect-timeout", "10", *words, "-f", "json")
    return json.loads(lab.kolla(*words, quiet=True))


def healthy(lab, within=300):
    def asked():
        status = ceph(lab, "status")
        states = [state["state_name"] for state in status["pgmap"].get("pgs_by_state", [])]
        return status["health"]["status"] == "HEALTH_OK" and all(each.startswith("active+clean") for each in states)

    say(f"HEALTH_OK after {wait_until('HEALTH_OK, and nothing that moves', within, asked, 1):.0f} s")


class Volumes:
    """Cinder, and servers that start from its volumes."""

    def __init__(self, lab):
        self.lab, self.api = lab, Api(lab)

    def get(self, path):
        return self.api.get("volumev3", path)

    def post(self, path, body):
        return self.api.post("volumev3", path, body)

    def until(self, kind, found, state, within=300):
        """Waits until something is in a state; how long that took."""
        path = f"/{kind}s/{found['id']}"
        states = (state, "error", "error_restoring", "error_deleting")
        took = wait_until(f"the {kind} to be {state}", within, lambda: self.get(path)[kind]["status"] in states, 1)
        seen = self.get(path)[kind]
        expect(seen["status"] == state, f"the {kind} is {seen['status']}: {seen}")
        return took

    def volume(self, name, **more):
        body = {"name": name, "size": 1, "volume_type": "rbd-1", **more}
        volume = self.post("/volumes", {"volume": body})["volume"]
        took = self.until("volume", volume, "available")
        say(f"volume {name} after {took:.0f} s")
        return volume

    def delete(self, kind, found):
        path = f"/{kind}s/{found['id']}"
        self.api.delete("volumev3", path)

        def gone():
            return found["id"] not in [each["id"] for each in self.get(f"/{kind}s")[f"{kind}s"]]

        wait_until(f"the {kind}'s end", 180, gone, 1)

    @contextlib.contextmanager
    def server(self, name, volume, script):
        """A server that starts from a volume, and runs a script."""
        disk = {"boot_index": 0, "uuid": volume["id"], "source_type": "volume", "destination_type": "volume"}
        data = base64.b64encode(script.encode()).decode()
        with self.api.another(name, imageRef="", block_device_mapping_v2=[disk], user_data=data) as server:
            yield server

    def says(self, server, pattern, within=240):
        """What the last such line of its console has."""
        found = []

        def seen():
            found[:] = re.findall(pattern, self.api.console(server))
            return found

        wait_until(f"`{pattern}` on the console", within, seen, 1)
        return found[-1]


class Load:
    """A server that writes to its volume all the time."""

    LINE = r"\[ *([\d.]+)\] guest: io: (\d+) writes, (\d+) errors, (\d+) wrong, longest (\d+)"

    def __init__(self, volumes, server):
        self.volumes, self.server = volumes, server
        self.more()

    def lines(self):
        """Time since its start, writes, errors, what was read wrongly, and the longest write, line by line."""
        found = re.findall(self.LINE, self.volumes.api.console(self.server))
        return [(float(at), *map(int, rest)) for at, *rest in found]

    def more(self, number=20):
        """Waits for as many writes as that."""
        before = self.known()[-1][1]
        wait_until("writes", 180, lambda: self.known()[-1][1] > before + number, 1)

    def known(self):
        """The lines, once they can be had."""
        found = []

        def asked():
            found[:] = self.lines()
            return found

        wait_until("what the server says of its writes", 240, asked, 1)
        return found

    @contextlib.contextmanager
    def during(self, what, longest):
        """It goes on through what is done; no write takes longer than so many seconds."""
        begin = self.known()[-1][0]
        yield
        self.more()
        lines = [line for line in self.known() if line[0] > begin]
        worst = max(line[4] for line in lines) / 100
        say(f"{what}: {lines[-1][1]} writes, {lines[-1][2]} errors, {lines[-1][3]} wrong, longest {worst:.2f} s")
        expect(lines[-1][2] == lines[-1][3] == 0, f"the server has seen errors: {lines[-1]}")
        expect(worst < longest, f"nothing could be written for {worst:.1f} s")


@pytest.fixture(scope="module")
def lab(bare):
    """A cloud with its storage, from nothing."""
    if not bare.stands:
        bare.kolla("quickstart", "--with", "storage", "--name", NAME, "--state-dir", bare.site, "--registry-port",
                   str(REGISTRY_PORT), within=5400)
        say(f"quickstart took {bare.took:.0f} s; its runs:\n{bare.kolla('history', quiet=True)}")
    # The hosts share one file system, which others may have filled.
    bare.write("config/ceph.conf", "[mon]\nmon_data_avail_warn = 3\n", kept=True)
    bare.kolla("deploy")
    return bare


@pytest.fixture(scope="module")
def volumes(lab):
    return Volumes(lab)


@pytest.fixture(scope="module")
def load(lab, volumes):
    image = volumes.api.demo()["image"]["id"]
    volume = volumes.volume("load", imageRef=image)
    with volumes.server("load", volume, LOAD) as server:
        yield Load(volumes, server)
    volumes.delete("volume", volume)


def test_deployed(lab):
    """healthy, all services of Cinder are up, and the same deploy changes nothing"""
    healthy(lab)
    end = lab.events("deploy")[-1]["summary"]
    expect((end["changed"], end["failed"]) == (0, 0), f"the same deploy again: {end}")
    text = lab.kolla("status", "--tags", "cinder,ceph,ceph-rgw", quiet=True)
    say(f"status:\n{text}")
    for name in sorted(lab.containers("control01")):
        if name.startswith(("ceph", "cinder", "etcd")):
            used = lab.engine("control01", f"/containers/{name}/stats?stream=0&one-shot=1")["memory_stats"]
            say(f"{name}: {(used['usage'] - used['stats'].get('inactive_file', 0)) >> 20} MiB")


def test_volume(lab, volumes):
    """a server's data are in a snapshot, in a backup, and in what is made of these; its disk grows while it runs"""
    image = volumes.api.demo()["image"]["id"]
    made = [("volume", volumes.volume("first", imageRef=image))]
    first = made[0][1]
    try:
        with volumes.server("first", first, WRITE) as server:
            data = volumes.says(server, r"guest: data (\w{64})")
            asked = {"volume_id": first["id"], "name": "first", "force": True}
            snapshot = volumes.post("/snapshots", {"snapshot": asked})["snapshot"]
            made.append(("snapshot", snapshot))
            volumes.until("snapshot", snapshot, "available")
            backup = volumes.post("/backups", {"backup": asked})["backup"]
            made.append(("backup", backup))
            say(f"backup after {volumes.until('backup', backup, 'available', 600):.0f} s")
            with Client(lab) as client:
                client(f"--os-volume-api-version 3.42 volume set --size 2 {first['id']}")
            volumes.says(server, "guest: disk of (2048) MiB")
        restored = volumes.post(f"/backups/{backup['id']}/restore", {"restore": {"name": "restored"}})["restore"]
        volume = {"id": restored["volume_id"]}
        made.append(("volume", volume))
        say(f"restored after {volumes.until('volume', volume, 'available', 600):.0f} s")
        of_snapshot = volumes.volume("of-snapshot", snapshot_id=snapshot["id"])
        made.append(("volume", of_snapshot))
        for name, other in ("restored", volume), ("of-snapshot", of_snapshot):
            with volumes.server(name, other, f"#!/bin/sh\n{READ}\n") as server:
                found = volumes.says(server, r"guest: data (\w{64})")
                expect(found == data, f"{name}: {found}, and {data} was written")
        say(f"the same data three times: {data}")
    finally:
        for kind, each in reversed(made):
            volumes.delete(kind, each)


def test_objects(lab, volumes):
    """objects by Swift and by S3 are those of one project, and what is written by one gateway is read by another"""
    api = volumes.api
    project = api.get("identity", "/v3/projects", name="admin")["projects"][0]["id"]
    user = api.get("identity", "/v3/users", name="admin")["users"][0]["id"]
    port = api.ends["object-store"].rsplit(":", 1)[1].split("/")[0]
    content = secrets.token_bytes(5_000_000)

    def swift(method, path, host=lab.vip, data=None):
        url = f"http://{host}:{port}/swift/v1/{path}"
        asked = urllib.request.Request(url, data, {"X-Auth-Token": api.token}, method=method)
        with DIRECT.open(asked, timeout=60) as answer:
            return answer.read()

    swift("PUT", "bucket")
    swift("PUT", "bucket/object", data=content)
    for host in HOSTS:
        expect(swift("GET", "bucket/object", lab.address(host)) == content, f"{host} has another object")
    path = f"/v3/users/{user}/credentials/OS-EC2"
    keys = api.post("identity", path, {"tenant_id": project})["credential"]
    s3 = boto3.client("s3", endpoint_url=f"http://{lab.vip}:{port}", region_name="us-east-1",
                      aws_access_key_id=keys["access"], aws_secret_access_key=keys["secret"],
                      config=Config(proxies={}, s3={"addressing_style": "path"}))
    expect(s3.get_object(Bucket="bucket", Key="object")["Body"].read() == content, "S3 has another object")
    s3.put_object(Bucket="bucket", Key="other", Body=b"by S3")
    expect(swift("GET", "bucket/other") == b"by S3", "Swift has another object")
    for name in "object", "other":
        swift("DELETE", f"bucket/{name}")
    swift("DELETE", "bucket")
    api.delete("identity", f"{path}/{keys['access']}")


class Shares:
    """Manila, and servers that mount what it makes."""

    def __init__(self, volumes):
        self.volumes, self.api = volumes, volumes.api
        self.api.login()

    def get(self, path, **query):
        return self.api.get("sharev2", f"/v2{path}", **query)

    def act(self, share, **action):
        return self.api.post("sharev2", f"/v2/shares/{share['id']}/action", action)

    def until(self, share, state):
        def now():
            return self.get(f"/shares/{share['id']}")["share"]["status"]

        took = wait_until(f"the share to be {state}", 120, lambda: now() == state or "error" in now(), 1)
        expect(now() == state, f"the share is {now()}")
        return took

    def share(self, name):
        body = {"name": name, "share_proto": "CEPHFS", "size": 1}
        share = self.api.post("sharev2", "/v2/shares", {"share": body})["share"]
        say(f"share {name} after {self.until(share, 'available'):.0f} s")
        return share

    def admit(self, share, user):
        """The key of a user who may read and write."""
        self.act(share, allow_access={"access_type": "cephx", "access_to": user, "access_level": "rw"})
        rules = []

        def active():
            rules[:] = self.get("/share-access-rules", share_id=share["id"])["access_list"]
            return all(rule["state"] == "active" and rule["access_key"] for rule in rules)

        wait_until(f"access of {user}", 60, active, 1)
        return next(rule["access_key"] for rule in rules if rule["access_to"] == user)

    def path(self, share):
        return self.get(f"/shares/{share['id']}/export_locations")["export_locations"][0]["path"]

    def server(self, name, share, user, key):
        script = SHARE.format(path=self.path(share), user=user, key=key)
        return self.api.another(name, user_data=base64.b64encode(script.encode()).decode())

    def delete(self, share):
        self.api.delete("sharev2", f"/v2/shares/{share['id']}")
        wait_until("the share's end", 120, lambda: share["id"] not in [
            each["id"] for each in self.get("/shares")["shares"]], 1)


@pytest.fixture
def routed(lab, volumes):
    """Servers reach Ceph: each host is its own next hop on the way to its address for storage."""
    api = volumes.api
    router = api.get("network", "/v2.0/routers", name="demo-router")["routers"][0]["id"]
    hops = [{"destination": f"{lab.address(host)}/32", "nexthop": lab.outside(host)} for host in HOSTS]
    api.put("network", f"/v2.0/routers/{router}", {"router": {"routes": hops}})
    yield
    api.put("network", f"/v2.0/routers/{router}", {"router": {"routes": []}})


def test_shares(lab, volumes, routed):
    """servers share files of a share, whose size grows under them; who is not let in sees none; status names them"""
    lab.option("shares", enable_manila=True, enable_manila_backend_cephfs_native=True)
    lab.kolla("deploy")
    healthy(lab)
    end = lab.events("deploy")[-1]["summary"]
    expect((end["changed"], end["failed"]) == (0, 0), f"the same deploy again: {end}")
    shares = Shares(volumes)
    first, other = shares.share("first"), shares.share("other")
    alice, bob = shares.admit(first, "alice"), shares.admit(other, "bob")
    says = volumes.says
    with shares.server("alice", first, "alice", alice) as server:
        data = says(server, r"guest: share has (\w{64})")
        says(server, "guest: share of (1024) MiB")
        with shares.server("again", first, "alice", alice) as another:
            expect(says(another, r"guest: share has (\w{64})") == data, "it has other data")
        with shares.server("bob", first, "bob", bob) as another:
            says(another, "guest: share (not mounted)")
        with shares.server("bob", other, "bob", bob) as another:
            expect(says(another, r"guest: share has (\w{64})") != data, "it is the same share")
        shares.act(first, extend={"new_size": 2})
        shares.until(first, "available")
        says(server, "guest: share of (2048) MiB")
        text = lab.kolla("status", "--tags", "ceph", quiet=True)
        say(f"status:\n{text}")
        expect("mount" in text and "client.alice" in text, "the mount is not among the clients")
    for share in first, other:
        shares.delete(share)


def test_external(lab, volumes):
    """the same Ceph as that of somebody else, by files in config/; what is missing is told before anything changes"""
    def ask(*words):
        return lab.kolla("exec", "control01", "ceph_mon", "--", "ceph", *words, quiet=True)

    conf = ask("config", "generate-minimal-conf")
    users = {"glance": ["glance"], "nova": ["cinder"], "cinder/cinder-volume": ["cinder"],
             "cinder/cinder-backup": ["cinder", "cinder-backup"]}
    keyrings = [(folder, user) for folder, names in users.items() for user in names]
    lab.option("external", enable_ceph=False, enable_ceph_rgw=False)
    for folder in users:
        lab.write(f"config/{folder}/ceph.conf", conf)
    text = lab.kolla("deploy", code=2)
    expect("service nova-libvirt needs a file" in text and "*.keyring, and there is none" in text, f"it says:\n{text}")
    for folder, user in keyrings:
        lab.write(f"config/{folder}/ceph.client.{user}.keyring", ask("auth", "get", f"client.{user}"))
    lab.kolla("deploy")
    image = volumes.api.demo()["image"]["id"]
    volume = volumes.volume("external", imageRef=image)
    with volumes.server("external", volume, f"#!/bin/sh\n{READ}\n") as server:
        volumes.says(server, r"guest: data (\w{64})")
    volumes.delete("volume", volume)
    end = lab.events("deploy")[-1]["summary"]
    expect((end["changed"], end["failed"]) == (0, 0), f"the same deploy again: {end}")
    for folder in users:
        lab.write(f"config/{folder}/ceph.conf", None)
    for folder, user in keyrings:
        lab.write(f"config/{folder}/ceph.client.{user}.keyring", None)
    lab.option("external")
    lab.kolla("deploy")


def test_osd_killed(lab, load):
    """an OSD dies under a server that writes"""
    with load.during("an OSD killed", 30):
        lab.crash("control02", "ceph_osd_disk1")
        load.more(50)
    healthy(lab)


def test_monitor_killed(lab, load):
    """the leader of the monitors dies under a server that writes"""
    leader = ceph(lab, "quorum_status")["quorum_leader_name"]
    with load.during(f"the leader of the monitors killed on {leader}", 30):
        lab.crash(leader, "ceph_mon")
        load.more(50)
    healthy(lab)


def test_option(lab, load):
    """a changed option replaces one OSD after the other under a server that writes"""
    lab.option("memory", ceph_osd_memory_target=1000000000)
    with load.during("six OSDs replaced", 30):
        changed = lab.changed("deploy")
    replaced = sorted((host, subject) for host, subject in changed if subject.startswith("container "))
    wanted = [(host, f"container ceph_osd_disk{disk}") for host in HOSTS for disk in (1, 2)]
    expect(replaced == wanted, f"replaced: {replaced}")
    lab.option("memory")
    lab.kolla("deploy")
    healthy(lab)


def test_stop(lab, load):
    """Ceph is not stopped under a server, which is named; neither are two hosts of which data need one"""
    volume = load.volumes.api.server(load.server)["os-extended-volumes:volumes_attached"][0]["id"]
    text = lab.kolla("stop", "--tags", "ceph", "--cascade", code=2)
    say(text)
    expect(f"volume-{volume}" in text, "it does not name the volume")
    text = lab.kolla("stop", "--tags", "ceph", "--cascade", "--limit", "control01,control02", code=2)
    say(text)
    load.more()


def test_power(lab, load):
    """a controller loses its power under a server that writes, and comes back"""
    with load.during("control03 without power", 60):
        lab.power_off("control03")
        load.more(50)
        say(lab.kolla("status", "--tags", "ceph", "--limit", "control01,control02", code=None, quiet=True))
    begin = time.monotonic()
    with load.during("control03 comes back", 30):
        lab.power_on("control03")
        healthy(lab)
    say(f"all is well {time.monotonic() - begin:.0f} s after its power")
    wait_until("every service", 300, lab.healthy, every=2)
