"""Ceph alone: three monitors, two managers and six OSDs on three hosts, under a client that compares what it reads."""

import json
import os
import subprocess
import time

import pytest

from lab import NOTHING_ELSE, REGISTRY_PORT, expect, say, wait_until

HOSTS = ["control01", "control02", "control03"]
DISKS = [{"name": "a", "file": "10G"}, {"name": "b", "file": "10G"}]
POOLS = [
    {"name": "volumes", "application": "rbd"},
    {"name": "scratch", "application": "rbd", "size": 2, "min_size": 1, "autoscale": "warn"},
]
MEANT = "--yes-i-really-really-mean-it"
# At how many moments the program is killed, in each of two tests.
KILLS = int(os.environ.get("KOLLA_TEST_KILLS", "4"))
# Holds an image open, as a server of a cloud does, until a file says that it is enough.
HOLDER = """
import os, rados, rbd, time
cluster = rados.Rados(conffile="/etc/ceph/ceph.conf", name="client.admin")
cluster.connect()
with cluster.open_ioctx("scratch") as pool, rbd.Image(pool, "volume-0a") as image:
    image.write(b"x" * 4096, 0)
    while not os.path.exists("/tmp/closed"):
        time.sleep(0.1)
"""
# In a monitor's container, until a file says that it is enough: writes objects, reads each, and in the end all of them.
WRITER = """
import hashlib, json, os, rados, time
cluster = rados.Rados(conffile="/etc/ceph/ceph.conf", name="client.admin")
cluster.connect(timeout=30)
pool = cluster.open_ioctx("volumes")
content = lambda number: hashlib.sha512(str(number).encode()).digest() * 64
count, gap, fewest, wrong, asked = 0, 0, 99, 0, 0
while not os.path.exists("/tmp/enough"):
    begin = time.monotonic()
    pool.write_full(f"object-{count}", content(count))
    wrong += pool.read(f"object-{count}", 8192) != content(count)
    gap = max(gap, time.monotonic() - begin)
    count += 1
    open("/tmp/count", "w").write(str(count))
    if time.monotonic() > asked + 0.5:
        _, answer, _ = cluster.mon_command(json.dumps({"prefix": "osd stat", "format": "json"}), b"")
        fewest, asked = min(fewest, json.loads(answer)["num_up_osds"]), time.monotonic()
lost = [number for number in range(count) if pool.read(f"object-{number}", 8192) != content(number)]
print(json.dumps({"count": count, "gap": gap, "fewest": fewest, "wrong": wrong, "lost": len(lost)}))
"""


def exec_in(lab, host, container, *words):
    return lab.kolla("exec", host, container, "--", *words, quiet=True)


def ceph(lab, *words, host="control01"):
    """An answer of the cluster."""
    return json.loads(exec_in(lab, host, "ceph_mon", "ceph", "--connect-timeout", "10", *words, "-f", "json"))


def healthy(lab, within=300):
    def asked():
        status = ceph(lab, "status")
        # While data move, it is healthy now and then.
        states = [state["state_name"] for state in status["pgmap"].get("pgs_by_state", [])]
        return status["health"]["status"] == "HEALTH_OK" and all(each.startswith("active+clean") for each in states)

    took = wait_until("HEALTH_OK, and nothing that moves", within, asked, 1)
    say(f"HEALTH_OK after {took:.0f} s")


def view(lab, name):
    """What operators are shown: rows by their first column, or, of clients, by what they use."""
    begin = time.monotonic()
    rows = json.loads(exec_in(lab, "control01", "ceph_mon", "ceph-views", name))
    took = time.monotonic() - begin
    expect(took < 4, f"the view `{name}` took {took:.1f} s, with the program's own start")
    expect(len({tuple(row) for row in rows}) <= 1, f"rows of `{name}` have different columns: {rows}")
    return {row["what"] if name == "clients" else next(iter(row.values())): row for row in rows}


def done(lab, *words):
    lab.kolla("do", "ceph", *words)


