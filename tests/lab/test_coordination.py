"""Ensembles that need no database: ZooKeeper alone in its three forms, and etcd, under clients that write."""

import base64
import json
import re
import socket
import threading
import time
import urllib.error
import urllib.request

import pytest
from kazoo.client import KazooClient
from kazoo.exceptions import KazooException, NodeExistsError

from lab import NOTHING_ELSE, REGISTRY_PORT, expect, say, wait_until

DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
HOSTS = ["control01", "control02", "control03"]


def srvr(address, port=2181):
    """What a server of ZooKeeper says of itself: its mode; none where it serves nobody."""
    try:
        with socket.create_connection((address, port), 2) as connection:
            connection.sendall(b"srvr")
            answer = b"".join(iter(lambda: connection.recv(4096), b"")).decode()
    except OSError:
        return None
    found = re.search(r"^Mode: (\w+)$", answer, re.MULTILINE)
    return found and found.group(1)


def modes(lab):
    return {host: srvr(lab.address(host)) for host in HOSTS}


def zookeeper_leader(lab):
    return next((host for host, mode in modes(lab).items() if mode == "leader"), None)


class Writer:
    """Writes one key after the other until it is told to end; what was acknowledged, the longest time without that."""

    def __init__(self):
        self.written, self.failed, self.times = [], 0, [time.monotonic()]
        self.ends = threading.Event()
        self.thread = threading.Thread(target=self.work)

    def __enter__(self):
        self.connect()
        self.thread.start()
        wait_until("the first writes", 30, lambda: len(self.written) > 20)
        return self

    def __exit__(self, *_):
        self.ends.set()
        self.thread.join()
        self.close()

    def work(self):
        number = 0
        while not self.ends.is_set():
            number += 1
            if self.write(number):
                self.written.append(number)
                self.times.append(time.monotonic())
            else:
                self.failed += 1
            time.sleep(0.02)

    def gap(self):
        return max(after - before for before, after in zip(self.times, self.times[1:], strict=False))

    def judge(self, what, longest):
        lost = sorted(set(self.written) - self.stored())
        say(f"{what}: {len(self.written)} writes, {self.failed} refused, {len(lost)} lost, "
            f"longest gap {self.gap():.2f} s")
        expect(not lost, f"writes were lost: {lost[:10]}")
        expect(self.gap() < longest, f"nothing could be written for {self.gap():.1f} s")

    def connect(self):
        """Nothing has to be there before the first write."""

    def close(self):
        """Nothing is left open after the last one."""


class ZooKeeper(Writer):
    def __init__(self, addresses):
        super().__init__()
        # As often as a service would that waits for it.
        retry = {"max_tries": -1, "delay": 0.05, "backoff": 1, "max_delay": 0.2}
        self.client = KazooClient(hosts=",".join(addresses), timeout=6, connection_retry=retry, command_retry=retry)

    def connect(self):
        self.client.start(timeout=30)
        self.client.delete("/written", recursive=True)
        self.client.ensure_path("/written")

    def write(self, number):
        try:
            self.client.retry(self.client.create, f"/written/{number}", b"")
        except NodeExistsError:
            # The answer to an earlier try was lost.
            return True
        except KazooException:
            return False
        return True

    def stored(self):
        self.client.sync("/written")
        return {int(name) for name in self.client.get_children("/written")}

    def close(self):
        self.kept = self.stored()
        self.stored = lambda: self.kept
        self.client.stop()
        self.client.close()


