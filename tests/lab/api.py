"""The cloud's APIs as plain HTTP, for what is timed or repeated: a call of the real client costs seconds of work."""

import contextlib
import itertools
import json
import re
import signal
import statistics
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

from lab import Failed, expect, wait_until

# The machine's own proxy is not the way to the cloud.
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))

# What a busy client asks, service by service; the first of them for a new token.
ROUND = {"identity": None, "image": "/v2/images", "compute": "/v2.1/servers", "network": "/v2.0/networks",
         "placement": "/resource_providers"}


class Refused(Failed):
    """An answer that says no."""

    def __init__(self, text, status):
        super().__init__(text)
        self.status = status


class Api:
    """The cloud as its administrator sees it through the virtual address, or at one host, whose services listen on the
    same ports. Every call is a connection of its own; `times` is how long each took, by what was asked."""

    def __init__(self, lab, timeout=30, host=None):
        self.vip, self.address = lab.vip, lab.address(host) if host else lab.vip
        self.times = []
        self.url = f"http://{self.address}:5000/v3"
        self.password, self.timeout = lab.password("keystone_admin_password"), timeout
        self.token, self.ends = None, {}
        self.login()

    def request(self, url, body=None, method=None):
        # Manila's first version knows neither keys of users nor where shares are exported; others do not read it.
        headers = {"Content-Type": "application/json", "Accept": "application/json",
                   "X-OpenStack-Manila-API-Version": "2.60"}
        if self.token:
            headers["X-Auth-Token"] = self.token
        data = None if body is None else json.dumps(body).encode()
        asked = urllib.request.Request(url, data, headers, method=method)
        begin = time.monotonic()
        try:
            with DIRECT.open(asked, timeout=self.timeout) as answer:
                text = answer.read()
                return answer.headers, json.loads(text) if text else None
        except urllib.error.HTTPError as error:
            said = error.read(300).decode(errors="replace")
            raise Refused(f"{asked.get_method()} {url}: {error.code}: {said}", error.code) from None
        finally:
            self.times.append((time.monotonic() - begin, f"{asked.get_method()} {url}"))

    def login(self):
        self.token = None
        domain = {"id": "default"}
        user = {"name": "admin", "domain": domain, "password": self.password}
        headers, answer = self.request(f"{self.url}/auth/tokens", {"auth": {
            "identity": {"methods": ["password"], "password": {"user": user}},
            "scope": {"project": {"name": "admin", "domain": domain}}}})
        self.token = headers["X-Subject-Token"]
        for service in answer["token"]["catalog"]:
            for end in service["endpoints"]:
                if end["interface"] == "internal":
                    # With or without its version: paths here begin with one.
                    url = end["url"].replace(self.vip, self.address).rstrip("/")
                    self.ends[service["type"]] = re.sub(r"/v[\d.]+/*$", "", url)

    def get(self, service, path, **query):
        path += f"?{urllib.parse.urlencode(query)}" if query else ""
        return self.request(self.ends[service] + path)[1]

    def post(self, service, path, body):
        return self.request(self.ends[service] + path, body)[1]

    def put(self, service, path, body):
        return self.request(self.ends[service] + path, body, "PUT")[1]

    def delete(self, service, path):
        self.request(self.ends[service] + path, method="DELETE")

    # Servers

    def demo(self):
        """The server that the quickstart ends with."""
        found = self.get("compute", "/v2.1/servers/detail", name="^demo1$", all_tenants=1)["servers"]
        expect(len(found) == 1, f"{len(found)} servers are named demo1")
        return found[0]

    def server(self, server):
        return self.get("compute", f"/v2.1/servers/{server}")["server"]

    def floating(self, server):
        """A server's address outside the cloud."""
        kinds = {each["OS-EXT-IPS:type"]: each["addr"] for ends in server["addresses"].values() for each in ends}
        expect("floating" in kinds, f"no floating address: {kinds}")
        return kinds["floating"]

    def console(self, server):
        return self.post("compute", f"/v2.1/servers/{server}/action", {"os-getConsoleOutput": {}})["output"]

    def active(self, server, within=300):
        """Waits until a server is ACTIVE; how long it took."""
        took = wait_until("the server's end of building", within,
                          lambda: self.server(server)["status"] in ("ACTIVE", "ERROR"), every=1)
        found = self.server(server)
        expect(found["status"] == "ACTIVE", f"the server is {found['status']}: {found.get('fault')}")
        return took

    def gone(self, server, within=120):
        def missing():
            try:
                self.server(server)
            except Refused as refused:
                return refused.status == 404
            return False

        wait_until("the server's end", within, missing, every=1)

    @contextlib.contextmanager
    def another(self, name, **more):
        """A server like demo1 that is ACTIVE, while it is needed."""
        demo = self.demo()
        network = self.get("network", "/v2.0/networks", name="demo-net")["networks"][0]["id"]
        server = self.post("compute", "/v2.1/servers", {"server": {
            "name": name, "imageRef": demo["image"]["id"], "flavorRef": demo["flavor"]["id"],
            "networks": [{"uuid": network}], **more}})["server"]["id"]
        try:
            self.active(server)
            yield server
        finally:
            self.delete("compute", f"/v2.1/servers/{server}")
            self.gone(server)


