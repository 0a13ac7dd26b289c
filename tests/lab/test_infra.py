"""The main job on real parts: from nothing to a deployed infrastructure, and all that an operator does to it.

KOLLA_TEST_KILLS says at how many moments the program is killed, in each of two tests.
"""

import itertools
import json
import os
import re
import secrets
import signal
import socket
import subprocess
import threading
import time

import exact
import pika
import pymysql
import pytest
from api import Calls

from lab import NAME, REGISTRY_PORT, expect, say, wait_until

KILLS = int(os.environ.get("KOLLA_TEST_KILLS", "4"))


def sql(lab, host=None, timeout=10):
    return pymysql.connect(
        host=host or lab.vip, user="root", password=lab.password("database_password"),
        connect_timeout=3, read_timeout=timeout, write_timeout=timeout, autocommit=True)


def ask(lab, question, host=None):
    connection = sql(lab, host)
    try:
        with connection.cursor() as cursor:
            cursor.execute(question)
            return cursor.fetchall()
    finally:
        connection.close()


def galera(lab, host):
    rows = dict(ask(lab, "SHOW GLOBAL STATUS LIKE 'wsrep%'", lab.address(host)))
    return rows["wsrep_local_state_comment"], int(rows["wsrep_cluster_size"])


def all_synced(lab):
    return all(galera(lab, host) == ("Synced", 3) for host in lab.hosts)


@pytest.fixture(scope="module")
def lab(bare):
    """What the README's first command ends with, without OpenStack."""
    if not bare.stands:
        quickstart(bare)
    return bare


def quickstart(lab):
    lab.kolla("quickstart", "--infra-only", "--name", NAME, "--state-dir", lab.site,
              "--registry-port", str(REGISTRY_PORT), within=2400)
    say(f"quickstart took {lab.took:.0f} s")
    expect(all_synced(lab), "not all members are Synced")
    lab.kolla("check")



def images():
    """The images that the lab's registry has, by their names."""
    said = subprocess.run(["docker", "images", "--format", "{{.Repository}}:{{.Tag}}"], check=True, text=True,
                          stdout=subprocess.PIPE).stdout.split()
    ours = [name for name in said if name.startswith(f"127.0.0.1:{REGISTRY_PORT}/") and not name.endswith(":<none>")]
    return {name.rsplit("/", 1)[1].split(":")[0]: name for name in ours}


def test_secrets_of_every_syntax(lab, tmp_path):
    """every character of a secret reaches the program that reads its file, in every syntax"""
    exact.every_syntax(lab.program, tmp_path, images(), 18999)


def test_secrets_of_every_role(lab, tmp_path):
    """a password with all signs lets services, clients and operators in"""
    exact.every_role(lab.program, tmp_path, images())


def test_nothing_to_do(lab):
    """the same deploy again changes nothing, in two requests a host"""
    before = lab.everything()
    events = lab.events("deploy")
    end = events[-1]
    expect(end["summary"]["changed"] == 0, f"changed something: {end}")
    expect(end["summary"]["failed"] == 0, f"failed: {end}")
    expect(lab.everything() == before, "a container or file is not as it was")
    requests = dict(map(tuple, end["requests"]))
    say(f"requests a host: {requests}, {lab.took:.2f} s")
    expect(sorted(requests.values())[:2] == [2, 2], f"more than two requests: {requests}")
    text = lab.kolla("deploy", "-v", quiet=True)
    told = re.search(r"^requests  control01 \d+, control02 2, control03 2$", text, re.MULTILINE)
    expect(told, f"-v does not tell:\n{text}")


def test_one_option(lab):
    """a changed option is told by --check --diff, then touches just its containers"""
    lab.option("cache", memcached_max_memory=300)
    before = lab.everything()
    text = lab.kolla("deploy", "--check", "--diff")
    expect("+" in text and "-m 300" in text, f"the hunk is not shown:\n{text}")
    expect(text.count("container memcached") == 3 and "configuration" in text, f"the containers are not named:\n{text}")
    expect(lab.everything() == before, "--check changed something")
    lab.kolla("deploy", "--check", "--exit-code", code=3, quiet=True)
    changed = lab.changed("deploy")
    expect({subject for _, subject in changed} == {"files memcached", "container memcached"}, f"changed {changed}")
    after = lab.everything()[0]
    for host in lab.hosts:
        for name, state in before[0][host].items():
            touched = after[host].get(name) != state
            expect(touched == (name == "memcached"), f"{host}: {name}: {state} became {after[host].get(name)}")
    lab.option("cache")
    lab.kolla("reconfigure", "--tags", "memcached")