class Etcd(Writer):
    """By the JSON gateway, at whichever member answers."""

    def __init__(self, lab):
        super().__init__()
        self.urls = [f"http://{lab.address(host)}:2379" for host in HOSTS]

    def ask(self, path, body):
        for url in list(self.urls):
            request = urllib.request.Request(url + path, json.dumps(body).encode(), method="POST")
            try:
                with DIRECT.open(request, timeout=3) as answer:
                    return json.load(answer)
            except (OSError, ValueError):
                # The next one is asked first from now on.
                self.urls.append(self.urls.pop(0))
        return None

    def connect(self):
        expect(self.ask("/v3/kv/deleterange", self.range()) is not None, "no member of etcd answers")

    @staticmethod
    def range():
        return {"key": base64.b64encode(b"written/").decode(), "range_end": base64.b64encode(b"written0").decode()}

    def write(self, number):
        key = base64.b64encode(f"written/{number}".encode()).decode()
        return self.ask("/v3/kv/put", {"key": key, "value": ""}) is not None

    def stored(self):
        answer = self.ask("/v3/kv/range", {**self.range(), "keys_only": True})
        keys = (base64.b64decode(each["key"]).decode() for each in answer.get("kvs", []))
        return {int(key.removeprefix("written/")) for key in keys}


def all_zookeepers(lab):
    return ZooKeeper([f"{lab.address(host)}:2181" for host in HOSTS])


def finished(events, subject):
    """The hosts on which something was done, in this order."""
    return [event["host"] for event in events if event.get("event") == "finished" and event["subject"] == subject
            and event["outcome"] not in ("same", "skipped")]


def converged(lab):
    """The same deploy changes nothing, and status finds all well."""
    end = lab.events("deploy")[-1]["summary"]
    expect((end["changed"], end["failed"]) == (0, 0), f"the same deploy again: {end}")
    lab.kolla("check", quiet=True)
    return lab.kolla("status", quiet=True)


@pytest.fixture(scope="module")
def lab(bare):
    """A site of ZooKeeper alone: from bare hosts to three members."""
    if not bare.stands:
        bare.kolla("registry", "up", "--port", str(REGISTRY_PORT))
        images = "cron", "zookeeper", "etcd"
        bare.kolla("build", "--push", "--registry", f"127.0.0.1:{REGISTRY_PORT}", *images, within=1500)
        bare.lab("up", "--hosts", "3", "--computes", "1", "--infra-only")
    bare.option("alone", kept=True, **NOTHING_ELSE, enable_zookeeper=True)
    bare.kolla("bootstrap-servers")
    bare.kolla("prechecks")
    bare.kolla("deploy")
    return bare


def test_alone(lab):
    """a site of ZooKeeper alone, without a database: three members, one of which leads"""
    expect(set(lab.containers("control01")) == {"cron", "zookeeper"}, f"containers: {lab.containers('control01')}")
    expect(sorted(modes(lab).values()) == ["follower", "follower", "leader"], f"modes: {modes(lab)}")
    text = converged(lab)
    expect(len(re.findall(r"Mode: (?:leader|follower)", text)) == 2, f"status does not tell the modes:\n{text}")



def test_leader_killed(lab):
    """the leader of ZooKeeper dies while a client writes: another one leads, nothing is lost"""
    leader = zookeeper_leader(lab)
    with all_zookeepers(lab) as writer:
        lab.crash(leader, "zookeeper")
        others = [lab.address(host) for host in HOSTS if host != leader]
        took = wait_until("another leader", 30, lambda: any(srvr(other) == "leader" for other in others), 0.05)
        wait_until("writes after that", 30, lambda: writer.times[-1] > time.monotonic() - 0.5)
        wait_until("all three", 60, lambda: None not in modes(lab).values())
        time_of_all = len(writer.written)
        wait_until("more writes", 30, lambda: len(writer.written) > time_of_all + 50)
    say(f"another one of ZooKeeper led after {took:.2f} s")
    writer.judge("leader killed", 10)
    converged(lab)


def test_leader_last(lab):
    """a changed option replaces one member after the other, the leader last, while a client writes"""
    leader = zookeeper_leader(lab)
    lab.option("tick", zookeeper_tick_time=1900)
    with all_zookeepers(lab) as writer:
        order = finished(lab.events("deploy"), "container zookeeper")
    expect(order and order[-1] == leader and sorted(order) == HOSTS, f"{leader} led, replaced were {order}")
    writer.judge("members replaced", 10)
    lab.option("tick")
    lab.kolla("deploy")
    converged(lab)