class Calls:
    """Clients that go on asking all APIs, round by round, until they are told to stop; knows which calls failed."""

    def __init__(self, lab, clients=1, pause=0.0, timeout=5, services=tuple(ROUND)):
        self.lab, self.pause, self.timeout, self.services = lab, pause, timeout, services
        self.made, self.failed, self.rounds, self.stop = [], [], [], False
        self.threads = [threading.Thread(target=self.run) for _ in range(clients)]

    def __enter__(self):
        self.apis = [Api(self.lab, self.timeout) for _ in self.threads]
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop = True
        for thread in self.threads:
            thread.join()

    def run(self):
        api = self.apis.pop()
        while not self.stop:
            good = self.ask(api)
            self.rounds.append((time.monotonic(), good))
            time.sleep(self.pause)

    def ask(self, api):
        """A round, which ends with the first call that fails, as a client's work does."""
        for service in self.services:
            path = ROUND[service]
            self.made.append(service)
            try:
                api.get(service, path) if path else api.login()
            except Exception as error:  # whatever a connection to what is down ends with
                self.failed.append(f"{time.strftime('%T')} {service}: {type(error).__name__} {error}")
                return False
        return True

    def good_since(self, moment):
        return any(good and at > moment for at, good in list(self.rounds))

    def outage(self):
        """Seconds in which calls failed, in all; of one client's rounds."""
        return outage(list(self.rounds), time.monotonic())


def outage(rounds, now):
    """What times between two good rounds last longer than usual, where a bad one is between them."""
    good = [at for at, good in rounds if good]
    usual = statistics.median([b - a for a, b in itertools.pairwise(good)] or [0])
    total, last, bad = 0.0, rounds[0][0] if rounds else now, False
    for at, fine in [*rounds, (now, True)]:
        if fine:
            total += max(at - last - usual, 0) if bad else 0
            last, bad = at, False
        else:
            bad = True
    return total


class Ping:
    """Five questions a second to an address, until told to stop."""

    def __init__(self, address):
        self.command = ["ping", "-n", "-D", "-i", "0.2", address]

    def __enter__(self):
        self.begin = time.time()
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGINT)
        self.text = self.process.communicate()[0]
        self.end = time.time()

    def gap(self):
        """The longest time without an answer."""
        return gap(self.text, self.begin, self.end)


def gap(text, begin, end):
    answers = [float(at) for at in re.findall(r"^\[([\d.]+)\] \d+ bytes from", text, re.MULTILINE)]
    return max(b - a for a, b in itertools.pairwise([begin, *answers, end]))


def answers_ping(address):
    ping = ["ping", "-n", "-c", "1", "-W", "2", address]
    return subprocess.run(ping, check=False, stdout=subprocess.DEVNULL).returncode == 0
