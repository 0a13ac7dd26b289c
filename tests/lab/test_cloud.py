"""The cloud on real parts: from the README's first command to a server that answers, and what must not disturb it.

KOLLA_TEST_PICTURE is where the picture of the dashboard goes.
"""

import contextlib
import os
import re
import secrets
import threading
import time

import leaks
import pytest
from api import ROUND, Api, Calls, Ping, answers_ping
from client import Client

from lab import NAME, REGISTRY_PORT, expect, say, wait_until

# What the small guest prints, or CirrOS.
LEASE = r"guest: lease|lease of \S+ obtained"
METADATA = r"guest: metadata|successful after \d+/\d+ tries"

# Longest times of a power cut, in seconds.
CALLS_FAIL, PING_FAILS, HEALS = 10, 30, 300
# A call whose reply is lost takes this long, in seconds: `rpc_response_timeout`.
REPLY = 60
# How long a server may not be reached while agents are replaced, in seconds.
TRAFFIC_STOPS = 1

# An option of a service, in the file that overrides it, and the containers that it is for.
OPTIONS = {
    "glance/glance-api.conf": ("[DEFAULT]\nlimit_param_default = 24\n", {"glance_api"}),
    "keystone.conf": ("[DEFAULT]\nmax_param_size = 65\n", {"keystone"}),
    "nova/nova-api.conf": ("[api]\nmax_limit = 999\n", {"nova_api"}),
}

# An option of each that serves guests' traffic or guests themselves.
AGENTS = {
    **{f"neutron/neutron-{name}-agent.conf": "[DEFAULT]\nrpc_response_timeout = 61\n"
       for name in ["dhcp", "l3", "metadata", "openvswitch"]},
    "nova/nova-compute.conf": "[DEFAULT]\nrpc_response_timeout = 61\n",
}
AGENT_CONTAINERS = {"neutron_dhcp_agent", "neutron_l3_agent", "neutron_metadata_agent", "neutron_openvswitch_agent",
                    "nova_compute", "nova_libvirt"}


def up(lab, act, computes):
    lab.kolla(*act, "--name", NAME, "--state-dir", lab.site, "--registry-port", str(REGISTRY_PORT),
              "--hosts", "3", "--computes", str(computes), within=5400)


@pytest.fixture(scope="module")
def lab(bare):
    """What the README's first command ends with."""
    bare.arguments = leaks.Arguments()
    if not bare.stands:
        up(bare, ["quickstart"], computes=1)
        say(f"quickstart took {bare.took:.0f} s; its runs:\n{bare.kolla('history', quiet=True)}")
    return bare


def test_quickstart(lab):
    """the README's first command ends with a server that has a lease and metadata and answers from outside"""
    api = Api(lab)
    demo = api.demo()
    expect(demo["status"] == "ACTIVE", f"demo1 is {demo['status']}: {demo.get('fault')}")
    console = api.console(demo["id"])
    expect(re.search(LEASE, console) and re.search(METADATA, console), f"its console says:\n{console[-3000:]}")
    expect(answers_ping(api.floating(demo)), f"{api.floating(demo)} does not answer")
    lab.kolla("check", quiet=True)
    lab.kolla("status", quiet=True)



def test_nothing_to_do(lab):
    """the same deploy again changes nothing and restarts nothing"""
    before = lab.everything()
    end = lab.events("deploy")[-1]
    say(f"{lab.took:.2f} s, requests {dict(map(tuple, end['requests']))}")
    expect((end["summary"]["changed"], end["summary"]["failed"]) == (0, 0), f"it did something: {end['summary']}")
    containers, files = lab.everything()
    for host in lab.hosts:
        expect(containers[host] == before[0][host], f"{host}: containers are not as they were")
        expect(files[host] == before[1][host], f"{host}: files are not as they were")