def refused(lab, why, *words):
    """An action says why it is not done."""
    text = lab.kolla("do", "ceph", *words, code=1)
    expect(why in text, f"`{' '.join(words)}` does not say `{why}`:\n{text}")


def converged(lab):
    """The same deploy changes nothing, and status finds all well."""
    end = lab.events("deploy")[-1]["summary"]
    expect((end["changed"], end["failed"]) == (0, 0), f"the same deploy again: {end}")
    return lab.kolla("status", quiet=True)


class Writer:
    """A client on one host, which nothing happens to."""

    def __init__(self, lab, host):
        self.lab, self.host = lab, host

    def count(self):
        return int(exec_in(self.lab, self.host, "ceph_mon", "sh", "-c", "cat /tmp/count 2>/dev/null || echo 0"))

    def __enter__(self):
        exec_in(self.lab, self.host, "ceph_mon", "rm", "-f", "/tmp/enough", "/tmp/count")
        words = self.lab.command("exec", self.host, "ceph_mon", "--", "python3", "-c", WRITER)
        self.process = subprocess.Popen(words, env=self.lab.environment, stdout=subprocess.PIPE, text=True)
        self.more(20)
        return self

    def more(self, number=50):
        """Waits for as many writes as that."""
        enough = self.count() + number
        wait_until("writes", 120, lambda: self.count() > enough)

    def __exit__(self, *_):
        exec_in(self.lab, self.host, "ceph_mon", "touch", "/tmp/enough")
        self.found = json.loads(self.process.communicate(timeout=300)[0])

    def judge(self, what, longest, fewest):
        found = self.found
        say(f"{what}: {found['count']} writes, {found['wrong']} read wrongly, {found['lost']} lost, "
            f"longest {found['gap']:.2f} s, at least {found['fewest']} OSDs up")
        expect(found["wrong"] == found["lost"] == 0, f"data were lost: {found}")
        expect(found["gap"] < longest, f"nothing could be written for {found['gap']:.1f} s")
        expect(found["fewest"] >= fewest, f"only {found['fewest']} OSDs were up")


@pytest.fixture(scope="module")
def lab(bare):
    """A site of Ceph alone, from bare hosts."""
    if not bare.stands:
        bare.kolla("registry", "up", "--port", str(REGISTRY_PORT))
        bare.kolla("build", "--push", "--registry", f"127.0.0.1:{REGISTRY_PORT}", "cron", "ceph", within=1500)
        bare.lab("up", "--hosts", "3", "--infra-only")
    bare.with_group("ceph-mgr", HOSTS[:2])
    # The least that Ceph takes, because all OSDs share one machine.
    bare.option("alone", kept=True, **NOTHING_ELSE, enable_ceph=True, ceph_osd_devices=DISKS, ceph_pools=POOLS,
                ceph_osd_memory_target=939524096)
    # The hosts share one file system, which others may have filled.
    bare.write("config/ceph.conf", "[mon]\nmon_data_avail_warn = 3\n", kept=True)
    bare.kolla("bootstrap-servers")
    bare.kolla("prechecks")
    bare.kolla("deploy")
    return bare


def test_deployed(lab):
    """from nothing: healthy, the pools as they are said, and the same deploy changes nothing"""
    healthy(lab)
    names = {"cron", "ceph_mon", "ceph_mgr", "ceph_osd_a", "ceph_osd_b"}
    expect(set(lab.containers("control01")) == names, f"containers: {lab.containers('control01')}")
    expect(set(lab.containers("control03")) == names - {"ceph_mgr"}, f"containers: {lab.containers('control03')}")
    pools = {pool["pool_name"]: pool for pool in ceph(lab, "osd", "pool", "ls", "detail")}
    found = {name: (pools[name]["size"], pools[name]["min_size"], pools[name]["pg_autoscale_mode"],
                    list(pools[name]["application_metadata"])) for name in ("volumes", "scratch")}
    expect(found == {"volumes": (3, 2, "on", ["rbd"]), "scratch": (2, 1, "warn", ["rbd"])}, f"pools: {found}")
    # No container has more than the engine gives to any.
    for name in names - {"cron"}:
        config = lab.engine("control01", f"/containers/{name}/json")["HostConfig"]
        expect(not config["Privileged"] and not config["CapAdd"] and not config["Devices"], f"{name}: {config}")
    text = converged(lab)
    expect("HEALTH_OK" in text and "standby" in text, f"status:\n{text}")


