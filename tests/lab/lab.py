"""A lab under test: the program, its site, its hosts as the engine of this machine sees them."""

import contextlib
import json
import os
import pathlib
import random
import re
import shlex
import subprocess
import tempfile
import time

import flat

NAME = os.environ.get("KOLLA_TEST_LAB", "test")
REGISTRY_PORT = int(os.environ.get("KOLLA_TEST_REGISTRY", "4001"))
# For sites of one optional role.
NOTHING_ELSE = {f"enable_{role}": False for role in ("haproxy", "mariadb", "rabbitmq", "memcached", "openstack_core")}


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
        self.stands = "KOLLA_TEST_SITE" in os.environ
        self.environment = dict(os.environ, XDG_STATE_HOME=self.folder)
        self.written = set()

    # The program

    def command(self, *words):
        return [self.program, "--configdir", self.site, *words]

    def kolla(self, *words, code=0, quiet=False, within=1500):
        """Runs a command of the program; its output. Any other exit code than the expected one fails."""
        begin = time.monotonic()
        done = subprocess.run(
            self.command(*words), check=False, env=self.environment, text=True, timeout=within,
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

    def killed(self, longest, *words):
        """Kills a command of the program at a random moment before this many seconds; when that was."""
        moment = random.uniform(0.1, longest)
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "stdin": subprocess.DEVNULL}
        process = subprocess.Popen(self.command(*words), env=self.environment, **quiet)
        try:
            process.wait(moment)
            return f"ended before {moment:.1f} s"
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return f"killed at {moment:.1f} s"

    def healthy(self, command="check"):
        """Every service answers as it should."""
        return subprocess.run(self.command(command), check=False, env=self.environment, stdout=subprocess.DEVNULL,
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

    def write(self, path, text, kept=False):
        """A file of the site that is not there without a test; no text removes it. A kept one outlives a failure."""
        path = os.path.join(self.site, path)
        if text:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
            if kept:
                self.written.discard(path)
            else:
                self.written.add(path)
        elif os.path.exists(path):
            os.remove(path)

    def option(self, name, kept=False, **variables):
        """Sets variables of the site in a file of globals.d; none remove it."""
        text = "".join(f"{key}: {json.dumps(value)}\n" for key, value in variables.items())
        self.write(f"globals.d/{name}.yml", text, kept)

    def with_group(self, name, hosts):
        """Says in the inventory who is in a group."""
        with open(f"{self.site}/inventory", encoding="utf-8") as file:
            text = re.sub(rf"\n\[{name}\]\n(?:\S+\n)*", "", file.read())
        with open(f"{self.site}/inventory", "w", encoding="utf-8") as file:
            file.write(text + f"\n[{name}]\n" + "".join(f"{host}\n" for host in hosts))

    def evidence(self):
        """What a test that failed found, for who was not there: the state of all services, what the database says."""
        try:
            print(self.kolla("status", code=None, quiet=True), flush=True)
            for host in self.controllers:
                if "mariadb" not in self.containers(host):
                    continue
                say(f"the end of MariaDB's log on {host}")
                print(self.kolla("logs", host, "mariadb", "--lines", "30", code=None, quiet=True), flush=True)
        except (Failed, subprocess.SubprocessError, OSError) as error:
            say(f"no more is known: {error}")

    def settle(self):
        """After a test that failed: everything on and as the site says, so that the others are not blamed for it."""
        for path in self.written:
            self.write(path, None)
        for host in self.hosts:
            self.lab("power", host, "on", quiet=True, code=None)
        with contextlib.suppress(Failed):
            wait_until("every service", 60, self.healthy, every=1)
        self.kolla("deploy", "--prune", code=None)

    # Hosts

    @property
    def hosts(self):
        """Those that the inventory names, controllers first."""
        try:
            with open(os.path.join(self.site, "inventory"), encoding="utf-8") as file:
                return re.findall(r"^(\S+) ansible_host=", file.read(), re.MULTILINE)
        except FileNotFoundError:
            return []

    @property
    def controllers(self):
        return [host for host in self.hosts if host.startswith("control")]

    def container(self, host):
        return f"kolla-lab-{NAME}-{host}"

    def on(self, host, script, code=0, given=None):
        """Runs a script on a host, from underneath: no session of the program is involved. It may be given an input."""
        shell, text = (["sh", "-s"], script) if given is None else (["sh", "-c", script], given)
        done = subprocess.run(
            ["docker", "exec", "-i", self.container(host), *shell], check=False, input=text, text=True,
            errors="replace", capture_output=True, timeout=120,
        )
        if code is not None and done.returncode != code:
            raise Failed(f"{host}: {script!r}: exit {done.returncode}: {done.stderr}")
        return done.stdout

    def engine(self, host, path, method="GET"):
        """A request to a host's engine; its answer."""
        return self.engine_all(host, [path], method)[0]

    def engine_all(self, host, paths, method="GET"):
        """Several, one after the other. The hosts have no client: Perl, which Debian always has, does."""
        script = f"""perl -MIO::Socket::UNIX -e '
            for my $path (@ARGV) {{
                my $s = IO::Socket::UNIX->new("/var/run/docker.sock") or die "no engine\\n";
                print $s "{method} $path HTTP/1.0\\r\\nHost: engine\\r\\nContent-Length: 0\\r\\n\\r\\n";
                local $/; my $answer = <$s>; $answer =~ s/^.*?\\r\\n\\r\\n//s; $answer =~ tr/\\n//d; print "$answer\\n"
            }}' {" ".join(map(shlex.quote, paths))}"""
        answers = self.on(host, script).split("\n")[:-1]
        return [json.loads(answer) if answer else None for answer in answers]

    def containers(self, host):
        """Containers of a host: name to (id, state, start)."""
        listed = self.engine(host, "/containers/json?all=1")
        if not listed:
            return {}
        asked = self.engine_all(host, [f"/containers/{each['Id']}/json" for each in listed])
        # One that ended since has no name.
        return {each["Name"].lstrip("/"): (each["Id"], each["State"]["Status"], each["State"]["StartedAt"])
                for each in asked if "Name" in each}

    def everything(self):
        """All that a run must not touch when it changes nothing."""
        files = {host: self.on(host, "find /etc -type f -exec sha256sum {} + | sort") for host in self.hosts}
        return {host: self.containers(host) for host in self.hosts}, files

    def kill(self, host, container):
        self.engine(host, f"/containers/{container}/kill?signal=SIGKILL", method="POST")

    def crash(self, host, container):
        """As a fault of its own would end it: the engine, which was not asked, starts it again."""
        pid = self.engine(host, f"/containers/{container}/json")["State"]["Pid"]
        self.on(host, f"kill -9 {pid}")

    def power_off(self, host):
        subprocess.run(["docker", "kill", self.container(host)], check=True, stdout=subprocess.DEVNULL)

    def power_on(self, host):
        self.lab("power", host, "on", quiet=True)
        wait_until(f"{host}'s engine", 90, lambda: self.engine(host, "/version"))

    # The site

    def image(self, name):
        """One of the site's images, as this machine's engine calls it."""
        namespace, tag = (self.value("globals.yml", key) for key in ("docker_namespace", "openstack_tag"))
        return f"127.0.0.1:{REGISTRY_PORT}/{namespace}/{name}:{tag}"

    def value(self, file, name):
        return flat.read(os.path.join(self.site, file)).get(name)

    def password(self, name):
        return self.value("passwords.yml", name)

    @property
    def vip(self):
        return self.value("globals.yml", "kolla_internal_vip_address")

    def address(self, host):
        text = pathlib.Path(self.site, "inventory").read_text(encoding="utf-8")
        return re.search(rf"^{host} ansible_host=(\S+)", text, re.MULTILINE).group(1)

    def outside(self, host):
        """A host's address on the external network."""
        return re.search(r"inet ([\d.]+)/", self.on(host, "ip -o -4 addr show dev eth1")).group(1)

    def holder(self, address):
        """The host that holds an address."""
        for host in self.hosts:
            if f" {address}/" in self.on(host, "ip -o addr", code=None):
                return host
        return None


def take_down(lab):
    lab.lab("down", quiet=True, code=None)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run([lab.program, "registry", "down", "--include-images", "--port", str(REGISTRY_PORT)],
                   check=False, env=lab.environment, **quiet)
    names = subprocess.run(["docker", "images", "--format", "{{.Repository}}:{{.Tag}}"], check=True, text=True,
                           stdout=subprocess.PIPE).stdout.split()
    ours = [name for name in names if name.startswith(f"127.0.0.1:{REGISTRY_PORT}/")]
    if ours:
        subprocess.run(["docker", "rmi", *ours], check=False, **quiet)