def test_numbers_stay(lab):
    """where a host leaves, the numbers of the others are not counted anew"""
    def file(host, name):
        return lab.kolla("config", host, "zookeeper", name, quiet=True)

    expect([file(host, "myid").strip()[-1] for host in HOSTS] == ["1", "2", "3"], "they are not 1, 2 and 3")
    try:
        # The first of the group: who counts would call the second one `1` now.
        lab.with_group("zookeeper", HOSTS[1:])
        expect(file("control02", "myid").strip()[-1] == "2", f"control02: {file('control02', 'myid')}")
        members = re.findall(r"server\.(\d)=", file("control03", "zoo.cfg"))
        expect(members == ["2", "3"], f"control03 knows {members}")
    finally:
        lab.with_group("zookeeper", HOSTS)
    converged(lab)


def test_member_replaced(lab):
    """a member whose data are lost is made anew, with its number, and takes all data from the others"""
    leader = zookeeper_leader(lab)
    victim = next(host for host in HOSTS if host != leader)
    with all_zookeepers(lab) as writer:
        lab.kolla("stop", "--tags", "zookeeper", "--limit", victim, "--yes-i-really-really-mean-it")
        lab.engine(victim, "/containers/zookeeper?force=1", method="DELETE")
        lab.engine(victim, "/volumes/zookeeper", method="DELETE")
        lab.kolla("deploy")
        wait_until("the new member", 60, lambda: srvr(lab.address(victim)) == "follower")
    writer.judge("a member made anew", 10)
    alone = KazooClient(hosts=f"{lab.address(victim)}:2181")
    alone.start(timeout=30)
    alone.sync("/written")
    found = len(alone.get_children("/written"))
    alone.stop()
    expect(found == len(writer.kept), f"{victim} has {found} of {len(writer.kept)} nodes")
    converged(lab)


def servers(lab, host):
    """The addresses of the servers that are in the ensemble, as one of them knows it."""
    with socket.create_connection((lab.address(host), 2181), 2) as connection:
        connection.sendall(b"conf")
        answer = b"".join(iter(lambda: connection.recv(4096), b"")).decode()
    return set(re.findall(r"^server\.\d+=([0-9.]+):", answer, re.MULTILINE))


def test_host_replaced(lab):
    """a host of ZooKeeper is gone for good: another one takes its place, then the list gets shorter, then it is back"""
    with open(f"{lab.site}/inventory", encoding="utf-8") as file:
        before = file.read()
    gone = next(host for host in HOSTS if host != zookeeper_leader(lab))
    others, spare = [host for host in HOSTS if host != gone], "compute01"
    try:
        with ZooKeeper([f"{lab.address(host)}:2181" for host in others]) as writer:
            lab.power_off(gone)
            with open(f"{lab.site}/inventory", "w", encoding="utf-8") as file:
                file.write(re.sub(rf"^{gone}\b.*\n", "", before, flags=re.MULTILINE))
            lab.with_group("zookeeper", [*others, spare])
            lab.kolla("deploy")
            wait_until("the new member", 60, lambda: srvr(lab.address(spare)) == "follower")
        writer.judge("a dead host replaced by another one", 10)
        everybody = {lab.address(host) for host in [*others, spare]}
        expect(all(servers(lab, host) == everybody for host in [*others, spare]), f"{servers(lab, spare)}")
        converged(lab)
        with ZooKeeper([f"{lab.address(host)}:2181" for host in others]) as writer:
            lab.with_group("zookeeper", others)
            lab.kolla("deploy", "--prune")
            expect("zookeeper" not in lab.containers(spare), "the spare one is still there")
        writer.judge("a shorter list", 10)
        expect(servers(lab, others[0]) == everybody - {lab.address(spare)}, f"{servers(lab, others[0])}")
        converged(lab)
    finally:
        lab.power_on(gone)
        with open(f"{lab.site}/inventory", "w", encoding="utf-8") as file:
            file.write(before)
        lab.with_group("zookeeper", HOSTS)
    with all_zookeepers(lab) as writer:
        lab.kolla("deploy")
        wait_until("all three", 60, lambda: None not in modes(lab).values())
    writer.judge("the old one is back", 10)
    converged(lab)