def test_client(lab):
    """the real client: users, roles, images, networks, servers; a quota and a wrong password are refused"""
    name, password = f"check-{secrets.token_hex(3)}", secrets.token_hex(8)
    api = Api(lab)
    demo = api.demo()
    with Client(lab) as openstack, contextlib.ExitStack() as undo:
        who = f"--os-username {name} --os-project-name {name} --os-password {password}"

        def make(what, more="", by=""):
            openstack(f"{by} {what} create {more} {name}")
            undo.callback(openstack, f"{by} {what} delete {name}")

        make("project")
        make("user", f"--project {name} --password {password}")
        openstack(f"role add --user {name} --project {name} member")
        roles = openstack.json(f"role assignment list --names --user {name} --project {name}")
        expect([each["Role"] for each in roles] == ["member"], f"roles {roles}")
        project = openstack.json(f"project show {name}")["id"]
        expect(openstack.json(f"{who} token issue")["project_id"] == project, "the token is for another project")
        refused = openstack(f"{who.replace(password, 'wrong')} token issue", code=1)
        expect(re.search(r"\b401\b", refused), f"a wrong password: {refused}")
        refused = openstack(f"{who} user list", code=1)
        expect(re.search(r"\b403\b", refused), f"a member lists users: {refused}")

        openstack.shell("head -c 20000000 /dev/urandom >/tmp/up")
        make("image", "--file /tmp/up --disk-format raw --container-format bare", who)
        openstack(f"{who} image save --file /tmp/down {name}")
        sums = {line.split()[0] for line in openstack.shell("sha256sum /tmp/up /tmp/down").splitlines()}
        expect(len(sums) == 1, f"the image came back as another: {sums}")

        make("network", by=who)
        make("subnet", f"--network {name} --subnet-range 10.98.0.0/24", who)
        make("router", by=who)
        openstack(f"{who} router add subnet {name} {name}")
        undo.callback(openstack, f"{who} router remove subnet {name} {name}")
        openstack(f"{who} router set --external-gateway public1 {name}")

        kind = f"server create --image {demo['image']['id']} --flavor {demo['flavor']['id']} --network {name}"
        server = openstack.json(f"{who} {kind} {name}")["id"]
        undo.callback(openstack, f"{who} server delete {server}", code=None)
        say(f"ACTIVE after {api.active(server):.0f} s")

        def booted():
            console = openstack(f"{who} console log show {server}")
            expect(re.search(LEASE, console), f"its console says:\n{console[-2000:]}")
            return True

        wait_until("the server's lease", 180, booted, every=2)
        openstack(f"{who} server reboot --hard {server}")
        api.active(server)
        wait_until("its lease after the reboot", 180, booted, every=2)
        openstack(f"{who} server delete {server}")
        api.gone(server)

        openstack(f"quota set --cores 0 {name}")
        refused = openstack(f"{who} {kind} {name}", code=1)
        expect("Quota exceeded for cores" in refused, f"a server beyond the quota: {refused}")