def test_osd_killed(lab):
    """an OSD dies while a client writes: all that was acknowledged is there, and all is well again by itself"""
    with Writer(lab, "control01") as writer:
        lab.crash("control02", "ceph_osd_a")
        writer.more(100)
        healthy(lab)
    writer.judge("an OSD killed", 30, 5)
    converged(lab)


def test_monitor_killed(lab):
    """the leader of the monitors dies while a client writes"""
    leader = ceph(lab, "quorum_status")["quorum_leader_name"]
    with Writer(lab, next(host for host in HOSTS if host != leader)) as writer:
        lab.crash(leader, "ceph_mon")
        writer.more(100)
        wait_until("all three monitors", 60, lambda: len(ceph(lab, "quorum_status", host=writer.host)["quorum"]) == 3)
    writer.judge(f"the leader of the monitors killed on {leader}", 30, 6)
    healthy(lab)
    converged(lab)


def test_block_device(lab):
    """a block device of the cluster is made, written through librbd, and what it exports is what was written"""
    script = """
        set -e
        head -c 8M /dev/urandom > /tmp/written
        rbd import /tmp/written volumes/disk
        rbd snap create volumes/disk@before
        rbd bench --io-type write --io-size 4K --io-total 4M volumes/disk > /dev/null
        rbd export volumes/disk@before /tmp/read
        cmp /tmp/written /tmp/read
        rbd snap purge volumes/disk && rbd rm volumes/disk && rm /tmp/written /tmp/read
    """
    exec_in(lab, "control03", "ceph_mon", "bash", "-c", script)


def test_option(lab):
    """a changed option of OSDs replaces one after the other, and nothing else, while a client writes"""
    lab.option("memory", ceph_osd_memory_target=1000000000)
    with Writer(lab, "control01") as writer:
        changed = lab.changed("deploy")
    replaced = sorted((host, subject) for host, subject in changed if subject.startswith("container "))
    wanted = [(host, f"container ceph_osd_{name}") for host in HOSTS for name in "ab"]
    expect(replaced == wanted, f"replaced: {replaced}")
    writer.judge("six OSDs replaced", 30, 5)
    lab.option("memory")
    lab.kolla("deploy")
    healthy(lab)
    converged(lab)


def test_pools(lab):
    """a pool changes where that loses no copies; fewer copies are refused"""
    lab.option("pools", ceph_pools=[POOLS[0], {**POOLS[1], "size": 3, "min_size": 2}])
    expect(list(lab.changed("deploy")) == [("control01", "exec ceph_mon pools")], "it is not the pools that changed")
    expect(ceph(lab, "osd", "pool", "get", "scratch", "size")["size"] == 3, "the size is as before")
    lab.option("pools")
    text = lab.kolla("deploy", code=1)
    expect("pool `scratch` has size 3, and 2 is less redundancy" in text, f"it does not say why:\n{text}")
    done(lab, "pool-resize", "pool=scratch", "size=2", MEANT)
    lab.kolla("deploy")
    healthy(lab)
    converged(lab)