def etcd_states(lab):
    """Each member's word: leader or follower, and of how many; none where it does not answer."""
    found = {}
    for host in HOSTS:
        url = f"http://{lab.address(host)}:2379/v3/maintenance/status"
        try:
            with DIRECT.open(urllib.request.Request(url, b"{}", method="POST"), timeout=3) as answer:
                status = json.load(answer)
            found[host] = "leader" if status["leader"] == status["header"]["member_id"] else "follower"
        except (OSError, ValueError, KeyError):
            found[host] = None
    return found


def etcd_leader(lab):
    return next((host for host, state in etcd_states(lab).items() if state == "leader"), None)


@pytest.fixture(scope="module")
def etcd(lab):
    """Three members of etcd beside ZooKeeper."""
    lab.option("etcd", kept=True, enable_etcd=True)
    lab.kolla("deploy")
    yield
    lab.option("etcd")


@pytest.mark.usefixtures("etcd")
def test_etcd(lab):
    """three members of etcd beside ZooKeeper, one of which leads"""
    expect(sorted(etcd_states(lab).values()) == ["follower", "follower", "leader"], f"states: {etcd_states(lab)}")
    text = converged(lab)
    expect("leader of 3 members" in text, f"status does not tell the leader:\n{text}")


@pytest.mark.usefixtures("etcd")
def test_etcd_leader_hangs(lab):
    """the leader of etcd hangs, then dies, while a client writes: another one leads, nothing is lost"""
    leader = etcd_leader(lab)

    def another():
        return any(state == "leader" for host, state in etcd_states(lab).items() if host != leader)

    with Etcd(lab) as writer:
        lab.engine(leader, "/containers/etcd/pause", method="POST")
        took = wait_until("another leader", 30, another, 0.05)
        lab.engine(leader, "/containers/etcd/unpause", method="POST")
        lab.crash(leader, "etcd")
        wait_until("all three", 60, lambda: None not in etcd_states(lab).values())
        count = len(writer.written)
        wait_until("more writes", 30, lambda: len(writer.written) > count + 50)
    say(f"another one of etcd led after {took:.2f} s")
    writer.judge("leader of etcd hung and died", 10)
    converged(lab)


@pytest.mark.usefixtures("etcd")
def test_etcd_actions(lab):
    """kolla do lists what etcd can do, and does it: another member leads, all are defragmented"""
    text = lab.kolla("do", "etcd")
    expect("defragment" in text and "move-leader --to HOST" in text, f"the list:\n{text}")
    chosen = next(host for host, state in etcd_states(lab).items() if state == "follower")
    lab.kolla("do", "etcd", "move-leader", "--to", chosen, "--check")
    expect(etcd_leader(lab) != chosen, "--check did it")
    lab.kolla("do", "etcd", "move-leader", "--to", chosen)
    expect(etcd_leader(lab) == chosen, f"{etcd_leader(lab)} leads, not {chosen}")
    with Etcd(lab) as writer:
        events = lab.events("do", "etcd", "defragment")
    done = finished(events, "action defragment in etcd")
    expect(sorted(done) == HOSTS, f"done on {done}")
    writer.judge("defragmented", 10)
    lab.kolla("do", "etcd", "move-leader", code=2)
    lab.kolla("do", "etcd", "defrag", code=2)
    text = lab.kolla("history", quiet=True)
    expect("do etcd defragment" in text, f"it is not in the history:\n{text}")


@pytest.mark.usefixtures("etcd")
def test_etcd_leader_last(lab):
    """a changed option replaces one member of etcd after the other, the leader last, while a client writes"""
    leader = etcd_leader(lab)
    lab.option("level", etcd_log_level="info")
    with Etcd(lab) as writer:
        order = finished(lab.events("deploy"), "container etcd")
    expect(order and order[-1] == leader and sorted(order) == HOSTS, f"{leader} led, replaced were {order}")
    writer.judge("members of etcd replaced", 10)
    lab.option("level")
    lab.kolla("deploy")
    converged(lab)