def test_balancer_reload(lab):
    """a changed load balancer takes its file over without dropping a connection or its container"""
    connection = sql(lab)
    before = {host: lab.containers(host)["haproxy"] for host in lab.hosts}
    lab.option("lb", haproxy_client_timeout="2m")
    lab.kolla("reconfigure", "--tags", "loadbalancer")
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    connection.close()
    expect({host: lab.containers(host)["haproxy"] for host in lab.hosts} == before, "a container was replaced")
    # A file of the site's own, which only HAProxy can judge.
    lab.write("config/haproxy/haproxy_main.cfg", "defaults\n    no-such-word\n")
    text = lab.kolla("deploy", "--tags", "loadbalancer", code=1)
    expect("are not valid; nothing was changed" in text, f"a broken file was not refused:\n{text}")
    expect(ask(lab, "SELECT 1") == ((1,),), "the load balancer is gone")
    lab.write("config/haproxy/haproxy_main.cfg", None)
    lab.option("lb")
    lab.kolla("deploy", "--tags", "loadbalancer")
    lab.kolla("check")


def test_put_back(lab):
    """the old container comes back when the new one fails"""
    host = "control01"
    before = lab.containers(host)["memcached"]
    lab.option("cache", memcached_connection_limit=0)
    text = lab.kolla("deploy", "--tags", "memcached", "--limit", host, code=1)
    expect("the container that was there before is back" in text, f"not told:\n{text}")
    after = lab.containers(host)["memcached"]
    expect(after[0] == before[0] and after[1] == "running", f"{before} became {after}")
    lab.option("cache", memcached_tag="never-built")
    text = lab.kolla("deploy", "--tags", "memcached", "--limit", host, code=1)
    expect("is not in its registry" in text, f"not told:\n{text}")
    expect(lab.containers(host)["memcached"] == after, "it was touched for an image that is not there")
    lab.option("cache")
    lab.kolla("deploy", "--tags", "memcached")
    names = set(lab.containers(host))
    ours = {name for name in names if "_" not in name or name == "mariadb_clustercheck"}
    expect(names == ours, f"something is left over: {names - ours}")


def test_status(lab):
    """a stopped member is told by its own container and by the others; afterwards all is well again"""
    wait_until("a clean status", 60, lambda: lab.healthy("status"))
    host = lab.hosts[-1]
    lab.engine(host, "/containers/mariadb/stop", "POST")
    told = json.loads(lab.kolla("status", "--output", "json", code=1, quiet=True).splitlines()[-1])
    rows = [row for row in told["services"] if row["state"] != "running"]
    down = [(row["host"], row["service"], row["state"]) for row in rows if row["service"] == "mariadb"]
    expect(down == [(host, "mariadb", "stopped")], f"services {rows}")
    answers = {part["host"]: part["answer"] for part in told["parts"] if not part["well"]}
    expect([answers.get(other) for other in lab.hosts[:-1]] == ["2 members, Primary, Synced"] * 2, f"parts {answers}")
    lab.kolla("deploy")
    wait_until("a clean status", 60, lambda: lab.healthy("status"))


def toy(lab):
    """A folder with a role that needs another one; the option that names it."""
    role = os.path.join(lab.folder, "roles", "toy")
    os.makedirs(role, exist_ok=True)
    with open(os.path.join(role, "role.yml"), "w", encoding="utf-8") as file:
        file.write("""about: A second cache.
needs: [memcached]
vars:
  toy_port: 11999
services:
  toy:
    group: memcached
    image: memcached
    command: memcached -l {{ api_address }} -p {{ toy_port }} -U 0
    ready: { tcp: "{{ api_address }}:{{ toy_port }}" }
    proxy: { port: "{{ toy_port }}", mode: tcp }
""")
    return "--roles", os.path.dirname(role)


def test_own_role(lab):
    """a role in a folder of one's own deploys a service, behind the load balancer, without a change of the program"""
    lab.kolla("deploy", *toy(lab))

    def answers():
        with socket.create_connection((lab.vip, 11999), 5) as connection:
            connection.sendall(b"version\r\n")
            return connection.recv(100).startswith(b"VERSION")

    expect(answers(), "no answer through the load balancer")
    text = lab.kolla("deploy")
    expect("container toy is left over" in text, f"what is left over is not told:\n{text}")
    lab.kolla("deploy", "--prune")
    expect(all("toy" not in lab.containers(host) for host in lab.hosts), "it is still there")