def test_pool_removed(lab):
    """a pool is removed when nobody wants it any more, and neither while an image in it is open"""
    inside = ("control02", "ceph_mon")
    refused(lab, "pool `scratch`: the site wants it", "pool-remove", "pool=scratch", MEANT)
    # Without quotes, as people write it: YAML reads a truth value.
    lab.write("globals.d/pools.yml", "ceph_pools: [{ name: volumes, application: rbd, autoscale: off }]\n")
    lab.kolla("deploy")
    expect(ceph(lab, "osd", "pool", "get", "volumes", "pg_autoscale_mode")["pg_autoscale_mode"] == "off", "it is on")
    exec_in(lab, *inside, "sh", "-c", "rm -f /tmp/closed; rbd create --size 1G scratch/volume-0a")
    words = lab.command("exec", *inside, "--", "python3", "-c", HOLDER)
    with subprocess.Popen(words, env=lab.environment):
        try:
            wait_until("the image is open", 60, lambda: "scratch/volume-0a" in view(lab, "clients"), 1)
            refused(lab, "scratch/volume-0a is open at ", "pool-remove", "pool=scratch", MEANT)
            who = ["ceph-clients", "--users", "cinder", "--hosts"]
            text = exec_in(lab, "control01", "ceph_mon", *who, ",".join(HOSTS))
            expect("scratch/volume-0a is open at " in text, f"a stop of all:\n{text}")
            text = exec_in(lab, "control01", "ceph_mon", *who, "control01,control02")
            expect("pool `volumes` would stop" in text and "no quorum" in text, f"a stop of two:\n{text}")
            text = exec_in(lab, "control01", "ceph_mon", *who, "control03")
            expect(text.strip() == "", f"a stop of one host hurts nobody:\n{text}")
        finally:
            exec_in(lab, *inside, "touch", "/tmp/closed")
    done(lab, "pool-remove", "pool=scratch", MEANT)
    expect("scratch" not in view(lab, "pools"), "the pool is still there")
    lab.option("pools")
    lab.kolla("deploy")
    expect(view(lab, "pools")["scratch"]["copies"] == "2/1", f"pools: {view(lab, 'pools')}")
    healthy(lab)
    converged(lab)


def test_maintenance(lab):
    """a host is down in maintenance, and nothing is made again elsewhere; a second one is refused"""
    refused(lab, "host nowhere: it has no disks", "maintenance-on", "host=nowhere")
    done(lab, "maintenance-on", "host=control03")
    flag = "flag noout for control03"
    expect(flag in view(lab, "operations"), f"operations: {view(lab, 'operations')}")
    lab.kolla("stop", "--tags", "ceph", "--limit", "control03", MEANT)
    refused(lab, "host control02: ", "maintenance-on", "host=control02")
    lab.kolla("deploy")
    done(lab, "maintenance-off", "host=control03")
    healthy(lab)
    expect(flag not in view(lab, "operations"), "the flag stayed")
    converged(lab)


def test_disk_replaced(lab):
    """a disk is emptied and replaced while a client writes; an empty one in its place is refused before that"""
    bench = ["rados", "-p", "volumes", "bench", "10", "write", "-b", "65536", "--no-cleanup"]
    exec_in(lab, "control01", "ceph_mon", *bench)
    disks = view(lab, "disks")
    number = next(osd for osd, row in disks.items() if (row["host"], row["disk"]) == ("control03", "b"))
    other = next(osd for osd, row in disks.items() if (row["host"], row["disk"]) == ("control03", "a"))
    done(lab, "rebalance", "power=0")
    expect(view(lab, "operations")["flag norebalance"]["power"] == 0, "the power is not shown")
    refused(lab, "the power is 0", "osd-out", f"osd={number}")
    done(lab, "rebalance", "power=11")
    refused(lab, f"osd.{number}: it is in", "osd-remove", f"osd={number}")
    with Writer(lab, "control01") as writer:
        done(lab, "osd-out", f"osd={number}")
        row = view(lab, "disks")[number]
        expect((row["state"], row["groups"]) == ("up, out", 0), f"it is done, and the disk is {row}")
        refused(lab, "each on another host", "osd-out", f"osd={other}")
        refused(lab, f"osd.{number}: it is up", "osd-remove", f"osd={number}")
        # The disk fails, and another one is in its place.
        lab.write("host_vars/control03.yml", f"ceph_osd_devices: {json.dumps(DISKS[:1])}\n")
        lab.kolla("deploy", "--prune")
        lab.engine("control03", "/volumes/ceph_osd_b", method="DELETE")
        lab.write("host_vars/control03.yml", None)
        text = lab.kolla("deploy", code=1)
        expect(f"kolla do ceph osd-remove osd={number}" in text, f"it does not say what is to be done:\n{text}")
        done(lab, "osd-remove", f"osd={number}")
        lab.kolla("deploy")
        wait_until("the new disk", 60, lambda: view(lab, "disks")[number]["state"] == "up, in")
        # Back and forth.
        done(lab, "osd-reweight", f"osd={number}", "weight=0.5")
        done(lab, "osd-out", f"osd={number}")
        done(lab, "osd-in", f"osd={number}")
        healthy(lab)
    writer.judge("a disk replaced", 30, 5)
    done(lab, "rebalance", "power=3")
    expect("osd_max_backfills" not in [each["name"] for each in ceph(lab, "config", "dump")], "limits stayed")
    done(lab, "scrub-pool", "pool=volumes")
    converged(lab)