@pytest.mark.usefixtures("etcd")
def test_etcd_member_replaced(lab):
    """a member of etcd whose data are lost joins as a learner, and is counted once it has all data"""
    leader = etcd_leader(lab)
    victim = next(host for host in HOSTS if host != leader)
    with Etcd(lab) as writer:
        lab.kolla("stop", "--tags", "etcd", "--limit", victim, "--yes-i-really-really-mean-it")
        lab.engine(victim, "/containers/etcd?force=1", method="DELETE")
        lab.engine(victim, "/volumes/kolla_etcd", method="DELETE")
        lab.kolla("deploy")
    writer.judge("a member of etcd made anew", 10)
    wait_until("three counted members", 60, lambda: "3 members" in lab.kolla("status", code=None, quiet=True))
    converged(lab)


def test_pseudo_distributed(lab):
    """three servers on one host: ports, folders and numbers of their own; the leader of them dies"""
    lab.kolla("destroy", "--yes-i-really-really-mean-it")
    lab.option("etcd")
    lab.option("alone", kept=True, **NOTHING_ELSE, enable_zookeeper=True, zookeeper_instances=3)
    lab.with_group("zookeeper", ["control01"])
    lab.kolla("deploy")
    address = lab.address("control01")
    ports = [2181, 2182, 2183]

    def each():
        return {port: srvr(address, port) for port in ports}

    def leads(*ports):
        return any(srvr(address, port) == "leader" for port in ports)

    expect(sorted(each().values()) == ["follower", "follower", "leader"], f"modes: {each()}")
    names = {name for name in lab.containers("control01") if name.startswith("zookeeper")}
    expect(names == {"zookeeper_1", "zookeeper_2", "zookeeper_3"}, f"containers: {names}")
    converged(lab)
    leader = next(port for port, mode in each().items() if mode == "leader")
    with ZooKeeper([f"{address}:{port}" for port in ports]) as writer:
        lab.crash("control01", f"zookeeper_{leader - 2180}")
        wait_until("another leader", 30, lambda: leads(*(port for port in ports if port != leader)), 0.05)
        wait_until("all three", 60, lambda: None not in each().values())
        count = len(writer.written)
        wait_until("more writes", 30, lambda: len(writer.written) > count + 50)
    writer.judge("leader of three on one host killed", 10)


def test_standalone(lab):
    """one server, on one host; what it kept stays when it is replaced"""
    lab.kolla("destroy", "--yes-i-really-really-mean-it")
    lab.with_group("zookeeper", ["control01"])
    lab.option("alone", kept=True, **NOTHING_ELSE, enable_zookeeper=True)
    lab.kolla("deploy")
    address = lab.address("control01")
    expect(srvr(address) == "standalone", f"mode: {srvr(address)}")
    with ZooKeeper([f"{address}:2181"]) as writer:
        lab.option("tick", zookeeper_tick_time=1900)
        lab.kolla("deploy")
        wait_until("it serves", 30, lambda: srvr(address) == "standalone")
    writer.judge("the only one replaced", 20)
    lab.option("tick")
    lab.kolla("deploy")
    converged(lab)


def test_standalone_grows(lab):
    """a standalone server becomes an ensemble with all that it has; servers without data can never agree without it"""
    lab.with_group("zookeeper", ["control01"])
    lab.kolla("deploy", "--prune")
    with ZooKeeper([f"{lab.address('control01')}:2181"]) as writer:
        lab.with_group("zookeeper", HOSTS)
        text = lab.kolla("deploy", code=1)
        expect("joins an ensemble by its next start" in text, f"it does not say why:\n{text}")
        expect(srvr(lab.address("control02")) is None, "a server without data was started")
        # Of two servers both are needed, so the one with the data counts.
        lab.with_group("zookeeper", HOSTS[:2])
        lab.kolla("stop", "--tags", "zookeeper")
        lab.kolla("deploy")
        lab.with_group("zookeeper", HOSTS)
        lab.kolla("deploy")
        wait_until("three members", 30, lambda: len(servers(lab, "control01")) == 3)
    writer.judge("from one to three", 60)
    converged(lab)