def test_ordered_stop(lab):
    """what others need is not stopped under them: refused with their names, or stopped after them, or killed"""
    def running():
        names = [{name for name, state in lab.containers(host).items() if state[1] == "running"} for host in lab.hosts]
        return {name: sum(name in there for there in names) for name in ("toy", "memcached")}

    roles = toy(lab)
    lab.kolla("deploy", *roles)
    for words in (["stop"], ["destroy", "--yes-i-really-really-mean-it"]):
        text = lab.kolla(*words, "--tags", "memcached", *roles, code=2)
        expect("1 role that needs memcached would go on running without it: toy" in text, f"it is not named:\n{text}")
    expect(running() == {"toy": 3, "memcached": 3}, f"something was stopped: {running()}")
    # Two of three are missed by nobody.
    lab.kolla("stop", "--tags", "memcached", "--limit", ",".join(lab.controllers[:2]), *roles)
    expect(running() == {"toy": 3, "memcached": 1}, f"running: {running()}")
    lab.kolla("deploy", *roles)
    events = lab.events("stop", "--tags", "memcached", "--cascade", *roles)
    ends = [event["subject"] for event in events if event.get("event") == "finished"]
    expect(ends == ["container toy"] * 3 + ["container memcached"] * 3, f"stopped in this order: {ends}")
    lab.kolla("deploy", *roles)
    lab.kolla("stop", "--tags", "memcached", "--abort", *roles)
    expect(running() == {"toy": 3, "memcached": 0}, f"running: {running()}")
    codes = {lab.engine(host, "/containers/memcached/json")["State"]["ExitCode"] for host in lab.hosts}
    expect(codes == {137}, f"ended with {codes}")
    lab.kolla("deploy", "--prune")


def test_kolla_commands(lab):
    """rabbitmq-reset-state ends in one empty cluster, and prune-images removes what nobody needs"""
    def rabbit(*words):
        return lab.kolla("exec", lab.controllers[0], "rabbitmq", "--", "rabbitmqctl", "--quiet", *words, quiet=True)

    rabbit("add_user", "stray", "secret")
    expect("loses data" in lab.kolla("rabbitmq-reset-state", code=2), "it is done without being confirmed")
    expect("stray" in rabbit("list_users"), "it did something")
    lab.kolla("rabbitmq-reset-state", "--yes-i-really-really-mean-it")
    expect("stray" not in rabbit("list_users"), f"users: {rabbit('list_users')}")
    lab.kolla("deploy")
    expect(lab.events("deploy")[-1]["summary"]["changed"] == 0, "the same deploy again changes something")
    expect("rabbitmq-reset-state" in lab.kolla("history", quiet=True), "it is not in the history")
    lab.kolla("status", quiet=True)

    host = lab.controllers[0]
    old = lab.engine(host, "/commit?container=memcached&repo=old&tag=1", "POST")["Id"]

    def images():
        return {image["Id"] for image in lab.engine(host, "/images/json")}

    before = images()
    expect(old in before, "the image was not made")
    expect("old:1" in lab.kolla("prune-images", "--check"), "it does not say which")
    expect(images() == before, "a check removed something")
    lab.kolla("prune-images", "--yes-i-really-really-mean-it")
    expect(images() == before - {old}, f"removed: {before - images()}")
    expect(lab.events("deploy")[-1]["summary"]["changed"] == 0, "something that is needed was removed")


