"""A lab under test: the program, its site, its hosts as the engine of this machine sees them."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import traceback

import flat

NAME = os.environ.get("KOLLA_TEST_LAB", "test")
REGISTRY_PORT = 4001


def say(text):
    print(f"[{time.strftime('%T')}] {text}", flush=True)


class Failed(Exception):
    """What a test saw and should not have seen."""


def expect(condition, text):
    if not condition:
        raise Failed(text)


def wait_until(what, within, ask, every=0.2):
    """Asks until the answer is true; how long it took."""
    begin = time.monotonic()
    last = None
    while time.monotonic() - begin < within:
        try:
            if ask():
                return time.monotonic() - begin
        except Exception as error:  # the question itself may fail while things are down
            last = error
        time.sleep(every)
    raise Failed(f"{what}: not within {within} s ({last})")


class Lab:
    def __init__(self, program):
        self.program = os.path.abspath(program)
        self.folder = tempfile.mkdtemp(prefix="kolla-test-")
        # A lab that stands already can be tested, too: KOLLA_TEST_SITE names its folder.
        self.site = os.environ.get("KOLLA_TEST_SITE", os.path.join(self.folder, "site"))
        self.environment = dict(os.environ, XDG_STATE_HOME=self.folder)
        self.hosts = ["control01", "control02", "control03"]

    # The program

    def command(self, *words):
        return [self.program, "--configdir", self.site, *words]

    def kolla(self, *words, code=0, quiet=False, within=1500):
        """Runs a command of the program; its output. Any other exit code than the expected one fails."""
        begin = time.monotonic()
        done = subprocess.run(
            self.command(*words), env=self.environment, text=True, timeout=within,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
        )
        took = time.monotonic() - begin
        if not quiet:
            say(f"kolla {' '.join(words)}: exit {done.returncode} in {took:.1f} s")
        if code is not None and done.returncode != code:
            print(done.stdout, flush=True)
            raise Failed(f"kolla {' '.join(words)}: exit {done.returncode}, expected {code}")
        self.took = took
        return done.stdout

    def healthy(self):
        """Every service answers as it should."""
        return subprocess.run(self.command("check"), env=self.environment, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, timeout=60).returncode == 0

    def lab(self, *words, **more):
        return self.kolla(
            "lab", "--name", NAME, "--state-dir", self.site, "--registry-port", str(REGISTRY_PORT), *words, **more)

    def events(self, *words, code=0):
        """The events of a run."""
        text = self.kolla("--output", "json", *words, code=code)
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]

    def changed(self, *words, code=0):
        """What a run changed: outcomes by host and subject."""
        outcomes = {}
        for event in self.events(*words, code=code):
            if event.get("event") == "finished" and event["outcome"] not in ("same", "skipped"):
                outcomes[(event["host"], event["subject"])] = event["outcome"]
        return outcomes

    def option(self, name, **variables):
        """Sets variables of the site in a file of globals.d; none remove it."""
        folder = os.path.join(self.site, "globals.d")
        os.makedirs(folder, exist_ok=True)
        path = os.path.join(folder, f"{name}.yml")
        if not variables:
            if os.path.exists(path):
                os.remove(path)
            return
        with open(path, "w", encoding="utf-8") as file:
            for key, value in variables.items():
                file.write(f"{key}: {json.dumps(value)}\n")

    def settle(self):
        """After a test that failed: everything on and as the site says, so that the others are not blamed for it."""
        shutil.rmtree(os.path.join(self.site, "globals.d"), ignore_errors=True)
        for host in self.hosts:
            self.lab("power", host, "on", quiet=True, code=None)
        try:
            wait_until("every service", 60, self.healthy, every=1)
        except Failed:
            pass
        self.kolla("deploy", "--prune", code=None)

    # Hosts

    def container(self, host):
        return f"kolla-lab-{NAME}-{host}"

    def on(self, host, script, code=0):
        """Runs a script on a host, from underneath: no session of the program is involved."""
        done = subprocess.run(
            ["docker", "exec", "-i", self.container(host), "sh", "-s"], input=script, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120,
        )
        if code is not None and done.returncode != code:
            raise Failed(f"{host}: {script!r}: exit {done.returncode}: {done.stderr}")
        return done.stdout

    def engine(self, host, path, method="GET"):
        """A request to a host's engine. The hosts have no client: Perl, which Debian always has, does."""
        script = f"""perl -MIO::Socket::UNIX -e '
            my $s = IO::Socket::UNIX->new("/var/run/docker.sock") or die "no engine\\n";
            print $s "{method} {path} HTTP/1.0\\r\\nHost: engine\\r\\nContent-Length: 0\\r\\n\\r\\n";
            local $/; my $answer = <$s>; $answer =~ s/^.*?\\r\\n\\r\\n//s; print $answer'"""
        text = self.on(host, script)
        return json.loads(text) if text.strip() else None

    def containers(self, host):
        """Containers of a host: name to (id, state, start)."""
        found = {}
        for listed in self.engine(host, "/containers/json?all=1"):
            state = self.engine(host, f"/containers/{listed['Id']}/json")["State"]
            found[listed["Names"][0].lstrip("/")] = (listed["Id"], state["Status"], state["StartedAt"])
        return found

    def everything(self):
        """All that a run must not touch when it changes nothing."""
        files = {host: self.on(host, "find /etc -type f -exec sha256sum {} + | sort") for host in self.hosts}
        return {host: self.containers(host) for host in self.hosts}, files

    def kill(self, host, container):
        self.engine(host, f"/containers/{container}/kill?signal=SIGKILL", "POST")

    def power_off(self, host):
        subprocess.run(["docker", "kill", self.container(host)], check=True, stdout=subprocess.DEVNULL)

    def power_on(self, host):
        self.lab("power", host, "on", quiet=True)
        wait_until(f"{host}'s engine", 90, lambda: self.engine(host, "/version"))

    # The site

    def value(self, file, name):
        return flat.read(os.path.join(self.site, file)).get(name)

    def password(self, name):
        return self.value("passwords.yml", name)

    @property
    def vip(self):
        return self.value("globals.yml", "kolla_internal_vip_address")

    def address(self, host):
        text = open(os.path.join(self.site, "inventory"), encoding="utf-8").read()
        return re.search(rf"^{host} ansible_host=(\S+)", text, re.M).group(1)

    def holder(self, address):
        """The host that holds an address."""
        for host in self.hosts:
            if f" {address}/" in self.on(host, "ip -o addr", code=None):
                return host
        return None


def main(tests, lab):
    """Runs tests in order, each on what the ones before it left; the number that failed."""
    passed, failed = 0, []
    for test in tests:
        say(f"-- {test.__doc__.splitlines()[0]}")
        begin = time.monotonic()
        try:
            test(lab)
            passed += 1
            say(f"ok in {time.monotonic() - begin:.0f} s")
        except Exception as error:  # whatever a client of what was broken on purpose throws
            failed.append((test, error))
            say(f"FAILED: {error}")
            if not isinstance(error, Failed):
                traceback.print_exc()
            if getattr(test, "needed", False):
                say("the others need it: stopping")
                break
            lab.settle()
    for test, error in failed:
        say(f"failed: {test.__doc__.splitlines()[0]}: {error}")
    print(f"\n{passed} passed, {len(failed)} failed", flush=True)
    sys.exit(1 if failed else 0)