def test_power(lab):
    """data move faster with more power, and what is left is estimated; how well is for who reads it"""
    bench = ["rados", "-p", "volumes", "bench", "40", "write", "-b", "262144", "--no-cleanup"]
    exec_in(lab, "control01", "ceph_mon", *bench)
    number = next(osd for osd, row in view(lab, "disks").items() if (row["host"], row["disk"]) == ("control01", "a"))
    took = {}
    for power in 1, 11:
        done(lab, "rebalance", f"power={power}")
        seen, begin = [], time.monotonic()
        with subprocess.Popen(lab.command("do", "ceph", "osd-out", f"osd={number}"), env=lab.environment,
                              stdout=subprocess.DEVNULL) as process:
            while process.poll() is None:
                now, rows = time.monotonic() - begin, view(lab, "operations")
                left = [row["minutes"] for row in rows.values() if isinstance(row["minutes"], float | int)]
                moved = [(row["done"], row["remaining"], row["rate"]) for row in rows.values() if row["minutes"] != "-"]
                seen += [(now, max(left) * 60, moved)] if left else []
        expect(process.returncode == 0, "the disk was not emptied")
        took[power] = time.monotonic() - begin
        for at, left, moved in seen:
            say(f"power {power}, at {at:.1f} s: {left:.0f} s left, and it took {took[power] - at:.1f} s; {moved}")
        expect(seen, "there was no estimate")
        done(lab, "osd-in", f"osd={number}")
        healthy(lab)
    say(f"power 1: {took[1]:.1f} s, power 11: {took[11]:.1f} s, {took[1] / took[11]:.1f} times as long")
    expect(took[1] > 2 * took[11], "the power makes no difference")
    done(lab, "rebalance", "power=3")


def test_monitor_replaced(lab):
    """a monitor whose data are lost joins the others again"""
    lab.kolla("stop", "--tags", "ceph", "--limit", "control03", "--yes-i-really-really-mean-it")
    lab.engine("control03", "/containers/ceph_mon?force=1", method="DELETE")
    lab.engine("control03", "/volumes/ceph_mon", method="DELETE")
    lab.kolla("deploy")
    wait_until("all three monitors", 60, lambda: len(ceph(lab, "quorum_status")["quorum"]) == 3)
    healthy(lab)
    converged(lab)


@pytest.fixture
def device(lab):
    """A disk of control03, and a function that gives a digest of all that is on it."""
    def on(script):
        return lab.on("control03", script).strip()

    # The hosts have the kernel's devices, but no udev that makes them.
    path = on("""
        truncate -s 4G /var/tmp/disk
        for try in 1 2 3; do
            number=$(losetup -f | tr -dc 0-9) path=/dev/loop$number
            test -b $path || mknod $path b 7 $number
            losetup $path /var/tmp/disk && break
        done
        echo $path
    """)
    yield path, lambda: on("sha256sum < /var/tmp/disk")
    on(f"losetup -d {path}; rm /var/tmp/disk")