def test_two_runs(lab):
    """a second run is refused while one has the lease, also on other hosts, and goes on once the first is killed"""
    lab.option("cache", memcached_max_memory=301)
    limits = ",".join(lab.controllers[:2]), lab.controllers[2]
    one, other = (lab.command("deploy", "--tags", "memcached", "--limit", limit) for limit in limits)
    first = subprocess.Popen(one, env=lab.environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def second():
        return subprocess.run(other, check=False, env=lab.environment, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)

    # Held still in the middle, it keeps its sessions and so its lease.
    def holder():
        return lab.on(lab.controllers[2], "cat /run/kolla.lease", code=None)

    wait_until("the lease", 20, lambda: limits[0] in holder(), every=0.05)
    first.send_signal(signal.SIGSTOP)
    try:
        refused = second()
    finally:
        first.kill()
        first.wait()
    expect(refused.returncode == 1 and "another run has it" in refused.stdout,
           f"the second run was not refused:\n{refused.stdout}")
    for word in (f"deploy --tags memcached --limit {limits[0]}", f"process {first.pid}", os.uname().nodename):
        expect(word in refused.stdout, f"it does not say `{word}` of who has the lease:\n{refused.stdout}")
    said = second()
    expect(said.returncode == 0, f"with the first run killed, the second did not go on:\n{said.stdout}")
    lab.option("cache")
    lab.kolla("deploy")


def stored(lab):
    with sql(lab) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE DATABASE IF NOT EXISTS proof")
        cursor.execute("CREATE TABLE IF NOT EXISTS proof.rows (id BIGINT PRIMARY KEY)")


class Inserts:
    """Inserts rows through the load balancer until told to stop; knows which were committed, and when."""

    def __init__(self, lab):
        self.lab, self.committed, self.times, self.stop = lab, [], [], False
        stored(lab)
        self.next = (ask(lab, "SELECT COALESCE(MAX(id), 0) FROM proof.rows")[0][0] or 0) + 1
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        connection = None
        while not self.stop:
            try:
                if connection is None:
                    connection = sql(self.lab)
                with connection.cursor() as cursor:
                    cursor.execute("INSERT INTO proof.rows VALUES (%s)", (self.next,))
                self.committed.append(self.next)
                self.times.append(time.monotonic())
            except pymysql.MySQLError:
                connection = None
                time.sleep(0.1)
            # A row that failed may still have been written: its number is not used again.
            self.next += 1

    def end(self):
        self.stop = True
        self.thread.join()

    def lost(self):
        there = {row[0] for row in ask(self.lab, "SELECT id FROM proof.rows")}
        return [row for row in self.committed if row not in there]

    def gap(self):
        return max((b - a for a, b in itertools.pairwise(self.times)), default=0)


def serves(lab, host):
    """The load balancer takes a member for usable."""
    rows = lab.kolla("exec", lab.hosts[0], "haproxy", "--", "sh", "-c",
                     "echo show stat | socat - /var/lib/kolla/haproxy/haproxy.sock", quiet=True)
    return any(row.startswith(f"mariadb,{host},") and ",UP," in row for row in rows.splitlines())


def test_writer_killed(lab):
    """the MariaDB that takes the writes is killed: writes succeed again within 10 s, none is lost"""
    inserts = Inserts(lab)
    time.sleep(2)
    writer = ask(lab, "SELECT @@hostname")[0][0]
    lab.kill(writer, "mariadb")
    count = len(inserts.committed)
    wait_until("writes", 30, lambda: len(inserts.committed) > count + 20)
    inserts.end()
    say(f"{writer} was the writer; {len(inserts.committed)} rows committed; longest pause {inserts.gap():.1f} s")
    expect(inserts.gap() < 10, f"no write for {inserts.gap():.1f} s")
    # Killed from outside by the API, the engine takes it for stopped on purpose: the next run starts it.
    lab.kolla("deploy", "--tags", "mariadb")
    wait_until("three members Synced", 60, lambda: all_synced(lab))
    wait_until("its return to the load balancer", 20, lambda: serves(lab, writer))
    now = ask(lab, "SELECT @@hostname")[0][0]
    expect(now != writer, f"{writer} takes the writes again, beside those of sessions that stayed with another one")
    expect(inserts.lost() == [], f"lost {inserts.lost()[:5]}")


def test_messages(lab):
    """10,000 confirmed messages to a quorum queue while a RabbitMQ node is killed: none is lost"""
    credentials = pika.PlainCredentials("openstack", lab.password("rabbitmq_password"))

    def connect():
        targets = [pika.ConnectionParameters(lab.address(host), 5672, "/", credentials, connection_attempts=1,
                                             socket_timeout=3, blocked_connection_timeout=20, heartbeat=10)
                   for host in lab.hosts]
        connection = pika.BlockingConnection(targets)
        channel = connection.channel()
        channel.queue_declare("proof", durable=True, arguments={"x-queue-type": "quorum"})
        channel.confirm_delivery()
        return connection, channel

    connection, channel = connect()
    channel.queue_purge("proof")
    confirmed, number = set(), 0
    while len(confirmed) < 10000:
        if len(confirmed) == 3000 and number == 3000:
            lab.kill("control01", "rabbitmq")
        try:
            persistent = pika.BasicProperties(delivery_mode=2)
            channel.basic_publish("", "proof", str(number).encode(), persistent, mandatory=True)
            confirmed.add(number)
        except pika.exceptions.AMQPError:
            def again():
                nonlocal connection, channel
                connection, channel = connect()
                return True
            say(f"reconnected in {wait_until('a connection', 60, again):.1f} s, after {len(confirmed)} messages")
        number += 1
    connection.close()
    lab.kolla("deploy", "--tags", "rabbitmq")
    connection, channel = connect()
    got = set()
    for method, _, body in channel.consume("proof", inactivity_timeout=10):
        if method is None:
            break
        got.add(int(body))
        channel.basic_ack(method.delivery_tag)
        if confirmed <= got:
            break
    connection.close()
    say(f"{len(confirmed)} confirmed, {len(confirmed - got)} lost")
    expect(not confirmed - got, f"lost {sorted(confirmed - got)[:5]}")


def test_power_cut(lab):
    """the host with the virtual address loses its power: the address answers within 3 s"""
    holder = lab.holder(lab.vip)
    expect(holder is not None, "nobody holds the address")

    def answers():
        with socket.create_connection((lab.vip, 3306), 0.3) as connection:
            connection.settimeout(0.5)
            return len(connection.recv(10)) > 0

    expect(answers(), "it does not answer before")
    stored(lab)
    lab.power_off(holder)
    took = wait_until("the address", 15, answers, every=0.05)
    say(f"{holder} held it; it answers after {took:.1f} s")
    expect(took < 3, f"it took {took:.1f} s")
    wait_until("a write", 15, lambda: ask(lab, "REPLACE INTO proof.rows VALUES (0)") is not None)
    others = [host for host in lab.hosts if host != holder]
    text = lab.kolla("deploy", code=1)
    told = re.search(rf"{holder} .*failed: .*(cannot be reached|no answer)", text)
    expect(told, f"the host that is off is not told:\n{text}")
    expect(all(lab.containers(host)["mariadb"][1] == "running" for host in others), "the others were touched")
    # While it boots, a run waits for it rather than fail; without one it heals by itself.
    lab.power_on(holder)
    lab.kolla("deploy")
    wait_until("three members Synced", 90, lambda: all_synced(lab))
    lab.power_off(others[0])
    lab.power_on(others[0])
    say(f"{others[0]} healed by itself in {wait_until('every service', 180, lab.healthy, every=1):.0f} s")
    lab.kolla("deploy")


def test_moved_address(lab):
    """clients that wait for an answer when the virtual address moves are told: in a minute, on its own host at once"""
    holder = lab.holder(lab.vip)
    elsewhere = next(host for host in lab.hosts if host != holder)
    statement = ["mariadb", "--defaults-file=/etc/mysql/client.cnf", "--protocol=tcp", f"--host={lab.vip}", "-e"]
    waits = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE 'SELECT SLEEP%'"
    clients = {host: subprocess.Popen(
        lab.command("exec", host, "mariadb", "--", *statement, "SELECT SLEEP(600)"), env=lab.environment,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) for host in (holder, elsewhere)}
    try:
        wait_until("the clients' statements", 30, lambda: int(ask(lab, waits)[0][0]) == 2)
        lab.engine(holder, "/containers/keepalived/stop", "POST")
        moment = time.monotonic()
        wait_until("another holder", 15, lambda: lab.holder(lab.vip) not in (None, holder))
        for (host, client), longest in zip(clients.items(), (10, 60), strict=True):
            told = client.communicate(timeout=90)[1]
            took = time.monotonic() - moment
            say(f"{host}, {'with' if host == holder else 'without'} the address, was told after {took:.0f} s: "
                f"{' '.join(told.split())[-200:]}")
            expect(took < longest, f"it waited for {took:.0f} s")
            expect("Lost connection" in told or "2013" in told, f"it says {told}")
    finally:
        for client in clients.values():
            client.kill()
    lab.kolla("deploy")


def test_all_crash(lab):
    """all MariaDB are killed at once in the middle of inserts: mariadb-recovery brings every committed row back"""
    inserts = Inserts(lab)
    wait_until("rows", 20, lambda: len(inserts.committed) > 200)
    threads = [threading.Thread(target=lab.kill, args=(host, "mariadb")) for host in lab.hosts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    time.sleep(1)
    inserts.end()
    text = lab.kolla("deploy", "--tags", "mariadb", code=1)
    expect("mariadb-recovery" in text, f"deploy does not say what to do:\n{text}")
    lab.kolla("mariadb-recovery")
    expect(all_synced(lab), "not all members are Synced")
    lost = inserts.lost()
    say(f"{len(inserts.committed)} committed, {len(lost)} lost")
    expect(not lost, f"lost {lost[:5]}")
    lab.kolla("deploy")


def test_all_off(lab):
    """all hosts lose their power at once: with it back, the cluster finds itself again with every committed row"""
    inserts = Inserts(lab)
    wait_until("rows", 20, lambda: len(inserts.committed) > 200)
    for host in lab.hosts:
        lab.power_off(host)
    inserts.end()
    for host in lab.hosts:
        lab.power_on(host)
    say(f"every service answers after {wait_until('every service', 240, lab.healthy, every=1):.0f} s")
    wait_until("the address", 20, lambda: ask(lab, "SELECT 1"))
    lost = inserts.lost()
    say(f"{len(inserts.committed)} committed, {len(lost)} lost")
    expect(not lost, f"lost {lost[:5]}")
    lab.kolla("deploy")


def grastate(lab, host, change=None):
    """Galera's own file on a host, after an expression of sed was applied to it."""
    path = "/var/lib/docker/volumes/mariadb/_data/grastate.dat"
    if change:
        lab.on(host, f"sed -i '{change}' {path}")
    return lab.on(host, f"cat {path}")


def insert(lab):
    """A committed row."""
    with sql(lab) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT COALESCE(MAX(id), 0) + 1 FROM proof.rows")
        number = cursor.fetchone()[0]
        cursor.execute("INSERT INTO proof.rows VALUES (%s)", (number,))
    return number


def rows(lab):
    return {row[0] for row in ask(lab, "SELECT id FROM proof.rows")}


def test_stop_orders(lab):
    """the members of the database are stopped in every order: the last one starts the cluster, with every row"""
    stored(lab)
    written = []
    for order in itertools.permutations(lab.hosts):
        for host in order:
            wait_until("a row", 30, lambda: written.append(insert(lab)) is None)
            lab.engine(host, "/containers/mariadb/stop", "POST")
        say(f"{', '.join(order)}: " + "; ".join(" ".join(grastate(lab, host).split()[-4:]) for host in order))
        started = [(event["host"], event["reason"]) for event in lab.events("deploy", "--tags", "mariadb")
                   if event.get("event") == "finished" and event["subject"] == "cluster seed of mariadb"
                   and event["outcome"] == "ran"]
        last = [(order[-1], "starts the cluster: it stopped last")]
        expect(started == last, f"stopped as {order}, started by {started}")
        wait_until("three members Synced", 60, lambda: all_synced(lab))
        lost = set(written) - rows(lab)
        expect(not lost, f"stopped as {order}, lost {lost}")
    lab.kolla("deploy")


def test_older_member(lab):
    """a member with older data that says it stopped last is not what the cluster starts from when the others crashed"""
    stored(lab)
    older, *others = lab.hosts
    lab.engine(older, "/containers/mariadb/stop", "POST")
    wait_until("a cluster of two", 30, lambda: galera(lab, others[0]) == ("Synced", 2))
    written = []
    wait_until("rows", 60, lambda: written.append(insert(lab)) is None and len(written) >= 20)
    for host in others:
        lab.kill(host, "mariadb")
    say(f"{older} says {grastate(lab, older, 's/^safe_to_bootstrap:.*/safe_to_bootstrap: 1/').split()}")
    text = lab.kolla("deploy", "--tags", "mariadb", code=1)
    expect("nobody knows how far the data of" in text and "mariadb-recovery" in text, f"it is not refused:\n{text}")
    expect(all("mariadb_seed" not in lab.containers(host) for host in lab.hosts), "a seed was started")
    lab.kolla("mariadb-recovery")
    wait_until("three members Synced", 60, lambda: all_synced(lab))
    lost = set(written) - rows(lab)
    expect(not lost, f"lost {lost}")
    lab.kolla("deploy")
    wait_until("a clean status", 60, lambda: lab.healthy("status"))


def leave(lab, host):
    """Has a member leave the cluster and run on, as one that has lost the others and gave up."""
    ask(lab, "SET GLOBAL wsrep_cluster_address = ''", lab.address(host))


def test_outside_member(lab):
    """a member that lost the cluster is told by status, left alone by a recovery, and joins with the next change"""
    stored(lab)
    outside, *others = reversed(lab.hosts)
    leave(lab, outside)
    wait_until("a cluster of two", 60, lambda: galera(lab, others[0]) == ("Synced", 2))
    wait_until("a row", 30, lambda: insert(lab))
    told = json.loads(lab.kolla("status", "--output", "json", code=1, quiet=True).splitlines()[-1])
    answers = {(part["part"], part["host"]): part["answer"] for part in told["parts"] if not part["well"]}
    expect("Initialized" in answers.get(("cluster", outside), ""), f"parts {answers}")
    expect("behind" in answers.get(("cluster data", outside), ""), f"parts {answers}")
    before = {host: lab.containers(host)["mariadb"] for host in others}
    lab.kolla("mariadb-recovery")
    expect({host: lab.containers(host)["mariadb"] for host in others} == before, "a member of the cluster was touched")
    wait_until("three members Synced", 60, lambda: all_synced(lab))
    leave(lab, outside)
    wait_until("a cluster of two", 60, lambda: galera(lab, others[0]) == ("Synced", 2))
    lab.option("change", mariadb_binlog_expire_seconds=1209600 - 1)
    lab.kolla("deploy", "--tags", "mariadb", within=600)
    wait_until("three members Synced", 60, lambda: all_synced(lab))
    lab.option("change")
    lab.kolla("deploy")
    wait_until("a clean status", 60, lambda: lab.healthy("status"))


def test_cut_off(lab):
    """members that serve, and that the program cannot reach: nobody starts a second cluster, whatever was chosen"""
    stored(lab)
    alone, *others = lab.hosts
    lab.engine(alone, "/containers/mariadb/stop", "POST")
    for host in others:
        lab.on(host, "systemctl stop ssh.socket ssh.service", code=None)
    try:
        lab.option("recover", mariadb_recover_inventory_name=alone)
        text = lab.kolla("deploy", "--tags", "mariadb", code=2)
        expect("is set for all runs" in text, f"a choice in globals.d is not refused:\n{text}")
        lab.option("recover")
        text = lab.kolla("deploy", "--tags", "mariadb", code=1)
        expect("2 of 3 hosts must grant it, and there is no answer from" in text, f"the lease was had:\n{text}")
        for command in (["deploy", "--tags", "mariadb"],
                        ["mariadb-recovery", "-e", f"mariadb_recover_inventory_name={alone}"]):
            text = lab.kolla(*command, "--without-majority", code=1)
            expect("answers other hosts: it may serve" in text, f"it is not refused:\n{text}")
            expect("mariadb_seed" not in lab.containers(alone), "a second cluster was started")
    finally:
        lab.option("recover")
        for host in others:
            lab.on(host, "systemctl start ssh.service", code=None)
    wait_until("a row", 30, lambda: insert(lab))
    lab.kolla("deploy")
    wait_until("three members Synced", 60, lambda: all_synced(lab))


def test_rotated(lab):
    """a changed password of the database's checkers reaches them, one host after the other; those by which services log
    in to each other are refused before anything is touched, and neither the old nor the new one is shown"""
    path = os.path.join(lab.site, "passwords.yml")
    with open(path, encoding="utf-8") as file:
        before = file.read()

    def change(name, password):
        with open(path, "w", encoding="utf-8") as file:
            file.write(re.sub(rf"^{name}:.*", f"{name}: {password}", before, flags=re.MULTILINE))

    for name in ["database_password", "rabbitmq_password", "rabbitmq_cluster_cookie"]:
        password, everything = f"rotated-{secrets.token_hex(8)}", lab.everything()
        old = lab.password(name)
        change(name, password)
        refused = lab.kolla("reconfigure", code=2)
        expect(f"`{name}` is not the one that" in refused, f"{name}: {refused}")
        shown = lab.kolla("plan", "--diff", quiet=True)
        expect("it would be refused" in shown and password not in shown and old not in shown, f"{name} is shown")
        expect(lab.everything() == everything, f"{name}: something was touched")
    change("mariadb_monitor_password", f"rotated-{secrets.token_hex(8)}")
    inserts = Inserts(lab)
    lab.kolla("reconfigure")
    inserts.end()
    say(f"longest pause of the database {inserts.gap():.1f} s")
    expect(inserts.gap() < 10, "the database was cut off")
    again = lab.events("deploy")[-1]["summary"]
    expect((again["changed"], again["failed"]) == (0, 0), f"it did not converge: {again}")


def test_identity(lab):
    """Keystone is added to what runs, and takes over a changed option while clients log in: no log-in fails"""
    lab.option("identity", enable_keystone=True)
    lab.kolla("build", "--push", "--registry", f"127.0.0.1:{REGISTRY_PORT}", within=2400)
    before = {host: lab.containers(host) for host in lab.hosts}
    lab.kolla("deploy")
    for host in lab.hosts:
        after = lab.containers(host)
        same = {name: after[name] for name in before[host]} == before[host]
        expect(same, f"{host}: others than Keystone were touched")
    again = lab.events("deploy")[-1]["summary"]
    expect((again["changed"], again["failed"]) == (0, 0), f"it did not converge: {again}")
    with Calls(lab, clients=3, timeout=60, services=["identity"]) as calls:
        wait_until("the clients", 60, lambda: len(calls.made) > 20)
        lab.write("config/keystone.conf", "[DEFAULT]\nmax_param_size = 65\n")
        lab.kolla("reconfigure")
    say(f"{len(calls.made)} log-ins, {len(calls.failed)} failed")
    expect(not calls.failed, f"{len(calls.failed)} of {len(calls.made)} failed, as {calls.failed[:5]}")
    lab.write("config/keystone.conf", None)
    lab.option("identity")
    lab.kolla("deploy", "--prune")


def test_stop_and_start(lab):
    """stop wants its flag; the whole infrastructure stops in order and starts with its data, also when it was killed"""
    stored(lab)
    rows = ask(lab, "SELECT COUNT(*) FROM proof.rows")
    lab.kolla("stop", code=2)
    host = kill_at_a_stop(lab, "stop", "--yes-i-really-really-mean-it")
    lab.kolla("deploy")
    expect(all_synced(lab), f"killed while {host} stopped: not all members are Synced")
    lab.kolla("check")
    again = lab.events("deploy")[-1]["summary"]
    expect((again["changed"], again["failed"]) == (0, 0), f"it did not converge: {again}")
    lab.kolla("stop", "--yes-i-really-really-mean-it")
    states = [state[1] for host in lab.hosts for state in lab.containers(host).values()]
    expect("running" not in states, "something runs")
    lab.kolla("deploy")
    expect(all_synced(lab), "not all members are Synced")
    expect(ask(lab, "SELECT COUNT(*) FROM proof.rows") == rows, "rows are lost")


def test_killed_reconfigure(lab):
    """kill -9 of the program at random moments of a reconfigure: the rerun converges, no row is lost"""
    def change(number):
        lab.option("change", memcached_max_memory=310 + number, mariadb_binlog_expire_seconds=1209000 + number,
                   haproxy_client_timeout=f"{61 + number}s")

    inserts = Inserts(lab)
    try:
        change(0)
        lab.kolla("reconfigure")
        longest = lab.took
        for number in range(KILLS):
            change(number + 1)
            kill_at_random(lab, "reconfigure", longest)
        lab.option("change")
        lab.kolla("deploy")
    finally:
        inserts.end()
    wait_until("three members Synced", 60, lambda: all_synced(lab))
    lost = inserts.lost()
    say(f"{len(inserts.committed)} committed, {len(lost)} lost, longest pause {inserts.gap():.1f} s")
    expect(not lost, f"lost {lost[:5]}")


def test_killed_at_a_stop(lab):
    """kill -9 of the program while a member of the database stops: the rerun turns to that one first, all get up"""
    lab.option("change", mariadb_binlog_expire_seconds=1209500)
    host = kill_at_a_stop(lab, "reconfigure")
    turns = [event["host"] for event in lab.events("reconfigure")
             if event.get("event") == "started" and event["subject"] == "container mariadb"]
    expect(len(turns) == 3 and turns[0] == host, f"killed while {host} stopped, and the rerun's order was {turns}")
    expect(all_synced(lab), "not all members are Synced")
    lab.option("change", mariadb_binlog_expire_seconds=1209400)
    host = kill_at_a_stop(lab, "reconfigure")
    lab.option("change", mariadb_binlog_expire_seconds=1209500)
    lab.kolla("deploy")
    expect(all_synced(lab), f"killed while {host} stopped, it is down where nothing is wanted of it any more")
    lab.kolla("check")
    lab.option("change")
    lab.kolla("deploy")


def kill_at_a_stop(lab, *words):
    """Kills a run when the first member of the database has begun to stop; the member's host."""
    process = subprocess.Popen(lab.command("--output", "json", *words), env=lab.environment,
                               stdout=subprocess.PIPE, text=True)
    try:
        events = map(json.loads, process.stdout)
        host = next(event["host"] for event in events
                    if event["event"] == "started" and event["subject"] == "container mariadb")
        wait_until(f"the stop of {host}'s member", 30, lambda: not listens(lab.address(host), 3306), every=0.02)
    finally:
        process.kill()
        process.wait()
    return host


def listens(address, port):
    try:
        socket.create_connection((address, port), 1).close()
        return True
    except ConnectionRefusedError:
        return False


def kill_at_random(lab, command, longest):
    """Kills a run of the program that takes so long when it is left alone; the rerun must converge."""
    ended = lab.killed(longest, command)
    # The lease goes when sshd notices that the session is gone.
    lab.kolla(command, quiet=True)
    again = lab.events(command)[-1]["summary"]
    expect((again["changed"], again["failed"]) == (0, 0), f"{command} did not converge: {again}")
    lab.kolla("check", quiet=True)
    say(f"kolla {command} {ended} of {longest:.1f} s: the rerun converged")


def test_destroyed(lab):
    """destroy refuses without its flag, and leaves no container, volume, address or file of ours"""
    lab.kolla("destroy", code=2)
    lab.kolla("destroy", "--yes-i-really-really-mean-it")
    for host in lab.hosts:
        expect(lab.containers(host) == {}, f"{host}: containers are left: {lab.containers(host)}")
        volumes = lab.engine(host, "/volumes")["Volumes"] or []
        expect(volumes == [], f"{host}: volumes are left: {volumes}")
        left = lab.on(host, "find /etc/kolla -mindepth 1 ! -path '*/.applied' ! -name 'unit-*' 2>/dev/null", code=None)
        expect(left == "", f"{host}: files are left:\n{left}")
        expect(lab.vip not in lab.on(host, "ip -o addr"), f"{host} holds the address")


def test_killed_deploy(lab):
    """kill -9 of the program at random moments of a first deploy: the rerun converges"""
    lab.kolla("destroy", "--yes-i-really-really-mean-it", quiet=True)
    lab.kolla("deploy")
    longest = lab.took
    for _ in range(KILLS):
        lab.kolla("destroy", "--yes-i-really-really-mean-it", quiet=True)
        kill_at_random(lab, "deploy", longest)
        expect(all_synced(lab), "not all members are Synced")