def test_replies(lab):
    """1,000 calls through all APIs of one host at once all get their replies: no queue for these has two consumers"""
    host = lab.controllers[0]
    first = Api(lab, host=host)
    demo = first.demo()["id"]
    network = first.get("network", "/v2.0/networks", name="demo-net")["networks"][0]["id"]
    router = first.get("network", "/v2.0/routers", name="demo-router")["routers"][0]["id"]
    # Not the server's own: Nova looks at a server again for each change, which would hold up what is attached to it.
    port = first.get("network", "/v2.0/ports", device_id=router)["ports"][0]["id"]

    def ask(api):
        """What Nova asks a compute host and Neutron, what Neutron tells an agent, and what needs no message."""
        for _ in range(16):
            api.console(demo)
            api.put("network", f"/v2.0/ports/{port}", {"port": {"name": secrets.token_hex(4)}})
            api.get("network", "/v2.0/agents")
            for service, path in ROUND.items():
                api.get(service, path) if path else api.login()

    def attach(api):
        ends = f"/v2.1/servers/{demo}/os-interface"
        for _ in range(4):
            made = api.post("compute", ends, {"interfaceAttachment": {"net_id": network}})["interfaceAttachment"]
            port = made["port_id"]
            api.delete("compute", f"{ends}/{port}")
            wait_until("the interface's end", 120, lambda port=port: port not in str(api.get("compute", ends)), every=1)

    def route(api):
        for number in range(16):
            routes = [{"destination": f"10.97.{number}.0/24", "nexthop": "10.0.0.99"}] if number % 2 == 0 else []
            api.put("network", f"/v2.0/routers/{router}", {"router": {"routes": routes}})

    work = [*[ask] * 8, attach, route]
    apis, failed = [Api(lab, timeout=120, host=host) for _ in work], []

    def carry(act, api):
        try:
            act(api)
        except Exception as error:  # whatever a call without a reply ends with
            failed.append(f"{act.__name__}: {error}")

    threads = [threading.Thread(target=carry, args=pair) for pair in zip(work, apis, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    times = sorted(time for api in apis for time in api.times)
    longest = "; ".join(f"{took:.1f} s {what}" for took, what in times[-3:])
    say(f"{len(times)} calls, {len(failed)} failed; the longest: {longest}")
    expect(not failed, failed[:3])
    expect(len(times) > 1000, "too few to tell")
    expect(times[-1][0] < REPLY, "a call waited for a reply that was lost")
    words = ["rabbitmqctl", "--quiet", "list_queues", "name", "consumers"]
    listed = lab.kolla("exec", host, "rabbitmq", "--", *words, quiet=True)
    queues = dict(re.findall(r"^(reply_\S+)\s+(\d+)$", listed, re.MULTILINE))
    say(", ".join(sorted(queues)))
    expect(len(queues) > 5, f"only {len(queues)} queues for replies: {listed}")
    expect(not [name for name in queues if ":uwsgi:" in name], f"called as all APIs are: {sorted(queues)}")
    shared = {name for name, consumers in queues.items() if int(consumers) > 1}
    expect(not shared, f"more than one service waits for replies in {sorted(shared)}")


def test_dashboard(lab):
    """an administrator logs in to the dashboard in a real browser, and finds the server"""
    import horizon  # it needs packages that no other test needs

    picture = os.environ.get("KOLLA_TEST_PICTURE", os.path.join(lab.folder, "horizon.png"))
    horizon.look(f"http://{lab.vip}/", "admin", lab.password("keystone_admin_password"), "demo1", picture)
    say(f"picture: {picture}")


def test_under_load(lab):
    """a changed option of one service is taken over while clients call all APIs: no call fails"""
    for path, (text, containers) in OPTIONS.items():
        before = {host: lab.containers(host) for host in lab.hosts}
        with Calls(lab, clients=4, pause=0.05, timeout=60) as calls:
            wait_until("the clients", 60, lambda: len(calls.made) > 40)
            lab.write(f"config/{path}", text)
            lab.kolla("reconfigure")
            after = {host: lab.containers(host) for host in lab.hosts}
            lab.write(f"config/{path}", None)
            lab.kolla("reconfigure")
        say(f"{path}: {len(calls.made)} calls, {len(calls.failed)} failed")
        expect(not calls.failed, f"{path}: {len(calls.failed)} of {len(calls.made)} failed, as {calls.failed[:5]}")
        touched = {name for host in lab.hosts for name, state in after[host].items() if before[host].get(name) != state}
        expect(touched == containers, f"{path}: touched {touched}, expected {containers}")


def test_agents_replaced(lab):
    """agents and libvirt are replaced on all hosts: a server goes on, and so does what comes to it from outside"""
    address = Api(lab).floating(Api(lab).demo())
    qemu = lab.on("compute01", "cat $(find /etc/kolla -name qemu.conf | head -n 1)")
    before = {host: lab.containers(host) for host in lab.hosts}
    for path, text in {**AGENTS, "nova/qemu.conf.j2": qemu + "\n# another\n"}.items():
        lab.write(f"config/{path}", text)
    with Ping(address) as ping:
        lab.kolla("reconfigure")
    after = {host: lab.containers(host) for host in lab.hosts}
    for path in [*AGENTS, "nova/qemu.conf.j2"]:
        lab.write(f"config/{path}", None)
    with Ping(address) as again:
        lab.kolla("reconfigure")
    say(f"the server was silent for {ping.gap():.1f} s, and for {again.gap():.1f} s the second time")
    touched = {name for host in lab.hosts for name, state in after[host].items() if before[host].get(name) != state}
    expect(touched == AGENT_CONTAINERS, f"touched {touched}")
    silent = max(ping.gap(), again.gap())
    expect(silent <= TRAFFIC_STOPS, f"no answer from {address} for {silent:.1f} s")
    wait_until("a clean status", 60, lambda: lab.healthy("status"), every=3)


def test_no_leaks(lab):
    """no secret of passwords.yml is in a log, in a process's arguments, in a run's record or in an engine's events"""
    values = leaks.secret_values(os.path.join(lab.site, "passwords.yml"))
    expect(len(values) > 10, f"only {len(values)} secrets")
    # A change beside secrets, of a service with many containers: the hunks have something to hide.
    with leaks.EngineEvents(lab) as events:
        lab.write("config/nova.conf", "[oslo_messaging_rabbit]\nkombu_reconnect_delay = 1.1\n")
        said = lab.kolla("deploy", "--check", "--diff", "-vv", quiet=True)
        said += lab.kolla("reconfigure", "--diff", "-vv", quiet=True)
        lab.write("config/nova.conf", None)
        said += lab.kolla("deploy", "-vv", quiet=True)
    # What sees nothing finds nothing.
    expect("mariadbd" in lab.arguments.programs(), "this machine does not see the processes of its lab's hosts")
    expect(all("Action" in text for text in events.texts.values()), "an engine told no event")
    found = {f"{name} in what the program says" for name in leaks.names_in(said, values)}
    found |= events.found(values) | lab.arguments.found(values)
    for folder in os.path.join(lab.folder, "kolla/runs"), "/var/log/kolla-runs":
        found |= leaks.in_files(folder, values)
    for host in lab.hosts:
        found |= leaks.in_logs(lab, host, values)
    expect(not found, "; ".join(sorted(found)))


def test_powered_off(lab):
    """each controller in turn loses its power: calls fail for 10 s at most, servers go on and can be made; it heals"""
    api = Api(lab)
    address = api.floating(api.demo())
    for host in lab.controllers:
        held = "with" if lab.holder(lab.vip) == host else "without"
        with Ping(address) as ping, Calls(lab, pause=0.3) as calls:
            wait_until("the client", 60, lambda: len(calls.rounds) > 10)
            moment = time.monotonic()
            lab.power_off(host)
            # A round that was under way may still end well.
            wait_until("an answer", 60, lambda since=moment + 2: calls.good_since(since))
            with api.another(f"without-{host}"):
                took = time.monotonic() - moment
                say(f"a server is ACTIVE {took:.0f} s after {host}, {held} the address, lost its power")
            off = calls.outage()
            lab.power_on(host)
            heals = wait_until("a clean status", HEALS, lambda: lab.healthy("status"), every=3)
        whole = calls.outage()
        say(f"{host}: calls failed for {off:.1f} s without it and {max(whole - off, 0):.1f} s at its return, "
            f"the server was silent for {ping.gap():.1f} s, status is clean after {heals:.0f} s")
        expect(whole <= CALLS_FAIL, f"{host}: calls failed for {whole:.1f} s: {calls.failed[:10]}")
        expect(ping.gap() <= PING_FAILS, f"{host}: no answer from {address} for {ping.gap():.1f} s")
        changed = lab.changed("deploy")
        expect(not changed, f"{host}: what did not heal by itself: {changed}")


def test_new_compute(lab):
    """one more compute host: no container of another host is touched, and it takes a server"""
    computes = len([host for host in lab.hosts if host.startswith("compute")])
    new = f"compute{computes + 1:02}"
    others = {host: lab.containers(host) for host in lab.hosts}
    up(lab, ["lab", "up"], computes + 1)
    expect(new in lab.hosts, f"the inventory does not name {new}")
    lab.kolla("bootstrap-servers")
    changed = lab.changed("deploy")
    say(f"deploy took {lab.took:.0f} s; beside {new} it changed "
        f"{sorted(f'{host} {subject}: {outcome}' for (host, subject), outcome in changed.items() if host != new)}")
    expect({host: lab.containers(host) for host in others} == others, "containers of other hosts are not as they were")
    api = Api(lab)
    hypervisors = api.get("compute", "/v2.1/os-hypervisors")["hypervisors"]
    expect(any(each["hypervisor_hostname"].split(".")[0] == new and each["state"] == "up" for each in hypervisors),
           f"no hypervisor {new}: {hypervisors}")
    with api.another(f"on-{new}", availability_zone=f"nova:{new}") as server:
        expect(api.server(server)["OS-EXT-SRV-ATTR:host"].split(".")[0] == new, "the server is elsewhere")
        wait_until("its lease", 180, lambda: re.search(LEASE, api.console(server)), every=2)
    wait_until("a clean status", 60, lambda: lab.healthy("status"), every=3)