def test_disks(lab, device):
    """a disk that is not empty is refused, with what is on it, and not touched; an empty one is taken, others stay"""
    path, digest = device

    def refused(what):
        before = digest()
        text = lab.kolla("deploy", code=1)
        expect(what in text, f"it does not say what is on it:\n{text}")
        expect(digest() == before, "it was touched")

    others = lab.containers("control03")["ceph_osd_a"][0]
    disks = [{"name": "disk", "device": path}, *DISKS]
    lab.write("host_vars/control03.yml", f"ceph_osd_devices: {json.dumps(disks)}\n")
    try:
        lab.on("control03", f"mkswap {path}")
        refused(f"{path} is not empty: swap")
        # As a disk that was in another place of this cluster.
        lab.on("control03", f"dd if=/var/lib/docker/volumes/ceph_osd_a/_data/disk of={path} bs=1M count=4")
        refused(f"{path} has OSD ")
        lab.on("control03", f"dd if=/dev/zero of={path} bs=1M count=4")
        lab.kolla("deploy")
        healthy(lab)
        tree = [osd for osd in ceph(lab, "osd", "tree")["nodes"] if osd["type"] == "osd" and osd["status"] == "up"]
        expect(len(tree) == 7, f"OSDs: {tree}")
        expect(lab.containers("control03")["ceph_osd_a"][0] == others, "another disk's container was replaced")
        granted = lab.engine("control03", "/containers/ceph_osd_disk/json")["HostConfig"]["Devices"]
        expect([each["PathOnHost"] for each in granted] == [path], f"devices: {granted}")
        converged(lab)
    finally:
        lab.write("host_vars/control03.yml", None)
        lab.kolla("deploy", "--prune", code=None)
    osds = [node for node in ceph(lab, "osd", "tree")["nodes"] if node["type"] == "osd"]
    number = next(osd["id"] for osd in osds if osd["status"] == "down")
    done(lab, "osd-out", f"osd={number}")
    done(lab, "osd-remove", f"osd={number}")
    healthy(lab)
    converged(lab)


def test_killed_replacement(lab):
    """kill -9 of the program at random moments of a disk's replacement: run again, it comes to its end, no data lost"""
    disks = view(lab, "disks")
    number = next(osd for osd, row in disks.items() if (row["host"], row["disk"]) == ("control02", "b"))

    def killed(longest, *words):
        """Killed at a random moment, then run again."""
        say(f"kolla {' '.join(words)}: {lab.killed(longest, *words)}")
        # A disk that was removed before that cannot be removed once more.
        lab.kolla(*words, quiet=True, code=None if "osd-remove" in words else 0)

    with Writer(lab, "control01") as writer:
        for _ in range(KILLS):
            killed(8, "do", "ceph", "osd-out", f"osd={number}")
            lab.write("host_vars/control02.yml", f"ceph_osd_devices: {json.dumps(DISKS[:1])}\n")
            killed(8, "deploy", "--prune")
            lab.engine("control02", "/volumes/ceph_osd_b", method="DELETE")
            killed(3, "do", "ceph", "osd-remove", f"osd={number}")
            lab.write("host_vars/control02.yml", None)
            killed(10, "deploy")
            disks = view(lab, "disks")
            number = next(osd for osd, row in disks.items() if (row["host"], row["disk"]) == ("control02", "b"))
            healthy(lab)
    writer.judge(f"a disk replaced {KILLS} times", 30, 5)
    converged(lab)


def test_killed_deploy(lab):
    """kill -9 of the program at random moments of a first deployment: run again, it comes to its end"""
    longest = 0
    for _ in range(KILLS + 1):
        lab.kolla("destroy", "--tags", "ceph", "--abort", MEANT)
        if longest:
            say(f"kolla deploy: {lab.killed(longest, 'deploy')}")
        lab.kolla("deploy")
        longest = longest or lab.took
        healthy(lab)
        converged(lab)
